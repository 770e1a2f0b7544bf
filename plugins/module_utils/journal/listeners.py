# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a unit listens, so that a rollback can tell whether its service is there again."""

import os
import re
import time
from typing import Dict, List, Set

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process

TABLES = (("tcp", "/proc/net/tcp"), ("tcp", "/proc/net/tcp6"), ("udp", "/proc/net/udp"), ("udp", "/proc/net/udp6"))
LISTENING, UNCONNECTED = "0A", "07"
SOCKET = re.compile(r"\Asocket:\[([0-9]+)\]\Z")
# systemctl show -p Listen: "[::]:111 (Stream)", one a line.
LISTEN = re.compile(r"(?m)^(?:Listen=)?(?:[0-9.]*:|\[[0-9A-Fa-f:.%]*\]:)([0-9]{1,5}) \((Stream|Datagram)\)$")
PAUSE = 0.2


def _first_ephemeral() -> int:
    """Return the first of the ports that the kernel hands out: where a service gets these differs at each start."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as handle:
            return int(handle.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768


def _ports() -> Dict[str, str]:
    """Return {inode: "tcp 6379"} of each socket that waits for others."""
    found = {}
    limit = _first_ephemeral()
    for proto, path in TABLES:
        try:
            with open(path) as handle:
                lines = handle.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] != (LISTENING if proto == "tcp" else UNCONNECTED):
                continue
            port = int(fields[1].rpartition(":")[2], 16)
            if 0 < port < limit:
                found[fields[9]] = "%s %d" % (proto, port)
    return found


def _pids(group: str) -> List[str]:
    """Return the processes of a control group and of those below it."""
    found = []
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            with open("/proc/%s/cgroup" % pid) as handle:
                groups = [line.rstrip("\n").split(":", 2)[2] for line in handle if line.count(":") >= 2]
        except OSError:
            continue
        if any(path == group or path.startswith(group + "/") for path in groups):
            found.append(pid)
    return found


def read(name: str) -> List[str]:
    """Return where an active unit listens, such as ["tcp 111", "udp 111"]."""
    shown = process.run(["systemctl", "show", "-p", "Listen,ControlGroup", "--", name])[1]
    limit = _first_ephemeral()
    found: Set[str] = {"%s %s" % ("tcp" if kind == "Stream" else "udp", port) for port, kind in LISTEN.findall(shown)
                       if 0 < int(port) < limit}
    group = next((line[len("ControlGroup="):] for line in shown.splitlines() if line.startswith("ControlGroup=")), "")
    if group.strip("/"):
        ports = _ports()
        for pid in _pids(group):
            try:
                handles = os.listdir("/proc/%s/fd" % pid)
            except OSError:
                continue
            for handle in handles:
                try:
                    match = SOCKET.match(os.readlink("/proc/%s/fd/%s" % (pid, handle)))
                except OSError:
                    continue
                if match and match.group(1) in ports:
                    found.add(ports[match.group(1)])
    return sorted(found)


def missing(expected: List[str], until: float) -> List[str]:
    """Return where nothing listens that did before, having waited until then (of ``time.monotonic()``)."""
    while True:
        present = set(_ports().values())
        absent = [port for port in expected if port not in present]
        if not absent or time.monotonic() >= until:
            return absent
        time.sleep(PAUSE)
