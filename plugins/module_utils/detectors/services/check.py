# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges what was read: which services nothing needs, and which send everything in clear text."""

import fnmatch
import os
import re
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import table
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services.excuses import ACTIVE
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import finding
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies
from ansible_collections.hostmend.hardening.plugins.module_utils.software import inetd

STARTERS = (".socket", ".path", ".timer", ".automount")
SUPER_PROGRAMS = ("xinetd", "inetd", "inetutils-inetd", "openbsd-inetd")
Facts = Dict[str, Any]
Group = Dict[str, Any]
Finding = Dict[str, Any]


def check(facts: Facts, policy: Dict[str, Any]) -> List[Finding]:
    """Return the findings of the facts."""
    services = {service.name: service for service in table.services_of(policy)}
    keep = tuple(glob for glob in policy.get("keep") or () if isinstance(glob, str))
    unit_gap = next((gap for gap in facts["gaps"] if gap.startswith(("units:", "processes:"))), "")
    going = _going(facts, services, keep)
    findings = [_judge_units(facts, group, services[group["name"]], keep, going)
                for group in facts["groups"] if group["units"]]
    findings += _judge_entries(facts, services, keep)
    findings += _judge_processes(facts, services, keep)
    for name in (table.UNNEEDED, table.LEGACY):
        about = [item for item in findings if item["check"] == name and item["status"] != "not_assessed"]
        gap = unit_gap or (_gap(facts, "entries:") if not about else "")
        if gap and not any(item["status"] == "open" for item in about):
            findings.append(unknown(name, "services", gap))
        elif not about:
            findings.append(not_applicable(name, "no service of this kind is installed"))
    judged: List[Finding] = with_remedies(findings, remedy.of)
    return judged


def _gap(facts: Facts, kind: str) -> str:
    return next((gap for gap in facts["gaps"] if gap.startswith(kind)), "")


def _kept(keep: Sequence[str], *names: str) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) or name.rsplit(".", 1)[0] == glob for glob in keep for name in names)


def _will_start(unit: Dict[str, Any]) -> bool:
    return bool(unit["boot"] and unit["load"] != "masked")


def _states(facts: Facts, group: Group) -> Tuple[List[str], List[str]]:
    """Return (units that run, units that a boot would start) of a group."""
    units = {name: facts["units"][name] for name in group["units"]}
    return ([name for name, unit in units.items() if unit["active"] in ACTIVE],
            [name for name, unit in units.items() if _will_start(unit)])


# Who needs a service

def _going(facts: Facts, services: Dict[str, table.Service], keep: Sequence[str]) -> Set[str]:
    """Return the names of the groups that nothing needs but other such groups."""
    going = set()
    for group in facts["groups"]:
        active, boot = _states(facts, group)
        if (active or boot) and not _kept(keep, group["name"], *group["units"]):
            going.add(group["name"])
    while True:
        left = {name for name in going if not _needs(facts, _group(facts, name), services[name], going)}
        if left == going:
            return going
        going = left


def _group(facts: Facts, name: str) -> Group:
    return next((group for group in facts["groups"] if group["name"] == name), {"name": name, "units": []})


def _needs(facts: Facts, group: Group, service: table.Service, going: Set[str]) -> List[str]:
    """Return who needs the service, one sentence each, those apart that are to go themselves."""
    gone = {name for other in facts["groups"] if other["name"] in going | {group["name"]} for name in other["units"]}
    reasons = []
    for name in group["units"]:
        for other in facts["units"][name]["needed_by"]:
            unit = facts["units"].get(other)
            if other in gone or other.endswith((".target", ".slice")) or unit is None:
                continue
            if unit["active"] in ACTIVE or _will_start(unit):
                reasons.append("%s needs %s" % (other, name))
    for reason in facts["excuses"].get(service.excuse, {}).get("reasons", ()):
        number = re.match(r"program (\d+)", reason)
        owner = table.RPC_OWNERS.get(int(number.group(1))) if number else None
        if owner is None or owner not in going:
            reasons.append(reason)
    if service.use_excuses:
        reasons += ["%s is connected to it" % peer for peer in _peers(facts, _listeners(facts, group))]
    return list(dict.fromkeys(reasons))


def _listeners(facts: Facts, group: Group) -> List[Dict[str, Any]]:
    """Return the sockets that the group's units accept on.

    A socket is a unit's by its control group. The name of the program counts only where no unit is known: another
    instance of the same program, in a unit of its own, is another service.
    """
    programs = {os.path.basename(process["program"])[:15] for process in facts["processes"]
                if process["service"] == group["name"] and not process["container"]}
    units = set(group["units"])
    by_name = facts["init"] != "systemd"
    return [one for one in facts["listeners"] if not one["container"] and (
        one["unit"] in units or one["socket_unit"] in units
        or (by_name or not one["unit"]) and not one["socket_unit"] and bool(one["program"]) and one["program"] in programs)]


