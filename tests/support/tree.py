"""The rule of the tree: a class is a detector, a catalogue file, a role and a scenario of one name, and they agree."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Undefined
from jinja2.nativetypes import NativeEnvironment

from hostmend import catalog as catalogue
from tests.support.paths import ROOT

DETECTORS = Path("plugins/module_utils/detectors")
COLLECTIONS = str(ROOT / ".ansible" / "collections")
if COLLECTIONS not in sys.path:  # where Ansible finds this tree as a collection
    sys.path.insert(0, COLLECTIONS)


def detectors(root: Path) -> dict[str, dict[str, Any]]:
    """Return NAME, CHECKS and POLICY of each detector of the tree, by file name."""
    made = {}
    for path in sorted((root / DETECTORS).glob("*/__init__.py")):
        module = runpy.run_path(str(path))
        made[path.parent.name] = {name: module.get(name) for name in ("NAME", "CHECKS", "POLICY", "collect", "check")}
    return made


def faults(root: Path, catalog: catalogue.Catalog, found: dict[str, dict[str, Any]]) -> list[str]:
    """Return in one line each what breaks the rule."""
    made = []
    for name in sorted(set(found) | set(catalog.classes)):
        if name not in found:
            made.append(f"{name}: there is a catalogue file, but no detector")
        elif name not in catalog.classes:
            made.append(f"{name}: there is a detector, but no catalogue file")
        else:
            made += _detector(name, found[name], catalog.classes[name])
    for one in catalog.classes.values():
        made += _fixes(root, one)
        made += _role(root, one, catalog)
    return made


def _detector(name: str, detector: dict[str, Any], one: catalogue.IssueClass) -> list[str]:
    made = []
    if detector["NAME"] != name:
        made.append(f"{name}: the detector's NAME is {detector['NAME']!r}")
    for function in ("collect", "check"):
        if not callable(detector[function]):
            made.append(f"{name}: the detector has no {function}()")
    checks, policy = set(detector["CHECKS"] or ()), dict(detector["POLICY"] or {})
    made += [f"{check}: the detector names it, the catalogue does not" for check in sorted(checks - set(one.checks))]
    made += [f"{check}: the catalogue names it, the detector does not" for check in sorted(set(one.checks) - checks)]
    options = {option.name: option for option in one.policy.values() if option.detector}
    made += [
        f"{name}: the catalogue does not know the policy option {key}" for key in sorted(set(policy) - set(options))
    ]
    for key, option in options.items():
        if key not in policy:
            made.append(f"{name}: the detector does not know the policy option {key}")
        elif not _same(policy[key], option.default):
            made.append(f"{name}: the default of {key} is {policy[key]!r} for the detector, {option.default!r} here")
    return made


def _fixes(root: Path, one: catalogue.IssueClass) -> list[str]:
    made = []
    for check in one.checks.values():
        role = check.fix.role
        if role and not (root / "roles" / role / "tasks" / "main.yml").is_file():
            made.append(f"{check.id}: its role {role} does not exist")
        if role and not (root / "molecule" / role / "molecule.yml").is_file():
            made.append(f"{check.id}: there is no scenario molecule/{role}")
    return made


def _role(root: Path, one: catalogue.IssueClass, catalog: catalogue.Catalog) -> list[str]:
    role = root / "roles" / one.name
    if not role.is_dir():
        return []
    made = []
    defaults = _yaml(role / "defaults" / "main.yml") or {}
    specs = ((_yaml(role / "meta" / "argument_specs.yml") or {}).get("argument_specs") or {}).get("main") or {}
    arguments = {name for name in specs.get("options") or {} if not name.startswith("hostmend_")}
    options = {f"{one.name}_{option.name}": option for option in one.policy.values() if option.role}
    environment = NativeEnvironment(undefined=Undefined)
    common = {f"hostmend_{name}": option.default for name, option in catalog.common.items()}
    for variable in sorted(set(defaults) - set(options)):
        if not variable.startswith(("__", "hostmend_")):
            made.append(f"role {one.name}: {variable} is not in the catalogue")
    for variable, option in options.items():
        if variable not in defaults:
            made.append(f"role {one.name}: {variable} has no default")
            continue
        value = defaults[variable]
        if not (isinstance(value, str) and f"hostmend_{variable}" in value):
            made.append(f"role {one.name}: {variable} does not take hostmend_{variable}")
            continue
        default = environment.from_string(value).render(common)
        if not _same(default, option.default):
            made.append(f"role {one.name}: the default of {variable} is {default!r}, {option.default!r} here")
    for variable, option in options.items():
        if variable in arguments:
            made += _argument(f"role {one.name}: {variable}", specs["options"][variable], option)
    made += _readme(role, one.name, options)
    for variable in sorted(set(options) ^ arguments):
        place = "meta/argument_specs.yml" if variable in options else "the catalogue"
        made.append(f"role {one.name}: {variable} is not in {place}")
    return made


def _argument(where: str, spec: dict[str, Any], option: catalogue.Option) -> list[str]:
    """Return what meta/argument_specs.yml says otherwise of an option than the catalogue."""
    wanted = {
        "type": option.type,
        "elements": option.elements,
        "choices": list(option.choices) or None,
        "no_log": option.secret or None,
    }
    made = [f"{where} has {key} {spec.get(key)!r} in its argument spec, {value!r} here" for key, value in wanted.items()
            if not _same(spec.get(key), value)]  # fmt: skip
    if not _same(spec.get("default"), option.default):
        made.append(f"{where} has default {spec.get('default')!r} in its argument spec, {option.default!r} here")
    return made


def _readme(role: Path, name: str, options: dict[str, catalogue.Option]) -> list[str]:
    """Return what the table of options in a role's README says otherwise than the catalogue, where it has one."""
    path = role / "README.md"
    if not path.is_file():
        return []
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)` \| ([^|]*?) \|", path.read_text("utf-8"), re.M))
    rows = {variable: default for variable, default in rows.items() if variable.startswith(f"{name}_")}
    if not rows:
        return []  # it refers to the page of all options
    made = [f"role {name}: its README has no row for {variable}" for variable in sorted(set(options) - set(rows))]
    made += [f"role {name}: its README has {variable}, the catalogue does not" for variable in sorted(set(rows) - set(options))]
    for variable in sorted(set(rows) & set(options)):
        default = yaml.safe_load(rows[variable].strip("`"))
        if not _same(default, options[variable].default):
            wanted = options[variable].default
            made.append(f"role {name}: the default of {variable} in its README is {default!r}, {wanted!r} here")
    return made


def _same(one: Any, other: Any) -> bool:
    def plain(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [plain(part) for part in value]
        return {key: plain(part) for key, part in value.items()} if isinstance(value, dict) else value

    return type(plain(one)) is type(plain(other)) and plain(one) == plain(other)


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None
