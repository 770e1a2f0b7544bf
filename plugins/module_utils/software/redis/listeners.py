# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where Redis, Valkey and KeyDB will listen by what their files and the command line of their unit say."""

from typing import Any, List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software.addresses import WILD
from ansible_collections.hostmend.hardening.plugins.module_utils.software.addresses import address_of
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import start
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import Settings
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import read_settings

Listening = Tuple[str, int, str, int]  # proto, family, address, port


def listeners(host: Any, service: Any) -> Optional[List[Listening]]:
    """Return where a service that a boot starts listens; None where that cannot be told."""
    settings = boot_settings(host, service)
    if settings is None or settings.gaps:
        return None
    return addresses(settings, "sentinel" in service.program or "--sentinel" in service.argv)


def boot_settings(host: Any, service: Any) -> Optional[Settings]:
    """Return the Settings of a service, its command line read last; None where its file is not known."""
    begun = start.unit_start(host, service.name)
    path, options = begun.config_file, list(begun.options)
    if not begun.known:
        path, options = start.parse_arguments(list(service.argv[1:]))
    if path and not path.startswith("/") or not path and not options:
        return None
    settings = read_settings(path, host.read, host.list) if path else Settings()
    settings.add_options(options, "the command line of %s%s" % (service.name, " (%s)" % begun.source if begun.source else ""))
    return settings


def addresses(settings: Settings, sentinel: bool = False) -> Optional[List[Listening]]:
    """Return each address that the settings have it listen on; None where one is a name."""
    found: List[Listening] = []
    ports = [settings.first("port"), settings.first("tls-port") or "0"]
    if sentinel and settings.place("port") == "":
        ports[0] = "26379"
    bind = settings.last("bind") or ["*", "-::*"]
    for port in [int(port) for port in ports if port.isdecimal() and 0 < int(port) < 65536]:
        for word in bind:
            word = word.lstrip("-")
            meant = {"*": [WILD[0]], "::*": [WILD[1]]}.get(word) or address_of(word)
            if meant is None:
                return None
            found += [("tcp", family, address, port) for family, address in meant]
    return found
