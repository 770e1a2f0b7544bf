"""What runs on hosts asks for nothing that Python 3.6 has not, and every Python from there on takes it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import target_code
from tests.support.paths import ROOT

#: Methods that came after Python 3.6, which a tool that does not know the type of an object does not see.
NEWER_METHODS = {
    "as_integer_ratio", "bit_count", "fromisoformat", "hardlink_to", "is_mount", "is_relative_to", "isascii", "removeprefix",
    "removesuffix", "subnet_of", "supernet_of", "walk_up", "with_stem",
}  # fmt: skip
NEWER_ARGUMENTS = {"capture_output", "dirs_exist_ok", "missing_ok", "text", "usedforsecurity"}

IMPORT_ALL = """
import importlib, json, sys, types

class AnsibleModule(object):
    pass

for name in ("ansible", "ansible.module_utils", "ansible.module_utils.basic"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["ansible.module_utils.basic"].AnsibleModule = AnsibleModule
for name in json.load(sys.stdin):
    importlib.import_module(name)
print(len(sys.modules))
"""


@pytest.mark.parametrize("version", target_code.VERSIONS)
def test_every_module_is_imported_without_a_warning(version: str) -> None:
    python = target_code.interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    paths = [str(ROOT / "src"), str(ROOT / ".ansible" / "collections")]
    names = list(target_code.modules())
    done = subprocess.run(
        [python, "-I", "-B", "-W", "error", "-c", f"import sys; sys.path[:0] = {paths!r}\n{IMPORT_ALL}"],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > len(names) > 200


def test_nothing_newer_than_python_3_6_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from vermin import main; main()", "--target=3.6-", "--no-tips", "--violations",
         "--eval-annotations", *map(str, target_code.modules().values())],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def newer(source: str) -> Iterator[str]:
    """Yield in one line each what a source calls that came after Python 3.6, by name alone."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in NEWER_METHODS and isinstance(node.func, ast.Attribute):
            yield f"{node.lineno}: {name}()"
        for argument in node.keywords:
            if argument.arg in NEWER_ARGUMENTS and (argument.arg != "text" or name in ("run", "Popen", "check_output")):
                yield f"{node.lineno}: {name}({argument.arg}=)"


@pytest.mark.parametrize(
    "source", ["'a'.isascii()", "path.unlink(missing_ok=True)", "subprocess.run(argv, text=True)", "net.subnet_of(other)"]
)
def test_a_newer_method_is_seen(source: str) -> None:
    assert len(list(newer(source))) == 1


def test_no_newer_method_is_called() -> None:
    def told(path: Path) -> list[str]:
        return [f"{path.relative_to(ROOT)}:{one}" for one in newer(path.read_text("utf-8"))]

    assert [one for path in target_code.modules().values() for one in told(path)] == []
