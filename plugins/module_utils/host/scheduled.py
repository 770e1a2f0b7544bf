# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host runs by schedule, word for word: the commands of its timers and of cron's tables and folders."""

import os
import re
import stat
from typing import Any, List, NamedTuple, Optional

from ansible_collections.hostmend.hardening.plugins.module_utils.host import boot

# Debian's jobs leave the work to a timer where systemd runs.
SYSTEMD = "/run/systemd/system"
# run-parts and cron pass over what has another name.
PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")
PERIODS = ("hourly", "daily", "weekly", "monthly")
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")
JOB = re.compile(r"(?:@\w+|(?:[\d*A-Za-z,/~-]+\s+){4}[\d*A-Za-z,/~-]+)\s+(.+)\Z")
SCRIPT = re.compile(r"(?:^|(?<=[\s\"'=@-]))(/[\w./-]+)")
MOST = 200
MOST_BYTES = 262144
MOST_SCRIPTS = 10


class Scheduled(NamedTuple):
    """A command that a timer or cron runs as root."""

    source: str  # the timer, or the file of cron
    service: str  # of a timer; "" for cron
    file: str  # where the command line stands: a script, the unit's file, or cron's
    command: str
    active: bool  # whether the timer or cron runs


def lines_of(text: str) -> List[str]:
    """Return the lines that are neither empty nor comments."""
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def kept(host: Any, path: str, program: bool = False) -> bool:
    """Tell whether cron takes a file: others may not write it, and run-parts wants it executable."""
    try:
        about = os.stat(host.path(path))
    except (OSError, ValueError):
        return False
    mode = stat.S_IMODE(about.st_mode)
    return stat.S_ISREG(about.st_mode) and (bool(mode & stat.S_IXUSR) if program else not mode & 0o022)


def commands(text: str, user: Optional[str], systemd: bool) -> List[str]:
    """Return the commands of a table that root's rights stand behind.

    :param user: whose table it is; None for a table that names the user in each line.
    """
    result = []
    for line in lines_of(text):
        match = JOB.match(line.strip())
        if match is None or (systemd and SYSTEMD in line):
            continue
        command, runner = match.group(1), user
        if user is None:
            runner, _space, command = command.partition(" ")
        if runner == "root" or re.search(r"(?:^|[;&|])\s{0,40}[^\s;&|]{0,200}(?:sudo|doas)\s", command):
            result.append(command)
    return result


def read(host: Any, word: str) -> List[Scheduled]:
    """Return what runs by schedule and has a word in its command, or in a script that the command names."""
    systemd = host.system().init == "systemd" or not host.live
    return (_timers(host, word) if systemd else []) + _cron(host, word, systemd)


def _expanded(host: Any, command: str, word: str) -> List[List[str]]:
    """Return [file, line] of the command ("" for its own file) and of the scripts that it names, where they have the word."""
    result = [["", command]] if word in command else []
    for path in SCRIPT.findall(command)[:MOST_SCRIPTS]:
        text = host.read(path, 65536) if os.path.isfile(host.path(path)) else None
        if text and text.startswith("#!"):
            result += [[path, line.strip()] for line in lines_of(text) if word in line]
    return result


def _timers(host: Any, word: str) -> List[Scheduled]:
    result = []  # type: List[Scheduled]
    units = {unit.name: unit for unit in host.units().items}
    for timer in units.values():
        if not timer.name.endswith(".timer"):
            continue
        named = boot.unit_text(host, timer.name, timer.fragment).get(("Timer", "Unit"))
        name = named[-1] if named else timer.name[:-6] + ".service"
        service = units.get(name)
        active = timer.active == "active" if host.live else timer.enabled == "enabled"
        settings = boot.unit_text(host, name, service.fragment) if service else {}
        for command in settings.get(("Service", "ExecStart"), []):
            result += [Scheduled(timer.name, name, file or service.fragment or name, line, active)
                       for file, line in _expanded(host, command, word)]
    return result


def _cron(host: Any, word: str, systemd: bool) -> List[Scheduled]:
    result = []
    runs = host.cron_runs() if host.live else any(
        service.name in ("cron.service", "crond.service", "anacron.service", "fcron.service") for service in host.boot_services())
    tables = [("/etc/crontab", None)]  # type: List[Any]
    tables += [("/etc/cron.d/" + name, None) for name in host.list("/etc/cron.d")[:MOST] if PLAIN.match(name)]
    for spool in SPOOLS:
        tables += [("%s/%s" % (spool, user), user) for user in host.list(spool)[:MOST]]
    for path, user in tables:
        for command in commands(host.read(path, MOST_BYTES) or "", user, systemd) if kept(host, path) else ():
            result += [Scheduled(path, "", file or path, line, runs) for file, line in _expanded(host, command, word)]
    for period in PERIODS:
        for name in host.list("/etc/cron." + period)[:MOST]:
            path = "/etc/cron.%s/%s" % (period, name)
            text = host.read(path, 65536) or "" if PLAIN.match(name) and kept(host, path, True) else ""
            if not (systemd and SYSTEMD in text):
                result += [Scheduled(path, "", file or path, line, runs) for job in lines_of(text)
                           for file, line in _expanded(host, job, word)]
    return result
