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
from ansible_collections.hostmend.hardening.plugins.module_utils.software import logrotate

CONFIGURATION = logrotate.CONFIGURATION
RESOURCE = "logrotate"


def check(facts, policy):
    """Return the findings of the facts."""
    if facts["installed"]:
        findings = [passed(MISSING, "logrotate", reason="logrotate is installed"), _judge_runs(facts, policy)]
        findings += _judge_errors(facts)
        findings += _judge_coverage(facts, policy)
        findings += _judge_retention(facts, policy)
    else:
        findings = _not_installed(facts, policy)
    return with_remedies(findings, lambda each: remedy.of(each, policy))


def _not_installed(facts, policy):
    large = _current(facts, policy)
    reason = "logrotate is not installed"
    others = [not_applicable(one, reason) for one in CHECKS[1:]]
    if large:
        return [found(MISSING, "logrotate", reason=reason + " and logs grow",
                      observed={"large": [one["path"] for one in large]})] + others
    return [not_applicable(MISSING, "no log below /var/log is so large that it needs rotation")] + others


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
        return not_applicable(NOT_RUNNING, "no init runs here, so nothing can run by schedule" if facts["live"] else
                              "there is no init in it, so nothing can run by schedule", RESOURCE)
    others = [run["source"] for run in facts["runs"] if run["active"] and CONFIGURATION in run["configurations"]]
    if others and not (by_timer or by_cron):
        return passed(NOT_RUNNING, RESOURCE, reason="by %s" % ", ".join(others[:3]), **parts)
    if timer and by_timer and timer.get("enabled") not in ("enabled", "enabled-runtime", "static"):
        return found(NOT_RUNNING, RESOURCE, reason="logrotate.timer runs, but a boot will not start it", **parts)
    if not by_timer and not by_cron:
        more = {} if timer else {"risk": "manual"}
        return found(NOT_RUNNING, RESOURCE, reason="neither a timer nor cron runs logrotate", **more, **parts)
    if by_timer and facts["service"].get("masked"):
        return found(NOT_RUNNING, RESOURCE, reason="logrotate.timer is on, but logrotate.service, which it starts, is masked",
                     effective=parts["effective"] if facts["live"] else None,
                     persistent=dict(parts["persistent"], masked=["logrotate.service"]))
    if by_timer and facts["service"].get("command"):
        return found(NOT_RUNNING, RESOURCE, risk="manual", **parts, reason="logrotate.timer is on, but logrotate.service runs "
                     "%s in place of logrotate" % facts["service"]["command"])
    age, most = facts["status_age"], float(policy["status_days"])
    if facts["uptime_days"] > most and (age is None or age > most):
        return found(NOT_RUNNING, RESOURCE, risk="manual", **parts, reason="it is scheduled, but has not run for more "
                     "than %d days: see systemctl status logrotate" % most)
    return passed(NOT_RUNNING, RESOURCE, reason="by the timer" if by_timer else "by cron", **parts)


def _judge_errors(facts):
    if facts["debug"]:
        return [unknown(BROKEN, CONFIGURATION, facts["debug"])] + _judge_last_run(facts)
    grouped = {}
    for fault in facts["faults"]:
        resource = "%s: %s" % (fault["file"], fault["log"] or re.sub(r"\d+", "N", fault["text"])[:80])
        grouped.setdefault(resource, []).append(fault)
    findings = [_broken(resource, faults, facts) for resource, faults in grouped.items()] + _judge_last_run(facts)
    return findings or [passed(BROKEN, CONFIGURATION, reason="logrotate -d has no complaint")]


def _broken(resource, faults, facts):
    fault, kinds = faults[0], sorted({fault["kind"] for fault in faults})
    texts = list(dict.fromkeys(fault["text"] for fault in faults))
    reason, more = "; ".join(texts)[:300], {}
    why = _unmendable(fault, facts) if len(kinds) == 1 else "two faults meet in it"
    if why:
        more = {"risk": "manual"}
        reason = reason if why == "other" else "%s: %s" % (reason, why)
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
        return "its stanza has folders of several owners (%s), and one su cannot fit them: give each a stanza of its own" % (
            ", ".join(sorted(owner or "?" for owner in owners)[:5]))
    if "" in owners:
        return "the owner of its folder cannot be told"
    if fault["owner"].startswith("root "):
        return "its folder is root's, and su would have root work where others may put links: take their right to write away"
    have = fault["su"]
    return "its stanza says su %s, and the folder is of %s" % (have, fault["owner"]) if have and have != fault["owner"] else ""


