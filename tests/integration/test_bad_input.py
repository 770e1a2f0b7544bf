"""Bad input, bad hosts and bad luck: one clear line, the right exit status, and nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.support.operators import Command, Fleet, descendants, finished

GOOD_PASSWORD = "right-Horse-7"


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    made: Fleet = fleet_of("plain")
    made["plain"].sh(f"""
        useradd -m -s /bin/bash wants && echo 'wants:{GOOD_PASSWORD}' | chpasswd
        echo 'wants ALL=(ALL) ALL' > /etc/sudoers.d/wants && chmod 440 /etc/sudoers.d/wants
        cp -a ~ops/.ssh ~wants/ && chown -R wants: ~wants/.ssh
    """)
    return made


@pytest.fixture
def local(tmp_path: Path) -> str:
    """An inventory of this machine that runs no detector: what is tried here is the controller."""
    path = tmp_path / "local.json"
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "hostmend_classes": ["all"],
    }
    path.write_text(json.dumps({"all": {"hosts": {"here": host}}}))
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit", "-i", "/no/such/inventory"], "no such inventory: /no/such/inventory"),
        (["audit", "-i", "a,b", "--limit", "c"], "no host of a,b is meant by --limit c"),
        (["audit", "-i", "a,", "--class", "servics"], "no such class: servics (did you mean services?)"),
        (["audit", "-i", "a,", "--output", "/proc/hostmend"], "cannot be written"),
        (["report", "--query", "hosts["], "is not a JMESPath expression"),
        (["remediate", "-i", "a,"], "no terminal to ask on"),
        (["remediate", "-i", "a,", "--yes", "--only", "services.unneded"], "did you mean services.unneeded?"),
    ],
)
def test_bad_input_is_one_clear_line(hostmend: Command, arguments: list[str], said: str) -> None:
    done = hostmend(*arguments)
    assert done.code == 1
    assert len(done.lines) == 1
    assert said in done.lines[0]
    assert "Traceback" not in done.err


@pytest.mark.parametrize("text", ["[web\nfoo", "all: ["])
def test_an_inventory_that_is_none(hostmend: Command, text: str) -> None:
    (hostmend.cwd / "bad").write_text(text)
    done = hostmend("audit", "-i", "bad")
    assert done.code == 1
    assert len(done.lines) == 1
    assert "Ansible could not begin" in done.lines[0]


def test_a_vault_that_cannot_be_opened(hostmend: Command, fleet: Fleet) -> None:
    (hostmend.cwd / "secret.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    done = hostmend("audit", "-i", fleet.inventory(), "-e", "@secret.yml")
    assert done.code == 1
    assert len(done.lines) == 1


@pytest.mark.parametrize(
    ("variables", "status", "said"),
    [
        ({"ansible_host": "127.0.0.1", "ansible_port": 1}, "unreachable", "the connection was refused"),
        ({"ansible_host": "nosuch.invalid"}, "unreachable", "its name cannot be resolved"),
        ({"ansible_user": "nobodyhere"}, "unreachable", "SSH login refused"),
        (
            {"ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null"},
            "unreachable",
            "its SSH host key is not known",
        ),
        ({"ansible_python_interpreter": "/usr/bin/python9"}, "failed", "no Python on the host"),
        ({"ansible_user": "wants", "ansible_become": True}, "failed", "sudo wants a password: run again with -K"),
        ({"hostmend_class_timeout": "soon"}, "failed", "hostmend_class_timeout must be of type int"),
        ({"hostmend_classes": ["servics"]}, "failed", "no such class: servics (did you mean services?)"),
        ({"hostmend_timeout": "{{ nothing.here }}"}, "failed", "hostmend_timeout cannot be evaluated"),
    ],
)
def test_a_host_that_cannot_be_audited_says_why(
    hostmend: Command, fleet: Fleet, variables: dict[str, Any], status: str, said: str
) -> None:
    inventory = fleet.inventory("bad", {"plain": variables})
    done = hostmend(
        "audit",
        "-i",
        inventory,
        "--format",
        "json",
        "--class",
        "services" if "hostmend_classes" not in variables else "all",
    )
    if "hostmend_classes" in variables:  # --class on the command line is stronger than the inventory
        done = hostmend("audit", "-i", inventory, "--format", "json")
    assert done.code == 1
    host = done.json()["hosts"]["plain"]
    assert (host["status"], host["score"], host["findings"]) == (status, None, [])
    assert said in host["reason"]
    assert "\n" not in host["reason"]
    assert said in done.err


def test_a_wrong_key_is_told(hostmend: Command, fleet: Fleet) -> None:
    os.system(f"ssh-keygen -q -t ed25519 -N '' -f {hostmend.folder}/other")
    done = hostmend(
        "audit",
        "-i",
        fleet.inventory(
            "key",
            {
                "plain": {
                    "ansible_ssh_private_key_file": str(hostmend.folder / "other"),
                    "ansible_ssh_args": "-o ControlMaster=no -o ControlPath=none",
                }
            },
        ),
    )
    assert done.code == 1
    assert "SSH login refused" in done.out


def test_a_host_that_is_down_does_not_hide_the_others(hostmend: Command, fleet: Fleet) -> None:
    inventory = fleet.inventory("down", {"plain": {}, "down": {"ansible_host": "127.0.0.1", "ansible_port": 1}})
    done = hostmend("audit", "-i", inventory, "-b", "--format", "json")
    assert done.code == 1
    hosts = done.json()["hosts"]
    assert (hosts["plain"]["status"], hosts["down"]["status"]) == ("ok", "unreachable")
    assert hosts["plain"]["findings"]
    ignored = hostmend("audit", "-i", inventory, "-b", "--ignore-unreachable", "--fail-on", "never")
    assert ignored.code == 0


def on_terminal(hostmend: Command, *arguments: str) -> pexpect.spawn:
    argv = hostmend.argv(*arguments)
    return pexpect.spawn(
        argv[0],
        argv[1:],
        cwd=str(hostmend.cwd),
        env={**hostmend.environ, "TERM": "xterm"},
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 160),
    )


@pytest.mark.parametrize(("password", "code"), [(GOOD_PASSWORD, 0), ("wrong-Horse-7", 1)], ids=["right", "wrong"])
def test_the_password_of_sudo_is_asked_for_and_seen_nowhere(
    hostmend: Command, fleet: Fleet, password: str, code: int
) -> None:
    inventory = fleet.inventory("pw", {"plain": {"ansible_user": "wants"}})
    child = on_terminal(hostmend, "audit", "-i", inventory, "-b", "-K", "--class", "services", "--fail-on", "never")
    child.expect("Password of sudo: ")
    child.sendline(password)
    seen, said = [], ""
    while True:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.append(path.read_bytes() + path.with_name("environ").read_bytes())
            except OSError:
                continue
        try:
            said += child.read_nonblocking(100_000, timeout=0.3)
        except pexpect.TIMEOUT:
            continue
        except pexpect.EOF:
            break
    child.close()
    assert child.exitstatus == code
    assert password not in said
    assert not any(password.encode() in one for one in seen)
    for path in (path for path in hostmend.folder.rglob("*") if path.is_file()):
        assert password.encode() not in path.read_bytes()
    if code:
        assert "the become password is wrong" in said


@pytest.fixture
def slow(fleet: Fleet) -> Iterator[str]:
    """A host whose Python takes its time."""
    fleet["plain"].sh(
        """printf '#!/bin/sh\\nsleep 60\\nexec /usr/bin/python3 "$@"\\n' > /usr/local/bin/slow
        chmod 755 /usr/local/bin/slow"""
    )
    yield fleet.inventory("slow", {"plain": {"ansible_python_interpreter": "/usr/local/bin/slow"}})
    fleet["plain"].sh("pkill -x sleep; pkill -f /usr/local/bin/slow; true", check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_ends_its_children_and_is_kept(hostmend: Command, slow: str, number: int) -> None:
    child = hostmend.start("audit", "-i", slow)
    below = working(child.pid)
    child.send_signal(number)
    # Sooner than the host's Python would have ended of itself.
    err = finished(child, 45).err
    assert child.returncode == 130
    assert "stopped" in err
    assert "Traceback" not in err
    time.sleep(0.5)
    left = [pid for pid in below if alive(pid) and b"ControlPersist" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert left == []
    (row,) = json.loads(hostmend("runs", "--format", "json").out)
    assert row["status"] == "stopped"
    assert not [path for path in hostmend.tmp.iterdir() if path.name.startswith("hostmend-")]


def test_a_run_that_is_killed_stays_visible(hostmend: Command, slow: str) -> None:
    child = hostmend.start("audit", "-i", slow)
    below = working(child.pid)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pid in below:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    child.communicate()
    (row,) = json.loads(hostmend("runs", "--format", "json").out)
    assert row["status"] == "broken off"


def working(pid: int) -> list[int]:
    """Return what a run has below it, once its module is at work on the host."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        below = descendants(pid)[1:]
        with contextlib.suppress(OSError):
            if any(b"/usr/local/bin/slow" in Path(f"/proc/{one}/cmdline").read_bytes() for one in below):
                return below
        time.sleep(0.2)
    raise AssertionError("it never began")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_corrupt_store_loses_nothing(hostmend: Command, local: str) -> None:
    store = Path(hostmend.environ["HOSTMEND_STORE"])
    store.parent.mkdir()
    store.write_text("no database, and never was one. " * 99)
    done = hostmend("audit", "-i", local, "--class", "services", "--fail-on", "never", "--format", "json")
    assert done.code == 0
    assert len(done.lines) == 1
    assert "is corrupt" in done.lines[0]
    saved = done.lines[0].rsplit(" ", 1)[1]
    assert json.loads(Path(saved).read_text()) == done.json()
    assert hostmend("report", saved).code == 0


