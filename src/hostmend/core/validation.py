"""What a host answers is data of somebody who may be hostile: taken whole where it is sound, else not at all.

Standard library only: the collection's plugins use it on any Ansible controller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hostmend.core.catalog_model import Catalog
from hostmend.core.errors import HostmendError
from hostmend.core.finding import RISKS, STATUSES

CHECK = re.compile(r"[a-z][a-z0-9_]*\.[a-z0-9][a-z0-9_]*\Z")
EVIDENCE = ("effective", "persistent", "observed")
#: What mends a finding and at which risk is the catalogue's word, what is waived the operator's.
OURS = (
    "fix", "title", "kind", "why", "change", "outcome", "before", "waiver", "waiver_expired", "known_exploited", "epss",
)


def sound(findings: Any) -> list[dict[str, Any]]:
    """Return a host's findings without what is not the host's to say.

    :raises HostmendError: where one of them is not as ``security_facts`` makes it.
    """
    for one in findings if isinstance(findings, list) else [None]:
        if not (
            isinstance(one, dict)
            and CHECK.match(str(one.get("check")))
            and one.get("status") in STATUSES
            and isinstance(one.get("resource", ""), str)
            and isinstance(one.get("reason", ""), str)
            and isinstance(one.get("evidence", {}), dict)
            and isinstance(one.get("affects", []), list)
            and isinstance(one.get("references", []), list)
        ):
            raise HostmendError("the host's answer is not that of security_facts")
        for name in OURS:
            one.pop(name, None)
        one["class"] = one["check"].split(".", 1)[0]
    made: list[dict[str, Any]] = findings
    return made


def careful(findings: Iterable[dict[str, Any]], catalog: Catalog) -> list[dict[str, Any]]:
    """Return a host's findings, none of them with a fix of less risk than the catalogue gives its check.

    Detectors raise the risk of a single case and never lower it, so whoever does is no detector of this version.
    """
    made = []
    for one in findings:
        check, risk = catalog.check(one["check"]), one.get("risk")
        if check is not None and risk in RISKS and RISKS.index(risk) < RISKS.index(check.fix.risk):
            told = f"the host calls its fix {risk}, and the catalogue's word counts: {check.fix.risk}"
            one = {**one, "risk": check.fix.risk, "reason": "; ".join(filter(None, (one.get("reason"), told)))}
        made.append(one)
    return made
