"""What a role is told of an open finding, and that it reads nothing else of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import remedy as certificates
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import remedy as fail2ban
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate import remedy as logrotate
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.ports import remedy as ports
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis import remedy as redis
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import remedy as services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import remedy as updates
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found, passed, with_remedies
from ansible_collections.hostmend.hardening.plugins.modules import redis_access

from hostmend.catalog import load
from hostmend.core import validation
from tests.support.paths import ROOT

INSTANCE = {"listeners": ["0.0.0.0:6379"], "config_file": "/etc/redis/redis.conf", "unit": "redis.service"}
PORT = {"port": 6379, "proto": "tcp", "process": "redis-server"}
ENTRY = {"file": "/etc/inetd.conf", "kind": "inetd", "name": "telnet", "proto": "tcp"}
BANS = {"fail2ban": {"installed": True, "running": True, "complaint": ""}, "wanted": {"ssh": {}, "ftp": {}}}
LISTS = {"services": [], "probes": [], "beside": [], "built": []}
PAIR = {"certificate": "/c", "key": "/k", "lineage": "l", "names": ["a.example"], **LISTS}
NONE = {"packages": [], "units": []}
LOGS = {**NONE, "unmask": [], "cover": [], "settings": []}
UPDATES = {**NONE, "automatic": "", "refresh": False, "reboot": False}
POLICY = {"retention_days": 180, "allowed": {"6379/tcp": ["10.0.0.0/8"]}}


def told(name: str, check: str, resource: str = "r", **evidence: Any) -> dict[str, Any]:
    """Return the remedy of an open finding, as the controller takes it."""
    finding = found(check, resource, **evidence)
    of = {
        "certificates": lambda each: certificates.of(each, {"live": True}),
        "fail2ban": lambda each: fail2ban.of(each, BANS),
        "logrotate": lambda each: logrotate.of(each, POLICY),
        "ports": lambda each: ports.of(each, POLICY),
        "redis": redis.of,
        "services": services.of,
        "updates": updates.of,
    }[name]
    (made,) = validation.with_sound_remedies(with_remedies([finding], of), load())
    remedy: dict[str, Any] = made["remedy"]
    assert set(remedy) == set(load().classes[name].remedy)
    return remedy


@pytest.mark.parametrize(
    ("check", "evidence", "expected"),
    [
        ("services.unneeded", {"persistent": {"units": {"b": "enabled", "a": "none"}}, "effective": {"listeners": ["tcp x:1"]}},
         {"units": ["a", "b"], "entries": [], "listeners": ["tcp x:1"]}),
        ("services.legacy_plaintext", {"persistent": {**ENTRY, "line": 3}}, {"units": [], "entries": [ENTRY], "listeners": []}),
        ("logrotate.missing", {}, {**LOGS, "packages": ["logrotate"]}),
        ("logrotate.not_running", {}, {**LOGS, "units": ["logrotate.timer"]}),
        ("logrotate.not_running", {"persistent": {"masked": ["logrotate.service"]}},
         {**LOGS, "units": ["logrotate.timer"], "unmask": ["logrotate.service"]}),
        ("logrotate.uncovered", {}, {**LOGS, "cover": ["r"]}),
        ("logrotate.retention", {"persistent": {"file": "/f", "log": "/l", "rotate": 26, "maxage": ""}},
         {**LOGS, "settings": [{"file": "/f", "log": "/l", "kind": "rotate", "rotate": 26, "days": 180}]}),
        ("updates.security_pending", {}, {**UPDATES, "packages": ["r"]}),
        ("updates.index_stale", {}, {**UPDATES, "refresh": True}),
        ("updates.reboot_required", {}, {**UPDATES, "reboot": True}),
        ("updates.stale_process", {}, {**UPDATES, "units": ["r"]}),
        ("updates.unattended_off", {"persistent": {"package": "yum-cron"}}, {**UPDATES, "automatic": "yum-cron"}),
        ("ports.firewall_off", {}, {"close": {}, "published": {}, "drop": True}),
        ("ports.exposed", {"effective": PORT}, {"close": {"6379/tcp": ["10.0.0.0/8"]}, "published": {}, "drop": False}),
        ("ports.undeclared", {"persistent": {**PORT, "port": 1, "process": "published"}},
         {"close": {}, "published": {"1/tcp": []}, "drop": False}),
        ("redis.no_auth", {"effective": INSTANCE, "persistent": {}}, {**INSTANCE, "auth": True, "narrow": False, "protect": []}),
        ("redis.exposed", {"persistent": INSTANCE}, {**INSTANCE, "auth": False, "narrow": True, "protect": []}),
        ("redis.config_world_readable", {"effective": INSTANCE, "persistent": {"open": ["/a"]}},
         {**INSTANCE, "auth": False, "narrow": False, "protect": ["/a"]}),
        ("fail2ban.no_lockout", {}, {"services": [], "bans": False, "lockout": True}),
        ("fail2ban.jail_missing", {"persistent": {"service": "ssh"}}, {"services": ["ssh"], "bans": True, "lockout": False}),
        ("certificates.expired", {"persistent": {**PAIR, "mend": "renew"}},
         {"items": [{**PAIR, "mend": "renew", "renew": False}], "key": {}, "timer": ""}),
        ("certificates.expired", {"persistent": {**PAIR, "mend": ""}}, {"items": [], "key": {}, "timer": ""}),
        ("certificates.key_readable", {"persistent": {"key": "/k", "want_mode": "0600", "want_group": ""}},
         {"items": [], "key": {"key": "/k", "want_mode": "0600", "want_group": ""}, "timer": ""}),
        ("certificates.renewal_broken",
         {"persistent": {**PAIR, "mend": "renew", "faults": ["hook", "schedule"], "timer_unit": "certbot.timer"}},
         {"items": [{**PAIR, "mend": "hook", "renew": False}], "key": {}, "timer": "certbot.timer"}),
    ],
)  # fmt: skip
def test_what_a_role_is_told(check: str, evidence: dict[str, Any], expected: dict[str, Any]) -> None:
    assert told(check.split(".")[0], check, **evidence) == expected


def test_half_an_installation_is_no_package() -> None:
    assert told("updates", "updates.security_pending", "dpkg")["packages"] == []


def test_where_nothing_bans_every_service_gets_a_jail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BANS, "fail2ban", {"installed": False})
    assert told("fail2ban", "fail2ban.missing")["services"] == ["ftp", "ssh"]


def test_only_what_is_open_has_a_remedy() -> None:
    (made,) = with_remedies([passed("redis.no_auth", "r")], redis.of)
    assert "remedy" not in made


def test_an_instance_that_several_findings_name_is_mended_once() -> None:
    common = {**INSTANCE, "protect": ["/a"]}
    other = {**common, "listeners": ["127.0.0.1:6380"], "auth": False, "narrow": False}
    made = redis_access.merged([{**common, "auth": True, "narrow": False}, other,
                                {**common, "auth": False, "narrow": True, "protect": ["/a", "/b"]}])  # fmt: skip
    assert made == [{**INSTANCE, "auth": True, "narrow": True, "protect": ["/a", "/b"]}, other]


def test_no_role_reads_evidence_or_chooses_again() -> None:
    for path in [*ROOT.glob("roles/*/vars/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")]:
        text = path.read_text("utf-8")
        words = "evidence|hostmend_findings|hostmend_plan|hostmend_skip|hostmend_max_risk|fix[.]risk"
        found_words = re.findall(words, text)
        assert found_words == [], path
