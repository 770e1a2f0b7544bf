# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of things the journal keeps, by name.

A kind reads its subject into an image, splits an image into aspects (what can change by
itself), and brings chosen aspects back.
"""

import os
from typing import Any, Dict, List

from ansible_collections.hostmend.hardening.plugins.module_utils.journal import firewall
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import kernel
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import packages
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import paths
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import runtime
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import units

KINDS: Dict[str, Any] = {
    "path": paths,
    "unit": units,
    "packages": packages,
    "firewall": firewall,
    "sysctl": kernel,
    "runtime": runtime,
}


def subjects(wanted: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return the subjects of a request, in the order in which they are kept."""
    found: List[Dict[str, Any]] = []
    if wanted.get("packages"):
        found.append({"kind": "packages", "name": "installed"})
    # Rules in the kernel and the files that they are loaded from at boot go together.
    boot_rules = [path for path in firewall.BOOT_RULES if wanted.get("firewall") and os.path.lexists(path)]
    for path in list(wanted.get("paths") or ()) + boot_rules:
        for name, deep in paths.subjects(path):
            subject = {"kind": "path", "name": name, "deep": deep}
            if subject not in found:
                found.append(subject)
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
