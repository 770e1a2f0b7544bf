#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: agent_run
short_description: Start the timer of the agent, and let the agent run once
version_added: 0.1.0
description:
  - Has systemd read the agent's units anew, starts the timer and lets the agent run once, under systemd or, where there is
    none, by itself. It fails where that leaves no new report, and says why.
  - The role C(agent) uses it after it has put the files there.
author:
  - hostmend maintainers (@hostmend)
options:
  systemd:
    description:
      - Whether systemd runs the agent.
    type: bool
    required: true
  units_changed:
    description:
      - Whether the units are new or changed, so that systemd has to read them again.
    type: bool
    default: false
  once:
    description:
      - Whether to let the agent run once now.
    type: bool
    default: false
  argv:
    description:
      - The command that runs the agent where there is no systemd.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: It tells what would be started.
    support: full
  diff_mode:
    description: Nothing but the running of units changes.
    support: none
"""

EXAMPLES = r"""
- name: Let the agent run
  hostmend.hardening.agent_run:
    systemd: true
    units_changed: true
    once: true
"""

RETURN = r"""
changes:
  description: What was started.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "unit", "name": "hostmend-agent.timer", "action": "started"}]
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import paths

SERVICE = "hostmend-agent.service"
TIMER = "hostmend-agent.timer"


def run(module, argv, allowed=(0,), why=None):
    """Run a command; fail with its last words where it fails."""
    code, out, err = module.run_command(argv)
    if code not in allowed:
        said = (err or out).strip().splitlines()
        words = why() if why else ""
        module.fail_json(msg="%s ended with %d: %s" % (" ".join(argv), code, words or (said[-1] if said else "without a word")))
    return out


def last_report():
    """Return what tells one report from the next; None where there is none."""
    try:
        state = os.stat(paths.REPORT)
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns


def journal(module):
    """Return the last line that the agent itself has said to the journal."""
    code, out, _err = module.run_command(["journalctl", "-u", SERVICE, "-n", "20", "-o", "cat", "--no-pager"])
    said = [line for line in out.splitlines() if line.startswith("hostmend-agent:")] if code == 0 else []
    return said[-1] if said else ""


def main():
    """Start the timer and the agent."""
    module = AnsibleModule(
        argument_spec={
            "systemd": {"type": "bool", "required": True},
            "units_changed": {"type": "bool", "default": False},
            "once": {"type": "bool", "default": False},
            "argv": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    changes = []
    if given["systemd"]:
        active = module.run_command(["systemctl", "is-active", "--quiet", TIMER])[0] == 0
        if given["units_changed"] or not active:
            changes.append({"kind": "unit", "name": TIMER, "action": "started"})
    if given["once"]:
        changes.append({"kind": "unit" if given["systemd"] else "command", "name": SERVICE if given["systemd"] else
                        paths.PACKAGE, "action": "run once"})
    if not module.check_mode:
        if given["systemd"] and given["units_changed"]:
            run(module, ["systemctl", "daemon-reload"])
        if changes and changes[0]["name"] == TIMER:
            run(module, ["systemctl", "restart", TIMER])
        if given["once"]:
            before = last_report()
            if given["systemd"]:
                run(module, ["systemctl", "start", SERVICE], why=lambda: journal(module))
            else:
                run(module, given["argv"], allowed=(0, 2))
            if last_report() in (None, before):
                module.fail_json(msg="the agent ran and left no report in %s" % paths.REPORT)
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
