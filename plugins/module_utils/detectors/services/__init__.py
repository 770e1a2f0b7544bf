# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that nothing needs, and services that send passwords or data in clear text.

A service counts by all its doors: systemd units (the socket, path and timer as well as the service they start),
entries of xinetd and inetd, init scripts where there is no systemd, and a daemon that somebody started by hand.
What needs it, and who is connected to it, decides whether it is in the way.
"""

from __future__ import annotations

import fnmatch
import os
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies
from ansible_collections.hostmend.hardening.plugins.module_utils.software import inetd
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import table
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import finding
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown

NAME = "services"
READS = ("processes", "listeners", "units")
CHECKS = (table.UNNEEDED, table.LEGACY)
POLICY = {"keep": [], "unneeded": [], "legacy_plaintext": []}

STARTERS = (".socket", ".path", ".timer", ".automount")
ACTIVE = ("active", "activating", "reloading", "refreshing")
ENABLED = ("enabled", "enabled-runtime")
RUNLEVEL_FOLDERS = tuple("%s/rc%s.d" % (folder, level) for folder in ("/etc", "/etc/rc.d") for level in "S2345")
NETWORK_FILESYSTEMS = ("nfs", "nfs4")


# Reading the host

def collect(host, policy):
    """Return what is started, what would be, what needs it and who is connected to it."""
    services = _services(policy)
    system = host.system()
    facts = {"init": system.init, "live": bool(host.live), "boots": host.boots, "root": bool(system.root), "gaps": [],
             "policy_globs": [], "units": {}, "groups": [], "entries": [], "supers": {}, "processes": [], "listeners": [],
             "peers": [], "excuses": {}}
    boot_scripts = _boot_scripts(host)
    units = {}
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
    _collect_excuses(host, facts, units)
    return facts


def _services(policy):
    """Return the table with what the policy adds: each glob of it is a service of its own."""
    added = tuple(table.Service(glob, check, (glob if "." in glob else glob + ".service",))
                  for check, option in ((table.UNNEEDED, "unneeded"),
                                        (table.LEGACY, "legacy_plaintext"))
                  for glob in (policy.get(option) or ()) if isinstance(glob, str) and glob)
    return table.SERVICES + added


def _unit(unit, boot_scripts):
    needed_by = sorted(set(unit.required_by))
    enabled = unit.enabled or ""
    boot = enabled in ENABLED
    if enabled == "generated":
        boot = unit.name.rsplit(".", 1)[0] in boot_scripts
    elif enabled in ("static", "indirect"):
        boot = any(name.endswith(".target") for name in needed_by)
    return {"load": unit.load, "active": unit.active, "sub": unit.sub, "enabled": enabled, "boot": boot,
            "triggered_by": list(unit.triggered_by), "needed_by": needed_by, "listens": list(unit.listens)}


def _boot_scripts(host):
    """Return the names of init scripts that a runlevel starts."""
    return {match.group(1) for folder in RUNLEVEL_FOLDERS for match in
            (re.match(r"S[0-9][0-9](.+)\Z", name) for name in host.list(folder)) if match}


def _matching(services, name):
    return [service for service in services if any(fnmatch.fnmatchcase(name, glob) for glob in service.units)]


def _scripts(host, services, boot_scripts):
    """Return the init scripts of the services as units of the type ``.init``."""
    names = {name for folder in ("/etc/init.d", "/etc/rc.d/init.d") for name in host.list(folder)}
    return {name + ".init": {"load": "loaded", "active": "", "sub": "", "boot": name in boot_scripts,
                             "enabled": "enabled" if name in boot_scripts else "disabled", "triggered_by": [],
                             "needed_by": [], "listens": []}
            for name in sorted(names) if _matching(services, name + ".service")}


def _program(process):
    """Return the file name of the program that runs; an applet's name for busybox."""
    path = process.exe or ""
    name = os.path.basename(path) if path else process.comm
    if name == "busybox":
        words = [os.path.basename(word.lstrip("-")) for word in process.argv[:2]]
        name = next((word for word in words if word != "busybox"), name)
    return name


