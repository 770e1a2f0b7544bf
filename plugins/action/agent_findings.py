# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the findings of a host that cannot be reached from the last report of its agent."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.action import security_facts
from ansible_collections.hostmend.hardening.plugins.module_utils import engine
from ansible_collections.hostmend.hardening.plugins.plugin_utils import controller, inventory_policy


class ActionModule(security_facts.ActionModule):
    """Answer in the host's place."""

    def run(self, tmp=None, task_vars=None):
        """Read the report."""
        result = ActionBase.run(self, tmp, task_vars)
        task_vars = inventory_policy.of_operator(task_vars or {})
        verification = controller.part("agent.report_verification")
        catalog = controller.catalog()
        place = str(self._task.args.get("place") or "auto")
        if place != "auto":
            place = self._loader.path_dwim(place)
        try:
            age = verification.max_age(self._task.args.get("max_age") or self._given("agent_max_age", catalog, task_vars))
            host = verification.Host(task_vars.get("inventory_hostname", ""))
            verified = verification.load(host, place, age)
            result["source"] = verified.source()
            if not verified.counts:
                result.update(failed=True, changed=False, msg=verified.reason)
                return result
            common = self._policy(catalog, task_vars)["common"]
            result["findings"] = self._said(verified.report, catalog, common)
        except (engine.PolicyError, controller.part("core.errors").HostmendError) as error:
            raise AnsibleActionFail(str(error)) from error
        validation = controller.part("core.validation")
        result["classes"] = validation.classes(verified.report.get("classes"))
        result["system"] = validation.system(verified.report.get("system"))
        facts = controller.part("enrich").from_agent(verified.report, catalog)
        self._join(result, catalog, common, task_vars, facts=facts)
        result["phase"] = "before"
        return result

    def _said(self, report, catalog, common):
        """Return the findings of a report that counts, unknown where the agent has not looked."""
        verification = controller.part("agent.report_verification")
        wanted = engine.select(self._subset(common.get("classes"), catalog), list(catalog.classes))
        return verification.with_unknowns(verification.findings(report), wanted, catalog, report["run"]["version"])
