# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install updates by dnf 4, dnf 5 or yum."""

import os
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf_state
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf_lock
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import INSTALL_SECONDS
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import last_words
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import PATIENCE
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import patient
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import REFRESH_SECONDS
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import Trouble
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import unmerged


class Dnf:
    """dnf 4, dnf 5 and yum."""

    def __init__(self, asked, tool):
        self.asked, self.tool = asked, tool
        self.host = Host()
        self.folder = None

    def _base(self):
        return dnf_state.base(self.host, self.tool, self.folder or "")

    def _change(self, argv):
        """Run what changes packages; dnf 5 would wait for a lock without an end."""
        held = dnf_lock.wait(self.asked["lock_seconds"]) if self.tool == "dnf5" else ""
        if held:
            return 1, "", held
        return patient([self.tool, "-y", "--setopt=exit_on_lock=1"] + argv, self.asked["lock_seconds"], INSTALL_SECONDS)

    def stale(self, days):
        """Tell whether the oldest metadata is missing or older than so many days."""
        age = dnf_state.age_of(dnf_state.read_repositories(self.host, self.tool)[0])
        return age is None or age > days

    def refresh(self, check_mode, folder):
        """Fetch the metadata, in check mode into a folder that goes away afterwards; returns nobody that did not answer.

        dnf does nothing at all while a repository that it may not skip does not answer.
        """
        if check_mode:
            self.folder = os.path.join(folder, "dnf")
        status, out, err = process.run(
            [self.tool, "-q", "-y", "--setopt=timeout=20", "--setopt=retries=2"]
            + (["--setopt=cachedir=%s" % self.folder] if self.folder else []) + ["makecache"]
            + (["--refresh"] if self.tool != "yum" else []), seconds=REFRESH_SECONDS)
        if status:
            raise Trouble("the metadata of the repositories could not be fetched: %s" % last_words(out, err))
        return []

    def pending(self):
        """Return what is pending by the metadata at hand."""
        facts = dnf_state.read(Host(), {"common": {"class_timeout": PATIENCE}}, self.folder or "")
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
            status, out, err = process.run(self._base() + ["--assumeno", verb] + list(words), seconds=300,
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

    def _removal(self, names):
        # What nothing else needs any more stays: it was not named.
        return ["--setopt=clean_requirements_on_remove=0", "remove"] + list(names)

    def removal(self, names):
        """Return the names of what removing packages would take away."""
        status, out, err = process.run(self._base() + ["--assumeno"] + self._removal(names), seconds=300,
                                       env={"COLUMNS": "400"})
        removed = dnf.parse_transaction(out)[1]
        if status and not removed:
            raise Trouble("the packages cannot be removed: %s" % last_words(out, err))
        return sorted(name for name, unused in removed)

    def remove(self, names):
        """Remove packages; their configuration stays where it was changed."""
        status, out, err = self._change(self._removal(names))
        if status:
            raise Trouble("the removal failed: %s" % last_words(out, err))

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
            status, out, err = self._change(["--setopt=timeout=30", verb] + words)
            if status:
                raise Trouble("the installation failed: %s" % last_words(out, err))

    def installed(self):
        """Return {name: version}, the epoch in it where it is not 0."""
        out = process.must(["rpm", "-qa", "--qf", "%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"])
        made = {}
        for line in out.splitlines():
            name, version = line.split("\t")
            made[name] = re.sub(r"^0:", "", version)
        return made

    def files(self, names):
        """Return the files of packages."""
        if not names:
            return set()
        return {unmerged(line) for line in process.run(["rpm", "-ql"] + list(names))[1].splitlines()}
