"""What is still to be sent: held back in quiet hours, gathered for a digest, or refused by a service."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostmend.notify.message import ordered

#: Per channel; what is older or more is dropped.
ITEMS, RUNS, DAYS = 300, 20, 14


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Pending:
    """The state of all channels, in one file that only this user reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state: dict[str, Any] = {}

    @contextlib.contextmanager
    def alone(self) -> Iterator[dict[str, Any]]:
        """Read the state, let the caller change it, and keep it; one process at a time.

        A file that cannot be read as state is begun anew; OSError where it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            state: Any = None
            with contextlib.suppress(OSError, ValueError):
                state = json.loads(self.path.read_text("utf-8"))
            if not isinstance(state, dict):
                state = {}
            yield state
            self._write(state)
        finally:
            os.close(handle)

    def _write(self, state: dict[str, Any]) -> None:
        for channel in state.get("channels", {}).values():
            if isinstance(channel, dict) and len(channel["items"]) > ITEMS:
                channel["items"] = ordered(channel["items"])[:ITEMS]  # the least grave are dropped
        part = self.path.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(state, stream)
        part.replace(self.path)


def of_channel(state: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the part of a channel: its items, its runs, and when its last digest was sent."""
    channels = state.setdefault("channels", {})
    if not isinstance(channels.get(key), dict):
        channels[key] = {"items": [], "runs": [], "digest": now().isoformat()}
    part: dict[str, Any] = channels[key]
    return part


def add(part: dict[str, Any], items: list[dict[str, Any]], run: dict[str, Any]) -> None:
    """Put what a run found to what waits already."""
    at = now()
    stamp = at.isoformat()
    oldest = (at - datetime.timedelta(days=DAYS)).isoformat()
    kept = [one for one in part["items"] if str(one.get("at")) > oldest]
    known = {(one["host"], one["check"], one["resource"]) for one in items}
    kept = [one for one in kept if (one["host"], one["check"], one["resource"]) not in known]
    part["items"] = [*kept, *({**one, "at": stamp} for one in items)]
    part["runs"] = [*part["runs"], run][-RUNS:]


def take(part: dict[str, Any]) -> None:
    """Note that what waited was sent."""
    part["items"], part["runs"] = [], []
