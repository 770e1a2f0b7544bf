# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The effective firewall: all rulesets that are loaded, read together.

A new connection gets in only where every base chain of every ruleset lets it pass: an accept in one does not
override a drop in another. Where a port is translated on its way, the packet is followed to where it is passed on.
"""

import ipaddress
from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.links import Links
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.links import NONE
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import ACCEPT
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DROP
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Packet
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Sources
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import TooLarge
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Trail
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Verdict
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import bounds
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import in_network
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Publication
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading

# Sources that stand for everybody: some of the public Internet, of which hardly a ruleset keeps all out by name, and
# one of each private range.
PROBES = {4: ("198.51.100.77", "93.184.77.13", "5.79.184.13", "142.250.184.13", "10.250.251.252", "172.30.251.252",
              "192.168.251.252"),
          6: ("2001:db8:ffff:77::1", "2a01:4f8:77:13::77", "2600:1f18:77:13::77", "2408:4003:77::77", "fdfe:dcba:9876::1",
              "fe80::dcba:9876")}
MOST_INTERFACES = 16
MOST_DOUBTS = 2
# Of all that one audit asks, so that no ruleset takes the time of the whole class.
ALL_STEPS = 4000000
NAT_PRIORITY = -100
WILDCARDS = ("0.0.0.0", "::", "*")
NO_INTERFACE = "this host has no interface but loopback"
Way = Tuple[str, str]
# A network, and the interface that it lies behind, "" where it may be behind any.
Label = Tuple[str, str]
# {(network; None for everybody): {verdict: interfaces}}
Outcomes = Dict[Optional[Label], Dict[Optional[str], Set[str]]]


class Reach(NamedTuple):
    """Who gets through to a port, as far as the host's own firewall decides."""

    state: str  # "open" | "restricted" | "closed" | "unknown"
    sources: Tuple[str, ...] = ()  # of "restricted": the networks that are let in
    by: str = ""
    reason: str = ""  # of "unknown": why, with the rule; of "open": what is not open to everybody
    who: Tuple[str, ...] = ()  # who gets in, in words: "10.8.0.0/24 on wg0"
    to: str = ""  # where the packets are passed on to, "172.17.0.2 port 6379"


