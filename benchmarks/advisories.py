#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the import of a tracker of the real one's size, and the comparison of a host with it.

    .venv/bin/python benchmarks/advisories.py [--packages 2000] [--rounds 5]

The tracker is made up: 4000 source packages, a kernel with 8000 CVEs, 45 000 in all, five releases each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hostmend.advisories import findings

RELEASES = ("bullseye", "bookworm", "trixie", "forky", "sid")
OPEN = {"status": "open", "urgency": "not yet assigned", "nodsa": "Minor issue", "nodsa_reason": ""}


def tracker(path: Path, chance: random.Random) -> None:
    """Write a document in the form of the Debian security tracker."""
    made: dict[str, Any] = {}
    number = 1000
    for place in range(4001):
        count = 8000 if place == 4000 else chance.choice((1, 1, 2, 3, 5, 10, 20, 30))
        versions = [f"{chance.randint(0, 2)}.{chance.randint(0, 20)}.{one}-1+deb12u1" for one in range(min(count, 200))]
        issues = made["linux" if place == 4000 else f"source{place}"] = {}
        for _one in range(count):
            number += 1
            releases = {}
            for release in RELEASES:
                drawn = chance.random()
                fixed = "0" if drawn < 0.2 else chance.choice(versions)
                said = OPEN if drawn > 0.95 else {"status": "resolved", "fixed_version": fixed, "urgency": "not yet assigned"}
                releases[release] = {**said, "repositories": {release: "1.2-3", f"{release}-security": "1.2-4"}}
            issues[f"CVE-2024-{number}"] = {"description": "x" * 250, "scope": "remote", "releases": releases}
    path.write_text(json.dumps(made))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, bundle = Path(folder) / "tracker.json", Path(folder) / "advisories.db"
        maker = multiprocessing.Process(target=tracker, args=(source, random.Random(1)))  # what is counted is not its memory
        maker.start()
        maker.join()
        command = [sys.executable, "-m", "hostmend", "advisories", "import", "--bundle", str(bundle), str(source)]
        process = subprocess.Popen(command)
        _pid, status, used = os.wait4(process.pid, 0)
        assert status == 0
        print(f"import of {source.stat().st_size / 2**20:.0f} MiB: {used.ru_utime + used.ru_stime:.1f} s of CPU, "
              f"{used.ru_maxrss / 1024:.0f} MiB of memory; {bundle.stat().st_size / 2**20:.0f} MiB of bundle")
        names = [f"source{one * 2 // 3}" for one in range(given.packages)]
        packages = [[f"{name}-{one}", "9.9-1", name, "0.9-1" if one % 50 == 0 else "9.9-1"] for one, name in enumerate(names)]
        facts = {"packages": packages, "distribution": {"id": "debian", "version_id": "12", "codename": "bookworm"}}
        asked = {"check": findings.CHECK, "status": "unknown", "resource": findings.REST, "reason": ""}
        findings.preload()
        taken = []
        for _round in range(given.rounds):
            began = time.process_time()
            found = findings.join([dict(asked)], facts, {"kernel": "6.1", "running": True}, bundle)
            taken.append(time.process_time() - began)
        print(f"a host of {given.packages} packages: {statistics.median(taken) * 1000:.0f} ms of CPU, {len(found)} findings")


if __name__ == "__main__":
    main()
