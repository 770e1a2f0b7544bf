"""What a run leaves behind, such as SSH's shared connections: children of this process, and ended with it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Have what the run leaves behind, such as SSH's shared connections, become children of this process."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(seconds: float = 5.0) -> None:
    """End what the run has left behind: the unit is done when its run is, and its user can be removed."""
    deadline = time.monotonic() + seconds
    number = signal.SIGTERM
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = _children()
        if not left or time.monotonic() > deadline + seconds:
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        time.sleep(0.1)
        if time.monotonic() > deadline:
            number = signal.SIGKILL


def _children() -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        for task in Path("/proc/self/task").iterdir():
            found += [int(one) for one in (task / "children").read_text("ascii").split()]
    return found
