# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with a running Redis as somebody whom it lets in, shared by all who look at it and change it."""

import time
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import protocol
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.acl import User
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.acl import file_users
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.acl import parse_user
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import Settings
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import split_words
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import Where

MOST_WAYS = 8
MOST_CREDENTIALS = 12
WRONG = ("WRONGPASS", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH")
Read = Callable[[str], Optional[str]]


class Credential(NamedTuple):
    """A user's password, and where this host keeps it. Without a user it is the default user's."""

    user: str
    password: str
    place: str

    @property
    def words(self) -> List[str]:
        """The arguments of AUTH."""
        return [self.password] if self.user in ("", "default") else [self.user, self.password]


def credentials(settings: Optional[Settings], read: Read, kept: Iterable[Tuple[str, str]] = ()) -> List[Credential]:
    """Return what may let us in: passwords in the files, then those that are kept elsewhere on this host.

    :param kept: (password, path) pairs.
    """
    found: List[Credential] = []
    if settings is not None:
        for user in file_users(settings, read)[0]:
            if user.on or user.name == "default":
                found += [Credential(user.name, password, user.place) for password in user.plain]
        for name in ("requirepass", "masterauth"):
            if settings.first(name):
                found.append(Credential("default", settings.first(name), settings.place(name)))
    found += [Credential("default", password, place) for password, place in kept if password]
    unique: Dict[Tuple[str, str], Credential] = {}
    for each in found:
        unique.setdefault((each.user, each.password), each)
    return list(unique.values())[:MOST_CREDENTIALS]


def renamed_commands(settings: Optional[Settings]) -> Dict[str, Tuple[str, str]]:
    """Return {command: (its new name, "" where it is taken away; where that is said)}."""
    renamed = {}
    for entry in settings.entries if settings is not None else ():
        if entry.name == "rename-command" and entry.words:
            renamed[entry.words[0].upper()] = (entry.words[1] if len(entry.words) > 1 else "", entry.place)
    return renamed


def ways(listeners: Iterable[str]) -> List[Where]:
    """Return where a server is asked from this host: sockets first, a wildcard by loopback.

    :param listeners: ``ADDRESS:PORT`` and paths.
    """
    found: List[Where] = []
    for each in listeners:
        if each.startswith("/"):
            found.insert(0, each)
        elif not each.startswith("@"):
            address, unused, port = each.rpartition(":")
            if port.isdigit():
                found.append(({"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}.get(address, address), int(port)))
    return found


class Session:
    """A connection that is let in. ``credential`` is None where nothing was asked for."""

    def __init__(self, client: protocol.Client, credential: Optional[Credential],
                 renamed: Dict[str, Tuple[str, str]], info: Dict[str, str]) -> None:
        self.client, self.credential, self.renamed, self.info = client, credential, renamed, info

    def ask(self, *words: Any) -> Any:
        """Send a command, by the name that the server gave it."""
        name = str(words[0]).upper()
        if name in self.renamed:
            if not self.renamed[name][0]:
                raise protocol.RedisError("%s is taken away (%s)" % (name, self.renamed[name][1]))
            name = self.renamed[name][0]
        return self.client.ask(name, *words[1:])

    def pairs(self, *words: Any) -> Dict[str, Any]:
        """Return the reply to a command as a dictionary."""
        reply = self.ask(*words)
        if not isinstance(reply, list):
            raise protocol.ProtocolError("no list")
        return dict((str(name), value) for name, value in zip(reply[::2], reply[1::2]))

    def rows(self, *words: Any) -> List[Dict[str, str]]:
        """Return the reply of a sentinel as one dictionary for each element; none where it refuses."""
        try:
            reply = self.ask(*words)
        except protocol.RedisError:
            return []
        return [dict((str(name), str(value)) for name, value in zip(each[::2], each[1::2]))
                for each in (reply if isinstance(reply, list) else ())[:1000] if isinstance(each, list)]

    def users(self) -> List[User]:
        """Return the users in effect.

        :raises RedisError: where the server has no ACL or refuses.
        """
        reply = self.ask("ACL", "LIST")
        words = [split_words(line) for line in reply if isinstance(line, str)] if isinstance(reply, list) else []
        return [parse_user(each[1:]) for each in words if each]

    @property
    def version(self) -> Tuple[int, ...]:
        """The version as numbers; that of Redis which a fork is compatible with."""
        return version_numbers(self.info.get("redis_version", ""))

    def close(self) -> None:
        """End it."""
        self.client.close()


def version_numbers(text: str) -> Tuple[int, ...]:
    """Return the numbers of a version."""
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def _try(where: Where, tls: bool, credential: Optional[Credential], renamed: Dict[str, Tuple[str, str]],
         seconds: float, until: Optional[float]) -> Session:
    client = protocol.Client(where, tls, seconds, until)
    try:
        session = Session(client, credential, renamed, {})
        if credential is not None:
            session.ask("AUTH", *credential.words)
        session.info = protocol.parse_info(session.ask("INFO"))
        return session
    except (protocol.RedisError, protocol.ProtocolError):
        client.close()
        raise


def enter(listeners: Iterable[str], known: Sequence[Credential], settings: Optional[Settings] = None,
          seconds: float = protocol.SECONDS, until: Optional[float] = None) -> Tuple[Optional[Session], str]:
    """Return (a session, "") of the first way and credential that lets us in, or (None, what kept us out).

    No credential at all is tried first. One that the server refuses is not tried on its other addresses.
    """
    renamed = renamed_commands(settings)
    refused: List[Optional[Credential]] = []
    hindrance = "there is no answer"
    for where in ways(listeners)[:MOST_WAYS]:
        for tls in (False, True):
            for credential in [None] + list(known):
                if credential in refused or until is not None and time.monotonic() > until:
                    continue
                try:
                    return _try(where, tls, credential, renamed, seconds, until), ""
                except protocol.RedisError as error:
                    hindrance = "no password that this host keeps lets anybody in"
                    if credential is not None or str(error).startswith("NOAUTH"):
                        refused.append(credential)
                except protocol.CertificateError:
                    hindrance = "it wants a certificate of its clients (tls-auth-clients)"
                    break
                except protocol.ProtocolError:
                    break
    return None, hindrance


def guess(listeners: Iterable[str], words: Sequence[str], until: Optional[float] = None) -> Optional[str]:
    """Return the first of some words that the default user's password is; None where none is or it cannot be tried."""
    for where in ways(listeners)[:1]:
        for tls in (False, True):
            try:
                with protocol.Client(where, tls, until=until) as client:
                    for word in words:
                        try:
                            client.ask("AUTH", word)
                            return word
                        except protocol.RedisError as error:
                            if not str(error).startswith(("WRONGPASS", "ERR invalid password")):
                                return None
                    return None
            except protocol.ProtocolError:
                continue
    return None
