# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect what there is to know of log rotation."""

import glob
import grp
import os
import pwd
import re
import stat
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate import appended
from ansible_collections.hostmend.hardening.plugins.module_utils.host import boot
from ansible_collections.hostmend.hardening.plugins.module_utils.host import scheduled
from ansible_collections.hostmend.hardening.plugins.module_utils.sentence import sentence
from ansible_collections.hostmend.hardening.plugins.module_utils.software import logrotate

CONFIGURATION = logrotate.CONFIGURATION
FOLDER = "/etc/logrotate.d"
PROGRAMS = ("/usr/sbin/logrotate", "/usr/bin/logrotate")
STATUS_FILES = ("/var/lib/logrotate/status", "/var/lib/logrotate/logrotate.status", "/var/lib/logrotate.status")
CRON_JOBS = ("/etc/cron.daily/logrotate", "/etc/cron.d/logrotate")
ROTATED = re.compile(r"\.(gz|xz|bz2|zst|Z|old|[0-9]+)\Z|[-.](19|20)[0-9]{6}")
OTHERS = ("/var/log/journal", "/var/log/lastlog", "/var/log/faillog", "/var/log/tallylog")
MOST_FILES = 20000
DEEPEST = 4
CONTAINER_LOGS = "/var/lib/docker/containers"
MEBIBYTE = 1024 * 1024
MOST_CONFIGURATIONS = 2
MOST_RUNS = 50
MOST_STANZAS = 2000
DAY = 86400.0


def collect(host, policy):
    """Return what logrotate says, when it last ran and how that ended, who starts it, and the large logs."""
    system = host.system()
    facts = {"live": bool(host.live), "init": system.init, "root": bool(system.root),
             "installed": any(host.exists(path) for path in PROGRAMS), "gaps": [], "timer": {}, "service": {}, "cron": False,
             "cron_runs": False, "status_age": None, "uptime_days": 0.0, "rotations": [], "faults": [], "debug": "",
             "runs": [], "stanzas": [], "files": [], "large": [], "appended": [], "json_logs": [], "free": None}
    _collect_logs(host, facts, policy)
    if host.live:
        facts["appended"] = appended.read(host, int(policy["large_mebibytes"]) * MEBIBYTE, facts["gaps"])
    if not facts["installed"]:
        return facts
    _collect_runs(host, facts)
    if not host.executes:
        facts["debug"] = sentence(
            "logrotate.only_by_running", "what logrotate makes of its configuration can only be told by running it")
    elif not system.root:
        facts["debug"] = sentence("logrotate.needs_root", "not all of the configuration and logs can be read without root")
    else:
        # A job of a package's own may name no file that is there.
        files = [path for run in facts["runs"] if run["active"] for path in run["configurations"]]
        _ask(host, facts, CONFIGURATION, 8)
        for path in list(dict.fromkeys(files))[:MOST_CONFIGURATIONS]:
            if path != CONFIGURATION and path.startswith("/") and host.exists(path):
                _ask(host, facts, path, 4)
    if facts["service"].get("last"):
        _compare_times(host, facts)
    return facts


def _ask(host, facts, configuration, seconds):
    """Note what logrotate makes of a configuration."""
    answer = host.run(["logrotate", "-d", configuration], seconds=seconds)
    if answer.code is None:
        facts["debug"] = facts["debug"] or sentence(
            "logrotate.not_run", "logrotate -d {configuration} could not be run: {failure}",
            configuration=configuration, failure=answer.failure)
        return
    text = answer.out + answer.err
    output = logrotate.parse_output(text)
    if not output.rotations and not output.faults and "Handling 0 logs" not in text:
        facts["debug"] = facts["debug"] or sentence(
            "logrotate.not_understood", "what logrotate -d {configuration} says could not be understood",
            configuration=configuration)
        return
    stanzas = _stanzas(host, facts, output, configuration)
    facts["rotations"] += output.rotations
    for fault in output.faults:
        stanza = _stanza_of(stanzas, output, fault)
        file = fault.file or (stanza.file if stanza else configuration)
        facts["faults"].append({
            "file": file, "line": fault.line, "log": fault.log, "kind": fault.kind, "text": fault.text,
            "stanza": "%s:%d" % (stanza.file, stanza.opens) if stanza else "", "su": stanza.options.get("su", ("",))[0]
            if stanza else "", "owner": _owner(host, fault.log) if fault.kind == "su" else ""})


def _stanza_of(stanzas, output, fault):
    """Return the stanza that a fault of rotating a log is about."""
    if fault.pattern:
        return logrotate.in_effect(stanzas, output, fault.pattern)
    return next((stanza for stanza in stanzas if fault.log and not fault.file and logrotate.matches(
        fault.log, stanza.patterns)), None)


def _owner(host, log):
    """Return "user group" of the folder that a log is in, "" where one has no name or another than root may turn it elsewhere."""
    folder = host.path(os.path.dirname(log))
    try:
        about = os.lstat(folder)
        if stat.S_ISLNK(about.st_mode):
            if about.st_uid != 0:
                return ""
            about = os.stat(folder)
        return "%s %s" % (pwd.getpwuid(about.st_uid).pw_name, grp.getgrgid(about.st_gid).gr_name)
    except (OSError, KeyError, ValueError):
        return ""