def _collect_running(host, facts, services, units):
    """Note the daemons of the services that run, their listeners, and who is connected to those."""
    if not host.live:
        return
    programs = {program: service.name for service in services for program in service.programs}
    supers = {"xinetd": "xinetd", "inetd": "inetd", "inetutils-inetd": "inetd", "openbsd-inetd": "inetd"}
    processes = host.processes()
    facts["gaps"] += ["processes: " + gap for gap in processes.gaps]
    super_units = {unit for names in inetd.SUPER_SERVERS.values() for unit in names}
    for process in processes.items:
        name = _program(process)
        if name in supers and process.container is None:
            entry = facts["supers"].setdefault(supers[name], {"pids": [], "compat": False})
            entry["pids"].append(process.pid)
            entry["compat"] = entry["compat"] or "-inetd_compat" in process.argv
        elif name in programs and process.unit not in super_units:
            unit = process.unit or ""
            template = "%s@.%s" % (unit.partition("@")[0], unit.rpartition(".")[2]) if "@" in unit else unit
            facts["processes"].append({"service": programs[name], "program": process.exe or name, "unit": unit,
                                       "template": template if template in units else "",
                                       "container": process.container or "", "uid": process.uid})
    listeners = host.listeners()
    facts["gaps"] += ["listeners: " + gap for gap in listeners.gaps]
    for one in listeners.items:
        if one.proto in ("tcp", "udp"):
            facts["listeners"].append({"proto": one.proto, "address": one.address, "port": one.port,
                                       "program": one.process, "unit": one.unit or "",
                                       "socket_unit": one.socket_unit or "", "container": one.container or ""})
    ports = {one["port"] for one in facts["listeners"] if one["proto"] == "tcp"}
    own = host.netns()
    for proto, row, netns in host.established():
        if proto == "tcp" and row[1] in ports and (netns == own or own is None):
            facts["peers"].append({"port": row[1], "peer": row[2]})


def _groups(services, units):
    """Return each service with the units that there are of it."""
    groups = []
    claimed = set()
    for service in services:
        names = {name for name in units
                 if any(fnmatch.fnmatchcase(name.replace(".init", ".service"), glob) for glob in service.units)
                 and units[name]["enabled"] != "alias" and units[name]["load"] != "not-found"} - claimed
        starters = {one for name in names for one in units[name]["triggered_by"] if one in units}
        names |= starters - claimed
        claimed |= names
        groups.append({"name": service.name, "check": service.check, "units": sorted(names)})
    return groups


def _related(units, groups):
    """Return the units of the groups and those that need them; the rest of the host is not our matter."""
    names = {name for group in groups for name in group["units"]}
    names |= {one for name in names for one in units[name]["needed_by"]}
    names |= {name for several in inetd.SUPER_SERVERS.values() for name in several}
    return {name: units[name] for name in sorted(names) if name in units}


def _collect_supers(host, facts, units):
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


def _collect_excuses(host, facts, units):
    """Look for what needs the services that are there: mounts, exports, printers, paired devices, NIS."""
    present = {group["name"] for group in facts["groups"] if group["units"]}
    present |= {one["service"] for one in facts["processes"]}
    looks = {"nfs": ("nfs", _nfs_use), "rpcbind": ("rpc", _rpc_use), "cups": ("printers", _printers),
             "bluetooth": ("paired", _paired), "nis": ("nis", _nis_use)}
    for name, (key, look) in looks.items():
        if name in present:
            reasons, gap = look(host, units)
            facts["excuses"][key] = {"reasons": reasons, "gap": gap}


def _text(host, name):
    """Return (text, gap) of a file: empty where it is not there, a gap where it is but cannot be read."""
    text = host.read(name)
    if text is not None:
        return text, ""
    try:
        os.lstat(host.path(name))
    except (FileNotFoundError, NotADirectoryError):
        return "", ""
    except OSError:
        pass
    return "", "%s could not be read" % name


def _lines(text):
    return [line.split("#", 1)[0].split() for line in text.splitlines() if line.split("#", 1)[0].strip()]


def _mounts(host):
    reasons = []
    text = (host.read("/proc/self/mounts") or "") if host.live else ""
    reasons += ["%s is mounted from %s" % (words[1], words[0]) for words in _lines(text)
                if len(words) > 2 and words[2] in NETWORK_FILESYSTEMS]
    text, gap = _text(host, "/etc/fstab")
    reasons += ["/etc/fstab mounts %s from %s" % (words[1], words[0]) for words in _lines(text)
                if len(words) > 2 and words[2] in NETWORK_FILESYSTEMS]
    return reasons, gap


