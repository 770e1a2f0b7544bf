"""What the controller adds to the findings of a class that its host cannot know: one module per class, named as the class.

Such a module has

- ``join(findings, facts, system, option, path)``, which returns all findings, those of its class completed. ``facts``
  are the host's facts of the class (None where there are none), ``system`` what it says of itself, ``option(name)`` the
  value of a policy option of the class, and ``path(text)`` a path as the operator means it.
- ``from_agent(report)``: the facts of the class in the report of a host's agent, or None.
- ``preload()``: read what each host would have read again. It may fail; ``join`` then says why.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hostmend.core.catalog_model import Catalog


@functools.lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def modules(catalog: Catalog) -> Iterator[tuple[str, Any]]:
    """Yield the name and the module of each class of the catalogue that has one."""
    for name in _names():
        if name in catalog.classes:
            yield name, importlib.import_module(f"{__name__}.{name}")


def join(
    findings: list[dict[str, Any]],
    facts: Mapping[str, Any],
    system: Any,
    catalog: Catalog,
    option: Callable[[str, str], Any],
    path: Callable[[str], str],
) -> list[dict[str, Any]]:
    """Return a host's findings, completed class by class.

    :param facts: the facts of the host by class.
    :param option: the value of an option, by class and name.
    """
    for name, module in modules(catalog):
        findings = module.join(findings, facts.get(name), system, functools.partial(option, name), path)
    return findings


def from_agent(report: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """Return by class the facts that a report of a host's agent carries for this."""
    given = {name: module.from_agent(report) for name, module in modules(catalog)}
    return {name: facts for name, facts in given.items() if facts is not None}


def preload(catalog: Catalog) -> None:
    """Read in the process that forks the workers what each of them would read again."""
    for _name, module in modules(catalog):
        module.preload()
