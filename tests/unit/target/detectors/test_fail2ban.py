"""Brute force: what fail2ban says (captured on Debian 11, 12 and 13), judgement, the jails that are written, bad input."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import fail2ban
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import services as ban_services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import table
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import Reach
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener, Package, Process, Reading, Unit
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import client, config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import jails as fail2ban_jail
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_host import FakeHost
from tests.support.paths import FIXTURES

TEXTS = FIXTURES / "fail2ban"
reading: Any = importlib.import_module(f"{fail2ban.__name__}.collect")
POLICY: dict[str, Any] = {**fail2ban.POLICY, "common": {"controller_addresses": ["192.0.2.9"]}}
RELEASES = ("bullseye", "bookworm", "trixie")
SSHD_T = "port 22\npasswordauthentication yes\nusepam yes\n"
ENABLED = Unit("fail2ban.service", "loaded", "active", "running", "enabled")
UNSEEN = "fail2ban [1]: ERROR Failed to access socket path: /run/x.sock. Is fail2ban running?\n"


def text(name: str) -> str:
    return (TEXTS / name).read_text("utf-8")


def answers(release: str) -> dict[str, str]:
    said: dict[str, str] = json.loads(text(f"answers_{release}.json"))
    return said


class FakeFirewall:
    manager = "none"

    def __init__(self, state: str = "open", sources: tuple[str, ...] = ()) -> None:
        self.state, self.sources = state, sources

    def reach(self, _proto: str, _family: int, _address: str, _port: int) -> Reach:
        return Reach(self.state, self.sources)

    def chains_met(self, _proto: str, _family: int, _port: int) -> frozenset[tuple[str, str]]:
        return frozenset({("filter", "INPUT"), ("filter", "LOCAL-IN")})

    def lets_in(self, _proto: str, _family: int, _port: int, _source: str) -> bool:
        return False


def machine(root: Path, *wanted: tuple[str, int], says: dict[str, str] | None = None, test: str = "", sshd: str = SSHD_T,
            dump: str = "", failure: str = "", units: tuple[Unit, ...] = (ENABLED,), wall: FakeFirewall | None = None,
            more: tuple[Process, ...] = (), address: str = "0.0.0.0", server_uid: int = 0, **other: Any) -> FakeHost:
    """Return a host where services listen, and fail2ban answers what was captured."""
    processes = [Process(40, 1, 0, "systemd-journal", ("journald",), None, False, "/", None, None, 1, 1), *more]
    listeners = [Listener("unix", 0, "", 0, "/run/fail2ban/fail2ban.sock", 9, 1, (50,), "fail2ban-server")]
    for pid, (name, port) in enumerate(wanted, 100):
        unit = "ssh.service" if name == "sshd" else f"{name}.service"
        path = f"/usr/sbin/{name}"
        processes.append(Process(pid, 1, 0, name, (path,), path, False, "/", unit, None, 1, 1))
        listeners.append(Listener("tcp", 4, address, port, "", 9, 1, (pid,), name, unit))
    if says is not None or failure:
        processes.append(Process(50, 1, server_uid, "fail2ban-server", ("fail2ban-server",), None, False, "/",
                                 "fail2ban.service", None, 1, 1))

    def answer(argv: tuple[str, ...], stdin: str) -> tuple[Any, ...]:
        if argv[0] == "sshd":
            return 0 if sshd else 255, sshd, ""
        if "-t" in argv:
            return 255 if test else 0, "", test
        if "-d" in argv:
            return 0, dump, ""
        if failure:
            return None, "", "", failure
        said = [(says or {}).get(line, "") for line in stdin.splitlines()]
        return 255, "Fail2Ban\n\n" + "".join(f"fail2ban> {one}\n" for one in [*said, ""]), ""

    return FakeHost(root, answer, units=units, processes=tuple(processes), listeners=tuple(listeners),
                    packages=(Package("python3-systemd", "1", "all", "", ""),), firewall=wall or FakeFirewall(),
                    **{"container": "podman", **other})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("etc/fail2ban/jail.d", "etc/pam.d", "usr/bin", "usr/sbin", "run/fail2ban", "var/log", "etc/ssh"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("usr/bin/fail2ban-server", "usr/sbin/nft", "usr/sbin/pam-auth-update"):
        put(tmp_path, name, "")
    put(tmp_path, "etc/services", "ssh\t22/tcp\nftp\t21/tcp\n")
    for stack in ("sshd", "vsftpd"):
        put(tmp_path, f"etc/pam.d/{stack}", "@include common-auth\n@include common-account\n")
    put(tmp_path, "etc/pam.d/common-auth", text("common-auth"))
    put(tmp_path, "etc/pam.d/common-account", text("common-account"))
    monkeypatch.setattr(reading, "_socket", lambda host, server: "/run/fail2ban/fail2ban.sock")
    return tmp_path


def put(root: Path, name: str, content: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content, "utf-8")


def judged(host: FakeHost, **policy: Any) -> dict[tuple[str, str], dict[str, Any]]:
    made = {**POLICY, **policy}
    facts = json.loads(json.dumps(fail2ban.collect(host, made)))
    found = fail2ban.check(facts, made)
    assert {one["check"] for one in found} == set(fail2ban.CHECKS)
    return {(one["check"], one["resource"]): one for one in found}


def statuses(host: FakeHost, check: str, **policy: Any) -> dict[str, str]:
    return {resource: one["status"] for (name, resource), one in judged(host, **policy).items() if name == check}


def sections(written: str) -> dict[str, dict[str, str]]:
    return {name: {key: one.value for key, one in keys.items()} for name, keys in config.parse(written).items()}


def ssh_jail(release: str = "bookworm", **changed: str) -> dict[str, str]:
    """Return what a fail2ban says whose one jail is that of SSH, reading the journal, with some answers changed."""
    said = answers(release)
    said.update({"status": "Status\n|- Number of jail:\t1\n`- Jail list:\tsshd",
                 "status sshd": "Status for the jail: sshd\n|- Filter\n|  `- Journal matches:\t_SYSTEMD_UNIT=ssh.service",
                 "get sshd logpath": "No file is currently monitored",
                 "get sshd journalmatch": "Current match filter:\n_SYSTEMD_UNIT=ssh.service"})
    names = {"match": "get sshd journalmatch", "actions": "get sshd actions", "jails": "status",
             "port": "get sshd action nftables-multiport port", "ban": "get sshd action nftables-multiport actionban"}
    said.update({names[name]: value for name, value in changed.items()})
    return said


# What fail2ban says

@pytest.mark.parametrize("release", RELEASES)
def test_jails_that_run(root, release):
    jails, gaps = client.jails(machine(root, says=answers(release)))
    assert gaps == []
    assert sorted(jails) == ["mysqld-auth", "recidive", "sshd", "vsftpd"]
    assert jails["sshd"]["logs"] == ["/var/log/auth.log"] or jails["sshd"]["kind"] == "journal"
    assert jails["vsftpd"]["logs"] == ["/var/log/vsftpd.log"]
    lands = [["inet", "f2b-table", "f2b-chain", "input"]]
    assert jails["sshd"]["actions"] == [{"name": "nftables-multiport", "program": "nft", "ports": "22", "lands": lands}]
    assert jails["recidive"]["actions"] == [{"name": "nftables-allports", "program": "nft", "ports": None, "lands": lands}]
    assert "10.213.78.1" in jails["sshd"]["ignored"]


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_asked_takes_three_calls(root, release):
    host = machine(root, says=answers(release))
    client.jails(host)
    assert len(host.asked) == 3


@pytest.mark.parametrize("release", RELEASES)
def test_a_dump_says_what_the_server_says(root, release):
    running = client.jails(machine(root, says=answers(release)))[0]
    written = client.dump(text(f"dump_{release}.txt"))
    assert sorted(running) == sorted(written)
    for name, jail in running.items():
        for key in ("kind", "actions", *(["matches"] if jail["kind"] == "journal" else [])):
            assert written[name][key] == jail[key]
        assert len(written[name]["regexes"]) == len(jail["regexes"])


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("source", ["server", "dump"])
def test_filters_take_what_services_log(root, release, source):
    jails = (client.jails(machine(root, says=answers(release)))[0] if source == "server"
             else client.dump(text(f"dump_{release}.txt")))

    def catches(service: str, identifier: str, line: int = 0) -> bool | None:
        known = table.BY_NAME[service]
        jail = jails[known.jail]
        return client.catches(jail["prefix"], jail["regexes"], known.lines[line].format(identifier))

    assert catches("ssh", "sshd")
    assert catches("ssh", "sshd", 1)
    # Only the filter of Debian 13 knows the name that OpenSSH 9.8 and later logs under.
    assert catches("ssh", "sshd-session") == (release == "trixie")
    assert catches("vsftpd", "")
    assert catches("vsftpd", "vsftpd", 1)
    assert catches("mysql", "mariadbd")
    assert not catches("mysql", "postgres")


# The filters of Debian 12's fail2ban, and lines that the services of Debian 11, 12 and 13 really wrote (less the date).
APACHE = {"get apache-auth prefregex": r"^\[\]\s\[(?:error|(?:\w+):(?:error|\S+))\]"
          r"(?: \[pid \d+(?::\S+ \d+)?\])? \[client (?:<HOST>)(?::\d{1,5})?\] (?:AH\d+: )?<F-CONTENT>.+</F-CONTENT>$",
          "get apache-auth failregex": "|- [0]: ^user (?!`)(?:\\S*|.*?) (?:auth(?:oriz|entic)ation failure|not found)\\b\n"
          "`- [1]: ^([A-Z]\\w+: )?user (?:\\S*|.*?): password mismatch\\b"}
NGINX = {"get nginx-http-auth prefregex": "None", "get nginx-http-auth failregex":
         r'`- [0]: ^\s*\[error\] \d+#\d+: \*\d+ user "(?:[^"]+|.*?)":? (?:password mismatch|was not found in '
         r'"[^\"]*"), client: <HOST>,'}


@pytest.mark.parametrize(
    ("name", "filters", "conf"),
    [("apache", APACHE, ("etc/apache2/conf-enabled/lab.conf", "<Directory /srv>\nAuthType Basic\n</Directory>\n")),
     ("nginx", NGINX, ("etc/nginx/sites-enabled/lab", 'server { listen 80; auth_basic "x"; }\n'))],
)
def test_a_jail_of_a_web_server_is_known_and_takes_what_it_logs(root, name, filters, conf):
    known = table.BY_NAME[name]
    put(root, *conf)
    put(root, "etc/nginx/nginx.conf", "http { include sites-enabled/*; }")
    put(root, "etc/apache2/apache2.conf", "IncludeOptional conf-enabled/*.conf\n")
    put(root, known.own_files[0].lstrip("/"), "")
    said = {**answers("bookworm"), **filters, "status": f"Status\n`- Jail list:\t{known.jail}"}
    said.update({f"status {known.jail}": "|- Filter\n|  `- File list:\t" + known.own_files[0],
                 f"get {known.jail} logpath": f"Current monitored log file(s):\n`- {known.own_files[0]}",
                 f"get {known.jail} actions": f"The jail {known.jail} has the following actions:\nnftables-multiport"})
    for what in ("port", "actionstart", "actionban"):
        said[f"get {known.jail} action nftables-multiport {what}"] = answers("bookworm")[
            f"get sshd action nftables-multiport {what}"].replace("22", "80")
    host = machine(root, (known.programs[0], 80), says=said)
    assert statuses(host, "fail2ban.jail_missing") == {name: "passed"}
    assert statuses(host, "fail2ban.jail_blind") == {f"{known.jail} ({name})": "passed"}
    said[f"get {known.jail} failregex"] = "`- [0]: ^was not found in nothing password mismatch$"
    assert statuses(host, "fail2ban.jail_blind") == {f"{known.jail} ({name})": "open"}


@pytest.mark.parametrize("text", ["# auth_basic x;", "auth_basic off;", "server { auth_basic off; }", "auth_basic_user_file /x;"])
def test_a_web_server_that_asks_for_no_password(root, text):
    put(root, "etc/nginx/nginx.conf", "http { include sites-enabled/*; }")
    put(root, "etc/nginx/sites-enabled/lab", text + "\n")
    assert [one["passwords"] for one in ban_services.collect(machine(root, ("nginx", 80)), POLICY)[0]] == [False]


@pytest.mark.parametrize(
    ("name", "line", "wanted"),
    [
        ("xrdp", "[] [INFO ] AUTHFAIL: user=victim ip=::ffff:10.213.91.5 time=1795622024", True),
        ("xrdp", "[] [INFO ] AUTHFAIL: user=victim ip=fd13:91::5 time=1795621734", True),
        ("xrdp", "[] [INFO ] Received sys login status for victim : not logged in", False),
        ("dropbear", "bullseye dropbear[3266]: Bad password attempt for 'victim' from 192.0.2.1:57270", True),
        ("dropbear", "host dropbear[2790]: [2790] Nov 5 15:42:06 Bad password attempt for 'victim' from 192.0.2.1:52954", True),
        ("dropbear", "trixie dropbear[2789]: [2789] Nov 25 15:42:05 Exit before auth from <10.213.91.5:52948>: Exited", False),
    ],
)
def test_our_own_expressions_take_what_was_really_logged(name, line, wanted):
    assert client.catches("", table.BY_NAME[name].failregex, line) is wanted


DROPBEAR = r"`- [0]: ^(?:[Ll]ogin attempt|[Bb]ad (PAM )?password attempt for .+ from <HOST>(:\d+)?$)"


@pytest.mark.parametrize(
    ("argv", "own", "status"),
    [(("/usr/sbin/dropbear", "-EF", "-p", "22"), False, "open"), (("/usr/sbin/dropbear", "-p", "22"), False, "passed"),
     (("/usr/sbin/dropbear", "-EF", "-p", "22"), True, "passed"), (("/usr/sbin/dropbear", "-p", "22"), True, "passed")],
)
def test_dropbear_that_writes_to_its_standard_error(root, monkeypatch, argv, own, status):
    """As the unit of Debian 12 and 13 has it: the filter that comes with fail2ban takes none of its lines."""
    known = table.BY_NAME["dropbear"]
    said = {**ssh_jail(), "status": "Status\n`- Jail list:\tdropbear",
            "status dropbear": "|  `- Journal matches:\t_SYSTEMD_UNIT=dropbear.service",
            "get dropbear logpath": "No file is currently monitored",
            "get dropbear journalmatch": "Current match filter:\n_SYSTEMD_UNIT=dropbear.service",
            "get dropbear prefregex": "None" if own else
            r"^\s*\S+ (?:dropbear)\[\d+\]: <F-CONTENT>(?:[Ll]ogin|[Bb]ad|[Ee]xit).+</F-CONTENT>$",
            "get dropbear failregex": DROPBEAR if not own else
            "\n".join(f"|- [{at}]: {one}" for at, one in enumerate(known.failregex)),
            "get dropbear actions": "The jail dropbear has the following actions:\nnftables-multiport"}
    for what in ("port", "actionstart", "actionban"):
        said[f"get dropbear action nftables-multiport {what}"] = said[f"get sshd action nftables-multiport {what}"]
    host = machine(root, ("dropbear", 22), says=said)
    running_here = [*host.processes().items, Process(50, 1, 0, "fail2ban-server", ("x",), None, False, "/", None, None, 1, 1)]
    made = Reading(tuple(one._replace(argv=argv) if one.comm == "dropbear" else one for one in running_here))
    monkeypatch.setattr(host, "processes", lambda: made)
    assert statuses(host, "fail2ban.jail_blind") == {"dropbear (dropbear)": status}


@pytest.mark.parametrize(
    ("ports", "port", "wanted"),
    [("ssh", 22, True), ("ssh", 2222, False), ("22,2222", 2222, True), ("0:65535", 3306, True), ("8000-8010", 8005, True),
     ("nonsense", 22, False), ("", 22, False), ("ssh, ftp", 21, True), ("ftp-data", 21, False)],
)
def test_ports(ports, port, wanted):
    assert client.covers(ports, port, {"ssh": 22, "ftp": 21}) == wanted


@pytest.mark.parametrize(
    ("complaint", "wanted"),
    [
        ("ERROR Failed during configuration: Have not found any log file for sshd jail",
         ("no log file for the jail sshd", ["sshd"])),
        ("File contains no section headers.\nfile: '/etc/fail2ban/jail.d/bad.conf', line: 1\n'[bad\\n'",
         ("/etc/fail2ban/jail.d/bad.conf line 1 cannot be read", [])),
        ("ERROR Unable to read the filter 'nosuch'\nERROR Errors in jail 'sshd'.", ("the jail sshd has errors", [])),
        ("Bad value substitution: option 'backend' in section 'sshd' contains an interpolation key 'nix' Raw value: 'SECRET'",
         ("backend of the jail sshd cannot be resolved", [])),
        ("password = SECRET", ("fail2ban-client -t fails", [])),
    ],
)
def test_complaints_are_told_without_what_files_hold(complaint, wanted):
    assert reading.complaint_of(complaint) == wanted


# Judgement

def test_a_configuration_that_is_not_accepted_is_for_a_person_before_all(root):
    """A role could only write a jail and take it back again."""
    host = machine(root, ("sshd", 22), ("vsftpd", 21), says=ssh_jail(), test="file: '/etc/fail2ban/jail.d/bad.conf', line: 1\n")
    found = judged(host)
    assert found["fail2ban.missing", "fail2ban"]["risk"] == "manual"
    one = found["fail2ban.jail_missing", "vsftpd"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "has to be corrected by hand" in one["reason"]


def test_nothing_listens(root):
    assert {one["status"] for one in judged(machine(root)).values()} == {"not_applicable"}


@pytest.mark.parametrize(
    "more",
    [{"address": "127.0.0.1"}, {"wall": FakeFirewall("closed")}, {"wall": FakeFirewall("restricted", ("192.0.2.9/32",))},
     {"sshd": "passwordauthentication no\nkbdinteractiveauthentication no\nusepam yes\n"}],
)
def test_nobody_else_gets_to_a_password(root, more):
    assert {one["status"] for one in judged(machine(root, ("sshd", 22), **more)).values()} == {"not_applicable"}


@pytest.mark.parametrize("more", [{"sshd": ""}, {"wall": FakeFirewall("unknown")},
                                  {"wall": FakeFirewall("restricted", ("10.0.0.0/8",))},
                                  {"sshd": "passwordauthentication no\nkbdinteractiveauthentication yes\nusepam yes\n"}])
def test_nothing_bans(root, more):
    (root / "usr/bin/fail2ban-server").unlink()
    found = judged(machine(root, ("sshd", 22), **more))
    assert found["fail2ban.missing", "brute force"]["status"] == "open"
    assert found["fail2ban.jail_missing", ""]["status"] == "not_applicable"


def test_a_match_block_lets_passwords_in(root):
    (root / "usr/bin/fail2ban-server").unlink()
    put(root, "etc/ssh/sshd_config", "PasswordAuthentication no\nMatch User guest\n  PasswordAuthentication yes\n")
    host = machine(root, ("sshd", 22), sshd="passwordauthentication no\nusepam yes\n")
    assert statuses(host, "fail2ban.missing") == {"brute force": "open"}


def test_all_is_well(root):
    found = judged(machine(root, ("sshd", 22), says=ssh_jail()))
    assert {one["status"] for one in found.values()} == {"passed"}
    assert ("fail2ban.jail_blind", "sshd (ssh)") in found


def test_a_service_without_a_jail(root):
    host = machine(root, ("sshd", 22), ("vsftpd", 21), says=ssh_jail())
    assert statuses(host, "fail2ban.jail_missing") == {"ssh": "passed", "vsftpd": "open"}
    assert statuses(host, "fail2ban.jail_missing", exempt_services=["vsftpd"]) == {"ssh": "passed"}


@pytest.mark.parametrize(
    ("changed", "port", "why"),
    [
        ({"match": "Current match filter:\n_SYSTEMD_UNIT=sshd.service"}, 22, "takes nothing that"),
        ({"match": "Current match filter:\n_COMM=sshd _UID=1000"}, 22, "takes nothing that"),
        ({}, 2222, "bans from port 22, not from 2222"),
        ({"ban": "printf mail | sendmail root"}, 22, "none of its actions bans"),
        ({"actions": "No actions for jail sshd"}, 22, "none of its actions bans"),
        ({"ban": "<iptables> -I f2b 1 -s <ip> -j DROP"}, 22, "needs iptables, which is not installed"),
    ],
)
def test_a_blind_jail(root, changed, port, why):
    found = judged(machine(root, ("sshd", port), says=ssh_jail(**changed)))["fail2ban.jail_blind", "sshd (ssh)"]
    assert found["status"] == "open"
    assert why in found["reason"]


@pytest.mark.parametrize(
    ("match", "wanted"),
    [("_SYSTEMD_UNIT=ssh.service + _COMM=sshd", True), ("_SYSTEMD_UNIT=sshd.service + _COMM=sshd", True), ("", True),
     ("_SYSTEMD_UNIT=sshd.service", False), ("_SYSTEMD_UNIT=ssh.service _COMM=sshd", True), ("_EXE=/usr/sbin/sshd", True),
     ("_HOSTNAME=web1", None), ("_HOSTNAME=web1 _COMM=cron", False)],
)
def test_journal_matches(match, wanted):
    service = {"identifiers": ["sshd"], "unit": "ssh.service", "socket": ""}
    assert ban_services.journal_has(client.matches_of(match), service) is wanted


def test_a_match_that_cannot_be_told_is_unknown(root):
    host = machine(root, ("sshd", 22), says=ssh_jail(match="Current match filter:\n_HOSTNAME=web1"))
    assert statuses(host, "fail2ban.jail_blind") == {"sshd (ssh)": "unknown"}


def test_new_sshd_and_an_old_filter(root):
    put(root, "usr/lib/openssh/sshd-session", "")
    old = judged(machine(root, ("sshd", 22), says=ssh_jail("bookworm")))["fail2ban.jail_blind", "sshd (ssh)"]
    assert (old["status"], old["reason"]) == ("open", "its filter does not take what sshd-session logs")
    assert statuses(machine(root, ("sshd", 22), says=ssh_jail("trixie")), "fail2ban.jail_blind") == {"sshd (ssh)": "passed"}


def test_files_that_are_written_and_files_that_are_not(root):
    syslog = Process(60, 1, 0, "rsyslogd", ("rsyslogd",), None, False, "/", "rsyslog.service", None, 1, 1)
    said = answers("bookworm")
    said.update({"status": "Status\n`- Jail list:\tsshd"})
    put(root, "var/log/auth.log", "")
    (root / "proc/60/fd").mkdir(parents=True)
    assert statuses(machine(root, ("sshd", 22), says=said), "fail2ban.jail_blind") == {"sshd (ssh)": "open"}
    os.symlink("/var/log/auth.log (deleted)", root / "proc/60/fd/7")
    put(root, "etc/rsyslog.conf", "auth,authpriv.*  /var/log/auth.log\n")
    host = machine(root, ("sshd", 22), says=said, more=(syslog,))
    assert statuses(host, "fail2ban.jail_blind") == {"sshd (ssh)": "open"}
    assert fail2ban.collect(host, POLICY)["wanted"]["ssh"]["backend"] == "systemd"
    os.symlink("/var/log/auth.log", root / "proc/60/fd/8")
    host = machine(root, ("sshd", 22), says=said, more=(syslog,))
    assert statuses(host, "fail2ban.jail_blind") == {"sshd (ssh)": "passed"}
    assert fail2ban.collect(host, POLICY)["wanted"]["ssh"]["logpath"] == ["/var/log/auth.log"]


LOCAL = "etc/fail2ban/jail.local"


def overrides(host: FakeHost, file: str) -> dict[str, dict[str, str]]:
    facts = fail2ban.collect(host, POLICY)
    assert fail2ban_jail.chosen(facts, ["ssh"]) == []
    return sections(fail2ban_jail.render_local(facts, asked(), ["ssh"], file)[0])


def test_of_a_blind_jail_that_jail_local_sets_the_keys_at_fault_are_set_anew(root):
    put(root, LOCAL, "[DEFAULT]\nignoreip = 203.0.113.7\nbantime = 1d\n[sshd]\nmaxretry = 2\nport = 2222\n")
    host = machine(root, ("sshd", 22), says=ssh_jail(port="2222"))
    one = judged(host)["fail2ban.jail_blind", "sshd (ssh)"]
    assert (one["status"], one.get("risk")) == ("open", None)
    assert "set in /etc/fail2ban/jail.local line 6" in one["reason"]
    assert overrides(host, config.OWN_LOCAL) == {
        "sshd": {"port": "22", "ignoreip": "127.0.0.1/8 ::1 192.0.2.9 203.0.113.7"}}
    assert overrides(host, config.OWN_FILE) == {}
    left = judged(host, override_local=False)["fail2ban.jail_blind", "sshd (ssh)"]
    assert (left["risk"], "hostmend_fail2ban_override_local" in left["reason"]) == ("manual", True)
    # What was mended stays in the file at a later run, which finds no fault any more.
    put(root, config.OWN_LOCAL.lstrip("/"), "[sshd]\nport = 22\nignoreip = 127.0.0.1/8\n")
    assert set(overrides(machine(root, ("sshd", 22), says=ssh_jail()), config.OWN_LOCAL)["sshd"]) == {"port", "ignoreip"}


def test_the_key_at_fault_is_blamed_not_the_file_that_sets_others(root):
    """jail.local has the jail switched on and says nothing of its port: a file of ours before it can."""
    put(root, LOCAL, "[sshd]\nenabled = true\nbackend = systemd\n")
    host = machine(root, ("sshd", 2222), says=ssh_jail())
    one = judged(host)["fail2ban.jail_blind", "sshd (ssh)"]
    assert (one.get("risk"), "jail.local" in one["reason"]) == (None, False)
    assert overrides(host, config.OWN_FILE)["sshd"]["port"] == "2222"
    assert overrides(host, config.OWN_LOCAL) == {}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({LOCAL: "# This file is managed by Puppet\n[sshd]\nport = 2222\n"}, "a file that Puppet writes"),
        ({"etc/fail2ban/jail.d/zzz.local": "[sshd]\nport = 2222\n"}, "read after each file of hostmend"),
    ],
)
def test_what_no_file_of_ours_can_set_is_for_a_person(root, files, why):
    for name, content in files.items():
        put(root, name, content)
    one = judged(machine(root, ("sshd", 22), says=ssh_jail(port="2222")))["fail2ban.jail_blind", "sshd (ssh)"]
    assert (one["risk"], why in one["reason"]) == ("manual", True)


def test_an_action_that_is_written_out_is_at_fault_itself(root):
    put(root, LOCAL, "[sshd]\naction = iptables[name=SSH, port=2222, protocol=tcp]\n")
    section = overrides(machine(root, ("sshd", 22), says=ssh_jail(port="2222")), config.OWN_LOCAL)["sshd"]
    assert (section["port"], section["action"], section["banaction"]) == ("22", "%(action_)s", "nftables-multiport")


IPTABLES = ("<iptables> -N f2b-sshd\n<iptables> -A f2b-sshd -j RETURN\n"
            "<iptables> -I {} -p tcp -m multiport --dports 22 -j f2b-sshd")


@pytest.mark.parametrize(
    ("start", "ban", "status", "why"),
    [
        (IPTABLES.format("INPUT"), "<iptables> -I f2b-sshd 1 -s <ip> -j REJECT", "passed", ""),
        (IPTABLES.format("LOCAL-IN"), "<iptables> -I f2b-sshd 1 -s <ip> -j REJECT", "passed", ""),
        (IPTABLES.format("DOCKER-USER"), "<iptables> -I f2b-sshd 1 -s <ip> -j REJECT", "open", "in the chain DOCKER-USER"),
        (IPTABLES.format("FORWARD"), "<iptables> -I f2b-sshd 1 -s <ip> -j REJECT", "open", "in the chain FORWARD"),
        (IPTABLES.format("PREROUTING -t raw"), "<iptables> -I f2b-sshd 1 -s <ip> -j REJECT", "passed", ""),
        ("ipset create f2b-sshd hash:ip\n<iptables> -I FORWARD -p tcp --dports 22 -m set --match-set f2b-sshd src -j DROP",
         "ipset -exist add f2b-sshd <ip>", "open", "in the chain FORWARD"),
        ("nft add chain inet f2b f2b-chain \\{ type filter hook forward priority -1 \\; \\}",
         "nft add element inet f2b x \\{ <ip> \\}", "open", "in the chain f2b-chain"),
        ("", "ufw insert 1 deny from <ip> to any", "open", "by ufw, which is not on"),
        ("", "firewall-cmd --direct --add-rule ipv4 filter INPUT_direct 0 -s <ip> -j DROP", "open",
         "firewalld, which does not run"),
        ("", "ip route add blackhole <ip>", "passed", ""),
        ("", "printf 'ALL: <ip>' >> /etc/hosts.deny", "open", "which ssh does not read"),
        ("", "/usr/local/bin/keep-out <ip>", "unknown", "nftables-multiport bans cannot be told"),
        ("", "curl -s https://api.cloudflare.com/client/v4 -d <ip>", "unknown", "nftables-multiport bans cannot be told"),
    ],
)
def test_a_ban_counts_by_where_its_rule_lands(root, start, ban, status, why):
    for name in ("iptables", "ipset", "ufw", "firewall-cmd", "ip", "sshd"):
        put(root, f"usr/sbin/{name}", "")
    said = {**ssh_jail(ban=ban), "get sshd action nftables-multiport actionstart": start}
    one = judged(machine(root, ("sshd", 22), says=said))["fail2ban.jail_blind", "sshd (ssh)"]
    assert (one["status"], why in one["reason"]) == (status, True)


def test_of_a_chain_in_defaults_nothing_but_the_chain_is_set_anew(root):
    put(root, "usr/sbin/iptables", "")
    put(root, LOCAL, "[DEFAULT]\nchain = DOCKER-USER\nbanaction = iptables-multiport\n[sshd]\nenabled = true\n")
    said = {**ssh_jail(ban="<iptables> -I f2b-sshd 1 -s <ip> -j REJECT"),
            "get sshd action nftables-multiport actionstart": IPTABLES.format("DOCKER-USER")}
    section = overrides(machine(root, ("sshd", 22), says=said), config.OWN_FILE)["sshd"]
    assert section == {"chain": "<known/chain>", "ignoreip": "127.0.0.1/8 ::1 192.0.2.9"}


@pytest.mark.parametrize(("let_in", "status"), [(True, "open"), (False, "passed"), (None, "passed")])
def test_a_ban_that_keeps_nobody_out_is_none(root, monkeypatch, let_in, status):
    """Whoever loads a ruleset anew removes the bans, and fail2ban does not notice."""
    wall = FakeFirewall()
    monkeypatch.setattr(wall, "lets_in", lambda *_: let_in, raising=False)
    landing = importlib.import_module(f"{fail2ban.__name__}.landing")
    monkeypatch.setattr(landing.firewall, "read_firewall", lambda _host: wall)
    said = ssh_jail()
    said["status sshd"] += "\n`- Actions\n   `- Banned IP list:\t198.51.100.9"
    one = judged(machine(root, ("sshd", 22), says=said, wall=wall))["fail2ban.jail_blind", "sshd (ssh)"]
    assert (one["status"], "calls 198.51.100.9 banned" in one["reason"]) == (status, status == "open")


@pytest.mark.parametrize(
    ("conf", "fds", "status", "why"),
    [
        ("Storage=none\n", ["/run/log/journal/x/system.journal"], "open",
         "Storage=none in /etc/systemd/journald.conf.d/x.conf line 2"),
        ("Storage=volatile\n", ["/run/log/journal/x/system.journal"], "passed", ""),
        ("", ["/var/log/journal/x/system.journal (deleted)"], "open", "files that were deleted"),
        ("", ["/dev/null"], "open", "has no file open"),
        ("MaxLevelStore=warning\n", [], "open", "keeps nothing of the level"),
        ("MaxLevelStore=info\n", [], "passed", ""),
        ("RateLimitIntervalSec=10min\nRateLimitBurst=3\n", [], "open", "too few to count"),
        ("RateLimitIntervalSec=30s\nRateLimitBurst=5\n", [], "passed", ""),
        ("RateLimitIntervalSec=0\nRateLimitBurst=1\n", [], "passed", ""),
    ],
)
def test_a_journal_that_keeps_nothing(root, conf, fds, status, why):
    put(root, "etc/systemd/journald.conf.d/x.conf", "[Journal]\n" + conf)
    if fds:
        (root / "proc/40/fd").mkdir(parents=True)
    for number, name in enumerate(fds):
        os.symlink(name, root / f"proc/40/fd/{number}")
    one = judged(machine(root, ("sshd", 22), says=ssh_jail()))["fail2ban.jail_blind", "sshd (ssh)"]
    assert (one["status"], why in one["reason"]) == (status, True)
    if status == "open" and "few" not in why:
        assert one["risk"] == "manual"


def test_sshd_that_logs_no_failure(root):
    put(root, "etc/ssh/sshd_config", "LogLevel QUIET\n")
    found = judged(machine(root, ("sshd", 22), says=ssh_jail(), sshd=SSHD_T + "loglevel QUIET\n"))
    one = found["fail2ban.jail_blind", "sshd (ssh)"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "LogLevel QUIET in /etc/ssh/sshd_config line 1" in one["reason"]


@pytest.mark.parametrize(
    ("jail", "text", "risk", "why"),
    [
        ("apache-auth", "[apache-auth]\nenabled = true\n", "manual", "set enabled = false in /etc/fail2ban/jail.local line 2"),
        ("sshd", "[sshd]\nenabled = true\nlogpath = /var/log/auth.log\n", None, "set in /etc/fail2ban/jail.local line 3"),
    ],
)
def test_a_jail_without_a_log_keeps_fail2ban_from_starting(root, jail, text, risk, why):
    put(root, LOCAL, text)
    host = machine(root, ("sshd", 22), test=f"Have not found any log file for {jail} jail")
    one = judged(host)["fail2ban.missing", "brute force"]
    assert (one["status"], one.get("risk"), why in one["reason"]) == ("open", risk, True)
    if risk is None:
        section = overrides(host, config.OWN_LOCAL)["sshd"]
        assert (section["backend"], section["journalmatch"]) == ("systemd", "_SYSTEMD_UNIT=ssh.service")


@pytest.mark.parametrize(
    ("units", "test", "status", "risk"),
    [
        ((ENABLED,), "", "passed", None),
        ((Unit("fail2ban.service", "loaded", "active", "running", "disabled"),), "", "open", None),
        ((), "", "unknown", None),
        ((ENABLED,), "Have not found any log file for sshd jail", "open", None),
        ((ENABLED,), "Have not found any log file for other jail", "open", "manual"),
        ((ENABLED,), "file: '/etc/fail2ban/jail.d/bad.conf', line: 1", "open", "manual"),
    ],
)
def test_what_a_boot_brings(root, units, test, status, risk):
    found = judged(machine(root, ("sshd", 22), says=ssh_jail(), units=units, test=test))["fail2ban.missing", "fail2ban"]
    assert (found["status"], found.get("risk")) == (status, risk)


@pytest.mark.parametrize("failure", ["timed out after 6 s", "output over 8388608 bytes"])
def test_a_server_that_does_not_answer_is_unknown(root, failure):
    found = judged(machine(root, ("sshd", 22), failure=failure))
    assert {one["status"] for (check, _name), one in found.items() if check != "fail2ban.no_lockout"} == {"unknown"}


def test_answers_that_do_not_add_up_are_unknown(root):
    host = machine(root, ("sshd", 22), says=ssh_jail(jails="Jail list: sshd\nfail2ban> Jail list: x"))
    assert statuses(host, "fail2ban.missing") == {"fail2ban": "unknown"}


def test_huge_and_odd_lists_of_jails(root):
    many = ", ".join(["$(reboot)", *(f"j{number}" for number in range(500)), "sshd"])
    jails, gaps = client.jails(machine(root, says=ssh_jail(jails=f"Status\n`- Jail list:\t{many}")))
    assert len(jails) == client.MOST_JAILS
    assert len(gaps) == 2
    host = machine(root, ("sshd", 22), says=ssh_jail(jails=f"Status\n`- Jail list:\t{many}"))
    assert statuses(host, "fail2ban.jail_missing") == {"ssh": "unknown"}


def test_the_socket_of_another_user_is_not_asked(root, monkeypatch):
    monkeypatch.undo()
    host = machine(root, ("sshd", 22), says=ssh_jail())
    assert statuses(host, "fail2ban.missing") == {"fail2ban": "unknown"}  # there is none
    put(root, "run/fail2ban/fail2ban.sock", "")
    found = judged(host)["fail2ban.missing", "fail2ban"]
    assert (found["status"], "is no socket" in found["reason"]) == ("unknown", True)
    monkeypatch.setattr(reading.stat, "S_ISSOCK", lambda mode: True)
    monkeypatch.setattr(reading.os, "geteuid", lambda: 0)
    found = judged(machine(root, ("sshd", 22), says=ssh_jail(), server_uid=1000))["fail2ban.missing", "fail2ban"]
    assert "another user" in found["reason"]
    assert not [argv for argv in host.asked if "-i" in argv]


def test_penalties_of_sshd_are_told_and_do_not_suffice_unless_the_policy_says_so(root):
    (root / "usr/bin/fail2ban-server").unlink()
    host = machine(root, ("sshd", 22), sshd=SSHD_T + "persourcepenalties crash:90 authfail:5 max:600 min:15\n")
    found = judged(host)["fail2ban.missing", "brute force"]
    assert found["status"] == "open"
    assert "authfail:5" in found["evidence"]["effective"]["sshd_penalties"]
    assert statuses(host, "fail2ban.missing", penalties_suffice=True) == {"brute force": "passed"}


def running(comm: str, exe: str = "", unit: str = "", *argv: str) -> Process:
    return Process(70, 1, 0, comm, argv or (comm,), exe or None, False, "/", unit or None, None, 1, 1)


CROWDSEC = (running("crowdsec", "/usr/bin/crowdsec"), running("cs", "/usr/bin/crowdsec-firewall-bouncer"))
ACQUIS = """filenames:
  - /var/log/nginx/*.log
#this is not a syslog log
labels:
  type: nginx
---
source: journalctl
journalctl_filter:
 - "_SYSTEMD_UNIT={}"
labels:
  type: syslog
"""


@pytest.mark.parametrize(
    ("more", "missing", "blind"),
    [
        ((running("sshguard"),), "passed", "passed"),
        ((running("sshguard"), running("journalctl", "", "sshguard.service", "journalctl", "-t", "sshd")), "passed", "passed"),
        ((running("sshguard"), running("journalctl", "", "sshguard.service", "journalctl", "-t", "other")), "passed", "open"),
        (CROWDSEC[:1], "open", "not_applicable"),
        (CROWDSEC, "passed", "unknown"),
        ((running("python3", "", "", "python3", "/usr/sbin/denyhosts"),), "open", "not_applicable"),
    ],
)
def test_what_else_may_be_in_charge(root, more, missing, blind):
    put(root, "etc/crowdsec/collections/sshd.yaml", "")
    host = machine(root, ("sshd", 22), more=more)
    assert set(statuses(host, "fail2ban.missing").values()) == {missing}
    assert set(statuses(host, "fail2ban.jail_blind").values()) == {blind}


@pytest.mark.parametrize(
    ("acquisition", "blind"),
    [
        (ACQUIS.format("ssh.service"), "passed"),
        (ACQUIS.format("cron.service"), "open"),
        ("source: journalctl\njournalctl_filter: ['-u', 'ssh']\n", "passed"),
        ("source: journalctl\njournalctl_filter:\n  - -t\n  - sshd\n", "passed"),
        ("source: journalctl\njournalctl_filter:\n  - --identifier=cron\n", "open"),
        ("source: journalctl\njournalctl_filter:\n  - -b\n", "unknown"),
        ("filenames:\n  - /var/log/auth.log\n", "open"),  # nobody writes it here
        ("source: syslog\nlisten_port: 4242\n", "unknown"),
        ("\x00: [", "unknown"),
    ],
)
def test_crowdsec_is_blind_where_it_reads_nothing_that_the_service_logs(root, acquisition, blind):
    put(root, "etc/crowdsec/collections/sshd.yaml", "")
    put(root, "etc/crowdsec/acquis.yaml", acquisition)
    host = machine(root, ("sshd", 22), more=(*CROWDSEC, running("systemd-journal")))
    assert statuses(host, "fail2ban.jail_blind") == {"CrowdSec (ssh)": blind}


def test_the_acquisition_of_a_folder_counts_too(root):
    put(root, "etc/crowdsec/collections/sshd.yaml", "")
    put(root, "etc/crowdsec/config.yaml", "crowdsec_service:\n  acquisition_path: /etc/crowdsec/none.yaml\n"
                                          "  acquisition_dir: /etc/crowdsec/mine\n")
    put(root, "etc/crowdsec/mine/ssh.yaml", ACQUIS.format("ssh.service"))
    host = machine(root, ("sshd", 22), more=(*CROWDSEC, running("systemd-journal")))
    assert statuses(host, "fail2ban.jail_blind") == {"CrowdSec (ssh)": "passed"}


@pytest.mark.parametrize(("config", "blind"), [("SECURE_LOG = /var/log/auth.log\n", "open"), ("", "unknown")])
def test_denyhosts_counts_where_sshd_heeds_it_and_is_blind_without_a_log(root, config, blind):
    put(root, "usr/sbin/sshd", "needs libwrap.so.0")
    put(root, "etc/denyhosts.conf", config)
    host = machine(root, ("sshd", 22), more=(running("python3", "", "", "python3", "/usr/sbin/denyhosts"),))
    assert set(statuses(host, "fail2ban.missing").values()) == {"passed"}
    assert statuses(host, "fail2ban.jail_blind") == {"DenyHosts (ssh)": blind}


# A root filesystem that is not running

@pytest.mark.parametrize("release", RELEASES)
def test_an_image_is_judged_by_what_it_will_start(root, release):
    ssh = Unit("ssh.service", "loaded", "inactive", "dead", "enabled")
    host = machine(root, running=False, units=(ssh, ENABLED), dump=text(f"dump_{release}.txt"))
    found = judged(host)
    assert found["fail2ban.missing", "fail2ban"]["status"] == "passed"
    assert found["fail2ban.jail_missing", "ssh"]["status"] == "passed"
    assert not [argv for argv in host.asked if "-i" in argv]
    off = Unit("fail2ban.service", "loaded", "inactive", "dead", "disabled")
    host = machine(root, running=False, units=(ssh, off), dump=text(f"dump_{release}.txt"))
    assert statuses(host, "fail2ban.missing") == {"brute force": "open"}
    assert {one["status"] for one in judged(machine(root, running=False, units=(ENABLED,))).values()} == {"not_applicable"}


# What is written

def asked(**more: Any) -> dict[str, Any]:
    return {"ignore": [], "maxretry": 5, "findtime": 600, "bantime": 3600, "recidive": True, **more}


def test_jails_follow_what_listens(root):
    put(root, "etc/vsftpd.conf", "xferlog_enable=YES\n")
    facts = fail2ban.collect(machine(root, ("sshd", 22), ("sshd", 2222), ("vsftpd", 21)), POLICY)
    written, logs = fail2ban_jail.render(facts, asked(ignore=["10.0.0.0/8"]), ["ssh", "vsftpd"], "")
    found = sections(written)
    assert sorted(found) == ["recidive", "sshd", "vsftpd"]
    assert found["sshd"]["journalmatch"] == "_SYSTEMD_UNIT=ssh.service"
    assert found["sshd"]["port"] == "22,2222"
    assert found["sshd"]["ignoreip"] == "127.0.0.1/8 ::1 192.0.2.9 10.0.0.0/8"
    assert found["vsftpd"]["logpath"] == "/var/log/vsftpd.log"
    assert logs == ["/var/log/vsftpd.log", "/var/log/fail2ban.log"]
    assert fail2ban_jail.tmpfiles([*logs, "/odd name\nf /etc/x"]).splitlines()[1:] == [
        "f /var/log/vsftpd.log 0640 - - -", "f /var/log/fail2ban.log 0640 - - -"]


def test_what_an_administrator_has_set_stays(root):
    put(root, "etc/fail2ban/jail.local", "[DEFAULT]\nignoreip = 203.0.113.7\n  203.0.113.8\nbantime = 1d\nbanaction = ufw\n")
    facts = fail2ban.collect(machine(root, ("sshd", 22)), POLICY)
    section = sections(fail2ban_jail.render(facts, asked(), ["ssh"], "")[0])["sshd"]
    assert "bantime" not in section
    assert "banaction" not in section
    assert section["ignoreip"].endswith("203.0.113.7 203.0.113.8")


@pytest.mark.parametrize("bad", ["not an address", "10.0.0.0/8\n[evil]", "%(x)s", ""])
def test_what_is_no_address_is_refused(root, bad):
    facts = fail2ban.collect(machine(root, ("sshd", 22)), POLICY)
    with pytest.raises(fail2ban_jail.JailError):
        fail2ban_jail.render(facts, asked(ignore=[bad]), ["ssh"], "")


@pytest.mark.parametrize(
    ("server", "wanted"),
    [("", "/var/log/fail2ban.log"), ("logtarget = /srv/f2b.log\n", "/srv/f2b.log"), ("logtarget = SYSOUT\n", None),
     ("logtarget = %(x)s\n", None)],
)
def test_where_fail2ban_logs_itself(root, server, wanted):
    facts = fail2ban.collect(machine(root, ("sshd", 22)), POLICY)
    section = sections(fail2ban_jail.render(facts, asked(), ["ssh"], server)[0]).get("recidive", {})
    assert section.get("logpath") == wanted


def test_where_vsftpd_logs(root):
    for conf, wanted in (("", []), ("xferlog_enable=YES\nsyslog_enable=YES\n", []),
                         ("xferlog_enable=YES\nxferlog_std_format=YES\n", []),
                         ("xferlog_enable=YES\nvsftpd_log_file=/srv/ftp.log\n", ["/srv/ftp.log"])):
        put(root, "etc/vsftpd.conf", conf)
        services, _gaps = ban_services.collect(machine(root, ("vsftpd", 21)), POLICY)
        assert services[0]["own_logs"] == wanted


# Hostile text

WORDS = st.sampled_from(["fail2ban> ", "Jail list:", "sshd", "\n", "|- ", "`- ", "[0]:", "(?P<content>", "(", "['set'", ",", "]",
                         "_COMM=", "+", "\x1b", "[", "=", "%(x)s", "'", "\x00"])


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join)))
def test_no_text_breaks_the_parsers(written):
    client.names_of(written)
    client.matches_of(written)
    client.dump(written)
    client.dump(f"['add', 'x', {written!r}]\n['set', 'x', 'addlogpath', {written!r}]")
    client.catches(written, [written], "host sshd[1]: x")
    client.covers(written, 22, {})
    sections(written)
    reading.complaint_of(written)


def test_a_copy_of_jail_conf_decides_on_no_jail(root):
    put(root, LOCAL, "[sshd]\nport = ssh\nlogpath = %(sshd_log)s\nbackend = auto\n")
    said = {**ssh_jail(), "status": "Status\n`- Jail list:\t"}
    host = machine(root, ("sshd", 2222), says=said)
    one = judged(host)["fail2ban.jail_missing", "ssh"]
    assert (one["status"], one.get("risk")) == ("open", None)
    section = overrides(host, config.OWN_LOCAL)["sshd"]
    assert (section["enabled"], section["port"], section["backend"]) == ("true", "2222", "systemd")
    assert judged(host, override_local=False)["fail2ban.jail_missing", "ssh"]["risk"] == "manual"
    put(root, LOCAL, "[sshd]\nenabled = false\n")
    assert judged(machine(root, ("sshd", 2222), says=said))["fail2ban.jail_missing", "ssh"]["risk"] == "manual"


def test_an_old_filter_is_told_the_new_name_of_sshd(root):
    put(root, "usr/lib/openssh/sshd-session", "")
    facts = fail2ban.collect(machine(root, ("sshd", 22), says=ssh_jail("bookworm")), POLICY)
    assert sections(fail2ban_jail.render(facts, asked(), ["ssh"], "")[0])["sshd"]["filter"] == 'sshd[_daemon="sshd(?:-session)?"]'
