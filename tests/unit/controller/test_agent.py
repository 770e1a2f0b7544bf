"""The agent: how it is made, what it keeps, and which of its words the controller believes."""

from __future__ import annotations

import functools
import json
import os
import re
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import paths as agent_files

from hostmend import catalog
from hostmend.advisories import match
from hostmend.agent import build, host, packages, report_store, report_verification, signature
from hostmend.cli import main
from hostmend.core import validation
from hostmend.core.errors import HostmendError
from hostmend.core.finding import RISKS
from hostmend.report import html, model, table
from tests.support import tree
from tests.support.cli_runs import Ansible, detected, finding

NOW = 1_795_600_000
KEY = "ab" * 32


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def report(number: int = NOW, finished: float = NOW, key: str | None = KEY, **more: Any) -> dict[str, Any]:
    """Return a report like those of an agent."""
    made = {
        "format": host.FORMAT,
        "host": "web1",
        "hostname": "web1.example.net",
        "sequence": number,
        "run": {"id": "r", "started": at(finished - 1), "finished": at(finished), "mode": "audit", "version": "0.1.0"},
        "boot_id": "b",
        "machine": "m",
        "policy": "defaults",
        "status": "ok",
        "score": 80,
        "findings": [
            {"check": "redis.no_auth", "class": "redis", "status": "open", "resource": "r", "evidence": {}, "reason": ""}
        ],
        "classes": {"redis": {"status": "ok", "reason": "", "seconds": 0.123}},
        "system": {"id": "debian"},
        **more,
    }
    made["signature"] = signature.sign(made, key) if key else {"algorithm": "none", "reason": "no key"}
    return made


def raw(given: dict[str, Any]) -> bytes:
    return json.dumps(given, indent=1).encode()


@pytest.fixture
def known(tmp_path: Path) -> report_verification.Host:
    made = report_verification.Host("web1", tmp_path / "agents")
    made.enrol(KEY, "web1")
    return made


def judged(
    known: report_verification.Host, given: dict[str, Any] | bytes, age: int = 3600, now: float = NOW
) -> report_verification.VerifiedReport:
    return report_verification.verify(given if isinstance(given, bytes) else raw(given), known, age, now)


# How it is made


def test_the_same_sources_make_the_same_bytes_wherever_they_are_built(tmp_path: Path) -> None:
    script = "import sys; from hostmend.agent import build; print(build.digest(build.build({'ports': {'declared': []}})))"
    digests = set()
    for zone, seed, mask in (("UTC", "1", 0o022), ("Asia/Taipei", "2", 0o077)):
        environ = {**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "PYTHONPATH": str(tree.ROOT / "src")}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environ, cwd=tmp_path, umask=mask, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_it_is_small_and_holds_every_detector_and_check(tmp_path: Path) -> None:
    data = build.build()
    assert len(data) < 1000 * 1000
    path = tmp_path / "agent.pyz"
    build.write(path, data)
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        checks = json.loads(archive.read(build.BUILT))["checks"]
    folder = "ansible_collections/hostmend/hardening/plugins/module_utils/detectors/"
    assert {f"{folder}{name}/__init__.py" for name in tree.detectors(tree.ROOT)} <= names
    assert set(checks) == set(catalog.load().checks)
    assert not [name for name in names if "/journal/" in name or name.startswith("hostmend/cli")]


def test_an_agent_that_would_be_too_large_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "LIMIT", 1000)
    with pytest.raises(HostmendError, match="stay below 1000"):
        build.build()


