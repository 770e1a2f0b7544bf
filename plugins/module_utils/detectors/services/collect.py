# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what is started, what would be, what needs it and who is connected to it."""

import fnmatch
import os
import re
from typing import Any, Dict, Iterable, List, Sequence, Set

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import excuses
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import table
from ansible_collections.hostmend.hardening.plugins.module_utils.software import inetd

ENABLED = ("enabled", "enabled-runtime")
RUNLEVEL_FOLDERS = tuple("%s/rc%s.d" % (folder, level) for folder in ("/etc", "/etc/rc.d") for level in "S2345")
ACTIVE = excuses.ACTIVE
SUPERS = {"xinetd": "xinetd", "inetd": "inetd", "inetutils-inetd": "inetd", "openbsd-inetd": "inetd"}


def collect(host: Any, policy: Dict[str, Any]) -> Dict[str, Any]:
    """Return what is started, what would be, what needs it and who is connected to it."""
    services = table.services_of(policy)
    system = host.system()
    facts: Dict[str, Any] = {
        "init": system.init, "live": bool(host.live), "boots": host.boots, "root": bool(system.root), "gaps": [],
        "policy_globs": [], "units": {}, "groups": [], "entries": [], "supers": {}, "processes": [], "listeners": [],
        "peers": [], "excuses": {}}
    boot_scripts = _boot_scripts(host)
    units: Dict[str, Dict[str, Any]] = {}
    if system.init == "systemd" or not host.live:
        reading = host.units()
        facts["gaps"] += ["units: " + gap for gap in reading.gaps]
        units = {unit.name: _unit(unit, boot_scripts) for unit in reading.items}
    if not host.live:
        for name, script in _scripts(host, services, boot_scripts).items():
            units.setdefault(name.replace(".init", ".service"), dict(script, enabled="generated"))
        if not host.boots:
            units = {name: dict(unit, boot=False) for name, unit in units.items()}
    elif system.init != "systemd":
        # Where no init runs, as in a container of one program, a link in a runlevel starts nothing.
        units = _scripts(host, services, set() if system.init == "none" else boot_scripts)
    _collect_running(host, facts, services, units)
    facts["groups"] = _groups(services, units)
    _collect_supers(host, facts, units)
    facts["units"] = _related(units, facts["groups"])
    excuses.collect(host, facts, units)
    return facts


def _unit(unit: Any, boot_scripts: Set[str]) -> Dict[str, Any]:
    needed_by = sorted(set(unit.required_by))
    enabled = unit.enabled or ""
    boot = enabled in ENABLED
    if enabled == "generated":
        boot = unit.name.rsplit(".", 1)[0] in boot_scripts
    elif enabled in ("static", "indirect"):
        boot = any(name.endswith(".target") for name in needed_by)
    return {"load": unit.load, "active": unit.active, "sub": unit.sub, "enabled": enabled, "boot": boot,
            "triggered_by": list(unit.triggered_by), "needed_by": needed_by, "listens": list(unit.listens),
            "triggers": list(unit.triggers)}


def _boot_scripts(host: Any) -> Set[str]:
    """Return the names of init scripts that a runlevel starts."""
    return {match.group(1) for folder in RUNLEVEL_FOLDERS for match in
            (re.match(r"S[0-9][0-9](.+)\Z", name) for name in host.list(folder)) if match}


def _matching(services: Sequence[table.Service], name: str) -> List[table.Service]:
    return [service for service in services if any(fnmatch.fnmatchcase(name, glob) for glob in service.units)]


def _scripts(host: Any, services: Sequence[table.Service],
             boot_scripts: Set[str]) -> Dict[str, Dict[str, Any]]:
    """Return the init scripts of the services as units of the type ``.init``."""
    names = {name for folder in ("/etc/init.d", "/etc/rc.d/init.d") for name in host.list(folder)}
    return {name + ".init": {"load": "loaded", "active": "", "sub": "", "boot": name in boot_scripts,
                             "enabled": "enabled" if name in boot_scripts else "disabled", "triggered_by": [],
                             "needed_by": [], "listens": [], "triggers": []}
            for name in sorted(names) if _matching(services, name + ".service")}


def _program(process: Any) -> str:
    """Return the file name of the program that runs; an applet's name for busybox."""
    path = process.exe or ""
    name = os.path.basename(path) if path else process.comm
    if name == "busybox":
        words = [os.path.basename(word.lstrip("-")) for word in process.argv[:2]]
        name = next((word for word in words if word != "busybox"), name)
    return name


