"""Findings through time: new, open since, mended by which run, and come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hostmend.store import FINISHED, Store, history

AT = "2026-11-2%dT00:00:00Z"


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'hostmend.db'}")


def run(kept: Store, day: int, *findings: dict[str, Any], mode: str = "audit", **run: Any) -> dict[str, Any]:
    about = {"id": f"run{day}", "started": AT % day, "finished": AT % day, "mode": mode, "version": "1", **run}
    full = [{"class": "a", "kind": "vulnerability", "severity": "low", "resource": "r", **one} for one in findings]
    host = {"status": "ok", "score": 90 - day, "findings": full}
    return kept.finish({"schema": 1, "run": about, "score": 90 - day, "hosts": {"h": host}}, FINISHED)


def only(report: dict[str, Any]) -> dict[str, Any]:
    (finding,) = report["hosts"]["h"]["findings"]
    return dict(finding)


OPEN, PASSED, UNKNOWN = ({"check": "a.b", "status": status} for status in ("open", "passed", "unknown"))
WAIVED = {**OPEN, "status": "waived"}


def test_nothing_is_new_at_the_first_audit_of_a_host(kept: Store) -> None:
    first = run(kept, 1, OPEN)
    assert ("trend" in only(first), only(first)["since"]) == (False, AT % 1)
    assert "history" not in first["run"]
    assert "trend" not in first["run"]


def test_a_finding_is_open_since_the_first_run_that_saw_it(kept: Store) -> None:
    run(kept, 1, OPEN)
    run(kept, 2, UNKNOWN)
    run(kept, 3, WAIVED)
    made = run(kept, 4, OPEN)
    assert (only(made)["trend"], only(made)["since"]) == ("open", AT % 1)
    assert [one["score"] for one in made["run"]["trend"]] == [89, 88, 87, 86]


def test_a_finding_is_new_where_an_earlier_run_saw_the_host_without_it(kept: Store) -> None:
    run(kept, 1, PASSED)
    made = run(kept, 2, OPEN)
    assert (only(made)["trend"], only(made)["since"]) == ("new", AT % 2)
    assert made["run"]["history"] == {"new": 1, "open": 0, "regressed": 0, "mended": 0}


def test_a_mended_finding_that_comes_back_names_the_run_that_mended_it(kept: Store) -> None:
    run(kept, 1, OPEN)
    mended = run(kept, 2, {**PASSED, "outcome": "mended"}, mode="remediate")
    assert only(mended)["trend"] == "mended"
    assert mended["hosts"]["h"]["history"]["ended"] == [{"check": "a.b", "resource": "r", "since": AT % 1}]
    run(kept, 3, PASSED)
    back = only(run(kept, 4, OPEN))
    assert (back["trend"], back["earlier"]) == ("regressed", {"run": "run2", "at": AT % 2, "mended": True})


def test_what_is_mended_within_its_first_run_is_known_when_it_comes_back(kept: Store) -> None:
    run(kept, 1, {**PASSED, "outcome": "mended"}, mode="remediate")
    assert only(run(kept, 2, OPEN))["trend"] == "regressed"


def test_a_finding_that_is_gone_has_ended_only_where_its_check_was_made(kept: Store) -> None:
    run(kept, 1, OPEN)
    assert run(kept, 2, {"check": "a.c", "status": "passed"})["run"]["history"]["mended"] == 0
    assert run(kept, 3, {**UNKNOWN, "resource": "other"})["run"]["history"]["mended"] == 0
    assert run(kept, 4, {**PASSED, "resource": "other"})["run"]["history"]["mended"] == 1
    assert run(kept, 5, {**PASSED, "resource": "other"})["run"]["history"]["mended"] == 0


def test_hosts_of_one_name_in_two_inventories_are_two(kept: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run(kept, 1, OPEN, inventory=["/a/hosts"])
    assert "trend" not in only(run(kept, 2, OPEN, inventory=["/b/hosts"]))
    monkeypatch.chdir(tmp_path)
    run(kept, 3, OPEN, inventory=["hosts"])
    assert only(run(kept, 4, OPEN, inventory=[str(tmp_path / "hosts")]))["trend"] == "open"


def test_scores_are_compared_only_over_the_same_hosts_and_classes(kept: Store) -> None:
    run(kept, 1, OPEN, limit="web")
    run(kept, 2, OPEN, classes=["a"])
    assert "trend" not in run(kept, 3, OPEN)["run"]
    assert len(run(kept, 4, OPEN, limit="web")["run"]["trend"]) == 2


def test_a_host_that_could_not_be_audited_loses_nothing(kept: Store) -> None:
    run(kept, 1, OPEN)
    gone = {"id": "run2", "started": AT % 2, "finished": AT % 2, "mode": "audit", "version": "1"}
    kept.finish({"schema": 1, "run": gone, "score": None,
                 "hosts": {"h": {"status": "unreachable", "score": None, "findings": []}}}, FINISHED)
    assert only(run(kept, 3, OPEN))["since"] == AT % 1


def test_an_inventory_of_names_is_itself() -> None:
    assert history.scope({"inventory": ["web1,web2"]}) == "web1,web2"
    assert history.scope({}) == ""
