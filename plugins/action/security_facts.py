# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give the detectors the host's policy, and join what they find with the catalogue.

The policy is in variables: option O of class C is ``hostmend_C_O``, an option that all classes share is
``hostmend_O``; in the role of the class C it is the role's own ``C_O``. Only options that a detector takes travel, and
never a secret one. Variables that a host's facts set are no policy.

``chosen`` in the result are the findings that roles are to mend, by the plan's choice. In a role, findings that the caller
of this run hands over as the variable ``hostmend_findings`` take the place of an audit.
"""

from __future__ import annotations

from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.hostmend.hardening.plugins.module_utils import engine
from ansible_collections.hostmend.hardening.plugins.plugin_utils import controller, inventory_policy, limits

MODULE = "hostmend.hardening.security_facts"
PLANNED = ("waves", "wave_group", "redundancy_groups", "maintenance_windows", "on_failure", "unattended_risk")

controller.preload()


def converted(name, value, option):
    """Return a variable's value in its option's type, as ``-e name=value`` gives everything as text."""
    wanted = option.type
    try:
        if value is None:
            return value
        if wanted == "bool":
            value = boolean(value)
        elif wanted in ("int", "float") and not isinstance(value, bool):
            value = (int if wanted == "int" else float)(value)
        elif wanted == "list" and isinstance(value, str):
            value = [one.strip() for one in value.split(",") if one.strip()]
        elif wanted == "str" and isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
    except (TypeError, ValueError):
        raise AnsibleActionFail(f"{name} must be of type {wanted}, not {value!r}") from None
    kind = {"bool": bool, "int": int, "float": (int, float), "str": str, "list": (list, tuple), "dict": dict}[wanted]
    if not isinstance(value, kind) or (wanted in ("int", "float") and isinstance(value, bool)):
        raise AnsibleActionFail(f"{name} must be of type {wanted}, not {type(value).__name__}")
    if option.choices and value not in option.choices:
        raise AnsibleActionFail(f"{name} must be one of {', '.join(map(str, option.choices))}, not {value!r}")
    return value


def sound(findings):
    """Return a host's findings; a host that answers anything else is not believed in part."""
    try:
        validation = controller.part("core.validation")
        return validation.validated(findings, 2 * validation.MOST_FINDINGS)  # with those that were added as unknown
    except controller.part("core.errors").HostmendError as error:
        raise AnsibleActionFail(str(error)) from error


