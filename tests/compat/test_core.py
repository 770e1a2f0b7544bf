"""With the ansible-core at hand: a host is audited, two roles of one play foretell and mend, and it is taken back.

``tools/compat`` runs it in a virtual environment of each ansible-core that is supported. With HOSTMEND_TARGET_PYTHON, a
directory of Python, the host has that Python alone to run modules.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import snapshot
from tests.support.operators import Command, Fleet
from tests.support.target import ROOT

PYTHON = os.environ.get("HOSTMEND_TARGET_PYTHON", "")
WRAPPER = "/usr/local/bin/python-of-the-test"
UNITS = ("redis-server.service", "rpcbind.socket", "rpcbind.service")
INSECURE = r"""
    systemctl unmask redis-server rpcbind.service rpcbind.socket >/dev/null 2>&1
    sed -i 's/^bind .*/bind * -::*/; s/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
    systemctl enable --now redis-server rpcbind.socket >/dev/null 2>&1
"""
PLAY = """
- hosts: all
  become: true
  gather_facts: false
  roles:
    - hostmend.hardening.services
    - hostmend.hardening.redis
"""
WANTED = {"redis.no_auth", "redis.exposed", "services.unneeded"}


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    # A Python finds its library at the place that it was built for.
    options = (f"--volume={PYTHON}:{PYTHON}:ro",) if PYTHON else ()
    made: Fleet = fleet_of("core", options=options)
    made["core"].sh(INSECURE)
    if PYTHON:
        made["core"].sh(f"chmod 755 /root; printf '#!/bin/sh\\nLD_LIBRARY_PATH={PYTHON}/lib exec {PYTHON}/bin/python3 \"$@\"\\n' "
                        f"> {WRAPPER}; chmod 755 {WRAPPER}; {WRAPPER} -c pass")
    return made


@pytest.fixture(scope="module")
def inventory(fleet: Fleet) -> str:
    more = {"ansible_python_interpreter": WRAPPER} if PYTHON else {}
    return fleet.inventory(hostmend_classes=["redis", "services"], **more)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def before(fleet: Fleet) -> Any:
    return snapshot.of(fleet["core"], *UNITS)


def audit(operator: Command, inventory: str) -> set[str]:
    done = operator("audit", "-i", inventory, "-b", "--format", "json", "--fail-on", "never")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    findings = done.json()["hosts"]["core"]["findings"]
    assert {one["class"] for one in findings} == {"redis", "services"}
    return {one["check"] for one in findings if one["status"] == "open"}


def play(operator: Command, inventory: str, folder: Path, *words: str) -> tuple[str, int]:
    """Run the two roles by plain ansible-playbook; returns what it said, and how many tasks changed something."""
    path = folder / "roles.yml"
    path.write_text(PLAY, "utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), str(path), "-i", inventory, *words],
        env={**operator.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True, text=True, check=False, timeout=400, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stdout + done.stderr
    (recap,) = re.findall(r"^core +: .*changed=(\d+)", done.stdout, re.MULTILINE)
    return done.stdout, int(recap)


def test_what_is_insecure_is_found(operator: Command, inventory: str, before: Any) -> None:
    assert audit(operator, inventory) >= WANTED


def test_check_mode_of_two_roles_changes_nothing_and_foretells(
    operator: Command, inventory: str, before: Any, fleet: Fleet, tmp_path: Path
) -> None:
    _said, changed = play(operator, inventory, tmp_path, "--check")
    assert changed >= 2
    assert snapshot.of(fleet["core"], *UNITS) == before


def test_two_roles_of_one_play_mend(operator: Command, inventory: str, before: Any, tmp_path: Path) -> None:
    said, changed = play(operator, inventory, tmp_path)
    assert changed >= 2, said
    assert not audit(operator, inventory) & WANTED
    assert play(operator, inventory, tmp_path)[1] == 0


def test_the_command_takes_it_back(operator: Command, inventory: str, before: Any, fleet: Fleet) -> None:
    done = operator("rollback", "latest", "-i", inventory, "-b", "--yes")
    assert done.code == 0, done.err
    assert audit(operator, inventory) >= WANTED
