# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what dnf or yum of a host knows from its cache, without a change or the network."""

import contextlib
import fnmatch
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf_config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.apt_state import seconds_of

CACHES = {"dnf5": ("/var/cache/libdnf5",), "dnf": ("/var/cache/dnf",), "yum": ("/var/cache/yum",)}
# Packages that are installed beside their older versions.
SEVERAL = re.compile(r"(?:kernel|kmod|gpg-pubkey)(?:-.*)?\Z")
UNFINISHED = "/var/lib/yum"
REPOMD_LIMIT = 262144
NO_INDEX = "there is no metadata of repositories here: it was never fetched, or was removed"


def tool_of(host):
    """Return the name of the package manager of the family that this host uses, None where none is here."""
    # The other generation may be there, too, with a cache and settings that nobody keeps up.
    if host.exists("/usr/bin/dnf"):
        return "dnf5" if os.path.basename(host.link("/usr/bin/dnf") or "") == "dnf5" else "dnf"
    return next((name for name in ("dnf5", "yum") if host.exists("/usr/bin/" + name)), None)


def read_repositories(host, tool):
    """Return the enabled repositories with what is known of their metadata, and what is wrong with their files.

    :returns: (repositories, failures, the main configuration)
    """
    repositories, main, faults = dnf_config.read_repositories(host, tool)
    for one in repositories:
        one.update(_metadata(host, tool, one["id"]))
    return repositories, faults, main


def age_of(repositories):
    """Return the age in days of the oldest metadata, None where there is none."""
    return max((one["age_days"] for one in repositories if one["age_days"] is not None), default=None)


def read(host, policy, cache=""):
    """Return what is pending with its advisories, and of which repositories that can be told.

    :param cache: a folder with the metadata, where it is not that of the host itself.
    """
    tool = tool_of(host)
    repositories, faults, main = read_repositories(host, tool)
    facts = {"manager": tool, "failure": "; ".join(faults), "faulty": bool(faults), "broken": "", "pending": [],
             "config": {}, "sources": [], "interrupted": interrupted(host), "repositories": repositories}
    age = age_of(repositories)
    facts["index"] = {"present": age is not None, "age_days": age}
    if facts["failure"]:
        return facts
    if not host.executes:
        facts["failure"] = "%s cannot be asked in a root filesystem that is not running" % tool
    elif age is None and not cache:
        facts["failure"] = NO_INDEX
    else:
        _ask(host, tool, cache, main, facts, policy)
    return facts


def interrupted(host):
    """Return what a transaction that was cut off has left: packages in two versions, and yum's own notes of it."""
    versions = {}
    for one in host.packages().items:
        if not SEVERAL.match(one.name):
            versions.setdefault((one.name, one.arch), []).append(one.version)
    twice = ["%s %s" % (name, " and ".join(some)) for (name, arch), some in sorted(versions.items()) if len(some) > 1]
    return twice + ["%s/%s" % (UNFINISHED, name) for name in host.list(UNFINISHED) if name.startswith("transaction-all.")]


def _metadata(host, tool, repository):
    """Return how old the metadata of a repository is and whether it has advisories."""
    made = [one for place in CACHES[tool] for folder in _folders(host, place, repository, 3 if tool == "yum" else 1)
            for one in [_index(host, tool, folder)] if one]
    # A repository that has moved leaves what it was behind.
    return min(made, key=lambda one: one["age_days"], default={"age_days": None, "errata": None})


def _folders(host, place, repository, deep):
    """Return the folders of a repository; yum has them below /var/cache/yum/ARCH/RELEASE."""
    wanted = re.compile(r"%s(?:-[0-9a-f]{16})?\Z" % re.escape(repository))
    made, waiting = [], [(place, 1)]
    while waiting:
        folder, depth = waiting.pop()
        for name in host.list(folder):
            path = "%s/%s" % (folder, name)
            if wanted.match(name):
                made.append(path)
            elif depth < deep and os.path.isdir(host.path(path)):
                waiting.append((path, depth + 1))
    return made


def _index(host, tool, folder):
    for path in (folder + "/repodata/repomd.xml", folder + "/repomd.xml"):
        text = host.read(path, REPOMD_LIMIT)
        if text is not None:
            errata = 'type="updateinfo"' in text
            if errata and tool == "yum" and not any("updateinfo" in one for one in host.list(folder)):
                errata = None  # yum passes over advisories that it has not fetched yet, and ends well
            return {"age_days": round((time.time() - _asked_last(host, folder, path)) / 86400.0, 2), "errata": errata}
    return None


