# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what apt and dpkg of a host know, without a lock, a change or the network."""

from __future__ import annotations

import os
import re
import threading
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.updates import apt

LISTS = "/var/lib/apt/lists"
STAMPS = ("/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp", LISTS, LISTS + "/partial")
CACHE = "/var/cache/apt/pkgcache.bin"
SOURCES = "/etc/apt/sources.list"
PARTS = "/etc/apt/sources.list.d"
PREFERENCES = ("/etc/apt/preferences", "/etc/apt/preferences.d")
RELEASE_LIMIT = 16384
MOST_NAMES = 400
NO_INDEX = "there is no package index here: it was never fetched, or was removed"


def seconds_of(policy):
    """Return how long one command of the package manager may take: most of what the class has."""
    return max(2.0, float(policy.get("common", {}).get("class_timeout", 20)) - 2.0)


def read(host, policy):
    """Return what is pending, where it comes from, how old the index is, and what was left half done."""
    facts = {"manager": "apt", "failure": "", "pending": [], "removals": [], "phased": [], "config": {},
             "sources": read_sources(host), "interrupted": interrupted(host)}
    facts["index"] = read_index(host, facts["sources"])
    config = host.run(["apt-config", "dump"], seconds=3) if host.executes else None
    facts["config"] = apt.parse_config(config.out) if config is not None and config.ok else _offline_config(host)
    if not facts["index"]["present"]:
        # A list of sources that cannot be read leads to no index either, and apt tells which line it is.
        argv = apt.SIMULATE + apt.IN_MEMORY + ("dist-upgrade",)
        said = host.run(argv, seconds=seconds_of(policy)) if host.executes else None
        faults = apt.complaints(said.err) if said is not None and said.code else []
        facts["failure"] = "; ".join(faults[:2]) or NO_INDEX
        facts["faulty"] = any("sources" in fault or "list file" in fault for fault in faults)
    elif not host.executes:
        facts["failure"] = "apt cannot be asked in a root filesystem that is not running"
    else:
        _simulate(host, policy, facts)
    return facts


class _Aside:
    """A command that runs beside others; it never keeps a process that is done with the rest."""

    def __init__(self, host, argv, seconds):
        self._told = None
        self._thread = threading.Thread(target=self._run, args=(host, argv, seconds), daemon=True)
        self._thread.start()

    def _run(self, host, argv, seconds):
        self._told = host.run(argv, seconds=seconds)

    def result(self):
        """Wait for the command and return what it said."""
        self._thread.join()
        return self._told


def _simulate(host, policy, facts, memory=None):
    if memory is None:
        memory = () if _cache_is_fresh(host) else apt.IN_MEMORY
    argv = apt.SIMULATE + memory + ("-o", "APT::Ignore-Hold=true")
    pinned = facts["config"].get("apt::default-release") or any(host.list(path) or host.read(path) for path in PREFERENCES)
    # A simulation takes apt most of a second, and needs nothing of the other one.
    unpinned = _Aside(host, argv + apt.NO_PINS + ("dist-upgrade",), seconds_of(policy)) if pinned else None
    told = host.run(argv + ("dist-upgrade",), seconds=seconds_of(policy))
    if not told.ok:
        faults = apt.complaints(told.err)
        facts["failure"] = told.failure or "; ".join(faults[:2]) or "apt-get failed"
        facts["faulty"] = any("sources" in fault or "list file" in fault for fault in faults)
        return
    known = {one.name: one for one in host.packages().items}
    held = {name for name, one in known.items() if one.state.startswith("hold ")}
    wanted, facts["removals"] = apt.parse_simulation(told.out)
    facts["phased"] = _phased(told.out)
    more = policy["security_origins"]
    upgrades = [one for one in wanted if one["installed"]]
    superseded = _superseded(host, [one["name"] for one in upgrades
                                    if not any(apt.is_security(origin, more) for origin in one["origins"])], memory, policy)
    for one in upgrades:
        facts["pending"].append(_pending(one, known, held, more, superseded))
    if unpinned:
        free = unpinned.result()
        there = {(one["name"], one["candidate"]) for one in wanted}
        for one in apt.parse_simulation(free.out)[0] if free.ok else ():
            if one["installed"] and (one["name"], one["candidate"]) not in there:
                entry = dict(_pending(one, known, held, more, {}), pinned=True)
                if entry["security"]:
                    facts["pending"].append(entry)


