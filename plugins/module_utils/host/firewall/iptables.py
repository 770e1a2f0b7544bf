# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a ruleset of iptables does to a packet, from ``iptables-save`` and its kin."""

from __future__ import annotations

import shlex

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import ACCEPT
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DEPTH
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DROP
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import in_network
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import interface_is
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import negated
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import some

ORDER = ("raw", "mangle", "filter")
PASSING = ("LOG", "NFLOG", "MARK", "CONNMARK", "NOTRACK", "CT", "TCPMSS", "AUDIT", "SET", "CHECKSUM", "TOS", "DSCP")
# Options of a target or a match that say nothing of which packets are meant, with the words that follow each.
SILENT = {"--comment": 1, "--log-prefix": 1, "--log-level": 1, "--reject-with": 1, "--limit": 1, "--limit-burst": 1,
          "--set-xmark": 1, "--set-mark": 1, "--or-mark": 1, "--nflog-group": 1, "--nflog-prefix": 1,
          "--to-destination": 1, "--to-ports": 1, "--persistent": 0, "--random": 0, "--notrack": 0, "--clamp-mss-to-pmtu": 0,
          "--log-tcp-options": 0, "--log-ip-options": 0, "--log-uid": 0, "--save-mark": 0, "--restore-mark": 0}


class Rule:
    """One rule: what it asks of a packet, and what it then does."""

    def __init__(self, conditions, target, goto, options, certain):
        self.conditions, self.target, self.goto = conditions, target, goto
        self.options, self.certain = options, certain

    def holds(self, packet):
        """Tell whether a packet is meant; None where that cannot be told."""
        truth = True if self.certain else None
        for name, negative, value in self.conditions:
            one = negated(_holds(name, value, packet), negative)
            if one is False:
                return False
            truth = None if one is None else truth
        return truth


def _ports(text, port):
    for part in text.split(","):
        low, colon, high = part.partition(":")
        try:
            if (int(low or 0) <= port <= int(high or 65535)) if colon else int(low) == port:
                return True
        except ValueError:
            return None
    return False


def _holds(name, value, packet):
    if name == "-p":
        return value in ("all", packet.proto, {"tcp": "6", "udp": "17"}[packet.proto])
    if name in ("-s", "-d", "--src-range", "--dst-range"):
        address = packet.source if name in ("-s", "--src-range") else packet.destination
        return some(in_network(address, part) for part in value.split(","))
    if name in ("-i", "-o"):
        return interface_is(value, packet.interface if name == "-i" else packet.out)
    if name in ("--dport", "--dports"):
        return _ports(value, packet.port)
    if name in ("--ctstate", "--state"):
        return "NEW" in value.split(",")
    if name == "--dst-type":
        return (value == "LOCAL") == packet.local
    if name == "--syn":
        return packet.proto == "tcp"
    if name == "--pkt-type":
        return value == "unicast"
    if name == "--ctdir":
        return value == "ORIGINAL"
    if name in ("--rt-type", "--icmp-type", "--icmpv6-type"):
        return False  # neither a routing header nor ICMP opens a connection
    return None


WITH_VALUE = ("-p", "-s", "-d", "-i", "-o", "--dport", "--dports", "--ctstate", "--state", "--src-range", "--dst-range",
              "--dst-type", "--pkt-type", "--ctdir", "--rt-type", "--icmp-type", "--icmpv6-type")


def parse_rule(words):
    """Return the Rule of the words that follow ``-A CHAIN``."""
    conditions, options = [], {}
    target, goto, certain, negative = "", False, True, False
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "!":
            negative = True
            continue
        if word in ("-j", "-g") and words:
            target, goto = words.pop(0), word == "-g"
        elif word == "-m" and words:
            words.pop(0)
        elif word == "--syn":
            conditions.append((word, negative, ""))
        elif word in WITH_VALUE and words:
            conditions.append((word, negative, words.pop(0)))
        elif word in SILENT:
            for unused in range(SILENT[word]):
                if words:
                    options[word] = words.pop(0)
        else:
            certain = False  # a condition that is not understood
            while words and not words[0].startswith("-") and words[0] != "!":
                words.pop(0)
        negative = False
    return Rule(conditions, target, goto, options, certain)


