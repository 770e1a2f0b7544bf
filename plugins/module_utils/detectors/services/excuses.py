# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs a service: mounts, exports, printers, paired devices, NIS. Each is looked for at every place that has it."""

import os
import re
from typing import Any, Callable, Dict, List, Tuple

ACTIVE = ("active", "activating", "reloading", "refreshing")
NETWORK_FILESYSTEMS = ("nfs", "nfs4")
UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system",
                "/lib/systemd/system", "/usr/lib/systemd/system")
PRINTERS = ("<printer ", "<defaultprinter ", "<class ", "<defaultclass ")
MOST_FILES = 500
MOST_REASONS = 20
NIS_MAPS = ("passwd", "group", "shadow", "hosts", "netgroup", "automount", "passwd_compat", "group_compat", "shadow_compat")
Units = Dict[str, Dict[str, Any]]
Look = Tuple[List[str], str]  # (who needs it, one sentence each; what could not be read)


def collect(host: Any, facts: Dict[str, Any], units: Units) -> None:
    """Look for what needs the services that are there."""
    present = {group["name"] for group in facts["groups"] if group["units"]}
    present |= {process["service"] for process in facts["processes"]}
    looks: Dict[str, Tuple[str, Callable[[Any, Units], Look]]] = {
        "nfs": ("nfs", _nfs_use), "rpcbind": ("rpc", _rpc_use), "cups": ("printers", _printers),
        "bluetooth": ("paired", _paired), "nis": ("nis", _nis_use), "avahi": ("published", _published)}
    for name, (key, look) in looks.items():
        if name in present:
            reasons, gap = look(host, units)
            facts["excuses"][key] = {"reasons": reasons[:MOST_REASONS], "gap": gap}


def _text(host: Any, name: str) -> Tuple[str, str]:
    """Return (text, gap) of a file: empty where it is not there, a gap where it is but cannot be read."""
    text = host.read(name)
    if text is not None:
        return text, ""
    try:
        os.lstat(host.path(name))
    except (FileNotFoundError, NotADirectoryError):
        return "", ""
    except OSError:
        pass
    return "", "%s could not be read" % name


def _lines(text: str) -> List[List[str]]:
    return [line.split("#", 1)[0].split() for line in text.splitlines() if line.split("#", 1)[0].strip()]


# Mounts over NFS

def _mounts(host: Any, units: Units) -> Look:
    """Return who mounts over NFS: now, by fstab, by units of systemd, by the automounter, for containers and machines."""
    text = (host.read("/proc/self/mounts") or "") if host.live else ""
    reasons = ["%s is mounted from %s" % (words[1], words[0]) for words in _lines(text)
               if len(words) > 2 and words[2] in NETWORK_FILESYSTEMS]
    text, gap = _text(host, "/etc/fstab")
    reasons += ["/etc/fstab mounts %s from %s" % (words[1], words[0]) for words in _lines(text)
                if len(words) > 2 and words[2] in NETWORK_FILESYSTEMS]
    for look in (_mount_units, _automounter, _storage):
        found, unread = look(host, units)
        reasons += [reason for reason in found if reason not in reasons]
        gap = gap or unread
    return reasons, gap


def _unit_texts(host: Any, endings: Tuple[str, ...]) -> Dict[str, Tuple[str, str]]:
    """Return {name: (path, text)} of unit files, drop-ins after them; a unit that is masked is left out."""
    found: Dict[str, Tuple[str, str]] = {}
    masked, seen = set(), 0
    for folder in UNIT_FOLDERS:
        for name in host.list(folder):
            base = name[:-2] if name.endswith(".d") else name
            if not base.endswith(endings):
                continue
            path = "%s/%s" % (folder, name)
            if host.link(path) == "/dev/null":
                masked.add(name)
                continue
            for one in ["%s/%s" % (path, part) for part in host.list(path)] if base != name else [path]:
                seen += 1
                if seen <= MOST_FILES and (base != name or name not in found):
                    text = host.read(one, 65536) or ""
                    first = found.get(base, (path, ""))
                    found[base] = (first[0], first[1] + "\n" + text if base != name else text + "\n" + first[1])
    return {name: pair for name, pair in found.items() if name not in masked}


