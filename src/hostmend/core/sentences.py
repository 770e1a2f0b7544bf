"""Reasons as sentences of the catalogue: what a host says is taken where it fits a template, else it stays English text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hostmend.core.catalog_model import Catalog

_PLACE = re.compile(r"\{([a-z_]+)\}")
#: How deep sentences are nested, and how many parts a list in one has, at most.
DEEPEST = 5
MOST_PARTS = 200
#: The most characters of a sentence.
LONGEST = 16_384
#: What stands between the parts of a list: of texts, and of sentences.
_BETWEEN: Mapping[str, tuple[str, str]] = {"en": (", ", "; "), "zh_TW": ("、", "\N{FULLWIDTH SEMICOLON}")}


class _UnfitError(Exception):
    """What was given is no sentence of the catalogue."""


def placeholders(template: str) -> frozenset[str]:
    """Return the names of the parameters in a template."""
    return frozenset(_PLACE.findall(template))


def render(name: Any, params: Any, catalog: Catalog, language: str = "en") -> str | None:
    """Return a sentence of the catalogue in a language; None where it is none, or its parameters do not fit."""
    try:
        return _sentence(name, params, catalog, language, 0)
    except _UnfitError:
        return None


def _sentence(name: Any, params: Any, catalog: Catalog, language: str, depth: int) -> str:
    text = catalog.sentences.get(name) if isinstance(name, str) else None
    if text is None or not isinstance(params, dict) or depth > DEEPEST or set(params) != placeholders(text.en):
        raise _UnfitError
    said = {key: _words(value, catalog, language, depth) for key, value in params.items()}
    made = _PLACE.sub(lambda match: said[match.group(1)], text.get(language))
    if len(made) > LONGEST:
        raise _UnfitError
    return made


def _words(value: Any, catalog: Catalog, language: str, depth: int) -> str:
    if isinstance(value, list) and len(value) <= MOST_PARTS:
        between = _BETWEEN.get(language, _BETWEEN["en"])[any(isinstance(part, dict) for part in value)]
        return between.join(_part(part, catalog, language, depth) for part in value)
    return _part(value, catalog, language, depth)


def _part(value: Any, catalog: Catalog, language: str, depth: int) -> str:
    if isinstance(value, dict) and set(value) == {"id", "params"}:
        return _sentence(value["id"], value["params"], catalog, language, depth + 1)
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise _UnfitError


def reason_members(name: str, english: str) -> dict[str, Any]:
    """Return the members of a finding that give a sentence of the catalogue, without parameters, as its reason."""
    return {"reason": english, "reason_id": name, "reason_params": {}}


def keep_sound(finding: dict[str, Any], catalog: Catalog) -> None:
    """Leave the id and the parameters of a finding's reason only where they say in English what its reason says."""
    if "reason_id" in finding or "reason_params" in finding:
        said = render(finding.get("reason_id"), finding.get("reason_params"), catalog)
        if said is None or said != finding.get("reason"):
            finding.pop("reason_id", None)
            finding.pop("reason_params", None)


def reason(finding: Mapping[str, Any], catalog: Catalog, language: str) -> str:
    """Return the reason of a finding in a language; in English where there is no other."""
    english = str(finding.get("reason") or "")
    if "reason_id" not in finding or render(finding["reason_id"], finding.get("reason_params"), catalog) != english:
        return english
    return render(finding["reason_id"], finding.get("reason_params"), catalog, language) or english
