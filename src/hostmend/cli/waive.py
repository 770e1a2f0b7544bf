"""``hostmend waive`` and ``hostmend waivers``: findings that somebody answers for until a day."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hostmend import ansible_config, catalog, waivers
from hostmend.core.errors import HostmendError, near
from hostmend.report.text import visible

INVENTORY = click.option(
    "-i", "--inventory", metavar="INV", help="The inventory that it belongs to. Default: Ansible's own, else this machine."
)
FILE = click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The file, where it is elsewhere."
)


def place(inventory: str | None, file: Path | None) -> Path:
    """Return the file of waivers that belongs to an inventory, or to this machine."""
    if file is not None:
        return file.expanduser()
    if inventory is None:
        inventory = own_inventory()
        if inventory is None:
            return this_machine()
    if "," not in inventory and not Path(inventory).expanduser().exists():
        raise HostmendError(f"no such inventory: {inventory}")
    found = waivers.beside(inventory)
    if found is None:
        raise HostmendError("an inventory of names alone has no place for waivers: name a file with --file")
    return found


def own_inventory() -> str | None:
    """Return the inventory of the user's own configuration of Ansible."""
    config = ansible_config.UserConfig(os.environ)
    given = os.environ.get("ANSIBLE_INVENTORY")
    if given:
        return given.split(",")[0]
    own = config.get("defaults", "inventory")
    if not own or config.path is None:
        return None
    return str(config.path.parent / Path(own.partition(",")[0]).expanduser())


def this_machine(environ: Mapping[str, str] | None = None) -> Path:
    """Return the file of this machine's own waivers."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_CONFIG_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "hostmend/waivers.yml"


@click.command()
@click.argument("check")
@INVENTORY
@FILE
@click.option("--host", "hosts", multiple=True, metavar="H", help="Only on this host; * and ? are wildcards.")
@click.option("--group", "groups", multiple=True, metavar="G", help="Only on the hosts of this group.")
@click.option("--resource", metavar="R", help="Only this resource, as the report names it; * and ? are wildcards.")
@click.option("--reason", required=True, metavar="TEXT", help="Why it may stay.")
@click.option("--owner", required=True, metavar="WHO", help="Who answers for it.")
@click.option("--expires", required=True, metavar="DAY", help="The last day: 2027-01-31, or 90d from today.")
def waive(
    check: str,
    inventory: str | None,
    file: Path | None,
    hosts: tuple[str, ...],
    groups: tuple[str, ...],
    resource: str | None,
    reason: str,
    owner: str,
    expires: str,
) -> int:
    """Waive CHECK until a day: it is not mended, counted apart, and open again when the waiver ends.

    Kept in group_vars/hostmend_waivers.yml beside the inventory, for review like any other file there.

    \b
    hostmend waive ports.exposed -i inventory --host mail1 --resource 'tcp *:25' \\
        --reason 'mail must come in' --owner 'Mail team' --expires 2027-06-30
    """
    known = catalog.load()
    if check not in known.checks:
        raise HostmendError(f"no such check: {check}{near(check, known.checks)}")
    last = waivers.day(expires, "--expires")
    if last < waivers.today():
        raise HostmendError(f"--expires: {last} is past")
    entry: dict[str, Any] = {"check": check}
    if resource:
        entry["resource"] = resource
    if hosts:
        entry["hosts"] = list(hosts)
    if groups:
        entry["groups"] = list(groups)
    entry |= {"reason": reason.strip(), "owner": owner.strip(), "expires": last, "created": waivers.today()}
    path = place(inventory, file)
    waivers.load(path)  # what is there must be sound before anything is added
    from hostmend.cli.work import write_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = waivers.appended(path.read_text("utf-8") if path.exists() else "", entry)
        waivers.parse(text, str(path))
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        write_file(path, text)
        path.chmod(mode)
    except OSError as error:
        raise HostmendError(f"the waivers {path} cannot be written: {error.strerror}") from error
    click.echo(f"{check} is waived until {last}: {path}")
    return 0


@click.command(name="waivers")
@INVENTORY
@FILE
@click.option("--format", "format_", type=click.Choice(("table", "json")), default="table")
def waivers_(inventory: str | None, file: Path | None, format_: str) -> int:
    """List the waivers of an inventory, those first that end first. Exit status 2 where one has expired."""
    path = place(inventory, file)
    on = waivers.today()
    found = sorted(waivers.load(path), key=lambda one: (one.expires, one.check))
    expired = [one for one in found if one.expires < on]
    if format_ == "json":
        rows = [
            {"check": one.check, "resource": one.resource, "hosts": one.hosts, "groups": one.groups, **one.told()}
            | {"expired": one.expires < on}
            for one in found
        ]
        sys.stdout.write(json.dumps(rows, indent=1, allow_nan=False) + "\n")
        return 2 if expired else 0
    if not found:
        click.echo(f"There is no waiver in {path}.")
        return 0
    from rich.table import Table
    from rich.text import Text

    from hostmend.cli import wide_console

    known = catalog.load().checks
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Until", "Check", "Where", "Owner", "Reason"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("Until", "Check"))
    for one in found:
        where = ", ".join((*one.hosts, *(f"group {name}" for name in one.groups))) or "all hosts"
        what = one.check if one.check in known else f"{one.check} (no such check)"
        style = "bold red" if one.expires < on else "yellow" if (one.expires - on).days < 14 else ""
        table.add_row(
            Text(one.expires.isoformat() + (" expired" if one.expires < on else ""), style=style),
            Text(visible(what)),
            Text(visible(where + (f": {one.resource}" if one.resource else ""))),
            Text(visible(one.owner)),
            Text(visible(one.reason)),
        )
    wide_console().print(table)
    return 2 if expired else 0
