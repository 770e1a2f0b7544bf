# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether accounts are locked after failed logins, by the stacks of PAM that services which take passwords use."""

from typing import Any, Dict, List, Mapping, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import table
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import NO_LOCKOUT
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import has
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import authselect
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import profiles
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import stack

SECONDS = 6


def collect(host: Any, targets: List[Dict[str, Any]], system: Any) -> List[Dict[str, Any]]:
    """Return how the stacks lock accounts that services and the console use."""
    stacks = {}  # type: Dict[str, List[str]]
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


def _means(host: Any) -> Tuple[str, str]:
    """Return by what a lockout can be added here, and what keeps it from that."""
    if has(host, "pam-auth-update") and not (has(host, authselect.PROGRAM) and host.exists(authselect.SELECTED)):
        edited = profiles.edited(host.read)
        if edited:
            return "", "%s was edited by hand, so pam-auth-update leaves it alone: run pam-auth-update --force once, or add " \
                "the lines of pam_faillock there" % edited
        return "pam-auth-update", ""
    if not has(host, authselect.PROGRAM):
        return "", "there is neither pam-auth-update nor authselect to add it by"
    if not host.executes:
        return authselect.PROGRAM, ""

    def run(argv: List[str]) -> Tuple[int, str]:
        answer = host.run(argv, seconds=SECONDS)
        return (0 if answer.ok else 1), answer.err + answer.out

    try:
        authselect.selected(run, host.read)
    except authselect.AuthselectError as error:
        return "", str(error)
    return authselect.PROGRAM, ""


def _stack(host: Any, name: str, used: List[str], means: str, hindrance: str) -> Dict[str, Any]:
    seen = stack.judged(host.read, name)
    return {"stack": name, "used": used, "problems": seen.problems, "failure": seen.failure,
            "deny": seen.settings.get("deny", ""), "unlock_time": seen.settings.get("unlock_time", ""),
            "root": seen.root_too, "means": means, "hindrance": hindrance}


def judge(facts: Mapping[str, Any], policy: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Return the findings about lockouts."""
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
            made.append(passed(NO_LOCKOUT, resource, reason="it locks after %s failures%s" % (
                one["deny"], ", root too" if one["root"] else ""), **parts))
    return made
