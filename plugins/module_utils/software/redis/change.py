# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change the instances of one group together: planned first, then carried out, and taken back whole where a step fails."""

import contextlib
import os
import secrets as randomness
import tempfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.common.service_files import ServiceFile
from ansible_collections.hostmend.hardening.plugins.module_utils.common.service_files import close_folder
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import acl
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import start
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.server import Server
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.server import command_without
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.server import ignoring
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.server import masters_watched

RUNTIME_BIND = (6, 2)
SILENT_SENTINEL = (6, 2)
CHANNELS = (6, 2)


class Wish(NamedTuple):
    """What an instance gets."""

    auth: bool = False
    narrow: bool = False
    protect: Tuple[str, ...] = ()


class Given(NamedTuple):
    """What the caller decides for all."""

    password: Optional[str]
    bind: Tuple[str, ...]
    secrets: str


class FileEdit:
    """All that changes in one file."""

    def __init__(self) -> None:
        self.settings: Dict[str, List[str]] = {}
        self.users: Dict[str, str] = {}
        self.lines: Dict[str, str] = {}
        self.secret = False
        self.default_rule = ""

    def changed(self, text: str) -> str:
        """Return a file's text with the changes."""
        for name, digest in self.users.items():
            made = acl.edit_user(text, name, digest)
            if made is None:
                line = acl.with_password(self.default_rule, digest)
                made = text + ("" if not text or text.endswith("\n") else "\n") + line + "\n"
            text = made
        for start_of_line, line in self.lines.items():
            kept = [each for each in text.split("\n") if not each.strip().startswith(start_of_line)]
            text = "\n".join(kept[:-1] + [line, ""] if kept and kept[-1] == "" else kept + [line])
        return config.edit(text, self.settings)

    def shown(self) -> str:
        """Return what changes, without a value."""
        return ", ".join(sorted(self.settings) + ["user %s" % name for name in self.users] + sorted(
            each.strip() for each in self.lines))


