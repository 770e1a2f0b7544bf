"""The rows that a report makes in the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def clean(text: Any, limit: int = 600) -> str:
    """Return text that every database takes, in an index too: no NUL, no lone surrogate, not too long."""
    made = str(text).replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
    if len(made) <= limit:
        return made
    return f"{made[: limit - 17]} {hashlib.sha256(made.encode()).hexdigest()[:16]}"


def rows_of(report: Mapping[str, Any]) -> list[tuple[Any, list[dict[str, Any]]]]:
    """Return the rows that a report makes in each table."""
    from hostmend.store import tables

    run = str(report["run"]["id"])
    hosts: list[dict[str, Any]] = []
    findings: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    for name, host in report["hosts"].items():
        about = {"run_id": run, "host": clean(name)}
        hosts.append(
            {**about, "status": host["status"], "score": host["score"], "reason": clean(host.get("reason") or "")}
        )
        seen: set[tuple[str, str]] = set()
        for one in host["findings"]:
            identity = clean(one["check"]), clean(one.get("resource") or "")
            if identity in seen:
                continue
            seen.add(identity)
            findings.append(
                {
                    **about,
                    "check": identity[0],
                    "resource": identity[1],
                    "class": clean(one.get("class") or ""),
                    "kind": clean(one.get("kind") or ""),
                    "status": clean(one["status"]),
                    "grade": clean(one.get("level") or one.get("severity") or ""),
                    "outcome": one.get("outcome"),
                }
            )
        for place, one in enumerate(host.get("changes") or ()):
            changes.append(
                {
                    **about,
                    "place": place,
                    "predicted": report["run"].get("mode") == "check",
                    **{key: clean(one.get(key) or "") for key in ("role", "kind", "name", "action")},
                }
            )
    return [(tables.run_hosts, hosts), (tables.findings, findings), (tables.changes, changes)]
