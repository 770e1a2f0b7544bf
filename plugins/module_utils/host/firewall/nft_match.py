# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a match of nftables holds for a packet, and what a map has for it."""

from typing import Any, Dict, Iterator, List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Packet
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Ranges
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Trail
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Truth
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import every
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import in_network
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import interface_is
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import negated
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import plain_set
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import some
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import syn_flags

PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp", "icmpv6": "ipv6-icmp"}
# Headers that no first packet of TCP or UDP has.
FOREIGN = ("icmp", "icmpv6", "sctp", "dccp", "ah", "esp", "igmp", "arp", "comp", "gre")
INTERFACES = ("iif", "iifname", "oif", "oifname")
LARGE = 24
Table = Tuple[Any, Any]
# The header or path that is asked about is not there, so that neither a match nor its opposite holds.
ABSENT = False


def elements_of(value: Any) -> List[Any]:
    """Return the elements of an anonymous set or of one that was declared."""
    found = value.get("set", value.get("elem")) if isinstance(value, dict) else value
    return found if isinstance(found, list) else [] if found is None else [found]


def bare(value: Any) -> Any:
    """Return an element without its timeout, counter and comment."""
    if isinstance(value, dict) and isinstance(value.get("elem"), dict) and "val" in value["elem"]:
        return value["elem"]["val"]
    return value


def network_text(value: Any) -> Optional[str]:
    """Return an address, prefix or range of addresses as text; None of what is none."""
    value = bare(value)
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("prefix"), dict):
        return "%s/%s" % (value["prefix"].get("addr"), value["prefix"].get("len"))
    if isinstance(value, dict) and isinstance(value.get("range"), list) and len(value["range"]) == 2 \
            and all(isinstance(part, str) for part in value["range"]):
        return "%s-%s" % tuple(value["range"])
    return None


def _payload(part: Dict[str, Any], packet: Packet) -> Any:
    protocol, name = part.get("protocol"), part.get("field")
    if part.get("base") == "transport" and (part.get("offset"), part.get("len")) == (16, 16):
        return packet.port or None
    if protocol in FOREIGN or protocol in ("tcp", "udp") and protocol != packet.proto:
        return ABSENT
    if protocol in ("tcp", "udp", "th"):
        return (packet.port or None) if name == "dport" else None
    if protocol in ("ip", "ip6"):
        if protocol != ("ip" if packet.family == 4 else "ip6"):
            return ABSENT
        return {"saddr": packet.source or None, "daddr": packet.destination or None, "protocol": packet.proto,
                "nexthdr": packet.proto, "version": packet.family}.get(str(name))
    return None


def _meta(name: Any, packet: Packet, trail: Trail) -> Any:
    if name == "mark":
        return None if trail.marked else 0
    if name == "secpath":
        return None  # whether it came through IPsec
    return {"l4proto": packet.proto, "iifname": packet.interface or None, "iif": packet.interface or None,
            "nfproto": "ipv%d" % packet.family, "protocol": "ip" if packet.family == 4 else "ip6",
            "oifname": packet.out or None, "oif": packet.out or None, "pkttype": packet.cast}.get(name)


def _connection(part: Dict[str, Any], packet: Packet, trail: Trail) -> Any:
    name = str(part.get("key"))
    if part.get("dir") == "reply":
        return None
    if name.split()[-1] in ("saddr", "daddr"):
        if name.startswith("ip") and name.split()[0] != ("ip" if packet.family == 4 else "ip6"):
            return ABSENT
        return (packet.source if name.endswith("saddr") else packet.asked_destination) or None
    if name == "mark":
        return None if trail.marked else 0
    return {"state": "new", "direction": "original", "status": "dnat" if packet.translated else "", "zone": 0,
            "proto-dst": packet.asked_port or None, "protocol": packet.proto, "helper": "",
            "l3proto": "ip" if packet.family == 4 else "ip6"}.get(name)