def _nfs_use(host, units):
    reasons, gap = _mounts(host)
    names = ["/etc/exports"] + ["/etc/exports.d/" + name for name in host.list("/etc/exports.d")
                                if name.endswith(".exports")]
    if host.live:
        names += ["/var/lib/nfs/etab", "/proc/fs/nfsd/exports"]
    for name in names:
        text, unread = _text(host, name)
        gap = gap or unread
        if _lines(text):
            reasons.append("%s exports directories" % name)
    if units.get("autofs.service", {}).get("active") in ACTIVE:
        reasons.append("autofs may mount NFS at any time")
    return reasons, gap


def _rpc_use(host, units):
    reasons, gap = _mounts(host)
    if units.get("autofs.service", {}).get("active") in ACTIVE:
        reasons.append("autofs may mount NFS at any time")
    # Asked only where it runs: the question would wake it up by its socket.
    if host.live and any(units.get(name, {}).get("active") in ACTIVE for name in
                         ("rpcbind.service", "portmap.service")):
        answer = host.run(["rpcinfo"])
        if answer.ok:
            reasons += parse_rpcinfo(answer.out)
    return reasons, gap


def parse_rpcinfo(text):
    """Return who has registered with rpcbind, less rpcbind itself: "program 100005 (mountd)" each."""
    made = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].isdecimal() and int(words[0]) != 100000:
            made[int(words[0])] = words[4] if words[4] != "-" else ""
    return ["program %d is registered%s" % (number, " (%s)" % name if name else "")
            for number, name in sorted(made.items())]


def _printers(host, _units):
    for name in ("/etc/cups/printers.conf", "/etc/cups/classes.conf"):
        text, gap = _text(host, name)
        if gap:
            return [], gap
        if re.search(r"^[ \t]*<(Default)?(Printer|Class)\s", text, re.MULTILINE | re.IGNORECASE):
            return ["%s has a printer" % name], ""
    return [], ""


def _paired(host, _units):
    folder = "/var/lib/bluetooth"
    try:
        adapters = os.listdir(host.path(folder))
    except FileNotFoundError:
        return [], ""
    except OSError:
        return [], "%s could not be read" % folder
    for adapter in sorted(adapters):
        for device in host.list("%s/%s" % (folder, adapter)):
            if host.exists("%s/%s/%s/info" % (folder, adapter, device)):
                return ["a device is paired"], ""
    return [], ""


def _nis_use(host, _units):
    text, gap = _text(host, "/etc/nsswitch.conf")
    for words in _lines(text):
        if words[0].rstrip(":") in ("passwd", "group", "shadow", "hosts", "netgroup") and "nis" in words[1:]:
            return ["/etc/nsswitch.conf takes %s from NIS" % words[0].rstrip(":")], gap
    return [], gap


# Judging what was read

def check(facts, policy):
    """Return the findings of the facts."""
    services = {service.name: service for service in _services(policy)}
    keep = tuple(glob for glob in policy.get("keep") or () if isinstance(glob, str))
    findings = []
    unit_gap = next((gap for gap in facts["gaps"] if gap.startswith(("units:", "processes:"))), "")
    going = _going(facts, services, keep)
    for group in facts["groups"]:
        if group["units"]:
            findings.append(_judge_units(facts, group, services[group["name"]], keep, going))
    findings += _judge_entries(facts, services, keep)
    findings += _judge_processes(facts, services, keep)
    for one in CHECKS:
        about = [item for item in findings if item["check"] == one and item["status"] != "not_assessed"]
        gap = unit_gap or (_gap(facts, "entries:") if not about else "")
        if gap and not any(item["status"] == "open" for item in about):
            findings.append(unknown(one, "services", gap))
        elif not about:
            findings.append(not_applicable(one, "no service of this kind is installed"))
    return with_remedies(findings, remedy.of)


def _gap(facts, kind):
    return next((gap for gap in facts["gaps"] if gap.startswith(kind)), "")


def _kept(keep, *names):
    return any(fnmatch.fnmatchcase(name, glob) or name.rsplit(".", 1)[0] == glob for glob in keep for name in names)


def _states(facts, group):
    """Return (units that run, units that a boot would start) of a group."""
    units = {name: facts["units"][name] for name in group["units"]}
    active = [name for name, unit in units.items() if unit["active"] in ACTIVE]
    boot = [name for name, unit in units.items() if unit["boot"] and unit["load"] != "masked"]
    return active, boot


def _going(facts, services, keep):
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


def _group(facts, name):
    return next(group for group in facts["groups"] if group["name"] == name)


