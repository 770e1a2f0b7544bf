#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: certificate_authority
short_description: Make the private authority that the role certificates signs with
version_added: 0.1.0
description:
  - Makes a key and a certificate that can sign for servers, as two files on the controller. It runs there, on no host.
  - An authority that is there is never overwritten, as clients trust what it has signed.
author:
  - hostmend maintainers (@hostmend)
options:
  certificate:
    description: The file of its certificate.
    type: path
    required: true
  key:
    description: The file of its key. What it signs is kept beside it, in a file that ends in C(.signed.jsonl).
    type: path
    required: true
  passphrase:
    description: The passphrase of the key. Without one only the mode of the file keeps it.
    type: str
    default: ""
  name:
    description: Its name, as clients see it.
    type: str
    default: Private authority
  days:
    description: How many days it is valid.
    type: int
    default: 3650
  domains:
    description:
      - The domains and networks that it can issue for, as name constraints, which clients enforce. A domain stands for itself
        and all names below it, one with a leading dot for those below it alone.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: It says that it would make one.
    support: full
  diff_mode:
    description: A key is not shown.
    support: none
  action:
    description: It is an action and runs on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Make an authority for one domain
  hostmend.hardening.certificate_authority:
    certificate: /etc/hostmend/authority.pem
    key: /etc/hostmend/authority.key
    passphrase: "{{ vault_authority_passphrase }}"
    domains: [internal.example.org, 10.20.0.0/16]
"""

RETURN = r"""
certificate:
  description: The file of its certificate.
  returned: success
  type: str
  sample: /etc/hostmend/authority.pem
key:
  description: The file of its key.
  returned: success
  type: str
  sample: /etc/hostmend/authority.key
"""
