"""Faults in the middle of a remediation: afterwards each role is whole, or as it was before, byte for byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import snapshot
from tests.support.operators import Command, Fleet, descendants, finished
from tests.support.target import Target

UNITS = ("redis-server.service", "rpcbind.socket", "rpcbind.service", "ssh.service", "hostmend-firewall.service")
INSECURE = r"""
    systemctl unmask redis-server rpcbind.service rpcbind.socket >/dev/null 2>&1
    sed -i 's/^bind .*/bind * -::*/; s/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
    systemctl enable --now redis-server rpcbind.socket >/dev/null 2>&1
    redis-cli ping >/dev/null
"""
CLASSES = "redis,services,ports"


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    made: Fleet = fleet_of("faulty")
    made["faulty"].sh(INSECURE)
    return made


@pytest.fixture
def host(fleet: Fleet, hostmend: Command) -> Iterator[Target]:
    """The host, insecure again after each test."""
    yield fleet["faulty"]
    for _run in range(5):
        back = hostmend("rollback", "latest", "-i", fleet.inventory(), "-b", "--yes")
        if "no host knows" in back.err:
            return
        assert back.code == 0, back.out + back.err
    raise AssertionError("the host still knows runs that are not taken back")


def remediate(*more: str) -> tuple[str, ...]:
    return ("remediate", "-b", "--yes", "--format", "json", "--class", CLASSES, *more)


def kill(process: subprocess.Popen[str]) -> None:
    """End the controller as a power cut would: no process of it has a last word."""
    pids = descendants(process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in {*pids, *descendants(process.pid)}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate(timeout=30)


def open_checks(report: dict[str, Any]) -> set[str]:
    (host,) = report["hosts"].values()
    return {one["check"] for one in host["findings"] if one["status"] == "open" and one["fix"]["risk"] != "manual"}


def audited(hostmend: Command, inventory: str) -> set[str]:
    return open_checks(hostmend("audit", "-i", inventory, "-b", "--class", CLASSES, "--format", "json").json())


@pytest.mark.parametrize("fraction", [0.4, 0.6, 0.75, 0.9])
def test_the_controller_is_killed(fleet: Fleet, host: Target, hostmend: Command, fraction: float) -> None:
    inventory = fleet.inventory()
    before = snapshot.of(host, *UNITS)
    insecure = audited(hostmend, inventory)
    seconds = duration(fleet, host, hostmend)
    assert snapshot.difference(before, snapshot.of(host, *UNITS)) == {}
    process = hostmend.start(*remediate("-i", inventory))
    time.sleep(seconds * fraction)
    kill(process)
    back = hostmend("rollback", "unfinished", "-i", inventory, "-b", "--yes")
    after = snapshot.difference(before, snapshot.of(host, *UNITS))
    if not after:
        assert back.code in (0, 1), back.err
        return
    # Killed between two roles, or after the last: each has mended all of its class, or not begun.
    assert "no host knows a run that was broken off" in back.err, (back.out, back.err, after)
    roles = json.loads(host.sh("cat $(ls -d /var/lib/hostmend/runs/* | tail -n 1)/run.json"))["roles"]
    assert set(roles.values()) == {"done"}, roles
    left = audited(hostmend, inventory)
    assert left < insecure, after
    assert not {one for one in left if one.partition(".")[0] in roles}, (left, roles)
    assert hostmend("rollback", "latest", "-i", inventory, "-b", "--yes").code == 0
    assert snapshot.difference(before, snapshot.of(host, *UNITS)) == {}


_DURATION: dict[str, float] = {}


def duration(fleet: Fleet, host: Target, hostmend: Command) -> float:
    """Return how long a whole remediation takes, from one that is taken back again."""
    if not _DURATION:
        began = time.monotonic()
        done = hostmend(*remediate("-i", fleet.inventory()))
        _DURATION["whole"] = time.monotonic() - began
        assert done.code in (0, 2), done.err
        assert hostmend("rollback", "latest", "-i", fleet.inventory(), "-b", "--yes").code == 0
    return _DURATION["whole"]


def test_the_next_remediation_takes_back_what_was_broken_off_and_mends(
    fleet: Fleet, host: Target, hostmend: Command
) -> None:
    inventory = fleet.inventory()
    before = snapshot.of(host, *UNITS)
    process = hostmend.start(*remediate("-i", inventory))
    for _attempt in range(100):
        if host.sh("ls /var/lib/hostmend/holder.json 2>/dev/null || true").strip():
            break
        time.sleep(0.1)
    kill(process)
    done = hostmend(*remediate("-i", inventory))
    assert done.code in (0, 2), done.err
    assert open_checks(done.json()) == set()
    assert hostmend("rollback", "latest", "-i", inventory, "-b", "--yes").code == 0
    assert snapshot.difference(before, snapshot.of(host, *UNITS)) == {}


def test_the_host_reboots_in_the_middle(fleet: Fleet, host: Target, hostmend: Command) -> None:
    inventory = fleet.inventory()
    before = snapshot.of(host, *UNITS)
    process = hostmend.start(*remediate("-i", inventory))
    for _attempt in range(200):
        if host.sh("ls /var/lib/hostmend/runs/*/armed.json 2>/dev/null || true").strip():
            break
        time.sleep(0.05)
    host.restart()
    kill(process)
    host.sh("rm -f /run/nologin")
    back = hostmend("rollback", "unfinished", "-i", fleet.inventory(), "-b", "--yes")
    assert back.code == 0 or "no host knows a run that was broken off" in back.err, back.out + back.err
    if back.code:
        hostmend("rollback", "latest", "-i", fleet.inventory(), "-b", "--yes")
    different = snapshot.difference(before, snapshot.of(host, *UNITS))
    # The container engine writes these two at each start.
    assert set(different) <= {"/etc/hosts", "/etc/resolv.conf"}, different


def test_two_runs_at_once(fleet: Fleet, host: Target, hostmend: Command, tmp_path: Path) -> None:
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    inventory = fleet.inventory()
    running = [one.start(*remediate("-i", inventory)) for one in (hostmend, Command(other_folder))]
    with ThreadPoolExecutor(len(running)) as pool:
        ended = list(pool.map(lambda process: finished(process, 400), running))
    for one in ended:
        # The second waits for the first, or says who holds the host.
        assert one.code in (0, 2) or "holds this host" in one.out, one.out + one.err
    assert any(one.code in (0, 2) for one in ended)
    assert audited(hostmend, inventory) == set()


def test_a_service_that_does_not_start_with_the_new_configuration(fleet_of: Any, hostmend: Command) -> None:
    # Redis before 6.2 takes fewer addresses by a restart alone, and that is made to fail.
    old = fleet_of("old", images=("localhost/hostmend-lab:bullseye",))
    host = old["old"]
    host.sh(INSECURE.replace("* -::*", "0.0.0.0"))
    host.sh("""
        mkdir -p /etc/systemd/system/redis-server.service.d
        printf '%s\\n' '[Service]' NoExecPaths= ExecPaths= \
            'ExecStartPre=/bin/sh -c "! grep -q ^requirepass /etc/redis/redis.conf"' \
            > /etc/systemd/system/redis-server.service.d/refuse.conf
        systemctl daemon-reload; systemctl restart redis-server
    """)
    before = snapshot.of(host, *UNITS)
    done = hostmend(*remediate("-i", old.inventory(), "--only", "redis"))
    assert done.code == 1, done.out
    assert "failed, restored" in done.json()["hosts"]["old"]["reason"]
    assert snapshot.difference(before, snapshot.of(host, *UNITS)) == {}
    assert host.sh("redis-cli ping").strip() == "PONG"


def test_a_service_whose_settings_nobody_can_change_is_left_to_a_person(
    fleet: Fleet, host: Target, hostmend: Command
) -> None:
    host.sh("printf 'rename-command CONFIG \"\"\\n' >> /etc/redis/redis.conf; systemctl restart redis-server")
    before = snapshot.of(host, *UNITS)
    done = hostmend(*remediate("-i", fleet.inventory(), "--only", "redis", "--fail-on", "never"))
    assert done.code == 0, done.err
    (reason,) = [one["reason"] for one in done.json()["hosts"]["faulty"]["findings"] if one["check"] == "redis.no_auth"]
    assert "CONFIG is renamed (/etc/redis/redis.conf:" in reason
    assert snapshot.difference(before, snapshot.of(host, *UNITS)) == {}
    host.sh("sed -i '/^rename-command CONFIG/d' /etc/redis/redis.conf; systemctl restart redis-server")


def test_the_disk_is_full_while_the_journal_is_written(fleet_of: Any, hostmend: Command) -> None:
    small = fleet_of("full", options=("--tmpfs", "/var/lib/hostmend:rw,size=64k,mode=0700"))
    host = small["full"]
    host.sh(INSECURE)
    before = snapshot.of(host, *UNITS)
    done = hostmend(*remediate("-i", small.inventory(), "--only", "redis"))
    assert done.code == 1, done.out
    reason = done.json()["hosts"]["full"]["reason"]
    assert "nothing was changed" in reason
    assert "No space left on device" in reason, reason
    assert snapshot.difference(before, snapshot.of(host, *UNITS)) == {}
    assert host.sh("redis-cli ping").strip() == "PONG"
