"""Records of the Open Source Vulnerability format, of the distributions whose packages are compared.

Debian and Ubuntu name source packages, AlmaLinux, Rocky Linux and Red Hat binary ones. A record is about CVEs by its own
id, its ``aliases`` and ``upstream``; only where none of them is one, ``related`` says which (AlmaLinux).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hostmend.advisories import bundle, releases, unpack

_CVE = re.compile(r"(?:\A|[A-Z]-)(CVE-\d{4}-\d{4,19})\Z")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,200}\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_WORDS = {
    "critical": "h",
    "important": "h",
    "high": "h",
    "moderate": "m",
    "medium": "m",
    "low": "l",
    "minor": "l",
    "negligible": "l",
}
_SUMMARY = re.compile(r"\s*(Critical|Important|Moderate|Low):")
TEXT = 200


@dataclass
class Record:
    """One advisory: (base, release, package, introduced, fixed, last, state, advisory, CVE=severity) rows."""

    id: str
    modified: str
    cves: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()  # the distributions that it is about
    text: str = ""
    withdrawn: bool = False
    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    skipped: int = 0  # spans of versions that cannot be understood


def is_record(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and isinstance(value.get("modified"), str)


def read(value: Mapping[str, Any]) -> Record:
    """Return what a record says of the distributions that are compared."""
    date = _DATE.match(value["modified"])
    made = Record(unpack.text(value["id"], 80), f"{date.group()}Z" if date else "", cves=_cves(value))
    made.withdrawn = bool(value.get("withdrawn"))
    made.text = unpack.text(value.get("summary") or value.get("details"), TEXT)
    affected = list(_affected(value))
    made.bases = tuple(dict.fromkeys(release.split(":", 1)[0] for _one, _name, release, _pro in affected))
    if made.withdrawn or not made.cves:
        return made
    severity = _severity(value)
    for one, name, release, pro in affected:
        if not isinstance(name, str) or not _PACKAGE.match(name):
            made.skipped += 1
            continue
        state, letter = _state(one, pro, severity)
        base = release.split(":", 1)[0]
        for introduced, fixed, last, whole in _spans(one, made):
            its = bundle.OPEN if state == bundle.RESOLVED and fixed is None else state
            # Several spans of one record are judged together: they keep its name.
            advisory = None if whole else made.id
            made.rows += [(base, release, name, introduced, fixed, last, its, advisory, f"{cve}={letter}") for cve in made.cves]
    return made


def _affected(value: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Any, str, bool]]:
    """Yield (entry, name of the package, key of the release, whether for subscribers) of what is compared here."""
    for one in _maps(value.get("affected")):
        package = one.get("package")
        if isinstance(package, dict):
            known = releases.of_ecosystem(str(package.get("ecosystem") or ""))
            if known is not None:
                yield one, package.get("name"), *known


def _cves(value: Mapping[str, Any]) -> tuple[str, ...]:
    def named(texts: Iterable[Any]) -> tuple[str, ...]:
        found = (_CVE.search(one) for one in texts if isinstance(one, str))
        return tuple(dict.fromkeys(match.group(1) for match in found if match))

    return named([value["id"], *_list(value.get("aliases")), *_list(value.get("upstream"))]) or named(_list(value.get("related")))


def _state(affected: Mapping[str, Any], pro: bool, severity: str) -> tuple[str, str]:
    if pro:
        return bundle.PRO, severity
    specific = affected.get("ecosystem_specific")
    urgency = str(specific.get("urgency") or "") if isinstance(specific, dict) else ""
    if urgency == "unimportant":
        return bundle.UNIMPORTANT, severity
    if urgency == "end-of-life":
        return bundle.END_OF_LIFE, severity
    return bundle.RESOLVED, _WORDS.get(urgency.rstrip("*"), severity)


def _spans(affected: Mapping[str, Any], made: Record) -> Iterator[tuple[str | None, str | None, str | None, bool]]:
    """Yield (introduced, fixed, last affected, whether it is the record's only one) of the ECOSYSTEM ranges."""
    spans: list[tuple[str | None, str | None, str | None]] = []
    ranges = [one for one in _maps(affected.get("ranges")) if one.get("type") == "ECOSYSTEM"]
    for one in ranges:
        introduced: str | None = None
        begun = False
        for event in _maps(one.get("events")):
            name, version = next(((key, text) for key, text in event.items() if isinstance(text, str)), ("", ""))
            if name == "introduced":
                introduced, begun = (None if version == "0" else version), True
            elif name in ("fixed", "last_affected") and begun:
                spans.append((introduced, version, None) if name == "fixed" else (introduced, None, version))
                begun = False
            elif name != "limit":
                made.skipped += 1
        if begun:
            spans.append((introduced, None, None))
    if not ranges:
        made.skipped += 1
    simple = len(spans) == 1 and spans[0][0] is None
    yield from ((*span, simple) for span in spans)


def _severity(value: Mapping[str, Any]) -> str:
    """Return the letter of a record's severity: the distribution's own word, else by the worst CVSS score."""
    scores: list[float] = []
    for one in _maps(value.get("severity")):
        told = one.get("score")
        if not isinstance(told, str):
            continue
        if told.lower() in _WORDS:
            return _WORDS[told.lower()]
        score = cvss(told[:200])
        if score is not None:
            scores.append(score)
    summary = _SUMMARY.match(str(value.get("summary") or ""))
    if summary:
        return _WORDS[summary.group(1).lower()]
    specific = value.get("database_specific")
    word = str(specific.get("severity") or "").lower() if isinstance(specific, dict) else ""
    if word in _WORDS:
        return _WORDS[word]
    if not scores:
        return ""
    return "h" if max(scores) >= 7 else "m" if max(scores) >= 4 else "l"


@functools.lru_cache(maxsize=65536)
def cvss(vector: str) -> float | None:
    """Return the base score of a CVSS vector, None for what is none."""
    from cvss import CVSS2, CVSS3, CVSS4, CVSSError  # type: ignore[import-untyped]

    made = CVSS4 if vector.startswith("CVSS:4") else CVSS3 if vector.startswith("CVSS:3") else CVSS2
    try:
        score = made(vector)
        return float(score.base_score)
    except (CVSSError, ValueError, TypeError, KeyError, ArithmeticError):
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in _list(value) if isinstance(one, dict)]
