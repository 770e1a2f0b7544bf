# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of things the journal keeps, by name.

A kind reads its subject into an image, splits an image into aspects (what can change by
itself), and brings chosen aspects back.
"""

from __future__ import annotations

from ansible_collections.hostmend.hardening.plugins.module_utils.journal import firewall
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import kernel
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import packages
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import paths
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import runtime
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import units

KINDS = {
    "path": paths,
    "unit": units,
    "packages": packages,
    "firewall": firewall,
    "sysctl": kernel,
    "runtime": runtime,
}


def subjects(wanted):
    """Return the subjects of a request, in the order in which they are kept."""
    found = []
    if wanted.get("packages"):
        found.append({"kind": "packages", "name": "installed"})
    for path in wanted.get("paths") or ():
        for name, deep in paths.subjects(path):
            found.append({"kind": "path", "name": name, "deep": deep})
    for name in wanted.get("sysctls") or ():
        found.append({"kind": "sysctl", "name": name})
    for name in wanted.get("units") or ():
        found.append({"kind": "unit", "name": units.full_name(name)})
    if wanted.get("firewall"):
        found.append({"kind": "firewall", "name": "rules"})
    for item in wanted.get("runtime") or ():
        given = {key: value for key, value in item.items() if value is not None}
        found.append(dict(given, kind="runtime"))
    return found
