# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install updates by apt or dnf: what a run would do, whether there is room, and the run itself.

The plan is what the package manager's own dry run says of the very command that is run afterwards.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tempfile
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import commands
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.packages import KEPT
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.packages import kept
from ansible_collections.hostmend.hardening.plugins.module_utils.updates import apt
from ansible_collections.hostmend.hardening.plugins.module_utils.updates import apt_host
from ansible_collections.hostmend.hardening.plugins.module_utils.updates import dnf
from ansible_collections.hostmend.hardening.plugins.module_utils.updates import dnf_host

MEBIBYTE = 1024 * 1024
KERNELS = re.compile(r"^(?:linux-image-|kernel(?:-core|-default|-uek)?$|kernel-rt)")
# needrestart and its like are to leave the restarts to whoever has asked which ones may be made.
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "APT_LISTCHANGES_FRONTEND": "none",
         "UCF_FORCE_CONFFOLD": "1"}
LOCKED = re.compile(r"Could not get lock|Unable to acquire the dpkg|is locked by another process|Existing lock "
                    r"|Failed to obtain (?:the )?(?:transaction )?lock|Another app is currently holding", re.IGNORECASE)
REFRESH_SECONDS, INSTALL_SECONDS, PATIENCE = 600, 3600, 300


class Trouble(Exception):
    """What was asked for cannot be done; the message is for a person."""


def last_words(out, err):
    """Return the errors that a package manager has printed, in one line."""
    faults = apt.complaints(err) or apt.complaints(out)
    lines = [line.strip() for line in (err or out).splitlines() if line.strip()]
    return "; ".join(faults[:3]) or (lines[-1] if lines else "no message")


def patient(argv, lock_seconds, seconds):
    """Run a command that another package manager may keep out for a while; returns what it said last."""
    until = time.monotonic() + lock_seconds
    while True:
        status, out, err = commands.run(argv, env=QUIET, seconds=seconds)
        if not status or not LOCKED.search(err + out) or time.monotonic() >= until:
            return status, out, err
        time.sleep(2)


