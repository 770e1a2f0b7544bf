# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log rotation: whether it is there, runs, works, covers the large logs and keeps them long enough.

What logrotate itself makes of its configuration (``logrotate -d``) is the evidence, not the configuration's text.
"""

from __future__ import annotations

import fnmatch
import glob
import math
import os
import re
import stat
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies
from ansible_collections.hostmend.hardening.plugins.module_utils.software import logrotate
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown

NAME = "logrotate"
READS = ("units",)
MISSING, NOT_RUNNING, BROKEN, UNCOVERED, RETENTION = CHECKS = (
    "logrotate.missing", "logrotate.not_running", "logrotate.broken", "logrotate.uncovered", "logrotate.retention")
POLICY = {
    "retention_days": 180,
    "retention_logs": ["/var/log/auth.log*", "/var/log/secure*", "/var/log/syslog*", "/var/log/messages*",
                       "/var/log/wtmp*", "/var/log/btmp*", "/var/log/kern.log*", "/var/log/audit/*",
                       "/var/log/ufw.log*"],
    "large_mebibytes": 100,
    "status_days": 3,
    "ignore": [],
}

CONFIGURATION = "/etc/logrotate.conf"
FOLDER = "/etc/logrotate.d"
PROGRAMS = ("/usr/sbin/logrotate", "/usr/bin/logrotate")
STATUS_FILES = ("/var/lib/logrotate/status", "/var/lib/logrotate/logrotate.status", "/var/lib/logrotate.status")
CRON_JOBS = ("/etc/cron.daily/logrotate", "/etc/cron.d/logrotate")
ROTATED = re.compile(r"\.(gz|xz|bz2|zst|Z|old|[0-9]+)\Z|[-.](19|20)[0-9]{6}")
OTHERS = ("/var/log/journal", "/var/log/lastlog", "/var/log/faillog", "/var/log/tallylog")
MOST_FILES = 20000
DEEPEST = 4
# The first says once more what was said before, the second only that logrotate has not run yet.
HARMLESS = ("found error in file", "error opening state file", "could not open state file")
CONTAINER_LOGS = "/var/lib/docker/containers"
MEBIBYTE = 1024 * 1024
DAY = 86400.0


def collect(host, policy):
    """Return what logrotate says, when it last ran, who starts it, and the large logs."""
    system = host.system()
    facts = {"live": bool(host.live), "init": system.init, "root": bool(system.root),
             "installed": any(host.exists(path) for path in PROGRAMS), "gaps": [], "timer": {}, "cron": False,
             "cron_runs": False, "status_age": None, "uptime_days": 0.0, "rotations": [], "errors": [], "debug": "",
             "stanzas": [], "files": [], "large": [], "json_logs": [], "free": None}
    _collect_logs(host, facts, policy)
    if not facts["installed"]:
        return facts
    _collect_runs(host, facts)
    _collect_stanzas(host, facts)
    if host.executes:
        answer = host.run(["logrotate", "-d", CONFIGURATION], seconds=8)
        if answer.code is None:
            facts["debug"] = "logrotate -d could not be run: %s" % answer.failure
        elif not system.root:
            facts["debug"] = "not all of the configuration and logs can be read without root"
        else:
            facts["rotations"], facts["errors"] = logrotate.parse_debug(answer.out + answer.err)
            handled = re.search(r"^Handling (\d+) logs", answer.out + answer.err, re.MULTILINE)
            if not facts["rotations"] and not facts["errors"] and (handled is None or handled.group(1) != "0"):
                facts["debug"] = "what logrotate -d says could not be understood"
    else:
        facts["debug"] = "what logrotate makes of its configuration can only be told by running it"
    return facts


def _collect_runs(host, facts):
    for unit in host.units().items if facts["init"] == "systemd" or not host.live else ():
        if unit.name == "logrotate.timer":
            facts["timer"] = {"active": unit.active, "enabled": unit.enabled, "load": unit.load}
    facts["cron"] = any(host.exists(path) for path in CRON_JOBS)
    if not host.live:
        facts["cron_runs"] = any(one.name in ("cron.service", "crond.service", "anacron.service", "fcron.service")
                                 for one in host.boot_services())
    if host.live:
        facts["cron_runs"] = host.cron_runs()
        try:
            facts["uptime_days"] = float((host.read("/proc/uptime") or "0").split()[0]) / DAY
        except (ValueError, IndexError):
            facts["gaps"].append("how long the host has been up could not be read")
    for path in STATUS_FILES:
        try:
            facts["status_age"] = (time.time() - os.stat(host.path(path)).st_mtime) / DAY
            break
        except OSError:
            continue


def _collect_stanzas(host, facts):
    names = [CONFIGURATION] + ["%s/%s" % (FOLDER, name) for name in host.list(FOLDER)]
    facts["files"] = names
    for name in names:
        text = host.read(name, MEBIBYTE)
        if text is None:
            facts["gaps"].append("%s could not be read" % name)
            continue
        for stanza in logrotate.parse(text, name):
            sizes = _sizes(host, stanza.patterns)
            facts["stanzas"].append({"kept": len(sizes), "mebibytes": sum(sizes) // MEBIBYTE,
                                     "file": name, "patterns": list(stanza.patterns), "line": stanza.opens,
                                     "options": {key: value for key, (value, _line) in stanza.options.items()}})


def _sizes(host, patterns):
    """Return the sizes of the logs and of what is kept of them."""
    sizes = []
    for pattern in patterns:
        for path in glob.glob(host.path(pattern) + "*")[:1000]:
            try:
                sizes.append(os.lstat(path).st_size)
            except OSError:
                continue
    return sizes


def _collect_logs(host, facts, policy):
    """Note the large files below /var/log that are still written, and container logs without a bound."""
    least = int(policy["large_mebibytes"]) * MEBIBYTE
    waiting, seen = [("/var/log", 0)], 0
    top = _device(host, "/var/log")
    while waiting and seen < MOST_FILES:
        folder, depth = waiting.pop()
        for name in host.list(folder):
            path = "%s/%s" % (folder, name)
            seen += 1
            if path in OTHERS:
                continue
            try:
                about = os.lstat(host.path(path))
            except OSError:
                continue
            if stat.S_ISDIR(about.st_mode):
                if depth < DEEPEST and about.st_dev == top:
                    waiting.append((path, depth + 1))
            elif stat.S_ISREG(about.st_mode) and about.st_blocks * 512 >= least and not ROTATED.search(name):
                facts["large"].append({"path": path, "mebibytes": about.st_blocks * 512 // MEBIBYTE,
                                       "age_days": (time.time() - about.st_mtime) / DAY})
    if seen >= MOST_FILES:
        facts["gaps"].append("only %d files below /var/log were looked at" % MOST_FILES)
    for name in host.list(CONTAINER_LOGS)[:MOST_FILES]:
        path = "%s/%s/%s-json.log" % (CONTAINER_LOGS, name, name)
        try:
            size = os.stat(host.path(path)).st_size
        except OSError:
            continue
        if size >= least and '"max-size"' not in (host.read("%s/%s/hostconfig.json" % (CONTAINER_LOGS, name)) or ""):
            facts["json_logs"].append({"path": path, "mebibytes": size // MEBIBYTE})
    try:
        about = os.statvfs(host.path("/var/log"))
        facts["free"] = about.f_bavail * about.f_frsize // MEBIBYTE
    except OSError:
        pass


def _device(host, path):
    try:
        return os.stat(host.path(path)).st_dev
    except OSError:
        return None


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
    resource = "logrotate"
    if facts["init"] == "none":
        return not_applicable(NOT_RUNNING, "no init runs here, so nothing can run by schedule" if facts["live"] else
                              "there is no init in it, so nothing can run by schedule", resource)
    if timer and by_timer and timer.get("enabled") not in ("enabled", "enabled-runtime", "static"):
        return found(NOT_RUNNING, resource, reason="logrotate.timer runs, but a boot will not start it", **parts)
    if not by_timer and not by_cron:
        more = {} if timer else {"risk": "manual"}
        return found(NOT_RUNNING, resource, reason="neither a timer nor cron runs logrotate", **more, **parts)
    age, most = facts["status_age"], float(policy["status_days"])
    if facts["uptime_days"] > most and (age is None or age > most):
        return found(NOT_RUNNING, resource, risk="manual", **parts, reason="it is scheduled, but has not run for more "
                     "than %d days: see systemctl status logrotate" % most)
    return passed(NOT_RUNNING, resource, reason="by the timer" if by_timer else "by cron", **parts)


def _judge_errors(facts):
    if facts["debug"]:
        return [unknown(BROKEN, CONFIGURATION, facts["debug"])]
    made, seen = [], set()
    for error in facts["errors"]:
        path = next(iter(re.findall(r'"(/[^"]+)"|(/[^\s:]+)', error)), ("", ""))
        path = path[0] or path[1].rstrip(",")
        stanza = _stanza_of(facts, path)
        kind = "other"
        if "insecure permissions" in error:
            kind = "su"
        elif error.startswith("stat of ") and "No such file" in error:
            kind = "missingok"
        elif "duplicate log entry" in error:
            kind = "duplicate"
        # logrotate names a file of its folder by its name alone, with the line.
        named = re.match(r"([^/\s:]+):\d+ ", error)
        named = named and "%s/%s" % (FOLDER, named.group(1))
        where = stanza["file"] if stanza else named if named in facts["files"] else CONFIGURATION
        resource = "%s: %s" % (where, path or re.sub(r"\d+", "N", error)[:80])
        if (resource, kind) in seen or error.startswith(HARMLESS):
            continue
        seen.add((resource, kind))
        more = {} if kind in ("su", "missingok") and stanza else {"risk": "manual"}
        made.append(found(BROKEN, resource, reason=error[:300], **more,
                          persistent={"file": where, "log": path, "kind": kind}))
    return made or [passed(BROKEN, CONFIGURATION, reason="logrotate -d has no complaint")]


def _stanza_of(facts, path):
    return next((one for one in facts["stanzas"] if path in one["patterns"]
                 or any(fnmatch.fnmatchcase(path, glob) for glob in one["patterns"])), None)


def _judge_coverage(facts, policy):
    large = [(one, "it is large, grows, and logrotate leaves it alone") for one in _current(facts, policy)]
    large += [(one, "the container's log has no bound, and nothing rotates it; containers made from now on are bounded by "
                    "max-size in the log options of daemon.json") for one in facts["json_logs"]]
    if facts["debug"]:
        return [unknown(UNCOVERED, "/var/log", facts["debug"])]
    patterns = [glob for one in facts["rotations"] for glob in one["patterns"]]
    made = []
    for one, reason in large:
        if any(fnmatch.fnmatchcase(one["path"], glob) for glob in patterns):
            made.append(passed(UNCOVERED, one["path"], reason="logrotate rotates it"))
        else:
            made.append(found(UNCOVERED, one["path"], reason=reason, observed={"mebibytes": one["mebibytes"]}))
    gap = next((gap for gap in facts["gaps"] if "/var/log" in gap), "")
    if gap and not any(one["status"] == "open" for one in made):
        made.append(unknown(UNCOVERED, "/var/log", gap))
    return made or [passed(UNCOVERED, "/var/log", reason="no large log below /var/log goes without rotation")]


def _judge_retention(facts, policy):
    if facts["debug"]:
        return [unknown(RETENTION, CONFIGURATION, facts["debug"])]
    made, wanted = [], int(policy["retention_days"])
    for rotation in facts["rotations"]:
        logs = [path for path in rotation["patterns"]
                if any(fnmatch.fnmatchcase(path, glob) for glob in policy["retention_logs"])]
        stanza = next((one for one in facts["stanzas"] if set(one["patterns"]) & set(rotation["patterns"])), None)
        if not logs or stanza is None:
            continue
        resource = "%s: %s" % (stanza["file"], stanza["patterns"][0])
        oldest = stanza["options"].get("maxage", "")
        days = rotation["days"] * rotation["count"] if rotation["days"] else None
        if days is not None and oldest.isdecimal():
            days = min(days, float(oldest))
        if days is None:
            made.append(unknown(RETENTION, resource, "it is rotated by size, so the days it keeps cannot be told"))
            continue
        parts = {"effective": {"days": int(days), "wanted": wanted},
                 "persistent": {"file": stanza["file"], "log": stanza["patterns"][0],
                                "rotate": math.ceil(wanted / rotation["days"]), "maxage": oldest}}
        if days >= wanted and rotation["early"]:
            made.append(unknown(RETENTION, resource, "%d days are kept where it stays small (maxsize): how many that are in "
                                "truth cannot be told" % days, **parts))
        elif days >= wanted:
            made.append(passed(RETENTION, resource, reason="%d days are kept" % days, **parts))
        else:
            reason, more = "%d days are kept, %d are wanted (hostmend_logrotate_retention_days%s)" % (
                days, wanted, "; six months is what MLPS 2.0 asks" if wanted == 180 else ""), {}
            need = stanza["mebibytes"] * parts["persistent"]["rotate"] // max(1, stanza["kept"])
            reason += "; that would take about %d MiB" % need
            # What is free differs from minute to minute, and is told where it decides.
            if facts["free"] is not None and need > facts["free"] // 2:
                more = {"risk": "manual"}
                reason += ", and %d MiB are free" % facts["free"]
            made.append(found(RETENTION, resource, reason=reason, **more, **parts))
    return list({one["resource"]: one for one in made}.values()) or \
        [not_applicable(RETENTION, "logrotate rotates none of the logs that have to be kept")]
