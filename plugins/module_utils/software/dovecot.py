# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dovecot: what doveconf says, in the words of 2.3 and of 2.4."""

import re
from typing import Any
from typing import Dict
from typing import List

from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

CONFIG = "/etc/dovecot/dovecot.conf"
PAIR = re.compile(r"(?:ssl_(alt_)?(cert|key)|(?:ssl_server_)?(?:(alt)_)?(cert|key)_file)\s*=\s*(?:<\s*)?(/\S.*)")


def certificates(text: str, file: str) -> List[config_files.Use]:
    """Return the uses that ``doveconf`` tells of: ``ssl_cert = </path`` in 2.3, ``ssl_server { cert_file = ... }`` in 2.4."""
    made = []  # type: List[config_files.Use]
    stack = [{}]  # type: List[Dict[str, Any]]
    on = re.search(r"^ssl\s*=\s*(\S+)", text, re.M)
    for line in text.split("\n"):
        line = line.strip()
        if line.endswith("{"):
            # 2.4 prints the block of a name around that of its pair.
            above = stack[-1].get("names", []) if line.startswith("ssl_server") else []
            stack.append({"names": line.split()[1:-1] if line.startswith("local_name") else above})
        elif line == "}":
            if len(stack) > 1:
                made += _pairs(stack.pop(), file)
        else:
            match = PAIR.match(line)
            if match:
                kind = ("alt_" if match.group(1) or match.group(3) else "") + (match.group(2) or match.group(4))
                stack[-1][kind] = match.group(5).strip().strip('"')
    for one in stack:
        made += _pairs(one, file)
    return [] if on and on.group(1) == "no" else made


def _pairs(block: Dict[str, Any], file: str) -> List[config_files.Use]:
    return [config_files.use(file, block[kind + "cert"], block.get(kind + "key", ""),
                             [one.strip('"').lower() for one in block.get("names", ())])
            for kind in ("", "alt_") if block.get(kind + "cert")]


def facts(text: str) -> Dict[str, str]:
    """Return the version of Dovecot by ``doveconf -n``, which its log hangs on, and whether PAM knows its passwords."""
    version = re.match(r"# (\d+\.\d+)", text)
    pam = re.search(r"^[ \t]*(?:passdb\s+pam\b|driver\s*=\s*pam\b)", text, re.M)
    return {"version": version.group(1) if version else "", "usepam": "yes" if pam else "no"}
