# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables as the operator has set them: without what a host says of itself, which Ansible ranks above an inventory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleActionFail

#: Members of a result that Ansible obeys whichever module answers with them. (It drops add_host and add_group itself.)
ORDERS = frozenset(("ansible_facts", "ansible_stats"))
#: The facts that security_facts itself sets.
OWN = frozenset(("hostmend", "hostmend_findings", "hostmend_plan", "hostmend_running"))


def facts_of(task_vars: dict[str, Any]) -> dict[str, Any]:
    """Return the variables that the facts of this task's host would set."""
    manager = getattr(task_vars.get("hostvars"), "_variable_manager", None)
    cache = getattr(manager, "_fact_cache", None)
    host = task_vars.get("inventory_hostname")
    try:
        if cache is not None and host is not None:
            return dict(cache.get(host) or {})
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    # Under ansible_facts the names are without their prefix, so both may be meant.
    facts = task_vars.get("ansible_facts") or {}
    return {**facts, **{f"ansible_{name}": value for name, value in facts.items()}}


def without_facts(task_vars: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a task, without those that come from the facts of its host."""
    facts = facts_of(task_vars)
    return {name: value for name, value in task_vars.items() if name not in facts or not _same(value, facts[name])}


def of_operator(task_vars: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a task without those that come from the facts of its host.

    :raises AnsibleActionFail: where such a fact is in the place of a policy: it hides what the inventory says.
    """
    known = without_facts(task_vars)
    lost = sorted(name for name in task_vars if name not in known and name.startswith("hostmend_") and name not in OWN)
    if lost:
        host = known.get("inventory_hostname") or "the host"
        raise AnsibleActionFail(f"the facts of {host} set {lost[0]}, which is the inventory's to say")
    return known


def of_other(hostvars: Any, name: str, wanted: Iterable[str]) -> dict[str, Any]:
    """Return those of another host's variables that are wanted, without any that comes from its facts."""
    facts = facts_of({"hostvars": hostvars, "inventory_hostname": name})
    variables = hostvars[name]
    given = {key: variables[key] for key in wanted if key in variables}
    return {key: value for key, value in given.items() if key not in facts or not _same(value, facts[key])}


def role_of(task: Any) -> str:
    """Return the short name of the role that a task belongs to, or nothing."""
    role = getattr(task, "_role", None)
    return str(role.get_name()).rsplit(".", 1)[-1] if role else ""


def result_of(answer: Any) -> dict[str, Any]:
    """Return a module's result without what Ansible would obey: what a host answers is no variable and no inventory."""
    return {name: value for name, value in dict(answer).items() if name not in ORDERS}


def _same(value: Any, fact: Any) -> bool:
    try:
        return bool(value == fact)
    except Exception:  # what cannot be compared cannot be told apart
        return True
