#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure an audit and a clean remediation of one host over SSH, beside Ansible's own setup, ping and Lynis.

    make bench            (or: .venv/bin/python benchmarks/bench.py [--rounds 5])

The host is a container that is started for it and removed afterwards.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from hostmend.agent import build  # noqa: E402
from tests.support.target import Target, missing, podman  # noqa: E402

# What is asked of systemd costs process 1.
COUNT = """
import json, os, resource, subprocess, sys
def init():
    with open("/proc/1/stat") as handle:
        fields = handle.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
before = init()
"""
TELL = """
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"code": done.returncode, "cpu": used.ru_utime + used.ru_stime + init() - before,
                  "memory": used.ru_maxrss / 1024}))
"""
MEASURE = COUNT + """
done = subprocess.run([sys.executable, "/bench/ansible_collections/hostmend/hardening/plugins/modules/security_facts.py"],
                      input=b'{"ANSIBLE_MODULE_ARGS": {}}', stdout=subprocess.DEVNULL,
                      env={"PYTHONPATH": "/bench", "PATH": "/usr/sbin:/usr/bin"})
""" + TELL

# A host in use has apt's indexes and its cache of them, which images of containers lack or are told not to keep.
WARM = """
grep -lriE 'pkgcache|docker' /etc/apt/apt.conf.d | xargs -r rm -f
apt-get -qq update && apt-cache stats > /dev/null && ls -l /var/cache/apt/pkgcache.bin
"""
MEASURE_AGENT = COUNT + """
done = subprocess.run([sys.executable, "-B", "/bench/hostmend-agent.pyz", "audit", "--quiet", "--fail-on", "never",
                       "--output", "/bench/kept"], stdout=subprocess.DEVNULL, env={"PATH": "/usr/sbin:/usr/bin"})
""" + TELL


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def on_target(target: Target) -> dict[str, float]:
    """Return CPU seconds and peak memory in MiB of the module on the target, its commands and process 1 included."""
    spec = importlib.util.find_spec("ansible")
    assert spec is not None and spec.origin is not None
    target.sh("mkdir -p /bench/ansible /bench/ansible_collections/hostmend/hardening && touch /bench/ansible/__init__.py")
    podman("cp", str(ROOT / "plugins"), f"{target.name}:/bench/ansible_collections/hostmend/hardening/plugins")
    for name in ("release.py", "module_utils"):
        podman("cp", str(Path(spec.origin).parent / name), f"{target.name}:/bench/ansible/{name}")
    return measured(target, MEASURE)


def agent_on_target(target: Target) -> dict[str, float]:
    """Return CPU seconds and peak memory in MiB of the agent, which compiles itself at each run, and of its commands."""
    data = build.build()
    path = target.folder / "hostmend-agent.pyz"
    build.write(path, data)
    podman("cp", str(path), f"{target.name}:/bench/hostmend-agent.pyz")
    return {**measured(target, MEASURE_AGENT), "size": len(data)}


def measured(target: Target, script: str) -> dict[str, float]:
    """Return medians of five runs after one that is not counted."""
    target.python(script)
    rounds = [json.loads(target.python(script)) for _ in range(5)]
    assert not any(one["code"] for one in rounds), "it failed"
    return {name: statistics.median(one[name] for one in rounds) for name in ("cpu", "memory")}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure an audit beside Ansible's own setup.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    if missing():
        raise SystemExit(missing())
    with tempfile.TemporaryDirectory(prefix="hostmend-bench-") as folder, Target(Path(folder)) as target:
        inventory = str(target.inventory())
        environ = dict(target.environment(), HOSTMEND_STORE=f"{folder}/store.db")

        def run(*argv: str, allowed: tuple[int, ...] = (0,)) -> None:
            done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
            if done.returncode not in allowed:
                raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

        hostmend = (sys.executable, "-m", "hostmend")
        refresh = seconds(lambda: target.sh(WARM))
        # Nothing of SSH's own is a reason to mend here: a clean host is what is measured.
        clean = ("-e", '{"hostmend_ports_table": {"22/tcp": "none"}, "hostmend_classes": ["all"]}')
        run(*hostmend, "remediate", "-i", inventory, "-b", "--yes", *clean, allowed=(0, 2))
        target.sh("apt-get -qq -y dist-upgrade >/dev/null 2>&1; apt-cache stats > /dev/null")
        works: dict[str, Callable[[], None]] = {
            "ansible -m ping": lambda: run("ansible", "all", "-i", inventory, "-b", "-m", "ping"),
            "ansible -m setup": lambda: run("ansible", "all", "-i", inventory, "-b", "-m", "setup"),
            "hostmend audit": lambda: run(*hostmend, "audit", "-i", inventory, "-b", *clean, allowed=(0, 2)),
            "hostmend remediate (clean)": lambda: run(
                *hostmend, "remediate", "-i", inventory, "-b", "--yes", *clean, allowed=(0, 2)
            ),
        }
        taken: dict[str, list[float]] = {name: [] for name in works}
        loads = [os.getloadavg()[0]]
        for _ in range(rounds):
            for name, work in works.items():
                taken[name].append(seconds(work))
        loads.append(os.getloadavg()[0])
        medians = {name: statistics.median(each) for name, each in taken.items()}
        used = on_target(target)
        agent = agent_on_target(target)
        installed = "apt-get update -qq && apt-get install -qq -y --no-install-recommends lynis >/dev/null 2>&1 && echo yes"
        lynis = None
        if target.sh(installed, check=False).strip().endswith("yes"):
            lynis = seconds(lambda: target.sh("lynis audit system --quick --quiet >/dev/null 2>&1", check=False))
    setup, load = medians["ansible -m setup"], " to ".join(f"{one:.1f}" for one in sorted(loads))
    print(f"median of {rounds} rounds, one host over SSH with its package indexes, {os.cpu_count()} cores, load {load}")
    print(f"{'':30}{'seconds':>9}{'x setup':>9}  reach")
    for name, value in medians.items():
        reach = {"hostmend audit": "<= 2", "hostmend remediate (clean)": "<= 2"}.get(name, "")
        print(f"{name:30}{value:9.2f}{value / setup:9.2f}  {reach}")
    print(f"{'apt-get update, once, apart':30}{refresh:9.2f}{refresh / setup:9.2f}")
    if lynis is None:
        print("lynis audit system --quick: skipped, it could not be installed in the container")
    else:
        print(f"{'lynis audit system --quick':30}{lynis:9.2f}{lynis / setup:9.2f}")
        print(f"hostmend audit is {lynis / medians['hostmend audit']:.1f} times as fast as Lynis  (reach: >= 10)")
    print(
        f"on the target: {used['cpu']:.2f} s of CPU (reach: <= 1), {used['memory']:.0f} MiB at its peak"
        " (reach: <= 76, which is 80 MB)"
    )
    print(
        f"the agent on a host: {agent['cpu']:.2f} s of CPU (reach: <= 1), {agent['memory']:.0f} MiB at its peak"
        f" (reach: <= 57, which is 60 MB), {agent['size'] / 1000:.0f} kB on the disk (reach: < 1000)"
    )


if __name__ == "__main__":
    main()
