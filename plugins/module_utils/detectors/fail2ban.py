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

from ansible_collections.hostmend.hardening.plugins.module_utils import ban_services
from ansible_collections.hostmend.hardening.plugins.module_utils import ban_table
from ansible_collections.hostmend.hardening.plugins.module_utils import fail2ban_client
from ansible_collections.hostmend.hardening.plugins.module_utils import fail2ban_jail
from ansible_collections.hostmend.hardening.plugins.module_utils import pam_stack
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown

NAME = "fail2ban"
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
# Jails of CrowdSec are collections of its hub; sshguard's parser knows these services.
CROWDSEC = {"ssh": "sshd", "dropbear": "sshd", "mysql": "mysql", "nginx": "nginx", "apache": "apache2",
            "postfix": "postfix", "dovecot": "dovecot", "vsftpd": "vsftpd", "proftpd": "proftpd"}
SSHGUARD = ("ssh", "dropbear", "vsftpd", "proftpd", "pure-ftpd", "postfix", "dovecot")


# Reading the host

def collect(host, policy):
    """Return the services that take passwords, what bans, the jails, and the stacks of PAM."""
    system = host.system()
    facts = {"live": bool(host.live), "executes": bool(host.executes), "root": bool(system.root), "init": system.init,
             "services": [], "gaps": [], "fail2ban": {}, "others": {}, "jails": {}, "lockout": [], "wanted": {},
             "local": {}, "own": [], "logs": {}, "install": [], "banaction": "", "controllers": [], "logtarget": ""}
    services, facts["gaps"] = ban_services.collect(host, policy)
    exempt = set(policy["exempt_services"])
    facts["services"] = [one for one in services if one["name"] not in exempt]
    targets = [one for one in facts["services"] if one["passwords"]]
    facts["controllers"] = list(policy["common"].get("controller_addresses") or host.controller_addresses())
    if targets or installed(host):
        facts["logs"] = ban_services.syslog(host)
        facts["others"] = _others(host)
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


def _others(host):
    """Return what else bans here."""
    made = {"crowdsec": {}, "sshguard": {}, "denyhosts": {}}
    if host.live:
        running = [one for one in host.processes().items if one.container is None]
        names = [(os.path.basename(one.exe or ""), one) for one in running]
        agents = [one for name, one in names if name == "crowdsec"]
        bouncers = [name for name, one in names if re.match(r"(crowdsec|cs)-.*bouncer", name)]
        if agents:
            made["crowdsec"] = {"bouncers": sorted(set(bouncers)), "collections": host.list("/etc/crowdsec/collections")}
        if any(one.comm in ("sshguard", "sshg-blocker") for one in running):
            made["sshguard"] = {"readers": [list(one.argv) for one in running if one.unit == "sshguard.service"
                                            and one.comm in ("journalctl", "tail", "sshg-logtail")]}
        if any("denyhosts" in " ".join(one.argv[:3]) for one in running):
            made["denyhosts"] = {"wrapped": _wrapped(host)}
        return made
    for unit in host.units().items:
        if unit.enabled in ban_services.ENABLED and unit.name in ("sshguard.service", "denyhosts.service"):
            made[unit.name.split(".")[0]] = {"wrapped": True, "readers": []}
        elif unit.enabled in ban_services.ENABLED and unit.name == "crowdsec.service":
            made["crowdsec"] = {"bouncers": [one.name for one in host.units().items if "bouncer" in one.name
                                             and one.enabled in ban_services.ENABLED],
                                "collections": host.list("/etc/crowdsec/collections")}
    return made


