# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the last report of a host's agent, and keep it where it counts."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.action import agent_findings
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import key_exchange
from ansible_collections.hostmend.hardening.plugins.module_utils import engine
from ansible_collections.hostmend.hardening.plugins.plugin_utils import controller
from ansible_collections.hostmend.hardening.plugins.plugin_utils import limits

MODULE = "hostmend.hardening.agent_report"


class ActionModule(agent_findings.ActionModule):
    """Verify and keep the report."""

    def run(self, tmp=None, task_vars=None):
        """Collect the report."""
        result = ActionBase.run(self, tmp, task_vars)
        task_vars = task_vars or {}
        verification, errors = controller.part("agent.report_verification"), controller.part("core.errors")
        enrol = self._task.args.get("enrol") or "first"
        if enrol not in ("first", "anew", "never"):
            raise AnsibleActionFail(f"enrol must be first, anew or never, not {enrol!r}")
        try:
            age = verification.max_age(self._given("agent_max_age", controller.catalog(), task_vars))
            host = verification.Host(task_vars.get("inventory_hostname", ""))
            takes = enrol == "anew" or (enrol == "first" and host.key() is None)
            own, asked = key_exchange.draw() if takes else (0, None)
            told = limits.execute(self, MODULE, {"asked": asked}, task_vars)
            sealed, text, why = told.get("sealed"), told.get("text"), told.get("why")
            result.update(controller.part("core.validation").failure(told), changed=False)
            if result.get("failed") or result.get("unreachable"):
                return result
            result.pop("msg", None)
            if not isinstance(text, str):
                result.update(failed=True, msg=str(why)[:500], agent={"kind": "agent", "signature": "missing", "enrolled": False})
                return result
            try:
                theirs = key_exchange.unseal(own, asked, sealed) if takes and sealed else None
            except ValueError as error:
                raise AnsibleActionFail(f"the host's answer about its key cannot be used: {error}") from error
            return self._judged(result, host, text, theirs, age, task_vars)
        except (engine.PolicyError, errors.HostmendError) as error:
            raise AnsibleActionFail(str(error)) from error

    def _judged(self, result, host, text, theirs, age, task_vars):
        verification = controller.part("agent.report_verification")
        raw = text.encode("utf-8", "surrogatepass")
        enrolled = False
        if theirs and not self._task.check_mode:
            called = verification.parse(raw)["host"]
            enrolled, anew = host.key() != theirs, self._task.args.get("enrol") == "anew"
            if enrolled or anew:
                host.enrol(theirs, called, anew)
        verified = verification.verify(raw, host, age)
        if verified.counts and not self._task.check_mode:
            host.accept(verified, raw)
        result["agent"] = dict(verified.source(), enrolled=enrolled)
        if verified.counts:
            result["agent"]["score"] = self._score(verified.report, task_vars)
        else:
            result.update(failed=True, msg=verified.reason)
        return result

    def _score(self, report, task_vars):
        """Return the score that the host has by the controller's catalogue, advisories and waivers."""
        catalog = controller.catalog()
        common = self._policy(catalog, task_vars)["common"]
        updates = controller.part("agent.packages").unpacked(report)
        said = self._said(report, catalog, common)
        joined = self._joined(said, updates, report.get("system"), catalog, common, task_vars)
        return controller.part("report.score").host_score(joined)
