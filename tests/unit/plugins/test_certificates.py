"""Certificates in use: judgement of facts, reading of a host's files, handshakes with servers that are hostile."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import certificate_maker as maker
import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils import (
    certificate_deploy,
    certificate_uses,
    tls_probe,
    x509,
)
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import certificates
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host

PATH, KEY = "/etc/ssl/www.pem", "/etc/ssl/www.key"
POLICY: dict[str, Any] = {**certificates.POLICY, "common": {}}
NOTHING = {
    "certbot": {"installed": False, "lineages": [], "runs": [], "gaps": [], "unseen": ""},
    "acme_sh": {"domains": [], "runs": []},
    "certmonger": {"requests": [], "failure": ""},
    "registry": {},
    "timer_unit": "certbot.timer",
}
LINEAGE = {
    "name": "www.example.org",
    "fault": "",
    "authenticator": "webroot",
    "installer": "",
    "server": "https://acme/dir",
    "hooks": ["/etc/letsencrypt/renewal-hooks/deploy/nginx"],
    "certificate": PATH,
    "failure": "",
    "manual": False,
    "real": "",
}


def told(**more: Any) -> dict[str, Any]:
    """Return a certificate as the reader gives it."""
    made: dict[str, Any] = x509.parse(maker.der(maker.certificate(**more)))
    return made


def facts(
    chain: list[dict[str, Any]] | None = None,
    faults: tuple[str, ...] = (),
    anchored: bool | None = True,
    matches: str = "yes",
    served: dict[str, Any] | None = None,
    renewal: dict[str, Any] | None = None,
    key: dict[str, Any] | None = None,
    **use: Any,
) -> dict[str, Any]:
    chain = [told()] if chain is None else chain
    one = {
        "service": "nginx",
        "unit": "nginx.service",
        "certificate": PATH,
        "key": KEY,
        "names": ["www.example.org"],
        "ports": [443],
        "loopback": False,
        "probes": [],
        "keystore": False,
        "chain": "",
        "file": "/etc/nginx/nginx.conf",
        **use,
    }
    keys = {
        "mode": "0600",
        "owner": "root",
        "group": "root",
        "others": "",
        "worker": "",
        "want_mode": "0600",
        "want_group": "",
        "matches": {PATH: matches},
        **(key or {}),
    }
    answers = (
        [{"service": "nginx", "address": "127.0.0.1", "port": 443, "kind": "", "name": "", "loopback": False, **served}]
        if served
        else []
    )
    return {
        "live": True,
        "now": time.time(),
        "uses": [one],
        "gaps": [],
        "keys": {KEY: keys},
        "served": answers,
        "files": {PATH: {"certificates": chain, "faults": list(faults), "anchored": anchored}},
        "renewal": {**copy.deepcopy(NOTHING), **(renewal or {})},
    }


def judge(check: str, made: dict[str, Any], **policy: Any) -> dict[str, Any]:
    """Return the gravest finding of one check."""
    order = ("open", "unknown", "passed", "not_applicable")
    found = [one for one in certificates.check(made, {**POLICY, **policy}) if one["check"] == check]
    return min(found, key=lambda one: order.index(one["status"]))


def status(check: str, made: dict[str, Any], **policy: Any) -> str:
    return str(judge(check, made, **policy)["status"])


def test_a_certificate_in_order_passes_every_check() -> None:
    made = facts(
        served={"certificate": None},
        renewal={"certbot": {**NOTHING["certbot"], "lineages": [LINEAGE], "runs": ["certbot.timer"]}},
    )
    made["served"][0]["certificate"] = made["files"][PATH]["certificates"][0]
    found = certificates.check(made, POLICY)
    assert {one["check"] for one in found} == set(certificates.CHECKS)
    assert {one["status"] for one in found} == {"passed"}


def test_no_certificate_is_nothing() -> None:
    made = facts()
    made.update(uses=[], files={}, keys={})
    assert {one["status"] for one in certificates.check(made, POLICY)} == {"not_applicable"}
    assert {one["check"] for one in certificates.check(made, POLICY)} == set(certificates.CHECKS)


@pytest.mark.parametrize(
    ("since", "until", "expired", "expiring"),
    [
        (-30, 60, "passed", "passed"),
        (-85, 5, "passed", "open"),
        (-90, -1, "open", "not_applicable"),
        (1, 60, "open", "passed"),
        (-36, 11, "passed", "open"),
        (-34, 13, "passed", "passed"),
    ],
)
def test_time(since: float, until: float, expired: str, expiring: str) -> None:
    made = facts([told(since=since, until=until)])
    assert (status("certificates.expired", made), status("certificates.expiring", made)) == (expired, expiring)


def test_strength() -> None:
    assert status("certificates.weak", facts([told(of="rsa1024")])) == "open"
    assert status("certificates.weak", facts([told(of="rsa2048")])) == "passed"
    assert status("certificates.weak", facts([told(of="rsa2048")]), rsa_bits=3072) == "open"
    sha1 = {**told(), "signature": "sha1-rsa"}
    assert status("certificates.weak", facts([sha1])) == "open"
    assert status("certificates.weak", facts([{**sha1, "self_issued": True}])) == "passed"
    assert status("certificates.weak", facts([{**told(), "key_type": "unknown", "key_bits": None}])) == "unknown"


def test_a_certificate_signed_by_itself() -> None:
    own = told(by="leaf", of="leaf")
    assert judge("certificates.self_signed", facts([own]))["risk"] == "manual"
    assert status("certificates.self_signed", facts([own], loopback=True)) == "passed"
    assert (
        judge("certificates.self_signed", facts([own]), private_names=["*.example.org"])["evidence"]["persistent"]["mend"]
        == "private"
    )


def test_the_chain() -> None:
    middle = told(names=(), common="Test CA", of="ca", by="root", issuer="Root", ca=True, aia=True)
    assert status("certificates.chain", facts([told(aia=True)], anchored=False)) == "open"
    assert status("certificates.chain", facts([told(aia=True), middle], anchored=True)) == "passed"
    assert status("certificates.chain", facts([told()], anchored=False)) == "passed"
    assert status("certificates.chain", facts([told()], anchored=None)) == "unknown"
    past = told(names=(), common="Test CA", of="ca", by="root", issuer="Root", ca=True, since=-99, until=-1)
    assert "was valid until" in judge("certificates.chain", facts([told(), past]))["reason"]
    assert status("certificates.chain", facts(faults=("certificate 2: it is cut off",))) == "unknown"


def test_names() -> None:
    one = judge("certificates.name_mismatch", facts(names=["www.example.org", "shop.example.org", "_", "~^x", "localhost"]))
    assert one["reason"] == "it is not for shop.example.org" and one["risk"] == "manual"
    assert status("certificates.name_mismatch", facts(names=["_"])) == "not_applicable"


def test_what_cannot_be_read_is_unknown() -> None:
    made = facts([], faults=("it is cut off",))
    for check in ("expired", "expiring", "weak", "self_signed", "chain", "key_mismatch"):
        one = judge("certificates." + check, made)
        assert one["status"] == "unknown" and "cut off" in one["reason"]
    made = facts()
    made.update(uses=[], files={}, keys={}, gaps=[{"service": "nginx", "reason": "nginx refuses its configuration: x"}])
    assert {one["status"] for one in certificates.check(made, POLICY) if one["check"] != "certificates.renewal_broken"} == {
        "unknown"
    }


def test_keys() -> None:
    assert status("certificates.key_mismatch", facts(matches="no")) == "open"
    assert judge("certificates.key_mismatch", facts(matches="the key has a passphrase"))["status"] == "unknown"
    one = judge("certificates.key_readable", facts(key={"mode": "0644", "others": "read"}))
    assert one["status"] == "open" and "severity" not in one
    one = judge("certificates.key_readable", facts(key={"worker": "www-data"}))
    assert one["severity"] == "medium" and one["risk"] == "manual"
    made = facts()
    made["keys"][KEY] = {"failure": "No such file or directory", "matches": {}}
    assert status("certificates.key_readable", made) == "unknown"


def test_what_is_served() -> None:
    old = told(since=-89, until=-1)
    made = facts(served={"certificate": old})
    one = judge("certificates.served_differs", made)
    assert one["status"] == "open" and one["evidence"]["persistent"]["mend"] == "reload"
    assert one["reason"].startswith(f"serial {old['serial']} is served")
    # What clients see has expired, although the file holds a new one.
    assert judge("certificates.expired", made)["resource"] == "nginx port 443"
    assert status("certificates.served_differs", facts(served={"failure": "no handshake: refused"})) == "unknown"
    other = facts(served={"certificate": told(since=-99, until=-1), "service": "caddy"})
    assert judge("certificates.expired", other)["risk"] == "manual"


@pytest.mark.parametrize(
    ("change", "runs", "reason", "risk"),
    [
        ({}, ["certbot.timer"], None, None),
        ({}, [], "neither a timer nor cron", None),
        ({"hooks": []}, ["certbot.timer"], "nothing reloads nginx", None),
        ({"hooks": [], "installer": "nginx"}, ["certbot.timer"], None, None),
        ({"failure": "no route"}, ["certbot.timer"], "its last renewal failed: no route", None),
        ({"fault": "a person must answer", "manual": True}, ["certbot.timer"], "a person must answer", "manual"),
        ({"fault": "x is not there"}, ["certbot.timer"], "x is not there", "manual"),
    ],
)
def test_renewal(change: dict[str, Any], runs: list[str], reason: str | None, risk: str | None) -> None:
    made = facts(renewal={"certbot": {**NOTHING["certbot"], "lineages": [{**LINEAGE, **change}], "runs": runs}})
    one = judge("certificates.renewal_broken", made)
    assert one["status"] == ("open" if reason else "passed")
    assert reason is None or reason in one["reason"]
    assert one.get("risk") == risk


def test_timers_that_cannot_be_seen_are_unknown() -> None:
    certbot = {**NOTHING["certbot"], "lineages": [LINEAGE], "unseen": "systemd cannot be asked"}
    assert judge("certificates.renewal_broken", facts(renewal={"certbot": certbot}))["status"] == "unknown"
    certbot["lineages"] = [{**LINEAGE, "failure": "no route"}]
    one = judge("certificates.renewal_broken", facts(renewal={"certbot": certbot}))
    assert one["reason"] == "its last renewal failed: no route"


def test_a_manual_lineage_is_issued_anew_where_the_policy_names_it() -> None:
    lineage = {**LINEAGE, "fault": "a person must answer", "manual": True}
    made = facts(renewal={"certbot": {**NOTHING["certbot"], "lineages": [lineage], "runs": ["certbot.timer"]}})
    one = judge("certificates.renewal_broken", made, acme_domains=["*.example.org"])
    assert "risk" not in one and one["evidence"]["persistent"]["mend"] == "issue"


def test_our_own_hook_counts_only_for_the_services_that_it_knows() -> None:
    lineage = {**LINEAGE, "hooks": [certificate_uses.HOOK]}
    known = {"www.example.org": {"services": [{"service": "nginx", "unit": "nginx.service"}], "pairs": []}}
    for registry, expected in (({}, "open"), (known, "passed")):
        made = facts(renewal={"certbot": {**NOTHING["certbot"], "lineages": [lineage], "runs": ["x"]}, "registry": registry})
        assert status("certificates.renewal_broken", made) == expected


def test_others_who_renew() -> None:
    domain = {"name": "www.example.org", "home": "/root/.acme.sh", "manual": False, "certificate": PATH, "reload": True}
    made = facts(renewal={"acme_sh": {"domains": [domain], "runs": ["/var/spool/cron/crontabs/root"]}})
    assert status("certificates.renewal_broken", made) == "passed"
    made["renewal"]["acme_sh"]["runs"] = []
    assert "acme.sh --cron" in judge("certificates.renewal_broken", made)["reason"]
    request = {"name": "1", "status": "CA_UNREACHABLE", "why": "gone", "certificate": PATH, "tracked": True, "stuck": False}
    made = facts(renewal={"certmonger": {"requests": [request], "failure": ""}})
    assert judge("certificates.renewal_broken", made)["reason"] == "its state is CA_UNREACHABLE: gone"


# Reading a root filesystem that is not running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root filesystem where nginx and postgresql are enabled."""
    (tmp_path / "etc/nginx").mkdir(parents=True)
    (tmp_path / "etc/ssl").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\npostgres:x:105:110::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\npostgres:x:110:\n")
    (tmp_path / "etc/nginx/nginx.conf").write_text(
        f"http {{ server {{ listen 443 ssl; server_name www.example.org; ssl_certificate {PATH}; ssl_certificate_key {KEY}; }} }}"
    )
    units, wants = tmp_path / "usr/lib/systemd/system", tmp_path / "etc/systemd/system/multi-user.target.wants"
    units.mkdir(parents=True)
    wants.mkdir(parents=True)
    for name in ("nginx.service", "certbot.timer"):
        (units / name).write_text("[Install]\nWantedBy=multi-user.target\n")
    (wants / "nginx.service").symlink_to("/usr/lib/systemd/system/nginx.service")
    (tmp_path / PATH[1:]).write_bytes(maker.pem(maker.certificate()))
    (tmp_path / KEY[1:]).write_bytes(maker.key_pem("leaf"))
    (tmp_path / KEY[1:]).chmod(0o600)
    return tmp_path


