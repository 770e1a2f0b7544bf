# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the detectors side by side, each where it can be killed, and see that no check goes unsaid.

What several detectors draw from is read first, once; then a few copies of this process do the work, detector after detector.
What one says comes back over a pipe, of bounded size. When its time is up its process is killed with all that it has started,
also where it does not come back from a single call, as a regular expression on hostile input may not, and a new one goes on.
"""

import gc
import json
import os
import resource
import selectors
import signal
import threading
import time

from typing import Any, Dict, List, Mapping, NoReturn, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.finding import STATUSES
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.policy import PolicyError
from ansible_collections.hostmend.hardening.plugins.module_utils.policy import merge
from ansible_collections.hostmend.hardening.plugins.module_utils.policy import select
from ansible_collections.hostmend.hardening.plugins.module_utils.printable import json_safe
from ansible_collections.hostmend.hardening.plugins.module_utils.printable import printable
from ansible_collections.hostmend.hardening.plugins.module_utils.sentence import sentence

__all__ = ("PolicyError", "complete", "failed_units", "json_safe", "merge", "printable", "run", "select", "where")

ENDED = sentence("engine.ended", "the detector was ended before it was done")
NOTHING_SAID = sentence("engine.nothing_said", "the detector said nothing about this check")
#: Readings of a host, each by the name of its method, that are made before the detectors begin where several want them.
SHARED = ("processes", "listeners", "units", "packages", "firewall")
#: The most that a class may say, in bytes, and the most memory that it may take beside what all have.
MOST_SAID = 16 * 1024 * 1024
MOST_MEMORY = 1024 * 1024 * 1024
#: How many detectors are at work at once: a process costs some milliseconds, and most of them wait little.
WORKERS = 3
#: Seconds after its time that a detector ends itself, should nobody be there any more to end it.
GRACE = 5


def _nothing() -> None:
    """Do nothing, where Python has nothing to do it with."""


# Since Python 3.7.
FREEZE, UNFREEZE = getattr(gc, "freeze", _nothing), getattr(gc, "unfreeze", _nothing)


def where(error: BaseException) -> str:
    """Return type and place of an exception; its text might quote what the host holds, a secret included."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    name = os.path.basename(trace.tb_frame.f_code.co_filename)
    return "%s at %s line %s" % (type(error).__name__, name, trace.tb_lineno)


def run(host: Any, detectors: Mapping[str, Any], policies: Mapping[str, Any], timeout: float, class_timeout: float
        ) -> Tuple[Dict[str, Any], List[Dict[str, Any]], Dict[str, Any]]:
    """Run the detectors and return (facts by class, findings, what became of each class), all of it fit for JSON."""
    until = time.monotonic() + timeout
    read_shared(host, detectors, min(timeout, class_timeout))
    works = [_Work(name, detector, policies[name], class_timeout) for name, detector in detectors.items()]
    _carry_out(host, works, until)
    facts, findings, classes = {}, [], {}
    for work in works:
        status, reason, said = work.status, work.reason, work.findings
        if status == "timeout":
            reason = sentence("engine.timeout", "not done within {seconds} s", seconds="%g" % min(class_timeout, timeout))
        if status == "ok":
            facts[work.name] = work.facts
        checked, complaint = complete(work.name, work.detector.CHECKS, said, reason)
        if complaint:
            status, reason = "failed", complaint
        findings.extend(checked)
        classes[work.name] = {"status": status, "reason": reason, "seconds": round(work.seconds, 3)}
    return facts, findings, classes


class _OutOfTime(Exception):
    """The time for what all detectors share is up."""


def read_shared(host: Any, detectors: Mapping[str, Any], seconds: float) -> None:
    """Make the readings that more than one detector wants, as each makes those anew that it does not find.

    A detector names them in ``READS``. What fails here fails again where it is wanted, and is told there.
    """
    wanted = [name for detector in detectors.values() for name in getattr(detector, "READS", ())]
    shared = [name for name in SHARED if wanted.count(name) > 1]
    if not shared:
        return
    kept = _alarm(seconds)
    try:
        for name in shared:
            try:
                getattr(host, name)()
            except _OutOfTime:
                raise
            except Exception:
                pass
    except _OutOfTime:
        pass
    finally:
        if kept is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, kept)


