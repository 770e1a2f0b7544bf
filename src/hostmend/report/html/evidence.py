"""Evidence, any JSON from a host, as markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from hostmend.report.text import visible

TEXT_LIMIT = 2000
LIST_LIMIT = 40


def evidence(value: Any, depth: int = 0) -> Markup:
    """Return evidence, any JSON, as nested lists of names and values."""
    if isinstance(value, Mapping):
        if depth > 1:
            return Markup(", ").join(
                Markup("<b>{}</b> {}").format(visible(k), evidence(v, depth + 1)) for k, v in value.items()
            )
        rows = [
            Markup("<dt>{}</dt><dd>{}</dd>").format(visible(k), evidence(v, depth + 1))
            for k, v in list(value.items())[:LIST_LIMIT]
        ]
        return Markup("<dl>{}{}</dl>").format(Markup("").join(rows), _more(len(value)))
    if isinstance(value, (list, tuple)):
        if not value:
            return Markup("<i>\N{EN DASH}</i>")
        rows = [Markup("<li>{}</li>").format(evidence(one, depth + 2)) for one in value[:LIST_LIMIT]]
        return Markup("<ul>{}{}</ul>").format(Markup("").join(rows), _more(len(value)))
    if value is None or isinstance(value, bool):
        return Markup("<i>{}</i>").format({None: "null", True: "true", False: "false"}[value])
    text = str(value)
    if len(text) > TEXT_LIMIT:
        text = f"{text[:TEXT_LIMIT]} \N{HORIZONTAL ELLIPSIS} (+{len(text) - TEXT_LIMIT})"
    return escape(visible(text))


def _more(count: int) -> Markup:
    return (
        Markup("<li>\N{HORIZONTAL ELLIPSIS} (+{})</li>").format(count - LIST_LIMIT)
        if count > LIST_LIMIT
        else Markup("")
    )
