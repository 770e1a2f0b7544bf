"""What a host answers is data of somebody who may be hostile: taken whole where it is sound, else not at all.

Standard library only: the collection's plugins use it on any Ansible controller.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hostmend.core import sentences
from hostmend.core.catalog_model import Catalog
from hostmend.core.errors import HostmendError
from hostmend.core.finding import RISKS, STATUSES

CHECK = re.compile(r"[a-z][a-z0-9_]*\.[a-z0-9][a-z0-9_]*\Z")
CLASS = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
EVIDENCE = ("effective", "persistent", "observed")
#: What mends a finding and at which risk is the catalogue's word, what is waived the operator's.
CONTROLLER_FIELDS = (
    "fix", "title", "kind", "why", "change", "changes", "outcome", "before", "waiver", "waiver_expired", "known_exploited",
    "epss", "trend", "since", "earlier",
)  # fmt: skip
#: A host has some hundreds of findings, and what detectors say is at most 20 levels deep.
MOST_FINDINGS = 20_000
DEEPEST = 32
#: The most characters of one finding, and of a whole answer.
LARGEST_FINDING = 256 * 1024
LARGEST_ANSWER = 32 * 1024 * 1024
#: Integers beyond it are other numbers to those who read JSON.
LARGEST_NUMBER = 2**63
#: The longest text about a host, and the most that a list about it names.
LONGEST_TEXT = 4096
MOST_NAMED = 10_000
#: The most characters that are kept of why a module failed.
LONGEST_FAILURE = 8000

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOTHING_SAID = sentences.reason_members("report.nothing_said", "the host said nothing about this check")
_REFUSED = "the host's answer is not that of security_facts"


def document_size(value: Any, largest: int = LARGEST_ANSWER) -> int:
    """Return about how many characters a JSON document takes.

    :raises HostmendError: where it is larger than ``largest``, nested too deeply, or holds what JSON has not: NaN, infinity,
        half a character, a number that no reader takes, or an object of another kind.
    """
    size = 0
    level = [value]
    for _depth in range(DEEPEST):
        inner: list[Any] = []
        for part in level:
            size += 8
            if isinstance(part, str):
                size += len(part)
                if not part.isascii() and _SURROGATE.search(part):
                    raise HostmendError("it holds half a character")
            elif isinstance(part, dict):
                inner += part.keys()
                inner += part.values()
            elif isinstance(part, list):
                inner += part
            elif not _is_scalar(part):
                raise HostmendError("it holds what JSON has not")
            if size + 8 * len(inner) > largest:
                raise HostmendError(f"it is larger than {largest} characters")
        if not inner:
            return size
        level = inner
    raise HostmendError("it is nested too deeply")


def _is_scalar(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -LARGEST_NUMBER <= value < LARGEST_NUMBER
    return isinstance(value, float) and math.isfinite(value)


def is_text(value: Any, longest: int = LONGEST_TEXT) -> bool:
    return isinstance(value, str) and len(value) <= longest


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_NAMED and all(is_text(part) for part in value)


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_NAMED and all(isinstance(part, (str, int, float)) for part in value)


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


#: What a host says of itself, and the shape of each member.
SYSTEM: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("id", "version_id", "codename", "pretty_name", "kernel", "arch", "init", "python", "boot_id", "machine_id_fingerprint"),
        is_text,
    ),
    **dict.fromkeys(("id_like", "capabilities", "failed_units"), _is_texts),
    "container": _or_none(is_text),
    "chroot": _or_none(_is_bool),
    "running": _is_bool,
    "root": _is_bool,
}


def system(given: Any) -> dict[str, Any]:
    """Return what a host says of its system, without members that nobody knows.

    :raises HostmendError: where a member is of another shape.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise HostmendError(f"{_REFUSED}: system")
    for name, fits in SYSTEM.items():
        if name in given and not fits(given[name]):
            raise HostmendError(f"{_REFUSED}: system.{name}")
    return {name: given[name] for name in SYSTEM if name in given}


def classes(given: Any) -> dict[str, Any]:
    """Return how the detector of each class fared; what is no name of a class is left out.

    :raises HostmendError: where what is said of a class is of another shape.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise HostmendError(f"{_REFUSED}: classes")
    made: dict[str, Any] = {}
    for name, status in given.items():
        if not isinstance(name, str) or not CLASS.match(name) or len(made) >= MOST_NAMED:
            continue
        if not _is_class_status(status):
            raise HostmendError(f"{_REFUSED}: classes.{name}")
        made[name] = {key: status[key] for key in ("status", "reason", "seconds") if status.get(key) is not None}
    return made


def _is_class_status(status: Any) -> bool:
    return (
        isinstance(status, dict)
        and status.get("status") in ("ok", "failed", "timeout")
        and is_text(status.get("reason") or "")
        and isinstance(status.get("seconds") or 0, (int, float))
        and not isinstance(status.get("seconds"), bool)
        and 0 <= (status.get("seconds") or 0) < 10**6
    )


def facts(given: Any) -> dict[str, Any]:
    """Return the facts of a host by class; what is no name of a class is left out."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise HostmendError(f"{_REFUSED}: ansible_facts.hostmend")
    return {name: part for name, part in given.items() if isinstance(name, str) and CLASS.match(name)}


