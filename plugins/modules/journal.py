#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: journal
short_description: Keep what is about to be changed, so that it can be brought back
version_added: 0.1.0
description:
  - Keeps files, units, packages, firewall rules, kernel settings and runtime settings as they are before a role
    changes them, in C(/var/lib/hostmend/runs/RUN/) on the host, for root only.
  - An entry is there whole or not at all, also after a power cut. The first state that a role keeps of a thing in a
    run stays; later calls do not overwrite it.
  - With O(state=done), what the role has made of it is noted too, so that a later rollback sees what others have
    changed since.
  - Holds the host for the run. A second run waits O(wait) seconds and is then told who holds it.
  - A run that was broken off on this host is taken back first, unless O(unfinished) says otherwise.
  - Run it as root (C(become)). It is the same in every role; see O(ignore:docs/safety.md) for the pattern.
author:
  - hostmend maintainers (@hostmend)
options:
  state:
    description:
      - V(started) keeps the state before a change, V(done) notes the state after it and closes the role in this run.
    type: str
    choices: [started, done]
    default: started
  run:
    description:
      - The name of the run. Left out, it is the same for all tasks of one C(ansible-playbook) process.
    type: str
  role:
    description:
      - The role that changes things. Left out, it is the role that the task is in.
    type: str
  paths:
    description:
      - Files, directories (with what is below them), links, and paths that do not exist yet.
    type: list
    elements: path
    default: []
  units:
    description:
      - Units of systemd whose enablement, mask or activity may change, or that run with what O(paths) configures.
        Those that are active are reloaded when a rollback brings paths of the same role back.
    type: list
    elements: str
    default: []
  firewall:
    description:
      - Whether the rules in the kernel may change. C(/etc/firewalld) and the rules of ufw are kept with them; other files
        that load rules at boot belong in O(paths).
    type: bool
    default: false
  sysctls:
    description:
      - Kernel settings, by the names that C(sysctl) takes.
    type: list
    elements: str
    default: []
  packages:
    description:
      - Packages that may be installed, upgraded or removed. One name is enough for all packages to be kept, as
        one brings others with it.
    type: list
    elements: str
    default: []
  runtime:
    description:
      - Settings in running programs, each with the command that brings it back.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it is, for people.
        type: str
        required: true
      restore_argv:
        description: The command that brings the setting back. Others see its arguments while it runs.
        type: list
        elements: str
        required: true
      restore_stdin:
        description: What the command reads; the place for a secret.
        type: str
      restore_env:
        description: More environment of the command; a place for a secret.
        type: dict
      read_argv:
        description: A command that prints the setting, to see later whether somebody changed it.
        type: list
        elements: str
      stdin:
        description: What O(runtime[].read_argv) reads.
        type: str
      env:
        description: More environment of O(runtime[].read_argv).
        type: dict
  validate:
    description:
      - Commands that must succeed once a rollback has brought the paths back and before it reloads anything, each as
        a list of arguments.
    type: list
    elements: list
    default: []
  irreversible:
    description:
      - What a rollback will not be able to undo, one sentence each. It is said by every rollback of this role.
    type: list
    elements: str
    default: []
  unfinished:
    description:
      - What to do with a run that was broken off on this host. V(rollback) takes it back, V(leave) goes on from the
        state it is in, V(fail) stops.
    type: str
    choices: [rollback, leave, fail]
    default: rollback
  wait:
    description:
      - How many seconds to wait for another run that holds this host.
    type: int
    default: 30
  lease:
    description:
      - How many seconds a run holds the host after its last word. A run whose process is gone from the controller
        that asks loses it at once.
    type: int
    default: 1800
  max_mebibytes:
    description:
      - How much one run may keep. What does not fit is an error before anything is changed.
    type: int
    default: 64
  keep_runs:
    description:
      - How many finished runs stay.
    type: int
    default: 30
  keep_days:
    description:
      - How many days finished runs stay. The newest five stay whatever their age and size, and nothing goes where the
        clock of the host is more than 90 days from the time of its newest run.
    type: int
    default: 365
  keep_mebibytes:
    description:
      - How much all runs may take before the oldest finished ones go.
    type: int
    default: 512
  directory:
    description:
      - Where the journal is.
    type: path
    default: /var/lib/hostmend
  controller:
    description:
      - Who runs this; filled in by the action plugin.
    type: dict
  take_from:
    description:
      - The name of a run that holds the host and is known to be dead; filled in by the action plugin.
    type: str
    default: ""
