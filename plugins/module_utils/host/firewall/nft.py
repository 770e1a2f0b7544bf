# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a ruleset of nftables does to a packet, from ``nft -j list ruleset``."""

from __future__ import annotations

import json

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import ACCEPT
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DEPTH
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DROP
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import every
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import in_network
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import interface_is
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import negated
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import some

FAMILIES = {4: ("ip", "inet"), 6: ("ip6", "inet")}
# Statements that let a rule go on to its next one.
SILENT = ("counter", "log", "comment", "mangle", "notrack", "meta", "set", "map", "secmark", "last", "quota")
FINAL = ("accept", "drop", "reject", "return", "continue", "jump", "goto", "queue", "vmap", "dnat", "snat",
         "masquerade", "redirect", "tproxy", "dup", "fwd", "synproxy")
PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp"}


class NftRules:
    """The chains, sets and rules of all tables."""

    name = "nft"

    def __init__(self, objects):
        self.chains, self.rules, self.sets, self.tables = {}, {}, {}, []
        for entry in objects:
            for kind, body in (entry.items() if isinstance(entry, dict) else ()):
                if not isinstance(body, dict):
                    continue
                table = (body.get("family"), body.get("table") or body.get("name"))
                if kind == "table":
                    self.tables.append((body.get("family"), body.get("name")))
                elif kind == "chain":
                    self.chains[table + (body.get("name"),)] = body
                elif kind == "rule":
                    self.rules.setdefault(table + (body.get("chain"),), []).append(body)
                elif kind in ("set", "map"):
                    self.sets[table + (body.get("name"),)] = body

    @classmethod
    def parse(cls, text):
        """Read the JSON of nft; ValueError where it is none."""
        objects = json.loads(text).get("nftables")
        if not isinstance(objects, list):
            raise ValueError("no ruleset")
        return cls(objects)

    def bases(self, hook, family, kinds=("filter", "route")):
        """Return the base chains of a hook in the order in which a packet meets them."""
        found = [(chain.get("prio", 0), key) for key, chain in self.chains.items()
                 if chain.get("hook") == hook and key[0] in FAMILIES[family] and chain.get("type") in kinds]
        return [key for unused, key in sorted(found, key=lambda pair: (pair[0] if isinstance(pair[0], int) else 0,
                                                                       str(pair[1])))]

    def filters(self, tables=None):
        """Tell whether anything may be dropped on its way in."""
        for key, chain in self.chains.items():
            if chain.get("hook") in ("input", "prerouting", "ingress") and chain.get("type") == "filter" \
                    and (chain.get("policy") == "drop" or any(self._drops(rule) for rule in self._below(key, set()))):
                return True
        return False

    def _below(self, key, seen):
        if key in seen:
            return
        seen.add(key)
        for rule in self.rules.get(key, ()):
            yield rule
            text = json.dumps(rule.get("expr", ()))
            for other in self.chains:
                if other[:2] == key[:2] and '"target": "%s"' % other[2] in text:
                    yield from self._below(other, seen)

    @staticmethod
    def _drops(rule):
        text = json.dumps(rule.get("expr", ()))
        return '"drop": ' in text or '"reject": ' in text

    def sources(self, family):
        """Return the networks that rules speak of as sources."""
        found = set()
        name = "ip" if family == 4 else "ip6"
        for key, rules in self.rules.items():
            for rule in rules:
                for statement in rule.get("expr", ()):
                    match = statement.get("match") if isinstance(statement, dict) else None
                    if match and name in json.dumps(match.get("left")) and "saddr" in json.dumps(match.get("left")):
                        found.update(self._networks(match.get("right"), key))
        return found

    def _networks(self, value, key):
        if isinstance(value, str) and value.startswith("@"):
            value = self.sets.get(key[:2] + (value[1:],), {}).get("elem", [])
        if isinstance(value, dict):
            if "prefix" in value:
                return ["%s/%s" % (value["prefix"].get("addr"), value["prefix"].get("len"))]
            if "range" in value:
                return ["%s-%s" % tuple(value["range"][:2])]
            value = value.get("set") or value.get("elem") or value.get("concat") or value.get("val") or []
        if isinstance(value, list):
            return [one for part in value for one in self._networks(part, key)]
        return [str(value)]

    def verdicts(self, key, packet, steps, by):
        """Return the set of what may become of a packet in a base chain."""
        made, falls = self._chain(key, packet, steps, by, 0)
        if falls:
            policy = DROP if self.chains[key].get("policy") == "drop" else ACCEPT
            if policy == DROP:
                by.add("policy of %s %s %s" % key)
            made = made | {policy}
        return made

    def _chain(self, key, packet, steps, by, depth):
        """Return (verdicts, True where the packet may leave the chain at its end)."""
        if depth > DEPTH:
            return {ACCEPT, DROP}, False
        made = set()
        for rule in self.rules.get(key, ()):
            steps.take()
            certain, outcomes = self._rule(rule, key, packet, steps, by, depth)
            made |= set(one for one in outcomes if one in (ACCEPT, DROP))
            if "return" in outcomes:
                if certain and outcomes == {"return"}:
                    return made, True
                # It may return here: what follows may or may not be met.
                rest, unused = self._rest(key, rule, packet, steps, by, depth)
                return made | rest, True
            if certain and "on" not in outcomes:
                return made, False
        return made, True

    def _rest(self, key, after, packet, steps, by, depth):
        rules = self.rules[key]
        made = set()
        for rule in rules[rules.index(after) + 1:]:
            steps.take()
            certain, outcomes = self._rule(rule, key, packet, steps, by, depth)
            made |= set(one for one in outcomes if one in (ACCEPT, DROP))
            if certain and "on" not in outcomes:
                return made, False
        return made, True

    def _rule(self, rule, key, packet, steps, by, depth):
        """Return (True where its conditions hold for certain, what it may do)."""
        certain = True
        for statement in rule.get("expr") or ():
            if not isinstance(statement, dict) or not statement:
                return False, {ACCEPT, DROP, "on"}
            kind = next(iter(statement))
            body = statement[kind]
            if kind == "match":
                truth = self._match(body, key, packet)
                if truth is False:
                    return True, {"on"}
                certain = certain and truth is True
            elif kind == "limit":
                # Below its rate a limit lets the rule apply: the first packet of a connection is below it.
                if isinstance(body, dict) and body.get("inv"):
                    return True, {"on"}
            elif kind in FINAL:
                outcomes = self._final(kind, body, key, packet, steps, by, depth)
                if outcomes & {ACCEPT, DROP} and kind in ("accept", "drop", "reject"):
                    by.add("%s in %s %s %s" % ((kind,) + key))
                return certain, outcomes if certain else outcomes | {"on"}
            elif kind not in SILENT:
                certain = False
        return certain, {"on"}

    def _final(self, kind, body, key, packet, steps, by, depth):
        if kind == "accept":
            return {ACCEPT}
        if kind in ("drop", "reject"):
            return {DROP}
        if kind == "return":
            return {"return"}
        if kind == "continue":
            return {"on"}
        if kind in ("jump", "goto"):
            target = key[:2] + ((body or {}).get("target"),)
            if target not in self.chains:
                return {ACCEPT, DROP, "on"}
            made, falls = self._chain(target, packet, steps, by, depth + 1)
            return made | ({"on" if kind == "jump" else "return"} if falls else set())
        if kind == "vmap":
            return self._vmap(body, key, packet, steps, by, depth)
        if kind in ("queue", "tproxy", "synproxy", "fwd", "dup"):
            return {ACCEPT, DROP, "on"}
        return {ACCEPT}  # a translation of addresses lets the packet pass

    def _vmap(self, body, key, packet, steps, by, depth):
        data = body.get("data")
        if isinstance(data, str) and data.startswith("@"):
            data = {"set": self.sets.get(key[:2] + (data[1:],), {}).get("elem", [])}
        made, unsure = set(), False
        for pair in (data or {}).get("set") or ():
            steps.take()
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[1], dict) or not pair[1]:
                return {ACCEPT, DROP, "on"}
            truth = self._equal(body.get("key"), pair[0], key, packet)
            if truth is False:
                continue
            kind = next(iter(pair[1]))
            outcomes = self._final(kind, pair[1][kind], key, packet, steps, by, depth)
            if kind in ("accept", "drop", "reject"):
                by.add("%s in %s %s %s" % ((kind,) + key))
            if truth is True:
                return made | outcomes
            made, unsure = made | outcomes, True
        return made | {"on"} if unsure or not made else made

    def _match(self, body, key, packet):
        operator = body.get("op", "==")
        if self._value(body.get("left"), packet) is False:
            return False  # the header it speaks of is not there, so that its opposite does not hold either
        if operator in ("==", "in", "!="):
            return negated(self._equal(body.get("left"), body.get("right"), key, packet), operator == "!=")
        value = self._value(body.get("left"), packet)
        right = body.get("right")
        if isinstance(value, int) and isinstance(right, int):
            return {"<": value < right, ">": value > right, "<=": value <= right, ">=": value >= right}.get(operator)
        return None

    def _value(self, left, packet):
        """Return what a packet has there; None where it cannot be told."""
        if not isinstance(left, dict):
            return None
        if "payload" in left:
            part = left["payload"]
            names = (part.get("protocol"), part.get("field"))
            if names[0] in ("tcp", "udp") and names[0] != packet.proto:
                return False
            if names in ((packet.proto, "dport"), ("th", "dport")):
                return packet.port
            if names[0] in ("ip", "ip6") and names[0] != FAMILIES[packet.family][0]:
                return False
            if names[0] in ("icmp", "icmpv6", "sctp", "dccp", "ah", "esp", "igmp", "arp"):
                return False
            return {"saddr": packet.source, "daddr": packet.destination, "protocol": packet.proto,
                    "nexthdr": packet.proto}.get(names[1]) if names[0] in ("ip", "ip6") else None
        if "meta" in left:
            return {"l4proto": packet.proto, "iifname": packet.interface or None, "iif": packet.interface or None,
                    "nfproto": "ipv%d" % packet.family, "protocol": "ip" if packet.family == 4 else "ip6",
                    "oifname": packet.out or None, "oif": packet.out or None, "mark": 0,
                    "pkttype": "host"}.get((left["meta"] or {}).get("key"))
        if "ct" in left:
            return {"state": "new", "status": "", "direction": "original"}.get((left["ct"] or {}).get("key"))
        if "fib" in left:
            part = left["fib"]
            if part.get("result") == "type" and part.get("flags") in ("daddr", ["daddr"]):
                return "local" if packet.local else "unicast"
        return None

    def _equal(self, left, right, key, packet):
        """Tell whether what a packet has at ``left`` is among ``right``."""
        if isinstance(right, str) and right.startswith("@"):
            named = self.sets.get(key[:2] + (right[1:],))
            right = None if named is None else {"set": named.get("elem", [])}
        if right is None:
            return None
        if isinstance(left, dict) and "concat" in left:
            return self._concatenated(left["concat"], right, key, packet)
        value = self._value(left, packet)
        if value is False:
            return False
        return None if value is None else self._among(value, right, left)

    def _concatenated(self, parts, right, key, packet):
        if isinstance(right, dict) and "set" in right:
            return some(self._concatenated(parts, one, key, packet) for one in right["set"])
        if isinstance(right, dict) and "elem" in right:
            right = right["elem"].get("val")
        if not isinstance(right, dict) or len(right.get("concat") or ()) != len(parts):
            return None
        return every(self._equal(part, one, key, packet) for part, one in zip(parts, right["concat"]))

    def _among(self, value, right, left):
        if isinstance(right, dict):
            if "set" in right:
                return some(self._among(value, one, left) for one in right["set"])
            if "elem" in right and isinstance(right["elem"], dict):
                return self._among(value, right["elem"].get("val"), left)
            if "prefix" in right:
                return in_network(value, "%s/%s" % (right["prefix"].get("addr"), right["prefix"].get("len")))
            if "range" in right and len(right["range"]) == 2:
                low, high = right["range"]
                if isinstance(value, int):
                    return low <= value <= high if isinstance(low, int) and isinstance(high, int) else None
                return in_network(value, "%s-%s" % (low, high))
            return None
        if isinstance(right, list):
            return some(self._among(value, one, left) for one in right)
        if isinstance(value, int):
            return value == right if isinstance(right, int) else None
        if isinstance(left, dict) and (left.get("meta") or {}).get("key") in ("iif", "iifname", "oif", "oifname"):
            return interface_is(str(right), value)
        text = PROTOCOLS.get(str(right), str(right))
        if ":" in value or (value[:1].isdecimal() and "." in value):
            return in_network(value, text)
        return value == text
