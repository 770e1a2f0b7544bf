# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which kernel runs, and whether a newer one is installed."""

import re

REQUIRED = ("/run/reboot-required", "/var/run/reboot-required")


def read(host):
    """Return the running kernel, the newest installed one, and whether a package has asked for a reboot."""
    facts = {"release": host.system().kernel, "running": "", "newest": "", "newest_release": "", "asked": "", "failure": ""}
    if any(host.exists(path) for path in REQUIRED):
        told = (host.read("/run/reboot-required.pkgs", 65536) or "").split()
        facts["asked"] = ", ".join(sorted(set(told))[:20]) or "a package"
    (_dpkg if host.exists("/var/lib/dpkg/status") else _rpm)(host, facts)
    return facts


def image_release(name):
    """Return the kernel's release of a package's name, "" for a package that holds no kernel (meta-packages, debug)."""
    match = re.match(r"^linux-image-(?:unsigned-)?(\d+\.\d+.*?)(?:-(?:dbg|dbgsym|unsigned))?$", name)
    return match.group(1) if match and "-dbg" not in name else ""


def _dpkg(host, facts):
    images = [(image_release(one.name), one.version) for one in host.packages().items if image_release(one.name)]
    if not images:
        return
    release = facts["release"]
    flavour = re.sub(r"^[\d.+~-]+(?:rc\d+)?(?:\+bpo|\+deb\d+\w*)?-?", "", release)
    same = [one for one in images if one[0] == release]
    told = re.match(r"[^#\n]*#\d+ .*\bDebian (\S+)", host.read("/proc/version", 4096) or "")
    running = told.group(1) if told else ""
    if not running and same:
        running = same[0][1]
    if not running:
        facts["failure"] = "the running kernel %s is of no installed package" % release
        return
    newest = (release, running)
    for one in images:
        if (one[0].endswith(flavour) or one[0] == release) and one[1] != newest[1]:
            answer = host.run(["dpkg", "--compare-versions", one[1], "gt", newest[1]], seconds=2)
            if answer.code is None:
                facts["failure"] = "versions of kernels cannot be compared"
                return
            if answer.code == 0:
                newest = one
    facts.update(running=running, newest=newest[1], newest_release=newest[0])


def _rpm(host, facts):
    told = host.run(["rpm", "-q", "--last", "kernel-core", "kernel", "kernel-default", "kernel-uek"], seconds=5)
    lines = [line.split()[0] for line in told.out.splitlines() if line.startswith("kernel") and "not installed" not in line]
    releases = [re.sub(r"^kernel(?:-core|-default|-uek)?-", "", name) for name in lines]
    if not releases:
        return
    if facts["release"] not in releases:
        facts["failure"] = "the running kernel %s is of no installed package" % facts["release"]
        return
    # The one that was installed last is the one that boots.
    facts.update(running=facts["release"], newest=releases[0], newest_release=releases[0])
