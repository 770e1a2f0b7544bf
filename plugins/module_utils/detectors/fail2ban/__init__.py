# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brute force: whether who guesses passwords is banned, for each service that takes them, and accounts are locked.

What counts is what fail2ban's server says of the jails that run, held against the logs that the services really write
and the ports that they really listen on.
"""

from __future__ import annotations

import os
import re
import stat

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import authselect
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import services as ban_services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import table
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import client
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import jails as fail2ban_jail
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import alternatives
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import stack
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown

NAME = "fail2ban"
READS = ("processes", "listeners", "units", "packages", "firewall")
MISSING, JAIL_MISSING, JAIL_BLIND, NO_LOCKOUT = CHECKS = (
    "fail2ban.missing", "fail2ban.jail_missing", "fail2ban.jail_blind", "fail2ban.no_lockout")
POLICY = {
    "ignore": [],
    "exempt_services": [],
    "penalties_suffice": False,
    "lockout": True,
    "lockout_deny": 10,
}
UNIT = "fail2ban.service"
PROGRAM = "fail2ban-server"
FOLDERS = ("/usr/bin/", "/usr/local/bin/", "/usr/sbin/", "/sbin/", "/bin/", "/usr/local/sbin/")
OWN_FILE = "/etc/fail2ban/jail.d/zz-hostmend.conf"
SOCKETS = ("/run/fail2ban/fail2ban.sock", "/var/run/fail2ban/fail2ban.sock")
MOST_TEXT = 256 * 1024


# Reading the host

def collect(host, policy):
    """Return the services that take passwords, what bans, the jails, and the stacks of PAM."""
    system = host.system()
    facts = {"live": bool(host.live), "boots": host.boots, "executes": bool(host.executes), "root": bool(system.root),
             "init": system.init, "services": [], "gaps": [], "fail2ban": {}, "others": {}, "hears": {}, "jails": {},
             "lockout": [], "wanted": {}, "local": {}, "own": [], "logs": {}, "install": [],
             "banaction": "", "controllers": [], "logtarget": ""}
    services, facts["gaps"] = ban_services.collect(host, policy)
    exempt = set(policy["exempt_services"])
    facts["services"] = [one for one in services if one["name"] not in exempt]
    targets = [one for one in facts["services"] if one["passwords"]]
    facts["controllers"] = list(policy["common"].get("controller_addresses") or host.controller_addresses())
    if targets or installed(host):
        facts["logs"] = ban_services.syslog(host)
        facts["others"] = alternatives.collect(host)
        facts["hears"] = dict((one["name"], alternatives.hears(host, facts["others"], one, facts["logs"])) for one in targets) \
            if alternatives.in_charge(facts["others"]) else {}
        _collect_fail2ban(host, facts)
        named = _named_ports(host)
        for jail in facts["jails"].values():
            _relate(host, jail, targets, facts["logs"], named)
        facts["wanted"] = dict((one["name"], _wanted(host, one, facts["logs"])) for one in targets)
        _collect_means(host, facts, targets)
    facts["lockout"] = _collect_lockout(host, targets, system)
    return facts


def _has(host, program):
    return any(host.exists(folder + program) for folder in FOLDERS)


def installed(host):
    """Tell whether fail2ban is on this host."""
    return _has(host, PROGRAM)


def _collect_fail2ban(host, facts):
    about = facts["fail2ban"] = {"installed": installed(host), "running": False, "enabled": None, "failure": "",
                                 "complaint": "", "mendable": False}
    if not about["installed"]:
        return
    unit = next((one for one in host.units().items if one.name == UNIT), None)
    about["enabled"] = unit.enabled in ban_services.ENABLED if unit else None
    _collect_texts(host, facts)
    if not host.executes:
        about["failure"] = "fail2ban cannot be asked of a root filesystem where nothing runs"
        return
    test = host.run(["fail2ban-client", "-t"], seconds=client.SECONDS)
    if test.failure:
        about["failure"] = "fail2ban-client could not be run: %s" % test.failure
    elif not test.ok:
        about["complaint"], about["mendable"] = complaint_of(test.out + "\n" + test.err)
    if not host.live:
        if not about["complaint"]:
            facts["jails"] = client.dump(host.run(["fail2ban-client", "-d"], seconds=client.SECONDS).out)
        return
    servers = [one for one in host.processes().items if one.container is None
               and (one.comm == PROGRAM or any(part.endswith(PROGRAM) for part in one.argv[:3]))]
    about["running"] = bool(servers)
    if not servers:
        return
    try:
        socket = _socket(host, servers[0])
        facts["jails"], gaps = client.jails(host, socket)
        facts["gaps"] += gaps
    except client.ClientError as error:
        about["failure"] = str(error)


def complaint_of(text):
    """Return what ``fail2ban-client -t`` complains of, without what its files hold, and whether a jail of ours mends it."""
    jails = re.findall(r"Have not found any log file for (\S{1,64}) jail", text)
    if jails:
        return "no log file for the jail %s" % ", ".join(sorted(set(jails))), True
    place = re.search(r"(?:file: |While reading from )'([^']{1,200})'(?:, line:| \[line) *(\d+)", text)
    if place:
        return "%s line %s cannot be read" % place.groups(), False
    jail = re.search(r"Errors in jail '([^']{1,64})'", text)
    if jail:
        return "the jail %s has errors" % jail.group(1), False
    key = re.search(r"option '([^']{1,64})' in section '([^']{1,64})'", text)
    if key:
        return "%s of the jail %s cannot be resolved" % key.groups(), False
    return "fail2ban-client -t fails", False


def _socket(host, server):
    """Return the socket of the running server, once it is sure that nobody else is behind it."""
    paths = [one.path for one in host.listeners().items if one.proto == "unix" and server.pid in one.pids]
    path = next(iter(paths), "") or next((one for one in SOCKETS if host.exists(one)), SOCKETS[0])
    mine = os.geteuid()
    try:
        about, folder = os.stat(host.path(path)), os.stat(os.path.dirname(host.path(path)))
    except PermissionError as error:
        raise client.ClientError("fail2ban can be asked by root alone") from error
    except OSError as error:
        raise client.ClientError("fail2ban runs, but its socket cannot be reached") from error
    if not stat.S_ISSOCK(about.st_mode):
        raise client.ClientError("%s is no socket" % path)
    if mine != 0:
        raise client.ClientError("fail2ban can be asked by root alone")
    # What answers is unpickled by fail2ban's client: it must be root's own.
    if about.st_uid != 0 or folder.st_uid != 0 or (folder.st_mode & 0o022 and not folder.st_mode & stat.S_ISVTX) \
            or server.uid not in (0, None):
        raise client.ClientError("the socket of fail2ban belongs to another user than root, so it was not asked")
    return path


def _collect_texts(host, facts):
    """Note which jails and defaults the administrator's own files set, and which jails our file has."""
    names = ["/etc/fail2ban/jail.local"]
    names += ["/etc/fail2ban/jail.d/" + name for name in host.list("/etc/fail2ban/jail.d") if name.endswith(".local")]
    for name in names:
        for section, keys in sections_of(host.read(name, MOST_TEXT) or "").items():
            facts["local"].setdefault(section, {"file": name, "keys": {}})["keys"].update(keys)
    facts["own"] = [name for name in sections_of(host.read(OWN_FILE, MOST_TEXT) or "") if name != "DEFAULT"]


