# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a detector says: one finding per check and resource.

A finding names the check and the resource and carries the evidence. Titles, severities and
fixes are the controller's catalogue's; a detector sets ``severity`` or ``risk`` only where the
single case differs from the catalogue's default. A risk below the default is not believed.
"""

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ansible_collections.hostmend.hardening.plugins.module_utils.sentence import Sentence
from ansible_collections.hostmend.hardening.plugins.module_utils.sentence import as_data

STATUSES = ("open", "passed", "waived", "not_applicable", "unknown", "not_assessed")


def finding(check: str, resource: str, status: str, effective: Any = None, persistent: Any = None, observed: Any = None,
            reason: str = "", severity: Optional[str] = None, level: Optional[str] = None, risk: Optional[str] = None,
            references: Sequence[str] = (), affects: Sequence[str] = (), remedy: Optional[Mapping[str, Any]] = None
            ) -> Dict[str, Any]:
    """Return one finding as a plain dict.

    :param check: the check's id, ``class.condition``.
    :param resource: what the finding is about, the same words at every audit of the same thing.
    :param effective: evidence of what runs now. A plain dict, never a secret in it.
    :param persistent: evidence of what will hold after a reboot (files, enablement).
    :param observed: evidence from probing.
    :param reason: why, in one plain English sentence; required of ``unknown``. A ``Sentence`` is shown in the reader's language.
    :param affects: whom the fix would disturb, one line each (connected clients, containers ...).
    :param remedy: all that the role reads of the finding: a plain dict, as its module takes it. No report shows it.
    """
    if status not in STATUSES:
        raise ValueError("no such status: %s" % status)
    if status == "unknown" and not reason:
        raise ValueError("%s: an unknown needs its reason" % check)
    evidence = {}
    for name, part in (("effective", effective), ("persistent", persistent), ("observed", observed)):
        if part is not None:
            evidence[name] = part
    made: Dict[str, Any] = {
        "check": check,
        "class": check.split(".", 1)[0],
        "status": status,
        "resource": resource,
        "evidence": evidence,
        "reason": str(reason),
    }
    if isinstance(reason, Sentence):
        made["reason_id"], made["reason_params"] = reason.id, as_data(reason)["params"]
    for name, part in (("severity", severity), ("level", level), ("risk", risk)):
        if part is not None:
            made[name] = part
    if references:
        made["references"] = list(references)
    if affects:
        made["affects"] = list(affects)
    if remedy is not None:
        made["remedy"] = dict(remedy)
    return made


def found(check: str, resource: str, **more: Any) -> Dict[str, Any]:
    """Return an open finding; the arguments are those of :func:`finding`."""
    return finding(check, resource, "open", **more)


def with_remedies(findings: List[Dict[str, Any]], remedy_of: Callable[[Dict[str, Any]], Optional[Mapping[str, Any]]]
                  ) -> List[Dict[str, Any]]:
    """Return the findings, those that are open with what ``remedy_of`` returns for them: what the role is told."""
    for each in findings:
        if each["status"] == "open":
            each["remedy"] = remedy_of(each)
    return findings


def passed(check: str, resource: str, **more: Any) -> Dict[str, Any]:
    """Return a finding that says the check was made and nothing is wrong."""
    return finding(check, resource, "passed", **more)


def unknown(check: str, resource: str, reason: str, **more: Any) -> Dict[str, Any]:
    """Return a finding that says the check could not be made this time, and why."""
    return finding(check, resource, "unknown", reason=reason, **more)


def not_applicable(check: str, reason: str, resource: str = "", **more: Any) -> Dict[str, Any]:
    """Return a finding that says there is nothing on this host that the check is about."""
    return finding(check, resource, "not_applicable", reason=reason, **more)
