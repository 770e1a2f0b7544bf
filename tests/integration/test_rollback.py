"""``hostmend rollback``: a whole remediation is taken back byte for byte, and what somebody changed since is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import snapshot
from tests.support.operators import Command, Fleet

UNITS = ("redis-server.service", "rpcbind.socket", "rpcbind.service", "hostmend-ports.service", "ssh.service")
INSECURE = r"""
    systemctl unmask redis-server rpcbind.service rpcbind.socket >/dev/null 2>&1
    sed -i 's/^bind .*/bind * -::*/; s/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
    setfattr -n user.note -v mine /etc/redis/redis.conf 2>/dev/null || true
    systemctl enable --now redis-server rpcbind.socket >/dev/null 2>&1
    redis-cli set fruit pear >/dev/null
    apt-get -q -y purge nftables >/dev/null 2>&1
"""


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    made: Fleet = fleet_of("mended", "aside")
    made["mended"].sh(INSECURE)
    return made


@pytest.fixture(scope="module")
def run(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Mend the first host for all tests of this module; returns the state before, the state after and the report."""
    command = Command(tmp_path_factory.mktemp("run"))
    before = snapshot.of(fleet["mended"], *UNITS)
    done = command("remediate", "-i", fleet.inventory(), "-b", "--limit", "mended", "--yes", "--format", "json",
                   "--class", "redis,services,ports")
    assert done.code in (0, 2), done.err
    after = snapshot.of(fleet["mended"], *UNITS)
    assert set(after["packages"]) - set(before["packages"]), "what closes the ports was not there"
    return {"before": before, "after": after, "report": done.json(), "id": done.json()["run"]["id"]}


def test_the_run_is_listed_where_it_was(fleet: Fleet, hostmend: Command, run: dict[str, Any]) -> None:
    done = hostmend("rollback", "-i", fleet.inventory(), "-b", "--format", "json")
    assert done.code == 0, done.err
    known = done.json()
    assert [one["run"] for one in known["mended"]] == [run["id"]]
    assert known["aside"] == []


def test_a_run_that_nobody_knows_is_an_error(fleet: Fleet, hostmend: Command, run: dict[str, Any]) -> None:
    done = hostmend("rollback", "20200101T000000Z-abcdef", "-i", fleet.inventory(), "-b", "--yes")
    assert (done.code, done.lines) == (1, ["hostmend: no host knows the run 20200101T000000Z-abcdef "
                                           "(hostmend rollback --list shows what there is)"])


def test_what_somebody_changed_since_is_refused(fleet: Fleet, hostmend: Command, run: dict[str, Any]) -> None:
    host = fleet["mended"]
    host.sh("cp -a /etc/redis/redis.conf /root/kept; echo '# an edit of somebody' >> /etc/redis/redis.conf")
    edited = snapshot.of(host, *UNITS)
    done = hostmend("rollback", run["id"], "-i", fleet.inventory(), "-b", "--only", "redis", "--yes")
    assert done.code == 1
    assert "refused" in done.out and "/etc/redis/redis.conf" in done.out, done.out + done.err
    assert snapshot.difference(edited, snapshot.of(host, *UNITS)) == {}
    host.sh("cp -a /root/kept /etc/redis/redis.conf; rm /root/kept")


def test_a_whole_run_is_taken_back(fleet: Fleet, hostmend: Command, run: dict[str, Any], tmp_path: Path) -> None:
    host, inventory = fleet["mended"], fleet.inventory()
    foretold = hostmend("rollback", run["id"], "-i", inventory, "-b", "--check", "--format", "json")
    assert foretold.code == 0, foretold.err
    assert snapshot.difference(run["after"], snapshot.of(host, *UNITS)) == {}
    done = hostmend("rollback", run["id"], "-i", inventory, "-b", "--yes", "--format", "json",
                    "--output", str(tmp_path / "out"))
    assert done.code == 0, done.out + done.err
    told = done.json()["hosts"]
    assert list(told) == ["mended"], "of a host that was left alone nothing is claimed"
    assert told["mended"]["rollback"]["restored"] == foretold.json()["mended"]["restored"] != []
    assert snapshot.difference(run["before"], snapshot.of(host, *UNITS)) == {}
    assert host.sh("redis-cli get fruit").strip() == "pear"
    checks = {one["check"] for one in told["mended"]["findings"] if one["status"] == "open"}
    assert "redis.no_auth" in checks, "it is insecure again, and the report says so"
    assert (tmp_path / "out" / "report.html").stat().st_size > 10000


def test_taking_it_back_again_changes_nothing(fleet: Fleet, hostmend: Command, run: dict[str, Any]) -> None:
    done = hostmend("rollback", run["id"], "-i", fleet.inventory(), "-b", "--yes")
    assert done.code == 0, done.err
    assert "all is as it was before already" in done.out
    assert snapshot.difference(run["before"], snapshot.of(fleet["mended"], *UNITS)) == {}