def _alarm(seconds: float) -> Any:
    """Have this thread interrupted in time, and return the handler before; None in a thread where that cannot be."""
    def interrupt(number: int, frame: Any) -> None:
        raise _OutOfTime()
    if threading.current_thread() is not threading.main_thread():
        return None
    kept = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, seconds))
    return kept


class _Work(object):
    """One detector, and what came of it."""

    def __init__(self, name: str, detector: Any, policy: Mapping[str, Any], budget: float) -> None:
        self.name, self.detector, self.policy, self.budget = name, detector, policy, budget
        self.status, self.reason = "timeout", ""
        self.facts: Any = {}
        self.findings: Any = []
        self.seconds = 0.0

    def conclude(self, said: bytes) -> None:
        """Take what its process has said of it."""
        try:
            self.facts, self.findings, failure, self.seconds = json.loads(said.decode("ascii"))
        except ValueError:
            self.status, self.reason = "failed", ENDED
            return
        self.status, self.reason = (
            "failed", sentence("engine.failed", "the detector failed: {failure}", failure=failure)) if failure else ("ok", "")


class _Worker(object):
    """A process that carries out one work after the other, as long as each is done in time."""

    def __init__(self, host: Any, works: Sequence[_Work]) -> None:
        jobs, self.jobs = os.pipe()
        self.results, results = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            for pipe in (jobs, self.jobs, self.results, results):
                os.close(pipe)
            raise
        if self.pid == 0:
            for pipe in (self.jobs, self.results):
                os.close(pipe)
            _in_child(host, works, jobs, results)
        os.close(jobs)
        os.close(results)
        self.work: Optional[_Work] = None
        self.began, self.until, self.size = 0.0, 0.0, 0
        self.parts: List[bytes] = []

    def begin(self, work: _Work, number: int, until: float) -> None:
        """Have it do a work, which has to be done by ``until`` and within its own budget."""
        self.work, self.parts, self.size = work, [], 0
        self.began = time.monotonic()
        self.until = min(until, self.began + work.budget)
        try:
            os.write(self.jobs, b"%d %d\n" % (number, 1 + int((self.until - self.began) * 1000)))
        except OSError:
            pass  # it is gone: the end of its results says so

    def hear(self, work: _Work) -> Optional[bool]:
        """Take what it says; return whether the work is done, None where the process is of no more use."""
        data = os.read(self.results, 1 << 16)
        self.parts.append(data)
        self.size += len(data)
        if not data or self.size > MOST_SAID:
            work.status, work.reason = "failed", ENDED if not data else sentence(
                "engine.too_much", "the detector said too much")
            work.seconds = time.monotonic() - self.began
            return None
        if not data.endswith(b"\n"):
            return False
        work.conclude(b"".join(self.parts))
        return True

    def end(self) -> None:
        """Leave nothing of it running."""
        os.close(self.jobs)
        os.close(self.results)
        kill_tree(self.pid, self.work is None)


def _carry_out(host: Any, works: Sequence[_Work], until: float) -> None:
    """Have all works done by a few processes, each work until its time is up."""
    waiting = list(range(len(works)))
    workers: List[_Worker] = []
    FREEZE()  # what all share is not copied because of the collector's notes
    try:
        with selectors.DefaultSelector() as selector:
            while waiting or any(worker.work is not None for worker in workers):
                _hand_out(host, works, waiting, workers, selector, until)
                busy = [worker for worker in workers if worker.work is not None]
                if not busy:
                    break
                for key, unused in selector.select(max(0.0, min(one.until for one in busy) - time.monotonic())):
                    _take(key.data, workers, selector)
                for worker in list(workers):
                    if worker.work is not None and worker.until <= time.monotonic():
                        worker.work.seconds = time.monotonic() - worker.began
                        _dismiss(worker, workers, selector)
    finally:
        for worker in workers:
            worker.end()
        UNFREEZE()


