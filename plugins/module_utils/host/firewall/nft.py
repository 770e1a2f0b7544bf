# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a ruleset of nftables does to a packet, from ``nft -j list ruleset``."""

import json
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft_match import Matcher
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft_match import bare
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft_match import elements_of
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft_match import network_text
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import ACCEPT
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DEPTH
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import DROP
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Packet
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Sources
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Trail
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.packet import Verdict

FAMILIES = {4: ("ip", "inet"), 6: ("ip6", "inet")}
# Statements that let a rule go on to its next one.
SILENT = ("counter", "log", "comment", "mangle", "notrack", "meta", "set", "map", "secmark", "last", "ct helper", "ct timeout",
          "ct expectation", "flow", "dup", "tproxy mark", "add", "update", "delete")
# Statements that hold below a rate, a count or an amount: the first packet of a connection is below it.
RATES = ("limit", "quota", "ct count")
FINAL = ("accept", "drop", "reject", "return", "continue", "jump", "goto", "queue", "vmap", "dnat", "snat",
         "masquerade", "redirect", "tproxy", "fwd", "synproxy")
UNSURE = ("queue", "tproxy", "synproxy", "fwd")
ON, RETURN = "on", "return"
Key = Tuple[Any, Any, Any]
MOST_PORTS = 512


