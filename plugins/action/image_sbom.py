# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the bill of materials of a host's packages on the controller."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.plugin_utils import controller, inventory_policy

FIELDS = ("name", "version", "arch", "source", "source_version")


class ActionModule(ActionBase):
    """Run the image_sbom module and write what it lists."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Run the module."""
        result = super().run(tmp, task_vars)
        del tmp
        answer = self._execute_module("hostmend.hardening.image_sbom", self._task.args, task_vars=task_vars)
        result.update(inventory_policy.result_of(answer))
        if result.get("failed") or self._task.check_mode:
            return result
        packages = [
            SimpleNamespace(**{name: str(one.get(name) or "") for name in FIELDS})
            for one in result.get("packages") or ()
            if isinstance(one, dict)
        ]
        system = {str(key): str(value) for key, value in (result.get("system") or {}).items()}
        given = os.environ.get("SOURCE_DATE_EPOCH", "")
        epoch = int(given) if given.isdecimal() else int(time.time())
        try:
            text = controller.part("image.sbom").render(packages, system, self._task.args.get("name", "image"), epoch)
        except ImportError as error:
            raise AnsibleActionFail(f"a bill of materials needs the Python package cyclonedx-python-lib: {error}") from error
        path = Path(self._loader.path_dwim(str(self._task.args["dest"])))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise AnsibleActionFail(f"{path} cannot be written: {error.strerror}") from error
        result["changed"] = False
        return result
