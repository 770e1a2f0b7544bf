"""``hostmend audit``: find what is insecure, and change nothing."""

from __future__ import annotations

from typing import Any

import click

from hostmend.cli import options


@click.command()
@options.shared
def audit(**given: Any) -> int:
    """Find what is insecure on the hosts, show it, and change nothing.

    \b
    hostmend audit                                    this machine
    hostmend audit -i inventory -b --output reports   a fleet, as root, with an HTML report
    hostmend audit -i web1,web2 -u admin -b -K --class redis --fail-on high
    """
    from hostmend.cli.work import Work

    work = Work(options.gather(given), "audit")
    run = work.ansible("audit.yml")
    return work.finish(work.report(run))
