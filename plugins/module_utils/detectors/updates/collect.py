# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the package manager of a host knows, and what runs there from before an update."""

import time

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import kernel
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import unattended
from ansible_collections.hostmend.hardening.plugins.module_utils.host import stale
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt_state
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf_state


def collect(host, policy):
    """Return what the package manager knows, and what runs."""
    system = host.system()
    facts = {"live": bool(host.live), "root": bool(system.root), "init": system.init, "container": system.container,
             "distribution": {"id": system.id, "version_id": system.version_id, "codename": system.codename,
                              "name": system.pretty_name},
             "today": time.strftime("%Y-%m-%d", time.gmtime()), "stale": [], "stale_gaps": [], "kernel": {}}
    packages = host.packages()
    facts["packages"] = [[one.name, one.version, one.source, one.source_version] for one in packages.items]
    facts["gaps"] = list(packages.gaps)
    if host.exists("/var/lib/dpkg/status") and (host.exists("/usr/bin/apt-get") or not host.executes):
        manager = apt_state.read(host, policy)
    elif dnf_state.tool_of(host):
        manager = dnf_state.read(host, policy)
    else:
        manager = {"manager": "", "failure": "no package manager that is known here (apt, dnf, yum) is on this host",
                   "broken": "", "pending": [], "config": {}, "sources": [], "interrupted": [],
                   "index": {"present": False, "age_days": None}}
    facts.update(manager)
    facts["automatic"] = unattended.read(host, facts, policy)
    del facts["config"]
    if host.live:
        _collect_stale(host, facts)
        if not system.container:
            facts["kernel"] = kernel.read(host)
    return facts


def _collect_stale(host, facts):
    processes = host.processes().items
    own = stale.ancestors(processes)
    entries, facts["stale_gaps"] = stale.read_stale(processes)
    facts["others"] = len({one.container for one in processes if one.container is not None})
    for name in sorted(entries):
        one = entries[name]
        facts["stale"].append({"name": name, "unit": one["unit"], "files": one["files"], "programs": one["programs"],
                               "level": stale.level_of(one["unit"], own), "own": one["unit"] in own})
