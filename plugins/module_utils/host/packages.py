# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installed packages, from the databases of dpkg and rpm."""

import re

from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Package
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading

STATUS = "/var/lib/dpkg/status"
STATUS_LIMIT = 64 * 1024 * 1024
QUERY = "%{NAME}\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\n"
SOURCE = re.compile(r"^(\S+)(?:\s+\((\S+)\))?$")


def parse_dpkg_status(text):
    """Return the packages that are installed (also half-configured ones) of dpkg's status file."""
    found = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields = {}
        for line in paragraph.split("\n"):
            if line[:1] not in (" ", "\t", "") and ":" in line:
                name, value = line.split(":", 1)
                fields.setdefault(name, value.strip())
        state = fields.get("Status", "").split()
        if len(state) != 3 or state[2] in ("not-installed", "config-files") or not fields.get("Package"):
            continue
        version = fields.get("Version", "")
        match = SOURCE.match(fields.get("Source", ""))
        found.append(Package(fields["Package"], version, fields.get("Architecture", ""),
                             match.group(1) if match else fields["Package"],
                             (match.group(2) if match else None) or version, " ".join(state)))
    return found


def parse_rpm_query(text):
    """Return the packages that ``rpm -qa --qf QUERY`` printed."""
    found = []
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) != 4 or parts[0] == "gpg-pubkey":
            continue
        source = re.sub(r"\.(?:no)?src\.rpm$", "", parts[3])
        name, version = source, ""
        if source.count("-") >= 2:
            name, release, build = source.rsplit("-", 2)
            version = "%s-%s" % (release, build)
        found.append(Package(parts[0], parts[1], parts[2], name, version))
    return found


def read_packages(host):
    """Return the installed packages; a host with no known package database is a gap."""
    text = host.read(STATUS, STATUS_LIMIT)
    if text:
        return Reading(tuple(parse_dpkg_status(text)))
    if host.executes:
        result = host.run(["rpm", "-qa", "--qf", QUERY], seconds=10)
        if result.ok:
            return Reading(tuple(parse_rpm_query(result.out)))
    return Reading((), ("no package database of dpkg or rpm can be read",))
