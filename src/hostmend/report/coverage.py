"""What a report has looked at, and what it has not: a score says nothing about the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hostmend import catalog as catalogue

#: Statuses that say nothing was found out.
UNTOLD = ("unknown", "not_assessed")
_WORDS = {
    "en": {
        "looked": "Looked at {n} of {all} areas: {names}.",
        "none": "Looked at none of {all} areas.",
        "unknown": " Nothing could be told of: {names}.",
        "left_out": " Left out here: {names}.",
        "not_covered": " Not looked at by this version: {names}.",
        "between": ", ",
    },
    "zh_TW": {
        "looked": "已檢視 {all} 個領域中的 {n} 個\uff1a{names}。",
        "none": "{all} 個領域皆未檢視。",
        "unknown": "無法判斷\uff1a{names}。",
        "left_out": "本次略過\uff1a{names}。",
        "not_covered": "此版本不檢視\uff1a{names}。",
        "between": "、",
    },
}


def of(classes: Mapping[str, Mapping[str, int]], catalog: catalogue.Catalog) -> dict[str, Any] | None:
    """Return the areas that a report has looked at, those left out of it, and those that this version does not cover.

    :param classes: for each class that the report has findings of, how many of each status.
    :return: ``areas`` (how many there are), ``looked_at``, ``unknown`` (no check of it could be made on any host),
        ``left_out``, ``not_covered``; None where no areas are known.
    """
    if not catalog.areas:
        return None
    seen = set(classes)
    judged = {name for name, counts in classes.items() if any(counts[one] for one in counts if one not in UNTOLD)}
    return {
        "areas": len(catalog.areas),
        "looked_at": [name for name in catalog.areas if name in judged],
        "unknown": [name for name in catalog.areas if name in seen - judged],
        "left_out": [name for name in catalog.areas if name in catalog.classes and name not in seen],
        "not_covered": [name for name in catalog.areas if name not in catalog.classes],
    }


def sentence(report: Mapping[str, Any], language: str = "", catalog: catalogue.Catalog | None = None) -> str:
    """Return in words what a report has looked at; nothing of a report that does not say so.

    :param language: that of the report where it is not given.
    """
    coverage = report.get("coverage")
    if not coverage:
        return ""
    areas = (catalog or catalogue.load()).areas
    language = language or str(report.get("language"))
    words = _WORDS.get(language, _WORDS["en"])

    def part(key: str, names: list[str]) -> str:
        shown = words["between"].join(areas[name].get(language) if name in areas else name for name in names)
        return words[key].format(n=len(names), all=coverage["areas"], names=shown) if names else ""

    return (
        (part("looked", coverage["looked_at"]) or words["none"].format(all=coverage["areas"]))
        + part("unknown", coverage.get("unknown") or [])
        + part("left_out", coverage["left_out"])
        + part("not_covered", coverage["not_covered"])
    )
