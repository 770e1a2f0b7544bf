# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services of a host take passwords from others, and where their failed logins are written."""

import ipaddress
import os
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import table
from ansible_collections.hostmend.hardening.plugins.module_utils.host.logs import DELETED
from ansible_collections.hostmend.hardening.plugins.module_utils.host.logs import open_logs
from ansible_collections.hostmend.hardening.plugins.module_utils.software import apache
from ansible_collections.hostmend.hardening.plugins.module_utils.software import dovecot
from ansible_collections.hostmend.hardening.plugins.module_utils.software import mysql
from ansible_collections.hostmend.hardening.plugins.module_utils.software import nginx
from ansible_collections.hostmend.hardening.plugins.module_utils.software import postfix
from ansible_collections.hostmend.hardening.plugins.module_utils.software import sshd
from ansible_collections.hostmend.hardening.plugins.module_utils.software import vsftpd

Service = Dict[str, Any]
YES = ("yes", "true", "1", "on")
ENABLED = ("enabled", "enabled-runtime")


def collect(host: Any, policy: Mapping[str, Any]) -> Tuple[List[Service], List[str]]:
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


def _about(unit: str = "", argv: Sequence[str] = ()) -> Service:
    return {"ports": set(), "unit": unit, "socket": "", "pids": [], "program": "", "argv": list(argv), "container": ""}


def _listening(host: Any, policy: Mapping[str, Any]) -> Tuple[Dict[str, Service], List[str]]:
    own, reading = host.netns(), host.listeners()
    by_pid = dict((process.pid, process) for process in host.processes().items)
    trusted = list(policy["common"].get("management_networks") or ())
    trusted += policy["common"].get("controller_addresses") or host.controller_addresses()
    found = {}  # type: Dict[str, Service]
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


def within(sources: Sequence[str], networks: Sequence[str]) -> bool:
    """Tell whether all of ``sources`` lie in ``networks``; no source is not."""
    try:
        wide = [ipaddress.ip_network(str(one), strict=False) for one in networks]
        narrow = [ipaddress.ip_network(str(one), strict=False) for one in sources]
    except ValueError:
        return False
    return bool(narrow) and all(
        any(one.version == other.version and one.prefixlen >= other.prefixlen and one.network_address in other for other in wide)
        for one in narrow)


def _enabled(host: Any, policy: Mapping[str, Any]) -> Tuple[Dict[str, Service], List[str]]:
    """Return the services that a first boot will start, where they listen beyond loopback by default."""
    found, reading = {}, host.units()  # type: Dict[str, Service], Any
    for unit in reading.items:
        service = table.BY_UNIT.get(unit.name)
        if service is None or unit.enabled not in ENABLED:
            continue
        if service.name == "mysql" and mysql.only_loopback(host):
            continue
        about = found.setdefault(service.name, _about())
        about["ports"].update(_ssh_ports(host, unit) if service.name == "ssh" else service.ports)
        if unit.name.endswith(".service"):
            about["unit"] = about["unit"] or unit.name
        else:
            about["socket"] = unit.name
    return found, list(reading.gaps)


# Whether it takes passwords

def _takes_passwords(host: Any, service: table.Service, about: Service) -> Tuple[bool, Dict[str, Any]]:
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


def _ssh_ports(host: Any, unit: Any) -> List[int]:
    """Return the ports of a unit of SSH that a boot will start."""
    started = [one for one in host.boot_services() if one.name == unit.name]
    return sshd.ports(sshd.read_files(host, sshd.options_of(started[0].argv[1:] if started else ())))


SSH_SETTINGS = ("passwordauthentication", "kbdinteractiveauthentication", "usepam", "persourcepenalties", "loglevel",
                "syslogfacility")


def _ssh(host: Any, about: Service) -> Tuple[bool, Dict[str, Any]]:
    found = sshd.read(host, about["argv"])
    settings = dict((name, found.get(name)) for name in SSH_SETTINGS if found.get(name))
    if found.source != "sshd -T":
        settings["read"] = "from its files, as sshd -T gave no answer"
    if "loglevel" in settings:
        settings["loglevel_place"] = found.places.get("loglevel", "")
    return found.takes_passwords(), {"settings": settings}


def _dovecot(host: Any) -> Dict[str, str]:
    answer = host.run(["doveconf", "-n"], seconds=4)
    return dovecot.facts(answer.out) if answer.ok else {}


def new_dovecot(settings: Mapping[str, str]) -> bool:
    """Tell whether Dovecot is of 2.4 or later."""
    version = settings.get("version", "")
    return tuple(int(part) for part in version.split(".") if part.isdecimal()) >= (2, 4)


def _vsftpd(host: Any, about: Service) -> Dict[str, str]:
    path = vsftpd.config_path(host, about["argv"])
    told = vsftpd.settings(host.read(path) or "") if path else {}
    return dict((name, told[name]) for name in ("xferlog_enable", "xferlog_std_format", "dual_log_enable", "syslog_enable",
                                                "vsftpd_log_file", "pam_service_name") if name in told)


# Where it logs

def _identifiers(host: Any, service: table.Service, about: Service) -> Sequence[str]:
    if service.name == "ssh":
        return (sshd.session_name(host),)
    if service.name == "mysql" and about["program"]:
        return (about["program"],)
    return service.identifiers


def _own_logs(host: Any, service: table.Service, about: Service) -> Sequence[str]:
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


def error_log(host: Any, pid: int) -> str:
    """Return the file that the standard error of a process is; '' where it is none."""
    name = host.link("/proc/%d/fd/2" % pid) or ""
    return name if name.startswith("/") and not name.startswith("/dev/") and DELETED not in name else ""


def live(host: Any, path: str, service: Service, logs: Mapping[str, Any]) -> bool:
    """Tell whether somebody who logs for a service writes a file: it exists, and is open or configured."""
    if not os.path.isfile(host.path(path)):
        return False
    if path + DELETED in logs["open"] and path not in logs["open"]:
        return False  # the daemon writes on into the file that was here before
    if service["name"] == "dropbear" and (service.get("settings") or {}).get("stderr") and path in table.AUTH_FILES:
        return False  # what comes from a standard error is the daemons', not the logins'
    if logs["silent"] and path not in service["own_logs"]:
        return False
    real = os.path.realpath(host.path(path))
    own = [os.path.realpath(host.path(one)) for one in service["own_logs"]]
    return real in own or path in logs["open"] or real in logs["open"] or path in logs["named"]


def journal_has(matches: Sequence[Any], service: Service) -> Optional[bool]:
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
