"""Five hosts over SSH, two of them insecure: audited, mended and audited clean, with one command each."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.operators import Command, Fleet
from tests.support.target import ROOT

NAMES = ("cache", "old", "web1", "web2", "web3")
UNNEEDED = (
    "avahi-daemon.service",
    "avahi-daemon.socket",
    "rpcbind.service",
    "rpcbind.socket",
    "cups.service",
    "cups.socket",
    "cups.path",
)


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    made: Fleet = fleet_of(*NAMES)
    made["cache"].sh("""
        command -v redis-server >/dev/null || exit 0
        systemctl unmask redis-server.service >/dev/null 2>&1
        sed -i -e 's/^bind .*/bind 0.0.0.0 ::/' -e 's/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
        systemctl enable --now redis-server.service
    """)
    made["old"].sh(f"""
        for unit in {" ".join(UNNEEDED)}; do
            systemctl cat $unit >/dev/null 2>&1 && systemctl unmask $unit && systemctl enable --now $unit
        done >/dev/null 2>&1; true
    """)
    return made


@pytest.fixture(scope="module")
def inventory(fleet: Fleet) -> str:
    return fleet.inventory(hostmend_management_networks=["10.213.77.0/24", "fd13:77::/64"],
                           # The lab image has unattended-upgrades installed and, like all of it, switched off.
                           hostmend_updates_unattended="elsewhere")


@pytest.fixture(scope="module")
def hostmend(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """One store for the whole module: its runs follow each other."""
    return Command(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def first(hostmend: Command, inventory: str) -> dict[str, Any]:
    done = hostmend("audit", "-i", inventory, "-b", "--format", "json")
    assert done.code == 2, done.err
    return done.json()


@pytest.fixture(scope="module")
def prediction(hostmend: Command, inventory: str, first: dict[str, Any]) -> dict[str, Any]:
    done = hostmend("remediate", "-i", inventory, "-b", "--check", "--format", "json")
    assert done.code == 2, done.err
    return done.json()


@pytest.fixture(scope="module")
def mending(hostmend: Command, inventory: str, prediction: dict[str, Any]) -> dict[str, Any]:
    done = hostmend("remediate", "-i", inventory, "-b", "--yes", "--format", "json")
    assert done.code == 0, done.err + done.out[-2000:]
    return done.json()


def checks(report: dict[str, Any], host: str, status: str = "open") -> set[str]:
    return {one["check"] for one in report["hosts"][host]["findings"] if one["status"] == status}


def mended_changes(report: dict[str, Any], host: str) -> set[tuple[str, ...]]:
    return {(one["role"], one["kind"], one["name"], one["action"]) for one in report["hosts"][host].get("changes", ())}


def test_the_insecure_hosts_are_found(fleet: Fleet, first: dict[str, Any]) -> None:
    assert set(first["hosts"]) == set(NAMES)
    assert {host["status"] for host in first["hosts"].values()} == {"ok"}
    assert "services.unneeded" in checks(first, "old")
    if "redis-server" in fleet["cache"].sh("command -v redis-server; true"):
        assert {"redis.no_auth", "redis.exposed"} <= checks(first, "cache")
        assert "redis.no_auth" not in checks(first, "web1")
    for name in ("web1", "web2", "web3"):
        assert "services.unneeded" not in checks(first, name)


def test_a_prediction_changes_nothing(
    hostmend: Command, inventory: str, first: dict[str, Any], prediction: dict[str, Any]
) -> None:
    assert mended_changes(prediction, "old")
    again = hostmend("audit", "-i", inventory, "-b", "--format", "json").json()
    for name in NAMES:
        assert checks(again, name) == checks(first, name)


def test_everything_is_mended_in_one_run(first: dict[str, Any], mending: dict[str, Any]) -> None:
    assert {host["status"] for host in mending["hosts"].values()} == {"ok"}
    for name in NAMES:
        assert checks(mending, name) == set()
        outcomes = {one["outcome"] for one in mending["hosts"][name]["findings"] if one.get("outcome")}
        assert outcomes == ({"mended"} if checks(first, name) else set())


def test_what_was_predicted_is_what_was_done(prediction: dict[str, Any], mending: dict[str, Any]) -> None:
    for name in NAMES:
        assert mended_changes(prediction, name) == mended_changes(mending, name), name


def test_the_next_audit_is_clean(hostmend: Command, inventory: str, mending: dict[str, Any]) -> None:
    done = hostmend("audit", "-i", inventory, "-b")
    assert done.code == 0, done.out


def test_mending_again_changes_nothing(hostmend: Command, inventory: str, mending: dict[str, Any]) -> None:
    done = hostmend("remediate", "-i", inventory, "-b", "--yes", "--format", "json")
    assert done.code == 0
    assert all(not host.get("changes") for host in done.json()["hosts"].values())


def test_it_is_mended_in_fact(fleet: Fleet, mending: dict[str, Any]) -> None:
    for unit in UNNEEDED:
        assert fleet["old"].sh(f"systemctl is-active {unit}; true").strip() != "active"
    if "redis-server" in fleet["cache"].sh("command -v redis-server; true"):
        address = fleet["cache"].address()
        attack = f"""import socket