class GroupChange:
    """The changes of one group: ``changes`` and ``shown`` tell them, :meth:`apply` makes them."""

    def __init__(self, host: Any, given: Given, live: bool) -> None:
        self.host, self.given, self.live = host, given, live
        self.changes: List[Dict[str, str]] = []
        self.shown: List[str] = []
        self.edits: Dict[str, FileEdit] = {}
        self.drops: Dict[str, Tuple[Server, Set[str]]] = {}
        self.first: List[Callable[[], None]] = []
        self.last: List[Callable[[], None]] = []
        self.undo: List[Callable[[], None]] = []

    def note(self, kind: str, name: str, action: str, shown: str) -> None:
        """Remember a change for the result and the difference, once."""
        change = {"kind": kind, "name": name, "action": action}
        if change not in self.changes:
            self.changes.append(change)
            self.shown.append(shown)

    # Planning

    def plan(self, servers: Sequence[Server], wishes: Dict[str, Wish]) -> None:
        """Find out what changes.

        :param servers: the whole group.
        :param wishes: what some of them get, by name; a password is for all of them.
        """
        auth = any(wish.auth for wish in wishes.values())
        narrow = [server for server in servers if wishes.get(server.target.name, Wish()).narrow]
        if not self.live and auth and not self.given.password:
            # A password that is made for an image would be that of all its clones.
            narrow = [server for server in servers if server in narrow or wishes.get(server.target.name, Wish()).auth]
            auth = False
        if auth:
            self.plan_auth(servers)
        for server in narrow:
            self.plan_bind(server)
        for wish in wishes.values():
            for path in wish.protect:
                self.plan_mode(path)
        for path, edit in sorted(self.edits.items()):
            with ServiceFile(path) as file:
                text = file.read()
            if edit.secret:
                self.plan_mode(path)
            if edit.changed(text) == text:
                del self.edits[path]
            else:
                self.note("file", path, "modify", "%s: %s" % (path, edit.shown()))
        for path, (server, names) in sorted(self.drops.items()):
            self.note("file", path, "modify" if os.path.lexists(path) else "create",
                      "%s: the command without --%s" % (path, ", --".join(sorted(names))))

    def edit(self, path: str, secret: bool = False) -> FileEdit:
        """Return the edit of a file; all edits of a file are made at once."""
        edit = self.edits.setdefault(path, FileEdit())
        edit.secret = edit.secret or secret
        return edit

    def drop(self, server: Server, names: Sequence[str]) -> None:
        """Plan that the unit's command gives some options no more, where it does."""
        given = set(server.begun.names) & set(names)
        if given:
            self.drops.setdefault(start.DROP_IN % server.target.unit, (server, set()))[1].update(given)

    def plan_auth(self, servers: Sequence[Server]) -> None:
        """Plan one password for a group."""
        members = [server for server in servers if not server.target.sentinel]
        sentinels = [server for server in servers if server.target.sentinel]
        password = self.password_of(members) if self.live else str(self.given.password)
        if sentinels:
            self.plan_folders(servers)
        for server in members if len(servers) > 1 else ():
            if not server.replicates_as_other():
                self.drop(server, ["masterauth"])
                self.plan_setting(server, "masterauth", password)
        for sentinel in sentinels:
            self.plan_sentinel(sentinel, members, password)
        for server in members:
            self.plan_password(server, password)
        for server in members if self.live else ():
            self.last.append(lambda server=server: server.prove(password))  # type: ignore[misc]

    def plan_password(self, server: Server, password: str) -> None:
        """Plan the password of an instance's default user, at each place that gives it."""
        label, digest = server.target.label, acl.digest(password)
        user = server.default_user()
        if server.acl_file or server.settings.all("user") and user.place and user.place != server.settings.place("requirepass"):
            path = server.acl_file or user.place.rpartition(":")[0]
            edit = self.edit(path, secret=True)
            edit.users["default"] = digest
            edit.default_rule = "user default on ~* %s+@all" % ("&* " if server.version[:2] >= CHANNELS else "")
        self.drop(server, ["requirepass"])
        if server.acl_file:
            self.note("setting", "redis %s user default" % label, "set", "redis %s: user default (password)" % label)
            if self.live:
                self.last.append(lambda: self.set_default(server, digest))
        else:
            self.plan_setting(server, "requirepass", password)

    def password_of(self, members: Sequence[Server]) -> str:
        """Return the password that a group gets; one that is made is kept for each member."""
        if self.given.password:
            return self.given.password
        paths = ["%s/redis-%s" % (self.given.secrets, server.target.label) for server in members]
        kept = [(self.host.read(path, 4096) or "").strip() for path in paths]
        used = set(server.open.credential.password for server in members if server.open.credential is not None)
        # One that is kept and not in use yet was made by a run that did not come to its end.
        password = next((each for each in kept if each and each not in used), "") or randomness.token_urlsafe(32)
        for path, each in zip(paths, kept):
            if each != password:
                self.note("file", path, "modify" if each else "create", "%s: a password" % path)
                self.first.append(lambda path=path: self.keep(path, password))  # type: ignore[misc]
        return password

    def plan_setting(self, server: Server, name: str, value: str) -> None:
        """Plan a setting in the server and in its file."""
        label = server.target.label
        if self.live or server.settings.last(name) != [value]:
            self.edit(server.target.config_file, secret=True).settings[name] = [config.quoted(value)]
        if self.live:
            self.note("setting", "redis %s %s" % (label, name), "set", "redis %s: %s" % (label, name))
            self.last.append(lambda: self.set(server, name, value))

    def plan_folders(self, servers: Sequence[Server]) -> None:
        """Plan that others cannot enter the folders in which a sentinel has files written anew, with modes of its own."""
        for server in servers:
            folder = server.target.folder
            if folder:
                mode = os.stat(folder).st_mode & 0o7777
                self.note("file", folder, "mode", "%s: mode %04o -> %04o" % (folder, mode, mode & ~0o007))
                self.first.append(lambda folder=folder, mode=mode: self.close_folder(folder, mode))  # type: ignore[misc]

    def plan_sentinel(self, sentinel: Server, members: Sequence[Server], password: str) -> None:
        """Plan to tell a sentinel the password of the masters that it watches."""
        path, label = sentinel.target.config_file, sentinel.target.label
        others = [words[1] for words in sentinel.settings.all("sentinel")
                  if len(words) > 2 and words[0].lower() == "auth-user" and words[2] != "default"]
        for name in sorted(set(masters_watched(sentinel, members)) - set(others)):
            self.plan_mode(path)
            if sentinel.version >= SILENT_SENTINEL:
                self.note("file", path, "modify", "%s: auth-pass of %s" % (path, name))
                self.note("setting", "sentinel %s %s auth-pass" % (label, name), "set",
                          "sentinel %s: auth-pass of %s" % (label, name))
                self.last.append(lambda name=name: self.tell_sentinel(sentinel, name, password))  # type: ignore[misc]
                continue
            # An older sentinel writes what it is told into its log, a password too: its file is edited instead.
            if not sentinel.target.restartable:
                raise HostError("sentinel %s must be restarted, and no unit of its own runs it" % label)
            begin = "sentinel auth-pass %s " % name
            self.edit(path, secret=True).lines[begin] = begin + config.quoted(password)
            self.note("unit", str(sentinel.target.unit), "restart", "%s: restart" % sentinel.target.unit)
            self.last.append(sentinel.restart)

    def plan_bind(self, server: Server) -> None:
        """Plan fewer addresses."""
        label = server.target.label
        modern = server.version[:2] >= RUNTIME_BIND
        bind = list(self.given.bind)
        if not modern:
            bind = [each.lstrip("-") for each in bind if not each.startswith("-") or self.live and self.has_ipv6()]
        self.drop(server, ["bind", "protected-mode"])
        edit = self.edit(server.target.config_file)
        for name, words in (("bind", bind), ("protected-mode", ["yes"])):
            if self.live or server.settings.last(name) != words:
                edit.settings[name] = words
        if not self.live:
            return
        if modern:
            self.note("setting", "redis %s bind" % label, "set", "redis %s: bind %s" % (label, " ".join(bind)))
            self.last.append(lambda: self.set(server, "bind", " ".join(bind)))
            self.note("setting", "redis %s protected-mode" % label, "set", "redis %s: protected-mode yes" % label)
            self.last.append(lambda: self.set(server, "protected-mode", "yes"))
            return
        if not server.target.restartable:
            raise HostError("redis %s must be restarted to listen on fewer addresses, and no unit of its own runs it" % label)
        self.note("unit", str(server.target.unit), "restart", "%s: restart" % server.target.unit)
        self.last.append(server.restart)

    def has_ipv6(self) -> bool:
        """Tell whether loopback has an IPv6 address."""
        return " lo" in (self.host.read("/proc/net/if_inet6") or "")

    def plan_mode(self, path: str) -> None:
        """Plan that not every user reads a file."""
        with ServiceFile(path) as file:
            mode = file.mode
        if mode & 0o007:
            known = len(self.changes)
            self.note("file", path, "mode", "%s: mode %04o -> %04o" % (path, mode, mode & ~0o007))
            if len(self.changes) > known:
                self.first.append(lambda: self.close_file(path, mode))

    # Doing it

    def apply(self) -> None:
        """Make the changes: passwords kept and files closed first, then files and units, then what runs.

        :raises HostError: where a step failed; what was done before it is taken back.
        """
        try:
            for step in self.first:
                step()
            for path, edit in sorted(self.edits.items()):
                self.write(path, edit)
            for path, (server, names) in sorted(self.drops.items()):
                self.write_drop_in(path, command_without(server, sorted(names)))
            for step in self.last:
                step()
        except (HostError, OSError) as error:
            ignoring(*reversed(self.undo))
            raise HostError(str(error) or type(error).__name__) from None

    def keep(self, path: str, password: str) -> None:
        """Write a password where root alone reads it."""
        folder = os.path.dirname(path)
        os.makedirs(folder, 0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        before = self.host.read(path, 4096)
        _put(path, password + "\n", 0o600)
        self.undo.append(lambda: os.unlink(path) if before is None else _put(path, before, 0o600))

    def close_folder(self, path: str, mode: int) -> None:
        """Take a folder from others."""
        close_folder(path, mode & ~0o007)
        self.undo.append(lambda: close_folder(path, mode))

    def close_file(self, path: str, mode: int) -> None:
        """Take a file from others."""
        _mode(path, mode & ~0o007)
        self.undo.append(lambda: _mode(path, mode))

    def write(self, path: str, edit: FileEdit) -> None:
        """Make all edits of a file at once."""
        with ServiceFile(path) as file:
            before = file.read()
            self.undo.append(lambda: _restore(path, before))
            file.replace(edit.changed(before), file.mode & ~0o007 if edit.secret else file.mode)

    def write_drop_in(self, path: str, text: str) -> None:
        """Have a unit start by another command from its next start on."""
        before = self.host.read(path)
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        _put(path, text, 0o644)
        self.undo.append(self.reload_units)
        self.undo.append(lambda: os.unlink(path) if before is None else _put(path, before, 0o644))
        self.reload_units()

    def reload_units(self) -> None:
        """Have systemd read its units anew."""
        if self.live:
            process.must(["systemctl", "daemon-reload"])

    def set(self, server: Server, name: str, value: str) -> None:
        """Set a setting in the server, and remember what it was."""
        old, rule = server.get(name), server.rule_of_default() if name == "requirepass" else ""
        server.set(name, value)
        if rule:
            self.undo.append(lambda: server.open.ask("ACL", "SETUSER", "default", "reset", *rule.split(" ")[2:]))
        self.undo.append(lambda: server.set(name, old))

    def set_default(self, server: Server, digest: str) -> None:
        """Give the default user of an ACL file this password alone."""
        rule = server.rule_of_default()
        server.open.ask("ACL", "SETUSER", "default", "resetpass", "#" + digest)
        if rule:
            self.undo.append(lambda: server.open.ask("ACL", "SETUSER", "default", "reset", *rule.split(" ")[2:]))

    def tell_sentinel(self, sentinel: Server, name: str, password: str) -> None:
        """Tell a sentinel a password; the file that it then writes is not for others."""
        old = next((words[2] for words in sentinel.settings.all("sentinel")
                    if words[:2] == ["auth-pass", name] and len(words) > 2), "")
        with closed_to_others(sentinel.target.config_file):
            sentinel.open.ask("SENTINEL", "SET", name, "auth-pass", password)
        self.undo.append(lambda: sentinel.open.ask("SENTINEL", "SET", name, "auth-pass", old))


@contextlib.contextmanager
def closed_to_others(path: str) -> Iterator[None]:
    """Have a file that is written anew meanwhile end with the permissions it had, none of them for others."""
    with ServiceFile(path) as file:
        mode = file.mode & ~0o007
    try:
        yield
    finally:
        _mode(path, mode)


def _mode(path: str, mode: int) -> None:
    with ServiceFile(path) as file:
        file.chmod(mode)


def _restore(path: str, text: str) -> None:
    with ServiceFile(path) as file:
        file.replace(text)


def _put(path: str, text: str, mode: int) -> None:
    """Write a file in a folder that is root's alone, whole or not at all."""
    number, part = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(number, "w", encoding="utf-8", errors="surrogateescape") as handle:
            os.fchmod(number, mode)
            handle.write(text)
            handle.flush()
            os.fsync(number)
        os.rename(part, path)
    except OSError:
        os.unlink(part)
        raise
