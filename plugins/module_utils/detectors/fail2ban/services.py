# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services of a host take passwords from others, and where their failed logins are written."""

from __future__ import annotations

import ipaddress
import os
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import table
from ansible_collections.hostmend.hardening.plugins.module_utils.software import apache
from ansible_collections.hostmend.hardening.plugins.module_utils.software import dovecot
from ansible_collections.hostmend.hardening.plugins.module_utils.software import mysql
from ansible_collections.hostmend.hardening.plugins.module_utils.software import nginx
from ansible_collections.hostmend.hardening.plugins.module_utils.software import postfix
from ansible_collections.hostmend.hardening.plugins.module_utils.software import vsftpd

SESSION_PROGRAMS = ("/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session", "/usr/lib/ssh/sshd-session")
SYSLOG_DAEMONS = ("rsyslogd", "syslog-ng", "syslogd")
MOST_FILES = 200
YES = ("yes", "true", "1", "on")
DELETED = " (deleted)"
ENABLED = ("enabled", "enabled-runtime")


def collect(host, policy):
    """Return the services that others reach and that take passwords, and the gaps."""
    found, gaps = (_listening if host.live else _enabled)(host, policy) if host.boots else ({}, [])
    made = []
    for name in sorted(found):
        about, service = found[name], table.BY_NAME[name]
        takes, settings = _takes_passwords(host, service, about)
        about.update(name=name, passwords=takes, **settings)
        about["ports"] = sorted(about["ports"])
        if takes:
            about["identifiers"] = list(_identifiers(host, service, about))
            about["own_logs"] = list(_own_logs(host, service, about))
        about.pop("argv", None)
        made.append(about)
    return made, gaps


def _about(unit="", argv=()):
    return {"ports": set(), "unit": unit, "socket": "", "pids": [], "program": "", "argv": list(argv), "container": ""}


def _listening(host, policy):
    own, reading = host.netns(), host.listeners()
    by_pid = dict((process.pid, process) for process in host.processes().items)
    trusted = list(policy["common"].get("management_networks") or ())
    trusted += policy["common"].get("controller_addresses") or host.controller_addresses()
    found = {}
    for one in reading.items:
        if one.proto != "tcp" or (own and one.netns != own) or one.is_loopback():
            continue
        service = table.BY_PROGRAM.get(one.process) or table.BY_UNIT.get(one.socket_unit or "")
        if service is None or (service.name == "postfix" and one.port not in service.ports):
            continue
        reach = host.firewall().reach("tcp", one.family, one.address, one.port)
        if reach.state == "closed" or (reach.state == "restricted" and within(reach.sources, trusted)):
            continue
        process = next((by_pid[pid] for pid in one.pids if pid != 1 and pid in by_pid), None)
        about = found.setdefault(service.name, _about(one.unit or "", process.argv if process else ()))
        about["ports"].add(one.port)
        about["socket"] = about["socket"] or one.socket_unit or ""
        about["container"] = about["container"] or one.container or ""
        about["program"] = about["program"] or one.process
        about["pids"] += [pid for pid in one.pids if pid not in about["pids"] and pid != 1]
    gaps = [gap for gap in reading.gaps if "owners" in gap or "cannot be read" in gap]
    return found, gaps


def within(sources, networks):
    """Tell whether all of ``sources`` lie in ``networks``; no source is not."""
    try:
        wide = [ipaddress.ip_network(str(one), strict=False) for one in networks]
        narrow = [ipaddress.ip_network(str(one), strict=False) for one in sources]
    except ValueError:
        return False
    return bool(narrow) and all(any(one.version == other.version and one.subnet_of(other) for other in wide)
                                for one in narrow)


