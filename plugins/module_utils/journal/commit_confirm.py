# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commit-confirm: a change that may cut the controller off goes back by itself unless it is confirmed in time."""

import contextlib
import os
import sys
from typing import List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import records
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import store
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import undo
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import units
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.records import Record
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import Run
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.store import Journal

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


def armed(run: Run) -> Optional[Record]:
    """Return what is armed for a run, None where nothing is. Of a damaged note all roles of the run are armed."""
    try:
        return records.read(os.path.join(run.path, "armed.json"), ("roles", "seconds"))
    except records.DamagedError:
        return {"roles": None, "seconds": 0}


def healed(run: Run) -> Optional[Record]:
    """Return what the timer did, None where it did nothing."""
    try:
        return records.read(os.path.join(run.path, "healed.json"), ("errors", "conflicts", "seconds"))
    except records.DamagedError as error:
        return {"errors": [{"role": "", "error": str(error)}], "conflicts": [], "seconds": 0}


def program(run: Run) -> str:
    """Return where the run's restore program is."""
    return os.path.join(run.path, "restore.pyz")


def timer(run: Run) -> str:
    """Return the name of the run's timer."""
    return "hostmend-restore-" + run.name


def arm(journal: Journal, run: Run, roles: List[str], seconds: int, python: str = "") -> str:
    """Have the host restore the roles of a run by itself after so many seconds."""
    python = python or sys.executable
    known = (run.head() or {"roles": {}})["roles"]
    missing = [role for role in roles if role not in known]
    if missing:
        raise HostError("nothing was kept for %s in the run %s: call the journal first" % (missing[0], run.name))
    waiting = armed(run)
    if waiting:
        disarm(run)
        roles = sorted(set(roles) | set(known if waiting["roles"] is None else waiting["roles"]))
    files.remove(os.path.join(run.path, "healed.json"))
    how = "systemd" if units.systemd_runs() else "process"
    records.write(os.path.join(run.path, "armed.json"),
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


def disarm(run: Run) -> None:
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


def expire(journal: Journal, name: str, at_boot: bool = False) -> Optional[Record]:
    """Restore what was not confirmed; returns what was done, None where there was nothing to do."""
    run = journal.run(name)
    with journal.locked(60):
        waiting = armed(run)
        if waiting is None:
            return None
        try:
            done = undo.rollback(run, waiting["roles"], at_boot=at_boot)
        except HostError as error:  # of a run whose journal is damaged nothing can be taken back
            done = {"errors": [{"role": "", "error": str(error)}], "conflicts": []}
        done["errors"] = done["errors"] + done.get("damaged", [])
        records.write(os.path.join(run.path, "healed.json"),
                      dict(done, diff=[], at=store.now(), by="boot" if at_boot else "timer", seconds=waiting["seconds"]))
        disarm(run)
        with contextlib.suppress(records.DamagedError):
            if run.state != store.OPEN:
                journal.release(run.name)
        return done


def confirm(journal: Journal, name: str) -> Tuple[bool, Optional[Record]]:
    """Say that the controller came in anew. Returns (was it in time, what was done when it was not)."""
    run = journal.run(name)
    with journal.locked(60):
        if armed(run) is None:
            return False, healed(run)
        disarm(run)
        return True, None
