# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's own Python, for plugins: the catalogue, the plan and the report."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail

COLLECTION = Path(__file__).resolve().parents[2]


def part(name: str) -> Any:
    """Return a module of hostmend, from where it is installed or from the sources that come with this collection."""
    source = COLLECTION / "src"
    if "hostmend" not in sys.modules:
        if (source / "hostmend").is_dir():
            sys.path.insert(0, str(source))  # the collection's own, so that both are of one version
        elif importlib.util.find_spec("hostmend") is None:
            raise AnsibleActionFail("The Python package hostmend is missing, and this collection has no copy of it.")
    return importlib.import_module(f"hostmend.{name}")


def catalog() -> Any:
    """Return the catalogue."""
    return part("catalog").load()


def near(name: str, known: list[str]) -> str:
    """Return words that name what may have been meant, or nothing."""
    match = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {match[0]}?)" if match else ""


def preload() -> None:
    """Read in the process that forks the workers what each of them would read again."""
    try:
        part("enrich").preload(catalog())
    except Exception:  # the task that needs it says what is wrong
        pass
