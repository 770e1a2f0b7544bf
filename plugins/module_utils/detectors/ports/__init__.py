# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports that others reach: which do not belong there, which nobody declared, and whether a firewall stands before them.

A port is reached where something listens on it, or passes it on, and no ruleset of this host cuts it off. What a
firewall outside the host does (a security group of a cloud) cannot be seen from here. Of a root filesystem that is not
running it is judged what would listen after a boot, and what the firewall that the boot loads would let through.
"""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.ports import table
from ansible_collections.hostmend.hardening.plugins.module_utils.software import at_boot
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown

NAME = "ports"
CHECKS = ("ports.exposed", "ports.undeclared", "ports.firewall_off")
POLICY = {"declared": [], "allowed": {}, "table": {}}
MOST = 500
PORT = re.compile(r"^(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp))?$")


# Reading the host

def collect(host, policy):
    """Return what listens or is passed on, who gets through to it, and who is connected."""
    own = host.netns() if host.live else 0
    reading = host.listeners() if host.live else at_boot.listeners(host)
    firewall = host.firewall()
    facts = {"live": bool(host.live), "boots": host.boots, "ports": [], "gaps": list(reading.gaps),
             "firewall": {"manager": firewall.manager, "active": firewall.active, "gaps": list(firewall.gaps),
                          "notes": list(firewall.notes)},
             "controllers": list(policy["common"].get("controller_addresses") or host.controller_addresses())}
    ways = {}
    for one in reading.items:
        if one.proto == "unix" or one.netns != own:
            continue
        families = [one.family] + ([4] if one.family == 6 and one.address == "::" and one.dual_stack is not False else [])
        for family in families:
            address = "0.0.0.0" if family != one.family else one.address
            way = _way(one, family, address, firewall)
            ways.setdefault((one.proto, one.port, one.process or ""), []).append(way)
    for one in host.publications().items if host.live else ():
        reach = firewall.reach_publication(one)
        ways.setdefault((one.proto, one.port, "published"), []).append(
            {"family": one.family, "address": one.address, "loopback": one.address.startswith("127."),
             "state": reach.state, "sources": list(reach.sources), "by": reach.by, "reason": reach.reason,
             "to": "%s port %d" % (one.to_address, one.to_port), "rule": one.source})
    peers = _peers(host, own) if host.live else {}
    for (proto, port, process), found_ways in sorted(ways.items())[:MOST]:
        facts["ports"].append({"proto": proto, "port": port, "process": process, "ways": found_ways,
                               "peers": peers.get((proto, port), [])})
    if len(ways) > MOST:
        facts["gaps"].append("only the first %d of %d ports were judged" % (MOST, len(ways)))
    return facts


def _way(one, family, address, firewall):
    made = {"family": family, "address": address, "loopback": one.is_loopback(), "unit": one.unit,
            "socket_unit": one.socket_unit, "container": one.container}
    if one.is_loopback():
        made.update(state="closed", sources=[], by="it listens on loopback alone", reason="")
    else:
        reach = firewall.reach(one.proto, family, address, one.port)
        made.update(state=reach.state, sources=list(reach.sources), by=reach.by, reason=reach.reason)
    return made


def _peers(host, own):
    """Return {(proto, port): addresses that are connected to it}."""
    peers = {}
    for proto, (unused, port, peer, unused_port, unused_state, unused_inode), netns in host.established():
        if netns == own and not peer.startswith(("127.", "::1", "::ffff:127.")):
            plain = peer[7:] if peer.startswith("::ffff:") else peer
            known = peers.setdefault((proto, port), [])
            if plain not in known and len(known) < 50:
                known.append(plain)
    return peers


# Judging

def parse_ports(entries):
    """Return [(low, high, proto)] of entries such as ``443/tcp``, ``8000-8010/tcp`` and ``53``, which means both."""
    made = []
    for entry in entries:
        match = PORT.match(str(entry).strip())
        if match:
            low = int(match.group(1))
            for proto in (match.group(3),) if match.group(3) else ("tcp", "udp"):
                made.append((low, int(match.group(2) or low), proto))
    return made


def within(networks, allowed):
    """Tell whether every one of ``networks`` is inside one of ``allowed``."""
    wide = [_network(text) for text in allowed]
    return bool(networks) and all(any(_inside(_network(text), one) for one in wide) for text in networks)


def _network(text):
    try:
        return ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return None


def _inside(narrow, wide):
    return narrow is not None and wide is not None and narrow.version == wide.version and narrow.subnet_of(wide)


def name_of(one):
    """Return what a port is called in a finding."""
    return "%d/%s (%s)" % (one["port"], one["proto"], one["process"] or "owner not known")


def state_of(one):
    """Return how far a port is reached: the widest of its ways."""
    states = set(way["state"] for way in one["ways"])
    for state in ("open", "unknown", "restricted"):
        if state in states:
            return state
    return "closed"


def evidence_of(one, facts):
    """Return the evidence for a port: of what runs now, or of what a boot brings."""
    told = {"port": one["port"], "proto": one["proto"], "process": one["process"],
            "ways": [dict((key, way[key]) for key in ("family", "address", "state", "sources", "by", "unit",
                                                      "socket_unit", "container", "to", "rule")
                          if way.get(key)) for way in one["ways"]]}
    if not facts["live"]:
        return {"persistent": told}
    return {"effective": told, "observed": {"peers": one["peers"]}}


def affected(one):
    """Return whom closing a port would disturb: who is connected, and the containers behind it."""
    behind = sorted(set("the container %s is behind it" % way["container"] for way in one["ways"] if way.get("container"))
                    | set("what runs at %s is behind it" % way["to"] for way in one["ways"] if way.get("to")))
    return ["%s is connected" % peer for peer in one["peers"]] + behind


def check(facts, policy):
    """Return the findings."""
    reached = [one for one in facts["ports"] if state_of(one) != "closed"]
    return _exposed(facts, policy) + _undeclared(facts, policy, reached) + _firewall_off(facts, reached)


def _part(facts):
    return "effective" if facts["live"] else "persistent"


def _named(gaps):
    """Return (resource, gap) of each gap; one of a service is about that service."""
    made = []
    for gap in gaps:
        match = re.match(r"what (\S+) will listen on", gap)
        made.append((match.group(1) if match else "listeners", gap))
    return made


def _exposed(facts, policy):
    made = [unknown("ports.exposed", "listeners", gap) for gap in facts["gaps"]
            if "only the first" in gap or "cannot be read" in gap and "proc/net" in gap]
    if not facts["live"]:
        made = [unknown("ports.exposed", resource, gap) for resource, gap in _named(facts["gaps"])]
    for one in facts["ports"]:
        known = table.risk_of(one["proto"], one["port"], one["process"], policy["table"])
        if known:
            made.append(_exposure(one, known, facts, policy))
    if not made:
        return [passed("ports.exposed", "all ports", **{_part(facts): {"ports": len(facts["ports"])}},
                       reason="nothing listens on a port that does not belong on an open network")]
    return made


def _exposure(one, known, facts, policy):
    what, severity = known
    state, evidence = state_of(one), evidence_of(one, facts)
    evidence[_part(facts)]["service"] = what
    allowed = policy["allowed"].get("%d/%s" % (one["port"], one["proto"]))
    if state == "closed":
        return passed("ports.exposed", name_of(one), reason="it cannot be reached from another host", **evidence)
    if state == "unknown":
        reasons = [way["reason"] for way in one["ways"] if way["state"] == "unknown" and way["reason"]]
        return unknown("ports.exposed", name_of(one), reasons[0] if reasons else "the firewall cannot be read",
                       severity=severity, **evidence)
    if allowed is not None and not allowed:
        return passed("ports.exposed", name_of(one), reason="the policy allows it to everybody", **evidence)
    if state == "restricted":
        sources = sorted(set(source for way in one["ways"] for source in way["sources"]))
        wanted = list(allowed or ()) + policy["common"]["management_networks"] + policy["common"]["private_networks"]
        wanted += facts.get("controllers", [])
        if within(sources, wanted):
            return passed("ports.exposed", name_of(one), reason="only these get through: %s" % ", ".join(sources), **evidence)
    risk = None
    if what in table.ADMINISTRATION and not (policy["common"]["management_networks"] or allowed):
        risk = "manual"
    elif one["peers"]:
        risk = "disruptive"
    return found("ports.exposed", name_of(one), severity=severity, risk=risk,
                 reason="%s can be reached from other hosts" % what,
                 affects=affected(one), **evidence)


def _undeclared(facts, policy, reached):
    declared = parse_ports(policy["declared"])
    if not declared:
        return [not_applicable("ports.undeclared", "the policy declares no ports (hostmend_ports_declared)")]
    made = []
    for one in reached:
        if not any(low <= one["port"] <= high and proto == one["proto"] for low, high, proto in declared):
            made.append(found("ports.undeclared", name_of(one), reason="nobody declared this port",
                              risk="disruptive" if one["peers"] else None,
                              affects=affected(one), **evidence_of(one, facts)))
    if not facts["live"]:
        made += [unknown("ports.undeclared", resource, gap) for resource, gap in _named(facts["gaps"])]
    return made or [passed("ports.undeclared", "all ports", **{_part(facts): {"reached": len(reached)}})]


def _firewall_off(facts, reached):
    firewall = facts["firewall"]
    evidence = {_part(facts): dict(firewall, reached=[name_of(one) for one in reached[:50]])}
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
    return [found("ports.firewall_off", "firewall", reason="no rule of this host drops anything", **evidence)]
