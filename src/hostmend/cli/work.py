"""The steps that audit and remediate have in common: run, keep, write, show."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from hostmend import __version__, advisories, ansible_run, catalog
from hostmend.cli import say, wide_console
from hostmend.cli.differences import Differences
from hostmend.cli.next_steps import next_steps, say_next
from hostmend.cli.options import Common, password_flags
from hostmend.cli.progress import Progress
from hostmend.core import exit_status
from hostmend.core.errors import HostmendError, StoreError
from hostmend.events import HostState, Run
from hostmend.report.text import visible
from hostmend.store import FAILED, FINISHED, STOPPED, Store, now, state_directory


class Work:
    """One run of hostmend, of one or two runs of Ansible, with one identity and one report."""

    def __init__(self, common: Common, mode: str, diff: bool = False) -> None:
        self.common = common
        self.differences = Differences() if diff else None
        self.mode = mode
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.run: dict[str, Any] = {
            "id": f"{stamp}-{secrets.token_hex(3)}",
            "started": now(),
            "finished": None,
            "mode": mode,
            "version": __version__,
            "inventory": list(common.inventory),
            **({"limit": common.limit} if common.limit else {}),
            **({"classes": list(common.classes)} if common.classes else {}),
            **({"become": True} if "--become" in common.ansible else {}),
        }
        self.stop = ansible_run.Stop()
        self.console: Console = wide_console(stderr=True)
        self.keeper = Keeper(self.run)

    def ansible(
        self,
        playbook: str,
        variables: Mapping[str, Any] | None = None,
        check: bool = False,
        on_mending: Any = None,
        hosts: Sequence[str] = (),
        keep: bool = True,
    ) -> Run:
        """Run a playbook, and return what its events say; raise HostmendError where it could not begin.

        Without ``keep`` it is no run of its own in the list of runs: it only looks.
        """
        common = self.common
        given: dict[str, Any] = {"hostmend_session": True, "hostmend_run": self.run["id"], **(variables or {})}
        if common.waivers is not None:
            given["hostmend_waivers"] = str(common.waivers)
        if common.classes:
            given["hostmend_classes"] = list(common.classes)
        request = ansible_run.Request(
            playbook=playbook,
            inventory=common.inventory,
            limit=common.limit,
            hosts=tuple(hosts or common.hosts),
            options=[*common.ansible, *password_flags(common.passwords)],
            variables=given,
            passwords=common.passwords,
            check=check,
            diff=check or self.differences is not None,
            verbosity=common.verbosity,
        )
        with self.stop.on_signals(), Progress(self.console, quiet=common.verbosity > 0, check=check) as progress:

            def watch(host: HostState) -> None:
                if on_mending is not None and host.stage.startswith("mending"):
                    progress.stop()
                    on_mending(run)
                progress.watch(host)

            run = Run(watch)

            def take(event: Mapping[str, Any]) -> None:
                if keep:
                    self.keeper.begin()
                if self.differences is not None:
                    self.differences.take(event)
                run.take(event)

            show = _show_ansible if common.verbosity else None
            result = ansible_run.run(request, take, self.stop, show)
        if result.status != "stopped" and not run.hosts:
            self.keeper.give_up()
            raise HostmendError(_why_nothing(result, run, common))
        return run

    def list_hosts(self) -> int:
        """Print the hosts that are meant."""
        request = ansible_run.Request(
            playbook="audit.yml", inventory=self.common.inventory, limit=self.common.limit, hosts=self.common.hosts,
            options=[*self.common.ansible, *password_flags(self.common.passwords)], passwords=self.common.passwords,
        )  # fmt: skip
        names = ansible_run.list_hosts(request)
        if self.common.format == "json":
            names = [json.dumps(names)]
        for one in names:
            click.echo(one if self.common.format == "json" else visible(one))
        return exit_status.OK

    @property
    def stopped(self) -> bool:
        return self.stop.asked is not None

    def report(self, run: Run) -> dict[str, Any]:
        """Return the report of what the events said."""
        from hostmend.report import model

        self.run["finished"] = now()
        # How old what an audit compares packages with is; none where there is no bundle.
        self.run["advisories"] = _ages_of_advisories()
        if self.stopped:
            self.run["status"] = "stopped"
        # Of a host that a rollback had nothing to do on, nothing was seen, and nothing is claimed.
        hosts = {name: host.result() for name, host in run.hosts.items() if not host.left_alone}
        return model.build(self.run, hosts, catalog.load(), self.common.language)

    def finish(self, report: dict[str, Any], outcome_table: bool = False) -> int:
        """Keep, write and show the report; return the exit status."""
        status = exit_status.exit_status(report, self.common.fail_on, self.common.ignore_unreachable)
        kept = STOPPED if self.stopped else FAILED if status == exit_status.CANNOT else FINISHED
        report = self.keeper.finish(report, kept, written=self.common.output)
        files: list[str] = []
        if self.common.output is not None:
            files = write_report(report, self.common.output, self.common.write)
        if self.common.notify is not None and self.mode in ("audit", "remediate"):
            report = self._notify(report)
        if self.common.format == "json":
            sys.stdout.write(json.dumps(filtered(report, self.common.severity), indent=1, allow_nan=False) + "\n")
        else:
            from hostmend.report import table
            from hostmend.report.language import localized

            if self.differences is not None:
                self.differences.show(Console(highlight=False))
            table.show(localized(filtered(report, self.common.severity)), Console(), files)
            for line in next_steps(report, self.common):
                say_next(line)
        if self.stopped:
            say(f"stopped; what was done by then is kept as run {self.run['id']}")
            return exit_status.STOPPED
        return status

    def _notify(self, report: dict[str, Any]) -> dict[str, Any]:
        """Tell the channels; return the report with what came of it. Whatever fails there fails no run."""
        from hostmend.notify import dispatch

        files = [one.partition("=")[2] for one in self.common.ansible if one.startswith("--vault-password-file=")]
        passwords = [word for name, word in self.common.passwords.items() if name == "vault"]
        made = dispatch.Dispatcher(self.common.notify, self.common.language, files, passwords).after_run(report)
        for line in dispatch.told(made):
            say(line)
        report = {**report, "run": {**report["run"], "notifications": made}}
        self.keeper.note(report)
        if self.common.output is not None:
            write_report(report, self.common.output, ("json",))
        return report


class Keeper:
    """Keeps the run in the store, beside Ansible's work. A store that fails never loses a report."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.row = {**run, "controller": socket.gethostname()}
        self.store = Store()
        self.thread: threading.Thread | None = None
        self.problem: str | None = None

    def begin(self) -> None:
        """Note the beginning, on a thread: the store's library is loaded while the hosts are busy."""
        if self.thread is None:
            self.thread = threading.Thread(target=self._begin, daemon=True)
            self.thread.start()

    def _begin(self) -> None:
        try:
            self.store.begin(self.row)
        except StoreError as error:
            self.problem = str(error)

    def give_up(self) -> None:
        """Note that nothing came of the run."""
        if self.thread is not None:
            self.thread.join()
            if self.problem is None:
                try:
                    self.store.end(str(self.row["id"]), "failed")
                except StoreError as error:
                    say(error)

    def finish(self, report: dict[str, Any], status: str, written: Path | None) -> dict[str, Any]:
        """Keep the report and return it with its history; where the store does not take it, put it into a file."""
        if self.thread is not None:
            self.thread.join()
        try:
            return self.store.finish(report, status)  # also where the beginning was not taken: a lock may be gone by now
        except StoreError as error:
            rescued = "" if written else self._rescue(report)
            say(f"{error}{rescued}")
            return report

    def note(self, report: dict[str, Any]) -> None:
        """Keep what the report says by now."""
        try:
            self.store.amend(report)
        except StoreError as error:
            say(error)

    def _rescue(self, report: Mapping[str, Any]) -> str:
        for directory in (state_directory() / "unsaved", Path(tempfile.gettempdir())):
            try:
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                path = directory / f"hostmend-{self.row['id']}.json"
                write_file(path, json.dumps(report, indent=1, allow_nan=False) + "\n")
                return f"; the report is in {path}"
            except OSError:
                continue
        return ""