def _wrapped(host):
    """Tell whether sshd heeds hosts.deny."""
    return any("libwrap.so" in (host.read(path) or "") for path in ("/usr/sbin/sshd",) + ban_services.SESSION_PROGRAMS)


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
    test = host.run(["fail2ban-client", "-t"], seconds=fail2ban_client.SECONDS)
    if test.failure:
        about["failure"] = "fail2ban-client could not be run: %s" % test.failure
    elif not test.ok:
        about["complaint"], about["mendable"] = complaint_of(test.out + "\n" + test.err)
    if not host.live:
        if not about["complaint"]:
            facts["jails"] = fail2ban_client.dump(host.run(["fail2ban-client", "-d"], seconds=fail2ban_client.SECONDS).out)
        return
    servers = [one for one in host.processes().items if one.container is None
               and (one.comm == PROGRAM or any(part.endswith(PROGRAM) for part in one.argv[:3]))]
    about["running"] = bool(servers)
    if not servers:
        return
    try:
        socket = _socket(host, servers[0])
        facts["jails"], gaps = fail2ban_client.jails(host, socket)
        facts["gaps"] += gaps
    except fail2ban_client.ClientError as error:
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
        raise fail2ban_client.ClientError("fail2ban can be asked by root alone") from error
    except OSError as error:
        raise fail2ban_client.ClientError("fail2ban runs, but its socket cannot be reached") from error
    if not stat.S_ISSOCK(about.st_mode):
        raise fail2ban_client.ClientError("%s is no socket" % path)
    if mine != 0:
        raise fail2ban_client.ClientError("fail2ban can be asked by root alone")
    # What answers is unpickled by fail2ban's client: it must be root's own.
    if about.st_uid != 0 or folder.st_uid != 0 or (folder.st_mode & 0o022 and not folder.st_mode & stat.S_ISVTX) \
            or server.uid not in (0, None):
        raise fail2ban_client.ClientError("the socket of fail2ban belongs to another user than root, so it was not asked")
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
        known = ban_table.BY_NAME[service["name"]]
        if any(mark in text for mark in known.marks):
            jail["serves"][service["name"]] = _faults(host, jail, service, known, logs, named, prefix, regexes)


def _faults(host, jail, service, known, logs, named, prefix, regexes):
    """Return what keeps a jail from banning who attacks a service, one phrase each."""
    problems, doubts = [], []
    if jail["kind"] == "journal":
        heard = journal_has(jail["matches"], service)
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
    lines = [line for line in known.lines if ("{0}" not in line) == (own and service["name"] == "vsftpd")]
    for identifier in service["identifiers"] or ("",):
        caught = [fail2ban_client.catches(prefix, regexes, line.format(identifier)) for line in lines]
        if caught and not any(one is not False for one in caught):
            problems.append("its filter does not take what %s logs" % identifier)
    return {"problems": problems + _action_faults(host, jail, service, named), "doubts": doubts}


def _action_faults(host, jail, service, named):
    bans = [one for one in jail["actions"] if one["program"]]
    if not bans:
        return ["none of its actions bans"]
    able = [one for one in bans if one["program"] == "hosts.deny" or _has(host, one["program"])]
    if not able:
        return ["its action needs %s, which is not installed" % bans[0]["program"]]
    for one in able:
        missed = [] if one["ports"] is None else [port for port in service["ports"]
                                                  if not fail2ban_client.covers(one["ports"], port, named)]
        if not missed:
            return []
    return ["its action bans from port %s, not from %s" % (able[0]["ports"], ", ".join(str(port) for port in missed))]


def journal_has(matches, service):
    """Tell whether a journal match takes what a service logs; None where that depends on what is not known."""
    if not matches:
        return True
    known = {"_COMM": service["identifiers"], "SYSLOG_IDENTIFIER": service["identifiers"], "_UID": ["0"],
             "_TRANSPORT": ["syslog", "stdout", "journal"], "SYSLOG_FACILITY": ["2", "4", "10", "11", "3"]}
    units = [service["unit"]] if service["unit"] else []
    if service["socket"]:
        units.append(service["socket"].replace(".socket", ".service"))
        known["_SYSTEMD_SLICE"] = ["system-%s.slice" % service["socket"].split(".")[0], "system.slice"]
    elif service["unit"]:
        known["_SYSTEMD_SLICE"] = ["system.slice"]
    known["_SYSTEMD_UNIT"] = units
    doubt = False
    for terms in matches:
        said = [value in known[field] if known.get(field) else
                any(value.endswith("/" + one) for one in service["identifiers"]) if field == "_EXE" else None
                for field, value in terms]
        if all(one is True for one in said):
            return True
        doubt = doubt or False not in said
    return None if doubt else False


def _wanted(host, service, logs):
    """Return the jail that watches a service on this host."""
    known = ban_table.BY_NAME[service["name"]]
    made = {"jail": known.jail, "filter": known.filter or known.jail, "port": ",".join(str(one) for one in service["ports"]),
            "backend": "auto", "logpath": [], "journalmatch": "", "failregex": list(known.failregex), "create": []}
    if known.failregex:
        made["filter"] = ""
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
        known = ban_table.BY_NAME[service["name"]]
        name = (service.get("settings") or {}).get("pam_service_name", known.pam)
        if name and (service.get("settings") or {}).get("usepam", "yes") == "yes" and not service["container"]:
            stacks.setdefault(name, []).append(service["name"])
    if host.live and system.container is None and any(one.comm in ("agetty", "mingetty", "getty")
                                                      for one in host.processes().items):
        stacks.setdefault("login", []).append("the console")
    return [_stack(host, name, used) for name, used in sorted(stacks.items())]


