"""What a schedule is, and where its files are."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostmend.core.errors import HostmendError
from hostmend.core.input_files import read_text

USER = "hostmend"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
SYSTEMD, CRON = "systemd", "cron"
LARGEST = 4 * 1024 * 1024


@dataclass(frozen=True)
class Places:
    """Where things are; ``root`` is / but in tests."""

    root: Path = Path("/")

    @property
    def settings(self) -> Path:
        return self.root / "etc/hostmend/schedules"

    @property
    def units(self) -> Path:
        return self.root / "etc/systemd/system"

    @property
    def cron(self) -> Path:
        return self.root / "etc/cron.d"

    @property
    def stamps(self) -> Path:
        return self.root / "var/lib/systemd/timers"

    @property
    def systemd_runs(self) -> Path:
        return self.root / "run/systemd/system"

    @property
    def base(self) -> Path:
        """Of root: nothing in it can be swapped by a user that a schedule runs as."""
        return self.root / "var/lib/hostmend-schedule"

    @property
    def home(self) -> Path:
        """The home of the user that is made for schedules: its SSH keys, and the store of its runs."""
        return self.base / "home"

    @property
    def locks(self) -> Path:
        return self.base / "locks"

    @property
    def environment(self) -> Path:
        """Variables for all schedules, such as HOSTMEND_STORE or the url_env of a channel; it need not be there."""
        return self.root / "etc/hostmend/schedule.env"

    def config(self, name: str) -> Path:
        return self.settings / f"{name}.json"

    def folder(self, name: str) -> Path:
        return self.base / "schedules" / name

    def status(self, name: str) -> Path:
        return self.folder(name) / "status.json"

    def cron_file(self, name: str) -> Path:
        return self.cron / f"hostmend-{name}"


@dataclass(frozen=True)
class Schedule:
    """One schedule, as its file in /etc/hostmend/schedules holds it."""

    name: str
    on_calendar: str
    backend: str
    user: str = USER
    inventory: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    remediate: str = ""  # the highest risk that is carried out; without one it only audits
    report_to: str = ""
    keep: str = "90d"
    notify: str = ""
    fail_on: str = "never"
    timeout: int = 7200  # seconds of one run
    wait: int = 3600  # seconds that it waits for another schedule to end
    jitter: int = 300
    options: tuple[str, ...] = ()  # further options of audit or remediate
    python: str = ""
    local: bool = True  # whether it works on this machine itself: then no sandbox may stand between
    made_report_to: bool = False  # whether its directory was made for it

    def command(self, output: str) -> list[str]:
        """Return the arguments of hostmend for one run."""
        made = ["remediate", "--unattended"] if self.remediate else ["audit"]
        for one in self.inventory:
            made += ["-i", one]
        for one in self.classes:
            made += ["--class", one]
        if self.remediate:
            # By this variable a host's own hostmend_max_risk still holds.
            made += ["-e", json.dumps({"hostmend_unattended_risk": self.remediate})]
        made += ["--fail-on", self.fail_on, "--output", output]
        made += ["--notify", self.notify] if self.notify else []
        return [*made, *self.options]

    def unit(self, kind: str) -> str:
        return f"hostmend-{self.name}.{kind}"

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"


def vaults(options: Sequence[str]) -> list[tuple[str, str]]:
    """Return those of Ansible's options that open a vault, each with its value."""
    made = []
    for place, one in enumerate(options):
        name, divided, value = one.partition("=")
        if name in ("--vault-password-file", "--vault-pass-file", "--vault-id"):
            made.append((name, value if divided else "".join(options[place + 1 : place + 2])))
    return made


def read(path: Path) -> Schedule:
    """Return the schedule of a file.

    :raises HostmendError: in one line, where it is not there or not whole.
    """
    try:
        found = json.loads(read_text(path, LARGEST))
        known = {field.name for field in dataclasses.fields(Schedule)}
        made: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in found.items() if key in known}
        return Schedule(**made)
    except FileNotFoundError as error:
        raise HostmendError(f"there is no schedule {path.stem}: see `hostmend schedule list`") from error
    except PermissionError as error:
        raise HostmendError(f"the schedule {path.stem} can be read by root and its own user only: run it with sudo") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise HostmendError(f"the schedule {path} is not whole: {error}") from error


def names(places: Places) -> list[str]:
    """Return the names of all schedules that are installed."""
    try:
        return sorted(path.stem for path in places.settings.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HostmendError(f"{places.settings} cannot be read: {error.strerror}: run it with sudo") from error


def status_of(places: Places, name: str) -> Mapping[str, Any]:
    """Return what is known of the last runs of a schedule; nothing where it never ran, or where it is no such file.

    The file belongs to the user that the schedule runs as: it is read with care.
    """
    try:
        handle = os.open(places.status(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return {}
            found = json.loads(stream.read(LARGEST))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def variables(places: Places) -> dict[str, str]:
    """Return the variables of the environment file; none where it is not there. PermissionError where it may not be read."""
    try:
        lines = places.environment.read_text("utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    pairs = (line.strip().partition("=") for line in lines)
    return {key: value.strip().strip("\"'") for key, _divided, value in pairs if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key)}


def environment(schedule: Schedule, home: str) -> dict[str, str]:
    """Return the environment of a run as its user: nothing of whoever installs it."""
    path = f"{Path(schedule.python).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    kept = {key: value for key, value in os.environ.items() if key in ("LANG", "LC_ALL", "TZ")}
    return {**kept, "PATH": path, "HOME": home, "USER": schedule.user, "LOGNAME": schedule.user}
