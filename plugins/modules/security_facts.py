#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: security_facts
short_description: Find what is insecure on a host
version_added: 0.1.0
description:
  - Reads the host and returns what is insecure on it, class by class, in one round trip. It never changes anything.
  - What could not be checked is reported as C(unknown) with the reason, never as passed.
  - Run by its name in a task, it takes the policy from the C(hostmend_*) variables and joins each finding with its
    title, severity and fix. Named in C(facts_modules), it goes by its own defaults and returns the bare findings.
author:
  - hostmend maintainers (@hostmend)
options:
  gather_subset:
    description:
      - Classes to look at. V(all), names of classes, and C(!name) to leave one out.
    type: list
    elements: str
    default: [all]
  policy:
    description:
      - What the host is held to, as a dictionary of a dictionary of options for each class.
      - C(common) holds the options that all classes share.
    type: dict
    default: {}
  timeout:
    description: Seconds that all classes may take. What is not done by then is C(unknown).
    type: float
    default: 45
  class_timeout:
    description: Seconds that one class may take.
    type: float
    default: 20
  root:
    description: Root filesystem to look at. Other than V(/), nothing of it is running and nothing is executed.
    type: path
    default: /
  running:
    description:
      - Whether the root filesystem is that of a running system. Left out, it is found out; a chroot is not.
      - Say V(false) inside a container or chroot that is to become an image. Configuration and enablement are judged
        then, commands that read are run, and processes, sockets and rulesets, which are the builder's, are left alone.
    type: bool
attributes:
  check_mode:
    description: It does the same in check mode, as it changes nothing.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
  facts:
    description: It returns facts.
    support: full
  platform:
    description: Linux with Python 3.6 or newer.
    support: full
    platforms: linux
notes:
  - Named in C(facts_modules) beside others, it has as long as the play's C(gather_timeout) says, 10 seconds by default.
    A host on which apt keeps no cache of its own may need more.
  - Without root some things cannot be seen; the findings say which.
"""

EXAMPLES = r"""
- name: Find what is insecure
  hostmend.hardening.security_facts:

- name: Look at Redis and at the ports alone
  hostmend.hardening.security_facts:
    gather_subset: [redis, ports]

- name: Hold a host to a policy
  hostmend.hardening.security_facts:
    policy:
      ports:
        declared: [22/tcp, 443/tcp]

- name: Gather security facts with the ordinary ones
  hosts: all
  gather_facts: true
  gather_timeout: 60
  vars:
    ansible_facts_modules: [ansible.builtin.setup, hostmend.hardening.security_facts]
  tasks:
    - name: Show what was found
      ansible.builtin.debug:
        var: ansible_facts.hostmend_findings
"""

RETURN = r"""
ansible_facts:
  description: Facts about the security of the host.
  returned: always
  type: dict
  contains:
    hostmend:
      description: What was read, by class. Its content is that of the class.
      returned: always
      type: dict
      sample: {"services": {"units": []}}
    hostmend_findings:
      description: The same as RV(findings).
      returned: always
      type: list
      elements: dict
findings:
  description: One entry for each check and resource.
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: Id of the check.
      returned: always
      type: str
      sample: redis.no_auth
    class:
      description: The issue class.
      returned: always
      type: str
      sample: redis
    status:
      description: C(open), C(passed), C(not_applicable), C(unknown) or C(not_assessed).
      returned: always
      type: str
      sample: open
    resource:
      description: What the finding is about; the same words at every audit.
      returned: always
      type: str
      sample: redis-server 0.0.0.0:6379 (/etc/redis/redis.conf)
    evidence:
      description: What was seen. C(effective) is what runs, C(persistent) what holds after a reboot, C(observed) what
        probing showed. It never holds a secret.
      returned: always
      type: dict
    reason:
      description: Why, in a sentence. Always there for C(unknown).
      returned: always
      type: str
    severity:
      description: Set where the case differs from the severity of the check.
      returned: where it differs
      type: str
    level:
      description: Set where the case of an alert differs from the level of the check.
      returned: where it differs
      type: str
    risk:
      description: Set where the fix of this case has another risk than the check's usual one.
      returned: where it differs
      type: str
    references:
      description: References of this case alone.
      returned: where there are any
      type: list
      elements: str
    affects:
      description: Whom the fix would disturb, such as connected clients.
      returned: where there are any
      type: list
      elements: str
classes:
  description: What became of each class that was looked at.
  returned: always
  type: dict
  contains:
    status:
      description: C(ok), C(failed) or C(timeout).
      returned: for each class
      type: str
    reason:
      description: Why it failed.
      returned: for each class
      type: str
    seconds:
      description: How long it took.
      returned: for each class
      type: float
  sample: {"redis": {"status": "ok", "reason": "", "seconds": 0.12}}
system:
  description: What kind of host this is, with which privileges it was read, and which of its units have failed.
  returned: always
  type: dict
  sample: {"id": "debian", "version_id": "12", "init": "systemd", "container": null, "chroot": false, "root": true,
           "failed_units": []}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils import engine
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import DETECTORS
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host


def main():
    """Look at the host and say what was found."""
    module = AnsibleModule(
        argument_spec={
            "gather_subset": {"type": "list", "elements": "str", "default": ["all"]},
            "policy": {"type": "dict", "default": {}},
            "timeout": {"type": "float", "default": 45},
            "class_timeout": {"type": "float", "default": 20},
            "root": {"type": "path", "default": "/"},
            "running": {"type": "bool"},
        },
        no_log=True,  # a policy may hold passwords (words that count as weak); results must show their names all the same
        supports_check_mode=True,
    )
    given = module.params
    if given["timeout"] <= 0 or given["class_timeout"] <= 0:
        module.fail_json(msg="timeout and class_timeout must be above 0 seconds")
    root = os.path.realpath(given["root"])
    if not os.path.isdir(os.path.join(root, "etc")):
        module.fail_json(msg="%s is not a root filesystem: it has no directory etc" % given["root"])
    # Standing in the root keeps every reading independent of a working directory that may vanish.
    os.chdir("/")
    try:
        chosen = engine.select(given["gather_subset"], list(DETECTORS))
        policies = engine.merge(given["policy"], DETECTORS)
    except engine.PolicyError as error:
        module.fail_json(msg=str(error))
    host = Host(root, running=given["running"])
    facts, findings, classes = engine.run(host, dict((name, DETECTORS[name]) for name in chosen), policies,
                                          given["timeout"], given["class_timeout"])
    module.exit_json(
        changed=False,
        ansible_facts={"hostmend": facts, "hostmend_findings": findings},
        findings=findings,
        classes=classes,
        system=engine.json_safe(dict(host.system()._asdict(), failed_units=engine.failed_units(host))),
    )


if __name__ == "__main__":
    main()
