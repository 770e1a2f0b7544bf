"""Compare a host's packages with the bundle: pure but for the reading of the bundle.

Debian and Ubuntu fix their source packages, so those are compared, by the version that the distribution itself has fixed
in that release: a backport's version counts, never an upstream one. The RPM distributions name binary packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hostmend.advisories import bundle, releases, versions

MOST_PACKAGES = 20_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,200}\Z")
_VERSION = re.compile(r"[A-Za-z0-9.+~^:_-]{1,200}\Z")
#: The sources of kernels; their packages are kept installed side by side.
_KERNEL_SOURCE = re.compile(
    r"linux(?:-(?:\d|signed|meta|restricted|oem|aws|azure|gcp|gke|hwe|kvm|lowlatency|nvidia|oracle|raspi).*)?\Z"
)
_ARCHITECTURE = re.compile(r"-(?:amd64|arm64|armhf|i386|loong64|riscv64)\Z")
_KERNEL_BINARY = re.compile(r"linux-image-(?:unsigned-)?(\d.*)\Z")
_KERNEL_RPM = re.compile(r"kernel(?:-(?:core|modules|modules-core|modules-extra|devel|headers|tools|tools-libs|uek.*|rt.*))?\Z")
_SEVERITY = {"h": "high", "m": "medium", "l": "low"}


@dataclass(frozen=True)
class Installed:
    """One package as it is compared: a source of Debian or Ubuntu, a binary package of an RPM distribution."""

    name: str
    version: str
    source: str
    packages: tuple[str, ...] = ()  # the binary packages that are meant


@dataclass(frozen=True)
class Match:
    """One CVE that an installed version has."""

    cve: str
    fixed: str | None
    state: str
    severity: str | None  # as the distribution says, None where it says nothing
    feed: int


@dataclass
class Result:
    """What comes of a comparison."""

    matches: dict[Installed, list[Match]] = field(default_factory=dict)
    compared: int = 0
    unreadable: int = 0  # entries of the host's list that are none, or have a version that is none
    incomplete: bool = False  # the host said that its list is not whole
    modular: set[str] = field(default_factory=set)  # packages of module streams that could not be compared
    undetermined: int = 0  # CVEs of which the distribution does not know yet
    unimportant: int = 0
    kernel: str = ""  # which kernel was compared, or why none was


def installed(packages: Any, family: str, kernel: str, running: bool) -> tuple[list[Installed], int, str]:
    """Return what is to be compared of a host's list, how many of its entries are none, and which kernel that holds.

    The list is the host's own word: nothing in it is believed but names and versions of the right form.

    :param packages: [name, version, source, source version] each.
    :param kernel: the running kernel's release; only its package is compared, or the newest where none runs.
    """
    entries = packages if isinstance(packages, (list, tuple)) else []
    bad = max(0, len(entries) - MOST_PACKAGES)
    merged: dict[tuple[str, str, str], list[str]] = {}
    kernels: list[Installed] = []
    for entry in entries[:MOST_PACKAGES]:
        if not _is_entry(entry):
            bad += 1
            continue
        name, version, source, source_version = entry
        if family == "rpm":
            if _KERNEL_RPM.match(name):
                kernels.append(Installed(name, version, source, (name,)))
            else:
                merged.setdefault((name, version, source), []).append(name)
        elif _KERNEL_SOURCE.match(source):
            # A signed image's source has a version of its own; its package has that of the kernel.
            if _KERNEL_BINARY.match(name):
                unsigned = _ARCHITECTURE.sub("", source.replace("-signed", ""))
                kernels.append(Installed(unsigned, version, unsigned, (name,)))
        else:
            merged.setdefault((source, source_version or version, source), []).append(name)
    made = [Installed(*key, tuple(names)) for key, names in merged.items()]
    ours, told = _kernel(kernels, family, kernel, running)
    return made + ours, bad, told


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, (list, tuple))
        and len(entry) == 4
        and all(isinstance(part, str) for part in entry)
        and bool(_NAME.match(entry[0]) and _VERSION.match(entry[1]) and _NAME.match(entry[2]))
        and bool(_VERSION.match(entry[3]) or not entry[3])
    )


def _kernel(found: list[Installed], family: str, kernel: str, running: bool) -> tuple[list[Installed], str]:
    """Return the packages of the kernel that runs, or of the newest where the system does not run."""
    if not found:
        return [], "no kernel is installed"
    if running:
        bare = re.sub(r"\.(x86_64|aarch64|ppc64le|s390x|i686)(\+\w+)?\Z", "", kernel)
        ours = [one for one in found if (one.version.rpartition(":")[2] == bare if family == "rpm" else _is_image(one, kernel))]
        told = f"the running {kernel}" if ours else f"the running {kernel} is of no installed package"
    else:
        readable = [one for one in found if _readable(family, one.version)]
        newest = max((versions.key(family, one.version) for one in readable), default=None)
        ours = [one for one in readable if versions.key(family, one.version) == newest]
        told = f"the newest installed, {ours[0].version}" if ours else "no version of a kernel can be read"
    return list(dict.fromkeys(ours)), told


def _is_image(one: Installed, kernel: str) -> bool:
    match = _KERNEL_BINARY.match(one.packages[0])
    return match is not None and match.group(1) == kernel


def _readable(family: str, version: str) -> bool:
    try:
        versions.key(family, version)
    except versions.VersionError:
        return False
    return True


def compare(found: Iterable[Installed], keys: Sequence[str], store: bundle.Bundle) -> Result:
    """Return the CVEs of installed packages."""
    family = releases.family(keys[0])
    found = list(found)
    rows = store.rows(keys, (one.name for one in found))
    made = Result()
    for one in found:
        if not _readable(family, one.version):
            made.unreadable += 1
            continue
        made.compared += 1
        all_rows = rows.get(one.name, ())
        said, is_tracker = _first_word(all_rows, store)
        matches = _of_package(one, said, is_tracker, family, made)
        if matches:
            made.matches[one] = _with_severity(matches, all_rows) if len(said) < len(all_rows) else matches
    return made


def _first_word(rows: Sequence[bundle.Row], store: bundle.Bundle) -> tuple[Sequence[bundle.Row], bool]:
    """Return the rows of the feeds whose word comes first (the tracker's where it speaks of the package).

    And whether each CVE is in one of them alone, as the tracker has it.
    """
    trackers = [row for row in rows if store.feeds[row.feed].kind == "debian"]
    return trackers or rows, bool(trackers)


def _with_severity(matches: list[Match], rows: Sequence[bundle.Row]) -> list[Match]:
    """Return the matches, those that can be fixed and have no severity by the tracker with what another source says."""
    lacking = {one.cve for one in matches if one.severity is None and one.fixed}
    letters: dict[str, str] = {}
    for row in rows if lacking else ():
        for token in row.cves.split(" "):
            cve, _equals, letter = token.partition("=")
            if letter and cve in lacking:
                letters[cve] = min(letter, letters.get(cve, letter), key="hml".index)
    return [replace(one, severity=_SEVERITY.get(letters.get(one.cve, ""), one.severity)) for one in matches]


def _of_package(one: Installed, rows: Sequence[bundle.Row], once: bool, family: str, result: Result) -> list[Match]:
    """Return the CVEs of one package. None of them is one that any advisory says the installed version has the fix for."""
    matches: dict[str, Match] = {}
    fixed_rows: list[bundle.Row] = []
    several: dict[str, list[bundle.Row]] = {}
    passed: set[int] = set()  # feeds whose rows, the newest version first, have come to one that is not newer
    for row in rows:
        if row.advisory is not None:
            several.setdefault(row.advisory, []).append(row)
        elif row.feed in passed and row.fixed is not None:
            fixed_rows.append(row)
        else:
            before = len(fixed_rows)
            _judge([row], one, family, matches, fixed_rows, result)
            if family == "deb" and row.fixed is not None and len(fixed_rows) > before:
                passed.add(row.feed)
    for spans in several.values():
        _judge(spans, one, family, matches, fixed_rows, result)
    if matches and not once:
        for row in fixed_rows:
            for token in row.cves.split(" "):
                matches.pop(token.partition("=")[0], None)
    return list(matches.values())


def _judge(
    spans: Sequence[bundle.Row],
    one: Installed,
    family: str,
    matches: dict[str, Match],
    fixed_rows: list[bundle.Row],
    result: Result,
) -> None:
    """Judge the spans of one advisory: the version is in one of them, or it has the fix, or it is of neither."""
    has_fix = False
    for row in spans:
        if row.state == bundle.UNAFFECTED:
            continue
        if row.state in (bundle.UNDETERMINED, bundle.UNIMPORTANT):
            if row.state == bundle.UNDETERMINED:
                result.undetermined += row.cves.count(" ") + 1
            elif row.fixed is None or versions.compare(family, one.version, row.fixed) < 0:
                result.unimportant += row.cves.count(" ") + 1
            else:
                has_fix = True
            continue
        bound = row.fixed or row.last
        if family == "rpm" and bound is not None and versions.is_modular(bound) | versions.is_modular(one.version):
            # Streams of a module are built side by side: their versions compare within one upstream version only.
            if not (versions.is_modular(bound) and versions.is_modular(one.version)):
                continue
            if versions.upstream(bound) != versions.upstream(one.version):
                if versions.compare(family, one.version, bound) < 0:
                    result.modular.add(one.name)
                continue
        if row.introduced is not None and versions.compare(family, one.version, row.introduced) < 0:
            continue
        if _is_before_the_end(one, row, family):
            for token in row.cves.split(" "):
                cve, _equals, letter = token.partition("=")
                _take(matches, Match(cve, row.fixed, row.state, _SEVERITY.get(letter), row.feed), family)
            return
        has_fix = True
    if has_fix:
        fixed_rows.extend(spans)


def _is_before_the_end(one: Installed, row: bundle.Row, family: str) -> bool:
    """Tell whether the version is older than the fix of a span, or no newer than the last one that it names."""
    if row.fixed is not None:
        return versions.compare(family, one.version, row.fixed) < 0
    return row.last is None or versions.compare(family, one.version, row.last) <= 0


def _take(matches: dict[str, Match], new: Match, family: str) -> None:
    """Keep of two advisories on one CVE the one that names a version with the fix; of two such the lower version."""
    old = matches.get(new.cve)
    if old is None:
        matches[new.cve] = new
        return
    better = (new.fixed is not None and new.state != bundle.PRO, new.fixed is not None)
    worse = (old.fixed is not None and old.state != bundle.PRO, old.fixed is not None)
    if better > worse or (better == worse and new.fixed and old.fixed and versions.compare(family, new.fixed, old.fixed) < 0):
        matches[new.cve] = Match(new.cve, new.fixed, new.state, new.severity or old.severity, new.feed)
    elif old.severity is None and new.severity is not None:
        matches[new.cve] = Match(old.cve, old.fixed, old.state, new.severity, old.feed)
