"""Package versions in the order of dpkg and of rpm, by the library univers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

LONGEST = 256


class VersionError(ValueError):
    """A text that is no version."""


def compare(family: str, one: str, other: str) -> int:
    """Return -1, 0 or 1 as ``one`` is older than, the same as or newer than ``other``.

    :param family: ``deb`` or ``rpm``.
    :raises VersionError: where one of them is no version of that family.
    """
    mine, theirs = key(family, one), key(family, other)
    # Not by equality: 1.0 and 1.00 are the same version in other words.
    return -1 if mine < theirs else 1 if theirs < mine else 0


@functools.lru_cache(maxsize=32768)
def key(family: str, version: str) -> Any:
    """Return what sorts as the version does."""
    if not version or len(version) > LONGEST or not version.isascii() or not version.isprintable() or " " in version:
        raise VersionError(f"no version: {version[:80]!r}")
    try:
        return _parser(family)(version)
    except (ValueError, TypeError) as error:
        raise VersionError(f"no version: {version[:80]!r}") from error


@functools.cache
def _parser(family: str) -> Callable[[str], Any]:
    # Imported when wanted: most runs of Ansible compare no version.
    if family == "deb":
        from univers.debian import Version

        return Version.from_string
    from univers.rpm import RpmVersion

    return RpmVersion.from_string


def is_modular(version: str) -> bool:
    """True for a build of a module stream (``nodejs:20`` beside ``nodejs:18``): its order says nothing across streams."""
    return "module_el" in version or "module+el" in version


def upstream(version: str) -> str:
    """Return the upstream part of an rpm version: without epoch and release."""
    return version.rpartition(":")[2].rpartition("-")[0]
