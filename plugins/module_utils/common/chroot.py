# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root filesystems that are entered and not running."""

import contextlib
import os
from typing import Iterator, Optional, Tuple

LIMIT = 4 * 1024 * 1024


def is_chroot(proc: str = "/proc") -> Optional[bool]:
    """Return True where / is not the root of process 1; None where that cannot be told."""
    try:
        mine, theirs = os.stat("/"), os.stat(proc + "/1/root/.")
    except OSError:  # not every root may look at process 1
        return _by_mounts(proc)
    return (mine.st_dev, mine.st_ino) != (theirs.st_dev, theirs.st_ino)


def _by_mounts(proc: str) -> Optional[bool]:
    """Return the same by what is mounted at / as this process and process 1 see it."""
    if not os.path.isdir(proc + "/self"):
        return True  # nothing runs without /proc
    mine, theirs = (_root_mount("%s/%s/mountinfo" % (proc, who)) for who in ("self", "1"))
    if mine == ():
        return True  # a folder that was entered is no place where something is mounted
    return mine != theirs if mine and theirs else None


def _root_mount(path: str) -> Optional[Tuple[str, ...]]:
    """Return (device, folder of it) that is mounted at /, () where nothing is, None where that cannot be read."""
    found: Tuple[str, ...] = ()
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as handle:
            for line in handle.read(LIMIT).splitlines():
                fields = line.split()
                if len(fields) > 4 and fields[4] == "/":
                    found = (fields[2], fields[3])  # the last one is on top
    except OSError:
        return None
    return found


@contextlib.contextmanager
def no_starts(live: bool, path: str = "/usr/sbin/policy-rc.d") -> Iterator[None]:
    """Have packages start nothing where nothing runs, unless somebody has seen to that already."""
    made = not live and not os.path.lexists(path)
    if made:
        with open(path, "w", encoding="ascii") as handle:
            handle.write("#!/bin/sh\nexit 101\n")
        os.chmod(path, 0o755)
    try:
        yield
    finally:
        if made:
            os.unlink(path)