def _peers(facts: Facts, listeners: Iterable[Dict[str, Any]]) -> List[str]:
    ports = {one["port"] for one in listeners if one["proto"] == "tcp"}
    return sorted({peer["peer"] for peer in facts["peers"] if peer["port"] in ports})


def _rows(listeners: Iterable[Dict[str, Any]]) -> List[str]:
    """Return listeners in words: "tcp [::]:631"."""
    return sorted({"%s %s:%d" % (one["proto"], "[%s]" % one["address"] if ":" in one["address"] else one["address"],
                                 one["port"]) for one in listeners})


# Units

def _judge_units(facts: Facts, group: Group, service: table.Service, keep: Sequence[str], going: Set[str]) -> Finding:
    """Judge the units of one service together."""
    resource = "%s (%s)" % (group["name"], "systemd" if facts["init"] == "systemd" or not facts["live"] else "init")
    active, boot = _states(facts, group)
    listeners = _listeners(facts, group)
    parts = _unit_evidence(facts, group, listeners)
    if not facts["live"] or facts["init"] != "systemd":  # a script says nothing of what runs
        active = [name for name in group["units"] if any(process["service"] == group["name"] and not process["container"]
                                                         for process in facts["processes"])]
    if not active and not boot:
        return passed(group["check"], resource, reason=_why_off(facts, group), **parts)
    if _kept(keep, group["name"], *group["units"]):
        return passed(group["check"], resource, reason="the policy keeps it", **parts)
    needs = _needs(facts, group, service, going)
    if needs and service.check != table.LEGACY:
        return passed(group["check"], resource, reason="needed: " + "; ".join(needs[:5]), **parts)
    reason = _run_state(active, boot)
    if needs:
        return found(group["check"], resource, reason=reason, risk="manual", affects=needs, **parts)
    unseen = _gap(facts, "listeners:") if active else ""  # whose they are, and so who is connected
    gap = facts["excuses"].get(service.excuse, {}).get("gap", "") or (unseen if service.use_excuses else "")
    if gap:
        return unknown(group["check"], resource, "whether something needs it cannot be told: " + gap, **parts)
    clients = _clients(facts, service, listeners, unseen)
    return found(group["check"], resource, reason=reason, risk="disruptive" if clients else None,
                 affects=clients + _masked_below(facts, active), **parts)


def _unit_evidence(facts: Facts, group: Group, listeners: List[Dict[str, Any]]) -> Dict[str, Any]:
    units = facts["units"]
    parts: Dict[str, Any] = {"persistent": {"units": {name: units[name]["enabled"] or "none" for name in group["units"]}}}
    if facts["live"]:
        parts["effective"] = {"units": {name: units[name]["active"] or "unknown" for name in group["units"]},
                              "listeners": _rows(listeners)}
        parts["observed"] = {"connected": _peers(facts, listeners)}
    return parts


def _why_off(facts: Facts, group: Group) -> str:
    if all(facts["units"][name]["load"] == "masked" for name in group["units"]):
        return "masked"
    return "neither running nor started at boot" if facts["boots"] else "there is no init in it that would start it"


def _run_state(active: List[str], boot: List[str]) -> str:
    starters = [name for name in active if name.endswith(STARTERS)]
    return "; ".join(filter(None, [
        "running: " + ", ".join(active) if active else "",
        "started at boot: " + ", ".join(boot) if boot else "",
        ", ".join(starters) + " starts it again when it is stopped" if starters else ""]))


def _clients(facts: Facts, service: table.Service, listeners: List[Dict[str, Any]], unseen: str) -> List[str]:
    """Return who would be cut off, one sentence each."""
    peers = _peers(facts, listeners)
    if peers:
        return ["%s is connected to it" % peer for peer in peers]
    if unseen:
        return ["clients that could not be seen: " + unseen]
    if service.check == table.LEGACY and any(one["proto"] == "udp" for one in listeners):
        return ["clients over UDP, which leave no connection to be seen"]
    return []


def _masked_below(facts: Facts, active: List[str]) -> List[str]:
    """Return what a rollback brings back that was not whole: a socket that listens for a service that is masked."""
    return ["%s is masked already: a rollback has %s listen again, and nothing answer" % (other, name)
            for name in active if name.endswith(STARTERS) for other in facts["units"][name].get("triggers", ())
            if facts["units"].get(other, {}).get("load") == "masked"]


# Entries of xinetd and inetd

