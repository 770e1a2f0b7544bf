"""Reports like those of real runs, for the tests of the report and for looking at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hostmend import catalog as catalogue
from hostmend.report import model

CATALOG = Path(__file__).parent / "data" / "catalog"

RUN: dict[str, Any] = {
    "id": "20261124T101502-7c1e",
    "started": "2026-11-24T10:15:02Z",
    "finished": "2026-11-24T10:15:09Z",
    "mode": "audit",
    "version": "0.1.0",
}


def finding(check: str, resource: str, status: str = "open", **more: Any) -> dict[str, Any]:
    return {
        "check": check,
        "class": check.split(".")[0],
        "status": status,
        "resource": resource,
        "evidence": {},
        "reason": "",
        **more,
    }


NO_AUTH = finding(
    "redis.no_auth",
    "redis-server 0.0.0.0:6379 (/etc/redis/redis.conf)",
    evidence={
        "effective": {
            "requirepass": "not set",
            "protected-mode": "no",
            "version": "7.0.15",
            "users": ["default nopass"],
        },
        "persistent": {
            "/etc/redis/redis.conf": [{"line": 88, "text": "protected-mode no"}, {"line": 57, "text": "bind 0.0.0.0"}]
        },
        "observed": {"PING 127.0.0.1:6379": "PONG", "PING 10.20.4.17:6379": "PONG"},
    },
    affects=["10.20.4.31:51334 (2 connections, lib=redis-py)", "10.20.4.32:40112 (1 connection, lib=jedis)"],
    risk="disruptive",
)
EXPOSED = finding(
    "redis.exposed",
    "redis-server 0.0.0.0:6379 (/etc/redis/redis.conf)",
    evidence={"effective": {"listeners": ["tcp 0.0.0.0:6379", "tcp [::]:6379"], "reach": "open", "by": "no firewall"}},
)
PORT = finding(
    "ports.exposed",
    "tcp/6379 redis-server",
    evidence={
        "effective": {
            "listener": "0.0.0.0:6379",
            "process": "redis-server",
            "unit": "redis-server.service",
            "reach": "open",
            "sources": ["0.0.0.0/0"],
        },
        "persistent": {"nftables.service": "disabled"},
    },
)
SSH_PORT = finding(
    "ports.exposed",
    "tcp/22 sshd",
    severity="medium",
    evidence={
        "effective": {"listener": "0.0.0.0:22", "process": "sshd", "reach": "open", "sources": ["0.0.0.0/0", "::/0"]}
    },
)
FIREWALL = finding(
    "ports.firewall_off",
    "host firewall",
    evidence={
        "effective": {
            "nftables": "no ruleset",
            "iptables": "policy ACCEPT",
            "ufw": "not installed",
            "firewalld": "not installed",
        }
    },
)
AVAHI = finding(
    "services.unneeded",
    "avahi-daemon.service",
    evidence={
        "effective": {"active": "active", "listens": ["udp/5353"], "connections seen": 0},
        "persistent": {"enabled": "enabled", "avahi-daemon.socket": "enabled"},
    },
)
TELNET = finding(
    "services.legacy_plaintext",
    "telnet.socket",
    evidence={"effective": {"active": "active", "listens": ["tcp [::]:23"]}, "persistent": {"enabled": "enabled"}},
)
CLEAN = [
    finding("redis.no_auth", "", "not_applicable", reason="no Redis, Valkey or KeyDB server is running"),
    finding("redis.exposed", "", "not_applicable", reason="no Redis, Valkey or KeyDB server is running"),
    finding("redis.runtime_differs", "", "not_applicable", reason="no Redis, Valkey or KeyDB server is running"),
    finding(
        "ports.exposed", "host", "passed", evidence={"effective": {"listeners": 4, "reachable": ["tcp/443 nginx"]}}
    ),
    finding(
        "ports.firewall_off", "host firewall", "passed", evidence={"effective": {"manager": "ufw", "policy": "deny"}}
    ),
    finding("services.unneeded", "host", "passed"),
    finding("services.legacy_plaintext", "host", "passed"),
]
UNKNOWN_PORTS = finding(
    "ports.undeclared",
    "host",
    "unknown",
    reason="the firewall could not be read: nft needs root, and sudo asked for a password",
)

FLEET: dict[str, dict[str, Any]] = {
    "cache-01.example.net": {
        "status": "ok",
        "findings": [NO_AUTH, EXPOSED, PORT, SSH_PORT, FIREWALL, AVAHI, *CLEAN[5:]],
    },
    "web-01.example.net": {
        "status": "ok",
        "findings": [
            AVAHI,
            TELNET,
            UNKNOWN_PORTS,
            *CLEAN[:5],
            {
                **FIREWALL,
                "status": "waived",
                "waiver": {
                    "reason": "The cloud's security group cuts this host off",
                    "owner": "mei.lin",
                    "expires": "2027-01-31",
                },
            },
        ],
    },
    "web-02.example.net": {"status": "ok", "findings": list(CLEAN)},
    "bastion.example.net": {
        "status": "ok",
        "findings": [
            finding(
                "logins.success_after_failures",
                "user deploy from 203.0.113.77",
                evidence={
                    "observed": {
                        "failures": 214,
                        "first": "2026-11-24T03:11:40Z",
                        "login": "2026-11-24T03:52:09Z",
                        "log": "journal sshd-session",
                    }
                },
            ),
            finding(
                "ports.undeclared",
                "tcp/9100 node_exporter",
                evidence={"effective": {"listener": "[::]:9100", "process": "node_exporter"}},
            ),
            finding(
                "redis.runtime_differs",
                "redis-server 127.0.0.1:6379 (/etc/redis/redis.conf)",
                evidence={"effective": {"maxmemory": "2gb"}, "persistent": {"maxmemory": "not set"}},
            ),
            *CLEAN[3:],
        ],
    },
    "db-01.example.net": {
        "status": "unreachable",
        "reason": "ssh: connect to host 10.20.4.9 port 22: Connection timed out",
        "findings": [],
    },
}

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "{{7*7}}{% raw %}'\"&amp;</script></details>\x1b[31mred\x1b[0m\nsecond\u202eline"
)


def load_catalog() -> catalogue.Catalog:
    return catalogue.load(CATALOG)


def fleet(language: str = "en", **run: Any) -> dict[str, Any]:
    return model.build({**RUN, **run}, FLEET, load_catalog(), language)


def remediation(mode: str = "remediate") -> dict[str, Any]:
    before = FLEET["cache-01.example.net"]["findings"]
    moved = finding(
        "redis.exposed",
        "redis-server 127.0.0.1:6379 (/etc/redis/redis.conf)",
        "passed",
        evidence={"effective": {"listeners": ["tcp 127.0.0.1:6379"]}},
    )
    after = [
        {**NO_AUTH, "status": "passed", "evidence": {"observed": {"PING 127.0.0.1:6379": "NOAUTH"}}, "affects": []},
        moved,
        {**FIREWALL, "status": "unknown", "reason": "the ruleset changed while it was read"},
        SSH_PORT,
        {
            **AVAHI,
            "status": "passed",
            "evidence": {"effective": {"active": "inactive"}, "persistent": {"enabled": "masked"}},
        },
        finding("ports.exposed", "host", "passed"),
        *CLEAN[5:],
    ]
    changes = [
        {
            "role": "redis",
            "kind": "file",
            "name": "/etc/redis/redis.conf",
            "action": "changed",
            "check": "redis.no_auth",
            "diff": "--- /etc/redis/redis.conf\n+++ /etc/redis/redis.conf\n@@ -57 +57 @@\n"
            "-bind 0.0.0.0\n+bind 127.0.0.1 -::1\n",
        },
        {"role": "redis", "kind": "setting", "name": "requirepass", "action": "********"},
        {"role": "services", "kind": "unit", "name": "avahi-daemon.socket", "action": "stopped, disabled, masked"},
    ]
    web = FLEET["web-02.example.net"]
    if mode == "check":
        hosts = {
            "cache-01.example.net": {"status": "ok", "findings": before, "changes": changes},
            "web-02.example.net": web,
        }
    else:
        hosts = {
            "cache-01.example.net": {"status": "ok", "findings": after, "before": before, "changes": changes},
            "web-02.example.net": web,
        }
    return model.build({**RUN, "mode": mode}, hosts, load_catalog())


def hostile() -> dict[str, Any]:
    bad = finding(
        "redis.no_auth",
        HOSTILE,
        reason=HOSTILE,
        affects=[HOSTILE],
        evidence={"effective": {HOSTILE: HOSTILE, "list": [HOSTILE, {"x": HOSTILE}]}, "observed": HOSTILE},
    )
    changes = [{"role": HOSTILE, "kind": HOSTILE, "name": HOSTILE, "action": HOSTILE, "diff": HOSTILE}]
    unheard = finding("no.such<b>", HOSTILE, "unknown", reason=HOSTILE)
    waived = {
        **bad,
        "resource": "w",
        "status": "waived",
        "waiver": {"reason": HOSTILE, "owner": HOSTILE, "expires": HOSTILE},
    }
    hosts = {
        "evil": {"status": "ok", "findings": [bad, unheard, waived], "changes": changes},
        HOSTILE: {"status": "failed", "reason": HOSTILE, "findings": []},
    }
    return model.build({**RUN, "id": HOSTILE, "version": HOSTILE}, hosts, load_catalog())


def large(hosts: int = 200, findings: int = 100) -> dict[str, Any]:
    """A large fleet: of each host's findings a fifth is open, a twentieth unknown and the rest is in order."""
    opened = (NO_AUTH, EXPOSED, PORT, SSH_PORT, FIREWALL, AVAHI, TELNET)
    names = sorted(load_catalog().checks)
    made: dict[str, dict[str, Any]] = {}
    for number in range(hosts):
        rows: list[dict[str, Any]] = []
        for index in range(findings):
            if index % 5 == 0:
                rows.append(
                    {
                        **opened[(index // 5 + number) % (1 + number % 7)],
                        "resource": f"instance {index} on 10.1.{number}.7",
                    }
                )
            elif index % 20 == 1:
                rows.append({**UNKNOWN_PORTS, "resource": f"table {index}"})
            else:
                check = names[(index + number) % len(names)]
                status = "passed" if index % 3 else "not_applicable"
                rows.append(
                    finding(
                        check,
                        f"resource {index}",
                        status,
                        reason="nothing of the kind is installed",
                        evidence={"effective": {"value": "yes", "listeners": ["tcp 127.0.0.1:6379"]}},
                    )
                )
        made[f"host-{number:03d}.example.net"] = {"status": "ok", "findings": rows}
    return model.build(RUN, made, load_catalog())


def alike(count: int = 30) -> dict[str, Any]:
    """A host with many open findings of one check, one of them known to be exploited, and one of another."""
    found = [finding("ports.exposed", f"tcp/{9000 + number} service-{number}") for number in range(count)]
    found[3] = {**found[3], "known_exploited": True}
    return model.build(RUN, {"many": {"status": "ok", "findings": [*found, TELNET, *CLEAN]}}, load_catalog())