def _hand_out(host: Any, works: Sequence[_Work], waiting: List[int], workers: List[_Worker],
              selector: selectors.BaseSelector, until: float) -> None:
    """Give what waits to processes that have nothing to do, new ones where there are too few."""
    while waiting and time.monotonic() < until:
        idle = [worker for worker in workers if worker.work is None]
        if not idle:
            if len(workers) >= WORKERS:
                return
            try:
                idle = [_Worker(host, works)]
            except OSError as error:
                if workers:
                    return
                for number in waiting:
                    works[number].status, works[number].reason = "failed", sentence(
                        "engine.no_process", "no process can be started: {error}", error=error.strerror)
                del waiting[:]
                return
            workers.append(idle[0])
            selector.register(idle[0].results, selectors.EVENT_READ, idle[0])
        number = waiting.pop(0)
        idle[0].begin(works[number], number, until)


def _take(worker: _Worker, workers: List[_Worker], selector: selectors.BaseSelector) -> None:
    if worker.work is None:  # it has ended by itself
        _dismiss(worker, workers, selector)
        return
    done = worker.hear(worker.work)
    if done:
        worker.work = None
    elif done is None:
        _dismiss(worker, workers, selector)


def _dismiss(worker: _Worker, workers: List[_Worker], selector: selectors.BaseSelector) -> None:
    selector.unregister(worker.results)
    workers.remove(worker)
    worker.end()


def _in_child(host: Any, works: Sequence[_Work], jobs: int, results: int) -> NoReturn:
    """Do works as they are handed out, and end: nothing else of this process runs on."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # whoever waits for the end of these waits for nothing that hangs here
            os.dup2(nothing, stream)
        _limit_memory()
        with os.fdopen(jobs, "rb") as lines:
            for line in lines:
                number, budget = (int(part) for part in line.split())
                signal.setitimer(signal.ITIMER_REAL, budget / 1000.0 + GRACE)  # should nobody be there any more to end it
                said = memoryview(_said(works[number], host))
                while said:
                    said = said[os.write(results, said):]
    finally:
        os._exit(0)


def _said(work: _Work, host: Any) -> bytes:
    """Do a work, and return what came of it as a line of JSON."""
    began = time.monotonic()
    try:
        facts = work.detector.collect(host, work.policy)
        findings = json_safe(work.detector.check(facts, work.policy))
        said = json.dumps([json_safe(facts), findings, "", time.monotonic() - began], allow_nan=False)
    except Exception as error:  # a detector that fails must not take the others with it
        said = json.dumps([{}, [], where(error), time.monotonic() - began])
    return said.encode("ascii") + b"\n"


def _limit_memory() -> None:
    """Let this process take a bounded amount of memory beside what it has."""
    try:
        with open("/proc/self/statm") as handle:
            used = int(handle.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if soft in (resource.RLIM_INFINITY, -1):
            resource.setrlimit(resource.RLIMIT_DATA, (used + MOST_MEMORY, hard))
    except (OSError, ValueError, IndexError):
        pass


def kill_tree(pid: int, ended: bool = False) -> None:
    """Kill a child and whatever it has started, whichever sessions these are in; wait for none that the kernel holds."""
    pids = [pid]
    if not ended:
        _signal(pid, signal.SIGSTOP)  # it starts nothing more
        children = _children()
        for parent in pids:
            pids.extend(children.get(parent, ()))
    for one in pids:
        _signal(one, signal.SIGKILL)
    for unused in range(50):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except OSError:
            return
        time.sleep(0.002)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass


def _children() -> Dict[int, List[int]]:
    """Return the processes that each process has started."""
    found: Dict[int, List[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as handle:
                    parent = int(handle.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            found.setdefault(parent, []).append(int(name))
    return found


def complete(name: str, checks: Any, said: Any, reason: str) -> Tuple[List[Dict[str, Any]], str]:
    """Return the findings with an ``unknown`` for each check that none is about, and what is wrong with them."""
    kept, complaint = [], ""
    for one in said:
        if isinstance(one, dict) and one.get("check") in checks and one.get("status") in STATUSES:
            kept.append(one)
        else:
            named = one.get("check") if isinstance(one, dict) else type(one).__name__
            complaint = "the detector spoke of %s, which is no check of %s" % (named, name)
    reported = set(one["check"] for one in kept)
    kept.extend(unknown(check, "", reason or NOTHING_SAID) for check in checks if check not in reported)
    return kept, complaint


def failed_units(host: Any) -> List[str]:
    """Return the units that have failed: what an operator compares before and after a change."""
    if not host.live or host.system().init != "systemd":
        return []
    return sorted(unit.name for unit in host.units().items if unit.active == "failed")
