"""What the action plugin sends to a host, and what it believes of the answer."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hostmend.hardening.plugins.action.security_facts import ActionModule, converted, sound

from hostmend.catalog import Option, Text, load


def option(kind: str, **more: Any) -> Option:
    return Option("x", kind, None, Text("x", "x"), **more)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("int", "5", 5),
        ("float", "0.5", 0.5),
        ("bool", "yes", True),
        ("bool", False, False),
        ("list", "a, b,", ["a", "b"]),
        ("list", ["a"], ["a"]),
        ("str", 7, "7"),
        ("dict", {"a": 1}, {"a": 1}),
        ("list", None, None),
    ],
)
def test_a_value_comes_in_its_options_type(kind: str, given: Any, expected: Any) -> None:
    assert converted("hostmend_x", given, option(kind)) == expected


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", "soon"),
        ("int", True),
        ("int", [1]),
        ("bool", "perhaps"),
        ("list", 5),
        ("dict", "a"),
        ("dict", []),
        ("str", ["a"]),
    ],
)
def test_a_value_of_another_type_is_one_line(kind: str, given: Any) -> None:
    with pytest.raises(AnsibleActionFail, match=rf"hostmend_x must be of type {kind}"):
        converted("hostmend_x", given, option(kind))


def test_a_value_that_is_no_choice_is_one_line() -> None:
    with pytest.raises(AnsibleActionFail, match="must be one of safe, restart"):
        converted("hostmend_x", "wild", option("str", choices=("safe", "restart")))


@pytest.mark.parametrize(
    "findings",
    [
        None,
        {},
        [None],
        [{}],
        [{"check": "a", "status": "open"}],
        [{"check": "a.b", "status": "fine"}],
        [{"check": "a.b\n", "status": "open"}],
        [{"check": "<b>.c", "status": "open"}],
        [{"check": "a.b", "status": "open", "resource": 5}],
        [{"check": "a.b", "status": "open", "evidence": "x"}],
    ],
)
def test_an_answer_of_another_shape_is_not_believed(findings: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="not that of security_facts"):
        sound(findings)


def test_a_host_says_what_is_wrong_and_not_what_mends_it() -> None:
    (made,) = sound(
        [
            {
                "check": "redis.no_auth",
                "class": "x",
                "status": "open",
                "fix": {"role": "evil"},
                "kind": "alert",
                "title": "t",
                "outcome": "mended",
            }
        ]
    )
    assert made == {"check": "redis.no_auth", "class": "redis", "status": "open"}


@pytest.mark.parametrize(
    ("given", "expected"), [("all", ["all"]), ("services,!ports", None), (["services"], ["services"]), (None, ["all"])]
)
def test_classes_are_names_that_there_are(given: Any, expected: list[str] | None) -> None:
    catalog = load()
    if expected is None:
        if "ports" not in catalog.classes:
            pytest.skip("there is no class ports yet")
        expected = ["services", "!ports"]
    assert ActionModule._subset(given, catalog) == expected
    with pytest.raises(AnsibleActionFail, match=r"no such class: servics .did you mean services"):
        ActionModule._subset(["servics"], catalog)
