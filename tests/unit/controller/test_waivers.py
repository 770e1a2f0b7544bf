"""Waivers: what they are about, how long they hold, and what a broken file says."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hostmend import waivers
from hostmend.cli import main
from hostmend.core.errors import HostmendError

DAY = datetime.date(2026, 6, 30)
ENTRY = {"check": "ports.exposed", "reason": "mail must come in", "owner": "Mail", "expires": DAY}
FINDING = {"check": "ports.exposed", "resource": "tcp *:25", "status": "open"}


def parsed(*entries: dict[str, Any]) -> list[waivers.Waiver]:
    return waivers.parse(yaml.safe_dump(list(entries)), "w.yml")


def applied(entry: dict[str, Any], on: datetime.date = DAY, **finding: str) -> dict[str, Any]:
    (made,) = waivers.apply([{**FINDING, **finding}], parsed({**ENTRY, **entry}), "mail1", ["mail", "dmz"], on)
    return made


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ({}, "waived"),
        ({"check": "ports.undeclared"}, "open"),
        ({"resource": "tcp *:25"}, "waived"),
        ({"resource": "tcp *"}, "waived"),
        ({"resource": "tcp *:2"}, "open"),
        ({"hosts": ["mail*"]}, "waived"),
        ({"hosts": ["web1"]}, "open"),
        ({"hosts": ["web1"], "groups": ["dmz"]}, "waived"),
        ({"groups": ["web"]}, "open"),
    ],
)
def test_a_waiver_is_about_what_it_names(entry: dict[str, Any], status: str) -> None:
    assert applied(entry)["status"] == status


def test_a_bracket_in_a_resource_is_no_pattern_where_the_text_is_the_same() -> None:
    assert applied({"resource": "tcp [::]:25"}, resource="tcp [::]:25")["status"] == "waived"


def test_it_holds_to_the_end_of_its_last_day_and_then_the_finding_is_open_again() -> None:
    told = {"reason": "mail must come in", "owner": "Mail", "expires": "2026-06-30"}
    assert applied({}, DAY)["waiver"] == told
    after = applied({}, DAY + datetime.timedelta(days=1))
    assert (after["status"], after["waiver_expired"]) == ("open", told)
    assert "waiver" not in after


def test_the_one_that_lasts_longest_counts() -> None:
    both = parsed(ENTRY, {**ENTRY, "expires": datetime.date(2026, 12, 31), "owner": "Second"})
    (made,) = waivers.apply([FINDING], both, "mail1", [], DAY + datetime.timedelta(days=1))
    assert made["waiver"]["owner"] == "Second"


@pytest.mark.parametrize("status", ["passed", "unknown", "not_applicable"])
def test_only_what_is_open_is_waived(status: str) -> None:
    assert applied({}, status=status)["status"] == status


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- check: [", "not YAML, line 1"),
        ("check: x", "not a list"),
        ("- just words", "waiver 1 in w.yml is not a mapping"),
        ("- {check: a.b, reason: r, owner: o}", "waiver 1 in w.yml has no expires"),
        ("- {check: a.b, owner: o, expires: 2027-01-01}", "has no reason"),
        ("- {check: a.b, reason: r, owner: o, expires: soon}", "soon is no day"),
        ("- {check: a.b, reason: r, owner: o, expires: 2027-01-01, host: x}", "unknown member host"),
        ("- {check: a.b, reason: r, owner: o, expires: 2027-01-01, hosts: []}", "leave them out to mean all hosts"),
        ("- {check: a.b, reason: r, owner: o, expires: 2027-01-01, hosts: {a: b}}", "lists of names"),
    ],
)
def test_a_broken_file_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(HostmendError, match=said):
        waivers.parse(text, "w.yml")


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(HostmendError, match="not UTF-8"):
        waivers.load(tmp_path / "w.yml")
    with pytest.raises(HostmendError, match="cannot be read: Is a directory"):
        waivers.load(tmp_path)
    assert waivers.load(tmp_path / "none.yml") == []


def inventory(tmp_path: Path) -> Path:
    (tmp_path / "hosts.ini").write_text("mail1\n")
    return tmp_path / "hosts.ini"


WAIVE = ("waive", "ports.exposed", "--reason", "why", "--owner", "me", "--expires")


def test_the_command_adds_to_the_file_beside_the_inventory_and_keeps_what_is_there(tmp_path: Path) -> None:
    where = str(inventory(tmp_path))
    path = tmp_path / "group_vars/hostmend_waivers.yml"
    assert main([*WAIVE, "2099-01-31", "-i", where, "--host", "mail1", "--resource", "tcp *:25"]) == 0
    path.write_text(path.read_text() + "# a note of ours\n")
    assert main([*WAIVE, "90d", "-i", str(tmp_path), "--group", "mail"]) == 0
    assert "# a note of ours" in path.read_text()
    first, second = waivers.load(path)
    assert (first.hosts, first.resource, first.expires) == (("mail1",), "tcp *:25", datetime.date(2099, 1, 31))
    assert second.expires == waivers.today() + datetime.timedelta(days=90)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("waive", "ports.exposd", *WAIVE[2:], "2099-01-01"), "no such check: ports.exposd (did you mean ports.exposed?)"),
        ((*WAIVE, "2020-01-01"), "--expires: 2020-01-01 is past"),
        ((*WAIVE, "next week"), "--expires: next week is no day"),
        ((*WAIVE, "90d", "-i", "a,b"), "an inventory of names alone has no place for waivers"),
        ((*WAIVE, "90d", "-i", "/nowhere"), "no such inventory: /nowhere"),
        (WAIVE[:2], "Missing option '--reason'"),
    ],
)
def test_a_waiver_that_is_not_whole_is_refused(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


def test_nothing_is_added_to_a_file_that_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "group_vars/hostmend_waivers.yml"
    path.parent.mkdir()
    path.write_text("- check: [\n")
    assert main([*WAIVE, "90d", "-i", str(inventory(tmp_path))]) == 1
    assert "not YAML" in capsys.readouterr().err
    assert path.read_text() == "- check: [\n"


def test_an_audit_stops_before_it_begins_where_the_waivers_are_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "group_vars/hostmend_waivers.yml"
    path.parent.mkdir()
    path.write_text("- {check: a.b}\n")
    assert main(["audit", "-i", str(inventory(tmp_path))]) == 1
    assert "waiver 1 in" in capsys.readouterr().err


def test_the_list_says_which_has_expired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "group_vars/hostmend_waivers.yml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump([ENTRY | {"expires": "2020-01-01"}, ENTRY | {"expires": "2099-01-01", "check": "a.b"}]))
    assert main(["waivers", "-i", str(inventory(tmp_path)), "--format", "json"]) == 2
    assert [one["expired"] for one in json.loads(capsys.readouterr().out)] == [True, False]
    assert main(["waivers", "-i", str(inventory(tmp_path))]) == 2
    shown = capsys.readouterr().out
    assert "2020-01-01 expired" in shown
    assert "a.b (no such check)" in shown
