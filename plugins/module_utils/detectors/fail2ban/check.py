# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging: facts in, findings out; nothing of the host is touched."""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import alternatives
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import lockout
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import CHECKS
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import Fault
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import JAIL_BLIND
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import JAIL_MISSING
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import MISSING
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import faults_of
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import jails as fail2ban_jail

Facts = Mapping[str, Any]
Finding = Dict[str, Any]
Findings = List[Finding]


def check(facts: Facts, policy: Facts) -> Findings:
    """Return the findings of the facts."""
    targets = [one for one in facts["services"] if one["passwords"]]
    findings = _judge_bans(facts, policy, targets) if targets else _nobody(facts)
    return with_remedies(findings + lockout.judge(facts, policy), lambda each: remedy.of(each, facts))


def _nobody(facts: Facts) -> Findings:
    gap = next(iter(facts["gaps"]), "")
    if gap:
        return [unknown(one, "services", gap) for one in CHECKS[:3]]
    reason = "no service that takes passwords can be reached from another host" if facts["boots"] else \
        "there is no init in it that would start a service"
    return [not_applicable(one, reason) for one in CHECKS[:3]]


def penalty_of(facts: Facts) -> str:
    """Return what sshd itself holds against who fails to log in."""
    for one in facts["services"]:
        told = (one.get("settings") or {}).get("persourcepenalties", "")
        if one["name"] == "ssh" and told and told != "no":
            return told
    return ""


def _judge_bans(facts: Facts, policy: Facts, targets: List[Facts]) -> Findings:
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
    mendable, hint = _stuck(facts, policy) if about.get("complaint") else (True, "")
    if about.get("complaint"):
        reason += ": fail2ban does not start (%s%s)" % (about["complaint"], hint)
    elif about.get("installed"):
        reason += ": fail2ban is installed, but does not run" if facts["live"] else ": fail2ban is not enabled"
    if facts["others"].get("crowdsec") and not other:
        reason += ", as CrowdSec has no bouncer"
    if penalty:
        reason += "; what sshd itself holds against them slows them down only"
    by_hand = [facts["wanted"][one["name"]]["by_hand"] for one in targets]
    risk = None if mendable and not facts["others"].get("crowdsec") else "manual"
    if all(by_hand):
        risk, reason = "manual", "%s; %s" % (reason, by_hand[0])
    return [found(MISSING, "brute force", reason=reason, risk=risk, **parts)] + [
        not_applicable(one, "nothing bans here at all: see fail2ban.missing") for one in CHECKS[1:3]]


def _absent(facts: Facts) -> bool:
    return not facts["live"] and facts["fail2ban"]["enabled"] is False


def _stuck(facts: Facts, policy: Facts) -> Tuple[bool, str]:
    """Return whether our own files can mend a configuration that fail2ban does not start with, and what a person has to know.

    A jail of a service that is not there is nobody's but the administrator's.
    """
    about, hint = facts["fail2ban"], ""
    if not about["without_log"]:
        return False, ""
    wanted = dict((one["jail"], one) for one in facts["wanted"].values())
    for jail in about["without_log"]:
        stuck = facts["stuck"][jail]
        if jail not in wanted:
            place = " in %s" % stuck["enabled"] if stuck["enabled"] else ""
            return False, "; the service that [%s] watches is not here: set enabled = false%s, or have what it reads" % (
                jail, place)
        risk, hint = remedy.risk_of(faults_of([stuck["fault"]]), wanted[jail], policy)
        if risk:
            return False, hint
    return True, hint


def _judge_fail2ban(facts: Facts, policy: Facts, targets: List[Facts], parts: Facts) -> Findings:
    about = facts["fail2ban"]
    if about["failure"]:
        return [unknown(one, "fail2ban", about["failure"], **parts) for one in CHECKS[:3]]
    made = []
    if about["complaint"]:
        mendable, hint = _stuck(facts, policy)
        made.append(found(MISSING, "fail2ban", risk=None if mendable else "manual", **parts,
                          reason="%s not start with its configuration: %s%s" % (
                              "fail2ban runs, but a restart would" if about["running"] else "fail2ban will",
                              about["complaint"], hint)))
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


