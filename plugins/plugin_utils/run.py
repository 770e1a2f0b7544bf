# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run that a task belongs to: one name for all tasks of one ansible-playbook process."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time
from typing import Any

from ansible import constants
from ansible_collections.hostmend.hardening.plugins.plugin_utils import inventory_policy
from ansible_collections.hostmend.hardening.plugins.plugin_utils.controller import part


def born(pid: int) -> str:
    """Return when a process of this machine began, in words that are the same at each call; '' when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as handle:
            return handle.read().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        pass
    try:
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return shown.stdout.strip()


def _seconds(pid: int) -> float:
    """Return when a process began as seconds since the epoch."""
    try:
        with open("/proc/stat", encoding="ascii") as handle:
            boot = next(int(line.split()[1]) for line in handle if line.startswith("btime "))
        return boot + int(born(pid)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, StopIteration):
        return time.mktime(time.strptime(born(pid), "%a %b %d %H:%M:%S %Y"))


def controller() -> dict[str, Any]:
    """Return who runs this: the machine, and the process whose workers carry out the tasks."""
    pid = os.getppid()
    return {"name": socket.gethostname(), "pid": pid, "born": born(pid)}


def name() -> str:
    """Return the run's name: when the process began, and a part that no other process has."""
    who = controller()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(_seconds(who["pid"])))
    digest = hashlib.sha256(f"{who['name']} {who['pid']} {who['born']}".encode()).hexdigest()
    return f"{stamp}-{digest[:6]}"


def given(task_vars: dict[str, Any]) -> str:
    """Return the name that the caller gives the run, in signs that a path may have; '' where it gives none."""
    known = inventory_policy.without_facts(task_vars).get("hostmend_run")
    return re.sub(r"[^A-Za-z0-9._-]", "-", str(known)) if known else ""


def filled_in(task: Any, task_vars: dict[str, Any]) -> dict[str, Any]:
    """Return a task's arguments with the run and the role."""
    arguments = dict(task.args)
    arguments["run"] = arguments.get("run") or given(task_vars) or name()
    if not arguments.get("role"):
        role = getattr(task, "_role", None)
        arguments["role"] = role.get_name().rsplit(".", 1)[-1] if role else "play"
    arguments["run"] = re.sub(r"[^A-Za-z0-9._-]", "-", str(arguments["run"]))
    return arguments


def running(task_vars: dict[str, Any]) -> bool:
    """Tell whether the host is running; a root filesystem that is to become an image is not."""
    return bool((task_vars.get("ansible_facts") or {}).get("hostmend_running", True))


def note_failed(host: str) -> None:
    """Note for the tasks of other hosts, which run in other processes, that a role has failed on this one."""
    folder = pathlib.Path(constants.DEFAULT_LOCAL_TMP) / "hostmend-failed"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / hashlib.sha256(host.encode()).hexdigest()).write_text(host, "utf-8")


def failed() -> list[str]:
    """Return the hosts on which a role has failed in this run of Ansible."""
    folder = pathlib.Path(constants.DEFAULT_LOCAL_TMP) / "hostmend-failed"
    return sorted(path.read_text("utf-8") for path in folder.iterdir()) if folder.is_dir() else []


def note_change(host: str, change: dict[str, Any]) -> None:
    """Note what a task has changed, for the report of this run of Ansible."""
    with open(pathlib.Path(constants.DEFAULT_LOCAL_TMP) / "hostmend-changes", "a", encoding="utf-8") as handle:
        handle.write(json.dumps([host, change], default=str) + "\n")


def changes() -> dict[str, list[dict[str, Any]]]:
    """Return what was noted, by host, each change once."""
    path = pathlib.Path(constants.DEFAULT_LOCAL_TMP) / "hostmend-changes"
    made: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        host, change = json.loads(line)
        part("core.changes").add(made.setdefault(host, []), change)
    return made


def is_dead(holder: dict[str, Any]) -> bool:
    """True where the process that holds a host was one of this machine's and is gone."""
    if holder.get("controller") != socket.gethostname() or not holder.get("pid"):
        return False
    return born(int(holder["pid"])) != holder.get("born")
