from pathlib import Path

import pytest

from hostmend import catalog
from tests.support import tree
from tests.support.catalog_data import GOOD

DEFAULTS = 'door_exempt: "{{ hostmend_door_exempt | default([]) }}"\n'
SPECS = "argument_specs: {main: {options: {door_exempt: {type: list, default: []}}}}\n"
README = "| variable | default | |\n| --- | --- | --- |\n| `door_exempt` | `[]` | doors that may be open |\n"
DETECTOR = """
NAME = "door"
CHECKS = ("door.open",)
POLICY = {"exempt": []}
def collect(host, policy): return {}
def check(facts, policy): return []
"""


@pytest.fixture
def made(tmp_path):
    """Write a tree of one class that keeps the rule."""
    files = {
        tree.DETECTORS / "door/__init__.py": DETECTOR,
        Path("src/hostmend/catalog/door.yml"): GOOD,
        Path("roles/door/tasks/main.yml"): "",
        Path("roles/door/defaults/main.yml"): DEFAULTS,
        Path("roles/door/meta/argument_specs.yml"): SPECS,
        Path("roles/door/README.md"): README,
        Path("molecule/door/molecule.yml"): "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    return tmp_path


def faults(root):
    return tree.faults(root, catalog.load(root / "src/hostmend/catalog"), tree.detectors(root))


def test_this_tree_keeps_the_rule():
    assert faults(tree.ROOT) == []


def test_a_tree_that_keeps_the_rule_has_no_fault(made):
    assert faults(made) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "fault"),
    [
        ("plugins/module_utils/detectors/door/__init__.py", None, None, "door: there is a catalogue file, but no detector"),
        ("src/hostmend/catalog/door.yml", None, None, "door: there is a detector, but no catalogue file"),
        (
            "plugins/module_utils/detectors/door/__init__.py",
            '"door.open",',
            '"door.open", "door.ajar"',
            "door.ajar: the detector names it, the catalogue does not",
        ),
        (
            "plugins/module_utils/detectors/door/__init__.py",
            '"door.open",',
            "",
            "door.open: the catalogue names it, the detector does not",
        ),
        (
            "plugins/module_utils/detectors/door/__init__.py",
            '"exempt": []',
            '"exempt": [], "wide": 1',
            "door: the catalogue does not know the policy option wide",
        ),
        (
            "plugins/module_utils/detectors/door/__init__.py",
            '"exempt": []',
            "",
            "door: the detector does not know the policy option exempt",
        ),
        (
            "plugins/module_utils/detectors/door/__init__.py",
            '"exempt": []',
            '"exempt": [1]',
            "door: the default of exempt is [1] for the detector, [] here",
        ),
        ("plugins/module_utils/detectors/door/__init__.py", '"door"', '"gate"', "door: the detector's NAME is 'gate'"),
        ("plugins/module_utils/detectors/door/__init__.py", "def check", "def judge", "door: the detector has no check()"),
        ("roles/door/tasks/main.yml", None, None, "door.open: its role door does not exist"),
        ("molecule/door/molecule.yml", None, None, "door.open: there is no scenario molecule/door"),
        (
            "roles/door/defaults/main.yml",
            "default([])",
            "default([1])",
            "role door: the default of door_exempt is [1], [] here",
        ),
        (
            "roles/door/defaults/main.yml",
            "hostmend_door_exempt",
            "door_exempted",
            "role door: door_exempt does not take hostmend_door_exempt",
        ),
        ("roles/door/defaults/main.yml", "", "door_wide: 1\n", "role door: door_wide is not in the catalogue"),
        ("roles/door/defaults/main.yml", DEFAULTS, "", "role door: door_exempt has no default"),
        (
            "roles/door/meta/argument_specs.yml",
            "door_exempt",
            "door_exempts",
            "role door: door_exempts is not in the catalogue",
        ),
        (
            "roles/door/meta/argument_specs.yml",
            "type: list",
            "type: str",
            "role door: door_exempt has type 'str' in its argument spec, 'list' here",
        ),
        (
            "roles/door/meta/argument_specs.yml",
            "default: []",
            "default: [1]",
            "role door: door_exempt has default [1] in its argument spec, [] here",
        ),
        (
            "roles/door/meta/argument_specs.yml",
            "type: list",
            "type: list, choices: [a]",
            "role door: door_exempt has choices ['a'] in its argument spec, None here",
        ),
        ("roles/door/README.md", "`[]`", "`[1]`", "role door: the default of door_exempt in its README is [1], [] here"),
        ("roles/door/README.md", "door_exempt", "door_wide", "role door: its README has no row for door_exempt"),
        ("roles/door/README.md", "door_exempt", "door_wide", "role door: its README has door_wide, the catalogue does not"),
    ],
)
def test_each_breach_of_the_rule_is_a_fault(made, path, old, new, fault):
    file = made / path
    if new is None:
        file.unlink()
    else:
        text = file.read_text("utf-8")
        file.write_text(text.replace(old, new, 1) if old else new + text, "utf-8")
    assert fault in faults(made)
