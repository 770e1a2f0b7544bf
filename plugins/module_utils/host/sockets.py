# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sockets that accept, of every network namespace that a process lives in, with their owners."""

import os
import re
import socket
import struct

from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading
from ansible_collections.hostmend.hardening.plugins.module_utils.host.processes import netns_of

TABLE_LIMIT = 16 * 1024 * 1024
MOST_FDS = 300000
MOST_NAMESPACES = 64
LISTEN, ESTABLISHED, CLOSE = "0A", "01", "07"
ACCEPTS = 0x10000
TABLES = (("tcp", 4), ("tcp6", 6), ("udp", 4), ("udp6", 6))


def address_of(text):
    """Return the address that /proc/net writes as native-endian 32 bit words of hexadecimal."""
    data = b"".join(struct.pack("=I", int(text[at:at + 8], 16)) for at in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def parse_proc_net(text):
    """Return (address, port, peer address, peer port, state, inode) of each line of /proc/net/{tcp,udp}[6].

    A line that is cut off or that makes no sense is left out.
    """
    rows = []
    for line in text.splitlines()[1:]:
        parts = line.split()
        try:
            local, local_port = parts[1].split(":")
            remote, remote_port = parts[2].split(":")
            if len(local) not in (8, 32) or len(remote) != len(local):
                continue
            rows.append((address_of(local), int(local_port, 16), address_of(remote), int(remote_port, 16),
                         parts[3].upper(), int(parts[9])))
        except (IndexError, ValueError, OSError, struct.error, OverflowError):
            continue
    return rows


def parse_proc_unix(text):
    """Return (path, inode) of each unix socket that listens; the path of an abstract one begins with ``@``."""
    rows = []
    for line in text.splitlines()[1:]:
        parts = line.split(None, 7)
        try:
            if len(parts) == 8 and int(parts[3], 16) & ACCEPTS:
                rows.append((parts[7], int(parts[6])))
        except ValueError:
            continue
    return rows


def _table(base, name):
    try:
        with open("%s/net/%s" % (base, name), "rb") as handle:
            data = handle.read(TABLE_LIMIT + 1)
    except OSError:
        return None, False
    return data[:TABLE_LIMIT].decode("utf-8", "surrogateescape"), len(data) > TABLE_LIMIT


def v6_only():
    """Return {inode: True where the IPv6 socket takes no IPv4} of this namespace's sockets, asked of the kernel."""
    told = {}
    for proto, states in ((socket.IPPROTO_TCP, 1 << 10), (socket.IPPROTO_UDP, 1 << 7)):
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as asked:  # NETLINK_SOCK_DIAG
                asked.settimeout(1)
                body = struct.pack("=BBBxI48x", socket.AF_INET6, proto, 0, states)
                asked.send(struct.pack("=IHHII", 16 + len(body), 20, 0x301, 1, 0) + body)
                while _take(asked.recv(262144), told):
                    pass
        except (OSError, struct.error, AttributeError):
            continue
    return told


def _take(data, told):
    """Read one datagram of sock_diag into ``told``; False at the end of the dump."""
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if length < 16 or kind in (2, 3):  # NLMSG_ERROR, NLMSG_DONE
            return False
        inode = struct.unpack_from("=I", data, at + 16 + 68)[0]
        attribute, end = at + 16 + 72, min(at + length, len(data))
        while attribute + 4 <= end:
            size, name = struct.unpack_from("=HH", data, attribute)
            if size < 4:
                break
            if name == 11 and size >= 5:  # INET_DIAG_SKV6ONLY
                told[inode] = bool(data[attribute + 4])
            attribute += (size + 3) & ~3
        at += (length + 3) & ~3
    return True


def owners_of(inodes, processes):
    """Return ({inode: [pid, ...]}, number of processes whose files could not be seen, True where cut short)."""
    owners, unseen, looked = {}, 0, 0
    for process in processes:
        base = "/proc/%d/fd" % process.pid
        try:
            names = os.listdir(base)
        except PermissionError:
            unseen += 1
            continue
        except OSError:
            continue
        for name in names:
            looked += 1
            if looked > MOST_FDS:
                return owners, unseen, True
            try:
                link = os.readlink("%s/%s" % (base, name))
            except OSError:
                continue
            if link.startswith("socket:["):
                inode = int(link[8:-1])
                if inode in inodes:
                    owners.setdefault(inode, []).append(process.pid)
    return owners, unseen, False


def listen_matches(listen, proto, address, port, path):
    """True where a socket unit's Listen= entry ("[::]:23 (Stream)") is this listener."""
    match = re.match(r"^(.*\S)\s+\((\w+)\)\s*$", listen)
    if not match:
        return False
    where, kind = match.groups()
    if proto == "unix":
        return where == path
    if (kind == "Stream") != (proto == "tcp") or not where.rpartition(":")[2].isdecimal():
        return False
    host = where.rpartition(":")[0].strip("[]")
    return int(where.rpartition(":")[2]) == port and (host == address or host in ("", "::", "0.0.0.0", "*"))


def _namespaces(processes):
    """Return {netns inode: (proc folder to read it by, container)}; this process's own comes first."""
    own = netns_of("/proc/self") or 0
    spaces = {own: ("/proc/self", None)}
    for process in processes:
        if process.netns and process.netns not in spaces:
            spaces[process.netns] = ("/proc/%d" % process.pid, process.container)
    return own, spaces


def read_sockets(processes):
    """Return (Reading of the listeners, list of (proto, row, netns) of established connections)."""
    gaps, raw, established = [], [], []
    own, spaces = _namespaces(processes.items)
    for number, (netns, (base, container)) in enumerate(spaces.items()):
        if number >= MOST_NAMESPACES:
            gaps.append("only %d of %d network namespaces were read" % (MOST_NAMESPACES, len(spaces)))
            break
        for name, family in TABLES:
            text, cut = _table(base, name)
            if text is None:
                if netns == own and family == 4:
                    gaps.append("/proc/net/%s cannot be read" % name)
                continue
            if cut:
                gaps.append("/proc/net/%s is longer than was read" % name)
            proto = name[:3]
            for row in parse_proc_net(text):
                if row[4] == (LISTEN if proto == "tcp" else CLOSE) and row[3] == 0:
                    raw.append((proto, family, row[0], row[1], "", row[5], netns, container))
                elif row[4] == ESTABLISHED:
                    established.append((proto, row, netns))
        text, cut = _table(base, "unix")
        for path, inode in parse_proc_unix(text or ""):
            raw.append(("unix", 0, "", 0, path, inode, netns, container))
    return _listeners(raw, own, processes, gaps), established


def _listeners(raw, own, processes, gaps):
    wanted = set(one[5] for one in raw)
    owners, unseen, cut = owners_of(wanted, processes.items)
    if unseen and any(one[5] not in owners for one in raw):
        gaps.append("the owners of some listeners cannot be told: the open files of %d processes "
                    "cannot be read (root is needed)" % unseen)
    if cut:
        gaps.append("the owners of some listeners cannot be told: more than %d open files" % MOST_FDS)
    by_pid = dict((process.pid, process) for process in processes.items)
    only = v6_only() if any(one[1] == 6 for one in raw) else {}
    made = []
    for proto, family, address, port, path, inode, netns, container in raw:
        pids = tuple(sorted(owners.get(inode, ())))
        # PID 1 keeps the listener of a socket unit; the service that has it too is the owner of interest.
        first = next((by_pid[pid] for pid in pids if pid != 1), by_pid.get(pids[0]) if pids else None)
        dual = False
        if family == 6 and address == "::":
            dual = not only[inode] if netns == own and inode in only else None
        made.append(Listener(proto=proto, family=family, address=address, port=port, path=path, inode=inode,
                             netns=netns, pids=pids, process=first.comm if first else "",
                             unit=first.unit if first else None,
                             container=(first.container if first else None) or container, dual_stack=dual))
    return Reading(tuple(made), tuple(gaps))


def with_socket_units(listeners, units):
    """Return the listeners, those that PID 1 holds named with their socket unit."""
    sockets = [unit for unit in units if unit.name.endswith(".socket") and unit.active == "active"]
    made = []
    for one in listeners:
        if 1 in one.pids:
            for unit in sockets:
                if any(listen_matches(listen, one.proto, one.address, one.port, one.path) for listen in unit.listens):
                    one = one._replace(socket_unit=unit.name)
                    break
        made.append(one)
    return tuple(made)