def look(root: Path) -> dict[str, str]:
    """Return the gravest status of each check."""
    host = Host(str(root))
    made = certificates.collect(host, POLICY)
    json.dumps(made)
    order = ("open", "unknown", "passed", "not_applicable")
    found: dict[str, str] = {}
    for one in certificates.check(made, POLICY):
        found[one["check"].split(".")[1]] = min(
            one["status"], found.get(one["check"].split(".")[1], "not_applicable"), key=order.index
        )
    return found


def test_an_image_is_judged_by_its_files(root: Path) -> None:
    assert look(root) == {
        "expired": "passed",
        "expiring": "passed",
        "weak": "passed",
        "self_signed": "passed",
        "chain": "unknown",
        "name_mismatch": "passed",
        "key_mismatch": "passed",
        "key_readable": "passed",
        "served_differs": "not_applicable",
        "renewal_broken": "not_applicable",
    }


def test_a_service_that_is_not_enabled_uses_nothing(root: Path) -> None:
    (root / "etc/systemd/system/multi-user.target.wants/nginx.service").unlink()
    assert set(look(root).values()) == {"not_applicable"}


def test_keys_that_do_not_match_or_lie_open(root: Path) -> None:
    (root / KEY[1:]).write_bytes(maker.key_pem("another"))
    assert look(root)["key_mismatch"] == "open"
    (root / KEY[1:]).write_bytes(maker.key_pem("leaf", b"secret"))
    assert look(root)["key_mismatch"] == "unknown"
    (root / KEY[1:]).chmod(0o644)
    for folder in (root, root / "etc", root / "etc/ssl"):
        folder.chmod(0o755)
    assert look(root)["key_readable"] == "open"
    (root / "etc/ssl").chmod(0o700)
    assert look(root)["key_readable"] == "passed"


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"x" * (1024 * 1024 + 1), b"-----BEGIN CERTIFICATE-----\n" * 1000, b"0\x82\xff\xff"]
)
def test_files_that_are_no_certificate_are_unknown(root: Path, content: bytes) -> None:
    (root / PATH[1:]).write_bytes(content)
    assert look(root)["expired"] == "unknown"


