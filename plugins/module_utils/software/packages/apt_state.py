# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what apt and dpkg of a host know, without a lock, a change or the network."""

import os
import re
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt

LISTS = "/var/lib/apt/lists"
STAMPS = ("/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp", LISTS, LISTS + "/partial")
CACHE = "/var/cache/apt/pkgcache.bin"
SOURCES = "/etc/apt/sources.list"
PARTS = "/etc/apt/sources.list.d"
RELEASE_LIMIT = 16384
DAY = 86400.0
# No distribution that is kept up goes without a security update for so long.
QUIET_DAYS = 30
NO_INDEX = "there is no package index here: it was never fetched, or was removed"


def seconds_of(policy):
    """Return how long one command of the package manager may take: most of what the class has."""
    return max(2.0, float(policy.get("common", {}).get("class_timeout", 20)) - 2.0)


def read(host, policy):
    """Return what is pending, where it comes from, how old the index is, and what was left half done."""
    facts = {"manager": "apt", "failure": "", "broken": "", "pending": [], "config": {},
             "sources": read_sources(host), "interrupted": interrupted(host)}
    facts["index"] = read_index(host, facts["sources"])
    config = host.run(["apt-config", "dump"], seconds=3) if host.executes else None
    facts["config"] = apt.parse_config(config.out) if config is not None and config.ok else _offline_config(host)
    if not facts["index"]["present"]:
        # A list of sources that cannot be read leads to no index either, and apt tells which line it is.
        said = host.run(("apt-cache",) + apt.IN_MEMORY + ("policy", "apt"), seconds=seconds_of(policy)) if host.executes else None
        _note_failure(facts, said if said is not None and said.code else None, NO_INDEX)
    elif not host.executes:
        facts["failure"] = "apt cannot be asked in a root filesystem that is not running"
    else:
        _ask(host, policy, facts)
    return facts


def _note_failure(facts, said, otherwise):
    faults = apt.complaints(said.err) if said is not None else []
    facts["failure"] = (said.failure if said is not None else "") or "; ".join(faults[:2]) or otherwise
    facts["faulty"] = any("sources" in fault or "list file" in fault for fault in faults)


def _ask(host, policy, facts, memory=None):
    """Note what is pending. The version tables tell that in a tenth of the time that a simulated upgrade takes."""
    if memory is None:
        memory = () if _cache_is_fresh(host) else apt.IN_MEMORY
    packages = host.packages().items
    native = next((one.arch for one in packages if one.name == "dpkg"), "")
    names = sorted({one.name if one.arch in (native, "all", "") else "%s:%s" % (one.name, one.arch) for one in packages})
    told = host.run(("apt-cache",) + memory + ("policy",) + tuple(names), seconds=seconds_of(policy))
    if not told.ok:
        _note_failure(facts, told, "apt-cache failed")
        return
    known = {one.name: one for one in packages}
    sources = {(apt.plain_address(one["uri"]), one["suite"]): one["release"] for one in facts["sources"]}
    for one in apt.parse_policy(told.out):
        entry = _pending(one, known, sources, policy["security_origins"])
        if entry is not None:
            facts["pending"].append(entry)
    if any(one["pinned"] for one in facts["pending"]):
        preferences = _preferences(host)
        for one in facts["pending"]:
            one["kept_by"] = apt.pinned_in(preferences, one["name"]) if one["pinned"] else ""
    wanted = [one for one in facts["pending"] if not one["pinned"] and (one["security"] or policy.get("scope") == "all")]
    if wanted:
        _note_kept_back(host, policy, facts, memory, wanted)


def _note_kept_back(host, policy, facts, memory, wanted):
    """Note what apt itself would not install, as dependencies do not allow it or its archive lets only some hosts have it yet."""
    told = host.run(apt.SIMULATE + memory + ("-o", "APT::Ignore-Hold=true", "dist-upgrade"), seconds=seconds_of(policy))
    if not told.ok:
        facts["broken"] = told.failure or "; ".join(apt.complaints(told.err)[:2]) or "apt-get failed"
        return
    there = {one["name"] for one in apt.parse_simulation(told.out)[0]}
    for one in wanted:
        if one["name"] not in there:
            one["kept_back"] = "phased" if one["phased"] else "dependencies"


def pending(host, policy, lists):
    """Return what is pending by the index in another folder (one that check mode has fetched), and why it cannot be told."""
    facts = {"pending": [], "broken": "", "failure": "", "sources": read_sources(host)}
    read_index(host, facts["sources"], lists)
    _ask(host, policy, facts, apt.IN_MEMORY + ("-o", "Dir::State::lists=%s" % lists))
    return facts


