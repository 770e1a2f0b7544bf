"""A ruleset that cuts the controller off goes back by itself, and the run says so; a right one is confirmed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.target import Target, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
PLAY = Path(__file__).parent / "data" / "confirm.yml"

HEAD = """table inet mend
delete table inet mend
table inet mend {
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
"""
TAIL = "  }\n}\n"
# As somebody writes it who has the wrong management network in mind. Nothing of the controller's gets through, not
# even the connection that the rules were loaded over.
WRONG = HEAD + "    ip saddr 192.0.2.0/24 accept\n    meta l4proto ipv6-icmp accept\n" + TAIL
# Keeps what is there, so that the loading itself looks well; only a new login shows it.
TREACHEROUS = HEAD + "    ct state established,related accept\n    meta l4proto ipv6-icmp accept\n" + TAIL
RIGHT = HEAD + "    ct state established,related accept\n    meta l4proto ipv6-icmp accept\n    tcp dport %d accept\n" + TAIL


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Target(tmp_path_factory.mktemp("target")) as made:
        yield made


@pytest.fixture(scope="module")
def odd_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Target(tmp_path_factory.mktemp("odd"), port=2202) as made:
        yield made


def state(target: Target) -> str:
    return target.sh("nft -s list ruleset; ls -la --time-style=+ /etc/nftables.d 2>&1; ls /etc/systemd/system; "
                     "systemctl list-timers --all --no-legend 'hostmend*'; "
                     "ls /etc/systemd/system/sysinit.target.wants 2>/dev/null; true")


def settled(target: Target, wanted: str) -> str:
    """Return the state once it is as wanted, or what it is half a minute later: the host tidies up after it has healed."""
    deadline = time.monotonic() + 30
    while (now := state(target)) != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    return now


def mend(target: Target, rules: str, family: int = 4, seconds: int = 20) -> subprocess.CompletedProcess[str]:
    """Load rules; the host waits for the confirmation for so many seconds."""
    return target.playbook(PLAY, "-e", json.dumps({"rules": rules, "seconds": seconds}), family=family)


@pytest.mark.parametrize("rules", [WRONG, TREACHEROUS], ids=["severs", "refuses-new"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_host_that_is_cut_off_heals_by_itself(target: Target, rules: str, family: int) -> None:
    before = state(target)
    done = mend(target, rules, family)
    assert "failed, restored: no confirmation came within 20 s" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 2
    assert settled(target, before) == before


@pytest.mark.parametrize("family", [4, 6])
def test_a_right_change_is_confirmed_and_stays(target: Target, family: int) -> None:
    before = state(target)
    done = mend(target, RIGHT % 22, family, seconds=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tcp dport 22 accept" in state(target)
    assert "hostmend-boot" not in state(target)
    run = json.loads(target.python("import os, json; print(json.dumps(sorted(os.listdir('/var/lib/hostmend/runs'))))"))
    done = target.playbook(PLAY.parents[3] / "playbooks" / "rollback.yml", "-e", f"hostmend_rollback_run={run[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert settled(target, before) == before


def test_an_odd_ssh_port_is_one_that_rules_for_22_cut_off(odd_port: Target) -> None:
    before = state(odd_port)
    done = mend(odd_port, RIGHT % 22)
    assert "failed, restored" in done.stdout, done.stdout + done.stderr
    assert settled(odd_port, before) == before
    done = mend(odd_port, RIGHT % 2202, seconds=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tcp dport 2202 accept" in state(odd_port)


def test_a_login_that_no_longer_works_is_taken_back(target: Target) -> None:
    """The network is fine and so is the connection that is open, but nobody gets in any more."""
    play = PLAY.with_name("confirm_sudo.yml")
    before = target.sh("cat /etc/sudoers.d/ops; stat -c '%a %U' /etc/sudoers.d/ops")
    done = target.playbook(play)
    assert "failed, restored" in done.stdout, done.stdout + done.stderr
    assert target.sh("cat /etc/sudoers.d/ops; stat -c '%a %U' /etc/sudoers.d/ops") == before


def test_a_reboot_before_the_confirmation_takes_it_back(target: Target) -> None:
    before = target.sh("cat /etc/hosts.allow 2>&1; systemctl is-active cron 2>&1; ls /etc/systemd/system", check=False)
    done = target.playbook(PLAY.with_name("confirm_reboot.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unconfirmed" in target.sh("cat /etc/hosts.allow")
    target.restart()
    for _attempt in range(20):
        now = target.sh("cat /etc/hosts.allow 2>&1; systemctl is-active cron 2>&1; ls /etc/systemd/system", check=False)
        if now == before:
            break
    assert now == before


def test_locally_a_change_is_confirmed_by_a_new_process(tmp_path: Path, target: Target) -> None:
    play = PLAY.read_text().replace("become: true", "become: false")
    local = tmp_path / "local.yml"
    local.write_text(play.replace("firewall: true", "firewall: false")
                     .replace("/etc/nftables.d", str(tmp_path / "rules"))
                     .replace("nft -f", "cat").replace("role: firewall", f"role: firewall, directory: {tmp_path}/journal")
                     .replace("roles: [firewall]", f"roles: [firewall]\n            directory: {tmp_path}/journal"))
    given = {"rules": "x\n", "seconds": 120, "ansible_python_interpreter": sys.executable}
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(local), "-e", json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=target.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "rules" / "mend.nft").read_text() == "x\n"
