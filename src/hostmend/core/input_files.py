"""Files that a person names: read with a limit, whatever they turn out to be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hostmend.core.errors import HostmendError

LARGEST = 256 * 1024 * 1024


def read_text(path: Path, largest: int = LARGEST) -> str:
    """Return the UTF-8 text of a file of at most ``largest`` bytes; of a pipe too, but of no device.

    :raises OSError: where it cannot be read; UnicodeDecodeError where it is no UTF-8.
    :raises HostmendError: in one line, where it is a device or larger.
    """
    with path.open("rb") as stream:
        if stat.S_ISBLK(mode := os.fstat(stream.fileno()).st_mode) or (stat.S_ISCHR(mode) and not stream.isatty()):
            raise HostmendError(f"{path} is a device, and no file")
        data = stream.read(largest + 1)
    if len(data) > largest:
        raise HostmendError(f"{path} is larger than {largest} bytes")
    return data.decode("utf-8")
