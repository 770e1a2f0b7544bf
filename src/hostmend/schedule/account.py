"""The system user that schedules run as, made when it is absent and removed with the last schedule that needs it."""

from __future__ import annotations

import pwd
import shutil
import subprocess
from pathlib import Path

from hostmend.core.errors import HostmendError

#: Tells the user that was made for schedules from one that was there before.
GECOS = "hostmend schedules"


def entry(name: str) -> pwd.struct_passwd | None:
    """Return the user of this name, if there is one."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def ours(name: str) -> bool:
    """True for the user that a schedule has made."""
    found = entry(name)
    return found is not None and found.pw_gecos == GECOS


def make(name: str, home: Path) -> None:
    """Make the system user; no login and no password."""
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise HostmendError(f"the user {name} is not there, and without useradd it cannot be made: name another with --user")
    shell = next((one for one in ("/usr/sbin/nologin", "/sbin/nologin") if Path(one).exists()), "/bin/false")
    argv = [program, "--system", "--user-group", "--home-dir", str(home), "--no-create-home", "--shell", shell]
    _run([*argv, "--comment", GECOS, name], f"the user {name} cannot be made")


def remove(name: str) -> None:
    """Remove the user that was made for schedules, and its group."""
    program = shutil.which("userdel", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is not None and ours(name):
        _run([program, name], f"the user {name} cannot be removed")


def _run(argv: list[str], what: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise HostmendError(f"{what}: {' '.join(done.stderr.split()) or f'exit status {done.returncode}'}")
