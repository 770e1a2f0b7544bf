# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read and edit logrotate's configuration, and read what it prints and which files its callers give it.

Pure functions of text.
"""

import fnmatch
import re
import shlex
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

CONFIGURATION = "/etc/logrotate.conf"
OWN_FILE = "/etc/logrotate.d/hostmend"
SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
PERIODS = {"hourly": 1 / 24, "daily": 1, "weekly": 7, "monthly": 30, "yearly": 365}
MOST_ERRORS = 500
MOST_READ = 500

# Before 3.22: "weekly (4 rotations)"; since then: "weekly empty log files are rotated, (4 rotations), ..."
_ROTATING = re.compile(r"^rotating pattern: (.{0,4000}?)\s{1,8}(hourly|weekly|monthly|yearly|after (\d+) days|\d+ bytes)"
                       r"(?: [^(\n]*)?\((?:(\d+) rotations|no old logs will be kept)\)", re.MULTILINE | re.DOTALL)
_ENDS = re.compile(r"^(?:considering log|rotating pattern)", re.MULTILINE)
_ERROR = re.compile(r"^error: (.*)$", re.MULTILINE)
_LINE = re.compile(r"(.{1,300}?):(\d{1,7}):? (.*)\Z", re.DOTALL)
_LOG = re.compile(r'"(/[^"]+)"|(/[^\s:,"\']+)')
_CALL = re.compile(r"(?:^|[\s;&|(])(?:/[\w./-]{0,100}/)?logrotate(?=\s)([^;&|#\n>]*)")
# The second says once more what was said before, the others only that logrotate has not run yet.
_FOLLOWS = ("found error in ", "error opening state file", "could not open state file")
_WITH_VALUE = ("-s", "--state", "-m", "--mail", "-l", "--log")


class Stanza(NamedTuple):
    """One block: for which files, where it stands, and its options with their lines."""

    file: str
    patterns: Tuple[str, ...]
    opens: int  # the line of the brace
    closes: int
    options: Dict[str, Tuple[str, int]]  # {name: (value, line)}


class Fault(NamedTuple):
    """An error that logrotate prints. "" and 0 for what it does not name."""

    file: str
    line: int
    log: str
    kind: str  # "su" | "missingok" | "duplicate" | "ignored" | "other"
    text: str
    pattern: Tuple[str, ...]  # those of the stanza at work


class Output(NamedTuple):
    """What ``logrotate -d`` prints."""

    rotations: List[Dict[str, Any]]  # {patterns, days, count, early}; early: by size before its time
    faults: List[Fault]
    read: List[str]  # the files that were read, in their order
    skipped: List[str]  # those of them that have no effect
    handled: bool  # whether it came so far as to look at logs


def parse(text: str, file: str = "") -> List[Stanza]:
    """Return the stanzas of one file. Lines count from 1."""
    stanzas = []  # type: List[Stanza]
    waiting = []  # type: List[str]
    current, script = None, False  # type: Optional[Stanza], bool
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if script:
            script = bare != "endscript"
            continue
        if not bare or bare.startswith("#"):
            continue
        for part in re.split(r"([{}])", bare):
            part = part.strip()
            if part == "{" and current is None:
                current = Stanza(file, tuple(waiting), number, number, {})
                waiting = []
            elif part == "}" and current is not None:
                stanzas.append(current._replace(closes=number))
                current = None
            elif part and current is not None:
                words = re.split(r"[\s=]+", part, maxsplit=1)
                current.options[words[0]] = (words[1].strip() if len(words) > 1 else "", number)
                script = words[0] in SCRIPTS
            elif part and part.startswith(("/", '"', "'", "~")):
                waiting += split(part)
            elif part and part not in "{}":
                waiting = []  # a global option
    return stanzas


def split(text: str) -> List[str]:
    """Return the words of a line as a shell takes them, or by blanks where quotes do not close."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether a log is one of the patterns, or matched by one; a star crosses no slash."""
    parts = path.split("/")
    for pattern in patterns:
        words = pattern.split("/")
        if path == pattern or (len(words) == len(parts) and all(
                fnmatch.fnmatchcase(part, word) for part, word in zip(parts, words))):
            return True
    return False


def parse_debug(text: str) -> Tuple[List[Dict[str, Any]], List[str]]:
    """Return ([{patterns, days, count, early}], [errors]) of what ``logrotate -d`` said; early: by size before its time."""
    rotations = []
    for match in _ROTATING.finditer(text):
        patterns, period, after, count = match.groups()
        days = float(after) if after else PERIODS.get(period)
        ends = _ENDS.search(text, match.end())
        rest = text[match.start():ends.start() if ends else None]
        rotations.append({"patterns": split(patterns), "days": days, "count": int(count or 0),
                          "early": "are rotated earlier" in rest})
    return rotations, _ERROR.findall(text)


