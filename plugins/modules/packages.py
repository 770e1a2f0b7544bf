#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: packages
short_description: Install or remove packages, and tell beforehand all that comes or goes with them
version_added: 0.1.0
description:
  - Installs packages where they are missing, or removes them, by apt, dnf or yum, and needs nothing of Python's for it
    on the host.
  - Names every package that is installed along with them, in check mode from the dry run of the very command that a
    real run makes.
  - Nothing is updated but what the new packages need, nothing is removed for them, and recommendations of apt are not
    followed. Packages that others need are not removed.
author:
  - hostmend maintainers (@hostmend)
options:
  name:
    description:
      - The names of the packages.
    type: list
    elements: str
    required: true
  state:
    description:
      - Whether they are to be there.
    type: str
    choices: [present, absent]
    default: present
  index_days:
    description:
      - Where a package is missing and the package index is older than this many days, has run out, or was never
        fetched, it is fetched first. In check mode into a folder that is removed afterwards.
    type: int
    default: 30
  lock_seconds:
    description:
      - How many seconds to wait for another package manager.
    type: int
    default: 300
  free_mebibytes:
    description:
      - How much has to be left on the filesystems of C(/var) and C(/usr).
    type: int
    default: 100
attributes:
  check_mode:
    description: Says what a real run would change.
    support: full
  diff_mode:
    description: Shows no differences.
    support: none
seealso:
  - module: hostmend.hardening.packages_update
"""

EXAMPLES = r"""
- name: Have nftables
  hostmend.hardening.packages:
    name: [nftables]
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "package", "name": "nftables", "action": "installed 1.0.6-2+deb12u2"}]
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import transaction
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import MEBIBYTE
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages.run import Trouble

ARGUMENTS = dict(
    name=dict(type="list", elements="str", required=True),
    state=dict(type="str", choices=["present", "absent"], default="present"),
    index_days=dict(type="int", default=30),
    lock_seconds=dict(type="int", default=300),
    free_mebibytes=dict(type="int", default=100),
)


def install(module, manager, folder, changes):
    """Have the packages."""
    asked, there = module.params, manager.installed()
    new = [name for name in dict.fromkeys(asked["name"]) if name not in there]
    if not new:
        return
    index = transaction.renewed(manager, asked["index_days"], module.check_mode, folder)
    changes += [index] if index else []
    plan = manager.plan([], new)
    transaction.room(manager.size([], new), plan, asked["free_mebibytes"] * MEBIBYTE)
    changes += transaction.told(plan)
    if module.check_mode:
        return
    manager.fetch([], new)
    manager.install([], new, plan)
    now = manager.installed()
    missing = [name for name in new if name not in now]
    if missing:
        raise Trouble("not installed in spite of it: %s" % ", ".join(missing))


def remove(module, manager, changes):
    """Have the packages no more."""
    there = manager.installed()
    old = [name for name in dict.fromkeys(module.params["name"]) if name in there]
    if not old:
        return
    gone = manager.removal(old)
    others = sorted(set(gone) - set(old))
    if others:
        raise Trouble("nothing was removed, as %s would go as well" % ", ".join(others))
    changes += [{"kind": "package", "name": name, "action": "removed"} for name in gone]
    if not module.check_mode:
        manager.remove(old)


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    changes = []
    if os.geteuid() != 0 and not module.check_mode:
        module.fail_json(msg="packages are root's to install: run the task with become", changed=False, changes=changes)
    try:
        manager = transaction.manager_of(module.params)
        if module.params["state"] == "absent":
            remove(module, manager, changes)
        else:
            with transaction.scratch(module.tmpdir) as folder:
                install(module, manager, folder, changes)
    except (Trouble, HostError) as trouble:
        module.fail_json(msg=str(trouble), changed=bool(changes) and not module.check_mode, changes=changes)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the host", error.strerror), changes=changes,
                         changed=bool(changes) and not module.check_mode)
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
