# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what a rule of iptables asks holds for a packet, and the sets of ipset."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Packet
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Ranges
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Trail
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Truth
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import in_network
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import interface_is
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import some
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import syn_flags

# Options of a target or a match that say nothing of which packets are meant, with the words that follow each.
SILENT = {"--comment": 1, "--log-prefix": 1, "--log-level": 1, "--reject-with": 1, "--limit": 1, "--limit-burst": 1,
          "--set-xmark": 1, "--set-mark": 1, "--or-mark": 1, "--and-mark": 1, "--nflog-group": 1, "--nflog-prefix": 1,
          "--to-destination": 1, "--to-ports": 1, "--persistent": 0, "--random": 0, "--notrack": 0, "--clamp-mss-to-pmtu": 0,
          "--log-tcp-options": 0, "--log-ip-options": 0, "--log-uid": 0, "--save-mark": 0, "--restore-mark": 0,
          "--name": 1, "--rsource": 0, "--rdest": 0, "--seconds": 1, "--mask": 1, "--reap": 0, "--rttl": 0,
          "--hashlimit-mode": 1, "--hashlimit-name": 1, "--hashlimit-burst": 1, "--hashlimit-srcmask": 1,
          "--hashlimit-dstmask": 1, "--hashlimit-htable-size": 1, "--hashlimit-htable-max": 1, "--hashlimit-htable-expire": 1,
          "--hashlimit-htable-gcinterval": 1, "--connlimit-mask": 1, "--connlimit-saddr": 0, "--connlimit-daddr": 0,
          "--add-set": 2, "--del-set": 2, "--exist": 0, "--timeout": 1, "--to": 1, "--helper": 1, "--zone": 1,
          "--nfmask": 1, "--ctmask": 1, "--set-dscp": 1, "--set-tos": 1}
# What a rule asks, with the words that follow.
ASKED = {"-p": 1, "-s": 1, "-d": 1, "-i": 1, "-o": 1, "--dport": 1, "--dports": 1, "--ports": 1, "--ctstate": 1, "--state": 1,
         "--src-range": 1, "--dst-range": 1, "--dst-type": 1, "--src-type": 1, "--pkt-type": 1, "--ctdir": 1, "--rt-type": 1,
         "--icmp-type": 1, "--icmpv6-type": 1, "--syn": 0, "--tcp-flags": 2, "--ctorigdstport": 1, "--ctorigdst": 1,
         "--ctorigsrc": 1, "--ctproto": 1, "--ctstatus": 1, "--mark": 1, "--match-set": 2, "--limit-iface-in": 0,
         "--hashlimit-above": 1, "--hashlimit-upto": 1, "--hashlimit": 1, "--connlimit-above": 1, "--connlimit-upto": 1,
         "--set": 0, "--hitcount": 1, "--pol": 1, "--dir": 1, "--invert": 0, "--validmark": 0, "--loose": 0}
FAMILY_ONLY = ("--rt-type", "--icmp-type", "--icmpv6-type")
NUMBERS = {"tcp": "6", "udp": "17"}


class Condition(NamedTuple):
    """One thing that a rule asks: ``! -s 10.0.0.0/8`` is ("-s", True, ("10.0.0.0/8",))."""

    name: str
    negative: bool
    words: Tuple[str, ...]

    @property
    def value(self) -> str:
        """The first word that follows."""
        return self.words[0] if self.words else ""


class IpSet(NamedTuple):
    """A set of ipset: its type and, where addresses are all that it holds, these."""

    kind: str
    networks: Tuple[str, ...]
    ranges: Optional[Ranges]


def parse_ipset(text: str) -> Dict[str, IpSet]:
    """Return {name: set} of what ``ipset save`` prints."""
    kinds: Dict[str, str] = {}
    members: Dict[str, List[str]] = {}
    excepted: set = set()
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == "create":
            kinds[words[1]] = words[2]
        elif len(words) >= 3 and words[0] == "add":
            members.setdefault(words[1], []).append(words[2])
            if "nomatch" in words:
                excepted.add(words[1])
    found = {}
    for name, kind in kinds.items():
        simple = kind in ("hash:ip", "hash:net", "bitmap:ip") and name not in excepted
        networks = tuple(members.get(name, ())) if simple else ()
        found[name] = IpSet(kind, networks, Ranges(networks) if simple else None)
    return found


def ports_have(text: str, port: int) -> Truth:
    """Tell whether a port is in ``22,80,8000:8010``."""
    if not port:
        return None
    for part in text.split(","):
        low, colon, high = part.partition(":")
        try:
            if (int(low or 0) <= port <= int(high or 65535)) if colon else int(low) == port:
                return True
        except ValueError:
            return None
    return False


