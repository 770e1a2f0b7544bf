# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges what was read: ports that do not belong on an open network, ports that nobody declared, and the firewall."""

import ipaddress
import re
from typing import Any, Dict, Iterable, List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.ports import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.ports import table
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies

PORT = re.compile(r"^(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp))?$")
MOST_NAMED = 6
SHOWN = ("family", "address", "state", "sources", "who", "by", "unit", "socket_unit", "container", "to", "rule")
Findings = List[Dict[str, Any]]


def parse_ports(entries: Iterable[Any]) -> List[Tuple[int, int, str]]:
    """Return [(low, high, proto)] of entries such as ``443/tcp``, ``8000-8010/tcp`` and ``53``, which means both."""
    made = []
    for entry in entries:
        match = PORT.match(str(entry).strip())
        if match:
            low = int(match.group(1))
            for proto in (match.group(3),) if match.group(3) else ("tcp", "udp"):
                made.append((low, int(match.group(2) or low), proto))
    return made


def within(networks: Iterable[str], allowed: Iterable[str]) -> bool:
    """Tell whether every one of ``networks`` is inside one of ``allowed``."""
    return not _outside(networks, allowed) and bool(list(networks))


def _outside(networks: Iterable[str], allowed: Iterable[str]) -> List[str]:
    """Return the networks that lie in none of ``allowed``."""
    wide = [_bounds(text) for text in allowed]
    return [text for text in networks if not any(_inside(_bounds(text), one) for one in wide)]


def _bounds(text: Any) -> Optional[Tuple[int, int, int]]:
    """Return (version, first, last) of a network or a range of addresses; None of what is neither."""
    try:
        if "-" in str(text):
            low, high = (ipaddress.ip_address(part.strip()) for part in str(text).split("-", 1))
            return (low.version, int(low), int(high)) if low.version == high.version else None
        network = ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return None
    return network.version, int(network.network_address), int(network.broadcast_address)


def _inside(narrow: Optional[Tuple[int, int, int]], wide: Optional[Tuple[int, int, int]]) -> bool:
    return narrow is not None and wide is not None and narrow[0] == wide[0] and wide[1] <= narrow[1] <= narrow[2] <= wide[2]


def name_of(port: Dict[str, Any]) -> str:
    """Return what a port is called in a finding."""
    return "%d/%s (%s)" % (port["port"], port["proto"], port["process"] or "owner not known")


def state_of(port: Dict[str, Any]) -> str:
    """Return how far a port is reached: the widest of its ways."""
    states = {way["state"] for way in port["ways"]}
    return next((state for state in ("open", "unknown", "restricted") if state in states), "closed")


def sources_of(port: Dict[str, Any]) -> List[str]:
    """Return the networks that a port is restricted to."""
    return sorted({source for way in port["ways"] for source in way["sources"]})


def who_reaches(port: Dict[str, Any]) -> str:
    """Return who gets through to a port, in words; an empty text where nothing is known of them."""
    names = []
    for way in port["ways"]:
        if way["state"] in ("open", "restricted"):
            for name in way.get("who") or way["sources"]:
                name += " over IPv%d" % way["family"] if name.startswith("every") else ""
                if name not in names:
                    names.append(name)
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (" and %d more" % more if more > 0 else "")


def evidence_of(port: Dict[str, Any], facts: Dict[str, Any]) -> Dict[str, Any]:
    """Return the evidence for a port: of what runs now, or of what a boot brings."""
    shown = {"port": port["port"], "proto": port["proto"], "process": port["process"],
             "ways": [{key: way[key] for key in SHOWN if way.get(key)} for way in port["ways"]]}
    if not facts["live"]:
        return {"persistent": shown}
    return {"effective": shown, "observed": {"peers": port["peers"]}}


def affected(port: Dict[str, Any], cut_off: Iterable[str] = ()) -> List[str]:
    """Return whom closing a port would disturb: who is connected or named by a rule, and the containers behind it."""
    behind = {"the container %s is behind it" % way["container"] for way in port["ways"] if way.get("container")}
    behind |= {"what runs at %s is behind it" % way["to"] for way in port["ways"] if way.get("to")}
    return ["%s is connected" % peer for peer in port["peers"]] + \
        ["%s, which a rule lets in, is cut off" % source for source in cut_off] + sorted(behind)


def check(facts: Dict[str, Any], policy: Dict[str, Any]) -> Findings:
    """Return the findings."""
    reached = [port for port in facts["ports"] if state_of(port) != "closed"]
    findings = _exposed(facts, policy) + _undeclared(facts, policy, reached) + _firewall_off(facts, reached)
    return with_remedies(findings, lambda each: remedy.of(each, policy, facts))


def _part(facts: Dict[str, Any]) -> str:
    return "effective" if facts["live"] else "persistent"


def _named(gaps: Iterable[str]) -> List[Tuple[str, str]]:
    """Return (resource, gap) of each gap; one of a service is about that service."""
    made = []
    for gap in gaps:
        match = re.match(r"what (\S+) will listen on", gap)
        made.append((match.group(1) if match else "listeners", gap))
    return made


def _exposed(facts: Dict[str, Any], policy: Dict[str, Any]) -> Findings:
    made = [unknown("ports.exposed", "listeners", gap) for gap in facts["gaps"]
            if "only the first" in gap or "passed on" in gap or "cannot be read" in gap and "proc/net" in gap]
    if not facts["live"]:
        made = [unknown("ports.exposed", resource, gap) for resource, gap in _named(facts["gaps"])]
    for port in facts["ports"]:
        known = table.risk_of(port["proto"], port["port"], port["process"], policy["table"]) or _behind(port, policy)
        if known:
            made.append(_exposure(port, known, facts, policy))
    if not made:
        return [passed("ports.exposed", "all ports", **{_part(facts): {"ports": len(facts["ports"])}},
                       reason="nothing listens on a port that does not belong on an open network")]
    return made


