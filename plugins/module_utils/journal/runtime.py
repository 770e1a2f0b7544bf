# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings that live in a running program, and the command that brings each back.

The command, what it reads and its environment may hold a secret: they are in the run's
directory only, which nobody but root reads, and never in a message.
"""

import hashlib
from typing import Any, Dict, List, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError


def read(subject: Dict[str, Any], keep: Any = None) -> Dict[str, Any]:
    """Return a digest of what the reading command prints; nothing where none was given."""
    argv = subject.get("read_argv")
    if not argv:
        return {}
    status, out, _err = process.run(argv, subject.get("stdin", ""), subject.get("env"))
    if status:
        return {}
    return {"sha256": hashlib.sha256(out.encode("utf-8", "surrogateescape")).hexdigest()}


def aspects(image: Dict[str, Any]) -> Dict[str, Any]:
    """Return what can change by itself."""
    return {"value": image["sha256"]} if image else {}


def describe(subject: Dict[str, Any], key: str) -> Tuple[str, str]:
    """Return (name, what of it) for an aspect."""
    return subject["name"], key


def restore(subject: Dict[str, Any], before: Dict[str, Any], now: Dict[str, Any], keys: List[str], blob: Any) -> List[str]:
    """Run the command that brings the setting back."""
    status, _out, _err = process.run(subject["restore_argv"], subject.get("restore_stdin", ""),
                                     subject.get("restore_env"))
    if status:
        raise HostError("%s could not be restored: its command ended with status %d" % (subject["name"], status))
    return []
