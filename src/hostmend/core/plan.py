"""Which roles run on a host, and which of its findings they leave alone.

Standard library only: the collection's plugins use it on any Ansible controller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

RISKS = ("safe", "restart", "disruptive", "manual")


def identity(finding: Mapping[str, Any]) -> str:
    """Return the words that name one finding of a host: its check and its resource."""
    return f"{finding.get('check')} {finding.get('resource') or ''}".strip()


def token(name: str) -> str:
    """Return what stands for an identity where Ansible takes text for a template: nothing of a host's words."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def risk_of(finding: Mapping[str, Any]) -> str:
    risk = (finding.get("fix") or {}).get("risk", "manual")
    return risk if risk in RISKS else "manual"


def why_not(finding: Mapping[str, Any], max_risk: str = "disruptive") -> str:
    """Return why no role mends this open finding; nothing where one does."""
    if not (finding.get("fix") or {}).get("role") or risk_of(finding) == "manual":
        return "a person has to do it"
    if RISKS.index(risk_of(finding)) > RISKS.index(max_risk):
        return f"its risk is {risk_of(finding)}, and only {max_risk} is allowed"
    return ""


def named(finding: Mapping[str, Any], names: Iterable[str]) -> bool:
    """True where one of ``names`` is the finding's check, its class or its identity."""
    own = (str(finding.get("check")), str(finding.get("class")), identity(finding))
    return any(name in own for name in names)


def fixable(
    findings: Iterable[Mapping[str, Any]],
    max_risk: str = "disruptive",
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    selected: Iterable[str] | None = None,
) -> list[Mapping[str, Any]]:
    """Return the open findings that roles will mend.

    :param selected: the :func:`token` of each finding that a person has chosen; None where nobody was asked.
    """
    only, skip = tuple(only), tuple(skip)
    chosen = None if selected is None else frozenset(selected)
    return [
        one
        for one in findings
        if one.get("status") == "open"
        and not why_not(one, max_risk)
        and (not only or named(one, only))
        and not named(one, skip)
        and (chosen is None or token(identity(one)) in chosen)
    ]


def roles(findings: Iterable[Mapping[str, Any]], order: Mapping[str, int] | None = None) -> list[str]:
    """Return the roles that these findings call for, in the order in which they run.

    :param order: the place of a class in that order (the catalogue's ``order``), 0 where it names none.
    """
    places: dict[str, int] = {}
    for finding in findings:
        name = str(finding["fix"]["role"])
        place = (order or {}).get(str(finding.get("class")), 0)
        places[name] = max(place, places.get(name, place))
    return sorted(places, key=lambda name: (places[name], name))


def chosen(findings: Iterable[Mapping[str, Any]], mend: Iterable[str]) -> list[Mapping[str, Any]]:
    """Return the open findings whose identities are among ``mend``: what the roles are handed."""
    mend = frozenset(mend)
    return [finding for finding in findings if finding.get("status") == "open" and identity(finding) in mend]


def for_host(
    findings: Iterable[Mapping[str, Any]],
    max_risk: str = "disruptive",
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    selected: Iterable[str] | None = None,
    order: Mapping[str, int] | None = None,
) -> dict[str, list[str]]:
    """Return ``roles`` to run, ``mend`` (identities) and ``skip``: what these roles must leave alone."""
    findings, skip = list(findings), list(skip)
    wanted = fixable(findings, max_risk, only, skip, selected)
    mend = {identity(one) for one in wanted}
    left = [identity(one) for one in findings if one.get("status") == "open" and identity(one) not in mend]
    return {"roles": roles(wanted, order), "mend": sorted(mend), "skip": list(dict.fromkeys([*skip, *left]))}
