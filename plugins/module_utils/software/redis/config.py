# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of Redis as its own parser reads it: quoting, includes, and the last value that wins."""

import fnmatch
import os
from typing import Callable, Dict, List, NamedTuple, Optional

MOST_FILES = 200
MOST_DEPTH = 16
MOST_TEXT = 8 * 1024 * 1024
MOST_STARS = 4
MOST_GAPS = 20
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}
DEFAULTS = {"protected-mode": ["yes"], "port": ["6379"]}

Read = Callable[[str], Optional[str]]
Listing = Callable[[str], List[str]]


def split_words(line: str) -> Optional[List[str]]:
    """Return the words of a line; None where its quotes do not match."""
    words: List[str] = []
    at = 0
    while True:
        while at < len(line) and line[at].isspace():
            at += 1
        if at >= len(line):
            return words
        word: List[str] = []
        at = _word(line, at, word)
        if at < 0:
            return None
        words.append("".join(word))


def _word(line: str, at: int, word: List[str]) -> int:
    """Read a word from ``at`` on; return where it ends, -1 where its quotes do not match."""
    while at < len(line) and not line[at].isspace():
        if line[at] in "\"'":
            return _quoted_part(line, at + 1, line[at], word)
        word.append(line[at])
        at += 1
    return at


def _quoted_part(line: str, at: int, quote: str, word: List[str]) -> int:
    while at < len(line):
        sign = line[at]
        if sign == quote:
            return at + 1 if at + 1 == len(line) or line[at + 1].isspace() else -1
        if sign == "\\" and at + 1 < len(line) and (quote == '"' or line[at + 1] == "'"):
            at = _escape(line, at + 1, quote, word)
            continue
        word.append(sign)
        at += 1
    return -1


def _escape(line: str, at: int, quote: str, word: List[str]) -> int:
    if quote == '"' and line[at] == "x" and len(line) > at + 2:
        try:
            word.append(chr(int(line[at + 1:at + 3], 16)))
            return at + 3
        except ValueError:
            pass
    word.append(ESCAPES.get(line[at], line[at]) if quote == '"' else line[at])
    return at + 1


def quoted(value: str) -> str:
    """Return a value as it is written in a configuration."""
    for sign, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(sign, escape)
    return '"%s"' % value


class Entry(NamedTuple):
    """A setting: its name, its words, and where it is given (``line`` 0: ``file`` is all that can be said)."""

    name: str
    words: List[str]
    file: str
    line: int

    @property
    def place(self) -> str:
        """``file:line`` of it."""
        return "%s:%d" % (self.file, self.line) if self.line else self.file


class Settings:
    """What the files and the command line say, in the order in which Redis reads them."""

    def __init__(self) -> None:
        self.entries: List[Entry] = []
        self.files: List[str] = []
        self.gaps: List[str] = []
        self.size = 0

    def gap(self, text: str) -> None:
        """Note what could not be read, once."""
        if text not in self.gaps and len(self.gaps) < MOST_GAPS:
            self.gaps.append(text)

    def winner(self, name: str) -> Optional[Entry]:
        """Return the entry of a name that wins: the last one."""
        for entry in reversed(self.entries):
            if entry.name == name:
                return entry
        return None

    def last(self, name: str) -> Optional[List[str]]:
        """Return the words of the last entry of a name, or the default's; None where there is neither."""
        entry = self.winner(name)
        return entry.words if entry else DEFAULTS.get(name)

    def first(self, name: str) -> str:
        """Return the first word of the last entry of a name, "" where there is none."""
        return (self.last(name) or [""])[0] if self.last(name) else ""

    def all(self, name: str) -> List[List[str]]:
        """Return the words of each entry of a name."""
        return [entry.words for entry in self.entries if entry.name == name]

    def place(self, name: str) -> str:
        """Return ``file:line`` of the entry that wins."""
        entry = self.winner(name)
        return entry.place if entry else ""

    def add_options(self, lines: List[str], source: str) -> None:
        """Add what a command line gives; it is read after all files."""
        for line in lines:
            words = split_words(line)
            if words:
                self.entries.append(Entry(words[0].lower(), words[1:], source, 0))


def read_settings(path: str, read: Read, listing: Listing, cwd: str = "/") -> Settings:
    """Return the Settings of a configuration file and of all that it includes.

    :param read: returns the text of a path, None where it cannot be read.
    :param listing: returns the names in a folder.
    """
    settings = Settings()
    _read(settings, path, read, listing, cwd, 0)
    return settings


def _read(settings: Settings, path: str, read: Read, listing: Listing, cwd: str, depth: int) -> None:
    if depth > MOST_DEPTH or len(settings.files) >= MOST_FILES:
        settings.gap("too many files are included")
        return
    path = os.path.normpath(os.path.join(cwd, path))
    text = read(path)
    if text is None:
        settings.gap("%s cannot be read" % path)
        return
    settings.files.append(path)
    settings.size += len(text)
    if settings.size > MOST_TEXT:
        settings.gap("its files are larger than %d MiB" % (MOST_TEXT >> 20))
        return
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        words = split_words(line)
        if not words:
            settings.gap("%s:%d cannot be parsed" % (path, number))
            continue
        name = words[0].lower()
        if name == "include" and len(words) == 2:
            if words[1].count("*") > MOST_STARS:
                settings.gap("%s:%d includes by a pattern that is too wide" % (path, number))
                continue
            for included in expand(words[1], listing, cwd):
                _read(settings, included, read, listing, cwd, depth + 1)
        else:
            settings.entries.append(Entry(name, words[1:], path, number))


def expand(pattern: str, listing: Listing, cwd: str) -> List[str]:
    """Return the files that an include means; a pattern that nothing matches means none."""
    pattern = os.path.normpath(os.path.join(cwd, pattern))
    if not any(sign in pattern for sign in "*?["):
        return [pattern]
    folder, name = os.path.split(pattern)
    return [os.path.join(folder, each) for each in listing(folder) if fnmatch.fnmatchcase(each, name)]


def edit(text: str, wanted: Dict[str, List[str]]) -> str:
    """Return the text with each setting of ``wanted`` given once, at the place of its last line or at the end.

    Other lines stay as they are. A value is a list of words that are written as they stand.
    """
    lines = text.split("\n")
    for name, words in wanted.items():
        _set(lines, name, " ".join([name] + list(words)))
    return "\n".join(lines)


def _set(lines: List[str], name: str, line: str) -> None:
    places = [number for number, each in enumerate(lines) if _name(each) == name]
    includes = [number for number, each in enumerate(lines) if _name(each) == "include"]
    # A line above an include could be overruled by it.
    if places and not (includes and includes[-1] > places[-1]):
        lines[places.pop()] = line
    elif lines and lines[-1] == "":
        lines.insert(len(lines) - 1, line)
    else:
        lines.append(line)
    for number in reversed(places):
        del lines[number]


def _name(line: str) -> str:
    line = line.strip()
    return "" if line[:1] in ("", "#") else (split_words(line) or [""])[0].lower()
