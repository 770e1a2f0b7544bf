"""The report of a run as one JSON-plain object; every format is rendered from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hostmend import catalog as catalogue
from hostmend.core import comparison, sentences
from hostmend.core.errors import place_of
from hostmend.core.finding import GRADES, HOST_STATUSES, LEVELS, OUTCOMES, RISKS, SEVERITIES, STATUSES, grade
from hostmend.report import coverage, score

SCHEMA = 1
_STATUS_ORDER = {name: place for place, name in enumerate(("open", "unknown", "waived", "not_assessed", "passed"))}
_GRADE_ORDER = {name: place for place, name in enumerate(GRADES)}
_RISK_ORDER = {name: place for place, name in enumerate(RISKS)}


def build(
    run: Mapping[str, Any],
    hosts: Mapping[str, Mapping[str, Any]],
    catalog: catalogue.Catalog,
    language: str = "en",
) -> dict[str, Any]:
    """Return the report of a run.

    :param run: ``id``, ``started``, ``finished``, ``mode``, ``version`` and whatever else is known of the run.
    :param hosts: for each host ``status``, ``findings`` (as detectors made them, or joined already), and where
        they are known ``reason``, ``changes``, ``classes``, ``system``; of a remediation ``before``, the findings
        of the audit before it, from which each finding's ``outcome`` comes.
    """
    made = {name: _host_alone(result, catalog, language) for name, result in hosts.items()}
    seen = {finding["check"] for host in made.values() for finding in host["findings"]}
    summary = summarize(made.values())
    covered = coverage.of(summary["class"], catalog)
    return {
        "schema": SCHEMA,
        "language": language,
        "run": {key: run.get(key) for key in ("id", "started", "finished", "mode", "version")}
        | {key: value for key, value in run.items() if key not in ("id", "started", "finished", "mode", "version")},
        "score": score.fleet_score(host["score"] for host in made.values()),
        **_score_before(made.values()),
        **({"coverage": covered} if covered else {}),
        "summary": summary,
        "checks": {name: _check(catalog, name, language) for name in sorted(seen) if catalog.check(name)},
        "hosts": made,
    }


def _host_alone(result: Mapping[str, Any], catalog: catalogue.Catalog, language: str) -> dict[str, Any]:
    """Return a host's part of the report; whatever is wrong with what is known of it fails this host alone."""
    try:
        return _host(result, catalog, language)
    except Exception as error:
        reason = f"what it answered cannot be used: {place_of(error)}"
        return {"status": "failed", "score": None, "findings": [], "reason": reason}


def _host(result: Mapping[str, Any], catalog: catalogue.Catalog, language: str) -> dict[str, Any]:
    status = str(result.get("status", "failed"))
    findings = [_finding(one, catalog, language) for one in result.get("findings") or ()]
    score_before = None
    if result.get("before"):
        before = [_finding(one, catalog, language) for one in result["before"]]
        score_before = score.host_score(before)
        findings = comparison.compare(before, findings)
    findings.sort(key=order)
    _tie(findings, result.get("changes") or ())
    made: dict[str, Any] = {
        "status": status,
        "score": score.host_score(findings) if status == "ok" else None,
        **({"score_before": score_before} if score_before is not None else {}),
        "findings": findings,
    }
    for key, value in result.items():
        if key not in made and key != "before" and value not in (None, "", [], {}):
            made[key] = value
    return made


def _tie(findings: Iterable[dict[str, Any]], changes: Iterable[Mapping[str, Any]]) -> None:
    """Tell with each finding which of its host's changes (by their places) are for it.

    They are those of its role, less what bears the name of another finding's resource and not of its own.
    """
    changes = list(changes)
    about = [one for one in findings if one["status"] == "open" or one.get("outcome")] if changes else []
    by_role: dict[str, list[dict[str, Any]]] = {}
    for finding in about:
        role = (finding.get("fix") or {}).get("role")
        if role:
            by_role.setdefault(role, []).append(finding)
    for role, mine in by_role.items():
        places: dict[int, list[int]] = {id(finding): [] for finding in mine}
        for place, change in enumerate(changes):
            if change.get("role") != role:
                continue
            checked = [one for one in mine if change.get("check") in (None, "", one["check"])]
            named = [one for one in checked if _names(str(change.get("name") or ""), str(one.get("resource") or ""))]
            for one in named or checked:
                places[id(one)].append(place)
        for finding in mine:
            if places[id(finding)]:
                finding["changes"] = places[id(finding)]


