# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have host and controller share a key; it never is in a result, a log or a diff."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import key_exchange
from ansible_collections.hostmend.hardening.plugins.plugin_utils import controller, inventory_policy

MODULE = "hostmend.hardening.agent_key"


class ActionModule(ActionBase):
    """Hold the keys of hosts."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Share, or forget, the key."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        name = task_vars.get("inventory_hostname", "")
        host = controller.part("agent.report_verification").Host(name)
        try:
            if self._task.args.get("state") == "absent":
                result.update(self._module(task_vars, state="absent"))
                if not result.get("failed") and not self._task.check_mode:
                    result["forgotten"] = host.forget()
                return result
            return self._share(result, host, self._task.args.get("called") or name, task_vars)
        except controller.part("core.errors").HostmendError as error:
            raise AnsibleActionFail(str(error)) from error

    def _share(self, result, host, called, task_vars):
        signature = controller.part("agent.signature")
        key = host.key()
        own, asked = key_exchange.draw()
        told = self._module(task_vars, **({"key": key} if key else {"asked": asked}))
        sealed = told.pop("sealed", None)
        try:
            theirs = key_exchange.unseal(own, asked, sealed) if sealed and key is None else None
        except ValueError as error:
            raise AnsibleActionFail(f"the host's answer about its key cannot be used: {error}") from error
        enrolled = bool(theirs) and key is None
        if not told.get("failed") and not told.get("unreachable") and key is None:
            key = theirs or signature.new_key()
            if not theirs:
                told = self._module(task_vars, key=key)
        result.update(told, enrolled=enrolled)
        result.pop("invocation", None)
        if told.get("failed") or told.get("unreachable"):
            return result
        result["id"] = signature.key_id(key) if enrolled or not self._task.check_mode else ""
        # The host has it first: what only the host has is taken at the next contact.
        if not self._task.check_mode and (enrolled or told.get("changed") or host.seen().get("called") != called):
            host.enrol(key, called)
        return result

    def _module(self, task_vars, **arguments):
        return inventory_policy.result_of(self._execute_module(MODULE, arguments, task_vars=task_vars))
