"""Ports that do not belong on an open network are found, foretold and cut off; the way in stays."""

import lab
import pytest

UFW = "hm-ports-ufw"
REDIS = "6379/tcp (redis-server)"


def resources(findings, check="ports.exposed"):
    return {one["resource"] for one in findings if one["check"] == check}


def test_all_of_it_was_found(name):
    found = lab.findings("foretold", name, "open")
    assert REDIS in resources(found)
    assert "22/tcp (sshd)" in resources(found)
    if name != UFW:  # its own default drops TFTP
        assert any(one.startswith("69/udp") for one in resources(found))
        assert resources(found, "ports.firewall_off") == {"firewall"}
    else:
        assert resources(found, "ports.firewall_off") == set()


def test_redis_was_reached_over_both_families(name):
    found = [one for one in lab.findings("foretold", name, "open") if one["resource"] == REDIS]
    assert {way["family"] for way in found[0]["evidence"]["effective"]["ways"] if way["state"] == "open"} == {4, 6}


def test_check_mode_foretold_what_was_done(name):
    assert lab.changes("foretold", name) == lab.changes("mended", name) != set()


def test_what_could_be_mended_is(name):
    left = resources(lab.findings("mended", name, "open"))
    # SSH is the administrators' way in: it is closed to nobody until the policy says from where they come.
    assert left == {"22/tcp (sshd)"}
    assert {one["resource"] for one in lab.audit(name, "ports") if one["status"] in ("open", "unknown")} == left


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_an_attacker_does_not_get_through(name, attacker, family):
    address = lab.addresses(name)[family]
    assert not attacker.connects(address, 6379)
    assert attacker.connects(address, 22)
    asked = attacker.run("timeout", "3", "redis-cli", "-h", address, "ping")
    assert "PONG" not in asked.stdout


def test_the_service_goes_on_for_the_host_itself(name):
    assert lab.inside(name, "redis-cli", "ping").stdout.strip() == "PONG"


def test_a_port_that_opens_later_is_dropped(name, attacker):
    lab.engine.podman("exec", "--detach", name, "nc", "-l", "-p", "4444")
    assert not attacker.connects(lab.addresses(name)[0], 4444)


def test_the_rules_of_others_are_untouched(name):
    if name == UFW:
        assert "22/tcp" in lab.inside(name, "ufw", "status").stdout
    listed = lab.inside(name, "nft", "list", "tables").stdout
    assert ("table inet hostmend" in listed) == (name != UFW)


def test_a_restart_keeps_it_closed(name, attacker):
    lab.restart(name)
    for address in lab.addresses(name):
        assert not attacker.connects(address, 6379)
        assert attacker.connects(address, 22)
    assert lab.inside(name, "redis-cli", "ping").stdout.strip() == "PONG"
