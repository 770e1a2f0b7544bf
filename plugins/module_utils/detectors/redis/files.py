# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files and the units of Redis say: settings of the next start, secrets, and the instances that a boot starts."""

import os
import re
import stat
import time
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common.file_owners import owner_of
from ansible_collections.hostmend.hardening.plugins.module_utils.common.service_files import refusal
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import Instance
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import is_remote
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import label
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.weak_passwords import weak_words
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import acl
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import listeners as next_listeners
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import session
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import start
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import Settings

MOST_ENTRIES = 64
LARGEST = 1024 * 1024
SECRETS = "/etc/hostmend/secrets"
SHOWN = ("bind", "protected-mode", "port", "aclfile")
SECRET_NAMES = ("requirepass", "masterauth", "tls-key-file-pass", "tls-client-key-file-pass")


def resource_of(program: str, container: Optional[str], listeners: List[str], settings: Optional[Settings], path: str) -> str:
    """Return what an instance is called in findings."""
    where = label(listeners) if any(not each.startswith(("/", "@")) for each in listeners) else ""
    where = where or next((each for each in listeners if each.startswith("/")), "")
    where = where or (settings.first("port") if settings is not None else "") or "?"
    return "%s %s%s%s" % (program, where, " (%s)" % path if path else "", " in %s" % container[:20] if container else "")


def kept_passwords(host: Any, listeners: List[str]) -> List[Tuple[str, str]]:
    """Return (password, path) of what the role has kept for an instance."""
    path = "%s/redis-%s" % (SECRETS, label(listeners))
    kept = host.read(path, 4096)
    return [(kept.strip(), path)] if kept and kept.strip() else []


def shown_start(begun: start.Start) -> Dict[str, Any]:
    """Return what of a start is evidence; values of options are none of it, as one may be a password."""
    borrowed = dict(begun.borrowed)
    return {"known": begun.known, "gap": begun.gap, "source": begun.source,
            "options": dict((name, borrowed.get(name) or begun.source) for name in begun.names), "borrowed": borrowed}


def shown_user(user: acl.User) -> Dict[str, Any]:
    """Return what of a user is no secret."""
    return {"name": user.name, "on": user.on, "nopass": user.nopass, "all": user.all}


def is_masters(settings: Optional[Settings], credential: session.Credential) -> bool:
    return settings is not None and credential.place != "" and credential.place == settings.place("masterauth")


def read_files(host: Any, root: str, settings: Optional[Settings]) -> Dict[str, Dict[str, Any]]:
    """Return mode, owner and whether a secret is inside of each file that is read."""
    found: Dict[str, Dict[str, Any]] = {}
    if settings is None:
        return found
    acl_path = settings.first("aclfile")
    for path in settings.files + ([acl_path] if acl_path else []):
        try:
            state = os.stat(host.path(root + path))
        except (OSError, ValueError):
            continue
        text = host.read(root + path) or ""
        owner, place = owner_of(path, text)
        entries = [entry for entry in settings.entries if entry.file == path]
        rows = [config.split_words(line) or [] for line in text.splitlines()] if path == acl_path else \
            [[entry.name] + entry.words for entry in entries]
        found[path] = {"mode": "%04o" % (state.st_mode & 0o7777), "uid": state.st_uid, "gid": state.st_gid,
                       "secret": any(_is_secret(row) for row in rows), "readable": others_read(host, root + path),
                       "owner": "%s (%s)" % (owner, place) if owner else "",
                       "refusal": refusal(path) if not root and host.root == "/" else ""}
    return found


def open_folder(path: str, uid: Optional[int]) -> str:
    """Return the folder of a configuration file where others may enter it although it is the service's; "" where not.

    A folder that holds data too is left aside: the state before a change could not be kept.
    """
    folder = os.path.dirname(path)
    try:
        state, file = os.lstat(folder), os.lstat(path)
        own = state.st_uid == uid != 0 or state.st_gid == file.st_gid != 0
        if not own or not stat.S_ISDIR(state.st_mode) or not state.st_mode & 0o007:
            return ""
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= MOST_ENTRIES or entry.stat(follow_symlinks=False).st_size > LARGEST:
                    return ""
    except OSError:
        return ""
    return folder


def _is_secret(words: List[str]) -> bool:
    name = words[0].lower() if words else ""
    if name == "sentinel":
        return len(words) > 1 and words[1].lower() in ("auth-pass", "sentinel-pass")
    if name == "user":
        return any(word[:1] in (">", "#") for word in words[2:])
    return name in SECRET_NAMES and len(words) > 1 and bool(words[1])


def others_read(host: Any, path: str) -> bool:
    """Tell whether users of no kind of their own get to a file and may read it."""
    path = os.path.realpath(host.path(path))
    try:
        if not os.stat(path).st_mode & 0o004:
            return False
        while path not in ("/", host.root, ""):
            path = os.path.dirname(path)
            if not os.stat(path).st_mode & 0o001 and not path.startswith("/proc/"):
                return False
    except OSError:
        return True
    return True


