# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge log rotation by what was collected."""

import fnmatch
import math
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.facts import BROKEN
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.facts import CHECKS
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.facts import MISSING
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.facts import NOT_RUNNING
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.facts import RETENTION
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.facts import UNCOVERED
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies
from ansible_collections.hostmend.hardening.plugins.module_utils.sentence import sentence
from ansible_collections.hostmend.hardening.plugins.module_utils.software import logrotate

CONFIGURATION = logrotate.CONFIGURATION
RESOURCE = "logrotate"


def check(facts, policy):
    """Return the findings of the facts."""
    if facts["installed"]:
        findings = [passed(MISSING, "logrotate", reason=sentence("logrotate.installed", "logrotate is installed"))]
        findings.append(_judge_runs(facts, policy))
        findings += _judge_errors(facts)
        findings += _judge_coverage(facts, policy)
        findings += _judge_retention(facts, policy)
    else:
        findings = _not_installed(facts, policy)
    return with_remedies(findings, lambda each: remedy.of(each, policy))


def _not_installed(facts, policy):
    large = _current(facts, policy)
    others = [not_applicable(one, sentence("logrotate.not_installed", "logrotate is not installed")) for one in CHECKS[1:]]
    if large:
        return [found(MISSING, "logrotate", reason=sentence("logrotate.logs_grow", "logrotate is not installed and logs grow"),
                      observed={"large": [one["path"] for one in large]})] + others
    return [not_applicable(MISSING, sentence("logrotate.none_large", "no log below /var/log is so large that it needs rotation"))
            ] + others


def _current(facts, policy):
    return [one for one in facts["large"] if one["age_days"] <= 30
            and not any(fnmatch.fnmatchcase(one["path"], glob) for glob in policy["ignore"])]


def _judge_runs(facts, policy):
    timer = facts["timer"]
    by_timer = timer.get("active") == "active" or (not facts["live"] and timer.get("enabled") == "enabled")
    # Debian's and others' cron job leaves the work to the timer where systemd runs.
    by_cron = facts["cron"] and facts["cron_runs"] and not ((facts["init"] == "systemd" or not facts["live"]) and timer)
    parts = {"effective": {"timer": timer.get("active", ""), "cron": facts["cron_runs"]},
             "persistent": {"timer": timer.get("enabled", ""), "cron_job": facts["cron"]}}
    if not facts["live"]:
        parts = {"persistent": dict(parts["persistent"], cron=facts["cron_runs"])}
    if facts["init"] == "none":
        return not_applicable(NOT_RUNNING, sentence("logrotate.no_init_runs", "no init runs here, so nothing can run by schedule")
                              if facts["live"] else
                              sentence("logrotate.no_init", "there is no init in it, so nothing can run by schedule"), RESOURCE)
    others = [run["source"] for run in facts["runs"] if run["active"] and CONFIGURATION in run["configurations"]]
    if others and not (by_timer or by_cron):
        return passed(NOT_RUNNING, RESOURCE, reason=sentence("logrotate.by", "by {others}", others=others[:3]), **parts)
    if timer and by_timer and timer.get("enabled") not in ("enabled", "enabled-runtime", "static"):
        return found(NOT_RUNNING, RESOURCE, **parts, reason=sentence(
            "logrotate.not_at_boot", "logrotate.timer runs, but a boot will not start it"))
    if not by_timer and not by_cron:
        more = {} if timer else {"risk": "manual"}
        return found(NOT_RUNNING, RESOURCE, **more, **parts, reason=sentence(
            "logrotate.nothing_runs_it", "neither a timer nor cron runs logrotate"))
    if by_timer and facts["service"].get("masked"):
        masked = sentence("logrotate.service_masked",
                          "logrotate.timer is on, but logrotate.service, which it starts, is masked")
        return found(NOT_RUNNING, RESOURCE, reason=masked,
                     effective=parts["effective"] if facts["live"] else None,
                     persistent=dict(parts["persistent"], masked=["logrotate.service"]))
    if by_timer and facts["service"].get("command"):
        return found(NOT_RUNNING, RESOURCE, risk="manual", **parts, reason=sentence(
            "logrotate.other_command", "logrotate.timer is on, but logrotate.service runs {command} in place of logrotate",
            command=facts["service"]["command"]))
    age, most = facts["status_age"], float(policy["status_days"])
    if facts["uptime_days"] > most and (age is None or age > most):
        return found(NOT_RUNNING, RESOURCE, risk="manual", **parts, reason=sentence(
            "logrotate.long_ago", "it is scheduled, but has not run for more than {days} days: see systemctl status logrotate",
            days=int(most)))
    return passed(NOT_RUNNING, RESOURCE, **parts, reason=sentence("logrotate.by_timer", "by the timer") if by_timer else
                  sentence("logrotate.by_cron", "by cron"))


