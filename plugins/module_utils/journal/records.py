# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal's records: JSON objects with a checksum, so that a damaged file is told from one that is not there."""

import hashlib
import json
import os
from typing import Any, Dict, Iterable, Optional

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files

Record = Dict[str, Any]

CHECKSUM = "checksum"
# Times are shown to people and nothing is restored by them: the clock may be set, and a checksum need not cover them.
TIMES = ("started", "finished")
LARGEST = 64 * 1024 * 1024
MISMATCH = "its checksum does not match"


class DamagedError(HostError):
    """A file of the journal is there and is not what was written, or is missing where it must be."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        HostError.__init__(self, "%s is damaged: %s" % (path, reason))


def checksum(record: Record) -> str:
    """Return the digest of what a rollback goes by in a record."""
    covered = {name: value for name, value in record.items() if name != CHECKSUM and name not in TIMES}
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode("ascii")).hexdigest()


def write(path: str, record: Record) -> None:
    """Write a record: afterwards it is there whole, or not at all."""
    whole = dict(record)
    whole[CHECKSUM] = checksum(record)
    files.write_bytes(path, json.dumps(whole, indent=1, sort_keys=True).encode("ascii"))


def read(path: str, required: Iterable[str] = (), unsigned: Iterable[str] = ()) -> Optional[Record]:
    """Return a record, None where there is no such file; DamagedError where it is not as it was written.

    :param required: keys that the record must have.
    :param unsigned: a record without a checksum is taken where it has no other keys, as earlier versions wrote them.
    """
    try:
        with open(path, "rb") as handle:
            data = handle.read(LARGEST + 1)
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not os.path.lexists(path):
            return None
        raise DamagedError(path, "it cannot be read (%s)" % (error.strerror or error))
    return parse(path, data, required, unsigned)


def parse(path: str, data: bytes, required: Iterable[str], unsigned: Iterable[str]) -> Record:
    """Return the record in ``data``."""
    if not data.strip():
        raise DamagedError(path, "it is empty")
    if len(data) > LARGEST:
        raise DamagedError(path, "it is larger than %d bytes" % LARGEST)
    try:
        record = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise DamagedError(path, "it is cut short, or not JSON")
    if not isinstance(record, dict):
        raise DamagedError(path, "it is not a JSON object")
    known = record.pop(CHECKSUM, None)
    if known is None and (not record or not set(record) <= set(unsigned)):
        raise DamagedError(path, "its checksum is missing")
    try:
        right = known is None or known == checksum(record)
    except RecursionError:
        right = False
    if not right:
        raise DamagedError(path, MISMATCH)
    missing = [name for name in required if name not in record]
    if missing:
        raise DamagedError(path, "it has no %s" % missing[0])
    return record
