"""Schedules: their calendar, the files that start them, and what comes of a run. Timers that fire are an integration test."""

from __future__ import annotations

import configparser
import dataclasses
import datetime
import errno
import fcntl
import json
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hostmend.cli import main
from hostmend.cli import schedule as cli
from hostmend.core.errors import HostmendError
from hostmend.retention import Keep
from hostmend.schedule import account, calendar, files, listing, manage, model, runner

ME = pwd.getpwuid(os.getuid()).pw_name
AUDIT = model.Schedule("nightly", "daily", model.SYSTEMD, user=ME, python="/opt/hostmend/bin/python", jitter=0, wait=0)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> model.Places:
    """A root of this test's own, in which this user is the one that schedules run as."""
    made = model.Places(tmp_path / "root")
    for path in (made.units, made.cron, made.locks, made.systemd_runs, made.settings):
        path.mkdir(parents=True)
    monkeypatch.setattr(cli, "places", lambda: made)
    monkeypatch.setattr(os, "chown", lambda *_given: None)
    monkeypatch.setenv("HOSTMEND_STORE", str(tmp_path / "store.db"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return made


class Systemd:
    """Takes the commands for systemctl."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.answers: dict[str, tuple[int, str]] = {}

    def __call__(self, argv: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(list(argv))
        code, out = self.answers.get(argv[1], (0, ""))
        return subprocess.CompletedProcess(list(argv), code, out, "it said no" if code else "")


# The calendar


@pytest.mark.parametrize(
    ("given", "cron"),
    [
        ("daily", "0 0 * * *"),
        ("weekly", "0 0 * * 1"),
        ("02:30", "30 2 * * *"),
        ("*-*-* 02:30:00", "30 2 * * *"),
        ("Sun 03:00", "0 3 * * 7"),
        ("Mon..Fri 23:05", "5 23 * * 1,2,3,4,5"),
        ("Sat,Sun 00:15", "15 0 * * 6,7"),
        ("*-*-1 04:00", "0 4 1 * *"),
        ("*:15", "15 * * * *"),
        ("*/20 3-5 * * mon", "*/20 3-5 * * mon"),
    ],
)
def test_what_cron_can_say_of_a_calendar(given: str, cron: str) -> None:
    assert calendar.to_cron(given) == cron


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze tells what systemd means")
@pytest.mark.parametrize("given", ["daily", "weekly", "02:30", "Sun 03:00", "Fri..Sun 00:15", "*-*-1 04:00", "*:15", "monthly"])
def test_cron_means_what_systemd_means(given: str) -> None:
    base = datetime.datetime(2026, 11, 25, 12, 0)
    argv = ["systemd-analyze", "calendar", "--iterations=4", "--base-time", f"{base:%Y-%m-%d %H:%M:%S} UTC", given]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"}).stdout
    found = [line.split(": ", 1)[1].split()[1:3] for line in said.splitlines() if "elapse:" in line or "Iter" in line]
    from cronsim import CronSim

    times = CronSim(calendar.to_cron(given), base)
    assert [" ".join(one)[:16] for one in found] == [f"{next(times):%Y-%m-%d %H:%M}" for _one in range(4)]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "often",
        "*-*-1..7 04:00",
        "Sun *-*-1 03:00",
        "02:30 Europe/Berlin",
        "61 * * * *",
        "* * 31 2 *",
        "Xyz 03:00",
        "Fri..Mon 03:00",
    ],
)
def test_what_cron_cannot_say_is_told(given: str) -> None:
    with pytest.raises(HostmendError, match="--on-calendar"):
        calendar.to_cron(given)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="it asks systemd-analyze")
def test_systemd_is_asked_for_its_own_calendar() -> None:
    calendar.check_systemd("Mon..Fri *-*-* 02:30:00 Europe/Berlin")
    for given, said in (
        ("often", "does not understand 'often'"),
        ("30 2 * * *", "looks like cron's"),
        ("1999-01-01", "never comes again"),
        ("--help", "does not"),
    ):
        with pytest.raises(HostmendError, match=said):
            calendar.check_systemd(given)


@pytest.mark.parametrize(("given", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("0", 0)])
def test_spans(given: str, seconds: int) -> None:
    assert calendar.seconds(given, "--jitter") == seconds


@pytest.mark.parametrize("given", ["", "soon", "-5", "1w", "1.5h", "8d", "9999999h"])
def test_spans_that_are_none(given: str) -> None:
    with pytest.raises(HostmendError, match="--jitter"):
        calendar.seconds(given, "--jitter")


@pytest.mark.parametrize("given", ["", "0", "-1", "90w", "x", "9999999"])
def test_what_cannot_be_kept(given: str) -> None:
    with pytest.raises(HostmendError, match="--keep"):
        Keep.parse(given, "--keep")


# The files


def unit(text: str) -> configparser.ConfigParser:
    made = configparser.ConfigParser(interpolation=None, strict=True)
    made.optionxform = str  # type: ignore[assignment,method-assign]
    made.read_string(text)
    return made


def test_a_unit_is_bounded_logged_and_shut_in(places: model.Places) -> None:
    schedule = dataclasses.replace(AUDIT, local=False, report_to="/srv/my reports", timeout=600, wait=60, user="hostmend")
    service = unit(files.service(schedule, places, "/home/hostmend"))["Service"]
    assert int(service["TimeoutStartSec"]) > 660
    assert (service["User"], service["NoNewPrivileges"], service["ProtectSystem"]) == ("hostmend", "yes", "strict")
    assert shlex.split(service["ReadWritePaths"])[0] == "/home/hostmend"
    assert shlex.split(service["ReadWritePaths"])[-1] == "/srv/my reports"
    assert service["CapabilityBoundingSet"] == ""
    assert shlex.split(service["ExecStart"]) == ["/opt/hostmend/bin/python", "-m", "hostmend", "schedule", "run", "nightly"]


def test_what_works_on_this_machine_is_not_shut_in(places: model.Places) -> None:
    service = unit(files.service(AUDIT, places, "/root"))["Service"]
    assert not [one for one in service if one.startswith(("Protect", "Private", "NoNew", "ReadWrite"))]


def test_a_timer_makes_up_for_what_it_missed(places: model.Places) -> None:
    timer = unit(files.timer(dataclasses.replace(AUDIT, jitter=300)))["Timer"]
    assert (timer["OnCalendar"], timer["Persistent"], timer["RandomizedDelaySec"]) == ("daily", "true", "300")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="it asks systemd-analyze")
@pytest.mark.parametrize("local", [True, False])
def test_systemd_takes_the_units(tmp_path: Path, places: model.Places, local: bool) -> None:
    schedule = dataclasses.replace(
        AUDIT, local=local, python=sys.executable, user="root", notify="/etc/n.yml", report_to="/srv/a b%c"
    )
    for name, text in (
        (schedule.unit("service"), files.service(schedule, places, "/root")),
        (schedule.unit("timer"), files.timer(schedule)),
        ("hostmend-nightly-held.service", files.service(schedule, places, "/root", "flush")),
        ("hostmend-nightly-held.timer", files.timer(schedule, flush=True)),
    ):
        (tmp_path / name).write_text(text)
    argv = ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.glob("hostmend-*"))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert not [line for line in done.stderr.splitlines() if "hostmend-" in line], done.stderr


def test_cron_has_its_user_its_limit_and_its_log(places: model.Places) -> None:
    schedule = dataclasses.replace(
        AUDIT, backend=model.CRON, jitter=300, timeout=600, wait=60, notify="/etc/n.yml", python="/opt/a%b/python"
    )
    [_mark, *_environment, line, held] = files.cron(schedule, "30 2 * * *", logger=True).splitlines()
    assert line.startswith(f"30 2 * * * {ME} timeout --kill-after=60 1140 ")
    assert line.endswith("schedule run nightly 2>&1 | logger -t hostmend-nightly")
    assert "/opt/a\\%b/python" in line
    assert held.startswith(f"*/15 * * * * {ME} timeout 300 ") and "schedule flush nightly" in held


def test_what_a_schedule_calls(places: model.Places) -> None:
    made = dataclasses.replace(
        AUDIT, inventory=("/i",), classes=("redis",), remediate="restart", notify="/n", fail_on="high", options=("-b",)
    )
    assert made.command("/out") == [
        "remediate", "--unattended", "-i", "/i", "--class", "redis", "-e", '{"hostmend_unattended_risk": "restart"}',
        "--fail-on", "high", "--output", "/out", "--notify", "/n", "-b",
    ]  # fmt: skip
    assert dataclasses.replace(AUDIT).command("/out") == ["audit", "--fail-on", "never", "--output", "/out"]


# Installing and removing


@pytest.fixture
def installer(places: model.Places, monkeypatch: pytest.MonkeyPatch) -> manage.Installer:
    made = manage.Installer(places, Systemd())
    monkeypatch.setattr(made, "_look", lambda _schedule: True)
    return made


def tree(path: Path) -> set[str]:
    return {str(one.relative_to(path)) for one in path.rglob("*")}


def test_it_is_installed_changed_left_as_it_is_and_removed_without_a_trace(
    places: model.Places, installer: manage.Installer
) -> None:
    before = tree(places.root)
    assert installer.install(AUDIT, replace=False)
    assert ["systemctl", "enable", "--now", "hostmend-nightly.timer"] in installer.run.calls  # type: ignore[attr-defined]
    assert not installer.install(AUDIT, replace=False)
    later = dataclasses.replace(AUDIT, on_calendar="weekly", notify="/etc/n.yml")
    with pytest.raises(HostmendError, match="there is a schedule nightly already"):
        installer.install(later, replace=False)
    assert installer.install(later, replace=True)
    assert (places.units / "hostmend-nightly-held.timer").is_file()
    assert installer.would_change(AUDIT) and not installer.would_change(later)
    [row] = listing.listed(places, Systemd())
    assert (row["name"], row["on_calendar"], row["result"]) == ("nightly", "weekly", "never ran")
    manage.Remover(places, Systemd()).remove("nightly")
    left = before - tree(places.root)
    assert left == {"etc/hostmend", "etc/hostmend/schedules", "var/lib/hostmend-schedule", "var/lib/hostmend-schedule/locks"}
    assert tree(places.root) <= before


def test_one_of_two_leaves_what_the_other_needs(places: model.Places, installer: manage.Installer) -> None:
    installer.install(AUDIT, replace=False)
    installer.install(dataclasses.replace(AUDIT, name="weekly"), replace=False)
    manage.Remover(places, Systemd()).remove("nightly")
    assert model.names(places) == ["weekly"]
    assert (places.locks / ME).exists() and places.folder("weekly").is_dir() and not places.folder("nightly").exists()


def test_an_installation_that_fails_leaves_nothing(places: model.Places, installer: manage.Installer) -> None:
    before = tree(places.root)
    installer.run.answers["enable"] = (1, "")  # type: ignore[attr-defined]
    with pytest.raises(HostmendError, match=r"systemctl enable --now hostmend-nightly.timer failed: it said no"):
        installer.install(AUDIT, replace=False)
    assert tree(places.root) <= before


def test_a_directory_that_cannot_be_made_is_told_and_leaves_nothing(
    places: model.Places, installer: manage.Installer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    before = tree(places.root)
    with pytest.raises(HostmendError, match="file/reports cannot be made: Not a directory"):
        installer.install(dataclasses.replace(AUDIT, report_to=str(tmp_path / "file/reports")), replace=False)
    assert tree(places.root) <= before


def test_a_run_that_was_killed_is_listed_as_failed(places: model.Places, installer: manage.Installer) -> None:
    installer.install(AUDIT, replace=False)
    places.status("nightly").write_text('{"result": "ok", "runs": [{"finished": "2026-11-25T02:31:00Z", "code": 0}]}')
    systemd = Systemd()
    systemd.answers["show"] = (0, "ActiveState=failed\nResult=signal\n")
    [row] = listing.listed(places, systemd)
    assert row["result"] == "failed" and row["said"].startswith("its unit failed (signal) and kept no result")
    systemd.answers["show"] = (0, "ActiveState=inactive\nResult=success\n")
    [row] = listing.listed(places, systemd)
    assert (row["result"], row["said"]) == ("ok", "")


def test_a_file_of_somebody_else_is_not_touched(places: model.Places, installer: manage.Installer) -> None:
    path = places.units / "hostmend-nightly.service"
    path.write_text("mine")
    with pytest.raises(HostmendError, match="belongs to no schedule"):
        installer.install(AUDIT, replace=True)
    assert path.read_text() == "mine"


def test_a_user_that_was_there_before_stays(
    places: model.Places, installer: manage.Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "remove", lambda name: pytest.fail(f"{name} was removed"))
    installer.install(AUDIT, replace=False)
    manage.Remover(places, Systemd()).remove("nightly")
    with pytest.raises(HostmendError, match="there is no user nobody-at-all"):
        installer.install(dataclasses.replace(AUDIT, user="nobody-at-all"), replace=False)


def test_reports_elsewhere_are_kept_unless_they_are_to_go(
    places: model.Places, installer: manage.Installer, tmp_path: Path
) -> None:
    for purge in (False, True):
        schedule = dataclasses.replace(AUDIT, report_to=str(tmp_path / f"reports-{purge}"))
        installer.install(schedule, replace=False)
        run = Path(schedule.report_to) / "20261125T020000Z"
        run.mkdir()
        (Path(schedule.report_to) / "mine").mkdir()
        said = manage.Remover(places, Systemd()).remove("nightly", purge=purge)
        assert run.exists() is not purge
        assert (Path(schedule.report_to) / "mine").exists() and "kept" in said[0]


def test_a_status_that_is_no_file_is_no_status(places: model.Places) -> None:
    places.folder("nightly").mkdir(parents=True)
    os.mkfifo(places.status("nightly"))
    assert model.status_of(places, "nightly") == {}
    places.status("nightly").unlink()
    places.status("nightly").symlink_to("/etc/hostname")
    assert model.status_of(places, "nightly") == {}


def test_a_schedule_that_is_not_whole_is_told(places: model.Places, capsys: pytest.CaptureFixture[str]) -> None:
    places.config("nightly").write_text("{}")
    assert main(["schedule", "run", "nightly"]) == 1
    assert "is not whole" in capsys.readouterr().err
    assert main(["schedule", "run", "weekly"]) == 1
    assert "there is no schedule weekly" in capsys.readouterr().err


def test_options_that_open_a_vault() -> None:
    given = ("-b", "--vault-password-file", "/a", "--vault-id=x@/b", "--vault-pass-file=/c", "--forks", "3")
    assert model.vaults(given) == [("--vault-password-file", "/a"), ("--vault-id", "x@/b"), ("--vault-pass-file", "/c")]
    assert model.vaults(()) == []


def test_variables_for_all_schedules(places: model.Places) -> None:
    assert model.variables(places) == {}
    places.environment.write_text("# of the site\nHOSTMEND_STORE=postgresql://x\nHOOK='json://h/a=b'\nnot one\nbad-name=1\n")
    assert model.variables(places) == {"HOSTMEND_STORE": "postgresql://x", "HOOK": "json://h/a=b"}


# One run


SCRIPT = """
import json, os, pathlib, sys, time
mode = os.environ["MODE"]
folder = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
print("audited", file=sys.stderr)
if mode == "slow":
    time.sleep(30)
if mode == "leaves":
    import subprocess
    left = subprocess.Popen(["sleep", "300"], start_new_session=True, stderr=subprocess.DEVNULL)
    (folder / "left").write_text(str(left.pid))
if mode == "where":
    (folder / "where").write_text(os.getcwd())
if mode == "fails":
    print("hostmend: no such inventory: x", file=sys.stderr)
    sys.exit(1)
counts = {"open": 3, "unknown": 1}
report = {"run": {"id": "run-" + folder.name}, "score": 70, "summary": {"status": counts}}
(folder / "report.json").write_text(json.dumps(report))
sys.exit(2 if mode == "open" else 0)
"""


@pytest.fixture
def one(places: model.Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> model.Schedule:
    """A schedule whose command is a script that does what MODE says."""
    program = tmp_path / "python"
    (tmp_path / "script.py").write_text(SCRIPT)
    program.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {tmp_path}/script.py "$@"\n')
    program.chmod(0o755)
    made = dataclasses.replace(AUDIT, python=str(program), keep="2", timeout=20, report_to=str(tmp_path / "reports"))
    places.folder("nightly").mkdir(parents=True)
    (places.locks / ME).touch()
    places.config("nightly").write_text(made.as_json())
    monkeypatch.setenv("MODE", "ok")
    return made


def status(places: model.Places) -> Any:
    return model.status_of(places, "nightly")


def test_a_run_leaves_its_report_and_its_result(one: model.Schedule, places: model.Places) -> None:
    assert runner.run("nightly", places) == 0
    made = status(places)
    assert (made["result"], made["runs"][0]["open"], made["runs"][0]["said"]) == ("ok", 3, ["audited"])
    folder = Path(made["runs"][0]["directory"])
    assert (Path(one.report_to) / "latest").resolve() == folder and (folder / "report.json").is_file()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and stat.S_IMODE(places.status("nightly").stat().st_mode) == 0o644


def test_a_run_that_was_killed_is_told_by_the_next(one: model.Schedule, places: model.Places) -> None:
    started = {"started": "2026-11-25T02:30:00Z", "pid": 4194305}  # above the highest number of a process
    places.status("nightly").write_text(json.dumps({"result": "ok", "runs": [{"code": 0, "said": []}], "running": started}))
    [row] = listing.listed(places, Systemd())
    assert (row["result"], row["said"], row["running"]) == ("failed", runner.KILLED, "")
    assert runner.run("nightly", places) == 0
    made = status(places)
    assert (made["result"], "running" in made) == ("ok", False)
    assert [(row["code"], row["started"]) for row in made["runs"]] == [(0, made["runs"][0]["started"]), (1, started["started"])]


def test_a_run_at_work_is_listed(one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    child = runner.Child.run

    def run(self: runner.Child) -> int:
        seen.extend(listing.listed(places, Systemd()))
        return child(self)

    monkeypatch.setattr(runner.Child, "run", run)
    assert runner.run("nightly", places) == 0
    assert seen[0]["running"] == status(places)["runs"][0]["started"]
    assert listing.listed(places, Systemd())[0]["running"] == ""


def test_a_run_that_did_not_come_to_its_turn_hides_none_at_work(one: model.Schedule, places: model.Places) -> None:
    at_work = {"started": "2026-11-25T02:30:00Z", "pid": os.getppid()}
    places.status("nightly").write_text(json.dumps({"result": "ok", "runs": [], "running": at_work}))
    places.config("nightly").write_text(dataclasses.replace(one, wait=0).as_json())
    with (places.locks / ME).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(HostmendError, match="did not run"):
            runner.run("nightly", places)
    made = status(places)
    assert (made["result"], made["running"], len(made["runs"])) == ("failed", at_work, 1)


def test_two_runs_of_one_second_have_a_directory_each(
    one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [datetime.datetime(2026, 11, 20, 0, 0, second, tzinfo=datetime.UTC) for second in (1, 1, 2)]
    (Path(one.report_to) / "20261120T000001Z").mkdir(parents=True)
    monkeypatch.setattr(runner, "now", lambda: moments.pop(0) if len(moments) > 1 else moments[0])
    monkeypatch.setattr(runner.time, "sleep", lambda _seconds: None)
    assert runner.run("nightly", places) == 0
    assert status(places)["runs"][0]["directory"].endswith("20261120T000002Z")


def test_a_directory_of_reports_that_leads_nowhere_is_an_error(one: model.Schedule, places: model.Places, tmp_path: Path) -> None:
    Path(one.report_to).symlink_to(tmp_path / "gone")
    with pytest.raises(HostmendError, match=r"the directory of reports .* cannot be made"):
        runner.run("nightly", places)
    assert status(places)["result"] == "failed"


def test_a_run_by_hand_works_where_its_unit_does(
    one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODE", "where")
    monkeypatch.chdir(tmp_path)
    assert runner.run("nightly", places) == 0
    assert (Path(one.report_to) / "latest" / "where").read_text() == str(places.folder("nightly"))


def test_what_killed_runs_have_left_goes(one: model.Schedule, places: model.Places) -> None:
    base = Path(one.report_to)
    for name in ("20260101T000000Z", "20260102T000000Z", "20990101T000000Z", "mine"):
        (base / name).mkdir(parents=True)
        (base / name / "part").touch()
    (base / "20260102T000000Z" / "report.json").touch()
    (base / "20260103T000000Z").symlink_to("/")
    assert runner.run("nightly", places) == 0
    # One that has begun lately may be at work.
    left = {path.name for path in base.iterdir()}
    assert left >= {"20260102T000000Z", "20260103T000000Z", "20990101T000000Z", "mine"}
    assert "20260101T000000Z" not in left


def test_a_run_leaves_no_process_behind(one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", "leaves")
    assert runner.run("nightly", places) == 0
    left = (Path(one.report_to) / "latest" / "left").read_text()
    assert not Path(f"/proc/{left}").exists()


def test_old_reports_and_runs_go(one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    from hostmend.store import Store

    forgotten: list[str] = []
    monkeypatch.setattr(Store, "prune", lambda _self, **given: forgotten.extend(given["identities"]))
    moments = [datetime.datetime(2026, 11, day, tzinfo=datetime.UTC) for day in (20, 21, 22)]
    for moment in moments:
        monkeypatch.setattr(runner, "now", lambda moment=moment: moment)
        runner.run("nightly", places)
    names = sorted(path.name for path in Path(one.report_to).iterdir())
    assert names == ["20261121T000000Z", "20261122T000000Z", "latest"]
    assert forgotten == ["run-20261120T000000Z"]
    assert [row["run"] for row in status(places)["runs"]] == ["run-20261122T000000Z", "run-20261121T000000Z"]


@pytest.mark.parametrize(("mode", "code", "result"), [("open", 2, "open"), ("fails", 1, "failed"), ("slow", 1, "failed")])
def test_what_monitoring_sees(
    one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch, mode: str, code: int, result: str
) -> None:
    monkeypatch.setenv("MODE", mode)
    places.config("nightly").write_text(dataclasses.replace(one, timeout=1).as_json())
    assert runner.run("nightly", places) == code
    assert status(places)["result"] == result
    if mode == "slow":
        assert "took longer than 1 s" in status(places)["runs"][0]["said"][-1]
    if mode != "open":
        assert list(Path(one.report_to).iterdir()) == []


def test_that_it_could_not_be_made_is_told_on_the_channels(
    one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from hostmend.notify import dispatch

    sent: list[Any] = []
    (tmp_path / "notify.yml").write_text("channels: {a: {url: json://x}, b: {url: json://y, failures: false}}\n")
    monkeypatch.setattr(dispatch.Dispatcher, "_send_one", lambda _self, channel, message: sent.append(message) or
                        {"channel": channel.name, "status": "sent"})  # fmt: skip
    monkeypatch.setenv("MODE", "fails")
    places.config("nightly").write_text(dataclasses.replace(one, notify=str(tmp_path / "notify.yml")).as_json())
    assert runner.run("nightly", places) == 1
    [message] = sent
    assert message["title"] == "hostmend: schedule nightly failed" and "no such inventory: x" in message["body"]


def test_a_full_disk_is_told_on_the_channels_and_no_traceback(
    one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(runner, "_alarm", lambda _schedule, why: told.append(why))

    def full(*_given: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)  # the lock holds all the same
        assert runner.run("nightly", places) == 0
    shutil.rmtree(one.report_to)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "Child", full)
        patch.setattr(Path, "write_text", full)
        with pytest.raises(HostmendError, match="No space left on device"):
            runner.run("nightly", places)
    assert len(told) == 1 and "No space left on device" in told[0]


def test_two_at_once(one: model.Schedule, places: model.Places, capsys: pytest.CaptureFixture[str]) -> None:
    with (places.locks / ME).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("schedule weekly (process 7, since 2026-11-25 02:00:00 UTC)")
        lock.flush()
        with pytest.raises(
            runner.BusyError, match=r"schedule weekly \(process 7, .*\) is running; the schedule nightly did not run"
        ):
            runner.run("nightly", places)
        assert status(places)["result"] == "failed"

        def let_go(_seconds: float) -> None:
            fcntl.flock(lock, fcntl.LOCK_UN)

        with runner.alone(dataclasses.replace(one, wait=30), places, pause=let_go):
            assert "schedule nightly (process" in (places.locks / ME).read_text()
        assert "waiting for up to 30 s" in capsys.readouterr().err
        assert (places.locks / ME).read_text() == ""


def test_a_stop_is_handed_on(one: model.Schedule, places: model.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal
    import threading

    monkeypatch.setenv("MODE", "slow")
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    assert runner.run("nightly", places) == 1
    assert status(places)["result"] == "failed"


# The command


@pytest.fixture
def ready(places: model.Places, monkeypatch: pytest.MonkeyPatch) -> model.Places:
    monkeypatch.setattr(calendar, "check_systemd", lambda _text: None)
    monkeypatch.setattr(manage.Installer, "_look", lambda _self, _schedule: True)
    monkeypatch.setattr(manage, "command", Systemd())
    monkeypatch.setattr(manage.Installer.__init__, "__defaults__", (Systemd(),))
    return places


def test_the_command_installs_what_was_asked_for(ready: model.Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inventory").write_text("web1\n")
    argv = [
        "schedule", "install", "--on-calendar", "Sun 03:00", "-i", str(tmp_path / "inventory"), "--class", "redis", "--remediate",
        "restart", "--keep", "8", "--timeout", "30m", "--user", ME, "--", "--become", "--waves", "1,100%",
    ]  # fmt: skip
    assert main([*argv[:2], "--check", *argv[2:]]) == 0
    assert capsys.readouterr().out == "schedule remediate: would be changed\n" and model.names(ready) == []
    assert main(argv) == 0
    made = model.read(ready.config("remediate"))
    assert (made.remediate, made.keep, made.timeout, made.options) == ("restart", "8", 1800, ("--become", "--waves", "1,100%"))
    assert stat.S_IMODE(ready.config("remediate").stat().st_mode) == 0o640
    capsys.readouterr()
    assert main(["schedule", "list", "--format", "json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["remediate"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-i", "/no/where"], "no such inventory: /no/where"),
        (["--class", "rediss"], "no such class: rediss (did you mean redis?)"),
        (["--name", "A b"], "--name: 'A b' will not do"),
        (["--name", "x-held"], "--name: 'x-held' will not do"),
        (["--keep", "0"], "--keep: 0 is neither"),
        (["--timeout", "soon"], "--timeout: soon is no span"),
        (["--notify", "/no/where"], "the notifications /no/where cannot be read"),
        (["--", "--bogus"], "after --: No such option"),
        (["--", "-K"], "nobody is there to answer --ask-become-pass"),
        (["--", "-i", "x"], "give -i before the --"),
        (["--", "--output", "x"], "give --report-to before the --"),
        (["--", "--waves", "1"], "after --: No such option"),  # an audit has no waves
        (["--", "--help"], "do not end it"),
    ],
)
def test_bad_input_is_one_line(ready: model.Places, more: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", "install", "--on-calendar", "daily", *more]) == 1
    heard = capsys.readouterr().err
    assert said in heard and heard.count("\n") == 1
    assert model.names(ready) == []


def test_schedules_belong_to_the_system(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for argv in (["install", "--on-calendar", "daily"], ["remove", "x"]):
        assert main(["schedule", *argv]) == 1
        assert "run it as root" in capsys.readouterr().err


def test_neither_systemd_nor_cron(
    ready: model.Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.systemd_runs.rmdir()
    monkeypatch.setattr(shutil, "which", lambda *_given, **_more: None)
    assert main(["schedule", "install", "--on-calendar", "daily"]) == 1
    assert "neither systemd nor cron" in capsys.readouterr().err
