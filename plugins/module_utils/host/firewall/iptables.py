# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a ruleset of iptables does to a packet, from ``iptables-save`` and its kin."""

import shlex
from typing import Dict, Iterator, List, Optional, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables_match import ASKED
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables_match import Condition
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables_match import IpSet
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables_match import SILENT
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables_match import holds
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import ACCEPT
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DEPTH
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DROP
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Packet
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Sources
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Trail
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Truth
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Verdict
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import negated

PRIORITIES = (("raw", -300), ("mangle", -150), ("nat", -100), ("filter", 0), ("security", 50))
NAT_PRIORITY = -100
HOOKS = {"prerouting": "PREROUTING", "input": "INPUT", "forward": "FORWARD"}
PASSING = ("LOG", "NFLOG", "ULOG", "NOTRACK", "CT", "TCPMSS", "AUDIT", "SET", "CHECKSUM", "TOS", "DSCP", "TTL", "HL", "ECN",
           "TRACE", "CLASSIFY")
MARKING = ("MARK", "CONNMARK", "CONNSECMARK", "SECMARK")
Key = Tuple[str, str]


class Rule:
    """One rule: what it asks of a packet, and what it then does."""

    def __init__(self, text: str, conditions: List[Condition], target: str, goto: bool, options: Dict[str, str],
                 certain: bool) -> None:
        self.text, self.conditions, self.target, self.goto = text, conditions, target, goto
        self.options, self.certain = options, certain

    def holds(self, packet: Packet, trail: Trail, sets: Dict[str, IpSet]) -> Truth:
        """Tell whether a packet is meant; None where that cannot be told."""
        truth: Truth = True if self.certain else None
        for condition in self.conditions:
            one = negated(holds(condition, packet, trail, sets), condition.negative)
            if one is False:
                return False
            truth = None if one is None else truth
        return truth


def parse_rule(words: List[str], text: str = "") -> Rule:
    """Return the Rule of the words that follow ``-A CHAIN``."""
    conditions: List[Condition] = []
    options: Dict[str, str] = {}
    target, goto, certain, negative = "", False, True, False
    words = list(reversed(words))
    while words:
        word = words.pop()
        if word == "!":
            negative = True
            continue
        if word in ("-j", "-g") and words:
            target, goto = words.pop(), word == "-g"
        elif word == "-m" and words:
            words.pop()
        elif word in SILENT or word in ASKED and not (target and word == "--set"):
            count = min(SILENT.get(word, ASKED.get(word, 0)), len(words))
            following = tuple(words.pop() for unused in range(count))
            if word in ASKED:
                conditions.append(Condition(word, negative, following))
            elif following:
                options[word] = following[0]
        else:
            # Something that is not understood. --update and --rcheck of recent need --hitcount to be told.
            certain = certain and word in ("--update", "--rcheck") and "--hitcount" in words
            while words and not words[-1].startswith("-") and words[-1] != "!":
                words.pop()
        negative = False
    return Rule(text, conditions, target, goto, options, certain)


