# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install updates by apt or dnf: what a run would do, whether there is room, and the run itself.

The plan is what the package manager's own dry run says of the very command that is run afterwards.
"""

import contextlib
import os
import re
import shutil
import tempfile

from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf_state
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.apt_transaction import Apt
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.dnf_transaction import Dnf
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import MEBIBYTE
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import Trouble

KERNELS = re.compile(r"^(?:linux-image-|kernel(?:-core|-default|-uek)?$|kernel-rt)")


def told(plan):
    """Return the changes of a plan."""
    return [{"kind": "package", "name": one["name"],
             "action": ("updated %(installed)s -> %(candidate)s" if one["installed"] else "installed %(candidate)s") % one}
            for one in sorted(plan, key=lambda one: one["name"])]


def renewed(manager, days, check_mode, folder):
    """Fetch the index where it is older than so many days or has run out; returns the change, None where there is none."""
    if not manager.stale(days):
        return None
    silent = manager.refresh(check_mode, folder)
    without = " but for %s, which did not answer" % ", ".join(silent) if silent else ""
    return {"kind": "index", "name": "package index", "action": "refreshed" + without}


def room(size, plan, least):
    """Raise Trouble where a filesystem that the updates need has not the room for them.

    :param size: bytes to be fetched; unpacked they take about three times as much, for the old and the new side by side.
    :param least: bytes that have to be left afterwards.
    """
    needs = [("/var", 0), ("/var/cache/apt/archives", size), ("/usr", 3 * size)]
    if any(KERNELS.match(one["name"]) for one in plan):
        needs.append(("/boot", 150 * MEBIBYTE))
    wanted = {}
    for path, bytes_ in needs:
        with contextlib.suppress(OSError):
            wanted.setdefault(os.stat(path).st_dev, [path, 0])[1] += bytes_
    for path, bytes_ in wanted.values():
        about = os.statvfs(path)
        free = about.f_bavail * about.f_frsize
        if free < bytes_ + least:
            raise Trouble("nothing was installed: %d MiB are wanted on %s, and %d MiB are free: "
                          "make room, or lower updates_free_mebibytes"
                          % ((bytes_ + least) // MEBIBYTE + 1, path, free // MEBIBYTE))


def manager_of(asked):
    """Return the package manager of this host."""
    host = Host()
    if host.exists("/var/lib/dpkg/status") and host.exists("/usr/bin/apt-get"):
        return Apt(asked)
    tool = dnf_state.tool_of(host)
    if tool is None:
        raise Trouble("no package manager that is known here (apt, dnf, yum) is on this host")
    return Dnf(asked, tool)


@contextlib.contextmanager
def scratch(parent):
    """Give a folder for what only check mode needs."""
    folder = tempfile.mkdtemp(prefix="hostmend-updates-", dir=parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
