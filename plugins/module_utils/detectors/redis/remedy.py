# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role can do about an instance, and what keeps it from doing so: known at the audit, not met in the run."""

from typing import Any, Dict, List, NamedTuple, Sequence

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import Instance
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import is_remote
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import start

AUTH, NARROW, PROTECT = "auth", "narrow", "protect"
# Settings that each fix gives; on a command line they beat the file.
OPTIONS = {AUTH: ("requirepass", "user"), NARROW: ("bind", "protected-mode"), PROTECT: ()}
GROUP_OPTIONS = ("masterauth",)


class Verdict(NamedTuple):
    """The risk of a fix ("manual", "disruptive", None for the check's own), and why it is manual."""

    risk: Any
    hindrance: str


def verdict(instance: Instance, need: str, others: Dict[str, Instance]) -> Verdict:
    """Return what a fix would risk, and what is in its way.

    :param need: AUTH, NARROW or PROTECT.
    :param others: all instances of the host by name.
    """
    text = hindrance(instance, need, others)
    if text:
        return Verdict("manual", text)
    return Verdict("disruptive" if need != PROTECT and affected(instance, need) else None, "")


def hindrance(instance: Instance, need: str, others: Dict[str, Instance]) -> str:
    """Return why the role cannot carry out a fix; "" where it can."""
    text = _own_hindrance(instance, need)
    if text or need == PROTECT:
        return text
    if need == NARROW:
        return _needed_from_outside(instance)
    if instance.outside:
        return "not all of its group is on this host, and all of it needs the same password (%s)" % instance.outside[0]
    for name in instance.group:
        member = others.get(name)
        text = _own_hindrance(member, AUTH, member=True) if member is not None else ""
        if text:
            return "%s of its group needs the same password: %s" % (name, text)
    return ""


def _own_hindrance(instance: Instance, need: str, member: bool = False) -> str:
    if instance.foreign:
        return "it runs in a container: change what starts it"
    if not instance.config_file:
        return "its configuration file is not known"
    if instance.sentinel and need != PROTECT and not member:
        return "the role sets no password of a sentinel's own"
    if need != PROTECT and instance.booted and instance.closed:
        return "nobody on this host can change its settings: %s" % instance.closed
    if need == AUTH and instance.weak and instance.weak_user not in ("", "default"):
        return "the password is that of the user %s (%s)" % (instance.weak_user, instance.weak_place or "set while it runs")
    return _file_hindrance(instance, need) or _command_hindrance(instance, need, member)


def changed_files(instance: Instance, need: str) -> List[str]:
    """Return the files that a fix would change."""
    if need == PROTECT:
        return open_files(instance)
    paths = [instance.config_file]
    if need == AUTH:
        place = str(instance.persistent.get("places", {}).get("user default", ""))
        paths += [str(instance.persistent.get("aclfile") or ""), place.rpartition(":")[0] if place.startswith("/") else ""]
    return [path for path in dict.fromkeys(paths) if path]


def _file_hindrance(instance: Instance, need: str) -> str:
    for path in changed_files(instance, need):
        file = instance.files.get(path)
        if file is None:
            return "%s is not there, or cannot be read" % path
        if file.get("refusal"):
            return str(file["refusal"])
        if file.get("owner"):
            return "%s is written by %s: change it there" % (path, file["owner"])
    return ""


def _command_hindrance(instance: Instance, need: str, member: bool) -> str:
    begun = instance.start
    if need == AUTH and "user" in begun.get("options", {}):
        return "--user is given by %s, and beats the file" % begun["options"]["user"]
    names = OPTIONS[need] + (GROUP_OPTIONS if member or instance.group else ())
    for name in names:
        if name in begun.get("borrowed", {}):
            return "--%s is given by %s, and beats the file" % (name, begun["borrowed"][name])
        if not begun.get("known") and name in instance.differs and begun.get("gap"):
            return "its %s is not that of its file, and %s" % (name, begun["gap"])
    return ""


def _needed_from_outside(instance: Instance) -> str:
    away = [text for text in instance.outside if not text.startswith("sentinel")]
    if away:
        return "not all of its group is on this host, and others reach it by its address (%s)" % away[0]
    by_address = [text for text in instance.replicas if "ip=127." not in text and "ip=::1" not in text]
    if by_address:
        return "a replica reaches it by its address (%s)" % by_address[0].partition(",")[0]
    if instance.mode == "cluster":
        return "the nodes of a cluster reach each other by these addresses"
    return ""


def dropped_options(instance: Instance, need: str) -> List[str]:
    """Return the options of the unit's command that a fix takes away, as they would beat what it writes to the file."""
    names = OPTIONS[need] + (GROUP_OPTIONS if need == AUTH else ())
    return [name for name in names if name in instance.start.get("options", {})]


def drop_in(instance: Instance) -> str:
    """Return the path of the drop-in by which the role changes a unit's command."""
    return start.DROP_IN % instance.unit


def restarts(instance: Instance) -> bool:
    """Tell whether the unit of an instance can be restarted for it alone."""
    return bool(instance.unit) and bool(instance.start.get("known"))


def open_files(instance: Instance) -> List[str]:
    """Return the files with a secret in them that every user reads."""
    return sorted(path for path, file in instance.files.items()
                  if file["secret"] and int(file["mode"], 8) & 0o004 and file.get("readable", True))


def affected(instance: Instance, need: str = AUTH) -> List[str]:
    """Return whom a change of the password or the addresses would disturb."""
    clients: Sequence[str] = instance.clients + (instance.group_clients if need == AUTH else [])
    lines = ["%s is connected" % client for client in dict.fromkeys(clients)
             if client and not client.startswith("/") and is_remote(client + ":0") and client != "::1"
             and not client.endswith((" (replica)", " (master)"))]
    if need == AUTH and instance.group:
        lines += ["%s gets the same password" % name for name in instance.group if lines]
    return lines


def files_of(instance: Instance, others: Dict[str, Instance]) -> List[str]:
    """Return all files that fixes of an instance may change, those of its group too."""
    found: List[str] = []
    for each in members_of(instance, others):
        found += list(each.files)
        if each.unit and each.start.get("options"):
            found.append(drop_in(each))
        if each.folder and each.group:
            found.append(each.folder)
    return sorted(dict.fromkeys(found))


def members_of(instance: Instance, others: Dict[str, Instance]) -> List[Instance]:
    """Return an instance and the others of its group on this host."""
    return [instance] + [others[name] for name in instance.group if name in others]


def of(finding: Dict[str, Any], others: Dict[str, Instance]) -> Dict[str, Any]:
    """Return an ``instance`` as redis_access takes it, and the ``files`` and ``units`` that mending it may touch."""
    name, instance = finding["check"], others[finding["resource"]]
    members = members_of(instance, others)
    return {"instance": {"listeners": instance.listeners, "config_file": instance.config_file, "unit": instance.unit or "",
                         "auth": name in ("redis.no_auth", "redis.weak_password"), "narrow": name == "redis.exposed",
                         "protect": open_files(instance) if name == "redis.config_world_readable" else []},
            "files": files_of(instance, others),
            "units": sorted({each.unit for each in members if each.unit and each.start.get("known")})}
