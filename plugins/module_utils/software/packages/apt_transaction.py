# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install updates by apt and dpkg."""

import glob
import os
import shutil
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.common.chroot import no_starts
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.kept import KEPT
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.kept import kept
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt_state
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import INSTALL_SECONDS
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import last_words
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import MEBIBYTE
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import PATIENCE
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import patient
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import QUIET
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import REFRESH_SECONDS
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import Trouble
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import unmerged


class Apt:
    """apt and dpkg."""

    def __init__(self, asked):
        self.asked = asked
        self.host = Host()
        self.lists = None

    def options(self):
        """Return what an index that only check mode has fetched is used with."""
        return list(apt.IN_MEMORY) + ["-o", "Dir::State::lists=%s" % self.lists] if self.lists else []

    def stale(self, days):
        """Tell whether the index is missing, older than so many days, or no longer what its archive has."""
        sources, now = apt_state.read_sources(self.host), time.time()
        age = apt_state.read_index(self.host, sources)["age_days"]
        # Another fetch helps neither a source that was just fetched nor one that cannot be.
        return age is None or age > days or any(
            apt_state.ran_out(one, now) and (one["age_days"] is None or one["age_days"] >= 1)
            and not apt_state.left_behind(one, age, days, now) for one in sources)

    def refresh(self, check_mode, folder):
        """Fetch the index, in check mode into a folder that goes away afterwards; returns the sources that did not answer.

        One that is gone is no reason to go without the updates of all others, but one of security updates is.
        """
        options = ["-o", "APT::Update::Error-Mode=any", "-o", "Acquire::http::Timeout=20",
                   "-o", "Acquire::https::Timeout=20"] + retries()
        if check_mode:
            self.lists = os.path.join(folder, "lists")
            shutil.copytree(apt_state.LISTS, self.lists, ignore=shutil.ignore_patterns("lock", "partial", "auxfiles"))
            os.makedirs(os.path.join(self.lists, "partial"), exist_ok=True)
            options += self.options() + ["-o", "APT::Sandbox::User=root", "-o", "APT::Update::Post-Invoke=",
                                         "-o", "APT::Update::Post-Invoke-Success="]
        status, out, err = patient(["apt-get", "-q"] + options + ["update"], self.asked["lock_seconds"], REFRESH_SECONDS)
        if not status:
            return []
        answered, failed = apt.parse_fetches(out)
        if not (answered and failed) or self._for_security(failed):
            raise Trouble("the package index could not be fetched: %s" % last_words(out, err))
        return ["%s %s" % one for one in failed]

    def _for_security(self, failed):
        """Tell whether one of these sources is for security updates, or may be: it is unknown, or none is for these alone."""
        sources = apt_state.read_sources(self.host)
        apt_state.read_index(self.host, sources)
        more = self.asked.get("security_origins") or ()
        secure = {(apt.plain_address(one["uri"]), one["suite"]): apt.is_security(one["suite"], one["release"], more)
                  for one in sources}
        return not any(secure.values()) or any(secure.get(one, True) for one in failed)

    def pending(self):
        """Return what is pending by the index at hand."""
        policy = {"security_origins": self.asked["security_origins"], "scope": self.asked["pending"],
                  "common": {"class_timeout": PATIENCE}}
        facts = (apt_state.pending(self.host, policy, self.lists) if self.lists else apt_state.read(self.host, policy))
        if facts["failure"] or facts["broken"]:
            raise Trouble("what is pending cannot be told: %s" % (facts["failure"] or facts["broken"]))
        return facts["pending"]

    def interrupted(self):
        """Return what dpkg has left half done."""
        return apt_state.interrupted(Host())

    def finish(self):
        """Finish what was cut off."""
        status, out, err = self._change(["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"])
        if status:
            raise Trouble("an installation that was cut off cannot be finished (dpkg --configure -a): %s"
                          % last_words(out, err))

    def _change(self, argv):
        """Run what changes packages."""
        with no_starts(self.host.live):
            return patient(argv, self.asked["lock_seconds"], INSTALL_SECONDS)

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
        status, out, err = process.run(list(apt.SIMULATE) + self.options() + words, env=QUIET, seconds=PATIENCE)
        if status:
            raise Trouble("the updates cannot be installed: %s" % last_words(out, err))
        wanted, removed = apt.parse_simulation(out)
        if removed:
            raise Trouble("that would remove %s" % ", ".join(sorted(name for name, unused in removed)))
        return wanted

    def removal(self, names):
        """Return the names of what removing packages would take away."""
        status, out, err = process.run(list(apt.SIMULATE) + ["remove"] + list(names), env=QUIET, seconds=PATIENCE)
        if status:
            raise Trouble("the packages cannot be removed: %s" % last_words(out, err))
        return sorted(name for name, unused in apt.parse_simulation(out)[1])

    def remove(self, names):
        """Remove packages; their configuration stays."""
        status, out, err = self._change(["apt-get", "-q", "-y", "remove"] + list(names))
        if status:
            raise Trouble("the removal failed: %s" % last_words(out, err))

    def size(self, names, new):
        """Return how many bytes are to be fetched."""
        status, out, err = process.run(["apt-get", "-q", "-o", "Debug::NoLocking=1", "--print-uris", "-y"] + self.options()
                                       + self._install(names, new), env=QUIET, seconds=PATIENCE)
        if status:
            raise Trouble("what has to be fetched cannot be told: %s" % last_words(out, err))
        return apt.parse_uris(out)

    def keep(self, plan):
        """Keep the packages that will be replaced, where they are still to be had; returns those that are not."""
        os.makedirs(KEPT, mode=0o700, exist_ok=True)
        missing, again = [], retries()
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
            fetch = "cd %s && exec apt-get -q -o APT::Sandbox::User=root download \"$@\"" % KEPT
            status = process.run(["sh", "-c", fetch, "sh", with_version] + again, env=QUIET, seconds=300)[0]
            if status or not kept(one["name"], one["installed"]):
                missing.append(with_version)
        prune(self.asked["keep_mebibytes"] * MEBIBYTE, [kept(one["name"], one["installed"]) for one in plan if one["installed"]])
        return missing

    def fetch(self, names, new):
        """Fetch all of it before anything changes."""
        status, out, err = patient(["apt-get", "-q", "-y", "-o", "Acquire::http::Timeout=30", "--download-only"] + retries()
                                   + self._install(names, new), self.asked["lock_seconds"], INSTALL_SECONDS)
        if status:
            raise Trouble("nothing was installed: %s" % last_words(out, err))

    def install(self, names, new, plan):
        """Install what was fetched."""
        automatic = set(process.must(["apt-mark", "showauto"]).split())
        # A package that lies in a folder of this host is not copied, and with --no-download apt does not find it.
        local = any(one["uri"].startswith("file:") for one in apt_state.read_sources(self.host))
        words = [] if local else ["--no-download"]
        status, out, err = self._change(["apt-get", "-q", "-y"] + words + self._install(names, new))
        # Named on the command line a package counts as wanted for itself, which it was not before.
        again = [one["name"] for one in plan if one["name"] in automatic and one["installed"]]
        if again:
            process.run(["apt-mark", "auto"] + again)
        if status:
            raise Trouble("the installation failed: %s" % last_words(out, err))
        self.host = Host()

    def installed(self):
        """Return {name: version}; of foreign architectures the name has them."""
        out = process.must(["dpkg-query", "-W", "-f", "${Package}\t${Architecture}\t${Version}\t${db:Status-Abbrev}\n"])
        native = process.must(["dpkg", "--print-architecture"]).strip()
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


def retries():
    """Return the options that have apt ask an archive again, unless its configuration says how often it does."""
    said = process.run(["apt-config", "shell", "RETRIES", "Acquire::Retries"])[1]
    return [] if said.strip() else ["-o", "Acquire::Retries=3"]


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
