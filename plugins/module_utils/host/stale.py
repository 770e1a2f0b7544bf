# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that still run a library or binary whose file was replaced, and which of their services may be restarted."""

import fnmatch
import os
import re
import time

PLACES = ("/usr/", "/lib", "/bin/", "/sbin/", "/opt/")
DELETED = re.compile(r"(?:\.dpkg-(?:tmp|new)|;[0-9a-f]{8,})? \(deleted\)$")
MAPS_LIMIT = 1024 * 1024
MOST_FILES = 20
MOST_NAMED = 3
SECONDS = 3.0
SYS_PTRACE = 19
# A restart of these takes the session, the network or the host itself with it.
NEVER = ("dbus.service", "dbus-broker.service", "systemd-logind.service", "NetworkManager.service", "systemd-networkd.service",
         "networking.service", "network.service", "wicked*.service", "ifup@*", "connman.service", "iwd.service",
         "wpa_supplicant*", "user@*", "user-runtime-dir@*", "*.scope", "*.slice", "getty@*", "serial-getty@*",
         "auditd.service", "emergency.service", "rescue.service", "multipathd.service", "iscsid.service", "open-vm-tools.service",
         "qemu-guest-agent.service", "amazon-ssm-agent.service", "lvm2-lvmpolld.service", "polkit.service",
         "systemd-udevd.service")
# These take others' work with them: only where all may be restarted.
CAUTION = ("docker.service", "containerd.service", "crio.service", "podman.service", "kubelet.service", "k3s*.service",
           "libvirtd.service", "virtqemud.service", "gdm*.service", "lightdm.service", "sddm.service", "display-manager.service",
           "xrdp*.service", "mysql*.service", "mariadb*.service", "postgresql*.service", "mongod.service", "redis*.service",
           "elasticsearch.service", "corosync.service", "pacemaker.service", "ceph*", "glusterd.service", "openvpn*",
           "wg-quick@*", "strongswan*.service")
LEVELS = ("never", "safe", "all")


def parse_maps(text):
    """Return the files of packages that are mapped to be executed and are gone from where they were."""
    found = {}
    for line in text.splitlines():
        if not line.endswith(" (deleted)"):
            continue
        parts = line.split(None, 5)
        if len(parts) == 6 and "x" in parts[1] and parts[5].startswith(PLACES):
            found[DELETED.sub("", parts[5])] = True
    return list(found)


def mapped(text):
    """Return the files that are mapped to be executed, replaced or not."""
    found = {}
    for line in text.splitlines():
        parts = line.split(None, 5)
        if len(parts) == 6 and "x" in parts[1] and parts[5].startswith(PLACES):
            found[DELETED.sub("", parts[5])] = True
    return list(found)


def read_maps(pid):
    """Return (text of /proc/PID/maps, why it cannot be read)."""
    try:
        with open("/proc/%d/maps" % pid, "rb") as handle:
            return handle.read(MAPS_LIMIT).decode("utf-8", "surrogateescape"), ""
    except (FileNotFoundError, ProcessLookupError):
        return "", ""  # it has ended
    except OSError as error:
        return "", error.strerror or "not readable"


def read_stale(processes, clock=time.monotonic):
    """Return ({unit or "": {"unit", "files", "programs", "pids"}}, gaps) of the processes of this host itself."""
    found, gaps, hidden, until = {}, [], {}, clock() + SECONDS
    for number, one in enumerate(processes):
        if clock() > until:
            gaps.append("only %d of %d processes were looked at within %g s" % (number, len(processes), SECONDS))
            break
        if one.container is not None or not one.argv:
            continue
        text, failure = read_maps(one.pid)
        if failure:
            hidden[one.pid] = one.comm
        files = parse_maps(text)
        if not files:
            continue
        unit = "init.scope" if one.pid == 1 else one.unit or ""
        key = unit or one.comm
        entry = found.setdefault(key, {"unit": unit, "files": [], "programs": [], "pids": []})
        entry["files"] = sorted(set(entry["files"]) | set(files))[:MOST_FILES]
        entry["programs"] = sorted(set(entry["programs"]) | {one.comm})[:MOST_FILES]
        entry["pids"].append(one.pid)
    # One that is ending cannot be read any more, though it still is there.
    hidden = sorted(name for pid, name in hidden.items() if read_maps(pid)[1])
    if hidden:
        gaps.append(_unread(hidden, os.geteuid() == 0))
    return found, gaps


def _unread(names, root):
    """Return why what processes of these names run is not known."""
    some = ", ".join(list(dict.fromkeys(names))[:MOST_NAMED])
    what = "one process runs (%s)" % some if len(names) == 1 else "%d processes run (%s)" % (len(names), some)
    if not root:
        return "what %s cannot be read without root" % what
    # The kernel asks for it even of root: in a container or a unit it may be taken away.
    why = "the kernel refuses it (another user namespace, or a security module)"
    if not _capabilities() >> SYS_PTRACE & 1:
        why = "it lacks the capability SYS_PTRACE"
    return "what %s cannot be read, though this is root: %s" % (what, why)


def _capabilities():
    """Return the effective capabilities of this process."""
    try:
        with open("/proc/self/status", "rb") as handle:
            return int(re.search(br"^CapEff:\s*([0-9a-fA-F]+)", handle.read(65536), re.M).group(1), 16)
    except (OSError, AttributeError):
        return ~0


def ancestors(processes, pid=None):
    """Return the units of this process and of all that it descends from: a restart of theirs would end the run."""
    by_pid = {one.pid: one for one in processes}
    units, current = set(), os.getpid() if pid is None else pid
    while current in by_pid and current > 1:
        if by_pid[current].unit:
            units.add(by_pid[current].unit)
        current = by_pid[current].ppid
    return units


def level_of(unit, own=()):
    """Return the least level of the policy that restarts a unit: ``safe``, ``all``; "" where none does.

    :param own: units that the run itself depends on.
    """
    if unit == "init.scope":
        return "safe"  # systemd executes itself anew, and nothing stops
    if not unit.endswith(".service") or unit in own or any(fnmatch.fnmatchcase(unit, name) for name in NEVER):
        return ""
    return "all" if any(fnmatch.fnmatchcase(unit, name) for name in CAUTION) else "safe"


def may_restart(unit, policy, own=()):
    """True where the policy (never, safe, all) lets a unit be restarted."""
    level = level_of(unit, own)
    return bool(level) and LEVELS.index(policy) >= LEVELS.index(level)
