"""The command line: what a person types, and what comes of it. Ansible itself is played by a script of events."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from hostmend import ansible_run
from hostmend.cli import COMMANDS, main
from hostmend.cli.options import gather  # noqa: F401 - imported early, so that a broken import is one failure
from hostmend.core import plan
from tests.support.cli_runs import Ansible, detected, finding

EVIL = "web\x1b[2J\n[bold red]{{ 7654321*7 }}<script>"


def test_an_audit_that_finds_something_exits_with_2(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    ansible.scripts = [[detected(finding())]]
    assert main(["audit"]) == 2
    said = capsys.readouterr()
    assert "redis.no_auth" in said.out
    assert "web1: 1 open" in said.err
    assert ansible.requests[0].playbook == "audit.yml"


def test_an_audit_that_finds_nothing_exits_with_0(ansible: Ansible) -> None:
    ansible.scripts = [[detected(finding("passed"))]]
    assert main(["audit"]) == 0


def test_json_goes_to_stdout_and_nothing_else_does(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    ansible.scripts = [[detected(finding())]]
    main(["audit", "--format", "json"])
    assert json.loads(capsys.readouterr().out)["hosts"]["web1"]["findings"][0]["check"] == "redis.no_auth"


def test_the_report_is_written_for_its_owner(ansible: Ansible, tmp_path: Path) -> None:
    ansible.scripts = [[detected(finding())]]
    main(["audit", "--output", "new/reports"])
    written = tmp_path / "new/reports"
    assert sorted(one.name for one in written.iterdir()) == ["report.html", "report.json"]
    assert stat.S_IMODE((written / "report.json").stat().st_mode) == 0o600
    assert json.loads((written / "report.json").read_text())["schema"] == 1


def test_more_forms_of_the_report_are_written_beside_it(ansible: Ansible, tmp_path: Path) -> None:
    from junitparser import JUnitXml

    ansible.scripts = [[detected(finding())]]
    assert main(["audit", "--output", "out", "--write", "junit,sarif", "--write", "csv", "--fail-on", "high"]) == 2
    names = sorted(one.name for one in (tmp_path / "out").iterdir())
    assert names == ["report.csv", "report.html", "report.json", "report.junit.xml", "report.sarif"]
    assert JUnitXml.fromfile(str(tmp_path / "out/report.junit.xml")).failures == 1
    [run] = json.loads((tmp_path / "out/report.sarif").read_text())["runs"]
    assert [one["ruleId"] for one in run["results"]] == ["redis.no_auth"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--write", "junit"], "--write needs --output"),
        (["--write", "junlt", "--output", "o"], "no such format: junlt (did you mean junit?)"),
    ],
)
def test_forms_that_cannot_be_written(
    ansible: Ansible, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["audit", *arguments]) == 1
    assert said in capsys.readouterr().err and ansible.requests == []


@pytest.mark.parametrize(
    ("fail_on", "severity", "code"),
    [
        ("high", "high", 2), ("high", "medium", 0), ("high", "low", 0),
        ("medium", "high", 2), ("medium", "medium", 2), ("medium", "low", 0),
        ("low", "low", 2), ("never", "high", 0),
    ],
)  # fmt: skip
def test_what_a_pipeline_stops_at(ansible: Ansible, fail_on: str, severity: str, code: int) -> None:
    ansible.scripts = [[detected(finding(severity=severity))]]
    assert main(["audit", "--fail-on", fail_on]) == code


def test_what_a_pipeline_stops_at_of_alerts_and_of_what_is_not_open(ansible: Ansible) -> None:
    alert = {"kind": "alert", "level": "suspicious"}
    for status, fail_on, code in (("open", "medium", 2), ("open", "high", 0), ("waived", "low", 0), ("unknown", "low", 0)):
        ansible.scripts = [[detected(finding(status, check="x.y", **alert))]]
        assert main(["audit", "--fail-on", fail_on]) == code


class Channel:
    """Takes the messages for a service."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.answer = ""

    def __call__(self, message: Any, seconds: float = 0) -> str:
        self.messages.append(message)
        return self.answer


