# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration files as text, byte for byte as they are, also where they are not UTF-8."""

import os
import tempfile
from typing import Any


def read(path: str) -> str:
    """Return a file's text, '' where there is none; other errors are raised."""
    try:
        with open(path, "rb") as handle:
            return handle.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def replace(module: Any, path: str, text: str) -> None:
    """Put a text in the place of a file's, whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "wb") as out:
        out.write(text.encode("utf-8", "surrogateescape"))
    module.atomic_move(temporary, path)


def write(module: Any, path: str, text: str) -> None:
    """Write a file that all may read, whole or not at all, and the folder that it is in."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    replace(module, path, text)
    os.chmod(path, 0o644)
