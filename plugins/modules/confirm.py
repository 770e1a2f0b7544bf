#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: confirm
short_description: Have a host take a change back by itself unless the controller comes in anew
version_added: 0.1.0
description:
  - For changes that may cut the controller off, such as those of the firewall, of sshd, PAM or sudo.
  - With O(state=armed), a timer on the host restores what M(hostmend.hardening.journal) kept for the role, O(seconds)
    later. It is a timer of systemd, or a process of its own where systemd does not run. A reboot in between restores
    the files and units early in that boot (systemd only).
  - With O(state=confirmed), the controller closes its connection, makes a new one (new TCP connection, new login, new
    become; no shared connection of OpenSSH is used) and confirms over it. When it cannot get in until the timer has
    run out, it waits for the host to restore itself and fails with C(failed, restored).
  - Over a local connection there is nothing that could be cut off; the confirmation then says only that a new process
    could become root.
  - Run it as root (C(become)).
author:
  - hostmend maintainers (@hostmend)
options:
  state:
    description:
      - What to do.
    type: str
    choices: [armed, confirmed]
    required: true
  seconds:
    description:
      - How long the host waits for the confirmation.
    type: int
    default: 60
  grace:
    description:
      - How long the controller waits for the host to come back after the timer has run out.
    type: int
    default: 60
  run:
    description:
      - The name of the run. Left out, it is the run that the task belongs to.
    type: str
  role:
    description:
      - The role whose changes are taken back. Left out, it is the role that the task is in.
    type: str
  directory:
    description:
      - Where the journal is.
    type: path
    default: /var/lib/hostmend
attributes:
  check_mode:
    description: Does nothing in check mode.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Have the host take it back unless it is confirmed
  hostmend.hardening.confirm:
    state: armed
    seconds: 60

- name: Change the firewall
  ansible.builtin.include_tasks: mend.yml

- name: Come in anew and confirm
  hostmend.hardening.confirm:
    state: confirmed
"""

RETURN = r"""
how:
  description: What waits on the host, V(systemd) or V(process).
  returned: when O(state=armed)
  type: str
confirmed:
  description: Whether the confirmation came in time.
  returned: when O(state=confirmed)
  type: bool
fresh:
  description: Whether a new connection was made for it.
  returned: when O(state=confirmed)
  type: bool
healed:
  description: What the host took back by itself.
  returned: when it did
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import commit_confirm
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import restore_program
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import store
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=dict(
        state=dict(type="str", choices=["armed", "confirmed"], required=True),
        seconds=dict(type="int", default=60),
        grace=dict(type="int", default=60),
        run=dict(type="str"),
        role=dict(type="str"),
        directory=dict(type="path", default=store.DIRECTORY),
    ), supports_check_mode=True)
    asked = module.params
    if module.check_mode:
        module.exit_json(changed=False, msg="check mode: nothing will be changed, so nothing is armed")
    if not asked["run"] or not asked["role"]:
        module.fail_json(msg="run and role are wanted: the action plugin fills them in, so name them in other use",
                         confirmed=False)
    if os.geteuid() != 0 and asked["directory"] == store.DIRECTORY:
        module.fail_json(msg="the journal is root's: run the task with become", confirmed=False)
    journal = store.Journal(asked["directory"])
    run = journal.run(asked["run"])
    try:
        if asked["state"] == "armed":
            with journal.locked(30):
                if run.exists:
                    restore_program.build(commit_confirm.program(run))
                how = commit_confirm.arm(journal, run, [asked["role"]], asked["seconds"])
            module.exit_json(changed=False, how=how, seconds=asked["seconds"])
        in_time, healed = commit_confirm.confirm(journal, asked["run"])
    except HostError as error:
        module.fail_json(msg=str(error), confirmed=False)
    except OSError as error:
        module.fail_json(msg="the journal in %s cannot be used: %s" % (asked["directory"], error), confirmed=False)
    if in_time:
        module.exit_json(changed=False, confirmed=True)
    if healed is None:
        module.fail_json(msg="nothing waits to be confirmed in the run %s" % asked["run"], confirmed=False)
    outcome = "failed, NOT wholly restored" if healed["errors"] or healed["conflicts"] else "failed, restored"
    module.fail_json(msg="%s: no confirmation came within %d s, so the host took the change back by itself"
                     % (outcome, healed["seconds"]), outcome=outcome, confirmed=False, healed=healed)


if __name__ == "__main__":
    main()