def _pending(one, known, sources, more):
    """Return what is pending of a package; None where it has newer versions only in archives that nobody follows."""
    above = one["above"]
    names = [version["version"] for version in above]
    start = names.index(one["candidate"]) if one["candidate"] in names else len(above)
    # A candidate that came after a security update brings that as well.
    secure = next((number for number in range(start, len(above)) if _secure(above[number], sources, more)), None)
    pinned = False
    if secure is None:
        secure = next((number for number in range(start) if _secure(above[number], sources, more)), None)
        pinned = secure is not None
        start = secure if pinned else start
    if start == len(above):
        return None
    origin = _origin(above[start], sources, more)
    if secure is not None and secure != start:
        origin = "%s, after the security update %s" % (origin, above[secure]["version"])
    about = known.get(one["name"].split(":")[0])
    return {"name": one["name"], "installed": one["installed"], "candidate": names[start], "origin": origin,
            "source": about.source if about else one["name"], "security": secure is not None, "pinned": pinned,
            "held": bool(about and about.state.startswith("hold ")), "phased": above[start]["phased"], "kept_back": "",
            "severity": "", "cves": [], "advisories": []}


def _preferences(host):
    paths = ["/etc/apt/preferences.d/" + name for name in host.list("/etc/apt/preferences.d")]
    return {path: host.read(path, 262144) or "" for path in ["/etc/apt/preferences"] + paths[:200]}


def _secure(version, sources, more):
    return any(apt.is_security(suite, sources.get((uri, suite), {}), more) for uri, suite in version["sources"])


def _origin(version, sources, more):
    """Return where a version comes from, from a source for security rather than another."""
    places = sorted(version["sources"], key=lambda place: not apt.is_security(place[1], sources.get(place, {}), more))
    if not places:
        return ""
    uri, suite = places[0]
    return "%s %s" % (sources.get((uri, suite), {}).get("label") or uri, suite)


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


def read_index(host, sources, lists=LISTS):
    """Return how old the index is, and note at each source whether it has led to an index, to which one, and how old it is."""
    names = set(host.list(lists))
    tried = max([moment for moment in (_changed(host, path) for path in STAMPS) if moment is not None], default=None)
    for one in sources:
        one["uri"] = re.sub(r"//[^/@]*@", "//", one["uri"])
        start = apt.index_name(one["uri"], one["suite"])
        one["local"] = one["uri"].partition(":")[0] in ("file", "copy", "cdrom")
        file = next((start + kind for kind in ("InRelease", "Release") if start and start + kind in names), None)
        one["index"] = None if start is None else file is not None
        one["signed"] = file is None or file.endswith("InRelease") or start + "Release.gpg" in names
        one["release"] = apt.parse_release(host.read("%s/%s" % (lists, file), RELEASE_LIMIT) or "") if file else {}
        fetched = _fetched(host, "%s/%s" % (lists, file), tried) if file and not one["local"] else None
        one["age_days"] = _days_since(fetched)
    present = any(name.endswith("Release") for name in names)
    ages = [one["age_days"] for one in sources if one["age_days"] is not None]
    return {"present": present, "age_days": (min(ages) if ages else _days_since(tried)) if present else None}


def _fetched(host, path, tried):
    """Return when a source was last fetched with success, as far as that can be told; it was not after the last try.

    apt sets owner and mode of a Release file anew whenever its archive has answered, with a newer one or with "not
    modified" (seen in 2.2, 2.6 and 3.0), and does not touch it where that failed: its time of change tells. In an image
    that is the time when it was unpacked.
    """
    try:
        changed = os.stat(host.path(path)).st_ctime if host.live else None
    except (OSError, ValueError):
        changed = None
    return min([moment for moment in (changed, tried) if moment is not None], default=None)


def _days_since(moment):
    return None if moment is None else round((time.time() - moment) / DAY, 2)


def ran_out(one, now):
    """Tell whether the index of a source is no longer what its archive has, by its own dates."""
    release = one["release"]
    if release.get("valid_until"):
        return release["valid_until"] < now
    return (release.get("date") or now) < now - QUIET_DAYS * DAY and apt.is_security(one["suite"], release)


def left_behind(one, youngest, most, now):
    """Tell whether fetches of a source fail, while those of another succeed.

    :param youngest: the age of the index in days, which is that of the source that was fetched last.
    :param most: the days after which an index counts as old; one that has run out does so a day after another's fetch.
    """
    age = one["age_days"]
    if age is None or youngest is None or youngest > most:
        return False
    return age > most or (age > youngest + 1 and ran_out(one, now))


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
    for name, value in re.findall(r'^[ \t]*(APT::Periodic::[\w-]+)\s+"([^"]*)"\s*;', text, re.MULTILINE):
        made[name.lower()] = [value]
    if re.search(r"^[ \t]*Unattended-Upgrade::(?:Origins-Pattern|Allowed-Origins)", text, re.MULTILINE):
        made["unattended-upgrade::origins-pattern"] = re.findall(r'^[ \t]*"([^"]*[Ss]ecurity[^"]*)"\s*;', text, re.MULTILINE)
    left_out = _offline_blacklist(text)
    if left_out:
        made["unattended-upgrade::package-blacklist"] = left_out
    return made


def _offline_blacklist(text):
    """Return what stands in the list of packages that unattended-upgrades leaves out."""
    made, inside = [], False
    for line in text.splitlines():
        line = line.strip()
        first = line.startswith("Unattended-Upgrade::Package-Blacklist")
        if (inside or first) and not line.startswith(("//", "#")):
            made += re.findall(r'"([^"]{0,200})"', line[:1000])
            # One entry is added to the list by a line of its own.
            inside = not line.endswith(("};", "}")) and not (first and "{" not in line and line.endswith(";"))
    return made
