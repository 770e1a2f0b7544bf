"""The directory of one Ansible run: it may hold secrets, so one that a killed run has left is removed by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "hostmend-"
#: Held for as long as the run lives; the kernel lets go of it however the run ends.
LOCK = ".running"


@contextlib.contextmanager
def run_directory() -> Iterator[str]:
    """Make a directory that only this user enters, for as long as this lasts; remove those that killed runs have left."""
    sweep()
    directory = tempfile.mkdtemp(prefix=PREFIX)  # 0700
    lock = os.open(Path(directory) / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def sweep() -> list[Path]:
    """Remove this user's directories of runs that are no more; returns them."""
    gone = []
    with contextlib.suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
            if _is_left(path):
                shutil.rmtree(path, ignore_errors=True)
                gone.append(path)
    return gone


def _is_left(path: Path) -> bool:
    """Tell whether a path is a directory of ours whose run has ended."""
    try:
        state = path.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o077:
            return False
        lock = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
