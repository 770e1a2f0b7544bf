#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: report
short_description: Make one report of all hosts of the play
version_added: 0.1.0
description:
  - Makes one report from what M(hostmend.hardening.security_facts) found on each host of the play, joined with the
    catalogue. It runs on the controller only, once for all hosts.
  - It fails where a host could not be audited, or a role failed on it, after it has made the report of all of them.
  - It reads what the tasks before it registered as C(hostmend_audit) and C(hostmend_audit_after), as
    C(playbooks/audit.yml) and C(playbooks/remediate.yml) do.
author:
  - hostmend maintainers (@hostmend)
options:
  output:
    description:
      - Directory on the controller for C(report.json) and C(report.html). It is made where it is missing.
      - Left out, it is the variable C(hostmend_output); without that, nothing is written. What the facts of a host set does
        not count.
    type: path
  fail_on:
    description:
      - Fail when a finding of this severity or above is open. Left out, it is the variable C(hostmend_fail_on).
    type: str
    choices: [high, medium, low, never]
attributes:
  check_mode:
    description: The report is made in check mode too.
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
  ignore_errors: true
  ignore_unreachable: true

- name: Write the report
  hostmend.hardening.report:
    output: reports
  run_once: true
"""

RETURN = r"""
msg:
  description: The report in a few lines.
  returned: always
  type: list
  elements: str
  sample: ["web1: 3 open, 12 passed", "score 72 of 100"]
files:
  description: What was written on the controller.
  returned: when O(output) is given
  type: list
  elements: str
  sample: [/home/me/reports/report.json, /home/me/reports/report.html]
directory:
  description: Where it was written.
  returned: when O(output) is given
  type: str
  sample: /home/me/reports
score:
  description: The score of the fleet, of 100; null where no host could be audited.
  returned: always
  type: int
  sample: 72
"""