def _behind(port: Dict[str, Any], policy: Dict[str, Any]) -> Optional[Tuple[str, str]]:
    """Return what a published port leads to, where it has another number there; None of what is no risk.

    What the policy says of the host's port comes first, and who publishes something as a web server means it to be one.
    """
    if "%d/%s" % (port["port"], port["proto"]) in policy["table"] or port["port"] in table.WEB:
        return None
    known = [table.risk_of(port["proto"], way["to_port"], "", {}) for way in port["ways"] if way.get("to_port")]
    return next((one for one in known if one and one[1] == table.HIGH), None)


def _exposure(port: Dict[str, Any], known: Tuple[str, str], facts: Dict[str, Any], policy: Dict[str, Any]) -> Dict[str, Any]:
    what, severity = known
    state, evidence = state_of(port), evidence_of(port, facts)
    evidence[_part(facts)]["service"] = what
    allowed = policy["allowed"].get("%d/%s" % (port["port"], port["proto"]))
    if state == "closed":
        return passed("ports.exposed", name_of(port), reason=_why_closed(port), **evidence)
    if state == "unknown":
        reasons = [way["reason"] for way in port["ways"] if way["state"] == "unknown" and way["reason"]]
        return unknown("ports.exposed", name_of(port), reasons[0] if reasons else "the firewall cannot be read",
                       severity=severity, **evidence)
    if allowed is not None and not allowed:
        return passed("ports.exposed", name_of(port), reason="the policy allows it to everybody", **evidence)
    wanted = list(allowed or ()) + policy["common"]["management_networks"] + policy["common"]["private_networks"]
    sources, cut_off = sources_of(port), []
    if state == "restricted":
        cut_off = _outside(sources, wanted + facts.get("controllers", []))
        if not cut_off:
            return passed("ports.exposed", name_of(port), reason="only these get through: %s" % who_reaches(port), **evidence)
    risk = _risk(port, what, bool(policy["common"]["management_networks"] or allowed), cut_off)
    return found("ports.exposed", name_of(port), severity=severity, risk=risk,
                 reason="%s can be reached from other hosts: %s" % (what, who_reaches(port) or "everybody"),
                 affects=affected(port, cut_off), **evidence)


def _why_closed(port: Dict[str, Any]) -> str:
    reasons = sorted({way["reason"] for way in port["ways"] if way.get("reason")})
    return "it cannot be reached from another host" + ("; %s" % reasons[0] if reasons else "")


def _risk(port: Dict[str, Any], what: str, managed: bool, cut_off: List[str]) -> Optional[str]:
    if what in table.ADMINISTRATION and not managed:
        return "manual"
    return "disruptive" if port["peers"] or cut_off else None


def _undeclared(facts: Dict[str, Any], policy: Dict[str, Any], reached: Findings) -> Findings:
    declared = parse_ports(policy["declared"])
    if not declared:
        return [not_applicable("ports.undeclared", "the policy declares no ports (hostmend_ports_declared)")]
    trusted = policy["common"]["management_networks"] + facts.get("controllers", [])
    made = []
    for port in reached:
        if any(low <= port["port"] <= high and proto == port["proto"] for low, high, proto in declared):
            continue
        allowed = policy["allowed"].get("%d/%s" % (port["port"], port["proto"]))
        if allowed == [] or state_of(port) == "restricted" and within(sources_of(port), trusted + (allowed or [])):
            continue  # who administers the host gets in everywhere, and whom the policy allows is declared
        made.append(_not_declared(port, facts))
    if not facts["live"]:
        made += [unknown("ports.undeclared", resource, gap) for resource, gap in _named(facts["gaps"])]
    return made or [passed("ports.undeclared", "all ports", **{_part(facts): {"reached": len(reached)}})]


def _not_declared(port: Dict[str, Any], facts: Dict[str, Any]) -> Dict[str, Any]:
    if state_of(port) == "unknown":
        reasons = [way["reason"] for way in port["ways"] if way["state"] == "unknown" and way["reason"]]
        return unknown("ports.undeclared", name_of(port), reasons[0] if reasons else "the firewall cannot be read",
                       **evidence_of(port, facts))
    cut_off = sources_of(port) if state_of(port) == "restricted" else []
    return found("ports.undeclared", name_of(port), reason="nobody declared this port; these get through: %s"
                 % (who_reaches(port) or "everybody"), risk="disruptive" if port["peers"] or cut_off else None,
                 affects=affected(port, cut_off), **evidence_of(port, facts))


def _firewall_off(facts: Dict[str, Any], reached: Findings) -> Findings:
    firewall = facts["firewall"]
    evidence = {_part(facts): dict(firewall, reached=[name_of(port) for port in reached[:50]])}
    if not facts["boots"]:
        return [not_applicable("ports.firewall_off", "there is no init in it that would load one: the firewall of who runs it "
                               "counts", "firewall", **evidence)]
    if firewall["active"]:
        return [passed("ports.firewall_off", "firewall", **evidence)]
    if not reached and facts["gaps"] and not facts["live"]:
        return [unknown("ports.firewall_off", "firewall", facts["gaps"][0], **evidence)]
    if not reached:
        return [not_applicable("ports.firewall_off", "nothing can be reached from another host", "firewall", **evidence)]
    if firewall["active"] is None:
        return [unknown("ports.firewall_off", "firewall", "; ".join(firewall["gaps"]) or "it cannot be read", **evidence)]
    return [found("ports.firewall_off", "firewall", reason="no rule of this host drops what anybody sends to it", **evidence)]