def sections_of(text):
    """Return {section: {key: value}} of a configuration of fail2ban."""
    made, section, key = {}, None, ""
    for line in text.splitlines():
        head = re.match(r"\[([^\]]{1,64})\]", line)
        if head:
            section = made.setdefault(head.group(1), {})
        elif section is not None and line[:1] in " \t" and line.strip() and key in section:
            section[key] += " " + line.strip()
        elif section is not None and re.match(r"[A-Za-z_]", line):
            name, equals, value = line.partition("=")
            key = name.strip().lower()
            if equals:
                section[key] = value.strip()
    return made


def _named_ports(host):
    made = {}
    for name, port in re.findall(r"^([a-z][\w-]*)\s+(\d+)/tcp", host.read("/etc/services") or "", re.MULTILINE):
        made.setdefault(name, int(port))
    return made


# Holding a jail against a service

def _relate(host, jail, targets, logs, named):
    """Note which services a jail is about, and for each what is wrong with it; its expressions are dropped then."""
    prefix, regexes = jail.pop("prefix"), jail.pop("regexes")
    text = "\n".join([prefix] + regexes)
    jail["serves"] = {}
    for service in targets:
        known = table.BY_NAME[service["name"]]
        if any(mark in text for mark in known.marks):
            jail["serves"][service["name"]] = _faults(host, jail, service, known, logs, named, prefix, regexes)


