"""The report for a terminal: what is open on each host, the gravest first, and what could not be checked."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hostmend.core.finding import GRADES, grade
from hostmend.report import coverage, grouping
from hostmend.report.text import visible, words_of_age

STYLES = {
    "urgent": "bold white on dark_magenta",
    "high": "bold red",
    "suspicious": "bold orange3",
    "medium": "yellow",
    "low": "cyan",
    "notice": "bright_black",
    "unknown": "magenta",
    "waived": "bright_black",
    "mended": "green",
    "made_worse": "bold white on red",
}
OUTCOMES = {"mended": "mended", "still_open": "still open", "unknown": "unknown", "made_worse": "made worse"}
TRENDS = {"new": "new", "regressed": "came back", "open": "open"}
PLAIN_WIDTH = 120
MOST_NAMED = 20


def show(report: Mapping[str, Any], console: Console, files: Sequence[str] = ()) -> None:
    """Print the report; ``files`` are where its other forms were written."""
    if console.is_terminal:
        console.print(build(report, files))
    else:  # a file or a pipe: no colour, no padding, and wide lines
        console.file.write(text(report, files, width=max(console.width, PLAIN_WIDTH)))


def text(report: Mapping[str, Any], files: Sequence[str] = (), width: int = PLAIN_WIDTH) -> str:
    """Return the report as plain text, as it is printed where there is no terminal."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(build(report, files))
    written = console.file
    assert isinstance(written, io.StringIO)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def build(report: Mapping[str, Any], files: Sequence[str] = ()) -> Group:
    """Return the report as something rich can print."""
    looked = coverage.sentence(report, "en")
    first = [Text(looked, style="bright_black"), Text()] if looked else []
    parts: list[RenderableType] = []
    quiet = []
    alike: dict[str, list[str]] = {}
    # What needs least attention scrolls away first: the worst host is nearest to the summary.
    ranked = sorted(report["hosts"].items(), key=_prominence)
    for name, host in ranked:
        if host["status"] == "ok" and not _rows(host) and not host.get("changes") and not host.get("source"):
            quiet.append(name)
        else:
            alike.setdefault(_content(host), []).append(name)
    for names in alike.values():
        parts += [_host(names, report["hosts"][names[0]], report["run"].get("mode") == "check"), Text()]
    if quiet:  # hosts with nothing to say are named together in one line
        line = Text("Nothing open on ", style="green")
        line.append(_names(quiet), style="bold")
        parts = [line, Text(), *parts]
    return Group(*first, *parts, _summary(report), *_unknown(report), *(_written(files) if files else ()))


def _prominence(item: tuple[str, Mapping[str, Any]]) -> tuple[bool, int, str]:
    name, host = item
    return host["status"] != "ok", -(host["score"] or 0), name


def _rows(host: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in host["findings"] if one["status"] in ("open", "unknown", "waived") or one.get("outcome")]


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more hosts" if len(names) > MOST_NAMED else ""
    return ", ".join(visible(name) for name in names[:MOST_NAMED]) + more


def _content(host: Mapping[str, Any]) -> str:
    """Return what is shown of a host besides its name: hosts of which the same is shown are shown together."""
    shown = [host["status"], host["score"], host.get("score_before"), host.get("reason"), host.get("changes"), _source(host)]
    return repr(shown + [[one["title"], one["resource"], one.get("since"), grouping.content(one)] for one in _rows(host)])


def _host(names: Sequence[str], host: Mapping[str, Any], predicted: bool) -> RenderableType:
    head = Text()
    head.append(_names(names), style="bold underline")
    if len(names) > 1:
        head.append(f" ({len(names)} hosts)")
    if host["score"] is None:
        state = "no score: no check could be made" if host["status"] == "ok" else visible(host["status"])
        head.append(f"  {state}", style="bold magenta")
        if host.get("reason"):
            head.append(f": {visible(host['reason'], 400)}")
    else:
        before = f"{host['score_before']} -> " if host.get("score_before") is not None else ""
        head.append(f"  {before}{host['score']}/100", style=_tone(host["score"]))
    head.append(_source(host), style="bold yellow")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, header_style="bright_black",
                  show_header=bool(_rows(host)))
    table.add_column("grade", no_wrap=True, min_width=7)
    table.add_column("finding", overflow="fold", ratio=1)
    table.add_column("check, risk of the fix", no_wrap=True)
    for group in grouping.group_by_content(_rows(host)):
        table.add_row(*_row(group))
    if not table.row_count:
        table.add_row(Text("ok" if host["status"] == "ok" else "", style="green"), Text("nothing open"), Text())
    parts: list[RenderableType] = [head]
    if host["status"] == "ok" or _rows(host):
        parts.append(Padding(table, (0, 0, 0, 2)))
    changes = host.get("changes") or ()
    if changes:
        parts.append(
            Text(
                f"  {len(changes)} {'change' if len(changes) == 1 else 'changes'} "
                f"{'would be made' if predicted else 'made'}:",
                style="bold",
            )
        )
        for change in changes:
            words = (change.get("role"), change.get("kind"), change.get("name"), change.get("action"))
            parts.append(Padding(Text(" ".join(visible(word, 200) for word in words if word)), (0, 0, 0, 4)))
    return Group(*parts)


def _source(host: Mapping[str, Any]) -> str:
    """Return what is to be known of findings that the host's agent made, and not this run."""
    source = host.get("source") or {}
    if host["status"] != "ok" or not source:
        return ""
    age = source.get("age_seconds")
    old = f", {words_of_age(age)} old" if isinstance(age, int) else ""
    return f"  from its agent{old}, signature {visible(source.get('signature', ''))}"


