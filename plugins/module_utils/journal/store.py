# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs on a target: their order, who works on the host now, and how long runs are kept.

Below /var/lib/hostmend, for root only:

    lock                        flock while a module works here
    holder.json                 who holds the host between modules
    order.json                  the number of each run: the order of runs goes by it, and not by clocks
    runs/RUN/run.json           the run and the state of each role in it
    runs/RUN/entries/N.json     one thing as it was before; there whole or not at all
    runs/RUN/after/N.json       the same thing when its role was done
    runs/RUN/blobs/SHA256       contents of files
    runs/RUN/restored.json      what a rollback did

Each JSON file has a checksum. What is damaged is told by name, and is neither skipped nor pruned.
"""

import calendar
import contextlib
import fcntl
import os
import shutil
import time
from typing import Dict, Iterator, List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import records
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.records import DamagedError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.records import Record
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import CONFLICT
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import DONE
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import OPEN
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import PARTS
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import RESTORED
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import RUN_NAME
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import Run
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import now

DIRECTORY = "/var/lib/hostmend"
MEBIBYTE = 1024 * 1024
# The newest finished runs that neither age nor size removes.
ALWAYS_KEPT = 5
# A clock that is further from the last run than this is not believed, and nothing is removed by it.
CLOCK_DAYS = 90
GOING = ".going-"
__all__ = ["CONFLICT", "DONE", "OPEN", "RESTORED", "RUN_NAME", "Busy", "Journal", "Run", "boot", "now"]


class Busy(HostError):
    """Another run holds this host."""

    def __init__(self, holder: Record) -> None:
        self.holder = holder
        HostError.__init__(self, "the run %(run)s holds this host: process %(pid)s on %(controller)s, since "
                           "%(since)s" % holder)


def boot() -> Tuple[str, float]:
    """Return (which boot this is, seconds since): a clock that is set does not move it.

    A container that is restarted has booted too, though its kernel has not.
    """
    identity = ""
    with contextlib.suppress(OSError, IndexError):
        with open("/proc/sys/kernel/random/boot_id") as handle:
            identity = handle.read().strip()
        with open("/proc/1/stat") as handle:
            identity += ":" + handle.read().rsplit(")", 1)[1].split()[19]
    return identity, time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _seconds(text: str) -> Optional[float]:
    """Return a time that now() has written as seconds since the epoch; None where it is none."""
    try:
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    except (ValueError, OverflowError):
        return None


class Journal:
    """All runs on this host."""

    def __init__(self, directory: str = DIRECTORY) -> None:
        self.directory = directory

    def run(self, name: str) -> Run:
        """Return a run, begun or not."""
        return Run(self.directory, name)

    def survey(self) -> Tuple[List[Run], Dict[str, str]]:
        """Return the runs on this host, oldest first, and {name: why} of those whose run.json is damaged."""
        found, damaged = [], {}
        numbers = self._numbers()
        for name in self._names():
            run = self.run(name)
            try:
                head = run.head()
            except DamagedError as error:
                damaged[name] = str(error)
                continue
            if head is not None:
                # Runs of earlier versions have no number; they are older than those that have one.
                number = head.get("number") or numbers.get(name, 0)
                found.append((number, "" if number else head["started"], name, run))
        return [item[-1] for item in sorted(found, key=lambda item: item[:3])], damaged

    def runs(self) -> List[Run]:
        """Return the runs on this host that are readable, oldest first."""
        return self.survey()[0]

    def latest(self) -> Optional[Run]:
        """Return the newest run that is not restored; DamagedError where it, or a newer one, is damaged."""
        runs, damaged = self.survey()
        numbers = self._numbers()
        newest = next((run for run in reversed(runs) if run.state != RESTORED), None)
        place = numbers.get(newest.name, 0) if newest else 0
        for name in sorted(damaged, key=lambda name: numbers.get(name, place + 1), reverse=True):
            if numbers.get(name, place + 1) > place:
                raise HostError("the run %s may be the latest, and %s; name the run to take back" % (name, damaged[name]))
        return newest

    def _names(self) -> List[str]:
        try:
            return sorted(name for name in os.listdir(os.path.join(self.directory, "runs")) if RUN_NAME.match(name))
        except OSError:
            return []

    def _order(self) -> Record:
        """Return {"last": number, "runs": {name: number}}; made anew from the runs where order.json is lost."""
        with contextlib.suppress(DamagedError):
            order = records.read(os.path.join(self.directory, "order.json"), ("last", "runs"))
            if order is not None:
                return order
        numbers = {}
        for name in self._names():
            with contextlib.suppress(DamagedError):
                number = (self.run(name).head() or {}).get("number")
                if number:
                    numbers[name] = number
        return {"last": max(list(numbers.values()) or [0]), "runs": numbers}

    def _numbers(self) -> Dict[str, int]:
        numbers: Dict[str, int] = self._order()["runs"]
        return numbers

    def number(self, name: str) -> int:
        """Return the place of a run in the order of runs; the next one where it has none yet."""
        order = self._order()
        if name not in order["runs"]:
            order["last"] += 1
            present = set(self._names())
            order["runs"] = {run: place for run, place in order["runs"].items() if run in present}
            order["runs"][name] = order["last"]
            files.make_directory(self.directory)
            records.write(os.path.join(self.directory, "order.json"), order)
        number: int = order["runs"][name]
        return number

    @contextlib.contextmanager
    def locked(self, seconds: float = 30.0) -> Iterator[None]:
        """Hold the journal while a module works in it; the kernel lets go of it when the process dies."""
        files.make_directory(self.directory)
        os.chmod(self.directory, 0o700)
        fd = os.open(os.path.join(self.directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() >= until:
                        raise HostError("another process works in %s" % self.directory)
                    time.sleep(0.1)
            yield
        finally:
            os.close(fd)

    def holder(self) -> Optional[Record]:
        """Return who holds the host between modules, None where nobody does.

        Reads a holder's note of this boot, in its time, and of a run that is not finished. A damaged note counts for
        as long as a run is open here.
        """
        path = os.path.join(self.directory, "holder.json")
        try:
            note = records.read(path, ("run", "boot", "until", "pid", "controller", "since"))
        except DamagedError as error:
            if any(run.state == OPEN for run in self.runs()):
                raise HostError("%s; remove it where no run works on this host any more" % error)
            return None
        identity, seconds = boot()
        if note is None or note["boot"] != identity or seconds > note["until"]:
            return None
        with contextlib.suppress(DamagedError):
            run = self.run(note["run"])
            if run.exists and run.state != OPEN:
                return None
        return note

    def hold(self, run: str, about: Record, lease: int, take_from: str = "") -> None:
        """Note that a run works on this host; raises Busy where another does."""
        holder = self.holder()
        if holder and holder["run"] not in (run, take_from):
            raise Busy(holder)
        identity, seconds = boot()
        since = holder["since"] if holder and holder["run"] == run else now()
        records.write(os.path.join(self.directory, "holder.json"),
                      dict(about, run=run, since=since, boot=identity, until=seconds + lease))

    def release(self, run: str) -> None:
        """Take the note away."""
        path = os.path.join(self.directory, "holder.json")
        try:
            note = records.read(path, ("run",))
        except DamagedError:
            return
        if note and note["run"] == run:
            os.unlink(path)

    def unfinished(self, but: str = "") -> List[Run]:
        """Return the runs that began and never ended, newest first."""
        return [run for run in reversed(self.runs()) if run.name != but and run.state == OPEN]

    def prune(self, keep: int, days: int, max_bytes: int, but: str = "") -> List[str]:
        """Remove the oldest finished runs beyond a number, an age or a size; returns their names.

        The newest few stay whatever their age and size, damaged runs stay, and all stay where the clock is far from
        the time of the newest run.
        """
        self._sweep(but)
        runs = [run for run in self.runs() if run.name != but]
        finished = [run for run in runs if run.state in (DONE, RESTORED)]
        if runs and not _clock_fits(runs[-1].started_head()):
            return []
        sizes = {run.name: run.size() for run in self.runs()}
        oldest = time.time() - days * 86400
        floor = min(keep, ALWAYS_KEPT)
        gone = []
        while len(finished) > floor:
            ended = _seconds(finished[0].started_head().get("finished", ""))
            old = ended is not None and ended < oldest
            if len(finished) <= keep and sum(sizes.values()) <= max_bytes and not old:
                break
            run = finished.pop(0)
            self._remove(run)
            sizes.pop(run.name)
            gone.append(run.name)
        return gone

    def _remove(self, run: Run) -> None:
        """Remove a run. It is renamed first: what a power cut leaves of it is no run, and swept the next time."""
        going = os.path.join(os.path.dirname(run.path), GOING + run.name)
        os.rename(run.path, going)
        shutil.rmtree(going, ignore_errors=True)

    def _sweep(self, but: str) -> None:
        """Remove what a power cut has left: runs that were being removed, and those that have not kept a thing."""
        root = os.path.join(self.directory, "runs")
        with contextlib.suppress(OSError):
            for name in os.listdir(root):
                if name.startswith(GOING):
                    shutil.rmtree(os.path.join(root, name), ignore_errors=True)
        for name in self._names():
            run = self.run(name)
            with contextlib.suppress(DamagedError, OSError):
                if name != but and run.head() is None and not _kept(run.path):
                    shutil.rmtree(run.path, ignore_errors=True)


def _kept(path: str) -> bool:
    """True where a run's directory holds anything but its own empty folders."""
    if set(os.listdir(path)) - set(PARTS):
        return True
    return any(name for part in os.listdir(path) for name in os.listdir(os.path.join(path, part))
               if not name.startswith(".new-"))


def _clock_fits(head: Record) -> bool:
    """True where the clock is not far from the time of a run."""
    last = _seconds(head.get("finished") or head["started"])
    return last is not None and abs(time.time() - last) <= CLOCK_DAYS * 86400