class Firewall:
    """All rulesets that are loaded."""

    def __init__(self, rulesets: Iterable[Any], gaps: Iterable[str] = (), manager: str = "none",
                 interfaces: Optional[Dict[int, List[Way]]] = None, notes: Iterable[str] = (),
                 links: Optional[Links] = None) -> None:
        self.rulesets, self.gaps, self.manager = tuple(rulesets), tuple(gaps), manager
        self.links = links if links is not None else NONE._replace(addresses=interfaces or {4: [], 6: []})
        self.interfaces = self.links.addresses
        self.notes = tuple(notes)
        self.left = ALL_STEPS

    @property
    def active(self) -> Optional[bool]:
        """True where new packets of everybody to some port are dropped; None where that cannot be told."""
        if any(self._drops(family, proto) for family in (4, 6) for proto in ("tcp", "udp")):
            return True
        return None if self.gaps else False

    def _drops(self, family: int, proto: str) -> bool:
        packets = [Packet(family, proto, source, "", 0, "", "-") for source in PROBES[family][:4]]
        try:
            return all(any(DROP in ruleset.verdicts(key, packet, Trail()) for unused, ruleset, key in
                           self._bases(("ingress", "prerouting", "input"), packet)) for packet in packets)
        except (TooLarge, TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError):
            return False

    # Who gets in

    def reach(self, proto: str, family: int, address: str, port: int) -> Reach:
        """Return who gets through to a port of this host."""
        if _is_group(address):
            return self.reach_group(proto, family, port, address)
        ways = self._ways(family, address)
        if not ways:
            return Reach("closed", by=NO_INTERFACE) if address in WILDCARDS else Reach("unknown", reason=(
                "%s is no address of an interface" % address))
        reach = self._judge(proto, family, ways, port)
        if proto == "udp" and address in WILDCARDS and reach.state not in ("open", "unknown"):
            by_group = self.reach_group(proto, family, port)
            if by_group.state in ("open", "unknown"):
                return by_group
        return reach

    def _ways(self, family: int, address: str) -> List[Way]:
        """Return (interface, own address) of each way on which a packet to an address comes in."""
        return [(interface, own) for interface, own in self.interfaces.get(family, ())
                if address in WILDCARDS or address == own][:MOST_INTERFACES]

    def reach_group(self, proto: str, family: int, port: int, group: str = "") -> Reach:
        """Return who gets through to a port by a multicast group that was joined."""
        ways = [(interface, one) for interface, one in self.links.groups.get(family, ())
                if group in ("", one)][:MOST_INTERFACES]
        reach = self._judge(proto, family, ways, port, "multicast") if ways else Reach("closed", by="no group was joined")
        if reach.state == "open":
            groups = ", ".join(sorted({"%s on %s" % (one, interface) for interface, one in ways})[:4])
            return reach._replace(reason="by multicast (%s)" % groups,
                                  who=("every host on the link, by multicast (%s)" % groups,))
        return reach if reach.state == "unknown" else Reach("closed", by=reach.by)

    def _judge(self, proto: str, family: int, ways: List[Way], port: int, cast: str = "host", elsewhere: bool = False,
               ) -> Reach:
        """Return who gets through: to this host itself, or ``elsewhere``, to where packets are passed on."""
        if self.gaps:
            return Reach("unknown", reason="; ".join(self.gaps))
        outcomes: Outcomes = {}
        doubts: List[str] = []
        passed_to: Set[str] = set()
        trail = Trail(min(Trail().left, self.left))
        allowance = trail.left
        try:
            sources = self._sources(Packet(family, proto, "", "", port, ""), trail)
            for interface, own in ways:
                for label, source in self._probes(family, interface, sources, cast):
                    trail.begin()
                    packet = Packet(family, proto, source, own, port, interface, "-", cast == "host", cast)
                    verdict = self._follow(packet, trail, passed_to, elsewhere)
                    outcomes.setdefault(label, {}).setdefault(verdict, set()).add(interface)
                    if verdict is None:
                        doubts += [doubt for doubt in trail.doubts if doubt not in doubts]
        except TooLarge:
            return Reach("unknown", reason="the ruleset is too large to be followed")
        except (TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError) as error:
            return Reach("unknown", reason="the ruleset has a form that is not understood (%s)" % type(error).__name__)
        finally:
            self.left -= allowance - max(0, trail.left)
        reach = verdict_of(outcomes, ", ".join(sorted(trail.by)[:6]), doubts, len({interface for interface, unused in ways}))
        if sources.left_out and reach.state in ("closed", "restricted"):
            return Reach("unknown", reason="more networks are named than can be followed: %s" % sources.left_out)
        return reach._replace(to=", ".join(sorted(passed_to)[:4]))

    def chains_met(self, proto: str, family: int, port: int) -> Optional[FrozenSet[Tuple[str, str]]]:
        """Return the (table, chain) that a new connection to a port of this host is led through; None: cannot be told."""
        ways, trail = self._ways(family, WILDCARDS[0]), Trail()
        if self.gaps or not ways:
            return None
        try:
            sources = self._sources(Packet(family, proto, "", "", port, ""), trail)
            for interface, own in ways:
                for unused, source in self._probes(family, interface, sources, "host"):
                    trail.begin()
                    self._follow(Packet(family, proto, source, own, port, interface, "-"), trail, set(), False)
        except (TooLarge, TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError):
            return None
        return frozenset(trail.entered)

    def lets_in(self, proto: str, family: int, port: int, source: str) -> Optional[bool]:
        """Tell whether one address gets in to a port of this host on some way; None: cannot be told."""
        ways, trail = self._ways(family, WILDCARDS[0]), Trail()
        if self.gaps or not ways:
            return None
        try:
            ends = {self._follow(Packet(family, proto, source, own, port, interface, "-"), trail, set(), False)
                    for interface, own in ways}
        except (TooLarge, TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError):
            return None
        return None if None in ends else ACCEPT in ends

    def _sources(self, packet: Packet, trail: Trail) -> Sources:
        found = Sources()
        for ruleset in self.rulesets:
            ruleset.sources(packet, found, trail)
        return found

    def _probes(self, family: int, interface: str, sources: Sources, cast: str) -> List[Tuple[Optional[Label], str]]:
        """Return (what a source stands for, its address): networks that rules speak of, and None for everybody.

        By an inner interface, its neighbours stand in for everybody.
        """
        texts = list(sources.texts)
        made: List[Tuple[Optional[Label], str]] = [((sources.texts[text], ""), probe) for text, probe in
                                                   ((text, probe_of(text, texts)) for text in texts) if probe]
        inner = self.links.inner.get((interface, family)) if cast == "host" else None
        if inner:
            return made + [((network, interface), probe) for network, probe in
                           ((network, probe_of(network, texts)) for network in inner) if probe]
        return [(None, probe) for probe in PROBES[family]
                if not any(in_network(probe, text) for text in texts if not _is_all(text))] + made

    # Following a packet

    def _bases(self, hooks: Tuple[str, ...], packet: Packet) -> List[Tuple[int, Any, Any]]:
        """Return (priority, ruleset, chain) in the order in which a packet meets them."""
        found = []
        for hook in hooks:
            met = [(priority, ruleset, key) for ruleset in self.rulesets
                   for priority, key in ruleset.bases(hook, packet.family, packet.interface)]
            found += sorted(met, key=lambda one: one[0])
        return found

    def _follow(self, packet: Packet, trail: Trail, passed_to: Set[str], elsewhere: bool) -> Optional[str]:
        """Return "accept", "drop", or None where it cannot be told, and note where the packet is passed on to."""
        arriving = self._bases(("ingress",), packet)
        prerouting = self._bases(("prerouting",), packet)
        first = self._pass(arriving + [base for base in prerouting if base[0] < NAT_PRIORITY], packet, trail)
        if first == DROP:
            return DROP
        ends = set()
        for one in self._translated(packet, trail):
            if one is None:
                ends.add(None)
                continue
            if not one.local and one.translated:
                passed_to.add("%s port %d" % (one.destination, one.port))
            if elsewhere == (one.local or not one.translated):
                ends.add(DROP)  # it ends, but not where it is asked about
                continue
            chains = [base for base in prerouting if base[0] >= NAT_PRIORITY]
            chains += self._bases(("input" if one.local or one.cast != "host" else "forward",), one)
            ends.add(self._pass(chains, one, trail))
        if ends == {DROP}:
            return DROP
        return ACCEPT if ends == {ACCEPT} and first == ACCEPT else None

    @staticmethod
    def _pass(chains: List[Tuple[int, Any, Any]], packet: Packet, trail: Trail) -> Optional[str]:
        unsure = False
        for unused, ruleset, key in chains:
            outcomes = ruleset.verdicts(key, packet, trail)
            if outcomes == {DROP}:
                return DROP
            unsure = unsure or DROP in outcomes
        return None if unsure else ACCEPT

    def _translated(self, packet: Packet, trail: Trail) -> List[Optional[Packet]]:
        """Return the packets that one may become by translation; None stands for what cannot be told."""
        if packet.cast != "host":
            return [packet]
        bases = sorted(((priority, ruleset, key) for ruleset in self.rulesets
                        for priority, key in ruleset.nat_bases(packet.family)), key=lambda one: one[0])
        found: List[Optional[Packet]] = []
        for unused, ruleset, key in bases:
            outcomes = ruleset.verdicts(key, packet, trail)
            targets = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
            found += [self._passed_on(packet, target) for target in targets]
            if targets and len(targets) == len(outcomes):
                return found
        return found + [packet]

    def _passed_on(self, packet: Packet, target: Verdict) -> Optional[Packet]:
        unused, address, port = target
        try:
            at = ipaddress.ip_address(address)
        except ValueError:
            return None
        local = at.is_loopback or any(own == address for unused_name, own in self.interfaces.get(packet.family, ()))
        if at.version != packet.family or not port:
            return None
        return packet._replace(destination=address, port=port, local=local, translated=True, first_port=packet.asked_port,
                               first_destination=packet.asked_destination, out="-" if local else self._way_out(address))

    def _way_out(self, address: str) -> str:
        """Return the interface by which an address is reached; "" where that is not known."""
        best, found = -1, ""
        for (name, unused), networks in self.links.networks.items():
            for text in networks:
                length = int(text.rpartition("/")[2])
                if length > best and in_network(address, text):
                    best, found = length, name
        return found

    # What is passed on

    def publications(self) -> Reading:
        """Return a Reading of the ports that are passed on by translation, found by following packets to them."""
        found, trail = [], Trail()
        candidates = sorted({pair for ruleset in self.rulesets for pair in ruleset.translated_ports()})
        try:
            for family in (4, 6):
                for proto, port in candidates:
                    found += self._published(family, proto, port, trail)
        except (TooLarge, TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError) as error:
            return Reading(tuple(dict.fromkeys(found)), self.gaps + (
                "which ports are passed on cannot be told: %s" % (
                    "the ruleset is too large to be followed" if isinstance(error, TooLarge) else type(error).__name__),))
        return Reading(tuple(dict.fromkeys(found)), self.gaps)

    def _published(self, family: int, proto: str, port: int, trail: Trail) -> List[Publication]:
        ways = self._ways(family, "*")
        source = PROBES[family][1]
        targets: Dict[Tuple[str, int], Set[str]] = {}
        for interface, own in ways:
            trail.begin()
            for one in self._translated(Packet(family, proto, source, own, port, interface, "-"), trail):
                if one is not None and one.translated and not one.local:
                    targets.setdefault((one.destination, one.port), set()).add(own)
        everywhere = {own for unused, own in ways}
        return [Publication(proto, family, ("0.0.0.0" if family == 4 else "::") if owns == everywhere or len(owns) > 1
                            else sorted(owns)[0], port, address, to_port, "translation")
                for (address, to_port), owns in sorted(targets.items())]

    def reach_publication(self, published: Publication) -> Reach:
        """Return who gets through to a port that is passed on to another address."""
        ways = self._ways(published.family, published.address)
        if not ways:
            return Reach("closed", by=NO_INTERFACE)
        return self._judge(published.proto, published.family, ways, published.port, elsewhere=True)


