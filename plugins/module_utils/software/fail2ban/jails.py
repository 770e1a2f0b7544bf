# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jails that hostmend writes, as text."""

import ipaddress
import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban.config import OWN_FILE
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban.config import OWN_LOCAL

HEAD = """# Kept by hostmend. What /etc/fail2ban/jail.local or a *.local file of this folder sets wins over it.
"""
ACTIONS = {"nftables": ("nftables-multiport", "nftables-allports"), "iptables": ("iptables-multiport", "iptables-allports"),
           "firewallcmd": ("firewallcmd-rich-rules", "firewallcmd-allports")}
DECISIVE = {"enabled", "backend", "logpath", "port", "filter", "journalmatch", "action", "banaction"}
# A jail whose log is missing keeps all of fail2ban from starting, so the boot makes these where they have gone.
TMPFILES = "/etc/tmpfiles.d/hostmend-fail2ban.conf"
SELF_LOGGED = ("vsftpd", "xrdp", "proftpd")
HEAD_LOCAL = """# Kept by hostmend: what keeps jails from seeing that are set elsewhere. Read after /etc/fail2ban/jail.local.
"""
READS, FILTERS, ACTS = ("backend", "logpath", "journalmatch"), ("filter", "failregex"), ("action", "banaction", "chain")
WHOLE = ["enabled", "filter", "backend", "port", "ignoreip"]
LOOPBACK = ("127.0.0.1/8", "::1")
WEEK, DAY = 604800, 86400


class JailError(ValueError):
    """What cannot be written safely; the message is one plain sentence."""


def chosen(facts: Mapping[str, Any], services: Sequence[str]) -> List[str]:
    """Return the services that get a whole jail: those asked for and those that have one of ours, less what others set."""
    made = []
    for name, wanted in sorted(facts["wanted"].items()):
        if (name in services or wanted["jail"] in facts["own"].get(OWN_FILE, {})) and not wanted.get("by_hand") \
                and not _set_elsewhere(facts, name):
            made.append(name)
    return made


def faults(facts: Mapping[str, Any], name: str) -> List[Mapping[str, Any]]:
    """Return the faults of the jail that fail2ban has for a service."""
    jail = facts["wanted"][name]["jail"]
    running = facts["jails"].get(jail, {}).get("serves", {}).get(name, {}).get("problems", [])
    stuck = facts.get("stuck", {}).get(jail)
    return list(running) + ([stuck["fault"]] if stuck else [])


def _set_elsewhere(facts: Mapping[str, Any], name: str) -> bool:
    """Tell whether somebody else's file has the jail of a service, so that ours sets the keys at fault alone."""
    jail = facts["wanted"][name]["jail"]
    if DECISIVE & set(facts["local"].get(jail, {}).get("keys", {})):
        return True
    return any(place == OWN_LOCAL for one in faults(facts, name) for place in one["files"].values())


def overridden(facts: Mapping[str, Any], services: Sequence[str]) -> Dict[str, Dict[str, Sequence[str]]]:
    """Return {file of ours: {service: keys}} of jails that other files set, those that ours has already among them."""
    made = {OWN_FILE: {}, OWN_LOCAL: {}}  # type: Dict[str, Dict[str, Sequence[str]]]
    for name, wanted in sorted(facts["wanted"].items()):
        if not _set_elsewhere(facts, name) or wanted.get("by_hand"):
            continue
        for file in made:
            had = facts["own"].get(file, {}).get(wanted["jail"])
            if had:
                made[file][name] = list(had)
        problems = faults(facts, name) if name in services else []
        keys = [key for one in problems for key in one["keys"]]
        local = facts["local"].get(wanted["jail"], {}).get("keys", {})
        if name in services and "enabled" not in local and wanted["jail"] not in facts["jails"]:
            # A copy of jail.conf sets each jail and decides on none.
            made[OWN_LOCAL][name] = list(dict.fromkeys(list(made[OWN_LOCAL].get(name, [])) + WHOLE + keys))
        elif keys:
            # Whoever is let see must not see the controller as an attacker.
            file = OWN_LOCAL if "ignoreip" in local or any(OWN_LOCAL in one["files"].values() for one in problems) else OWN_FILE
            made[file][name] = list(dict.fromkeys(list(made[file].get(name, [])) + keys + ["ignoreip"]))
    return made


def _values(facts: Mapping[str, Any], wanted: Mapping[str, Any], keys: Sequence[str], ignore: str) -> List[str]:
    """Return the lines of a jail that set the keys at fault, and those that belong to them."""
    lines = ["enabled = true"] if "enabled" in keys else []  # type: List[str]
    if set(keys) & set(FILTERS):
        lines += ["filter = %s" % wanted["filter"]] + _regexes(wanted)
    if set(keys) & set(READS):
        lines += ["backend = %s" % wanted["backend"]] + _sources(wanted)
    if "port" in keys:
        lines.append("port = %s" % wanted["port"])
    if "action" in keys or "banaction" in keys:
        lines += ["banaction = %s" % ACTIONS[facts["banaction"] or "nftables"][0], "action = %(action_)s"]
    if set(keys) & set(ACTS):
        lines.append("chain = <known/chain>")
    return lines + ["ignoreip = %s" % ignore]


def _regexes(wanted: Mapping[str, Any]) -> List[str]:
    if not wanted["failregex"]:
        return []
    # Beside a filter, those of the filter stay.
    regexes = (["%(known/failregex)s"] if wanted["filter"] else []) + [safe(one) for one in wanted["failregex"]]
    return ["failregex = %s" % "\n            ".join(regexes)]