def test_a_locked_store_loses_nothing(hostmend: Command, local: str, tmp_path: Path) -> None:
    assert hostmend("audit", "-i", local, "--class", "services", "--fail-on", "never").code == 0
    with sqlite3.connect(hostmend.environ["HOSTMEND_STORE"], isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        done = hostmend(
            "audit", "-i", local, "--class", "services", "--fail-on", "never", "--output", str(tmp_path / "out")
        )
    assert done.code == 0
    assert len(done.lines) == 1
    assert "is locked" in done.lines[0]
    assert json.loads((tmp_path / "out/report.json").read_text())["hosts"]["here"]["status"] == "ok"


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_python_that_is_too_old_is_told(hostmend: Command, version: str) -> None:
    places = sorted(Path("/root/.pyenv/versions").glob(f"{version}*/bin/python")) if os.geteuid() == 0 else []
    if not places:
        pytest.skip(f"there is no Python {version} here")
    (hostmend.cwd / "old").write_text(f"old ansible_connection=local ansible_python_interpreter={places[0]}\n")
    done = hostmend("audit", "-i", "old", "--format", "json")
    assert done.code == 1
    assert "Python on the host is too old for this Ansible" in done.json()["hosts"]["old"]["reason"]


def test_it_works_from_anywhere_and_leaves_nothing_behind(hostmend: Command, local: str) -> None:
    assert hostmend("audit", "-i", local, "--class", "services", "--fail-on", "never").code == 0
    assert list(hostmend.cwd.iterdir()) == []
    assert list(hostmend.tmp.iterdir()) == []


def test_a_policy_may_be_a_template_or_come_from_a_vault(hostmend: Command, local: str) -> None:
    pytest.importorskip("ansible.parsing.vault")
    from ansible.parsing.vault import VaultLib, VaultSecret

    secret = VaultLib([("default", VaultSecret(b"opensesame"))]).encrypt("9").decode()
    (hostmend.cwd / "pw").write_text("opensesame\n")
    (hostmend.cwd / "vars.yml").write_text(
        "base: 4\nhostmend_class_timeout: '{{ base * 2 }}'\nhostmend_timeout: !vault |\n  "
        + secret.replace("\n", "\n  ")
        + "\n"
    )
    done = hostmend(
        "audit",
        "-i",
        local,
        "--class",
        "services",
        "-e",
        "@vars.yml",
        "--vault-password-file",
        "pw",
        "--fail-on",
        "never",
    )
    assert done.code == 0, done.err
