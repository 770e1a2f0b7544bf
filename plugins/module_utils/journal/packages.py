# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages: which are installed, in which version."""

from __future__ import annotations

import os

from ansible_collections.hostmend.hardening.plugins.module_utils.journal import commands
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.commands import JournalError


def read(subject, keep=None):
    """Return every package of the host: what a role installs brings others with it."""
    if commands.which("dpkg-query"):
        out = commands.must(["dpkg-query", "-W", "-f", "${binary:Package}\t${Version}\t${db:Status-Abbrev}\n"])
        return {"manager": "dpkg", "packages": {
            name: [version, status.strip()] for name, version, status in
            (line.split("\t") for line in out.splitlines()) if status.strip() not in ("un", "pn")}}
    if commands.which("rpm"):
        out = commands.must(["rpm", "-qa", "--qf", "%{NAME}.%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"])
        return {"manager": "rpm", "packages": {
            name: [version, "ii"] for name, version in (line.split("\t") for line in out.splitlines())
            if not name.startswith("gpg-pubkey")}}
    raise JournalError("neither dpkg nor rpm is here: packages cannot be kept")


def aspects(image):
    """Return what can change by itself: each package."""
    return dict(image["packages"])


def describe(subject, key):
    """Return (name, what of it) for an aspect."""
    return key, "version"


def command(before, now, keys):
    """Return the command that brings the packages in ``keys`` back, None where there is none."""
    if before["manager"] == "dpkg":
        wanted, purge = [], []
        for name in sorted(keys):
            old = before["packages"].get(name)
            if old is not None and old[1].startswith("ii"):
                wanted.append("%s=%s" % (name, old[0]))
            else:
                wanted.append(name + "-")
                if old is None:
                    purge = ["--purge"]
        return ["apt-get", "-y", "-q", "--allow-downgrades", "--allow-change-held-packages", "--no-install-recommends",
                "-o", "Dpkg::Options::=--force-confold"] + purge + ["install"] + wanted
    return None


def restore(subject, before, now, keys, blob):
    """Bring packages back to what they were; returns what cannot be undone."""
    names = ", ".join(sorted(keys))
    argv = command(before, now, keys)
    if argv is None or not os.path.exists("/usr/bin/apt-get"):
        return ["packages %s: go back by hand (dnf history undo)" % names]
    status, out, err = commands.run(argv[:1] + ["-s"] + argv[1:], seconds=120)
    if status:
        return ["packages %s: the old versions are no longer to be had (%s)"
                % (names, (err.strip().splitlines() or ["apt-get -s failed"])[-1])]
    touched = {line.split()[1] for line in out.splitlines() if line.split(" ")[0] in ("Inst", "Remv", "Purg")}
    strangers = touched - {key.split(":")[0] for key in keys}
    if strangers:
        return ["packages %s: going back would also change %s" % (names, ", ".join(sorted(strangers)))]
    commands.must(argv, seconds=900)
    return []
