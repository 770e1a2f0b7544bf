"""One Ansible run: what goes into it, and what its events mean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hostmend import ansible_run, run_directory
from hostmend.ansible_config import UserConfig
from hostmend.ansible_run import Request, Stop
from hostmend.core import exit_status
from hostmend.events import Run
from tests.support.paths import ROOT


def event(
    kind: str, host: str = "web1", action: str = "hostmend.hardening.security_facts", role: str = "", **more: Any
) -> dict[str, Any]:
    data = {"host": host, "task": "Do it", "task_action": action, "resolved_action": action, **more}
    return {"event": kind, "event_data": {**data, "role": role} if role else data}


def found(status: str, phase: str = "before", **more: Any) -> dict[str, Any]:
    finding = {"check": "redis.no_auth", "class": "redis", "status": status, "resource": "r"}
    return {"findings": [finding], "phase": phase, "changed": False, **more}


def play(*events: dict[str, Any]) -> Run:
    run = Run()
    for one in events:
        run.take(one)
    return run


def test_findings_come_off_the_event() -> None:
    run = play(event("runner_on_start"), event("runner_on_ok", res=found("open", classes={"redis": {"status": "ok"}})))
    host = run.hosts["web1"]
    assert host.stage == "done"
    assert host.result() == {
        "status": "ok",
        "reason": "",
        "findings": found("open")["findings"],
        "classes": {"redis": {"status": "ok"}},
    }


def test_two_audits_are_before_and_after() -> None:
    run = play(event("runner_on_ok", res=found("open")), event("runner_on_ok", res=found("passed", "after")))
    made = run.hosts["web1"].result()
    assert made["before"][0]["status"] == "open"
    assert made["findings"][0]["status"] == "passed"


def test_a_role_that_detects_for_itself_is_not_the_audit() -> None:
    run = play(
        event("runner_on_ok", res=found("open")),
        event("runner_on_ok", res=found("passed"), role="hostmend.hardening.redis"),
    )
    assert run.hosts["web1"].result()["findings"][0]["status"] == "open"


def test_a_host_that_was_not_reached() -> None:
    run = play(
        event(
            "runner_on_unreachable",
            res={"msg": "Failed to connect to the host via ssh: ssh: connect to host x port 22: Connection refused"},
        )
    )
    made = run.hosts["web1"].result()
    assert made["status"] == "unreachable"
    assert made["reason"].startswith("the connection was refused")


def test_a_host_that_was_lost_while_it_was_mended_failed() -> None:
    run = play(
        event("runner_on_ok", res=found("open")),
        event("runner_on_unreachable", role="redis", res={"msg": "Connection timed out"}),
    )
    made = run.hosts["web1"].result()
    assert made["status"] == "failed"
    assert "could not be reached any more" in made["reason"]


def test_a_role_that_fails_makes_the_host_fail_with_its_reason() -> None:
    plan = {"hostmend_plan": {"roles": ["redis"], "mend": ["redis.no_auth r"], "skip": []}}
    run = play(
        event("runner_on_ok", res=found("open", ansible_facts=plan)),
        event(
            "runner_on_failed",
            action="ansible.builtin.command",
            role="redis",
            res={
                "msg": "All items completed",
                "results": [{"failed": False}, {"failed": True, "msg": "it broke\nbadly"}],
            },
        ),
        event("runner_on_failed", action="ansible.builtin.fail", res={"msg": "said again"}),
    )
    host = run.hosts["web1"]
    assert host.planned == ("redis",)
    assert host.mend == {"redis.no_auth r"}
    assert host.result()["reason"] == "role redis, Do it: it broke badly; the host was not audited again"


def test_what_a_role_asserts_is_told_in_its_own_words() -> None:
    said = "www.pem: connection refused by the ACME server"
    run = play(
        event("runner_on_ok", res=found("open")),
        event("runner_on_failed", action="ansible.builtin.assert", role="certificates", res={"msg": said}),
    )
    assert run.hosts["web1"].result()["reason"].startswith(f"role certificates, Do it: {said}")


def test_an_ignored_failure_of_a_role_is_none() -> None:
    run = play(
        event("runner_on_ok", res=found("open")),
        event("runner_on_failed", action="x", role="redis", ignore_errors=True, res={"msg": "no"}),
    )
    assert run.hosts["web1"].result()["status"] == "ok"


def test_a_run_that_ends_early_leaves_no_host_clean() -> None:
    made = play(event("runner_on_start")).hosts["web1"].result()
    assert made["status"] == "failed"
    assert made["findings"] == []


def test_changes_are_kept_once_and_only_of_roles() -> None:
    copied = {"changed": True, "invocation": {"module_args": {"dest": "/etc/a"}}}
    run = play(
        event("runner_on_ok", action="ansible.builtin.copy", res=copied),
        event("runner_on_ok", action="ansible.builtin.copy", role="redis", res=copied),
        event("runner_item_on_ok", action="ansible.builtin.copy", role="redis", res=copied),
        event("runner_on_ok", action="ansible.builtin.copy", role="redis", res={"changed": True, "results": [copied]}),
        event(
            "runner_on_ok",
            action="hostmend.hardening.journal",
            role="redis",
            res={**copied, "changes": [{"kind": "x"}]},
        ),
        event("runner_on_ok", action="ansible.builtin.copy", role="redis", res={**copied, "changed": False}),
    )
    assert run.hosts["web1"].changes == [{"kind": "file", "name": "/etc/a", "action": "written", "role": "redis"}]


@pytest.mark.parametrize(
    "noise",
    [
        {},
        {"event": "verbose", "stdout": "x"},
        {"event": "runner_on_ok"},
        {"event": "runner_on_ok", "event_data": {"host": 3}},
        {"event": "runner_on_ok", "event_data": {"host": "h", "res": None}},
    ],
)
def test_events_that_say_nothing_do_no_harm(noise: dict[str, Any]) -> None:
    play(noise)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("Task failed: Missing sudo password", "run again with -K"),
        ("sudo: a password is required", "run again with -K"),
        ("Task failed: Incorrect sudo password", "password is wrong"),
        ("ops@web1: Permission denied (publickey,password).", "SSH login refused"),
        ("Host key verification failed.", "host key is not known"),
        ("ssh: Could not resolve hostname nosuch: Name or service not known", "cannot be resolved"),
        ("ssh: connect to host x port 22: Connection timed out", "timed out"),
        ("The module interpreter '/usr/bin/python3' was not found.", "no Python on the host"),
        ("/bin/sh: 1: /usr/bin/python3: not found", "no Python on the host"),
        ("ansible-core requires a minimum of Python version 3.8. Current version: 3.7.3", "too old"),
        ('  File "<stdin>", line 40\n    zip_data: str,\n            ^\nSyntaxError: invalid syntax\n', "too old"),
        ("to use the 'ssh' connection type with passwords, you must install the sshpass program", "sshpass"),
        ("OSError: [Errno 28] No space left on device", "no space is left"),
    ],
)
def test_what_ansible_says_becomes_one_line_that_helps(said: str, meaning: str) -> None:
    made = exit_status.host_reason({"msg": "MODULE FAILURE\nSee stdout/stderr", "module_stderr": said})
    assert meaning in made
    assert "\n" not in made


def test_a_failure_without_a_word_is_told_all_the_same() -> None:
    assert exit_status.host_reason({}) == "it failed without a word"


@pytest.mark.parametrize(
    ("hosts", "ignore", "fail_on", "expected"),
    [
        ({"a": ("ok", [])}, False, "low", 0),
        ({"a": ("ok", ["low"])}, False, "low", 2),
        ({"a": ("ok", ["low"])}, False, "medium", 0),
        ({"a": ("ok", ["high"])}, False, "never", 0),
        ({"a": ("ok", ["high"]), "b": ("unreachable", [])}, False, "low", 1),
        ({"a": ("ok", ["high"]), "b": ("unreachable", [])}, True, "low", 2),
        ({"a": ("ok", []), "b": ("unreachable", [])}, True, "low", 0),
        ({"b": ("unreachable", [])}, True, "low", 1),
        ({"a": ("ok", []), "b": ("failed", [])}, True, "low", 1),
        ({}, True, "low", 1),
    ],
)
def test_the_exit_status(hosts: dict[str, tuple[str, list[str]]], ignore: bool, fail_on: str, expected: int) -> None:
    report = {
        "run": {},
        "hosts": {
            name: {
                "status": status,
                "findings": [{"status": "open", "severity": one, "kind": "vulnerability"} for one in open_],
            }
            for name, (status, open_) in hosts.items()
        },
    }
    assert exit_status.exit_status(report, fail_on, ignore) == expected
    assert exit_status.exit_status({**report, "run": {"status": "stopped"}}, fail_on, ignore) == 130


def test_alerts_count_beside_severities() -> None:
    report = {
        "run": {},
        "hosts": {"a": {"status": "ok", "findings": [{"status": "open", "kind": "alert", "level": "suspicious"}]}},
    }
    assert exit_status.exit_status(report, "high") == 0
    assert exit_status.exit_status(report, "medium") == 2


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path


def test_the_users_settings_stay(nowhere: Path) -> None:
    (nowhere / "ansible.cfg").write_text(
        "[defaults]\nforks = 7\nhost_key_checking = False\ncollections_path = ./mine:~/yours\n"
        "[ssh_connection]\npipelining = False\n"
    )
    made = ansible_run.environment(ROOT, UserConfig({}))
    assert "ANSIBLE_FORKS" not in made
    assert "ANSIBLE_PIPELINING" not in made
    assert made["ANSIBLE_HOST_KEY_CHECKING"] == "False"
    paths = made["ANSIBLE_COLLECTIONS_PATH"].split(":")
    assert paths == [str(ROOT / ".ansible/collections"), str(nowhere / "mine"), str(nowhere / "home/yours")]


def test_host_keys_are_checked_unless_the_user_says_no(nowhere: Path) -> None:
    made = ansible_run.environment(ROOT, UserConfig({}))
    assert made["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert made["ANSIBLE_PIPELINING"] == "True"
    assert "ANSIBLE_HOST_KEY_CHECKING" not in ansible_run.environment(
        ROOT, UserConfig({"ANSIBLE_HOST_KEY_CHECKING": "False"})
    )


def test_a_bundle_is_the_same_file_wherever_ansible_runs(nowhere: Path) -> None:
    made = ansible_run.environment(ROOT, UserConfig({"HOSTMEND_ADVISORIES": "mine/advisories.db"}))
    assert made["HOSTMEND_ADVISORIES"] == str(Path.cwd() / "mine/advisories.db")
    assert "HOSTMEND_ADVISORIES" not in ansible_run.environment(ROOT, UserConfig({}))


def test_a_config_named_by_the_environment_is_the_one(nowhere: Path) -> None:
    (nowhere / "ansible.cfg").write_text("[defaults]\nforks = 7\n")
    (nowhere / "other.cfg").write_text("[defaults]\ninventory = hosts\n")
    assert not UserConfig({}).has_inventory()
    assert UserConfig({"ANSIBLE_CONFIG": str(nowhere / "other.cfg")}).has_inventory()
    assert UserConfig({"ANSIBLE_INVENTORY": "x"}).has_inventory()


@pytest.mark.parametrize("text", ["", "[defaults", "\x00\xff", "[a]\nx\n[a]\nx=1"])
def test_a_strange_config_is_left_to_ansible(nowhere: Path, text: str) -> None:
    (nowhere / "ansible.cfg").write_text(text)
    assert UserConfig({}).get("defaults", "forks") is None


def test_a_config_in_a_directory_that_everybody_writes_is_ignored_as_ansible_does(nowhere: Path) -> None:
    (nowhere / "ansible.cfg").write_text("[defaults]\ninventory = hosts\n")
    nowhere.chmod(0o777)
    assert not UserConfig({}).has_inventory()


def test_a_directory_that_the_user_cannot_enter_has_no_config(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", closed)
    assert UserConfig({}).path is None


def test_ansible_works_elsewhere_where_the_user_cannot_enter_the_directory(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ansible_run._place("/spare") == str(nowhere)
    monkeypatch.setattr(os, "access", lambda *_given: False)
    assert ansible_run._place("/spare") == "/spare"


def test_variables_go_by_a_private_file_and_not_by_arguments(nowhere: Path) -> None:
    request = Request(
        "audit.yml",
        inventory=("a,", "b"),
        limit="x",
        options=["--become"],
        variables={"hostmend_x": "secret"},
        check=True,
        diff=True,
        verbosity=3,
    )
    command = ansible_run._command(request, ROOT, UserConfig({}), nowhere)
    assert command[:7] == ["-i", "a,", "-i", "b", "--limit", "x", "--become"]
    assert command[-4:] == ["--check", "--diff", "-vv", str(ROOT / "playbooks/audit.yml")]
    assert "secret" not in " ".join(command)
    path = nowhere / "variables.json"
    assert json.loads(path.read_text()) == {"hostmend_x": "secret"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_an_inventory_it_is_this_machine(nowhere: Path) -> None:
    assert ansible_run._command(Request("audit.yml"), ROOT, UserConfig({}), nowhere)[:2] == [
        "-i",
        str(ROOT / "inventories/local"),
    ]
    (nowhere / "variables.json").unlink()
    assert ansible_run._command(Request("audit.yml"), ROOT, UserConfig({"ANSIBLE_INVENTORY": "x"}), nowhere)[0] == "-e"
    made = json.loads(ansible_run.local_inventory(nowhere, nowhere).read_text())
    assert made["all"]["hosts"]["localhost"]["ansible_connection"] == "local"


def test_a_signal_is_a_wish_and_the_second_one_does_not_wait() -> None:
    stop, asked = Stop(), []
    stop.on_ask = lambda: asked.append(1)
    before = signal.getsignal(signal.SIGTERM)
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.force, asked) == (False, [1])
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.force, asked) == (True, [1])
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[ERROR]: Completely failed to parse inventory source /x", ["Completely failed to parse inventory source /x"]),
        ("a\nERROR! the playbook: x could not be found", ["the playbook: x could not be found"]),
        ("ok: [a]", []),
    ],
)
def test_what_ansible_says_before_it_begins_is_kept(text: str, expected: list[str]) -> None:
    errors: list[str] = []
    ansible_run._keep_error(text, errors)
    assert errors == expected


def test_a_silent_link_ends_by_itself_unless_the_user_says_otherwise(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    made = ansible_run.environment(ROOT, UserConfig({}))
    assert "ServerAliveInterval=10" in made["ANSIBLE_SSH_ARGS"] and "ControlPersist" in made["ANSIBLE_SSH_ARGS"]
    assert "ANSIBLE_SSH_ARGS" not in ansible_run.environment(ROOT, UserConfig({"ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}))
    own = tmp_path / "own.cfg"
    own.write_text("[ssh_connection]\nssh_args = -o ControlMaster=no\n")
    assert "ANSIBLE_SSH_ARGS" not in ansible_run.environment(ROOT, UserConfig({"ANSIBLE_CONFIG": str(own)}))


HOLDING = """
import os, sys
from hostmend.run_directory import run_directory
with run_directory() as directory:
    with open(directory + "/secret", "w") as handle:
        handle.write("hunter2")
    print(directory, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_run_has_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "hostmend-of-somebody-else").mkdir(mode=0o700)
    with subprocess.Popen([sys.executable, "-c", HOLDING], env={**os.environ, "TMPDIR": str(tmp_path)}, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        held = Path(child.stdout.readline().strip())
        assert run_directory.sweep() == [] and (held / "secret").exists(), "a run that lives keeps its directory"
        child.kill()
        child.wait()
    assert (held / "secret").exists()
    with run_directory.run_directory() as own:
        assert not held.exists() and Path(own).is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["hostmend-of-somebody-else"]
