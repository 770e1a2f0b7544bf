"""What a person can do after a run: the next command, as it is to be typed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click

from hostmend.cli.options import Common
from hostmend.report.text import visible


def command(verb: str, common: Common, *words: str) -> str:
    """Return a command line on the same hosts."""
    made = ["hostmend", verb, *words[:1]] if verb == "rollback" else ["hostmend", verb]
    for one in common.inventory:
        made += ["-i", one]
    if common.limit:
        made += ["--limit", common.limit]
    if "--become" in common.ansible:
        made.append("-b")
    made += words[1:] if verb == "rollback" else words
    return shlex.join(made)


def next_steps(report: Mapping[str, Any], common: Common) -> list[str]:
    """Return one line for each thing that may be done next."""
    run, hosts = report["run"], list(report["hosts"].values())
    mode = run.get("mode")
    mendable = any(one["status"] == "open" and one["fix"]["risk"] != "manual" for host in hosts for one in host["findings"])
    made = []
    if mode == "remediate" and any(host.get("changes") for host in hosts):
        made.append(f"Run {run['id']}. Take it back: {command('rollback', common, run['id'])}")
    elif mode == "check" and mendable:
        made.append(f"Nothing was changed. Mend it: {command('remediate', common)}")
    elif mode == "audit" and mendable:
        made.append(f"See what mending would change: {command('remediate', common, '--check')}")
    return made


def say_next(line: str) -> None:
    """Print such a line."""
    click.echo(visible(line, 1000))
