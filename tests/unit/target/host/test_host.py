"""What a host shows of itself: parsers on captured and on hostile text, commands that are bounded."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.host import (
    Host,
    packages,
    processes,
    sockets,
    system,
    units,
)
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import CommandResult
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import FIXTURES

TEXTS = FIXTURES / "host"


def text(name: str) -> str:
    return (TEXTS / name).read_text()


def test_listeners_of_ipv4_and_ipv6() -> None:
    four = {row[:2] for row in sockets.parse_proc_net(text("tcp.txt")) if row[4] == sockets.LISTEN}
    six = {row[:2] for row in sockets.parse_proc_net(text("tcp6.txt")) if row[4] == sockets.LISTEN}
    assert four == {("127.0.0.1", 6379), ("0.0.0.0", 111)}
    assert six == {("::1", 6379), ("::", 111)}


def test_unix_sockets_that_listen() -> None:
    paths = {path for path, _inode in sockets.parse_proc_unix(text("unix.txt"))}
    assert "/run/rpcbind.sock" in paths
    assert "/run/systemd/notify" not in paths  # takes datagrams, does not listen


@pytest.mark.parametrize(
    ("cgroup", "unit", "container"),
    [
        ("0::/system.slice/redis-server.service\n", "redis-server.service", None),
        ("1:name=systemd:/system.slice/ssh.service\n0::/\n", "ssh.service", None),
        ("0::/system.slice/docker-" + "a" * 64 + ".scope\n", "docker-" + "a" * 64 + ".scope", "docker:" + "a" * 64),
        (
            "0::/machine.slice/libpod-" + "b" * 64 + ".scope/container\n",
            "libpod-" + "b" * 64 + ".scope",
            "podman:" + "b" * 64,
        ),
        ("12:cpu:/docker/" + "c" * 64 + "\n", None, "docker:" + "c" * 64),
        ("0::/init.scope\n", None, None),
        ("garbage\n:::\n", None, None),
    ],
)
def test_the_unit_and_the_container_of_a_process(cgroup: str, unit: str | None, container: str | None) -> None:
    assert processes.parse_cgroup(cgroup) == (unit, container)


def test_a_name_with_parentheses_and_newlines() -> None:
    stat = "7 (a) R\n(b) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
    assert processes.parse_stat(stat) == ("a) R\n(b", 1, 4242)
    assert processes.parse_stat("7 (cut") is None


def test_installed_packages_of_dpkg() -> None:
    found = {one.name: one for one in packages.parse_dpkg_status(text("dpkg_status.txt"))}
    assert found["adduser"].arch == "all"
    removed = (
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: b\nStatus: install ok installed\n"
    )
    assert [(one.name, one.source) for one in packages.parse_dpkg_status(removed + "Source: c (2)\nVersion: 1\n")] == [
        ("b", "c")
    ]


def test_packages_of_rpm() -> None:
    told = "bash\t5.1.8-6.el9\tx86_64\tbash-5.1.8-6.el9.src.rpm\nbroken line\ngpg-pubkey\t1\t(none)\t(none)\n"
    assert [(one.name, one.source, one.source_version) for one in packages.parse_rpm_query(told)] == [
        ("bash", "bash", "5.1.8-6.el9")
    ]


def test_units_as_systemd_shows_them() -> None:
    made = {unit.name: unit for unit in map(units.unit_of, units.parse_show(text("show.txt")))}
    assert made["rpcbind.socket"].triggers == ("rpcbind.service",)
    assert "[::]:111 (Stream)" in made["rpcbind.socket"].listens
    assert made["rpcbind.service"].triggered_by == ("rpcbind.socket",)


@pytest.mark.parametrize(
    ("listen", "proto", "address", "port", "wanted"),
    [
        ("[::]:111 (Stream)", "tcp", "::", 111, True),
        ("[::]:111 (Datagram)", "tcp", "::", 111, False),
        ("0.0.0.0:23 (Stream)", "tcp", "0.0.0.0", 23, True),
        ("23 (Stream)", "tcp", "::", 23, True),
        ("nonsense", "tcp", "::", 23, False),
    ],
)
def test_which_socket_unit_holds_a_listener(listen: str, proto: str, address: str, port: int, wanted: bool) -> None:
    assert sockets.listen_matches(listen, proto, address, port, "") is wanted


def test_units_of_a_filesystem_that_does_not_run(tmp_path: Path) -> None:
    lib, etc = tmp_path / "lib/systemd/system", tmp_path / "etc/systemd/system"
    (etc / "multi-user.target.wants").mkdir(parents=True)
    lib.mkdir(parents=True)
    for name in ("on.service", "off.service", "hidden.service"):
        (lib / name).write_text("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    (lib / "still.service").write_text("[Service]\nExecStart=/bin/true\n")
    (etc / "multi-user.target.wants/on.service").symlink_to("/lib/systemd/system/on.service")
    (etc / "hidden.service").symlink_to("/dev/null")
    made = {unit.name: unit.enabled for unit in Host(str(tmp_path)).units().items}
    assert made == {
        "on.service": "enabled",
        "off.service": "disabled",
        "hidden.service": "masked",
        "still.service": "static",
    }


def test_units_that_systemd_has_not_loaded_are_read_from_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lib, etc, run = (tmp_path / one for one in ("usr/lib/systemd/system", "etc/systemd/system", "run/systemd"))
    for folder in (lib, etc / "printer.target.wants", run / "system/printer.target.wants", run / "generator.late"):
        folder.mkdir(parents=True)
    for name in ("loaded", "off", "hidden", "printing", "printing-now"):
        (lib / f"{name}.service").write_text("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=printer.target\n")
    (etc / "hidden.service").symlink_to("/dev/null")
    (etc / "alias.service").symlink_to("/usr/lib/systemd/system/loaded.service")
    (etc / "printer.target.wants/printing.service").symlink_to("/usr/lib/systemd/system/printing.service")
    (run / "system/printer.target.wants/printing-now.service").symlink_to("/usr/lib/systemd/system/printing-now.service")
    (run / "generator.late/script.service").write_text("[Service]\n")
    shown = (
        "Id=loaded.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n\n"
        "Id=wanted.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n\n"
        "Id=deleted.service\nLoadState=not-found\nActiveState=active\nSubState=running\nUnitFileState=\n"
    )
    host = Host(str(tmp_path))
    monkeypatch.setattr(Host, "live", True)
    monkeypatch.setattr(Host, "run", lambda _host, argv, **_more: CommandResult(tuple(argv), 0, shown, "", ""))
    reading = host.units()
    assert reading.gaps == ()
    assert {one.name: (one.load, one.active, one.enabled) for one in reading.items} == {
        "loaded.service": ("loaded", "active", "enabled"),
        "deleted.service": ("not-found", "active", ""),
        "off.service": ("loaded", "inactive", "disabled"),
        "hidden.service": ("masked", "inactive", "masked"),
        "printing.service": ("loaded", "inactive", "enabled"),
        "printing-now.service": ("loaded", "inactive", "enabled-runtime"),
        "script.service": ("loaded", "inactive", "generated"),
    }
    assert {one.required_by for one in reading.items} == {()}


def test_a_folder_of_units_that_cannot_be_read_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    assert Host(str(tmp_path)).units().gaps == ()
    # These tests may be root's, who reads all.
    monkeypatch.setattr(units.os, "access", lambda path, _mode: not path.endswith("/etc/systemd/system"))
    assert Host(str(tmp_path)).units().gaps == ("/etc/systemd/system cannot be read",)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    host = Host()
    assert [host.read(str(tmp_path / name)) for name in ("pipe", "loop", "absent", ".", "nul\0")] == [None] * 5
    (tmp_path / "long").write_text("x" * 100)
    assert host.read(str(tmp_path / "long"), 10) == "x" * 10


def test_commands_are_bounded() -> None:
    host = Host()
    began = time.monotonic()
    assert "timed out" in host.run(["sh", "-c", "sleep 60 & sleep 60"], seconds=0.3).failure
    assert time.monotonic() - began < 10
    assert "output over" in host.run(["sh", "-c", "yes"], seconds=5, limit=10000).failure
    assert host.run(["no-such-program"]).failure == "not found"
    assert host.run(["cat"], stdin=b"fed\xff").out == "fed\udcff"
    assert host.run(["sh", "-c", "exit 3"]).code == 3


def test_who_controls_is_read_from_the_session() -> None:
    assert system.controllers({"SSH_CONNECTION": "::ffff:192.0.2.7 50000 192.0.2.2 22"}, Host()) == ("192.0.2.7",)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_hostile_text_ends_in_rows_or_none(hostile: str) -> None:
    for parse in (
        sockets.parse_proc_net,
        sockets.parse_proc_unix,
        packages.parse_dpkg_status,
        packages.parse_rpm_query,
        units.parse_show,
    ):
        assert isinstance(parse("head\n" + hostile), list)
    assert len(processes.parse_cgroup(hostile)) == 2
    assert isinstance(system.parse_os_release(hostile), dict)
    assert isinstance(system.parse_capabilities(hostile), frozenset)


def test_a_root_that_is_not_running_shows_nothing_of_the_machine_that_builds_it():
    host = Host(running=False)
    assert not host.live and host.executes and not host.system().running
    assert host.processes().items == () and host.listeners().items == () and host.established() == []
    assert host.run(["true"]).ok
