"""What a newcomer meets: help, versions, the next command, and a list of runs that says what became of each."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hostmend.cli import main
from hostmend.cli.differences import Differences
from hostmend.store import Store
from tests.support.cli_runs import Ansible, detected, finding


def out(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(list(words)) == code
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["image"], ["advisories"], ["agent"], ["schedule"], ["notify"]])
def test_a_command_without_arguments_prints_its_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    shown = out(capsys, *words)
    assert shown.startswith(f"Usage: {' '.join(['hostmend', *words])} ") and "Commands:" in shown


def test_the_version_names_all_that_takes_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split()[0] for line in out(capsys, "--version").splitlines()] == [
        "hostmend", "ansible-core", "python", "catalogue", "advisories"]  # fmt: skip


def test_help_is_in_sections(capsys: pytest.CaptureFixture[str]) -> None:
    shown = out(capsys, "remediate", "--help")
    places = [shown.index(f"\n{name}:\n") for name in ("Hosts", "Mending", "Output", "Connection", "Variables", "Options")]
    assert places == sorted(places) and places[1] < shown.index("--max-risk") < places[2]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = out(capsys, "completion", shell)
    assert "_HOSTMEND_COMPLETE" in shown
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=shown, text=True, check=True)


def test_the_manual_page_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    shown = out(capsys, "man")
    assert shown.startswith(".TH HOSTMEND 1") and '.SS "hostmend schedule install' in shown and "\\-\\-max\\-risk" in shown


@pytest.mark.parametrize(("option", "instead"), [("--tags", "--only"), ("--skip-tags", "--skip")])
def test_tags_are_refused_with_the_option_to_use(
    ansible: Ansible, option: str, instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["remediate", option, "redis", "--yes"]) == 1
    assert instead in capsys.readouterr().err and ansible.requests == []


def test_hosts_are_listed_and_nothing_is_run(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    ansible.scripts = [[{"event": "verbose", "stdout": "\nplaybook: audit.yml\n\n  play #1 (all): Audit\tTAGS: []\n"
                         "    pattern: ['all']\n    hosts (2):\n      web1\n      db1"}]]
    assert out(capsys, "audit", "-i", "web1,db1,", "--list-hosts").split() == ["web1", "db1"]
    assert "--list-hosts" in ansible.requests[0].options and Store().runs() == []


def test_an_audit_ends_with_the_next_command(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    ansible.scripts = [[detected(finding())]]
    shown = out(capsys, "audit", "-i", "web1,", "-b", code=2)
    assert shown.splitlines()[-1] == "See what mending would change: hostmend remediate -i web1, -b --check"


def test_a_remediation_ends_with_its_run_and_the_way_back(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    change = {"event": "runner_on_ok", "event_data": {
        "host": "web1", "task": "Change", "task_action": "ansible.builtin.copy", "role": "redis",
        "res": {"changed": True, "dest": "/etc/redis/redis.conf", "diff": {"before": "a\n", "after": "b\n"}}}}
    ansible.scripts = [[detected(finding()), change, detected(finding("passed"), phase="after")]]
    shown = out(capsys, "remediate", "-i", "web1,", "--yes", "--diff")
    run = Store().runs()[0]["id"]
    assert shown.splitlines()[-1] == f"Run {run}. Take it back: hostmend rollback {run} -i web1,"
    assert "-a\n+b\n" in shown and ansible.requests[0].diff


def test_what_only_looks_is_no_run(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing: dict[str, Any] = {"event": "runner_on_ok", "event_data": {
        "host": "web1", "task_action": "hostmend.hardening.rollback", "res": {"taken": [], "runs": []}}}
    for words in ([], ["latest", "--check"]):
        ansible.scripts = [[nothing]]
        main(["rollback", *words, "-i", "web1,"])
    assert Store().runs() == []
    ansible.scripts = [[nothing]]
    assert main(["rollback", "latest", "-i", "web1,", "--yes"]) == 1
    assert [row["status"] for row in Store().runs()] == ["failed"]
    capsys.readouterr()


def test_a_failed_run_is_not_listed_as_finished(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {"event": "runner_on_unreachable", "event_data": {"host": "web1", "res": {"msg": "no route to host"}}}
    ansible.scripts = [[gone], [detected(finding())]]
    assert main(["audit", "-i", "web1,"]) == 1
    assert main(["audit", "-i", "web1,"]) == 2
    assert sorted(row["status"] for row in Store().runs()) == ["failed", "finished"]
    capsys.readouterr()


def test_a_report_is_filtered_and_translated(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    ansible.scripts = [[detected(finding(), finding("passed", "ports.exposed", "tcp *:25")),
                        detected(finding(severity="low"), host="db1")]]
    main(["audit", "-i", "web1,db1,"])
    capsys.readouterr()

    def left(*words: str) -> list[tuple[str, str]]:
        found = json.loads(out(capsys, "report", "--format", "json", *words))
        return [(name, one["check"]) for name, host in found["hosts"].items() for one in host["findings"]]

    assert left("--class", "ports") == [("web1", "ports.exposed")]
    assert left("--host", "db*") == [("db1", "redis.no_auth")]
    assert left("--status", "open", "--host", "web1") == [("web1", "redis.no_auth")]
    title = json.loads(out(capsys, "report", "--format", "json", "--language", "zh_TW"))["hosts"]["web1"]["findings"][0]["title"]
    assert not title.isascii()
    assert main(["report", "--host", "nobody"]) == 1


def test_a_difference_is_shown_once_for_all_hosts_that_share_it(tmp_path: Path) -> None:
    from rich.console import Console

    made = Differences()
    for host in ("web1", "web2"):
        made.take({"event": "runner_on_ok", "event_data": {"host": host, "res": {"diff": [
            {"before": "a\n", "after": "b\n", "before_header": "/etc/x", "after_header": "/etc/x"}]}}})
    with (tmp_path / "shown").open("w") as stream:
        made.show(Console(file=stream, width=100))
    assert (tmp_path / "shown").read_text().splitlines() == [
        "web1, web2", "--- /etc/x", "+++ /etc/x", "@@ -1 +1 @@", "-a", "+b", ""]  # fmt: skip
