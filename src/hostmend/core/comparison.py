"""What a remediation did to each finding: the audit before it, compared with the audit after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from hostmend.core import sentences
from hostmend.core.finding import gravity, identity

_CLEAN = ("passed", "not_applicable")
_GONE = sentences.reason_members("report.gone", "It is no longer there.")
_NOT_MADE_AGAIN = sentences.reason_members("report.not_made_again", "The check could not be made again after the remediation.")

Finding = Mapping[str, Any]


def compare(before: Iterable[Finding], after: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the findings of after, each with its ``outcome`` where the remediation was about it.

    A finding that was open and is gone (the listener it named is no more) comes back as ``passed``, but only
    where its check was made again; where it was not, nobody can say, and the outcome is ``unknown``.
    """
    earlier = {identity(one): one for one in before}
    made = [dict(one) for one in after]
    statuses: dict[str, set[str]] = defaultdict(set)
    for one in made:
        was = earlier.get(identity(one))
        if one.get("status") != "unknown" or was is None or was.get("status") != "unknown":
            # What was hidden before just the same did not hide the finding that was open then.
            statuses[str(one.get("check"))].add(str(one.get("status")))
        else:
            statuses[str(one.get("check"))].add("as before")
        outcome = _outcome(was, one, earlier)
        if outcome:
            one["outcome"] = outcome
            one["before"] = str(was["status"]) if was is not None else None
    there = {identity(one) for one in made}
    for key, was in earlier.items():
        if was.get("status") == "open" and key not in there:
            made.append(_gone(was, statuses.get(key[0], set())))
    return made


def _outcome(was: Finding | None, now: Finding, earlier: Mapping[tuple[str, str], Finding]) -> str | None:
    status = now.get("status")
    was_status = was.get("status") if was is not None else None
    if was_status == "open":
        if status == "open":
            return "made_worse" if was is not None and gravity(now) > gravity(was) else "still_open"
        return "mended" if status in _CLEAN else "unknown" if status in ("unknown", "not_assessed") else None
    if status == "open":
        seen_before = {str(one.get("status")) for key, one in earlier.items() if key[0] == now.get("check")}
        # What could not be seen before was not made by the remediation.
        blind = was_status == "unknown" or not seen_before or (was is None and "unknown" in seen_before)
        return "still_open" if blind else "made_worse"
    return None


def _gone(was: Finding, statuses: set[str]) -> dict[str, Any]:
    seen = bool(statuses) and "unknown" not in statuses
    return {
        **{key: value for key, value in was.items() if key not in ("evidence", "affects")},
        "status": "passed" if seen else "unknown",
        **(_GONE if seen else _NOT_MADE_AGAIN),
        "evidence": {},
        "outcome": "mended" if seen else "unknown",
        "before": "open",
    }
