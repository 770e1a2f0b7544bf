"""Install, list and remove schedules. All of it needs root, but for listing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hostmend.core.errors import HostmendError
from hostmend.core.exit_status import one_line
from hostmend.schedule import account, calendar, files
from hostmend.schedule.inventory import connects_locally, hosts_of
from hostmend.schedule.model import CRON, SYSTEMD, USER, Places, Schedule, environment, names, read, variables, vaults
from hostmend.schedule.runner import FOLDER

Command = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def command(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the system."""
    return subprocess.run(list(argv), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120)


def backend(places: Places) -> str:
    """Return what starts schedules here.

    :raises HostmendError: where there is neither systemd nor cron.
    """
    if places.systemd_runs.is_dir():
        return SYSTEMD
    if places.cron.is_dir() and any(shutil.which(one, path=ADMIN_PATH) for one in ("cron", "crond")):
        return CRON
    raise HostmendError("there is neither systemd nor cron here: install cron, or call `hostmend audit` from what you have")


def cron_runs() -> bool:
    """True where cron's daemon is there."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text().strip() in ("cron", "crond"):
                return True
    return False


def need_root(places: Places) -> None:
    if os.geteuid() != 0 and places.root == Path("/"):
        raise HostmendError("schedules belong to the system: run it as root (sudo)")


class Installer:
    """Installs one schedule, and takes away what it made where it fails."""

    def __init__(self, places: Places, run: Command = command) -> None:
        self.places, self.run = places, run
        self.made: list[Callable[[], Any]] = []

    def differences(self, schedule: Schedule) -> list[str]:
        """Return what is missing or other than it should be: files, and timers that are stopped."""
        home = self._home(schedule)
        texts = {self.places.config(schedule.name): schedule.as_json(), **self.texts(schedule, home)}
        made = [str(path) for path, text in texts.items() if _text(path) != text]
        if schedule.backend == SYSTEMD:
            made += [one for one in timers(schedule) if self.run(["systemctl", "is-active", one]).returncode]
        return made

    def would_change(self, schedule: Schedule) -> bool:
        """Return whether an installation would change anything; changes nothing."""
        path = self.places.config(schedule.name)
        if not path.exists():
            self._foreign(schedule)
            return True
        old = read(path)
        return bool(self.differences(dataclasses.replace(schedule, local=old.local, made_report_to=old.made_report_to)))

    def texts(self, schedule: Schedule, home: str) -> dict[Path, str]:
        """Return what is put where to have the schedule started."""
        if schedule.backend == CRON:
            fields = calendar.to_cron(schedule.on_calendar)
            logger = shutil.which("logger", path=ADMIN_PATH) is not None
            return {self.places.cron_file(schedule.name): files.cron(schedule, fields, logger)}
        units = self.places.units
        made = {
            units / schedule.unit("service"): files.service(schedule, self.places, home),
            units / schedule.unit("timer"): files.timer(schedule),
        }
        if schedule.notify:
            made[units / f"hostmend-{schedule.name}-held.service"] = files.service(schedule, self.places, home, "flush")
            made[units / f"hostmend-{schedule.name}-held.timer"] = files.timer(schedule, flush=True)
        return made

    def install(self, schedule: Schedule, replace: bool) -> bool:
        """Install it, and return whether anything had to be changed."""
        places = self.places
        there = places.config(schedule.name).exists()
        if there:
            old = read(places.config(schedule.name))
            schedule = dataclasses.replace(schedule, made_report_to=old.made_report_to or schedule.made_report_to)
        else:
            self._foreign(schedule)
        try:
            self._account(schedule)
            self._folders(schedule)
            schedule = dataclasses.replace(schedule, local=self._look(schedule), made_report_to=self._report_to(schedule))
            if there and not self.differences(schedule):
                return False
            if there and not replace:
                raise HostmendError(f"there is a schedule {schedule.name} already: --replace changes it, --name makes another")
            if there:
                if Remover(places, self.run).running(old):
                    raise HostmendError(f"the schedule {schedule.name} is running at this moment: wait until it has ended")
                Remover(places, self.run).stop(old)
            self._write(places.config(schedule.name), schedule.as_json(), 0o640, self._group(schedule))
            for path, text in self.texts(schedule, self._home(schedule)).items():
                self._write(path, text, 0o644)
            if schedule.backend == SYSTEMD:
                self._start(schedule)
        except BaseException:
            if not there:
                for undo in reversed(self.made):
                    with contextlib.suppress(OSError, HostmendError):
                        undo()
                if schedule.backend == SYSTEMD:
                    self.run(["systemctl", "daemon-reload"])
            raise
        return True

    def _foreign(self, schedule: Schedule) -> None:
        """Complain of a file of the same name that is not hostmend's."""
        for path in self.texts(schedule, "/"):
            if os.path.lexists(path):
                raise HostmendError(f"{path} is there already and belongs to no schedule: choose another --name")

    def _account(self, schedule: Schedule) -> None:
        if account.entry(schedule.user) is None:
            if schedule.user != USER:
                raise HostmendError(f"there is no user {schedule.user}: make it first, or leave --user out")
            self._folder(self.places.base, 0o755)
            account.make(schedule.user, self.places.home)
            self.made.append(lambda: account.remove(schedule.user))

    def _folders(self, schedule: Schedule) -> None:
        found = account.entry(schedule.user)
        assert found is not None
        self._folder(self.places.settings.parent, 0o755)
        self._folder(self.places.settings, 0o755)
        for path in (self.places.base, self.places.locks, self.places.folder(schedule.name).parent):
            self._folder(path, 0o755)
        if account.ours(schedule.user):
            self._folder(self.places.home, 0o700, found.pw_uid, found.pw_gid)
        self._folder(self.places.folder(schedule.name), 0o755, found.pw_uid, found.pw_gid)
        lock = self.places.locks / schedule.user
        if not lock.exists():
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.chown(lock, found.pw_uid, found.pw_gid)
            self.made.append(lock.unlink)

    def _folder(self, path: Path, mode: int, uid: int = 0, gid: int = 0) -> None:
        if path.is_dir():
            return
        try:
            path.mkdir(parents=True)
            path.chmod(mode)
            os.chown(path, uid, gid)
        except OSError as error:
            raise HostmendError(f"the directory {path} cannot be made: {error.strerror}") from error
        self.made.append(lambda: shutil.rmtree(path, ignore_errors=True))

    def _report_to(self, schedule: Schedule) -> bool:
        """Make the directory of the reports where it is not there; return whether it was made for this schedule."""
        if not schedule.report_to:
            return False
        found = account.entry(schedule.user)
        assert found is not None
        path = Path(schedule.report_to)
        if not path.exists():
            self._folder(path, 0o750, found.pw_uid, found.pw_gid)
            return True
        if not path.is_dir():
            raise HostmendError(f"--report-to: {path} is no directory")
        probe = self._as_user(schedule, ["test", "-w", str(path), "-a", "-x", str(path)])
        if probe.returncode:
            raise HostmendError(f"--report-to: the user {schedule.user} cannot write to {path}")
        return schedule.made_report_to

    def _look(self, schedule: Schedule) -> bool:
        """See as the schedule's user that it can do its work; return whether it works on this machine itself."""
        done = self._as_user(schedule, [schedule.python, "-m", "hostmend", "--version"])
        if done.returncode:
            raise HostmendError(
                f"the user {schedule.user} cannot run hostmend with {schedule.python}: install it where everybody may read "
                f"(/opt/hostmend), or give --user root ({_last(done)})"
            )
        if schedule.notify:
            done = self._as_user(schedule, [schedule.python, "-m", "hostmend", "notify", "channels", "--notify", schedule.notify])
            if done.returncode:
                raise HostmendError(f"--notify, as the user {schedule.user}: {_last(done)}")
        if not schedule.inventory:
            return True
        argv = [
            schedule.python,
            "-m",
            "ansible",
            "inventory",
            "--list",
            *(f"{name}={value}" for name, value in vaults(schedule.options)),
        ]
        for one in schedule.inventory:
            argv += ["-i", one]
        done = self._as_user(schedule, argv)
        hosts = None if done.returncode else hosts_of(done.stdout)
        if hosts is None:
            raise HostmendError(f"the inventory cannot be read as the user {schedule.user}: {_last(done)}")
        if not hosts:
            raise HostmendError(f"there is no host in {', '.join(schedule.inventory)} that the user {schedule.user} can see")
        here = any(isinstance(one, dict) and one.get("ansible_connection") == "local" for one in hosts.values())
        return here or connects_locally(schedule.options)

    def _as_user(self, schedule: Schedule, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        found = account.entry(schedule.user)
        assert found is not None
        more: dict[str, Any] = {}
        if os.geteuid() == 0 and found.pw_uid != 0:
            groups = os.getgrouplist(schedule.user, found.pw_gid)
            more = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": groups}
        env = {**environment(schedule, found.pw_dir), **variables(self.places), "ANSIBLE_NOCOLOR": "1"}
        env["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "True"
        try:
            return subprocess.run(
                list(argv), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120,
                cwd=self.places.folder(schedule.name), env=env, **more,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess(list(argv), 127, "", str(error))

    def _home(self, schedule: Schedule) -> str:
        found = account.entry(schedule.user)
        return found.pw_dir if found else str(self.places.home)

    def _group(self, schedule: Schedule) -> int:
        found = account.entry(schedule.user)
        return found.pw_gid if found else 0

    def _write(self, path: Path, text: str, mode: int, group: int = 0) -> None:
        from hostmend.cli.work import write_file

        try:
            write_file(path, text)
            os.chown(path, 0, group)
            path.chmod(mode)
        except OSError as error:
            raise HostmendError(f"{path} cannot be written: {error.strerror}") from error
        self.made.append(path.unlink)

    def _start(self, schedule: Schedule) -> None:
        for argv in (
            ["systemctl", "daemon-reload"],
            *(["systemctl", "enable", "--now", one] for one in timers(schedule)),
        ):
            done = self.run(argv)
            if done.returncode:
                raise HostmendError(f"{' '.join(argv)} failed: {_last(done)}")
            if "enable" in argv:
                self.made.append(lambda unit=argv[-1]: self.run(["systemctl", "disable", "--now", unit]))  # type: ignore[misc]


def timers(schedule: Schedule) -> list[str]:
    """Return the timers of a schedule."""
    return [schedule.unit("timer"), *([f"hostmend-{schedule.name}-held.timer"] if schedule.notify else [])]


class Remover:
    """Removes a schedule, and with the last one all that was made for any."""

    def __init__(self, places: Places, run: Command = command) -> None:
        self.places, self.run = places, run

    def running(self, schedule: Schedule) -> bool:
        """True where a run of the schedule is under way."""
        if schedule.backend == SYSTEMD:
            done = self.run(["systemctl", "show", "-p", "ActiveState", "--value", schedule.unit("service")])
            return done.stdout.strip() in ("activating", "active", "deactivating", "reloading")
        from hostmend.schedule.runner import _release, _try

        if not (self.places.locks / schedule.user).exists():
            return False
        held, holder = _try(schedule, self.places)
        if held is not None:
            for handle in held:
                os.ftruncate(handle, 0)
            _release(held)
            return False
        return f"schedule {schedule.name} " in holder

    def stop(self, schedule: Schedule) -> None:
        """Have it started no more, and take away what starts it."""
        if schedule.backend == SYSTEMD:
            self.run(["systemctl", "disable", "--now", *timers(schedule)])
            services = [schedule.unit("service"), f"hostmend-{schedule.name}-held.service"]
            self.run(["systemctl", "stop", *services])
            for unit in [*services, *timers(schedule)]:
                (self.places.units / unit).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    (self.places.stamps / f"stamp-{unit}").unlink(missing_ok=True)
            self.run(["systemctl", "daemon-reload"])
            self.run(["systemctl", "reset-failed", *services])
        else:
            self.places.cron_file(schedule.name).unlink(missing_ok=True)

    def remove(self, name: str, now: bool = False, keep_data: bool = False, purge: bool = False) -> list[str]:
        """Remove a schedule; return in lines what was left, and why."""
        schedule = read(self.places.config(name))
        if self.running(schedule) and not (now and schedule.backend == SYSTEMD):
            how = ", or stop it with --now" if schedule.backend == SYSTEMD else ""
            raise HostmendError(f"the schedule {name} is running at this moment: wait until it has ended{how}")
        self.stop(schedule)
        left: list[str] = []
        if schedule.report_to:
            left += self._reports(schedule, purge)
        if not keep_data:
            shutil.rmtree(self.places.folder(name), ignore_errors=True)
        self.places.config(name).unlink(missing_ok=True)
        users = {read(self.places.config(one)).user for one in names(self.places)}
        if keep_data:
            left.append(f"{self.places.base} and the user {schedule.user} are kept")
        else:
            self._leave(schedule, users)
        for path in (self.places.settings, self.places.settings.parent):
            with contextlib.suppress(OSError):
                path.rmdir()  # where nothing of anybody is in it
        return left

    def _leave(self, schedule: Schedule, users: set[str]) -> None:
        """Remove what no schedule needs any more."""
        if schedule.user not in users:
            (self.places.locks / schedule.user).unlink(missing_ok=True)
            if account.ours(schedule.user):
                self._end_processes(schedule.user)
                account.remove(schedule.user)
                shutil.rmtree(self.places.home, ignore_errors=True)
        if not users:
            shutil.rmtree(self.places.base, ignore_errors=True)

    def _end_processes(self, user: str) -> None:
        """End what still runs as the user that was made for schedules, such as a connection that SSH keeps open."""
        found = account.entry(user)
        for number in (signal.SIGTERM, signal.SIGKILL):
            left = list(_processes(found.pw_uid)) if found else []
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
            for _attempt in range(20 if left else 0):
                if not any(_processes(found.pw_uid) if found else ()):
                    return
                time.sleep(0.1)

    def _reports(self, schedule: Schedule, purge: bool) -> list[str]:
        base = Path(schedule.report_to)
        if not purge:
            return [f"the reports in {base} are kept (--purge removes them)"]
        with contextlib.suppress(OSError):
            for path in base.iterdir():
                if FOLDER.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name in ("latest", ".latest") and path.is_symlink():
                    path.unlink()
            if schedule.made_report_to:
                base.rmdir()
        return [f"{base} is kept: there is more in it"] if schedule.made_report_to and base.exists() else []


def _processes(uid: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid == uid:
                yield int(path.name)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if "ERROR" in line or "rror:" in line or "denied" in line or "hostmend:" in line]
    return one_line((telling or lines or [f"exit status {done.returncode}"])[-1].removeprefix("hostmend: "), 300)
