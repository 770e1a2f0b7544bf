"""Detectors side by side: none takes the others with it, and no check goes unsaid."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils import detectors, engine
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.modules import security_facts

FOLDER = Path(detectors.__file__).parent


def detector(collect: Any, check: Any = lambda facts, policy: [passed("a.one", "x")]) -> Any:
    return SimpleNamespace(NAME="a", CHECKS=("a.one", "a.two"), POLICY={"limit": 1}, collect=collect, check=check)


def run(one: Any, seconds: float = 5) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    _facts, findings, classes = engine.run(None, {"a": one}, engine.merge({}, {"a": one}), 30, seconds)
    return findings, classes["a"]


def test_every_detector_in_the_folder_is_imported_by_name() -> None:
    assert set(detectors.DETECTORS) == {path.parent.name for path in FOLDER.glob("*/__init__.py")}


def test_a_check_that_nothing_was_said_about_is_unknown() -> None:
    findings, what = run(detector(lambda host, policy: {}))
    assert [(one["check"], one["status"]) for one in findings] == [("a.one", "passed"), ("a.two", "unknown")]
    assert what["status"] == "ok"


def test_a_detector_that_fails_is_unknown_and_tells_no_content() -> None:
    def fail(host: Any, policy: Any) -> Any:
        raise ValueError("password=hunter2")

    findings, what = run(detector(fail))
    assert {one["status"] for one in findings} == {"unknown"}
    assert what["status"] == "failed"
    assert "ValueError at test_engine.py" in what["reason"]
    assert "hunter2" not in json.dumps([findings, what])


def test_a_detector_that_hangs_is_unknown_and_holds_nobody_up() -> None:
    held = threading.Event()
    began = time.monotonic()
    findings, what = run(detector(lambda host, policy: held.wait(60)), seconds=0.2)
    held.set()
    assert time.monotonic() - began < 10
    assert (what["status"], {one["status"] for one in findings}) == ("timeout", {"unknown"})


def test_a_check_of_another_class_is_refused() -> None:
    findings, what = run(detector(lambda host, policy: {}, lambda facts, policy: [passed("b.one", "x")]))
    assert what["status"] == "failed"
    assert {one["check"] for one in findings} == {"a.one", "a.two"}


@pytest.mark.parametrize(
    ("subset", "wanted"),
    [(["all"], ["a", "b"]), (["b"], ["b"]), (["!a"], ["b"]), (["all", "!b"], ["a"]), (["!all"], [])],
)
def test_the_subset(subset: list[str], wanted: list[str]) -> None:
    assert engine.select(subset, ["a", "b"]) == wanted


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: engine.select(["rediss"], ["redis"]), "did you mean redis"),
        (lambda: engine.merge({"a": {"limits": 2}}, {"a": detector(None)}), "did you mean limit"),
        (lambda: engine.merge({"aa": {}}, {"a": detector(None)}), "does not exist"),
        (lambda: engine.merge({"a": 5}, {"a": detector(None)}), "must be a dictionary"),
    ],
)
def test_what_does_not_exist_is_one_line(call: Any, words: str) -> None:
    with pytest.raises(engine.PolicyError, match=words):
        call()


def test_texts_of_a_host_become_printable() -> None:
    made = engine.plain({"a\x1b[2J": ["\udcff", {"b": "tab\tline\nbell\x07"}, {3, 1}], "n": None})
    assert made == {"a\\x1b[2J": ["\\xff", {"b": "tab\tline\nbell\\x07"}, [1, 3]], "n": None}
    json.dumps(made).encode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"gather_subset": ["nope"]}, "no such class: nope"),
        ({"policy": {"redis": {"nope": 1}}}, "no policy option nope"),
        ({"timeout": 0}, "above 0 seconds"),
        ({"root": "/proc"}, "is not a root filesystem"),
    ],
)
def test_the_module_refuses_in_one_line(arguments: dict[str, Any], words: str) -> None:
    done = subprocess.run(
        [sys.executable, security_facts.__file__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert told["failed"] is True
    assert words in told["msg"]
    assert "\n" not in told["msg"]
