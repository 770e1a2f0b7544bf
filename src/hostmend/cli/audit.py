"""``hostmend audit``: find what is insecure, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hostmend.cli import options
from hostmend.core.errors import HostmendError


@click.command(cls=options.GroupedCommand)
@options.shared
@click.option(
    "--from-agents",
    metavar="DIR|auto",
    help="Take hosts that cannot be reached from the reports of their agents: DIR/HOST.json, or what was collected.",
)
@click.option("--max-age", metavar="AGE", help="How old such a report may be (default: the policy's, 26h).")
def audit(from_agents: str | None, max_age: str | None, **given: Any) -> int:
    """Find what is insecure on the hosts, show it, and change nothing.

    \b
    hostmend audit                                    this machine
    hostmend audit -i inventory -b --output reports   a fleet, as root, with an HTML report
    hostmend audit -i web1,web2 -u admin -b -K --class redis --fail-on high
    hostmend audit -i inventory -b --from-agents auto hosts that cannot be reached by their agents' last reports
    """
    from hostmend.cli.work import Work

    variables = _agents(from_agents, max_age)
    work = Work(options.gather(given), "audit")
    if work.common.list_hosts:
        return work.list_hosts()
    run = work.ansible("audit.yml", variables)
    return work.finish(work.report(run))


def _agents(place: str | None, age: str | None) -> dict[str, Any]:
    """Return the variables that let agents stand in for hosts."""
    if place is None:
        if age is not None:
            raise HostmendError("--max-age is about reports of agents: say --from-agents too")
        return {}
    from hostmend.agent import report_verification

    made: dict[str, Any] = {}
    if age is not None:
        report_verification.max_age(age)
        made["hostmend_agent_max_age"] = age
    if place != "auto":
        directory = Path(place).expanduser().absolute()
        if not directory.is_dir():
            raise HostmendError(f"--from-agents: there is no directory {directory}")
        place = str(directory)
    return {**made, "hostmend_from_agents": place}
