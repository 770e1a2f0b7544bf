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
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import Instance
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import remedy as services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import remedy as updates
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found, passed, with_remedies
from ansible_collections.hostmend.hardening.plugins.modules import redis_access

from hostmend.catalog import load
from hostmend.core import validation
from tests.support.paths import ROOT

INSTANCE = {"listeners": ["0.0.0.0:6379"], "config_file": "/etc/redis/redis.conf", "unit": "redis.service"}
FILE = {"secret": True, "mode": "0644", "readable": True}
INSTANCES = {
    "r": Instance(name="r", files={"/etc/redis/redis.conf": FILE}, group=["s"], **INSTANCE),
    "s": Instance(name="s", files={"/s.conf": FILE}, unit="s.service", start={"known": True, "options": {"bind": "x"}},
                  folder="/s", group=["r"]),
    "x": Instance(name="x", files={"/x.conf": FILE}, unit="x.service", start={"known": True}),
}  # fmt: skip
KEPT = {"files": ["/etc/redis/redis.conf", "/etc/systemd/system/s.service.d/zz-hostmend.conf", "/s", "/s.conf"],
        "units": ["s.service"]}  # fmt: skip
PORT = {"port": 6379, "proto": "tcp", "process": "redis-server"}
REACHED = {
    "firewall": {"manager": "none"}, "controllers": ["10.0.0.9"],
    "ports": [{"port": 22, "proto": "tcp", "ways": [{"state": "open"}]},
              {"port": 25, "proto": "tcp", "ways": [{"state": "closed"}]}],
}  # fmt: skip
CLOSED = {"close": {}, "published": {}, "drop": False, "listening": [], "manager": "none", "controllers": ["10.0.0.9"]}
RENEWAL = {"live": True, "renewal": {"certbot": {"program": "/usr/bin/certbot"}}}
ENTRY = {"file": "/etc/inetd.conf", "kind": "inetd", "name": "telnet", "proto": "tcp"}
BANS = {"fail2ban": {"installed": True, "running": True, "complaint": ""}, "wanted": {"ssh": {"jail": "sshd"}, "ftp": {}},
        "install": ["nftables"]}  # fmt: skip
STATE = {"installed": True, "valid": True, "running": True}
BOT = {"certbot": "/usr/bin/certbot"}
LISTS = {"services": [], "probes": [], "beside": [], "built": []}
PAIR = {"certificate": "/c", "key": "/k", "lineage": "l", "names": ["a.example"], **LISTS}
NONE = {"packages": [], "units": []}
LOGS = {**NONE, "unmask": [], "cover": [], "settings": []}
UPDATES = {**NONE, "automatic": "", "origins": False, "refresh": False, "reboot": False}
POLICY = {"retention_days": 180, "allowed": {"6379/tcp": ["10.0.0.0/8"]}}


def told(name: str, check: str, resource: str = "r", **evidence: Any) -> dict[str, Any]:
    """Return the remedy of an open finding, as the controller takes it."""
    finding = found(check, resource, **evidence)
    of = {
        "certificates": lambda each: certificates.of(each, RENEWAL),
        "fail2ban": lambda each: fail2ban.of(each, BANS),
        "logrotate": lambda each: logrotate.of(each, POLICY),
        "ports": lambda each: ports.of(each, POLICY, REACHED),
        "redis": lambda each: redis.of(each, INSTANCES),
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
        ("updates.unattended_off", {"persistent": {"package": "yum-cron", "installed": False, "security": None}},
         {**UPDATES, "automatic": "yum-cron"}),
        ("updates.unattended_off", {"persistent": {"package": "unattended-upgrades", "installed": True, "security": False}},
         {**UPDATES, "automatic": "unattended-upgrades", "origins": True}),
        ("updates.unattended_off", {"persistent": {"package": "unattended-upgrades", "installed": True, "security": True}},
         {**UPDATES, "automatic": "unattended-upgrades"}),
        ("ports.firewall_off", {}, {**CLOSED, "drop": True, "listening": ["22/tcp"]}),
        ("ports.exposed", {"effective": PORT}, {**CLOSED, "close": {"6379/tcp": ["10.0.0.0/8"]}}),
        ("ports.undeclared", {"persistent": {**PORT, "port": 1, "process": "published"}},
         {**CLOSED, "published": {"1/tcp": []}}),
        ("redis.no_auth", {}, {"instance": {**INSTANCE, "auth": True, "narrow": False, "protect": []}, **KEPT}),
        ("redis.exposed", {}, {"instance": {**INSTANCE, "auth": False, "narrow": True, "protect": []}, **KEPT}),
        ("redis.config_world_readable", {},
         {"instance": {**INSTANCE, "auth": False, "narrow": False, "protect": ["/etc/redis/redis.conf"]}, **KEPT}),
        ("fail2ban.no_lockout", {},
         {"services": [], "bans": False, "lockout": True, "install": [], "wanted": {}, "state": STATE}),
        ("fail2ban.jail_missing", {"persistent": {"service": "ssh"}},
         {"services": ["ssh"], "bans": True, "lockout": False, "install": ["nftables"], "wanted": {"ssh": {"jail": "sshd"}},
          "state": STATE}),
        ("certificates.expired", {"persistent": {**PAIR, "mend": "renew"}},
         {"items": [{**PAIR, "mend": "renew", "renew": False}], "key": {}, "timer": "", **BOT}),
        ("certificates.expired", {"persistent": {**PAIR, "mend": ""}}, {"items": [], "key": {}, "timer": "", **BOT}),
        ("certificates.key_readable", {"persistent": {"key": "/k", "want_mode": "0600", "want_group": ""}},
         {"items": [], "key": {"key": "/k", "want_mode": "0600", "want_group": ""}, "timer": "", **BOT}),
        ("certificates.renewal_broken",
         {"persistent": {**PAIR, "mend": "renew", "faults": ["hook", "schedule"], "timer_unit": "certbot.timer"}},
         {"items": [{**PAIR, "mend": "hook", "renew": False}], "key": {}, "timer": "certbot.timer", **BOT}),
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
    (made,) = with_remedies([passed("redis.no_auth", "r")], lambda each: redis.of(each, INSTANCES))
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
        words += "|ansible_facts[.]hostmend[ .)]"
        found_words = re.findall(words, text)
        assert found_words == [], path