def _collect_running(host: Any, facts: Dict[str, Any], services: Sequence[table.Service],
                     units: Dict[str, Dict[str, Any]]) -> None:
    """Note the daemons of the services that run, their listeners, and who is connected to those."""
    if not host.live:
        return
    programs = {program: service.name for service in services for program in service.programs}
    processes = host.processes()
    facts["gaps"] += ["processes: " + gap for gap in processes.gaps]
    super_units = {unit for names in inetd.SUPER_SERVERS.values() for unit in names}
    for process in processes.items:
        name = _program(process)
        if name in SUPERS and process.container is None:
            entry = facts["supers"].setdefault(SUPERS[name], {"pids": [], "compat": False})
            entry["pids"].append(process.pid)
            entry["compat"] = entry["compat"] or "-inetd_compat" in process.argv
        elif name in programs and process.unit not in super_units:
            unit = process.unit or ""
            template = "%s@.%s" % (unit.partition("@")[0], unit.rpartition(".")[2]) if "@" in unit else unit
            facts["processes"].append({"service": programs[name], "program": process.exe or name, "unit": unit,
                                       "template": template if template in units else "",
                                       "container": process.container or "", "uid": process.uid})
    _collect_listeners(host, facts, units)


def _collect_listeners(host: Any, facts: Dict[str, Any], units: Dict[str, Dict[str, Any]]) -> None:
    """Note the listeners with the unit that each belongs to by its cgroup, and who is connected to those of TCP."""
    listeners = host.listeners()
    facts["gaps"] += ["listeners: " + gap for gap in listeners.gaps]
    for one in listeners.items:
        if one.proto in ("tcp", "udp"):
            facts["listeners"].append({"proto": one.proto, "address": one.address, "port": one.port,
                                       "program": one.process, "unit": _own_unit(one.unit, units),
                                       "socket_unit": one.socket_unit or "", "container": one.container or ""})
    ports = {one["port"] for one in facts["listeners"] if one["proto"] == "tcp"}
    own = host.netns()
    for proto, row, netns in host.established():
        if proto == "tcp" and row[1] in ports and (netns == own or own is None):
            facts["peers"].append({"port": row[1], "peer": row[2]})


def _template(name: str) -> str:
    """Return the template of an instance: ``telnet@.service`` of ``telnet@4.service``."""
    stem, at, rest = name.partition("@")
    return "%s@.%s" % (stem, rest.rpartition(".")[2]) if at else name


def _own_unit(unit: Any, units: Dict[str, Dict[str, Any]]) -> str:
    """Return the name of a unit, of an instance its template's where that is known and the instance is not."""
    name = unit or ""
    template = _template(name)
    return template if name not in units and template in units else name


def _groups(services: Sequence[table.Service], units: Dict[str, Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return each service with the units that there are of it."""
    groups = []
    claimed: Set[str] = set()
    for service in services:
        names = {name for name in units
                 if any(fnmatch.fnmatchcase(name.replace(".init", ".service"), glob) for glob in service.units)
                 and units[name]["enabled"] != "alias" and units[name]["load"] != "not-found"} - claimed
        starters = {one for name in names for one in units[name]["triggered_by"] if one in units}
        names |= starters - claimed
        claimed |= names
        groups.append({"name": service.name, "check": service.check, "units": sorted(names)})
    return groups


def _related(units: Dict[str, Dict[str, Any]], groups: Iterable[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """Return the units of the groups and those that need them; the rest of the host is not our matter."""
    names = {name for group in groups for name in group["units"]}
    names |= {one for name in names for one in units[name]["needed_by"]}
    names |= {one for name in names for one in units.get(name, {}).get("triggers", ())}
    names |= {name for several in inetd.SUPER_SERVERS.values() for name in several}
    return {name: units[name] for name in sorted(names) if name in units}


def _collect_supers(host: Any, facts: Dict[str, Any], units: Dict[str, Dict[str, Any]]) -> None:
    """Note what xinetd and inetd offer, and whether they run or will."""
    entries, unread = inetd.read_all(host.read, host.list, host.exists)
    facts["gaps"] += ["entries: %s could not be read" % name for name in unread]
    facts["entries"] = [entry._asdict() for entry in entries]
    for name, unit_names in inetd.SUPER_SERVERS.items():
        several = [units[one] for unit in unit_names for one in (unit, unit.replace(".service", ".init"))
                   if one in units]
        entry = facts["supers"].setdefault(name, {"pids": [], "compat": False})
        entry["running"] = bool(entry.pop("pids")) or any(one["active"] in ACTIVE for one in several)
        entry["boot"] = any(one["boot"] and one["load"] != "masked" for one in several)
    if not host.live or facts["init"] != "systemd":
        scripts = set() if facts["init"] == "none" else _boot_scripts(host)
        facts["supers"]["xinetd"]["boot"] |= "xinetd" in scripts
        facts["supers"]["inetd"]["boot"] |= bool(scripts & {"openbsd-inetd", "inetutils-inetd", "inetd"})
    setting = host.read("/etc/default/xinetd") or ""
    if re.search(r"^[ \t]*INETD_COMPAT\s*=\s*[\"']?[Yy]|^[^#\n]*-inetd_compat", setting, re.MULTILINE):
        facts["supers"]["xinetd"]["compat"] = True
