# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values as JSON carries them, and texts that are printable."""

import math

from typing import Any, Iterable

DEEPEST = 20


def suggestion(name: Any, known: Iterable[str]) -> str:
    """Return the words that name what may have been meant, or nothing."""
    import difflib  # only where something is misspelt

    match = difflib.get_close_matches(str(name), list(known), n=1)
    return " (did you mean %s?)" % match[0] if match else ""


def printable(value: str) -> str:
    """Return text that is valid UTF-8 without control characters: others are written as ``\\xNN``."""
    if value.isprintable():
        return value
    return "".join(sign if sign.isprintable() or sign in "\n\t"
                   else "\\x%02x" % (ord(sign) - 0xdc00 if 0xdc80 <= ord(sign) <= 0xdcff else ord(sign))
                   for sign in value)


def json_safe(value: Any, depth: int = 0) -> Any:
    """Return ``value`` as JSON can carry it, every text of it printable."""
    if depth > DEEPEST:
        return "..."
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return dict((printable(str(key)), json_safe(part, depth + 1)) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return [json_safe(part, depth + 1) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted((json_safe(part, depth + 1) for part in value), key=str)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (bool, int)):
        return value
    return printable(str(value))
