"""The report as SARIF 2.1.0, for code scanning views: what is open, waived or could not be checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from hostmend.core.finding import grade
from hostmend.report import coverage
from hostmend.report.text import visible

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
HOME = "https://github.com/hostmend/hostmend"
_LEVELS = {
    "urgent": "error",
    "high": "error",
    "suspicious": "warning",
    "medium": "warning",
    "low": "note",
    "notice": "note",
}
#: What GitHub and others rank by.
_NUMBERS = {"urgent": "9.5", "high": "8.0", "suspicious": "6.5", "medium": "5.5", "low": "2.0", "notice": "1.0"}
#: A result that is not a failure has the kind that says why.
_KINDS = {"open": "fail", "waived": "fail", "unknown": "open", "not_assessed": "review"}


def render(report: Mapping[str, Any]) -> str:
    """Return the report as SARIF."""
    rules: dict[str, dict[str, Any]] = {}
    results = []
    for name, host in report["hosts"].items():
        for finding in host["findings"]:
            if finding["status"] in _KINDS:
                check = finding["check"]
                if check not in rules:
                    rules[check] = _rule(check, finding, report.get("checks", {}).get(check, {}))
                results.append(_result(name, finding, list(rules).index(check), _file(report["run"], name)))
    run = report["run"]
    driver: dict[str, Any] = {"name": "hostmend", "informationUri": HOME, "rules": list(rules.values())}
    if run["version"]:
        driver["version"] = visible(run["version"])
    looked = coverage.sentence(report)
    made = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "automationDetails": {"id": f"hostmend/{visible(run['id'])}"},
                "invocations": [_invocation(report)],
                "columnKind": "unicodeCodePoints",
                **({"properties": {"coverage": looked}} if looked else {}),
                "results": results,
            }
        ],
    }
    return json.dumps(made, indent=1, allow_nan=False) + "\n"


def _rule(check: str, finding: Mapping[str, Any], texts: Mapping[str, Any]) -> dict[str, Any]:
    word = grade({**finding, **{key: texts[key] for key in ("severity", "level") if key in texts}})
    title = visible(finding["title"])
    made: dict[str, Any] = {
        "id": check,
        "name": check,
        "shortDescription": {"text": title},
        "fullDescription": {"text": visible(texts.get("why") or title)},
        "help": {"text": visible(texts.get("change") or title)},
        "defaultConfiguration": {"level": _LEVELS.get(word, "warning")},
        "properties": {
            "tags": list(dict.fromkeys(["security", finding["class"], *map(visible, texts.get("references") or ())])),
            "security-severity": _NUMBERS.get(word, "5.5"),
            "precision": "high",
        },
    }
    return made


def _file(run: Mapping[str, Any], host: str) -> str:
    """Return the file that a code host shows a result at: the inventory where it may be one of the repository's.

    Code hosts drop a result without a file, and show none of a path outside the repository.
    """
    for source in run.get("inventory") or ():
        parts = PurePosixPath(source).parts
        if "," not in source and parts and not source.startswith("/") and ".." not in parts:
            return quote(visible(str(PurePosixPath(source))), safe="/")
    return f"hosts/{quote(visible(host), safe='')}"


def _result(host: str, finding: Mapping[str, Any], index: int, file: str) -> dict[str, Any]:
    status = finding["status"]
    resource = visible(finding["resource"])
    reason = f" ({visible(finding['reason'])})" if finding["reason"] else ""
    identity = json.dumps([finding["check"], host, finding["resource"]])
    made: dict[str, Any] = {
        "ruleId": finding["check"],
        "ruleIndex": index,
        "kind": _KINDS[status],
        "level": _LEVELS.get(grade(finding), "warning") if _KINDS[status] == "fail" else "none",
        "message": {"text": f"{visible(host)}: {visible(finding['title'])}: {resource or 'host'}{reason}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}},
                "logicalLocations": [
                    {
                        "name": resource or visible(host),
                        "fullyQualifiedName": f"{visible(host)}/{resource}",
                        "kind": "resource",
                    }
                ],
            }
        ],
        "partialFingerprints": {"hostmendIdentity/v1": hashlib.sha256(identity.encode()).hexdigest()},
        "properties": {
            "host": visible(host),
            "status": status,
            "evidence": finding["evidence"],
            "fix": finding["fix"],
        },
    }
    if status == "waived":
        waiver = finding.get("waiver") or {}
        words = [str(waiver.get(key) or "") for key in ("reason", "owner", "expires")]
        made["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": visible(", ".join(filter(None, words)))}
        ]
    return made


def _invocation(report: Mapping[str, Any]) -> dict[str, Any]:
    lost = {name: host for name, host in report["hosts"].items() if host["status"] != "ok"}
    made: dict[str, Any] = {"executionSuccessful": not lost}
    for key, name in (("startTimeUtc", "started"), ("endTimeUtc", "finished")):
        if report["run"][name]:
            made[key] = report["run"][name]
    if lost:
        made["toolExecutionNotifications"] = [
            {
                "level": "error",
                "message": {"text": visible(f"{name} {host['status']}: {host.get('reason', '')}")},
            }
            for name, host in lost.items()
        ]
    return made
