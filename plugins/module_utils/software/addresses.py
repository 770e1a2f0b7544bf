# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses as configurations write them, and the files of folders."""

import fnmatch
import re
from typing import Any
from typing import Iterable
from typing import List
from typing import Optional
from typing import Tuple

Address = Tuple[int, str]
Listening = Tuple[str, int, str, int]

WILD = ((4, "0.0.0.0"), (6, "::"))
LOCAL = ((4, "127.0.0.1"), (6, "::1"))


def on(addresses: Iterable[Address], port: int, proto: str = "tcp") -> List[Listening]:
    """Return (proto, family, address, port) of each address."""
    return [(proto, family, address, port) for family, address in addresses]


def address_of(text: str) -> Optional[List[Address]]:
    """Return [(family, address)] of an address; None of a name."""
    text = text.strip().strip("[]")
    if text in ("", "*", "any"):
        return list(WILD)
    if text == "localhost":
        return list(LOCAL)
    if re.match(r"[0-9.]+\Z", text):
        return [(4, text)]
    if re.match(r"[0-9A-Fa-f:]+(%\w+)?\Z", text):
        return [(6, text)]
    return None


def all_on(texts: Iterable[str], port: int) -> Optional[List[Listening]]:
    """Return where a list of addresses listens; None where one of them is a name."""
    made = []  # type: List[Listening]
    for text in texts:
        addresses = address_of(text)
        if addresses is None:
            return None
        made += on(addresses, port)
    return made


def texts(host: Any, *patterns: str) -> List[str]:
    """Return the texts of files, a last part with ``*`` for all of that folder; '' of one that cannot be read."""
    made = []  # type: List[str]
    for pattern in patterns:
        folder, slash, name = pattern.rpartition("/")
        names = [one for one in host.list(folder) if fnmatch.fnmatchcase(one, name)] if "*" in name else [name]
        made += [host.read(folder + slash + one) or "" for one in names]
    return made
