# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read and edit what logrotate is told, and read what it says. Pure functions of text."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

OWN_FILE = "/etc/logrotate.d/hostmend"
SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
PERIODS = {"hourly": 1 / 24, "daily": 1, "weekly": 7, "monthly": 30, "yearly": 365}

# Before 3.22: "weekly (4 rotations)"; since then: "weekly empty log files are rotated, (4 rotations), ..."
_ROTATING = re.compile(r"^rotating pattern: (.{0,4000}?)\s{1,8}(hourly|weekly|monthly|yearly|after (\d+) days|\d+ bytes)"
                       r"(?: [^(\n]*)?\((?:(\d+) rotations|no old logs will be kept)\)", re.MULTILINE | re.DOTALL)
_ENDS = re.compile(r"^(?:considering log|rotating pattern)", re.MULTILINE)
_ERROR = re.compile(r"^error: (.*)$", re.MULTILINE)


class Stanza(NamedTuple):
    """One block: for which files, where it stands, and its options with their lines."""

    file: str
    patterns: tuple
    opens: int  # the line of the brace
    closes: int
    options: dict  # {name: (value, line)}


def parse(text, file=""):
    """Return the stanzas of one file. Lines count from 1."""
    stanzas, waiting, current, script = [], [], None, False
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
                try:
                    waiting += shlex.split(part)
                except ValueError:
                    waiting += part.split()
            elif part and part not in "{}":
                waiting = []  # a global option
    return stanzas


def parse_debug(text):
    """Return ([{patterns, days, count, early}], [errors]) of what ``logrotate -d`` said; early: by size before its time."""
    rotations = []
    for match in _ROTATING.finditer(text):
        patterns, period, after, count = match.groups()
        try:
            names = shlex.split(patterns)
        except ValueError:
            names = patterns.split()
        days = float(after) if after else PERIODS.get(period)
        ends = _ENDS.search(text, match.end())
        rest = text[match.start():ends.start() if ends else None]
        rotations.append({"patterns": names, "days": days, "count": int(count or 0), "early": "are rotated earlier" in rest})
    return rotations, _ERROR.findall(text)


def with_option(text, stanza, name, value):
    """Return the text with an option set in one stanza: its line replaced, or one added after the brace."""
    lines = text.split("\n")
    word = "%s %s" % (name, value) if value else name
    if name in stanza.options:
        at = stanza.options[name][1] - 1
        pattern = r"(?<![\w-])%s(?:[ \t=]+[^\s}]+)?" % re.escape(name)
        lines[at] = re.sub(pattern, word, lines[at], count=1)
    else:
        at = stanza.opens - 1
        if stanza.opens == stanza.closes:
            lines[at] = lines[at].replace("{", "{\n\t%s\n" % word, 1)
        else:
            lines[at] += "\n\t%s" % word if lines[at].rstrip().endswith("{") else ""
            if not lines[at].endswith(word):
                lines[at] = lines[at].replace("{", "{\n\t%s\n" % word, 1)
    return "\n".join(lines)
