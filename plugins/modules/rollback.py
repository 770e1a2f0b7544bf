#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rollback
short_description: Take back what a run changed
version_added: 0.1.0
description:
  - Brings back what M(hostmend.hardening.journal) kept, newest first, then checks, reloads and restarts what depends
    on it.
  - Compares three states of each thing, as it was before the run, as the run left it, and as it is now. What is
    still as the run left it goes back. What the run did not touch stays, also when it was edited since. Where
    somebody changed the very thing that the run had changed, nothing of that role is touched and the module fails,
    unless O(force) is set.
  - Run it as root (C(become)).
author:
  - hostmend maintainers (@hostmend)
options:
  state:
    description:
      - V(restored) takes a run back, V(listed) only says which runs there are.
    type: str
    choices: [restored, listed]
    default: restored
  run:
    description:
      - The name of the run. Left out, it is the run that the task itself belongs to. V(unfinished) means each run
        that was broken off, V(latest) the newest that is not restored yet.
    type: str
  roles:
    description:
      - Take back only what these roles did. Left out, it is the role that the task is in when O(failed) is given,
        and all roles otherwise.
    type: list
    elements: str
  known:
    description:
      - Whether a host that has no such run fails. Otherwise it is left as it is.
    type: bool
    default: true
  force:
    description:
      - Bring back also what somebody changed since.
    type: bool
    default: false
  failed:
    description:
      - For use in a C(rescue) section, with C(ansible_failed_result). When all is restored, the task fails with
        C(failed, restored) and the reason, so that the host counts as failed.
    type: raw
  wait:
    description:
      - How many seconds to wait for another process that works in the journal.
    type: int
    default: 30
  directory:
    description:
      - Where the journal is.
    type: path
    default: /var/lib/hostmend
attributes:
  check_mode:
    description: Says what would be restored, refused and not possible.
    support: full
  diff_mode:
    description: Shows each file and rule as it would become. Contents that not everybody may read are not shown.
    support: full
"""

EXAMPLES = r"""
- name: Take a whole run back
  hostmend.hardening.rollback:
    run: 20261124T103000Z-ab12cd

- name: See which runs this host knows
  hostmend.hardening.rollback:
    state: listed
"""

RETURN = r"""
restored:
  description: What was brought back, one item for each aspect of each thing.
  returned: when O(state=restored)
  type: list
  elements: dict
  sample: [{"role": "redis", "kind": "path", "name": "/etc/redis/redis.conf", "what": "content"}]
conflicts:
  description: What somebody changed since, and that was therefore refused.
  returned: when O(state=restored)
  type: list
  elements: dict
damaged:
  description:
    - What of the journal is damaged, each with the role that was therefore left untouched. All that is kept is verified
      before anything is touched.
  returned: when O(state=restored)
  type: list
  elements: dict
host_refused:
  description:
    - What the host did not do once its files were back, such as a start or a reload, with the unit, the command and the
      reason.
  returned: when O(state=restored)
  type: list
  elements: dict
  sample: [{"role": "services", "unit": "rpcbind.socket", "command": "systemctl start rpcbind.socket", "reason": "masked"}]
not_as_before:
  description: Units that ran or listened before the run and do not now; the module fails because of them.
  returned: when O(state=restored)
  type: list
  elements: dict
errors:
  description: What could not be brought back.
  returned: when O(state=restored)
  type: list
  elements: dict
notes:
  description: What else to know, such as what cannot be undone.
  returned: when O(state=restored)
  type: list
  elements: str
taken:
  description: The names of the runs that were taken back, wholly or in part. Empty where the host knows none of them.
  returned: when O(state=restored)
  type: list
  elements: str
runs:
  description:
    - The runs on this host, oldest first, with the state of each role. Those whose run.json is damaged come last,
      with C(state=damaged) and the reason in C(damage).
  returned: always
  type: list
  elements: dict
