# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what listens or is passed on, who gets through to it, and who is connected."""

from typing import Any, Dict, List, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software import at_boot

MOST = 500
MOST_PEERS = 50


def collect(host: Any, policy: Dict[str, Any]) -> Dict[str, Any]:
    """Return the facts.

    ``ports`` has one entry for each port and program: ``{"proto", "port", "process", "peers": [address], "ways": [way]}``.
    A way is one address that it is asked by: ``{"family", "address", "loopback", "state", "sources", "who", "by", "reason",
    "to", ...}`` with the words of the firewall's Reach.
    """
    own = host.netns() if host.live else 0
    reading = host.listeners() if host.live else at_boot.listeners(host)
    firewall = host.firewall()
    facts: Dict[str, Any] = {"live": bool(host.live), "boots": host.boots, "ports": [], "gaps": list(reading.gaps),
                             "firewall": {"manager": firewall.manager, "active": firewall.active, "gaps": list(firewall.gaps),
                                          "notes": list(firewall.notes)},
                             "controllers": list(policy["common"].get("controller_addresses") or host.controller_addresses())}
    ways: Dict[Tuple[str, int, str], List[Dict[str, Any]]] = {}
    for listener in reading.items:
        if listener.proto == "unix" or listener.netns != own:
            continue
        for family, address in _addresses(listener):
            ways.setdefault((listener.proto, listener.port, listener.process or ""), []).append(
                _way(listener, family, address, firewall))
    if host.live:
        _add_published(host, firewall, ways, facts)
    peers = _peers(host, own) if host.live else {}
    for (proto, port, process), found in sorted(ways.items())[:MOST]:
        facts["ports"].append({"proto": proto, "port": port, "process": process, "ways": found,
                               "peers": peers.get((proto, port), [])})
    if len(ways) > MOST:
        facts["gaps"].append("only the first %d of %d ports were judged" % (MOST, len(ways)))
    return facts


def _addresses(listener: Any) -> List[Tuple[int, str]]:
    """Return (family, address) of what a listener takes: one of IPv6 may take IPv4 too."""
    found = [(listener.family, listener.address)]
    if listener.family == 6 and listener.address == "::" and listener.dual_stack is not False:
        found.append((4, "0.0.0.0"))
    return found


def _reached(reach: Any) -> Dict[str, Any]:
    return {"state": reach.state, "sources": list(reach.sources), "who": list(reach.who), "by": reach.by,
            "reason": reach.reason}


def _way(listener: Any, family: int, address: str, firewall: Any) -> Dict[str, Any]:
    way = {"family": family, "address": address, "loopback": listener.is_loopback(), "unit": listener.unit,
           "socket_unit": listener.socket_unit, "container": listener.container}
    if listener.is_loopback():
        way.update(state="closed", sources=[], who=[], by="it listens on loopback alone", reason="")
        return way
    reach = firewall.reach(listener.proto, family, address, listener.port)
    way.update(_reached(reach))
    if reach.state == "closed" and reach.to:
        way["reason"] = "its packets are passed on to %s" % reach.to
    return way


def _add_published(host: Any, firewall: Any, ways: Dict[Tuple[str, int, str], List[Dict[str, Any]]],
                   facts: Dict[str, Any]) -> None:
    """Add the ports that are passed on to a container or another host."""
    published = host.publications()
    facts["gaps"] += [gap for gap in published.gaps if gap not in firewall.gaps]
    for one in published.items:
        reach = firewall.reach_publication(one)
        way = dict(_reached(reach), family=one.family, address=one.address, loopback=False,
                   to_port=one.to_port, to="%s port %d" % (one.to_address, one.to_port), rule=one.source)
        ways.setdefault((one.proto, one.port, "published"), []).append(way)


def _peers(host: Any, own: Any) -> Dict[Tuple[str, int], List[str]]:
    """Return {(proto, port): addresses that are connected to it}."""
    peers: Dict[Tuple[str, int], List[str]] = {}
    for proto, (unused, port, peer, unused_port, unused_state, unused_inode), netns in host.established():
        if netns == own and not peer.startswith(("127.", "::1", "::ffff:127.")):
            plain = peer[7:] if peer.startswith("::ffff:") else peer
            known = peers.setdefault((proto, port), [])
            if plain not in known and len(known) < MOST_PEERS:
                known.append(plain)
    return peers
