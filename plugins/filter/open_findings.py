# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of one class among those that were chosen to be mended."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError


def open_findings(findings: Any, name: str) -> list[Any]:
    """Return the findings of the class ``name``; which of them are mended was chosen before, by the plan."""
    if findings is None:
        return []
    if not isinstance(findings, (list, tuple)):
        raise AnsibleFilterError(f"open_findings takes a list of findings, not {type(findings).__name__}")
    if not all(isinstance(finding, dict) for finding in findings):
        raise AnsibleFilterError("open_findings takes a list of findings: one of these is no dictionary")
    return [finding for finding in findings if finding.get("class") == name]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return them by name."""
        return {"open_findings": open_findings}
