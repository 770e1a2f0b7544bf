# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the module, and obey nothing that the host answers."""

from __future__ import annotations

from ansible_collections.hostmend.hardening.plugins.plugin_utils.answer_only import ActionModule

__all__ = ["ActionModule"]