def _needs(facts, group, service, going):
    """Return who needs the service, one sentence each, those apart that are to go themselves."""
    gone = {name for other in facts["groups"] if other["name"] in going | {group["name"]} for name in other["units"]}
    reasons = []
    for name in group["units"]:
        for other in facts["units"][name]["needed_by"]:
            unit = facts["units"].get(other)
            if other in gone or other.endswith((".target", ".slice")) or unit is None:
                continue
            if unit["active"] in ACTIVE or (unit["boot"] and unit["load"] != "masked"):
                reasons.append("%s needs %s" % (other, name))
    for reason in facts["excuses"].get(service.excuse, {}).get("reasons", ()):
        number = re.match(r"program (\d+)", reason)
        owner = table.RPC_OWNERS.get(int(number.group(1))) if number else None
        if owner is None or owner not in going:
            reasons.append(reason)
    if service.use_excuses:
        reasons += ["%s is connected to it" % peer for peer in _peers(facts, _listeners(facts, group))]
    return list(dict.fromkeys(reasons))


def _listeners(facts, group):
    """Return the sockets that the group's units, or their processes, accept on."""
    programs = {os.path.basename(one["program"])[:15] for one in facts["processes"]
                if one["service"] == group["name"] and not one["container"]}
    units = set(group["units"])
    return [one for one in facts["listeners"] if not one["container"] and
            (one["unit"] in units or one["socket_unit"] in units or (one["program"] in programs and one["program"]))]


def _peers(facts, listeners):
    ports = {one["port"] for one in listeners if one["proto"] == "tcp"}
    return sorted({peer["peer"] for peer in facts["peers"] if peer["port"] in ports})


def _said(listeners):
    made = {"%s %s:%d" % (one["proto"], "[%s]" % one["address"] if ":" in one["address"] else one["address"],
                          one["port"]) for one in listeners}
    return sorted(made)


def _judge_units(facts, group, service, keep, going):
    resource = "%s (%s)" % (group["name"], "systemd" if facts["init"] == "systemd" or not facts["live"] else "init")
    active, boot = _states(facts, group)
    listeners = _listeners(facts, group)
    peers = _peers(facts, listeners)
    parts = {"persistent": {"units": {name: facts["units"][name]["enabled"] or "none" for name in group["units"]}}}
    if facts["live"]:
        parts["effective"] = {"units": {name: facts["units"][name]["active"] or "unknown" for name in group["units"]},
                              "listeners": _said(listeners)}
        parts["observed"] = {"connected": peers}
    if not facts["live"] or facts["init"] != "systemd":  # a script says nothing of what runs
        active = [name for name in group["units"] if any(one["service"] == group["name"] and not one["container"]
                                                         for one in facts["processes"])]
    if not active and not boot:
        reason = "masked" if all(facts["units"][name]["load"] == "masked" for name in group["units"]) else \
            "neither running nor started at boot" if facts["boots"] else \
            "there is no init in it that would start it"
        return passed(group["check"], resource, reason=reason, **parts)
    if _kept(keep, group["name"], *group["units"]):
        return passed(group["check"], resource, reason="the policy keeps it", **parts)
    starters = [name for name in active if name.endswith(STARTERS)]
    reason = "; ".join(filter(None, [
        "running: " + ", ".join(active) if active else "",
        "started at boot: " + ", ".join(boot) if boot else "",
        ", ".join(starters) + " starts it again when it is stopped" if starters else ""]))
    needs = _needs(facts, group, service, going)
    gap = facts["excuses"].get(service.excuse, {}).get("gap", "")
    unseen = _gap(facts, "listeners:") if active else ""  # whose they are, and so who is connected
    if service.use_excuses:
        gap = gap or unseen
    if needs and service.check == table.LEGACY:
        return found(group["check"], resource, reason=reason, risk="manual", affects=needs, **parts)
    if needs:
        return passed(group["check"], resource, reason="needed: " + "; ".join(needs[:5]), **parts)
    if gap:
        return unknown(group["check"], resource, "whether something needs it cannot be told: " + gap, **parts)
    if peers:
        return found(group["check"], resource, reason=reason, risk="disruptive",
                     affects=["%s is connected to it" % peer for peer in peers], **parts)
    if unseen:
        return found(group["check"], resource, reason=reason, risk="disruptive",
                     affects=["clients that could not be seen: " + unseen], **parts)
    if any(one["proto"] == "udp" for one in listeners) and service.check == table.LEGACY:
        return found(group["check"], resource, reason=reason, risk="disruptive",
                     affects=["clients over UDP, which leave no connection to be seen"], **parts)
    return found(group["check"], resource, reason=reason, **parts)


