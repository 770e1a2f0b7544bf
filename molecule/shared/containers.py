#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and remove the containers of a scenario, on a network of their own with IPv4 and IPv6.

    containers.py up SCENARIO PLATFORM_AS_JSON ...
    containers.py down SCENARIO

A platform has ``name`` and ``image``, and may have ``options`` (of podman run), ``boots: false`` and ``matrix: true``
(tools/scenarios).
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "images"))
import engine

NETWORK = "hm-lab"
SUBNETS = ("10.213.78.0/24", "fd13:78::/64")
LABEL = "hostmend.scenario"
BOOT_SECONDS = 90


@contextmanager
def alone() -> Iterator[None]:
    """Scenarios run side by side; one at a time makes or removes the network they share."""
    engine.SETTINGS.parent.mkdir(exist_ok=True)
    with (engine.SETTINGS.parent / "network.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def booted(name: str) -> None:
    """Wait until systemd in the container has started all that it starts."""
    deadline = time.monotonic() + BOOT_SECONDS
    state = ""
    while time.monotonic() < deadline:
        state = engine.podman("exec", name, "systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        if state in ("running", "degraded"):
            return
        time.sleep(0.3)
    raise SystemExit(f"{name} did not boot within {BOOT_SECONDS} s; systemd says {state or 'nothing'}")


def start(scenario: str, platform: dict[str, Any]) -> None:
    """Start one container."""
    engine.podman("rm", "--force", "--time=0", "--ignore", platform["name"])
    options = engine.boot_options() if platform.get("boots", True) else []
    program = ["/sbin/init"] if platform.get("boots", True) else ["sleep", "infinity"]
    made = engine.podman("run", "--detach", f"--name={platform['name']}", f"--hostname={platform['name']}",
                         f"--label={LABEL}={scenario}", f"--network={NETWORK}", "--pull=never", *options,
                         *platform.get("options", ()), platform["image"], *program, check=False)
    if made.returncode:
        raise SystemExit(f"{platform['name']} did not start: {made.stderr.strip()}")
    if platform.get("boots", True):
        booted(platform["name"])


def up(scenario: str, platforms: list[dict[str, Any]]) -> None:
    """Start the containers of a scenario."""
    with alone():
        if engine.podman("network", "exists", NETWORK, check=False).returncode:
            engine.podman("network", "create", "--ipv6", *(f"--subnet={subnet}" for subnet in SUBNETS), NETWORK)
        # The addresses of the lab's network are handed out one at a time.
        if not platforms:
            raise SystemExit(f"{scenario} names no containers")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda platform: start(scenario, platform), platforms))


def down(scenario: str) -> None:
    """Remove the containers of a scenario, and the network with the last of them."""
    listed = engine.podman("ps", "--all", "--quiet", f"--filter=label={LABEL}={scenario}").stdout.split()
    if listed:
        engine.podman("rm", "--force", "--time=0", *listed)
    with alone():
        if not engine.podman("ps", "--all", "--quiet", f"--filter=network={NETWORK}", check=False).stdout.strip():
            engine.podman("network", "rm", NETWORK, check=False)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("up", "down"):
        raise SystemExit(__doc__)
    if sys.argv[1] == "up":
        up(sys.argv[2], [json.loads(text) for text in sys.argv[3:]])
    else:
        down(sys.argv[2])