"""

import os
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import commit_confirm
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import orphans
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import store
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import undo
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError


def chosen(journal: store.Journal, asked: Dict[str, Any]) -> List[store.Run]:
    """Return the runs to take back, newest first."""
    if asked["run"] == "unfinished":
        return journal.unfinished()
    if asked["run"] == "latest":
        newest = journal.latest()
        return [newest] if newest else []
    run = journal.run(asked["run"] or "")
    if not run.exists:
        if asked["failed"] is not None or not asked["known"]:
            return []
        raise HostError("this host has no run %s" % asked["run"])
    return [run]


def listed(journal: store.Journal) -> List[Dict[str, Any]]:
    """Return what is known of each run, oldest first; those that are damaged last, with the reason."""
    found, damaged = journal.survey()
    runs: List[Dict[str, Any]] = []
    for run in found:
        head = run.started_head()
        entries, damage = run.inspect()
        runs.append({"run": run.name, "state": run.state, "roles": head["roles"], "started": head["started"],
                     "finished": head.get("finished"), "controller": head.get("controller"),
                     "entries": len(entries), "bytes": run.size(), "damage": [item.reason for item in damage]})
    for name, why in sorted(damaged.items()):
        runs.append({"run": name, "state": "damaged", "roles": {}, "started": None, "finished": None, "controller": None,
                     "entries": 0, "bytes": journal.run(name).size(), "damage": [why]})
    return runs


def troubles(result: Dict[str, Any]) -> List[str]:
    """Return what did not go back, each in one line."""
    found = ["%(name)s (%(what)s) was changed since by somebody else" % item for item in result["conflicts"]]
    return found + [item["error"] for item in result["damaged"] + result["errors"]]


def refusals(result: Dict[str, Any]) -> List[str]:
    """Return what the host did not do once its files were back, each in one line."""
    return ["%(command)s: %(reason)s" % item for item in result["host_refused"]]


def take_back(module: AnsibleModule, journal: store.Journal, asked: Dict[str, Any], result: Dict[str, Any]) -> None:
    """Take the runs back that were asked for, and fill in the result."""
    waits = asked["failed"] is None and not module.check_mode
    if waits and any(run.state == store.OPEN for run in chosen(journal, asked)):
        result["notes"] += filter(None, [orphans.wait(asked["wait"])])
    with journal.locked(asked["wait"]):
        for run in chosen(journal, asked):
            done = undo.rollback(run, asked["roles"], asked["force"], module.check_mode)
            result["changed"] = result["changed"] or done["changed"]
            result["restored"] += done["items"]
            result["taken"].append(run.name)
            for name in ("conflicts", "damaged", "errors", "host_refused", "not_as_before", "notes", "diff"):
                result[name] += done[name]
            if not module.check_mode and run.state != store.OPEN:
                commit_confirm.disarm(run)
                journal.release(run.name)


def reason(failed: Any) -> str:
    """Return why the role failed, in one line."""
    if isinstance(failed, dict):
        failed = failed.get("msg") or failed.get("stderr") or failed.get("reason") or "no message"
    text = " ".join(str(failed).split())[:500]
    return text[len("failed, restored: "):] if text.startswith("failed, restored: ") else text


def finish(module: AnsibleModule, asked: Dict[str, Any], result: Dict[str, Any]) -> None:
    """End the module by what came of it."""
    trouble, refused = troubles(result), refusals(result)
    differs = [item["reason"] for item in result["not_as_before"]]
    if asked["failed"] is not None:
        if module.check_mode:
            module.fail_json(msg="failed in check mode: %s" % reason(asked["failed"]), **result)
        outcome = "failed, NOT wholly restored (%s)" % "; ".join(trouble + differs + refused) if trouble or differs \
            else "failed, restored"
        module.fail_json(msg="%s: %s" % (outcome, reason(asked["failed"])), outcome=outcome, **result)
    if trouble:
        module.fail_json(msg="not taken back: %s" % "; ".join(trouble), **result)
    if differs:
        module.fail_json(msg="taken back, but the host is not as it was: %s" % "; ".join(differs + refused), **result)
    module.exit_json(**result)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=dict(
        state=dict(type="str", choices=["restored", "listed"], default="restored"),
        run=dict(type="str"),
        roles=dict(type="list", elements="str"),
        known=dict(type="bool", default=True),
        force=dict(type="bool", default=False),
        failed=dict(type="raw"),
        wait=dict(type="int", default=30),
        directory=dict(type="path", default=store.DIRECTORY),
    ), supports_check_mode=True)
    asked = module.params
    if os.geteuid() != 0 and asked["directory"] == store.DIRECTORY:
        module.fail_json(msg="the journal is root's: run the task with become")
    journal = store.Journal(asked["directory"])
    if asked["state"] == "listed":
        module.exit_json(changed=False, runs=listed(journal))
    result: Dict[str, Any] = {"changed": False, "restored": [], "conflicts": [], "damaged": [], "errors": [],
                              "host_refused": [], "not_as_before": [], "notes": [], "diff": [], "taken": []}
    try:
        take_back(module, journal, asked, result)
    except HostError as error:
        if asked["failed"] is not None and not module.check_mode:
            outcome = "failed, NOT wholly restored (%s)" % error
            module.fail_json(msg="%s: %s" % (outcome, reason(asked["failed"])), outcome=outcome, **result)
        module.fail_json(msg="nothing was taken back: %s" % error if not result["changed"] else str(error), **result)
    except OSError as error:
        module.fail_json(msg="the journal in %s cannot be used: %s" % (asked["directory"], error), **result)
    result["notes"] += ["the host refused %s" % text for text in refusals(result)]
    result["runs"] = [run for run in listed(journal) if run["run"] in result["taken"]]
    finish(module, asked, result)


if __name__ == "__main__":
    main()
