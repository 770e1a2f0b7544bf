"""The Debian security tracker's JSON: source package -> CVE -> release -> what is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from hostmend.advisories import bundle, unpack

_CVE = re.compile(r"CVE-\d{4}-\d{4,19}\Z")
_RELEASE = re.compile(r"[a-z][a-z0-9-]{1,30}\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,200}\Z")
_SEVERITIES = {"high": "h", "medium": "m", "low": "l"}
_WHY_OPEN = {"postponed": bundle.POSTPONED, "ignored": bundle.IGNORED}
TEXT = 200


@dataclass
class Source:
    """All that the tracker says of one source package."""

    package: str
    #: release -> (fixed version, state) -> CVEs with the letter of their severity
    releases: dict[str, dict[tuple[str | None, str], list[str]]] = field(default_factory=dict)
    texts: list[tuple[str, str]] = field(default_factory=list)
    records: int = 0
    skipped: int = 0  # what is not as the tracker writes it


def sources(stream: IO[bytes]) -> Iterator[Source]:
    """Yield the tracker's source packages, one at a time."""
    for name, issues in unpack.entries(stream):
        if not isinstance(issues, dict) or not _PACKAGE.match(name):
            yield Source(str(name)[:80], skipped=1)
            continue
        made = Source(name)
        for cve, issue in issues.items():
            _add(made, cve, issue)
        yield made


def _add(made: Source, cve: str, issue: Any) -> None:
    if not _CVE.match(cve):
        made.skipped += not cve.startswith("TEMP-")  # an issue that no CVE has been assigned to
        return
    told = issue.get("releases") if isinstance(issue, dict) else None
    if not isinstance(told, dict):
        made.skipped += 1
        return
    text = unpack.text(issue.get("description"), TEXT)
    if text:
        made.texts.append((cve, text))
    understood = 0
    for release, one in told.items():
        judged = judge(one) if isinstance(one, dict) and _RELEASE.match(release) else None
        if judged is None:
            made.skipped += 1
            continue
        understood += 1
        fixed, state, severity = judged
        made.releases.setdefault(f"debian:{release}", {}).setdefault((fixed, state), []).append(f"{cve}={severity}")
    made.records += understood > 0


def judge(one: Mapping[str, Any]) -> tuple[str | None, str, str] | None:
    """Return (fixed version, state, letter of the severity) of a CVE in a release; None for what cannot be understood."""
    status, fixed = one.get("status"), one.get("fixed_version")
    urgency = str(one.get("urgency") or "").rstrip("*").strip()
    severity = _SEVERITIES.get(urgency, "")
    if status == "resolved":
        if not isinstance(fixed, str) or not fixed:
            return None
        if fixed == "0":
            return None, bundle.UNAFFECTED, severity
        return fixed, bundle.UNIMPORTANT if urgency == "unimportant" else bundle.RESOLVED, severity
    if status == "undetermined":
        return None, bundle.UNDETERMINED, severity
    if status != "open":
        return None
    if urgency == "unimportant":
        return None, bundle.UNIMPORTANT, severity
    if urgency == "end-of-life":
        return None, bundle.END_OF_LIFE, severity
    why = str(one.get("nodsa_reason") or "")
    if why in _WHY_OPEN:
        return None, _WHY_OPEN[why], severity
    return None, bundle.NO_DSA if one.get("nodsa") or why else bundle.OPEN, severity
