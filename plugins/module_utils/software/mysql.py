# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""MySQL and MariaDB: their option files, read as the server reads them."""

import re
from typing import Any
from typing import Dict
from typing import List
from typing import Optional

from ansible_collections.hostmend.hardening.plugins.module_utils.software import addresses
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

STANDARD = ("/etc/my.cnf", "/etc/mysql/my.cnf")
GROUPS = ("mysqld", "server", "mariadb", "mariadbd")
GROUP = re.compile(r"(?:mysqld|server|mariadbd?|mysqld[-_][\w.]{1,20}|mariadbd?-[\w.]{1,20})\Z")
OFF = ("0", "off", "false", "no")


def options(files: config_files.Files, paths: Any = STANDARD) -> Dict[str, str]:
    """Return the options of the server by its files, with what they include; the last word wins."""
    made = {}  # type: Dict[str, str]
    for path in paths:
        if files.read(path) is not None:
            _file(files, path, made, 0)
    return made


def _file(files: config_files.Files, path: str, made: Dict[str, str], depth: int) -> None:
    group = ""
    for line in files.open(path).split("\n"):
        line = line.strip()
        if line.startswith("!include"):
            word, _space, target = line.partition(" ")
            if depth >= config_files.DEEPEST:
                files.gap("%s includes more than %d files deep" % (path, config_files.DEEPEST))
                continue
            for one in [target.strip()] if word == "!include" else ["%s/%s" % (target.strip().rstrip("/"), name) for name in
                                                                    files.list(target.strip()) if name.endswith(".cnf")]:
                _file(files, one, made, depth + 1)
        elif line.startswith("["):
            group = line.strip("[]").strip().lower()
        elif GROUP.match(group) and line and line[0] not in "#;":
            name, sign, value = line.split(" #", 1)[0].partition("=")
            made[_plain(name.strip())] = value.strip().strip("\"'") if sign else "1"


def _plain(name: str) -> str:
    name = name.replace("_", "-").lower()
    return name[len("loose-"):] if name.startswith("loose-") else name


def from_arguments(text: str) -> Dict[str, str]:
    """Return the options that ``my_print_defaults`` prints, or a command line gives, one in each line."""
    made = {}  # type: Dict[str, str]
    for line in text.split("\n"):
        if line.strip().startswith("--"):
            name, sign, value = line.strip()[2:].partition("=")
            made[_plain(name)] = value if sign else "1"
    return made


def certificates(found: Dict[str, str], file: str) -> List[config_files.Use]:
    """Return the use of a server's options; none where TLS is off."""
    off = found.get("ssl", "1").lower() in OFF or any(found.get(name, "0").lower() not in OFF
                                                      for name in ("skip-ssl", "disable-ssl"))
    certificate = found.get("ssl-cert", "")
    return [config_files.use(file, certificate, found.get("ssl-key", ""))] if certificate.startswith("/") and not off else []


def listeners(host: Any, service: Any) -> Optional[List[addresses.Listening]]:
    """Return where the server listens, by the files and the command line of its unit."""
    files = config_files.Files(host.read, host.list)
    found = options(files)
    found.update(from_arguments("\n".join(service.argv)))
    if found.get("skip-networking", "0").lower() not in OFF:
        return []
    port = found.get("port", "3306")
    if files.gaps or not port.isdecimal():
        return None
    return addresses.all_on(found.get("bind-address", "*").split(","), int(port) or 3306)


def only_loopback(host: Any) -> bool:
    """Tell whether the server listens for this host alone."""
    found = options(config_files.Files(host.read, host.list))
    return found.get("bind-address", "") in ("127.0.0.1", "localhost", "::1")