class ActionModule(ActionBase):
    """Run the security_facts module with the host's policy."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Run the module."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = inventory_policy.of_operator(task_vars or {})
        catalog = controller.catalog()
        role = inventory_policy.role_of(self._task)
        if role and "hostmend_findings" in task_vars:
            return self._handed_over(result, catalog, task_vars)
        arguments = dict(self._task.args)
        policy = self._policy(catalog, task_vars, role)
        for name, given in (arguments.get("policy") or {}).items():
            policy[name] = {**policy.get(name, {}), **(given or {})}
        common = policy["common"]
        arguments["policy"] = policy
        arguments["gather_subset"] = self._subset(arguments.get("gather_subset") or common.get("classes"), catalog)
        for name in ("timeout", "class_timeout"):
            if arguments.get(name) is None and common.get(name) is not None:
                arguments[name] = common[name]
        if arguments.get("running") is None and self._given("image", catalog, task_vars):
            arguments["running"] = False
        answer = limits.execute(self, MODULE, arguments, task_vars)
        result.update(self._believed(answer, arguments["gather_subset"], catalog))
        if not result.get("failed") and not result.get("unreachable"):
            self._join(result, catalog, common, task_vars)
        phase = task_vars.get("hostmend_phase")
        if phase in ("before", "after"):
            result["phase"] = phase
        return result

    def _handed_over(self, result, catalog, task_vars):
        """Return what a role is to mend of the findings that its caller hands over; nothing is audited."""
        given = self._value("hostmend_findings", task_vars["hostmend_findings"], task_vars)
        if not isinstance(given, (list, tuple)) or not all(isinstance(finding, dict) for finding in given):
            raise AnsibleActionFail("hostmend_findings must be a list of findings, as security_facts returns them in chosen")
        plan = self._plan(given, catalog, self._policy(catalog, task_vars)["common"], task_vars)
        result.update(changed=False, chosen=self._chosen_of(given, plan), plan=plan)
        return result

    @staticmethod
    def _believed(answer, subset, catalog):
        """Return what is taken of a host's answer: no member but those that a detector fills, each in its shape."""
        validation = controller.part("core.validation")
        if not isinstance(answer, dict) or answer.get("failed") or answer.get("unreachable"):
            return validation.failure(answer)
        try:
            made = validation.answer(answer, engine.select(subset, list(catalog.classes)), catalog)
        except controller.part("core.errors").HostmendError as error:
            raise AnsibleActionFail(str(error)) from error
        return {**made, "ansible_facts": {"hostmend": made.pop("facts")}}

    def _policy(self, catalog, task_vars, role=""):
        policy = {"common": self._options("hostmend_", catalog.common, task_vars)}
        for name, one in catalog.classes.items():
            given = self._options(f"hostmend_{name}_", one.policy, task_vars, defaults=False)
            if name == role:
                own = {key: option for key, option in one.policy.items() if option.role}
                given.update(self._options(f"{name}_", own, task_vars, defaults=False))
            if given:
                policy[name] = given
        return policy

    def _options(self, prefix, options, task_vars, defaults=True):
        made = {}
        for name, option in options.items():
            if option.secret or not option.detector:
                continue
            variable = prefix + name
            if variable in task_vars:
                made[name] = converted(variable, self._value(variable, task_vars[variable], task_vars), option)
            elif defaults:
                made[name] = option.default
        return made

    def _value(self, name, value, task_vars):
        """Return a variable's value, in which the facts of the host name nothing."""
        try:
            return self._templar.copy_with_new_env(available_variables=task_vars).template(value)
        except AnsibleError as error:
            raise AnsibleActionFail(f"{name} cannot be evaluated: {error}") from error

    @staticmethod
    def _subset(subset, catalog):
        names = [subset] if isinstance(subset, str) else list(subset or ["all"])
        names = [part.strip() for name in names for part in str(name).split(",") if part.strip()]
        for name in names:
            bare = name.lstrip("!")
            if bare not in catalog.classes and bare not in ("all", "min"):
                known = sorted(catalog.classes)
                raise AnsibleActionFail(
                    f"no such class: {bare}{controller.near(bare, known)}; there are {', '.join(known)}"
                )
        return names

    def _joined(self, findings, facts, system, catalog, common, task_vars):
        """Return a host's findings with what the controller knows, the catalogue and the waivers say of them."""
        join = controller.part("catalog").join
        findings = controller.part("core.validation").with_minimum_risk(findings, catalog)

        def option(name, key):
            return self._chosen(f"hostmend_{name}_{key}", catalog.classes[name].policy[key], task_vars)

        findings = controller.part("enrich").join(findings, facts, system, catalog, option, self._loader.path_dwim)
        return self._waived([join(one, catalog) for one in findings], common, task_vars)

    def _join(self, result, catalog, common, task_vars, facts=None):
        """Put a host's findings, joined, and the plan for it into the result.

        :param facts: the facts of the host by class, where they are not among the facts of the result.
        """
        given = (result.get("ansible_facts") or {}).get("hostmend") or {}
        facts = given if facts is None else facts
        try:
            findings = controller.part("core.validation").with_sound_remedies(sound(result.get("findings")), catalog)
        except controller.part("core.errors").HostmendError as error:
            raise AnsibleActionFail(str(error)) from error
        joined = self._joined(findings, facts, result.get("system"), catalog, common, task_vars)
        # Texts of a host are data: nothing in them is ever evaluated as a template.
        findings = [wrap_var(one) for one in joined]
        plan = self._plan(findings, catalog, common, task_vars)
        plan.update({name: self._given(name, catalog, task_vars) for name in PLANNED})
        self._keep_to_windows(plan)
        # The command mends these wave by wave, once it knows all hosts.
        waits = bool(plan["waves"] or plan["wave_group"] or plan["redundancy_groups"])
        by_command = bool(task_vars.get("hostmend_session")) and not task_vars.get("hostmend_in_wave")
        plan["waiting"] = bool(plan["roles"]) and waits and by_command and not self._task.check_mode
        result.update(findings=findings, changed=False, chosen=self._chosen_of(findings, plan), plan=plan)
        # Only these facts are taken: others would outrank the inventory, and a host must not write its own policy.
        result["ansible_facts"] = {
            "hostmend": wrap_var(given),
            "hostmend_findings": findings,
            "hostmend_plan": plan,
            # Roles configure and enable where this is false, and neither start nor reload nor probe.
            "hostmend_running": bool((result.get("system") or {}).get("running", True)),
        }

    def _plan(self, findings, catalog, common, task_vars):
        """Return the plan for a host, with what it was made by."""
        risk = self._max_risk(common, catalog, task_vars)
        made = controller.part("core.plan").for_host(
            findings,
            max_risk=risk,
            only=self._listed("hostmend_only", task_vars),
            skip=[*self._listed("hostmend_skip", task_vars), *self._listed("hostmend_left_alone", task_vars)],
            selected=self._selected(task_vars),
            order=catalog.order,
        )
        return {**made, "max_risk": risk}

    @staticmethod
    def _chosen_of(findings, plan):
        return controller.part("core.plan").chosen(findings, plan["mend"])

    def _max_risk(self, common, catalog, task_vars):
        risks = controller.part("core.plan").RISKS
        allowed = [common.get("max_risk") or "disruptive"]
        if boolean(self._value("hostmend_unattended", task_vars.get("hostmend_unattended", False), task_vars)):
            allowed.append(self._given("unattended_risk", catalog, task_vars))
        for one in allowed:
            if one not in risks[:3]:
                raise AnsibleActionFail(f"{one!r} is no risk: safe, restart or disruptive")
        return min(allowed, key=risks.index)

    def _given(self, name, catalog, task_vars):
        """Return a common option that no detector takes."""
        return self._chosen(f"hostmend_{name}", catalog.common[name], task_vars)

    def _chosen(self, variable, option, task_vars):
        """Return what the inventory says of an option, or its default."""
        if variable not in task_vars:
            return option.default
        return converted(variable, self._value(variable, task_vars[variable], task_vars), option)

    def _keep_to_windows(self, made):
        """Leave a host alone outside its maintenance windows; check mode foretells what would be done within them."""
        try:
            why = controller.part("core.maintenance_windows").closed(made["maintenance_windows"] or ())
        except controller.part("core.errors").HostmendError as error:
            raise AnsibleActionFail(str(error)) from error
        made["held"] = why if made["roles"] and not self._task.check_mode else ""
        if made["held"]:
            made.update(roles=[], mend=[])

    def _waived(self, findings, common, task_vars):
        """Return the findings, those that somebody answers for as waived."""
        waivers = controller.part("waivers")
        given = self._value("hostmend_waivers", task_vars.get("hostmend_waivers") or "", task_vars)
        place = self._loader.path_dwim(str(given)) if given else waivers.beside(task_vars.get("inventory_dir"))
        if place is None:
            return findings
        try:
            known = waivers.load(Path(place))
        except controller.part("core.errors").HostmendError as error:
            raise AnsibleActionFail(str(error)) from error
        return waivers.apply(findings, known, task_vars.get("inventory_hostname", ""), task_vars.get("group_names", ()))

    def _listed(self, name, task_vars):
        value = self._value(name, task_vars[name], task_vars) if name in task_vars else []
        if isinstance(value, str):  # -e hostmend_only=redis,ports
            value = [one.strip() for one in value.split(",") if one.strip()]
        return [str(one) for one in value or ()]

    def _selected(self, task_vars):
        """Return the findings of this host that a person has chosen; None where nobody was asked."""
        if "hostmend_selected" not in task_vars:
            return None
        chosen = task_vars["hostmend_selected"] or {}
        return [str(one) for one in chosen.get(task_vars.get("inventory_hostname"), ())]
