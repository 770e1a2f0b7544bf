"""Each open instance is found, foretold and mended, its replica and sentinel go on, and nobody gets in."""

import time

import lab
import pytest

OPEN, ACL, WEAK = 6379, 6381, 6382


def resource(port, kind):
    return f"redis-server {port} (/etc/redis/redis-{kind}.conf)"


def found(phase, name, check):
    return {one["resource"] for one in lab.findings(phase, name, "open") if one["check"] == check}


def cli(name, port, *words, password=None):
    environment = ["env", f"REDISCLI_AUTH={password}"] if password else []
    return lab.inside(name, *environment, "redis-cli", "-p", str(port), *words).stdout.strip()


def secret(name, port):
    return lab.inside(name, "cat", f"/etc/hostmend/secrets/redis-{port}", check=True).stdout.strip()


def test_all_of_it_was_found(name):
    both = {resource(OPEN, "open"), resource(ACL, "acl")}
    assert found("foretold", name, "redis.no_auth") == both
    assert found("foretold", name, "redis.exposed") == both
    assert found("foretold", name, "redis.dangerous_commands") == both
    assert found("foretold", name, "redis.weak_password") == {resource(WEAK, "weak")}
    assert found("foretold", name, "redis.config_world_readable") == {resource(WEAK, "weak")}


def test_what_only_the_host_reaches_was_not(name):
    spoken = {one["resource"] for one in lab.findings("foretold", name, "open")}
    assert not any("6380" in one or "only.sock" in one or "sentinel" in one for one in spoken)


def test_check_mode_foretold_what_was_done(name):
    assert lab.changes("foretold", name) == lab.changes("mended", name) != set()


def test_what_can_be_mended_is(name):
    assert lab.open_checks("mended", name) <= {"redis.dangerous_commands"}
    left = {(one["check"], one["status"]) for one in lab.audit(name, "redis") if one["status"] in ("open", "unknown")}
    assert left == set()


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("port", [OPEN, ACL])
def test_an_attacker_does_not_get_in(name, attacker, family, port):
    address = lab.addresses(name)[family]
    for words in (["ping"], ["config", "set", "dir", "/root"], ["-a", "redis123", "ping"]):
        asked = attacker.run("timeout", "3", "redis-cli", "-h", address, "-p", str(port), *words)
        assert "PONG" not in asked.stdout and "OK" not in asked.stdout


@pytest.mark.parametrize("port", [OPEN, ACL, WEAK])
def test_the_password_lets_in_and_nothing_else_does(name, port):
    assert "NOAUTH" in cli(name, port, "ping")
    assert cli(name, port, "ping", password=secret(name, port)) == "PONG"
    assert cli(name, port, "ping", password="redis123") != "PONG"


def test_the_data_is_kept_and_the_replica_follows(name):
    # After a failover either of the two may lead, so they have one password.
    assert "NOAUTH" in cli(name, 6380, "info", "replication")
    password = secret(name, OPEN)
    deadline = time.monotonic() + 90
    state = ""
    while "master_link_status:up" not in state and time.monotonic() < deadline:
        time.sleep(1)
        state = cli(name, 6380, "info", "replication", password=password)
    assert "master_link_status:up" in state
    cli(name, OPEN, "set", "later", "too", password=password)
    time.sleep(0.5)
    assert cli(name, 6380, "get", "later", password=password) == "too"


def test_the_sentinel_still_sees_the_master(name):
    deadline = time.monotonic() + 90
    while "flags\nmaster\n" not in cli(name, 26379, "sentinel", "masters") and time.monotonic() < deadline:
        time.sleep(1)
    assert "flags\nmaster\n" in cli(name, 26379, "sentinel", "masters")


def test_the_secrets_are_for_root_alone(name):
    shown = lab.inside(name, "stat", "-c", "%a %U", "/etc/hostmend/secrets", "/etc/hostmend/secrets/redis-6379").stdout
    assert shown.split("\n")[:2] == ["700 root", "600 root"]
    assert lab.inside(name, "stat", "-c", "%a %U:%G", "/etc/redis/redis-weak.conf").stdout.strip() == "640 redis:redis"


def test_no_password_is_in_a_report_or_log(name):
    for port in (OPEN, ACL, WEAK):
        password = secret(name, port)
        assert len(password) >= 32
        for path in lab.KEPT.rglob("*.*"):
            assert password.encode() not in path.read_bytes(), path
        assert password not in lab.inside(name, "journalctl", "--no-pager").stdout


def test_a_restart_keeps_it(name, attacker):
    lab.restart(name)
    for port in (OPEN, ACL, WEAK):
        assert "NOAUTH" in cli(name, port, "ping")
        assert cli(name, port, "ping", password=secret(name, port)) == "PONG"
    assert not attacker.connects(lab.addresses(name)[0], OPEN)
