#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: agent_findings
short_description: Take the findings of a host that cannot be reached from the last report of its agent
version_added: 0.1.0
description:
  - Reads, on the controller, the last report of the host's agent, and returns its findings as
    M(hostmend.hardening.security_facts) would, joined with the controller's catalogue, waivers and plan.
  - It fails where the report is missing, was changed after it was signed, is signed with a key that is not enrolled,
    is older than one that is known already, is from the future, or is too old. Nothing in such a report is believed.
  - The host is not contacted.
author:
  - hostmend maintainers (@hostmend)
options:
  place:
    description:
      - A directory with a C(HOST.json) for each host, as hosts have pushed or an operator has copied them, or V(auto)
        for those that M(hostmend.hardening.agent_report) has collected.
    type: str
    default: auto
  max_age:
    description:
      - How old a report may be, as C(26h), C(90m) or C(2d). Left out, the variable C(hostmend_agent_max_age) says so.
    type: str
attributes:
  check_mode:
    description: It is the same in check mode.
    support: full
  diff_mode:
    description: Nothing on a host changes.
    support: none
  action:
    description: It is an action and runs on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Find what is insecure
  hostmend.hardening.security_facts:
  register: hostmend_audit
  ignore_unreachable: true

- name: Take what the agent has found where the host cannot be reached
  hostmend.hardening.agent_findings:
  when: hostmend_audit.unreachable | default(false)
  register: hostmend_audit_agent
"""

RETURN = r"""
findings:
  description: One entry for each check and resource, as M(hostmend.hardening.security_facts) returns them.
  returned: success
  type: list
  elements: dict
source:
  description: Where the findings are from.
  returned: always
  type: dict
  contains:
    kind:
      description: Always C(agent).
      returned: always
      type: str
    signature:
      description: C(valid), C(invalid), C(unsigned), C(unenrolled), C(unreadable) or C(missing).
      returned: always
      type: str
    age_seconds:
      description: How old the report is.
      returned: where it says so
      type: int
    sequence:
      description: Its number.
      returned: where it says so
      type: int
  sample: {"kind": "agent", "signature": "valid", "age_seconds": 3600, "sequence": 1795602936}
"""
