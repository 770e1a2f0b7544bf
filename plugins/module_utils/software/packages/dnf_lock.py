# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock that dnf 5 holds while it changes packages, and for which another dnf 5 waits without an end."""

import fcntl
import os
import re
import time

# From 5.4.2 on the first, in 5.4.0 and 5.4.1 the second; older ones end at once where a transaction runs.
LOCKS = ("/var/lib/dnf/system-repo.lock", "/usr/lib/sysimage/libdnf5/system-repo.lock")
PAUSE = 1.0


def wait(seconds, locks=LOCKS, clock=time.monotonic, sleep=time.sleep):
    """Wait until nobody holds the lock; return who still does after that many seconds, "" where nobody does."""
    until = clock() + seconds
    while True:
        held = next((path for path in locks if _held(path)), None)
        if held is None:
            return ""
        if clock() >= until:
            return "%s is locked by another process%s" % (held, _holder(held))
        sleep(PAUSE)


def _held(path):
    try:
        with open(path, "rb+") as handle:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False  # there is none here, or it is not this user's to take


def _holder(path):
    """Return " (number, name)" of a process that has locked a file, "" where that cannot be told."""
    try:
        about = os.stat(path)
        with open("/proc/locks", encoding="ascii", errors="replace") as handle:
            table = handle.read(1024 * 1024)
        wanted = r" (\d+) %02x:%02x:%d " % (os.major(about.st_dev), os.minor(about.st_dev), about.st_ino)
        found = re.search(wanted, table)
        if found is None:
            return ""
        with open("/proc/%s/comm" % found.group(1), encoding="utf-8", errors="replace") as handle:
            return " (%s, %s)" % (found.group(1), handle.read(64).strip())
    except OSError:
        return ""