def verdict_of(outcomes: Outcomes, by: str, doubts: List[str], interfaces: int) -> Reach:
    """Return the Reach of what became of packets of everybody (None) and of named networks, on each interface."""
    anyone = outcomes.get(None, {})
    if ACCEPT in anyone:
        only = sorted(anyone[ACCEPT])
        asked = {name for names in anyone.values() for name in names}
        part = len(only) < len(asked)
        who = "everybody on %s" % ", ".join(only) if part else "everybody"
        part = part or DROP in anyone
        return Reach("open", by=by, who=(who,), reason="not from everywhere or on every interface" if part else "")
    unsure = any(None in verdicts for verdicts in outcomes.values())
    if unsure:
        return Reach("unknown", by=by, reason="what this firewall does cannot be told from the text of %s"
                     % (" and of ".join(doubts[:MOST_DOUBTS]) or "its rules"))
    let_in = sorted((label, sorted(verdicts[ACCEPT])) for label, verdicts in outcomes.items() if label and ACCEPT in verdicts)
    if let_in:
        who = tuple("%s on %s" % (network, interface or ", ".join(names)) if interface or len(names) < interfaces else network
                    for (network, interface), names in let_in)
        return Reach("restricted", sources=tuple(dict.fromkeys(label[0] for label, unused in let_in)), by=by, who=who)
    return Reach("closed", by=by)


def _is_group(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_multicast
    except ValueError:
        return False


def _is_all(text: str) -> bool:
    return text.endswith("/0")


def probe_of(text: str, others: Iterable[str]) -> Optional[str]:
    """Return an address in a network that is in none of the narrower networks that rules speak of."""
    try:
        version, low, high = bounds(text)
    except (ValueError, TypeError):
        return None
    if (low, high) == (0, 2 ** (32 if version == 4 else 128) - 1):
        return None
    inside = []
    for other in others:
        try:
            family, first, last = bounds(other)
        except (ValueError, TypeError):
            continue
        if family == version and low <= first and last <= high and (first, last) != (low, high):
            inside.append((first, last))
    at = high
    for first, last in sorted(inside, key=lambda pair: -pair[1]):
        if first <= at <= last:
            at = first - 1
    if at < low:
        return None
    return str(ipaddress.IPv4Address(at) if version == 4 else ipaddress.IPv6Address(at))
