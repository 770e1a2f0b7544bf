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
import yaml
from ansible_collections.hostmend.hardening.plugins.filter.open_findings import open_findings
from jinja2.nativetypes import NativeEnvironment

from hostmend import catalog
from hostmend.cli import hostmend
from hostmend.core import validation
from tests.support import tree

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


def test_the_role_of_the_example_is_told_what_to_mend(example, detector):
    facts = {"files": [{"path": "/etc/shadow", "there": True, "mode": 0o644, "uid": 0}]}
    made = catalog.load(example / "src/hostmend/catalog")
    (finding,) = validation.with_sound_remedies(detector["check"](facts, detector["POLICY"]), made)
    variables = yaml.safe_load((example / "roles/shadow/vars/main.yml").read_text("utf-8"))
    environment = NativeEnvironment()
    environment.filters["hostmend.hardening.open_findings"] = open_findings
    other = {**finding, "class": "redis"}
    known = {"__shadow_audit": {"chosen": [{**finding, "status": "open"}, other]}}
    for name, text in variables.items():
        known[name] = environment.from_string(text).render(known)
    assert list(known["__shadow_files"]) == ["/etc/shadow"]


def test_the_test_of_the_example_passes(example, detector, monkeypatch):
    package = "ansible_collections.hostmend.hardening.plugins.module_utils.detectors"
    holder, module = types.ModuleType(package), types.ModuleType(f"{package}.shadow")
    module.__dict__.update(runpy.run_path(str(example / tree.DETECTORS / "shadow" / "__init__.py")))
    holder.shadow = module
    monkeypatch.setitem(sys.modules, package, holder)
    monkeypatch.setitem(sys.modules, f"{package}.shadow", module)
    runpy.run_path(str(example / "tests/unit/target/detectors/test_shadow.py"))["test_verdicts"]()


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
    found, left = set(), [tree.ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in found:
            continue
        found.add(page)
        links = re.findall(r"\]\(([^)#:\s]+\.md)(?:#[^)]*)?\)", page.read_text("utf-8"))
        left += [one for link in links if (one := (page.parent / link).resolve()) in PAGES]
    assert set(PAGES) - found == set()


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


def shown_faults(line):
    """Return why a command line that is shown cannot be given, or nothing."""
    words = shlex.split(line, comments=True)
    command, context, name = hostmend, click.Context(hostmend), "hostmend"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = f"{name} {words.pop(0)}"
        inner = command.get_command(context, name.split()[-1])
        if inner is None:
            return "" if command.invoke_without_command else f"there is no {name}"
        command, context = inner, click.Context(inner, parent=context)
    if isinstance(command, click.Group) and not command.invoke_without_command:
        return f"{name} wants a command of its own"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    own, divided, rest = words, False, []
    if "--" in words:
        place = words.index("--")
        own, divided, rest = words[:place], True, words[place + 1 :]
    for word in own:
        if word.startswith("-") and word.partition("=")[0] not in known:
            return f"{name} has no {word}"
    if divided:
        other = "remediate" if "--remediate" in own else "audit"
        return shown_faults(shlex.join([other, *rest]))
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_that_is_shown_can_be_given(page):
    for line in command_lines(page):
        assert shown_faults(line) == "", f"{page.name}: {line}"


def test_a_command_line_that_cannot_be_given_is_seen():
    for line in ("nosuch", "audit --bogus", "schedule", "schedule nosuch", "schedule install --bogus", "notify test --bogus",
                 "schedule install -- --waves 1"):  # fmt: skip
        assert shown_faults(line), line
