"""What nobody needs is found, foretold, gone, and stays away; what is needed is left alone."""

import time

import lab
import pytest

NEEDED, CLIENT = "hm-services-needed", "hm-services-client"
UNNEEDED = {"rpcbind (systemd)", "avahi (systemd)", "cups (systemd)", "chargen-stream tcp (/etc/xinetd.d/chargen)",
            "daytime tcp (/etc/inetd.conf)"}
PORTS = {"telnet": 23, "rpcbind": 111, "cups": 631, "chargen": 19, "daytime": 13}


def offered(name):
    """Return (resources of services.unneeded, resources of services.legacy_plaintext) that a host offers."""
    telnet = "telnet (systemd)" if name.endswith("trixie") else "telnet tcp (/etc/xinetd.d/telnet)"
    unneeded = UNNEEDED - ({"rpcbind (systemd)", "cups (systemd)"} if name == NEEDED else set())
    return unneeded, {telnet, "tftp (systemd)"}


def resources(findings, check):
    return {one["resource"] for one in findings if one["check"] == check}


@pytest.fixture
def switched_off(name):
    if name == CLIENT:
        pytest.skip("it offers nothing")
    return name


def test_all_of_it_was_found(switched_off):
    found = lab.findings("foretold", switched_off, "open")
    unneeded, legacy = offered(switched_off)
    assert resources(found, "services.unneeded") >= unneeded
    assert resources(found, "services.legacy_plaintext") == legacy


def test_nothing_was_found_where_nothing_runs(name):
    assert name != CLIENT or lab.findings("foretold", name, "open") == []


def test_check_mode_foretold_what_was_done(name):
    assert lab.changes("foretold", name) == lab.changes("mended", name)
    assert bool(lab.changes("mended", name)) == (name != CLIENT)


def test_nothing_is_open_any_more(name):
    assert [one for one in lab.findings("mended", name, "open") if one["class"] == "services"] == []
    found = lab.audit(name, "services")
    assert [one["resource"] for one in found if one["status"] in ("open", "unknown")] == []
    if name != CLIENT:
        unneeded, legacy = offered(name)
        commented = {"daytime tcp (/etc/inetd.conf)"}  # an entry no longer
        assert {one["resource"] for one in found if one["status"] == "passed"} >= (unneeded | legacy) - commented


def test_nobody_connects_any_more(switched_off, attacker):
    kept = {"rpcbind", "cups"} if switched_off == NEEDED else set()
    for address in lab.addresses(switched_off):
        answers = {service for service, port in PORTS.items() if attacker.connects(address, port)}
        assert answers == kept


def test_what_is_needed_is_left_alone(name, attacker):
    if name != NEEDED:
        return
    states = lab.inside(name, "systemctl", "is-active", "rpcbind.socket", "rpcbind.service", "ledger.service",
                        "cups.service").stdout.split()
    assert states == ["active"] * 4
    passed = {one["resource"]: one["reason"] for one in lab.audit(name, "services") if one["status"] == "passed"}
    assert "ledger.service needs rpcbind.socket" in passed["rpcbind (systemd)"]
    assert f"{lab.addresses(CLIENT)[0]} is connected to it" in passed["cups (systemd)"] or \
        f"{lab.addresses(CLIENT)[1]} is connected to it" in passed["cups (systemd)"]


def test_a_peer_does_not_bring_it_back(switched_off):
    for unit in ("avahi-daemon.socket", "avahi-daemon.service", "tftpd-hpa.service"):
        assert lab.inside(switched_off, "systemctl", "start", unit).returncode != 0
        assert lab.inside(switched_off, "systemctl", "is-active", unit).stdout.strip() in ("inactive", "failed")
    if switched_off == NEEDED:
        return
    for unit in ("rpcbind.socket", "rpcbind.service", "cups.socket", "cups.path"):
        assert lab.inside(switched_off, "systemctl", "start", unit).returncode != 0


def test_xinetd_still_runs(switched_off):
    assert lab.inside(switched_off, "systemctl", "is-active", "xinetd.service").stdout.strip() == "active"


def test_nothing_else_failed(switched_off):
    failed = lab.inside(switched_off, "systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
    assert not any(word in failed for word in ("rpcbind", "avahi", "cups", "tftp", "xinetd", "telnet", "ledger"))


def test_it_is_not_back_after_a_restart(switched_off, attacker):
    lab.restart(switched_off)
    time.sleep(1)
    kept = {"rpcbind", "cups"} if switched_off == NEEDED else set()
    for address in lab.addresses(switched_off):
        assert {service for service, port in PORTS.items() if attacker.connects(address, port)} == kept
    # Nobody is connected to cups any more, so it may be in the way now.
    left = {one["resource"] for one in lab.audit(switched_off, "services") if one["status"] == "open"}
    assert left == ({"cups (systemd)"} if switched_off == NEEDED else set())