def _sources(wanted: Mapping[str, Any]) -> List[str]:
    lines = []
    if wanted["logpath"]:
        lines.append("logpath = %s" % "\n          ".join(safe(one) for one in wanted["logpath"]))
    if wanted["journalmatch"]:
        lines.append("journalmatch = %s" % safe(wanted["journalmatch"]))
    return lines


def render_local(facts: Mapping[str, Any], asked: Mapping[str, Any], services: Sequence[str], file: str) -> Tuple[str, List[str]]:
    """Return the sections of one of our files for jails that other files set, and the logs that must be there."""
    text, logs = "", []  # type: str, List[str]
    for name, keys in overridden(facts, services)[file].items():
        wanted = facts["wanted"][name]
        ignore = " ".join(ignored(facts, asked["ignore"], wanted["jail"]))
        text += "\n[%s]\n%s\n" % (wanted["jail"], "\n".join(_values(facts, wanted, keys, ignore)))
        if set(keys) & set(READS):
            logs += wanted["create"] + (wanted["logpath"] if name in SELF_LOGGED else [])
    return text, logs


def ignored(facts: Mapping[str, Any], more: Sequence[str], jail: str = "DEFAULT") -> List[str]:
    """Return the addresses that are never banned; what is none is an error, as fail2ban would look it up as a name."""
    made = list(LOOPBACK)
    for text in list(facts["controllers"]) + list(more):
        try:
            ipaddress.ip_network(str(text), strict=False)
        except ValueError:
            raise JailError("%r is no address or network" % str(text)) from None
        made.append(str(text))
    own = " ".join(facts["local"].get(section, {}).get("keys", {}).get("ignoreip", "") for section in ("DEFAULT", jail))
    made += [word for word in re.split(r"[,\s]+", own) if word and "%" not in word]
    return list(dict.fromkeys(made))


def safe(text: str) -> str:
    """Return a value that stays one line of a configuration and is no interpolation."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise JailError("%r cannot be written into fail2ban's configuration" % text)
    return text.replace("%", "%%")


def render(facts: Mapping[str, Any], asked: Mapping[str, Any], services: Sequence[str],
           server_text: str) -> Tuple[str, List[str]]:
    """Return the text of our file, and the logs that must be there before fail2ban reads it, also at a boot."""
    ignore = " ".join(ignored(facts, asked["ignore"]))
    defaults = facts["local"].get("DEFAULT", {}).get("keys", {})
    ports, everything = ACTIONS[facts["banaction"] or "nftables"]
    text, logs = HEAD, []  # type: str, List[str]
    for name in services:
        wanted = facts["wanted"][name]
        lines = ["enabled = true", "filter = %s" % wanted["filter"], "backend = %s" % wanted["backend"]]
        lines += _regexes(wanted) + _sources(wanted)
        lines += ["port = %s" % wanted["port"], "ignoreip = %s" % ignore]
        lines += ["%s = %d" % (key, asked[key]) for key in ("maxretry", "findtime", "bantime") if key not in defaults]
        at_fault = [key for one in faults(facts, name) for key in one["keys"]]
        # What was set anew once stays so.
        had = set(facts["own"].get(OWN_FILE, {}).get(wanted["jail"], ())) & {"action", "banaction"} & set(defaults)
        if had or set(at_fault) & {"action", "banaction"}:
            lines += ["banaction = %s" % ports, "action = %(action_)s"]
        else:
            lines += ["banaction = %s" % ports] if "banaction" not in defaults else []
            lines += ["action = %(action_)s"] if "action" not in defaults else []
        # What [DEFAULT] says of it may lead where nothing that comes in passes.
        lines += ["chain = <known/chain>"] if "chain" in defaults else []
        text += "\n[%s]\n%s\n" % (wanted["jail"], "\n".join(lines))
        logs += wanted["create"] + (wanted["logpath"] if name in SELF_LOGGED else [])
    wants = asked["recidive"] and (services or "recidive" in facts["own"].get(OWN_FILE, {}))
    if wants and not DECISIVE & set(facts["local"].get("recidive", {}).get("keys", {})):
        more, log = _recidive(server_text)
        if more:
            lines = ["enabled = true", *more, "ignoreip = %s" % ignore, "bantime = %d" % WEEK, "findtime = %d" % DAY]
            lines += ["banaction = %s" % everything] if "banaction" not in defaults else []
            text += "\n[recidive]\n%s\n" % "\n".join(lines)
            logs += log
    return text, list(dict.fromkeys(logs))


def tmpfiles(logs: Sequence[str]) -> str:
    """Return what has systemd make the logs at boot; their owners stay as they are."""
    plain = [path for path in logs if re.match(r"/[\w./-]+\Z", path)]
    return "# Kept by hostmend.\n" + "".join("f %s 0640 - - -\n" % path for path in plain)


def _recidive(server_text: str) -> Tuple[List[str], List[str]]:
    """Return the lines that say where fail2ban's own log is, and the file that must be there."""
    found = re.findall(r"^[ \t]*logtarget\s*=\s*(\S+)", server_text, re.MULTILINE)
    target = found[-1] if found else "/var/log/fail2ban.log"
    if target.startswith("/") and "%" not in target:
        return ["backend = auto", "logpath = %s" % target], [target]
    if target.upper() in ("SYSLOG", "SYSOUT", "STDOUT", "STDERR", "SYSTEMD-JOURNAL"):
        return ["backend = systemd", "journalmatch = _SYSTEMD_UNIT=fail2ban.service"], []
    return [], []
