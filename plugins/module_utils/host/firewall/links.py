# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interfaces of this host: their addresses, the networks behind them, and the groups that were joined."""

import ipaddress
import socket
import struct
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

GETADDR = 22
ADDRESS, LOCAL = 1, 2
MOST_ADDRESSES = 1024
# What everybody has joined, so that no service is behind it.
ALL_NODES = ("224.0.0.1", "ff01::1", "ff02::1")
PRIVATE = tuple(ipaddress.ip_network(text) for text in (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"))
Pairs = List[Tuple[str, str]]


class Links(NamedTuple):
    """What is known of the interfaces but loopback."""

    addresses: Dict[int, Pairs]  # {family: [(interface, address)]}
    networks: Dict[Tuple[str, int], Tuple[str, ...]]  # {(interface, family): the networks that it is in}
    inner: Dict[Tuple[str, int], Tuple[str, ...]]  # those of interfaces that nobody else can send by
    groups: Dict[int, Pairs]  # {family: [(interface, multicast group)]}


NONE = Links({4: [], 6: []}, {}, {}, {4: [], 6: []})


def read_links(host: Any) -> Links:
    """Read the interfaces of the host that runs, its routes and its groups."""
    names = dict(socket.if_nameindex())
    skipped = {name for name in names.values() if name == "lo" or host.exists("/sys/class/net/%s/brport" % name)}
    addresses: Dict[int, Pairs] = {4: [], 6: []}
    networks: Dict[Tuple[str, int], Tuple[str, ...]] = {}
    for index, address, length in _addresses():
        name = names.get(index, "")
        if not name or name in skipped:
            continue  # a port of a bridge takes nothing in for this host itself
        version = 6 if ":" in address else 4
        addresses[version].append((name, address))
        network = str(ipaddress.ip_network("%s/%d" % (address, length), strict=False))
        networks[(name, version)] = networks.get((name, version), ()) + (network,)
    defaults = _routes(host.read("/proc/net/route") or "", host.read("/proc/net/ipv6_route") or "", networks)
    return Links(addresses, networks, inner_networks(addresses, networks, defaults),
                 joined(host.read("/proc/net/igmp") or "", host.read("/proc/net/igmp6") or ""))


def inner_networks(addresses: Dict[int, Pairs], networks: Dict[Tuple[str, int], Tuple[str, ...]],
                   defaults: Dict[int, List[str]]) -> Dict[Tuple[str, int], Tuple[str, ...]]:
    """Return the networks of interfaces that only their neighbours can send by.

    Such an interface has private addresses alone and is not the way to the rest of the world. Where no way leads there
    at all, none is taken for one.
    """
    found = {}
    for family, pairs in addresses.items():
        for name in dict.fromkeys(name for name, unused in pairs):
            own = [address for one, address in pairs if one == name]
            if name in defaults[family] or any(private_range(address) is None for address in own):
                continue
            near = family == 6 and all(address.startswith("fe80") for address in own)
            if defaults[family] or near:
                # A tunnel's own address says nothing of who is at its other end but their range.
                found[(name, family)] = tuple(dict.fromkeys(
                    network if not network.endswith(("/32", "/128")) else str(private_range(network.split("/")[0]))
                    for network in networks.get((name, family), ())))
    return found


def private_range(address: str) -> Any:
    """Return the range of private addresses that an address is in; None of a public one."""
    at = ipaddress.ip_address(address)
    return next((one for one in PRIVATE if one.version == at.version and at in one), None)


def _addresses() -> Iterator[Tuple[int, str, int]]:
    """Yield (index of the interface, address, length of its prefix), asked of the kernel."""
    seen = 0
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as asked:
                asked.settimeout(1)
                asked.send(struct.pack("=IHHIIBxxxI", 24, GETADDR, 0x301, 1, 0, family, 0))
                going = True
                while going and seen < MOST_ADDRESSES:
                    found, going = parse_addresses(asked.recv(262144))
                    for one in found:
                        seen += 1
                        yield one
        except (OSError, struct.error, ValueError):
            continue


def parse_addresses(data: bytes) -> Tuple[List[Tuple[int, str, int]], bool]:
    """Return ([(index, address, length)] of one answer of rtnetlink, True where more follow)."""
    found, at = [], 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if length < 16 or kind in (2, 3):  # NLMSG_ERROR, NLMSG_DONE
            return found, False
        family, prefix, unused, unused_scope, index = struct.unpack_from("=BBBBI", data, at + 16)
        attribute, end, values = at + 24, min(at + length, len(data)), {}
        while attribute + 4 <= end:
            size, name = struct.unpack_from("=HH", data, attribute)
            if size < 4:
                break
            values[name] = data[attribute + 4:attribute + size]
            attribute += (size + 3) & ~3
        address = values.get(LOCAL) or values.get(ADDRESS)
        if address and len(address) == (4 if family == socket.AF_INET else 16):
            found.append((index, socket.inet_ntop(family, address), prefix))
        at += (length + 3) & ~3
    return found, True


def _routes(text: str, text6: str, networks: Dict[Tuple[str, int], Tuple[str, ...]]) -> Dict[int, List[str]]:
    """Return {family: interfaces of a default route}, and add what is routed to an interface to its networks."""
    defaults: Dict[int, List[str]] = {4: [], 6: []}
    for line in text.splitlines()[1:]:
        words = line.split()
        try:
            network = ipaddress.ip_network((struct.pack("=I", int(words[1], 16)),
                                            bin(int(words[7], 16)).count("1")), strict=False)
            _route(words[0], network, int(words[3], 16), defaults, networks)
        except (IndexError, ValueError, struct.error):
            continue
    for line in text6.splitlines():
        words = line.split()
        try:
            network6 = ipaddress.ip_network((bytes.fromhex(words[0]), int(words[1], 16)), strict=False)
            _route(words[9], network6, int(words[8], 16), defaults, networks)
        except (IndexError, ValueError):
            continue
    return defaults


def _route(name: str, network: Any, flags: int, defaults: Dict[int, List[str]],
           networks: Dict[Tuple[str, int], Tuple[str, ...]]) -> None:
    if not flags & 1 or flags & 0x200 or name == "lo" or network.is_multicast:  # RTF_UP, RTF_REJECT
        return
    if network.prefixlen <= 1:
        defaults[network.version].append(name)
    elif network.prefixlen < network.max_prefixlen and (name, network.version) in networks:
        known = networks[(name, network.version)]
        networks[(name, network.version)] = known if str(network) in known else known + (str(network),)


def joined(igmp: str, igmp6: str) -> Dict[int, Pairs]:
    """Return {family: [(interface, group)]} of the groups that something here has joined."""
    found: Dict[int, Pairs] = {4: [], 6: []}
    name: str = ""
    for line in igmp.splitlines()[1:]:
        words = line.split()
        if line[:1].isdecimal() and len(words) > 1:
            name = words[1]
        elif words and len(words[0]) == 8:
            try:
                found[4].append((name, socket.inet_ntoa(struct.pack("=I", int(words[0], 16)))))
            except (ValueError, struct.error):
                continue
    for line in igmp6.splitlines():
        words = line.split()
        if len(words) > 2 and len(words[2]) == 32:
            try:
                found[6].append((words[1], str(ipaddress.IPv6Address(bytes.fromhex(words[2])))))
            except ValueError:
                continue
    return {family: [pair for pair in dict.fromkeys(pairs) if pair[0] != "lo" and pair[1] not in ALL_NODES
                     and not pair[1].startswith("ff02::1:ff")][:64] for family, pairs in found.items()}
