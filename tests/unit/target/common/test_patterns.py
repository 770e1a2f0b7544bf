"""No regular expression of target code takes more time than in proportion to what a host gives it to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import pattern_cost
from tests.support.paths import ROOT

FILES = [path for folder in ("module_utils", "modules") for path in sorted((ROOT / "plugins" / folder).rglob("*.py"))
         if "import re\n" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_the_work_of_a_pattern_is_in_proportion_to_its_input(path: Path) -> None:
    slow = {f"line {line}: {pattern}": text for line, pattern, flags, everywhere in pattern_cost.patterns(path)
            if (text := pattern_cost.grows(pattern, flags, everywhere))}
    assert not slow, f"{path.name}: more of these inputs takes much more time"


@pytest.mark.parametrize(("pattern", "everywhere"), [
    (r"BEGIN\s+(.*?)END", True), (r"(a+)+b", False), (r"^(.*?)\s*$", False), (r"[\w-]+=", True), (r"a\s*b?\s*c", False)])
def test_a_pattern_that_grows_is_found(pattern: str, everywhere: bool) -> None:
    assert pattern_cost.grows(pattern, 0, everywhere)


@pytest.mark.parametrize(("pattern", "everywhere"), [
    (r"BEGIN[^B]*END", True), (r"(ab)+c", False), (r"a\s*(?:b\s*)?c", False), (r"(?<!\w)[\w-]{1,40}=", True), (r"\d+", True)])
def test_a_pattern_in_proportion_is_left_alone(pattern: str, everywhere: bool) -> None:
    assert pattern_cost.grows(pattern, 0, everywhere) == ""