def _enabled(host, policy):
    """Return the services that a first boot will start, where they listen beyond loopback by default."""
    found, reading = {}, host.units()
    for unit in reading.items:
        service = table.BY_UNIT.get(unit.name)
        if service is None or unit.enabled not in ENABLED:
            continue
        if service.name == "mysql" and mysql.only_loopback(host):
            continue
        about = found.setdefault(service.name, _about())
        about["ports"].update(_ssh_ports(host) if service.name == "ssh" else service.ports)
        if unit.name.endswith(".service"):
            about["unit"] = about["unit"] or unit.name
        else:
            about["socket"] = unit.name
    return found, list(reading.gaps)


def texts(host, *places):
    """Return the text of files and of those directly in folders, joined."""
    made = []
    for place in places:
        names = host.list(place)
        made += [host.read("%s/%s" % (place, name)) or "" for name in names[:MOST_FILES]] if names else [host.read(place) or ""]
    return "\n".join(made)


def _ssh_text(host):
    return texts(host, "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d")


def _ssh_ports(host):
    found = re.findall(r"^[ \t]*Port\s+(\d{1,5})\s*$", _ssh_text(host), re.MULTILINE | re.IGNORECASE)
    return [int(port) for port in found] or [22]


# Whether it takes passwords

def _takes_passwords(host, service, about):
    """Return whether a service takes passwords, and what its configuration says that matters here."""
    if service.name == "ssh":
        return _ssh(host, about)
    if service.name == "vsftpd":
        return True, {"settings": _vsftpd(host, about)}
    if service.name == "dropbear":
        return True, {"settings": {"stderr": any(re.match(r"-[A-Za-z]*E", word) for word in about["argv"][1:])}}
    if service.name == "dovecot":
        return True, {"settings": _dovecot(host)}
    if service.name == "pure-ftpd":
        said = (host.read("/etc/pure-ftpd/conf/PAMAuthentication") or "yes").strip().lower()
        return True, {"settings": {"usepam": "no" if said in ("no", "0", "off") else "yes"}}
    if service.name == "postfix":
        return postfix.asks_password(host), {}
    if service.name == "nginx":
        return nginx.asks_password(host, about["argv"]), {}
    if service.name == "apache":
        return apache.asks_password(host, about["argv"]), {}
    return True, {}


def ssh_options(argv):
    """Return the options of a running sshd that change its configuration."""
    words = [word for part in argv for word in part.split()]
    made, position = [], 0
    while position < len(words):
        word = words[position]
        if word in ("-f", "-o", "-p", "-h") and position + 1 < len(words):
            made += [word, words[position + 1]]
            position += 1
        elif re.match(r"-[fop].", word):
            made.append(word)
        position += 1
    return made


def _ssh(host, about):
    said = host.run(["sshd", "-T"] + ssh_options(about["argv"]))
    options = dict(line.lower().partition(" ")[::2] for line in said.out.splitlines()) if said.ok else {}
    settings = {"settings": dict((name, options[name]) for name in
                                 ("passwordauthentication", "kbdinteractiveauthentication", "challengeresponseauthentication",
                                  "usepam", "persourcepenalties") if name in options)}
    if not options:
        text = _ssh_text(host).lower()
        for name, default in (("passwordauthentication", "yes"), ("usepam", "no")):
            match = re.search(r"^[ \t]*%s[ \t=]+(\w+)" % name, text, re.MULTILINE)
            settings["settings"][name] = match.group(1) if match else default
        settings["settings"]["read"] = "from its files, as sshd -T gave no answer"
    told = settings["settings"]
    takes = any(told.get(name) == "yes" for name in
                ("passwordauthentication", "kbdinteractiveauthentication", "challengeresponseauthentication"))
    # A Match block may let some in by password; sshd -T answers for none of them.
    text = _ssh_text(host).lower()
    block = re.search(r"^[ \t]*match\b", text, re.MULTILINE)
    takes = takes or block is not None and re.search(
        r"^[ \t]*(?:passwordauthentication|kbdinteractiveauthentication)[ \t=]+yes", text[block.end():], re.MULTILINE) is not None
    return takes, settings


def _dovecot(host):
    said = host.run(["doveconf", "-n"], seconds=4)
    return dovecot.facts(said.out) if said.ok else {}


