# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration files that include others, and what they say of certificates.

A use of a certificate is ``{file, certificate, key, names, ports}``: where it is named, the paths of the pair, the names
that the service has for it, and the ports that it is served on (empty: those of the service).
"""

import fnmatch
from typing import Any
from typing import Callable
from typing import Dict
from typing import Iterable
from typing import List
from typing import Optional
from typing import Tuple

MOST_FILES = 2000
MOST_SIGNS = 16 * 1024 * 1024
# What Host.read gives of one file.
LARGEST = 4 * 1024 * 1024
MOST_USES = 500
DEEPEST = 12
MOST_MATCHES = 2000

Use = Dict[str, Any]


class Files:
    """What a configuration is made of: ``read(path)`` gives text or None, ``list(folder)`` the names in it.

    Files and text are bounded, whatever includes what; what was left out is among the ``gaps``.
    """

    def __init__(self, read: Callable[[str], Optional[str]], listing: Callable[[str], List[str]]) -> None:
        self.read, self.listing = read, listing
        self.listed = {}  # type: Dict[str, List[str]]
        self.opened, self.signs = 0, 0
        self.gaps = []  # type: List[str]

    def open(self, path: str) -> str:
        """Return a file's text, '' and a gap where it cannot be read."""
        self.opened += 1
        if self.opened > MOST_FILES or self.signs > MOST_SIGNS:
            self.gap("more than %d files or %d MiB are included, by %s too" % (MOST_FILES, MOST_SIGNS // 1048576, path))
            return ""
        text = self.read(path)
        if text is None:
            self.gap("%s cannot be read" % path)
            return ""
        if len(text) >= LARGEST:
            self.gap("%s is read as far as %d MiB" % (path, LARGEST // 1048576))
        self.signs += len(text)
        return text

    def list(self, folder: str) -> List[str]:
        """Return the names in a folder, which is read once."""
        if folder not in self.listed:
            if len(self.listed) >= MOST_FILES:
                self.gap("more than %d folders are looked into, %s too" % (MOST_FILES, folder))
                return []
            self.listed[folder] = self.listing(folder)
        return self.listed[folder]

    def gap(self, text: str) -> None:
        """Remember once what could not be read."""
        if text not in self.gaps and len(self.gaps) < 50:
            self.gaps.append(text)

    def match(self, pattern: str) -> List[str]:
        """Return the paths that a glob means, stars in folders too."""
        if not any(sign in pattern for sign in "*?["):
            return [pattern]
        found = [""]
        for part in pattern.split("/")[1:]:
            if any(sign in part for sign in "*?["):
                found = ["%s/%s" % (folder, name) for folder in found for name in self.list(folder or "/")
                         if fnmatch.fnmatchcase(name, part) and (name[0] != "." or part[0] == ".")][:MOST_MATCHES]
            else:
                found = ["%s/%s" % (folder, part) for folder in found]
        return found


def use(file: str, certificate: str, key: str, names: Iterable[str] = (), ports: Iterable[int] = ()) -> Use:
    """Return one use of a certificate."""
    return {"file": file, "certificate": certificate, "key": key or certificate, "names": list(dict.fromkeys(names)),
            "ports": sorted(set(ports))}


def options(words: Any, *flags: str) -> List[Tuple[str, str]]:
    """Return (flag, the word behind it) of a command line, for each time that one of the flags stands in it."""
    words = list(words)
    return [(word, words[at + 1]) for at, word in enumerate(words[:-1]) if word in flags]
