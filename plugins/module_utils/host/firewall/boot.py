# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewall that a boot would load, of a root filesystem that is not running.

Rules of nftables are loaded into a network namespace of their own that is gone with the command, and read back from
there: what counts is what the kernel makes of the file, as on a host that runs. firewalld loads its zones there by its own
code, without the bus. Other rules are read from their files.
"""

import json
import re
from typing import Any, Dict, Iterable, List, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import Firewall
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables import IptablesRules
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft import NftRules

# Stands for an interface that is not loopback; no rule names it.
ANY = "hm-any0"
LOAD = 'for file; do nft -f "$file" || exit 1; done; exec nft -j list ruleset'
# What firewalld does when it starts; what it says goes where faults go.
DAEMON = "from firewall.core.fw import Firewall; Firewall().start()"
LOAD_DAEMON = '"$1" -I -B -c "$2" >&2 || exit 1; exec nft -j list ruleset'
SECONDS = 10.0
# Files of rules in the format of iptables-save, by the service that loads them.
SAVED = (
    ("netfilter-persistent.service", "/etc/iptables/rules.v4", 4), ("netfilter-persistent.service", "/etc/iptables/rules.v6", 6),
    ("iptables.service", "/etc/sysconfig/iptables", 4), ("ip6tables.service", "/etc/sysconfig/ip6tables", 6))


class BootFirewall(Firewall):
    """The rules that a boot would load. Interfaces and their addresses are not known yet."""

    def _ways(self, family: int, address: str) -> List[Tuple[str, str]]:
        return [(ANY, "" if address in ("0.0.0.0", "::", "*") else address)]


def read_firewall(host: Any) -> Firewall:
    """Return the firewall that a boot would load."""
    services = {service.name: service for service in host.boot_services()}
    rulesets: List[Any] = []
    gaps: List[str] = list(host.units().gaps)
    manager = "none"
    for name, path, family in SAVED:
        text = host.read(path) if name in services else None
        if text:
            rulesets.append(IptablesRules.parse(text, family, path))
            manager = "iptables"
    files = nft_files(services.values())
    if files:
        manager = "nftables"
        _load(host, files, rulesets, gaps)
    if "ufw.service" in services and ufw_enabled(host):
        manager = "ufw"
        rulesets += ufw_rulesets(host)
    if "firewalld.service" in services:
        manager = "firewalld"
        _firewalld(host, services, rulesets, gaps)
    gaps += [gap for gap in map(names_interface, rulesets) if gap][:1]
    return BootFirewall(rulesets, gaps, manager)


def nft_files(services: Iterable[Any]) -> List[str]:
    """Return the files that services load with ``nft -f`` at boot, in the order in which they come."""
    found = []
    for service in services:
        words = list(service.argv)
        if service.program == "nft" and "-f" in words[:-1]:
            found.append((service.name != "nftables.service", service.name, words[words.index("-f") + 1]))
    return [path for unused, unused_name, path in sorted(found)]


def _load(host: Any, files: List[str], rulesets: List[Any], gaps: List[str]) -> None:
    if not host.executes:
        gaps.append("what %s lets in can only be told where its rules can be loaded" % ", ".join(files))
        return
    _apart(host, ["sh", "-c", LOAD, "sh"] + list(files), "the rules of %s" % ", ".join(files), rulesets, gaps)


def _firewalld(host: Any, services: Dict[str, Any], rulesets: List[Any], gaps: List[str]) -> None:
    settings = host.read("/etc/firewalld/firewalld.conf") or ""
    if not host.executes:
        gaps.append("firewalld will be in charge, and what its zones let in can only be told where its own program can be run")
    elif "nftables.service" in services:
        gaps.append("firewalld and nftables.service are both enabled, and each ends the other")
    elif re.search(r"(?m)^[ \t]*FirewallBackend\s*=\s*iptables", settings):
        gaps.append("firewalld will be in charge, and its rules for iptables can only be told once it runs")
    else:
        first = (host.read("/usr/sbin/firewalld", 200) or "").split("\n")[0]
        python = first[2:].split()[0] if first.startswith("#!/") else "/usr/bin/python3"
        _apart(host, ["sh", "-c", LOAD_DAEMON, "sh", python, DAEMON], "the rules of firewalld", rulesets, gaps)


def _apart(host: Any, argv: List[str], what: str, rulesets: List[Any], gaps: List[str]) -> None:
    """Add the rules that a command loads and prints, in a network namespace where nothing else is."""
    result = host.run(["unshare", "--net", "--"] + argv, seconds=SECONDS)
    if not result.ok:
        lines = [line for line in result.err.split("\n") if line.strip()]
        said = (result.failure or (lines[-1] if lines else "no answer"))[:200]
        gaps.append("%s cannot be loaded to be judged: %s" % (what, said))
        return
    try:
        rulesets.append(NftRules.parse(result.out))
    except (ValueError, AttributeError, TypeError, RecursionError):
        gaps.append("nft gives a ruleset that cannot be read")


def names_interface(ruleset: Any) -> str:
    """Return a gap where rules tell interfaces apart, of which an image does not know what they will be called."""
    if isinstance(ruleset, NftRules):
        text = json.dumps([rule.get("expr", ()) for rules in ruleset.rules.values() for rule in rules])
        named = re.findall(r'"meta": \{"key": "i(?:if|ifname|ifgroup|iftype)"\}\}, "right": (?:"lo"|(.))', text)
        told = any(named)
    else:
        told = any(condition.name == "-i" and condition.value != "lo" for rules in ruleset.chains.values() for rule in rules
                   for condition in rule.conditions)
    return "rules of the firewall name interfaces, and what those of a host will be called is not known yet" if told else ""


def ufw_enabled(host: Any) -> bool:
    """Tell whether ufw loads its rules at boot."""
    return "enabled=yes" in (host.read("/etc/ufw/ufw.conf") or "").lower().replace('"', "").split()


def ufw_rulesets(host: Any) -> List[IptablesRules]:
    """Return what ufw makes of its files for IPv4 and IPv6."""
    settings = dict(re.findall(r'^[ \t]*(\w+)="?([\w]+)"?', host.read("/etc/default/ufw") or "", re.M))
    policy = settings.get("DEFAULT_INPUT_POLICY", "DROP").upper()
    made = []
    for family, prefix, number in ((4, "ufw", ""), (6, "ufw6", "6")):
        if family == 6 and settings.get("IPV6", "yes").lower() != "yes":
            continue  # then ufw leaves IPv6 as the kernel has it: nothing is dropped
        made.append(IptablesRules.parse(ufw_text(
            [host.read("/etc/ufw/%s%s.rules" % (name, number)) or "" for name in ("before", "user", "after")],
            prefix, policy), family, "ufw"))
    return made


def ufw_text(texts: List[str], prefix: str, policy: str) -> str:
    """Return one table for iptables of the files that ufw reads: what goes between them is ufw's own."""
    chains: Dict[str, str] = {}
    rules: List[str] = []
    for text in texts:
        table = ""
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("*"):
                table = line[1:]
            elif table == "filter" and line.startswith(":"):
                chains[line.split()[0]] = ":%s - [0:0]" % line.split()[0][1:]
            elif table == "filter" and line.startswith("-A "):
                rules.append(line)
    for name in ("before-input", "after-input", "user-input", "not-local"):
        chains.setdefault(":%s-%s" % (prefix, name), ":%s-%s - [0:0]" % (prefix, name))
    enter = ["-A INPUT -j %s-before-input" % prefix, "-A INPUT -j %s-after-input" % prefix]
    if policy == "REJECT":
        enter.append("-A INPUT -j REJECT")
    enter.append("-A %s-before-input -j %s-user-input" % (prefix, prefix))
    lines = ["*filter", ":INPUT %s [0:0]" % ("ACCEPT" if policy == "ACCEPT" else "DROP"), ":FORWARD ACCEPT [0:0]",
             ":OUTPUT ACCEPT [0:0]"] + sorted(chains.values())
    return "\n".join(lines + enter[:-1] + rules + enter[-1:] + ["COMMIT", ""])
