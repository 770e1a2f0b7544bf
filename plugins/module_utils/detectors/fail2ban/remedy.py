# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role is told of a finding, what a jail should be on this host, and which of our files can set a key of it."""

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import facts as names
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import table
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import Fault
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import config
SSHD_FILTER = 'sshd[_daemon="sshd(?:-session)?"]'


def of(finding: Mapping[str, Any], facts: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what fail2ban_jails is told, and whether the host is to have fail2ban (``bans``) or a ``lockout``.

    ``services`` get a jail, ``wanted`` are these jails, ``install`` the packages that are missing, ``state`` is what the host
    has of fail2ban now: whether it is ``installed``, takes its configuration (``valid``) and runs (``running``).
    """
    locks, about = finding["check"] == names.NO_LOCKOUT, facts["fail2ban"]
    there, valid = bool(about.get("installed")), bool(about.get("installed")) and not about.get("complaint")
    service = finding["evidence"].get("persistent", {}).get("service")
    watched = [service] if service else []
    if finding["check"] == names.MISSING:
        works = valid and about.get("running")
        # Where nothing bans, all services get a jail whose log is kept.
        watched = watched if works else sorted(name for name, one in facts["wanted"].items() if not one.get("by_hand"))
    return {"services": watched, "bans": not locks, "lockout": locks, "install": [] if locks else list(facts["install"]),
            "wanted": dict((name, facts["wanted"][name]) for name in watched if name in facts["wanted"]),
            "state": {"installed": there, "valid": valid, "running": bool(about.get("running"))}}


def rename(host: Any, facts: Dict[str, Any]) -> None:
    """Have a filter of sshd that knows its old name alone take the new one, too; what a jail says wins over its filter."""
    texts = [host.read(path, config.TEXT) or "" for path in (config.OWN_FILE, config.OWN_LOCAL)]
    if "ssh" in facts["wanted"] and any("filter = %s\n" % SSHD_FILTER in text for text in texts):
        facts["wanted"]["ssh"]["filter"] = SSHD_FILTER
    for jail in facts["jails"].values():
        for service, about in jail["serves"].items():
            if service == "ssh" and any(set(one["keys"]) & set(names.FILTERS) for one in about["problems"]):
                facts["wanted"]["ssh"]["filter"] = SSHD_FILTER


def blamed(fault: Fault, jail: str, found: config.Config) -> Fault:
    """Return a fault with the file and line that set the key at fault, and the files of ours that can set it."""
    files, place, local, file = {}, "", False, ""  # type: Dict[str, str], str, bool, str
    keys = _keys(fault, jail, found)
    for key in keys:
        in_jail = key in found.sections.get(jail, {})
        setting = config.setting(found, jail, key)
        files[key] = config.own_place(setting, in_jail)
        if setting is not None and setting.file not in config.PACKAGED and not place:
            place, local, file = setting.place, setting.is_local, setting.file
    return fault._replace(keys=keys, files=files, place=place, local=local, owner=found.owners.get(file, ""))


def _own(found: config.Config, jail: str, key: str) -> str:
    """Return what a file that did not come with fail2ban sets a key to, "" where none does."""
    setting = config.setting(found, jail, key)
    return setting.value if setting is not None and setting.file not in config.PACKAGED else ""


def _keys(fault: Fault, jail: str, found: config.Config) -> Sequence[str]:
    """Return the keys at fault: an action that is written out takes neither port nor chain from keys of those names."""
    action = _own(found, jail, "action")
    fixed = action and "%(action" not in action and "%(banaction" not in action
    if "port" in fault.keys and fixed:
        return tuple(fault.keys) + names.ACTS[:2]
    if "chain" in fault.keys and not fixed and _own(found, jail, "chain") and "[" not in _own(found, jail, "banaction"):
        return ("chain",)
    return fault.keys


def risk_of(faults: Sequence[Fault], wanted: Mapping[str, Any], policy: Mapping[str, Any]) -> Tuple[Optional[str], str]:
    """Return ("manual" where a jail of ours cannot mend the faults, what a person has to know)."""
    for fault in faults:
        if fault.by_hand:
            return "manual", "; %s" % fault.by_hand
    if wanted.get("by_hand") and any(set(fault.keys) & set(names.SOURCES) for fault in faults):
        return "manual", "; %s" % wanted["by_hand"]
    places = ["%s (%s)" % (fault.place, ", ".join(key for key in fault.keys)) for fault in faults if fault.place]
    where = "; set in %s" % ", ".join(dict.fromkeys(fault.place for fault in faults if fault.place)) if places else ""
    owned = next((fault for fault in faults if fault.owner), None)
    if owned is not None:
        return "manual", "%s, a file that %s writes: change it there" % (where, owned.owner)
    if any(fault.local for fault in faults) and not policy.get("override_local", True):
        return "manual", "%s, which is an administrator's own and left alone (hostmend_fail2ban_override_local)" % where
    blocked = next((fault for fault in faults if "" in fault.files.values()), None)
    if blocked is not None:
        return "manual", "%s, which is read after each file of hostmend" % where
    return None, where


def wanted(host: Any, service: Dict[str, Any], logs: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the jail that watches a service on this host."""
    known = table.BY_NAME[service["name"]]
    made = {"jail": known.jail, "filter": known.filter or known.jail, "port": ",".join(str(one) for one in service["ports"]),
            "backend": "auto", "logpath": [], "journalmatch": "", "failregex": list(known.failregex), "create": [],
            "by_hand": ""}  # type: Dict[str, Any]
    if known.failregex:
        made["filter"] = ""
    if service["name"] == "dovecot" and services.new_dovecot(service.get("settings") or {}):
        made["failregex"] += known.added
    syslogs = [path for path in known.files if host.live and services.live(host, path, service, logs)]
    if service["own_logs"] and not (service["name"] == "mysql" and not host.live):
        made["logpath"] = list(service["own_logs"])
        made["create"] = [path for path in made["logpath"] if not host.exists(path)]
    elif syslogs:
        made["logpath"] = syslogs[:1]
    elif logs["journal"] and service["identifiers"] and logs["level"] >= known.level:
        made.update(backend="systemd", journalmatch=_match(service))
    elif known.own_files:
        made["logpath"] = list(known.own_files[:1])
        made["create"] = [path for path in made["logpath"] if not host.exists(path)]
    else:
        made["by_hand"] = "nothing keeps what %s logs%s: have the journal kept, or a syslog daemon run" % (
            service["name"], " (%s)" % (logs["why"] or logs["silent"] or "MaxLevelStore in %s" % logs["level_place"]))
    return made


def _match(service: Mapping[str, Any]) -> str:
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
