"""Text that came from a host, made safe to show: nothing in it moves a cursor or reorders a line."""

from __future__ import annotations

import re
from typing import Any

# Controls (C0 without nothing, DEL, C1), bidirectional overrides and isolates, line separators, lone surrogates,
# zero-width and byte-order marks.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if named:
        return named
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def visible(value: Any, limit: int = 0) -> str:
    """Return ``value`` as one line of text in which every control character is spelt out."""
    text = value if isinstance(value, str) else str(value)
    if limit and len(text) > limit:
        text = f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"
    return _UNSAFE.sub(_escape, text) if not text.isprintable() or _UNSAFE.search(text) else text


def words_of_age(seconds: int) -> str:
    """Return an age for a person."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"