def _vsftpd(host, about):
    path = vsftpd.config_path(host, about["argv"])
    told = vsftpd.settings(host.read(path) or "") if path else {}
    return dict((name, told[name]) for name in ("xferlog_enable", "xferlog_std_format", "dual_log_enable", "syslog_enable",
                                                "vsftpd_log_file", "pam_service_name") if name in told)


# Where it logs

def _identifiers(host, service, about):
    if service.name == "ssh" and any(host.exists(path) for path in SESSION_PROGRAMS):
        return ("sshd-session",)
    if service.name == "mysql" and about["program"]:
        return (about["program"],)
    return service.identifiers


def _own_logs(host, service, about):
    """Return the logs that a service writes itself, those that are open or configured."""
    if service.name == "vsftpd":
        told = dict((name, value.lower() in YES) for name, value in about["settings"].items())
        logs = told.get("xferlog_enable") and (not told.get("xferlog_std_format") or told.get("dual_log_enable"))
        if not logs or told.get("syslog_enable"):
            return ()
        return (about["settings"].get("vsftpd_log_file", service.own_files[0]),)
    names = open_logs(host, about["pids"]) if host.live else []
    if service.name in ("nginx", "apache"):
        return [name for name in names if "error" in name] or [one for one in service.own_files if host.exists(one)]
    if service.name == "mysql":  # its log of errors is what its standard error is
        return [name for name in (error_log(host, pid) for pid in about["pids"][:1]) if name]
    return [one for one in service.own_files if one in names or host.exists(one)]


def open_logs(host, pids):
    """Return the logs that processes have open, by their names; one that was deleted since is " (deleted)"."""
    made = []
    for pid in pids[:20]:
        for number in host.list("/proc/%d/fd" % pid)[:2000]:
            name = host.link("/proc/%d/fd/%s" % (pid, number)) or ""
            if name.startswith("/") and not name.startswith(("/dev/", "/proc/", "/sys/")) and name not in made \
                    and ("/log/" in name or name.endswith((".log", ".err"))):
                made.append(name)
    return made


def error_log(host, pid):
    """Return the file that the standard error of a process is; '' where it is none."""
    name = host.link("/proc/%d/fd/2" % pid) or ""
    return name if name.startswith("/") and not name.startswith("/dev/") and DELETED not in name else ""


def syslog(host):
    """Return which syslog daemon runs, the logs that it writes, and whether the journal is kept."""
    made = {"daemon": "", "open": [], "named": [], "journal": False}
    if not host.live:
        made["journal"] = True  # what keeps it comes with systemd, which boots the host
        return made
    for process in host.processes().items:
        if process.container is None and process.comm in SYSLOG_DAEMONS:
            made["daemon"] = process.comm
            made["open"] += open_logs(host, [process.pid])
        made["journal"] = made["journal"] or (process.comm == "systemd-journal" and process.container is None)
    if made["daemon"]:
        text = texts(host, "/etc/rsyslog.conf", "/etc/rsyslog.d", "/etc/syslog-ng/syslog-ng.conf", "/etc/syslog.conf")
        lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        made["named"] = sorted(set(re.findall(r"(/var/log/[\w./-]+)", lines)))
    return made


def live(host, path, service, logs):
    """Tell whether somebody who logs for a service writes a file: it exists, and is open or configured."""
    if not os.path.isfile(host.path(path)):
        return False
    if path + DELETED in logs["open"] and path not in logs["open"]:
        return False  # the daemon writes on into the file that was here before
    if service["name"] == "dropbear" and (service.get("settings") or {}).get("stderr") and path in table.AUTH_FILES:
        return False  # what comes from a standard error is the daemons', not the logins'
    real = os.path.realpath(host.path(path))
    own = [os.path.realpath(host.path(one)) for one in service["own_logs"]]
    return real in own or path in logs["open"] or real in logs["open"] or path in logs["named"]


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