def _faults(host, jail, service, known, logs, named, prefix, regexes):
    """Return what keeps a jail from banning who attacks a service, one phrase each."""
    problems, doubts = [], []
    if jail["kind"] == "journal":
        heard = ban_services.journal_has(jail["matches"], service)
        if not logs["journal"]:
            problems.append("it reads the journal, which is not kept here")
        elif heard is False:
            problems.append("its journal match (%s) takes nothing that %s logs" % (
                " + ".join(" ".join("=".join(term) for term in terms) for terms in jail["matches"]),
                "/".join(service["identifiers"]) or service["name"]))
        elif heard is None:
            doubts.append("whether its journal match takes what %s logs cannot be told" % service["name"])
        elif not service["identifiers"]:
            problems.append("it reads the journal, where %s does not log" % service["name"])
    elif not jail["logs"]:
        problems.append("it reads no log file")
    elif host.live and not any(ban_services.live(host, path, service, logs) for path in jail["logs"]):
        problems.append("nobody writes what it reads (%s)" % ", ".join(jail["logs"][:3]))
    own = jail["kind"] != "journal" and any(path in service["own_logs"] for path in jail["logs"])
    lines = _lines(service, known, own, jail)
    for identifier in service["identifiers"] or ("",):
        caught = [client.catches(prefix, regexes, line.format(identifier)) for line in lines]
        if caught and not any(one is not False for one in caught):
            problems.append("its filter does not take what %s logs" % (identifier or service["name"]))
    return {"problems": problems + _action_faults(host, jail, service, named), "doubts": doubts}


def _lines(service, known, own, jail):
    """Return failed logins as the service really writes them."""
    told = service.get("settings") or {}
    if service["name"] == "dropbear":
        return known.lines[1:] if told.get("stderr") else known.lines[:1]
    if service["name"] == "dovecot":
        # What PAM writes is in the journal, too; a syslog daemon has it in another file.
        seen = jail["kind"] == "journal" or set(jail["logs"]) & set(table.AUTH_FILES)
        by_pam = seen and told.get("usepam", "yes") == "yes"
        mine = known.lines[:2] if not told.get("version") else known.lines[1:2] if _new_dovecot(told) else known.lines[:1]
        return mine + (known.lines[2:] if by_pam else ())
    written = [line for line in known.lines if "{0}" not in line]
    return written if own and written else [line for line in known.lines if "{0}" in line]


def _new_dovecot(settings):
    """Tell whether Dovecot is of 2.4 or later."""
    return tuple(int(part) for part in settings.get("version", "").split(".") if part) >= (2, 4)


def _action_faults(host, jail, service, named):
    bans = [one for one in jail["actions"] if one["program"]]
    if not bans:
        return ["none of its actions bans"]
    able = [one for one in bans if one["program"] == "hosts.deny" or _has(host, one["program"])]
    if not able:
        return ["its action needs %s, which is not installed" % bans[0]["program"]]
    for one in able:
        missed = [] if one["ports"] is None else [port for port in service["ports"]
                                                  if not client.covers(one["ports"], port, named)]
        if not missed:
            return []
    return ["its action bans from port %s, not from %s" % (able[0]["ports"], ", ".join(str(port) for port in missed))]


def _wanted(host, service, logs):
    """Return the jail that watches a service on this host."""
    known = table.BY_NAME[service["name"]]
    made = {"jail": known.jail, "filter": known.filter or known.jail, "port": ",".join(str(one) for one in service["ports"]),
            "backend": "auto", "logpath": [], "journalmatch": "", "failregex": list(known.failregex), "create": []}
    if known.failregex:
        made["filter"] = ""
    if service["name"] == "dovecot" and _new_dovecot(service.get("settings") or {}):
        made["failregex"] += known.added
    syslogs = [path for path in known.files if host.live and ban_services.live(host, path, service, logs)]
    if service["own_logs"] and not (service["name"] == "mysql" and not host.live):
        made["logpath"] = list(service["own_logs"])
        made["create"] = [path for path in made["logpath"] if not host.exists(path)]
    elif syslogs:
        made["logpath"] = syslogs[:1]
    elif logs["journal"] and service["identifiers"]:
        made.update(backend="systemd", journalmatch=_match(service))
    elif known.own_files:
        made["logpath"] = list(known.own_files[:1])
        made["create"] = [path for path in made["logpath"] if not host.exists(path)]
    return made


