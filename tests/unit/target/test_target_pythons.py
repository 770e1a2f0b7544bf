"""The module runs on every Python that a target may have, and says the same."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils import basic
from ansible.release import __version__ as ansible_version

from tests.support.paths import ROOT
from tests.support.target_code import VERSIONS, interpreter

MODULE = ROOT / "plugins" / "modules" / "security_facts.py"
#: The oldest Python that the module_utils of the Ansible that is here run on.
OF_ANSIBLE = basic._PY_MIN


@pytest.mark.parametrize("version", VERSIONS)
def test_the_module_runs(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    if tuple(map(int, version.split("."))) < OF_ANSIBLE:
        pytest.skip(f"ansible-core {ansible_version} drives no Python older than {'.'.join(map(str, OF_ANSIBLE))}")
    spec = importlib.util.find_spec("ansible")
    assert spec is not None and spec.origin is not None
    # What travels to a target of Ansible is its module_utils alone.
    (tmp_path / "ansible").mkdir()
    (tmp_path / "ansible" / "__init__.py").touch()
    for name in ("release.py", "module_utils"):
        (tmp_path / "ansible" / name).symlink_to(Path(spec.origin).parent / name)
    done = subprocess.run(
        [python, "-B", str(MODULE)],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {"timeout": 300, "class_timeout": 120}}),
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{ROOT / '.ansible' / 'collections'}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert {one["status"] for one in told["classes"].values()} == {"ok"}
    assert {one["check"].split(".")[0] for one in told["findings"]} == set(told["classes"])


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hostmend.agent import build

    path = tmp_path_factory.mktemp("agent") / "hostmend-agent.pyz"
    build.write(path, build.build())
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_the_agent_runs_without_ansible(version: str, agent: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    done = subprocess.run(
        # apt's own work is the same beneath every Python, and the test above has it done by each.
        [python, "-I", "-B", "-W", "error", str(agent), "audit", "--json", "--fail-on", "never", "--output", str(tmp_path),
         "--class", "!updates"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert {one["status"] for one in told["classes"].values()} == {"ok"}
    assert {one["check"].split(".")[0] for one in told["findings"]} == set(told["classes"])
    assert told["system"]["python"].startswith(f"{version}.")


def test_a_python_that_is_too_old_is_told_so(agent: Path) -> None:
    python = interpreter("2.7")
    if python is None:
        pytest.skip("there is no Python older than 3.6 here")
    done = subprocess.run([python, str(agent), "audit"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("hostmend-agent: Python 3.6 or newer is needed")
