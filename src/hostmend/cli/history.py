"""``hostmend report`` and ``hostmend runs``: what earlier runs found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from hostmend.catalog import LANGUAGES
from hostmend.core.errors import HostmendError, near
from hostmend.core.exit_status import one_line
from hostmend.core.input_files import read_text
from hostmend.report.formats import FORMATS, render
from hostmend.report.text import visible
from hostmend.store import Store

STATUSES = ("open", "passed", "waived", "not_applicable", "unknown", "not_assessed")


@click.command()
@click.argument("run", required=False)
@click.option(
    "--format",
    "format_",
    type=click.Choice(tuple(FORMATS)),
    default=None,
    help="How to render it (default: table; json with --query).",
)
@click.option("--query", metavar="JMESPATH", help="Print what this JMESPath expression finds in the report, as JSON.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it to a file instead of the terminal.",
)
@click.option("--severity", type=click.Choice(("high", "medium", "low")), help="Only what is at least this grave.")
@click.option("--class", "classes", multiple=True, metavar="C", help="Only this issue class (may be given again).")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only this status (may be given again)."
)
@click.option(
    "--host", "hosts", multiple=True, metavar="H", help="Only this host, or a pattern such as web* (may be given again)."
)
@click.option("--language", type=click.Choice(LANGUAGES), envvar="HOSTMEND_LANGUAGE", help="Language of the titles and texts.")
def report(
    run: str | None,
    format_: str | None,
    query: str | None,
    output: Path | None,
    severity: str | None,
    classes: tuple[str, ...],
    statuses: tuple[str, ...],
    hosts: tuple[str, ...],
    language: str | None,
) -> int:
    """Render the report of RUN again: its id or the beginning of it, or a report.json. Default: the newest run.

    \b
    hostmend report --format html -o report.html
    hostmend report --query "hosts.*.findings[] | [?status=='open'].[check, resource]"
    """
    try:
        return _report(run, format_, query, output, lambda found: _selected(found, severity, classes, statuses, hosts, language))
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if run is None or not _is_path(run):
            raise
        # A file that somebody has changed: its members are not those of a report.
        words = one_line(f"{type(error).__name__} {error}")
        raise HostmendError(f"{run} is not a whole report of hostmend: {words}") from error


def _selected(
    found: dict[str, Any],
    severity: str | None,
    classes: tuple[str, ...],
    statuses: tuple[str, ...],
    hosts: tuple[str, ...],
    language: str | None,
) -> dict[str, Any]:
    """Return a report less what was not asked for; counts and scores stay those of the whole."""
    from hostmend import catalog
    from hostmend.core import exit_status
    from hostmend.report import model

    known = catalog.load()
    for name in classes:
        if name not in known.classes:
            raise HostmendError(f"no such class: {name}{near(name, known.classes)}; there are {', '.join(sorted(known.classes))}")
    least = exit_status.GRAVITY[severity] if severity else None
    chosen = {name: host for name, host in found["hosts"].items() if not hosts or any(fnmatchcase(name, one) for one in hosts)}
    if not chosen and hosts:
        raise HostmendError(f"no host of the run {found['run'].get('id')} is meant by --host {', '.join(hosts)}")

    def wanted(one: dict[str, Any]) -> bool:
        return (
            (least is None or exit_status.gravity(one) >= least)
            and (not classes or str(one["check"]).partition(".")[0] in classes)
            and (not statuses or one["status"] in statuses)
        )

    left = {name: {**host, "findings": list(filter(wanted, host["findings"]))} for name, host in chosen.items()}
    made = {**found, "hosts": left}
    if language and language != found.get("language"):
        anew = model.build(found["run"], made["hosts"], known, language)
        made.update({"language": language, "checks": anew["checks"]})
        for name, host in made["hosts"].items():
            titles = {(one["check"], one["resource"]): one["title"] for one in anew["hosts"][name]["findings"]}
            for one in host["findings"]:
                one["title"] = titles.get((one["check"], one["resource"]), one["title"])
    return made


def _report(
    run: str | None,
    format_: str | None,
    query: str | None,
    output: Path | None,
    select: Callable[[dict[str, Any]], dict[str, Any]],
) -> int:
    search = _expression(query) if query is not None else None
    if search is not None and format_ not in (None, "json"):
        raise HostmendError("--query gives JSON: it does not go with --format " + str(format_))
    found = select(_load(run))
    if search is not None:
        text = _json(_search(search, found)) + "\n"
    elif format_ in (None, "table") and output is None:
        from rich.console import Console

        from hostmend.report import table
        from hostmend.report.language import localized

        table.show(localized(found), Console())
        return 0
    else:
        text = render(found, format_ or "table")
    _write(text, output)
    return 0


def _json(found: Any) -> str:
    try:
        return json.dumps(found, indent=2, ensure_ascii=not sys.stdout.isatty(), allow_nan=False)
    except (RecursionError, TypeError, ValueError) as error:
        raise HostmendError(f"what --query finds cannot be written as JSON: {one_line(str(error))}") from error


def _is_path(run: str) -> bool:
    return "/" in run or run.endswith(".json")


def _load(run: str | None) -> dict[str, Any]:
    path = Path(run) if run and _is_path(run) else None
    if path is None:
        return Store().report(run)
    try:
        found = json.loads(read_text(path), parse_constant=_refuse)
    except OSError as error:
        raise HostmendError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise HostmendError(f"{path} is not JSON: {one_line(str(error))}") from error
    if not isinstance(found, dict) or not isinstance(found.get("hosts"), dict) or found.get("schema") != 1:
        raise HostmendError(f"{path} is not a report of hostmend")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _expression(query: str) -> Any:
    import jmespath  # type: ignore[import-untyped]

    try:
        return jmespath.compile(query)
    except jmespath.exceptions.JMESPathError as error:
        said = visible(str(error).splitlines()[0].rstrip(": ").removeprefix("Invalid jmespath expression: "))
        raise HostmendError(f"--query is not a JMESPath expression: {said}: {one_line(query)}") from error
    except RecursionError as error:
        raise HostmendError(f"--query is nested too deeply: {one_line(query, 60)}") from error


def _search(expression: Any, found: dict[str, Any]) -> Any:
    import jmespath

    try:
        return expression.search(found)
    except jmespath.exceptions.JMESPathError as error:
        raise HostmendError(f"--query does not fit the report: {visible(str(error).splitlines()[0])}") from error
    except RecursionError as error:
        raise HostmendError("--query is nested too deeply") from error


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    from hostmend.cli.work import write_file

    try:
        write_file(output, text)
    except OSError as error:
        raise HostmendError(f"{output} cannot be written: {error.strerror}") from error


@click.group(invoke_without_command=True)
@click.pass_context
@click.option("--limit", "-n", type=click.IntRange(1), default=20, help="How many, the newest first.")
@click.option("--format", "format_", type=click.Choice(("table", "json")), default="table")
def runs(context: click.Context, limit: int, format_: str) -> int:
    """List the runs that are kept, the newest first; `runs prune` forgets old ones."""
    if context.invoked_subcommand is not None:
        return 0
    rows = Store().runs(limit)
    if format_ == "json":
        sys.stdout.write(json.dumps(rows, indent=1, allow_nan=False) + "\n")
        return 0
    if not rows:
        click.echo("There is no run yet: `hostmend audit` makes one.")
        return 0
    from rich.table import Table
    from rich.text import Text

    from hostmend.cli import wide_console

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Run", "Started", "What", "Status", "Hosts", "Score", "Open", "Unknown"):
        table.add_column(
            heading, justify="right" if heading in ("Hosts", "Score", "Open", "Unknown") else "left", no_wrap=True
        )
    styles = {"finished": "green", "running": "yellow"}
    for row in rows:
        numbers = ["" if row[key] is None else str(row[key]) for key in ("hosts", "score", "open", "unknown")]
        table.add_row(
            Text(visible(row["id"])),
            Text(visible(row["started"])),
            Text(visible(row["mode"])),
            Text(visible(row["status"]), style=styles.get(row["status"], "red")),
            *numbers,
        )
    wide_console().print(table)
    return 0


@runs.command()
@click.argument("identities", metavar="[RUN]...", nargs=-1)
@click.option("--keep", metavar="N", help="Keep the newest: a number of runs, or of days such as 90d.")
@click.option("--check", "-C", is_flag=True, help="Forget nothing: say which runs would go.")
def prune(identities: tuple[str, ...], keep: str | None, check: bool) -> int:
    """Forget runs and their reports: those older than --keep says, or those named.

    Since when a finding is open stays known. A run that is still running is never forgotten.

    \b
    hostmend runs prune --keep 90d
    hostmend runs prune --keep 100 --check
    """
    from hostmend.retention import Keep

    if not identities and keep is None:
        raise HostmendError("say what to keep (--keep 90d, --keep 100), or name the runs to forget")
    kept = Keep.parse(keep, "--keep") if keep is not None else None
    store = Store()
    full = tuple(str(store.identity(one)) for one in identities)
    gone = store.prune(kept.count if kept else None, kept.before() if kept else None, full, dry=check)
    for one in gone if check else ():
        click.echo(one)
    click.echo(f"{'would forget' if check else 'forgot'} {len(gone)} run{'' if len(gone) == 1 else 's'}", err=True)
    return 0
