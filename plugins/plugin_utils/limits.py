# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host may take of the controller: a module that never stops answering ends its own task alone."""

from __future__ import annotations

import contextlib
import re
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

#: The most memory that taking one answer may need, in bytes.
MOST_MEMORY = 512 * 1024 * 1024
TOO_LARGE = f"the host's answer takes more than {MOST_MEMORY // 1024 // 1024} MiB of memory"


@contextlib.contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """Let this process take at most so much more memory; beyond it a MemoryError is raised. Each task has its own process."""
    kept = resource.getrlimit(resource.RLIMIT_DATA)
    used = _data_size()
    if used is not None and kept[0] in (resource.RLIM_INFINITY, -1):
        wanted = used + more if kept[1] in (resource.RLIM_INFINITY, -1) else min(used + more, kept[1])
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, kept[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, kept)


def _data_size() -> int | None:
    """Return how many bytes of data this process has; None where that cannot be told (not on Linux)."""
    try:
        match = re.search(r"^VmData:\s*(\d+) kB$", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return None
    return int(match[1]) * 1024 if match else None


def execute(action: Any, module: str, arguments: Mapping[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
    """Run a module on the host of an action, and return its answer; a failure where the answer has no end."""
    try:
        with memory_limit(MOST_MEMORY):
            answer: dict[str, Any] = action._execute_module(module, dict(arguments), task_vars=task_vars)
            return answer
    except MemoryError:
        return {"failed": True, "changed": False, "msg": TOO_LARGE}
