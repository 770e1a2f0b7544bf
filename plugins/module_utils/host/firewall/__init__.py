# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The effective firewall: all rulesets that are loaded, read together.

A new connection gets in only where every base chain of every ruleset lets it pass: an accept in one does not
override a drop in another.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables import IptablesRules
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft import NftRules
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import ACCEPT
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DROP
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Packet
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Steps
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import TooLarge
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import in_network
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Publication
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading

# Sources that no ruleset means by chance: one of the public Internet, one of each private range.
PROBES = {4: ("198.51.100.77", "10.250.251.252", "172.30.251.252", "192.168.251.252"),
          6: ("2001:db8:ffff:77::1", "fdfe:dcba:9876::1", "fe80::dcba:9876")}
MOST_SOURCES = 64
MOST_INTERFACES = 8
SAVERS = (("iptables-legacy-save", "iptables-save", 4), ("ip6tables-legacy-save", "ip6tables-save", 6))
NO_INTERFACE = "this host has no interface but loopback"


@dataclass(frozen=True)
class Reach:
    """Who gets through to a port, as far as the host's own firewall decides."""

    state: str  # "open" | "restricted" | "closed" | "unknown"
    sources: tuple = ()  # of "restricted": the networks that are let in
    by: str = ""
    reason: str = ""


class Firewall:
    """All rulesets that are loaded."""

    def __init__(self, rulesets, gaps=(), manager="none", interfaces=None, notes=()):
        self.rulesets, self.gaps, self.manager = tuple(rulesets), tuple(gaps), manager
        self.interfaces = interfaces if interfaces is not None else {4: [], 6: []}
        self.notes = tuple(notes)

    @property
    def active(self):
        """True where something may be dropped on its way in; None where that cannot be told."""
        if any(ruleset.filters() for ruleset in self.rulesets):
            return True
        return None if self.gaps else False

    def reach(self, proto, family, address, port):
        """Return who gets through to a port of this host."""
        ways = self._ways(family, address)
        if not ways:
            return Reach("closed", by=NO_INTERFACE) if address in ("0.0.0.0", "::", "*") else Reach("unknown", reason=(
                "%s is no address of an interface" % address))
        return self._judge(proto, family, ways, port, ("prerouting", "input"), True)

    def _ways(self, family, address):
        """Return (interface, own address) of each way on which a packet to an address comes in."""
        return [(interface, own) for interface, own in self.interfaces.get(family, ())
                if address in ("0.0.0.0", "::", "*", own)][:MOST_INTERFACES]

    def reach_publication(self, published):
        """Return who gets through to a port that is passed on to another address."""
        family = published.family
        ways = list(self.interfaces.get(family, ()))[:MOST_INTERFACES]
        if not ways:
            return Reach("closed", by=NO_INTERFACE)
        before = self._judge(published.proto, family, ways, published.port, ("prerouting",), True)
        after = self._judge(published.proto, family, [(interface, published.to_address) for interface, unused in ways],
                            published.to_port, ("forward",), False)
        for state in ("closed", "unknown", "restricted"):
            for one in (before, after):
                if one.state == state:
                    return one
        return after

    def _judge(self, proto, family, ways, port, hooks, local):
        if self.gaps:
            return Reach("unknown", reason="; ".join(self.gaps))
        by, best, steps = set(), {}, Steps()
        try:
            probes = self._probes(family)
            for interface, own in ways:
                for text, source in probes:
                    packet = Packet(family, proto, source, own, port, interface, "-" if local else "", local)
                    best.setdefault(text, set()).add(self._verdict(packet, hooks, steps, by))
        except TooLarge:
            return Reach("unknown", reason="the ruleset is too large to be followed")
        except (TypeError, AttributeError, KeyError, IndexError, ValueError, RecursionError) as error:
            return Reach("unknown", reason="the ruleset has a form that is not understood (%s)" % type(error).__name__)
        return verdict_of(best, ", ".join(sorted(by)[:6]))

    def _probes(self, family):
        """Return (network, an address in it) of each network that rules speak of; (None, address) of none of them."""
        named = sorted(set(text for ruleset in self.rulesets for text in ruleset.sources(family)))[:MOST_SOURCES]
        made = [(text, probe) for text, probe in ((text, probe_of(text, named)) for text in named) if probe]
        networks = [text for text, unused in made]
        return [(None, probe) for probe in PROBES[family]
                if not any(in_network(probe, text) for text in networks)] + made

    def _verdict(self, packet, hooks, steps, by):
        """Return "accept", "drop", or None where it cannot be told."""
        unsure = False
        for hook in hooks:
            for ruleset in self.rulesets:
                for key in ruleset.bases(hook, packet.family):
                    outcomes = ruleset.verdicts(key, packet, steps, by)
                    if outcomes == {DROP}:
                        return DROP
                    unsure = unsure or DROP in outcomes
        return None if unsure else ACCEPT

    def publications(self):
        """Return a Reading of the ports that are passed on by translation."""
        found = []
        for ruleset in self.rulesets:
            for proto, address, port, to_address, to_port, source in getattr(ruleset, "translations", tuple)():
                found.append(Publication(proto, ruleset.family, address or ("0.0.0.0" if ruleset.family == 4 else "::"),
                                         port, to_address, to_port, source))
        return Reading(tuple(dict.fromkeys(found)), self.gaps)


