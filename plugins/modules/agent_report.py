#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: agent_report
short_description: Collect the last report of a host's agent
version_added: 0.1.0
description:
  - Reads the last report that the agent has kept on the host, and keeps it on the controller where it is signed with
    the host's key, follows those before it and is of these days. It fails where it is not.
  - Where the controller knows no key of the host, it takes the host's, as the channel that it comes over is
    authenticated.
  - It changes nothing on the host. C(hostmend audit --from-agents auto) shows the report when the host cannot be
    reached.
author:
  - hostmend maintainers (@hostmend)
options:
  enrol:
    description:
      - V(first) takes the host's key where none is known, V(anew) also where another is known, V(never) never.
    type: str
    choices: [first, anew, never]
    default: first
  asked:
    description:
      - Filled in by the action, where it is to be told the host's key. Nothing that passes on the way holds the key itself.
    type: str
attributes:
  check_mode:
    description: It changes nothing on the host, and keeps nothing in check mode.
    support: full
  diff_mode:
    description: Nothing on a host changes.
    support: none
  action:
    description: An action on the controller verifies the report.
    support: full
"""

EXAMPLES = r"""
- name: Collect what the agent has found
  hostmend.hardening.agent_report:
"""

RETURN = r"""
agent:
  description: What became of the report.
  returned: always
  type: dict
  contains:
    signature:
      description: C(valid), C(invalid), C(unsigned), C(unenrolled), C(unreadable) or C(missing).
      returned: always
      type: str
    age_seconds:
      description: How old it is.
      returned: where it says so
      type: int
    sequence:
      description: Its number; each is above that of the report before it.
      returned: where it says so
      type: int
    score:
      description: The host's score, by the controller's catalogue, advisories and waivers.
      returned: where it counts
      type: int
    enrolled:
      description: Whether the host's key was taken just now.
      returned: always
      type: bool
  sample: {"kind": "agent", "signature": "valid", "age_seconds": 3600, "sequence": 1795602936, "score": 92}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import key_exchange
from ansible_collections.hostmend.hardening.plugins.module_utils.agent import paths


def main():
    """Read the last report."""
    module = AnsibleModule(
        argument_spec={
            "enrol": {"type": "str", "choices": ["first", "anew", "never"], "default": "first"},
            "asked": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        text = paths.read(paths.REPORT, paths.REPORT_LIMIT).decode("utf-8")
    except FileNotFoundError:
        installed = os.path.exists(paths.PACKAGE)
        module.exit_json(changed=False, why="its agent has not run yet" if installed else "it has no agent")
    except UnicodeDecodeError:
        module.exit_json(changed=False, why="the report of its agent is no text")
    except (OSError, ValueError) as error:
        module.exit_json(changed=False, why="the report of its agent cannot be read: %s"
                         % (getattr(error, "strerror", None) or error))
    told, key = {}, paths.read_key() if module.params["asked"] else None
    if key:
        try:
            told["sealed"] = key_exchange.seal(key, module.params["asked"])
        except ValueError as error:
            module.fail_json(msg="the key cannot be told: %s" % error)
    module.exit_json(changed=False, text=text, **told)


if __name__ == "__main__":
    main()
