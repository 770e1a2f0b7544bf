# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A packet that could be the first of a connection, and what a ruleset may do to it.

A rule's condition holds, does not hold, or cannot be told. Where it cannot be told both are followed, so that an
answer that is not certain shows as two verdicts and never as a wrong one.
"""

import bisect
import ipaddress
from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Set, Tuple, Union

ACCEPT, DROP = "accept", "drop"
DEPTH = 64
STEPS = 200000
MOST_DOUBTS = 4
# A verdict is ACCEPT, DROP or ("to", address, port): passed on by translation, "" and 0 where that cannot be told.
Verdict = Union[str, Tuple[str, str, int]]
Truth = Optional[bool]


class Packet(NamedTuple):
    """The first packet of a connection to this host. What is empty or 0 could be anything."""

    family: int  # 4 | 6
    proto: str  # "tcp" | "udp"
    source: str
    destination: str
    port: int
    interface: str  # where it comes in
    out: str = ""  # where a forwarded one leaves; "-" is for this host
    local: bool = True  # the destination is an address of this host
    cast: str = "host"  # "host" | "multicast", as meta pkttype has it
    first_port: int = 0  # before translation
    first_destination: str = ""
    translated: bool = False

    @property
    def asked_port(self) -> int:
        """The port that the sender meant."""
        return self.first_port or self.port

    @property
    def asked_destination(self) -> str:
        """The address that the sender meant."""
        return self.first_destination or self.destination


class TooLarge(Exception):
    """The ruleset takes more steps than there is time for."""


class Trail:
    """What an evaluation has met: how many steps are left, which rules decided, and which could not be told."""

    def __init__(self, most: int = STEPS) -> None:
        self.left = most
        self.by: Set[str] = set()
        self.doubts: List[str] = []
        self.marked = False  # a rule has set a mark
        self.entered: Set[Tuple[str, str]] = set()  # (table, chain) of each chain that a packet was led into

    def take(self, steps: int = 1) -> None:
        """Count steps, so that no ruleset takes for ever."""
        self.left -= steps
        if self.left < 0:
            raise TooLarge()

    def doubt(self, rule: str) -> None:
        """Note a rule that cannot be told from its text."""
        if len(self.doubts) < MOST_DOUBTS and rule not in self.doubts:
            self.doubts.append(rule)

    def begin(self) -> None:
        """Forget what is of the packet before."""
        self.doubts, self.marked = [], False


class Sources:
    """The networks that rules speak of as sources: of a large set a few stand for all of its elements."""

    MOST, SAMPLE = 192, 8

    def __init__(self) -> None:
        self.texts: Dict[str, str] = {}
        self.left_out = ""

    def add(self, networks: Iterable[str], rule: str) -> None:
        """Take in the networks of one set, of which the elements share their fate."""
        several = list(networks)
        if len(several) > self.MOST:
            label = "%d networks of %s" % (len(several), rule)
            several = several[:self.SAMPLE]
        else:
            label = ""
        for text in several:
            if len(self.texts) >= self.MOST and text not in self.texts:
                self.left_out = self.left_out or rule
                return
            self.texts.setdefault(text, label or text)

    def add_each(self, networks: Iterable[str], rule: str) -> None:
        """Take in networks that differ in what becomes of them."""
        for text in networks:
            self.add([text], rule)


def bounds(text: str) -> Tuple[int, int, int]:
    """Return (version, first, last) of ``10.0.0.0/8``, ``10.1.2.3`` or ``10.0.0.1-10.0.0.9``; ValueError of others."""
    if "-" in text:
        low, high = (ipaddress.ip_address(part.strip()) for part in text.split("-", 1))
        if low.version != high.version:
            raise ValueError(text)
        return low.version, int(low), int(high)
    network = ipaddress.ip_network(text, strict=False)
    return network.version, int(network.network_address), int(network.broadcast_address)


def in_network(address: str, text: str) -> Truth:
    """Tell whether an address is in ``10.0.0.0/8``, ``10.1.2.3`` or ``10.0.0.1-10.0.0.9``; None: cannot be told."""
    try:
        at = ipaddress.ip_address(address)
        version, low, high = bounds(text)
    except (ValueError, TypeError):
        return None
    return at.version == version and low <= int(at) <= high


class Ranges:
    """Many networks, asked quickly."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.lows: Dict[int, List[int]] = {4: [], 6: []}
        self.highs: Dict[int, List[int]] = {4: [], 6: []}
        self.unread = 0
        found: Dict[int, List[Tuple[int, int]]] = {4: [], 6: []}
        for text in texts:
            try:
                version, low, high = bounds(text)
            except (ValueError, TypeError):
                self.unread += 1
            else:
                found[version].append((low, high))
        for version, pairs in found.items():
            for low, high in sorted(pairs):
                if self.highs[version] and low <= self.highs[version][-1]:
                    self.highs[version][-1] = max(high, self.highs[version][-1])
                else:
                    self.lows[version].append(low)
                    self.highs[version].append(high)

    def has(self, address: str) -> Truth:
        """Tell whether an address is in one of the networks."""
        try:
            at = ipaddress.ip_address(address)
        except ValueError:
            return None
        place = bisect.bisect_right(self.lows[at.version], int(at)) - 1
        if place >= 0 and int(at) <= self.highs[at.version][place]:
            return True
        return None if self.unread else False


def negated(truth: Truth, negative: bool) -> Truth:
    """Return the truth, or its opposite; what cannot be told stays so."""
    if truth is None or not negative:
        return truth
    return not truth


def every(truths: Iterable[Truth]) -> Truth:
    """Return True where all hold, False where one does not, None otherwise."""
    unsure = False
    for truth in truths:
        if truth is False:
            return False
        unsure = unsure or truth is None
    return None if unsure else True


def some(truths: Iterable[Truth]) -> Truth:
    """Return True where one holds, False where none does, None otherwise."""
    unsure = False
    for truth in truths:
        if truth is True:
            return True
        unsure = unsure or truth is None
    return None if unsure else False


def interface_is(pattern: str, name: str) -> Truth:
    """Tell whether an interface is meant by a name with an optional ``*`` or ``+`` at its end."""
    if not name:
        return None
    if pattern.endswith(("*", "+")):
        return name.startswith(pattern[:-1])
    return pattern == name


def syn_flags(mask: Iterable[str], wanted: Iterable[str]) -> bool:
    """Tell whether a first packet of TCP, which has SYN alone, has of ``mask`` the flags ``wanted``."""
    return {flag.lower() for flag in mask if flag.lower() == "syn"} == {flag.lower() for flag in wanted}


def plain_set(value: Any) -> FrozenSet[str]:
    """Return the texts of a value that is one text or a list of them."""
    if isinstance(value, str):
        return frozenset(part.strip() for part in value.split(","))
    return frozenset(str(part) for part in value) if isinstance(value, list) else frozenset()
