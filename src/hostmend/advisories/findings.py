"""Findings of the check ``updates.cve``: what the controller makes of a host's packages and the bundle.

Whatever runs the detectors (the action plugin, the reports of agents) calls :func:`join` before findings are joined with
the catalogue. The host's facts are its own word: they are compared, and never believed beyond that.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hostmend.advisories import MAX_AGE_DAYS, bundle, match, releases, versions
from hostmend.core.errors import AdvisoryError
from hostmend.core.finding import SEVERITIES

CHECK, PENDING = "updates.cve", "updates.security_pending"
REST = "installed packages"
UNFIXED = "packages without a fixed version"
UNSEEN = "containers and static binaries"
#: CVEs that a finding names; the rest are counted.
MOST_NAMED = 40
MOST_EXPLAINED = 20
#: From this probability of exploitation within 30 days on, a CVE is no longer of low severity.
LIKELY = 0.5
_SEVERITY_ORDER = {name: place for place, name in enumerate(SEVERITIES)}
_WHY = {
    bundle.OPEN: "no fixed version yet",
    bundle.NO_DSA: "no fixed version: the distribution calls it minor",
    bundle.POSTPONED: "no fixed version: the distribution has put it off to a later update",
    bundle.IGNORED: "no fixed version: the distribution will not fix it in this release",
    bundle.END_OF_LIFE: "no fixed version: the package has no security support in this release any more",
}


def join(
    findings: Sequence[dict[str, Any]],
    facts: Any,
    system: Any,
    path: Path,
    max_age_days: float = MAX_AGE_DAYS,
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """Return a host's findings, what its detector could not say of CVEs replaced by what the bundle says.

    :param findings: as detectors made them; where none is about ``updates.cve`` nothing is done.
    :param facts: those of the class ``updates``: ``packages`` ([name, version, source, source version] each) and
        ``distribution`` (``id``, ``version_id``, ``codename``).
    :param system: that of security_facts: ``kernel`` and ``running``.
    :param path: the bundle.
    """
    packages = facts.get("packages") if isinstance(facts, Mapping) else None
    if not isinstance(packages, (list, tuple)) or not packages:
        return list(findings)
    if not any(one.get("check") == CHECK for one in findings):
        return list(findings)
    system = system if isinstance(system, Mapping) else {}
    try:
        made, judged = _judge(facts, packages, system, path, max_age_days, now or datetime.now(UTC))
    except AdvisoryError as error:
        made, judged = [_finding("unknown", REST, reason=str(error))], {}
    except ImportError as error:  # a collection without the package hostmend and what that brings along
        reason = f"the Python package {error.name} is missing on the controller: versions cannot be compared"
        made, judged = [_finding("unknown", REST, reason=reason)], {}
    # Whatever the host itself says of this check is not kept.
    return [_with_cves(one, judged) for one in findings if one.get("check") != CHECK] + made


def preload() -> None:
    """Import in a process that will be forked what comparing takes."""
    with contextlib.suppress(ImportError, versions.VersionError):
        for family in sorted(set(releases.FAMILIES.values())):
            versions.key(family, "1-1")


Judged = dict[str, "Package"]


class Package:
    """The CVEs of one source package, the gravest first."""

    def __init__(self, source: str, family: str) -> None:
        self.source, self.family = source, family
        self.versions: dict[str, None] = {}
        self.names: dict[str, None] = {}
        self.matches: dict[str, match.Match] = {}
        self.known: dict[str, bundle.Exploitation] = {}

    def add(self, one: match.Installed, matches: Iterable[match.Match]) -> None:
        self.versions[one.version] = None
        self.names.update(dict.fromkeys(one.packages))
        for each in matches:
            self.matches.setdefault(each.cve, each)

    @functools.cached_property
    def ranked(self) -> tuple[list[match.Match], list[match.Match]]:
        """The CVEs that no version fixes, and those that one does: by severity, exploitation and EPSS."""
        parts: tuple[list[match.Match], list[match.Match]] = ([], [])
        for one in sorted(self.matches.values(), key=self.rank):
            parts[is_fixable(one)].append(one)
        return parts

    @property
    def fixable(self) -> list[match.Match]:
        return self.ranked[1]

    @property
    def unfixed(self) -> list[match.Match]:
        return self.ranked[0]

    def exploitation(self, one: match.Match) -> bundle.Exploitation:
        return self.known.get(one.cve, bundle.NOTHING_KNOWN)

    def rank(self, one: match.Match) -> tuple[int, bool, float, str]:
        known = self.exploitation(one)
        return _SEVERITY_ORDER[severity(one, known)], known.kev is None, -(known.epss or 0.0), one.cve


def is_fixable(one: match.Match) -> bool:
    """True where the distribution has released a version with the fix to everybody."""
    return one.state == bundle.RESOLVED and one.fixed is not None


def severity(one: match.Match, known: bundle.Exploitation) -> str:
    """Return how grave a CVE is on a host: by the distribution's word, and high where it is known to be exploited."""
    if known.kev is not None:
        return "high"
    if is_fixable(one) or one.state in (bundle.END_OF_LIFE, bundle.PRO):
        made = one.severity or "medium"
    elif one.state == bundle.OPEN:
        made = one.severity or "low"
    else:  # the distribution has looked at it, and calls it minor
        made = "low"
    return "medium" if made == "low" and (known.epss or 0.0) >= LIKELY else made


