# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all scenarios use: what the command found and mended, attackers, and restarts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "images"))
import containers
import engine

KEPT = Path(os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "/nonexistent")) / "kept"


def report(phase: str) -> dict[str, Any]:
    """Return the report of a phase: ``foretold`` (check mode, before) or ``mended``.

    Hosts of the group ``alone`` were mended by the role alone, and their report is that of ``converge``.
    """
    made: dict[str, Any] = json.loads((KEPT / phase / "report.json").read_text())
    alone = KEPT / "alone" / "report.json"
    if phase == "mended" and alone.exists():
        made["hosts"].update(json.loads(alone.read_text())["hosts"])
    return made


def findings(phase: str, host: str, status: str | None = None) -> list[dict[str, Any]]:
    """Return a host's findings in a phase, those of one status where one is named."""
    found = report(phase)["hosts"][host]["findings"]
    return [one for one in found if status is None or one["status"] == status]


def open_checks(phase: str, host: str) -> set[str]:
    """Return the checks that were open in a phase."""
    return {one["check"] for one in findings(phase, host, "open")}


def changes(phase: str, host: str) -> set[tuple[str, ...]]:
    """Return what changed, or would have, as a set that can be compared."""
    made = report(phase)["hosts"][host].get("changes") or []
    return {(one["kind"], one["name"], one.get("action", "")) for one in made}


def first_run(name: str) -> str:
    """Return the id of the first run that a host's journal has."""
    return min(inside(name, "ls", "/var/lib/hostmend/runs", check=True).stdout.split())


def addresses(name: str) -> tuple[str, str]:
    """Return the IPv4 and the IPv6 address of a container."""
    told = json.loads(engine.podman("inspect", name).stdout)[0]["NetworkSettings"]["Networks"][containers.NETWORK]
    return told["IPAddress"], told["GlobalIPv6Address"]


def inside(name: str, *argv: str, stdin: str | None = None, check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command in a container."""
    options = ["--interactive"] if stdin is not None else []
    return engine.podman("exec", *options, name, *argv, stdin=stdin, check=check)


def audit(name: str, subset: str) -> list[dict[str, Any]]:
    """Return what the detectors find on a container now."""
    made = subprocess.run(
        ["ansible", name, "-i", os.environ["MOLECULE_INVENTORY_FILE"], "-m", "hostmend.hardening.security_facts", "-a",
         f"gather_subset={subset}"], capture_output=True, text=True, check=False,
        env=dict(os.environ, ANSIBLE_LOAD_CALLBACK_PLUGINS="1", ANSIBLE_STDOUT_CALLBACK="ansible.builtin.oneline",
                 ANSIBLE_FORCE_COLOR="0", ANSIBLE_CONFIG=str(engine.ROOT / "ansible.cfg")))
    assert made.returncode == 0, made.stdout + made.stderr
    result = json.loads(made.stdout.partition("=>")[2])
    found: list[dict[str, Any]] = result["findings"]
    return found


def restart(name: str) -> None:
    """Restart a container and wait until it has booted."""
    engine.podman("restart", "--time=5", name)
    containers.booted(name)


class Attacker:
    """A second container on the same network."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        return inside(self.name, *argv, stdin=stdin)

    def connects(self, address: str, port: int, proto: str = "tcp") -> bool:
        """Tell whether a TCP connection to the address and port is made within two seconds."""
        assert proto == "tcp", "whether a datagram arrived cannot be told from the sender"
        return self.run("nc", "-z", "-w", "2", address, str(port)).returncode == 0


@pytest.fixture(scope="session")
def attacker() -> Iterator[Attacker]:
    """Return a container of nobody's on the lab's network."""
    name = f"hm-attacker-{uuid.uuid4().hex[:8]}"
    scenario = os.environ.get("MOLECULE_SCENARIO_NAME", "attacker")
    engine.podman("run", "--detach", f"--name={name}", f"--label={containers.LABEL}={scenario}",
                  f"--network={containers.NETWORK}", "--pull=never", "localhost/hostmend-lab:bookworm", "sleep", "1800")
    try:
        yield Attacker(name)
    finally:
        engine.podman("rm", "--force", "--time=0", name)


@pytest.fixture
def name(host: Any) -> str:
    """Return the inventory's name of the host under test."""
    return str(host.backend.host)
