"""What a check is, and a finding joined with it: the catalogue without the reading of its files.

Standard library only, and Python 3.6 or newer: the agent of hosts that audit themselves carries this module as it is.
"""

from types import MappingProxyType
from typing import Any, Dict, Iterable, Iterator, Mapping, NamedTuple, Optional, Tuple

from hostmend.core.finding import LEVELS, RISKS, SEVERITIES


class Text(NamedTuple):
    """One text in the languages of the catalogue."""

    en: str
    zh_TW: str  # noqa: N815 - the name of the locale

    def get(self, language: str) -> str:
        """Return the text in ``language``, in English where there is none."""
        return (self.zh_TW if language == "zh_TW" else "") or self.en


class Option(NamedTuple):
    """One policy option: ``hostmend_<class>_<name>`` in the inventory, ``<class>_<name>`` for the role."""

    name: str
    type: str
    default: Any
    description: Text
    secret: bool = False  # never shown, never logged
    detector: bool = True  # False: only the role takes it
    role: bool = True  # False: only the detector takes it
    elements: Optional[str] = None
    choices: Tuple[Any, ...] = ()


class Fix(NamedTuple):
    """What mends a finding. No role: a person does."""

    risk: str
    role: Optional[str] = None

    def as_dict(self, risk: Optional[str] = None) -> Dict[str, Any]:
        made: Dict[str, Any] = {"risk": risk or self.risk}
        if self.role:
            made = {"role": self.role, **made}
        return made


class Check(NamedTuple):
    """One check of a class."""

    id: str
    class_name: str
    kind: str
    grade: str  # severity of a vulnerability, level of an alert
    title: Text
    why: Text
    change: Text
    fix: Fix
    references: Tuple[str, ...] = ()

    @property
    def severity(self) -> Optional[str]:
        return self.grade if self.kind == "vulnerability" else None

    @property
    def level(self) -> Optional[str]:
        return self.grade if self.kind == "alert" else None


class IssueClass(NamedTuple):
    """One class of issues: its checks and its policy."""

    name: str
    title: Text
    description: Text
    policy: Mapping[str, Option] = MappingProxyType({})
    checks: Mapping[str, Check] = MappingProxyType({})
    remedy: Mapping[str, str] = MappingProxyType({})  # what its role is told of a finding: the type of each member
    order: int = 0  # when its role runs: lower first, then by name
    sentences: Mapping[str, Text] = MappingProxyType({})  # what its detector gives as reasons


class Catalog:
    """All classes, and the options that all of them share."""

    def __init__(
        self,
        classes: Mapping[str, IssueClass],
        common: Mapping[str, Option],
        areas: Optional[Mapping[str, Text]] = None,
        sentences: Mapping[str, Text] = MappingProxyType({}),
    ) -> None:
        self.classes = classes
        self.common = common
        #: What hostmend is for; the areas of a class's name are looked at.
        self.areas: Mapping[str, Text] = areas or {}
        #: What reasons are made of, by their ids.
        self.sentences: Dict[str, Text] = dict(sentences)
        for one in classes.values():
            self.sentences.update(one.sentences)
        self.checks: Mapping[str, Check] = {check.id: check for one in classes.values() for check in one.checks.values()}

    @property
    def order(self) -> Mapping[str, int]:
        """The place of each class in the order in which roles run."""
        return {name: each.order for name, each in self.classes.items()}

    def check(self, name: str) -> Optional[Check]:
        return self.checks.get(name)

    def select(self, names: Iterable[str]) -> Iterator[Check]:
        """Yield the checks that ``names`` (check ids and class names) mean; raise KeyError for an unknown one."""
        for name in names:
            if name in self.classes:
                yield from self.classes[name].checks.values()
            else:
                yield self.checks[name]


def join(finding: Mapping[str, Any], catalog: Catalog, language: str = "en") -> Dict[str, Any]:
    """Return the finding with what the catalogue knows of its check.

    Severity, level and risk that the detector set for the single case stay. A finding whose check the
    catalogue does not know is kept as it is, of medium severity and for a person to mend: it is never dropped.
    """
    made = dict(finding)
    name = str(made.get("check", ""))
    made.setdefault("class", name.split(".", 1)[0])
    risk = made.pop("risk", None)
    check = catalog.check(name)
    if check is None:
        if made.setdefault("kind", "vulnerability") == "alert":
            made.setdefault("level", "suspicious")
        else:
            made.setdefault("severity", "medium")
        made.setdefault("title", name)
        made.setdefault("fix", {"risk": "manual"})
        made.setdefault("references", [])
        return made
    made["kind"] = check.kind
    if check.kind == "vulnerability":
        made["severity"] = made["severity"] if made.get("severity") in SEVERITIES else check.grade
        made.pop("level", None)
    else:
        made["level"] = made["level"] if made.get("level") in LEVELS else check.grade
        made.pop("severity", None)
    made["title"] = check.title.get(language)
    if risk is None and isinstance(made.get("fix"), Mapping):  # joined before: the single case's risk stays
        risk = made["fix"].get("risk")
    made["fix"] = check.fix.as_dict(risk if risk in RISKS else None)
    given = [str(one) for one in made.get("references") or ()]
    made["references"] = list(dict.fromkeys([*given, *check.references]))
    return made
