# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users of Redis as ACL rules give them, in redis.conf and in ACL files."""

import hashlib
from typing import Callable, List, NamedTuple, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import Settings
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import split_words

Read = Callable[[str], Optional[str]]


class User(NamedTuple):
    """A user: whether it may log in, without a password, with which ones, and whether all commands are its."""

    name: str
    on: bool = False
    nopass: bool = False
    hashes: Tuple[str, ...] = ()
    plain: Tuple[str, ...] = ()
    all: bool = False
    place: str = ""


DEFAULT = User("default", on=True, nopass=True, all=True)


def parse_user(words: List[str], place: str = "") -> User:
    """Return the User of the words that follow ``user``."""
    on = nopass = everything = False
    hashes: List[str] = []
    plain: List[str] = []
    for word in words[1:]:
        lower = word.lower()
        if lower in ("on", "off"):
            on = lower == "on"
        elif lower == "nopass":
            nopass, hashes, plain = True, [], []
        elif lower in ("resetpass", "reset"):
            nopass, hashes, plain = False, [], []
            if lower == "reset":
                on = everything = False
        elif word[:1] == ">":
            plain.append(word[1:])
            nopass = False
        elif word[:1] == "#":
            hashes.append(word[1:].lower())
            nopass = False
        elif lower in ("+@all", "allcommands"):
            everything = True
        elif lower in ("-@all", "nocommands"):
            everything = False
    return User(words[0] if words else "", on, nopass, tuple(hashes), tuple(plain), everything, place)


def digest(password: str) -> str:
    """Return the digest by which an ACL keeps a password."""
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).hexdigest()


def file_users(settings: Settings, read: Read) -> Tuple[List[User], str]:
    """Return (the users that the files give, ``default`` always among them, gap).

    A line ``user default`` in redis.conf takes back what requirepass says; with an ACL file requirepass is not
    looked at at all.
    """
    acl = settings.last("aclfile")
    default, users = DEFAULT, []
    if acl and acl[0]:
        text = read(acl[0])
        if text is None:
            return [DEFAULT], "%s cannot be read" % acl[0]
        rows = [(line, "%s:%d" % (acl[0], number)) for number, line in enumerate(text.splitlines(), 1)]
        given = [((split_words(line) or [])[1:], place) for line, place in rows if line.strip().lower().startswith("user ")]
    else:
        given = [(list(entry.words), entry.place) for entry in settings.entries if entry.name == "user"]
        password = settings.last("requirepass")
        if password and password[0]:
            default = DEFAULT._replace(nopass=False, plain=(password[0],), place=settings.place("requirepass"))
    for words, place in given:
        user = parse_user(words, place)
        if user.name == "default":
            default = user
        elif user.name:
            users.append(user)
    return [default] + users[:1000], ""


def with_password(line: str, password_digest: str) -> str:
    """Return a line ``user NAME ...`` that takes this password alone, all other rules of it as they were."""
    words = line.split()
    kept = [word for word in words if word[:1] not in (">", "#", "<", "!") and word.lower() not in ("nopass", "resetpass")]
    return " ".join(kept[:2] + ["resetpass", "#" + password_digest] + kept[2:])


def edit_user(text: str, name: str, password_digest: str) -> Optional[str]:
    """Return a configuration with the last line of a user changed to take this password alone; None where none is its."""
    lines = text.split("\n")
    for number in range(len(lines) - 1, -1, -1):
        words = split_words(lines[number].strip()) or []
        if len(words) > 1 and words[0].lower() == "user" and words[1] == name:
            lines[number] = with_password(lines[number].strip(), password_digest)
            return "\n".join(lines)
    return None
