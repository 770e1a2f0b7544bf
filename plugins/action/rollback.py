# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fill in the run, and the role where a rescue section asks."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.plugin_utils import inventory_policy
from ansible_collections.hostmend.hardening.plugins.plugin_utils import run as runs


class ActionModule(ActionBase):
    """Run the rollback module."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Run the module."""
        result = super().run(tmp, task_vars)
        del tmp
        arguments = runs.filled_in(self._task, task_vars or {})
        role = arguments.pop("role")
        if "failed" in arguments and not arguments.get("roles"):
            arguments["roles"] = [role]
            if not self._task.check_mode:
                runs.note_failed(str((task_vars or {}).get("inventory_hostname", "")))
        answer = self._execute_module("hostmend.hardening.rollback", arguments, task_vars=task_vars)
        result.update(inventory_policy.result_of(answer))
        return result
