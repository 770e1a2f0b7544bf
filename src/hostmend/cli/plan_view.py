"""The plan of a remediation, for a person to read before it is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hostmend import catalog, waves
from hostmend.core import exit_status, plan
from hostmend.events import Run
from hostmend.report.text import visible

RISK_STYLES = {"safe": "green", "restart": "yellow", "disruptive": "red", "manual": "bright_black"}
MOST_AFFECTED = 4
MOST_LEFT = 5


def _why_left(finding: Mapping[str, Any], policy: Mapping[str, Any]) -> str:
    """Return why a finding is not mended by this run."""
    if policy.get("held"):
        return f"the host is left alone for now: {visible(policy['held'], 200)}"
    if not (finding.get("fix") or {}).get("role"):
        return "no role mends it"
    risk = plan.risk_of(finding)
    if risk == "manual":
        return f"it is for a person (manual): {visible(finding.get('reason') or 'see `hostmend explain`', 200)}"
    highest = str(policy.get("max_risk") or "")
    if highest in plan.RISKS and plan.RISKS.index(risk) > plan.RISKS.index(highest):
        return f"its risk is {risk}, and {highest} is allowed"
    return "--only, --skip or the policy leaves it out"


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
        left: dict[tuple[str, str], list[str]] = {}
        everything = [
            (name, one)
            for name, host in sorted(run.hosts.items())
            for one in host.findings
            if one.get("status") == "open"
        ]
        for name, one in sorted(everything, key=lambda pair: (-exit_status.gravity(pair[1]), str(pair[1].get("check")))):
            if plan.identity(one) in run.hosts[name].mend:
                groups.setdefault(str(one.get("check")), []).append((name, one))
            else:
                left.setdefault((str(one.get("check")), _why_left(one, run.hosts[name].plan)), []).append(name)
        parts: list[RenderableType] = [Text(f"{self.title}:", style="bold")]
        for check, findings in groups.items():
            parts += [Text(), *self._group(check, findings, known)]
        if left:
            count = sum(map(len, left.values()))
            words = "more open finding is" if count == 1 else "more open findings are"
            parts += [Text(), Text(f"{count} {words} not mended by this run:", style="bright_black")]
            for (check, why), names in left.items():
                shown = list(dict.fromkeys(names))
                rest = f" and {len(shown) - MOST_LEFT} more" if len(shown) > MOST_LEFT else ""
                times = f" ({len(names)})" if len(names) > len(shown) else ""
                parts.append(Text(f"  {visible(check)}{times} on {visible(', '.join(shown[:MOST_LEFT]), 300)}{rest}: {why}",
                                  style="bright_black"))
        parts += self._held(run)
        return Group(*parts, Text())

    @staticmethod
    def _held(run: Run) -> list[RenderableType]:
        """Return which hosts are left alone for now, and in which waves the others are mended."""
        parts: list[RenderableType] = []
        held: dict[str, list[str]] = {}
        for name, host in sorted(run.hosts.items()):
            if host.plan.get("held"):
                held.setdefault(str(host.plan["held"]), []).append(name)
        for why, names in held.items():
            parts += [Text(), Text(f"Not now: {visible(', '.join(names), 300)}: {visible(why, 300)}", style="yellow")]
        waiting = {name: host.plan for name, host in run.hosts.items() if host.plan.get("waiting") and host.mend}
        for number, wave in enumerate(waves.plan(waiting), 1):
            text = "; then ".join(visible(", ".join(batch), 300) for batch in wave)
            parts += [*([Text()] if number == 1 else []), Text(f"Wave {number}: {text}")]
        return parts

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