class IptablesRules:
    """The tables of one family, as one of the iptables programs prints them."""

    def __init__(self, family: int, name: str, sets: Optional[Dict[str, IpSet]] = None) -> None:
        self.family, self.name = family, name
        self.policies: Dict[Key, str] = {}
        self.chains: Dict[Key, List[Rule]] = {}
        self.sets = sets or {}

    @classmethod
    def parse(cls, text: str, family: int, name: str, sets: Optional[Dict[str, IpSet]] = None) -> "IptablesRules":
        """Read the output of iptables-save; a line that makes no sense becomes a rule that cannot be told."""
        made = cls(family, name, sets)
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
                    made.chains.setdefault((table, words[1]), []).append(parse_rule(words[2:], line))
        return made

    def bases(self, hook: str, family: int, interface: str = "") -> List[Tuple[int, Key]]:
        """Return (priority, key) of the built-in chains of a hook, those that translate apart."""
        name = HOOKS.get(hook, "")
        return [(priority, (table, name)) for table, priority in PRIORITIES
                if family == self.family and table != "nat" and (table, name) in self.chains]

    def nat_bases(self, family: int) -> List[Tuple[int, Key]]:
        """Return the chain that translates destinations."""
        key = ("nat", "PREROUTING")
        return [(NAT_PRIORITY, key)] if family == self.family and key in self.chains else []

    def holds_rules(self) -> bool:
        """Tell whether there is any chain."""
        return bool(self.chains)

    def sources(self, packet: Packet, found: Sources, trail: Trail) -> None:
        """Take in the networks that rules name as sources, those of rules that cannot be about the packet left out.

        :param packet: one whose source is not known yet.
        """
        if packet.family != self.family:
            return
        for key, rules in self.chains.items():
            for rule in rules:
                trail.take()
                named = [condition for condition in rule.conditions if condition.name in ("-s", "--src-range", "--ctorigsrc")
                         or condition.name == "--match-set" and "src" in condition.words[1:]]
                if not named or rule.holds(packet, trail, self.sets) is False:
                    continue
                if rule.target in ("DROP", "REJECT") and not all(condition.negative for condition in named):
                    continue  # it keeps these out, and lets nobody in
                for condition in named:
                    known = self.sets.get(condition.value)
                    if condition.name != "--match-set":
                        found.add(condition.value.split(","), rule.text)
                    elif known is not None and known.ranges is not None:
                        found.add(known.networks, "the ipset %s in %s" % (condition.value, rule.text))

    def verdicts(self, key: Key, packet: Packet, trail: Trail) -> Set[Verdict]:
        """Return the set of what may become of a packet in a built-in chain."""
        made, falls = self._chain(key, packet, trail, 0)
        if falls:
            policy = DROP if self.policies.get(key) == "DROP" else ACCEPT
            if policy == DROP:
                trail.by.add("policy of %s %s %s" % ((self.name,) + key))
            made = made | {policy}
        return made

    def _chain(self, key: Key, packet: Packet, trail: Trail, depth: int) -> Tuple[Set[Verdict], bool]:
        if depth > DEPTH:
            trail.doubt("%s chain %s, which jumps too deep" % key)
            return {ACCEPT, DROP}, False
        made: Set[Verdict] = set()
        returns: bool = False
        trail.entered.add(key)
        for rule in self.chains.get(key, ()):
            trail.take()
            truth = rule.holds(packet, trail, self.sets)
            if truth is False or rule.target in PASSING or not rule.target:
                continue
            if rule.target in MARKING:
                trail.marked = True
                continue
            outcomes, ends = self._target(rule, key, packet, trail, depth)
            if truth is None and (outcomes or ends):
                trail.doubt("%s %s" % (key[0], rule.text))
            made |= outcomes
            returns = returns or ends == "return"
            if truth is True and ends:
                return made, returns
        return made, True

    def _target(self, rule: Rule, key: Key, packet: Packet, trail: Trail, depth: int) -> Tuple[Set[Verdict], str]:
        """Return (verdicts, "" where the packet may go on, "end" or "return" where it does not)."""
        target = rule.target
        if target in ("ACCEPT", "DROP", "REJECT"):
            trail.by.add("-j %s in %s %s %s" % ((target, self.name) + key))
            return {ACCEPT if target == "ACCEPT" else DROP}, "end"
        if target == "RETURN":
            return set(), "return"
        if (key[0], target) in self.chains:
            made, falls = self._chain((key[0], target), packet, trail, depth + 1)
            if not falls:
                return made, "end"
            return made, "return" if rule.goto else ""
        if target in ("DNAT", "REDIRECT"):
            return {translation(rule, packet)}, "end"
        if target in ("MASQUERADE", "SNAT", "NETMAP"):
            return {ACCEPT}, "end"
        trail.doubt("%s %s" % (key[0], rule.text))
        return {ACCEPT, DROP}, ""

    def translated_ports(self) -> Iterator[Tuple[str, int]]:
        """Yield (proto, port) of what rules of translation may be about."""
        seen: Set[Tuple[str, int]] = set()
        for (table, unused), rules in self.chains.items():
            for rule in rules if table == "nat" else ():
                asked = dict((condition.name, condition.value) for condition in rule.conditions if not condition.negative)
                protos = [asked["-p"]] if asked.get("-p") in ("tcp", "udp") else ["tcp", "udp"]
                seen.update((proto, port) for port in numbers(asked.get("--dport") or asked.get("--dports") or "")
                            for proto in protos)
        return iter(sorted(seen)[:1024])


def numbers(text: str) -> Iterator[int]:
    """Yield the ports of ``22,80,8000:8010``, of a long range the first."""
    for part in text.split(","):
        low, colon, high = part.partition(":")
        if low.isdecimal() and (not colon or high.isdecimal()):
            yield from range(int(low), min(int(high or low), int(low) + 63) + 1)


def translation(rule: Rule, packet: Packet) -> Verdict:
    """Return where a rule passes a packet on to."""
    if rule.target == "REDIRECT":
        port = rule.options.get("--to-ports", str(packet.port)).split("-")[0]
        return ("to", packet.destination or "localhost", int(port) if port.isdecimal() else 0)
    text = rule.options.get("--to-destination", "")
    address, colon, port = text.rpartition(":")
    if not colon or (packet.family == 6 and not text.startswith("[")):
        address, port = text, ""
    return ("to", address.strip("[]").split("-")[0], int(port) if port.isdecimal() else 0 if port else packet.port)
