"""Which roles run on a host, and what they leave alone."""

from __future__ import annotations

from typing import Any

import pytest

from hostmend.catalog import load
from hostmend.core import changes, plan


def finding(
    check: str, role: str | None = None, risk: str = "safe", resource: str = "r", status: str = "open"
) -> dict[str, Any]:
    fix = {"role": role, "risk": risk} if role else {"risk": "manual"}
    return {"check": check, "class": check.split(".")[0], "status": status, "resource": resource, "fix": fix}


NO_AUTH = finding("redis.no_auth", "redis", "restart", "redis :6379")
EXPOSED = finding("redis.exposed", "redis", "disruptive", "redis :6379")
PORT = finding("ports.exposed", "ports", "disruptive", "tcp/6379")
AVAHI = finding("services.unneeded", "services", "safe", "avahi-daemon.service")
MANUAL = finding("ports.undeclared", None, "manual", "tcp/9000")
ALL = [PORT, AVAHI, NO_AUTH, EXPOSED, MANUAL]


def test_only_open_findings_call_for_roles() -> None:
    assert (
        plan.for_host([{**NO_AUTH, "status": status} for status in ("passed", "unknown", "waived", "not_applicable")])[
            "roles"
        ]
        == []
    )
    assert plan.for_host([NO_AUTH])["roles"] == ["redis"]


def test_what_closes_a_service_comes_before_the_firewall() -> None:
    assert plan.for_host(ALL, order=load().order)["roles"] == ["redis", "services", "ports"]
    assert plan.for_host(ALL)["roles"] == ["ports", "redis", "services"]


def test_risk_above_the_allowed_one_is_left_alone() -> None:
    made = plan.for_host(ALL, max_risk="restart")
    assert made["roles"] == ["redis", "services"]
    assert "redis.exposed redis :6379" in made["skip"]
    assert "redis.no_auth redis :6379" not in made["skip"]


def test_manual_findings_are_never_mended() -> None:
    assert plan.for_host([MANUAL])["roles"] == []
    assert plan.why_not(MANUAL) == "a person has to do it"
    assert "only safe is allowed" in plan.why_not(NO_AUTH, "safe")


def test_a_fix_of_unheard_risk_counts_as_manual() -> None:
    assert plan.for_host([finding("redis.no_auth", "redis", "harmless")])["roles"] == []


@pytest.mark.parametrize("name", ["redis", "redis.no_auth", "redis.no_auth redis :6379"])
def test_only_takes_a_class_a_check_or_one_finding(name: str) -> None:
    made = plan.for_host(ALL, only=[name])
    assert made["roles"] == ["redis"]
    assert "ports.exposed tcp/6379" in made["skip"]
    assert ("redis.exposed redis :6379" in made["skip"]) == (name != "redis")


def test_skip_wins_over_only_and_is_handed_on() -> None:
    made = plan.for_host([NO_AUTH], only=["redis"], skip=["redis.no_auth"])
    assert made == {"roles": [], "mend": [], "skip": ["redis.no_auth", "redis.no_auth redis :6379"]}


def test_what_a_person_has_not_chosen_is_left_alone() -> None:
    made = plan.for_host(ALL, selected=[plan.token("services.unneeded avahi-daemon.service")])
    assert made["roles"] == ["services"]
    assert made["mend"] == ["services.unneeded avahi-daemon.service"]
    assert plan.for_host(ALL, selected=[])["roles"] == []


def task(action: str, args: dict[str, Any], **result: Any) -> list[dict[str, Any]]:
    data = {"role": "hostmend.hardening.redis", "task": "Do it", "task_action": f"ansible.builtin.{action}"}
    return changes.of_task(data, {"changed": True, "invocation": {"module_args": args}, **result})


@pytest.mark.parametrize(
    ("action", "args", "expected"),
    [
        ("copy", {"dest": "/etc/a"}, ("file", "/etc/a", "written")),
        ("template", {"dest": "/etc/a"}, ("file", "/etc/a", "written")),
        ("lineinfile", {"path": "/etc/a", "state": "present"}, ("file", "/etc/a", "edited")),
        ("file", {"path": "/etc/a", "state": "absent"}, ("file", "/etc/a", "removed")),
        (
            "systemd_service",
            {"name": "a.socket", "state": "stopped", "enabled": False, "masked": True},
            ("unit", "a.socket", "stopped, disabled, masked"),
        ),
        ("systemd", {"daemon_reload": True, "name": None}, ("unit", "systemd", "reloaded")),
        ("service", {"name": "redis", "state": "restarted"}, ("unit", "redis", "restarted")),
        ("apt", {"name": ["nftables"], "state": "present"}, ("package", "nftables", "present")),
        ("command", {"_raw_params": "redis-cli -a secret"}, ("command", "Do it", "run")),
        ("group", {"name": "x", "state": "present"}, ("group", "x", "changed")),
    ],
)
def test_changes_are_derived_from_the_task(action: str, args: dict[str, Any], expected: tuple[str, str, str]) -> None:
    (made,) = task(action, args)
    assert (made["kind"], made["name"], made["action"]) == expected
    assert made["role"] == "redis"


def test_a_module_that_says_what_it_changed_is_believed() -> None:
    (made,) = task(
        "redis_settings",
        {},
        changes=[{"kind": "setting", "name": "requirepass", "action": "set", "check": "redis.no_auth", "x": 1}],
    )
    assert made == {
        "role": "redis",
        "kind": "setting",
        "name": "requirepass",
        "action": "set",
        "check": "redis.no_auth",
    }


def test_a_censored_task_keeps_its_secret() -> None:
    made = task(
        "copy",
        {"dest": "/etc/a", "content": "secret"},
        censored="the output has been hidden",
        diff={"before": "", "after": "secret"},
    )
    assert made == [{"kind": "task", "name": "Do it", "action": "changed", "role": "redis"}]


def test_the_diff_of_a_file_is_kept() -> None:
    (made,) = task(
        "copy",
        {"dest": "/etc/a"},
        diff=[{"before": "a\nb\n", "after": "a\nc\n", "before_header": "/etc/a", "after_header": "/etc/a"}],
    )
    assert "-b" in made["diff"].splitlines()
    assert "+c" in made["diff"].splitlines()


def test_predicted_and_made_changes_compare_as_sets() -> None:
    predicted, made = (
        task("copy", {"dest": "/etc/a"}, diff={"before": "1\n", "after": "2\n"}),
        task("copy", {"dest": "/etc/a"}),
    )
    assert {changes.key(one) for one in predicted} == {changes.key(one) for one in made}


def test_a_file_that_two_tasks_edit_is_told_once_with_both_diffs() -> None:
    known: list[dict[str, Any]] = []
    for old, new in (("a\n", "b\n"), ("c\n", "d\n"), ("c\n", "d\n")):
        (one,) = task("ini_file", {"path": "/etc/a"}, diff={"before": old, "after": new})
        changes.add(known, one)
    changes.add(known, *task("ini_file", {"path": "/etc/b"}))
    assert [(one["name"], one["action"]) for one in known] == [("/etc/a", "edited"), ("/etc/b", "edited")]
    assert [line for line in known[0]["diff"].splitlines() if line[0] in "+-" and line[1] not in "+-"] == ["-a", "+b", "-c", "+d"]
