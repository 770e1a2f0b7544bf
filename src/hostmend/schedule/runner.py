"""What the timer starts: one run of a schedule, alone, bounded in time, with its result kept and old ones let go."""

from __future__ import annotations

import collections
import contextlib
import datetime
import fcntl
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostmend.cli import say
from hostmend.core.errors import HostmendError
from hostmend.core.exit_status import CANNOT, OK, OPEN, STOPPED, one_line
from hostmend.retention import Keep
from hostmend.schedule import account, orphans
from hostmend.schedule.files import GRACE
from hostmend.schedule.model import CRON, Places, Schedule, read, status_of, variables, vaults

#: Runs that the status file tells of, and lines of what the last one said.
KEPT_RUNS, SAID = 500, 12
POLL_SECONDS = 2.0
KILLED = "it was killed, or the machine went down, before it could say how it ended"
STAMP = "%Y%m%dT%H%M%SZ"
FOLDER = re.compile(r"\d{8}T\d{6}Z")


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _span(began: datetime.datetime) -> dict[str, str]:
    return {"started": f"{began:%FT%TZ}", "finished": f"{now():%FT%TZ}"}


def become(schedule: Schedule) -> None:
    """Become the user of the schedule, where root has started it.

    :raises HostmendError: for any other user.
    """
    found = account.entry(schedule.user)
    if found is None:
        raise HostmendError(f"the user {schedule.user} of the schedule {schedule.name} is not there")
    if os.geteuid() == found.pw_uid:
        return
    if os.geteuid() != 0:
        raise HostmendError(f"the schedule {schedule.name} runs as {schedule.user}: start it as root or as that user")
    os.initgroups(schedule.user, found.pw_gid)
    os.setgid(found.pw_gid)
    os.setuid(found.pw_uid)
    os.environ.update(HOME=found.pw_dir, USER=schedule.user, LOGNAME=schedule.user)


class BusyError(HostmendError):
    """Another run of a schedule holds the lock."""


