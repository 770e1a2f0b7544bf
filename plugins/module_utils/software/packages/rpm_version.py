# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of versions of rpm."""

import re

PARTS = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
TILDE, END, CARET, WORD, NUMBER = range(5)


def key(version):
    """Return what sorts as a version does: epoch (0 where it has none), version and release."""
    epoch, colon, rest = version.rpartition(":")
    upstream, unused, release = rest.partition("-")
    return int(epoch) if colon and re.match(r"[0-9]{1,9}\Z", epoch) else 0, _parts(upstream), _parts(release)


def _parts(text):
    """Return the parts of a text: a tilde is older than its end, a caret newer, words newer yet, numbers the newest."""
    made = []
    for part in PARTS.findall(text):
        if part == "~":
            made.append((TILDE, 0, ""))
        elif part == "^":
            made.append((CARET, 0, ""))
        elif part.isalpha():
            made.append((WORD, 0, part))
        else:
            digits = part.lstrip("0")
            made.append((NUMBER, len(digits), digits))
    return made + [(END, 0, "")]
