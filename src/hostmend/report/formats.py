"""The forms that a report can be rendered to, by name; each is loaded when it is asked for."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

from hostmend.report.language import localized

#: name of the format -> module and the usual file name
FORMATS: Mapping[str, tuple[str, str]] = {
    "json": ("", "report.json"),
    "html": ("hostmend.report.html", "report.html"),
    "table": ("hostmend.report.table", "report.txt"),
    "markdown": ("hostmend.report.markdown", "report.md"),
    "csv": ("hostmend.report.csv_", "report.csv"),
    "junit": ("hostmend.report.junit", "report.junit.xml"),
    "sarif": ("hostmend.report.sarif", "report.sarif"),
}


def render(report: Mapping[str, Any], name: str) -> str:
    """Return the report in the format ``name``; KeyError for one that there is not."""
    module, _file = FORMATS[name]
    if not module:
        return json.dumps(report, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    report = localized(report)
    found = importlib.import_module(module)
    made: str = found.text(report) if name == "table" else found.render(report)
    return made
