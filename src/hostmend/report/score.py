"""The score of a host and of a fleet: 100 is nothing open, every distinct open check costs points."""

from typing import Any, Dict, Iterable, Mapping, Optional

SEVERITY_COST: Mapping[str, int] = {"high": 20, "medium": 8, "low": 2}
LEVEL_COST: Mapping[str, int] = {"urgent": 30, "suspicious": 10, "notice": 0}


def cost(finding: Mapping[str, Any]) -> int:
    """Return what this finding takes from its host's score; only an open one takes anything."""
    if finding.get("status") != "open":
        return 0
    if finding.get("kind") == "alert":
        return LEVEL_COST.get(str(finding.get("level")), 0)
    return SEVERITY_COST.get(str(finding.get("severity")), 0)


#: The statuses of a check that was made.
JUDGED = ("open", "passed", "waived", "not_applicable")


def host_score(findings: Iterable[Mapping[str, Any]]) -> Optional[int]:
    """Return 100 less the cost of each distinct open check, at its worst resource; at least 0. None where no check was made."""
    worst: Dict[str, int] = {}
    judged = False
    for finding in findings:
        check = str(finding.get("check"))
        worst[check] = max(worst.get(check, 0), cost(finding))
        judged = judged or finding.get("status") in JUDGED
    return max(0, 100 - sum(worst.values())) if judged else None


def fleet_score(scores: Iterable[Optional[int]]) -> Optional[int]:
    """Return the mean of the hosts that have a score, rounded down; None where none has."""
    known = [score for score in scores if score is not None]
    return sum(known) // len(known) if known else None