def _names(name: str, resource: str) -> bool:
    """Tell whether a resource's text has a name in it, and not as a part of another name."""
    at = resource.find(name) if name else -1
    while at >= 0:
        before, after = resource[at - 1 : at] if at else "", resource[at + len(name) : at + len(name) + 1]
        if not (before.isalnum() or before in ("-", ".", "_", "/") or after.isalnum() or after in ("-", "_")):
            return True
        at = resource.find(name, at + 1)
    return False


def _score_before(hosts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the score of the audit before a remediation; a host where nothing was to be mended still has its score."""
    pairs = [(host.get("score_before"), host["score"]) for host in hosts if host["score"] is not None]
    if all(before is None for before, _after in pairs):
        return {}
    return {"score_before": score.fleet_score(after if before is None else before for before, after in pairs)}


def _finding(finding: Mapping[str, Any], catalog: catalogue.Catalog, language: str) -> dict[str, Any]:
    made = catalogue.join(finding, catalog, language)
    made.setdefault("resource", "")
    made.setdefault("evidence", {})
    made.setdefault("reason", "")
    sentences.keep_sound(made, catalog)
    made["evidence"] = _finite(made["evidence"])
    made.pop("remedy", None)  # what the role is told is no evidence
    check = catalog.check(str(made["check"]))
    if check is not None and made["status"] in ("open", "waived"):
        made["why"] = check.why.get(language)
        made["change"] = check.change.get(language)
    return made


def _finite(value: Any) -> Any:
    """Return evidence in which a number that JSON has not is text."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _check(catalog: catalogue.Catalog, name: str, language: str) -> dict[str, Any]:
    check = catalog.checks[name]
    return {
        "class": check.class_name,
        "kind": check.kind,
        "severity" if check.kind == "vulnerability" else "level": check.grade,
        "title": check.title.get(language),
        "why": check.why.get(language),
        "change": check.change.get(language),
        "fix": check.fix.as_dict(),
        "references": list(check.references),
    }


def order(finding: Mapping[str, Any]) -> tuple[int, int, bool, float, int, str, str]:
    """Sort key: open first, the gravest first, what is known to be exploited or likely to be first, the safest fix first."""
    epss = finding.get("epss")
    return (
        _STATUS_ORDER.get(str(finding.get("status")), len(_STATUS_ORDER)),
        _GRADE_ORDER.get(grade(finding), len(_GRADE_ORDER)),
        not finding.get("known_exploited"),
        -float(epss) if isinstance(epss, (int, float)) else 0.0,
        _RISK_ORDER.get(str((finding.get("fix") or {}).get("risk")), len(_RISK_ORDER)),
        str(finding.get("check")),
        str(finding.get("resource")),
    )


def summarize(hosts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the counts of a report: hosts and findings by status, open ones by severity, level and class."""
    host_status: Counter[str] = Counter(dict.fromkeys(HOST_STATUSES, 0))
    status: Counter[str] = Counter(dict.fromkeys(STATUSES, 0))
    severity: Counter[str] = Counter(dict.fromkeys(SEVERITIES, 0))
    level: Counter[str] = Counter(dict.fromkeys(LEVELS, 0))
    classes: dict[str, Counter[str]] = {}
    outcomes: Counter[str] = Counter()
    for host in hosts:
        host_status[str(host["status"])] += 1
        for finding in host["findings"]:
            status[finding["status"]] += 1
            classes.setdefault(finding["class"], Counter(dict.fromkeys(STATUSES, 0)))[finding["status"]] += 1
            if finding.get("outcome"):
                outcomes[str(finding["outcome"])] += 1
            if finding["status"] == "open":
                (level if finding["kind"] == "alert" else severity)[grade(finding)] += 1
    return {
        "hosts": dict(host_status),
        "status": dict(status),
        "severity": dict(severity),
        "level": dict(level),
        "class": {name: dict(counts) for name, counts in sorted(classes.items())},
        **({"outcome": {name: outcomes[name] for name in OUTCOMES}} if outcomes else {}),
    }
