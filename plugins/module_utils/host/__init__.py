# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One reading of the host, shared by all detectors: nothing is read twice."""

from __future__ import annotations

import os
import subprocess
import threading
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import CommandResult

READ_LIMIT = 4 * 1024 * 1024
COMMAND_SECONDS = 5.0
OUTPUT_LIMIT = 8 * 1024 * 1024


class Host:
    """The host that is audited: files below ``root``, commands, and readings kept once made.

    ``root`` other than ``/`` means a root filesystem that is not running: there are no
    processes, listeners or live rulesets then, and commands are not run.
    """

    def __init__(self, root="/", clock=time.monotonic):
        self.root = root
        self.clock = clock
        self._kept = {}
        self._locks = {}
        self._lock = threading.Lock()

    @property
    def live(self):
        """True where the host is running: processes, sockets and commands can be asked."""
        return self.root == "/"

    def path(self, name):
        """Return where ``name`` lies below the root."""
        return name if self.root == "/" else os.path.join(self.root, name.lstrip("/"))

    def once(self, key, make):
        """Return what ``make()`` returned the first time; detectors on other threads wait for it."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._kept:
                self._kept[key] = make()
            return self._kept[key]

    def read(self, name, limit=READ_LIMIT):
        """Return the text of a regular file, at most ``limit`` bytes of it; None where it cannot be read."""
        try:
            fd = os.open(self.path(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return None
        try:
            with os.fdopen(fd, "rb") as handle:
                return handle.read(limit).decode("utf-8", "surrogateescape")
        except OSError:
            return None

    def run(self, argv, seconds=COMMAND_SECONDS, stdin=b"", env=None, limit=OUTPUT_LIMIT):
        """Run a command that only reads; never through a shell. Failure is in the result, not raised."""
        raise NotImplementedError

    # Readings, each made once: system, processes, listeners, publications, firewall, units, packages.