def _judge_last_run(facts):
    last = facts["service"].get("last", {})
    if not last.get("failed") or any(fault["text"] for fault in facts["faults"]):
        return []
    how = "its last run failed (%s)%s" % (last["result"], ": " + last["says"] if last["says"] else "")
    if last["changed_since"]:
        return [unknown(BROKEN, "logrotate.service", how + "; its configuration was changed since, and the next run will tell")]
    return [found(BROKEN, "logrotate.service", risk="manual", reason=how, effective={"result": last["result"]})]


def _judge_coverage(facts, policy):
    large = [(one, "it is large, grows, and logrotate leaves it alone") for one in _current(facts, policy)]
    large += [(one, "%s appends to it, it is large, and logrotate leaves it alone" % one["program"])
              for one in facts["appended"] if not any(fnmatch.fnmatchcase(one["path"], glob) for glob in policy["ignore"])]
    large += [(one, "the container's log has no bound, and nothing rotates it; containers made from now on are bounded by "
                    "max-size in the log options of daemon.json") for one in facts["json_logs"]]
    if facts["debug"]:
        return [unknown(UNCOVERED, "/var/log", facts["debug"])]
    patterns = [glob for one in facts["rotations"] for glob in one["patterns"]]
    made = []
    for one, reason in large:
        if logrotate.matches(one["path"], patterns):
            made.append(passed(UNCOVERED, one["path"], reason="logrotate rotates it"))
        else:
            idle = next((stanza for stanza in facts["stanzas"] if not stanza["effective"]
                         and logrotate.matches(one["path"], stanza["patterns"])), None)
            why = one.get("place") or ("%s has a stanza for it that logrotate passes over: mend that file" % idle["file"]
                                       if idle else "")
            reason = "%s; %s" % (reason, why) if why else reason
            more = {"risk": "manual"} if why or one.get("by_hand") else {}
            made.append(found(UNCOVERED, one["path"], reason=reason, observed={"mebibytes": one["mebibytes"]}, **more))
    gap = next((gap for gap in facts["gaps"] if "/var/log" in gap), "")
    if gap and not any(one["status"] == "open" for one in made):
        made.append(unknown(UNCOVERED, "/var/log", gap))
    return made or [passed(UNCOVERED, "/var/log", reason="no large log below /var/log goes without rotation")]


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
    return list(findings.values()) or [not_applicable(RETENTION, "logrotate rotates none of the logs that have to be kept")]


def _kept_long_enough(facts, wanted, rotation, stanza):
    resource = "%s: %s" % (stanza["file"], stanza["patterns"][0])
    oldest = stanza["options"].get("maxage", "")
    days = rotation["days"] * rotation["count"] if rotation["days"] else None
    if days is not None and oldest.isdecimal():
        days = min(days, float(oldest))
    if days is None:
        return unknown(RETENTION, resource, "it is rotated by size, so the days it keeps cannot be told")
    parts = {"effective": {"days": int(days), "wanted": wanted},
             "persistent": {"file": stanza["file"], "log": stanza["patterns"][0],
                            "rotate": math.ceil(wanted / rotation["days"]), "maxage": oldest}}
    if days >= wanted and rotation["early"]:
        return unknown(RETENTION, resource, "%d days are kept where it stays small (maxsize): how many that are in "
                       "truth cannot be told" % days, **parts)
    if days >= wanted:
        return passed(RETENTION, resource, reason="%d days are kept" % days, **parts)
    reason, more = "%d days are kept, %d are wanted (hostmend_logrotate_retention_days%s)" % (
        days, wanted, "; six months is what MLPS 2.0 asks" if wanted == 180 else ""), {}
    need = stanza["mebibytes"] * parts["persistent"]["rotate"] // max(1, stanza["kept"])
    reason += "; that would take about %d MiB" % need
    # What is free differs from minute to minute, and is told where it decides.
    if facts["free"] is not None and need > facts["free"] // 2:
        more = {"risk": "manual"}
        reason += ", and %d MiB are free" % facts["free"]
    return found(RETENTION, resource, reason=reason, **more, **parts)