def _setting(text: str, key: str) -> str:
    values = re.findall(r"(?m)^[ \t]*%s[ \t]*=[ \t]*(\S*)" % key, text)
    return values[-1] if values else ""


def _pulled_in(host: Any) -> Dict[str, str]:
    """Return {unit: who wants it} of the links that have a boot, or another unit, start a unit."""
    found = {}
    for folder in UNIT_FOLDERS:
        for name in host.list(folder):
            if name.endswith((".wants", ".requires")):
                for link in host.list("%s/%s" % (folder, name)):
                    found[link] = name.rpartition(".")[0]
    return found


def _mount_units(host: Any, units: Units) -> Look:
    """Return the mount units that mount over NFS and are started: by a link, an automount unit or another unit."""
    texts = _unit_texts(host, (".mount",))
    remote = {name: pair for name, pair in texts.items() if _setting(pair[1], "Type") in NETWORK_FILESYSTEMS or (
        not _setting(pair[1], "Type") and re.match(r"(\[[0-9a-fA-F:.]+\]|[^/\s]+):/", _setting(pair[1], "What")))}
    if not remote:
        return [], ""
    pulled = _pulled_in(host)
    asking = ""
    for folder in ("/etc/systemd/system", "/run/systemd/system"):
        for name in [name for name in host.list(folder) if name.endswith((".service", ".target", ".mount"))][:MOST_FILES]:
            asking += "\n" + (host.read("%s/%s" % (folder, name), 65536) or "")
    asked = re.findall(r"(?m)^[ \t]*(?:Requires|Wants|BindsTo|Requisite|RequiresMountsFor)[ \t]*=(.*)$", asking)
    wanted = {word for line in asked for word in line.split()}
    reasons = []
    for name, (path, text) in sorted(remote.items()):
        where = _setting(text, "Where")
        automount = name[:-len(".mount")] + ".automount"
        starts = [one for one in (name, automount) if one in pulled or one in wanted
                  or units.get(one, {}).get("active") in ACTIVE]
        if starts or where and any(one == where or one.startswith(where.rstrip("/") + "/") for one in wanted):
            reasons.append("%s mounts %s from %s" % (path, where or name, _setting(text, "What")))
    return reasons, ""


def _automounter(host: Any, units: Units) -> Look:
    """Return the maps of the automounter that may mount over NFS."""
    unit = units.get("autofs.service", {})
    if not (unit.get("active") in ACTIVE or unit.get("boot")) or unit.get("load") == "masked":
        return [], ""
    text, gap = _text(host, "/etc/auto.master")
    lines = _lines(text)
    for name in [name for name in host.list("/etc/auto.master.d") if name.endswith(".autofs")][:MOST_FILES]:
        more, unread = _text(host, "/etc/auto.master.d/" + name)
        lines, gap = lines + _lines(more), gap or unread
    reasons = []
    for words in lines:
        if len(words) < 2 or words[0].startswith("+"):
            if words[0].startswith("+dir:") or words[0] == "+auto.master":
                continue
            reasons.append("autofs takes maps from %s, which may mount NFS at any time" % words[0])
        elif _map_may_be_nfs(host, words[1], " ".join(words[2:])):
            reasons.append("autofs may mount NFS below %s at any time (%s)" % (words[0], words[1]))
    return reasons, gap


def _map_may_be_nfs(host: Any, name: str, options: str) -> bool:
    """Tell whether a map of the automounter has, or may have, a mount over NFS."""
    if name in ("-null", "/dev/null"):
        return False
    path = name[5:] if name.startswith("file:") else name
    path = path if path.startswith("/") else "/etc/" + path
    text = None if ":" in path or name.startswith("-") else host.read(path)
    if text is None or text.startswith("#!"):
        return not re.search(r"fstype=(?!nfs)", options)
    other = re.compile(r"fstype=(?!nfs|autofs)")
    return any(len(words) > 1 and not other.search(" ".join(words[1:-1]) or options) and ":/" in words[-1]
               and not words[-1].startswith((":/", "://")) for words in _lines(text))


