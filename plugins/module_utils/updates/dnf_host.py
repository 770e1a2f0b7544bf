# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what dnf or yum of a host knows from its cache, without a change or the network."""

from __future__ import annotations

import fnmatch
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hostmend.hardening.plugins.module_utils.updates import dnf
from ansible_collections.hostmend.hardening.plugins.module_utils.updates.apt_host import seconds_of

TOOLS = (("dnf5", "/usr/bin/dnf5"), ("dnf", "/usr/bin/dnf"), ("yum", "/usr/bin/yum"))
CACHES = {"dnf5": ("/var/cache/libdnf5",), "dnf": ("/var/cache/dnf",), "yum": ("/var/cache/yum",)}
CONFIGS = ("/etc/dnf/dnf.conf", "/etc/yum.conf")
FOLDERS = ("/etc/yum.repos.d", "/etc/distro.repos.d")
LOCKS = ("/etc/dnf/plugins/versionlock.list", "/etc/dnf/versionlock.toml", "/etc/yum/pluginconf.d/versionlock.list")
REPOMD_LIMIT = 262144
NO_INDEX = "there is no metadata of repositories here: it was never fetched, or was removed"


def tool_of(host):
    """Return the name of the newest package manager of the family that is here, None where none is."""
    return next((name for name, path in TOOLS if host.exists(path)), None)


def read_repositories(host, tool):
    """Return the enabled repositories with what is known of their metadata, and what is wrong with their files.

    :returns: (repositories, failures, the main configuration)
    """
    main = dnf.parse_main(next((text for text in map(host.read, CONFIGS) if text is not None), ""))
    texts = {}
    for folder in FOLDERS:
        for name in host.list(folder):
            if name.endswith(".repo"):
                texts["%s/%s" % (folder, name)] = host.read("%s/%s" % (folder, name)) or ""
    repositories, faults = dnf.parse_repositories(texts, main["gpgcheck"])
    for one in repositories:
        one.update(_metadata(host, tool, one["id"]))
    return repositories, faults, main


def age_of(repositories):
    """Return the age in days of the oldest metadata, None where there is none."""
    return max((one["age_days"] for one in repositories if one["age_days"] is not None), default=None)


def read(host, policy):
    """Return what is pending with its advisories, and of which repositories that can be told."""
    tool = tool_of(host)
    repositories, faults, main = read_repositories(host, tool)
    facts = {"manager": tool, "failure": "; ".join(faults), "faulty": bool(faults), "pending": [], "removals": [],
             "phased": [], "config": {}, "sources": [], "interrupted": [], "repositories": repositories}
    age = age_of(repositories)
    facts["index"] = {"present": age is not None, "age_days": age}
    if facts["failure"]:
        return facts
    if not host.executes:
        facts["failure"] = "%s cannot be asked in a root filesystem that is not running" % tool
    elif age is None:
        facts["failure"] = NO_INDEX
    else:
        _ask(host, tool, main, facts, policy)
    return facts


def _metadata(host, tool, repository):
    """Return how old the metadata of a repository is and whether it has advisories."""
    for place in CACHES[tool]:
        waiting = [(place, 0)]
        while waiting:
            folder, depth = waiting.pop()
            for name in host.list(folder):
                path = "%s/%s" % (folder, name)
                if re.match(r"%s(?:-[0-9a-f]{16})?\Z" % re.escape(repository), name):
                    for inner in (path + "/repodata/repomd.xml", path + "/repomd.xml"):
                        text = host.read(inner, REPOMD_LIMIT)
                        if text is not None:
                            age = (time.time() - os.stat(host.path(inner)).st_mtime) / 86400.0
                            return {"age_days": round(age, 2), "errata": 'type="updateinfo"' in text}
                elif depth < 2 and tool == "yum" and os.path.isdir(host.path(path)):
                    waiting.append((path, depth + 1))  # /var/cache/yum/ARCH/RELEASE/REPOSITORY
    return {"age_days": None, "errata": None}


def _ask(host, tool, main, facts, policy):
    # What is excluded or locked is pending all the same, so it is to be seen first.
    command = [tool, "-C", "-q"] + {
        "dnf5": ["--setopt=disable_excludes=*"],
        "dnf": ["--setopt=logfilelevel=0", "--disableexcludes=all", "--disableplugin=versionlock"],
        "yum": ["--disableexcludes=all", "--disableplugin=versionlock"]}[tool]
    verb = ["advisory", "list"] if tool == "dnf5" else ["updateinfo", "list"]
    which = (["security"], ["cves"]) if tool == "yum" else (["--security"], ["--security", "--with-cve"])
    # Most of the time goes into the start of each, so they start together.
    with ThreadPoolExecutor(2) as pool:
        told, more = pool.map(lambda words: host.run(command + verb + words, seconds=seconds_of(policy)), which)
    if not told.ok:
        lines = (told.err.strip() or told.out.strip()).splitlines()
        facts["failure"] = told.failure or (lines[-1] if lines else "%s failed" % tool)
        return
    advisories, cves = dnf.parse_advisories(told.out), dnf.parse_advisories(more.out) if more.ok else []
    locked = [name for path in LOCKS for name in dnf.parse_versionlock(host.read(path) or "")]
    excluded = main["excludes"] + [word for one in facts["repositories"] for word in one["excludes"]]
    installed = {}
    for one in host.packages().items:
        installed[one.name] = one
    for one in dnf.merge(advisories, cves):
        about = installed.get(one["name"])
        name = one["name"]
        facts["pending"].append({
            "name": name, "installed": about.version if about else "", "candidate": one["candidate"],
            "origin": ", ".join(one["advisories"][:5]), "source": about.source if about else name, "security": True,
            "held": any(fnmatch.fnmatchcase(name, word) for word in locked),
            "pinned": any(fnmatch.fnmatchcase(name, word) for word in excluded),
            "severity": one["severity"], "cves": one["cves"][:50], "advisories": one["advisories"][:20]})