class NftRules:
    """The chains, sets and rules of all tables."""

    name = "nft"
    family = 0  # of both families

    def __init__(self, objects: List[Any]) -> None:
        self.chains: Dict[Key, Dict[str, Any]] = {}
        self.rules: Dict[Key, List[Dict[str, Any]]] = {}
        self.sets: Dict[Key, Dict[str, Any]] = {}
        self.tables: List[Tuple[Any, Any]] = []
        for entry in objects:
            for kind, body in (entry.items() if isinstance(entry, dict) else ()):
                if isinstance(body, dict):
                    self._add(kind, body)
        self.matcher = Matcher(self.sets)

    def _add(self, kind: str, body: Dict[str, Any]) -> None:
        table = (body.get("family"), body.get("table") or body.get("name"))
        key = (table[0], table[1], body.get("name"))
        if kind == "table":
            self.tables.append((body.get("family"), body.get("name")))
        elif kind == "chain":
            self.chains[key] = body
        elif kind == "rule":
            self.rules.setdefault((table[0], table[1], body.get("chain")), []).append(body)
        elif kind in ("set", "map"):
            self.sets[key] = body

    @classmethod
    def parse(cls, text: str) -> "NftRules":
        """Read the JSON of nft; ValueError where it is none."""
        objects = json.loads(text).get("nftables")
        if not isinstance(objects, list):
            raise ValueError("no ruleset")
        return cls(objects)

    def without(self, tables: Set[Tuple[str, str]]) -> None:
        """Forget tables that another program shows better."""
        for part in (self.chains, self.rules, self.sets):
            for key in [key for key in part if key[:2] in tables]:
                del part[key]  # type: ignore[attr-defined]

    def bases(self, hook: str, family: int, interface: str = "", kinds: Tuple[str, ...] = ("filter", "route"),
              ) -> List[Tuple[int, Key]]:
        """Return (priority, key) of the base chains of a hook that a packet of IP meets on its way to this host."""
        families = FAMILIES[family] + (("netdev",) if hook == "ingress" else ())
        found = []
        for key, chain in self.chains.items():
            if chain.get("hook") != hook or key[0] not in families or chain.get("type") not in kinds:
                continue
            devices = chain.get("dev") if hook == "ingress" else None
            if devices and interface and interface not in (devices if isinstance(devices, list) else [devices]):
                continue
            priority = chain.get("prio", 0)
            found.append((priority if isinstance(priority, int) else 0, key))
        return sorted(found, key=lambda pair: (pair[0], str(pair[1])))

    def nat_bases(self, family: int) -> List[Tuple[int, Key]]:
        """Return the chains that translate destinations."""
        return self.bases("prerouting", family, kinds=("nat",))

    def holds_rules(self) -> bool:
        """Tell whether there is any chain."""
        return bool(self.chains)

    # Following a packet

    def verdicts(self, key: Key, packet: Packet, trail: Trail) -> Set[Verdict]:
        """Return the set of what may become of a packet in a base chain."""
        made, falls = self._chain(key, packet, trail, 0)
        if falls:
            policy = DROP if self.chains[key].get("policy") == "drop" else ACCEPT
            if policy == DROP:
                trail.by.add("policy of %s %s %s" % key)
            made = made | {policy}
        return made

    def _chain(self, key: Key, packet: Packet, trail: Trail, depth: int) -> Tuple[Set[Verdict], bool]:
        """Return (verdicts, True where the packet may leave the chain at its end)."""
        if depth > DEPTH:
            trail.doubt("chain %s of table %s %s, which jumps too deep" % (key[2], key[0], key[1]))
            return {ACCEPT, DROP}, False
        made: Set[Verdict] = set()
        returns: bool = False
        trail.entered.add(key[1:])
        for rule in self.rules.get(key, ()):
            trail.take()
            certain, outcomes = self._rule(rule, key, packet, trail, depth)
            made |= {outcome for outcome in outcomes if outcome not in (ON, RETURN)}
            returns = returns or RETURN in outcomes
            if certain and ON not in outcomes:
                return made, returns
        return made, True

    def _rule(self, rule: Dict[str, Any], key: Key, packet: Packet, trail: Trail, depth: int) -> Tuple[bool, Set[Verdict]]:
        """Return (True where its conditions hold for certain, what it may do)."""
        certain = True
        for statement in rule.get("expr") or ():
            if not isinstance(statement, dict) or not statement:
                trail.doubt(described(rule, key))
                return False, {ACCEPT, DROP, ON}
            kind = next(iter(statement))
            body = statement[kind]
            if kind == "match" and isinstance(body, dict):
                truth = self.matcher.match(body, key[:2], packet, trail)
                if truth is False:
                    return True, {ON}
                certain = certain and truth is True
            elif kind in RATES:
                if isinstance(body, dict) and body.get("inv"):
                    return True, {ON}
            elif kind in FINAL:
                return self._ending(kind, body, rule, key, packet, trail, certain, depth)
            elif kind == "mangle" and "mark" in str(body):
                trail.marked = True
            elif kind not in SILENT:
                certain = False
        return certain, {ON}

    def _ending(self, kind: str, body: Any, rule: Dict[str, Any], key: Key, packet: Packet, trail: Trail, certain: bool,
                depth: int) -> Tuple[bool, Set[Verdict]]:
        outcomes = self._final(kind, body, key, packet, trail, depth)
        if kind in ("accept", "drop", "reject"):
            trail.by.add("%s in %s %s %s" % ((kind,) + key))
        if not certain and outcomes - {ON} or kind in UNSURE or kind == "vmap" and len(outcomes) > 1:
            trail.doubt(described(rule, key))
        return certain, outcomes if certain else outcomes | {ON}

    def _final(self, kind: str, body: Any, key: Key, packet: Packet, trail: Trail, depth: int) -> Set[Verdict]:
        simple = {"accept": ACCEPT, "drop": DROP, "reject": DROP, "return": RETURN, "continue": ON}.get(kind)
        if simple:
            return {simple}
        if kind in ("jump", "goto"):
            target = key[:2] + ((body or {}).get("target"),)
            if target not in self.chains:
                return {ACCEPT, DROP, ON}
            made, falls = self._chain(target, packet, trail, depth + 1)
            return made | ({ON if kind == "jump" else RETURN} if falls else set())
        if kind == "vmap":
            return self._vmap(body, key, packet, trail, depth)
        if kind in UNSURE:
            return {ACCEPT, DROP, ON}
        if kind in ("dnat", "redirect"):
            return self._translation(kind, body, key, packet, trail)
        return {ACCEPT}  # another source address lets the packet pass

    def _vmap(self, body: Any, key: Key, packet: Packet, trail: Trail, depth: int) -> Set[Verdict]:
        made: Set[Verdict] = set()
        sure: bool = False
        for truth, value in self.matcher.looked_up(body, key[:2], packet, trail):
            if not isinstance(value, dict) or not value:
                return made | {ACCEPT, DROP, ON}
            kind = next(iter(value))
            if kind in ("accept", "drop", "reject"):
                trail.by.add("%s in %s %s %s" % ((kind,) + key))
            made |= self._final(kind, value[kind], key, packet, trail, depth)
            sure = truth is True
        return made if sure else made | {ON}

    def _translation(self, kind: str, body: Any, key: Key, packet: Packet, trail: Trail) -> Set[Verdict]:
        body = body if isinstance(body, dict) else {}
        address, port = body.get("addr"), body.get("port")
        if kind == "redirect":
            address = packet.destination or "localhost"
        found: Set[Verdict] = set()
        for one in self._values(address, key, packet, trail):
            for other in self._values(port, key, packet, trail):
                found.add(_target(one, other, packet))
        return found

    def _values(self, value: Any, key: Key, packet: Packet, trail: Trail) -> List[Any]:
        if isinstance(value, dict) and isinstance(value.get("map"), dict):
            return [found for unused, found in self.matcher.looked_up(value["map"], key[:2], packet, trail)] or [None]
        return [value]

    # What rules speak of

    def sources(self, packet: Packet, found: Sources, trail: Trail) -> None:
        """Take in the networks that rules name as sources, those of rules that cannot be about the packet left out.

        :param packet: one whose source is not known yet.
        """
        for key, rules in self.rules.items():
            if key[0] not in FAMILIES[packet.family] + ("netdev",):
                continue
            for rule in rules:
                trail.take()
                matches = [statement["match"] for statement in rule.get("expr") or () if isinstance(statement, dict)
                           and isinstance(statement.get("match"), dict)]
                positive = [match for match in matches if match.get("op", "==") in ("==", "in")]
                if any(self.matcher.match(match, key[:2], packet, trail) is False for match in matches):
                    continue
                last = (rule.get("expr") or [None])[-1]
                if isinstance(last, dict) and ("drop" in last or "reject" in last) and any(
                        _place(match.get("left"), packet) is not None for match in positive):
                    continue  # it keeps these out, and lets nobody in
                for match in matches:
                    self._named(match.get("left"), match.get("right"), key, packet, found, described(rule, key))
                for body in _maps(rule.get("expr")):
                    self._mapped(body, key, packet, found, trail, described(rule, key))

    def _named(self, left: Any, right: Any, key: Key, packet: Packet, found: Sources, rule: str) -> None:
        place = _place(left, packet)
        if place is None:
            return
        if isinstance(right, str) and right.startswith("@"):
            rule = "the set %s in %s" % (right, rule)
            right = self.matcher.declared(right, key[:2]) or {}
        right = bare(right)
        several = elements_of(right) if isinstance(right, dict) and ("set" in right or "elem" in right) else \
            right if isinstance(right, list) else [right]
        texts = [network_text(_component(one, place)) for one in several]
        found.add([text for text in texts if text], rule)

    def _mapped(self, body: Dict[str, Any], key: Key, packet: Packet, found: Sources, trail: Trail, rule: str) -> None:
        place = _place(body.get("key"), packet)
        if place is None:
            return
        data = body.get("data")
        if isinstance(data, str):
            rule = "the map %s in %s" % (data, rule)
            data = self.matcher.declared(data, key[:2])
        for pair in elements_of(data):
            trail.take()
            one = pair[0] if isinstance(pair, list) and pair else None
            if self.matcher.equal(body.get("key"), one, key[:2], packet, trail) is False:
                continue
            text = network_text(_component(one, place))
            found.add_each([text] if text else [], rule)

    def translated_ports(self) -> Iterator[Tuple[str, int]]:
        """Yield (proto, port) of what rules of translation may be about."""
        tables = {key[:2] for key, chain in self.chains.items()
                  if chain.get("type") == "nat" and chain.get("hook") == "prerouting"}
        seen: Set[int] = set()
        for key in [key for key in self.rules if key[:2] in tables]:
            for rule in self.rules[key]:
                seen.update(_port_numbers(rule.get("expr"), ""))
        for key, body in self.sets.items():
            if key[:2] in tables and "inet_service" in json.dumps(body.get("type")):
                seen.update(_port_numbers(body.get("elem"), "dport"))
        for port in sorted(seen)[:MOST_PORTS]:
            yield "tcp", port
            yield "udp", port


