"""``hostmend rollback``: take back what a run changed, or say which runs each host knows."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hostmend.cli import options
from hostmend.core import exit_status
from hostmend.core.errors import HostmendError, StoppedError
from hostmend.events import HostState, Run
from hostmend.report.text import visible

STATES = {"damaged": "bold red", "open": "red", "done": "green", "restored": "cyan", "conflict": "bold red"}


@click.command(cls=options.GroupedCommand)
@click.argument("run", required=False)
@options.shared
@click.option("--host", "hosts", multiple=True, metavar="H", help="Only on this host (may be given again).")
@click.option("--only", multiple=True, metavar="CLASS", help="Only what the role of this class did.")
@click.option("--check", "-C", is_flag=True, help="Change nothing: say what would go back, and what is in the way.")
@click.option("--force", is_flag=True, help="Bring back also what somebody changed since the run.")
@click.option("--list", "list_", is_flag=True, help="Only list the runs that the hosts know.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def rollback(
    run: str | None,
    hosts: tuple[str, ...],
    only: tuple[str, ...],
    check: bool,
    force: bool,
    list_: bool,
    yes: bool,
    **given: Any,
) -> int:
    """Take back what RUN changed on the hosts: files, units, packages, firewall, settings. Then audit what is open.

    RUN is the id that the remediation named, "latest" (the newest of each host) or "unfinished" (what was broken
    off). Without RUN it lists the runs that each host knows. What somebody changed since is not touched.

    \b
    hostmend rollback -i inventory                                  which runs there are
    hostmend rollback 20261124T103000Z-ab12cd -i inventory --check  what would go back
    hostmend rollback latest -i inventory --host web1 --only redis --yes

    Exit status: 0 all of it went back, 1 some of it could not, 130 it was stopped.
    """
    from hostmend.cli.work import Work

    if hosts:
        given["limit"] = ",".join(filter(None, (given["limit"], *hosts)))
    given["no_notify"] = True  # nobody is told of it, so no file of notifications may stand in its way
    common = options.gather(given)
    if common.list_hosts:
        return Work(common, "rollback").list_hosts()
    roles = [name for name in options.checks_or_classes(only, "--only") if "." not in name]
    if len(roles) < len(only):
        raise HostmendError("--only: a rollback takes a whole class back, not one check of it")
    if list_ or not run:
        return _list(Work(common, "rollback"))
    if not (yes or check or sys.stdin.isatty()):
        raise HostmendError("there is no terminal to ask on: say --yes to take it back, or --check to see what would be")
    variables: dict[str, Any] = {"hostmend_rollback_run": run, "hostmend_rollback_force": force}
    if roles:
        variables["hostmend_rollback_roles"] = roles
    work = Work(common, "rollback")
    work.run["of"] = run
    if check or not yes:
        foretold = work.ansible("rollback.yml", variables, check=True, keep=False)
        if work.stopped:
            raise StoppedError("stopped; nothing was changed")
        _known(foretold, run)
        if check:
            return _tell(work.common.format, foretold, "What would go back")
        _tell("table", foretold, "What will go back", stderr=True)
        if not click.confirm(f"Take {run} back?", default=False, err=True):
            click.echo("Nothing was changed.", err=True)
            return exit_status.OK
    return _take_back(work, variables, run)


def _take_back(work: Any, variables: dict[str, Any], run: str) -> int:
    """Take the run back, and keep and tell what came of it."""
    done = work.ansible("rollback.yml", variables)
    if not work.stopped:
        try:
            _known(done, run)
        except HostmendError:
            work.keeper.give_up()
            raise
    report = work.report(done)
    kept = "stopped" if work.stopped else "failed" if _status(done) else "finished"
    report = work.keeper.finish(report, kept, work.common.output)
    if work.common.output is not None:
        from hostmend.cli.work import write_report

        write_report(report, work.common.output)
    if work.stopped:
        raise StoppedError("stopped; `hostmend rollback --list` says what each host has taken back by now")
    if work.common.format == "json":
        sys.stdout.write(json.dumps(report, indent=1, allow_nan=False) + "\n")
        return _status(done)
    return _tell(work.common.format, done, "What went back")


def _list(work: Any) -> int:
    """Print the runs that each host knows."""
    run: Run = work.ansible("rollback.yml", keep=False)
    if work.stopped:
        raise StoppedError("stopped")
    known = {name: host.rollback.get("runs", []) for name, host in run.hosts.items()}
    if work.common.format == "json":
        sys.stdout.write(json.dumps(known, indent=1, allow_nan=False) + "\n")
        return _status(run)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Host", "Run", "Started", "State", "Roles"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("Run", "Started", "State"))
    for name, runs in sorted(known.items()):
        for one in runs:
            roles = ", ".join(f"{role} ({state})" for role, state in (one.get("roles") or {}).items())
            state = str(one.get("state"))
            table.add_row(
                Text(visible(name)),
                Text(visible(one.get("run"))),
                Text(visible(one.get("started"))),
                Text(visible(state), style=STATES.get(state, "")),
                Text(visible(roles)),
            )
    if table.row_count:
        Console().print(table) if sys.stdout.isatty() else _plain().print(table)
    else:
        click.echo("No host knows a run: nothing was changed by hostmend there.")
    for name, host in run.hosts.items():
        if _trouble(host):
            click.echo(f"{visible(name)}: {_trouble(host)}", err=True)
    return _status(run)


def _plain() -> Console:
    from hostmend.cli import wide_console

    made: Console = wide_console()
    return made


def _known(run: Run, name: str) -> None:
    """Complain where every host was asked and none has the run."""
    hosts = run.hosts.values()
    if all(host.rollback and not host.rollback.get("taken") for host in hosts):
        what = {"latest": "a run that is not taken back yet", "unfinished": "a run that was broken off"}.get(name)
        raise HostmendError(f"no host knows {what or 'the run ' + name} (hostmend rollback --list shows what there is)")


def _trouble(host: HostState) -> str:
    if host.failures or host.status not in (None, "ok"):
        return visible("; ".join(dict.fromkeys(host.failures)) or host.reason, 600)
    return ""


def _status(run: Run) -> int:
    return exit_status.CANNOT if any(_trouble(host) for host in run.hosts.values()) else exit_status.OK


def _tell(form: str, run: Run, title: str, stderr: bool = False) -> int:
    if form == "json":
        sys.stdout.write(json.dumps({name: host.rollback for name, host in run.hosts.items()}, indent=1, allow_nan=False) + "\n")
        return _status(run)
    from hostmend.cli import wide_console

    wide_console(stderr=stderr).print(build(run, title))
    return _status(run)


def build(run: Run, title: str) -> Group:
    """Return what went back on each host, what did not, and what else to know."""
    parts: list[RenderableType] = [Text(f"{title}:", style="bold")]
    for name, host in sorted(run.hosts.items()):
        parts += [Text(), Text(visible(name), style="bold underline"), Padding(_host(host), (0, 0, 0, 2))]
    return Group(*parts, Text())


def _host(host: HostState) -> RenderableType:
    told = host.rollback
    lines: list[RenderableType] = []
    if told and not told.get("taken"):
        lines.append(Text("does not know this run: nothing to take back", style="bright_black"))
    table = Table.grid(padding=(0, 2))
    for _column in range(4):
        table.add_column(overflow="fold")
    for item in told.get("restored") or ():
        table.add_row("back", *_words(item), style="green")
    for item in told.get("conflicts") or ():
        table.add_row("refused", *_words(item), style="bold red")
    if table.row_count:
        lines.append(table)
    elif told.get("taken"):
        lines.append(Text("all is as it was before already", style="bright_black"))
    if told.get("conflicts"):
        lines.append(Text("Somebody changed these since; --force brings them back all the same.", style="red"))
    for note in told.get("notes") or ():
        lines.append(Text(visible(note, 400), style="yellow"))
    if _trouble(host):
        lines.append(Text(_trouble(host), style="bold red"))
    return Group(*lines)


def _words(item: Mapping[str, Any]) -> tuple[Text, ...]:
    kind = {"path": "file"}.get(str(item.get("kind")), str(item.get("kind")))
    return Text(visible(item.get("role"))), Text(kind), Text(f"{visible(item.get('name'), 300)} ({visible(item.get('what'))})")
