# SPDX-License-Identifier: GPL-3.0-or-later
"""The cases are whole, and the runner chooses and judges as docs/cases.md says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import cases

DOCS = (cases.ROOT / "docs" / "cases.md").read_text("utf-8")
BASH = shutil.which("sh") or "sh"


def case(class_name: str, name: str, **spec: Any) -> cases.Case:
    return cases.Case(class_name, name, Path("/nonexistent"), {"image": "bookworm", **spec})


def test_what_a_class_shares_comes_before_each_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    done = subprocess.CompletedProcess([], 3, "out", "err")
    monkeypatch.setattr(cases.engine, "podman", lambda *_words, stdin, **_more: ran.append(stdin) or done)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "prepare").write_text("use\n")
    assert cases.shell("name", tmp_path / "own" / "prepare") == (3, "outerr")
    (tmp_path / "common").write_text("define\n")
    cases.shell("name", tmp_path / "own" / "prepare")
    assert ran == ["use\n", "define\nuse\n"]


def test_every_case_is_whole_and_its_scripts_parse() -> None:
    known = cases.every()
    assert len({one.container for one in known}) == len(known), "two cases have one container's name"
    for one in known:
        assert one.class_name in {path.stem for path in (cases.ROOT / "src/hostmend/catalog").glob("[!_]*.yml")}, one.id
        for script in ("prepare", "verify", "verify-rollback"):
            if (one.folder / script).exists():
                done = subprocess.run([BASH, "-n", one.folder / script], capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{one.id}/{script}: {done.stderr}"
        for kind in filter(None, (word.strip() for word in one.spec.get("kind", "").split(","))):
            assert f"| {kind} |" in DOCS, f"{one.id}: docs/cases.md does not know {kind}"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"why": ""}, "why is missing"),
        ({"adit": []}, "there is no member adit"),
        ({"mend": "yes"}, "mend must be a bool"),
        ({"audit": [["redis.no_auth", "6379", "opne"]]}, "is no [check, part of the resource, status]"),
        ({"audit": []}, "it expects nothing"),
    ],
)
def test_a_case_that_is_not_whole_is_refused(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    spec = {"image": "bookworm", "source": "a/b#1", "why": "so it is", "audit": [["redis.no_auth", "", "open"]], **change}
    (tmp_path / "expected.json").write_text(json.dumps(spec))
    (tmp_path / "prepare").write_text("true\n")
    with pytest.raises(cases.CaseError, match=r"expected\.json") as refused:
        cases.load(tmp_path)
    assert fault in str(refused.value)


def test_the_sample_has_two_of_each_class_and_every_kind() -> None:
    known = [case("redis", "a", mend=True, kind="K1"), case("redis", "b", mend=True, kind="K1"), case("redis", "c", mend=True),
             case("redis", "d", mend=True, kind="K9, K2"), case("ports", "a"), case("ports", "b", mend=True)]
    assert [one.id for one in cases.sample(known)] == ["redis/a", "redis/b", "redis/d", "ports/b"]


def test_only_cases_that_do_not_see_each_other_share_a_container() -> None:
    known = [case("redis", "a"), case("redis", "b"), case("logrotate", "a"), case("ports", "a"),
             case("logrotate", "b", alone=True), case("certificates", "a", image="trixie"),
             case("certificates", "b", options=["--privileged"]), case("certificates", "c", service="nginx"),
             case("certificates", "d", service="nginx"), case("certificates", "e", service="postfix")]
    assert [[one.id for one in group] for group in cases.groups(known)] == [
        ["redis/a", "logrotate/a", "certificates/c", "certificates/e"],
        ["redis/b", "certificates/d"],
        ["ports/a"],
        ["logrotate/b"],
        ["certificates/a"],
        ["certificates/b"],
    ]


def test_what_differs_is_told_with_what_was_seen() -> None:
    findings = [{"check": "redis.no_auth", "resource": "redis 6379", "status": "passed", "reason": "it asks"}]
    assert cases.judge(findings, [["redis.no_auth", "6379", "passed"]], [["redis.no_auth", "", "open"]], "audit") == []
    [wrong, forbidden] = cases.judge(findings, [["redis.no_auth", "7000", "open"]], [["redis.no_auth", "", "passed"]], "audit")
    assert "'7000' is to be open; seen: nothing" in wrong and "must not be: redis.no_auth redis 6379 passed: it asks" in forbidden


def test_variables_become_options_of_their_class() -> None:
    variables = {"hostmend_redis_words": ["x"], "hostmend_management_networks": ["10.0.0.0/8"]}
    made = cases.policy([case("redis", "a", vars=variables)], ["redis", "ports"])
    assert made["redis"] == {"words": ["x"]}
    assert made["common"]["management_networks"] == ["10.0.0.0/8"] and made["common"]["classes"] == ["redis"]


@pytest.mark.parametrize("path", sorted(cases.CASES.glob("*/*/verify*")) + sorted(cases.CASES.glob("*/*/prepare")), ids=str)
def test_no_script_negates_a_command(path: Path) -> None:
    """``! command`` never ends a script of ``set -e``: it would check nothing."""
    statements = re.split(r"[;\n]", path.read_text("utf-8"))
    assert [line for line in statements if line.strip().startswith("! ")] == []
