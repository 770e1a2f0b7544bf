"""What code says in sentences: the templates in it, and what it gives as reasons."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils import finding as target
from ansible_collections.hostmend.hardening.plugins.module_utils import sentence

from hostmend import catalog
from hostmend.core import sentences
from tests.support.paths import ROOT

#: The classes whose every reason is a sentence of the catalogue.
CLASSES = ("logrotate",)


class Call(NamedTuple):
    """A call that makes a sentence."""

    place: str
    name: Any
    template: Any
    params: frozenset[str | None]


def calls(folder: Path, function: str) -> Iterator[Call]:
    """Yield the calls of a function that makes sentences, in the Python files of a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and called(node) == function:
                name, template = (part.value if isinstance(part, ast.Constant) else None for part in node.args[:2])
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield Call(place, name, template, frozenset(one.arg for one in node.keywords))


def called(node: ast.Call) -> str:
    """Return the name of what is called, without what it is in."""
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def hold_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no finding of those classes be made whose reason is not a sentence that the catalogue can say."""
    made = target.finding

    def held(check: str, resource: str, status: str, **more: Any) -> Any:
        reason = more.get("reason")
        if reason and check.partition(".")[0] in CLASSES:
            assert isinstance(reason, sentence.Sentence), f"{check}: no sentence: {reason!r}"
            params = sentence.as_data(reason)["params"]
            assert sentences.render(reason.id, params, catalog.load()) == reason
            assert sentences.render(reason.id, params, catalog.load(), "zh_TW")
        return made(check, resource, status, **more)

    monkeypatch.setattr(target, "finding", held)
