"""The floors of the target code: imports go down only, no class knows another, and no file grows without end."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UTILS = Path("plugins/module_utils")
PACKAGE = "ansible_collections.hostmend.hardening.plugins.module_utils"
#: From the ground up: each may import what is on a lower floor, and its own.
FLOORS = (
    ("common", "sentence"),
    ("host",),
    ("tls",),
    ("software",),
    ("journal", "agent"),
    ("finding", "printable"),
    ("detectors",),
    ("policy", "engine"),
)
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names}
LONGEST = 400
#: Files that are longer still, each with the lines that it must not exceed.
LONG = {
    "plugins/modules/certificate_mend.py": 733,
}


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each module that a source imports, and how far a relative import goes up: 0 for an absolute one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((one.name, 0) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module or ''}.{one.name}", node.level) for one in node.names)


def faults(path: Path, source: str) -> list[str]:
    """Return in one line each what the imports of a file of module_utils break.

    :param path: the file, below module_utils.
    """
    made = []
    own = path.parts[0] if len(path.parts) > 1 else path.stem
    if own != "__init__" and own not in HEIGHT:
        return [f"{path}: {own} is on no floor"]
    for name, level in imported(ast.parse(source)):
        if level:
            made.append(f"{path}: a relative import of {name}")
        if name.startswith("ansible_collections.") and not name.startswith(PACKAGE + "."):
            made.append(f"{path}: {name} is not of the target's code")
        if not name.startswith(PACKAGE + "."):
            continue
        parts = name[len(PACKAGE) + 1 :].split(".")
        other = parts[0]
        if HEIGHT.get(other, len(FLOORS)) >= HEIGHT[own] and other != own and other not in FLOORS[HEIGHT[own]]:
            made.append(f"{path}: {own} imports {other}, which is above it")
        if own == other == "detectors" and len(path.parts) > 2 and parts[1] != path.parts[1]:
            made.append(f"{path}: the class {path.parts[1]} imports the class {parts[1]}")
    return made


def test_imports_go_down_only() -> None:
    paths = sorted((ROOT / UTILS).rglob("*.py"))
    assert len(paths) > 150
    own = [(path.relative_to(ROOT / UTILS), path.read_text("utf-8")) for path in paths]
    assert [fault for path, source in own for fault in faults(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("common/files.py", f"from {PACKAGE}.host import model", "common imports host, which is above it"),
        ("host/units.py", f"import {PACKAGE}.software.nginx", "host imports software, which is above it"),
        ("software/nginx.py", f"def f():\n    from {PACKAGE}.detectors import redis", "software imports detectors"),
        ("journal/store.py", f"from {PACKAGE}.finding import found", "journal imports finding, which is above it"),
        ("detectors/redis/check.py", f"from {PACKAGE} import engine", "detectors imports engine, which is above it"),
        ("detectors/redis/check.py", f"from {PACKAGE}.detectors.ports import check", "the class redis imports the class ports"),
        ("host/units.py", "from . import model", "a relative import"),
        ("attic/units.py", "import os", "attic is on no floor"),
        ("host/a.py", "from ansible_collections.community.general.plugins.module_utils import x", "is not of the target's code"),
    ],
)
def test_an_import_that_goes_up_is_seen(path: str, source: str, fault: str) -> None:
    (told,) = faults(Path(path), source)
    assert told.startswith(f"{path}: ") and fault in told


def test_no_file_is_longer_than_a_person_reads() -> None:
    paths = [path for folder in ("plugins", "src") for path in sorted((ROOT / folder).rglob("*.py"))]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in paths}
    assert len(lengths) > 300
    assert {name: length for name, length in lengths.items() if length > LONG.get(name, LONGEST)} == {}
    assert [name for name in LONG if lengths.get(name, 0) <= LONGEST] == [], "they are short by now: take them off the list"
