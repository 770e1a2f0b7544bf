# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a ban keeps an address out of a service: by the chain that its rule lands in, not by the program that writes it."""

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import facts
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import Fault
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import loaded as firewall
from ansible_collections.hostmend.hardening.plugins.module_utils.software import sshd
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import client

# Chains that the kernel itself leads packets for this host into, and those that it does not.
ENTERED, PASSED_BY = ("INPUT", "PREROUTING"), ("FORWARD", "OUTPUT", "POSTROUTING")
HOOKS, OTHER_HOOKS = ("input", "prerouting", "ingress"), ("forward", "output", "postrouting", "egress")
# Programs whose bans show in the rulesets of the kernel.
IN_RULESETS = ("nft", "iptables", "firewall-cmd", "ufw")


def judge(host: Any, jail: Mapping[str, Any], service: Mapping[str, Any],
          named: Mapping[str, int]) -> Tuple[List[Fault], List[str]]:
    """Return (what keeps the bans of a jail from keeping anybody out of a service, what cannot be told)."""
    bans = [one for one in jail["actions"] if one["program"]]
    if not bans:
        return [Fault("none of its actions bans", facts.ACTS[:2])], []
    unclear = [one for one in bans if one["program"] == "?"]
    known = [one for one in bans if one["program"] != "?"]
    able = [one for one in known if one["program"] == "hosts.deny" or facts.has(host, one["program"])]
    if not able:
        if unclear:
            return [], ["whether its action %s bans cannot be told" % unclear[0]["name"]]
        return [Fault("its action needs %s, which is not installed" % bans[0]["program"], facts.ACTS[:2])], []
    faults, doubts = [], []  # type: List[Fault], List[str]
    for one in able:
        missed = [] if one["ports"] is None else [port for port in service["ports"]
                                                  if not client.covers(one["ports"], port, named)]
        landed, why, keys = _lands(host, one, service)
        if not missed and landed:
            faults, doubts = [], []
            break
        if missed:
            faults.append(Fault("its action bans from port %s, not from %s" % (
                one["ports"], ", ".join(str(port) for port in missed)), ("port",)))
        if landed is False:
            faults.append(Fault(why, keys))
        elif landed is None and not missed:
            doubts.append(why)
    if unclear and faults:
        return [], ["whether its action %s bans cannot be told" % unclear[0]["name"]]
    if doubts:
        return [], doubts
    if faults:
        return faults, []
    proof = _gets_in(host, jail, able, service)
    return ([Fault(proof)] if proof else []), []


def _lands(host: Any, action: Mapping[str, Any], service: Mapping[str, Any]) -> Tuple[Optional[bool], str, Sequence[str]]:
    """Return whether an action's rule is met by who connects to a service, why not, and the keys at fault."""
    program = action["program"]
    if program == "hosts.deny":
        wrapped = _wrapped(host, service)
        return wrapped, "its action writes hosts.deny, which %s does not read" % service["name"], facts.ACTS[:2]
    if program == "ufw":
        on = not host.live or host.firewall().manager == "ufw"
        return on, "its action bans by ufw, which is not on", facts.ACTS[:2]
    if program == "shorewall":
        on = any(one.name == "shorewall.service" and (one.active == "active" or not host.live) for one in host.units().items)
        return on, "its action bans by shorewall, which does not run", facts.ACTS[:2]
    if program == "firewall-cmd" and host.live and host.firewall().manager != "firewalld":
        return False, "its action bans by firewalld, which does not run", facts.ACTS[:2]
    if program == "ip" or not action["lands"]:
        return True, "", ()
    told = [_chain(host, program, one, service) for one in action["lands"]]
    if True in told:
        return True, "", ()
    name = next((one[2] if program == "nft" else one[1] for one, met in zip(action["lands"], told) if met is False), "")
    if None in told:
        return None, "whether the packets of %s pass the chain that its action bans in cannot be told" % service["name"], ()
    return False, "its bans land in the chain %s, which nothing that comes in for %s passes" % (name, service["name"]), facts.ACTS


def _chain(host: Any, program: str, place: Sequence[str], service: Mapping[str, Any]) -> Optional[bool]:
    """Tell whether who connects to a service is led through a chain."""
    if program == "nft":
        _family, table, chain, hook = place
        if hook in HOOKS or hook in OTHER_HOOKS:
            return hook in HOOKS
    else:
        table, chain = place[0], place[1]
        base = chain.partition("_")[0] if program == "firewall-cmd" else chain
        if base in ENTERED or base in PASSED_BY:
            return base in ENTERED
    if not host.live or "<" in chain or "<" in table:
        return None
    met = set()  # type: Set[Tuple[str, str]]
    wall = host.firewall()
    for family in (4, 6):
        for port in service["ports"][:4]:
            found = wall.chains_met("tcp", family, port)
            met |= set(found or ())
            if found is None and family == 4:
                return None
    return (table, chain) in met


def _wrapped(host: Any, service: Mapping[str, Any]) -> Optional[bool]:
    """Tell whether a service asks libwrap; None where its program cannot be read."""
    paths = list(sshd.SESSION_PROGRAMS) + ["/usr/sbin/sshd"] if service["name"] == "ssh" else [
        folder + (service["program"] or service["name"]) for folder in facts.FOLDERS]
    texts = [text for text in (host.read(path) for path in paths) if text is not None]
    return any("libwrap.so" in text for text in texts) if texts else None


def _gets_in(host: Any, jail: Mapping[str, Any], able: Sequence[Mapping[str, Any]], service: Mapping[str, Any]) -> str:
    """Return the proof that bans are none: addresses that a jail calls banned, and that every ruleset lets in."""
    banned = jail.get("banned") or []
    if not banned or not host.live or any(one["program"] not in IN_RULESETS for one in able):
        return ""
    if not _all_let_in(host.firewall(), banned, service):
        return ""
    # The ruleset may have been read before the last of them was banned.
    if not _all_let_in(firewall.read_firewall(host), banned, service):
        return ""
    return "it calls %s banned, and no rule keeps that address out: its rules were removed by something else" % banned[-1]


def _all_let_in(wall: Any, banned: Sequence[str], service: Mapping[str, Any]) -> bool:
    return all(wall.lets_in("tcp", 6 if ":" in source else 4, port, source) is True
               for source in banned for port in service["ports"][:4])