attributes:
  check_mode:
    description: Keeps nothing in check mode.
    support: full
  diff_mode:
    description: There is nothing to show, as it changes nothing of the host's configuration.
    support: none
"""

EXAMPLES = r"""
- name: Mend, or leave the host as it was
  block:
    - name: Keep the state before the change
      hostmend.hardening.journal:
        paths: [/etc/redis/redis.conf]
        units: [redis-server]
    - name: Change it
      ansible.builtin.include_tasks: mend.yml
    - name: Note the state after the change
      hostmend.hardening.journal:
        state: done
  rescue:
    - name: Bring the state before back
      hostmend.hardening.rollback:
        failed: "{{ ansible_failed_result }}"
"""

RETURN = r"""
run:
  description: The run's name, for C(hostmend rollback).
  returned: always
  type: str
  sample: 20261124T103000Z-ab12cd
kept:
  description: What was kept by this call.
  returned: always
  type: list
  elements: str
  sample: ["path /etc/redis/redis.conf", "unit redis-server.service"]
restored:
  description: Runs that were broken off and that this call took back first, each with what was done.
  returned: always
  type: list
  elements: dict
not_restored:
  description: What of a run that was broken off could not be taken back, and why. It is also a warning.
  returned: always
  type: list
  elements: str
damaged:
  description: Runs whose journal is damaged, each with the file and what is wrong with it. They are never pruned.
  returned: always
  type: list
  elements: str
pruned:
  description: Finished runs that went because of their number, age or size.
  returned: always
  type: list
  elements: str
holder:
  description: Who holds the host, when that is why the call failed.
  returned: failure
  type: dict
