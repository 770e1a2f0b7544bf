"""Text that came from a host, made safe to show: nothing in it moves a cursor, reorders a line or hides."""

import re
import unicodedata
from typing import Any, Mapping

#: Controls, signs that are not shown (direction, joining, tags), halves of characters, private and unassigned ones, and the
#: separators of lines and paragraphs.
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# What Unicode counts among letters and marks, and nobody sees: joiners, fillers, selectors of variants.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
_PLAIN = re.compile(r"[ -~]*\Z")
_NAMED = {9: "\\t", 10: "\\n", 13: "\\r"}

#: Where a pipeline takes lines of its log for commands: the variable that says so.
PIPELINES = ("GITHUB_ACTIONS", "GITEA_ACTIONS", "FORGEJO_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")
_COMMAND = re.compile(r"##(?=\[|vso\[|teamcity\[)")
_COMMAND_AT_START = re.compile(r"^([ \t]*):(?=:)", re.MULTILINE)


def _escape(sign: str) -> str:
    code = ord(sign)
    if code in _NAMED:
        return _NAMED[code]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_unsafe(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSAFE_CATEGORIES or bool(_INVISIBLE.match(sign))


def visible(value: Any, limit: int = 0) -> str:
    """Return ``value`` as one line of text in which every sign that cannot be seen is spelt out."""
    text = value if isinstance(value, str) else str(value)
    if limit and len(text) > limit:
        text = f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"
    if _PLAIN.match(text):
        return text
    return "".join(_escape(sign) if _is_unsafe(sign) else sign for sign in text)


def runs_in_pipeline(environ: Mapping[str, str]) -> bool:
    """Tell whether what is printed goes to a log in which some lines are commands."""
    return any(environ.get(name) for name in PIPELINES)


def without_commands(text: str, at_start: bool = True) -> str:
    r"""Return lines of a log in which none is a command to the pipeline; JSON stays JSON of the same meaning.

    :param at_start: whether the text begins at the start of a line.

    >>> without_commands("  ::stop-commands::x\n##[add-mask]y")
    '  \\u003a:stop-commands::x\n#\\u0023[add-mask]y'
    """
    text = _COMMAND.sub(lambda match: "#\\u0023", text)
    if at_start:
        return _COMMAND_AT_START.sub(r"\1\\u003a", text)
    head, divided, rest = text.partition("\n")
    return head + divided + _COMMAND_AT_START.sub(r"\1\\u003a", rest)


class LogStream:
    """A text stream whose lines go to the log of a pipeline: none of them is a command to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._at_start = True

    def write(self, text: str) -> int:
        """Write the text, and return its length."""
        if not isinstance(text, str):
            raise TypeError("only text is written")
        self._stream.write(without_commands(text, self._at_start))
        line = text.rpartition("\n")[2]
        # White space that begins a line does not end its beginning.
        self._at_start = (self._at_start or "\n" in text) and not line.strip()
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def words_of_age(seconds: int) -> str:
    """Return an age for a person."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"