def _asked_last(host, folder, repomd):
    """Return when the repository was last asked.

    What has not changed since is not fetched again: dnf then touches the file of its packages, and yum its cookie.
    """
    inner = os.path.dirname(repomd)
    paths = [repomd, folder + "/cachecookie"] + ["%s/%s" % (inner, name) for name in host.list(inner) if "primary" in name]
    times = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            times.append(os.stat(host.path(path)).st_mtime)
    return max(times, default=0.0)


def base(host, tool, cache=""):
    """Return the words that ask for what is in the cache, without a lock or a log where that can be had."""
    made = [tool, "-C"] + (["--setopt=cachedir=" + cache] if cache else [])
    if tool == "dnf":
        made.append("--setopt=logfilelevel=0")
    # Since 5.4 what only reads waits for whoever changes packages, and makes the file of the lock.
    if tool == "dnf5" and _release(host) >= (5, 4):
        made.append("--skip-file-locks")
    return made


def _release(host):
    version = next((one.version for one in host.packages().items if one.name == "dnf5"), "")
    return tuple(int(word) for word in re.findall(r"\d+", version.rpartition(":")[2])[:2])


def _ask(host, tool, cache, main, facts, policy):
    # What is excluded or locked is pending all the same, so it is to be seen first.
    words = base(host, tool, cache) + ["-q"] + (["--setopt=disable_excludes=*", "advisory", "list"] if tool == "dnf5" else
                                                ["--disableexcludes=all", "--disableplugin=versionlock", "updateinfo", "list"])
    which = (["security"], ["cves"]) if tool == "yum" else (["--security"], ["--security", "--with-cve"])
    # Most of the time goes into the start of each, so they start together.
    with ThreadPoolExecutor(2) as pool:
        told, more = pool.map(lambda more: host.run(words + more, seconds=seconds_of(policy)), which)
    if not told.ok:
        lines = (told.err.strip() or told.out.strip()).splitlines()
        facts["failure"] = told.failure or (lines[-1] if lines else "%s failed" % tool)
        return
    advisories, cves = dnf.parse_advisories(told.out), dnf.parse_advisories(more.out) if more.ok else []
    pending = dnf.merge(advisories, cves)
    kept_back = _kept_back(host, tool, cache, main, facts, policy) if pending else lambda name: (False, False)
    installed = {}
    for one in host.packages().items:
        installed[one.name] = one
    for one in pending:
        name = one["name"]
        about = installed.get(name)
        held, pinned = kept_back(name)
        facts["pending"].append({
            "name": name, "installed": about.version if about else "", "candidate": one["candidate"],
            "origin": ", ".join(one["advisories"][:5]), "source": about.source if about else name, "security": True,
            "held": held, "pinned": pinned, "kept_by": dnf_config.LOCKS[tool] if held else
            dnf_config.kept_back_by(name, main, tool, facts["repositories"]) if pinned else "",
            "severity": one["severity"], "cves": one["cves"][:50], "advisories": one["advisories"][:20]})


def _kept_back(host, tool, cache, main, facts, policy):
    """Return what tells of a name whether a lock, or else an exclusion, keeps its update back."""
    locked, narrowed = dnf_config.read_locked(host, tool), dnf_config.narrowed(main)
    for one in facts["repositories"]:
        narrowed = narrowed + one["narrowed"]
    if locked is None and not narrowed:
        return lambda name: (False, False)
    able = None
    if tool != "yum":  # its repoquery is a program of another package
        told = host.run(base(host, tool, cache) + ["-q", "repoquery", "--upgrades", "--qf", "%{name}\n"],
                        seconds=seconds_of(policy))
        able = set(told.out.split()) if told.ok else None

    def tell(name):
        held = any(fnmatch.fnmatchcase(name, word) for word in locked or ())
        # Locks of dnf 5 are conditions. Of dnf 4 they hold back what they name, also where its plugin is not at hand.
        if able is not None and name in able and not (held and tool != "dnf5"):
            return False, False
        return held, not held and (able is not None or any(fnmatch.fnmatchcase(name, word) for word in narrowed))

    return tell
