"""A report for people: its reasons in the language that it is in. JSON has them in English, with their ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hostmend import catalog
from hostmend.core import sentences


def localized(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the report with reasons in its language, as far as the catalogue has them; the given one stays as it is."""
    language = str(report.get("language") or "en")
    if language == "en":
        return report
    known = catalog.load()
    hosts = {
        name: {**host, "findings": [_localized(one, known, language) for one in host["findings"]]}
        for name, host in report["hosts"].items()
    }
    return {**report, "hosts": hosts}


def _localized(finding: Mapping[str, Any], known: catalog.Catalog, language: str) -> Mapping[str, Any]:
    # Without its id: what is in the reader's language is not put into it again.
    kept = {name: part for name, part in finding.items() if name not in ("reason_id", "reason_params")}
    return {**kept, "reason": sentences.reason(finding, known, language)} if "reason_id" in finding else finding
