"""The words of a finding, in one place for the catalogue, the report and the command line.

A finding is a plain mapping, as detectors make it and as ``report.json`` holds it; ``docs/report.md`` describes its
members and ``report/schema/report.schema.json`` is their contract.
"""

from typing import Any, Mapping, Tuple

STATUSES = ("open", "passed", "waived", "not_applicable", "unknown", "not_assessed")
KINDS = ("vulnerability", "alert")
#: Of a vulnerability, the gravest first.
SEVERITIES = ("high", "medium", "low")
#: Of an alert, the gravest first.
LEVELS = ("urgent", "suspicious", "notice")
#: Severities and levels together: from what to see first to what to see last.
GRADES = ("urgent", "high", "suspicious", "medium", "low", "notice")
#: Of a fix, from what disturbs nobody to what only a person may do.
RISKS = ("safe", "restart", "disruptive", "manual")
#: What a remediation did to a finding.
OUTCOMES = ("mended", "still_open", "unknown", "made_worse")
HOST_STATUSES = ("ok", "unreachable", "failed")

#: How grave: one scale for the severities of vulnerabilities and the levels of alerts.
GRAVITY: Mapping[str, int] = {"low": 1, "notice": 1, "medium": 2, "suspicious": 2, "high": 3, "urgent": 3}


def grade(finding: Mapping[str, Any]) -> str:
    """Return the one word for how grave a finding is: the severity, or the level of an alert."""
    return str(finding.get("level" if finding.get("kind") == "alert" else "severity") or "low")


def identity(finding: Mapping[str, Any]) -> Tuple[str, str]:
    """Return what a finding is the same by, on one host, through time: its check and its resource."""
    return str(finding.get("check")), str(finding.get("resource") or "")


def gravity(finding: Mapping[str, Any]) -> int:
    """Return how grave a finding is, from 1 to 3; 1 for a word that nobody knows."""
    return GRAVITY.get(grade(finding), 1)
