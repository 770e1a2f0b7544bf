"""Compare a host's packages with the bundle of advisories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

CHECK = "updates.cve"


def join(
    findings: list[dict[str, Any]],
    facts: Any,
    system: Any,
    option: Callable[[str], Any],
    path: Callable[[str], str],
) -> list[dict[str, Any]]:
    """Return the findings, with what the advisories say of the host's packages."""
    if not any(finding["check"] == CHECK for finding in findings):
        return findings
    from hostmend import advisories
    from hostmend.advisories import findings as compared

    given, days = option("advisories"), option("advisories_days")
    place = advisories.location(path(given) if given else None)
    return compared.join(findings, facts, system, place, advisories.MAX_AGE_DAYS if days is None else days)


def from_agent(report: Mapping[str, Any]) -> Any:
    """Return the packages that an agent's report lists."""
    from hostmend.agent import packages

    return packages.unpacked(report)


def preload() -> None:
    """Read the bundle, where there is one."""
    from hostmend import advisories

    if advisories.location().exists():
        from hostmend.advisories import findings

        findings.preload()
