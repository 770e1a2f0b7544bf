# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that close ports: one description of them, written as a table of nftables, for ufw and for firewalld."""

import ipaddress
import json
from typing import Any, Dict, Iterable, List, Set, Tuple

TABLE = "hostmend"
STATE = "# state: "
HEAD = """#!/usr/sbin/nft -f
# Written by hostmend. It replaces the table inet hostmend alone; other tables are never touched.
"""
UNIT = """# Written by hostmend.
[Unit]
Description=Ports that hostmend has closed
Documentation=man:nft(8)
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=local-fs.target nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {path}
ExecReload={nft} -f {path}
ExecStop={nft} delete table inet hostmend

[Install]
WantedBy=sysinit.target nftables.service
"""


def networks(texts: Iterable[Any]) -> Tuple[List[str], List[str]]:
    """Return (IPv4 networks, IPv6 networks), without those that lie in others; ValueError where one is none."""
    parsed = [ipaddress.ip_network(str(text).split("%", maxsplit=1)[0], strict=False) for text in texts]
    v4 = ipaddress.collapse_addresses(one for one in parsed if isinstance(one, ipaddress.IPv4Network))
    v6 = ipaddress.collapse_addresses(one for one in parsed if isinstance(one, ipaddress.IPv6Network))
    return [str(one) for one in v4], [str(one) for one in v6]


def merge(old: Dict[str, Any], close: Dict[str, List[str]], published: Dict[str, List[str]], trusted: List[str],
          accept: List[str], deny: bool, every_protocol: bool = False) -> Dict[str, Any]:
    """Return the state that closes what is closed already and what is to be closed.

    :param old: the state that was read, ``{}`` where there is none.
    :param close: {"6379/tcp": networks that are let in} of ports that listen here.
    :param published: the same of ports that are passed on to a container.
    :param trusted: networks that are let in everywhere: the controller and the management networks.
    :param accept: ports that stay open under a default of dropping, ``["22/tcp", "8000-8010/tcp"]``.
    :param deny: whether what of TCP and UDP is neither closed nor accepted is dropped; once it is, it stays so.
    :param every_protocol: whether other protocols are dropped then too, ICMP left aside.
    """
    made = {"closed": dict(old.get("closed") or {}), "published": dict(old.get("published") or {}),
            "trusted": sorted(set(old.get("trusted") or []) | set(trusted)), "deny": bool(old.get("deny")) or bool(deny)}
    if made["deny"] and every_protocol:
        made["every_protocol"] = True
    made["closed"].update((port, sorted(let_in)) for port, let_in in close.items())
    made["published"].update((port, sorted(let_in)) for port, let_in in published.items())
    kept = set(old.get("accept") or []) | (set(accept) if made["deny"] else set())
    made["accept"] = sorted(kept - set(made["closed"]))
    return made


def state_of(text: str) -> Dict[str, Any]:
    """Return the state that a file of rules was written from; ``{}`` of another file."""
    for line in (text or "").splitlines():
        if line.startswith(STATE):
            try:
                state = json.loads(line[len(STATE):])
            except ValueError:
                return {}
            return state if isinstance(state, dict) else {}
    return {}


def let_in(texts: Iterable[Any], condition: str) -> List[str]:
    """Return the lines that accept from networks."""
    v4, v6 = networks(texts)
    lines = []
    if v4:
        lines.append("%sip saddr { %s } accept" % (condition, ", ".join(v4)))
    if v6:
        lines.append("%sip6 saddr { %s } accept" % (condition, ", ".join(v6)))
    return lines


def split(port: str) -> Tuple[str, str]:
    """Return (proto, number or range) of ``6379/tcp``."""
    number, unused, proto = port.partition("/")
    return proto or "tcp", number


def nft_text(state: Dict[str, Any]) -> str:
    """Return the file of nftables that a state stands for."""
    lines = [HEAD.rstrip("\n"), STATE + json.dumps(state, sort_keys=True), "table inet hostmend",
             "delete table inet hostmend", "table inet hostmend {"]
    if state["closed"] or state["deny"]:
        rules = ["type filter hook input priority -5; policy %s;" % ("drop" if state["deny"] else "accept"),
                 "ct state established,related accept", 'iif "lo" accept'] + let_in(state["trusted"], "")
        if state["deny"]:
            rules += ["meta l4proto { 1, 2, 58 } accept" if state.get("every_protocol") else
                      "meta l4proto != { tcp, udp } accept", "udp dport { 68, 546 } accept"]
        for port, allowed in sorted(state["closed"].items()):
            proto, number = split(port)
            rules += let_in(allowed, "%s dport %s " % (proto, number)) + ["%s dport %s drop" % (proto, number)]
        if state["deny"]:
            for proto in ("tcp", "udp"):
                kept = [split(port)[1] for port in state["accept"] if split(port)[0] == proto]
                if kept:
                    rules.append("%s dport { %s } accept" % (proto, ", ".join(kept)))
        lines += ["\tchain input {"] + ["\t\t" + rule for rule in rules] + ["\t}"]
    if state["published"]:
        rules = ["type filter hook prerouting priority -150; policy accept;", "ct state established,related accept",
                 'iif "lo" accept', "fib daddr type != local accept"] + let_in(state["trusted"], "")
        for port, allowed in sorted(state["published"].items()):
            proto, number = split(port)
            rules += let_in(allowed, "%s dport %s " % (proto, number)) + ["%s dport %s drop" % (proto, number)]
        lines += ["\tchain published {"] + ["\t\t" + rule for rule in rules] + ["\t}"]
    return "\n".join(lines + ["}", ""])


def ufw_rules(close: Dict[str, List[str]], trusted: List[str]) -> List[Tuple[str, List[str]]]:
    """Return (tuple as ufw keeps it, words of the command) of each rule, in the order in which they are prepended."""
    made = []
    for port, allowed in sorted(close.items()):
        proto, number = split(port)
        made.append(("deny %s %s any any" % (proto, number), ["prepend", "deny", "proto", proto, "to", "any", "port", number]))
        for version in networks(list(allowed) + list(trusted)):
            for network in version:
                made.append(("allow %s %s any %s" % (proto, number, network),
                             ["prepend", "allow", "proto", proto, "from", network, "to", "any", "port", number]))
    return made


def ufw_present(text: str) -> Set[str]:
    """Return the rules that ufw keeps in a user.rules file, in the words of :func:`ufw_rules`."""
    found: Set[str] = set()
    for line in text.splitlines():
        words = line.split()
        # ### tuple ### deny tcp 6379 0.0.0.0/0 any 0.0.0.0/0 in
        if len(words) >= 9 and words[:3] == ["###", "tuple", "###"]:
            action, proto, port, source = words[3].split("_")[0], words[4], words[5], words[8]
            try:
                network = str(ipaddress.ip_network(source, strict=False))
            except ValueError:
                continue
            found.add("%s %s %s any %s" % (action, proto, port, "any" if network in ("0.0.0.0/0", "::/0") else network))
    return found


def firewalld_rules(close: Dict[str, List[str]], trusted: List[str]) -> List[str]:
    """Return the rich rules that close ports."""
    made = []
    for port, allowed in sorted(close.items()):
        proto, number = split(port)
        for family, version in zip(("ipv4", "ipv6"), networks(list(allowed) + list(trusted))):
            made += ['rule priority="-200" family="%s" source address="%s" port port="%s" protocol="%s" accept'
                     % (family, network, number, proto) for network in version]
        made.append('rule priority="-100" port port="%s" protocol="%s" drop' % (number, proto))
    return made