def _entry_service(services: Dict[str, table.Service], entry: Dict[str, Any]) -> Optional[table.Service]:
    """Return the service of the table that an entry of inetd or xinetd offers."""
    program = os.path.basename(entry["program"])
    for service in services.values():
        if entry["service"] in service.entries:
            return service if not service.servers or program in service.servers else None
        if program in service.programs:
            return service
    return None


def _judge_entries(facts: Facts, services: Dict[str, table.Service], keep: Sequence[str]) -> List[Finding]:
    pairs = [(entry, _entry_service(services, entry)) for entry in facts["entries"]]
    return [_judge_entry(facts, entry, service, keep) for entry, service in pairs if service is not None]


def _judge_entry(facts: Facts, entry: Dict[str, Any], service: table.Service, keep: Sequence[str]) -> Finding:
    resource = "%s %s (%s)" % (entry["name"], entry["proto"], entry["file"])
    readers = [name for name, one in sorted(facts["supers"].items())
               if name == entry["kind"] or (name == "xinetd" and one["compat"])]
    running = [name for name in readers if facts["supers"][name]["running"]]
    boot = [name for name in readers if facts["supers"][name]["boot"]]
    port = entry["port"] or inetd.PORTS.get(entry["service"], 0)
    listeners = [one for one in facts["listeners"] if one["port"] == port and one["proto"] == entry["proto"]
                 and one["program"][:15] in SUPER_PROGRAMS]
    peers = _peers(facts, listeners)
    parts: Dict[str, Any] = {"persistent": dict(
        {key: entry[key] for key in ("file", "line", "name", "proto", "kind", "program", "enabled")}, started_at_boot_by=boot)}
    if facts["live"]:
        parts["effective"] = {"served_by": running, "listeners": _rows(listeners)}
        parts["observed"] = {"connected": peers}
    reason = _why_entry_passes(entry, service, running + boot, peers, keep)
    if reason:
        return passed(service.check, resource, reason=reason, **parts)
    more: Dict[str, Any] = {}
    if peers:
        more = {"risk": "disruptive", "affects": ["%s is connected to it" % peer for peer in peers]}
    return found(service.check, resource, reason="offered by " + ", ".join(running or boot), **more, **parts)


def _why_entry_passes(entry: Dict[str, Any], service: table.Service, readers: List[str], peers: List[str],
                      keep: Sequence[str]) -> str:
    if not entry["enabled"]:
        return "the entry is switched off"
    if not readers:
        return "no super-server runs or is started at boot"
    if _kept(keep, service.name, entry["name"]):
        return "the policy keeps it"
    if peers and service.use_excuses:
        return "needed: " + "; ".join("%s is connected to it" % peer for peer in peers[:5])
    return ""


# Daemons outside of the units

def _judge_processes(facts: Facts, services: Dict[str, table.Service], keep: Sequence[str]) -> List[Finding]:
    """Judge the daemons that run outside of the units of their service: started by hand, or in a container."""
    findings: Dict[str, Finding] = {}
    for process in facts["processes"]:
        service = services.get(process["service"])
        units = _group(facts, process["service"])["units"]
        own = process["unit"] in units or process["template"] in units
        if service is None or own and not process["container"]:
            continue
        if not process["container"] and facts["init"] != "systemd" and units:
            continue
        resource = "%s (process %s, %s)" % (service.name, process["program"], _where(process))
        if resource not in findings:
            findings[resource] = _judge_process(facts, process, service, resource, keep)
    return list(findings.values())


def _where(process: Dict[str, Any]) -> str:
    if process["container"]:
        return "container " + process["container"].split(":", 1)[-1][:12]
    return re.sub(r"session-\d+\.scope", "a login session", process["unit"] or "no unit")


def _judge_process(facts: Facts, process: Dict[str, Any], service: table.Service, resource: str,
                   keep: Sequence[str]) -> Finding:
    parts = {"effective": {"program": process["program"], "unit": process["unit"],
                           "container": process["container"], "uid": process["uid"]}}
    if _kept(keep, service.name, os.path.basename(process["program"]), process["unit"]):
        return passed(service.check, resource, reason="the policy keeps it", **parts)
    if process["container"] and service.check == table.UNNEEDED:
        return finding(service.check, resource, "not_assessed", **parts,
                       reason="whether anything in the container needs it cannot be told from outside")
    needs = facts["excuses"].get(service.excuse, {}).get("reasons", ())
    if needs and service.check == table.UNNEEDED:
        return passed(service.check, resource, reason="needed: " + "; ".join(needs[:5]), **parts)
    return found(service.check, resource, risk="manual", **parts,
                 reason="it runs outside of the service's own units; stop it where it was started")