def test_the_policy_that_is_built_in_is_gone_by(tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    build.write(path, build.build({"common": {"classes": ["redis"]}}, host="web1"))
    argv = [sys.executable, path, "audit", "--json", "--output", tmp_path / "kept"]  # not where root's own are kept
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert told["host"] == "web1"
    assert told["policy"] in ("built in", "/etc/hostmend/agent.json")
    if told["policy"] == "built in":
        assert set(told["classes"]) == {"redis"}


# What it says and keeps on the host


@pytest.fixture
def agent(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    path = tmp_path / "agent.pyz"
    build.write(path, build.build())

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, path, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_reports_are_kept_whole_private_and_few(agent: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".report.json.new").write_text("left by a power cut")
    numbers = []
    for _ in range(report_store.KEPT + 2):
        done = agent("audit", "--class", "redis", "--output", "out", "--json", "--fail-on", "never")
        assert done.returncode == 0, done.stderr
        numbers.append(json.loads(done.stdout)["sequence"])
    assert numbers == sorted(set(numbers))
    kept = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert kept == ["lock", *(f"report-{number}.json" for number in numbers[-report_store.KEPT :]), "report.json"]
    last = tmp_path / "out" / "report.json"
    assert json.loads(last.read_text())["sequence"] == numbers[-1]
    assert stat.S_IMODE(last.stat().st_mode) == 0o600


def test_the_exit_status_is_that_of_the_command(agent: Any, tmp_path: Path) -> None:
    done = agent("audit", "--class", "redis", "--json", "--fail-on", "low")
    opened = [one for one in json.loads(done.stdout)["findings"] if one["status"] == "open"]
    assert done.returncode == (2 if opened else 0)
    for wrong in (["audit", "--fail-on", "soon"], ["audit", "--class", "rediss"], ["nothing"], ["audit", "--what"], []):
        done = agent(*wrong)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
    assert "did you mean redis" in agent("audit", "--class", "rediss").stderr
    (tmp_path / "file").write_text("")
    done = agent("audit", "--output", "file", "--quiet")
    assert done.returncode == 1
    assert done.stderr.startswith("hostmend-agent: the report cannot be kept in ")
    assert len(done.stderr.splitlines()) == 1


def test_the_text_is_for_a_person(agent: Any) -> None:
    done = agent("audit", "--class", "redis")
    assert "score " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Report: not kept")
    for words in (["--help"], ["audit", "--help"], ["--version"]):
        assert agent(*words).returncode == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"policy": []}', '{"host": 5}', "[" * 100000, "\xff"])
def test_a_policy_that_cannot_be_read_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(host.AgentError, match="the policy"):
        host.load_settings(path)


def test_a_number_is_above_those_before_it_also_where_the_clock_went_back(tmp_path: Path) -> None:
    reports = report_store.Reports(tmp_path / "r")
    with reports.held():
        assert reports.next_number(1000) == 1000
        reports.keep("{}", 5000)
        assert reports.next_number(1000) == 5001


def test_two_audits_do_not_write_at_once(tmp_path: Path) -> None:
    reports = report_store.Reports(tmp_path / "r")
    others = report_store.Reports(tmp_path / "r")
    with reports.held(), pytest.raises(report_store.AgentStoreError, match="another audit"), others.held(0.1):
        pass


def test_a_directory_of_another_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(report_store.AgentStoreError, match="own"), report_store.Reports(tmp_path / "link").held():
        pass


def test_a_write_that_fails_leaves_the_report_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = report_store.Reports(tmp_path / "r")
    with reports.held():
        reports.keep("first", 1)

        def full(_handle: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(report_store.AgentStoreError, match="No space left on device"):
            reports.keep("second", 2)
    assert (tmp_path / "r" / "report.json").read_text() == "first"
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["lock", "report-1.json", "report.json"]


def test_the_key_is_made_once_and_for_root_alone(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "agent.key"
    key = report_store.make_key(path)
    assert signature.read_key(path.read_text()) == key == report_store.make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["agent.key"]
    path.chmod(0o644)
    with pytest.raises(report_store.AgentStoreError, match="root's alone"):
        report_store.load_key(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(report_store.AgentStoreError, match="holds no key"):
        report_store.load_key(path)
    assert "short" not in signature.key_id(KEY)


@pytest.mark.parametrize(("key", "said"), [(KEY, ""), ("", "; not signed: no key")])
def test_the_one_line_for_the_journal_says_why_a_report_is_not_signed(
    capsys: pytest.CaptureFixture[str], key: str, said: str
) -> None:
    host.show(report(key=key), "quiet", "")
    line = capsys.readouterr().out.rstrip("\n")
    assert line.startswith("score ") and line.partition("; not signed")[0] + said == line


# What the controller believes


def test_a_report_that_is_in_order_counts(known: report_verification.Host) -> None:
    word = judged(known, report(), now=NOW + 90)
    assert word.counts
    assert word.source() == {
        "kind": "agent",
        "signature": "valid",
        "age_seconds": 90,
        "sequence": NOW,
        "finished": at(NOW),
        "version": "0.1.0",
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["findings"][0].update(status="passed"),
        lambda one: one["findings"].clear(),
        lambda one: one["findings"][0].update(resource="r "),
        lambda one: one.update(sequence=NOW + 1),
        lambda one: one["run"].update(finished=at(NOW + 60)),
        lambda one: one.update(machine="n"),
        lambda one: one.update(more=1),
        lambda one: one["signature"].update(value="0" * 64),
        lambda one: one["signature"].update(value="\u00e9"),
        lambda one: one["signature"].update(value=5),
        lambda one: one["signature"].update(algorithm="hmac-md5"),
    ],
)
def test_a_report_that_was_changed_is_not_believed(known: report_verification.Host, change: Callable[[Any], None]) -> None:
    made = report()
    change(made)
    word = judged(known, made)
    assert (word.signature, word.report) == ("invalid", None)
    assert "changed after it was signed" in word.reason


def test_a_report_with_another_key_without_one_or_of_a_stranger_is_not_believed(
    known: report_verification.Host, tmp_path: Path
) -> None:
    other = judged(known, report(key="cd" * 32))
    assert other.signature == "invalid" and "another key" in other.reason
    bare = judged(known, report(key=None))
    assert bare.signature == "unsigned" and not bare.counts
    stranger = judged(report_verification.Host("web2", tmp_path / "agents"), report())
    assert stranger.signature == "unenrolled" and not stranger.counts
    misplaced = judged(known, report(host="web2"))
    assert not misplaced.counts and "the report of web2" in misplaced.reason


def test_a_report_from_the_future_or_too_old_is_not_believed(known: report_verification.Host) -> None:
    ahead = judged(known, report(finished=NOW + 7200))
    assert not ahead.counts and "from the future: 2 h ahead" in ahead.reason
    assert judged(known, report(finished=NOW + 200)).counts
    old = judged(known, report(finished=NOW - 7300), age=7200)
    assert not old.counts and "2 h old, and may be 2 h" in old.reason
    assert old.source()["age_seconds"] == 7300
    assert judged(known, report(finished=NOW - 7300), age=7400).counts


def test_a_report_that_was_seen_before_a_newer_one_is_not_believed(known: report_verification.Host) -> None:
    first, second = raw(report(NOW)), raw(report(NOW + 10))
    known.accept(judged(known, second), second)
    assert judged(known, second).counts
    replayed = judged(known, first)
    assert not replayed.counts and f"number {NOW} after {NOW + 10}" in replayed.reason
    forked = judged(known, report(NOW + 10, score=100))
    assert not forked.counts and "two different reports" in forked.reason
    moved = judged(known, report(NOW + 20, machine="other"))
    assert not moved.counts and "another machine" in moved.reason
    known.enrol(KEY, "web1")
    assert judged(known, report(NOW + 20, machine="other")).counts
    assert not judged(known, first).counts


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{",
        b"[" * 200000,
        raw({**report(), "format": "hostmend-agent-9"}),
        raw({**report(), "findings": {}}),
        raw({**report(), "sequence": "5"}),
        raw({**report(), "sequence": True}),
        raw({**report(), "sequence": -5}),
        raw({**report(), "sequence": 10**20}),
        raw({**report(), "run": {"finished": "yesterday"}}),
        raw({**report(), "run": {**report()["run"], "finished": "2026-13-45T99:99:99Z"}}),
        raw({**report(), "host": None}),
        raw({**report(), "facts": []}),
        raw({**report(), "facts": {"a": functools.reduce(lambda inner, _: [inner], range(40), 0)}}),
        raw({**report(), "system": functools.reduce(lambda inner, _: {"x": inner}, range(200), {})}),
        raw({**report(), "system": {"name": "\ud800"}}),
        raw({**report(), "host": "w" * 301}),
        raw({**report(), "run": {**report()["run"], "version": "1" * 301}}),
        raw({**report(), "findings": [{}] * 20_001}),
        raw({**report(), "status": "failed"}),
        raw({**report(), "score": 0}).replace(b'"score": 0', b'"score": NaN'),
        raw({**report(), "score": 0}).replace(b'"score": 0', b'"score": 1e999'),
        raw({**report(), "score": 0}).replace(b'"score": 0', b'"score": ' + b"9" * 5000),
    ],
)
def test_what_is_no_report_is_one_line(known: report_verification.Host, given: bytes) -> None:
    word = judged(known, given)
    assert (word.signature, word.report, word.counts) == ("unreadable", None, False)
    assert word.reason.startswith("the report of its agent is not believed: it is ")


def test_what_stands_twice_in_a_report_is_read_as_it_was_signed(known: report_verification.Host) -> None:
    text = raw(report()).replace(b'"score": 80', b'"score": 80, "score": 100')
    assert judged(known, text).signature == "invalid"


def test_only_a_regular_file_of_a_bounded_size_is_read(
    known: report_verification.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "pushed"
    place.mkdir()
    assert report_verification.load(known, str(place), 3600, NOW).signature == "missing"
    os.mkfifo(place / "web1.json")
    assert report_verification.load(known, str(place), 3600, NOW).signature == "unreadable"
    (place / "web1.json").unlink()
    (place / "web1.json").write_bytes(raw(report()))
    monkeypatch.setattr(report_verification, "LIMIT", 100)
    assert "larger than 100 bytes" in report_verification.load(known, str(place), 3600, NOW).reason
    monkeypatch.undo()
    assert report_verification.load(known, str(place), 3600, NOW).counts
    # What was pushed once is known: an older one that replaces it later is seen to be.
    (place / "web1.json").write_bytes(raw(report(NOW - 5)))
    assert not report_verification.load(known, str(place), 3600, NOW).counts
    assert report_verification.load(known, "auto", 3600, NOW).counts


def test_what_the_controller_keeps_is_private(known: report_verification.Host) -> None:
    known.accept(judged(known, report()), raw(report()))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [known.directory, *known.directory.iterdir()]}
    assert modes == {"web1": 0o700, "key": 0o600, "seen.json": 0o600, "report.json": 0o600}
    assert known.forget() and not known.directory.exists() and not known.forget()


@pytest.mark.parametrize("name", ["../../etc", "..", ".", "a/b", "web 1", "\u4e3b"])
def test_a_host_of_any_name_has_a_directory_below_that_of_agents(name: str, tmp_path: Path) -> None:
    made = report_verification.Host(name, tmp_path)
    assert made.directory.parent == tmp_path and made.directory.name not in (".", "..")


def test_a_damaged_key_of_the_controller_is_one_line(known: report_verification.Host) -> None:
    (known.directory / "key").write_text("zz")
    with pytest.raises(HostmendError, match="damaged"):
        judged(known, report())


def test_only_what_is_the_hosts_to_say_is_taken() -> None:
    one = {"check": "redis.no_auth", "status": "open", "title": "fine", "fix": {"risk": "safe"}, "waiver": {}}
    made = report_verification.findings({"findings": [{**one, "evidence": {"effective": 1, "x": 2}, "affects": [5]}]})
    assert made == [
        {
            "check": "redis.no_auth",
            "class": "redis",
            "status": "open",
            "evidence": {"effective": 1},
            "affects": ["5"],
            "risk": "safe",  # of the single case, as a detector says it of a live host
        }
    ]
    with pytest.raises(HostmendError, match="not that of security_facts"):
        report_verification.findings({"findings": [{"check": "<b>", "status": "open"}]})


@pytest.mark.parametrize(
    ("check", "said", "taken"),
    [
        ("redis.no_auth", "safe", "restart"),
        ("redis.no_auth", "disruptive", "disruptive"),
        ("redis.no_auth", "manual", "manual"),
        ("redis.exposed", "restart", "restart"),
        ("updates.cve", "safe", "manual"),
        ("redis.no_auth", "none at all", "restart"),
    ],
)
def test_a_host_may_raise_the_risk_of_its_own_fix_and_never_lower_it(check: str, said: str, taken: str) -> None:
    known = catalog.load()
    heard = {"check": check, "status": "open", "resource": "r", "reason": "why", "fix": {"risk": said}}
    answer = [{"check": check, "status": "open", "reason": "why", "risk": said}]
    [live] = validation.with_minimum_risk(validation.validated(answer), known)
    [mine] = validation.with_minimum_risk(report_verification.findings({"findings": [heard]}), known)
    for one in (live, mine):
        assert catalog.join(one, known)["fix"]["risk"] == taken
    lowered = taken != said and said != "none at all"
    assert mine["reason"] == (
        f"why; the host calls its fix {said}, and the catalogue's word counts: {taken}" if lowered else "why"
    )
    assert mine["reason"] == live["reason"]


def test_no_detector_calls_a_fix_safer_than_the_catalogue_does() -> None:
    folder = tree.ROOT / "plugins" / "module_utils" / "detectors"
    said: dict[str, set[str]] = {}
    for path in folder.glob("*/*.py"):
        for one in re.finditer(r"risk=?\"?\W{0,4}\"(\w+)\"", path.read_text("utf-8")):
            said.setdefault(path.parent.name, set()).add(one[1])
    known = catalog.load()
    assert said["redis"] and said["services"]
    for name, risks in said.items():
        least = min((check.fix.risk for check in known.classes[name].checks.values()), key=RISKS.index)
        assert all(RISKS.index(risk) > RISKS.index(least) for risk in risks), name


def test_five_thousand_packages_are_a_small_part_of_a_report() -> None:
    listed = [
        [f"lib-something-{number}", "1:2.36-9+deb12u9", f"something-{number}", "1:2.36-9+deb12u9"] for number in range(5000)
    ]
    facts = {"packages": listed, "distribution": {"id": "debian"}, "gaps": ("x",), "pending": ["y"]}
    told = packages.packed(facts)
    assert len(json.dumps(told, indent=1)) < 600_000
    assert packages.unpacked({"facts": {"updates": told}}) == {
        "packages": listed,
        "distribution": {"id": "debian"},
        "gaps": ["x"],
    }
    short = packages.packed(facts, limit=1000)
    assert len(json.dumps(short)) < 2000
    assert short["gaps"][1] == f"only {len(short['packages'])} of 5000 packages are in the report"


@pytest.mark.parametrize("facts", [None, [], {}, {"updates": 5}, {"updates": []}])
def test_a_report_without_packages_has_none(facts: Any) -> None:
    assert packages.unpacked({"facts": facts}) == {}
    assert packages.packed(None) == {}


def test_packages_of_another_form_are_counted_and_not_believed() -> None:
    made = packages.unpacked({"facts": {"updates": {"packages": ["a\t1\ta\t1", "a", 5, None, {"x": 1}, "b" + "\t1" * 9]}}})
    found, bad, _kernel = match.installed(made["packages"], "deb", "", True)
    assert ([one.name for one in found], bad) == (["a"], 5)
    for odd in ("x", 5, {"a": 1}):
        assert packages.unpacked({"facts": {"updates": {"packages": odd}}}) == {"packages": []}


def test_what_an_older_agent_did_not_look_at_is_unknown() -> None:
    known = catalog.load()
    given = report_verification.findings(report())
    made = report_verification.with_unknowns(given, known.classes, known, "0.0.1")
    assert {one["check"] for one in made} == set(known.checks)
    assert {one["status"] for one in made if one["check"] != "redis.no_auth"} == {"unknown"}
    assert report_verification.with_unknowns(given, ["ports"], known, "0.0.1")[0]["class"] == "ports"


@pytest.mark.parametrize(("given", "seconds"), [("26h", 93600), ("90m", 5400), (60, 60), ("2 d", 172800)])
def test_an_age_is_seconds(given: Any, seconds: int) -> None:
    assert report_verification.max_age(given) == seconds


@pytest.mark.parametrize("given", ["", "soon", "0", "-5", "5w", None])
def test_what_is_no_age_is_one_line(given: Any) -> None:
    with pytest.raises(HostmendError, match="is no age"):
        report_verification.max_age(given)


# What the command makes of it


def answered(**more: Any) -> list[dict[str, Any]]:
    """Return the events of a host that cannot be reached, and of its agent's word."""
    data = {"host": "web1", "task_action": "hostmend.hardening.security_facts"}
    stand_in = {"host": "web1", "task_action": "hostmend.hardening.agent_findings", "ignore_errors": True}
    lost = {"event": "runner_on_unreachable", "event_data": {**data, "res": {"msg": "Connection refused"}}}
    kind = "runner_on_failed" if more.get("failed") else "runner_on_ok"
    return [lost, {"event": kind, "event_data": {**stand_in, "res": {"changed": False, **more}}}]


def source(sign: str = "valid") -> dict[str, Any]:
    return {"kind": "agent", "signature": sign, "age_seconds": 7300, "sequence": 5, "finished": at(NOW)}


def test_an_agent_stands_in_for_a_host_that_cannot_be_reached(
    ansible: Ansible,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ansible.scripts = [answered(findings=[finding()], source=source(), phase="before")]
    assert main(["audit", "--from-agents", "auto", "--max-age", "30h", "--format", "json"]) == 2
    made = json.loads(capsys.readouterr().out)["hosts"]["web1"]
    assert (made["status"], made["source"]["age_seconds"]) == ("ok", 7300)
    assert ansible.requests[0].variables["hostmend_from_agents"] == "auto"
    assert ansible.requests[0].variables["hostmend_agent_max_age"] == "30h"


def test_a_word_that_does_not_count_leaves_the_host_failed(
    ansible: Ansible,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ansible.scripts = [answered(failed=True, msg="it was changed after it was signed", source=source("invalid"))]
    assert main(["audit", "--from-agents", "auto", "--format", "json", "--ignore-unreachable"]) == 1
    made = json.loads(capsys.readouterr().out)["hosts"]["web1"]
    assert (made["status"], made["score"], made["findings"]) == ("failed", None, [])
    assert made["source"]["signature"] == "invalid"
    assert "refused" in made["reason"] and "changed after it was signed" in made["reason"]


def test_a_host_without_an_agent_stays_unreachable(ansible: Ansible) -> None:
    script = answered(failed=True, msg="there is no report", source={"kind": "agent", "signature": "missing"})
    ansible.scripts = [[detected(finding("passed"), host="web2"), *script]]
    assert main(["audit", "--from-agents", "auto", "--ignore-unreachable"]) == 0


def test_wrong_words_about_agents_are_one_line(
    ansible: Ansible,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.yml").write_text("ports: {declare: []}")
    (tmp_path / "none.yml").write_text("- 5")
    for words, said in (
        (["audit", "--from-agents", "nowhere"], "there is no directory"),
        (["audit", "--max-age", "5h"], "say --from-agents too"),
        (["audit", "--from-agents", "auto", "--max-age", "soon"], "is no age"),
        (["agent", "build", "--host", "web1"], "go together"),
        (["agent", "build", "-o", "no/where.pyz"], "there is no directory"),
        (["agent", "build", "--policy", "bad.yml"], "did you mean declared"),
        (["agent", "build", "--policy", "none.yml"], "no mapping"),
        (["agent", "build", "-i", "nowhere.yml", "--host", "web1"], "no such inventory"),
    ):
        assert main(words) == 1, words
        line = capsys.readouterr().err
        assert said in line and len(line.splitlines()) == 1
    assert ansible.requests == []


def test_reports_are_collected_and_shown(
    ansible: Ansible,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = {"task_action": "hostmend.hardening.agent_report", "task": "Collect"}
    agent = {**source(), "score": 80, "enrolled": True}
    bad = {"failed": True, "msg": "it has no agent", "agent": {"kind": "agent", "signature": "missing"}}
    ansible.scripts = [
        [
            {"event": "runner_on_ok", "event_data": {**data, "host": "web1", "res": {"agent": agent}}},
            {"event": "runner_on_failed", "event_data": {**data, "host": "web2", "res": bad}},
        ]
    ] * 2
    assert main(["agent", "collect", "-i", "web1,web2"]) == 1
    said = capsys.readouterr().out
    assert "80/100" in said and "2 h" in said and "its key was taken just now" in said and "it has no agent" in said
    assert main(["agent", "collect", "-i", "web1,web2", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["web1"]["sequence"] == 5
    assert main(["runs", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_table_and_page_say_whose_word_it_is() -> None:
    evil = {**source(), "signature": "<script>alert(1)</script>\x1b[2J"}
    hosts = {"web1": {"status": "ok", "findings": [finding("passed")], "source": evil}}
    run = {"id": "r", "started": at(NOW), "finished": at(NOW), "mode": "audit", "version": "0.1.0"}
    made = model.build(run, hosts, catalog.load())
    told = table.text(made)
    assert "from its agent, 2 h old" in told and "\x1b" not in told
    page = html.render(made)
    assert "from the last report of its agent, 2 h old" in page
    assert "<script>alert" not in page and "\x1b" not in page
    jsonschema = pytest.importorskip("jsonschema")
    made["hosts"]["web1"]["source"] = source()
    schema = json.loads((tree.ROOT / "src/hostmend/report/schema/report.schema.json").read_text())
    jsonschema.validate(made, schema)


def test_under_its_unit_package_managers_can_lock_their_caches() -> None:
    from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf_state

    unit = (tree.ROOT / "roles/agent/templates/hostmend-agent.service.j2").read_text("utf-8")
    [line] = [line for line in unit.splitlines() if line.startswith("ReadWritePaths=")]
    allowed = line.partition("=")[2].split()
    assert {f"-{path}" for paths in dnf_state.CACHES.values() for path in paths} <= set(allowed)
    assert all(path.startswith("-/") for path in allowed)  # a path that is not there must not keep the unit from running


def test_the_example_for_cloud_init_has_the_units_of_the_role() -> None:
    import jinja2
    import yaml

    role = tree.ROOT / "roles" / "agent"
    values = {
        **yaml.safe_load((role / "defaults" / "main.yml").read_text("utf-8")),
        **yaml.safe_load((role / "vars" / "main.yml").read_text("utf-8")),
    }
    example = yaml.safe_load((tree.ROOT / "examples" / "cloud-init" / "user-data").read_text("utf-8"))
    files = {one["path"]: one["content"] for one in example["write_files"]}
    for name in ("hostmend-agent.service", "hostmend-agent.timer"):
        text = (role / "templates" / f"{name}.j2").read_text("utf-8")
        made = jinja2.Template(text, keep_trailing_newline=True).render(values)
        assert files[f"/etc/systemd/system/{name}"] == made


def test_what_a_report_or_a_key_is_read_from_is_a_file_and_no_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    assert agent_files.read(str(tmp_path / "file"), 1) == b"x"
    with pytest.raises(OSError, match="symbolic"):
        agent_files.read(str(tmp_path / "link"), 1)
    with pytest.raises(ValueError, match="larger than 0"):
        agent_files.read(str(tmp_path / "file"), 0)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="no regular file"):
        agent_files.read(str(tmp_path / "fifo"), 1)


def test_a_number_far_above_the_time_is_not_believed_and_shuts_nobody_out(known: report_verification.Host) -> None:
    forged = judged(known, report(NOW + 10**6, finished=NOW))
    assert not forged.counts
    assert "from the future" in forged.reason
    assert judged(known, report()).counts


def test_a_host_that_is_enrolled_anew_begins_with_its_numbers_anew(known: report_verification.Host) -> None:
    given = report()
    made = judged(known, given)
    known.accept(made, raw(given))
    assert known.seen()["sequence"] == NOW
    known.enrol(KEY, "web1", anew=True)
    assert known.seen() == {"called": "web1"}
    known.accept(made, raw(given))
    known.enrol("ef" * 32, "web1")
    assert known.seen() == {"called": "web1"}
