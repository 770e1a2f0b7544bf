# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of an instance of Redis; nothing of it is a password."""

from typing import Any, Dict, List, NamedTuple, Optional


class Instance(NamedTuple):
    """An instance that runs, or that a boot starts (``booted`` false)."""

    name: str = ""  # the resource of its findings
    program: str = ""
    uid: Optional[int] = None
    unit: Optional[str] = None
    container: Optional[str] = None
    foreign: bool = False  # in a container or another network namespace
    booted: bool = True
    sentinel: bool = False
    mode: str = ""  # "standalone" | "cluster" | "sentinel", as it says itself
    version: str = ""
    role: str = ""
    listeners: List[str] = []  # "0.0.0.0:6379", "/run/redis/redis.sock"
    config_file: str = ""
    files: Dict[str, Dict[str, Any]] = {}  # path: mode, uid, gid, secret, readable, owner, refusal
    gaps: List[str] = []  # what could not be read
    probes: Dict[str, str] = {}  # address: what a client without a password is told now
    expected: Dict[str, str] = {}  # address: what it will be told after the next start; {} where that is not known
    reach: Dict[str, str] = {}  # address of a listener: what the firewall lets through to it
    effective: Dict[str, Any] = {}  # settings in use
    persistent: Dict[str, Any] = {}  # settings of the next start
    differs: List[str] = []  # settings in use that the next start will not bring
    weak: Optional[bool] = None
    weak_user: str = ""
    weak_place: str = ""  # where that password is given
    clients: List[str] = []
    replicas: List[str] = []
    master: Optional[str] = None
    closed: str = ""  # why nobody from this host can change its settings; "" where somebody can
    start: Dict[str, Any] = {}  # unit's command: known, gap, source, command, options {name: where}, borrowed {name: where}
    group: List[str] = []  # names of the other members of its group on this host
    group_clients: List[str] = []
    folder: str = ""  # that of its file, where it is the service's own, is small, and others may enter it
    outside: List[str] = []  # members of its group that are elsewhere

    @property
    def port(self) -> str:
        """Its lowest port, or the name of its socket: what its password is kept by."""
        return label(self.listeners)


def label(listeners: List[str]) -> str:
    """Return the lowest port of some addresses, or the name of the first socket.

    The kernel lists listeners in no order, and the bus of a cluster listens 10000 above the port that clients use.
    """
    ports = [each.rpartition(":")[2] for each in listeners if not each.startswith(("/", "@"))]
    if ports:
        return min(ports, key=lambda port: (len(port), port))
    return listeners[0].rpartition("/")[2] if listeners else "?"


def is_remote(where: str) -> bool:
    """Tell whether an address can be reached from other hosts."""
    return not where.startswith(("127.", "::1:", "::ffff:127.", "/", "@"))