@contextlib.contextmanager
def alone(schedule: Schedule, places: Places, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold the lock of the schedule's user; root holds those of all users, so its runs overlap with nobody's.

    :raises BusyError: where another run still holds it after ``wait`` seconds; says which.
    """
    deadline = time.monotonic() + schedule.wait
    told = False
    while True:
        held, holder = _try(schedule, places)
        if held is not None:
            break
        if time.monotonic() >= deadline:
            raise BusyError(f"{holder}; the schedule {schedule.name} did not run")
        if not told:
            say(f"{holder}; waiting for up to {schedule.wait} s")
            told = True
        pause(min(POLL_SECONDS, max(0.05, deadline - time.monotonic())))
    try:
        yield
    finally:
        for handle in held:
            os.ftruncate(handle, 0)
            os.close(handle)


def _try(schedule: Schedule, places: Places) -> tuple[list[int] | None, str]:
    """Return the locks once all are ours, else who holds one."""
    names = [schedule.user]
    if os.geteuid() == 0:
        names = sorted({schedule.user, *(path.name for path in places.locks.iterdir())})
    held: list[int] = []
    for name in names:
        try:
            handle = os.open(places.locks / name, os.O_RDWR | os.O_NOFOLLOW)
        except OSError as error:
            _release(held)
            raise HostmendError(f"the lock {places.locks / name} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            who = os.pread(handle, 300, 0).decode("utf-8", "replace").strip()
            os.close(handle)
            _release(held)
            return None, f"{one_line(who) or 'another schedule'} is running"
        held.append(handle)
    words = f"schedule {schedule.name} (process {os.getpid()}, since {now():%Y-%m-%d %H:%M:%S} UTC)"
    for handle in held:
        os.ftruncate(handle, 0)
        with contextlib.suppress(OSError):  # a full disk: the lock holds without words, too
            os.pwrite(handle, words.encode(), 0)
    return held, ""


def _release(handles: list[int]) -> None:
    for handle in handles:
        os.close(handle)


@dataclass
class Child:
    """The run itself, in a process of its own."""

    argv: list[str]
    seconds: float
    cwd: Path
    said: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=SAID))
    timed_out: bool = False

    def run(self) -> int:
        """Return the exit status; the run is stopped when its time is up, or when somebody stops this process."""
        orphans.adopt()
        child = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True, errors="replace",
            cwd=self.cwd,
        )  # fmt: skip
        reader = threading.Thread(target=self._listen, args=(child,), daemon=True)
        reader.start()

        def stop(number: int, frame: Any) -> None:
            del number, frame
            with contextlib.suppress(OSError):
                child.send_signal(signal.SIGTERM)

        kept = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            return self._wait(child)
        finally:
            for one, handler in kept.items():
                signal.signal(one, handler)
            orphans.end_orphans()
            reader.join(5)

    def _wait(self, child: subprocess.Popen[str]) -> int:
        try:
            return child.wait(self.seconds)
        except subprocess.TimeoutExpired:
            self.timed_out = True
            child.send_signal(signal.SIGTERM)
        try:
            return child.wait(GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
            return child.wait()

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stderr is not None
        for line in child.stderr:
            sys.stderr.write(line)
            sys.stderr.flush()
            if line.strip():
                self.said.append(one_line(line, 300))


def run(name: str, places: Places, by_hand: bool = False) -> int:
    """Run a schedule once, and return the exit status that monitoring sees."""
    schedule = read(places.config(name))
    _load(places)
    become(schedule)
    os.umask(0o077)
    if schedule.backend == CRON and schedule.jitter and not by_hand:
        time.sleep(random.uniform(0, schedule.jitter))
    began = now()
    try:
        with alone(schedule, places):
            return _run(schedule, places)
    except (HostmendError, OSError) as error:
        why = str(error)
        if isinstance(error, OSError):
            why = f"the run could not be made: {f'{error.filename}: ' if error.filename else ''}{error.strerror}"
        _keep(schedule, places, {**_span(began), "code": CANNOT, "said": [why]})
        _alarm(schedule, why)
        raise error if isinstance(error, HostmendError) else HostmendError(why) from error


def flush(name: str, places: Places) -> int:
    """Send what the schedule's notifications held back and is due; a channel that fails is told, and is no failure."""
    schedule = read(places.config(name))
    _load(places)
    become(schedule)
    if schedule.notify:
        from hostmend.notify import dispatch, settings

        for line in dispatch.told(_dispatcher(settings.load(Path(schedule.notify)), schedule).flush()):
            say(line)
    return OK


def _load(places: Places) -> None:
    """Take the variables of the environment file; systemd has taken them already, as root."""
    try:
        os.environ.update(variables(places))
    except OSError as error:
        if "INVOCATION_ID" not in os.environ:
            say(f"{places.environment} cannot be read: {error.strerror}")


def _run(schedule: Schedule, places: Places) -> int:
    base = Path(schedule.report_to) if schedule.report_to else places.folder(schedule.name) / "reports"
    began, folder = _folder(base)
    _begin(schedule, places, began)
    argv = [schedule.python or sys.executable, "-m", "hostmend", *schedule.command(str(folder))]
    # Where its unit works, too: that of whoever starts it by hand, such as /root, is closed to its user.
    child = Child(argv, schedule.timeout, places.folder(schedule.name))
    code = child.run()
    report = _report(folder)
    row: dict[str, Any] = {**_span(began), "code": code, "said": list(child.said)}
    _sweep(base, began - datetime.timedelta(seconds=schedule.timeout + GRACE))
    if report:
        status = report["summary"]["status"]
        row |= {"run": report["run"]["id"], "score": report["score"], "open": status["open"], "unknown": status["unknown"]}
        row |= {"directory": str(folder)}
        _latest(base, folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    if child.timed_out:
        code = row["code"] = CANNOT
        row["said"].append(f"it took longer than {schedule.timeout} s and was stopped")
        say(row["said"][-1])
    elif code not in (OK, OPEN, CANNOT, STOPPED):  # killed
        code = row["code"] = CANNOT
    gone = _keep(schedule, places, row)
    _forget(gone, base)
    if not report:
        _alarm(schedule, row["said"][-1] if row["said"] else f"exit status {code}")
    return code


def _folder(base: Path) -> tuple[datetime.datetime, Path]:
    """Return when the run begins, and the directory of that name, made for it."""
    while True:
        began = now()
        folder = base / began.strftime(STAMP)
        try:
            folder.mkdir(parents=True, mode=0o700)
        except OSError as error:
            if os.path.lexists(folder):
                time.sleep(0.2)  # that of another user's run, which began in this very second
                continue
            raise HostmendError(f"the directory of reports {folder} cannot be made: {error.strerror}") from error
        return began, folder


def _report(folder: Path) -> dict[str, Any] | None:
    try:
        made = json.loads((folder / "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return made if isinstance(made, dict) and "run" in made else None


def _sweep(base: Path, before: datetime.datetime) -> None:
    """Remove what runs have left that were killed: directories from before any run that can still be at work, with no report."""
    with contextlib.suppress(OSError):
        for path in base.iterdir():
            old = FOLDER.fullmatch(path.name) and path.name < before.strftime(STAMP)
            if old and not path.is_symlink() and not os.path.lexists(path / "report.json"):
                shutil.rmtree(path, ignore_errors=True)


def _latest(base: Path, folder: Path) -> None:
    """Point ``latest`` at the newest report."""
    with contextlib.suppress(OSError):
        part = base / ".latest"
        part.unlink(missing_ok=True)
        part.symlink_to(folder.name)
        part.replace(base / "latest")


def kept(rows: Sequence[Mapping[str, Any]], keep: Keep) -> int:
    """Return how many of the runs, the newest first, are still kept; the newest always is."""
    if keep.count is not None:
        return min(keep.count, KEPT_RUNS)
    before = keep.before() or ""
    return max(1, sum(str(row.get("started")) >= before for row in rows[:KEPT_RUNS]))


def _begin(schedule: Schedule, places: Places, began: datetime.datetime) -> None:
    """Say in the status file that a run is at work; one that is still said to be was killed, as it no longer holds the lock."""
    status = status_of(places, schedule.name)
    killed = status.get("running")
    if isinstance(killed, dict):
        started = str(killed.get("started"))
        _keep(schedule, places, {"started": started, "finished": "", "code": CANNOT, "said": [KILLED]})
        status = status_of(places, schedule.name)
    _write(schedule, places, {**status, "running": {"started": f"{began:%FT%TZ}", "pid": os.getpid()}})


def _keep(schedule: Schedule, places: Places, row: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Put the run into the status file, and return the runs that are to be forgotten."""
    status = status_of(places, schedule.name)
    rows = [row, *(one for one in status.get("runs") or () if isinstance(one, dict))]
    for one in rows[1:]:
        one.pop("said", None)
    number = kept(rows, Keep.parse(schedule.keep, "--keep"))
    result = {OK: "ok", OPEN: "open", STOPPED: "stopped"}.get(row["code"], "failed")
    running = status.get("running")
    # This one has ended, or never came to its turn while another is at work.
    others = {"running": running} if isinstance(running, dict) and running.get("pid") != os.getpid() else {}
    _write(schedule, places, {"result": result, "runs": rows[:number], **others})
    return rows[number:]


def _write(schedule: Schedule, places: Places, status: Mapping[str, Any]) -> None:
    """Replace the status file."""
    path = places.status(schedule.name)
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps({"schedule": schedule.name, **status}, indent=1, allow_nan=False) + "\n", "utf-8")
        part.chmod(0o644)  # for monitoring: counts and times
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        say(f"{path} cannot be written: {error.strerror}")


def _forget(rows: Sequence[Mapping[str, Any]], base: Path) -> None:
    """Let go of the reports and the kept runs of these."""
    if not rows:
        return
    for row in rows:
        folder = Path(str(row.get("directory") or "/"))
        if folder.parent == base and FOLDER.fullmatch(folder.name) and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
    from hostmend.store import Store

    try:
        Store().prune(identities=[str(row["run"]) for row in rows if row.get("run")])
    except HostmendError as error:
        say(error)


def _dispatcher(settings: Any, schedule: Schedule) -> Any:
    from hostmend.notify.dispatch import Dispatcher

    files = [value for name, value in vaults(schedule.options) if name != "--vault-id"]
    return Dispatcher(settings, os.environ.get("HOSTMEND_LANGUAGE") or "en", files)


def _alarm(schedule: Schedule, why: str) -> None:
    """Tell the channels that a run came to nothing. Whatever goes wrong in that is told, and no more."""
    if not schedule.notify:
        return
    from hostmend.notify import dispatch, settings

    try:
        made = _dispatcher(settings.load(Path(schedule.notify)), schedule)
        for line in dispatch.told(made.failure(f"hostmend: schedule {schedule.name} failed", why)):
            say(line)
    except HostmendError as error:
        say(error)