def _judge_service(facts: Facts, service: Facts, gap: str, policy: Facts) -> Findings:
    name, wanted = service["name"], facts["wanted"][service["name"]]
    jails = dict((jail, about["serves"][name]) for jail, about in facts["jails"].items() if name in about["serves"])
    parts = {"effective": {"ports": service["ports"], "unit": service["unit"] or service["socket"],
                           "logs_as": service["identifiers"], "jails": sorted(jails)},
             "persistent": {"service": name, "jail": wanted["jail"]}}
    if service["container"]:
        return [unknown(JAIL_MISSING, name, "it runs in a container, whose logs were not looked at", **parts)]
    if not jails:
        return [_judge_unwatched(facts, service, gap, policy, parts)]
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
            faults = faults_of(about["problems"])
            risk, hint = _unaccepted(facts, policy) or _risk(facts, jail, wanted, faults, policy)
            made.append(found(JAIL_BLIND, resource, risk=risk, **seen,
                              reason="; ".join(fault.text for fault in faults) + hint))
        else:
            made.append(unknown(JAIL_BLIND, resource, about["doubts"][0], **seen))
    return made


def _risk(facts: Facts, jail: str, wanted: Facts, faults: Sequence[Fault], policy: Facts) -> Tuple[Optional[str], str]:
    """Return ("manual" where no jail of ours mends a blind one, what a person has to know)."""
    if jail != wanted["jail"]:
        # A jail of ours comes beside it, under the name that fail2ban itself has for the service.
        here = remedy.risk_of([fault for fault in faults if fault.by_hand], wanted, policy)
        if here[0]:
            return here
        return ("manual", "; %s" % wanted["by_hand"]) if wanted["by_hand"] else _taken(facts, wanted, policy)
    return remedy.risk_of(faults, wanted, policy)


def _taken(facts: Facts, wanted: Facts, policy: Facts) -> Tuple[Optional[str], str]:
    """Return ("manual" where an administrator has set the jail that ours would be, where)."""
    local = facts["local"].get(wanted["jail"])
    if local and set(local["keys"]) & fail2ban_jail.DECISIVE and (
            "enabled" in local["keys"] or not policy.get("override_local", True)):
        return "manual", "; %s sets [%s], and is an administrator's own" % (local["file"], wanted["jail"])
    return None, ""


def _unaccepted(facts: Facts, policy: Facts) -> Optional[Tuple[str, str]]:
    """Return that no jail of ours gets in beside what fail2ban does not accept; None where it does."""
    if facts["fail2ban"].get("complaint") and not _stuck(facts, policy)[0]:
        return "manual", "; first the configuration of fail2ban has to be corrected by hand"
    return None


def _judge_unwatched(facts: Facts, service: Facts, gap: str, policy: Facts, parts: Facts) -> Finding:
    name, wanted = service["name"], facts["wanted"][service["name"]]
    if name == "ssh" and penalty_of(facts) and policy["penalties_suffice"]:
        return passed(JAIL_MISSING, name, reason="sshd itself turns away who fails to log in", **parts)
    if gap:
        return unknown(JAIL_MISSING, name, gap, **parts)
    risk, hint = _unaccepted(facts, policy) or _taken(facts, wanted, policy)
    if wanted["by_hand"] and risk is None:
        risk, hint = "manual", "; %s" % wanted["by_hand"]
    return found(JAIL_MISSING, name, reason="no jail watches it%s" % hint, risk=risk, **parts)


def _seen(jail: Facts) -> Dict[str, Any]:
    return {"reads": jail["logs"] if jail["kind"] == "files" else
            ["journal: " + (" + ".join(" ".join("=".join(term) for term in terms) for terms in jail["matches"]) or "all")],
            "actions": [{"name": one["name"], "ports": one["ports"] if one["ports"] is not None else "all"}
                        for one in jail["actions"]],
            "maxretry": jail["maxretry"], "findtime": jail["findtime"], "bantime": jail["bantime"]}


def _judge_other(facts: Facts, targets: List[Facts], other: str, parts: Facts) -> Findings:
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
