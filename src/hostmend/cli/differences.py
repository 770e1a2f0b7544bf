"""The differences that tasks show with --diff, each once with the hosts that share it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from hostmend.report.text import visible

STYLES = {"+": "green", "-": "red", "@": "cyan"}
MOST_LINES = 2000


class Differences:
    """Collects what Ansible shows with --diff."""

    def __init__(self) -> None:
        self.hosts: dict[tuple[str, ...], list[str]] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        """Take what an event of Ansible has of it."""
        data = event.get("event_data") or {}
        result = data.get("res")
        if event.get("event") not in ("runner_on_ok", "runner_on_failed") or not isinstance(result, Mapping):
            return
        results = result.get("results")
        for one in results if isinstance(results, list) else [result]:
            for lines in _unified(one.get("diff")) if isinstance(one, Mapping) else ():
                names = self.hosts.setdefault(lines, [])
                if str(data.get("host")) not in names:
                    names.append(str(data.get("host")))

    def show(self, console: Console) -> None:
        """Print each difference once."""
        for lines, names in self.hosts.items():
            console.print(Text(visible(", ".join(names), 400), style="bold underline"))
            for line in lines[:MOST_LINES]:
                console.print(Text(line, style=STYLES.get(line[:1], "")), soft_wrap=True)
            console.print()


def _unified(diff: Any) -> Iterator[tuple[str, ...]]:
    for one in diff if isinstance(diff, list) else [diff]:
        if not isinstance(one, Mapping):
            continue
        if one.get("prepared"):
            yield tuple(visible(line, 500) for line in str(one["prepared"]).splitlines())
            continue
        before, after = (str(one.get(side) or "") for side in ("before", "after"))
        old, new = (str(one.get(f"{side}_header") or side) for side in ("before", "after"))
        made = difflib.unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm="")
        lines = tuple(visible(line, 500) for line in made)
        if lines:
            yield lines
