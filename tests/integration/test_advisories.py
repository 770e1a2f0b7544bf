"""A real host's packages, compared with a bundle: by the command, by a playbook alone, and where the bundle is old."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hostmend import catalog
from tests.support.operators import Command, Fleet
from tests.support.target import ROOT, SUITE

pytestmark = pytest.mark.skipif("updates" not in catalog.load().classes, reason="there is no class updates")


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    made: Fleet = fleet_of("advisories")
    return made


def tracker(fleet: Fleet, folder: Path) -> str:
    """Write what a tracker would say of packages that the host really has, and return its path."""
    asked = fleet["advisories"].sh("dpkg-query -W -f '${source:Package} ${source:Version}\\n' libc6 bash login")
    has = dict(line.split() for line in asked.splitlines())
    assert set(has) == {"glibc", "bash", "shadow"}

    def said(**more: str) -> dict[str, Any]:
        return {"description": "x", "releases": {SUITE: {"repositories": {SUITE: "1"}, "urgency": "not yet assigned", **more}}}

    path = folder / "tracker.json"
    path.write_text(
        json.dumps(
            {
                "glibc": {"CVE-2026-0001": said(status="resolved", fixed_version=f"{has['glibc']}.1")},
                "bash": {"CVE-2026-0002": said(status="resolved", fixed_version=has["bash"])},
                "shadow": {"CVE-2026-0003": said(status="open", urgency="high")},
                "linux": {"CVE-2026-0004": said(status="open", urgency="high")},
            }
        )
    )
    (folder / "kev.csv").write_text("cveID,vendorProject,dateAdded\nCVE-2026-0001,GNU,2026-01-01\n")
    return str(path)


def told(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    findings = report["hosts"]["advisories"]["findings"]
    return {one["resource"]: one for one in findings if one["check"] == "updates.cve"}


def test_an_audit_compares_the_hosts_packages_with_the_bundle(fleet: Fleet, hostmend: Command, tmp_path: Path) -> None:
    audit = ("audit", "-i", fleet.inventory(), "-b", "--class", "updates", "--format", "json")
    before = told(hostmend(*audit).json())
    assert [(one["status"], "there is no advisory bundle at" in one["reason"]) for one in before.values()] == [("unknown", True)]
    done = hostmend("advisories", "import", tracker(fleet, tmp_path), str(tmp_path / "kev.csv"))
    assert (done.code, done.err) == (0, "")
    after = told(hostmend(*audit).json())
    assert {name: one["status"] for name, one in after.items()} == {
        "glibc": "open",
        "shadow (no fixed version)": "open",
        "installed packages": "passed",
        "containers and static binaries": "not_assessed",
    }
    assert (after["glibc"]["severity"], after["glibc"]["known_exploited"]) == ("high", True)
    assert "CVE-2026-0001" in after["glibc"]["references"]
    assert after["installed packages"]["evidence"]["observed"]["compared"] > 50

    # an old bundle keeps what it found, and passes nothing
    os.utime(tmp_path / "tracker.json", (10**9, 10**9))
    assert hostmend("advisories", "import", "--force", str(tmp_path / "tracker.json")).code == 0
    old = told(hostmend(*audit).json())
    assert {name: one["status"] for name, one in old.items()} == {
        "glibc": "open",
        "shadow (no fixed version)": "open",
        "installed packages": "unknown",
        "containers and static binaries": "not_assessed",
    }
    assert "days old" in old["installed packages"]["reason"]


def test_a_playbook_alone_compares_as_well(fleet: Fleet, hostmend: Command, tmp_path: Path) -> None:
    bundle = tmp_path / "elsewhere.db"
    assert hostmend("advisories", "import", "--bundle", str(bundle), tracker(fleet, tmp_path)).code == 0
    command = [
        "ansible-playbook",
        str(ROOT / "playbooks/audit.yml"),
        "-b",
        "-i",
        fleet.inventory(hostmend_updates_advisories=str(bundle)),
    ]
    extra = {"hostmend_output": str(tmp_path / "out"), "hostmend_classes": ["updates"]}
    done = subprocess.run([*command, "-e", json.dumps(extra)], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert (tmp_path / "out/report.json").exists(), done.stdout + done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert told(report)["glibc"]["status"] == "open"
