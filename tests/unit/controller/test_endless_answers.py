"""A host that never answers, or never stops answering, is ended by a limit, and the others are reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.hostmend.hardening.plugins.plugin_utils import limits

from hostmend.core.exit_status import host_reason
from tests.support.paths import ROOT

TASKS = {
    f"{playbook}: {task['name']}": task
    for playbook in ("audit", "remediate", "rollback")
    for play in yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text("utf-8"))
    for outer in play["tasks"]
    for part in ("block", "always")
    for task in [outer, *outer.get(part, ())]
    if "hostmend.hardening.security_facts" in task
}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_audit_has_a_limit_of_time(name: str) -> None:
    assert "hostmend_timeout" in TASKS[name]["timeout"]


def test_a_limit_of_memory_is_one_failure_and_ends_with_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Action:
        def _execute_module(self, module: str, arguments: object, task_vars: object) -> object:
            return {"text": bytes(2**29)}

    monkeypatch.setattr(limits, "MOST_MEMORY", 2**25)
    assert limits.execute(Action(), "m", {}, {}) == {"failed": True, "changed": False, "msg": limits.TOO_LARGE}
    assert len(bytes(2**29)) == 2**29


def test_two_such_hosts_beside_a_good_one(tmp_path: Path) -> None:
    hosts = {"good": {"ansible_python_interpreter": sys.executable}}
    for name, command in (("silent", "sleep 30"), ("endless", "yes")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexec {command}\n")
        program.chmod(0o755)
        hosts[name] = {"ansible_python_interpreter": str(program)}
    common = {"ansible_connection": "local", "hostmend_classes": ["services"], "hostmend_timeout": -45}
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"vars": common, "hosts": hosts}}))
    hosts["good"]["hostmend_timeout"] = 45  # type: ignore[assignment]
    inventory.write_text(json.dumps({"all": {"vars": common, "hosts": hosts}}))
    done = subprocess.run(
        [sys.executable, "-m", "hostmend", "audit", "-i", str(inventory), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "HOSTMEND_STORE": str(tmp_path / "store.db"), "PYTHONPATH": str(ROOT / "src")},
    )
    found = {name: host["status"] for name, host in json.loads(done.stdout)["hosts"].items()}
    assert found == {"good": "ok", "silent": "failed", "endless": "failed"}, done.stderr


def test_the_reason_is_in_plain_words() -> None:
    assert host_reason({"msg": "Task failed: Timed out after 105 second(s)."}).startswith("the host did not answer in time")