def validated(findings: Any, most: int = MOST_FINDINGS) -> list[dict[str, Any]]:
    """Return a host's findings, at most so many, without what is not the host's to say.

    :raises HostmendError: where one of them is not as ``security_facts`` makes it, or they are too many or too large.
    """
    if not isinstance(findings, list):
        raise HostmendError(_REFUSED)
    if len(findings) > most:
        raise HostmendError(f"the host's answer has {len(findings)} findings: {most} are the most that are taken")
    made = []
    for finding in findings:
        if not _is_finding(finding):
            raise HostmendError(_REFUSED)
        try:
            document_size(finding, LARGEST_FINDING)
        except HostmendError as error:
            raise HostmendError(f"{_REFUSED}: a finding of {finding['check']}: {error}") from error
        kept = {str(name): part for name, part in finding.items() if name not in CONTROLLER_FIELDS}
        kept["class"] = finding["check"].split(".", 1)[0]
        for name in ("affects", "references"):
            if name in kept:
                kept[name] = [str(part) for part in kept[name]]
        made.append(kept)
    return made


def _is_finding(finding: Any) -> bool:
    return (
        isinstance(finding, dict)
        and isinstance(finding.get("check"), str)
        and len(finding["check"]) <= 120
        and bool(CHECK.match(finding["check"]))
        and isinstance(finding.get("status"), str)
        and finding["status"] in STATUSES
        and all(is_text(finding.get(name, ""), LARGEST_FINDING) for name in ("resource", "reason"))
        and all(finding.get(name) is None or is_text(finding[name]) for name in ("severity", "level", "risk"))
        and isinstance(finding.get("evidence", {}), dict)
        and isinstance(finding.get("remedy", {}), dict)
        and all(_is_words(finding.get(name, [])) for name in ("affects", "references"))
        and (finding["status"] != "unknown" or bool(finding.get("reason")))
    )


_REMEDY: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "list": (list,),
    "dict": (dict,),
}
#: The most characters of what a role is told of one finding.
LARGEST_REMEDY = 64 * 1024


def with_sound_remedies(findings: list[dict[str, Any]], catalog: Catalog) -> list[dict[str, Any]]:
    """Return the findings, whose remedies are as the catalogue's ``remedy`` of their class says.

    An open finding without one is for a person: its role could not know what to do.

    :raises HostmendError: where a member of one is not known, or of another type, or the remedy is too large.
    """
    for finding in findings:
        remedy = finding.get("remedy")
        issue_class = catalog.classes.get(finding["class"])
        known = issue_class.remedy if issue_class is not None else {}
        if not remedy:
            if known and finding["status"] == "open":
                finding["risk"] = "manual"
            continue
        for name, value in remedy.items():
            if name not in known:
                raise HostmendError(f"{_REFUSED}: the remedy of {finding['check']} has an unknown member {str(name)[:80]!r}")
            wanted = known[name]
            if value is None:
                continue
            if not isinstance(value, _REMEDY[wanted]) or (wanted != "bool" and isinstance(value, bool)):
                raise HostmendError(f"{_REFUSED}: {name} in the remedy of {finding['check']} is not of type {wanted}")
        try:
            document_size(remedy, LARGEST_REMEDY)
        except HostmendError as error:
            raise HostmendError(f"{_REFUSED}: the remedy of {finding['check']}: {error}") from error
    return findings


def with_minimum_risk(findings: Iterable[dict[str, Any]], catalog: Catalog) -> list[dict[str, Any]]:
    """Return a host's findings, none of them with a fix of less risk than the catalogue gives its check.

    Detectors raise the risk of a single case and never lower it, so whoever does is no detector of this version.
    """
    made = []
    for finding in findings:
        check, risk = catalog.check(finding["check"]), finding.get("risk")
        if check is not None and risk in RISKS and RISKS.index(risk) < RISKS.index(check.fix.risk):
            note = f"the host calls its fix {risk}, and the catalogue's word counts: {check.fix.risk}"
            finding = {name: part for name, part in finding.items() if name not in ("reason_id", "reason_params")}
            finding = {**finding, "risk": check.fix.risk, "reason": "; ".join(filter(None, (finding.get("reason"), note)))}
        made.append(finding)
    return made


