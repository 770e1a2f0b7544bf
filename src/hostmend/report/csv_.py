"""The report as CSV: a line for each finding, and one for each host that could not be audited."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from hostmend.core.finding import grade
from hostmend.report.text import visible

COLUMNS = (
    "host",
    "host_status",
    "score",
    "check",
    "class",
    "kind",
    "severity",
    "status",
    "outcome",
    "resource",
    "title",
    "reason",
    "role",
    "risk",
    "references",
    "evidence",
    "known_exploited",
    "epss",
)
# The wide ones are taken for the others by spreadsheets in East Asian languages.
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA = re.compile(rf"[\s\"']*(?:[{_SIGNS}]|\\t|\\r)")
# Where semicolons divide cells, as in much of Europe, what follows one begins a cell.
_CELL_WITHIN = re.compile(rf";(?=[\s\"']*[{_SIGNS}])")


def render(report: Mapping[str, Any]) -> str:
    """Return the report as CSV; ``severity`` is the level of an alert."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for name, host in report["hosts"].items():
        start = [name, host["status"], "" if host["score"] is None else host["score"]]
        if host["status"] != "ok":
            row = {"status": host["status"], "reason": host.get("reason", "")}
            writer.writerow(map(_cell, [*start, *(row.get(column, "") for column in COLUMNS[3:])]))
        for finding in host["findings"]:
            row = {
                **finding,
                "severity": grade(finding),
                "role": finding["fix"].get("role", ""),
                "risk": finding["fix"]["risk"],
                "references": "; ".join(finding["references"]),
                "evidence": json.dumps(finding["evidence"], allow_nan=False),
                "known_exploited": "yes" if finding.get("known_exploited") else "",
            }
            writer.writerow(map(_cell, [*start, *(row.get(column, "") for column in COLUMNS[3:])]))
    return stream.getvalue()


def _cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = _CELL_WITHIN.sub(";'", visible("" if value is None else value))
    return f"'{text}" if _FORMULA.match(text) else text
