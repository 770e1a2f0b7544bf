"""How the work of a regular expression grows with its input: counted in steps of a backtracking matcher, not in time."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

Items = list[Any]
Next = Callable[[int], bool]
METHODS = {"compile", "search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split"}
# What a bound of many repetitions becomes, so that short inputs show that it is one.
MOST_COUNTED = 6
SMALL, STEPS, DEEPEST = 24, 100_000, 8_000
SIGNS = "\n a0-./:=\"'#,;"


class TooManyError(Exception):
    """The matcher has taken more steps than it may."""


class Counter:
    """Matches a parsed pattern by backtracking, as sre does without its shortcuts, and counts the steps."""

    def __init__(self, pattern: str, flags: int) -> None:
        parsed = sre_parser.parse(pattern, flags)
        self.items: Items = list(parsed)
        self.flags = flags | parsed.state.flags
        self.steps = 0
        self.text = ""

    def search(self, text: str, everywhere: bool) -> int:
        """Return the steps of looking for all matches (or one at the start) in a text."""
        self.text, self.steps = text, 0
        at = 0
        while at <= len(text):
            ends: list[int] = []

            def found(end: int, ends: list[int] = ends) -> bool:
                ends.append(end)
                return True

            hit = self.run(self.items, 0, at, found)
            if not everywhere:
                break
            at = max(at + 1, ends[0]) if hit else at + 1
        return self.steps

    def run(self, items: Items, number: int, at: int, then: Next) -> bool:
        """Match the items from ``number`` on at a position, and what follows."""
        self.steps += 1
        if self.steps > STEPS:
            raise TooManyError
        if number == len(items):
            return then(at)
        name, value = items[number]

        def rest(end: int) -> bool:
            return self.run(items, number + 1, end, then)

        if name in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            return self.repeat(value, name is sre.MAX_REPEAT, at, rest)
        if name is sre.SUBPATTERN:
            return self.run(list(value[-1]), 0, at, rest)
        if name is sre.BRANCH:
            return any(self.run(list(branch), 0, at, rest) for branch in value[1])
        if name in (sre.ASSERT, sre.ASSERT_NOT):
            # All that look behind do so by one sign.
            start = at if value[0] > 0 else at - 1
            hit = start >= 0 and self.run(list(value[1]), 0, start, lambda end: True)
            return rest(at) if hit == (name is sre.ASSERT) else False
        if name is sre.AT:
            return rest(at) if self.at(value, at) else False
        if name is sre.GROUPREF:
            return rest(at)
        return rest(at + 1) if at < len(self.text) and self.one(name, value, self.text[at]) else False

    def repeat(self, value: Any, greedy: bool, at: int, rest: Next) -> bool:
        """Match a repetition."""
        least, most, body = value[0], value[1], list(value[2])
        most = most if most is sre.MAXREPEAT else min(most, MOST_COUNTED)
        least = min(least, MOST_COUNTED)
        if len(body) == 1 and body[0][0] in (sre.IN, sre.LITERAL, sre.NOT_LITERAL, sre.ANY):
            return self.simple(body[0], least, most, greedy, at, rest)

        def again(count: int, here: int) -> bool:
            def more() -> bool:
                return (most is sre.MAXREPEAT or count < most) and self.run(
                    body, 0, here, lambda end: end > here and again(count + 1, end))

            if count < least:
                return self.run(body, 0, here, lambda end: again(count + 1, end))
            return (more() or rest(here)) if greedy else (rest(here) or more())

        return again(0, at)

    def simple(self, item: Any, least: int, most: Any, greedy: bool, at: int, rest: Next) -> bool:
        end = at
        while end < len(self.text) and (most is sre.MAXREPEAT or end - at < most) and self.one(*item, self.text[end]):
            end += 1
            self.steps += 1
        order = range(end, at + least - 1, -1) if greedy else range(at + least, end + 1)
        return any(rest(one) for one in order)

    def at(self, kind: Any, at: int) -> bool:
        """Tell whether an anchor holds."""
        several = self.flags & re.MULTILINE
        if kind is sre.AT_BEGINNING:
            return at == 0 or bool(several) and self.text[at - 1] == "\n"
        if kind is sre.AT_BEGINNING_STRING:
            return at == 0
        if kind is sre.AT_END:
            return at >= len(self.text) - self.text.endswith("\n") or bool(several) and self.text[at] == "\n"
        if kind is sre.AT_END_STRING:
            return at == len(self.text)
        inner = [0 <= one < len(self.text) and re.match(r"\w", self.text[one]) is not None for one in (at - 1, at)]
        return (inner[0] != inner[1]) == (kind is sre.AT_BOUNDARY)

    def one(self, name: Any, value: Any, sign: str) -> bool:
        """Tell whether a sign is what an item stands for."""
        if name is sre.ANY:
            return bool(self.flags & re.DOTALL) or sign != "\n"
        if self.flags & re.IGNORECASE:
            sign = sign.lower()
        if name is sre.LITERAL:
            return sign == self.shown(value)
        if name is sre.NOT_LITERAL:
            return sign != self.shown(value)
        hit = any(self.member(kind, what, sign) for kind, what in value if kind is not sre.NEGATE)
        return hit != (value[0][0] is sre.NEGATE)

    def shown(self, value: int) -> str:
        return chr(value).lower() if self.flags & re.IGNORECASE else chr(value)

    def member(self, kind: Any, what: Any, sign: str) -> bool:
        if kind is sre.LITERAL:
            return sign == self.shown(what)
        if kind is sre.RANGE:
            return what[0] <= ord(sign) <= what[1] or bool(self.flags & re.IGNORECASE) and what[0] <= ord(sign.upper()) <= what[1]
        word = {sre.CATEGORY_SPACE: r"\s", sre.CATEGORY_NOT_SPACE: r"\S", sre.CATEGORY_DIGIT: r"\d",
                sre.CATEGORY_NOT_DIGIT: r"\D", sre.CATEGORY_WORD: r"\w", sre.CATEGORY_NOT_WORD: r"\W"}[what]
        return re.match(word, sign) is not None


def examples(items: Items, counter: Counter) -> Iterator[str]:
    """Yield what begins a match, up to each repetition that has no bound, and the whole."""
    made = ""
    for name, value in items:
        if name in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            inner = list(value[2])
            if value[1] is sre.MAXREPEAT:
                yield made
                yield made + "".join(examples_whole(inner, counter)) * max(1, min(value[0], MOST_COUNTED))
            for one in examples(inner, counter):
                yield made + one
            made += examples_whole(inner, counter) * min(value[0], MOST_COUNTED)
        elif name is sre.SUBPATTERN:
            for one in examples(list(value[-1]), counter):
                yield made + one
            made += examples_whole(list(value[-1]), counter)
        elif name is sre.BRANCH:
            for branch in value[1]:
                for one in examples(list(branch), counter):
                    yield made + one
            made += examples_whole(list(value[1][0]), counter)
        else:
            made += examples_whole([(name, value)], counter)
    yield made


def examples_whole(items: Items, counter: Counter) -> str:
    """Return one text that items match."""
    made = ""
    for name, value in items:
        if name in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            made += examples_whole(list(value[2]), counter) * min(value[0], MOST_COUNTED)
        elif name is sre.SUBPATTERN:
            made += examples_whole(list(value[-1]), counter)
        elif name is sre.BRANCH:
            made += examples_whole(list(value[1][0]), counter)
        elif name is sre.LITERAL:
            made += chr(value)
        elif name in (sre.IN, sre.NOT_LITERAL, sre.ANY):
            signs = "a0 \n" + "".join(chr(number) for number in range(33, 127))
            made += next(sign for sign in signs if counter.one(name, value, sign))
    return made


def grows(pattern: str, flags: int = 0, everywhere: bool = True) -> str:
    """Return an input whose double takes more than three times the steps of a pattern; '' where there is none."""
    if not re.search(r"[*+]|,\}", pattern):
        return ""
    sys.setrecursionlimit(max(DEEPEST, sys.getrecursionlimit()))
    counter = Counter(pattern, flags)
    parts = list(dict.fromkeys(examples(counter.items, counter)))
    literals = "".join(sign for sign in dict.fromkeys("".join(parts)) if sign not in SIGNS)[:8]
    inputs = [("", part) for part in parts if part] + [(part, sign) for part in parts for sign in SIGNS + literals]
    for start, pump in inputs:
        counts = []
        for size in (SMALL, 2 * SMALL):
            # Work that is about one step for each sign is in proportion.
            if counts and counts[0] < 3 * (len(start) + len(pump) * SMALL):
                break
            try:
                # The sign at the end is in no pattern: what was taken up to there has to be given back.
                counts.append(counter.search(start + pump * size + "\x01", everywhere))
            except (TooManyError, RecursionError):
                return start + pump * 2
        if len(counts) > 1 and counts[1] > 3 * counts[0]:
            return start + pump * 2
    return ""


def patterns(path: Path) -> Iterator[tuple[int, str, int, bool]]:
    """Yield (line, pattern, flags, whether it looks everywhere) of each regular expression that a file holds."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    text = path.read_text(encoding="utf-8")
    names = {node.value.lineno: target.id for node in ast.walk(tree) if isinstance(node, ast.Assign)
             for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re" and node.func.attr in METHODS and node.args):
            continue
        pattern = _constant(node.args[0])
        if pattern is None:
            continue
        flags = sum({getattr(re, one.attr) for part in [*node.args[1:], *(word.value for word in node.keywords)]
                     for one in ast.walk(part) if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name)
                     and one.value.id == "re" and isinstance(getattr(re, one.attr), re.RegexFlag)})
        everywhere = node.func.attr not in ("match", "fullmatch")
        if node.func.attr == "compile":
            name = names.get(node.lineno, "")
            beside = [text, *(one.read_text(encoding="utf-8") for one in path.parent.glob("*.py"))]
            used = [one for where in beside for one in re.findall(rf"\b{name}\.(\w+)\(", where)] if name else []
            everywhere = not used or any(one not in ("match", "fullmatch") for one in used)
        yield node.lineno, pattern, flags, everywhere


def _constant(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
        return node.value if isinstance(node.value, str) else node.value.decode("latin-1")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
        return str(node.left.value).replace("%s", "x")
    return None
