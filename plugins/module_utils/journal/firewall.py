# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules in the kernel, table by table: nftables, and iptables in both of its guises."""

import os
import re
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

# iptables-nft keeps its rules in nftables tables of these names, in a form that nft cannot write back.
IPTABLES_TABLES = ("filter", "nat", "mangle", "raw", "security")
# Where a firewall that is in charge keeps the rules that it loads at boot, and reads when it reloads.
FIREWALLD = "/etc/firewalld"
BOOT_RULES = (FIREWALLD, "/etc/ufw/user.rules", "/etc/ufw/user6.rules")
Tools = Tuple[str, Optional[str]]
COUNTERS = re.compile(r"\[\d+:\d+\]")


def iptables_nft(family: str) -> Optional[Tools]:
    """Return the save and restore programs of iptables over nftables, None where there are none."""
    stem = "iptables" if family == "ip" else "ip6tables"
    for name in (stem + "-nft", stem):
        save = process.which(name + "-save")
        if save and (name.endswith("-nft") or "nf_tables" in process.run([name, "--version"])[1]):
            return save, process.which(name + "-restore")
    return None


def iptables_legacy(family: str) -> Optional[Tools]:
    """Return the same for iptables over the older kernel interface."""
    stem = "iptables" if family == "ip" else "ip6tables"
    for name in (stem + "-legacy", stem):
        save = process.which(name + "-save")
        if save and (name.endswith("-legacy") or "nf_tables" not in process.run([name, "--version"])[1]):
            return save, process.which(name + "-restore")
    return None


def plain(text: str) -> str:
    """Return the output of iptables-save without dates and counters."""
    kept = [COUNTERS.sub("[0:0]", line) for line in text.splitlines() if line and not line.startswith("#")]
    return "\n".join(kept) + "\n" if kept else ""


def nft_tables() -> List[Tuple[str, str]]:
    """Return (family, name) of each table of nftables."""
    if not process.which("nft"):
        return []
    lines = process.must(["nft", "list", "tables"]).splitlines()
    return [(line.split()[1], line.split()[2]) for line in lines if line.startswith("table ")]


def read(subject: Dict[str, Any], keep: Any = None) -> Dict[str, Any]:
    """Return the text of each table that is loaded."""
    tables: Dict[str, str] = {}
    for family, name in nft_tables():
        compat = iptables_nft(family) if family in ("ip", "ip6") and name in IPTABLES_TABLES else None
        if compat:
            text = plain(process.must([compat[0], "-t", name]))
            if text:
                tables["iptables-nft %s %s" % (family, name)] = text
                continue
        tables["nft %s %s" % (family, name)] = process.must(["nft", "-s", "list", "table", family, name])
    for family, names in (("ip", "/proc/net/ip_tables_names"), ("ip6", "/proc/net/ip6_tables_names")):
        tools = iptables_legacy(family)
        if tools is None or not os.path.exists(names):
            continue
        with open(names) as handle:
            loaded = handle.read().split()
        for name in loaded:
            tables["iptables-legacy %s %s" % (family, name)] = plain(process.must([tools[0], "-t", name]))
    return {"tables": tables}


def aspects(image: Dict[str, Any]) -> Dict[str, Any]:
    """Return what can change by itself: each table."""
    return dict(image["tables"])


def describe(subject: Dict[str, Any], key: str) -> Tuple[str, str]:
    """Return (name, what of it) for an aspect."""
    return key, "rules"


def restore(subject: Dict[str, Any], before: Dict[str, Any], now: Dict[str, Any], keys: List[str], blob: Any) -> List[str]:
    """Put the old text of each table back, one transaction for all of nftables."""
    script = ""
    # firewalld, reloaded from its restored files, has made its own anew already.
    keys = [key for key in keys if now["tables"].get(key) != before["tables"].get(key)]
    for key in sorted(keys):
        kind, family, name = key.split()
        old = before["tables"].get(key)
        if kind == "nft" or (kind == "iptables-nft" and old is None):
            script += "table %s %s\ndelete table %s %s\n%s\n" % (family, name, family, name, old or "")
    if script:
        process.must(["nft", "-c", "-f", "-"], stdin=script)
        process.must(["nft", "-f", "-"], stdin=script)
    for key in sorted(keys):
        kind, family, name = key.split()
        old = before["tables"].get(key)
        if kind == "iptables-nft" and old is not None:
            _iptables(iptables_nft(family), old, key)
        elif kind == "iptables-legacy":
            _iptables(iptables_legacy(family), old if old is not None else _empty(now["tables"][key]), key)
    return []


def reload_firewalld() -> str:
    """Have firewalld, where it runs, take its files again; returns why it did not."""
    tool = process.which("firewall-cmd")
    if tool is None or process.run([tool, "--state"])[0]:
        return ""
    status, out, err = process.run([tool, "--reload"], seconds=120)
    return "" if not status else ((err or out).strip().splitlines() or ["no message"])[-1]


def _iptables(tools: Optional[Tools], text: str, key: str) -> None:
    if tools is None or tools[1] is None:
        raise HostError("%s cannot be restored: iptables is gone" % key)
    process.must([tools[1], "--test"], stdin=text)
    process.must([tools[1]], stdin=text)


def _empty(text: str) -> str:
    """Return an iptables table with its own chains only, open: what it is like before anybody uses it."""
    lines = text.splitlines()
    chains = [line.split()[0] for line in lines if line.startswith(":") and " - " not in line]
    return "\n".join(lines[:1] + ["%s ACCEPT [0:0]" % chain for chain in chains] + ["COMMIT", ""])
