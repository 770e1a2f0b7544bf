# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel settings below /proc/sys."""

from typing import Any, Dict, List, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError


def path(name: str) -> str:
    """Return the file of a setting; a name has dots, or slashes where a part of it has a dot."""
    return "/proc/sys/" + (name if "/" in name else name.replace(".", "/"))


def read(subject: Dict[str, Any], keep: Any = None) -> Dict[str, Any]:
    """Return the value as the kernel has it now; None where it has no such setting."""
    try:
        with open(path(subject["name"])) as handle:
            return {"value": handle.read().strip()}
    except OSError:
        return {"value": None}


def aspects(image: Dict[str, Any]) -> Dict[str, Any]:
    """Return what can change by itself."""
    return {"value": image["value"]} if image["value"] is not None else {}


def describe(subject: Dict[str, Any], key: str) -> Tuple[str, str]:
    """Return (name, what of it) for an aspect."""
    return subject["name"], key


def restore(subject: Dict[str, Any], before: Dict[str, Any], now: Dict[str, Any], keys: List[str], blob: Any) -> List[str]:
    """Write the old value."""
    if before["value"] is None:
        return ["%s was not there before" % subject["name"]]
    try:
        with open(path(subject["name"]), "w") as handle:
            handle.write(before["value"])
    except OSError as error:
        raise HostError("%s cannot be written: %s" % (subject["name"], error.strerror))
    return []
