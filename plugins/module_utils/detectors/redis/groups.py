# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which instances belong together: a master with its replicas, the sentinels that watch it, the nodes of a cluster."""

from typing import Any, Dict, List, NamedTuple, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import Instance
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import protocol
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.session import Session

Address = Tuple[str, str]
MOST_MASTERS = 64


class Links(NamedTuple):
    """Addresses of those that an instance shares a password with, and what they are to it."""

    members: Tuple[Tuple[Address, str], ...] = ()
    gap: str = ""  # why they may not be all


def ask(session: Session, info: Dict[str, str], sentinel: bool) -> Links:
    """Return whom an instance replicates, feeds or watches."""
    found: List[Tuple[Address, str]] = []
    if info.get("master_host"):
        found.append(((info["master_host"], info.get("master_port", "")), "master"))
    for name, value in info.items():
        if name.startswith("slave") and "ip=" in value:
            fields = dict(part.partition("=")[::2] for part in value.split(","))
            found.append(((fields.get("ip", ""), fields.get("port", "")), "replica"))
    try:
        if sentinel:
            found += _watched(session)
        elif info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1":
            found += _nodes(session.ask("CLUSTER", "NODES"))
    except (protocol.RedisError, protocol.ProtocolError):
        return Links(tuple(found[:1000]), "what it belongs together with cannot be asked")
    return Links(tuple(found[:1000]))


def _watched(session: Session) -> List[Tuple[Address, str]]:
    found = []
    for master in session.rows("SENTINEL", "MASTERS")[:MOST_MASTERS]:
        name = master.get("name", "")
        found.append(((master.get("ip", ""), master.get("port", "")), "master"))
        for row in session.rows("SENTINEL", "SLAVES", name):
            found.append(((row.get("ip", ""), row.get("port", "")), "replica"))
        for row in session.rows("SENTINEL", "SENTINELS", name):
            found.append(((row.get("ip", ""), row.get("port", "")), "sentinel"))
    return found


def _nodes(text: Any) -> List[Tuple[Address, str]]:
    found = []
    for line in (text if isinstance(text, str) else "").splitlines()[:1000]:
        words = line.split(" ")
        if len(words) > 2 and "myself" not in words[2] and "noaddr" not in words[2]:
            address, unused, port = words[1].split("@")[0].rpartition(":")
            found.append(((address.strip("[]"), port), "node"))
    return found


def own_addresses(host: Any) -> Set[str]:
    """Return the addresses and names by which this host means itself."""
    node = (host.read("/proc/sys/kernel/hostname", 256) or "").strip()
    found = {"127.0.0.1", "::1", "localhost", node}
    for family in host.firewall().interfaces.values():
        found.update(address for unused, address in family)
    return found


def link(host: Any, instances: List[Instance], links: List[Links]) -> List[Instance]:
    """Return the instances, each with the others of its group and with those of it that are elsewhere."""
    if not any(each.members or each.gap for each in links):
        return instances
    own = own_addresses(host)
    ports: Dict[str, int] = {}
    for at, instance in enumerate(instances):
        for where in instance.listeners if not instance.foreign else ():
            if not where.startswith(("/", "@")):
                ports.setdefault(where.rpartition(":")[2], at)
    heads = list(range(len(instances)))

    def head(at: int) -> int:
        while heads[at] != at:
            at = heads[at]
        return at

    outside: Dict[int, List[str]] = {}
    for at, each in enumerate(links):
        if each.gap:
            outside.setdefault(at, []).append(each.gap)
        for (address, port), what in each.members:
            if (address in own or address.startswith("127.")) and port in ports:
                heads[head(ports[port])] = head(at)
            else:
                outside.setdefault(at, []).append("%s %s:%s" % (what, address[:100], port[:10]))
    found = []
    for at, instance in enumerate(instances):
        others = [other for other in range(len(instances)) if other != at and head(other) == head(at)]
        away = sorted(set(text for other in others + [at] for text in outside.get(other, ())))
        clients = sorted(set(client for other in others for client in instances[other].clients))
        found.append(instance._replace(group=[instances[other].name for other in others], outside=away[:50],
                                       group_clients=clients[:100]))
    return found
