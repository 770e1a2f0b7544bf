# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages: which are installed, in which version."""

import os
import re
from typing import Any, Dict, List, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common.chroot import is_chroot
from ansible_collections.hostmend.hardening.plugins.module_utils.common.chroot import no_starts
from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.kept import kept
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf_lock

# How long another package manager is waited for.
LOCK_SECONDS = 300
# Of these rpm holds several versions side by side, each a thing of its own.
SIDE_BY_SIDE = re.compile(r"^kernel(?:-|\.|$)")


def read(subject: Dict[str, Any], keep: Any = None) -> Dict[str, Any]:
    """Return every package of the host: what a role installs brings others with it."""
    if process.which("dpkg-query") and os.path.exists("/var/lib/dpkg/status"):
        out = process.must(["dpkg-query", "-W", "-f", "${binary:Package}\t${Version}\t${db:Status-Abbrev}\n"])
        return {"manager": "dpkg", "packages": {
            name: [version, status.strip()] for name, version, status in
            (line.split("\t") for line in out.splitlines()) if status.strip() not in ("un", "pn")}}
    if process.which("rpm"):
        out = process.must(["rpm", "-qa", "--qf", "%{NAME}.%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"])
        return {"manager": "rpm", "packages": {
            "%s=%s" % (name, version) if SIDE_BY_SIDE.match(name) else name: [version, "ii"]
            for name, version in (line.split("\t") for line in out.splitlines()) if not name.startswith("gpg-pubkey")}}
    raise HostError("neither dpkg nor rpm is here: packages cannot be kept")


def aspects(image: Dict[str, Any]) -> Dict[str, Any]:
    """Return what can change by itself: each package."""
    return dict(image["packages"])


def describe(subject: Dict[str, Any], key: str) -> Tuple[str, str]:
    """Return (name, what of it) for an aspect."""
    return key, "version"


def command(before: Dict[str, Any], now: Dict[str, Any], keys: List[str]) -> List[str]:
    """Return the command that brings the packages of dpkg in ``keys`` back."""
    wanted, purge = [], []
    for name in sorted(keys):
        old = before["packages"].get(name)
        if old is not None and old[1][1:2] == "i":
            wanted.append(kept(name, old[0]) or "%s=%s" % (name, old[0]))
        else:
            wanted.append(name + "-")
            if old is None:
                purge = ["--purge"]
    return ["apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=%d" % LOCK_SECONDS, "--allow-downgrades",
            "--allow-change-held-packages", "--no-install-recommends",
            "-o", "Dpkg::Options::=--force-confold"] + purge + ["install"] + wanted


def rpm_commands(before: Dict[str, Any], now: Dict[str, Any], keys: List[str], tool: str = "dnf") -> List[List[str]]:
    """Return the commands that bring the packages of rpm in ``keys`` back: downgrades, installations, removals.

    Removals come last: what an update has brought along is needed by it, and would take it away.
    """
    words: Dict[str, List[str]] = {"downgrade": [], "install": [], "remove": []}
    for key in sorted(keys):
        old, new = before["packages"].get(key), now["packages"].get(key)
        name = key.partition("=")[0]
        bare, unused, arch = name.rpartition(".")
        if old is None:
            words["remove"].append("%s-%s.%s" % (bare, new[0], arch))
        else:
            words["install" if new is None else "downgrade"].append("%s-%s.%s" % (bare, old[0], arch))
    return [[tool, "-y", "--setopt=clean_requirements_on_remove=0", verb] + names for verb, names in words.items() if names]


def restore(subject: Dict[str, Any], before: Dict[str, Any], now: Dict[str, Any], keys: List[str], blob: Any) -> List[str]:
    """Bring packages back to what they were; returns what cannot be undone."""
    names = ", ".join(sorted(keys))
    if before["manager"] == "rpm":
        return _restore_rpm(before, now, keys, names)
    if not os.path.exists("/usr/bin/apt-get"):
        return ["packages %s: go back by hand, as there is no apt-get" % names]
    argv = command(before, now, keys)
    status, out, err = process.run(argv[:1] + ["-s"] + argv[1:], seconds=120)
    if status:
        return ["packages %s: the old versions are no longer to be had (%s)"
                % (names, (err.strip().splitlines() or ["apt-get -s failed"])[-1])]
    touched = {line.split()[1] for line in out.splitlines() if line.split(" ")[0] in ("Inst", "Remv", "Purg")}
    strangers = {name.split(":")[0] for name in touched} - {key.split(":")[0] for key in keys}
    if strangers:
        return ["packages %s: going back would also change %s" % (names, ", ".join(sorted(strangers)))]
    automatic = set(process.run(["apt-mark", "showauto"])[1].split())
    with no_starts(not is_chroot()):
        process.must(argv, seconds=900)
    again = [name for name in keys if name.split(":")[0] in automatic and name in before["packages"]]
    if again:
        process.run(["apt-mark", "auto"] + again)
    return []


def _restore_rpm(before: Dict[str, Any], now: Dict[str, Any], keys: List[str], names: str) -> List[str]:
    tool = next((one for one in ("dnf", "dnf5", "yum") if process.which(one)), None)
    if tool is None:
        return ["packages %s: go back by hand, as there is neither dnf nor yum" % names]
    # dnf 5, often by the name of dnf, would wait without an end.
    held = dnf_lock.wait(LOCK_SECONDS) if os.path.basename(os.path.realpath(process.which(tool))) == "dnf5" else ""
    if held:
        return ["packages %s: %s; roll back again when it is done" % (names, held)]
    known = {key.partition("=")[0].rpartition(".")[0] for key in keys}
    for argv in rpm_commands(before, now, keys, tool):
        status, out, err = process.run([tool, "--assumeno"] + argv[2:], env={"COLUMNS": "400"}, seconds=300)
        strangers = {name for name, unused in dnf.parse_transaction(out)[1]} - known
        if strangers:
            return ["packages %s: going back would also remove %s" % (names, ", ".join(sorted(strangers)))]
        status, out, err = process.run(argv, seconds=900)
        if status:
            return ["packages %s: the old versions are no longer to be had (%s)"
                    % (names, ((err or out).strip().splitlines() or ["%s failed" % tool])[-1])]
    left = [key for key in keys if read({})["packages"].get(key, [None])[0] != before["packages"].get(key, [None])[0]]
    return ["packages %s: are not as they were" % ", ".join(sorted(left))] if left else []
