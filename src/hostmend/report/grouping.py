"""Findings that differ in nothing but their resource, brought together for people: eighty pending updates are one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hostmend.core.finding import grade

#: As many findings as this are shown one by one, however alike they are.
GROUP_ABOVE = 5


def group_by_content(findings: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the findings in groups, each where its first one was; a group of one is a finding by itself."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    # Each finding with the group that it is in.
    placed = [(finding, groups.setdefault(content(finding), [])) for finding in findings]
    for finding, group in placed:
        group.append(finding)
    made: list[list[Mapping[str, Any]]] = []
    for finding, group in placed:
        if len(group) <= GROUP_ABOVE:
            made.append([finding])
        elif group[0] is finding:
            made.append(group)
    return made


def content(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a report says of a finding besides its resource; the age of an open one is not part of it."""
    return (
        finding["check"],
        finding["status"],
        grade(finding),
        finding.get("outcome"),
        finding["fix"]["risk"],
        bool(finding.get("known_exploited")),
        finding.get("trend"),
        finding.get("reason") or "",
        repr(finding.get("waiver") or finding.get("waiver_expired") or ""),
    )
