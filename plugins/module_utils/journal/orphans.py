# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks that go on working on a host although their controller is gone.

What a run has begun is taken back only when nothing of it is at work any more: a module that is still running would
change the host again behind the rollback.
"""

import os
import re
import time
from typing import List, Set

# How Ansible starts a module: by a file of its own, with become (which sudo passes on in SUDO_COMMAND), or by a pipe.
MARK = re.compile(rb"BECOME-SUCCESS-|AnsiballZ_|ansible-tmp-|python[0-9.]*'? && sleep 0")
# What runs it on the host itself; a client of ssh or of a container engine works on another one.
RUNNERS = re.compile(r"(sh|dash|bash|ash|busybox|sudo|su|doas|python[0-9.]*|platform-python[0-9.]*)\Z")
LIMIT = 128 * 1024


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read(LIMIT)
    except OSError:
        return b""


def _parent(pid: int) -> int:
    try:
        return int(_bytes("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()[1])
    except (IndexError, ValueError):
        return 0


def family(pid: int) -> Set[int]:
    """Return a process and all that it descends from."""
    found: Set[int] = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        pid = _parent(pid)
    return found


def _comm(pid: int) -> str:
    text = _bytes("/proc/%d/stat" % pid).decode("utf-8", "replace")
    return text[text.find("(") + 1:text.rfind(")")]


def _namespace(pid: int) -> str:
    try:
        return os.readlink("/proc/%d/ns/pid" % pid)
    except OSError:
        return ""


def find() -> List[int]:
    """Return the processes that Ansible has started here, but for those of this very task."""
    mine, here = family(os.getpid()), _namespace(os.getpid())
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []
    found = []
    for pid in sorted(pids):
        comm = _comm(pid)
        if pid in mine or not RUNNERS.match(comm) or _namespace(pid) != here:
            continue
        # Services inherit no such environment from systemd; of what else a task has started, only Python may be a module.
        inherited = "python" in comm and MARK.search(_bytes("/proc/%d/environ" % pid))
        if inherited or MARK.search(_bytes("/proc/%d/cmdline" % pid)):
            found.append(pid)
    return found


def wait(seconds: float) -> str:
    """Wait until none is at work; returns a note for a person where one still is."""
    until = time.monotonic() + seconds
    while True:
        left = find()
        if not left:
            return ""
        if time.monotonic() >= until:
            return "Ansible still works on this host (process %s); what it changes from now on is not taken back" % (
                ", ".join(str(pid) for pid in left[:5]))
        time.sleep(0.2)
