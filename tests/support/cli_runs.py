# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the command against an Ansible that is made up: each takes the next script of events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostmend import ansible_run


def finding(
    status: str = "open", check: str = "redis.no_auth", resource: str = "redis :6379", **more: Any
) -> dict[str, Any]:
    fix = {"role": "redis", "risk": "restart"}
    return {
        "check": check,
        "class": check.split(".")[0],
        "status": status,
        "resource": resource,
        "evidence": {},
        "reason": "",
        "kind": "vulnerability",
        "severity": "high",
        "title": "Redis answers",
        "fix": fix,
        **more,
    }


def detected(*findings: dict[str, Any], host: str = "web1", phase: str = "before") -> dict[str, Any]:
    mend = [
        f"{one['check']} {one['resource']}"
        for one in findings
        if one["status"] == "open" and one["fix"]["risk"] != "manual"
    ]
    plan = {"hostmend_plan": {"roles": ["redis"] if mend else [], "mend": mend, "skip": []}}
    return {
        "event": "runner_on_ok",
        "event_data": {
            "host": host,
            "task_action": "hostmend.hardening.security_facts",
            "res": {"findings": list(findings), "phase": phase, "ansible_facts": plan},
        },
    }


class Ansible:
    """Plays the runs of Ansible: each takes the next script of events."""

    def __init__(self) -> None:
        self.scripts: list[list[dict[str, Any] | Callable[[Any], None]]] = []
        self.requests: list[ansible_run.Request] = []
        self.errors: list[str] = []

    def run(self, request: ansible_run.Request, take: Any, stop: ansible_run.Stop, show: Any = None) -> ansible_run.Result:
        self.requests.append(request)
        for one in self.scripts.pop(0) if self.scripts else []:
            if callable(one):
                one(stop)
            else:
                take(one)
        return ansible_run.Result("stopped" if stop.asked else "done", 0, self.errors)


@pytest.fixture
def ansible(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ansible:
    made = Ansible()
    monkeypatch.setattr(ansible_run, "run", made.run)
    monkeypatch.setenv("HOSTMEND_STORE", str(tmp_path / "store" / "hostmend.db"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("HOSTMEND_LANGUAGE", "HOSTMEND_NOTIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return made