"""

import os
import time
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import resource_types
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import orphans
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import store
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import undo
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

ARGUMENTS = dict(
    state=dict(type="str", choices=["started", "done"], default="started"),
    run=dict(type="str"),
    role=dict(type="str"),
    paths=dict(type="list", elements="path", default=[]),
    units=dict(type="list", elements="str", default=[]),
    firewall=dict(type="bool", default=False),
    sysctls=dict(type="list", elements="str", default=[]),
    packages=dict(type="list", elements="str", default=[]),
    runtime=dict(type="list", elements="dict", default=[], options=dict(
        name=dict(type="str", required=True),
        restore_argv=dict(type="list", elements="str", required=True),
        restore_stdin=dict(type="str", no_log=True),
        restore_env=dict(type="dict", no_log=True),
        read_argv=dict(type="list", elements="str"),
        stdin=dict(type="str", no_log=True),
        env=dict(type="dict", no_log=True),
    )),
    validate=dict(type="list", elements="list", default=[]),
    irreversible=dict(type="list", elements="str", default=[]),
    unfinished=dict(type="str", choices=["rollback", "leave", "fail"], default="rollback"),
    wait=dict(type="int", default=30),
    lease=dict(type="int", default=1800),
    max_mebibytes=dict(type="int", default=64),
    keep_runs=dict(type="int", default=30),
    keep_days=dict(type="int", default=365),
    keep_mebibytes=dict(type="int", default=512),
    directory=dict(type="path", default=store.DIRECTORY),
    controller=dict(type="dict"),
    take_from=dict(type="str", default=""),
)


def hold(journal: store.Journal, asked: Dict[str, Any], about: Dict[str, Any]) -> None:
    """Take the host for this run, waiting for another as long as was asked."""
    until = time.monotonic() + asked["wait"]
    while True:
        try:
            with journal.locked(asked["wait"]):
                journal.hold(asked["run"], about, asked["lease"], asked["take_from"])
                return
        except store.Busy:
            if time.monotonic() >= until:
                raise
        time.sleep(0.5)


def start(journal: store.Journal, asked: Dict[str, Any], about: Dict[str, Any], result: Dict[str, Any]) -> None:
    """Keep the state before a change."""
    run = journal.run(asked["run"])
    hold(journal, asked, about)
    if asked["unfinished"] == "rollback" and journal.unfinished(but=run.name):
        orphans.wait(asked["wait"])
    with journal.locked(asked["wait"]):
        for other in journal.unfinished(but=run.name):
            if asked["unfinished"] == "fail":
                raise HostError("the run %s was broken off here; hostmend rollback %s takes it back"
                                % (other.name, other.name))
            if asked["unfinished"] == "rollback":
                done = undo.rollback(other)
                result["restored"].append(done)
                result["not_restored"] += ["the run %s was broken off here, and %s" % (other.name, item["error"])
                                           for item in done["damaged"] + done["errors"]]
                result["changed"] = result["changed"] or done["changed"]
        result["damaged"] = [why for name, why in sorted(journal.survey()[1].items()) if name != run.name]
        result["pruned"] = journal.prune(asked["keep_runs"], asked["keep_days"],
                                         asked["keep_mebibytes"] * store.MEBIBYTE, but=run.name)
        run.begin(asked["role"], about, number=0 if run.exists else journal.number(run.name),
                  validate=asked["validate"], irreversible=asked["irreversible"])
        for subject in resource_types.subjects(asked):
            if run.keep(asked["role"], subject, asked["max_mebibytes"] * store.MEBIBYTE):
                result["kept"].append("%(kind)s %(name)s" % subject)
        run.note_entries()


def finish(journal: store.Journal, asked: Dict[str, Any], result: Dict[str, Any]) -> None:
    """Note the state after the change and close the role."""
    run = journal.run(asked["run"])
    with journal.locked(asked["wait"]):
        if not run.exists:
            return
        for entry in run.keep_after(asked["role"]):
            result["kept"].append(entry)
        run.mark(store.DONE, asked["role"])
        if run.state != store.OPEN:
            journal.release(run.name)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = module.params
    result = {"changed": False, "run": asked["run"], "kept": [], "restored": [], "pruned": [], "damaged": [],
              "not_restored": []}
    if not asked["run"] or not asked["role"]:
        module.fail_json(msg="run and role are wanted: the action plugin fills them in, so name them in other use",
                         **result)
    if module.check_mode:
        module.exit_json(msg="check mode: nothing is kept, as nothing will be changed", **result)
    if os.geteuid() != 0 and asked["directory"] == store.DIRECTORY:
        module.fail_json(msg="the journal is root's: run the task with become", **result)
    about = asked["controller"] or {}
    about = {"controller": about.get("name", "unknown"), "pid": about.get("pid", 0), "born": about.get("born", "")}
    journal = store.Journal(asked["directory"])
    try:
        if asked["state"] == "done":
            finish(journal, asked, result)
        else:
            start(journal, asked, about, result)
    except store.Busy as busy:
        module.fail_json(msg=str(busy), holder=busy.holder, **result)
    except HostError as error:
        module.fail_json(msg="nothing was changed: %s" % error if asked["state"] == "started" else str(error), **result)
    except OSError as error:
        why = "the journal in %s cannot be written: %s" % (asked["directory"], error.strerror or error)
        module.fail_json(msg="nothing was changed: %s" % why if asked["state"] == "started" else why, **result)
    for text in result["not_restored"] + ["a run that cannot be taken back any more: %s" % why for why in result["damaged"]]:
        module.warn(text)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
