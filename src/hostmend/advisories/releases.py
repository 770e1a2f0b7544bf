"""The releases of distributions, by one key each: how advisories and how hosts name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: How a package's versions sort, and whether advisories name its source or its binary packages, by distribution.
FAMILIES: Mapping[str, str] = {
    "debian": "deb",
    "ubuntu": "deb",
    "almalinux": "rpm",
    "rocky": "rpm",
    "rhel": "rpm",
}

_OSV = (
    (re.compile(r"Debian:(\d{1,3})\Z"), "debian"),
    (re.compile(r"Ubuntu:(\d\d\.\d\d)(?::LTS)?\Z"), "ubuntu"),
    (re.compile(r"Ubuntu:Pro:(\d\d\.\d\d)(?::LTS)?\Z"), "ubuntu"),
    (re.compile(r"AlmaLinux:(\d{1,3})\Z"), "almalinux"),
    (re.compile(r"Rocky Linux:(\d{1,3})\Z"), "rocky"),
    # The releases that all subscribers get; extended support (rhel_eus ...) has versions of its own.
    (re.compile(r"Red Hat:enterprise_linux:(\d{1,3})(?:\.\d+)?(?:::.*)?\Z"), "rhel"),
)


def of_ecosystem(ecosystem: str) -> tuple[str, bool] | None:
    """Return the key of an OSV ecosystem and whether it is a paid extension of it; None for one that is not taken."""
    for pattern, name in _OSV:
        match = pattern.match(ecosystem)
        if match:
            return f"{name}:{match.group(1)}", ":Pro:" in ecosystem
    return None


def of_host(distribution: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys that a host's release goes by; none where no advisories of its distribution are known here.

    :param distribution: ``id``, ``version_id`` and ``codename``, as os-release has them.
    """
    name, version, codename = (
        value if isinstance(value := distribution.get(part), str) and re.fullmatch(r"[A-Za-z0-9._-]{1,40}", value) else ""
        for part in ("id", "version_id", "codename")
    )
    if name not in FAMILIES:
        return ()
    if name == "debian":  # the tracker speaks of codenames, OSV of numbers
        return tuple(f"debian:{one}" for one in (codename, version.split(".")[0]) if one)
    if name == "ubuntu":
        return (f"ubuntu:{version}",) if version else ()
    return (f"{name}:{version.split('.')[0]}",) if version else ()


def family(release: str) -> str:
    """Return ``deb`` or ``rpm`` for a release's key."""
    return FAMILIES[release.split(":", 1)[0]]
