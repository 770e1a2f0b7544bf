# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fill in the run, the role and the controller, and take the host over from a run that is dead."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.plugin_utils import inventory_policy
from ansible_collections.hostmend.hardening.plugins.plugin_utils import run as runs


class ActionModule(ActionBase):
    """Run the journal module with what only the controller knows."""

    TRANSFERS_FILES = False

    def _stopped_by(self, task_vars):
        """Return which host of this wave has failed, where that means that no further role begins."""
        plan = (task_vars.get("ansible_facts") or {}).get("hostmend_plan") or {}
        if self._task.args.get("state") == "done" or self._task.check_mode or plan.get("on_failure", "stop") != "stop":
            return ""
        failed = [name for name in runs.failed() if name != task_vars.get("inventory_hostname")]
        return f"{failed[0]} of the same wave has failed" if failed else ""

    def run(self, tmp=None, task_vars=None):
        """Run the module."""
        result = super().run(tmp, task_vars)
        del tmp
        module = "hostmend.hardening.journal"
        stop = self._stopped_by(task_vars or {})
        if stop:
            return dict(result, failed=True, changed=False, msg=f"nothing was changed: {stop} (hostmend_on_failure is stop)")
        arguments = runs.filled_in(self._task, task_vars or {})
        arguments["controller"] = runs.controller()
        if not runs.running(task_vars or {}):
            # Rules and settings in the kernel are those of the machine that builds the image.
            arguments = {name: value for name, value in arguments.items() if name not in ("firewall", "sysctls", "runtime")}
        answer = self._execute_module(module, arguments, task_vars=task_vars)
        holder = answer.get("holder")
        if answer.get("failed") and holder and runs.is_dead(holder):
            answer = self._execute_module(module, dict(arguments, take_from=holder["run"]), task_vars=task_vars)
        result.update(inventory_policy.result_of(answer))
        return result