def _entry_service(services, entry):
    """Return the service of the table that an entry of inetd or xinetd offers."""
    program = os.path.basename(entry["program"])
    for service in services.values():
        if entry["service"] in service.entries:
            return service if not service.servers or program in service.servers else None
        if program in service.programs:
            return service
    return None


def _judge_entries(facts, services, keep):
    findings = []
    for entry in facts["entries"]:
        service = _entry_service(services, entry)
        if service is None:
            continue
        resource = "%s %s (%s)" % (entry["name"], entry["proto"], entry["file"])
        readers = [name for name, one in sorted(facts["supers"].items())
                   if name == entry["kind"] or (name == "xinetd" and one["compat"])]
        running = [name for name in readers if facts["supers"][name]["running"]]
        boot = [name for name in readers if facts["supers"][name]["boot"]]
        port = entry["port"] or inetd.PORTS.get(entry["service"], 0)
        listeners = [one for one in facts["listeners"] if one["port"] == port and one["proto"] == entry["proto"]
                     and one["program"][:15] in ("xinetd", "inetd", "inetutils-inetd", "openbsd-inetd")]
        peers = _peers(facts, listeners)
        parts = {"persistent": {"file": entry["file"], "line": entry["line"], "name": entry["name"],
                                "proto": entry["proto"], "kind": entry["kind"], "program": entry["program"],
                                "enabled": entry["enabled"], "started_at_boot_by": boot}}
        if facts["live"]:
            parts["effective"] = {"served_by": running, "listeners": _said(listeners)}
            parts["observed"] = {"connected": peers}
        if not entry["enabled"]:
            findings.append(passed(service.check, resource, reason="the entry is switched off", **parts))
        elif not running and not boot:
            findings.append(passed(service.check, resource, reason="no super-server runs or is started at boot",
                                   **parts))
        elif _kept(keep, service.name, entry["name"]):
            findings.append(passed(service.check, resource, reason="the policy keeps it", **parts))
        elif peers and service.use_excuses:
            findings.append(passed(service.check, resource, reason="needed: " + "; ".join(
                "%s is connected to it" % peer for peer in peers[:5]), **parts))
        else:
            more = {}
            if peers:
                more = {"risk": "disruptive", "affects": ["%s is connected to it" % peer for peer in peers]}
            findings.append(found(service.check, resource, reason="offered by " + ", ".join(running or boot),
                                  **more, **parts))
    return findings


def _judge_processes(facts, services, keep):
    """Judge the daemons that run outside of the units of their service: started by hand, or in a container."""
    findings, seen = [], set()
    for process in facts["processes"]:
        service = services.get(process["service"])
        group = next((one for one in facts["groups"] if one["name"] == process["service"]), {"units": []})
        own = process["unit"] in group["units"] or process["template"] in group["units"]
        if own and not process["container"]:
            continue
        if service is None or (not process["container"] and facts["init"] != "systemd" and group["units"]):
            continue
        where = "container " + process["container"].split(":", 1)[-1][:12] if process["container"] else \
            process["unit"] or "no unit"
        where = re.sub(r"session-\d+\.scope", "a login session", where)
        resource = "%s (process %s, %s)" % (service.name, process["program"], where)
        if resource in seen:
            continue
        seen.add(resource)
        parts = {"effective": {"program": process["program"], "unit": process["unit"],
                               "container": process["container"], "uid": process["uid"]}}
        if _kept(keep, service.name, os.path.basename(process["program"]), process["unit"]):
            findings.append(passed(service.check, resource, reason="the policy keeps it", **parts))
            continue
        if process["container"] and service.check == table.UNNEEDED:
            findings.append(finding(service.check, resource, "not_assessed", **parts,
                                    reason="whether anything in the container needs it cannot be told from outside"))
            continue
        needs = facts["excuses"].get(service.excuse, {}).get("reasons", ())
        if needs and service.check == table.UNNEEDED:
            findings.append(passed(service.check, resource, reason="needed: " + "; ".join(needs[:5]), **parts))
        else:
            findings.append(found(service.check, resource, risk="manual", **parts,
                                  reason="it runs outside of the service's own units; stop it where it was started"))
    return findings
