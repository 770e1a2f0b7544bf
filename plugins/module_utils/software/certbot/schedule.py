# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What renews certificates by schedule: timers of systemd and jobs of cron, those of packages and of a person."""

import os
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.host import boot
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import MOST
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import MOST_BYTES
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import PERIODS
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import PLAIN
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import SPOOLS
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import SYSTEMD
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import commands
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import kept
from ansible_collections.hostmend.hardening.plugins.module_utils.host.scheduled import lines_of

CERTBOT = re.compile(r"\b(?:certbot|certbot-auto|letsencrypt)\b[^#\n]*\srenew\b")
ACME_SH = re.compile(r"acme\.sh\b[^#\n]*--(?:cron|renew-all)\b")


def runs(host, timers, pattern):
    """Return (what runs it, what would if cron ran): names of timers and paths of files.

    :param timers: the names of timers that packages bring for it.
    :param pattern: how a command line that does it looks like.
    """
    systemd = host.system().init == "systemd" or not host.live
    units = {unit.name: unit for unit in host.units().items} if systemd else {}
    made = []
    for unit in units.values():
        if unit.name.endswith(".timer") and (unit.active == "active" if host.live else unit.enabled == "enabled") \
                and (unit.name in timers or _timer_does(host, unit, units, pattern)):
            made.append(unit.name)
    jobs = _jobs(host, pattern, systemd)
    return (made + jobs, []) if not host.live or host.cron_runs() else (made, jobs)


def _timer_does(host, timer, units, pattern):
    """Tell whether the service of a timer runs such a command."""
    named = boot.unit_text(host, timer.name, timer.fragment).get(("Timer", "Unit"))
    service = units.get(named[-1] if named else timer.name[:-6] + ".service")
    settings = boot.unit_text(host, service.name, service.fragment) if service else {}
    return any(_does(host, command, pattern) for (section, key), commands in settings.items()
               if section == "Service" and key.startswith("Exec") for command in commands)


def _does(host, command, pattern):
    """Tell whether a command does it, or a script that the command names."""
    if pattern.search(command):
        return True
    for path in re.findall(r"(?:^|(?<=[\s\"'=@-]))(/[\w./-]+)", command)[:10]:
        text = host.read(path, 65536) if os.path.isfile(host.path(path)) else None
        if text and text.startswith("#!") and any(pattern.search(line) for line in lines_of(text)):
            return True
    return False


def _jobs(host, pattern, systemd):
    """Return the files of cron with a job that does it."""
    made = []
    tables = [("/etc/crontab", None)]
    tables += [("/etc/cron.d/" + name, None) for name in host.list("/etc/cron.d")[:MOST] if PLAIN.match(name)]
    for spool in SPOOLS:
        tables += [("%s/%s" % (spool, user), user) for user in host.list(spool)[:MOST]]
    for path, user in tables:
        if kept(host, path) and any(_does(host, command, pattern) for command in
                                    commands(host.read(path, MOST_BYTES) or "", user, systemd)):
            made.append(path)
    for period in PERIODS:
        for name in host.list("/etc/cron." + period)[:MOST]:
            path = "/etc/cron.%s/%s" % (period, name)
            text = host.read(path, 65536) or "" if PLAIN.match(name) and kept(host, path, True) else ""
            if not (systemd and SYSTEMD in text) and any(_does(host, line, pattern) for line in lines_of(text)):
                made.append(path)
    return made