def with_unknowns(
    findings: Iterable[dict[str, Any]], names: Iterable[str], catalog: Catalog, reason: str | Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the findings, and ``unknown`` with ``reason`` for each check of these classes that none of them is about.

    :param reason: a text, or the members that give a sentence of the catalogue.
    """
    why = {"reason": reason} if isinstance(reason, str) else reason
    made = list(findings)
    reported = {finding["check"] for finding in made}
    for name in sorted(set(names) & set(catalog.classes)):
        for check in catalog.classes[name].checks:
            if check not in reported:
                made.append(
                    {"check": check, "class": name, "status": "unknown", "resource": "", "evidence": {}, **why}
                )
    return made


def answer(result: Any, names: Iterable[str], catalog: Catalog) -> dict[str, Any]:
    """Return what a host answered to ``security_facts``: ``findings``, ``classes``, ``system`` and ``facts``, and nothing else.

    :param result: the module's result.
    :param names: the classes that were asked for: each of their checks has a finding.
    :raises HostmendError: in one line, where any part of it is of another shape or too large.
    """
    if not isinstance(result, dict):
        raise HostmendError(_REFUSED)
    given = result.get("ansible_facts")
    if given is not None and not isinstance(given, dict):
        raise HostmendError(f"{_REFUSED}: ansible_facts")
    parts = {name: result.get(name) for name in ("findings", "classes", "system")}
    parts["facts"] = (given or {}).get("hostmend")
    try:
        document_size(parts)
    except HostmendError as error:
        raise HostmendError(f"{_REFUSED}: {error}") from error
    findings = validated(parts["findings"])
    names = set(names) & set(catalog.classes)
    asked = {check for name in names for check in catalog.classes[name].checks}
    if asked and not any(finding["check"] in asked for finding in findings):
        raise HostmendError("the host's answer says nothing of any check that was asked for")
    return {
        "findings": with_unknowns(findings, names, catalog, _NOTHING_SAID),
        "classes": classes(parts["classes"]),
        "system": system(parts["system"]),
        "facts": facts(parts["facts"]),
    }


def failure(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a module's result that says why it failed or that the host was not reached: texts, cut short."""
    made: dict[str, Any] = {name: True for name in ("failed", "unreachable") if result.get(name)}
    for name in ("msg", "module_stdout", "module_stderr", "exception"):
        text = result.get(name)
        if text:
            made[name] = cut(text if isinstance(text, str) else str(type(text).__name__))
    return made


def cut(text: str, longest: int = LONGEST_FAILURE) -> str:
    """Return text of at most ``longest`` characters; of a longer one its beginning and its end."""
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}\n[...]\n{text[-half:]}"


#: What is kept of a rollback's result: lists of texts, and lists of items whose members are texts.
ROLLBACK_TEXTS = ("notes", "taken")
ROLLBACK_ITEMS = ("restored", "conflicts", "errors", "runs")


def rollback(result: Any) -> dict[str, Any]:
    """Return what a host answered to ``rollback``: what it restored and refused, notes, and the runs that it knows.

    :raises HostmendError: where a part of it is of another shape or too large.
    """
    refused = "the host's answer is not that of rollback"
    if not isinstance(result, dict):
        raise HostmendError(refused)
    given = {name: result[name] for name in (*ROLLBACK_ITEMS, *ROLLBACK_TEXTS) if result.get(name) is not None}
    try:
        document_size(given)
    except HostmendError as error:
        raise HostmendError(f"{refused}: {error}") from error
    for name, part in given.items():
        wanted = str if name in ROLLBACK_TEXTS else dict
        if not isinstance(part, list) or len(part) > MOST_FINDINGS or not all(isinstance(item, wanted) for item in part):
            raise HostmendError(f"{refused}: {name}")
    return {
        name: [item[:LONGEST_TEXT] for item in part] if name in ROLLBACK_TEXTS else [_item(item) for item in part]
        for name, part in given.items()
    }


def _item(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an item that are plain, and the roles of a run with the state of each."""
    made = {str(name)[:200]: _cut(part) for name, part in given.items() if not isinstance(part, (dict, list))}
    roles = given.get("roles")
    if isinstance(roles, dict):
        made["roles"] = {str(role)[:200]: str(state)[:200] for role, state in list(roles.items())[:MOST_NAMED]}
    return made


def _cut(value: Any) -> Any:
    return value[:LONGEST_TEXT] if isinstance(value, str) else value
