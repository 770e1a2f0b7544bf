"""What the tests of the class updates share: a host with its timers, and judgement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import updates
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Unit

from tests.support.fake_host import FakeHost

POLICY: dict[str, Any] = {**updates.POLICY, "common": {}}
TIMERS = tuple(Unit(name, "loaded", "active", "waiting", "enabled") for name in ("apt-daily.timer", "apt-daily-upgrade.timer"))


def machine(root: Path, says: dict[str, Any] | None = None, units: tuple[Unit, ...] = TIMERS, **more: Any) -> FakeHost:
    return FakeHost(root, says, units=units, **more)


def judge(host: FakeHost, **policy: Any) -> dict[tuple[str, str], dict[str, Any]]:
    chosen = {**POLICY, **policy}
    found = updates.check(updates.collect(host, chosen), chosen)
    assert {one["check"] for one in found} == set(updates.CHECKS)
    assert len({(one["check"], one["resource"]) for one in found}) == len(found)
    return {(one["check"].split(".")[1], one["resource"]): one for one in found}


def statuses(found: dict[tuple[str, str], dict[str, Any]], check: str) -> dict[str, str]:
    return {resource: one["status"] for (name, resource), one in found.items() if name == check}