def _route(part: Dict[str, Any], packet: Packet) -> Any:
    flags = part.get("flags")
    flags = [flags] if isinstance(flags, str) else flags if isinstance(flags, list) else []
    if part.get("result") == "type" and "daddr" in flags:
        return "multicast" if packet.cast == "multicast" else "local" if packet.local else "unicast"
    if part.get("result") in ("oif", "oifname") and "saddr" in flags and "iif" in flags:
        return True  # there is a way back to whom a connection can be made with
    return None


def value_of(left: Any, packet: Packet, trail: Trail) -> Any:
    """Return what a packet has there; ABSENT where it has no such thing, None where it cannot be told."""
    if not isinstance(left, dict) or len(left) != 1:
        return None
    (kind, part), = left.items()
    if not isinstance(part, dict):
        return _masked(part, packet, trail) if kind == "&" else None
    if kind == "payload":
        return _payload(part, packet)
    if kind == "meta":
        return _meta(part.get("key"), packet, trail)
    if kind == "ct":
        return _connection(part, packet, trail)
    return _route(part, packet) if kind == "fib" else None


def _masked(parts: Any, packet: Packet, trail: Trail) -> Any:
    if isinstance(parts, list) and len(parts) == 2 and isinstance(parts[1], int):
        value = value_of(parts[0], packet, trail)
        return value & parts[1] if isinstance(value, int) and value is not ABSENT else value if value is ABSENT else None
    return None


def _flags(body: Dict[str, Any], packet: Packet) -> Tuple[bool, Truth]:
    """Return (True where a match is about flags of TCP, whether it holds for a packet that has SYN alone)."""
    left, mask = body.get("left"), None
    if isinstance(left, dict) and isinstance(left.get("&"), list) and len(left["&"]) == 2:
        left, mask = left["&"]
    part = left.get("payload") if isinstance(left, dict) else None
    if not isinstance(part, dict) or (part.get("protocol"), part.get("field")) != ("tcp", "flags"):
        return False, None
    if packet.proto != "tcp":
        return True, False
    wanted = _flag_names(body.get("right"))
    operator = body.get("op", "==")
    if mask is None:
        truth = "syn" in wanted if operator in ("in", "!=") else wanted == {"syn"}
        return True, negated(truth, operator == "!=")
    return True, negated(syn_flags(_flag_names(mask), wanted), operator == "!=")


def _flag_names(value: Any) -> Any:
    if isinstance(value, dict):
        value = value.get("|", value.get("set", []))
    if isinstance(value, list):
        return {name for part in value for name in _flag_names(part)}
    return set(plain_set(value)) if isinstance(value, str) else set()


