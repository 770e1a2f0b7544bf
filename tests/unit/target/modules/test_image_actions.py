"""What action plugins do where the host is to become an image."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.action import confirm, image_sbom, journal
from ansible_collections.hostmend.hardening.plugins.plugin_utils import run

STOPPED = {"ansible_facts": {"hostmend_running": False}, "hostmend_run": "r"}


def action(plugin: Any, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], **arguments: Any) -> tuple[Any, list[Any]]:
    """Return an action whose module is not run, and what the module would have been given."""
    task = SimpleNamespace(args=arguments, check_mode=False, async_val=0, _role=None)
    loader = SimpleNamespace(path_dwim=str)
    made = plugin.ActionModule(task, SimpleNamespace(transport="local"), None, loader, None, None)
    given: list[Any] = []

    def execute(_module: str, module_args: Any = None, task_vars: Any = None) -> dict[str, Any]:
        given.append(module_args)
        return dict(answer)

    monkeypatch.setattr(made, "_execute_module", execute)
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_more, **_named: {})
    return made, given


def test_a_host_is_running_unless_its_facts_say_otherwise():
    assert run.running({}) and run.running({"ansible_facts": {}})
    assert not run.running(STOPPED)


@pytest.mark.parametrize("state", ["armed", "confirmed"])
def test_nothing_waits_for_a_confirmation(state, monkeypatch):
    made, given = action(confirm, monkeypatch, {"confirmed": False, "failed": True}, state=state)
    result = made.run(task_vars=STOPPED)
    assert result["confirmed"] and not result.get("failed") and given == []


def test_rules_of_the_builders_kernel_are_not_kept(monkeypatch):
    made, given = action(journal, monkeypatch, {"changed": False}, firewall=True, paths=["/etc/x"], sysctls=["a"])
    made.run(task_vars=STOPPED)
    assert given[0]["paths"] == ["/etc/x"] and not {"firewall", "sysctls", "runtime"} & set(given[0])
    made.run(task_vars={"hostmend_run": "r"})
    assert given[1]["firewall"] and given[1]["sysctls"] == ["a"]


def test_the_packages_are_listed_on_the_controller(monkeypatch, tmp_path: Path):
    packages = [{"name": "bash", "version": "5", "arch": "amd64", "source": "bash", "source_version": "5"}, "no package"]
    answer = {"packages": packages, "system": {"id": "debian", "version_id": "12", "manager": "dpkg"}}
    made, _given = action(image_sbom, monkeypatch, answer, dest=str(tmp_path / "new/sbom.json"))
    assert made.run(task_vars={})["changed"] is False
    assert [one["name"] for one in json.loads((tmp_path / "new/sbom.json").read_text())["components"]] == ["bash"]


def test_a_module_that_failed_writes_nothing(monkeypatch, tmp_path: Path):
    made, _given = action(image_sbom, monkeypatch, {"failed": True, "msg": "no"}, dest=str(tmp_path / "sbom.json"))
    assert made.run(task_vars={})["failed"] and list(tmp_path.iterdir()) == []
