# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs on a target: their entries, their states, who works on the host now, and how long runs are kept.

Below /var/lib/hostmend, for root only:

    lock                        flock while a module works here; who holds the host between modules
    runs/RUN/run.json           the run and the state of each role in it
    runs/RUN/entries/N.json     one thing as it was before; there whole or not at all
    runs/RUN/after/N.json       the same thing when its role was done
    runs/RUN/blobs/SHA256       contents of files
    runs/RUN/restored.json      what a rollback did
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import resource_types
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

DIRECTORY = "/var/lib/hostmend"
RUN_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
MEBIBYTE = 1024 * 1024
OPEN, DONE, RESTORED, CONFLICT = "open", "done", "restored", "conflict"


class Busy(HostError):
    """Another run holds this host."""

    def __init__(self, holder):
        self.holder = holder
        HostError.__init__(self, "the run %(run)s holds this host: process %(pid)s on %(controller)s, since "
                                    "%(since)s" % holder)


def now():
    """Return the time as people write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def boot():
    """Return (which boot this is, seconds since): a clock that is set does not move it.

    A container that is restarted has booted too, though its kernel has not.
    """
    identity = ""
    with contextlib.suppress(OSError, IndexError):
        with open("/proc/sys/kernel/random/boot_id") as handle:
            identity = handle.read().strip()
        with open("/proc/1/stat") as handle:
            identity += ":" + handle.read().rsplit(")", 1)[1].split()[19]
    return identity, time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Run:
    """One run's directory."""

    def __init__(self, directory, name):
        if not RUN_NAME.match(name):
            raise HostError("%r is no name of a run" % name)
        self.name = name
        self.path = os.path.join(directory, "runs", name)

    @property
    def exists(self):
        """True where this run has begun on this host."""
        return self.head() is not None

    def head(self):
        """Return what run.json says, None where there is no such run."""
        return files.read_json(os.path.join(self.path, "run.json"))

    def write_head(self, head):
        """Replace run.json."""
        files.write_json(os.path.join(self.path, "run.json"), head)

    def begin(self, role, about, **more):
        """Note that a role is about to change things.

        ``more`` are lists kept by role: ``validate``, the commands that its configuration must
        pass, and ``irreversible``, what cannot be undone.
        """
        for part in ("entries", "after", "blobs"):
            files.make_directory(os.path.join(self.path, part))
        head = self.head() or dict(about, run=self.name, started=now(), roles={}, more={})
        changed = head["roles"].get(role) != OPEN
        head["roles"][role] = OPEN
        known = head["more"].setdefault(role, {})
        for name, values in more.items():
            for value in values:
                if value not in known.setdefault(name, []):
                    known[name].append(value)
                    changed = True
        if changed:
            self.write_head(head)

    def mark(self, state, role=None):
        """Note how a role, or each of the run's roles, ended."""
        head = self.head()
        for name in ([role] if role else list(head["roles"])):
            head["roles"][name] = state
        head["finished"] = now()
        self.write_head(head)

    @property
    def state(self):
        """Return the state of the whole run: open while one of its roles is."""
        states = set((self.head() or {"roles": {}})["roles"].values())
        for state in (OPEN, CONFLICT, DONE):
            if state in states:
                return state
        return RESTORED if states else DONE

    def entries(self, role=None, kind=None):
        """Return the entries in the order in which they were made, each with its ``after`` or None."""
        found = []
        folder = os.path.join(self.path, "entries")
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return []
        for name in names:
            if name.startswith("."):
                continue
            entry = files.read_json(os.path.join(folder, name))
            if entry is None or (role and entry["role"] != role) or (kind and entry["subject"]["kind"] != kind):
                continue
            entry["number"] = name
            after = files.read_json(os.path.join(self.path, "after", name))
            entry["after"] = after and after["image"]
            found.append(entry)
        return found

    def size(self):
        """Return how many bytes the run takes."""
        total = 0
        for folder, _folders, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def blob(self, sha256):
        """Return the path of a kept content."""
        return os.path.join(self.path, "blobs", sha256)

    def keep_blob(self, path, limit):
        """Store the content of a file; returns (sha256, size)."""
        folder = os.path.join(self.path, "blobs")
        for _attempt in range(3):
            before = os.stat(path)
            fd, temporary = tempfile.mkstemp(prefix=".new-", dir=folder)
            try:
                sha256, size = files.copy_whole(path, fd, limit)
                os.fsync(fd)
                after = os.stat(path)
                if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
                    os.rename(temporary, self.blob(sha256))
                    files.sync_directory(folder)
                    return sha256, size
            finally:
                os.close(fd)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
        raise HostError("%s changes while it is read" % path)

    def keep(self, role, subject, limit):
        """Keep a subject as it is now, unless this role has kept it before in this run; True where it was kept."""
        for entry in self.entries(role):
            if (entry["subject"]["kind"], entry["subject"]["name"]) == (subject["kind"], subject["name"]):
                return False
        left = [limit - self.size()]

        def keep_blob(path):
            sha256, size = self.keep_blob(path, max(left[0], 0))
            left[0] -= size
            return sha256, size

        image = resource_types.KINDS[subject["kind"]].read(subject, keep_blob)
        folder = os.path.join(self.path, "entries")
        numbers = [int(name[:6]) for name in os.listdir(folder) if not name.startswith(".")]
        files.write_json(os.path.join(folder, "%06d.json" % (max(numbers or [0]) + 1)),
                         {"role": role, "subject": subject, "image": image, "kept": now()})
        return True

    def keep_after(self, role=None):
        """Keep what the role's subjects are now that it is done; returns their names."""
        names = []
        for entry in self.entries(role):
            image = resource_types.KINDS[entry["subject"]["kind"]].read(entry["subject"])
            files.write_json(os.path.join(self.path, "after", entry["number"]), {"image": image, "kept": now()})
            names.append("%(kind)s %(name)s" % entry["subject"])
        return names


