"""What the action plugin sends to a host, and what it believes of the answer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hostmend.hardening.plugins.action.security_facts import ActionModule, converted, sound

from hostmend.agent import packages
from hostmend.catalog import Catalog, Check, Fix, IssueClass, Option, Text, load
from tests.support.advisory_data import ASKED, BOOKWORM, bundled, package, sample


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


def updates() -> Catalog:
    """Return a catalogue with the class whose packages are compared with the bundle."""
    texts = Text("x", "x")
    checks = {
        name: Check(name, "updates", "vulnerability", "medium", texts, texts, texts, Fix("manual"))
        for name in ("updates.cve", "updates.security_pending")
    }
    return Catalog({"updates": IssueClass("updates", texts, texts, load().classes["updates"].policy, checks)}, load().common)


def joined(catalog: Catalog, variables: dict[str, Any], facts: Any, *findings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings that the action makes of a host's answer."""
    action = ActionModule.__new__(ActionModule)
    action._loader = SimpleNamespace(path_dwim=str)
    action._templar = SimpleNamespace(copy_with_new_env=lambda **_variables: SimpleNamespace(template=lambda value: value))
    action._task = SimpleNamespace(check_mode=False)
    result = {
        "findings": [dict(ASKED), *findings],
        "ansible_facts": {"hostmend": {"updates": facts}},
        "system": {"kernel": "6.1.0", "running": True},
    }
    action._join(result, catalog, {}, variables)
    made: list[dict[str, Any]] = result["findings"]
    return made


def test_a_hosts_packages_are_compared_with_the_bundle(tmp_path: Path) -> None:
    path = bundled(tmp_path, sample(tmp_path, "debian.json", days_old=3000), sample(tmp_path, "kev.json"))
    facts = {"packages": [package("sudo", "1.9.13p3-1+deb12u1")], "distribution": BOOKWORM}
    faked = {"check": "updates.security_pending", "status": "open", "resource": "x", "known_exploited": True, "epss": 1.0}
    made = joined(updates(), {"hostmend_updates_advisories": str(path)}, facts, faked)
    (one,) = [each for each in made if each["resource"] == "sudo"]
    assert (one["check"], one["severity"], one["known_exploited"]) == ("updates.cve", "high", True)
    assert (one["title"], one["fix"]) == ("x", {"risk": "manual"})
    (other,) = [each for each in made if each["resource"] == "x"]
    assert not {"known_exploited", "epss"} & set(other)  # that is not a host's to say
    (rest,) = [each for each in made if each["resource"] == "installed packages"]
    assert rest["status"] == "unknown"  # the advisories are years old
    made = joined(updates(), {"hostmend_updates_advisories": str(path), "hostmend_updates_advisories_days": "99999"}, facts)
    assert [each["status"] for each in made if each["resource"] == "installed packages"] == ["passed"]


def test_what_an_agent_told_of_packages_is_compared_as_that_of_a_live_host(tmp_path: Path) -> None:
    path = bundled(tmp_path, sample(tmp_path, "debian.json", days_old=3000), sample(tmp_path, "kev.json"))
    odd = [["no version", "", "", ""], ["a\tb", "1", "a", "1"], package("bash", "5.2.15-2")]
    listed = [package("sudo", "1.9.13p3-1+deb12u1"), package("libssl3", "3.0.15-1", "openssl"), *odd]
    live = {"packages": listed, "distribution": BOOKWORM, "gaps": [], "pending": [], "root": True}
    report = json.loads(json.dumps({"facts": {"updates": packages.packed(live)}}))
    pending = {"check": "updates.security_pending", "status": "open", "resource": "sudo", "evidence": {}}
    variables = {"hostmend_updates_advisories": str(path)}
    theirs = joined(updates(), variables, live, dict(pending))
    mine = joined(updates(), variables, packages.unpacked(report), dict(pending))
    assert mine == theirs
    assert {"sudo", "openssl"} <= {one["resource"] for one in mine if one["status"] == "open"}
    assert any("CVE" in reference for one in mine if one["check"].endswith("pending") for reference in one["references"])


def test_without_a_bundle_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTMEND_ADVISORIES", str(tmp_path / "none.db"))
    facts = {"packages": [package("sudo", "1.9")], "distribution": BOOKWORM}
    (one,) = joined(updates(), {}, facts)
    assert one["status"] == "unknown"
    assert str(tmp_path / "none.db") in one["reason"]


def test_where_the_class_is_not_there_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTMEND_ADVISORIES", "/nowhere")
    facts = {"packages": [package("sudo", "1.9")], "distribution": BOOKWORM}
    (one,) = joined(Catalog({}, load().common), {}, facts)
    assert one["reason"] == ASKED["reason"]


@pytest.mark.parametrize(("name", "value"), [("advisories", ["x"]), ("advisories_days", "soon"), ("advisories_days", [])])
def test_a_policy_of_another_type_is_one_line(name: str, value: Any) -> None:
    with pytest.raises(AnsibleActionFail, match=f"hostmend_updates_{name} must be of type"):
        joined(updates(), {f"hostmend_updates_{name}": value}, {"packages": [["a", "1", "a", "1"]]})
