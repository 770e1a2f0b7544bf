#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: agent_key
short_description: Have host and controller share the key that the agent signs with
version_added: 0.1.0
description:
  - The controller keeps a key of each host in its state directory, for its user alone. The host has the same one in
    C(/etc/hostmend/agent.key), for root alone.
  - Where neither has one, the controller makes one. Where only the host has one, made at its first boot, the controller
    takes it, as the channel that it comes over is authenticated. Else the host gets what the controller has.
author:
  - hostmend maintainers (@hostmend)
options:
  state:
    description:
      - V(present) has both share a key. V(absent) removes it from the host, and the controller forgets the host.
    type: str
    choices: [present, absent]
    default: present
  called:
    description:
      - The name that the host's reports bear. Left out, that of the inventory.
    type: str
  key:
    description:
      - Filled in by the action.
    type: str
  asked:
    description:
      - Filled in by the action, where it is to be told the host's key. Nothing that passes on the way holds the key itself.
    type: str
attributes:
  check_mode:
    description: It tells what would change.
    support: full
  diff_mode:
    description: A key is not shown.
    support: none
  action:
    description: An action on the controller holds the keys.
    support: full
"""

EXAMPLES = r"""
- name: Share a key with the host
  hostmend.hardening.agent_key:
"""

RETURN = r"""
id:
  description: What names the key without telling it.
  returned: when there is one
  type: str
  sample: 9ed73578b6c9dad1
enrolled:
  description: Whether the controller took the key of the host.
  returned: always
  type: bool
  sample: false
changes:
  description: What changed on the host.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "file", "name": "/etc/hostmend/agent.key", "action": "written"}]
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import key_exchange
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import paths


def put(module, key):
    """Write the key, for root alone."""
    folder = os.path.dirname(paths.KEY)
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o755)
    handle, name = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "w") as stream:
        stream.write(key + "\n")
    module.atomic_move(name, paths.KEY)
    os.chown(paths.KEY, 0, 0)
    os.chmod(paths.KEY, 0o600)


def main():
    """Read, write or remove the host's key."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "called": {"type": "str"},
            "key": {"type": "str", "no_log": True},
            "asked": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    there = os.path.lexists(paths.KEY)
    action = ""
    if given["state"] == "absent":
        action = "removed" if there else ""
        if there and not module.check_mode:
            os.unlink(paths.KEY)
    elif given["key"] and paths.read_key() != given["key"]:
        action = "written"
        if not module.check_mode:
            put(module, given["key"])
    changes = [{"kind": "file", "name": paths.KEY, "action": action}] if action else []
    told = {"has_key": paths.read_key() is not None}
    if given["asked"] and told["has_key"]:
        try:
            told["sealed"] = key_exchange.seal(paths.read_key(), given["asked"])
        except ValueError as error:
            module.fail_json(msg="the key cannot be told: %s" % error)
    module.exit_json(changed=bool(action), changes=changes, **told)


if __name__ == "__main__":
    main()
