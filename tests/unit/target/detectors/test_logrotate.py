"""Log rotation: parsers on text captured from Debian 12, edits, judgement, and hostile text."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import logrotate
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Process, Unit
from ansible_collections.hostmend.hardening.plugins.module_utils.software import logrotate as logrotate_conf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_host import FakeHost
from tests.support.paths import FIXTURES

collecting = sys.modules[logrotate.collect.__module__]
TEXTS = FIXTURES / "logrotate"
POLICY: dict[str, Any] = {**logrotate.POLICY, "common": {}, "large_mebibytes": 1}
TIMER = Unit("logrotate.timer", "loaded", "active", "waiting", "enabled")
QUIET = "Handling 0 logs\n"


def text(name: str) -> str:
    return (TEXTS / name).read_text("utf-8")


def machine(root: Path, says: str = QUIET, units: tuple[Unit, ...] = (TIMER,), running: bool = True, cron: bool = False,
            **more: Any) -> FakeHost:
    """Return a host that says what logrotate says, on standard error; '' where it takes too long."""
    said = (0, "", says) if says else (None, "", "", "timed out after 8 s")
    own = Process(5, 1, 0, "cron", ("cron",), "/usr/sbin/cron", False, "/", None, None, 1, 1)
    return FakeHost(root, {"": said}, running=running, executes=running, units=units, processes=(own,) if cron else (), **more)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("etc/logrotate.d", "var/log", "usr/sbin", "proc", "var/lib/logrotate"):
        (tmp_path / name).mkdir(parents=True)
    put(tmp_path, "usr/sbin/logrotate", "")
    put(tmp_path, "etc/logrotate.conf", text("logrotate.conf"))
    put(tmp_path, "proc/uptime", "864000.0 1.0\n")
    put(tmp_path, "var/lib/logrotate/status", "")
    return tmp_path


def put(root: Path, name: str, content: str) -> None:
    (root / name).write_text(content, "utf-8")


def large(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(b"x" * 1500000)


def judged(host: FakeHost, **policy: Any) -> dict[tuple[str, str], dict[str, Any]]:
    given = {**POLICY, **policy}
    facts = logrotate.collect(host, given)
    assert json.loads(json.dumps(facts)) == facts
    found = logrotate.check(facts, given)
    assert {one["check"] for one in found} == set(logrotate.CHECKS)
    return {(one["check"], one["resource"]): one for one in found}


def status(host: FakeHost, check: str, **policy: Any) -> dict[str, str]:
    return {resource: one["status"] for (name, resource), one in judged(host, **policy).items() if name == check}


# Parsers and edits

def test_what_logrotate_of_debian_12_says():
    rotations, errors = logrotate_conf.parse_debug(text("debug_bookworm.txt"))
    by_pattern = {one["patterns"][0]: (one["days"], one["count"]) for one in rotations}
    assert by_pattern["/var/log/wtmp"] == (30, 1)
    assert by_pattern["/var/log/syslog"] == (1, 7)
    assert by_pattern["/var/log/ufw.log"] == (7, 4)
    assert by_pattern["/var/log/app/*.log"] == (7, 4)
    assert errors[0] == "zz:1 duplicate log entry for /var/log/dpkg.log"
    assert any(one.startswith('skipping "/var/log/app/a.log"') for one in errors)


def test_what_logrotate_of_debian_13_says():
    rotations, errors = logrotate_conf.parse_debug(text("debug_trixie.txt"))
    by_pattern = {one["patterns"][0]: (one["days"], one["count"]) for one in rotations}
    assert by_pattern["/var/log/wtmp"] == (30, 1)
    assert by_pattern["/var/log/auth.log"] == (7, 4)
    assert by_pattern["/var/log/cups/*log"] == (1, 7)
    assert errors == [error for error in errors if error.startswith("skipping")]


def test_stanzas_of_debian_12():
    (wtmp,) = logrotate_conf.parse(text("wtmp"), "wtmp")
    assert wtmp.patterns == ("/var/log/wtmp",)
    assert wtmp.options["rotate"][0] == "1"
    assert [one.patterns[0] for one in logrotate_conf.parse(text("apt"))] == ["/var/log/apt/term.log",
                                                                              "/var/log/apt/history.log"]
    assert logrotate_conf.parse(text("logrotate.conf")) == []


@pytest.mark.parametrize(
    ("written", "patterns"),
    [
        ("/a.log { daily }", ("/a.log",)),
        ("/a.log\n/b.log\n{\n}\n", ("/a.log", "/b.log")),
        ('"/with space.log" /c.log {\n}\n', ("/with space.log", "/c.log")),
        ("weekly\n/a.log {\n postrotate\n  x() { rotate 9; }\n endscript\n rotate 2\n}\n", ("/a.log",)),
    ],
)
def test_patterns_of_a_stanza(written, patterns):
    (stanza,) = logrotate_conf.parse(written)
    assert stanza.patterns == patterns


@pytest.mark.parametrize(
    "written",
    ["/a.log { daily }\n", "/a.log {\n\trotate 3\n}\n", "/a.log\n{\n\tdaily\n}\n", "/a.log { daily\n rotate 4 }\n",
     "/a.log {\n postrotate\n rotate 5\n endscript\n}\n"],
)
def test_an_option_is_set_in_its_stanza(written):
    both = written + "/other.log {\n\trotate 1\n}\n"
    made = logrotate_conf.with_option(both, logrotate_conf.parse(both)[0], "rotate", "26")
    one, other = logrotate_conf.parse(made)
    assert one.options["rotate"][0] == "26"
    assert other.options["rotate"][0] == "1"
    assert ("rotate 5" in made) == ("rotate 5" in written)
    assert logrotate_conf.with_option(made, one, "rotate", "26") == made


# Judgement

def test_all_is_well(root):
    assert {one["status"] for one in judged(machine(root)).values()} <= {"passed", "not_applicable"}


def test_missing_only_where_logs_grow(root):
    (root / "usr/sbin/logrotate").unlink()
    assert {one["status"] for one in judged(machine(root)).values()} == {"not_applicable"}
    large(root, "var/log/app.log")
    assert status(machine(root), "logrotate.missing") == {"logrotate": "open"}


@pytest.mark.parametrize(
    ("timer", "more", "wanted"),
    [
        (TIMER, {}, "passed"),
        (Unit("logrotate.timer", "loaded", "inactive", "dead", "disabled"), {}, "open"),
        (Unit("logrotate.timer", "loaded", "active", "waiting", "disabled"), {}, "open"),
        (None, {"init": "none"}, "not_applicable"),
        (None, {"init": "sysvinit"}, "open"),
        (None, {"init": "sysvinit", "cron": True}, "passed"),
        (None, {"running": False}, "open"),
        (Unit("cron.service", "loaded", "inactive", "dead", "enabled", "/cron.service"), {"running": False}, "passed"),
    ],
)
def test_who_runs_it(root, timer, more, wanted):
    (root / "etc/cron.daily").mkdir()
    put(root, "etc/cron.daily/logrotate", "")
    host = machine(root, units=(timer,) if timer else (), **more)
    assert status(host, "logrotate.not_running") == {"logrotate": wanted}


def test_it_is_scheduled_but_has_not_run(root):
    then = time.time() - 10 * 86400
    os.utime(root / "var/lib/logrotate/status", (then, then))
    one = judged(machine(root))["logrotate.not_running", "logrotate"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    put(root, "proc/uptime", "600.0 1.0\n")  # just started: it had no chance yet
    assert status(machine(root), "logrotate.not_running") == {"logrotate": "passed"}


def test_complaints_are_sorted_into_what_can_be_mended(root, monkeypatch):
    monkeypatch.setattr(collecting, "_owner", lambda host, log: "app app")
    put(root, "etc/logrotate.d/app", "/var/log/app/*.log {\n weekly\n}\n")
    (root / "var/log/app").mkdir()
    put(root, "etc/logrotate.d/none", "/var/log/none.log { daily }\n")
    found = judged(machine(root, text("debug_bookworm.txt")))
    broken = {resource: one.get("risk", "safe") for (name, resource), one in found.items()
              if name == "logrotate.broken"}
    assert broken == {
        "/etc/logrotate.d/zz: /var/log/dpkg.log": "manual",
        "/etc/logrotate.d/zz: zz:N unknown option 'bogus' -- ignoring line": "manual",
        "/etc/logrotate.d/app: /var/log/app/a.log": "safe",
        "/etc/logrotate.d/none: /var/log/none.log": "safe",
    }


def test_that_it_has_not_run_yet_is_no_complaint(root):
    says = "error: error opening state file /var/lib/logrotate/status: No such file or directory\n" + QUIET
    assert set(status(machine(root, says), "logrotate.broken").values()) == {"passed"}


@pytest.mark.parametrize(
    "more", [{"says": ""}, {"says": "Handling 9 logs\n\nturning pattern"}, {"privileged": False}, {"running": False}]
)
def test_what_logrotate_cannot_be_asked_is_unknown(root, more):
    found = judged(machine(root, **more))
    for check in ("logrotate.broken", "logrotate.uncovered", "logrotate.retention"):
        assert {one["status"] for (name, _resource), one in found.items() if name == check} == {"unknown"}


def test_large_logs_are_covered_or_not(root):
    large(root, "var/log/large.log")
    large(root, "var/log/app/a.log")
    large(root, "var/log/old.log.1")
    large(root, "var/log/journal/x/system.journal")
    says = text("debug_bookworm.txt")
    assert status(machine(root, says), "logrotate.uncovered") == {"/var/log/large.log": "open",
                                                                   "/var/log/app/a.log": "passed"}
    ignored = status(machine(root, says), "logrotate.uncovered", ignore=["/var/log/l*"])
    assert ignored == {"/var/log/app/a.log": "passed"}


def test_a_containers_log_without_a_bound_is_rotated(root):
    for name, config in (("a" * 8, "{}"), ("b" * 8, '{"LogConfig":{"Config":{"max-size":"9m"}}}')):
        large(root, f"var/lib/docker/containers/{name}/{name}-json.log")
        put(root, f"var/lib/docker/containers/{name}/hostconfig.json", config)
    found = [one for one in judged(machine(root)).values() if one["check"] == "logrotate.uncovered"]
    path = f"/var/lib/docker/containers/{'a' * 8}/{'a' * 8}-json.log"
    assert [(one["status"], one["resource"], "risk" in one) for one in found] == [("open", path, False)]
    says = text("debug_bookworm.txt").replace("/var/log/dpkg.log", path)
    covered = [one for one in judged(machine(root, says)).values() if one["check"] == "logrotate.uncovered"]
    assert [(one["status"], one["resource"]) for one in covered] == [("passed", path)]


def test_retention_counts_days_and_looks_at_the_disk(root, monkeypatch):
    put(root, "etc/logrotate.d/wtmp", text("wtmp"))
    key = ("logrotate.retention", "/etc/logrotate.d/wtmp: /var/log/wtmp")
    one = judged(machine(root, text("debug_bookworm.txt")))[key]
    assert (one["status"], one["evidence"]["persistent"]["rotate"]) == ("open", 6)
    assert judged(machine(root, text("debug_bookworm.txt")), retention_days=30)[key]["status"] == "passed"
    large(root, "var/log/wtmp")
    large(root, "var/log/wtmp.1")
    facts = logrotate.collect(machine(root, text("debug_bookworm.txt")), POLICY)
    facts["free"] = 8
    found = {one["resource"]: one for one in logrotate.check(facts, POLICY) if one["check"] == key[0]}
    assert found[key[1]]["risk"] == "manual"
    assert "8 MiB are free" in found[key[1]]["reason"]


@pytest.mark.parametrize("told", [
    "weekly (52 rotations)\nempty log files are rotated, log files >= 10485760 are rotated earlier, old logs are removed\n",
    "weekly empty log files are rotated, log files >= 10485760 are rotated earlier, (52 rotations), old logs are removed\n",
])
def test_what_is_rotated_early_by_size_is_no_pass(root: Path, told: str) -> None:
    """The text of Debian 12, and that of Debian 13."""
    says = QUIET + f"rotating pattern: /var/log/auth.log  {told}considering log /var/log/auth.log\n"
    says += "rotating pattern: /var/log/syslog  weekly (52 rotations)\nempty log files are rotated, old logs are removed\n"
    put(root, "etc/logrotate.d/a", "/var/log/auth.log {\n maxsize 10M\n}\n/var/log/syslog {\n}\n")
    found = status(machine(root, says), "logrotate.retention")
    assert (found["/etc/logrotate.d/a: /var/log/auth.log"], found["/etc/logrotate.d/a: /var/log/syslog"]) == ("unknown", "passed")


def test_an_error_is_told_of_the_file_that_has_it(root: Path) -> None:
    put(root, "etc/logrotate.d/bad", "/var/log/foo {\n rotate x\n}\n")
    says = ("including /etc/logrotate.d\nreading config file bad\nerror: bad:2 bad rotation count 'x'\n"
            "error: found error in /var/log/foo, skipping\n" + QUIET)
    found = set(status(machine(root, says), "logrotate.broken"))
    assert found == {"/etc/logrotate.d/bad: bad:N bad rotation count 'x'"}


TWICE = """\
reading config file /etc/logrotate.conf
including /etc/logrotate.d
reading config file btmp
reading config file wtmp
reading config file wtmp.old
error: wtmp.old:1 duplicate log entry for /var/log/wtmp
error: found error in file wtmp.old, skipping
error: /etc/logrotate.conf:2 duplicate log entry for /var/log/wtmp
error: /etc/logrotate.conf:5 duplicate log entry for /var/log/btmp