def _stack(host, name, used):
    made = {"stack": name, "used": used, "problems": [], "failure": "", "deny": "", "unlock_time": "", "root": False}
    try:
        auth = pam_stack.load(host.read, name, "auth")
        account = pam_stack.load(host.read, name, "account")
        made["problems"] = pam_stack.lockout(auth, account)
        told = pam_stack.settings(auth, host.read("/etc/security/faillock.conf"))
        made.update(deny=told["deny"], unlock_time=told["unlock_time"], root="even_deny_root" in told)
    except pam_stack.StackError as error:
        made["failure"] = str(error)
    made["means"] = "authselect" if _has(host, "authselect") else "pam-auth-update" if _has(host, "pam-auth-update") else ""
    return made


# Judging

def check(facts, policy):
    """Return the findings of the facts."""
    targets = [one for one in facts["services"] if one["passwords"]]
    findings = _judge_bans(facts, policy, targets) if targets else _nobody(facts)
    return findings + _judge_lockout(facts, policy)


def _nobody(facts):
    gap = next(iter(facts["gaps"]), "")
    if gap:
        return [unknown(one, "services", gap) for one in CHECKS[:3]]
    reason = "no service that takes passwords can be reached from another host"
    return [not_applicable(one, reason) for one in CHECKS[:3]]


def in_charge(facts):
    """Return what bans here beside fail2ban; '' for nothing."""
    others = facts["others"]
    if others.get("crowdsec", {}).get("bouncers"):
        return "CrowdSec"
    if others.get("sshguard"):
        return "sshguard"
    return "DenyHosts" if others.get("denyhosts", {}).get("wrapped") else ""


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
    other = in_charge(facts)
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
    for one in targets:
        name = one["name"]
        if other == "CrowdSec":
            watched = any(entry.startswith(CROWDSEC.get(name, " ")) for entry in facts["others"]["crowdsec"]["collections"])
        else:
            watched = name in (SSHGUARD if other == "sshguard" else ("ssh",))
        if watched:
            made.append(passed(JAIL_MISSING, name, reason="%s watches it" % other))
        else:
            made.append(found(JAIL_MISSING, name, risk="manual", reason="%s is in charge and does not watch it" % other))
        deaf = other == "sshguard" and watched and _deaf(facts["others"]["sshguard"]["readers"], one)
        if deaf:
            made.append(found(JAIL_BLIND, "sshguard (%s)" % name, risk="manual", reason="it reads %s alone, and %s logs as %s" % (
                ", ".join(deaf), name, "/".join(one["identifiers"]))))
        elif watched:
            made.append(passed(JAIL_BLIND, "%s (%s)" % (other, name)))
    if not any(one["check"] == JAIL_BLIND for one in made):
        made.append(not_applicable(JAIL_BLIND, "%s is in charge" % other))
    return made


def _deaf(readers, service):
    """Return the identifiers that sshguard's readers of the journal keep to, where the service's is none of them."""
    heard = []
    for argv in readers:
        if os.path.basename(argv[0]) != "journalctl":
            return []
        names = [argv[at + 1] for at, word in enumerate(argv[:-1]) if word in ("-t", "--identifier")]
        names += [word[2:] for word in argv if word.startswith("-t") and len(word) > 2]
        if not names:
            return []
        heard += names
    return sorted(set(heard)) if heard and not set(heard) & set(service["identifiers"]) else []


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
            made.append(found(NO_LOCKOUT, resource, reason="; ".join(one["problems"]), **parts,
                              risk="manual" if partial or not one["means"] else None))
        elif not one["deny"].isdecimal() or not 0 < int(one["deny"]) <= most:
            made.append(found(NO_LOCKOUT, resource, risk="manual", **parts,
                              reason="it locks after %s failures; at most %d are wanted" % (
                                  "no number of" if one["deny"] == "0" else one["deny"], most)))
        else:
            made.append(passed(NO_LOCKOUT, resource, reason="it locks after %s failures" % one["deny"], **parts))
    return made