def _judge_errors(facts):
    if facts["debug"]:
        return [unknown(BROKEN, CONFIGURATION, facts["debug"])] + _judge_last_run(facts)
    grouped = {}
    for fault in facts["faults"]:
        resource = "%s: %s" % (fault["file"], fault["log"] or re.sub(r"\d+", "N", fault["text"])[:80])
        grouped.setdefault(resource, []).append(fault)
    findings = [_broken(resource, faults, facts) for resource, faults in grouped.items()] + _judge_last_run(facts)
    return findings or [passed(BROKEN, CONFIGURATION, reason=sentence("logrotate.no_complaint", "logrotate -d has no complaint"))]


def _broken(resource, faults, facts):
    fault, kinds = faults[0], sorted({fault["kind"] for fault in faults})
    texts = list(dict.fromkeys(fault["text"] for fault in faults))
    said, more = "; ".join(texts)[:300], {}
    reason = sentence("logrotate.complaint", "{said}", said=said)
    why = _unmendable(fault, facts) if len(kinds) == 1 else sentence("logrotate.two_faults", "two faults meet in it")
    if why:
        more = {"risk": "manual"}
        if why != "other":
            reason = sentence("logrotate.complaint_and", "{said}: {why}", said=said, why=why)
    return found(BROKEN, resource, reason=reason, **more,
                 persistent={"file": fault["file"], "log": fault["log"], "kind": fault["kind"]})


def _unmendable(fault, facts):
    """Return why a fault is a person's to mend, "" where it is not; "other" where its text says all."""
    if fault["kind"] not in ("su", "missingok") or not fault["stanza"]:
        return "other"
    if fault["kind"] == "missingok":
        return ""
    owners = {other["owner"] for other in facts["faults"] if other["kind"] == "su" and other["stanza"] == fault["stanza"]}
    if len(owners) > 1:
        return sentence("logrotate.several_owners", "its stanza has folders of several owners ({owners}), and one su cannot fit "
                        "them: give each a stanza of its own", owners=sorted(owner or "?" for owner in owners)[:5])
    if "" in owners:
        return sentence("logrotate.nameless_owner", "the owner of its folder cannot be told")
    if fault["owner"].startswith("root "):
        return sentence("logrotate.su_root", "its folder is root's, and su would have root work where others may put links: take "
                        "their right to write away")
    have = fault["su"]
    if have and have != fault["owner"]:
        return sentence("logrotate.other_su", "its stanza says su {su}, and the folder is of {owner}",
                        su=have, owner=fault["owner"])
    return ""


def _judge_last_run(facts):
    last = facts["service"].get("last", {})
    if not last.get("failed") or any(fault["text"] for fault in facts["faults"]):
        return []
    how = sentence("logrotate.run_failed_says", "its last run failed ({result}): {says}", result=last["result"],
                   says=last["says"]) if last["says"] else sentence(
        "logrotate.run_failed", "its last run failed ({result})", result=last["result"])
    if last["changed_since"]:
        return [unknown(BROKEN, "logrotate.service", sentence(
            "logrotate.changed_since", "{how}; its configuration was changed since, and the next run will tell", how=how))]
    return [found(BROKEN, "logrotate.service", risk="manual", reason=how, effective={"result": last["result"]})]


def _judge_coverage(facts, policy):
    grows = sentence("logrotate.grows", "it is large, grows, and logrotate leaves it alone")
    large = [(one, grows) for one in _current(facts, policy)]
    large += [(one, sentence("logrotate.appended", "{program} appends to it, it is large, and logrotate leaves it alone",
                             program=one["program"]))
              for one in facts["appended"] if not any(fnmatch.fnmatchcase(one["path"], glob) for glob in policy["ignore"])]
    unbound = sentence("logrotate.container", "the container's log has no bound, and nothing rotates it; containers made from "
                       "now on are bounded by max-size in the log options of daemon.json")
    large += [(one, unbound) for one in facts["json_logs"]]
    if facts["debug"]:
        return [unknown(UNCOVERED, "/var/log", facts["debug"])]
    patterns = [glob for one in facts["rotations"] for glob in one["patterns"]]
    made = []
    for one, reason in large:
        if logrotate.matches(one["path"], patterns):
            made.append(passed(UNCOVERED, one["path"], reason=sentence("logrotate.rotated", "logrotate rotates it")))
        else:
            idle = next((stanza for stanza in facts["stanzas"] if not stanza["effective"]
                         and logrotate.matches(one["path"], stanza["patterns"])), None)
            why = one.get("place") or (sentence("logrotate.passed_over", "{file} has a stanza for it that logrotate passes over: "
                                                "mend that file", file=idle["file"]) if idle else "")
            if why:
                reason = sentence("logrotate.and_why", "{reason}; {why}", reason=reason, why=why)
            more = {"risk": "manual"} if why or one.get("by_hand") else {}
            made.append(found(UNCOVERED, one["path"], reason=reason, observed={"mebibytes": one["mebibytes"]}, **more))
    gap = next((gap for gap in facts["gaps"] if "/var/log" in gap), "")
    if gap and not any(one["status"] == "open" for one in made):
        made.append(unknown(UNCOVERED, "/var/log", gap))
    return made or [passed(UNCOVERED, "/var/log", reason=sentence(
        "logrotate.all_rotated", "no large log below /var/log goes without rotation"))]


