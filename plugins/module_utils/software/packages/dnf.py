# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What dnf 4, dnf 5 and yum say: advisories and transactions."""

import re

from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import rpm_version

ARCH = r"(?:noarch|x86_64|i[3-6]86|aarch64|armv7hl|ppc64le|ppc64|s390x|riscv64|loongarch64|amd64|arm64)"
NEVRA = re.compile(r"^(.+)-(?:(\d+):)?([^-:]+)-([^-]+)\.(%s)$" % ARCH)
SEVERITIES = {"critical": "high", "important": "high", "moderate": "medium", "low": "low"}
ORDER = ("low", "medium", "high")
ROW = re.compile(r"(?<!\S)(\S+) (%s) (\S+) (\S+) ([\d.]+) ?(?:[kMGT]i?B?|B)?(?= |$)" % ARCH)
REPLACED = re.compile(r"^[ \t]+replacing +(\S+) +(?:%s +)?(\S+)" % ARCH, re.MULTILINE)
SECTIONS = re.compile(r"^([A-Z][a-z]+)[^\n]*", re.MULTILINE)


def split_nevra(text):
    """Return (name, version with its epoch where that is not 0, arch), None for what is none."""
    match = NEVRA.match(text)
    if match is None:
        return None
    name, epoch, version, release, arch = match.groups()
    return name, "%s%s-%s" % ("%s:" % epoch if epoch not in (None, "0") else "", version, release), arch


def parse_advisories(text):
    """Return {"id", "severity", "name", "candidate", "arch"} of each line of ``updateinfo list --security``.

    dnf 4 and yum print ``ID Severity/Sec. NEVRA``, dnf 5 ``ID security Severity NEVRA DATE TIME``. The severity is that
    of the catalogue, "" where the advisory has none.
    """
    made = []
    for line in text.splitlines():
        words = line.split()
        package = next((split_nevra(word) for word in words[1:] if split_nevra(word)), None)
        if package is None or len(words) < 3:
            continue
        severity = next((SEVERITIES[word] for word in re.split(r"[\s/]+", " ".join(words[1:-1]).lower())
                         if word in SEVERITIES), "")
        made.append({"id": words[0], "severity": severity, "name": package[0], "candidate": package[1], "arch": package[2]})
    return made


def merge(advisories, cves, more=()):
    """Return one entry for each package of the advisories, with all their ids and CVEs, the highest severity and version."""
    made = {}
    for one in list(advisories) + list(more):
        entry = made.setdefault(one["name"], {"name": one["name"], "candidate": "", "arch": one["arch"], "severity": "",
                                              "advisories": [], "cves": []})
        # They are listed in the order of their ids, which is none in time.
        if not entry["candidate"] or rpm_version.key(one["candidate"]) > rpm_version.key(entry["candidate"]):
            entry["candidate"] = one["candidate"]
        if one["id"] not in entry["advisories"]:
            entry["advisories"].append(one["id"])
        if one["severity"] and (not entry["severity"] or ORDER.index(one["severity"]) > ORDER.index(entry["severity"])):
            entry["severity"] = one["severity"]
    for one in cves:
        if one["name"] in made and one["id"].startswith("CVE-") and one["id"] not in made[one["name"]]["cves"]:
            made[one["name"]]["cves"].append(one["id"])
    return [made[name] for name in sorted(made)]


def parse_transaction(text):
    """Return (what would be installed, [[name, version] that would be removed]) of ``--assumeno``.

    Each of the first is {"name", "candidate", "arch", "new"}. Long rows are wrapped, so a section is read as one line.
    """
    wanted, removed, named = [], [], set()
    starts = list(SECTIONS.finditer(text))
    for number, start in enumerate(starts):
        title = start.group(1)
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        body = " ".join(re.sub(r"^[ \t]+replacing .*$", "", text[start.end():end], flags=re.MULTILINE).split())
        for row in ROW.finditer(body):
            name, arch, version = row.group(1, 2, 3)
            if title in ("Installing", "Upgrading"):
                wanted.append({"name": name, "candidate": re.sub(r"^0:", "", version), "arch": arch,
                               "new": title == "Installing"})
            elif title == "Removing":
                removed.append([name, version])
                continue
            named.add(name)
    # dnf 5 says so of each package that is updated, dnf 4 of those alone whose place another one takes.
    for name, version in REPLACED.findall(text):
        match = re.match(r"(.+)\.%s\Z" % ARCH, name)
        name = match.group(1) if match else name
        if name not in named:
            removed.append([name, re.sub(r"^0:", "", version)])
    return wanted, removed
