"""``hostmend explain`` and ``hostmend checks``: what the catalogue knows."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from hostmend import catalog
from hostmend.core.errors import HostmendError, near

_language = click.option("--language", type=click.Choice(catalog.LANGUAGES), default="en", envvar="HOSTMEND_LANGUAGE")


@click.command()
@click.argument("check")
@_language
def explain(check: str, language: str) -> int:
    """Say what CHECK means, why it matters, what its fix does, and what policy it takes. A class will do too."""
    known = catalog.load()
    if check in known.classes:
        _show_class(known.classes[check], language)
        return 0
    one = known.check(check)
    if one is None:
        raise HostmendError(f"no such check: {check}{near(check, [*known.checks, *known.classes])}")
    _show_check(one, known, language)
    return 0


def _show_check(check: catalog.Check, known: catalog.Catalog, language: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    head = Text(check.id, style="bold")
    head.append(f"  {check.grade} {check.kind}", style="yellow")
    console.print(head)
    console.print(Text(check.title.get(language)), "")
    fix = f"role {check.fix.role}, risk {check.fix.risk}" if check.fix.role else "by a person"
    rows = [
        ("Why it matters", check.why.get(language)),
        ("What mends it", f"{check.change.get(language)} ({fix})"),
        ("References", ", ".join(check.references) or "none"),
    ]
    for name, words in rows:
        console.print(Text(f"{name}: ", style="bold").append(words, style="not bold"))
    if check.fix.role:
        console.print(Text("Mend it: ", style="bold").append(f"hostmend remediate --only {check.id}", style="not bold"))
    _show_policy(known.classes[check.class_name], language, console)


def _show_class(one: catalog.IssueClass, language: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(one.name, style="bold").append(f"  {one.title.get(language)}", style="not bold"))
    console.print(Text(one.description.get(language)), "")
    for check in one.checks.values():
        console.print(
            Text(f"  {check.id}  ", style="bold").append(
                f"{check.grade}: {check.title.get(language)}", style="not bold"
            )
        )
    _show_policy(one, language, console)


def _show_policy(one: catalog.IssueClass, language: str, console: Any) -> None:
    from rich.text import Text

    if not one.policy:
        return
    console.print("", Text("Policy, as variables of the inventory:", style="bold"))
    for name, option in one.policy.items():
        default = "secret" if option.secret else json.dumps(option.default, ensure_ascii=False)
        line = Text(f"  hostmend_{one.name}_{name}", style="cyan").append(
            f" ({option.type}, default {default}): ", style="default"
        )
        console.print(line.append(option.description.get(language), style="default"))


@click.command()
@click.option("--class", "classes", multiple=True, metavar="C", help="Only this class.")
@click.option("--format", "format_", type=click.Choice(("table", "json")), default="table")
@_language
def checks(classes: tuple[str, ...], format_: str, language: str) -> int:
    """List all checks: how grave each is, what mends it, and at what risk."""
    known = catalog.load()
    for name in classes:
        if name not in known.classes:
            raise HostmendError(
                f"no such class: {name}{near(name, known.classes)}; there are {', '.join(sorted(known.classes))}"
            )
    rows = [one for one in known.checks.values() if not classes or one.class_name in classes]
    if format_ == "json":
        made = [
            {
                "check": one.id,
                "class": one.class_name,
                "kind": one.kind,
                "grade": one.grade,
                "title": one.title.get(language),
                "fix": one.fix.as_dict(),
                "references": list(one.references),
            }
            for one in rows
        ]
        sys.stdout.write(json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return 0
    from rich.table import Table
    from rich.text import Text

    from hostmend.cli import wide_console

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Check", "Grade", "Fix", "What it finds"):
        table.add_column(heading, no_wrap=heading != "What it finds")
    for one in rows:
        table.add_row(Text(one.id), Text(one.grade), Text(one.fix.risk), Text(one.title.get(language)))
    wide_console().print(table)
    return 0