def _judge(
    facts: Mapping[str, Any],
    packages: Sequence[Any],
    system: Mapping[str, Any],
    path: Path,
    max_age_days: float,
    now: datetime,
) -> tuple[list[dict[str, Any]], Judged]:
    """Return the findings of a host, and what they are made of, by the names of packages."""
    distribution = facts.get("distribution")
    keys = releases.of_host(distribution if isinstance(distribution, Mapping) else {})
    if not keys:
        raise AdvisoryError("no advisories are compared for this distribution")
    store = opened(path)
    covering = store.covering(keys)
    if not covering:
        raise AdvisoryError(f"the advisory bundle has nothing on {keys[0]}: import its distribution's advisories")
    kernel = system.get("kernel")
    kernel = kernel if isinstance(kernel, str) and len(kernel) < 200 else ""
    found, bad, told = match.installed(packages, releases.family(keys[0]), kernel, system.get("running") is not False)
    result = match.compare(found, keys, store)
    result.unreadable += bad
    result.kernel = told
    result.incomplete = bool(facts.get("gaps"))
    sources = _by_source(result, store, releases.family(keys[0]))
    # The tracker's word comes first, so its age counts where it is there.
    first = max(covering, key=lambda feed: (feed.kind == "debian", feed.dated))
    about = {"source": first.name, "dated": first.dated, "age_days": age_days(first.dated, now)}
    has_kev = any(feed.kind == "kev" for feed in store.feeds.values())
    made = [_of_package(one, one.fixable, one.source, has_kev, about) for one in sources if one.fixable]
    grave = [one for one in sources if one.unfixed and _is_grave(one, one.unfixed[0])]
    made += [_unfixed(one, about, has_kev) for one in grave]
    made += _minor([one for one in sources if one.unfixed and not _is_grave(one, one.unfixed[0])], result, about)
    made.append(_rest(result, about, max_age_days))
    made.append(
        _finding(
            "not_assessed",
            UNSEEN,
            reason="what runs in containers, and libraries that are linked into programs, are in no package database "
            "of the host: compare images where they are built",
        )
    )
    return made, {name: one for one in sources for name in (*one.names, one.source)}


def _by_source(result: match.Result, store: bundle.Bundle, family: str) -> list[Package]:
    made: dict[str, Package] = {}
    for one, matches in result.matches.items():
        made.setdefault(one.source, Package(one.source, family)).add(one, matches)
    known = store.exploitation(cve for one in made.values() for cve in one.matches)
    for each in made.values():
        each.known = {cve: known[cve] for cve in each.matches if cve in known}
    return list(made.values())


def _is_grave(package: Package, one: match.Match) -> bool:
    return severity(one, package.exploitation(one)) != "low"


def _unfixed(package: Package, about: Mapping[str, Any], has_kev: bool) -> dict[str, Any]:
    """Return the finding of CVEs that no version fixes: no role mends them."""
    matches = package.unfixed
    made = _of_package(package, matches, f"{package.source} (no fixed version)", has_kev, about)
    worst = _why(matches[0])
    made["risk"] = "manual"
    made["reason"] = f"{worst}; restrict who reaches what uses {package.source}, or replace it"
    return made


def _of_package(
    package: Package, matches: Sequence[match.Match], resource: str, has_kev: bool, about: Mapping[str, Any]
) -> dict[str, Any]:
    named = [one.cve for one in matches[:MOST_NAMED]]
    kev = [one.cve for one in matches if package.exploitation(one).kev is not None]
    scores = [score for one in matches if (score := package.exploitation(one).epss) is not None]
    fixed = _newest(package, matches)
    evidence: dict[str, Any] = {
        "installed": ", ".join(package.versions),
        "packages": list(package.names)[:MOST_EXPLAINED],
        **({"fixed": fixed} if fixed else {}),
        "cves": named,
        "count": len(matches),
        **({"kev": kev[:MOST_NAMED]} if has_kev else {}),
        **({"epss": max(scores)} if scores else {}),
        "why": {one.cve: _why(one) for one in matches[:MOST_EXPLAINED]},
        "bundle": dict(about),
    }
    reason = (
        f"{evidence['installed']} is older than {fixed}, which has the fix of {_counted(len(matches), 'CVE')}" if fixed else ""
    )
    made = _finding("open", resource, evidence=evidence, reason=reason)
    made["severity"] = severity(matches[0], package.exploitation(matches[0]))
    made["references"] = named
    if kev:
        made["known_exploited"] = True
    if scores:
        made["epss"] = max(scores)
    return made