def test_a_pipe_or_a_loop_in_place_of_a_certificate_does_not_hang(root: Path) -> None:
    (root / PATH[1:]).unlink()
    os.mkfifo(root / PATH[1:])
    assert look(root)["expired"] == "unknown"
    (root / PATH[1:]).unlink()
    (root / PATH[1:]).symlink_to(PATH)
    assert look(root)["expired"] == "unknown"


def test_a_lineage_without_a_timer_is_found(root: Path) -> None:
    renewal = root / "etc/letsencrypt/renewal"
    renewal.mkdir(parents=True)
    (renewal / "www.example.org.conf").write_text(f"fullchain = {PATH}\n[renewalparams]\nauthenticator = webroot\n")
    assert look(root)["renewal_broken"] == "open"
    wants = root / "etc/systemd/system/timers.target.wants"
    wants.mkdir()
    (wants / "certbot.timer").symlink_to("/usr/lib/systemd/system/certbot.timer")
    hook = root / certificate_uses.HOOK[1:]
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    (root / "etc/hostmend").mkdir()
    (root / "etc/hostmend/certificates.json").write_text("[]")
    assert look(root)["renewal_broken"] == "open"
    (root / "etc/hostmend/certificates.json").write_text(
        json.dumps({"lineages": {"www.example.org": {"services": [{"service": "nginx", "unit": "nginx.service"}]}}})
    )
    assert look(root)["renewal_broken"] == "passed"
    (renewal / "www.example.org.conf").write_text("\0garbage[[[")
    assert look(root)["renewal_broken"] == "open"


