"""What the documentation shows is true: its examples are built and tried."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import sys
import types
from pathlib import Path

import click
import pytest
import tree
import yaml

from hostmend import catalog
from hostmend.cli import hostmend

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
PAGES = sorted([tree.ROOT / "README.md", *(tree.ROOT / "docs").glob("*.md")])


def blocks(page):
    """Return the code blocks of a page as (language, path named in the first line, text)."""
    made = []
    for language, text in BLOCK.findall(page.read_text("utf-8")):
        named = re.match(r"# ([\w./-]+/[\w.-]+)\n", text)
        made.append((language, named and named.group(1), text))
    return made


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Build the class of docs/adding-a-class.md in an empty tree."""
    root = tmp_path_factory.mktemp("tree")
    for _language, path, text in blocks(tree.ROOT / "docs" / "adding-a-class.md"):
        if path:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text.partition("\n")[2], "utf-8")
    return root


@pytest.fixture
def detector(example):
    return tree.detectors(example)["shadow"]


def test_the_example_keeps_the_rule_of_the_tree(example, detector):
    made = catalog.load(example / "src/hostmend/catalog")
    assert tree.faults(example, made, {"shadow": detector}) == []


def test_the_example_finds_what_it_says(example, detector, tmp_path):
    from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host

    (tmp_path / "etc").mkdir()
    for name, mode in (("shadow", 0o644), ("gshadow", 0o640)):
        (tmp_path / "etc" / name).write_text("root:*:\n")
        (tmp_path / "etc" / name).chmod(mode)
    host, policy = Host(root=str(tmp_path)), detector["POLICY"]

    def verdicts():
        return [one["status"] for one in detector["check"](detector["collect"](host, policy), policy)]

    mine = "passed" if os.getuid() == 0 else "open"  # a file of root's is what it asks for
    assert verdicts() == ["open", mine]
    (tmp_path / "etc" / "gshadow").unlink()
    assert verdicts() == ["open", "not_applicable"]


def test_the_test_of_the_example_passes(example, detector, monkeypatch):
    package = "ansible_collections.hostmend.hardening.plugins.module_utils.detectors"
    holder, module = types.ModuleType(package), types.ModuleType(f"{package}.shadow")
    module.__dict__.update(runpy.run_path(str(example / tree.DETECTORS / "shadow.py")))
    holder.shadow = module
    monkeypatch.setitem(sys.modules, package, holder)
    monkeypatch.setitem(sys.modules, f"{package}.shadow", module)
    runpy.run_path(str(example / "tests/unit/plugins/test_detector_shadow.py"))["test_verdicts"]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_in_yaml_can_be_read(page):
    for language, _path, text in blocks(page):
        if language in ("yaml", "yml"):
            assert list(yaml.safe_load_all(text)) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_found_from_the_readme():
    readme = (tree.ROOT / "README.md").read_text("utf-8")
    for page in PAGES:
        if page.name not in ("README.md",):
            assert f"docs/{page.name}" in readme, page.name


def test_every_make_target_that_is_named_is_there():
    makefile = Path(tree.ROOT / "Makefile").read_text("utf-8")
    for page in PAGES:
        for target in re.findall(r"(?:^\$ |`)make (\w+)", page.read_text("utf-8"), re.M):
            assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: make {target}"


def command_lines(page):
    """Return the command lines of hostmend that a page shows."""
    text = page.read_text("utf-8")
    for language, _path, block in blocks(page):
        if language in ("console", "sh", "bash"):
            yield from re.findall(r"^\$ hostmend (.+)$", block.replace("\\\n", " "), re.M)
    yield from re.findall(r"`hostmend ([a-z]+ [^`]+)`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_that_is_shown_can_be_given(page):
    for line in command_lines(page):
        name, *words = shlex.split(line, comments=True)
        command = hostmend.get_command(click.Context(hostmend), name)
        assert command is not None, f"{page.name}: there is no hostmend {name}"
        if isinstance(command, click.Group):
            name = f"{name} {words[0]}"
            command = command.get_command(click.Context(command), words.pop(0))
            assert command is not None, f"{page.name}: there is no hostmend {name}"
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0] in known, f"{page.name}: hostmend {name} has no {word}"