class Apt:
    """apt and dpkg."""

    def __init__(self, asked):
        self.asked = asked
        self.host = Host()
        self.lists = None

    def options(self):
        """Return what an index that only check mode has fetched is used with."""
        return list(apt.IN_MEMORY) + ["-o", "Dir::State::lists=%s" % self.lists] if self.lists else []

    def age(self):
        """Return the age of the index in days, None where there is none."""
        return apt_host.read_index(self.host, [])["age_days"]

    def refresh(self, check_mode, folder):
        """Fetch the index; in check mode into a folder that goes away afterwards."""
        options = ["-o", "APT::Update::Error-Mode=any",
                   "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"]
        if check_mode:
            self.lists = os.path.join(folder, "lists")
            shutil.copytree(apt_host.LISTS, self.lists, ignore=shutil.ignore_patterns("lock", "partial", "auxfiles"))
            os.makedirs(os.path.join(self.lists, "partial"), exist_ok=True)
            options += self.options() + ["-o", "APT::Sandbox::User=root", "-o", "APT::Update::Post-Invoke=",
                                         "-o", "APT::Update::Post-Invoke-Success="]
        status, out, err = patient(["apt-get", "-q"] + options + ["update"], self.asked["lock_seconds"], REFRESH_SECONDS)
        if status:
            raise Trouble("the package index could not be fetched: %s" % last_words(out, err))

    def pending(self):
        """Return what is pending by the index at hand."""
        policy = {"security_origins": self.asked["security_origins"], "common": {"class_timeout": PATIENCE}}
        facts = (apt_host.pending(self.host, policy, self.lists) if self.lists else apt_host.read(self.host, policy))
        if facts["failure"]:
            raise Trouble("what is pending cannot be told: %s" % facts["failure"])
        return facts["pending"]

    def interrupted(self):
        """Return what dpkg has left half done."""
        return apt_host.interrupted(Host())

    def finish(self):
        """Finish what was cut off."""
        status, out, err = patient(["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"],
                                   self.asked["lock_seconds"], INSTALL_SECONDS)
        if status:
            raise Trouble("an installation that was cut off cannot be finished (dpkg --configure -a): %s"
                          % last_words(out, err))

    def _install(self, names, new):
        known = {one.name for one in self.host.packages().items}
        wanted = [name for name in names if name.split(":")[0] in known] + list(new)
        return (["--no-remove", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
                 "-o", "APT::Install-Recommends=false", "install"] + wanted) if wanted else []

    def plan(self, names, new):
        """Return what the installation would do."""
        words = self._install(names, new)
        if not words:
            return []
        status, out, err = commands.run(list(apt.SIMULATE) + self.options() + words, env=QUIET, seconds=PATIENCE)
        if status:
            raise Trouble("the updates cannot be installed: %s" % last_words(out, err))
        wanted, removed = apt.parse_simulation(out)
        if removed:
            raise Trouble("that would remove %s" % ", ".join(sorted(name for name, unused in removed)))
        return wanted

    def size(self, names, new):
        """Return how many bytes are to be fetched."""
        status, out, err = commands.run(["apt-get", "-q", "-o", "Debug::NoLocking=1", "--print-uris", "-y"] + self.options()
                                        + self._install(names, new), env=QUIET, seconds=PATIENCE)
        if status:
            raise Trouble("what has to be fetched cannot be told: %s" % last_words(out, err))
        return apt.parse_uris(out)

    def keep(self, plan):
        """Keep the packages that will be replaced, where they are still to be had; returns those that are not."""
        os.makedirs(KEPT, mode=0o700, exist_ok=True)
        missing = []
        for one in plan:
            if not one["installed"] or kept(one["name"], one["installed"]):
                continue
            bare = one["name"].split(":")[0]
            pattern = "%s_%s_*.deb" % (bare, one["installed"].replace(":", "%3a"))
            cached = sorted(glob.glob(os.path.join("/var/cache/apt/archives", glob.escape(pattern[:-6]) + "_*.deb")))
            if cached:
                shutil.copy2(cached[0], KEPT)
                continue
            with_version = "%s=%s" % (one["name"], one["installed"])
            fetch = "cd %s && exec apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User=root download \"$1\"" % KEPT
            status = commands.run(["sh", "-c", fetch, "sh", with_version], env=QUIET, seconds=300)[0]
            if status or not kept(one["name"], one["installed"]):
                missing.append(with_version)
        prune(self.asked["keep_mebibytes"] * MEBIBYTE, [kept(one["name"], one["installed"]) for one in plan if one["installed"]])
        return missing

    def fetch(self, names, new):
        """Fetch all of it before anything changes."""
        status, out, err = patient(["apt-get", "-q", "-y", "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30",
                                    "--download-only"] + self._install(names, new), self.asked["lock_seconds"], INSTALL_SECONDS)
        if status:
            raise Trouble("nothing was installed: %s" % last_words(out, err))

    def install(self, names, new, plan):
        """Install what was fetched."""
        automatic = set(commands.must(["apt-mark", "showauto"]).split())
        status, out, err = patient(["apt-get", "-q", "-y", "--no-download"] + self._install(names, new),
                                   self.asked["lock_seconds"], INSTALL_SECONDS)
        # Named on the command line a package counts as wanted for itself, which it was not before.
        again = [one["name"] for one in plan if one["name"] in automatic and one["installed"]]
        if again:
            commands.run(["apt-mark", "auto"] + again)
        if status:
            raise Trouble("the installation failed: %s" % last_words(out, err))
        self.host = Host()

    def installed(self):
        """Return {name: version}; of foreign architectures the name has them."""
        out = commands.must(["dpkg-query", "-W", "-f", "${Package}\t${Architecture}\t${Version}\t${db:Status-Abbrev}\n"])
        native = commands.must(["dpkg", "--print-architecture"]).strip()
        made = {}
        for line in out.splitlines():
            name, arch, version, state = line.split("\t")
            if state.startswith(("ii", "hi")):
                made[name if arch in (native, "all") else "%s:%s" % (name, arch)] = version
        return made

    def files(self, names):
        """Return the files of packages, without the leading /usr that merged systems have or not."""
        found = set()
        for name in names:
            bare = name.split(":")[0]
            for path in glob.glob("/var/lib/dpkg/info/%s.list" % glob.escape(bare)) + glob.glob(
                    "/var/lib/dpkg/info/%s:*.list" % glob.escape(bare)):
                with open(path, "rb") as handle:
                    found.update(unmerged(line) for line in handle.read().decode("utf-8", "surrogateescape").splitlines())
        return found


