# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plain records that reading a host yields; every detector draws from the same ones."""

from typing import FrozenSet, NamedTuple, Optional, Tuple


class Process(NamedTuple):
    """One process as /proc shows it. ``None`` or empty: could not be read."""

    pid: int
    ppid: int
    uid: Optional[int]
    comm: str
    argv: Tuple[str, ...]
    exe: Optional[str]  # without the " (deleted)" that the kernel appends
    exe_deleted: bool
    cwd: Optional[str]
    unit: Optional[str]  # the systemd unit, from the cgroup
    container: Optional[str]  # "docker:4f5e..." | "podman:..." | "lxc:..."; None on the host itself
    netns: Optional[int]  # inode of the network namespace
    start_ticks: int


class Listener(NamedTuple):
    """A socket that accepts: TCP in LISTEN, UDP bound and unconnected, or a listening unix socket."""

    proto: str  # "tcp" | "udp" | "unix"
    family: int  # 4 | 6; 0 for unix
    address: str  # "0.0.0.0", "::", "127.0.0.1"; "" for unix
    port: int  # 0 for unix
    path: str  # of a unix socket, "@" first for an abstract one
    inode: int
    netns: int
    pids: Tuple[int, ...] = ()
    process: str = ""  # comm of the first owner
    unit: Optional[str] = None
    socket_unit: Optional[str] = None  # the .socket unit where PID 1 holds the listener
    container: Optional[str] = None
    dual_stack: Optional[bool] = False  # an IPv6 wildcard that takes IPv4 too; None: could not be told

    def is_loopback(self) -> bool:
        """True where only this host itself can connect by address."""
        return self.address.startswith(("127.", "::ffff:127.")) or self.address in ("::1",)

    def is_wildcard(self) -> bool:
        return self.address in ("0.0.0.0", "::", "*")


class Publication(NamedTuple):
    """A port of the host that DNAT or a container engine passes on, with or without a listener."""

    proto: str
    family: int
    address: str  # the host's address, or a wildcard
    port: int
    to_address: str
    to_port: int
    source: str  # "nft ip nat DOCKER", "iptables nat DOCKER", ...
    container: Optional[str] = None


class Unit(NamedTuple):
    """A systemd unit: what it is doing, and what it will do after a reboot."""

    name: str  # with its type: "cups.socket"
    load: str  # "loaded" | "not-found" | "masked" ...
    active: str  # "active" | "inactive" | "failed" ...
    sub: str
    enabled: str  # "enabled" | "disabled" | "static" | "masked" | "generated" | "indirect" | ""
    fragment: Optional[str] = None  # path of the unit file
    triggers: Tuple[str, ...] = ()
    triggered_by: Tuple[str, ...] = ()
    required_by: Tuple[str, ...] = ()  # reverse dependencies: RequiredBy, WantedBy of other services
    listens: Tuple[str, ...] = ()  # of a socket unit


class Package(NamedTuple):
    name: str
    version: str
    arch: str
    source: str  # source package
    source_version: str
    state: str = ""  # of dpkg: what is wanted, errors, and how far it got ("hold ok installed")


class CommandResult(NamedTuple):
    """What a command that was run for reading said. ``code`` is None when it did not run to its end."""

    argv: Tuple[str, ...]
    code: Optional[int]
    out: str
    err: str
    failure: str = ""  # "not found", "timed out after 5 s", "output over 4 MiB"

    @property
    def ok(self) -> bool:
        return self.code == 0


class System(NamedTuple):
    """What kind of host this is, honestly."""

    id: str  # os-release ID, "" unknown
    id_like: Tuple[str, ...]
    version_id: str
    codename: str
    pretty_name: str
    kernel: str
    arch: str
    init: str  # that runs, or would: "systemd" | "openrc" | "sysvinit" | "busybox" | "none" | "unknown"
    container: Optional[str]  # "docker" | "podman" | "lxc" | "systemd-nspawn" | "kubernetes" | "unknown"; None: no container
    chroot: Optional[bool]  # None: could not be told
    running: bool  # False: a root filesystem that is not booted
    root: bool  # the effective uid is 0
    capabilities: FrozenSet[str] = frozenset()
    python: str = ""
    boot_id: str = ""
    machine_id_fingerprint: str = ""


class Reading(NamedTuple):
    """A list that was read, with what could not be seen; a detector turns gaps into ``unknown``."""

    items: tuple = ()
    gaps: Tuple[str, ...] = ()  # one plain sentence each; empty: all was seen
