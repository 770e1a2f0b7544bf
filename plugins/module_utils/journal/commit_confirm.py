# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commit-confirm: a change that may cut the controller off goes back by itself unless it is confirmed in time."""

from __future__ import annotations

import os
import sys

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import store
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import undo
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import units
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

BOOT_UNIT = "hostmend-boot-restore-%s.service"
UNIT_DIRECTORY = "/etc/systemd/system"
WANTS = os.path.join(UNIT_DIRECTORY, "sysinit.target.wants")
# Before anything that opens or closes the network, so that a host that is rebooted in between comes back reachable.
BOOT_TEXT = """# Made by hostmend while a change waits to be confirmed; gone when it is.
[Unit]
Description=Take back the unconfirmed hostmend run %(run)s
DefaultDependencies=no
RequiresMountsFor=%(directory)s
After=local-fs.target
Before=sysinit.target network-pre.target

[Service]
Type=oneshot
ExecStart="%(python)s" "%(program)s" boot %(run)s "%(directory)s"

[Install]
WantedBy=sysinit.target
"""


def armed(run):
    """Return what is armed for a run, None where nothing is."""
    return files.read_json(os.path.join(run.path, "armed.json"))


def healed(run):
    """Return what the timer did, None where it did nothing."""
    return files.read_json(os.path.join(run.path, "healed.json"))


def program(run):
    """Return where the run's restore program is."""
    return os.path.join(run.path, "restore.pyz")


def timer(run):
    """Return the name of the run's timer."""
    return "hostmend-restore-" + run.name


def arm(journal, run, roles, seconds, python=""):
    """Have the host restore the roles of a run by itself after so many seconds."""
    python = python or sys.executable
    known = (run.head() or {"roles": {}})["roles"]
    missing = [role for role in roles if role not in known]
    if missing:
        raise HostError("nothing was kept for %s in the run %s: call the journal first" % (missing[0], run.name))
    waiting = armed(run)
    if waiting:
        disarm(run)
        roles = sorted(set(roles) | set(waiting["roles"]))
    files.remove(os.path.join(run.path, "healed.json"))
    how = "systemd" if units.systemd_runs() else "process"
    files.write_json(os.path.join(run.path, "armed.json"),
                     {"roles": roles, "seconds": seconds, "how": how, "due": store.boot()[1] + seconds,
                      "made_wants": not os.path.isdir(WANTS)})
    names = {"run": run.name, "directory": journal.directory, "python": python, "program": program(run)}
    try:
        if how == "systemd":
            path = os.path.join(UNIT_DIRECTORY, BOOT_UNIT % run.name)
            files.write_bytes(path, (BOOT_TEXT % names).encode("utf-8"))
            os.chmod(path, 0o644)
            process.must(["systemctl", "daemon-reload"])
            process.must(["systemctl", "--quiet", "enable", BOOT_UNIT % run.name])
            process.must(["systemd-run", "--quiet", "--collect", "--unit", timer(run), "--on-active", "%ds" % seconds,
                           "--timer-property", "AccuracySec=500ms", python, program(run), "expire", run.name,
                           journal.directory])
        else:
            process.must([python, program(run), "wait", run.name, journal.directory, str(seconds)])
    except HostError:
        disarm(run)
        raise
    return how


def disarm(run):
    """Take the timer away. What counts is the note: without it a timer that still runs out does nothing."""
    waiting = armed(run) or {}
    files.remove(os.path.join(run.path, "armed.json"))
    if units.systemd_runs():
        process.run(["systemctl", "stop", timer(run) + ".timer"])
    unit = os.path.join(UNIT_DIRECTORY, BOOT_UNIT % run.name)
    link = os.path.join(WANTS, BOOT_UNIT % run.name)
    if os.path.lexists(unit) or os.path.lexists(link):
        files.remove(link)
        files.remove(unit)
        # Only the directory that enabling the unit has made goes with it.
        if waiting.get("made_wants") and os.path.isdir(WANTS) and not os.listdir(WANTS):
            os.rmdir(WANTS)
        units.daemon_reload()


def expire(journal, name, at_boot=False):
    """Restore what was not confirmed; returns what was done, None where there was nothing to do."""
    run = journal.run(name)
    with journal.locked(60):
        waiting = armed(run)
        if waiting is None:
            return None
        done = undo.rollback(run, waiting["roles"], at_boot=at_boot)
        files.write_json(os.path.join(run.path, "healed.json"),
                         dict(done, diff=[], at=store.now(), by="boot" if at_boot else "timer",
                              seconds=waiting["seconds"]))
        disarm(run)
        if run.state != store.OPEN:
            journal.release(run.name)
        return done


def confirm(journal, name):
    """Say that the controller came in anew. Returns (was it in time, what was done when it was not)."""
    run = journal.run(name)
    with journal.locked(60):
        if armed(run) is None:
            return False, healed(run)
        disarm(run)
        return True, None
