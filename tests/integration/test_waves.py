"""A remediation in waves halts where a host fails, goes on later, and keeps to windows and redundancy groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.operators import Command, Fleet

HOSTS = ("a", "b", "c", "d")
SOCKET = "systemctl unmask rpcbind.service rpcbind.socket >/dev/null 2>&1; systemctl enable --now rpcbind.socket >/dev/null 2>&1"


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    made: Fleet = fleet_of(*HOSTS)
    for name in HOSTS:
        made[name].sh(SOCKET)
    return made


def active(fleet: Fleet) -> set[str]:
    return {name for name in HOSTS if fleet[name].sh("systemctl is-active rpcbind.socket", check=False).strip() == "active"}


def test_it_halts_after_the_batch_in_which_a_host_failed_and_resumes(fleet: Fleet, hostmend: Command) -> None:
    # No journal can be kept on the third host, so its role must change nothing.
    fleet["c"].sh("touch /var/lib/hostmend")
    inventory = fleet.inventory(
        hosts={"a": {}, "b": {"hostmend_redundancy_groups": ["names"]}, "c": {},
               "d": {"hostmend_redundancy_groups": ["names"]}},
        hostmend_waves=[1, "100%"], hostmend_classes=["services"],
    )
    done = hostmend("remediate", "-i", inventory, "-b", "--yes", "--format", "json")
    assert done.code == 1, done.err
    report = done.json()
    assert [(wave["batches"], wave["status"]) for wave in report["run"]["waves"]] == [
        ([["a"]], "done"), ([["b", "c"], ["d"]], "halted")]
    assert "c: role services" in report["run"]["waves"][1]["why"][0]
    assert active(fleet) == {"c", "d"}
    assert report["hosts"]["c"]["status"] == "failed"
    assert "nothing was changed" in report["hosts"]["c"]["reason"]
    assert report["hosts"]["d"]["held"] == "not begun: wave 2 halted"
    assert "changes" not in report["hosts"]["d"]
    assert [one["status"] for one in report["hosts"]["d"]["findings"] if one["check"] == "services.unneeded"].count("open")

    fleet["c"].sh("rm /var/lib/hostmend")
    resumed = hostmend("remediate", "--resume", report["run"]["id"], "-b", "--yes", "--format", "json")
    assert resumed.code == 0, resumed.err
    assert set(resumed.json()["hosts"]) == {"b", "c", "d"}
    assert all(wave["status"] == "done" for wave in resumed.json()["run"]["waves"])
    assert active(fleet) == set()


def test_outside_its_window_a_host_is_audited_and_left_alone(fleet: Fleet, hostmend: Command) -> None:
    fleet["a"].sh("systemctl unmask rpcbind.service rpcbind.socket; systemctl enable --now rpcbind.socket")
    # A window of one minute that ended at least an hour ago.
    gone = fleet["a"].sh("date -u -d '-61 minutes' '+%a %H:%M'").strip()
    end = fleet["a"].sh("date -u -d '-60 minutes' '+%H:%M'").strip()
    inventory = fleet.inventory(hosts={"a": {"hostmend_maintenance_windows": [f"{gone}-{end} UTC"]}},
                                hostmend_classes=["services"])
    done = hostmend("remediate", "-i", inventory, "-b", "--yes", "--format", "json")
    assert done.code == 2, done.err
    assert "outside its maintenance windows" in done.json()["hosts"]["a"]["held"]
    assert "a" in active(fleet)
    foretold = hostmend("remediate", "-i", inventory, "-b", "--check", "--format", "json")
    assert foretold.json()["hosts"]["a"]["changes"], "check mode says what would be done within the window"


def test_what_is_waived_is_not_mended(fleet: Fleet, hostmend: Command) -> None:
    inventory = Path(fleet.inventory("waived", hosts={"a": {}}, hostmend_classes=["services"]))
    found = hostmend("audit", "-i", str(inventory), "-b", "--format", "json").json()["hosts"]["a"]["findings"]
    resources = [one["resource"] for one in found if one["status"] == "open"]
    assert resources
    for resource in resources:
        made = hostmend("waive", "services.unneeded", "-i", str(inventory), "--host", "a", "--resource", resource,
                        "--reason", "old clients", "--owner", "ops", "--expires", "30d")
        assert made.code == 0, made.err
    done = hostmend("remediate", "-i", str(inventory), "-b", "--yes", "--format", "json")
    assert done.code == 0, done.err
    waived = [one for one in done.json()["hosts"]["a"]["findings"] if one["status"] == "waived"]
    assert [one["waiver"]["owner"] for one in waived] == ["ops"] * len(resources)
    assert "a" in active(fleet)
    (inventory.parent / "group_vars/hostmend_waivers.yml").unlink()


def test_where_nobody_is_asked_only_what_disturbs_nobody_is_mended(fleet: Fleet, hostmend: Command) -> None:
    fleet["a"].sh("sed -i 's/^bind .*/bind * -::*/; s/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf; "
                  "systemctl unmask redis-server >/dev/null 2>&1; systemctl enable --now redis-server")
    inventory = fleet.inventory("night", hosts={"a": {}}, hostmend_classes=["services", "redis"])
    done = hostmend("remediate", "-i", inventory, "-b", "--unattended", "--format", "json")
    left = {one["fix"]["risk"] for one in done.json()["hosts"]["a"]["findings"] if one["status"] == "open"}
    assert left
    assert "safe" not in left
    assert "a" not in active(fleet)
    assert fleet["a"].sh("redis-cli ping").strip() == "PONG"


def test_a_plain_playbook_in_check_mode_foretells_what_the_command_foretells(
    fleet: Fleet, hostmend: Command, tmp_path: Path
) -> None:
    fleet["b"].sh("systemctl unmask rpcbind.service rpcbind.socket; systemctl enable --now rpcbind.socket")
    inventory = fleet.inventory("foretold", hosts={"b": {}}, hostmend_classes=["services", "ports"])
    told = hostmend("remediate", "-i", inventory, "-b", "--check", "--format", "json").json()["hosts"]["b"]
    play = Path(__file__).resolve().parents[2] / "playbooks/remediate.yml"
    done = fleet["b"].playbook(play, "-b", "-i", inventory, "--limit", "b", "--check", "--diff",
                               "-e", f"hostmend_output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stdout + done.stderr
    plain = json.loads((tmp_path / "out/report.json").read_text())["hosts"]["b"]
    assert plain["changes"] == told["changes"] != []
    assert any(one.get("diff") for one in plain["changes"])
    mended = [one for one in plain["findings"] if one["status"] == "open" and one["fix"].get("role")]
    assert all(one["changes"] for one in mended if one["fix"]["risk"] != "manual")


def test_a_plain_playbook_takes_waves_too(fleet: Fleet, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fleet[name].sh("systemctl unmask rpcbind.service rpcbind.socket; systemctl enable --now rpcbind.socket")
    fleet["a"].sh("mv /var/lib/hostmend /var/lib/kept; touch /var/lib/hostmend")
    play = Path(__file__).resolve().parents[2] / "playbooks/remediate.yml"
    inventory = fleet.inventory("plain", hosts={"a": {}, "b": {}}, hostmend_classes=["services"])
    done = fleet["a"].playbook(play, "-b", "-i", inventory, "-e", json.dumps({"hostmend_waves": [1]}), "--limit", "a,b")
    fleet["a"].sh("rm /var/lib/hostmend; mv /var/lib/kept /var/lib/hostmend")
    assert done.returncode == 2
    assert "nothing was changed" in done.stdout, done.stdout
    assert active(fleet) >= {"a", "b"}, "the second wave never began"
