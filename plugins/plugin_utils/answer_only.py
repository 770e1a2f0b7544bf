# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module of the collection, and keep of its answer what is no order to the controller.

Each module that has nothing to do on the controller has this for its action.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.hostmend.hardening.plugins.plugin_utils import inventory_policy


class ActionModule(NormalAction):
    """Run the module that the task names."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module."""
        del tmp
        return inventory_policy.result_of(super().run(None, task_vars))