class Journal:
    """All runs on this host."""

    def __init__(self, directory=DIRECTORY):
        self.directory = directory

    def run(self, name):
        """Return a run, begun or not."""
        return Run(self.directory, name)

    def runs(self):
        """Return the runs on this host, oldest first."""
        found = []
        with contextlib.suppress(OSError):
            for name in os.listdir(os.path.join(self.directory, "runs")):
                if RUN_NAME.match(name) and self.run(name).exists:
                    found.append(self.run(name))
        return sorted(found, key=lambda run: (run.head()["started"], run.name))

    @contextlib.contextmanager
    def locked(self, seconds=30.0):
        """Hold the journal while a module works in it; the kernel lets go of it when the process dies."""
        files.make_directory(self.directory)
        os.chmod(self.directory, 0o700)
        fd = os.open(os.path.join(self.directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() >= until:
                        raise HostError("another process works in %s" % self.directory)
                    time.sleep(0.1)
            yield
        finally:
            os.close(fd)

    def holder(self):
        """Return who holds the host between modules, None where nobody does.

        Reads a holder's note of this boot, in its time, and of a run that is not finished.
        """
        note = files.read_json(os.path.join(self.directory, "holder.json"))
        identity, seconds = boot()
        if not note or note["boot"] != identity or seconds > note["until"]:
            return None
        run = self.run(note["run"])
        return None if run.exists and run.state != OPEN else note

    def hold(self, run, about, lease, take_from=""):
        """Note that a run works on this host; raises Busy where another does."""
        holder = self.holder()
        if holder and holder["run"] not in (run, take_from):
            raise Busy(holder)
        identity, seconds = boot()
        since = holder["since"] if holder and holder["run"] == run else now()
        files.write_json(os.path.join(self.directory, "holder.json"),
                         dict(about, run=run, since=since, boot=identity, until=seconds + lease))

    def release(self, run):
        """Take the note away."""
        note = files.read_json(os.path.join(self.directory, "holder.json"))
        if note and note["run"] == run:
            os.unlink(os.path.join(self.directory, "holder.json"))

    def unfinished(self, but=""):
        """Return the runs that began and never ended, newest first."""
        return [run for run in reversed(self.runs()) if run.name != but and run.state == OPEN]

    def prune(self, keep, days, max_bytes, but=""):
        """Remove the oldest finished runs beyond a number, an age or a size; returns their names."""
        with contextlib.suppress(OSError):
            for name in os.listdir(os.path.join(self.directory, "runs")):
                if name != but and RUN_NAME.match(name) and not self.run(name).exists:
                    shutil.rmtree(self.run(name).path, ignore_errors=True)
        finished = [run for run in self.runs() if run.name != but and run.state in (DONE, RESTORED)]
        sizes = {run.name: run.size() for run in self.runs()}
        oldest = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86400))
        gone = []
        while finished and (len(finished) > keep or sum(sizes.values()) > max_bytes
                            or finished[0].head().get("finished", oldest) < oldest):
            run = finished.pop(0)
            # Without its head a run is no run: what a power cut leaves of it is swept the next time.
            os.unlink(os.path.join(run.path, "run.json"))
            shutil.rmtree(run.path, ignore_errors=True)
            sizes.pop(run.name)
            gone.append(run.name)
        return gone
