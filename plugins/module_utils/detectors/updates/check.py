# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the state of a package manager, and of what runs, is found to be."""

import calendar
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import releases
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import unattended
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import CVE
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import EOL
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import INDEX
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import PENDING
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import REBOOT
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import STALE
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.host import stale
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt_state

INSTALLED = "installed packages"
KEPT_BACK = {
    "phased": "its archive lets hosts have it by and by, and this one is not among them yet",
    "dependencies": "apt keeps it back, as a package that it depends on cannot be had: see apt-get -s install of it",
    "broken": "apt installs nothing before the dependencies of what is installed are mended",
}
CLOCK_LEAST = "2025-01-01"


def check(facts, policy):
    """Return the findings."""
    return (_pending(facts, policy) + _index(facts, policy) + [_cve(facts)] + _reboot(facts, policy)
            + _stale(facts, policy) + [_eol(facts, policy), unattended.judge(facts, policy)])


def _pending(facts, policy):
    made = []
    if facts["interrupted"] and facts["manager"] != "apt":
        made.append(found(PENDING, "rpm", risk="manual", effective={"half_done": facts["interrupted"][:50]},
                          reason="a transaction was cut off; finish it by hand "
                                 "(dnf remove --duplicates, or yum-complete-transaction)"))
    elif facts["interrupted"]:
        made.append(found(PENDING, "dpkg", reason="an installation was cut off; no update gets in until it is finished",
                          effective={"half_done": facts["interrupted"][:50]}))
    # What was cut off may be all that is broken, and is finished first.
    broken = "" if facts["interrupted"] else facts["broken"]
    if broken:
        made.append(found(PENDING, "dependencies", risk="manual", effective={"apt": broken},
                          reason="apt installs nothing until this is mended by hand (apt-get -f install): " + broken))
    for one in sorted(facts["pending"], key=lambda one: one["name"]):
        if not one["security"] and policy["scope"] != "all":
            continue
        more = {"severity": one["severity"] or ("" if one["security"] else "low")}
        more = {key: value for key, value in more.items() if value}
        reason = "" if one["security"] else "it is not from a security origin; the policy wants all updates"
        if one["held"] or one["pinned"]:
            more["risk"] = "manual"
            reason = ("it is on hold" if one["held"] else "a pin or an exclusion keeps it back") + ", which a person has set"
            reason += " (%s)" % one["kept_by"] if one.get("kept_by") else " (apt-mark showhold)" if (
                one["held"] and facts["manager"] == "apt") else ""
        elif one.get("kept_back") or broken:
            more["risk"] = "manual"
            reason = KEPT_BACK[one.get("kept_back") or "broken"]
        made.append(found(
            PENDING, one["name"], reason=reason, references=one["cves"], **more,
            effective={"installed": one["installed"], "source": one["source"]},
            observed={"candidate": one["candidate"], "origin": one["origin"], "advisories": one["advisories"],
                      "held": one["held"], "pinned": one["pinned"]}))
    blind = _blind(facts, policy)
    made += [unknown(PENDING, resource, reason) for resource, reason in blind]
    return made or [passed(PENDING, INSTALLED, reason="no security update is pending",
                           observed={"index_age_days": facts["index"]["age_days"]})]


def _blind(facts, policy):
    """Return (resource, reason) of what hides pending updates."""
    if facts["failure"]:
        return [(INSTALLED, facts["failure"])]
    if not facts["packages"]:
        return [(INSTALLED, (facts["gaps"] or ["the package database names no package"])[0])]
    reasons = []
    age = facts["index"]["age_days"]
    if age is not None and age > float(policy["index_days"]):
        reasons.append((INSTALLED, "the package index is %d days old: what came since cannot be told" % age))
    elif facts["manager"] == "apt" and _no_security(facts, policy["security_origins"]):
        reasons.append((INSTALLED, "no source of security updates is set up, or its index was never fetched"))
    reasons += [("%s %s" % (one["uri"], one["suite"]), "no index of it is here, or one that has run out")
                for one in facts["sources"] if one["index"] is False or _ran_out(one, facts)]
    reasons += [("%s %s" % (one["uri"], one["suite"]), "its index is %d days old: what came since cannot be told"
                 % one["age_days"]) for one in facts["sources"] if _left_behind(one, facts, policy) and not _ran_out(one, facts)]
    reasons += [("repository %s" % one["id"], "its metadata was never fetched" if one["errata"] is None
                 else "it has no advisories, so what is for security cannot be told")
                for one in facts.get("repositories", ()) if not one["errata"]]
    return reasons


