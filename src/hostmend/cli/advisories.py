"""``hostmend advisories``: import the bundle of CVE advisories, list what is in it, and look a CVE up."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hostmend.advisories import MAX_AGE_DAYS, location
from hostmend.core.errors import AdvisoryError
from hostmend.report.text import visible

_bundle = click.option(
    "--bundle",
    "given",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The bundle (default: $HOSTMEND_ADVISORIES, else advisories.db in the state directory).",
)
_format = click.option("--format", "format_", type=click.Choice(("table", "json")), default="table")

_STATES = {
    "resolved": "fixed in",
    "unaffected": "not affected",
    "open": "affected, no fixed version yet",
    "no_dsa": "affected, minor: no fixed version",
    "postponed": "affected, minor: put off to a later update",
    "ignored": "affected, will not be fixed in this release",
    "end_of_life": "affected, the package has no security support any more",
    "unimportant": "no effect on the built package",
    "undetermined": "not known yet",
    "pro": "fixed for extended support (Ubuntu Pro) in",
}


@click.group()
def advisories() -> None:
    """The bundle of advisories that audits compare packages with, offline."""


@advisories.command(name="import")
@click.argument("sources", nargs=-1, required=True, metavar="FILE|URL...")
@_bundle
@click.option("--force", is_flag=True, help="Take a source although the bundle has a newer one.")
def import_(sources: tuple[str, ...], given: Path | None, force: bool) -> int:
    """Read advisories into the bundle. What each source is, is told from its content; .gz, .xz, .bz2 and .zip are unpacked.

    Known are the Debian security tracker's JSON, OSV (a record, or a distribution's zip), CISA's list of known exploited
    vulnerabilities (JSON or CSV) and EPSS (CSV). A source that fails leaves what the bundle has of it, and the exit
    status is 1.

    \b
    hostmend advisories import https://security-tracker.debian.org/tracker/data/json
    hostmend advisories import known_exploited_vulnerabilities.json epss_scores-current.csv.gz
    """
    return _take(sources, given, force)


@advisories.command()
@_bundle
@click.option("--feeds", type=click.Path(path_type=Path), metavar="FILE", help="The sources (default: hostmend's own list).")
def update(given: Path | None, feeds: Path | None) -> int:
    """Fetch the known sources, and read them into the bundle: Debian's tracker, CISA's known exploited ones, and EPSS.

    A source that does not answer leaves what the bundle has of it, and the exit status is 1. Run it each day from a timer.
    """
    from hostmend.advisories import feeds as known

    return _take(tuple(known.sources(feeds) if feeds else known.sources()), given, force=False)


def _take(sources: tuple[str, ...], given: Path | None, force: bool) -> int:
    """Import sources, and say what became of each."""
    from hostmend.advisories import importer
    from hostmend.cli import say

    def tell(outcome: importer.Outcome) -> None:
        if outcome.failure:
            say(outcome.failure)
        for feed in outcome.feeds:
            skipped = f", {feed.skipped} not understood" if feed.skipped else ""
            click.echo(f"{visible(feed.name)}: {feed.records} records of {feed.dated[:10]}{skipped}")

    path = location(str(given) if given else None)
    outcomes = importer.run(sources, path, force=force, tell=tell)
    if all(one.failure for one in outcomes):
        say("nothing was imported" + (f": {path} is as it was" if path.exists() else ""))
    else:
        click.echo(f"Written: {visible(path)}")
    return 1 if any(one.failure for one in outcomes) else 0


@advisories.command(name="list")
@_bundle
@_format
def list_(given: Path | None, format_: str) -> int:
    """List what the bundle was made of, how old each part is, and which releases it is about."""
    from hostmend.advisories.bundle import WHOLE, Bundle
    from hostmend.advisories.findings import age_days

    path = location(str(given) if given else None)
    now = datetime.now(UTC)
    if not path.exists():
        if format_ == "json":
            sys.stdout.write("[]\n")
        else:
            click.echo(f"There is no bundle at {visible(path)}: `hostmend advisories update` makes one.")
        return 0
    feeds = list(Bundle(path).feeds.values())
    if format_ == "json":
        rows = [
            {"name": one.name, "kind": one.kind, "origin": one.origin, "dated": one.dated, "imported": one.imported}
            | {"age_days": age_days(one.dated, now), "records": one.records, "skipped": one.skipped}
            | {"sha256": one.sha256, "releases": list(one.covers)}
            for one in feeds
        ]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return 0
    from rich.table import Table
    from rich.text import Text

    from hostmend.cli import wide_console

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("What", "Dated", "Age", "Imported", "Records", "From"):
        table.add_column(heading, no_wrap=heading != "From", overflow="fold", justify="right" if heading == "Records" else "left")
    for one in feeds:
        age = age_days(one.dated, now)
        table.add_row(
            Text(visible(one.name)),
            Text(one.dated[:10]),
            Text(f"{age:g} days", style="bold red" if age > MAX_AGE_DAYS else "green"),
            Text(one.imported[:10]),
            f"{one.records}" + (f" (+{one.skipped} not understood)" if one.skipped else ""),
            Text(visible(one.origin)),
        )
    console = wide_console()
    console.print(table)
    releases = sorted({release for one in feeds if one.kind in WHOLE for release in one.covers})
    if releases:
        console.print(Text("Releases: ", style="bold").append(", ".join(releases), style="not bold"))
    return 0


@advisories.command()
@click.argument("cve")
@_bundle
@_format
def show(cve: str, given: Path | None, format_: str) -> int:
    """Say what the bundle knows of CVE: which versions fix it where, whether it is exploited, and how likely."""
    from hostmend.advisories.bundle import NOTHING_KNOWN, Bundle

    name = cve.strip().upper()
    if not re.fullmatch(r"CVE-\d{4}-\d{4,19}", name):
        raise AdvisoryError(f"{visible(cve, 80)} is no CVE id, as CVE-2024-3094 is one")
    store = Bundle(location(str(given) if given else None))
    rows, texts = store.about(name)
    known = store.exploitation([name]).get(name)
    if not rows and not texts and known is None:
        raise AdvisoryError(f"the bundle {store.path} knows nothing of {name}")
    known = known or NOTHING_KNOWN
    fixes = [
        {"release": row.release, "package": row.package, "state": row.state, "introduced": row.introduced}
        | {"fixed": row.fixed, "last_affected": row.last, "source": store.feeds[row.feed].name}
        for row in rows
    ]
    if format_ == "json":
        exploited = {"added": known.kev or None, "due": known.due, "ransomware": known.ransomware, "name": known.name}
        made = {
            "cve": name,
            "description": texts[0] if texts else "",
            "kev": exploited if known.kev is not None else None,
            "epss": known.epss,
            "percentile": known.percentile,
            "packages": fixes,
        }
        sys.stdout.write(json.dumps(made, indent=1) + "\n")
        return 0
    _show(name, texts, known, fixes)
    return 0


def _show(name: str, texts: Sequence[str], known: Any, fixes: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from hostmend.cli import wide_console

    console = wide_console()
    head = Text(name, style="bold")
    if known.kev is not None:
        head.append("  known to be exploited" + (f" since {known.kev}" if known.kev else ""), style="bold red")
        head.append(", by ransomware too" if known.ransomware else "", style="bold red")
    console.print(head)
    if texts:
        console.print(Text(visible(texts[0])))
    if known.epss is not None:
        place = f", more than {known.percentile:.1%} of all CVEs" if known.percentile is not None else ""
        console.print(f"EPSS: {known.epss:.2%} likely to be exploited within 30 days{place}")
    if not fixes:
        console.print("No release in the bundle has a package with it.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Release", "Package", "What is said", "By"):
        table.add_column(heading, overflow="fold")
    for one in fixes:
        said = _STATES.get(one["state"], one["state"])
        if one["last_affected"]:
            said = f"affected up to {one['last_affected']}"
        elif one["fixed"] and one["state"] != "unimportant":
            said = f"{said} {one['fixed']}"
        table.add_row(*(Text(visible(part)) for part in (one["release"], one["package"], said, one["source"])))
    console.print(table)