def verdict_of(best, by):
    """Return the Reach of what became of packets from nowhere in particular (None) and from named networks."""
    anyone = best.get(None, set())
    if anyone == {ACCEPT} or ACCEPT in anyone and None not in anyone and DROP not in anyone:
        return Reach("open", by=by)
    let_in = tuple(sorted(text for text, verdicts in best.items() if text and ACCEPT in verdicts))
    if None in anyone:
        return Reach("unknown", by=by, reason="rules of this firewall ask what cannot be told from their text")
    if ACCEPT in anyone:
        # One interface, or one range of addresses, gets in and another does not.
        return Reach("open", by=by, reason="not from everywhere or on every interface")
    if let_in:
        return Reach("restricted", sources=let_in, by=by)
    if any(None in verdicts for verdicts in best.values()):
        return Reach("unknown", by=by, reason="rules of this firewall ask what cannot be told from their text")
    return Reach("closed", by=by)


def probe_of(text, others):
    """Return an address in a network that is in none of the narrower networks that rules speak of."""
    try:
        if "-" in text:
            return text.split("-", 1)[0]
        network = ipaddress.ip_network(text, strict=False)
        if network.prefixlen == 0:
            return None
        narrower = [one for one in (_network(other) for other in others if other != text)
                    if one is not None and one.version == network.version and one.prefixlen > network.prefixlen
                    and one.subnet_of(network)]
        last = int(network.broadcast_address)
        for offset in range(min(network.num_addresses, 4096)):
            address = ipaddress.ip_address(last - offset) if network.version == 4 else network[-1 - offset]
            if not any(address in one for one in narrower):
                return str(address)
    except (ValueError, TypeError, IndexError):
        return None
    return None


def _network(text):
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def interfaces_of(host):
    """Return {family: [(interface, address)]} of this host's interfaces but loopback."""
    found = {4: [], 6: []}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for unused, name in socket.if_nameindex():
            if name == "lo" or host.exists("/sys/class/net/%s/brport" % name):
                continue  # a port of a bridge takes nothing in for this host itself
            try:
                data = fcntl.ioctl(asked.fileno(), 0x8915, struct.pack("256s", os.fsencode(name)[:15]))  # SIOCGIFADDR
                found[4].append((name, socket.inet_ntoa(data[20:24])))
            except OSError:
                continue
    for line in (host.read("/proc/net/if_inet6") or "").splitlines():
        parts = line.split()
        if len(parts) == 6 and parts[5] != "lo" and len(parts[0]) == 32 \
                and not host.exists("/sys/class/net/%s/brport" % parts[5]):
            found[6].append((parts[5], str(ipaddress.IPv6Address(bytes.fromhex(parts[0])))))
    return found


