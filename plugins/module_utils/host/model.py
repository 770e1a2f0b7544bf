# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plain records that reading a host yields; every detector draws from the same ones."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Process:
    """One process as /proc shows it. ``None`` or empty: could not be read."""

    pid: int
    ppid: int
    uid: int | None
    comm: str
    argv: tuple[str, ...]
    exe: str | None  # without the " (deleted)" that the kernel appends
    exe_deleted: bool
    cwd: str | None
    unit: str | None  # the systemd unit, from the cgroup
    container: str | None  # "docker:4f5e..." | "podman:..." | "lxc:..."; None on the host itself
    netns: int | None  # inode of the network namespace
    start_ticks: int


@dataclass(frozen=True)
class Listener:
    """A socket that accepts: TCP in LISTEN, UDP bound and unconnected, or a listening unix socket."""

    proto: str  # "tcp" | "udp" | "unix"
    family: int  # 4 | 6; 0 for unix
    address: str  # "0.0.0.0", "::", "127.0.0.1"; "" for unix
    port: int  # 0 for unix
    path: str  # of a unix socket, "@" first for an abstract one
    inode: int
    netns: int
    pids: tuple[int, ...] = ()
    process: str = ""  # comm of the first owner
    unit: str | None = None
    socket_unit: str | None = None  # the .socket unit where PID 1 holds the listener
    container: str | None = None
    dual_stack: bool | None = False  # an IPv6 wildcard that takes IPv4 too; None: could not be told

    def is_loopback(self) -> bool:
        """True where only this host itself can connect by address."""
        return self.address.startswith(("127.", "::ffff:127.")) or self.address in ("::1",)

    def is_wildcard(self) -> bool:
        return self.address in ("0.0.0.0", "::", "*")


@dataclass(frozen=True)
class Publication:
    """A port of the host that DNAT or a container engine passes on, with or without a listener."""

    proto: str
    family: int
    address: str  # the host's address, or a wildcard
    port: int
    to_address: str
    to_port: int
    source: str  # "nft ip nat DOCKER", "iptables nat DOCKER", ...
    container: str | None = None


@dataclass(frozen=True)
class Unit:
    """A systemd unit: what it is doing, and what it will do after a reboot."""

    name: str  # with its type: "cups.socket"
    load: str  # "loaded" | "not-found" | "masked" ...
    active: str  # "active" | "inactive" | "failed" ...
    sub: str
    enabled: str  # "enabled" | "disabled" | "static" | "masked" | "generated" | "indirect" | ""
    fragment: str | None = None  # path of the unit file
    triggers: tuple[str, ...] = ()
    triggered_by: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()  # reverse dependencies: RequiredBy, WantedBy of other services
    listens: tuple[str, ...] = ()  # of a socket unit


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    arch: str
    source: str  # source package
    source_version: str
    state: str = ""  # of dpkg: what is wanted, errors, and how far it got ("hold ok installed")


@dataclass(frozen=True)
class CommandResult:
    """What a command that was run for reading said. ``code`` is None when it did not run to its end."""

    argv: tuple[str, ...]
    code: int | None
    out: str
    err: str
    failure: str = ""  # "not found", "timed out after 5 s", "output over 4 MiB"

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class System:
    """What kind of host this is, honestly."""

    id: str  # os-release ID, "" unknown
    id_like: tuple[str, ...]
    version_id: str
    codename: str
    pretty_name: str
    kernel: str
    arch: str
    init: str  # that runs, or would: "systemd" | "openrc" | "sysvinit" | "busybox" | "none" | "unknown"
    container: str | None  # "docker" | "podman" | "lxc" | "systemd-nspawn" | "kubernetes" | "unknown"; None: no container
    chroot: bool | None  # None: could not be told
    running: bool  # False: a root filesystem that is not booted
    root: bool  # the effective uid is 0
    capabilities: frozenset[str] = frozenset()
    python: str = ""
    boot_id: str = ""
    machine_id_fingerprint: str = ""


@dataclass(frozen=True)
class Reading:
    """A list that was read, with what could not be seen; a detector turns gaps into ``unknown``."""

    items: tuple = ()
    gaps: tuple[str, ...] = field(default=())  # one plain sentence each; empty: all was seen