def pending(host, policy, lists):
    """Return what is pending by the index in another folder (one that check mode has fetched), and why it cannot be told."""
    facts = {"pending": [], "removals": [], "config": {}, "failure": ""}
    _simulate(host, policy, facts, apt.IN_MEMORY + ("-o", "Dir::State::lists=%s" % lists))
    return facts


def _pending(one, known, held, more, superseded):
    bare = one["name"].split(":")[0]
    security = [origin for origin in one["origins"] if apt.is_security(origin, more)]
    about = known.get(bare)
    origin = (security or one["origins"] or [""])[0]
    if not security and one["name"] in superseded:
        origin = "%s, after the security update %s" % (origin, superseded[one["name"]][0])
    return {"name": one["name"], "installed": one["installed"], "candidate": one["candidate"], "origin": origin,
            "source": about.source if about else bare, "security": bool(security) or one["name"] in superseded,
            "held": bare in held, "pinned": False, "severity": "", "cves": [], "advisories": []}


def _superseded(host, names, memory, policy):
    """Return which of the packages get a version that came after a security update which is not installed either."""
    if not names:
        return {}
    told = host.run(("apt-cache",) + memory + ("policy",) + tuple(names[:MOST_NAMES]), seconds=seconds_of(policy))
    return apt.parse_policy(told.out, policy["security_origins"]) if told.ok else {}


def _phased(text):
    match = re.search(r"^The following upgrades have been deferred due to phasing:\n((?:  .*\n)+)", text, re.MULTILINE)
    return match.group(1).split() if match else []


def _cache_is_fresh(host):
    paths = [LISTS, "/var/lib/dpkg/status", SOURCES, PARTS] + ["%s/%s" % (PARTS, name) for name in host.list(PARTS)]
    times = [_changed(host, path) for path in paths]
    return (_changed(host, CACHE) or 0) >= max([moment for moment in times if moment is not None] or [float("inf")])


def _changed(host, path):
    try:
        return os.stat(host.path(path)).st_mtime
    except (OSError, ValueError):
        return None


def read_sources(host):
    """Return the entries of the list of sources."""
    made = apt.parse_sources(host.read(SOURCES) or "", SOURCES)
    for name in host.list(PARTS):
        if name.endswith((".list", ".sources")):
            path = "%s/%s" % (PARTS, name)
            made += apt.parse_sources(host.read(path) or "", path)
    return made


def read_index(host, sources):
    """Return how old the index is, and note at each source whether it has led to an index, and to which one."""
    names = set(host.list(LISTS))
    for one in sources:
        one["uri"] = re.sub(r"//[^/@]*@", "//", one["uri"])
        start = apt.index_name(one["uri"], one["suite"])
        one["local"] = one["uri"].partition(":")[0] in ("file", "copy", "cdrom")
        file = next((start + kind for kind in ("InRelease", "Release") if start and start + kind in names), None)
        one["index"] = None if start is None else file is not None
        one["signed"] = file is None or file.endswith("InRelease") or start + "Release.gpg" in names
        one["release"] = apt.parse_release(host.read("%s/%s" % (LISTS, file), RELEASE_LIMIT) or "") if file else {}
    moments = [_changed(host, path) for path in STAMPS]
    moments = [moment for moment in moments if moment is not None]
    present = any(name.endswith("Release") for name in names)
    return {"present": present, "age_days": round((time.time() - max(moments)) / 86400.0, 2) if moments and present else None}


def interrupted(host):
    """Return the packages that dpkg has left half done, and its journal where it was cut off."""
    made = sorted(one.name for one in host.packages().items if one.state.split()[-1:] and (
        one.state.split()[-1] in apt.HALF_DONE or one.state.split()[1] == "reinstreq"))
    if any(name.isdecimal() for name in host.list("/var/lib/dpkg/updates")):
        made.append("/var/lib/dpkg/updates")
    return made


def _offline_config(host):
    text = "".join(host.read("/etc/apt/apt.conf.d/" + name) or "" for name in host.list("/etc/apt/apt.conf.d"))
    made = {}
    for name, value in re.findall(r'^\s*(APT::Periodic::[\w-]+)\s+"([^"]*)"\s*;', text, re.MULTILINE):
        made[name.lower()] = [value]
    if re.search(r"^\s*Unattended-Upgrade::(?:Origins-Pattern|Allowed-Origins)", text, re.MULTILINE):
        made["unattended-upgrade::origins-pattern"] = re.findall(r'^\s*"([^"]*[Ss]ecurity[^"]*)"\s*;', text, re.MULTILINE)
    return made