def _target(address: Any, port: Any, packet: Packet) -> Verdict:
    address = bare(address)
    if isinstance(address, dict) and isinstance(address.get("concat"), list) and len(address["concat"]) == 2:
        address, port = address["concat"]
    if not isinstance(address, str):
        return ("to", "", 0)
    return ("to", address, port if isinstance(port, int) and not isinstance(port, bool) else packet.port if port is None else 0)


def _port_numbers(value: Any, about: str) -> Iterator[int]:
    """Yield the numbers that stand where a destination port is meant."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        if about == "dport" and 0 < value < 65536:
            yield value
    elif isinstance(value, list):
        for part in value:
            yield from _port_numbers(part, about)
    elif isinstance(value, dict):
        pair = value.get("range")
        if about == "dport" and isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, int) for end in pair):
            yield from range(pair[0], min(pair[1], pair[0] + 63) + 1)
        for name, part in value.items():
            asks = "dport" in json.dumps(value.get("left", value.get("key"))) if name in ("right", "data") else about == "dport"
            yield from _port_numbers(part, "dport" if asks and name != "len" else "")


def _maps(value: Any) -> Iterator[Dict[str, Any]]:
    """Yield the maps and verdict maps in the statements of a rule."""
    if isinstance(value, list):
        for part in value:
            yield from _maps(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name in ("vmap", "map") and isinstance(part, dict) and "key" in part:
                yield part
            elif isinstance(part, (dict, list)):
                yield from _maps(part)


def _place(left: Any, packet: Packet) -> Optional[int]:
    """Return where in a key the source address stands, -1 where it is all of it; None where it is no part of it."""
    if not isinstance(left, dict):
        return None
    if isinstance(left.get("concat"), list):
        places = [at for at, part in enumerate(left["concat"]) if _place(part, packet) is not None]
        return places[0] if places else None
    part = left.get("payload") or left.get("ct")
    if not isinstance(part, dict):
        return None
    name = str(part.get("field") or part.get("key"))
    if part.get("protocol", "ip" if packet.family == 4 else "ip6") != ("ip" if packet.family == 4 else "ip6"):
        return None
    return -1 if name.split()[-1] == "saddr" else None


def _component(value: Any, place: int) -> Any:
    value = bare(value)
    if place < 0:
        return value
    parts = value.get("concat") if isinstance(value, dict) else None
    return parts[place] if isinstance(parts, list) and place < len(parts) else None


def described(rule: Dict[str, Any], key: Key) -> str:
    """Return a rule in about the words of nft, with the place where an operator finds it."""
    words = []
    for statement in rule.get("expr") or ():
        if not isinstance(statement, dict) or not statement:
            continue
        kind = next(iter(statement))
        body = statement[kind]
        if kind == "match" and isinstance(body, dict):
            operator = body.get("op", "==")
            words.append(" ".join(part for part in (_words(body.get("left")), "" if operator in ("==", "in") else operator,
                                                    _words(body.get("right"))) if part))
        elif kind == "vmap" and isinstance(body, dict):
            words.append("%s vmap %s" % (_words(body.get("key")), _words(body.get("data"))))
        elif kind in ("jump", "goto") and isinstance(body, dict):
            words.append("%s %s" % (kind, body.get("target")))
        elif kind != "counter":
            words.append(kind)
    text = " ".join(words)
    handle = rule.get("handle")
    return "%s %s %s%s: %s" % (key + (" handle %s" % handle if isinstance(handle, int) else "",
                                      text if len(text) <= 120 else text[:117] + "..."))


def _words(value: Any, depth: int = 0) -> str:
    value = bare(value)
    if depth > 4:
        return "..."
    if isinstance(value, dict):
        for name in ("payload", "meta", "ct", "fib"):
            part = value.get(name)
            if isinstance(part, dict):
                found = [part.get("protocol") or name, part.get("dir"),
                         part.get("field") or part.get("key") or part.get("result")]
                return " ".join(str(word) for word in found if word)
        if "set" in value:
            return "{ %s }" % ", ".join(_words(part, depth + 1) for part in elements_of(value)[:4])
        if isinstance(value.get("concat"), list):
            return " . ".join(_words(part, depth + 1) for part in value["concat"])
        return network_text(value) or "/".join(str(name) for name in value)
    if isinstance(value, list):
        return " : ".join(_words(part, depth + 1) for part in value[:4])
    return str(value)