def write_report(report: Mapping[str, Any], directory: Path, forms: Sequence[str] = ("json", "html")) -> list[str]:
    """Write the report in these forms, each whole or not at all; return the files."""
    from hostmend.report.formats import FORMATS, render

    made = []
    try:
        for form in forms:
            path = directory / FORMATS[form][1]
            write_file(path, render(report, form))
            made.append(str(path))
    except OSError as error:
        raise HostmendError(f"the report cannot be written to {directory}: {error.strerror}") from error
    return made


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all, for its owner's eyes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def filtered(report: dict[str, Any], severity: str | None) -> dict[str, Any]:
    """Return the report less the findings below a severity; counts and scores stay those of the whole."""
    if severity is None:
        return report
    least = exit_status.GRAVITY[severity]
    hosts = {
        name: {**host, "findings": [one for one in host["findings"] if exit_status.gravity(one) >= least]}
        for name, host in report["hosts"].items()
    }
    return {**report, "hosts": hosts}


def _show_ansible(text: str) -> None:
    click.echo(text, err=True)


def _why_nothing(result: ansible_run.Result, run: Run, common: Common) -> str:
    """Return in one line why no host was worked on."""
    for line in result.errors:
        if "no hosts to target" in line or "leaves us with no hosts" in line:
            break
        if line:
            return f"Ansible could not begin: {exit_status.one_line(line, 500)}"
    where = ", ".join(common.inventory) or "the inventory"
    if common.limit:
        return f"no host of {where} is meant by --limit {common.limit}"
    return f"there is no host in {where}"


def _ages_of_advisories() -> list[dict[str, Any]]:
    """Return how old each source of the advisories is; what reads them is loaded only where there are any."""
    bundle = advisories.location()
    if not bundle.is_file():
        return []
    from hostmend.advisories import feeds

    return feeds.ages(bundle)