def _today(facts):
    return calendar.timegm(time.strptime(facts["today"], "%Y-%m-%d"))


def _ran_out(one, facts):
    return apt_state.ran_out(one, _today(facts))


def _left_behind(one, facts, policy):
    return apt_state.left_behind(one, facts["index"]["age_days"], float(policy["index_days"]), _today(facts))


def _no_security(facts, more, fetched=True):
    here = facts["distribution"]
    if here["id"] not in unattended.SEPARATE or releases.is_rolling(here["id"], here["version_id"]):
        return False
    return not any(apt.is_security(one["suite"], one["release"], more) and (one["index"] is not False or not fetched)
                   for one in facts["sources"])


def _index(facts, policy):
    if facts.get("faulty"):
        return [found(INDEX, "sources", risk="manual",
                      reason="nothing is fetched until this is corrected by hand: " + facts["failure"])]
    if not facts["index"]["present"]:
        return [unknown(INDEX, "package index", facts["failure"] or apt_state.NO_INDEX)]
    made, age, most = [], facts["index"]["age_days"], float(policy["index_days"])
    # A refresh is the network's and the operator's to allow.
    refresh = {} if policy["refresh"] else {"risk": "manual"}
    if age is None:
        made.append(unknown(INDEX, "package index", "when it was last fetched cannot be told"))
    elif age > most:
        made.append(found(INDEX, "package index", effective={"age_days": int(age), "most": most}, **refresh,
                          reason="it was last fetched with success more than %d days ago" % most))
    for one in facts["sources"]:
        name = "%s %s" % (one["uri"], one["suite"])
        where = {"file": one["file"]}
        if (one["trusted"] and not one["local"]) or not one["signed"]:
            made.append(found(INDEX, name, risk="manual", persistent=where,
                              reason="its signature is not checked, so whoever is on the way decides what is installed"))
        elif one["index"] is False:
            made.append(found(INDEX, name, risk="manual", persistent=where, reason="no index of it is here: it cannot be "
                              "reached, is not signed by a known key, or was never fetched"))
        elif _left_behind(one, facts, policy):
            made.append(found(INDEX, name, risk="manual", persistent=where, effective={"age_days": int(one["age_days"])},
                              reason="others were fetched since, and it was not: it cannot be reached, or apt refuses what it "
                              "gives (apt-get update says why)"))
        elif _ran_out(one, facts) and one["age_days"] is not None and one["age_days"] < 1:
            made.append(found(INDEX, name, risk="manual", persistent=where, reason="its index has run out, and the archive "
                              "has no newer one: it is no longer kept up"))
        elif _ran_out(one, facts):
            made.append(found(INDEX, name, persistent=where, **refresh, reason="its index has run out: the archive "
                              "has a newer one that was never fetched, or is no longer kept up"))
    for one in facts.get("repositories", ()):
        if one["unsigned"] and not one["local"]:
            made.append(found(INDEX, "repository %s" % one["id"], risk="manual", persistent={"file": one["file"]},
                              reason="the signatures of its packages are not checked (gpgcheck)"))
        elif one["age_days"] is None:
            made.append(found(INDEX, "repository %s" % one["id"], risk="manual", persistent={"file": one["file"]},
                              reason="no metadata of it is here: it cannot be reached, or was never fetched"))
    if facts["manager"] == "apt" and facts["sources"] and _no_security(facts, policy["security_origins"], fetched=False):
        made.append(found(INDEX, "security source", risk="manual",
                          reason="no source brings the security updates of this distribution"))
    return made or [passed(INDEX, "package index", effective={"age_days": int(age)},
                           reason="each source has an index of the last %d days" % most)]


