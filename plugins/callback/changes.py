# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow what roles change, or would change, so that the report of a plain playbook names it item by item."""

from __future__ import annotations

DOCUMENTATION = r"""
name: changes
type: aggregate
short_description: Follow what roles change, for the report
version_added: 0.1.0
description:
  - Keeps what the tasks of roles change, or in check mode would change, for the task M(hostmend.hardening.report).
  - The command C(hostmend) needs no callback; the C(ansible.cfg) of this repository enables it for plain playbooks.
requirements:
  - enable it with C(callbacks_enabled) in C(ansible.cfg)
author:
  - hostmend maintainers (@hostmend)
"""

from ansible.plugins.callback import CallbackBase
from ansible_collections.hostmend.hardening.plugins.plugin_utils import controller
from ansible_collections.hostmend.hardening.plugins.plugin_utils import run as runs


class CallbackModule(CallbackBase):
    """Hands each changed task's items to the report."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hostmend.hardening.changes"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result):
        """Take a task that ended well; a loop's items are taken one by one."""
        if "results" not in result._result:
            self._take(result)

    def v2_runner_item_on_ok(self, result):
        """Take one item of a loop."""
        self._take(result)

    def _take(self, result):
        told, task = result._result, result._task
        role = getattr(task, "_role", None)
        if not told.get("changed") or role is None:
            return
        changes = controller.part("core.changes")
        data = {"role": role.get_name(), "task": task.get_name(), "resolved_action": task.resolved_action or task.action}
        if data["resolved_action"].rsplit(".", 1)[-1] in changes.OWN:
            return
        for one in changes.of_task(data, told):
            runs.note_change(result._host.get_name(), one)