def _address(condition: Condition, packet: Packet) -> Truth:
    address = {"-s": packet.source, "--src-range": packet.source, "--ctorigsrc": packet.source,
               "--ctorigdst": packet.asked_destination}.get(condition.name, packet.destination)
    return some(in_network(address, part) for part in condition.value.split(",")) if address else None


def _state(condition: Condition, packet: Packet) -> Truth:
    states = condition.value.split(",")
    return "NEW" in states or "DNAT" in states and packet.translated


def _mark(condition: Condition, trail: Trail) -> Truth:
    value, unused, mask = condition.value.partition("/")
    try:
        return None if trail.marked else int(value, 0) & (int(mask, 0) if mask else -1) == 0
    except ValueError:
        return None


def _destination_type(condition: Condition, packet: Packet) -> Truth:
    kinds = condition.value.split(",")
    if packet.cast == "multicast":
        return "MULTICAST" in kinds
    return "LOCAL" in kinds if packet.local else "UNICAST" in kinds


def _set(condition: Condition, packet: Packet, sets: Dict[str, IpSet]) -> Truth:
    known = sets.get(condition.value)
    if known is None or known.ranges is None or condition.words[1:] not in (("src",), ("dst",)):
        return None
    address = packet.source if condition.words[1] == "src" else packet.destination
    return known.ranges.has(address) if address else None


def holds(condition: Condition, packet: Packet, trail: Trail, sets: Dict[str, IpSet]) -> Truth:
    """Tell whether a condition, its negation left aside, holds; None where that cannot be told."""
    name, value = condition.name, condition.value
    if name == "--mark":
        return _mark(condition, trail)
    if name == "--match-set":
        return _set(condition, packet, sets)
    if name == "--tcp-flags":
        return packet.proto == "tcp" and len(condition.words) == 2 and syn_flags(
            "FIN,SYN,RST,PSH,ACK,URG".split(",") if value == "ALL" else value.split(","),
            [] if condition.words[1] == "NONE" else condition.words[1].split(","))
    asked = SIMPLE.get(name)
    return asked(condition, packet) if asked else None


SIMPLE: Dict[str, Callable[[Condition, Packet], Any]] = {
    "-p": lambda asked, packet: asked.value in ("all", "0", packet.proto, NUMBERS.get(packet.proto)),
    "--ctproto": lambda asked, packet: asked.value in (packet.proto, NUMBERS.get(packet.proto)),
    "-i": lambda asked, packet: interface_is(asked.value, packet.interface),
    "-o": lambda asked, packet: interface_is(asked.value, packet.out),
    "--dport": lambda asked, packet: ports_have(asked.value, packet.port),
    "--dports": lambda asked, packet: ports_have(asked.value, packet.port),
    "--ctorigdstport": lambda asked, packet: ports_have(asked.value, packet.asked_port),
    "--ctstate": _state, "--state": _state,
    "--ctstatus": lambda asked, packet: True if packet.translated and "DNAT" in asked.value else
    "NONE" in asked.value.split(",") and not packet.translated,
    "--ctdir": lambda asked, packet: asked.value == "ORIGINAL",
    "--dst-type": _destination_type,
    "--syn": lambda asked, packet: packet.proto == "tcp",
    "--pkt-type": lambda asked, packet: asked.value == ("multicast" if packet.cast == "multicast" else "unicast"),
    "--pol": lambda asked, packet: True if asked.value == "none" else None,
    "--dir": lambda asked, packet: True,
    # What counts packets or connections does not hold for the first of them, and what lets some through does.
    "--hashlimit-above": lambda asked, packet: False, "--connlimit-above": lambda asked, packet: False,
    "--hashlimit-upto": lambda asked, packet: True, "--connlimit-upto": lambda asked, packet: True,
    "--hashlimit": lambda asked, packet: True,
    "--hitcount": lambda asked, packet: asked.value == "1",
    "--set": lambda asked, packet: True,
    "--invert": lambda asked, packet: True, "--limit-iface-in": lambda asked, packet: True,
    "--validmark": lambda asked, packet: True, "--loose": lambda asked, packet: True,
}
for _name in ("-s", "-d", "--src-range", "--dst-range", "--ctorigsrc", "--ctorigdst"):
    SIMPLE[_name] = _address
for _name in FAMILY_ONLY:
    SIMPLE[_name] = lambda asked, packet: False  # neither a routing header nor ICMP opens a connection