class IptablesRules:
    """The tables of one family, as one of the iptables programs prints them."""

    def __init__(self, family, name):
        self.family, self.name = family, name
        self.policies, self.chains = {}, {}

    @classmethod
    def parse(cls, text, family, name):
        """Read the output of iptables-save; a line that makes no sense becomes a rule that cannot be told."""
        made = cls(family, name)
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith(":"):
                words = line[1:].split()
                if words:
                    made.chains.setdefault((table, words[0]), [])
                    if len(words) > 1 and words[1] in ("ACCEPT", "DROP"):
                        made.policies[(table, words[0])] = words[1]
            elif line.startswith("-A "):
                try:
                    words = shlex.split(line)
                except ValueError:
                    words = line.split()
                if len(words) > 1:
                    made.chains.setdefault((table, words[1]), []).append(parse_rule(words[2:]))
        return made

    def bases(self, hook, family, kinds=("filter",)):
        """Return the built-in chains of a hook in the order in which a packet meets them."""
        if family != self.family:
            return []
        name = {"prerouting": "PREROUTING", "input": "INPUT", "forward": "FORWARD"}[hook]
        return [(table, name) for table in ORDER if (table, name) in self.chains]

    def filters(self):
        """Tell whether anything may be dropped on its way in."""
        for key, rules in self.chains.items():
            if key[0] != "nat" and (any(rule.target in ("DROP", "REJECT") for rule in rules)
                                    or key[1] in ("INPUT", "PREROUTING") and self.policies.get(key) == "DROP"):
                return True
        return False

    def sources(self, family):
        """Return the networks that rules speak of as sources."""
        if family != self.family:
            return set()
        return set(part for rules in self.chains.values() for rule in rules
                   for name, unused, value in rule.conditions if name in ("-s", "--src-range")
                   for part in value.split(","))

    def verdicts(self, key, packet, steps, by):
        """Return the set of what may become of a packet in a built-in chain."""
        made, falls = self._chain(key, packet, steps, by, 0)
        if falls:
            policy = DROP if self.policies.get(key) == "DROP" else ACCEPT
            if policy == DROP:
                by.add("policy of %s %s %s" % ((self.name,) + key))
            made = made | {policy}
        return made

    def _chain(self, key, packet, steps, by, depth):
        if depth > DEPTH:
            return {ACCEPT, DROP}, False
        made, returns = set(), False
        for rule in self.chains.get(key, ()):
            steps.take()
            truth = rule.holds(packet)
            if truth is False or rule.target in PASSING or not rule.target:
                continue
            outcomes, ends = self._target(rule, key, packet, steps, by, depth)
            made |= outcomes
            if ends == "return":
                returns = True
            if truth is True and ends:
                return made, returns
        return made, True

    def _target(self, rule, key, packet, steps, by, depth):
        """Return (verdicts, "" where the packet may go on, "end" or "return" where it does not)."""
        target = rule.target
        if target in ("ACCEPT", "DROP", "REJECT"):
            by.add("-j %s in %s %s %s" % ((target, self.name) + key))
            return {ACCEPT if target == "ACCEPT" else DROP}, "end"
        if target == "RETURN":
            return set(), "return"
        if (key[0], target) in self.chains:
            made, falls = self._chain((key[0], target), packet, steps, by, depth + 1)
            if not falls:
                return made, "end"
            return made, "return" if rule.goto else ""
        if target in ("DNAT", "REDIRECT", "MASQUERADE", "SNAT"):
            return {ACCEPT}, "end"
        return {ACCEPT, DROP}, ""

    def translations(self):
        """Yield (proto, address, port, to address, to port, chain) of each rule that passes a port on."""
        for (table, chain), rules in self.chains.items():
            for rule in rules:
                if table != "nat" or rule.target != "DNAT" or "--to-destination" not in rule.options:
                    continue
                asked = dict((name, value) for name, negative, value in rule.conditions if not negative)
                to_address, unused, to_port = rule.options["--to-destination"].rpartition(":")
                if self.family == 4 and not unused:
                    to_address, to_port = to_port, ""
                port = asked.get("--dport", "")
                if port.isdecimal() and (to_port.isdecimal() or not to_port):
                    yield (asked.get("-p", "tcp"), asked.get("-d", "").split("/")[0], int(port),
                           to_address.strip("[]"), int(to_port or port), "%s %s %s" % (self.name, table, chain))
