#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: packages_update
short_description: Install updates of named packages, and restart what runs with the old files
version_added: 0.1.0
description:
  - Updates the packages that are named, and no others but those that they need, by apt, dnf or yum. Configuration files
    that an administrator has changed stay. Nothing is ever removed.
  - The plan is the dry run of the very command that a real run makes, so check mode names the packages and versions
    that a real run then installs.
  - Before anything changes, the room on the disk is looked at, a lock that another package manager holds is awaited,
    an installation that was cut off is finished, and all packages are fetched.
  - Where apt still has them, the packages that are replaced are kept in C(/var/lib/hostmend/packages), so that
    M(hostmend.hardening.rollback) can put them back.
  - Services that run the replaced files are restarted as far as O(restart) lets them, and must be active afterwards.
author:
  - hostmend maintainers (@hostmend)
options:
  packages:
    description:
      - Names of installed packages to update.
    type: list
    elements: str
    default: []
  install:
    description:
      - Names of packages to install where they are not.
    type: list
    elements: str
    default: []
  pending:
    description:
      - Update whatever is pending as well, where O(refresh) has fetched the index anew. V(none) keeps to O(packages).
    type: str
    choices: [none, security, all]
    default: none
  exclude:
    description:
      - Names of packages that O(pending) does not bring.
    type: list
    elements: str
    default: []
  refresh:
    description:
      - Fetch the package index first where it is older than O(index_days) or has run out. Check mode fetches it into a
        folder that is removed afterwards, so that it foretells what the new index brings; the network's time is spent in
        both.
      - A source of apt that does not answer is named in the change; only where it is one of security updates does the
        module fail.
    type: bool
    default: false
  index_days:
    description:
      - The age in days from which O(refresh) fetches the index.
    type: int
    default: 7
  security_origins:
    description:
      - Labels and archives of apt that count as being for security, besides those of the distribution.
    type: list
    elements: str
    default: []
  restart:
    description:
      - Which services that run replaced files are restarted. V(safe) leaves container engines, databases, desktops and
        clusters alone. V(all) restarts these, too. Neither ever restarts what the run itself, sessions or the network
        depend on.
    type: str
    choices: [never, safe, all]
    default: safe
  units:
    description:
      - Units that already run replaced files and are to be restarted as well.
    type: list
    elements: str
    default: []
  running:
    description:
      - Whether the host is running. Otherwise nothing is restarted.
    type: bool
    default: true
  lock_seconds:
    description:
      - How many seconds to wait for another package manager.
    type: int
    default: 300
  free_mebibytes:
    description:
      - How much has to be left on the filesystems of C(/var), C(/usr) and, for a kernel, C(/boot).
    type: int
    default: 100
  keep_mebibytes:
    description:
      - How much the packages that are kept for a rollback may take. Those of this run are kept in any case.
    type: int
    default: 512
attributes:
  check_mode:
    description: Says what a real run would change.
    support: full
  diff_mode:
    description: Shows the versions before and after.
    support: full
"""

EXAMPLES = r"""
- name: Install the security update of OpenSSL
  hostmend.hardening.packages_update:
    packages: [openssl, libssl3]

- name: Fetch the index and install all pending security updates, but for the kernel
  hostmend.hardening.packages_update:
    refresh: true
    pending: security
    exclude: [linux-image-amd64]
    restart: all
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "package", "name": "openssl", "action": "updated 3.0.15-1~deb12u1 -> 3.0.17-1~deb12u2"}]
not_kept:
  description: Packages in their old version that are not to be had any more, so that a rollback cannot put them back.
  returned: after a real run
  type: list
  elements: str
refresh_seconds:
  description: How long it took to fetch the index.
  returned: where it was fetched
  type: float
kernel:
  description: Whether a kernel was among the packages, so that a reboot is needed.
  returned: always
  type: bool
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import transaction
from ansible_collections.hostmend.hardening.plugins.module_utils.host import stale
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import MEBIBYTE
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import Trouble
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import unmerged

ARGUMENTS = dict(
    packages=dict(type="list", elements="str", default=[]),
    install=dict(type="list", elements="str", default=[]),
    pending=dict(type="str", choices=["none", "security", "all"], default="none"),
    exclude=dict(type="list", elements="str", default=[]),
    refresh=dict(type="bool", default=False),
    index_days=dict(type="int", default=7),
    security_origins=dict(type="list", elements="str", default=[]),
    restart=dict(type="str", choices=["never", "safe", "all"], default="safe"),
    units=dict(type="list", elements="str", default=[]),
    running=dict(type="bool", default=True),
    lock_seconds=dict(type="int", default=300),
    free_mebibytes=dict(type="int", default=100),
    keep_mebibytes=dict(type="int", default=512),
)
ACTIVE_SECONDS = 15


def refreshed(manager, asked, check_mode, folder, result):
    """Fetch the index where it is old; returns whether it was."""
    if not asked["refresh"]:
        return False
    began = time.monotonic()
    try:
        index = transaction.renewed(manager, asked["index_days"], check_mode, folder)
    except Trouble:
        result["changed"] = not check_mode  # some sources may have answered
        raise
    if index is None:
        return False
    result["refresh_seconds"] = round(time.monotonic() - began, 1)
    result["changes"].append(dict(index, check="updates.index_stale"))
    return True


