# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the host: the services that take passwords, what bans, the jails, and the stacks of PAM."""

import os
import re
import stat
from typing import Any, Dict, List, Mapping, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import alternatives
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import facts as names
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import lockout
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import relate
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import Fault
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import has
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import installed
from ansible_collections.hostmend.hardening.plugins.module_utils.host import logs as host_logs
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import client
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import config

SOCKETS = ("/run/fail2ban/fail2ban.sock", "/var/run/fail2ban/fail2ban.sock")


def collect(host: Any, policy: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the services that take passwords, what bans, the jails, and the stacks of PAM."""
    system = host.system()
    facts = {"live": bool(host.live), "boots": host.boots, "executes": bool(host.executes), "root": bool(system.root),
             "init": system.init, "services": [], "gaps": [], "fail2ban": {}, "others": {}, "hears": {}, "jails": {},
             "lockout": [], "wanted": {}, "local": {}, "own": {}, "logs": {}, "install": [], "stuck": {},
             "banaction": "", "controllers": [], "logtarget": ""}  # type: Dict[str, Any]
    found, facts["gaps"] = services.collect(host, policy)
    exempt = set(policy["exempt_services"])
    facts["services"] = [one for one in found if one["name"] not in exempt]
    targets = [one for one in facts["services"] if one["passwords"]]
    facts["controllers"] = list(policy["common"].get("controller_addresses") or host.controller_addresses())
    if targets or installed(host):
        facts["logs"] = host_logs.read_logs(host).plain()
        facts["others"] = alternatives.collect(host)
        facts["hears"] = dict((one["name"], alternatives.hears(host, facts["others"], one, facts["logs"])) for one in targets) \
            if alternatives.in_charge(facts["others"]) else {}
        _collect_fail2ban(host, facts)
        written = config.read(host)
        _collect_texts(host, facts, written)
        ports = _named_ports(host)
        for name, jail in facts["jails"].items():
            relate.relate(host, name, jail, targets, facts["logs"], ports, written)
        facts["wanted"] = dict((one["name"], remedy.wanted(host, one, facts["logs"])) for one in targets)
        _collect_stuck(facts, written)
        remedy.rename(host, facts)
        _collect_means(host, facts)
    facts["lockout"] = lockout.collect(host, targets, system)
    return facts


def _collect_fail2ban(host: Any, facts: Dict[str, Any]) -> None:
    about = facts["fail2ban"] = {"installed": installed(host), "running": False, "enabled": None, "failure": "",
                                 "complaint": "", "without_log": []}
    if not about["installed"]:
        return
    unit = next((one for one in host.units().items if one.name == names.UNIT), None)
    about["enabled"] = unit.enabled in services.ENABLED if unit else None
    if not host.executes:
        about["failure"] = "fail2ban cannot be asked of a root filesystem where nothing runs"
        return
    test = host.run(["fail2ban-client", "-t"], seconds=client.SECONDS, limit=client.OUTPUT)
    if test.failure:
        about["failure"] = "fail2ban-client could not be run: %s" % test.failure
    elif not test.ok:
        about["complaint"], about["without_log"] = complaint_of(test.out + "\n" + test.err)
    if not host.live:
        if not about["complaint"]:
            facts["jails"] = client.dump(host.run(["fail2ban-client", "-d"], seconds=client.SECONDS, limit=client.OUTPUT).out)
        return
    servers = [one for one in host.processes().items if one.container is None
               and (one.comm == names.PROGRAM or any(part.endswith(names.PROGRAM) for part in one.argv[:3]))]
    about["running"] = bool(servers)
    if not servers:
        return
    try:
        facts["jails"], gaps = client.jails(host, _socket(host, servers[0]))
        facts["gaps"] += gaps
    except client.ClientError as error:
        about["failure"] = str(error)


def complaint_of(text: str) -> Tuple[str, List[str]]:
    """Return what ``fail2ban-client -t`` complains of, without what its files hold, and the jails that have no log."""
    text = text[:65536]
    jails = sorted(set(re.findall(r"Have not found any log file for (\S{1,64}) jail", text)))
    if jails:
        return "no log file for the jail %s" % ", ".join(jails), jails
    place = re.search(r"(?:file: |While reading from )'([^']{1,200})'(?:, line:| \[line) *(\d+)", text)
    if place:
        return "%s line %s cannot be read" % place.groups(), []
    jail = re.search(r"Errors in jail '([^']{1,64})'", text)
    if jail:
        return "the jail %s has errors" % jail.group(1), []
    key = re.search(r"option '([^']{1,64})' in section '([^']{1,64})'", text)
    if key:
        return "%s of the jail %s cannot be resolved" % key.groups(), []
    return "fail2ban-client -t fails", []


def _socket(host: Any, server: Any) -> str:
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


def _collect_texts(host: Any, facts: Dict[str, Any], written: config.Config) -> None:
    """Note which keys the administrator's own files set, and which jails our files have."""
    for section, keys in written.sections.items():
        for key, one in keys.items():
            if one.is_local:
                about = facts["local"].setdefault(section, {"file": one.file, "keys": {}})
                about["keys"][key] = one.value
    for path in (config.OWN_FILE, config.OWN_LOCAL):
        facts["own"][path] = dict((name, sorted(keys)) for name, keys in
                                  config.parse(host.read(path, config.TEXT) or "").items() if name != "DEFAULT")


def _collect_stuck(facts: Dict[str, Any], written: config.Config) -> None:
    """Note of each jail that keeps fail2ban from starting, as it has no log, where it is switched on and what is at fault."""
    for jail in facts["fail2ban"].get("without_log", ()):
        fault = remedy.blamed(Fault("no log file for the jail %s" % jail, names.SOURCES), jail, written)
        enabled = config.setting(written, jail, "enabled")
        facts["stuck"][jail] = {"fault": fault.plain(), "enabled": enabled.place if enabled is not None else ""}


def _named_ports(host: Any) -> Dict[str, int]:
    made = {}  # type: Dict[str, int]
    for name, port in re.findall(r"^([a-z][\w-]*)[ \t]+(\d{1,5})/tcp", host.read("/etc/services") or "", re.MULTILINE):
        made.setdefault(name, int(port))
    return made


def _collect_means(host: Any, facts: Dict[str, Any]) -> None:
    """Note with what to ban here, and what has to be installed for it."""
    rpm = facts["init"] and has(host, "rpm") and not has(host, "dpkg")
    if host.live and host.firewall().manager == "firewalld":
        facts["banaction"] = "firewallcmd"
    else:
        facts["banaction"] = "iptables" if has(host, "iptables") and not has(host, "nft") else "nftables"
    wanted = ["fail2ban-server" if rpm else "fail2ban"]
    wanted += ["nftables"] if facts["banaction"] == "nftables" else []
    wanted += ["python3-systemd"] if any(one["backend"] == "systemd" for one in facts["wanted"].values()) else []
    there = set(one.name for one in host.packages().items)
    facts["install"] = [name for name in wanted if name not in there and not (name.startswith("fail2ban") and installed(host))]
    facts["logtarget"] = "/var/log/fail2ban.log"