def kernel_has_tables():
    """Tell whether nftables holds any table, asked of the kernel; None where it does not say."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as asked:  # NETLINK_NETFILTER
            asked.settimeout(1)
            asked.send(struct.pack("=IHHIIBBH", 20, 0xA01, 0x301, 1, 0, 0, 0, 0))  # NFT_MSG_GETTABLE, dump
            data = asked.recv(65536)
    except OSError:
        return None
    kind = struct.unpack_from("=H", data, 4)[0] if len(data) >= 16 else 2
    if kind == 2:
        return None
    return kind != 3


def read_firewall(host):
    """Return the effective firewall of a host that is running."""
    rulesets, gaps, notes = [], [], []
    nft = host.run(["nft", "-j", "list", "ruleset"])
    legacy = _save(host, 0, rulesets, notes)
    if nft.ok:
        try:
            rules = NftRules.parse(nft.out)
        except (ValueError, AttributeError, TypeError, RecursionError):
            gaps.append("nft gives a ruleset that cannot be read")
        else:
            rulesets.append(_without_iptables(host, rules, rulesets, gaps))
    elif nft.failure == "not found":
        read = _save(host, 1, rulesets, notes)
        held = kernel_has_tables()
        if held and not read:
            gaps.append("nftables holds rules and there is no program here that reads them (nft)")
        elif held is None and not read and not legacy and os.geteuid() != 0:
            gaps.append("rulesets cannot be read without root")
    else:
        gaps.append("the ruleset cannot be read: %s" % (nft.failure or nft.err.strip().split("\n")[0] or "nft failed"))
    if not legacy and (host.read("/proc/net/ip_tables_names") or "").split() and not nft.ok:
        gaps.append("iptables holds rules and there is no program here that reads them")
    return Firewall(rulesets, gaps, manager_of(host, rulesets), interfaces_of(host), notes)


def _save(host, which, rulesets, notes):
    """Add the rulesets that the programs of iptables print; True where one answered."""
    answered = False
    for row in SAVERS:
        if which == 0 and not (host.read("/proc/net/ip%s_tables_names" % ("6" if row[2] == 6 else "")) or "").split():
            continue  # nothing of legacy iptables is loaded, and asking would load it
        result = host.run([row[which]])
        if result.ok:
            answered = True
            if "-A " in result.out or " DROP " in result.out:
                rulesets.append(IptablesRules.parse(result.out, row[2], row[which]))
        elif result.failure != "not found":
            notes.append("%s: %s" % (row[which], result.failure or result.err.strip().split("\n")[0]))
    return answered


def _without_iptables(host, rules, rulesets, gaps):
    """Return the rules of nft, those that iptables made left to its own program, which alone can show all of them."""
    tables = set(("ip" if row[2] == 4 else "ip6", name) for row in SAVERS for name in ("raw", "mangle", "filter", "nat"))
    theirs = [table for table in rules.tables if table in tables]
    opaque = any('"xt"' in str(rule).replace("'", '"') for key, found in rules.rules.items()
                 if key[:2] in tables for rule in found)
    if not theirs:
        return rules
    answered = {}
    for unused, program, family in SAVERS:
        if not any(table[0] == ("ip" if family == 4 else "ip6") for table in theirs):
            continue
        result = host.run([program])
        answered[family] = result.ok
        if result.ok:
            rulesets.append(IptablesRules.parse(result.out, family, program))
        elif opaque:
            gaps.append("rules of iptables that nft cannot show, and no %s" % program)
    for family, read in answered.items():
        if read:
            name = "ip" if family == 4 else "ip6"
            for part in (rules.chains, rules.rules, rules.sets):
                for key in [key for key in part if key[:2] in tables and key[0] == name]:
                    del part[key]
    return rules


def manager_of(host, rulesets):
    """Return what manages the firewall of this host."""
    active = set(unit.name for unit in host.units().items if unit.active in ("active", "activating"))
    if "firewalld.service" in active:
        return "firewalld"
    setting = (host.read("/etc/ufw/ufw.conf") or "").lower().replace('"', "")
    if "enabled=yes" in setting.split() and any(
            key[1].startswith("ufw") for one in rulesets for key in one.chains if len(key) == 2):
        return "ufw"
    if any(isinstance(one, NftRules) and one.chains for one in rulesets):
        return "nftables"
    return "iptables" if rulesets and any(one.chains for one in rulesets) else "none"
