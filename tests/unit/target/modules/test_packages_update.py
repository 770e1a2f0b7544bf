"""Installing updates: the plan, the room, a lock, a network that fails, what is kept, and what brings it back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.common import process as commands
from ansible_collections.hostmend.hardening.plugins.module_utils.host import stale
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Package, Process
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import packages
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import (
    apt_state,
    apt_transaction,
    dnf_lock,
    transaction,
)
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import run as package_run
from ansible_collections.hostmend.hardening.plugins.modules import packages_update

from tests.support.fake_host import FakeHost

ASKED: dict[str, Any] = {
    "packages": ["haproxy"], "install": [], "pending": "none", "exclude": [], "refresh": False, "index_days": 7,
    "security_origins": [], "restart": "safe", "units": [], "running": True, "lock_seconds": 0, "free_mebibytes": 100,
    "keep_mebibytes": 1,
}
PLANNED = "Inst haproxy [1] (2 Debian-Security:12/oldstable-security [amd64])\n"
DAY = 86400.0
DNF = ("dnf", "-y", "--setopt=clean_requirements_on_remove=0")
LOCK = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 77 (unattended-upgr)\n"


class Tools:
    """The host's commands: what each says, by its words; what was run is kept."""

    def __init__(self, says: list[tuple[str, Any]]) -> None:
        self.says, self.ran = says, []  # type: list[tuple[str, Any]], list[str]

    def __call__(self, argv: list[str], *_more: Any, **_named: Any) -> tuple[int, str, str]:
        line = " ".join(argv)
        self.ran.append(line)
        for words, said in self.says:
            if words in line:
                return said if isinstance(said, tuple) else (0, said, "")
        return 0, "", ""


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tools]:
    def make(*says: tuple[str, Any]) -> Tools:
        made = Tools([*says, ("apt-get -s", PLANNED), ("--print-uris", "'http://h/x' x.deb 1000 SHA256:0\n"),
                      ("print-architecture", "amd64\n"), ("showauto", "haproxy\n")])
        monkeypatch.setattr(commands, "run", made)
        return made

    return make


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> apt_transaction.Apt:
    made = apt_transaction.Apt(ASKED)
    there = Package("haproxy", "1", "amd64", "haproxy", "1", "install ok installed")
    host = FakeHost(tmp_path, packages=(there,))
    monkeypatch.setattr(made, "host", host)
    monkeypatch.setattr(made, "interrupted", list)
    monkeypatch.setattr(apt_transaction, "Host", lambda: host)
    monkeypatch.setattr(apt_transaction, "KEPT", str(tmp_path / "kept"))
    return made