def _storage(host: Any, _units: Units) -> Look:
    """Return volumes of containers, pools of virtual machines and storages of Proxmox that are on NFS."""
    reasons = []
    for name in host.list("/var/lib/docker/volumes")[:MOST_FILES]:
        path = "/var/lib/docker/volumes/%s/opts.json" % name
        if re.search(r'"MountType"\s*:\s*"nfs4?"', host.read(path, 65536) or ""):
            reasons.append("the volume %s of Docker is on NFS" % name)
    for name in host.list("/etc/libvirt/storage")[:MOST_FILES]:
        if re.search(r"<pool\s+type=['\"]netfs['\"]", host.read("/etc/libvirt/storage/" + name, 65536) or ""):
            reasons.append("/etc/libvirt/storage/%s is a pool on the network" % name)
    reasons += ["/etc/pve/storage.cfg has the storage %s on NFS" % name for name in
                re.findall(r"(?m)^nfs:[ \t]*(\S+)", host.read("/etc/pve/storage.cfg") or "")]
    return reasons, ""


def _nfs_use(host: Any, units: Units) -> Look:
    reasons, gap = _mounts(host, units)
    names = ["/etc/exports"] + ["/etc/exports.d/" + name for name in host.list("/etc/exports.d")
                                if name.endswith(".exports")]
    if host.live:
        names += ["/var/lib/nfs/etab", "/proc/fs/nfsd/exports"]
    for name in names:
        text, unread = _text(host, name)
        gap = gap or unread
        if _lines(text):
            reasons.append("%s exports directories" % name)
    return reasons, gap


def _rpc_use(host: Any, units: Units) -> Look:
    reasons, gap = _mounts(host, units)
    # Asked only where it runs: the question would wake it up by its socket.
    if host.live and any(units.get(name, {}).get("active") in ACTIVE for name in ("rpcbind.service", "portmap.service")):
        answer = host.run(["rpcinfo"])
        if answer.ok:
            reasons += parse_rpcinfo(answer.out)
    return reasons, gap


def parse_rpcinfo(text: str) -> List[str]:
    """Return who has registered with rpcbind, less rpcbind itself: "program 100005 (mountd)" each."""
    made: Dict[int, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].isdecimal() and len(words[0]) < 12 and int(words[0]) != 100000:
            made[int(words[0])] = words[4] if words[4] != "-" else ""
    return ["program %d is registered%s" % (number, " (%s)" % name if name else "")
            for number, name in sorted(made.items())]


# Printers, devices, accounts and announced services

def _printers(host: Any, _units: Units) -> Look:
    for name in ("/etc/cups/printers.conf", "/etc/cups/classes.conf"):
        text, gap = _text(host, name)
        if gap:
            return [], gap
        if any(line.lower().lstrip().startswith(PRINTERS) for line in text.splitlines()):
            return ["%s has a printer" % name], ""
    return [], ""


def _paired(host: Any, _units: Units) -> Look:
    folder = "/var/lib/bluetooth"
    try:
        adapters = os.listdir(host.path(folder))
    except FileNotFoundError:
        return [], ""
    except OSError:
        return [], "%s could not be read" % folder
    for adapter in sorted(adapters):
        for device in host.list("%s/%s" % (folder, adapter)):
            if host.exists("%s/%s/%s/info" % (folder, adapter, device)):
                return ["a device is paired"], ""
    return [], ""


def _nis_use(host: Any, _units: Units) -> Look:
    text, gap = _text(host, "/etc/nsswitch.conf")
    compat = set()
    for words in _lines(text):
        name = words[0].rstrip(":")
        if name in NIS_MAPS and "nis" in words[1:]:
            return ["/etc/nsswitch.conf takes %s from NIS" % name], gap
        if "compat" in words[1:]:
            compat.add(name)
    for name in sorted(compat & {"passwd", "group"}):
        if re.search(r"(?m)^\+", host.read("/etc/" + name) or ""):
            return ["/etc/%s takes in entries of NIS" % name], gap
    return [], gap


def _published(host: Any, _units: Units) -> Look:
    names = [name for name in host.list("/etc/avahi/services") if name.endswith(".service")]
    return ["/etc/avahi/services/%s is announced" % name for name in names], ""
