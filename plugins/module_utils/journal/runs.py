# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run in the journal: what was kept for each of its roles, and whether all of it is still as it was written."""

import contextlib
import os
import re
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import records
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import resource_types
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.records import DamagedError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.records import Record

RUN_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
ENTRY_NAME = re.compile(r"\A([0-9]{6,9})\.json\Z")
OPEN, DONE, RESTORED, CONFLICT = "open", "done", "restored", "conflict"
STATES = (OPEN, DONE, RESTORED, CONFLICT)
HEAD = ("run", "started", "roles", "more")
# What records of earlier versions hold, which have no checksum.
HEAD_UNSIGNED = HEAD + ("finished", "controller", "pid", "born")
ENTRY_UNSIGNED = ("role", "subject", "image", "kept")
AFTER_UNSIGNED = ("image", "kept")
PARTS = ("entries", "after", "blobs")


class Damage(NamedTuple):
    """What is damaged of a run: which role it keeps from going back ('' is all of them), and in one line why."""

    role: str
    reason: str
    after: bool = False  # only what the role left is lost: force goes without it


def now() -> str:
    """Return the time as people write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Run:
    """One run's directory."""

    def __init__(self, directory: str, name: str) -> None:
        if not RUN_NAME.match(name):
            raise HostError("%r is no name of a run" % name)
        self.name = name
        self.path = os.path.join(directory, "runs", name)

    @property
    def exists(self) -> bool:
        """True where this run has begun on this host; DamagedError where its run.json is not to be trusted."""
        return self.head() is not None

    def head(self) -> Optional[Record]:
        """Return what run.json says, None where there is no such run.

        {"run", "started", "finished", "number": its place in the order of runs, "roles": {role: state}, "closed": [roles
        whose state after the change is kept], "entries": {file: role}, "more": {role: {"validate", "irreversible"}}}
        """
        path = os.path.join(self.path, "run.json")
        head = records.read(path, HEAD, HEAD_UNSIGNED)
        if head is None:
            if self._entry_files():
                raise DamagedError(path, "it is missing, though the run has kept things")
            return None
        _check_head(path, head, self.name)
        return head

    def started_head(self) -> Record:
        """Return run.json of a run that has begun."""
        head = self.head()
        if head is None:
            raise HostError("the run %s has not begun on this host" % self.name)
        return head

    def write_head(self, head: Record) -> None:
        """Replace run.json."""
        records.write(os.path.join(self.path, "run.json"), head)

    def begin(self, role: str, about: Record, number: int = 0, **more: List[Any]) -> None:
        """Note that a role is about to change things.

        ``more`` are lists kept by role: ``validate``, the commands that its configuration must
        pass, and ``irreversible``, what cannot be undone.
        """
        head = self.head()
        for part in PARTS:
            files.make_directory(os.path.join(self.path, part))
        changed = head is None or head["roles"].get(role) != OPEN
        if head is None:
            head = dict(about, run=self.name, started=now(), number=number, roles={}, closed=[], entries={}, more={})
        head["roles"][role] = OPEN
        if role in head.get("closed", ()):
            head["closed"].remove(role)
        known = head["more"].setdefault(role, {})
        for name, values in more.items():
            for value in values:
                if value not in known.setdefault(name, []):
                    known[name].append(value)
                    changed = True
        if changed:
            self.write_head(head)

    def mark(self, state: str, role: Optional[str] = None) -> None:
        """Note how a role, or each of the run's roles, ended."""
        head = self.started_head()
        for name in ([role] if role else list(head["roles"])):
            head["roles"][name] = state
            if state == DONE and name not in head.setdefault("closed", []):
                head["closed"].append(name)
        head["finished"] = now()
        self.write_head(head)

    @property
    def state(self) -> str:
        """Return the state of the whole run: open while one of its roles is."""
        states = set((self.head() or {"roles": {}})["roles"].values())
        for state in (OPEN, CONFLICT, DONE):
            if state in states:
                return state
        return RESTORED if states else DONE

    def _entry_files(self) -> List[str]:
        """Return the names of the files of entries, in the order in which they were made."""
        try:
            names = os.listdir(os.path.join(self.path, "entries"))
        except OSError:
            return []
        return sorted((name for name in names if not name.startswith(".")), key=lambda name: (len(name), name))

    def inspect(self) -> Tuple[List[Record], List[Damage]]:
        """Return the entries in the order in which they were made, and what of them is damaged or missing.

        Each entry has a ``number`` (its file) and an ``after``, None where its role has not ended.
        """
        head = self.head()
        if head is None:
            return [], []
        unsigned = "entries" not in head  # as earlier versions wrote them
        owners: Dict[str, str] = head.get("entries") or {}
        present = self._entry_files()
        entries, damage = [], []
        last = max([int(ENTRY_NAME.match(name).group(1)) for name in present if ENTRY_NAME.match(name)]  # type: ignore[union-attr]
                   + [int(name[:-5]) for name in owners] + [0])
        expected = ["%06d.json" % number for number in range(1, last + 1)]
        for name in expected + [name for name in present if name not in expected]:
            path = os.path.join(self.path, "entries", name)
            try:
                entry = self._entry(path, head, owners.get(name), unsigned)
            except DamagedError as error:
                damage.append(Damage(owners.get(name, ""), str(error)))
                continue
            entry["number"], entry["after"] = name, None
            try:
                entry["after"] = self._after(name, entry, head, unsigned)
            except DamagedError as error:
                damage.append(Damage(entry["role"], str(error), True))
            entries.append(entry)
        return entries, damage

    @staticmethod
    def _entry(path: str, head: Record, owner: Optional[str], unsigned: bool) -> Record:
        if not ENTRY_NAME.match(os.path.basename(path)):
            raise DamagedError(path, "it is not a file of the journal")
        entry = records.read(path, ("role", "subject", "image"), ENTRY_UNSIGNED if unsigned else ())
        if entry is None:
            raise DamagedError(path, "it is missing")
        subject = entry["subject"]
        if not isinstance(subject, dict) or subject.get("kind") not in resource_types.KINDS \
                or not isinstance(subject.get("name"), str) or not isinstance(entry["role"], str):
            raise DamagedError(path, "it names nothing that the journal keeps")
        if entry["role"] not in head["roles"] or owner not in (None, entry["role"]):
            raise DamagedError(path, "it is of another role")
        _check_image(path, subject["kind"], entry["image"])
        return entry

    def _after(self, name: str, entry: Record, head: Record, unsigned: bool) -> Optional[Record]:
        """Return what its role made of an entry; None where the role has not come to its end."""
        role, path = entry["role"], os.path.join(self.path, "after", name)
        closed = role in head["closed"] if "closed" in head else head["roles"][role] == DONE
        if not closed and (not unsigned or head["roles"][role] == OPEN):
            return None
        after = records.read(path, ("image",), AFTER_UNSIGNED if unsigned else ())
        if after is None:
            if closed:
                raise DamagedError(path, "it is missing")
            return None
        _check_image(path, entry["subject"]["kind"], after["image"])
        image: Record = after["image"]
        return image

    def damaged_blobs(self, entries: List[Record]) -> List[Damage]:
        """Return which kept contents of these entries are missing or not what was kept: each is read and hashed."""
        found: Dict[str, str] = {}
        damage = []
        for entry in entries:
            if entry["subject"]["kind"] != "path":
                continue
            for relative, node in sorted(entry["image"]["nodes"].items()):
                if node["type"] != "file":
                    continue
                sha256 = node["sha256"]
                if sha256 not in found:
                    found[sha256] = _blob_trouble(self.blob(sha256), sha256)
                if found[sha256]:
                    name = os.path.join(entry["subject"]["name"], relative) if relative else entry["subject"]["name"]
                    damage.append(Damage(entry["role"], "the kept content of %s is damaged: %s (%s)"
                                         % (name, found[sha256], self.blob(sha256))))
        return damage

    def entries(self, role: Optional[str] = None, kind: Optional[str] = None) -> List[Record]:
        """Return the entries in the order in which they were made; DamagedError where one that may count is damaged."""
        entries, damage = self.inspect()
        for item in damage:
            if role is None or item.role in ("", role):
                raise HostError(item.reason)
        return [entry for entry in entries
                if role in (None, entry["role"]) and kind in (None, entry["subject"]["kind"])]

    def size(self) -> int:
        """Return how many bytes the run takes."""
        total = 0
        for folder, _folders, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def blob(self, sha256: str) -> str:
        """Return the path of a kept content."""
        return os.path.join(self.path, "blobs", sha256)

    def keep_blob(self, path: str, limit: int) -> Tuple[str, int]:
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

    def keep(self, role: str, subject: Record, limit: int) -> bool:
        """Keep a subject as it is now, unless this role has kept it before in this run; True where it was kept."""
        for entry in self.entries(role):
            if (entry["subject"]["kind"], entry["subject"]["name"]) == (subject["kind"], subject["name"]):
                return False
        left = [limit - self.size()]

        def keep_blob(path: str) -> Tuple[str, int]:
            sha256, size = self.keep_blob(path, max(left[0], 0))
            left[0] -= size
            return sha256, size

        image = resource_types.KINDS[subject["kind"]].read(subject, keep_blob)
        numbers = [int(name.partition(".")[0]) for name in self._entry_files() if ENTRY_NAME.match(name)]
        records.write(os.path.join(self.path, "entries", "%06d.json" % (max(numbers or [0]) + 1)),
                      {"role": role, "subject": subject, "image": image, "kept": now()})
        return True

    def note_entries(self) -> None:
        """Have run.json know each entry, so that one that is lost later is missed. To be called before a change."""
        head = self.started_head()
        known = dict(head.get("entries") or {})
        for entry in self.inspect()[0]:
            known[entry["number"]] = entry["role"]
        if known != head.get("entries") and "entries" in head:
            head["entries"] = known
            self.write_head(head)

    def keep_after(self, role: Optional[str] = None) -> List[str]:
        """Keep what the role's subjects are now that it is done; returns their names."""
        names = []
        for entry in self.entries(role):
            image = resource_types.KINDS[entry["subject"]["kind"]].read(entry["subject"])
            records.write(os.path.join(self.path, "after", entry["number"]), {"image": image, "kept": now()})
            names.append("%(kind)s %(name)s" % entry["subject"])
        return names


