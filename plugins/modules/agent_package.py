#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: agent_package
short_description: Make the agent of hosts that audit themselves
version_added: 0.1.0
description:
  - Makes, on the controller, one file of the detectors and the catalogue that audits the host it is put on, together
    with the policy that the C(hostmend_*) variables give this host.
  - With O(dest), the policy is built in, the file stays there, and the host is not contacted. Otherwise it says what
    there is of the agent on the host, and changes nothing there.
author:
  - hostmend maintainers (@hostmend)
options:
  dest:
    description:
      - File on the controller to write the agent to, with the policy of this host built in.
    type: path
  policy:
    description:
      - More policy, over that of the variables, as M(hostmend.hardening.security_facts) takes it.
    type: dict
    default: {}
  running:
    description:
      - Whether the root filesystem is that of a running system. Left out, it is found out.
    type: bool
attributes:
  check_mode:
    description: It changes nothing on the host, and writes O(dest) in check mode too.
    support: full
  diff_mode:
    description: Nothing on a host changes.
    support: none
  action:
    description: The file is made by an action on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Make the agent of this host, its policy built in
  hostmend.hardening.agent_package:
    dest: ./hostmend-agent.pyz
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The file on the controller.
  returned: always
  type: str
  sample: ./hostmend-agent.pyz
sha256:
  description: Its digest.
  returned: always
  type: str
  sample: 5b0ec0ffee
size:
  description: Its size in bytes.
  returned: always
  type: int
  sample: 93718
settings:
  description: The text of C(/etc/hostmend/agent.json), with the policy and the name of this host.
  returned: always
  type: str
  sample: "{}"
host:
  description: What there is on the host.
  returned: without O(dest)
  type: dict
  contains:
    running:
      description: Whether it is a running system.
      returned: always
      type: bool
    systemd:
      description: Whether systemd runs units there, or will.
      returned: always
      type: bool
    cron:
      description: Whether there is a C(/etc/cron.d).
      returned: always
      type: bool
    there:
      description: The files of the agent that are there.
      returned: always
      type: list
      elements: str
    lone_folders:
      description: The folders in which there is nothing but the agent's own.
      returned: always
      type: list
      elements: str
  sample: {"running": true, "systemd": true, "cron": true, "there": [], "lone_folders": []}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import paths
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host


def main():
    """Say what there is of the agent on the host."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path"},
            "policy": {"type": "dict", "default": {}},
            "running": {"type": "bool"},
        },
        supports_check_mode=True,
    )
    host = Host(running=module.params["running"])
    if host.live:
        systemd = host.system().init == "systemd"
    else:
        systemd = any(os.path.exists(path) for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd"))
    module.exit_json(changed=False, host={
        "running": bool(host.live),
        "systemd": systemd,
        "cron": os.path.isdir("/etc/cron.d"),
        "there": paths.there(),
        "lone_folders": paths.lone_folders(),
    })


if __name__ == "__main__":
    main()
