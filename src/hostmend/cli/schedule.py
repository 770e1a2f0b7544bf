"""``hostmend schedule``: audits and remediations by the calendar."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from hostmend import catalog
from hostmend.cli import say
from hostmend.cli.options import split_names
from hostmend.core.errors import HostmendError, near
from hostmend.core.exit_status import OK
from hostmend.core.plan import RISKS
from hostmend.schedule import calendar
from hostmend.schedule.model import CRON, NAME, SYSTEMD, USER, Places, Schedule, read


def places() -> Places:
    return Places()


@click.group()
def schedule() -> None:
    """Run audits and remediations by the calendar: as systemd timers, or by cron where there is no systemd.

    They run as a system user of their own, one at a time, within a time limit. A run that could not be made is a failed
    unit; `hostmend schedule list` shows each with its last result and its next run.
    """


@schedule.command(context_settings={"ignore_unknown_options": False})
@click.option(
    "--on-calendar", required=True, metavar="WHEN", help="'daily', 'Sun 03:00', '*-*-* 02:30'; cron's five fields for cron."
)
@click.option("--name", metavar="N", help="Its name (default: audit, or remediate).")
@click.option(
    "-i", "--inventory", multiple=True, metavar="INV", help="Inventory file, directory or 'host,host' (default: this machine)."
)
@click.option("--class", "classes", multiple=True, metavar="C", help="Only this issue class (may be given again).")
@click.option("--remediate", "risk", type=click.Choice(RISKS[:3]), help="Mend too, unattended, up to this risk.")
@click.option(
    "--fail-on",
    type=click.Choice(("high", "medium", "low", "never")),
    default="never",
    help="Count the run as failed where something this grave is open (default: never).",
)
@click.option(
    "--report-to", metavar="DIR", help="Put the reports there, in a directory for each run (default: the schedule's own)."
)
@click.option("--keep", default="90d", metavar="N", help="Keep this many runs with their reports, or days such as 90d (default).")
@click.option("--notify", "notify_file", metavar="FILE", help="The notifications file.")
@click.option("--timeout", default="2h", metavar="SPAN", help="End a run after this long (default: 2h).")
@click.option("--wait", default="1h", metavar="SPAN", help="Wait this long for another schedule to end (default: 1h).")
@click.option("--jitter", default="5m", metavar="SPAN", help="Start up to this much later, at random (default: 5m).")
@click.option("--user", default=USER, metavar="NAME", help=f"Run as this user (default: {USER}, made where it is not there).")
@click.option("--replace", is_flag=True, help="Change the schedule of this name, where there is one.")
@click.option("--check", "-C", is_flag=True, help="Change nothing: say whether anything would be.")
@click.argument("options", nargs=-1, metavar="[-- OPTION...]")
def install(
    on_calendar: str,
    name: str | None,
    inventory: tuple[str, ...],
    classes: tuple[str, ...],
    risk: str | None,
    fail_on: str,
    report_to: str | None,
    keep: str,
    notify_file: str | None,
    timeout: str,
    wait: str,
    jitter: str,
    user: str,
    replace: bool,
    check: bool,
    options: tuple[str, ...],
) -> int:
    """Install a schedule; what comes after -- are further options of audit or remediate.

    \b
    hostmend schedule install --on-calendar 'Mon..Fri 02:30' -i /etc/hostmend/inventory -- -b -u audit
    hostmend schedule install --on-calendar 'Sun 03:00' -i /etc/hostmend/inventory --remediate restart \\
        --report-to /srv/reports --notify /etc/hostmend/notify.yml -- -b --waves 1,10%,100%
    """
    from hostmend.schedule import manage

    where = places()
    manage.need_root(where)
    known = catalog.load().classes
    classes = split_names(classes)
    for one in classes:
        bare = one.lstrip("!")
        if bare != "all" and bare not in known:
            raise HostmendError(f"no such class: {bare}{near(bare, known)}; there are {', '.join(sorted(known))}")
    made = Schedule(
        name=_name(name or ("remediate" if risk else "audit")),
        on_calendar=on_calendar.strip(),
        backend=_backend(where, on_calendar),
        user=_printable(user, "--user"),
        inventory=tuple(_inventory(one) for one in inventory),
        classes=classes,
        remediate=risk or "",
        report_to=_absolute(report_to),
        keep=_kept(keep),
        notify=_notify(notify_file),
        fail_on=fail_on,
        timeout=_timeout(timeout),
        wait=calendar.seconds(wait, "--wait"),
        jitter=calendar.seconds(jitter, "--jitter"),
        options=_options(options, risk),
        python=sys.executable,
    )
    installer = manage.Installer(where)
    if check:
        changed = installer.would_change(made)
        click.echo(f"schedule {made.name}: {'would be changed' if changed else 'unchanged'}")
        return OK
    changed = installer.install(made, replace)
    click.echo(f"schedule {made.name}: {'installed' if changed else 'unchanged'}")
    if changed and user == USER:
        say(f"it runs as the user {USER}, whose SSH keys and known_hosts belong in {where.home}/.ssh")
    if made.backend == CRON and not manage.cron_runs():
        say("cron is installed, but its daemon does not run: nothing is started until it does")
    return OK


def _name(name: str) -> str:
    if not NAME.fullmatch(name) or name.endswith("-held"):
        raise HostmendError(f"--name: {name!r} will not do: small letters, digits and '-', at most 40, not ending in -held")
    return name


def _timeout(text: str) -> int:
    made = calendar.seconds(text, "--timeout")
    if not made:
        raise HostmendError("--timeout: 0 leaves a run no time at all")
    return made


def _backend(where: Places, when: str) -> str:
    from hostmend.schedule import manage

    found = manage.backend(where)
    if not when.isprintable():
        raise HostmendError("--on-calendar: it has to be one line")
    if found == SYSTEMD:
        calendar.check_systemd(when)
    else:
        calendar.to_cron(when)
    return found


def _inventory(given: str) -> str:
    if "," in given:
        return given
    path = Path(_printable(given, "-i")).expanduser().absolute()
    if not path.exists():
        raise HostmendError(f"no such inventory: {given}")
    return _printable(str(path), "-i")


def _absolute(given: str | None) -> str:
    if given is None:
        return ""
    return _printable(str(Path(given).expanduser().absolute()), "--report-to")


def _printable(text: str, option: str) -> str:
    if not text.isprintable():
        raise HostmendError(f"{option}: it has to be one line of printable text, not {text!r}")
    return text


def _notify(given: str | None) -> str:
    if given is None:
        return ""
    from hostmend.notify import settings

    path = Path(_printable(given, "--notify")).expanduser().absolute()
    settings.load(path)
    return str(path)


def _kept(text: str) -> str:
    from hostmend.retention import Keep

    Keep.parse(text, "--keep")
    return text


def _options(given: tuple[str, ...], risk: str | None) -> tuple[str, ...]:
    """Return the further options, once audit or remediate would take them and none of them asks a person."""
    from hostmend.cli.audit import audit
    from hostmend.cli.remediate import remediate

    command: click.Command = remediate if risk else audit
    try:
        with command.make_context(command.name, list(given)) as context:
            typed = click.core.ParameterSource.COMMANDLINE
            wanted = {key for key in context.params if context.get_parameter_source(key) is typed}
    except click.ClickException as error:
        raise HostmendError(f"after --: {error.format_message()}") from error
    except click.exceptions.Exit as error:
        raise HostmendError("after -- come options of audit or remediate that do not end it") from error
    for key in ("ask_pass", "ask_become_pass", "ask_vault_pass"):
        if key in wanted:
            raise HostmendError(f"after --: nobody is there to answer --{key.replace('_', '-')}: name a password file instead")
    for key, mine in (
        ("inventory", "-i"),
        ("classes", "--class"),
        ("output", "--report-to"),
        ("notify", "--notify"),
        ("fail_on", "--fail-on"),
    ):
        if key in wanted:
            raise HostmendError(f"give {mine} before the --")
    return given


@schedule.command("list")
@click.option("--format", "format_", type=click.Choice(("table", "json")), default="table")
def list_(format_: str) -> int:
    """List the schedules, with the last result and the next run of each."""
    from hostmend.schedule import listing

    rows = listing.listed(places())
    if format_ == "json":
        sys.stdout.write(json.dumps(rows, indent=1, allow_nan=False) + "\n")
        return OK
    if not rows:
        click.echo("There is no schedule yet: `hostmend schedule install` makes one.")
        return OK
    from rich.table import Table
    from rich.text import Text

    from hostmend.cli import wide_console
    from hostmend.report.text import visible

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Name", "What", "When", "Next", "Last", "Result", "Open", "Unknown", "User"):
        table.add_column(heading, justify="right" if heading in ("Open", "Unknown") else "left")
    styles = {"ok": "green", "failed": "red", "stopped": "red", "open": "yellow"}
    for row in rows:
        cells: list[Any] = [row[key] for key in ("name", "what", "on_calendar", "next", "last")]
        result = Text(visible(row["result"]), style=styles.get(row["result"], ""))
        if row["said"]:
            result.append(f": {visible(row['said'], 200)}", style="default")
        if row["running"]:
            result.append(f" (running since {visible(row['running'])})", style="default")
        numbers = ["" if row[key] is None else str(row[key]) for key in ("open", "unknown")]
        table.add_row(*(Text(visible(one)) for one in cells), result, *map(visible, numbers), Text(visible(row["user"])))
    wide_console().print(table)
    return OK


@schedule.command()
@click.argument("name")
@click.option("--now", is_flag=True, help="Stop it where it is running at this moment.")
@click.option("--keep-data", is_flag=True, help="Keep its user, its kept runs and its own reports.")
@click.option("--purge", is_flag=True, help="Remove the reports in --report-to as well.")
@click.option("--missing-ok", is_flag=True, help="It is no error where there is no such schedule.")
@click.option("--check", "-C", is_flag=True, help="Change nothing: say whether anything would be.")
def remove(name: str, now: bool, keep_data: bool, purge: bool, missing_ok: bool, check: bool) -> int:
    """Remove a schedule. With the last one go its user (if a schedule made it), that user's keys, and the kept runs."""
    from hostmend.schedule import manage

    where = places()
    manage.need_root(where)
    if missing_ok and NAME.fullmatch(name) and not where.config(name).exists():
        click.echo(f"schedule {name}: unchanged")
        return OK
    if check:
        read(where.config(_name(name)))
        click.echo(f"schedule {name}: would be removed")
        return OK
    for line in manage.Remover(where).remove(_name(name), now, keep_data, purge):
        say(line)
    click.echo(f"schedule {name}: removed")
    return OK


@schedule.command()
@click.argument("name")
def run(name: str) -> int:
    """Run a schedule once, as its timer does. Its result is kept as that of any of its runs."""
    from hostmend.schedule import runner

    return runner.run(_name(name), places(), by_hand=os.isatty(0))


@schedule.command()
@click.argument("name")
def flush(name: str) -> int:
    """Send the notifications of a schedule that were held back and are due."""
    from hostmend.schedule import runner

    return runner.flush(_name(name), places())