def _match(service):
    """Return a journal match on what no local user can forge, where there is such."""
    unit, socket = service["unit"], service["socket"]
    if service["name"] == "postfix" or not (unit or socket):
        return " + ".join("_COMM=%s _UID=0" % name.rpartition("/")[2] for name in service["identifiers"]) \
            if service["name"] != "postfix" else "_SYSTEMD_UNIT=postfix@-.service + _SYSTEMD_UNIT=postfix.service"
    if socket:
        # With Accept=yes each connection has a unit of its own, all in one slice.
        base = socket.split(".")[0]
        return "_SYSTEMD_UNIT=%s.service + _SYSTEMD_SLICE=system-%s.slice" % (base, base)
    return "_SYSTEMD_UNIT=%s" % unit


def _collect_means(host, facts, targets):
    """Note with what to ban here, and what has to be installed for it."""
    rpm = facts["init"] and _has(host, "rpm") and not _has(host, "dpkg")
    if host.live and host.firewall().manager == "firewalld":
        facts["banaction"] = "firewallcmd"
    else:
        facts["banaction"] = "iptables" if _has(host, "iptables") and not _has(host, "nft") else "nftables"
    wanted = ["fail2ban-server" if rpm else "fail2ban"]
    wanted += ["nftables"] if facts["banaction"] == "nftables" else []
    wanted += ["python3-systemd"] if any(one["backend"] == "systemd" for one in facts["wanted"].values()) else []
    there = set(one.name for one in host.packages().items)
    facts["install"] = [name for name in wanted if name not in there and not (name.startswith("fail2ban") and installed(host))]
    facts["logtarget"] = "/var/log/fail2ban.log"


# Lockouts

def _collect_lockout(host, targets, system):
    stacks = {}
    for service in targets:
        known = table.BY_NAME[service["name"]]
        name = (service.get("settings") or {}).get("pam_service_name", known.pam)
        if name and (service.get("settings") or {}).get("usepam", "yes") == "yes" and not service["container"]:
            stacks.setdefault(name, []).append(service["name"])
    if host.live and system.container is None and any(one.comm in ("agetty", "mingetty", "getty")
                                                      for one in host.processes().items):
        stacks.setdefault("login", []).append("the console")
    means, hindrance = _means(host) if stacks else ("", "")
    return [_stack(host, name, used, means, hindrance) for name, used in sorted(stacks.items())]


def _means(host):
    """Return by what a lockout can be added here, and what keeps it from that."""
    if _has(host, "pam-auth-update") and not (_has(host, authselect.PROGRAM) and host.exists(authselect.SELECTED)):
        return "pam-auth-update", ""
    if not _has(host, authselect.PROGRAM):
        return "", "there is neither pam-auth-update nor authselect to add it by"
    if not host.executes:
        return authselect.PROGRAM, ""

    def run(argv):
        said = host.run(argv, seconds=client.SECONDS)
        return (0 if said.ok else 1), said.err + said.out

    try:
        authselect.selected(run, host.read)
    except authselect.Hindrance as hindrance:
        return "", str(hindrance)
    return authselect.PROGRAM, ""


def _stack(host, name, used, means, hindrance):
    seen = stack.judged(host.read, name)
    return {"stack": name, "used": used, "problems": seen.problems, "failure": seen.failure,
            "deny": seen.settings.get("deny", ""), "unlock_time": seen.settings.get("unlock_time", ""),
            "root": "even_deny_root" in seen.settings, "means": means, "hindrance": hindrance}


# Judging

def check(facts, policy):
    """Return the findings of the facts."""
    targets = [one for one in facts["services"] if one["passwords"]]
    findings = _judge_bans(facts, policy, targets) if targets else _nobody(facts)
    return with_remedies(findings + _judge_lockout(facts, policy), lambda each: remedy.of(each, facts))


def _nobody(facts):
    gap = next(iter(facts["gaps"]), "")
    if gap:
        return [unknown(one, "services", gap) for one in CHECKS[:3]]
    reason = "no service that takes passwords can be reached from another host" if facts["boots"] else \
        "there is no init in it that would start a service"
    return [not_applicable(one, reason) for one in CHECKS[:3]]


def penalty_of(facts):
    """Return what sshd itself holds against who fails to log in."""
    for one in facts["services"]:
        told = (one.get("settings") or {}).get("persourcepenalties", "")
        if one["name"] == "ssh" and told and told != "no":
            return told
    return ""


