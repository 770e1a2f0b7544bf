"""What reaches a role: the findings that the plan has chosen, from its own audit or from its caller, and no host's word else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.hostmend.hardening.plugins.action import confirm, image_sbom, journal, report, rollback, security_facts
from ansible_collections.hostmend.hardening.plugins.filter.open_findings import FilterModule, open_findings
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.plugin_utils import inventory_policy
from ansible_collections.hostmend.hardening.plugins.plugin_utils import run as runs

from hostmend.catalog import load
from hostmend.core import plan, validation
from hostmend.core.catalog_model import Catalog
from hostmend.core.errors import HostmendError
from hostmend.report import model

NAME = "redis-server 6379 (/etc/redis/redis.conf)"
OTHERS = ("redis.exposed", "redis.weak_password", "redis.dangerous_commands", "redis.runs_as_root",
          "redis.config_world_readable", "redis.runtime_differs")  # fmt: skip


def template(text: str) -> str:
    """Return text as an inventory has it: from ansible-core 2.19 on, only that is evaluated."""
    try:
        from ansible.template import trust_as_template
    except ImportError:
        return text
    return trust_as_template(text)


def role_task(role: str | None, **arguments: Any) -> Any:
    named = SimpleNamespace(get_name=lambda: f"hostmend.hardening.{role}") if role else None
    return SimpleNamespace(args=arguments, check_mode=False, _role=named, async_val=0)


def action(module: Any, role: str | None, answer: dict[str, Any], variables: dict[str, Any], **arguments: Any) -> Any:
    """Return an action of a role whose module answers ``answer``, and the list of what was sent to it."""
    made = module.ActionModule.__new__(module.ActionModule)
    made._task = role_task(role, **arguments)
    made._loader = DataLoader()
    made._templar = Templar(made._loader, variables=variables)
    made._connection = SimpleNamespace(transport="local", _shell=SimpleNamespace(tmpdir=None))
    sent: list[dict[str, Any]] = []

    def execute(_name: str, module_args: dict[str, Any], task_vars: Any = None) -> dict[str, Any]:
        sent.append(dict(module_args))
        return dict(answer)

    made._execute_module = execute
    return made, sent


@pytest.fixture(autouse=True)
def no_base_class(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible.plugins.action import ActionBase

    monkeypatch.setattr(ActionBase, "run", lambda *_args: {})


def answer(*findings: dict[str, Any]) -> dict[str, Any]:
    given = [*findings, *({"check": check, "status": "passed", "resource": NAME} for check in OTHERS)]
    return {"findings": given, "classes": {}, "system": {"running": True}, "ansible_facts": {"hostmend": {"redis": {}}, "x": 1}}


OPEN = {"check": "redis.no_auth", "status": "open", "resource": NAME, "evidence": {}, "remedy": {"files": ["/redis.conf"]}}


def audited(variables: dict[str, Any], role: str | None = "redis") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    made, sent = action(security_facts, role, answer(OPEN), variables, gather_subset=["redis"])
    return made.run(task_vars=variables), sent


def test_the_filter_takes_the_class_alone() -> None:
    findings = [{"class": "redis", "status": "passed"}, {"class": "ports", "status": "open"}]
    assert FilterModule().filters()["open_findings"](findings, "redis") == [findings[0]]
    assert open_findings(None, "redis") == []
    for wrong in ({"redis": 1}, ["text"]):
        with pytest.raises(AnsibleFilterError):
            open_findings(wrong, "redis")


def test_a_role_mends_what_its_own_audit_has_chosen() -> None:
    result, sent = audited({})
    assert [finding["check"] for finding in result["chosen"]] == ["redis.no_auth"]
    assert len(sent) == 1
    assert set(result["ansible_facts"]) == inventory_policy.OWN


@pytest.mark.parametrize(
    "variables",
    [
        {"hostmend_max_risk": "safe"},
        {"hostmend_skip": ["redis"]},
        {"hostmend_skip": [f"redis.no_auth {NAME}"]},
        {"hostmend_left_alone": ["redis.no_auth"]},
        {"hostmend_only": ["ports"]},
        {"hostmend_selected": {}, "inventory_hostname": "h"},
    ],
)
def test_what_the_plan_leaves_alone_no_role_is_handed(variables: dict[str, Any]) -> None:
    assert audited(variables)[0]["chosen"] == []


def test_what_somebody_answers_for_no_role_is_handed(tmp_path: Any) -> None:
    waivers = tmp_path / "waivers.yml"
    waivers.write_text("- {check: redis.no_auth, hosts: [h], reason: known, owner: me, expires: 2099-01-01}\n", encoding="utf-8")
    result, _sent = audited({"hostmend_waivers": str(waivers), "inventory_hostname": "h"})
    assert result["chosen"] == []
    assert "waived" in [finding["status"] for finding in result["findings"]]


def test_findings_of_an_earlier_audit_are_no_hand_over() -> None:
    """A second role of the play, and a run with a cache of facts, find the facts of another audit."""
    earlier = [{"check": "ports.exposed", "class": "ports", "status": "open", "resource": "tcp/1"}]
    facts = {"hostmend_findings": earlier, "hostmend": {}, "hostmend_plan": {}, "hostmend_running": True}
    for injected in ({}, facts):
        result, sent = audited({"ansible_facts": facts, **injected})
        assert len(sent) == 1
        assert [finding["check"] for finding in result["chosen"]] == ["redis.no_auth"]


def test_findings_that_a_caller_hands_over_take_the_place_of_an_audit() -> None:
    first, _sent = audited({}, role=None)
    variables = {
        "registered": first["chosen"],
        "hostmend_findings": template("{{ registered }}"),
        "ansible_facts": first["ansible_facts"],
    }
    result, sent = audited(variables)
    assert sent == []
    assert [finding["check"] for finding in result["chosen"]] == ["redis.no_auth"]
    assert "ansible_facts" not in result
    assert audited({**variables, "hostmend_skip": ["redis"]})[0]["chosen"] == []
    with pytest.raises(AnsibleActionFail, match="hostmend_findings must be a list of findings"):
        audited({"hostmend_findings": "redis"})


def test_an_audit_outside_a_role_takes_no_findings_of_others() -> None:
    assert len(audited({"hostmend_findings": []}, role=None)[1]) == 1


def test_the_options_of_the_running_role_are_its_policy() -> None:
    variables = {"hostmend_redis_networks": ["10.0.0.1"], "redis_networks": ["10.0.0.2"], "ports_allowed": {"1/tcp": []}}
    _result, sent = audited(variables)
    assert sent[0]["policy"]["redis"] == {"networks": ["10.0.0.2"]}
    assert "ports" not in sent[0]["policy"]
    _result, sent = audited({"hostmend_redis_networks": ["10.0.0.1"], "redis_networks": ["10.0.0.2"]}, role="shop")
    assert sent[0]["policy"]["redis"] == {"networks": ["10.0.0.1"]}


def test_a_host_sets_no_policy_of_its_own() -> None:
    facts = {"hostmend_max_risk": "disruptive"}
    with pytest.raises(AnsibleActionFail, match="set hostmend_max_risk, which is the inventory's to say"):
        audited({"ansible_facts": facts, "hostmend_max_risk": "disruptive"})
    # A template of the operator's that names a variable does not get it from the host.
    with pytest.raises(AnsibleActionFail, match="hostmend_redis_networks cannot be evaluated"):
        audited({"ansible_facts": {"mine": ["0.0.0.0"]}, "mine": ["0.0.0.0"], "hostmend_redis_networks": template("{{ mine }}")})


@pytest.mark.parametrize(
    ("module", "arguments"),
    [(journal, {"state": "done"}), (confirm, {"state": "armed"}), (rollback, {"state": "listed"}), (image_sbom, {})],
)
def test_no_answer_of_a_host_becomes_a_variable(module: Any, arguments: dict[str, Any]) -> None:
    facts = {"hostmend_output": "/tmp/evil", "hostmend": {}}
    made, sent = action(module, "redis", {"changed": False, "failed": True, "msg": "x", "ansible_facts": facts}, {}, **arguments)
    result = made.run(task_vars={"inventory_hostname": "h"})
    assert sent
    assert "ansible_facts" not in result


def test_a_remedy_is_of_the_form_that_the_catalogue_gives_it() -> None:
    catalog = load()
    redis = catalog.classes["redis"]._replace(remedy={"unit": "str", "auth": "bool", "port": "int"})
    catalog = Catalog({**catalog.classes, "redis": redis}, catalog.common)

    def judged(remedy: dict[str, Any]) -> list[dict[str, Any]]:
        return validation.with_sound_remedies([{**OPEN, "class": "redis", "remedy": remedy}], catalog)

    assert judged({"unit": "redis.service", "auth": True, "port": None})
    for wrong in ({"unit": 5}, {"auth": 1}, {"port": True}, {"shell": "x"}, {"unit": "x" * 70000}):
        with pytest.raises(HostmendError, match=r"redis\.no_auth"):
            judged(wrong)


def test_what_has_no_remedy_is_for_a_person() -> None:
    made, _sent = action(security_facts, "redis", answer({**OPEN, "remedy": {}}), {}, gather_subset=["redis"])
    result = made.run(task_vars={})
    assert result["chosen"] == []
    assert result["findings"][0]["fix"]["risk"] == "manual"


def test_a_remedy_is_in_no_report() -> None:
    finding = found("redis.no_auth", NAME, remedy={"unit": "redis.service"})
    assert finding["remedy"] == {"unit": "redis.service"}
    run = {"id": "r", "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z", "mode": "audit", "version": "1"}
    made = model.build(run, {"h": {"status": "ok", "findings": [finding], "before": [finding]}}, load())
    assert "remedy" not in made["hosts"]["h"]["findings"][0]


def test_roles_run_in_the_catalogues_order() -> None:
    def of(name: str) -> dict[str, Any]:
        return {"check": f"{name}.x", "class": name, "status": "open", "fix": {"role": name, "risk": "safe"}}

    assert plan.roles([of("b"), of("c"), of("a")], {"a": 5, "b": 0}) == ["b", "c", "a"]


class Hostvars(dict):  # type: ignore[type-arg]
    """The variables of all hosts, with the cache of their facts."""

    def __init__(self, variables: dict[str, Any], facts: dict[str, Any]) -> None:
        super().__init__(variables)
        self._variable_manager = SimpleNamespace(_fact_cache=facts)


def reported(variables: dict[str, dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    """Return what the report's action says of hosts whose facts are injected over their variables."""
    seen = {name: {**given, **facts.get(name, {})} for name, given in variables.items()}
    first = next(iter(seen))
    task_vars = {**seen[first], "inventory_hostname": first, "hostvars": Hostvars(seen, facts), "ansible_play_hosts": list(seen),
                 "ansible_play_hosts_all": list(seen)}  # fmt: skip
    made, _sent = action(report, None, {}, task_vars)
    result: dict[str, Any] = made.run(task_vars=task_vars)
    return result


