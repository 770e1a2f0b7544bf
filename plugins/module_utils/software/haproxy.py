# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy: the certificates at its binds, by file, folder, list and store."""

import os
import re
import shlex
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software import addresses
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

CONFIG = "/etc/haproxy/haproxy.cfg"
SECTIONS = ("global", "defaults", "frontend", "backend", "listen", "crt-store", "peers", "resolvers", "mailers",
            "userlist", "cache", "program", "http-errors", "ring", "fcgi-app", "log-forward", "log-profile", "traces",
            "acme")
PROXIES = ("frontend", "listen", "defaults", "backend")
Pair = Tuple[str, str]


class Configuration:
    """What one file of a configuration leaves to the next: its folders, and what its crt-stores hold."""

    def __init__(self) -> None:
        self.folders = {"crt-base": "", "key-base": ""}
        self.stores = {}  # type: Dict[str, Pair]
        self.disabled = False  # by the defaults


def config_paths(files: config_files.Files, argv: Any) -> List[str]:
    """Return the files that a process was started with; of a folder those that end in .cfg, as HAProxy takes them."""
    named = [value for _flag, value in config_files.options(argv, "-f")]
    made = []  # type: List[str]
    for path in named or [CONFIG]:
        inside = [name for name in files.list(path) if name.endswith(".cfg") and name[0] != "."]
        made += ["%s/%s" % (path.rstrip("/"), name) for name in inside] if inside else [path]
    return made


def _words(line: str) -> List[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def certificates(files: config_files.Files, main: str, shared: Optional[Configuration] = None) -> List[config_files.Use]:
    """Return the uses of certificates at the binds of one file; a proxy that is disabled has none."""
    made = []  # type: List[config_files.Use]
    shared = shared or Configuration()
    store, section, mine = None, "", []  # type: Optional[Dict[str, str]], str, List[config_files.Use]
    disabled = False
    for line in files.open(main).split("\n") + ["global"]:
        words = _words(line)
        if not words:
            continue
        if words[0] in SECTIONS:
            made += [] if disabled else mine
            section, mine = words[0], []
            disabled = shared.disabled and section in PROXIES and section != "defaults"
            if section == "defaults":
                shared.disabled = False
            # A store begins with the folders of the global section, and may name others.
            store = dict(shared.folders, name=words[1] if len(words) > 1 else "") if section == "crt-store" else None
        elif words[0] in ("disabled", "enabled") and section in PROXIES:
            disabled = words[0] == "disabled"
            if section == "defaults":
                shared.disabled = disabled
        elif words[0] in shared.folders and len(words) > 1:
            (shared.folders if store is None else store)[words[0]] = words[1]
        elif words[0] == "load" and store is not None:
            _load(store, words[1:], shared)
        elif words[0] == "bind" and "ssl" in words[2:] and len(made) + len(mine) >= config_files.MOST_USES:
            files.gap("%s names more than %d certificates" % (main, config_files.MOST_USES))
        elif words[0] == "bind" and "ssl" in words[2:]:
            mine += [dict(one, proxied=one["ports"]) if "accept-proxy" in words[2:] else one
                     for one in _bind(files, shared, main, words)]
    return made[:config_files.MOST_USES]


def _bind(files: config_files.Files, shared: Configuration, main: str, words: List[str]) -> List[config_files.Use]:
    made = []  # type: List[config_files.Use]
    ports = [int(port) for port in re.findall(r":(\d{1,5})(?:,|$)", words[1])]
    for number, option in enumerate(words[2:-1], 3):
        if option in ("crt", "default-crt"):
            made += [config_files.use(main, path, key, (), ports) for path, key in _pairs(files, shared, words[number])]
        elif option == "crt-list":
            made += _list(files, shared, words[number], ports)
    return made


def _load(store: Dict[str, str], words: List[str], shared: Configuration) -> None:
    """Note what a line of a crt-store loads, under the name that binds know it by."""
    options = dict(zip(words[::2], words[1::2]))
    certificate = options.get("crt", "")
    if not certificate:
        return
    path = os.path.join(store["crt-base"], certificate)
    if "alias" in options:
        name = "@%s/%s" % (store["name"], options["alias"])
    elif store["name"]:
        name = "@%s/%s" % (store["name"], certificate.lstrip("/"))
    else:
        name = os.path.join(shared.folders["crt-base"], certificate)
    # No file beside it is looked for: without a key of its own, that is in the file.
    shared.stores[name] = (path, os.path.join(store["key-base"], options["key"]) if "key" in options else path)


def _list(files: config_files.Files, shared: Configuration, value: str, ports: List[int]) -> List[config_files.Use]:
    """Return the uses of a crt-list: a file, in brackets its settings, and the names that it is for."""
    made = []  # type: List[config_files.Use]
    for entry in files.open(value).split("\n"):
        match = re.match(r"\s*([^\s#\[]\S*)\s*(?:\[([^\]]*)\])?(.*)", entry)
        if match:
            names = [one.lower() for one in match.group(3).split() if re.match(r"[\w*][\w.*-]+\Z", one)]
            given = re.search(r"(?:^|\s)key\s+(\S+)", match.group(2) or "")
            if len(made) >= config_files.MOST_USES:
                files.gap("%s names more than %d certificates" % (value, config_files.MOST_USES))
                break
            for path, key in _pairs(files, shared, match.group(1)):
                key = os.path.join(shared.folders["key-base"], given.group(1)) if given else key
                made.append(config_files.use(value, path, key, names, ports))
    return made


def _pairs(files: config_files.Files, shared: Configuration, value: str) -> List[Pair]:
    """Return (certificate, key) of what a bind or a list names: a file, a folder, or what a crt-store holds."""
    path = value if value.startswith("@") else os.path.join(shared.folders["crt-base"], value)
    if path in shared.stores:
        return [shared.stores[path]]
    if value.startswith("@"):
        files.gap("no crt-store that can be read holds %s" % value)
        return []
    return [(one, _key(files, one)) for one in _paths(files, path)]


def _paths(files: config_files.Files, path: str) -> List[str]:
    inside = files.list(path)
    if not inside:
        beside = files.list(os.path.dirname(path))
        bundle = [path + kind for kind in (".rsa", ".ecdsa", ".dsa") if os.path.basename(path) + kind in beside]
        # One of each kind of key, by the name that they share.
        return bundle if bundle and os.path.basename(path) not in beside else [path]
    return ["%s/%s" % (path.rstrip("/"), name) for name in inside
            if not name.startswith(".") and not name.endswith((".key", ".ocsp", ".issuer", ".sctl"))]


def _key(files: config_files.Files, path: str) -> str:
    for one in (path + ".key", re.sub(r"\.(crt|pem|cer)$", "", path) + ".key"):
        if os.path.basename(one) in files.list(os.path.dirname(one)):
            return one
    return ""


def listeners(host: Any, service: Any) -> Optional[List[addresses.Listening]]:
    """Return where HAProxy listens, None where that cannot be told."""
    files = config_files.Files(host.read, host.list)
    made = []  # type: List[addresses.Listening]
    for path in config_paths(files, list(service.argv)):
        for line in files.open(path).split("\n"):
            words = _words(line)
            if words[:1] != ["bind"] or len(words) < 2:
                continue
            for one in words[1].split(","):
                address, _colon, port = one.rpartition(":")
                if one.startswith("/") or "@" in one:
                    continue
                found = addresses.address_of(address)
                if found is None or not port.isdecimal():
                    return None
                made += addresses.on([addresses.WILD[0]] if address in ("", "*") else found, int(port))
    return None if files.gaps else list(dict.fromkeys(made))
