# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the rulesets that are loaded: those of nftables, of iptables in both of its guises, and the sets of ipset."""

import os
import socket
import struct
from typing import Any, Dict, List, Optional, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import Firewall
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables import IptablesRules
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables_match import IpSet
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables_match import parse_ipset
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.links import read_links
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft import NftRules

SAVERS = (("iptables-legacy-save", "iptables-save", 4), ("ip6tables-legacy-save", "ip6tables-save", 6))


def kernel_has_tables() -> Optional[bool]:
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
    return bool(kind != 3)


def read_firewall(host: Any) -> Firewall:
    """Return the effective firewall of a host that is running."""
    rulesets: List[Any] = []
    gaps: List[str] = []
    notes: List[str] = []
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
        gaps.append("the ruleset cannot be read: %s" % (nft.failure or nft.err.strip().split("\n")[0][:200] or "nft failed"))
    if not legacy and (host.read("/proc/net/ip_tables_names") or "").split() and not nft.ok:
        gaps.append("iptables holds rules and there is no program here that reads them")
    return Firewall(rulesets, gaps, manager_of(host, rulesets), notes=notes, links=read_links(host))


def _parsed(host: Any, text: str, family: int, program: str) -> IptablesRules:
    """Return rules with the sets that they ask for, which only ipset can show."""
    sets: Dict[str, IpSet] = {}
    if "--match-set" in text:
        answer = host.run(["ipset", "save"])
        sets = parse_ipset(answer.out) if answer.ok else {}
    return IptablesRules.parse(text, family, program, sets)


def _save(host: Any, which: int, rulesets: List[Any], notes: List[str]) -> bool:
    """Add the rulesets that the programs of iptables print; True where one answered."""
    answered = False
    for row in SAVERS:
        program, family = str(row[which]), row[2]
        if which == 0 and not (host.read("/proc/net/ip%s_tables_names" % ("6" if family == 6 else "")) or "").split():
            continue  # nothing of legacy iptables is loaded, and asking would load it
        result = host.run([program])
        if result.ok:
            answered = True
            if "-A " in result.out or " DROP " in result.out:
                rulesets.append(_parsed(host, result.out, family, program))
        elif result.failure != "not found":
            notes.append("%s: %s" % (program, result.failure or result.err.strip().split("\n")[0][:200]))
    return answered


def _without_iptables(host: Any, rules: NftRules, rulesets: List[Any], gaps: List[str]) -> NftRules:
    """Return the rules of nft, those that iptables made left to its own program, which alone can show all of them."""
    tables = {("ip" if row[2] == 4 else "ip6", name) for row in SAVERS for name in ("raw", "mangle", "filter", "nat", "security")}
    theirs = [table for table in rules.tables if table in tables]
    opaque = any('"xt"' in str(rule).replace("'", '"') for key, found in rules.rules.items()
                 if key[:2] in tables for rule in found)
    if not theirs:
        return rules
    read: Set[Tuple[str, str]] = set()
    for unused, program, family in SAVERS:
        name = "ip" if family == 4 else "ip6"
        if not any(table[0] == name for table in theirs):
            continue
        result = host.run([program])
        if result.ok:
            rulesets.append(_parsed(host, result.out, family, program))
            read |= {table for table in tables if table[0] == name}
        elif opaque:
            gaps.append("rules of iptables that nft cannot show, and no %s" % program)
    rules.without(read)
    return rules


def manager_of(host: Any, rulesets: List[Any]) -> str:
    """Return what manages the firewall of this host."""
    active = {unit.name for unit in host.units().items if unit.active in ("active", "activating")}
    if "firewalld.service" in active:
        return "firewalld"
    setting = (host.read("/etc/ufw/ufw.conf") or "").lower().replace('"', "")
    if "enabled=yes" in setting.split() and any(
            key[1].startswith("ufw") for ruleset in rulesets for key in ruleset.chains if len(key) == 2):
        return "ufw"
    if any(isinstance(ruleset, NftRules) and ruleset.chains for ruleset in rulesets):
        return "nftables"
    return "iptables" if rulesets and any(ruleset.chains for ruleset in rulesets) else "none"