def _cve(facts):
    if not facts["packages"]:
        return unknown(CVE, INSTALLED, (facts["gaps"] or ["no package database can be read"])[0])
    return unknown(CVE, INSTALLED, "no advisory bundle was at hand (hostmend advisories import)")


def _reboot(facts, policy):
    if not facts["live"]:
        return [not_applicable(REBOOT, "this root filesystem is not running", "kernel")]
    if facts["container"]:
        return [not_applicable(REBOOT, "a container runs the kernel of its host", "kernel")]
    state, more = facts["kernel"], {} if policy["reboot"] else {"risk": "manual"}
    parts = {"effective": {"release": state["release"], "version": state["running"]},
             "persistent": {"release": state["newest_release"], "version": state["newest"]}}
    if state["newest"] != state["running"]:
        return [found(REBOOT, "kernel", reason="a newer kernel is installed than the one that runs", **more, **parts)]
    if state["asked"]:
        return [found(REBOOT, "kernel", reason="a reboot is asked for by %s" % state["asked"], **more, **parts)]
    if state["failure"]:
        return [unknown(REBOOT, "kernel", state["failure"])]
    if not state["running"]:
        return [not_applicable(REBOOT, "no kernel of a package is installed", "kernel")]
    return [passed(REBOOT, "kernel", reason="the newest installed kernel runs", **parts)]


def _stale(facts, policy):
    if not facts["live"]:
        return [not_applicable(STALE, "this root filesystem is not running", "processes")]
    made = []
    for one in facts["stale"]:
        more, reason = {}, ""
        level = one["level"]
        if not level:
            more = {"risk": "manual"}
            reason = ("this run goes through it" if one["own"] else "a restart of it takes sessions or the host along"
                      if one["unit"] else "it belongs to no service") + ": restart it by hand, or reboot"
        elif stale.LEVELS.index(policy["restart"]) < stale.LEVELS.index(level):
            more = {"risk": "manual"}
            reason = "the policy does not let it be restarted (restart: %s)" % policy["restart"]
        made.append(found(STALE, one["name"], reason=reason, **more,
                          effective={"programs": one["programs"], "replaced": one["files"]}))
    made += [unknown(STALE, "processes", gap) for gap in facts["stale_gaps"]]
    return made or [passed(STALE, "processes", reason="no process runs a file that was replaced",
                           observed={"containers_apart": facts.get("others", 0)})]


def _eol(facts, policy):
    here = facts["distribution"]
    name = here["name"] or here["id"] or "this system"
    # The resource has no point release in it, so that it stays the same through updates.
    resource = ("%s %s" % (here["id"], here["version_id"].split(".")[0] if here["id"] in releases.MAJOR_ONLY
                           else here["version_id"])).strip() or "distribution"
    if releases.is_rolling(here["id"], here["version_id"]):
        return not_applicable(EOL, "%s has no release that ends" % name, resource)
    end = releases.end_of(here["id"], here["version_id"], policy["lts"], policy["paid_support"])
    if end is None:
        return unknown(EOL, resource, "when %s ends is not known here" % name)
    if facts["today"] < CLOCK_LEAST:
        return unknown(EOL, resource, "the host's clock says %s, which cannot be" % facts["today"])
    parts = {"effective": {"release": here["version_id"], "codename": here["codename"]}, "observed": {"ends": end}}
    if facts["today"] > end:
        return found(EOL, resource, reason="%s has had no security updates since %s" % (name, end), **parts)
    return passed(EOL, resource, reason="%s gets security updates until %s" % (name, end), **parts)
