"""The catalogue: what each check means, how grave it is and what mends it.

Detectors on the target say what they saw; everything a person reads about it (titles in English and
Traditional Chinese, why it matters, what the fix does), the severities, the fixing roles and the policy
options live in ``catalog/<class>.yml`` and are read here. Files are discovered, so a new class is a new file.

Needs only PyYAML, so that the collection's action plugins can use it on any Ansible controller.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from hostmend.core.catalog_model import Catalog, Check, Fix, IssueClass, Option, Text, join
from hostmend.core.finding import KINDS, LEVELS, RISKS, SEVERITIES
from hostmend.core.sentences import placeholders

__all__ = (
    "LANGUAGES",
    "OPTION_TYPES",
    "Catalog",
    "CatalogError",
    "Check",
    "Fix",
    "IssueClass",
    "Option",
    "Text",
    "join",
    "load",
    "parse",
)

LANGUAGES = ("en", "zh_TW")
OPTION_TYPES: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "list": (list,),
    "dict": (dict,),
}

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_CHECK = re.compile(r"[a-z][a-z0-9_]*\.[a-z0-9][a-z0-9_]*\Z")


class CatalogError(ValueError):
    """The catalogue says something it may not; the message names the file and the key."""


def load(directory: str | Path | None = None) -> Catalog:
    """Return the catalogue in ``directory`` (the one that comes with hostmend), read once per process."""
    return _load(Path(directory) if directory is not None else Path(__file__).parent)


@functools.lru_cache(maxsize=8)
def _load(directory: Path) -> Catalog:
    common: Mapping[str, Option] = {}
    sentences: Mapping[str, Text] = {}
    shared = directory / "_common.yml"
    if shared.exists():
        reader = _Reader(shared)
        top = reader.mapping(reader.document, "", {"policy", "sentences"})
        common = reader.options(top.get("policy"), "policy")
        sentences = reader.sentences(top.get("sentences"), "sentences")
    classes: dict[str, IssueClass] = {}
    for path in sorted(directory.glob("*.yml")):
        if not path.name.startswith("_"):
            one = parse(path)
            classes[one.name] = one
    return Catalog(classes, common, _areas(directory / "_areas.yml"), sentences)


def _areas(path: Path) -> dict[str, Text]:
    """Return the areas that there are, in their order; none where there is no such file."""
    if not path.exists():
        return {}
    reader = _Reader(path)
    top = reader.mapping(reader.document, "", {"areas"})
    areas = reader.mapping(top.get("areas"), "areas", None)
    return {name: reader.text(text, f"areas.{name}") for name, text in areas.items()}


def parse(path: Path) -> IssueClass:
    """Return the class that one catalogue file describes."""
    reader = _Reader(path)
    known = {"class", "title", "description", "order", "policy", "remedy", "checks", "sentences"}
    top = reader.mapping(reader.document, "", known)
    name = reader.string(top.get("class"), "class")
    if name != path.stem:
        reader.fail("class", f"is {name!r}, but the file is named {path.stem!r}")
    checks = reader.mapping(top.get("checks"), "checks", None)
    if not checks:
        reader.fail("checks", "has no check")
    return IssueClass(
        name=name,
        title=reader.text(top.get("title"), "title"),
        description=reader.text(top.get("description"), "description"),
        policy=reader.options(top.get("policy"), "policy"),
        checks={key: reader.check(key, value, name) for key, value in checks.items()},
        remedy=reader.remedy(top.get("remedy"), "remedy"),
        order=reader.order(top.get("order", 0), "order"),
        sentences=reader.sentences(top.get("sentences"), "sentences", f"{name}."),
    )


class _Reader:
    """Reads one catalogue file strictly: a misspelt key is an error, not a missing text in a report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.document = yaml.load(path.read_text("utf-8"), _Loader)
        except (OSError, UnicodeDecodeError) as error:
            raise CatalogError(f"{path}: cannot be read: {error}") from error
        except yaml.YAMLError as error:
            raise CatalogError(f"{path}: {' '.join(str(error).split())}") from error

    def fail(self, key: str, what: str) -> None:
        raise CatalogError(f"{self.path}: {key or 'the document'} {what}")

    def mapping(self, value: Any, key: str, known: set[str] | None) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise CatalogError(f"{self.path}: {key or 'the document'} must be a mapping")
        for name in value:
            if not isinstance(name, str):
                self.fail(f"{key}.{name}".strip("."), "is not a string")
            elif known is not None and name not in known:
                self.fail(f"{key}.{name}".strip("."), f"is not a known key (known: {', '.join(sorted(known))})")
        return value

    def string(self, value: Any, key: str) -> str:
        if not isinstance(value, str) or not value.strip():
            raise CatalogError(f"{self.path}: {key} must be a text that is not empty")
        return " ".join(value.split())

    def choice(self, value: Any, key: str, allowed: Iterable[str]) -> str:
        if not isinstance(value, str) or value not in tuple(allowed):
            raise CatalogError(f"{self.path}: {key} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def remedy(self, value: Any, key: str) -> dict[str, str]:
        members = self.mapping(value, key, None) if value is not None else {}
        return {name: self.choice(kind, f"{key}.{name}", tuple(OPTION_TYPES)) for name, kind in members.items()}

    def order(self, value: Any, key: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 99:
            self.fail(key, "must be a whole number from 0 to 99")
        return int(value)

    def boolean(self, value: Any, key: str) -> bool:
        if not isinstance(value, bool):
            raise CatalogError(f"{self.path}: {key} must be true or false")
        return value

    def text(self, value: Any, key: str) -> Text:
        texts = self.mapping(value, key, set(LANGUAGES))
        return Text(**{language: self.string(texts.get(language), f"{key}.{language}") for language in LANGUAGES})

    def sentences(self, value: Any, key: str, prefix: str = "") -> dict[str, Text]:
        """Read templates of sentences; each language of one has the same placeholders."""
        made = {}
        for name, one in (self.mapping(value, key, None) if value is not None else {}).items():
            text = made[name] = self.text(one, f"{key}.{name}")
            if not _CHECK.match(name) or not name.startswith(prefix):
                self.fail(f"{key}.{name}", "is not a good id for a sentence")
            if placeholders(text.en) != placeholders(text.zh_TW):
                self.fail(f"{key}.{name}", "has other placeholders in one language than in the other")
        return made

    def strings(self, value: Any, key: str) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise CatalogError(f"{self.path}: {key} must be a list")
        return tuple(self.string(one, f"{key}[{index}]") for index, one in enumerate(value))

    def options(self, value: Any, key: str) -> dict[str, Option]:
        if value is None:
            return {}
        return {name: self.option(name, one, f"{key}.{name}") for name, one in self.mapping(value, key, None).items()}

    def option(self, name: str, value: Any, key: str) -> Option:
        if not _NAME.match(name):
            self.fail(key, "is not a good name for a variable")
        known = {"type", "default", "secret", "detector", "role", "elements", "choices", "description"}
        top = self.mapping(value, key, known)
        kind = self.choice(top.get("type"), f"{key}.type", tuple(OPTION_TYPES))
        if "default" not in top:
            self.fail(f"{key}.default", "is missing")
        default = top["default"]
        fits = isinstance(default, OPTION_TYPES[kind]) and (kind == "bool" or not isinstance(default, bool))
        if default is not None and not fits:
            self.fail(f"{key}.default", f"is not of type {kind}")
        choices = top.get("choices", [])
        if not isinstance(choices, list):
            self.fail(f"{key}.choices", "must be a list")
        return Option(
            name=name,
            type=kind,
            default=default,
            description=self.text(top.get("description"), f"{key}.description"),
            secret=self.boolean(top.get("secret", False), f"{key}.secret"),
            detector=self.boolean(top.get("detector", True), f"{key}.detector"),
            role=self.boolean(top.get("role", True), f"{key}.role"),
            elements=self.choice(top["elements"], f"{key}.elements", tuple(OPTION_TYPES))
            if "elements" in top
            else None,
            choices=tuple(choices),
        )

    def check(self, name: str, value: Any, class_name: str) -> Check:
        key = f"checks.{name}"
        if not _CHECK.match(name):
            self.fail(key, "is not a check id (class.condition)")
        known = {"kind", "severity", "level", "title", "why", "change", "fix", "references"}
        top = self.mapping(value, key, known)
        kind = self.choice(top.get("kind"), f"{key}.kind", KINDS)
        word, grades, other = (
            ("severity", SEVERITIES, "level") if kind == "vulnerability" else ("level", LEVELS, "severity")
        )
        if other in top:
            self.fail(f"{key}.{other}", f"does not belong to a check of kind {kind}")
        fix = self.mapping(top.get("fix"), f"{key}.fix", {"role", "risk"})
        risk = self.choice(fix.get("risk"), f"{key}.fix.risk", RISKS)
        role = self.string(fix["role"], f"{key}.fix.role") if "role" in fix else None
        if role is None and risk != "manual":
            self.fail(f"{key}.fix.role", f"is missing, and the risk is {risk}, not manual")
        return Check(
            id=name,
            class_name=class_name,
            kind=kind,
            grade=self.choice(top.get(word), f"{key}.{word}", grades),
            title=self.text(top.get("title"), f"{key}.title"),
            why=self.text(top.get("why"), f"{key}.why"),
            change=self.text(top.get("change"), f"{key}.change"),
            fix=Fix(risk=risk, role=role),
            references=self.strings(top.get("references"), f"{key}.references"),
        )


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, by libyaml where there is one, that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _value in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made