def _stanza_of(facts, rotation, taken):
    """Return the number of the stanza in effect for what logrotate rotates, None where none is known.

    :param taken: the numbers of those that stand for other rotations: of a log that is there twice each has its own.
    """
    usable = [(number, stanza) for number, stanza in enumerate(facts["stanzas"]) if stanza["effective"] and number not in taken]
    same = [(number, stanza) for number, stanza in usable if stanza["patterns"] == rotation["patterns"]] or [
        (number, stanza) for number, stanza in usable if set(stanza["patterns"]) & set(rotation["patterns"])]
    counted = [number for number, stanza in same if stanza["options"].get("rotate") == str(rotation["count"])]
    return next(iter(counted + [number for number, _stanza in same]), None)


def _judge_retention(facts, policy):
    if facts["debug"]:
        return [unknown(RETENTION, CONFIGURATION, facts["debug"])]
    findings, taken = {}, set()
    for rotation in facts["rotations"]:
        if not any(fnmatch.fnmatchcase(path, glob) for path in rotation["patterns"] for glob in policy["retention_logs"]):
            continue
        number = _stanza_of(facts, rotation, taken)
        if number is not None:
            taken.add(number)
            kept = _kept_long_enough(facts, int(policy["retention_days"]), rotation, facts["stanzas"][number])
            findings.setdefault(kept["resource"], kept)
    return list(findings.values()) or [not_applicable(RETENTION, sentence(
        "logrotate.none_kept", "logrotate rotates none of the logs that have to be kept"))]


def _kept_long_enough(facts, wanted, rotation, stanza):
    resource = "%s: %s" % (stanza["file"], stanza["patterns"][0])
    oldest = stanza["options"].get("maxage", "")
    days = rotation["days"] * rotation["count"] if rotation["days"] else None
    if days is not None and oldest.isdecimal():
        days = min(days, float(oldest))
    if days is None:
        return unknown(RETENTION, resource, sentence(
            "logrotate.by_size", "it is rotated by size, so the days it keeps cannot be told"))
    parts = {"effective": {"days": int(days), "wanted": wanted},
             "persistent": {"file": stanza["file"], "log": stanza["patterns"][0],
                            "rotate": math.ceil(wanted / rotation["days"]), "maxage": oldest}}
    if days >= wanted and rotation["early"]:
        return unknown(RETENTION, resource, sentence(
            "logrotate.maxsize", "{days} days are kept where it stays small (maxsize): how many that are in truth cannot be told",
            days=int(days)), **parts)
    if days >= wanted:
        return passed(RETENTION, resource, reason=sentence("logrotate.kept", "{days} days are kept", days=int(days)), **parts)
    few = sentence("logrotate.too_few_mlps", "{days} days are kept, {wanted} are wanted (hostmend_logrotate_retention_days; six "
                   "months is what MLPS 2.0 asks)", days=int(days), wanted=wanted) if wanted == 180 else sentence(
        "logrotate.too_few", "{days} days are kept, {wanted} are wanted (hostmend_logrotate_retention_days)",
        days=int(days), wanted=wanted)
    need, more = stanza["mebibytes"] * parts["persistent"]["rotate"] // max(1, stanza["kept"]), {}
    reason = sentence("logrotate.needs", "{few}; that would take about {need} MiB", few=few, need=need)
    # What is free differs from minute to minute, and is told where it decides.
    if facts["free"] is not None and need > facts["free"] // 2:
        more = {"risk": "manual"}
        reason = sentence("logrotate.needs_more", "{few}; that would take about {need} MiB, and {free} MiB are free",
                          few=few, need=need, free=facts["free"])
    return found(RETENTION, resource, reason=reason, **more, **parts)
