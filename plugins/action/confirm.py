# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arm the host, and come in over a connection that is new in every part to confirm."""

from __future__ import annotations

import shlex
import time

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.plugin_utils import inventory_policy
from ansible_collections.hostmend.hardening.plugins.plugin_utils import run as runs

# A new login is asked for again this often, and given up after this many seconds.
PAUSE = 2.0
LOGIN_SECONDS = 10
SHARED = ("controlmaster", "controlpath", "controlpersist")
OWN = ["-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]


def without_sharing(arguments: str) -> list[str]:
    """Return arguments of ssh less those that share a connection."""
    kept, words = [], shlex.split(arguments or "")
    while words:
        word = words.pop(0)
        value = words.pop(0) if word == "-o" and words else word[2:] if word.startswith("-o") else None
        if value is None:
            kept.append(word)
        elif value.strip().replace("=", " ").split()[0].lower() not in SHARED:
            kept += ["-o", value]
    return kept


class ActionModule(ActionBase):
    """Run the confirm module."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Run the module."""
        result = super().run(tmp, task_vars)
        del tmp
        if not runs.running(task_vars or {}):
            return dict(result, changed=False, confirmed=True, fresh=False, skipped=True,
                        msg="nothing of this host is running, so nothing can be cut off")
        arguments = runs.filled_in(self._task, task_vars or {})
        if arguments.get("state") != "confirmed" or self._task.check_mode:
            result.update(self._call(arguments, task_vars))
            return result
        fresh = self._connection.transport != "local"
        until = time.monotonic() + int(arguments.get("seconds", 60)) + int(arguments.get("grace", 60))
        last = ""
        while True:
            try:
                if fresh:
                    self._connect_anew()
                answer = self._call(arguments, task_vars)
                # Only the module itself says this; a login or a become that failed does not.
                if "confirmed" in answer:
                    break
                last = str(answer.get("msg", ""))
            except AnsibleError as failure:
                last = str(failure)
            if time.monotonic() > until:
                return dict(result, failed=True, confirmed=False,
                            msg=f"the change was not confirmed, and the host did not come back: {last}")
            time.sleep(PAUSE)
        result.update(answer, fresh=fresh)
        return result

    def _call(self, arguments, task_vars):
        answer = self._execute_module("hostmend.hardening.confirm", arguments, task_vars=task_vars)
        return inventory_policy.result_of(answer)

    def _connect_anew(self):
        """Drop the connection and whatever it shares, and have the next one share nothing."""
        try:
            self._connection.reset()
        except (AnsibleError, NotImplementedError):
            self._connection.close()
        if self._connection.transport != "ssh":
            return
        for option in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
            kept = without_sharing(self._connection.get_option(option))
            self._connection.set_option(option, shlex.join(OWN + kept if option == "ssh_args" else kept))
        self._connection.set_option("timeout", LOGIN_SECONDS)
        self._connection.set_option("reconnection_retries", 0)
