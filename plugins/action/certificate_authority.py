# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a private authority on the controller."""

from __future__ import annotations

import os

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Run it here, without a host."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Make the authority."""
        from ansible_collections.hostmend.hardening.plugins.plugin_utils import private_authority

        result = super().run(tmp, task_vars)
        del tmp
        _checked, given = self.validate_argument_spec(
            argument_spec={
                "certificate": {"type": "path", "required": True},
                "key": {"type": "path", "required": True, "no_log": False},
                "passphrase": {"type": "str", "no_log": True, "default": ""},
                "name": {"type": "str", "default": "Private authority"},
                "days": {"type": "int", "default": 3650},
                "domains": {"type": "list", "elements": "str", "default": []},
            }
        )
        places = {name: self._loader.path_dwim(given[name]) for name in ("certificate", "key")}
        there = [path for path in places.values() if os.path.lexists(path)]
        if given["certificate"] == given["key"]:
            return dict(result, failed=True, msg="certificate and key must be two files")
        if there:
            return dict(
                result,
                failed=True,
                msg=f"{' and '.join(there)}: there already, and an authority is never overwritten, as clients trust what the old "
                "one has signed. Name other files, or move the old ones away yourself",
            )
        try:
            private_authority.limits(given["domains"])
            if not self._task.check_mode:
                private_authority.create(
                    places["certificate"], places["key"], given["passphrase"], given["name"], given["days"], given["domains"])
        except private_authority.AuthorityError as error:
            return dict(result, failed=True, msg=f"No authority was made: {error}")
        return dict(result, changed=True, **places)
