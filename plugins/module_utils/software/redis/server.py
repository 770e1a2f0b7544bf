# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An instance that is changed: its files, its unit, and a session with it where it runs."""

import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import acl
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import session
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import start
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import Settings
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import read_settings
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import ProtocolError
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import RedisError
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import probe

SECONDS = 3.0
RESTART_SECONDS = 20
BARE = ("PONG", "ANSWERED")


class Target(NamedTuple):
    """What is known of an instance before it is changed."""

    name: str
    label: str  # its first port, or the name of its socket
    listeners: List[str]
    config_file: str
    unit: Optional[str] = None
    uid: Optional[int] = None
    sentinel: bool = False
    restartable: bool = False
    version: str = ""
    folder: str = ""  # that of its file, where others may enter it although it is the service's own


class Server:
    """An instance, opened for changes. ``session`` is None where it does not run."""

    def __init__(self, host: Any, target: Target, kept: Sequence[Tuple[str, str]] = (), words: Sequence[str] = (),
                 live: bool = True) -> None:
        self.host, self.target, self.live = host, target, live
        self.begun = start.unit_start(host, target.unit)
        self.settings: Settings = read_settings(target.config_file, host.read, host.list)
        if not self.settings.files:
            raise HostError("%s cannot be read" % target.config_file)
        self.settings.add_options(list(self.begun.options), "the command line of %s" % self.begun.unit)
        self.known = session.credentials(self.settings, host.read, kept)
        self.session: Optional[session.Session] = None
        if live:
            self.enter(words)

    def enter(self, words: Sequence[str] = ()) -> session.Session:
        """Log in, anew where a session is open.

        :param words: passwords that are tried where none that is kept lets anybody in.
        """
        if self.session is not None:
            self.session.close()
            self.session = None
        found, hindrance = session.enter(self.target.listeners, self.known, self.settings, SECONDS)
        if found is None and words:
            digests = dict((acl.digest(word), word) for word in words)
            hashed = [session.Credential(user.name, digests[each], user.place)
                      for user in acl.file_users(self.settings, self.host.read)[0] for each in user.hashes if each in digests]
            word = None if hashed else session.guess(self.target.listeners, words)
            guesses = hashed or ([session.Credential("default", word, "")] if word is not None else [])
            found, hindrance = session.enter(self.target.listeners, guesses, self.settings, SECONDS)
            self.known += guesses if found is not None else []
        if found is None:
            raise HostError("%s: %s" % (self.target.name, hindrance))
        self.session = found
        return found

    @property
    def open(self) -> session.Session:
        """The session."""
        return self.session if self.session is not None else self.enter()

    @property
    def version(self) -> Tuple[int, ...]:
        """The version as numbers."""
        return self.session.version if self.session is not None else session.version_numbers(self.target.version)

    @property
    def acl_file(self) -> str:
        """The path of its ACL file, "" where it has none."""
        return self.settings.first("aclfile")

    def default_user(self) -> acl.User:
        """Return the default user as the files give it."""
        return acl.file_users(self.settings, self.host.read)[0][0]

    def replicates_as_other(self) -> bool:
        """Tell whether it logs in to its master as a user of its own, whom a new password of the default user leaves alone."""
        return self.settings.first("masteruser") not in ("", "default")

    def get(self, name: str) -> str:
        """Return a setting in use."""
        return str(self.open.pairs("CONFIG", "GET", name).get(name, "") or "")

    def set(self, name: str, value: str) -> None:
        """Set a setting in use."""
        self.open.ask("CONFIG", "SET", name, value)

    def rule_of_default(self) -> str:
        """Return the rule of the default user in use; "" where the server has no ACL."""
        try:
            reply = self.open.ask("ACL", "LIST")
        except RedisError:
            return ""
        return next((line for line in reply if isinstance(line, str) and line.split(" ")[:2] == ["user", "default"]), "") \
            if isinstance(reply, list) else ""

    def restart(self) -> None:
        """Restart its unit and wait until it answers."""
        status, unused, err = process.run(["systemctl", "restart", "--", str(self.target.unit)])
        if status:
            raise HostError("%s does not start any more: %s" % (self.target.unit, err.strip()[:200]))
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                self.enter()
                return
            except HostError:
                if time.monotonic() > deadline:
                    raise HostError("%s does not answer after its restart" % self.target.unit) from None
                time.sleep(0.2)

    def prove(self, password: str) -> None:
        """See that nobody gets in without the password, and that the password does let in."""
        for where in session.ways(self.target.listeners):
            if probe(where) in BARE or probe(where, tls=True) in BARE:
                raise HostError("%s still answers without a password" % self.target.name)
        self.known = [session.Credential("default", password, "")]
        self.enter()


def ignoring(*steps: Callable[[], Any]) -> None:
    """Carry out steps that take something back, each whatever becomes of the others."""
    for step in steps:
        try:
            step()
        except (HostError, OSError, ProtocolError):
            continue


def command_without(server: Server, names: Sequence[str]) -> str:
    """Return the drop-in's text that starts a unit without some options."""
    return start.drop_in(start.without_options(server.begun.command, names))


def masters_watched(sentinel: Server, members: Sequence[Server]) -> Dict[str, Server]:
    """Return {name by which a sentinel knows a master: the master} of those among ``members``."""
    ports = dict((port, member) for member in members for port in
                 [where.rpartition(":")[2] for where in member.target.listeners if not where.startswith(("/", "@"))])
    return dict((row["name"], ports[row["port"]]) for row in sentinel.open.rows("SENTINEL", "MASTERS")
                if row.get("name") and row.get("port") in ports)
