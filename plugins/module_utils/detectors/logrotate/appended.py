# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Large logs outside /var/log, found by the processes that hold them open for appending."""

import os
import re
import stat
import time
from typing import Any, Dict, List, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.sentence import sentence

SECONDS = 2.0
MOST_DESCRIPTORS = 20000
MOST_FOUND = 100
MEBIBYTE = 1024 * 1024
# Databases and queues append to files that are no logs, some of them named so (000123.log).
NAMED = re.compile(r"(?=.*[A-Za-z])[^/]*\.(?:log|out|err)\Z")
DATA = re.compile(r"(?:MANIFEST|LOG|[0-9a-f_.-]+\.log|[^/]*(?:binlog|redo|undo|relay|wal|aof|journal)[^/]*)\Z", re.IGNORECASE)
ELSEWHERE = ("/var/log/", "/proc/", "/sys/", "/dev/", "/run/", "/var/lib/docker/", "/var/lib/containers/")


def read(host: Any, least: int, gaps: List[str]) -> List[Dict[str, Any]]:
    """Return {"path", "mebibytes", "program", "by_hand"} of each; what is left out for lack of time is a gap."""
    result = {}  # type: Dict[str, Dict[str, Any]]
    until, looked = time.monotonic() + SECONDS, 0
    for process in host.processes().items:
        if process.container is not None or not process.argv:
            continue
        folder = host.path("/proc/%d/fd" % process.pid)
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            looked += 1
            if looked > MOST_DESCRIPTORS or time.monotonic() > until or len(result) >= MOST_FOUND:
                gaps.append(sentence(
                    "logrotate.many_open", "not all files that processes hold open were looked at for logs outside /var/log"))
                return list(result.values())
            path, blocks = _log_of(host, process.pid, name, least)
            if path and path not in result:
                # What is no log to its program must never be truncated, so a person decides.
                result[path] = {"path": path, "program": process.comm, "mebibytes": blocks * 512 // MEBIBYTE, "by_hand": True}
    return [result[path] for path in sorted(result)]


def _log_of(host: Any, pid: int, name: str, least: int) -> Tuple[str, int]:
    """Return (path, blocks) of a large log that a descriptor appends to, else ("", 0)."""
    folder = host.path("/proc/%d/fd" % pid)
    try:
        path = os.readlink(os.path.join(folder, name))
        if not path.startswith("/") or path.startswith(ELSEWHERE) or not _is_log(os.path.basename(path)):
            return "", 0
        about = os.stat(os.path.join(folder, name))
        if not stat.S_ISREG(about.st_mode) or about.st_blocks * 512 < least or not about.st_nlink:
            return "", 0
    except OSError:
        return "", 0
    text = host.read("/proc/%d/fdinfo/%s" % (pid, name), 4096) or ""
    flags = re.search(r"^flags:\s*([0-7]+)$", text, re.MULTILINE)
    return (path, about.st_blocks) if flags and int(flags.group(1), 8) & os.O_APPEND else ("", 0)


def _is_log(name: str) -> bool:
    return bool(NAMED.match(name)) and not DATA.match(name)