def test_who_must_read_a_key_still_can(root: Path) -> None:
    """A key that a service reads as one of the others goes to the service's group."""
    key = root / "etc/ssl/pg.key"
    key.write_bytes(maker.key_pem("leaf"))
    key.chmod(0o644)
    host = Host(str(root))
    accounts = certificate_uses._accounts(host)
    services = [{"name": "postgresql", "user": "postgres", "uid": None}]
    made = certificate_uses._key(host, "/etc/ssl/pg.key", [{"service": "postgresql"}], services, accounts)
    assert os.geteuid() != 0 or (made["want_mode"], made["want_group"]) == ("0640", "postgres")


# Handshakes


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    path = tmp_path / "pair.pem"
    path.write_bytes(maker.pem(maker.certificate()) + maker.key_pem("leaf"))
    return path


def serve(talk: Any) -> tuple[int, threading.Thread]:
    """Serve one connection on loopback."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener:
            listener.settimeout(5)
            connection, _peer = listener.accept()
            with connection, contextlib.suppress(OSError):
                talk(connection)

    thread = threading.Thread(target=run)
    thread.start()
    return listener.getsockname()[1], thread


def tls(pair: Path, connection: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(1)


def smtp(pair: Path, connection: socket.socket) -> None:
    connection.sendall(b"220-hello\r\n220 there\r\n")
    connection.recv(100)
    connection.sendall(b"250-x\r\n250 STARTTLS\r\n")
    connection.recv(100)
    connection.sendall(b"220 go\r\n")
    tls(pair, connection)


def imap(pair: Path, connection: socket.socket) -> None:
    connection.sendall(b"* OK\r\n")
    connection.recv(100)
    connection.sendall(b"* x\r\na OK go\r\n")
    tls(pair, connection)


def pop3(pair: Path, connection: socket.socket) -> None:
    connection.sendall(b"+OK\r\n")
    connection.recv(100)
    connection.sendall(b"+OK go\r\n")
    tls(pair, connection)


def ftp(pair: Path, connection: socket.socket) -> None:
    connection.sendall(b"220 ftp\r\n")
    connection.recv(100)
    connection.sendall(b"234 go\r\n")
    tls(pair, connection)


def postgresql(pair: Path, connection: socket.socket) -> None:
    assert connection.recv(8) == b"\0\0\0\x08\x04\xd2\x16\x2f"
    connection.sendall(b"S")
    tls(pair, connection)


def mysql(pair: Path, connection: socket.socket) -> None:
    greeting = b"\x0a8.0\0" + b"\0" * 4 + b"12345678\0" + (0x0800).to_bytes(2, "little") + b"\0" * 20
    connection.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
    assert len(connection.recv(36)) == 36
    tls(pair, connection)


@pytest.mark.parametrize(
    ("kind", "talk"),
    [("", tls), ("smtp", smtp), ("imap", imap), ("pop3", pop3), ("ftp", ftp), ("postgresql", postgresql), ("mysql", mysql)],
)
def test_what_is_served_is_seen_after_each_kind_of_start(pair: Path, kind: str, talk: Any) -> None:
    port, thread = serve(lambda connection: talk(pair, connection))
    told_by = tls_probe.served("127.0.0.1", port, kind, "www.example.org", seconds=5)
    thread.join()
    assert told_by.get("certificate", told_by)["names"] == ["www.example.org"]


@pytest.mark.parametrize("kind", ["", "smtp", "imap", "pop3", "ftp", "postgresql", "mysql"])
@pytest.mark.parametrize("says", [b"", b"\0" * 70000, b"220 x\r\n" * 300, b"250-\r\n" * 9000, b"\xff" * 200 + b"\r\n"])
def test_servers_that_speak_nonsense_are_left(kind: str, says: bytes) -> None:
    port, thread = serve(lambda connection: connection.sendall(says))
    assert tls_probe.served("127.0.0.1", port, kind, seconds=2)["failure"]
    thread.join()


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    ended = threading.Event()
    port, thread = serve(lambda connection: ended.wait(5))
    assert tls_probe.served("127.0.0.1", port, "smtp", seconds=0.3)["failure"]
    ended.set()
    thread.join()


# Putting in place


def test_a_pair_goes_back_where_the_service_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    certificate.write_bytes(b"old")
    key.write_bytes(b"old key")
    key.chmod(0o640)
    made = certificate_deploy.Pair(str(certificate), str(key))
    monkeypatch.setitem(certificate_deploy.TESTS, "nginx", [["sh", "-c", "echo broken; exit 1"]])
    with pytest.raises(certificate_deploy.Failure, match="does not pass its test: broken"):
        certificate_deploy.deploy([("nginx", "nginx.service")], made, b"new", b"new key")
    assert (certificate.read_bytes(), key.read_bytes()) == (b"old", b"old key")
    certificate_deploy.deploy([], made, b"new", b"new key")
    assert (certificate.read_bytes(), key.read_bytes(), key.stat().st_mode & 0o777) == (b"new", b"new key", 0o640)


def test_the_hook_does_nothing_for_what_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_deploy, "REGISTRY", str(tmp_path / "none.json"))
    monkeypatch.setenv("RENEWED_LINEAGE", "/etc/letsencrypt/live/www.example.org")
    assert certificate_deploy.main() == 0


def test_the_hook_copies_what_was_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = tmp_path / "live" / "www.example.org"
    live.mkdir(parents=True)
    (live / "fullchain.pem").write_text("chain\n")
    (live / "privkey.pem").write_text("key\n")
    both = tmp_path / "both.pem"
    both.write_text("old")
    registry = tmp_path / "certificates.json"
    registry.write_text(
        json.dumps({"lineages": {"www.example.org": {"services": [], "pairs": [{"certificate": str(both), "key": str(both)}]}}})
    )
    monkeypatch.setattr(certificate_deploy, "REGISTRY", str(registry))
    monkeypatch.setenv("RENEWED_LINEAGE", str(live))
    assert certificate_deploy.main() == 0
    assert both.read_text() == "chain\nkey\n"