def _check_head(path: str, head: Record, name: str) -> None:
    """Raise DamagedError where run.json has not the shape of one."""
    roles, more, entries, closed = head["roles"], head["more"], head.get("entries", {}), head.get("closed", [])
    if not all(isinstance(part, dict) for part in (roles, more, entries)) or not isinstance(closed, list):
        raise DamagedError(path, "its roles are not readable")
    if head["run"] != name:
        raise DamagedError(path, "it is of another run")
    if any(state not in STATES for state in roles.values()):
        raise DamagedError(path, "it has a state that is none")
    if not all(isinstance(head.get(key, ""), str) for key in records.TIMES):
        raise DamagedError(path, "its times are not readable")
    if not isinstance(head.get("number", 0), int) or not all(ENTRY_NAME.match(entry) for entry in entries):
        raise DamagedError(path, "its numbers are not readable")


def _check_image(path: str, kind: str, image: Any) -> None:
    """Raise DamagedError where an image has not the shape of its kind."""
    try:
        resource_types.KINDS[kind].aspects(image)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError):
        raise DamagedError(path, "it does not hold what its kind keeps")


def _blob_trouble(path: str, sha256: str) -> str:
    """Return what is wrong with a kept content, '' where it is as it was kept."""
    try:
        found = files.copy_whole(path, None, None)[0]
    except OSError as error:
        return "it cannot be read (%s)" % (error.strerror or error)
    return "" if found == sha256 else records.MISMATCH