Handling 2 logs

rotating pattern: /var/log/btmp  monthly (6 rotations)
rotating pattern: /var/log/wtmp  monthly (6 rotations)

rotating pattern: /var/log/wtmp  monthly (1 rotations)
"""


def test_the_stanza_in_effect_is_judged_and_each_duplicate_is_found(root: Path) -> None:
    main = "include /etc/logrotate.d\n/var/log/wtmp {\n monthly\n rotate 1\n}\n/var/log/btmp {\n monthly\n}\n"
    put(root, "etc/logrotate.conf", main)
    for name in ("wtmp", "wtmp.old", "btmp"):
        put(root, f"etc/logrotate.d/{name}", f"/var/log/{name[:4]} {{\n monthly\n rotate 6\n}}\n")
    assert status(machine(root, TWICE), "logrotate.broken") == {
        "/etc/logrotate.d/wtmp.old: /var/log/wtmp": "open", "/etc/logrotate.conf: /var/log/wtmp": "open",
        "/etc/logrotate.conf: /var/log/btmp": "open"}
    assert status(machine(root, TWICE), "logrotate.retention") == {
        "/etc/logrotate.d/wtmp: /var/log/wtmp": "passed", "/etc/logrotate.conf: /var/log/wtmp": "open",
        "/etc/logrotate.d/btmp: /var/log/btmp": "passed"}


def test_one_su_cannot_fit_folders_of_several_owners(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "etc/logrotate.d/apps", "/srv/*/*.log {\n weekly\n}\n")
    monkeypatch.setattr(collecting, "_owner", lambda _host, log: log.split("/")[2] + " users")
    error = 'error: skipping "%s" because parent directory has insecure permissions\n'
    says = "Handling 1 logs\nrotating pattern: /srv/*/*.log  weekly (4 rotations)\n" + error % "/srv/shop/a.log"
    found = judged(machine(root, says))
    assert "risk" not in found["logrotate.broken", "/etc/logrotate.d/apps: /srv/shop/a.log"]
    found = judged(machine(root, says + error % "/srv/blog/a.log"))
    both = [one for (check, _resource), one in found.items() if check == "logrotate.broken"]
    assert [one["risk"] for one in both] == ["manual", "manual"]
    assert "blog users, shop users" in both[0]["reason"]


def test_the_last_real_run_counts(root: Path) -> None:
    shown = "Result=exit-code\nExecMainStatus=1\nExecMainExitTimestampMonotonic=1000000\n"
    service = Unit("logrotate.service", "loaded", "failed", "failed", "static")
    host = machine(root, units=(TIMER, service))
    host.says = {"logrotate": (0, "", QUIET), "systemctl show": shown, "journalctl": "error: error running postrotate script\n"}
    put(root, "proc/uptime", "10.0 1.0\n")
    one = judged(host)["logrotate.broken", "logrotate.service"]
    assert one["status"] == "unknown"  # the files of this test are younger than that run
    host.says["systemctl show"] = shown.replace("=1000000", "=900000000000")
    one = judged(host)["logrotate.broken", "logrotate.service"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "postrotate" in one["reason"]


@pytest.mark.parametrize(("load", "start", "wanted", "risk"), [
    ("masked", "", "open", None), ("loaded", "/bin/true", "open", "manual"),
    ("loaded", "/usr/sbin/logrotate /etc/logrotate.conf", "passed", None)])
def test_the_service_behind_the_timer(root: Path, load: str, start: str, wanted: str, risk: str | None) -> None:
    put(root, "etc/logrotate.service", f"[Service]\nExecStart={start}\n")
    service = Unit("logrotate.service", load, "inactive", "dead", "static", "/etc/logrotate.service")
    one = judged(machine(root, units=(TIMER, service)))["logrotate.not_running", "logrotate"]
    assert (one["status"], one.get("risk")) == (wanted, risk)


def test_what_cron_rotates_by_another_file_is_covered(root: Path) -> None:
    large(root, "var/log/app/trace.log")
    (root / "etc/cron.hourly").mkdir()
    put(root, "etc/cron.hourly/rotate", "#!/bin/sh\n/usr/sbin/logrotate -s /var/lib/s /etc/hourly.conf\n")
    (root / "etc/cron.hourly/rotate").chmod(0o755)
    put(root, "etc/hourly.conf", "")
    says = {"logrotate -d /etc/logrotate.conf": (0, "", QUIET), "logrotate -d /etc/hourly.conf": (
        0, "", "Handling 1 logs\nrotating pattern: /var/log/app/*.log  hourly (4 rotations)\n")}
    host = machine(root, cron=True)
    host.says = says
    assert status(host, "logrotate.uncovered") == {"/var/log/app/trace.log": "passed"}
    host = machine(root)
    host.says = says
    assert status(host, "logrotate.uncovered") == {"/var/log/app/trace.log": "open"}


@pytest.mark.parametrize(("name", "flags", "wanted"), [
    ("app.log", "0102001", True), ("app.log", "0100001", False), ("000123.log", "0102001", False), ("a.aof", "0102001", False),
    ("mysql-relay.log", "0102001", False)])
def test_a_log_elsewhere_that_is_appended_to(root: Path, name: str, flags: str, wanted: bool) -> None:
    log = root / name
    log.write_bytes(b"x" * 1500000)
    for folder in ("fd", "fdinfo"):
        (root / "proc/5" / folder).mkdir(parents=True)
    (root / "proc/5/fd/3").symlink_to(log)
    put(root, "proc/5/fdinfo/3", f"pos:\t0\nflags:\t{flags}\n")
    found = judged(machine(root, cron=True))
    assert (("logrotate.uncovered", str(log)) in found) == wanted


@pytest.mark.parametrize(("command", "files"), [
    ("/usr/sbin/logrotate -s /var/lib/x /etc/a.conf", ["/etc/a.conf"]), ("logrotate -d /etc/a.conf", None),
    ("test -x /usr/sbin/logrotate && nice logrotate --state=/x -v /a /b >/dev/null 2>&1", ["/a", "/b"]),
    ("rm /x/logrotate", None)])
def test_files_of_a_command_line(command: str, files: list[str] | None) -> None:
    assert logrotate_conf.configurations(command) == files


def test_an_option_with_several_words_is_replaced_whole() -> None:
    for written in ("/a.log {\n\tsu blog blog\n}\n", "/a.log { su blog blog }\n"):
        stanza = logrotate_conf.parse(written)[0]
        changed = logrotate_conf.parse(logrotate_conf.with_option(written, stanza, "su", "shop shop"))[0]
        assert changed.options["su"][0] == "shop shop"


def test_maxage_shortens_what_is_kept(root):
    put(root, "etc/logrotate.d/x", "/var/log/auth.log {\n weekly\n rotate 52\n maxage 30\n}\n")
    says = QUIET + "rotating pattern: /var/log/auth.log  weekly (52 rotations)\n"
    one = judged(machine(root, says))["logrotate.retention", "/etc/logrotate.d/x: /var/log/auth.log"]
    assert (one["status"], one["evidence"]["effective"]["days"]) == ("open", 30)


# Hostile text

WORDS = st.sampled_from(["/a.log", "{", "}", "\n", "rotate", "3", "weekly", "postrotate", "endscript", "#", '"', "'",
                         "=", "maxage", "error:", "rotating pattern:", "(4 rotations)", "\x1b[0m", "{{ 1 }}"])


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join)))
def test_no_text_breaks_the_parsers(written):
    logrotate_conf.parse_debug(written)
    for stanza in logrotate_conf.parse(written):
        logrotate_conf.with_option(written, stanza, "rotate", "26")


def test_a_log_whose_stanza_is_passed_over_gets_no_second_one(root):
    large(root, "var/log/ebusd.log")
    put(root, "etc/logrotate.d/ebusd", "/var/log/ebusd.log {\n rotate 7\n}\n")
    says = ("reading config file /etc/logrotate.conf\nincluding /etc/logrotate.d\n"
            "error: Ignoring ebusd because it is writable by group or others.\n\nHandling 0 logs\n")
    one = judged(machine(root, says))["logrotate.uncovered", "/var/log/ebusd.log"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "/etc/logrotate.d/ebusd has a stanza for it" in one["reason"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs folders of root")
def test_a_log_in_a_folder_of_root_that_others_write_to_is_for_a_person(root):
    large(root, "var/log/app/a.log")
    (root / "var/log/app").chmod(0o777)
    one = judged(machine(root))["logrotate.uncovered", "/var/log/app/a.log"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    put(root, "etc/logrotate.conf", "su root adm\n")
    assert judged(machine(root))["logrotate.uncovered", "/var/log/app/a.log"].get("risk") is None
