"""The report as Markdown, for a ticket, a merge request or the summary of a pipeline."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hostmend.core.finding import GRADES, grade
from hostmend.report import coverage, grouping
from hostmend.report.text import visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@$^=\"'/])")
# Within a word these need no backslash, but for that which keeps www.example.org from becoming a link.
_PLAIN = re.compile(r"(?<=\w)(?<!www)\\([-./:])(?=\w)", re.IGNORECASE)
SHOWN = ("open", "unknown", "waived")


def render(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    summary = report["summary"]
    score = "no score" if report["score"] is None else f"score {report['score']} of 100"
    counts = {**summary["severity"], **summary["level"]}
    grades = ", ".join(f"{counts[name]} {name}" for name in GRADES if counts.get(name))
    status = summary["status"]
    hosts = f"{len(report['hosts'])} host{'' if len(report['hosts']) == 1 else 's'}"
    looked = coverage.sentence(report)
    lines = [
        f"# hostmend {_text(report['run']['mode'] or '')}: {score}".replace("  ", " "),
        "",
        *([_text(looked), ""] if looked else []),
        f"{status['open']} open{f' ({grades})' if grades else ''}, {status['unknown']} unknown, "
        f"{status['waived']} waived, {status['passed']} passed on {hosts}. "
        f"Run {_text(report['run']['id'] or '')}, {_text(report['run']['started'] or '')}.",
    ]
    if summary.get("outcome"):
        words = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in summary["outcome"].items())
        lines += ["", f"The remediation: {words}."]
    if status["unknown"]:
        lines += ["", "What is unknown could not be checked: it is not a pass."]
    for name, host in report["hosts"].items():
        lines += ["", *_host(name, host)]
    return "\n".join(lines) + "\n"


def _host(name: str, host: Mapping[str, Any]) -> list[str]:
    state = f"{host['score']} of 100" if host["score"] is not None else _text(host["status"])
    if host["score"] is None and host["status"] == "ok":
        state = "no score, no check could be made"
    lines = [f"## {_text(name)}: {state}", ""]
    if host["status"] != "ok":
        lines.append(_text(host.get("reason") or host["status"]))
        lines.append("")
    rows = [one for one in host["findings"] if one["status"] in SHOWN or one.get("outcome")]
    if rows:
        lines += ["| | Finding | Where | Check | Fix |", "| --- | --- | --- | --- | --- |"]
    for group in grouping.group_by_content(rows):
        finding = group[0]
        word = finding.get("outcome") if finding.get("outcome") in ("mended", "made_worse") else None
        word = word or (grade(finding) if finding["status"] == "open" else finding["status"])
        reason = f" ({_text(finding['reason'])})" if finding["reason"] else ""
        if finding["status"] == "open" and finding.get("known_exploited"):
            reason += " **known to be exploited**"
        role = finding["fix"].get("role")
        fix = f"{_text(role)}, {finding['fix']['risk']}" if role else "by hand"
        cells = [
            f"**{_text(str(word).replace('_', ' '))}**",
            f"{_text(finding['title'])}{f' ({len(group)})' if len(group) > 1 else ''}{reason}",
            ", ".join(_text(one["resource"]) for one in group),
            _text(finding["check"]),
            fix if finding["status"] == "open" else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if not rows and host["status"] == "ok":
        lines.append("Nothing is open.")
    changes = host.get("changes") or ()
    if changes:
        lines += ["", f"Changes ({len(changes)}):", ""]
        for change in changes:
            words = (change.get("role"), change.get("kind"), change.get("name"), change.get("action"))
            lines.append(f"- {' '.join(_text(word) for word in words if word)}")
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _text(value: Any) -> str:
    """Return text in which nothing is markup."""
    return _PLAIN.sub(r"\1", _SPECIAL.sub(r"\\\1", visible(value)))
