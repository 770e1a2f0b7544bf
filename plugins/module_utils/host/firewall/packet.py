# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A packet that could be the first of a connection, and what a ruleset may do to it.

A rule's condition holds, does not hold, or cannot be told. Where it cannot be told both are followed, so that an
answer that is not certain shows as two verdicts and never as a wrong one.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

ACCEPT, DROP = "accept", "drop"
DEPTH = 64
STEPS = 200000


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection to this host."""

    family: int  # 4 | 6
    proto: str  # "tcp" | "udp"
    source: str
    destination: str
    port: int
    interface: str  # where it comes in; "" could be any
    out: str = ""  # where a forwarded one leaves; "" could be any, "-" is for this host
    local: bool = True  # the destination is an address of this host


class TooLarge(Exception):
    """The ruleset takes more steps than there is time for."""


class Steps:
    """Counts what an evaluation has done, so that no ruleset takes for ever."""

    def __init__(self, most=STEPS):
        self.left = most

    def take(self):
        """Count one step."""
        self.left -= 1
        if self.left < 0:
            raise TooLarge()


def in_network(address, text):
    """Tell whether an address is in ``10.0.0.0/8``, ``10.1.2.3`` or ``10.0.0.1-10.0.0.9``; None: cannot be told."""
    try:
        at = ipaddress.ip_address(address)
        if "-" in text:
            low, high = (ipaddress.ip_address(part) for part in text.split("-", 1))
            return at.version == low.version and low <= at <= high
        return at in ipaddress.ip_network(text, strict=False)
    except (ValueError, TypeError):
        return None


def negated(truth, negative):
    """Return the truth, or its opposite; what cannot be told stays so."""
    if truth is None or not negative:
        return truth
    return not truth


def every(truths):
    """Return True where all hold, False where one does not, None otherwise."""
    truths = list(truths)
    if any(truth is False for truth in truths):
        return False
    return None if any(truth is None for truth in truths) else True


def some(truths):
    """Return True where one holds, False where none does, None otherwise."""
    truths = list(truths)
    if any(truth is True for truth in truths):
        return True
    return None if any(truth is None for truth in truths) else False


def interface_is(pattern, name):
    """Tell whether an interface is meant by a name with an optional ``*`` or ``+`` at its end."""
    if not name:
        return None
    if pattern.endswith(("*", "+")):
        return name.startswith(pattern[:-1])
    return pattern == name