class Dnf:
    """dnf 4, dnf 5 and yum."""

    def __init__(self, asked, tool):
        self.asked, self.tool = asked, tool
        self.host = Host()
        self.folder = None

    def _base(self):
        return [self.tool] + (["--setopt=cachedir=%s" % self.folder] if self.folder else [])

    def age(self):
        """Return the age of the oldest metadata in days, None where there is none."""
        return dnf_host.age_of(dnf_host.read_repositories(self.host, self.tool)[0])

    def refresh(self, check_mode, folder):
        """Fetch the metadata; in check mode into a folder that goes away afterwards."""
        if check_mode:
            self.folder = os.path.join(folder, "dnf")
        status, out, err = commands.run(self._base() + ["-q", "-y", "--setopt=timeout=20", "--setopt=retries=2",
                                                        "makecache"] + (["--refresh"] if self.tool != "yum" else []),
                                        seconds=REFRESH_SECONDS)
        if status:
            raise Trouble("the metadata of the repositories could not be fetched: %s" % last_words(out, err))

    def pending(self):
        """Return what is pending by the metadata at hand."""
        if self.folder:
            out = commands.must(self._base() + ["-C", "-q", "updateinfo", "list", "--security"], seconds=120)
            return [dict(one, security=True, held=False, pinned=False) for one in dnf.merge(dnf.parse_advisories(out), [])]
        facts = dnf_host.read(Host(), {"common": {"class_timeout": PATIENCE}})
        if facts["failure"]:
            raise Trouble("what is pending cannot be told: %s" % facts["failure"])
        return facts["pending"]

    def interrupted(self):
        """Return nothing: rpm has no half done state that can be finished."""
        return []

    def finish(self):
        """Do nothing."""

    def plan(self, names, new):
        """Return what the installation would do."""
        wanted = []
        for verb, words in (("upgrade", names), ("install", new)):
            if not words:
                continue
            status, out, err = commands.run(self._base() + ["-C", "--assumeno", verb] + list(words), seconds=300,
                                            env={"COLUMNS": "400"})
            made, removed = dnf.parse_transaction(out)
            if removed:
                raise Trouble("that would remove %s" % ", ".join(sorted(name for name, unused in removed)))
            if status and not made and "Nothing to do" not in out + err:
                raise Trouble("the updates cannot be installed: %s" % last_words(out, err))
            wanted += made
        before = self.installed()
        for one in wanted:
            one["installed"] = "" if one["new"] else before.get(one["name"], "")
        return wanted

    def size(self, names, new):
        """Return 0: dnf looks at the room itself before it begins, rpm's own check included."""
        return 0

    def keep(self, plan):
        """Keep nothing: the old version comes from its repository (dnf downgrade). Returns nothing."""
        return []

    def fetch(self, names, new):
        """Do nothing: dnf itself fetches all before it begins."""

    def install(self, names, new, plan):
        """Install exactly what was planned."""
        # What these bring along with them is dnf's to find again.
        for verb, chosen in (("upgrade", [one for one in plan if not one["new"]]),
                             ("install", [one for one in plan if one["new"] and one["name"] in new])):
            words = ["%s-%s.%s" % (one["name"], one["candidate"], one["arch"]) for one in chosen]
            if not words:
                continue
            status, out, err = patient([self.tool, "-y", "--setopt=exit_on_lock=1", "--setopt=timeout=30", verb] + words,
                                       self.asked["lock_seconds"], INSTALL_SECONDS)
            if status:
                raise Trouble("the installation failed: %s" % last_words(out, err))

    def installed(self):
        """Return {name: version}, the epoch in it where it is not 0."""
        out = commands.must(["rpm", "-qa", "--qf", "%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"])
        made = {}
        for line in out.splitlines():
            name, version = line.split("\t")
            made[name] = re.sub(r"^0:", "", version)
        return made

    def files(self, names):
        """Return the files of packages."""
        if not names:
            return set()
        return {unmerged(line) for line in commands.run(["rpm", "-ql"] + list(names))[1].splitlines()}


def unmerged(path):
    """Return a path as it is where /lib is no link to /usr/lib, so that both forms are equal."""
    return re.sub(r"^/usr(?=/(?:lib|bin|sbin))", "", path)


def prune(limit, needed, folder=KEPT):
    """Remove the packages that were kept longest ago, beyond a size, but none that this run needs."""
    files = sorted(glob.glob(os.path.join(folder, "*.deb")), key=os.path.getmtime)
    total = sum(map(os.path.getsize, files))
    for path in files:
        if total <= limit:
            return
        if path not in needed:
            total -= os.path.getsize(path)
            os.unlink(path)


def room(size, plan, least):
    """Raise Trouble where a filesystem that the updates need has not the room for them.

    :param size: bytes to be fetched; unpacked they take about three times as much, for the old and the new side by side.
    :param least: bytes that have to be left afterwards.
    """
    needs = [("/var", size), ("/usr", 3 * size)]
    if any(KERNELS.match(one["name"]) for one in plan):
        needs.append(("/boot", 150 * MEBIBYTE))
    wanted = {}
    for path, bytes_ in needs:
        with contextlib.suppress(OSError):
            wanted.setdefault(os.stat(path).st_dev, [path, 0])[1] += bytes_
    for path, bytes_ in wanted.values():
        about = os.statvfs(path)
        free = about.f_bavail * about.f_frsize
        if free < bytes_ + least:
            raise Trouble("nothing was installed: %d MiB are wanted on %s, and %d MiB are free"
                          % ((bytes_ + least) // MEBIBYTE + 1, path, free // MEBIBYTE))


def manager_of(asked):
    """Return the package manager of this host."""
    host = Host()
    if host.exists("/var/lib/dpkg/status") and host.exists("/usr/bin/apt-get"):
        return Apt(asked)
    tool = dnf_host.tool_of(host)
    if tool is None:
        raise Trouble("no package manager that is known here (apt, dnf, yum) is on this host")
    return Dnf(asked, tool)


@contextlib.contextmanager
def scratch(parent):
    """Give a folder for what only check mode needs."""
    folder = tempfile.mkdtemp(prefix="hostmend-updates-", dir=parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