def wanted_packages(manager, asked, fresh):
    """Return the names of the packages to update."""
    names = list(asked["packages"])
    if fresh and asked["pending"] != "none":
        names += [one["name"] for one in manager.pending() if (one["security"] or asked["pending"] == "all")
                  and not one["held"] and not one["pinned"] and not one.get("kept_back") and one["name"] not in asked["exclude"]]
    return sorted(set(names))


def units_to_restart(manager, plan, asked):
    """Return the units that run what the plan replaces, or what was replaced before, and that may be restarted."""
    host = Host()
    if not asked["running"] or asked["restart"] == "never" or host.system().init != "systemd":
        return []
    processes = host.processes().items
    own = stale.ancestors(processes)
    found = {unit for unit in asked["units"] if stale.may_restart(unit, asked["restart"], own)}
    replaced = manager.files([one["name"] for one in plan if one["installed"]]) if plan else set()
    for one in processes if replaced else ():
        unit = "init.scope" if one.pid == 1 else one.unit or ""
        if one.container is None and unit not in found and stale.may_restart(unit, asked["restart"], own):
            if any(unmerged(path) in replaced for path in stale.mapped(stale.read_maps(one.pid)[0])):
                found.add(unit)
    return sorted(found)


def failed_units():
    """Return the units that have failed."""
    out = process.run(["systemctl", "list-units", "--failed", "--no-legend", "--plain"])[1]
    return {line.split()[0] for line in out.splitlines() if line.split()}


def restart(units, failed):
    """Restart the units that still run replaced files, and see that all of them are active and none has failed since."""
    still, unused = stale.read_stale(Host().processes().items)
    for unit in units:
        if unit not in still:
            continue  # its package has restarted it
        if unit == "init.scope":
            process.must(["systemctl", "daemon-reexec"])
        else:
            process.must(["systemctl", "restart", "--", unit], seconds=120)
    until = time.monotonic() + ACTIVE_SECONDS
    waiting = [unit for unit in units if unit != "init.scope"]
    while waiting:
        states = [process.run(["systemctl", "is-active", "--", unit])[1].strip() for unit in waiting]
        waiting = [unit for unit, state in zip(waiting, states) if state not in ("active", "inactive")]
        if waiting and time.monotonic() > until:
            raise Trouble("%s did not come up again" % ", ".join(waiting))
        time.sleep(0.3 if waiting else 0)
    worse = failed_units() - failed
    if worse:
        raise Trouble("%s failed after the update" % ", ".join(sorted(worse)))


def update(module, asked, manager, folder, result):
    """Make the plan, and unless it is check mode carry it out."""
    fresh = refreshed(manager, asked, module.check_mode, folder, result)
    # What had failed before is no fault of the update.
    failed = failed_units() if asked["running"] and not module.check_mode else set()
    half_done = manager.interrupted()
    result["changes"] += [{"kind": "package", "name": name, "action": "configured", "check": "updates.security_pending"}
                          for name in half_done]
    if half_done and not module.check_mode:
        result["changed"] = True
        manager.finish()
    there = manager.installed()
    new = [name for name in asked["install"] if name not in there]
    names = wanted_packages(manager, asked, fresh)
    plan = manager.plan(names, new)
    if plan:
        transaction.room(manager.size(names, new), plan, asked["free_mebibytes"] * MEBIBYTE)
    result["changes"] += [dict(one, check="updates.security_pending") for one in transaction.told(plan)]
    result["kernel"] = any(transaction.KERNELS.match(one["name"]) for one in plan)
    result["diff"] = {"before": "".join("%(name)s %(installed)s\n" % one for one in plan if one["installed"]),
                      "after": "".join("%(name)s %(candidate)s\n" % one for one in plan)}
    units = units_to_restart(manager, plan, asked)
    result["changes"] += [{"kind": "unit", "name": unit, "check": "updates.stale_process",
                           "action": "executed anew" if unit == "init.scope" else "restarted"} for unit in units]
    if module.check_mode:
        return
    if plan:
        result["not_kept"] = manager.keep(plan)
        manager.fetch(names, new)
        result["changed"] = True
        manager.install(names, new, plan)
        now = manager.installed()
        missing = [one["name"] for one in plan if now.get(one["name"]) != one["candidate"]]
        if missing:
            raise Trouble("not in the version that was wanted: %s" % ", ".join(missing))
    if asked["running"]:
        result["changed"] = result["changed"] or bool(units)
        restart(units, failed)


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = module.params
    result = {"changed": False, "changes": [], "not_kept": [], "kernel": False}
    if os.geteuid() != 0 and not module.check_mode:
        module.fail_json(msg="packages are root's to install: run the task with become", **result)
    try:
        manager = transaction.manager_of(asked)
        with transaction.scratch(module.tmpdir) as folder:
            update(module, asked, manager, folder, result)
    except (Trouble, HostError) as trouble:
        module.fail_json(msg=str(trouble), **result)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the host", error.strerror), **result)
    result["changed"] = bool(result["changes"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
