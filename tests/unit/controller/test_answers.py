"""A host's whole answer: of whatever shape or size it is, it fails that host alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostmend.catalog import load
from hostmend.core import changes, validation
from hostmend.core.errors import HostmendError
from hostmend.events import Run
from hostmend.report import formats, model
from tests.support import report_data

CATALOG = load()
CLASSES = ("redis", "ports")


def finding(check: str = "redis.no_auth", status: str = "passed", **more: Any) -> dict[str, Any]:
    return {
        "check": check,
        "class": str(check).split(".")[0],
        "status": status,
        "resource": "r",
        "evidence": {},
        "reason": "why",
        **more,
    }


def answered(**parts: Any) -> dict[str, Any]:
    return validation.answer({"findings": [finding()], **parts}, CLASSES, CATALOG)


def event(
    kind: str, result: Any, host: str = "bad", action: str = "security_facts", role: str = "", **more: Any
) -> dict[str, Any]:
    data = {"host": host, "task": "t", "task_action": f"hostmend.hardening.{action}", "res": result, **more}
    return {"event": kind, "event_data": {**data, "role": role} if role else data}


def test_what_a_host_does_not_say_is_unknown() -> None:
    made = answered()
    statuses = {one["check"]: one["status"] for one in made["findings"]}
    assert set(statuses) == {check for name in CLASSES for check in CATALOG.classes[name].checks}
    assert statuses.pop("redis.no_auth") == "passed"
    assert set(statuses.values()) == {"unknown"}


@pytest.mark.parametrize("findings", [[], [finding("novel.thing")]])
def test_an_answer_that_says_nothing_of_what_was_asked_is_none(findings: list[Any]) -> None:
    with pytest.raises(HostmendError, match="says nothing of any check"):
        answered(findings=findings)


@pytest.mark.parametrize(
    "parts",
    [
        {"findings": {}},
        {"findings": None},
        {"findings": [finding(reason=5)]},
        {"findings": [finding(status=["open"])]},
        {"findings": [finding(check=["redis.no_auth"])]},
        {"findings": [finding(severity={})]},
        {"findings": [finding(affects="x")]},
        {"findings": [finding(remedy=[])]},
        {"findings": [finding(status="unknown", reason="")]},
        {"findings": [finding(evidence={"effective": float("nan")})]},
        {"findings": [finding(evidence={"effective": float("inf")})]},
        {"findings": [finding(evidence={"effective": 2**64})]},
        {"findings": [finding(resource="\ud800")]},
        {"findings": [finding(evidence={"effective": "x" * validation.LARGEST_FINDING})]},
        {"findings": [finding()] * (validation.MOST_FINDINGS + 1)},
        {"system": {"failed_units": 5}},
        {"system": {"failed_units": [5]}},
        {"system": {"root": "yes"}},
        {"system": []},
        {"classes": {"redis": []}},
        {"classes": {"redis": {"status": ["ok"]}}},
        {"classes": {"redis": {"status": "ok", "seconds": "x"}}},
        {"classes": "x"},
        {"ansible_facts": "x"},
        {"ansible_facts": {"hostmend": ["x"]}},
        {"ansible_facts": {"hostmend": {"redis": float("nan")}}},
        {"ansible_facts": {"hostmend": {"redis": ["x" * 1000] * (validation.LARGEST_ANSWER // 1000)}}},
    ],
)
def test_an_answer_of_another_shape_or_size_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(HostmendError, match=r"the host's answer") as error:
        answered(**parts)
    assert "\n" not in str(error.value)


def test_depth_has_an_end() -> None:
    deep: Any = "x"
    for _level in range(5000):
        deep = [deep]
    with pytest.raises(HostmendError, match="nested too deeply"):
        answered(findings=[finding(evidence={"effective": deep})])


def test_nothing_but_what_detectors_fill_is_taken() -> None:
    made = answered(
        add_host={"host_name": "web1"}, skipped=True, invocation=["x"],
        ansible_facts={"hostmend": {"redis": 1}, "hostmend_output": "/"},
        classes={"\x1b[2J": 5, "redis": {"status": "ok", "reason": "", "seconds": 0.1, "more": "x"}},
        system={"id": "debian", "failed_units": ["a.service"], "more": "x"},
    )  # fmt: skip
    assert set(made) == {"findings", "classes", "system", "facts"}
    assert made["facts"] == {"redis": 1}
    assert made["classes"] == {"redis": {"status": "ok", "reason": "", "seconds": 0.1}}
    assert made["system"] == {"id": "debian", "failed_units": ["a.service"]}


def test_of_a_module_that_failed_only_texts_are_kept_and_cut() -> None:
    made = validation.failure({"failed": True, "msg": ["x"], "module_stdout": "y" * 10**6, "add_host": {}, "rc": 1})
    assert set(made) == {"failed", "msg", "module_stdout"}
    assert len(made["module_stdout"]) < 10_000


@pytest.mark.parametrize("result", [{"invocation": ["x"]}, {"invocation": {"module_args": "x"}}, {"changes": "x"}, {"diff": 5},
                                    {"changes": [5, {"name": {}}]}, {"diff": [{"before": 1}], "changes": [{}]}])  # fmt: skip
def test_a_changed_result_of_any_shape_is_a_change(result: dict[str, Any]) -> None:
    run = Run()
    run.take(event("runner_on_ok", {"changed": True, **result}, action="redis_access", role="redis"))
    assert not run.hosts["bad"].failures


@pytest.mark.parametrize(
    ("kind", "action", "result"),
    [
        ("runner_on_ok", "security_facts", {"findings": [finding()], "system": {"failed_units": 5}}),
        ("runner_on_ok", "security_facts", {"findings": 5}),
        ("runner_on_ok", "security_facts", {"findings": [], "ansible_facts": {"hostmend_plan": 7}}),
        ("runner_on_ok", "agent_report", {"agent": 5}),
        ("runner_on_ok", "rollback", {"restored": 5}),
        ("runner_on_ok", "rollback", {"conflicts": ["x"]}),
        ("runner_on_ok", "rollback", {"restored": [{"role": float("nan")}]}),
        ("runner_on_failed", "rollback", {"failed": True, "restored": "x"}),
    ],
)
def test_an_event_that_cannot_be_worked_on_fails_its_host_alone(kind: str, action: str, result: Any) -> None:
    run = Run()
    run.take(event("runner_on_ok", {"findings": [finding()], "phase": "before"}, host="good"))
    run.take(event(kind, result, action=action))
    hosts = {name: host.result() for name, host in run.hosts.items()}
    assert hosts["good"]["status"] == "ok"
    assert hosts["bad"]["status"] == "failed"
    assert "cannot be used" in hosts["bad"]["reason"] or "the host's answer" in hosts["bad"]["reason"]
    assert model.build(report_data.RUN, hosts, CATALOG)["hosts"]["good"]["status"] == "ok"


def test_a_host_that_breaks_the_report_is_reported_as_failed() -> None:
    hosts = {"good": {"status": "ok", "findings": [finding()]}, "bad": {"status": "ok", "findings": [{"status": 5}, 7]}}
    made = model.build(report_data.RUN, hosts, CATALOG)["hosts"]  # type: ignore[arg-type]
    assert (made["good"]["status"], made["bad"]["status"]) == ("ok", "failed")


def test_a_host_of_which_nothing_could_be_judged_has_no_score() -> None:
    hosts = {"blind": {"status": "ok", "findings": [finding(status="unknown")]}}
    report = model.build(report_data.RUN, hosts, CATALOG)
    assert (report["score"], report["hosts"]["blind"]["score"]) == (None, None)
    assert "no check could be made" in formats.render(report, "table")
    assert "no check could be made" in formats.render(report, "markdown")
    for name in formats.FORMATS:
        assert "100/100" not in formats.render(report, name)


def test_changes_and_diffs_have_an_end() -> None:
    known: list[dict[str, Any]] = []
    changes.extend(known, ({"kind": "file", "name": str(number), "action": "x"} for number in range(changes.MOST_CHANGES + 50)))
    assert len(known) == changes.MOST_CHANGES + 1
    text = "\n".join("ab"[number % 2] for number in range(200_000))
    assert "too large to be compared" in changes.text_of_diff({"before": text, "after": f"{text}x"})
    assert len(changes.text_of_diff([{"prepared": "x" * 10**6}] * 50)) <= changes.LONGEST_DIFF


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["ok", "open", "redis"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
FINDING = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {
            "check": st.sampled_from(["redis.no_auth", "ports.exposed", "novel.thing"]),
            "status": st.sampled_from(["open", "passed"]),
        },
        optional=dict.fromkeys(
            ("resource", "reason", "evidence", "severity", "risk", "affects", "references", "fix", "remedy"), JSON
        ),
    ),
)
ANSWER = st.fixed_dictionaries(
    {"findings": st.one_of(JSON, st.lists(FINDING, max_size=3))},
    optional={
        "system": st.one_of(JSON, st.fixed_dictionaries({}, optional=dict.fromkeys(validation.SYSTEM, JSON))),
        "classes": st.one_of(JSON, st.dictionaries(st.sampled_from(["redis", "ports"]), JSON, max_size=2)),
        "ansible_facts": st.one_of(JSON, st.fixed_dictionaries({"hostmend": JSON})),
        **dict.fromkeys(("invocation", "msg", "failed", "unreachable", "changes", "diff", "results", "restored", "agent"), JSON),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(result=ANSWER)
def test_any_answer_is_taken_whole_or_fails_its_host_alone(result: dict[str, Any]) -> None:
    run = Run()
    run.take(event("runner_on_ok", {"findings": [finding()], "phase": "before"}, host="good"))
    try:
        made = validation.answer(result, CLASSES, CATALOG)
    except HostmendError as error:
        assert str(error).isprintable()
    else:
        run.take(event("runner_on_ok", {**made, "phase": "before"}))
    validation.failure(result)
    for action, role in (("redis_access", "redis"), ("rollback", ""), ("agent_report", ""), ("security_facts", "")):
        for kind in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
            run.take(event(kind, {**result, "changed": True}, action=action, role=role, host="worse"))
    report = model.build(report_data.RUN, {name: host.result() for name, host in run.hosts.items()}, CATALOG)
    assert report["hosts"]["good"]["status"] == "ok"
    strict = json.dumps({name: host for name, host in report["hosts"].items() if name in ("good", "bad")}, allow_nan=False)
    assert json.loads(strict)
    if "bad" in report["hosts"]:
        del report["hosts"]["worse"]
        for name in formats.FORMATS:
            formats.render(report, name).encode("utf-8")
