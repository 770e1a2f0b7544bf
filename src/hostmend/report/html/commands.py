"""The command lines that mend what a report shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any


def command(run: Mapping[str, Any], finding: Mapping[str, Any], hosts: Iterable[str]) -> str:
    """Return the command line that mends the check of ``finding`` on ``hosts``; empty where no role does."""
    if not (finding.get("fix") or {}).get("role") or finding["fix"].get("risk") == "manual":
        return ""
    argv = [*_remediate(run), "--only", str(finding["check"])]
    names = list(hosts)
    if names and len(names) <= 6:
        argv += ["--limit", ",".join(names)]
    return shlex.join(argv)


def rehearse(run: Mapping[str, Any], groups: Iterable[Mapping[str, Any]]) -> str:
    """Return the command line that shows what all fixes would change; empty where no role fixes anything."""
    if run.get("mode") == "check" or not any(command(run, group["finding"], ()) for group in groups):
        return ""
    return shlex.join([*_remediate(run), "--check"])


def _remediate(run: Mapping[str, Any]) -> list[str]:
    inventory = run.get("inventory") or ()
    argv = ["hostmend", "remediate"]
    for one in [inventory] if isinstance(inventory, str) else inventory:
        argv += ["-i", str(one)]
    return [*argv, "-b"] if run.get("become") else argv
