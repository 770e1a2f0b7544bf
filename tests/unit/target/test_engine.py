"""Detectors side by side: none takes the others with it, and no check goes unsaid."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils import detectors, engine, policy, printable
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
    began = time.monotonic()
    findings, what = run(detector(lambda host, policy: time.sleep(60)), seconds=0.2)
    assert time.monotonic() - began < 10
    assert (what["status"], {one["status"] for one in findings}) == ("timeout", {"unknown"})
    assert what["reason"] == "not done within 0.2 s"


def hold(host: Any, policy: Any) -> None:
    """Hold the interpreter in one call, deaf to signals, as no thread beside it could end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    re.match(r"(a+)+$", "a" * 60 + "b")


def side_by_side(seconds: float = 1.0, **collects: Any) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    ones = {
        name: SimpleNamespace(
            NAME=name, CHECKS=(f"{name}.x",), POLICY={}, collect=collect,
            check=lambda facts, policy, name=name: [passed(f"{name}.x", "r", observed=facts)],
        )
        for name, collect in collects.items()
    }  # fmt: skip
    return engine.run(None, ones, policy.merge({}, ones), 30, seconds)


def test_those_that_cannot_be_interrupted_are_killed_and_the_others_are_judged() -> None:
    good = {f"good{number}": lambda host, policy: {"n": 1} for number in range(6)}
    held = {f"held{number}": hold for number in range(3)}
    facts, findings, classes = side_by_side(1.0, **held, **good)
    assert {name: what["status"] for name, what in classes.items()} == {
        **dict.fromkeys(held, "timeout"), **dict.fromkeys(good, "ok"),
    }  # fmt: skip
    assert list(facts) == list(good)
    assert {one["check"]: one["status"] for one in findings if one["status"] == "passed"} == {
        f"{name}.x": "passed" for name in good
    }


def test_what_a_detector_has_started_is_killed_with_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"

    def collect(host: Any, policy: Any) -> None:
        child = subprocess.Popen(["sleep", "300"], start_new_session=True)
        path.write_text(str(child.pid))
        child.wait()

    _facts, _findings, classes = side_by_side(1.0, a=collect)
    assert classes["a"]["status"] == "timeout"
    for _attempt in range(200):  # a killed process is there until the kernel has come to it
        try:
            state = Path(f"/proc/{path.read_text()}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            state = "gone"
        if state in ("Z", "X", "gone"):
            break
        time.sleep(0.05)
    assert state in ("Z", "X", "gone")


def test_what_ends_its_process_says_too_much_or_takes_all_memory_fails_alone() -> None:
    _facts, findings, classes = side_by_side(
        20.0,
        gone=lambda host, policy: os._exit(3),
        killed=lambda host, policy: os.kill(os.getpid(), signal.SIGKILL),
        much=lambda host, policy: {"x": "y" * (engine.MOST_SAID + 1)},
        memory=lambda host, policy: {"x": bytearray(2 * engine.MOST_MEMORY)},
        printing=lambda host, policy: print("not on the module's output") or {"ok": 1},
        good=lambda host, policy: {"ok": 1},
    )
    assert {name: what["status"] for name, what in classes.items()} == {
        "gone": "failed", "killed": "failed", "much": "failed", "memory": "failed", "printing": "ok", "good": "ok",
    }  # fmt: skip
    assert "MemoryError" in classes["memory"]["reason"]
    assert {one["check"] for one in findings if one["status"] == "unknown"} == {"gone.x", "killed.x", "much.x", "memory.x"}


def test_what_several_detectors_want_is_read_once_and_may_fail() -> None:
    reads: list[str] = []

    class Host:
        def units(self) -> str:
            reads.append("units")
            return "u"

        def packages(self) -> str:
            reads.append("packages")
            return "p"

        def firewall(self) -> None:
            reads.append("firewall")
            raise ValueError("x")

    ones = {"a": SimpleNamespace(READS=("units", "packages", "firewall")), "b": SimpleNamespace(READS=("units", "firewall"))}
    engine.read_shared(Host(), ones, 5)
    assert reads == ["units", "firewall"]


def test_a_shared_reading_that_does_not_end_is_left_in_time() -> None:
    class Host:
        def units(self) -> None:
            re.match(r"(a+)+$", "a" * 60 + "b")

    began = time.monotonic()
    engine.read_shared(Host(), {name: SimpleNamespace(READS=("units",)) for name in "ab"}, 0.3)
    assert time.monotonic() - began < 10


def test_a_check_of_another_class_is_refused() -> None:
    findings, what = run(detector(lambda host, policy: {}, lambda facts, policy: [passed("b.one", "x")]))
    assert what["status"] == "failed"
    assert {one["check"] for one in findings} == {"a.one", "a.two"}


@pytest.mark.parametrize(
    ("subset", "wanted"),
    [(["all"], ["a", "b"]), (["b"], ["b"]), (["!a"], ["b"]), (["all", "!b"], ["a"]), (["!all"], [])],
)
def test_the_subset(subset: list[str], wanted: list[str]) -> None:
    assert policy.select(subset, ["a", "b"]) == wanted


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: policy.select(["rediss"], ["redis"]), "did you mean redis"),
        (lambda: policy.merge({"a": {"limits": 2}}, {"a": detector(None)}), "did you mean limit"),
        (lambda: policy.merge({"aa": {}}, {"a": detector(None)}), "does not exist"),
        (lambda: policy.merge({"a": 5}, {"a": detector(None)}), "must be a dictionary"),
    ],
)
def test_what_does_not_exist_is_one_line(call: Any, words: str) -> None:
    with pytest.raises(policy.PolicyError, match=words):
        call()


def test_numbers_that_json_has_not_become_text() -> None:
    assert printable.json_safe([float("nan"), float("inf"), 1.5]) == ["nan", "inf", 1.5]


def test_texts_of_a_host_become_printable() -> None:
    made = printable.json_safe({"a\x1b[2J": ["\udcff", {"b": "tab\tline\nbell\x07"}, {3, 1}], "n": None})
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
