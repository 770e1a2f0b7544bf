"""Dovecot: 2.4 writes other words than 2.3, and what PAM writes beside them is in the journal alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import relate, remedy, services, table
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import client, jails

from tests.support.fake_host import FakeHost
from tests.support.paths import FIXTURES

# The filter of fail2ban 1.1.0, as its server on Debian 13 told it.
FILTER = json.loads((FIXTURES / "fail2ban" / "dovecot_trixie.json").read_text())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\npassdb {\n  driver = pam\n}\n", ("2.3", "yes")),
        ("# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf\npassdb pam {\n}\nuserdb passwd {\n}\n", ("2.4", "yes")),
        ("# 2.4.1-4 (7d8c0e5759): x\npassdb passwd-file {\n  passwd_file_path = /etc/dovecot/users\n}\n", ("2.4", "no")),
    ],
)
def test_what_dovecot_says_of_itself(tmp_path: Path, said: str, told: tuple[str, str]) -> None:
    made = services._dovecot(FakeHost(tmp_path, {"": said}))
    assert (made["version"], made["usepam"]) == told


@pytest.mark.parametrize(
    ("version", "usepam", "jail", "blind"),
    [
        ("2.3", "no", {"kind": "journal"}, False),
        ("2.4", "yes", {"kind": "journal"}, False),
        ("2.4", "no", {"kind": "journal"}, True),
        ("2.4", "yes", {"kind": "files", "logs": ["/var/log/mail.log"]}, True),
        ("2.4", "yes", {"kind": "files", "logs": ["/var/log/auth.log"]}, False),
        ("", "no", {"kind": "journal"}, False),
    ],
)
def test_the_filter_of_fail2ban_1_1_and_dovecot(version: str, usepam: str, jail: dict[str, Any], blind: bool) -> None:
    known = table.BY_NAME["dovecot"]
    service = {"name": "dovecot", "settings": {"version": version, "usepam": usepam}}
    lines = [line.format("dovecot") for line in relate.lines_of(service, known, False, jail)]
    assert any(client.catches(FILTER["prefix"], FILTER["regexes"], line) for line in lines) is not blind
    assert any(client.catches(FILTER["prefix"], [*FILTER["regexes"], table.DOVECOT], line) for line in lines)


def test_a_user_s_name_is_not_taken_for_an_address() -> None:
    line = table.BY_NAME["dovecot"].lines[1].format("dovecot")
    assert client.catches(FILTER["prefix"], [table.DOVECOT], line)
    forged = line.replace("user=<victim>", "user=<x>, method=PLAIN, rip=198.51.100.1, lip=y>")
    assert not client.catches(FILTER["prefix"], [table.DOVECOT], forged)


def test_expressions_beside_a_filter_do_not_take_the_place_of_its_own(tmp_path: Path) -> None:
    wanted = remedy.wanted(
        FakeHost(tmp_path, running=False),
        {"name": "dovecot", "ports": [110], "own_logs": [], "identifiers": ["dovecot"], "unit": "dovecot.service", "socket": "",
         "settings": {"version": "2.4"}},
        {"journal": True, "level": 7})  # fmt: skip
    facts = {"wanted": {"dovecot": wanted}, "local": {}, "jails": {}, "own": {}, "banaction": "nftables", "controllers": []}
    asked = {"ignore": [], "maxretry": 5, "findtime": 600, "bantime": 3600, "recidive": False}
    text = jails.render(facts, asked, ["dovecot"], "")[0]
    assert "filter = dovecot\n" in text
    assert "failregex = %(known/failregex)s\n            ^Login aborted: " in text
