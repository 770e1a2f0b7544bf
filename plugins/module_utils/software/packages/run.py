# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a package manager: with patience where another one is at work, and with its errors in one line."""

import re
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt

# needrestart and its like are to leave the restarts to whoever has asked which ones may be made.
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "APT_LISTCHANGES_FRONTEND": "none",
         "UCF_FORCE_CONFFOLD": "1"}
LOCKED = re.compile(r"Could not get lock|Unable to acquire the dpkg|is locked by another process|Existing lock "
                    r"|Failed to obtain (?:\w{1,40} ){0,8}lock|Another app is currently holding", re.IGNORECASE)
# What to do of what a package manager complains about; the first that fits.
ADVICE = (
    (LOCKED, "Another package manager is at work: run again when it is done, or wait longer (updates_lock_seconds)"),
    (re.compile(r"No space left|enough (?:free |disk )*space|more space needed"), "Make room on the disk, and run again"),
    (re.compile(r"404 +Not Found|Hash Sum mismatch|Size mismatch"),
     "The index is older than the archive: fetch it anew (updates_refresh), or leave the package out (hostmend_skip)"),
    (re.compile(r"Failed to fetch|Could(?: not|n't) resolve|Temporary failure|Cannot download|All mirrors were tried"),
     "See that the host reaches its sources and resolves their names, and run again"),
    (re.compile(r"dpkg was interrupted|unmet dependencies|[Hh]eld broken packages", re.IGNORECASE),
     "Mend it by hand (dpkg --configure -a, apt-get -f install), or leave the package out (hostmend_skip)"),
)
MEBIBYTE = 1024 * 1024
REFRESH_SECONDS, INSTALL_SECONDS, PATIENCE = 600, 3600, 300


class Trouble(Exception):
    """What was asked for cannot be done; the message is for a person."""


def last_words(out, err):
    """Return the errors that a package manager has printed, in one line."""
    faults = apt.complaints(err) or apt.complaints(out)
    lines = [line.strip() for line in (err or out).splitlines() if line.strip()]
    said = "; ".join(faults[:3]) or (lines[-1] if lines else "no message")
    return said + next((". " + what for pattern, what in ADVICE if pattern.search(err + out)), "")


def patient(argv, lock_seconds, seconds):
    """Run a command that another package manager may keep out for a while; returns what it said last."""
    until = time.monotonic() + lock_seconds
    while True:
        status, out, err = process.run(argv, env=QUIET, seconds=seconds)
        if not status or not LOCKED.search(err + out) or time.monotonic() >= until:
            return status, out, err
        time.sleep(2)


def unmerged(path):
    """Return a path as it is where /lib is no link to /usr/lib, so that both forms are equal."""
    return re.sub(r"^/usr(?=/(?:lib|bin|sbin))", "", path)