def _newest(package: Package, matches: Iterable[match.Match]) -> str:
    """Return the version that has all fixes that there are."""
    fixed = {one.fixed for one in matches if one.fixed and is_fixable(one)}
    return max(fixed, key=lambda version: versions.key(package.family, version), default="")


def _why(one: match.Match) -> str:
    if is_fixable(one):
        return f"older than {one.fixed}, which has the fix"
    if one.state == bundle.PRO:
        return f"fixed in {one.fixed}, for those with extended support (Ubuntu Pro)" if one.fixed else _WHY[bundle.OPEN]
    return _WHY.get(one.state, _WHY[bundle.OPEN])


def _minor(packages: Sequence[Package], result: match.Result, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one finding for all that no version fixes and the distribution does not call grave."""
    if not packages and not result.undetermined:
        return []
    unfixed = {one.source: [each.cve for each in one.unfixed] for one in packages}
    count = sum(map(len, unfixed.values()))
    evidence = {
        "count": count,
        "cves": {name: cves[:5] for name, cves in list(unfixed.items())[:MOST_NAMED]},
        "undetermined": result.undetermined,
        "bundle": dict(about),
    }
    parts = []
    if count:
        parts.append(
            f"{_counted(count, 'CVE')} of {_counted(len(unfixed), 'package')}, none of them called grave, "
            f"{'has' if count == 1 else 'have'} no fixed version"
        )
    if result.undetermined:
        parts.append(
            f"the distribution does not know yet whether {_counted(result.undetermined, 'CVE')} of installed packages apply"
        )
    return [_finding("not_assessed", UNFIXED, evidence=evidence, reason="; ".join(parts))]


def _rest(result: match.Result, about: Mapping[str, Any], max_age_days: float) -> dict[str, Any]:
    """Return the finding of all packages of which nothing is known."""
    evidence = {
        "compared": result.compared,
        "kernel": result.kernel,
        "no_effect": result.unimportant,
        "bundle": dict(about),
    }
    gaps = []
    if about["age_days"] > max_age_days:
        gaps.append(
            f"the advisories are {about['age_days']:g} days old, and the policy allows {max_age_days:g}: import newer ones"
        )
    if result.unreadable:
        gaps.append(f"{_counted(result.unreadable, 'package')} of the host's list cannot be read")
    if result.incomplete:
        gaps.append("the host's list of packages is not whole")
    if result.modular:
        some = ", ".join(sorted(result.modular)[:5])
        gaps.append(f"{_counted(len(result.modular), 'package')} of module streams cannot be compared ({some})")
    if gaps:
        return _finding("unknown", REST, evidence=evidence, reason="; ".join(gaps))
    return _finding("passed", REST, evidence=evidence)


def _with_cves(finding: dict[str, Any], judged: Judged) -> dict[str, Any]:
    """Return a pending security update with the CVEs that it fixes."""
    package = judged.get(str(finding.get("resource"))) if finding.get("check") == PENDING else None
    if package is None or finding.get("status") != "open":
        return finding
    matches = package.fixable
    if not matches:
        return finding
    given = [str(one) for one in finding.get("references") or ()]
    kev = [one.cve for one in matches if package.exploitation(one).kev is not None]
    scores = [score for one in matches if (score := package.exploitation(one).epss) is not None]
    named = [one.cve for one in matches[:MOST_NAMED]]
    evidence = finding.get("evidence") or {}
    observed = evidence.get("observed")
    observed = {**(observed if isinstance(observed, Mapping) else {}), "cves": named, "kev": kev[:MOST_NAMED]}
    if scores:
        observed["epss"] = max(scores)
    made = {**finding, "references": [*given, *(cve for cve in named if cve not in given)]}
    made["evidence"] = {**evidence, "observed": observed}
    return {**made, **({"known_exploited": True} if kev else {}), **({"epss": max(scores)} if scores else {})}


def _finding(status: str, resource: str, evidence: Mapping[str, Any] | None = None, reason: str = "") -> dict[str, Any]:
    return {
        "check": CHECK,
        "class": CHECK.split(".", 1)[0],
        "status": status,
        "resource": resource,
        "evidence": {"observed": dict(evidence)} if evidence else {},
        "reason": reason,
    }


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def age_days(dated: str, now: datetime) -> float:
    """Return how many days old a feed is, to a tenth."""
    try:
        made = datetime.fromisoformat(dated)
    except ValueError:
        return 99999.0
    return max(0.0, round((now - made).total_seconds() / 86400, 1))


def opened(path: Path) -> bundle.Bundle:
    """Return the bundle, opened once by each process that asks."""
    try:
        state = path.stat()
    except OSError:
        return bundle.Bundle(path)  # which says what is wrong
    return _opened(path, state.st_ino, state.st_mtime_ns, os.getpid())


@functools.lru_cache(maxsize=2)
def _opened(path: Path, inode: int, changed: int, process: int) -> bundle.Bundle:
    del inode, changed, process
    return bundle.Bundle(path)