def _judge_bans(facts, policy, targets):
    about, penalty = facts["fail2ban"], penalty_of(facts)
    parts = {"effective": {"services": ["%s %s" % (one["name"], ",".join(str(port) for port in one["ports"])) for one in targets],
                           "running": about.get("running", False)},
             "persistent": {"enabled": about.get("enabled"), "configuration": about.get("complaint") or "valid"}}
    if penalty:
        parts["effective"]["sshd_penalties"] = penalty
    if about.get("installed") and (about["running"] or not facts["live"]) and not _absent(facts):
        return _judge_fail2ban(facts, policy, targets, parts)
    other = alternatives.in_charge(facts["others"])
    if other:
        return _judge_other(facts, targets, other, parts)
    reason = "nothing bans who guesses passwords"
    if penalty and policy["penalties_suffice"] and [one["name"] for one in targets] == ["ssh"]:
        reason = "sshd itself turns away who fails to log in, which the policy lets suffice"
        return [passed(MISSING, "brute force", reason=reason, **parts)] + [not_applicable(one, reason) for one in CHECKS[1:3]]
    if about.get("complaint"):
        reason += ": fail2ban does not start (%s)" % about["complaint"]
    elif about.get("installed"):
        reason += ": fail2ban is installed, but does not run" if facts["live"] else ": fail2ban is not enabled"
    if facts["others"].get("crowdsec") and not other:
        reason += ", as CrowdSec has no bouncer"
    if penalty:
        reason += "; what sshd itself holds against them slows them down only"
    risk = "manual" if about.get("complaint") and not _mendable(facts) or facts["others"].get("crowdsec") else None
    return [found(MISSING, "brute force", reason=reason, risk=risk, **parts)] + [
        not_applicable(one, "nothing bans here at all: see fail2ban.missing") for one in CHECKS[1:3]]


def _absent(facts):
    return not facts["live"] and facts["fail2ban"]["enabled"] is False


def _mendable(facts):
    """Tell whether our own file can mend a configuration: its fault is in a jail that nobody else's file insists on."""
    about = facts["fail2ban"]
    jails = about["complaint"].rpartition("jail ")[2].split(", ")
    wanted = [one["jail"] for one in facts["wanted"].values()]
    return about["mendable"] and all(jail in wanted and jail not in facts["local"] for jail in jails)


def _judge_fail2ban(facts, policy, targets, parts):
    about = facts["fail2ban"]
    if about["failure"]:
        return [unknown(one, "fail2ban", about["failure"], **parts) for one in CHECKS[:3]]
    made = []
    if about["complaint"]:
        made.append(found(MISSING, "fail2ban", risk=None if _mendable(facts) else "manual", **parts,
                          reason="%s not start with its configuration: %s" % (
                              "fail2ban runs, but a restart would" if about["running"] else "fail2ban will",
                              about["complaint"])))
    elif about["enabled"] is False:
        made.append(found(MISSING, "fail2ban", reason="fail2ban runs, but a boot will not start it", **parts))
    elif about["enabled"] is None and facts["init"] == "systemd" and facts["live"]:
        made.append(unknown(MISSING, "fail2ban", "it runs, but whether a boot starts it cannot be told", **parts))
    else:
        made.append(passed(MISSING, "fail2ban", reason="fail2ban runs", **parts))
    gap = next((one for one in facts["gaps"] if "jails" in one), "")
    for service in targets:
        made += _judge_service(facts, service, gap, policy)
    for check in (JAIL_MISSING, JAIL_BLIND):
        if not any(one["check"] == check for one in made):
            made.append(not_applicable(check, "no service has a jail"))
    return made


