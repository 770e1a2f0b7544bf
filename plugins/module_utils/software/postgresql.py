# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL: its clusters, and their settings with includes."""

import os
import re
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software import addresses
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

CLUSTERS = "/etc/postgresql"
DATA = "/var/lib/pgsql/data"
ON = ("on", "true", "yes", "1")
LINE = re.compile(r"\s*([A-Za-z_.]+)\s*=?\s*(?:'((?:[^']|'')*)'|([^\s#']+))")


def clusters(host: Any) -> List[Tuple[str, str]]:
    """Return (postgresql.conf, unit) of each cluster of Debian's, or the one of another distribution with unit ''."""
    made = [("%s/%s/%s/postgresql.conf" % (CLUSTERS, version, name), "postgresql@%s-%s.service" % (version, name))
            for version in host.list(CLUSTERS) for name in host.list("%s/%s" % (CLUSTERS, version))]
    made += [(DATA + "/postgresql.conf", "")]
    return [(path, unit) for path, unit in made if host.exists(path)]


def settings_of(files: config_files.Files, path: str, depth: int = 0) -> Dict[str, str]:
    """Return the settings of a file with its includes; the last word wins."""
    made = {}  # type: Dict[str, str]
    for line in files.open(path).split("\n"):
        match = LINE.match(line)
        if not match:
            continue
        name = match.group(1).lower()
        value = (match.group(2) or "").replace("''", "'") or match.group(3) or ""
        if name not in ("include", "include_if_exists", "include_dir"):
            made[name] = value
            continue
        target = os.path.join(os.path.dirname(path), value)
        several = [target]
        if name == "include_dir":
            several = ["%s/%s" % (target, one) for one in files.list(target) if one.endswith(".conf") and one[0] != "."]
        if depth >= config_files.DEEPEST:
            files.gap("%s includes more than %d files deep" % (path, config_files.DEEPEST))
            several = []
        for one in several:
            if name != "include_if_exists" or files.read(one) is not None:
                made.update(settings_of(files, one, depth + 1))
    return made


def cluster_settings(host: Any, files: config_files.Files, path: str) -> Dict[str, str]:
    """Return the settings of a cluster, those of ALTER SYSTEM last."""
    made = settings_of(files, path)
    data = made.get("data_directory") or os.path.dirname(path)
    if host.exists(data + "/postgresql.auto.conf"):
        made.update(settings_of(files, data + "/postgresql.auto.conf"))
    return made


def certificates(settings: Dict[str, str], file: str) -> List[config_files.Use]:
    """Return the use of a cluster's settings; relative paths are those of its data directory."""
    if settings.get("ssl", "off").lower() not in ON:
        return []
    data = settings.get("data_directory") or os.path.dirname(file)
    port = settings.get("port", "5432")
    return [config_files.use(file, os.path.join(data, settings.get("ssl_cert_file") or "server.crt"),
                             os.path.join(data, settings.get("ssl_key_file") or "server.key"), (),
                             [int(port)] if port.isdecimal() else [])]


def places(settings: Dict[str, str]) -> List[str]:
    """Return the addresses that a cluster is to listen on."""
    return [one.strip() for one in settings.get("listen_addresses", "localhost").split(",") if one.strip()]


def listeners(host: Any, service: Any) -> Optional[List[addresses.Listening]]:
    """Return where each cluster listens, None where that cannot be told."""
    made = []  # type: List[addresses.Listening]
    found = clusters(host)
    for path, _unit in found:
        files = config_files.Files(host.read, host.list)
        settings = cluster_settings(host, files, path)
        port = settings.get("port", "5432")
        here = addresses.all_on(places(settings), int(port)) if port.isdecimal() and settings else None
        if here is None or files.gaps:
            return None
        made += here
    return made if found else None