try:
    s = socket.create_connection(({address!r}, 6379), 3); s.settimeout(3); s.sendall(b"PING\\r\\n"); print(s.recv(64))
except OSError as error: print("no", type(error).__name__)"""
        assert "PONG" not in fleet["web1"].python(attack)


def test_the_runs_are_kept_and_rendered_again(hostmend: Command, mending: dict[str, Any], tmp_path: Path) -> None:
    rows = json.loads(hostmend("runs", "--format", "json").out)
    assert {row["status"] for row in rows} == {"finished"}
    assert {"audit", "check", "remediate"} <= {row["mode"] for row in rows}
    again = hostmend("report", mending["run"]["id"], "--format", "json")
    assert again.json() == mending
    assert hostmend("report", mending["run"]["id"], "--format", "html", "-o", str(tmp_path / "r.html")).code == 0
    assert "cache" in (tmp_path / "r.html").read_text()
    found = hostmend(
        "report", mending["run"]["id"], "--query", "hosts.old.findings[?outcome=='mended'].check | length(@)"
    )
    assert json.loads(found.out) >= 1


def test_the_report_is_as_published(mending: dict[str, Any], first: dict[str, Any], prediction: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "src/hostmend/report/schema/report.schema.json").read_text())
    for report in (first, prediction, mending):
        jsonschema.validate(report, schema)


def test_only_what_is_asked_for_is_mended(
    fleet: Fleet, hostmend: Command, inventory: str, mending: dict[str, Any]
) -> None:
    """Two services are started again; one of them is chosen."""
    unit = "avahi-daemon"
    if fleet["old"].sh(f"systemctl cat {unit}.service >/dev/null 2>&1 && echo there; true").strip() != "there":
        pytest.skip("avahi is not in this image")
    again = "avahi-daemon.service avahi-daemon.socket rpcbind.service rpcbind.socket"
    fleet["old"].sh(f"systemctl unmask {again}; systemctl enable --now avahi-daemon.service rpcbind.socket")
    found = hostmend("audit", "-i", inventory, "-b", "--limit", "old", "--format", "json").json()["hosts"]["old"][
        "findings"
    ]
    names = [
        f"{one['check']} {one['resource']}" for one in found if one["status"] == "open" and "avahi" in one["resource"]
    ]
    assert names
    hostmend("remediate", "-i", inventory, "-b", "--limit", "old", "--yes", "--only", names[0])
    assert fleet["old"].sh("systemctl is-active avahi-daemon.service; true").strip() != "active"
    assert fleet["old"].sh("systemctl is-active rpcbind.socket; true").strip() == "active"
    done = hostmend("remediate", "-i", inventory, "-b", "--limit", "old", "--yes")
    assert done.code == 0, done.out


def test_plain_ansible_does_the_same(
    fleet: Fleet, inventory: str, hostmend: Command, mending: dict[str, Any], tmp_path: Path
) -> None:
    fleet["old"].sh("systemctl unmask rpcbind.service rpcbind.socket; systemctl enable --now rpcbind.socket")
    environ = {**hostmend.environ, "PATH": f"{ROOT / '.venv/bin'}:{hostmend.environ['PATH']}"}
    command = [
        "ansible-playbook",
        str(ROOT / "playbooks/remediate.yml"),
        "-i",
        inventory,
        "-b",
        "--limit",
        "old",
        "-e",
        f"hostmend_output={tmp_path}",
    ]
    predicted = subprocess.run(
        [*command, "--check", "--diff"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=240
    )
    assert predicted.returncode == 0, predicted.stdout[-3000:]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert [one["outcome"] for one in report["hosts"]["old"]["findings"] if one.get("outcome")] == ["mended"]
    assert (tmp_path / "report.html").is_file()