def test_no_host_says_where_the_report_goes_or_what_is_in_it(tmp_path: Any) -> None:
    audit = {"hostmend_audit": {"findings": [{**OPEN, "class": "redis"}]}}
    evil = {"hostmend_output": str(tmp_path / "evil"), "hostmend_fail_on": "high", "hostmend_run": "../../evil",
            "hostmend_audit_after": {"findings": []}, "hostmend_failure": "x"}  # fmt: skip
    result = reported({"h": dict(audit)}, {"h": evil})
    assert "files" not in result
    assert not result.get("failed")
    assert any("1 open" in line for line in result["msg"])
    good = {**audit, "hostmend_output": str(tmp_path / "good"), "hostmend_fail_on": "high"}
    result = reported({"h": dict(good), "other": dict(good)}, {"h": evil})
    assert result["directory"] == str(tmp_path / "good")
    assert result["failed"]
    assert not (tmp_path / "evil").exists()
    assert "evil" not in (tmp_path / "good/report.json").read_text()


def test_the_run_is_named_by_the_operator_alone() -> None:
    assert runs.given({"hostmend_run": "20260101 a/b"}) == "20260101-a-b"
    assert runs.given({"hostmend_run": "evil", "ansible_facts": {"hostmend_run": "evil"}}) == ""


def test_each_role_that_failed_is_in_the_report() -> None:
    result = reported({"h": {"hostmend_audit": {"findings": []}, "hostmend_failures": ["redis, Do it: no", "ports, x: y"]}}, {})
    assert result["failed"]
    assert any("redis, Do it: no; ports, x: y" in line for line in result["msg"])
