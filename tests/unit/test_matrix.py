# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix goes on where an earlier run had no time left, and says what failed and what is left."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Return a function that runs the matrix over parts that pass or fail, and returns (exit status, parts that ran)."""
    loaded = runpy.run_path(str(ROOT / "tools" / "test-matrix"))
    names = loaded["main"].__globals__
    monkeypatch.setitem(names, "KEPT", tmp_path / "matrix.json")
    monkeypatch.setitem(names, "commit", lambda: "c0ffee")

    def run(results: dict[str, int], *words: str) -> tuple[int, list[str]]:
        ran: list[str] = []

        def called(argv: list[str], **_more: Any) -> subprocess.CompletedProcess[str]:
            name = argv[0].rsplit("/", 1)[-1]
            ran.append(name)
            return subprocess.CompletedProcess(argv, results[name])

        monkeypatch.setitem(names, "parts", lambda: {name: [name] for name in results})
        monkeypatch.setattr(names["subprocess"], "run", called)
        monkeypatch.setattr(sys, "argv", ["test-matrix", *words])
        return loaded["main"](), ran

    return run


def test_what_has_passed_on_a_commit_is_not_run_again(matrix: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix({"a": 0, "b": 1}) == (1, ["a", "b"])
    assert "FAILED" in capsys.readouterr().out
    assert matrix({"a": 0, "b": 0}) == (0, ["b"])
    assert matrix({"a": 0, "b": 0}) == (0, [])
    assert matrix({"a": 0, "b": 0}, "--again") == (0, ["a", "b"])


def test_what_there_was_no_time_for_is_left(matrix: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix({"a": 0, "b": 0}, "--minutes", "-1") == (3, [])
    assert "2 left" in capsys.readouterr().out
    assert matrix({"a": 0, "b": 0}, "a") == (0, ["a"])


def test_a_damaged_record_is_none(matrix: Any, tmp_path: Any) -> None:
    (tmp_path / "matrix.json").write_text("{", "utf-8")
    assert matrix({"a": 0}) == (0, ["a"])
    assert json.loads((tmp_path / "matrix.json").read_text("utf-8"))["c0ffee"]["a"]["passed"] is True


def test_every_scenario_keeps_a_host_outside_the_matrix_and_one_that_the_role_alone_mends() -> None:
    for path in (ROOT / "molecule").glob("*/molecule.yml"):
        platforms = yaml.safe_load(path.read_text("utf-8"))["platforms"]
        assert not platforms[0].get("matrix"), path
        assert path.parent.name == "stock" or any("alone" in one.get("groups", ()) for one in platforms), path
