# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One reading of the host, shared by all detectors: nothing is read twice."""

import os
import stat
import threading
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.common.chroot import is_chroot
from ansible_collections.hostmend.hardening.plugins.module_utils.host import boot
from ansible_collections.hostmend.hardening.plugins.module_utils.host import command
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import loaded
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import boot as firewall_boot
from ansible_collections.hostmend.hardening.plugins.module_utils.host import packages
from ansible_collections.hostmend.hardening.plugins.module_utils.host import processes
from ansible_collections.hostmend.hardening.plugins.module_utils.host import sockets
from ansible_collections.hostmend.hardening.plugins.module_utils.host import system
from ansible_collections.hostmend.hardening.plugins.module_utils.host import units
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import CommandResult
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading

READ_LIMIT = 4 * 1024 * 1024
COMMAND_SECONDS = 10.0
OUTPUT_LIMIT = 8 * 1024 * 1024
MOST_LINKS = 40


def inside(root, name, follow=True):
    """Return the path of ``name`` in a root filesystem, each link resolved as if ``root`` were the root."""
    left, done, links = [part for part in name.split("/") if part not in ("", ".")], [], 0
    while left:
        part = left.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        path = os.path.join(root, *(done + [part]))
        target = None
        if left or follow:
            try:
                target = os.readlink(path)
            except (OSError, ValueError):
                pass
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > MOST_LINKS:
            return os.path.join(root, "proc/self/too-many-links")
        done = [] if target.startswith("/") else done
        left = [one for one in target.split("/") if one not in ("", ".")] + left
    return os.path.join(root, *done)


class Host:
    """The host that is audited: files below ``root``, commands, and readings kept once made.

    A root filesystem that is not running (``running`` false: a chroot, the inside of an image build, or a ``root``
    other than ``/``) has no processes, listeners or live rulesets of its own: what can be seen of such belongs to the
    machine that builds it. Commands run only where ``root`` is ``/``, as that is where they would look.

    :param running: None means that it is found out.
    :param patience: how many times as long as its caller thinks a command may take; more than 1 where nobody waits.
    """

    def __init__(self, root="/", clock=time.monotonic, running=None, patience=1):
        self.root = root
        self.patience = patience
        self._running = running
        self.clock = clock
        self._kept = {}
        self._locks = {}
        self._lock = threading.Lock()

    @property
    def live(self):
        """True where the host is running: processes, sockets, services and rulesets can be asked."""
        if self.root != "/":
            return False
        if self._running is None:
            self._running = not is_chroot()
        return self._running

    @property
    def executes(self):
        """True where commands can be run, also where nothing else of the host is running (a chroot)."""
        return self.root == "/"

    def path(self, name, follow=True):
        """Return where ``name`` lies below the root; links in it lead nowhere but below the root, as they will once it runs.

        :param follow: whether the last part is followed too, where it is a link.
        """
        return name if self.root == "/" else inside(self.root, name, follow)

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
            fd = os.open(self.path(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError):
            return None
        try:
            with os.fdopen(fd, "rb") as handle:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return None
                return handle.read(limit).decode("utf-8", "surrogateescape")
        except OSError:
            return None

    def exists(self, name):
        """True where there is something of that name, a dangling link included."""
        return os.path.lexists(self.path(name, follow=False))

    def list(self, name):
        """Return the sorted names in a folder; none where it cannot be read."""
        try:
            return sorted(os.listdir(self.path(name)))
        except (OSError, ValueError):
            return []

    def link(self, name):
        """Return where a symbolic link points; None where it is none."""
        try:
            return os.readlink(self.path(name, follow=False))
        except (OSError, ValueError):
            return None

    def run(self, argv, seconds=COMMAND_SECONDS, stdin=b"", env=None, limit=OUTPUT_LIMIT):
        """Run a command that only reads; never through a shell. Failure is in the result, not raised."""
        if not self.executes:
            return CommandResult(tuple(argv), None, "", "", "not run: this root filesystem is not running")
        return command.run(argv, seconds * self.patience, stdin, env, limit)

    # Readings, each made once.

    def system(self):
        """Return the System: distribution, init, container or chroot, privileges."""
        return self.once("system", lambda: system.read_system(self))

    @property
    def boots(self):
        """False of a root filesystem that nothing could boot, as most images of containers are."""
        return self.live or self.system().init != "none"

    def processes(self):
        """Return a Reading of the processes."""
        return self.once("processes", lambda: processes.read_processes() if self.live else self._not_running())

    def _sockets(self):
        if not self.live:
            return self._not_running(), []
        return self.once("sockets", lambda: sockets.read_sockets(self.processes()))

    def cron_runs(self):
        """Tell whether cron runs, one in a container left aside."""
        return any(one.comm in processes.CRON and one.container is None for one in self.processes().items)

    def listeners(self):
        """Return a Reading of the listeners of all network namespaces, with their owners."""
        def make():
            found = self._sockets()[0]
            if any(1 in one.pids for one in found.items) and self.system().init == "systemd":
                return Reading(sockets.with_socket_units(found.items, self.units().items), found.gaps)
            return found
        return self.once("listeners", make)

    def established(self):
        """Return (proto, (address, port, peer, peer port, state, inode), netns) of each connection."""
        return self._sockets()[1]

    def netns(self):
        """Return the inode of this process's own network namespace, or None."""
        return processes.netns_of("/proc/self")

    def units(self):
        """Return a Reading of the systemd services, sockets, paths and timers."""
        def make():
            if self.live and self.system().init != "systemd":
                return Reading((), ("systemd does not run here",))
            return units.read_units(self)
        return self.once("units", make)

    def packages(self):
        """Return a Reading of the installed packages."""
        return self.once("packages", lambda: packages.read_packages(self))

    def boot_services(self):
        """Return the services that a boot starts, of a root filesystem that is not running."""
        return self.once("boot services", lambda: boot.services(self))

    def firewall(self):
        """Return the effective Firewall; the one that a boot would load where nothing is running."""
        read = loaded.read_firewall if self.live else firewall_boot.read_firewall
        return self.once("firewall", lambda: read(self))

    def publications(self):
        """Return a Reading of the ports that DNAT or a container engine passes on."""
        return self.firewall().publications()

    def controller_addresses(self):
        """Return the addresses that the session which runs us comes from."""
        if not self.live:
            return ()
        return self.once("controllers", lambda: system.controllers(os.environ, self))

    @staticmethod
    def _not_running():
        return Reading((), ("this root filesystem is not running",))
