#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: image_sbom
short_description: Write a bill of materials of the packages of a host or image
version_added: 0.1.0
description:
  - Lists the installed packages of dpkg or rpm, and writes them on the controller as a CycloneDX bill of materials.
author:
  - hostmend maintainers (@hostmend)
options:
  dest:
    description: The file on the controller.
    type: path
    required: true
  name:
    description: What the image is called.
    type: str
    default: image
attributes:
  check_mode:
    description: The packages are listed, and nothing is written.
    support: full
  diff_mode:
    description: Nothing on the host changes.
    support: none
  action:
    description: The file is written by an action on the controller.
    support: full
"""

EXAMPLES = r"""
- name: List the packages
  hostmend.hardening.image_sbom:
    dest: reports/sbom.cdx.json
"""

RETURN = r"""
packages:
  description: The packages.
  returned: always
  type: list
  elements: dict
  sample: [{"name": "bash", "version": "5.2.15-2+b8", "arch": "amd64", "source": "bash", "source_version": "5.2.15-2"}]
system:
  description: What os-release says.
  returned: always
  type: dict
  sample: {"id": "debian", "version_id": "12", "pretty_name": "Debian GNU/Linux 12 (bookworm)", "manager": "dpkg"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host


def main():
    """List the packages."""
    module = AnsibleModule(
        argument_spec={"dest": {"type": "path", "required": True}, "name": {"type": "str", "default": "image"}},
        supports_check_mode=True,
    )
    host = Host(running=False)
    system, reading = host.system(), host.packages()
    if not reading.items:
        module.fail_json(msg="the packages cannot be listed: %s" % "; ".join(reading.gaps or ("neither dpkg nor rpm is here",)))
    manager = "dpkg" if host.exists("/var/lib/dpkg/status") else "rpm"
    module.exit_json(
        changed=False, packages=[dict(one._asdict()) for one in reading.items],
        system={"id": system.id, "version_id": system.version_id, "pretty_name": system.pretty_name, "manager": manager})


if __name__ == "__main__":
    main()