@pytest.fixture
def channel(ansible: Ansible, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Channel:
    from hostmend.notify import dispatch

    made = Channel()
    monkeypatch.setattr(dispatch.Dispatcher.__init__, "__defaults__", ("en", (), (), made, None, dispatch.pending.now))
    path = tmp_path / "notify.yml"
    path.write_text("channels: {ops: {url: json://h/t0ken}}\n")
    path.chmod(0o600)
    return made


def test_channels_hear_of_a_run_and_the_report_says_so(
    ansible: Ansible, channel: Channel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import jsonschema

    ansible.scripts = [[detected(finding())], [detected(finding())]]
    assert main(["audit", "--notify", "notify.yml", "--output", "out"]) == 2
    [message] = channel.messages
    assert message["url"] == "json://h/t0ken" and "redis.no_auth" in message["body"]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["run"]["notifications"] == [{"channel": "ops", "status": "sent"}]
    schema = Path(ansible_run.__file__).parent / "report/schema/report.schema.json"
    jsonschema.validate(report, json.loads(schema.read_text()))
    capsys.readouterr()
    assert main(["report", "--query", "run.notifications[0].status"]) == 0
    assert capsys.readouterr().out == '"sent"\n'
    assert main(["audit", "--notify", "notify.yml"]) == 2  # nothing new
    assert len(channel.messages) == 1


def test_a_failing_channel_fails_no_run(
    ansible: Ansible, channel: Channel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    channel.answer = "the connection was refused"
    ansible.scripts = [[detected(finding())]]
    assert main(["audit", "--notify", "notify.yml", "--output", "out", "--fail-on", "never"]) == 0
    said = capsys.readouterr()
    assert "hostmend: notification ops: the connection was refused\n" in said.err
    text = (tmp_path / "out/report.json").read_text()
    assert json.loads(text)["run"]["notifications"][0]["status"] == "failed"
    assert "t0ken" not in said.err + said.out + text + (tmp_path / "out/report.html").read_text()


def test_no_channel_hears_of_what_would_be_done_or_where_none_is_to(ansible: Ansible, channel: Channel) -> None:
    ansible.scripts = [[detected(finding())], [detected(finding())]]
    main(["remediate", "--check", "--notify", "notify.yml"])
    main(["audit", "--no-notify", "--notify", "notify.yml"])
    assert channel.messages == []


def test_notifications_that_cannot_be_read_stop_it_before_anything_runs(
    ansible: Ansible, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "notify.yml").write_text("channels:\n  ops: {ulr: x}\n")
    assert main(["audit", "--notify", "notify.yml"]) == 1
    assert main(["audit", "--notify", "none.yml"]) == 1
    assert ansible.requests == []
    assert "notify.yml, line 2: channel ops: no such setting: ulr (did you mean url?)" in capsys.readouterr().err


def test_a_url_that_everybody_can_read_is_told(channel: Channel, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "ops.url").write_text("json://hooks.example.org/t0ken")
    (tmp_path / "files.yml").write_text("channels:\n  ops: {url_file: ops.url}\n  gone: {url_file: none.url}\n")
    for mode, told in ((0o644, True), (0o640, False)):
        (tmp_path / "ops.url").chmod(mode)
        assert main(["notify", "channels", "--notify", "files.yml"]) == 0
        said = capsys.readouterr().err
        assert ("ops.url, the URL of the channel ops: chmod 640 it" in said) is told
        assert "t0ken" not in said and "none.url, the URL" not in said


def test_no_notifications_stand_in_the_way_of_a_rollback(
    ansible: Ansible, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.yml").write_text("channels: [\n")
    monkeypatch.setenv("HOSTMEND_NOTIFY", "broken.yml")
    main(["rollback", "latest", "--yes"])
    assert [one.playbook for one in ansible.requests] == ["rollback.yml"]


def test_the_notify_commands(
    ansible: Ansible, channel: Channel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTMEND_NOTIFY", "notify.yml")
    ansible.scripts = [[detected(finding())]]
    main(["audit", "--no-notify"])
    capsys.readouterr()
    assert main(["notify", "test", "ops"]) == 0
    assert main(["notify", "send"]) == 0
    assert main(["notify", "flush"]) == 0
    assert main(["notify", "channels"]) == 0
    said = capsys.readouterr().out
    assert said.count("ops: sent\n") == 2 and "ops (url): at least medium" in said and "t0ken" not in said
    assert [one["title"] for one in channel.messages] == ["hostmend: test", "hostmend: 1 found on 1 host(s)"]
    channel.answer = "the service answered 403"
    assert main(["notify", "test"]) == 1
    assert "hostmend: ops: the service answered 403" in capsys.readouterr().err
    monkeypatch.delenv("HOSTMEND_NOTIFY")
    assert main(["notify", "test"]) == 1
    assert "there is no notifications file" in capsys.readouterr().err


def test_runs_are_forgotten(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    for _run in range(3):
        ansible.scripts = [[detected(finding())]]
        main(["audit"])
    assert main(["runs", "prune", "--keep", "1", "--check"]) == 0
    assert len(capsys.readouterr().out.splitlines()[-2:]) == 2
    assert main(["runs", "prune", "--keep", "90d"]) == 0
    assert main(["runs", "prune", "--keep", "1"]) == 0
    assert "forgot 2 runs" in capsys.readouterr().err
    main(["runs", "--format", "json"])
    [row] = json.loads(capsys.readouterr().out)
    assert main(["runs", "prune", row["id"]]) == 0
    assert main(["runs", "prune", "nosuch"]) == 1
    assert main(["runs", "prune"]) == 1
    said = capsys.readouterr().err
    assert "no such run: nosuch" in said and "say what to keep" in said
    # Since when a finding is open stays known.
    ansible.scripts = [[detected(finding())]]
    main(["audit", "--format", "json"])
    [one] = json.loads(capsys.readouterr().out)["hosts"]["web1"]["findings"]
    assert one["since"] <= row["finished"]


def test_severity_narrows_what_is_shown_but_not_the_judgement(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    ansible.scripts = [[detected(finding(check="services.unneeded", severity="low", resource="avahi"))]]
    assert main(["audit", "--severity", "high"]) == 2
    assert "avahi" not in capsys.readouterr().out
    ansible.scripts = [[detected(finding(check="x.y", severity="low"))]]
    assert main(["audit", "--fail-on", "medium"]) == 0


def test_a_run_is_kept_and_rendered_again(ansible: Ansible, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ansible.scripts = [[detected(finding())]]
    main(["audit"])
    capsys.readouterr()
    assert main(["runs", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["status"] == "finished"
    assert main(["report", row["id"][:12], "--query", "hosts.*.findings[] | [?status=='open'].check"]) == 0
    assert json.loads(capsys.readouterr().out) == ["redis.no_auth"]
    assert main(["report", "--format", "html", "-o", "r.html"]) == 0
    assert "redis.no_auth" in (tmp_path / "r.html").read_text()
    assert main(["report"]) == 0
    assert "redis.no_auth" in capsys.readouterr().out
    assert main(["report", "--format", "json", "-o", "r.json"]) == 0
    assert main(["report", "./r.json"]) == 0


def test_the_options_of_ansible_are_handed_on(ansible: Ansible) -> None:
    Path("inv").write_text("")
    Path("pw").write_text("")
    ansible.scripts = [[detected()]]
    main(
        [
            "audit",
            "-i",
            "inv",
            "-i",
            "a,b",
            "--limit",
            "web",
            "-f",
            "9",
            "-u",
            "me",
            "-b",
            "--become-user",
            "x",
            "-e",
            "a=1",
            "-e",
            '{"b": 2}',
            "--private-key",
            "k",
            "-c",
            "ssh",
            "--vault-password-file",
            "pw",
            "--ssh-common-args=-o X=y",
            "--class",
            "services",
            "-T",
            "5",
        ]
    )
    (request,) = ansible.requests
    assert request.inventory == ("inv", "a,b")
    assert request.limit == "web"
    assert set(request.options) == {
        "--forks=9",
        "--user=me",
        "--become",
        "--become-user=x",
        "--extra-vars=a=1",
        '--extra-vars={"b": 2}',
        "--private-key=k",
        "--connection=ssh",
        "--vault-password-file=pw",
        "--ssh-common-args=-o X=y",
        "--timeout=5",
    }
    assert request.variables["hostmend_classes"] == ["services"]


def test_passwords_are_asked_for_and_never_become_arguments(ansible: Ansible, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"secret of {prompt}")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    ansible.scripts = [[detected()]]
    main(["audit", "-k", "-K", "--ask-vault-pass"])
    (request,) = ansible.requests
    assert set(request.passwords) == {"connection", "become", "vault"}
    assert request.options == ["--ask-pass", "--ask-become-pass", "--ask-vault-pass"]
    assert "secret" not in str(request.variables)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audit", "-i", "/no/such"], "no such inventory: /no/such"),
        (["audit", "--class", "servics"], "no such class: servics (did you mean services?)"),
        (["audit", "--output", "/proc/nope/x"], "cannot be written"),
        (["audit", "--vault-password-file", "nope"], "no such file: nope"),
        (["audit", "-e", "@nope.yml"], "no such file: nope.yml"),
        (["audit", "--severity", "grave"], "'grave' is not one of"),
        (["audit", "--frob"], "No such option"),
        (["audit", "extra"], "unexpected extra argument"),
        (["remediate", "--yes", "--only", "services.unneded"], "did you mean services.unneeded?"),
        (["remediate"], "no terminal to ask on"),
        (["explain", "services.uneeded"], "no such check: services.uneeded (did you mean services.unneeded?)"),
        (["explain", "unneeded"], "(did you mean services.unneeded?)"),
        (["checks", "--class", "x"], "no such class: x"),
        (["report"], "there is no run yet"),
        (["report", "2026"], "no such run: 2026"),
        (["report", "--query", "a["], "is not a JMESPath expression"),
        (["report", "--query", "a", "--format", "html"], "does not go with --format html"),
        (["report", "./nope.json"], "cannot be read"),
        (["adit"], "no such command: adit (did you mean audit?)"),
    ],
)
def test_bad_input_is_one_clear_line_and_1(
    ansible: Ansible, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("hostmend: ")
    assert error.count("\n") == 1
    assert ansible.requests == []


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2, "hosts": {}}', '{"schema": 1}'])
def test_a_file_that_is_no_report_is_refused(ansible: Ansible, capsys: pytest.CaptureFixture[str], text: str) -> None:
    Path("x.json").write_text(text)
    assert main(["report", "x.json"]) == 1
    assert "is not" in capsys.readouterr().err


def test_a_query_that_does_not_fit_is_one_line(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    ansible.scripts = [[detected(finding())]]
    main(["audit"])
    capsys.readouterr()
    assert main(["report", "--query", "abs(hosts)"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_no_host_is_one_line(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "-i", "a,", "--limit", "nope"]) == 1
    assert "no host of a, is meant by --limit nope" in capsys.readouterr().err
    ansible.errors = ["Completely failed to parse inventory source x"]
    assert main(["audit", "-i", "a,"]) == 1
    assert "Completely failed to parse inventory source x" in capsys.readouterr().err


def test_an_unreachable_host_is_1_unless_it_is_ignored(ansible: Ansible) -> None:
    lost = {
        "event": "runner_on_unreachable",
        "event_data": {"host": "web2", "task_action": "security_facts", "res": {"msg": "Connection timed out"}},
    }
    ansible.scripts = [[detected(finding()), lost], [detected(finding()), lost]]
    assert main(["audit"]) == 1
    assert main(["audit", "--ignore-unreachable"]) == 2


def test_a_corrupt_store_loses_nothing(ansible: Ansible, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/hostmend.db").write_text("garbage, and more of it" * 100)
    ansible.scripts = [[detected(finding())], [detected(finding())]]
    assert main(["audit"]) == 2
    said = capsys.readouterr()
    assert "redis.no_auth" in said.out
    assert "is corrupt" in said.err
    (rescued,) = (tmp_path / "state/hostmend/unsaved").iterdir()
    assert main(["report", str(rescued)]) == 0
    assert main(["audit", "--output", "out"]) == 2
    assert (tmp_path / "out/report.json").is_file()
    assert main(["runs"]) == 1


def test_a_run_that_is_stopped_is_kept_and_exits_with_130(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    start = {
        "event": "runner_on_start",
        "event_data": {"host": "web2", "task_action": "hostmend.hardening.security_facts"},
    }
    ansible.scripts = [[detected(finding()), start, lambda stop: stop.ask()]]
    assert main(["audit"]) == 130
    assert "redis.no_auth" in capsys.readouterr().out
    main(["runs", "--format", "json"])
    assert json.loads(capsys.readouterr().out)[0]["status"] == "stopped"
    main(["report", "--query", "hosts.web2.status"])
    assert json.loads(capsys.readouterr().out) == "failed"


def test_yes_mends_in_one_run_and_says_what_came_of_it(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    mending = {"event": "runner_on_start", "event_data": {"host": "web1", "task_action": "copy", "role": "redis"}}
    changed = {
        "event": "runner_on_ok",
        "event_data": {
            "host": "web1",
            "task_action": "copy",
            "role": "redis",
            "res": {"changed": True, "invocation": {"module_args": {"dest": "/etc/a"}}},
        },
    }
    ansible.scripts = [
        [detected(finding(affects=["10.0.0.9:50000"])), mending, changed, detected(finding("passed"), phase="after")]
    ]
    assert (
        main(
            ["remediate", "--yes", "--only", "services", "--skip", "services.legacy_plaintext", "--max-risk", "restart"]
        )
        == 0
    )
    said = capsys.readouterr()
    assert "10.0.0.9:50000" in said.err
    assert "restart" in said.err
    assert "1 mended" in said.out
    assert "/etc/a" in said.out
    (request,) = ansible.requests
    assert request.playbook == "remediate.yml"
    assert request.variables["hostmend_only"] == ["services"]
    assert request.variables["hostmend_skip"] == ["services.legacy_plaintext"]
    assert request.variables["hostmend_max_risk"] == "restart"


def test_check_changes_nothing_and_says_what_would_be(ansible: Ansible, capsys: pytest.CaptureFixture[str]) -> None:
    ansible.scripts = [[detected(finding())]]
    assert main(["remediate", "--check"]) == 2
    assert ansible.requests[0].check
    assert ansible.requests[0].diff
    main(["report", "--query", "run.mode"])
    assert '"check"' in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "runs"), [("y\n", 2), ("n\n", 1)])
def test_a_person_is_asked_between_the_audit_and_the_mending(
    ansible: Ansible, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, runs: int
) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _prompt="": answer.strip())
    manual = finding(check="ports.undeclared", resource="tcp/9", fix={"risk": "manual"})
    ansible.scripts = [
        [detected(finding(), manual)],
        [detected(finding(), manual), detected(finding("passed"), manual, phase="after")],
    ]
    assert main(["remediate"]) == 2  # what a person has to do is still open
    assert [request.playbook for request in ansible.requests] == ["audit.yml", "remediate.yml"][:runs]
    if runs == 2:
        assert ansible.requests[1].variables["hostmend_selected"] == {"web1": [plan.token("redis.no_auth redis :6379")]}
    else:
        assert "Nothing was changed" in capsys.readouterr().err


def test_texts_of_a_hostile_host_do_nothing_on_the_terminal(
    ansible: Ansible, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = finding(resource=EVIL, affects=[EVIL], title=EVIL, reason=EVIL, check="nope.x" + EVIL)
    lost = {
        "event": "runner_on_unreachable",
        "event_data": {"host": EVIL, "task_action": "security_facts", "res": {"msg": EVIL}},
    }
    mending = {
        "event": "runner_on_start",
        "event_data": {"host": "web1", "task_action": "copy", "role": "redis" + EVIL},
    }
    ansible.scripts = [[detected(evil, host="web1"), lost, mending, detected(evil, phase="after")]]
    main(["remediate", "--yes"])
    main(["report"])
    main(["runs"])
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert "\x1b" not in text
        assert "[bold red]" in text
        assert "53580247" not in text


def test_the_catalogue_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checks"]) == 0
    assert "services.unneeded" in capsys.readouterr().out
    assert main(["checks", "--format", "json", "--class", "services"]) == 0
    assert {one["class"] for one in json.loads(capsys.readouterr().out)} == {"services"}
    assert main(["explain", "services.unneeded"]) == 0
    assert "Why it matters" in capsys.readouterr().out
    assert main(["explain", "services"]) == 0
    assert "hostmend_services_" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*([command] if command else []), "--help"]) == 0
    assert "Usage: hostmend" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hostmend 0.")


def test_nothing_heavy_is_loaded_for_a_light_command() -> None:
    import subprocess
    import sys

    script = (
        "import sys; from hostmend.cli import main; main(['checks']); "
        "heavy = ('apprise', 'cronsim', 'requests', 'sqlalchemy', 'alembic', 'ansible', 'ansible_runner', 'jmespath', 'jinja2'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
