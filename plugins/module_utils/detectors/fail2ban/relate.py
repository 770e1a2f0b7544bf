# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holding a jail against a service: whether it reads what the service logs, takes its failed logins, and bans from it."""

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import facts
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import landing
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import table
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import Fault
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import client
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import config

# A failed login of OpenSSH with PAM: of PAM, of the password, and of the connection's end.
LINES_PER_FAILURE = 3


def relate(host: Any, name: str, jail: Dict[str, Any], targets: List[Dict[str, Any]], logs: Mapping[str, Any],
           named: Mapping[str, int], found: config.Config) -> None:
    """Note which services a jail is about, and for each what is wrong with it; its expressions are dropped then."""
    prefix, regexes = jail.pop("prefix"), jail.pop("regexes")
    text = "\n".join([prefix] + regexes)
    jail["serves"] = {}
    for service in targets:
        known = table.BY_NAME[service["name"]]
        if any(mark in text for mark in known.marks):
            faults, doubts = _faults(host, jail, service, logs, named, prefix, regexes)
            jail["serves"][service["name"]] = {
                "problems": [remedy.blamed(fault, name, found).plain() for fault in faults], "doubts": doubts}


def _sees(host: Any, jail: Mapping[str, Any], service: Dict[str, Any], logs: Mapping[str, Any]) -> Tuple[List[Fault], List[str]]:
    """Return what keeps a jail from reading what a service logs, and what of that cannot be told."""
    if jail["kind"] != "journal":
        if not jail["logs"]:
            return [Fault("it reads no log file", facts.SOURCES)], []
        if host.live and not any(services.live(host, path, service, logs) for path in jail["logs"]):
            why = "; %s" % logs["silent"] if logs["silent"] and logs["daemon"] else ""
            return [Fault("nobody writes what it reads (%s)%s" % (", ".join(jail["logs"][:3]), why), facts.SOURCES)], []
        return [], []
    if not logs["journal"]:
        return [Fault("it reads the journal, which is not kept here (%s)" % logs["why"], facts.SOURCES)], []
    heard = services.journal_has(jail["matches"], service)
    if heard is None:
        return [], ["whether its journal match takes what %s logs cannot be told" % service["name"]]
    if not heard:
        return [Fault("its journal match (%s) takes nothing that %s logs" % (
            " + ".join(" ".join("=".join(term) for term in terms) for terms in jail["matches"]),
            "/".join(service["identifiers"]) or service["name"]), facts.SOURCES)], []
    if not service["identifiers"]:
        return [Fault("it reads the journal, where %s does not log" % service["name"], facts.SOURCES)], []
    known = table.BY_NAME[service["name"]]
    if logs["level"] < known.level:
        return [Fault("the journal keeps nothing of the level that %s logs failed logins with (MaxLevelStore in %s)" % (
            service["name"], logs["level_place"]), facts.SOURCES)], []
    return ([Fault(_dropped(jail, logs), facts.SOURCES)] if _dropped(jail, logs) else []), []


def _dropped(jail: Mapping[str, Any], logs: Mapping[str, Any]) -> str:
    """Return why the journal drops too much of an attack for a jail to count it; "" where it does not."""
    numbers = [jail[name] for name in ("maxretry", "findtime")]
    if not logs["burst"] or not all(str(one).isdecimal() for one in numbers):
        return ""
    retries, seconds = (int(str(one)[:9]) for one in numbers)
    kept = logs["burst"] * max(1.0, seconds / max(logs["interval"], 0.001))
    if kept >= retries * LINES_PER_FAILURE:
        return ""
    return "the journal keeps %d lines in %d seconds of what a service logs (%s), too few to count %d failures" % (
        int(kept), seconds, logs["rate_place"], retries)


def _says_nothing(service: Mapping[str, Any]) -> List[Fault]:
    """Return why a service itself logs no failed login."""
    settings = service.get("settings") or {}
    level = settings.get("loglevel", "")
    if service["name"] != "ssh" or level not in ("quiet", "fatal", "error"):
        return []
    place = settings.get("loglevel_place") or "the configuration of sshd"
    return [Fault("sshd logs no failed login (LogLevel %s in %s)" % (level.upper(), place),
                  by_hand="set LogLevel INFO or VERBOSE there")]


def _faults(host: Any, jail: Mapping[str, Any], service: Dict[str, Any], logs: Mapping[str, Any], named: Mapping[str, int],
            prefix: str, regexes: List[str]) -> Tuple[List[Fault], List[str]]:
    """Return what keeps a jail from banning who attacks a service, and what of that cannot be told."""
    faults, doubts = _sees(host, jail, service, logs)
    faults = _says_nothing(service) + faults
    known = table.BY_NAME[service["name"]]
    own = jail["kind"] != "journal" and any(path in service["own_logs"] for path in jail["logs"])
    lines = lines_of(service, known, own, jail)
    for identifier in service["identifiers"] or ("",):
        caught = [client.catches(prefix, regexes, line.format(identifier)) for line in lines]
        if caught and not any(one is not False for one in caught):
            faults.append(Fault("its filter does not take what %s logs" % (identifier or service["name"]), facts.FILTERS))
    more, unclear = landing.judge(host, jail, service, named)
    return faults + more, doubts + unclear


def lines_of(service: Mapping[str, Any], known: table.Service, own: bool, jail: Mapping[str, Any]) -> Sequence[str]:
    """Return failed logins as the service really writes them."""
    told = service.get("settings") or {}
    if service["name"] == "dropbear":
        return known.lines[1:] if told.get("stderr") else known.lines[:1]
    if service["name"] == "dovecot":
        # What PAM writes is in the journal, too; a syslog daemon has it in another file.
        seen = jail["kind"] == "journal" or set(jail["logs"]) & set(table.AUTH_FILES)
        by_pam = seen and told.get("usepam", "yes") == "yes"
        mine = known.lines[:2] if not told.get("version") else known.lines[1:2] if services.new_dovecot(told) else known.lines[:1]
        return mine + (known.lines[2:] if by_pam else ())
    written = [line for line in known.lines if "{0}" not in line]
    return written if own and written else [line for line in known.lines if "{0}" in line]