class Matcher:
    """Answers for the rules of one ruleset, whose named sets and maps it knows."""

    def __init__(self, sets: Dict[Tuple[Any, ...], Dict[str, Any]]) -> None:
        self.sets = sets
        self._ranges: Dict[int, Tuple[Any, Ranges, List[Any]]] = {}

    def declared(self, name: str, table: Table) -> Optional[Dict[str, Any]]:
        """Return the set or map that ``@name`` stands for; None where there is none of the name."""
        return self.sets.get((table[0], table[1], name.lstrip("@")))

    def match(self, body: Dict[str, Any], table: Table, packet: Packet, trail: Trail) -> Truth:
        """Tell whether a match holds."""
        about_flags, truth = _flags(body, packet)
        if about_flags:
            return truth
        left, operator = body.get("left"), body.get("op", "==")
        value = value_of(left, packet, trail)
        right = body.get("right")
        if value is ABSENT:
            return False
        if value is True and isinstance(right, bool):  # fib ... oif missing, exists
            return negated(right, operator == "!=")
        if operator in ("==", "in", "!="):
            return negated(self.equal(left, right, table, packet, trail), operator == "!=")
        if isinstance(value, int) and isinstance(right, int):
            return {"<": value < right, ">": value > right, "<=": value <= right, ">=": value >= right}.get(operator)
        return None

    def equal(self, left: Any, right: Any, table: Table, packet: Packet, trail: Trail) -> Truth:
        """Tell whether what a packet has at ``left`` is among ``right``."""
        if isinstance(right, str) and right.startswith("@"):
            named = self.declared(right, table)
            right = None if named is None else {"set": elements_of(named)}
        if right is None:
            return None
        if isinstance(left, dict) and isinstance(left.get("concat"), list):
            return self._joined(left["concat"], right, table, packet, trail)
        value = value_of(left, packet, trail)
        if value is ABSENT:
            return False
        return None if value is None else self._among(value, right, left, trail)

    def _joined(self, parts: List[Any], right: Any, table: Table, packet: Packet, trail: Trail) -> Truth:
        right = bare(right)
        if isinstance(right, dict) and "set" in right:
            return some(self._joined(parts, one, table, packet, trail) for one in counted(elements_of(right), trail))
        values = right.get("concat") if isinstance(right, dict) else None
        if not isinstance(values, list) or len(values) != len(parts):
            return None
        return every(self.equal(part, one, table, packet, trail) for part, one in zip(parts, values))

    def _among(self, value: Any, right: Any, left: Any, trail: Trail) -> Truth:
        right = bare(right)
        if isinstance(right, (list, dict)) and (isinstance(right, list) or "set" in right or "|" in right):
            several = right if isinstance(right, list) else elements_of(right) if "set" in right else right["|"]
            if isinstance(value, str) and _is_address(value) and isinstance(several, list) and len(several) > LARGE:
                return self._among_many(value, several, left, trail)
            return some(self._among(value, one, left, trail) for one in counted(several, trail))
        if isinstance(right, dict):
            return _in_dict(value, right)
        if isinstance(value, int):
            return value == right if isinstance(right, int) else None
        if isinstance(left, dict) and isinstance(left.get("meta"), dict) and left["meta"].get("key") in INTERFACES:
            return interface_is(str(right), value)
        text = PROTOCOLS.get(str(right), str(right))
        return in_network(value, text) if _is_address(value) else value == text

    def _among_many(self, value: str, several: List[Any], left: Any, trail: Trail) -> Truth:
        known = self._ranges.get(id(several))
        if known is None:
            trail.take(len(several) // 16)
            texts = [network_text(one) for one in several]
            odd = [one for one, text in zip(several, texts) if text is None]
            known = (several, Ranges(text for text in texts if text is not None), odd)
            self._ranges[id(several)] = known  # the list is kept, so that its id stays its own
        truth = known[1].has(value)
        return truth if truth or not known[2] else some([truth] + [self._among(value, one, left, trail) for one in known[2]])

    def looked_up(self, body: Any, table: Table, packet: Packet, trail: Trail) -> Iterator[Tuple[Truth, Any]]:
        """Yield (True or None, value) of each entry of a map that a packet meets or may meet, to the first certain one.

        :param body: ``{"key": ..., "data": "@name" | {"set": [[key, value], ...]}}``
        """
        data = body.get("data") if isinstance(body, dict) else None
        if isinstance(data, str):
            data = self.declared(data, table)
        if not isinstance(data, dict):
            yield None, None
            return
        default: Any = None
        for pair in counted(elements_of(data), trail):
            key, value = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
            if bare(key) == "*":
                default = value
                continue
            truth = self.equal(body.get("key"), key, table, packet, trail)
            if truth is not False:
                yield truth, value
            if truth is True:
                return
        if default is not None:
            yield True, default


def counted(several: Any, trail: Trail) -> Iterator[Any]:
    """Yield each element and count it as a step."""
    for one in several if isinstance(several, list) else []:
        trail.take()
        yield one


def _is_address(value: str) -> bool:
    return ":" in value or (value[:1].isdecimal() and "." in value)


def _in_dict(value: Any, right: Dict[str, Any]) -> Truth:
    pair = right.get("range")
    if isinstance(value, int) and isinstance(pair, list) and len(pair) == 2:
        return pair[0] <= value <= pair[1] if all(isinstance(end, int) for end in pair) else None
    text = network_text(right)
    return in_network(value, text) if text and isinstance(value, str) else None
