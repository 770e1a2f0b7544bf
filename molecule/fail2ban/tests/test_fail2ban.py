"""Who guesses passwords is banned, who does not gets in, and accounts are locked for a while."""

import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import lab
import pytest

SSHGUARD = "hm-fail2ban-sshguard"
BOOKWORM = "hm-fail2ban-bookworm"
BLIND = "hm-fail2ban-blind"
TRIXIE = "hm-fail2ban-trixie"
LOCKOUTS = {("fail2ban.no_lockout", "/etc/pam.d/sshd"), ("fail2ban.no_lockout", "/etc/pam.d/vsftpd")}
FOUND = {
    "hm-fail2ban-bullseye": {("fail2ban.missing", "brute force")} | LOCKOUTS,
    BOOKWORM: {("fail2ban.missing", "brute force")} | LOCKOUTS,
    TRIXIE: {("fail2ban.jail_blind", "sshd (ssh)"), ("fail2ban.jail_missing", "vsftpd")} | LOCKOUTS,
    BLIND: {("fail2ban.jail_blind", "sshd (ssh)"), ("fail2ban.jail_missing", "vsftpd")} | LOCKOUTS,
    SSHGUARD: {("fail2ban.no_lockout", "/etc/pam.d/sshd")},
}
SSH = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5",
       "-o", "PreferredAuthentications=password", "-o", "LogLevel=ERROR")
PASSWORD = "right-and-long"  # of an account of the container's alone


@pytest.fixture(scope="module")
def neighbour():
    """Return a second container, which does nothing wrong."""
    name = f"hm-fail2ban-neighbour-{uuid.uuid4().hex[:8]}"
    lab.engine.podman("run", "--detach", f"--name={name}", f"--label={lab.containers.LABEL}=fail2ban",
                      f"--network={lab.containers.NETWORK}", "--pull=never", "localhost/hostmend-lab:bookworm",
                      "sleep", "1800")
    try:
        yield lab.Attacker(name)
    finally:
        lab.engine.podman("rm", "--force", "--time=0", name)


def login(run, address, password, user="victim", port=22):
    """Try to log in over SSH and return whether it worked."""
    made = run("timeout", "20", "sshpass", "-p", password, "ssh", *SSH, "-p", str(port), f"{user}@{address}", "true")
    return made.returncode == 0


def at_once(attempt, count):
    """Return the outcome of several attempts; PAM answers each wrong one late, so they are made side by side."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(attempt, range(count)))


def ftp(attacker, address):
    host = f"[{address}]" if ":" in address else address
    return attacker.run("curl", "--silent", "--max-time", "10", "--user", "victim:wrong", f"ftp://{host}/")


def is_cut_off(attacker, address, port):
    """Wait until an address is banned from a port."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if not attacker.connects(address, port):
            return True
        time.sleep(0.5)
    return False


def jail(name, *words):
    return lab.inside(name, "fail2ban-client", *words, check=True).stdout


def test_all_of_it_was_found(name):
    assert {(one["check"], one["resource"]) for one in lab.findings("foretold", name, "open")} == FOUND[name]


def test_check_mode_foretold_what_was_done(name):
    assert lab.changes("foretold", name) == lab.changes("mended", name) != set()


def test_nothing_is_open_any_more(name):
    assert [one for one in lab.findings("mended", name) if one["status"] in ("open", "unknown")] == []


def test_nothing_is_put_beside_sshguard(name):
    active = lab.inside(name, "systemctl", "is-active", "fail2ban").stdout.strip()
    assert (active == "active") == (name != SSHGUARD)
    own = lab.inside(name, "test", "-e", "/etc/fail2ban/jail.d/zz-hostmend.conf").returncode == 0
    assert own == (name != SSHGUARD)


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_who_guesses_over_ssh_is_banned_and_others_are_not(name, attacker, neighbour, family):
    if name == SSHGUARD or (family and name != TRIXIE):
        pytest.skip("one host shows it")
    address, source = lab.addresses(name)[family], lab.addresses(attacker.name)[family]
    assert not any(at_once(lambda count: login(attacker.run, address, f"wrong{count}", user="nobody-here"), 3))
    assert is_cut_off(attacker, address, 22)
    if name == TRIXIE:
        assert not attacker.connects(address, 2222)
    assert login(neighbour.run, address, PASSWORD)
    with socket.create_connection((address, 22), timeout=5) as controller:
        assert controller.recv(4) == b"SSH-"
    assert source in jail(name, "status", "sshd")
    jail(name, "set", "sshd", "unbanip", source)
    assert attacker.connects(address, 22)


def test_who_guesses_over_ftp_is_banned_from_ftp(name, attacker, neighbour):
    if name == SSHGUARD:
        pytest.skip("it has no FTP")
    address, source = lab.addresses(name)[0], lab.addresses(attacker.name)[0]
    assert all(made.returncode for made in at_once(lambda _count: ftp(attacker, address), 3))
    assert is_cut_off(attacker, address, 21)
    assert neighbour.connects(address, 21)
    assert source in jail(name, "status", "vsftpd")
    jail(name, "set", "vsftpd", "unbanip", source)
    assert attacker.connects(address, 21)


def test_who_guesses_at_a_website_is_banned_from_it(name, attacker, neighbour):
    if name != BOOKWORM:
        pytest.skip("one host shows it")
    address, source = lab.addresses(name)[0], lab.addresses(attacker.name)[0]
    for _count in range(3):
        attacker.run("curl", "--silent", "--max-time", "10", "--user", "victim:wrong", f"http://{address}/")
    assert is_cut_off(attacker, address, 80)
    assert neighbour.connects(address, 80)
    assert source in jail(name, "status", "nginx-http-auth")
    jail(name, "unban", source)
    assert attacker.connects(address, 80)


def test_the_controller_is_never_banned(name):
    if name == SSHGUARD:
        pytest.skip("what it lets in is its own")
    ignored = jail(name, "get", "sshd", "ignoreip")
    assert "10.213.78.1" in ignored
    assert "fd13:78::1" in ignored


def test_an_account_is_locked_and_a_right_login_works_after(name):
    if name in (BLIND, SSHGUARD):
        pytest.skip("it has the PAM of another host of this scenario")

    def attempt(password):
        return login(lambda *argv: lab.inside(name, *argv), "127.0.0.1", password)

    lab.inside(name, "faillock", "--user", "victim", "--reset", check=True)
    assert attempt(PASSWORD)
    assert not any(at_once(lambda count: attempt(f"wrong{count}"), 4))
    assert not attempt(PASSWORD)
    lab.inside(name, "faillock", "--user", "victim", "--reset", check=True)
    assert attempt(PASSWORD)
    # The account line sets the count back: failures before a right login do not add up.
    assert not any(at_once(lambda count: attempt(f"wrong{count}"), 3))
    assert attempt(PASSWORD)
    assert not attempt("wrong")
    assert attempt(PASSWORD)


def test_it_is_there_after_a_restart(name, attacker):
    if name == BLIND:  # nor does a log that has gone keep fail2ban from starting
        lab.inside(name, "rm", "-f", "/var/log/vsftpd.log", "/var/log/fail2ban.log", check=True)
    lab.restart(name)
    assert [one for one in lab.audit(name, "fail2ban") if one["status"] in ("open", "unknown")] == []
    if name in (TRIXIE, "hm-fail2ban-bullseye"):
        address = lab.addresses(name)[0]
        at_once(lambda count: login(attacker.run, address, f"wrong{count}", user="nobody-here"), 3)
        assert is_cut_off(attacker, address, 22)
