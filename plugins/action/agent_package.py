# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the agent on the controller, with the policy of the host."""

from __future__ import annotations

import json
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.action import security_facts
from ansible_collections.hostmend.hardening.plugins.plugin_utils import controller, inventory_policy

MODULE = "hostmend.hardening.agent_package"


class ActionModule(security_facts.ActionModule):
    """Make the agent, and look at what there is of it on the host."""

    def run(self, tmp=None, task_vars=None):
        """Make the agent."""
        result = ActionBase.run(self, tmp, task_vars)
        task_vars = inventory_policy.of_operator(task_vars or {})
        catalog = controller.catalog()
        policy = self._policy(catalog, task_vars)
        for name, given in (self._task.args.get("policy") or {}).items():
            policy[name] = {**policy.get(name, {}), **(given or {})}
        host = task_vars.get("inventory_hostname", "")
        dest = self._task.args.get("dest")
        build = controller.part("agent.build")
        try:
            if dest:
                path = Path(self._loader.path_dwim(str(dest)))
                data = build.build(policy, host)
                build.write(path, data)
            else:
                path = Path(constants.DEFAULT_LOCAL_TMP) / build.NAME
                if not path.exists():
                    build.write(path, build.build(), 0o644)
                data = path.read_bytes()
        except controller.part("core.errors").HostmendError as error:
            raise AnsibleActionFail(str(error)) from error
        made = {"path": str(path), "sha256": build.digest(data), "size": len(data)}
        if dest:
            result.update(made, changed=False, settings=self._settings(host, policy))
            return result
        arguments = {}
        if self._task.args.get("running") is not None:
            arguments["running"] = self._task.args["running"]
        elif self._given("image", catalog, task_vars):
            arguments["running"] = False
        result.update(inventory_policy.result_of(self._execute_module(MODULE, arguments, task_vars=task_vars)))
        # The copies of an image have names of their own.
        running = (result.get("host") or {}).get("running", True)
        result.update(made, settings=self._settings(host if running else "", policy))
        return result

    @staticmethod
    def _settings(host, policy):
        return json.dumps({"host": host, "policy": policy}, indent=1, sort_keys=True) + "\n"