def _row(group: Sequence[Mapping[str, Any]]) -> tuple[Text, Text, Text]:
    """Return the line of a finding, or of several that differ in their resources only."""
    finding = group[0]
    status, outcome = finding["status"], finding.get("outcome")
    if outcome in ("mended", "made_worse"):
        word, style = OUTCOMES[outcome], STYLES[outcome]
    else:
        word = grade(finding) if status == "open" else status
        style = STYLES.get(word, "")
    body = Text(visible(finding["title"]))
    if len(group) > 1:
        body.append(f" ({len(group)})", style="bold")
    if finding["resource"]:
        names = ", ".join(visible(one["resource"], 300) for one in group[:MOST_NAMED])
        more = f" and {len(group) - MOST_NAMED} more" if len(group) > MOST_NAMED else ""
        body.append(f": {names}{more}", style="bright_black")
    if status == "open" and finding.get("known_exploited"):
        body.append(" (known to be exploited)", style="bold red")
    if outcome in ("still_open", "made_worse"):
        body.append(f" ({OUTCOMES[outcome]})", style="bold red")
    if status == "open" and finding.get("trend") in TRENDS:
        body.append(f" ({TRENDS[finding['trend']]}", style="bold")
        since = min(visible(one.get("since") or "")[:10] for one in group) if finding["trend"] == "open" else ""
        body.append(f" since {since})" if since else ")", style="bold")
    if finding["reason"] and (status in ("open", "waived") or outcome):
        body.append(f": {visible(finding['reason'], 400)}", style="italic")
    elif status == "unknown":
        body.append(f" ({visible(finding['reason'], 400)})", style="italic")
    if status == "waived" and finding.get("waiver"):
        waiver = finding["waiver"]
        body.append(
            f" ({visible(waiver.get('reason', ''), 200)}, until {visible(waiver.get('expires', ''))})", style="italic"
        )
    if status == "open" and finding.get("waiver_expired"):
        body.append(f" (its waiver ended on {visible(finding['waiver_expired'].get('expires', ''))})", style="bold red")
    risk = finding["fix"]["risk"]
    last = Text(visible(finding["check"], 40))
    if status == "open":
        last.append(
            f"  {risk}", style={"safe": "green", "restart": "yellow", "disruptive": "red"}.get(risk, "bright_black")
        )
    return Text(word, style=style), body, last


def _tone(score: int | None) -> str:
    return "magenta" if score is None else "bold green" if score >= 90 else "bold yellow" if score >= 60 else "bold red"


def _summary(report: Mapping[str, Any]) -> Text:
    summary = report["summary"]
    line = Text()
    line.append("Score ", style="bold")
    if report.get("score_before") is not None:
        line.append(f"{report['score_before']} -> ")
    line.append("none" if report["score"] is None else f"{report['score']}/100", style=_tone(report["score"]))
    hosts = sum(summary["hosts"].values())
    line.append(f" on {hosts} {'host' if hosts == 1 else 'hosts'}")
    for name in ("unreachable", "failed"):
        if summary["hosts"].get(name):
            line.append(f", {summary['hosts'][name]} {name}", style="bold magenta")
    counts = {**summary["severity"], **summary["level"]}
    grades = [(name, counts[name]) for name in GRADES if counts.get(name)]
    line.append("; ")
    line.append(f"{summary['status']['open']} open", style="bold")
    if grades:
        line.append(" (")
        for index, (name, count) in enumerate(grades):
            line.append(", " if index else "")
            line.append(f"{count} {name}", style=STYLES[name])
        line.append(")")
    for name, word in (
        ("unknown", "unknown"),
        ("waived", "waived"),
        ("not_assessed", "not assessed"),
        ("passed", "passed"),
        ("not_applicable", "not applicable"),
    ):
        if summary["status"].get(name):
            line.append(", ")
            line.append(f"{summary['status'][name]} {word}", style="bold magenta" if name == "unknown" else "")
    if summary.get("outcome"):
        line.append(
            "\nRemediation: " + ", ".join(f"{summary['outcome'][name]} {word}" for name, word in OUTCOMES.items())
        )
    line.append(_advisories(report))
    history = report["run"].get("history")
    if history:
        words = ((history.get("new"), "new"), (history.get("regressed"), "came back"), (history.get("mended"), "ended"))
        said = ", ".join(f"{count} {word}" for count, word in words if count)
        line.append(f"\nSince the run before: {said or 'nothing new'}, {history.get('open', 0)} open still")
    return line


def _advisories(report: Mapping[str, Any]) -> str:
    """Return how old the advisories are that packages were compared with, where updates were looked at."""
    ages = report["run"].get("advisories")
    if ages is None or "updates" not in report["summary"]["class"]:
        return ""
    known = ", ".join(f"{visible(one['name'])} {one['age_days']:g} days old" for one in ages)
    return f"\nAdvisories: {known or 'none (hostmend advisories update fetches them)'}"


def _unknown(report: Mapping[str, Any]) -> list[Text]:
    count = report["summary"]["status"]["unknown"]
    if not count:
        return []
    return [Text("What is unknown was not checked: it is not a pass, and not in the score.", style="magenta")]


def _written(files: Sequence[str]) -> list[Text]:
    line = Text("Report: ", style="bold")
    line.append("  ".join(visible(name) for name in files))
    return [line]
