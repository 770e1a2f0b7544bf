"""What may go wrong, each in one line for a person."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path


class HostmendError(Exception):
    """hostmend cannot do its work; the message is one clear line."""


class StoreError(HostmendError):
    """The store of runs cannot be read or written."""


class AdvisoryError(HostmendError):
    """An advisory source, or the bundle of advisories, cannot be read or written."""


class StoppedError(HostmendError):
    """A person or the system asked the run to stop."""


def near(name: str, known: Iterable[str]) -> str:
    """Return words that name what may have been meant, or nothing."""
    known = list(known)
    match = difflib.get_close_matches(name, known, n=1)
    if not match:
        match = [one for one in known if one.split(".")[-1] == name][:1]
    return f" (did you mean {match[0]}?)" if match else ""


def place_of(error: BaseException) -> str:
    """Return type and place of an exception; its text might quote what a host holds."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