def _judge_service(facts, service, gap, policy):
    name, wanted = service["name"], facts["wanted"][service["name"]]
    jails = dict((jail, about["serves"][name]) for jail, about in facts["jails"].items() if name in about["serves"])
    parts = {"effective": {"ports": service["ports"], "unit": service["unit"] or service["socket"],
                           "logs_as": service["identifiers"], "jails": sorted(jails)},
             "persistent": {"service": name, "jail": wanted["jail"]}}
    if service["container"]:
        return [unknown(JAIL_MISSING, name, "it runs in a container, whose logs were not looked at", **parts)]
    local = facts["local"].get(wanted["jail"])
    risk, hint = None, ""
    if local and set(local["keys"]) & fail2ban_jail.DECISIVE:
        risk, hint = "manual", "; %s sets it, and is an administrator's own" % local["file"]
    if facts["fail2ban"].get("complaint") and not _mendable(facts):
        # No jail of ours gets in beside what fail2ban does not accept.
        risk, hint = "manual", "; first the configuration of fail2ban has to be corrected by hand"
    if not jails:
        if name == "ssh" and penalty_of(facts) and policy["penalties_suffice"]:
            return [passed(JAIL_MISSING, name, reason="sshd itself turns away who fails to log in", **parts)]
        if gap:
            return [unknown(JAIL_MISSING, name, gap, **parts)]
        return [found(JAIL_MISSING, name, reason="no jail watches it%s" % hint, risk=risk, **parts)]
    made = [passed(JAIL_MISSING, name, reason="it is watched by %s" % ", ".join(sorted(jails)), **parts)]
    good = [jail for jail, about in jails.items() if not about["problems"] and not about["doubts"]]
    for jail, about in sorted(jails.items()):
        seen = {"effective": dict(parts["effective"], **_seen(facts["jails"][jail])), "persistent": parts["persistent"]}
        resource = "%s (%s)" % (jail, name)
        if not about["problems"] and not about["doubts"]:
            made.append(passed(JAIL_BLIND, resource, **seen))
        elif good:
            made.append(passed(JAIL_BLIND, resource, reason="%s watches in its place" % good[0], **seen))
        elif about["problems"]:
            made.append(found(JAIL_BLIND, resource, reason="; ".join(about["problems"]) + hint, risk=risk, **seen))
        else:
            made.append(unknown(JAIL_BLIND, resource, about["doubts"][0], **seen))
    return made


def _seen(jail):
    return {"reads": jail["logs"] if jail["kind"] == "files" else
            ["journal: " + (" + ".join(" ".join("=".join(term) for term in terms) for terms in jail["matches"]) or "all")],
            "actions": [{"name": one["name"], "ports": one["ports"] if one["ports"] is not None else "all"}
                        for one in jail["actions"]],
            "maxretry": jail["maxretry"], "findtime": jail["findtime"], "bantime": jail["bantime"]}


def _judge_other(facts, targets, other, parts):
    made = [passed(MISSING, "brute force", reason="%s is in charge" % other, **parts)]
    for name in (one["name"] for one in targets):
        if not alternatives.watches(facts["others"], name):
            made.append(found(JAIL_MISSING, name, risk="manual", reason="%s is in charge and does not watch it" % other))
            continue
        made.append(passed(JAIL_MISSING, name, reason="%s watches it" % other))
        heard, why = facts["hears"][name]
        resource = "%s (%s)" % (other, name)
        made.append(unknown(JAIL_BLIND, resource, why) if heard is None else passed(JAIL_BLIND, resource) if heard
                    else found(JAIL_BLIND, resource, risk="manual", reason=why))
    if not any(one["check"] == JAIL_BLIND for one in made):
        made.append(not_applicable(JAIL_BLIND, "%s is in charge" % other))
    return made


def _judge_lockout(facts, policy):
    if not policy["lockout"]:
        return [not_applicable(NO_LOCKOUT, "the policy wants no lockout (hostmend_fail2ban_lockout)")]
    if not facts["lockout"]:
        return [not_applicable(NO_LOCKOUT, "no service that takes passwords by PAM can be reached, and there is no console")]
    made = []
    for one in facts["lockout"]:
        resource = "/etc/pam.d/%s" % one["stack"]
        parts = {"effective": {"used_by": one["used"], "deny": one["deny"], "unlock_time": one["unlock_time"],
                               "root_too": one["root"]}}
        most = int(policy["lockout_deny"])
        if one["failure"]:
            made.append(unknown(NO_LOCKOUT, resource, one["failure"], **parts))
        elif one["problems"]:
            partial = one["problems"] != ["no line of pam_faillock"]
            hint = "; %s" % one["hindrance"] if one["hindrance"] and not partial else ""
            made.append(found(NO_LOCKOUT, resource, reason="; ".join(one["problems"]) + hint, **parts,
                              risk="manual" if partial or not one["means"] else None))
        elif not one["deny"].isdecimal() or not 0 < int(one["deny"]) <= most:
            made.append(found(NO_LOCKOUT, resource, risk="manual", **parts,
                              reason="it locks after %s failures; at most %d are wanted" % (
                                  "no number of" if one["deny"] == "0" else one["deny"], most)))
        else:
            made.append(passed(NO_LOCKOUT, resource, reason="it locks after %s failures" % one["deny"], **parts))
    return made
