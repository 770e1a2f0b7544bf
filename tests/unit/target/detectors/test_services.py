"""Services: parsers on text captured from Debian, judgement on readings, and hostile text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import services
from ansible_collections.hostmend.hardening.plugins.module_utils.host import units
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener, Process, Unit
from ansible_collections.hostmend.hardening.plugins.module_utils.software import inetd as inet_entries
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_host import FakeHost
from tests.support.paths import FIXTURES

TEXTS = FIXTURES / "services"
POLICY = {**services.POLICY, "common": {}}


def text(name: str) -> str:
    return (TEXTS / name).read_text("utf-8")


def machine(root: str = "/", units: tuple[Unit, ...] = (), running: bool = True, rpcinfo: str = "", **more: Any) -> FakeHost:
    """Return a host that says what rpcinfo says; its units are read from their files where it does not run."""
    return FakeHost(root, {"": rpcinfo} if rpcinfo else None, running=running, executes=root == "/",
                    units=units if running else None, **more)


def unit(name: str, active: str = "inactive", enabled: str = "disabled", load: str = "loaded", **more: Any) -> Unit:
    return Unit(name, load, active, "", enabled, **more)


def process(program: str, unit: str | None = None, **more: Any) -> Process:
    given = {"pid": 7, "ppid": 1, "uid": 0, "comm": program[:15], "argv": (program,), "exe": "/usr/sbin/" + program,
             "exe_deleted": False, "cwd": "/", "unit": unit, "container": None, "netns": 1, "start_ticks": 1}
    return Process(**{**given, **more})  # type: ignore[arg-type]


def tcp(port: int, program: str = "", **more: Any) -> Listener:
    given = {"proto": "tcp", "family": 4, "address": "0.0.0.0", "port": port, "path": "", "inode": 1, "netns": 1,
             "pids": (7,), "process": program}
    return Listener(**{**given, **more})  # type: ignore[arg-type]


def connection(port: int, peer: str) -> Any:
    return ("tcp", ("10.0.0.1", port, peer, 40000, "01", 5), 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path


def put(root: Path, name: str, content: str) -> None:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")


def judged(host: FakeHost, **policy: Any) -> dict[str, dict[str, Any]]:
    """Return the findings by resource; what a detector passes between its halves is plain JSON."""
    given = {**POLICY, **policy}
    facts = json.loads(json.dumps(services.collect(host, given)))
    found = services.check(facts, given)
    assert {one["check"] for one in found} == set(services.CHECKS)
    return {one["resource"] or one["check"]: one for one in found}


# Parsers

def test_inetd_conf_of_debian_11_offers_what_is_not_a_comment():
    entries = inet_entries.parse_inetd(text("inetd.conf_bullseye"))
    assert [(one.name, one.proto, one.program) for one in entries] == [
        ("telnet", "tcp", "/usr/sbin/in.telnetd"),
        ("shell", "tcp", "/usr/sbin/in.rshd"),
        ("login", "tcp", "/usr/sbin/in.rlogind"),
        ("exec", "tcp", "/usr/sbin/in.rexecd"),
    ]


def test_inetd_conf_of_openbsd_inetd_is_all_comments():
    assert inet_entries.parse_inetd(text("inetd.conf_openbsd")) == []


@pytest.mark.parametrize(
    ("line", "name", "proto", "program", "port"),
    [
        ("10.0.0.1:telnet stream tcp nowait root /usr/sbin/in.telnetd", "telnet", "tcp", "/usr/sbin/in.telnetd", None),
        ("tftp dgram udp6 wait nobody /usr/sbin/in.tftpd /srv", "tftp", "udp", "/usr/sbin/in.tftpd", None),
        ("rstatd/1-3 dgram rpc/udp wait root /usr/sbin/rpc.rstatd", "rstatd", "udp", "/usr/sbin/rpc.rstatd", None),
        ("2323 stream tcp nowait root /bin/busybox busybox telnetd -i", "2323", "tcp", "telnetd", 2323),
    ],
)
def test_one_line_of_inetd(line, name, proto, program, port):
    (entry,) = inet_entries.parse_inetd(line)
    assert (entry.name, entry.proto, entry.program, entry.port) == (name, proto, program, port)


def test_xinetd_chargen_as_debian_ships_it_is_off():
    one = inet_entries.parse_xinetd(text("xinetd_chargen"), "/etc/xinetd.d/chargen")
    assert [(entry.name, entry.proto, entry.enabled) for entry in inet_entries.xinetd_entries([one])] == [
        ("chargen-stream", "tcp", False), ("chargen-dgram", "udp", False)]


@pytest.mark.parametrize(
    ("defaults", "block", "on"),
    [
        ("", "server = /usr/sbin/telnetd", True),
        ("", "disable = no\nserver = /usr/sbin/telnetd", True),
        ("", "disable = yes", False),
        ("", "flags = REUSE DISABLE", False),
        ("", "flags = REUSE\nflags += DISABLE", False),
        ("disabled = telnet tftp", "server = x", False),
        ("disabled = tel", "id = tel", False),
        ("enabled = tftp", "server = x", False),
        ("enabled = telnet", "disable = yes", False),
        ("enabled = telnet", "server = x", True),
    ],
)
def test_what_switches_an_entry_of_xinetd(defaults, block, on):
    written = f"defaults\n{{\n{defaults}\n}}\nservice telnet\n{{\n{block}\n}}\n"
    (entry,) = inet_entries.xinetd_entries([inet_entries.parse_xinetd(written)])
    assert entry.enabled is on


def test_all_files_of_xinetd_are_followed_but_not_those_with_a_dot(root):
    put(root, "/etc/xinetd.conf", text("xinetd.conf"))
    put(root, "/etc/xinetd.d/telnet", text("xinetd_telnet"))
    put(root, "/etc/xinetd.d/telnet.bak", text("xinetd_telnet"))
    host = machine(str(root), running=False)
    entries, gaps = inet_entries.read_all(host.read, host.list, host.exists)
    assert [one.file for one in entries] == ["/etc/xinetd.d/telnet"]
    assert gaps == []


def test_an_include_of_itself_ends(root):
    put(root, "/etc/xinetd.conf", "include /etc/xinetd.conf\nincludedir /etc/xinetd.d\nincludedir /etc/xinetd.d\n")
    host = machine(str(root), running=False)
    assert inet_entries.read_all(host.read, host.list, host.exists) == ([], [])


def test_rpcinfo_names_who_has_registered():
    assert services.parse_rpcinfo(text("rpcinfo.txt")) == ["program 100024 is registered (status)"]


# The edit

def test_an_entry_of_inetd_is_commented_out_and_nothing_else():
    before = text("inetd.conf_bullseye")
    after = inet_entries.without_inetd(before, {("telnet", "tcp")})
    changed = [(old, new) for old, new in zip(before.splitlines(), after.splitlines(), strict=True) if old != new]
    assert [(new, new[1:]) for _old, new in changed] == [(new, old) for old, new in changed]
    assert [one.name for one in inet_entries.parse_inetd(after)] == ["shell", "login", "exec"]


@pytest.mark.parametrize("name", ["xinetd_telnet", "xinetd_chargen"])
def test_an_entry_of_xinetd_is_disabled_and_the_edit_is_idempotent(name):
    before = text(name).replace("disable\t\t= yes", "disable\t\t= no").replace("disable = yes", "disable = no")
    entries = inet_entries.xinetd_entries([inet_entries.parse_xinetd(before)])
    first = (entries[0].name, entries[0].proto)
    after = inet_entries.without_xinetd(before, {first})
    now = inet_entries.xinetd_entries([inet_entries.parse_xinetd(after)])
    assert [one.enabled for one in now] == [False] + [True] * (len(entries) - 1)
    assert inet_entries.without_xinetd(after, {first}) == after
    assert len(set(after.splitlines()) - set(before.splitlines())) == 1


# What is found

def test_a_socket_that_waits_is_open_and_is_said_to_bring_the_service_back():
    host = machine(units=(
        unit("telnet.socket", "active", "enabled", triggers=("telnet@.service",)),
        unit("telnet@.service", enabled="static")), listeners=(tcp(23, "systemd", socket_unit="telnet.socket"),))
    one = judged(host)["telnet (systemd)"]
    assert (one["status"], one["check"]) == ("open", "services.legacy_plaintext")
    assert "telnet.socket starts it again" in one["reason"]
    assert one["evidence"]["effective"]["listeners"] == ["tcp 0.0.0.0:23"]
    assert set(one["evidence"]["persistent"]["units"]) == {"telnet.socket", "telnet@.service"}


def test_a_socket_that_starts_a_stopped_service_counts():
    host = machine(units=(unit("avahi-daemon.service", triggered_by=("avahi-daemon.socket",)),
                                unit("avahi-daemon.socket", "active", "enabled")))
    assert judged(host)["avahi (systemd)"]["status"] == "open"


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ({"enabled": "masked", "load": "masked"}, "passed", "masked"),
        ({"enabled": "disabled"}, "passed", "neither running nor started at boot"),
        ({"enabled": "static"}, "passed", "neither running nor started at boot"),
        ({"enabled": "enabled"}, "open", "started at boot"),
        ({"enabled": "disabled", "active": "active"}, "open", "running"),
        ({"enabled": "static", "required_by": ("multi-user.target",)}, "open", "started at boot"),
        ({"enabled": "masked", "load": "masked", "active": "active"}, "open", "running"),
    ],
)
def test_states_of_a_unit(state, status, reason):
    one = judged(machine(units=(unit("avahi-daemon.service", **state),)))["avahi (systemd)"]
    assert one["status"] == status
    assert reason in one["reason"]


def test_a_generated_unit_starts_at_boot_where_a_runlevel_has_it(root):
    host = machine(str(root), units=(unit("tftpd-hpa.service", enabled="generated"),))
    assert judged(host)["tftp (systemd)"]["status"] == "passed"
    put(root, "/etc/rc3.d/S01tftpd-hpa", "")
    assert judged(machine(str(root), units=host.unit_items))["tftp (systemd)"]["status"] == "open"


def test_nothing_installed_is_not_applicable():
    found = judged(machine(units=(unit("ssh.service", "active", "enabled"),)))
    assert {one["status"] for one in found.values()} == {"not_applicable"}


def test_the_real_units_of_debian_12():
    shown = tuple(units.unit_of(fields) for fields in units.parse_show(text("show_bookworm.txt")))
    found = judged(machine(units=shown))
    status = {resource: one["status"] for resource, one in found.items()}
    assert status == {"tftp (systemd)": "open", "nfs (systemd)": "open", "rpcbind (systemd)": "open",
                      "avahi (systemd)": "open", "cups (systemd)": "open"}


# What needs it

RPCBIND = (unit("rpcbind.service", "active", "enabled", triggered_by=("rpcbind.socket",)),
           unit("rpcbind.socket", "active", "enabled", required_by=("ledger.service", "sockets.target")))


@pytest.mark.parametrize(
    ("other", "status"),
    [
        (unit("ledger.service", "active", "enabled"), "passed"),
        (unit("ledger.service", "inactive", "enabled", required_by=("multi-user.target",)), "passed"),
        (unit("ledger.service", "inactive", "disabled"), "open"),
    ],
)
def test_a_unit_that_needs_it_keeps_it(other, status):
    one = judged(machine(units=(*RPCBIND, other)))["rpcbind (systemd)"]
    assert one["status"] == status
    assert status == "open" or "ledger.service needs rpcbind.socket" in one["reason"]


def test_what_is_to_go_itself_keeps_nothing():
    server = unit("nfs-server.service", "active", "enabled")
    socket = unit("rpcbind.socket", "active", "enabled", required_by=("nfs-server.service",))
    both = judged(machine(units=(server, socket)))
    assert {both["nfs (systemd)"]["status"], both["rpcbind (systemd)"]["status"]} == {"open"}
    kept = judged(machine(units=(server, socket)), keep=["nfs-server"])
    assert {kept["nfs (systemd)"]["status"], kept["rpcbind (systemd)"]["status"]} == {"passed"}


def test_nfs_that_is_mounted_or_exported_keeps_rpcbind(root):
    put(root, "/etc/fstab", "# x\nfiles:/home /home nfs4 defaults 0 0\n")
    assert "/etc/fstab mounts /home" in judged(machine(str(root), units=RPCBIND))["rpcbind (systemd)"]["reason"]
    put(root, "/etc/fstab", "")
    put(root, "/etc/exports", "# none\n/srv 10.0.0.0/8(ro)\n")
    server = unit("nfs-server.service", "active", "enabled")
    socket = unit("rpcbind.socket", "active", "enabled", required_by=("nfs-server.service",))
    found = judged(machine(str(root), units=(server, socket)))
    assert {found["nfs (systemd)"]["status"], found["rpcbind (systemd)"]["status"]} == {"passed"}


def test_a_registered_program_keeps_rpcbind_and_a_sleeping_rpcbind_is_not_woken():
    host = machine(units=RPCBIND, rpcinfo="   391002    2    tcp   0.0.0.0.3.3    sgi_fam   superuser\n")
    assert "program 391002 is registered" in judged(host)["rpcbind (systemd)"]["reason"]
    host = machine(units=(unit("rpcbind.socket", "active", "enabled"), unit("rpcbind.service")))
    judged(host)
    assert host.asked == []


def test_a_printer_keeps_cups_and_what_cannot_be_read_is_unknown(root):
    cups = (unit("cups.service", "active", "enabled"),)
    put(root, "/etc/cups/printers.conf", "<DefaultPrinter office>\n</DefaultPrinter>\n")
    assert judged(machine(str(root), units=cups))["cups (systemd)"]["status"] == "passed"
    (root / "etc/cups/printers.conf").unlink()
    (root / "etc/cups/printers.conf").mkdir()
    one = judged(machine(str(root), units=cups))["cups (systemd)"]
    assert (one["status"], "printers.conf" in one["reason"]) == ("unknown", True)


def test_who_is_connected_keeps_it_or_is_named():
    cups = machine(units=(unit("cups.service", "active", "enabled"),),
                    listeners=(tcp(631, "cupsd", unit="cups.service"),), connections=[connection(631, "10.0.0.9")])
    assert "10.0.0.9 is connected" in judged(cups)["cups (systemd)"]["reason"]
    telnet = machine(units=(unit("telnet.socket", "active", "enabled"),),
                      listeners=(tcp(23, "systemd", socket_unit="telnet.socket"),),
                      connections=[connection(23, "10.0.0.9"), connection(22, "10.0.0.8")])
    one = judged(telnet)["telnet (systemd)"]
    assert (one["status"], one["risk"], one["affects"]) == ("open", "disruptive", ["10.0.0.9 is connected to it"])


def test_clients_that_cannot_be_seen_are_not_taken_for_none():
    unseen = ("the sockets of other users cannot be seen without root",)
    host = machine(units=(unit("cups.service", "active", "enabled"), unit("telnet.socket", "active", "enabled"),
                                unit("avahi-daemon.service", enabled="enabled")), unseen=unseen)
    found = judged(host)
    assert found["cups (systemd)"]["status"] == "unknown"
    assert found["telnet (systemd)"]["risk"] == "disruptive"
    assert found["avahi (systemd)"]["status"] == "open"  # it does not run, so nobody is connected


def test_nis_that_the_name_service_uses_is_for_a_person(root):
    put(root, "/etc/nsswitch.conf", "passwd: files nis\n")
    one = judged(machine(str(root), units=(unit("ypbind.service", "active", "enabled"),)))["nis (systemd)"]
    assert (one["status"], one["risk"]) == ("open", "manual")


# Super-servers, scripts and daemons

def test_an_entry_counts_only_where_a_super_server_runs_or_will(root):
    put(root, "/etc/xinetd.conf", text("xinetd.conf"))
    put(root, "/etc/xinetd.d/telnet", text("xinetd_telnet").replace("disable = yes", "disable = no"))
    resource = "telnet tcp (/etc/xinetd.d/telnet)"
    off = machine(str(root), units=(unit("xinetd.service"),))
    assert judged(off)[resource]["status"] == "passed"
    by_hand = machine(str(root), processes=(process("xinetd"),), listeners=(tcp(23, "xinetd"),),
                       connections=[connection(23, "::1")])
    one = judged(by_hand)[resource]
    assert (one["status"], one["affects"]) == ("open", ["::1 is connected to it"])
    assert one["evidence"]["effective"] == {"served_by": ["xinetd"], "listeners": ["tcp 0.0.0.0:23"]}
    later = machine(str(root), units=(unit("xinetd.service", enabled="enabled"),))
    assert judged(later)[resource]["status"] == "open"


def test_xinetd_serves_inetd_conf_only_when_told(root):
    put(root, "/etc/inetd.conf", text("inetd.conf_bullseye"))
    resource = "telnet tcp (/etc/inetd.conf)"
    xinetd = (unit("xinetd.service", "active", "enabled"),)
    assert judged(machine(str(root), units=xinetd))[resource]["status"] == "passed"
    put(root, "/etc/default/xinetd", "INETD_COMPAT=Yes\n")
    assert judged(machine(str(root), units=xinetd))[resource]["status"] == "open"


def test_a_server_that_can_do_tls_is_no_plain_ftp(root):
    put(root, "/etc/inetd.conf", "ftp stream tcp nowait root /usr/sbin/vsftpd vsftpd\n")
    inetd = (unit("inetd.service", "active", "enabled"),)
    assert "ftp tcp (/etc/inetd.conf)" not in judged(machine(str(root), units=inetd))
    put(root, "/etc/inetd.conf", "ftp stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.ftpd\n")
    assert judged(machine(str(root), units=inetd))["ftp tcp (/etc/inetd.conf)"]["status"] == "open"


def test_an_unreadable_list_of_entries_is_unknown(root):
    (root / "etc/inetd.conf").mkdir()
    found = judged(machine(str(root)))
    assert {one["status"] for one in found.values()} == {"unknown"}
    assert all("/etc/inetd.conf" in one["reason"] for one in found.values())


def test_units_that_cannot_be_listed_are_unknown():
    found = judged(machine(gaps=("systemd cannot be asked: timed out",)))
    assert {one["status"] for one in found.values()} == {"unknown"}


def test_a_daemon_started_by_hand_or_in_a_container_is_for_a_person():
    by_hand = process("in.telnetd", unit="session-4.scope")
    boxed = process("busybox", argv=("telnetd", "-F"), container="podman:0123456789abcdef")
    found = judged(machine(processes=(by_hand, boxed)))
    risks = {resource: one["risk"] for resource, one in found.items() if one["status"] == "open"}
    assert risks == {"telnet (process /usr/sbin/in.telnetd, a login session)": "manual",
                     "telnet (process /usr/sbin/busybox, container 0123456789ab)": "manual"}


def test_a_process_of_another_program_that_calls_itself_telnetd_is_none():
    assert {one["status"] for one in judged(machine(processes=(
        process("sleep", argv=("telnetd",)),))).values()} == {"not_applicable"}


def test_the_child_of_a_super_server_is_no_service_of_its_own():
    host = machine(units=(unit("xinetd.service", "active", "enabled"),),
                    processes=(process("telnetd", unit="xinetd.service"),))
    assert {one["status"] for one in judged(host).values()} == {"not_applicable"}


def test_init_scripts_are_judged_by_runlevels_and_processes(root):
    put(root, "/etc/init.d/tftpd-hpa", "#!/bin/sh\n")
    put(root, "/etc/init.d/avahi-daemon", "#!/bin/sh\n")
    put(root, "/etc/rc3.d/S01tftpd-hpa", "")
    host = machine(str(root), init="sysvinit", processes=(process("avahi-daemon"),))
    found = judged(host)
    assert found["tftp (init)"]["reason"] == "started at boot: tftpd-hpa.init"
    assert found["avahi (init)"]["reason"] == "running: avahi-daemon.init"
    # Where no init runs, a runlevel starts nothing.
    assert judged(machine(str(root), init="none", container="docker"))["tftp (init)"]["status"] == "passed"


def test_a_root_filesystem_that_is_not_running_is_judged_by_its_links(root):
    put(root, "/usr/lib/systemd/system/rpcbind.socket", "[Install]\nWantedBy=sockets.target\n")
    put(root, "/usr/lib/systemd/system/avahi-daemon.service", "[Install]\nWantedBy=multi-user.target\n")
    (root / "etc/systemd/system/sockets.target.wants").mkdir(parents=True)
    (root / "etc/systemd/system/sockets.target.wants/rpcbind.socket").symlink_to("/lib/systemd/system/rpcbind.socket")
    (root / "etc/systemd/system/avahi-daemon.service").symlink_to("/dev/null")
    found = judged(machine(str(root), running=False))
    assert found["rpcbind (systemd)"]["status"] == "open"
    assert "effective" not in found["rpcbind (systemd)"]["evidence"]
    assert found["avahi (systemd)"]["reason"] == "masked"


# Policy

def test_the_policy_keeps_by_unit_glob_and_name():
    host = machine(units=(unit("avahi-daemon.service", "active", "enabled"),))
    for keep in (["avahi-daemon.service"], ["avahi*"], ["avahi"], ["avahi-daemon"]):
        assert judged(host, keep=keep)["avahi (systemd)"]["reason"] == "the policy keeps it"


def test_the_policy_adds_units_with_their_sockets():
    host = machine(units=(unit("pcscd.service", triggered_by=("pcscd.socket",)),
                                unit("pcscd.socket", "active", "enabled")))
    one = judged(host, unneeded=["pcscd"])["pcscd (systemd)"]
    assert one["status"] == "open"
    assert sorted(one["evidence"]["persistent"]["units"]) == ["pcscd.service", "pcscd.socket"]
    assert judged(host, legacy_plaintext=["pcs*.service"])["pcs*.service (systemd)"]["check"] == services.CHECKS[1]


# Hostile text

WORDS = st.sampled_from(["service", "telnet", "{", "}", "disable", "=", "yes", "no", "defaults", "enabled", "\n", "\t",
                         "#", "include", "stream", "tcp", "nowait", "root", "/usr/sbin/tcpd", "id", "\x1b[31m",
                         "{{ 7 }}"])


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join)))
def test_no_text_breaks_the_parsers_and_an_edit_switches_off_what_it_should(written):
    entries = inet_entries.parse_inetd(written)
    keys = {(one.name, one.proto) for one in entries}
    assert inet_entries.parse_inetd(inet_entries.without_inetd(written, keys)) == []
    one = inet_entries.parse_xinetd(written)
    keys = {(entry.name, entry.proto) for entry in inet_entries.xinetd_entries([one])}
    after = inet_entries.parse_xinetd(inet_entries.without_xinetd(written, keys))
    assert not any(entry.enabled for entry in inet_entries.xinetd_entries([after]))
    services.parse_rpcinfo(written)


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text())
def test_hostile_names_stay_data(name, peer):
    host = machine(units=(unit(name + ".socket", "active", "enabled", required_by=(peer,)),))
    found = services.check(services.collect(host, {**POLICY, "unneeded": ["*"]}), {**POLICY, "unneeded": ["*"]})
    json.dumps(found)
    assert {one["check"] for one in found} == set(services.CHECKS)


def test_what_a_container_needs_is_not_assessed():
    found = judged(machine(processes=(process("rpcbind", container="docker:0123456789abcdef"),)))
    assert found["rpcbind (process /usr/sbin/rpcbind, container 0123456789ab)"]["status"] == "not_assessed"