def _place(host, log):
    """Return why logrotate cannot be told to rotate a log where it is, "" where it can."""
    folder = os.path.dirname(log)
    try:
        about = os.lstat(host.path(folder))
    except (OSError, ValueError):
        return ""
    writable = about.st_mode & stat.S_IWOTH or about.st_mode & stat.S_IWGRP and about.st_gid != 0
    if about.st_uid != 0 or not writable or logrotate.su_for_all(host.read(CONFIGURATION) or ""):
        return ""
    return sentence("logrotate.folder_of_others", "{folder} is root's and others may write to it: take that right away first",
                    folder=folder)


def _collect_runs(host, facts):
    for unit in host.units().items if facts["init"] == "systemd" or not host.live else ():
        if unit.name == "logrotate.timer":
            facts["timer"] = {"active": unit.active, "enabled": unit.enabled, "load": unit.load}
        elif unit.name == "logrotate.service":
            _collect_service(host, facts, unit)
    facts["cron"] = any(host.exists(path) for path in CRON_JOBS)
    if not host.live:
        facts["cron_runs"] = any(one.name in ("cron.service", "crond.service", "anacron.service", "fcron.service")
                                 for one in host.boot_services())
    else:
        facts["cron_runs"] = host.cron_runs()
        try:
            facts["uptime_days"] = float((host.read("/proc/uptime") or "0").split()[0]) / DAY
        except (ValueError, IndexError):
            facts["gaps"].append(sentence("logrotate.uptime", "how long the host has been up could not be read"))
    for job in scheduled.read(host, "logrotate"):
        files = logrotate.configurations(job.command)
        if files:
            facts["runs"].append({"source": job.source, "file": job.file, "active": job.active, "configurations": files[:10]})
    del facts["runs"][MOST_RUNS:]
    for path in STATUS_FILES:
        try:
            facts["status_age"] = (time.time() - os.stat(host.path(path)).st_mtime) / DAY
            break
        except OSError:
            continue


def _collect_service(host, facts, unit):
    """Note whether the service behind the timer can run, what it runs, and how its last run ended."""
    commands = boot.unit_text(host, unit.name, unit.fragment).get(("Service", "ExecStart"), [])
    other = commands and not any(_rotates(host, command) for command in commands)
    facts["service"] = {"masked": unit.load == "masked" or unit.enabled in ("masked", "masked-runtime"),
                        "command": commands[0][:200] if other else ""}
    if not host.live:
        return
    told = host.run(["systemctl", "show", "--property=Result,ExecMainStatus,ExecMainExitTimestampMonotonic", "--", unit.name],
                    seconds=3)
    fields = dict(line.split("=", 1) for line in told.out.splitlines() if "=" in line)
    result = fields.get("Result", "")
    if result in ("", "success"):
        return
    log = host.run(["journalctl", "--unit", unit.name, "--lines=40", "--output=cat", "--no-pager", "--quiet"], seconds=3)
    says = [line.strip() for line in log.out.splitlines() if line.startswith("error: ")]
    moment = fields.get("ExecMainExitTimestampMonotonic", "0")
    facts["service"]["last"] = {
        "failed": True, "result": "%s %s" % (result[:40], fields.get("ExecMainStatus", "")[:10]),
        "says": "; ".join(dict.fromkeys(says[-3:]))[:200], "at": int(moment) / 1e6 if moment.isdecimal() else 0.0,
        "changed_since": False}


def _rotates(host, command):
    """Tell whether a command is logrotate's, or that of a script with it."""
    path = command.lstrip("-@:+!").split()[:1]
    return "logrotate" in command or bool(path and "logrotate" in (host.read(path[0], 65536) or ""))


def _compare_times(host, facts):
    """Note whether a file of the configuration was changed after the last run."""
    last = facts["service"]["last"]
    ended = time.time() - facts["uptime_days"] * DAY + last["at"]
    for path in [CONFIGURATION, FOLDER] + facts["files"]:
        try:
            if last["at"] and os.stat(host.path(path)).st_ctime > ended:
                last["changed_since"] = True
        except (OSError, ValueError):
            continue


def _stanzas(host, facts, output, configuration):
    """Note the stanzas of the files that logrotate has read, and return them."""
    # What logrotate passes over has stanzas too, without effect.
    passed_over = sorted({fault.file for fault in output.faults if fault.file} - set(output.read))
    names = output.read + passed_over if output.read else [configuration] + (
        ["%s/%s" % (FOLDER, name) for name in host.list(FOLDER)] if configuration == CONFIGURATION else [])
    stanzas = []
    for name in dict.fromkeys(names):
        facts["files"].append(name)
        text = host.read(name, MEBIBYTE)
        if text is None:
            facts["gaps"].append(sentence("logrotate.unreadable", "{file} could not be read", file=name))
            continue
        stanzas += logrotate.parse(text, name)
    for stanza in stanzas[:MOST_STANZAS]:
        sizes = _sizes(host, stanza.patterns)
        facts["stanzas"].append({"kept": len(sizes), "mebibytes": sum(sizes) // MEBIBYTE,
                                 "file": stanza.file, "patterns": list(stanza.patterns), "line": stanza.opens,
                                 "effective": not logrotate.without_effect(stanza, output),
                                 "options": {key: value for key, (value, _line) in stanza.options.items()}})
    return stanzas


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
                facts["large"].append({"path": path, "mebibytes": about.st_blocks * 512 // MEBIBYTE, "place": _place(host, path),
                                       "age_days": (time.time() - about.st_mtime) / DAY})
    if seen >= MOST_FILES:
        facts["gaps"].append(sentence("logrotate.many_files", "only {most} files below /var/log were looked at", most=MOST_FILES))
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
