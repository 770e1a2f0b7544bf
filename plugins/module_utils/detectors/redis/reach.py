# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who gets to an instance: what a client without a password is told, and what the host's firewall lets through."""

from typing import Any, Dict, List

from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import protocol


def probe_all(host: Any, tcp: List[Listener], paths: List[str], until: float) -> Dict[str, str]:
    """Return what a client without a password is told at each address and socket of an instance."""
    found: Dict[str, str] = {}
    own = host.firewall().interfaces
    for listener in tcp:
        where = ["127.0.0.1" if listener.family == 4 else "::1"] if listener.is_wildcard() or listener.is_loopback() else []
        if listener.is_wildcard():
            where += [address for unused, address in own.get(listener.family, ()) if not address.startswith("fe80")][:4]
            if listener.family == 6 and listener.dual_stack is not False:
                where += [address for unused, address in own.get(4, ())][:4]
        elif not where:
            where = [listener.address]
        for address in where:
            answer = protocol.probe((address, listener.port), until=until)
            if answer in ("NO ANSWER", "ERROR"):
                answer = protocol.probe((address, listener.port), tls=True, until=until)
            found["%s:%d" % (address, listener.port)] = answer
    for path in paths[:4]:
        found[path] = protocol.probe(path, until=until)
    return found


def firewall_reach(host: Any, tcp: List[Listener]) -> Dict[str, str]:
    """Return how far the host's own firewall lets others to each listener that is not loopback's."""
    found: Dict[str, str] = {}
    for listener in tcp:
        if listener.is_loopback():
            continue
        families = [listener.family] + ([4] if listener.address == "::" and listener.dual_stack is not False else [])
        for family in families:
            address = listener.address if family == listener.family else "0.0.0.0"
            state = host.firewall().reach("tcp", family, address, listener.port)
            found["%s:%d" % (address, listener.port)] = state.state
    return found
