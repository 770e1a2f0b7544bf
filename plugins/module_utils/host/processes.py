# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes, as /proc shows them."""

import os
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Process
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading

MOST = 20000
ARGUMENTS = 64 * 1024
DELETED = " (deleted)"
CRON = ("cron", "crond", "anacron", "fcron", "busybox-crond")
ENGINES = (
    (re.compile(r"docker[-/]([0-9a-f]{12,64})"), "docker"),
    (re.compile(r"libpod-(?:conmon-)?([0-9a-f]{12,64})"), "podman"),
    (re.compile(r"cri-containerd[-:]([0-9a-f]{12,64})"), "containerd"),
    (re.compile(r"crio-([0-9a-f]{12,64})"), "crio"),
    (re.compile(r"/kubepods[^\n]{0,400}/([0-9a-f]{32,64})"), "kubernetes"),
    (re.compile(r"/lxc(?:\.payload)?[./]([^/\n]+)"), "lxc"),
    (re.compile(r"/machine\.slice/(?:machine-|systemd-nspawn@)([^/\n]+?)\.(?:scope|service)"), "machine"),
)
UNIT = re.compile(r"(?:^|/)([^/\n]+\.(?:service|scope|socket|mount|swap))(?=/|$)")


def parse_cgroup(text):
    """Return the systemd unit and the container that /proc/PID/cgroup tells of, each or None."""
    container = None
    paths = []
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and (parts[1] in ("", "name=systemd") or not parts[1].startswith("name=")):
            paths.append((parts[1] in ("", "name=systemd"), parts[2]))
    for unused, path in paths:
        for pattern, engine in ENGINES:
            match = pattern.search(path)
            if match:
                container = "%s:%s" % (engine, match.group(1)[:64])
                break
        if container:
            break
    for named, path in sorted(paths, key=lambda pair: not pair[0]):
        units = [unit for unit in UNIT.findall(path) if unit != "init.scope"]
        if units:
            services = [unit for unit in units if not unit.startswith("user@")]
            return (services or units)[-1], container
    return None, container


def parse_stat(text):
    """Return (comm, ppid, start in clock ticks) of /proc/PID/stat; None where it is cut off."""
    first, last = text.find("("), text.rfind(")")
    rest = text[last + 1:].split()
    if first < 0 or last < first or len(rest) < 20:
        return None
    try:
        return text[first + 1:last], int(rest[1]), int(rest[19])
    except ValueError:
        return None


def _text(path, limit=4096):
    try:
        with open(path, "rb") as handle:
            return handle.read(limit).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return None


def _link(path):
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return None


def netns_of(base):
    """Return the inode of the network namespace of /proc/PID, or None."""
    match = re.match(r"net:\[(\d+)\]$", _link(base + "/ns/net") or "")
    return int(match.group(1)) if match else None


def _one(pid, own_container):
    base = "/proc/%d" % pid
    stat = parse_stat(_text(base + "/stat") or "")
    if stat is None:
        return None
    comm, ppid, start = stat
    try:
        uid = os.stat(base).st_uid
    except OSError:
        uid = None
    match = re.search(r"^Uid:\s+\d+\s+(\d+)", _text(base + "/status") or "", re.M)
    if match:
        uid = int(match.group(1))
    arguments = _text(base + "/cmdline", ARGUMENTS) or ""
    argv = tuple(arguments.rstrip("\0").split("\0")) if arguments else ()
    exe = _link(base + "/exe")
    deleted = bool(exe and exe.endswith(DELETED))
    unit, container = parse_cgroup(_text(base + "/cgroup", ARGUMENTS) or "")
    return Process(pid=pid, ppid=ppid, uid=uid, comm=comm, argv=argv, exe=exe[:-len(DELETED)] if deleted else exe,
                   exe_deleted=deleted, cwd=_link(base + "/cwd"), unit=unit,
                   container=None if container == own_container else container,
                   netns=netns_of(base), start_ticks=start)


def read_processes():
    """Return all processes that can be seen; other users' paths are a gap where the reader is not root."""
    gaps = []
    try:
        pids = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())
    except OSError as error:
        return Reading((), ("processes cannot be listed: %s" % error,))
    if len(pids) > MOST:
        gaps.append("only the first %d of %d processes were read" % (MOST, len(pids)))
    # A container's own processes are not "in a container" to itself.
    own = parse_cgroup(_text("/proc/1/cgroup", ARGUMENTS) or "")[1]
    found = [one for one in (_one(pid, own) for pid in pids[:MOST]) if one is not None]
    hidden = sum(1 for one in found if one.exe is None and one.argv)
    if hidden and os.geteuid() != 0:
        gaps.append("the binaries of %d processes of other users cannot be read without root" % hidden)
    if "hidepid" in (_text("/proc/self/mounts", ARGUMENTS) or "") and os.geteuid() != 0:
        gaps.append("/proc hides other users' processes (hidepid)")
    return Reading(tuple(found), tuple(gaps))
