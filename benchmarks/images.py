#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what hardening, sealing and packing an image take on top of the bootstrap of its root filesystem.

    .venv/bin/python benchmarks/images.py [--suite trixie] [--rounds 3]      as root; needs mmdebstrap

The root filesystem has an SSH server, nginx, and a Redis that answers everybody. Without a fail2ban, an nftables and a
logrotate in it, the roles install those: that is the most that hardening has to do.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGES = "systemd,systemd-sysv,dbus,python3,ca-certificates,openssh-server,nginx,redis-server"
MOST = 60.0
INSECURE = "sed -i 's/^bind .*/bind 0.0.0.0/; s/^protected-mode .*/protected-mode no/' etc/redis/redis.conf"


def used(argv: list[str], environ: dict[str, str]) -> tuple[float, float, str]:
    """Return wall and CPU seconds of a command and all that it starts, and what it says; end where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{argv[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stderr


def load() -> str:
    """Return how busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def main() -> int:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="bookworm", help="the suite of Debian")
    parser.add_argument("--rounds", type=int, default=3, help="how often it is measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostmend-bench-", dir="/var/tmp") as folder:
        environ = {**os.environ, "HOSTMEND_STORE": f"{folder}/hostmend.db"}
        base = Path(folder) / "base"
        bootstrap = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={PACKAGES}", given.suite, str(base)]
        wall, cpu, _said = used(bootstrap, environ)
        subprocess.run(["sh", "-e", "-c", INSECURE], cwd=base, check=True)
        print(f"bootstrap of {given.suite}: {wall:.1f} s, {cpu:.1f} s of CPU; {load()}")
        rows = []
        for number in range(given.rounds):
            out = Path(folder) / f"{number}.tar"
            argv = [sys.executable, "-m", "hostmend", "image", "build", "--from", str(base), "-o", str(out), "--fail-on", "never"]
            wall, cpu, said = used(argv, environ)
            parts = [float(one) for one in re.findall(r"hostmend: .* (\d+\.\d) s$", said, re.M)]
            rows.append((wall, cpu, *parts))
            print(f"  {wall:.1f} s, {cpu:.1f} s of CPU; copied, hardened and sealed, packed: {parts}; {load()}")
            out.unlink()
    wall, cpu, _copied, hardened, packed = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"on top of that: {wall:.1f} s, {cpu:.1f} s of CPU; hardening and sealing {hardened:.1f} s, packing {packed:.1f} s")
    print(f"{'ok' if wall < MOST else 'MISSED'}: at most {MOST:g} s")
    return 0 if wall < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