def run(manager: apt_transaction.Apt, check_mode: bool, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> dict[str, Any]:
    """Run the module's work with no services to restart."""
    monkeypatch.setattr(packages_update, "units_to_restart", lambda *_all: [])
    monkeypatch.setattr(packages_update, "failed_units", set)
    monkeypatch.setattr(packages_update, "restart", lambda *_all: None)
    result: dict[str, Any] = {"changed": False, "changes": []}
    packages_update.update(SimpleNamespace(check_mode=check_mode), {**ASKED, **asked}, manager, "/nonexistent", result)
    return result


def installed(before: str, after: str) -> Callable[[], dict[str, str]]:
    states = iter([before, after])
    return lambda: {"haproxy": next(states)}


def test_check_mode_foretells_and_runs_nothing(tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tools()
    result = run(manager, True, monkeypatch)
    assert [(one["kind"], one["name"], one["action"]) for one in result["changes"]] == [("package", "haproxy", "updated 1 -> 2")]
    assert all("apt-get -s" in line or "--print-uris" in line or line.startswith("dpkg") for line in made.ran), made.ran


def test_a_real_run_makes_what_was_foretold(tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tools()
    foretold = run(manager, True, monkeypatch)
    monkeypatch.setattr(manager, "installed", installed("1", "2"))
    assert run(manager, False, monkeypatch)["changes"] == foretold["changes"]
    fetched = next(number for number, line in enumerate(made.ran) if "--download-only" in line)
    done = next(number for number, line in enumerate(made.ran) if "--no-download" in line)
    assert fetched < done, "all is fetched before anything is installed"
    for words in ("--no-remove", "--force-confold", "haproxy"):
        assert words in made.ran[done]
    assert "apt-mark auto haproxy" in made.ran, "what came by itself stays so"


def test_what_lies_in_a_folder_of_the_host_is_installed_from_there(
    tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With --no-download apt ends with: Pathname to install is not absolute."""
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "etc/apt/sources.list.d/local.list").write_text("deb [trusted=yes] file:/srv/archive ./\n")
    made = tools()
    monkeypatch.setattr(manager, "installed", installed("1", "2"))
    assert run(manager, False, monkeypatch)["changes"]
    assert not any("--no-download" in line for line in made.ran)


def test_what_is_not_installed_afterwards_is_a_failure(tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tools()
    monkeypatch.setattr(manager, "installed", installed("1", "1"))
    with pytest.raises(package_run.Trouble, match="not in the version that was wanted: haproxy"):
        run(manager, False, monkeypatch)


@pytest.mark.parametrize(("words", "said", "match"), [
    ("--download-only", (100, "", "E: Failed to fetch http://h/x  Could not resolve 'h'\n"), "nothing was installed: .*resolve"),
    ("--download-only", (100, "", LOCK), "nothing was installed: Could not get lock .* process 77"),
    ("--no-download", (100, "", "E: Sub-process /usr/bin/dpkg returned an error code (1)\n"), "the installation failed"),
    ("apt-get -s", (100, "", "E: The list of sources could not be read.\n"), "cannot be installed: The list of sources"),
    ("apt-get -s", PLANNED + "Remv other [1]\n", "that would remove other"),
])
def test_what_goes_wrong_is_said(tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch, words: str, said: Any,
                                 match: str) -> None:
    made = tools((words, said))
    monkeypatch.setattr(manager, "installed", installed("1", "1"))
    with pytest.raises(package_run.Trouble, match=match):
        run(manager, False, monkeypatch)
    if words != "--no-download":
        assert not any("--no-download" in line for line in made.ran), "nothing was installed"


def test_a_lock_is_awaited(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    answers = iter([(100, "", LOCK), (100, "", LOCK), (0, "done", "")])
    monkeypatch.setattr(commands, "run", lambda *_all, **_named: next(answers))
    monkeypatch.setattr(package_run.time, "sleep", slept.append)
    assert package_run.patient(["apt-get"], 60, 1)[0] == 0
    assert len(slept) == 2


def test_another_failure_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([(100, "", "E: Unable to locate package x\n")])
    monkeypatch.setattr(commands, "run", lambda *_all, **_named: next(answers))
    assert package_run.patient(["apt-get"], 60, 1)[0] == 100


def test_a_full_disk_stops_it_before_it_begins(tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tools()
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=10, f_frsize=package_run.MEBIBYTE))
    for check_mode in (True, False):
        with pytest.raises(package_run.Trouble, match="nothing was installed: 101 MiB are wanted on /var, and 10 MiB are free"):
            run(manager, check_mode, monkeypatch)
    assert not any("download" in line for line in made.ran)


def test_a_kernel_wants_room_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    free = package_run.MEBIBYTE * 160
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=free, f_frsize=1))
    transaction.room(0, [{"name": "openssl"}], package_run.MEBIBYTE * 100)
    with pytest.raises(package_run.Trouble):
        transaction.room(0, [{"name": "linux-image-amd64"}], package_run.MEBIBYTE * 100)


def test_an_index_that_cannot_be_fetched_changes_nothing(tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tools(("update", (100, "", "E: The repository 'http://h/d s InRelease' is not signed.\n")))
    monkeypatch.setattr(manager, "stale", lambda days: True)
    with pytest.raises(package_run.Trouble, match=r"could not be fetched: The repository .* is not signed"):
        run(manager, False, monkeypatch, refresh=True)
    assert not any("install" in line for line in made.ran)


SAID = (
    "Hit:1 http://deb.example.org/debian bookworm InRelease\n"
    "Err:2 http://deb.example.org/debian-security %s InRelease\n  Connection refused\n"
    "Err:3 http://gone.example.org/apt ./ InRelease\n  404  Not Found [IP: 127.0.0.1 80]\n"
    "Err:4 http://gone.example.org/other bookworm/main amd64 Packages\n  404  Not Found [IP: 127.0.0.1 80]\n"
)


def sources(**changed: Any) -> list[dict[str, Any]]:
    """Return sources, all fetched an hour ago, and with an index that runs out tomorrow."""
    now = time.time()
    return [{"uri": uri, "suite": suite, "age_days": 0.04, "release": {"date": now - DAY, "valid_until": now + DAY}, **changed}
            for uri, suite in (("http://deb.example.org/debian/", "bookworm"),
                               ("http://user@gone.example.org/apt", "./"), ("http://gone.example.org/other", "bookworm"),
                               ("http://deb.example.org/debian-security", "bookworm-security"))]


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Have the host's list of sources be this one."""
    made = sources()
    monkeypatch.setattr(apt_state, "read_sources", lambda _host: made)
    monkeypatch.setattr(apt_state, "read_index", lambda _host, found: {"age_days": min(one["age_days"] for one in found)})
    return made


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_source_that_is_gone_keeps_no_update_of_others_back(
    tools: Any, manager: Any, listed: Any, monkeypatch: pytest.MonkeyPatch, check_mode: bool, tmp_path: Path
) -> None:
    said = "".join(line + "\n" for line in SAID.splitlines() if "Err:2" not in line)
    tools(("update", (100, said, "E: Failed to fetch http://gone.example.org/apt/./InRelease  404  Not Found\n")))
    monkeypatch.setattr(manager, "stale", lambda days: True)
    monkeypatch.setattr(apt_transaction.shutil, "copytree", lambda *_all, **_named: None)
    made = transaction.renewed(manager, 7, check_mode, str(tmp_path))
    assert made == {"kind": "index", "name": "package index", "action": "refreshed but for http://gone.example.org/apt ./, "
                    "http://gone.example.org/other bookworm, which did not answer"}


@pytest.mark.parametrize(("said", "why"), [
    (SAID % "bookworm-security", "one of security updates is among them"),
    (SAID % "bookworm-backports", "one that is not known may be"),
    (SAID.split("\n", 1)[1].replace("Err:2", "Ign:2"), "none has answered"),
    ("Hit:1 http://deb.example.org/debian bookworm InRelease\n", "it failed for another reason")])
def test_nothing_goes_on_without_security_updates(
    tools: Any, manager: Any, listed: Any, monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    tools(("update", (100, said, "E: Failed to fetch http://h/InRelease  Connection refused\n")))
    monkeypatch.setattr(manager, "stale", lambda days: True)
    with pytest.raises(package_run.Trouble, match="could not be fetched"):
        transaction.renewed(manager, 7, False, "")


def test_where_no_source_is_for_security_alone_all_of_them_are(
    tools: Any, manager: Any, listed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed.pop()
    tools(("update", (100, "".join(SAID.splitlines(True)[:1] + SAID.splitlines(True)[3:]), "E: Failed to fetch http://h/x\n")))
    monkeypatch.setattr(manager, "stale", lambda days: True)
    with pytest.raises(package_run.Trouble, match="could not be fetched"):
        transaction.renewed(manager, 7, False, "")


@pytest.mark.parametrize(("all_of_them", "last", "wanted"), [
    ({}, {}, False),
    ({"age_days": 8.0}, {}, True),
    ({"age_days": 2.0}, {"release": {"valid_until": 1.0}}, True),
    ({"age_days": 0.1}, {"release": {"valid_until": 1.0}}, False),  # just fetched, and its archive has no newer one
    ({"age_days": 0.1}, {"age_days": 3.0, "release": {"valid_until": 1.0}}, False),  # it was not fetched with the others
])
def test_an_index_is_stale_where_fetching_it_may_help(
    manager: Any, listed: list[dict[str, Any]], all_of_them: dict[str, Any], last: dict[str, Any], wanted: bool
) -> None:
    listed[:] = sources(**all_of_them)
    listed[-1].update(last)
    assert manager.stale(7) is wanted


def test_what_was_cut_off_is_finished_first(tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tools()
    monkeypatch.setattr(manager, "interrupted", lambda: ["logrotate"])
    foretold = run(manager, True, monkeypatch)["changes"]
    assert ("logrotate", "configured") in {(one["name"], one["action"]) for one in foretold}
    assert not any("--configure" in line for line in made.ran)
    monkeypatch.setattr(manager, "installed", installed("1", "2"))
    assert run(manager, False, monkeypatch)["changes"] == foretold
    lines = [line for line in made.ran if "--configure -a" in line or "--no-download" in line]
    assert "--configure -a" in lines[0]


def test_old_packages_are_kept_within_bounds(tmp_path: Path) -> None:
    for number, name in enumerate(("a_1_all.deb", "b_1_all.deb", "c_1_all.deb")):
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (number, number))
    apt_transaction.prune(150, [str(tmp_path / "a_1_all.deb")], str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_1_all.deb"]


# Going back


def test_a_kept_package_is_what_goes_back(tmp_path: Path) -> None:
    (tmp_path / "lib_2%3a1-1_i386.deb").write_bytes(b"")
    assert packages.kept("lib", "2:1-1", str(tmp_path)) == packages.kept("lib:i386", "2:1-1", str(tmp_path)) is not None
    assert packages.kept("lib:amd64", "2:1-1", str(tmp_path)) is None
    assert packages.kept("li[b]", "2:1-1", str(tmp_path)) is None


def test_the_command_that_brings_packages_of_dpkg_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "kept", lambda name, _version: "/kept/a.deb" if name == "a" else None)
    before = {"manager": "dpkg", "packages": {"a": ["1", "ii"], "b": ["1", "hi"]}}
    argv = packages.command(before, {}, ["a", "b", "new"])
    assert argv[-4:] == ["install", "/kept/a.deb", "b=1", "new-"]
    assert "--purge" in argv


def test_the_commands_that_bring_packages_of_rpm_back() -> None:
    before = {"manager": "rpm", "packages": {"a.noarch": ["0:1-1", "ii"], "gone.x86_64": ["0:1-1", "ii"]}}
    now = {"manager": "rpm", "packages": {"a.noarch": ["0:2-1", "ii"], "kernel-core.x86_64=0:6-1": ["0:6-1", "ii"]}}
    assert packages.rpm_commands(before, now, ["a.noarch", "gone.x86_64", "kernel-core.x86_64=0:6-1"]) == [
        [*DNF, "downgrade", "a-0:1-1.noarch"], [*DNF, "install", "gone-0:1-1.x86_64"],
        [*DNF, "remove", "kernel-core-0:6-1.x86_64"]], "what an update has brought along is needed until it has gone back"


def rpm_restore(
    tools: Any, monkeypatch: pytest.MonkeyPatch, removes: str, tool: str = "dnf"
) -> tuple[list[str], list[str]]:
    """Take an update back that brought lib along; returns what cannot be undone, and what was changed."""
    dry = tool + " --assumeno --setopt=clean_requirements_on_remove=0 "
    made = tools((dry + "downgrade", "Downgrading:\n app noarch 0:1-1 lab 1 KiB\n   replacing app noarch 0:2-1 lab 1 KiB\n"),
                 (dry + "remove", (1, "Removing:\n lib noarch 0:1-1 lab 1.0 KiB\n" + removes, "Operation aborted.")))
    old = {"app.noarch": ["0:1-1", "ii"]}
    monkeypatch.setattr(packages, "read", lambda _subject: {"manager": "rpm", "packages": old})
    monkeypatch.setattr(commands, "which", lambda name: "/usr/bin/" + tool if name == tool else None)
    now = {"manager": "rpm", "packages": {"app.noarch": ["0:2-1", "ii"], "lib.noarch": ["0:1-1", "ii"]}}
    left = packages.restore({}, {"manager": "rpm", "packages": old}, now, ["app.noarch", "lib.noarch"], None)
    return left, [line for line in made.ran if "--assumeno" not in line]


def test_an_update_of_rpm_goes_back_before_what_it_brought_along(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left, ran = rpm_restore(tools, monkeypatch, "")
    assert left == []
    assert ran == [" ".join([*DNF, "downgrade", "app-0:1-1.noarch"]), " ".join([*DNF, "remove", "lib-0:1-1.noarch"])]


def test_going_back_takes_nothing_along_that_was_there(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left, ran = rpm_restore(tools, monkeypatch, "Removing dependent packages:\n other noarch 0:1-1 lab 1.0 KiB\n")
    assert left == ["packages app.noarch, lib.noarch: going back would also remove other"]
    assert not any(" remove " in line for line in ran)


def test_where_another_dnf5_is_at_work_nothing_goes_back_yet(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []

    def wait(seconds: int) -> str:
        waited.append(seconds)
        return "/var/lib/dnf/system-repo.lock is locked by another process (7, dnf5)"

    monkeypatch.setattr(dnf_lock, "wait", wait)
    left, ran = rpm_restore(tools, monkeypatch, "", "dnf5")
    assert left == ["packages app.noarch, lib.noarch: /var/lib/dnf/system-repo.lock is locked by another process (7, dnf5); "
                    "roll back again when it is done"]
    assert (waited, ran) == ([300], [])


def test_kernels_of_rpm_are_things_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "which", lambda name: "/usr/bin/rpm" if name == "rpm" else None)
    monkeypatch.setattr(commands, "must", lambda *_all, **_named: "kernel-core.x86_64\t0:5-1\nkernel-core.x86_64\t0:6-1\n"
                                                                  "bash.x86_64\t0:5-1\ngpg-pubkey.(none)\t0:1-1\n")
    assert set(packages.read({})["packages"]) == {"kernel-core.x86_64=0:5-1", "kernel-core.x86_64=0:6-1", "bash.x86_64"}


# Restarts


def test_who_maps_what_is_replaced_is_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def process(pid: int, unit: str | None, container: str | None = None) -> Process:
        return Process(pid, 1, 0, "x", ("x",), None, False, "/", unit, container, 1, 1)

    listed = (process(1, "init.scope"), process(2, "web.service"), process(3, "dbus.service"), process(4, "db.service"),
              process(5, "apart.service", "docker:1"), process(6, "redis-server.service"))
    maps = {1: "", 4: "1 r-xp 0 0:0 1 /usr/lib/other.so\n"}
    host = FakeHost(tmp_path, processes=listed)
    monkeypatch.setattr(packages_update, "Host", lambda: host)
    monkeypatch.setattr(stale, "read_maps", lambda pid: (maps.get(pid, "1 r-xp 0 0:0 1 /usr/lib/libx.so\n"), ""))
    manager: Any = SimpleNamespace(files=lambda _names: {"/lib/libx.so"})
    plan = [{"name": "libx", "installed": "1", "candidate": "2"}]

    def chosen(**more: Any) -> list[str]:
        return packages_update.units_to_restart(manager, plan, {**ASKED, **more})

    assert chosen() == ["web.service"]
    assert chosen(restart="all") == ["redis-server.service", "web.service"]
    assert chosen(restart="never") == chosen(running=False) == []
    assert chosen(units=["old.service", "dbus.service"]) == ["old.service", "web.service"]


def test_a_service_that_does_not_come_up_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages_update, "Host", FakeHost)
    monkeypatch.setattr(packages_update, "ACTIVE_SECONDS", 0)
    monkeypatch.setattr(packages_update.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(commands, "run", lambda argv, **_named: (3, "failed\n", "") if "is-active" in argv else (0, "", ""))
    with pytest.raises(package_run.Trouble, match=r"web.service did not come up"):
        packages_update.restart(["web.service"], set())
    monkeypatch.setattr(commands, "run", lambda argv, **_named: (
        0, "new.service loaded failed\n" if "list-units" in argv else "active\n", ""))
    with pytest.raises(package_run.Trouble, match=r"new.service failed after the update"):
        packages_update.restart(["web.service"], set())
    packages_update.restart(["web.service"], {"new.service"})


@pytest.mark.parametrize(("said", "advice"), [
    ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 3946 (python3)\n", "updates_lock_seconds"),
    ("E: Failed to fetch http://h/r_1_amd64.deb  404  Not Found [IP: 203.0.113.80 80]\n", "updates_refresh"),
    ("E: Failed to fetch http://h/d/InRelease  Temporary failure resolving 'h'\n", "resolves their names"),
    ("E: You don't have enough free space in /var/cache/apt/archives/.\n", "room"),
    ("E: Unmet dependencies. Try 'apt --fix-broken install' with no packages\n", "apt-get -f install")])
def test_what_failed_says_what_to_do(said: str, advice: str) -> None:
    words = package_run.last_words("", said)
    assert words.startswith(said[3:].strip())
    assert advice in words


def test_a_unit_that_had_failed_before_is_no_fault_of_the_update(
    tools: Any, manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools(("apt-get -s", ""), ("--failed", "old.service loaded failed failed x\n"))
    monkeypatch.setattr(manager, "interrupted", lambda: ["haproxy"])
    monkeypatch.setattr(manager, "finish", lambda: None)
    monkeypatch.setattr(packages_update, "units_to_restart", lambda *_all: [])
    monkeypatch.setattr(packages_update, "Host", FakeHost)
    result: dict[str, Any] = {"changed": False, "changes": []}
    packages_update.update(SimpleNamespace(check_mode=False), {**ASKED, "running": True}, manager, "/nonexistent", result)
    assert [one["action"] for one in result["changes"]] == ["configured"]
