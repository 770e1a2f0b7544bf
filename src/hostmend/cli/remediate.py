"""``hostmend remediate``: audit, show the plan, ask, mend, audit again, and say what came of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hostmend import catalog, outcome, plan
from hostmend.cli import options
from hostmend.errors import HostmendError, StoppedError
from hostmend.events import Run
from hostmend.report.text import visible

RISK_STYLES = {"safe": "green", "restart": "yellow", "disruptive": "red", "manual": "bright_black"}
MOST_AFFECTED = 4


@click.command()
@options.shared
@click.option(
    "--only", multiple=True, metavar="CHECK_OR_CLASS", help="Mend only this check or class (may be given again)."
)
@click.option("--skip", multiple=True, metavar="CHECK_OR_CLASS", help="Leave this check or class alone.")
@click.option("--max-risk", type=click.Choice(plan.RISKS[:3]), help="The highest risk of a fix that is carried out.")
@click.option("--check", "-C", is_flag=True, help="Change nothing: say exactly what would be changed.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def remediate(
    only: tuple[str, ...], skip: tuple[str, ...], max_risk: str | None, check: bool, yes: bool, **given: Any
) -> int:
    """Audit, show the plan, ask, run only the roles that open findings call for, and audit again.

    Says for each finding: mended, still open, unknown, or made worse.

    \b
    hostmend remediate -i inventory -b --check        what would be changed
    hostmend remediate -i inventory -b                asks before it mends
    hostmend remediate -i inventory -b --only redis.no_auth --yes
    """
    from hostmend.cli.work import Work

    common = options.gather(given)
    variables: dict[str, Any] = {}
    if only:
        variables["hostmend_only"] = list(options.checks_or_classes(only, "--only"))
    if skip:
        variables["hostmend_skip"] = list(options.checks_or_classes(skip, "--skip"))
    if max_risk:
        variables["hostmend_max_risk"] = max_risk
    if not (yes or check or sys.stdin.isatty()):
        raise HostmendError(
            "there is no terminal to ask on: say --yes to mend, or --check to see what would be changed"
        )
    work = Work(common, "check" if check else "remediate")
    shown = Plan(work.console, "What would be changed" if check else "What will be changed")
    if yes or check:
        run = work.ansible("remediate.yml", variables, check=check, on_mending=shown.show_once)
    else:
        run = _ask_between(work, shown, variables)
    report = work.report(run)
    return work.finish(report)


def _ask_between(work: Any, shown: Plan, variables: dict[str, Any]) -> Run:
    """Audit, ask, and mend exactly what was shown."""
    run: Run = work.ansible("audit.yml", variables)
    chosen = planned(run)
    if work.stopped:
        return run
    if not chosen:
        click.echo("There is nothing open that a role may mend.", err=True)
        return run
    shown.show_once(run)
    what = counted(sum(len(ones) for ones in chosen.values()), "finding")
    question = f"Mend {what} on {counted(len(chosen), 'host')}?"
    try:
        agreed = click.confirm(question, default=False, err=True)
    except click.Abort as error:
        work.keeper.finish(work.report(run), "stopped", work.common.output)
        raise StoppedError("stopped; nothing was changed") from error
    if not agreed:
        work.run["mode"] = "audit"
        click.echo("Nothing was changed.", err=True)
        return run
    # A host's own words may look like a template, and Ansible would evaluate them in a variable: tokens stand for them.
    tokens = {name: [plan.token(one) for one in ones] for name, ones in chosen.items()}
    return work.ansible("remediate.yml", {**variables, "hostmend_selected": tokens})  # type: ignore[no-any-return]


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def planned(run: Run) -> dict[str, list[str]]:
    """Return the findings that roles will mend, by host, as identities."""
    return {
        name: [plan.identity(one) for one in host.findings if plan.identity(one) in host.mend]
        for name, host in run.hosts.items()
        if host.mend
    }


class Plan:
    """Shows the plan, once."""

    def __init__(self, console: Console, title: str = "What will be changed") -> None:
        self.console = console
        self.title = title
        self.shown = False

    def show_once(self, run: Run) -> None:
        if not self.shown:
            self.shown = True
            self.console.print(self.build(run))

    def build(self, run: Run) -> Group:
        """Return the plan by check: what is done, and for each finding where, at what risk, and who is affected."""
        known = catalog.load()
        groups: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        left = 0
        everything = [
            (name, one)
            for name, host in sorted(run.hosts.items())
            for one in host.findings
            if one.get("status") == "open"
        ]
        for name, one in sorted(everything, key=lambda pair: (-outcome.gravity(pair[1]), str(pair[1].get("check")))):
            if plan.identity(one) in run.hosts[name].mend:
                groups.setdefault(str(one.get("check")), []).append((name, one))
            else:
                left += 1
        parts: list[RenderableType] = [Text(f"{self.title}:", style="bold")]
        for check, findings in groups.items():
            parts += [Text(), *self._group(check, findings, known)]
        if left:
            words = "more open finding is" if left == 1 else "more open findings are"
            parts += [Text(), Text(f"{left} {words} not mended by this run.", style="bright_black")]
        return Group(*parts, Text())

    @staticmethod
    def _group(
        check: str, findings: list[tuple[str, Mapping[str, Any]]], known: catalog.Catalog
    ) -> list[RenderableType]:
        entry = known.check(check)
        title = Text(visible(findings[0][1].get("title") or check, 200), style="bold")
        title.append(f"  {visible(check)}", style="not bold bright_black")
        table = Table.grid(padding=(0, 2))
        for ratio in (2, 4, None, 4):
            table.add_column(ratio=ratio, overflow="fold", no_wrap=ratio is None)
        for host, one in findings:
            affects = [visible(who, 120) for who in one.get("affects") or ()]
            if len(affects) > MOST_AFFECTED:
                affects = [*affects[:MOST_AFFECTED], f"and {len(affects) - MOST_AFFECTED} more"]
            risk = plan.risk_of(one)
            table.add_row(
                Text(visible(host, 60)),
                Text(visible(one.get("resource") or "", 200)),
                Text(risk, style=RISK_STYLES[risk]),
                Text("affects " + "; ".join(affects) if affects else "affects nobody known"),
            )
        change = Text(entry.change.en if entry else "", style="italic")
        return [title, Padding(change, (0, 0, 0, 2)), Padding(table, (0, 0, 0, 4))]