class _Reader:
    """Follows the lines of ``logrotate -d``: which file is being read, and which stanza is at work."""

    def __init__(self) -> None:
        self.folder, self.file, self.log = "", "", ""
        self.pattern = ()  # type: Tuple[str, ...]
        self.read = []  # type: List[str]
        self.skipped = []  # type: List[str]
        self.faults = []  # type: List[Fault]

    def take(self, line: str) -> None:
        """Take in one line."""
        key, _space, rest = line.partition(": ")
        if key == "rotating pattern":
            match = _ROTATING.match(line)
            self.file, self.log, self.pattern = "", "", tuple(split(match.group(1) if match else rest))
        elif line.startswith("including "):
            self.folder = line[10:].strip()
        elif line.startswith("reading config file "):
            self.file = self._path(line[20:].strip())
            if len(self.read) < MOST_READ:
                self.read.append(self.file)
        elif line.startswith("considering log "):
            self.log = line[16:].strip()
        elif key == "error" and len(self.faults) < MOST_ERRORS:
            self._error(rest.strip())

    def _path(self, name: str) -> str:
        return name if name.startswith("/") or not self.folder else "%s/%s" % (self.folder.rstrip("/"), name)

    def _error(self, text: str) -> None:
        skips = re.match(r"found error in file (.+), skipping\Z", text)
        if skips:
            self.skipped.append(self._path(skips.group(1).strip()))
        ignored = re.match(r"Ignoring (.+?) because ", text)
        if ignored:
            path = self._path(ignored.group(1))
            self.skipped.append(path)
            self.faults.append(Fault(path, 0, "", "ignored", text, ()))
            return
        if text.startswith(_FOLLOWS) and (self.faults or "state file" in text):
            return
        at = _LINE.match(text)
        # The name of a file may have a colon; what stands before the line is the file that is being read, or no file.
        file, line, rest = self.file, 0, text
        if at and " " not in at.group(1) and (not at.group(1).startswith("/") or at.group(1) in self.read or not self.file):
            file, line, rest = self._path(at.group(1)), int(at.group(2)), at.group(3)
        self.faults.append(Fault(file, line, self._log_of(rest, file), _kind_of(rest), text, self.pattern))

    def _log_of(self, text: str, file: str) -> str:
        if text.startswith("unknown option"):
            return ""
        for quoted, bare in _LOG.findall(text):
            log = (quoted or bare).rstrip(",.")
            if log not in (self.file, file):
                return log
        return self.log


def _kind_of(text: str) -> str:
    if "insecure permissions" in text:
        return "su"
    if text.startswith("stat of ") and "No such file" in text:
        return "missingok"
    return "duplicate" if text.startswith("duplicate log entry") else "other"


def parse_output(text: str) -> Output:
    """Return what ``logrotate -d`` prints, each error with the file and line at fault."""
    reader = _Reader()
    for line in text.splitlines():
        reader.take(line)
    rotations, _errors = parse_debug(text)
    handled = re.search(r"^Handling \d+ logs", text, re.MULTILINE)
    return Output(rotations, reader.faults, reader.read, reader.skipped, handled is not None)


def without_effect(stanza: Stanza, output: Output) -> bool:
    """Tell whether logrotate passes over a stanza: its file is skipped, or was not read.

    A log that the main file has once more is complained of, and yet rotated by both stanzas.
    """
    return stanza.file in output.skipped or bool(output.read and stanza.file not in output.read)


def in_effect(stanzas: List[Stanza], output: Output, patterns: Iterable[str]) -> Optional[Stanza]:
    """Return the stanza that logrotate uses for these patterns; None where none is known."""
    wanted = tuple(patterns)  # type: Tuple[str, ...]
    usable = [stanza for stanza in stanzas if not without_effect(stanza, output)]
    exact = next((stanza for stanza in usable if stanza.patterns == wanted), None)
    return exact or next((stanza for stanza in usable if set(stanza.patterns) & set(wanted)), None)


def configurations(command: str) -> Optional[List[str]]:
    """Return the files that a command line gives to logrotate; None where it runs none, or only a dry run.

    A file that only the shell knows is given as it stands, with its ``$``.
    """
    result = None  # type: Optional[List[str]]
    for match in _CALL.finditer(command):
        words, files, dry = split(match.group(1)), [], False
        while words:
            word = words.pop(0)
            if word in _WITH_VALUE:
                words = words[1:]
            elif word in ("-d", "--debug", "--version", "--help", "--usage"):
                dry = True
            elif not word.startswith("-") and not word.isdecimal():
                files.append(word)
        if files and not dry:
            result = (result or []) + files
    return result


def su_for_all(text: str) -> bool:
    """Tell whether a main file says, outside of any stanza, as whom logs are rotated."""
    depth = 0
    for line in text.split("\n"):
        words = line.split("#", 1)[0].split()
        if words[:1] == ["su"] and len(words) == 3 and depth == 0:
            return True
        depth = max(0, depth + words.count("{") - words.count("}"))
        if words and words[-1] != "{" and words[-1].endswith("{"):
            depth += 1
    return False


def with_option(text: str, stanza: Stanza, name: str, value: str) -> str:
    """Return the text with an option set in one stanza: its line replaced, or a new line after the brace."""
    lines = text.split("\n")
    word = "%s %s" % (name, value) if value else name
    if name in stanza.options:
        at = stanza.options[name][1] - 1
        pattern = r"(?<![\w-])%s(?:[ \t=]+[^}]*?)?(?=[ \t]*(?:\}|\Z))" % re.escape(name)
        lines[at] = re.sub(pattern, lambda _match: word, lines[at], count=1)
    else:
        at = stanza.opens - 1
        if stanza.opens == stanza.closes:
            lines[at] = lines[at].replace("{", "{\n\t%s\n" % word, 1)
        else:
            lines[at] += "\n\t%s" % word if lines[at].rstrip().endswith("{") else ""
            if not lines[at].endswith(word):
                lines[at] = lines[at].replace("{", "{\n\t%s\n" % word, 1)
    return "\n".join(lines)


def normalized(faults: Iterable[Fault]) -> Set[str]:
    """Return errors in a form that stays the same when lines move: for a comparison of before and after."""
    return {re.sub(r"\d+", "N", fault.text) for fault in faults}