def persistent(settings: Optional[Settings], begun: start.Start, read: config.Read) -> Dict[str, Any]:
    """Return what the next start will bring, without a secret."""
    if settings is None:
        return {}
    found: Dict[str, Any] = dict((name, " ".join(settings.last(name) or [])[:1000]) for name in SHOWN)
    found["requirepass"] = bool(settings.first("requirepass"))
    found["places"] = dict((name, settings.place(name)) for name in ("bind", "protected-mode", "requirepass", "aclfile", "port")
                           if settings.place(name))
    user = acl.file_users(settings, read)[0][0]
    if user.place:
        found["places"]["user default"] = user.place
    found["renamed"] = sorted(words[0].lower() for words in settings.all("rename-command") if words)
    found["tls-auth-clients"] = settings.first("tls-auth-clients").lower() or "yes"
    if begun.gap:
        found["command_line"] = begun.gap
    return found


def expected_answers(settings: Settings, read: config.Read, sentinel: bool, version: str) -> Dict[str, str]:
    """Return what a client without a password will be told at each address after the next start; {} if not known."""
    addresses = next_listeners.addresses(settings, sentinel)
    users, gap = acl.file_users(settings, read)
    if addresses is None or gap:
        return {}
    found = {}
    for unused, family, address, port in addresses:
        remote = is_remote("%s:%d" % (address, port))
        found["%s:%d" % (address, port)] = answer_of(remote, users[0], settings, version)
    if settings.first("unixsocket"):
        found[settings.first("unixsocket")] = "PONG" if users[0].on and users[0].nopass else "NOAUTH"
    return found


def answer_of(remote: bool, user: acl.User, settings: Settings, version: str) -> str:
    """Return what a client without a password will be told."""
    if settings.first("tls-port") not in ("", "0") and settings.first("port") == "0" and (
            settings.first("tls-auth-clients").lower() in ("", "yes")):
        return "CERTIFICATE"
    if not user.on or not user.nopass:
        return "NOAUTH"
    # Before version 7 an explicit bind switched protected mode off.
    guarded = settings.first("protected-mode").lower() == "yes" and (
        session.version_numbers(version)[:2] >= (7, 0) or not settings.place("bind"))
    return "DENIED" if guarded and remote else "PONG"


def at_boot_instances(host: Any, policy: Dict[str, Any]) -> Dict[str, Any]:
    """Return the instances that a boot starts."""
    instances, gaps = [], []
    for service in host.boot_services():
        if service.program in start.PROGRAMS:
            instances.append(_to_come(host, service, policy)._asdict())
        elif service.script and re.match(r"(redis|valkey|keydb)[-.]", service.name):
            gaps.append("how the init script of %s starts it cannot be told" % service.name)
    return {"live": False, "instances": instances, "gaps": gaps}


def _to_come(host: Any, service: Any, policy: Dict[str, Any]) -> Instance:
    """Return what the files say of an instance that a boot starts."""
    sentinel = "sentinel" in service.program or "--sentinel" in service.argv
    made = Instance(program=service.program, uid=uid_of(host, service.user), unit=service.name, booted=False, sentinel=sentinel,
                    version=packaged_version(host, service.program), name="%s (%s)" % (service.program, service.name))
    settings = next_listeners.boot_settings(host, service)
    if settings is None:
        return made._replace(gaps=["the configuration of %s is not named by its unit" % service.name])
    gaps = list(settings.gaps)
    begun = start.unit_start(host, service.name)
    addresses = next_listeners.addresses(settings, sentinel)
    if addresses is None:
        gaps.append("it binds to a name, and which address that is cannot be told")
    listeners = ["%s:%d" % (address, port) for unused, unused_family, address, port in addresses or ()]
    if settings.first("unixsocket"):
        listeners.append(settings.first("unixsocket"))
    path = settings.files[0] if settings.files else ""
    stays = persistent(settings, begun, host.read)
    users, gap = acl.file_users(settings, host.read)
    expected: Dict[str, str] = {}
    if gap:
        gaps.append(gap)
    else:
        stays["users"] = [shown_user(users[0])]
        expected = expected_answers(settings, host.read, sentinel, made.version)
    words = set(weak_words(policy["words"], [host.system().id], time.localtime().tm_year))
    secrets = [each for each in session.credentials(settings, host.read, kept_passwords(host, listeners))
               if not is_masters(settings, each)]
    weak = next((each for each in secrets if each.password in words), None)
    return made._replace(
        name=resource_of(service.program, None, listeners, settings, path), config_file=path, listeners=listeners, gaps=gaps,
        files=read_files(host, "", settings), persistent=stays, expected=expected, start=shown_start(begun),
        weak=True if weak else False if secrets else None, weak_user=weak.user if weak else "",
        weak_place=weak.place if weak else "")


def uid_of(host: Any, user: str) -> Optional[int]:
    """Return the number of a user of the host's own; 0 where none is named, None where it is not there."""
    if not user or user.isdecimal():
        return int(user or 0)
    for line in (host.read("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[0] == user and fields[2].isdecimal():
            return int(fields[2])
    return None


def packaged_version(host: Any, program: str) -> str:
    """Return the version of the package that a program comes from, "" where it is not known."""
    wanted = program.split("-")[0]
    for package in host.packages().items:
        if package.name in (program, wanted, wanted + "-server", wanted + "-tools"):
            return re.sub(r"^\d+:", "", package.version).split("-")[0].split("+")[0]
    return ""
