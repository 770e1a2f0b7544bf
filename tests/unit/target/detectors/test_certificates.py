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
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import certificates
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import keys, listeners, readers, renewals
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import CommandResult
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import probe, x509

from tests.support import certificate_maker as maker
from tests.support.fake_host import FakeHost

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
        "dynamic": [], "kept": [],
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
    assert status("certificates.chain", facts([told()], anchored=False)) == "unknown"
    assert status("certificates.chain", facts([told()], anchored=None)) == "unknown"
    past = told(names=(), common="Test CA", of="ca", by="root", issuer="Root", ca=True, since=-99, until=-1)
    assert "was valid until" in judge("certificates.chain", facts([told(), past]))["reason"]
    assert status("certificates.chain", facts(faults=("certificate 2: it is cut off",))) == "unknown"


def test_names() -> None:
    one = judge("certificates.name_mismatch", facts(names=["www.example.org", "shop.example.org", "_", "~^x", "localhost"]))
    assert one["reason"] == "it is not for shop.example.org" and one["risk"] == "manual"
    assert status("certificates.name_mismatch", facts(names=["_"])) == "not_applicable"


def test_a_new_one_is_for_all_names_of_the_service_and_those_it_had() -> None:
    made = facts([told(names=("www.example.org", "old.example.org"), until=-1)], names=["shop.example.org", "www.example.org"])
    evidence = judge("certificates.expired", made, private_names=["*.example.org"])["evidence"]["persistent"]
    assert evidence["names"] == ["shop.example.org", "www.example.org", "old.example.org"]
    assert evidence["certified"] == ["www.example.org", "old.example.org"]
    made["files"][PATH]["certificates"][0]["names"] += ["192.0.2.1", "2001:db8::1"]
    evidence = judge("certificates.expired", made, private_names=["*.example.org", "2001:db8:*"])["evidence"]["persistent"]
    assert evidence["names"] == ["shop.example.org", "www.example.org", "old.example.org", "2001:db8::1"]


def test_a_file_is_mended_once_whatever_links_lead_to_it() -> None:
    made = facts([told(by="leaf", of="leaf")])
    link = {**made["uses"][0], "certificate": "/etc/dovecot/dovecot.pem", "key": "/etc/dovecot/dovecot.key", "service": "dovecot"}
    made["uses"].append({**link, "unit": "dovecot.service"})
    made["files"][PATH]["real"] = PATH
    made["files"]["/etc/dovecot/dovecot.pem"] = made["files"][PATH]
    made["keys"]["/etc/dovecot/dovecot.key"] = made["keys"][KEY]
    made["keys"][KEY].update(real=KEY, others="read", matches={PATH: "yes", "/etc/dovecot/dovecot.pem": "yes"})
    found = [one for one in certificates.check(made, POLICY) if one["status"] == "open"]
    assert [(one["check"], one["resource"]) for one in found] == [
        ("certificates.self_signed", PATH),
        ("certificates.key_readable", KEY),
    ]
    assert found[0]["evidence"]["persistent"]["services"] == ["dovecot dovecot.service", "nginx nginx.service"]


def test_what_a_variable_names_is_judged_by_what_is_served() -> None:
    made = facts(served={"certificate": told(until=-1), "name": "other.example.org"})
    made["dynamic"] = [{**made["uses"][0], "certificate": "/etc/ssl/$which.pem", "key": "/etc/ssl/$which.key"}]
    one = judge("certificates.expired", made)
    assert (one["status"], one["risk"], one["resource"]) == ("open", "manual", "nginx port 443 for other.example.org")
    assert judge("certificates.key_readable", made)["resource"] == "/etc/ssl/$which.key"
    made["served"][0].update(certificate=None, failure="it did not answer in time")
    assert status("certificates.served_differs", made) == "unknown"
    # An image serves nothing.
    made.update(live=False, served=[])
    assert status("certificates.expired", made) == "unknown"


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
    # A listener that no configuration tells of: another service's, or another instance's.
    for more in ({"service": "caddy"}, {"port": 8443}):
        other = facts(served={"certificate": told(since=-99, until=-1), **more})
        assert judge("certificates.expired", other)["risk"] == "manual"


RSA = "/etc/ssl/rsa.pem"


def two_kinds(**served: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Judge a name with a certificate of each kind of key, by what each handshake showed: any, rsa, ec."""
    made = facts([told()], served={"name": "www.example.org"})
    rsa = told(of="rsa2048")
    made["uses"].append({**made["uses"][0], "certificate": RSA, "key": KEY})
    made["files"][RSA] = {"certificates": [rsa], "faults": [], "anchored": True}
    files = {"ec": made["files"][PATH]["certificates"][0], "rsa": rsa}
    made["served"] = [
        {
            **made["served"][0],
            "key_type": "" if kind == "any" else kind,
            **({"certificate": files[how["now"]]} if "now" in how else how),
        }
        for kind, how in served.items()
    ]
    found = [one for one in certificates.check(made, POLICY) if one["check"] == "certificates.served_differs"]
    return {one["resource"].replace("nginx port 443 for www.example.org", "it"): one for one in found}


def test_each_kind_of_key_of_a_name_is_judged() -> None:
    old = {"certificate": told(of="rsa2048", since=-89)}
    ec, rsa = {"now": "ec", "protocol": "TLSv1.3"}, {"now": "rsa"}
    found = two_kinds(any=ec, ec={"now": "ec"}, rsa=rsa)
    assert {name: one["status"] for name, one in found.items()} == {"it, key of ECDSA": "passed", "it, key of RSA": "passed"}
    # The file of RSA was replaced, and nothing reloaded.
    found = two_kinds(any=ec, ec={"now": "ec"}, rsa=old)
    assert {name: one["status"] for name, one in found.items()} == {"it, key of ECDSA": "passed", "it, key of RSA": "open"}
    mending = found["it, key of RSA"]["evidence"]["persistent"]
    assert (mending["certificate"], mending["mend"], mending["beside"]) == (RSA, "reload", [PATH])


def test_a_kind_of_key_that_cannot_be_asked_for_is_unknown() -> None:
    refused = {"failure": "no handshake: tlsv1 alert protocol version"}
    found = two_kinds(any={"now": "ec"}, ec=refused, rsa=refused)
    assert {name: one["status"] for name, one in found.items()} == {"it": "passed", "it, key of RSA": "unknown"}
    assert "was not seen: another is served in TLS 1.3" in found["it, key of RSA"]["reason"]
    # One handshake shows another kind than was asked for.
    assert two_kinds(any={"now": "ec"}, ec={"now": "ec"}, rsa={"now": "ec"})["it, key of RSA"]["status"] == "unknown"
    found = two_kinds(any=refused, ec={"now": "ec"}, rsa=refused)
    assert {name: one["status"] for name, one in found.items()} == {"it": "unknown", "it, key of ECDSA": "passed"}
    # Where nothing answers, that is said once.
    assert {name: one["status"] for name, one in two_kinds(any=refused, ec=refused, rsa=refused).items()} == {"it": "unknown"}


def test_kinds_of_keys_are_asked_for_where_a_name_has_several() -> None:
    made = facts([told()])
    made["uses"].append({**made["uses"][0], "certificate": RSA})
    made["files"][RSA] = {"certificates": [told(of="rsa2048")]}
    assert listeners._key_types(made, "nginx", 443, "www.example.org") == ["ec", "rsa"]
    assert listeners._key_types(made, "nginx", 8443, "www.example.org") == []
    assert listeners._key_types(made, "nginx", 443, "other.example.org") == []
    # Who names nobody gets what the server has for that.
    assert listeners._key_types(made, "nginx", 443, "") == []
    for one in made["uses"]:
        one["names"] = []
    assert listeners._key_types(made, "nginx", 443, "") == ["ec", "rsa"]


def test_two_addresses_of_a_listener_are_two_resources() -> None:
    made = facts(served={"certificate": told()})
    made["served"].append({**made["served"][0], "address": "::1"})
    found = [one["resource"] for one in certificates.check(made, POLICY) if one["check"] == "certificates.served_differs"]
    assert found == ["nginx port 443", "nginx port 443 at ::1"]


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
    lineage = {**LINEAGE, "hooks": [renewals.HOOK]}
    known = {"www.example.org": {"services": [{"service": "nginx", "unit": "nginx.service"}], "pairs": []}}
    for registry, expected in (({}, "open"), (known, "passed")):
        made = facts(renewal={"certbot": {**NOTHING["certbot"], "lineages": [lineage], "runs": ["x"]}, "registry": registry})
        assert status("certificates.renewal_broken", made) == expected


def test_others_who_renew() -> None:
    domain: dict[str, Any] = {"name": "www.example.org", "home": "/root/.acme.sh", "manual": False, "certificate": PATH}
    domain.update(reload=True, due=time.time() - 86400)
    made = facts(renewal={"acme_sh": {"domains": [domain], "runs": ["/var/spool/cron/crontabs/root"]}})
    assert status("certificates.renewal_broken", made) == "passed"
    domain["due"] = time.time() - 5 * 86400
    assert "it was to be renewed on " in judge("certificates.renewal_broken", made)["reason"]
    made["renewal"]["acme_sh"]["runs"] = []
    assert "acme.sh --cron" in judge("certificates.renewal_broken", made)["reason"]
    request: dict[str, Any] = {"name": "1", "status": "CA_UNREACHABLE", "why": "gone", "certificate": PATH, "tracked": True}
    request.update(stuck=False, reload=True)
    made = facts(renewal={"certmonger": {"requests": [request], "failure": ""}})
    assert judge("certificates.renewal_broken", made)["reason"] == "its state is CA_UNREACHABLE: gone"
    request.update(status="NEWLY_ADDED", reload=False)
    assert judge("certificates.renewal_broken", made)["reason"] == "nothing reloads nginx after a renewal"


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


def test_apache_says_in_two_lines_what_is_wrong() -> None:
    says = "AH00526: Syntax error on line 102 of /x.conf:\nSSLCertificateFile takes one argument\nAction '-t' failed.\n"
    made: dict[str, Any] = {"gaps": []}
    readers.refused(made, {"name": "apache"}, CommandResult(("x",), 1, "", says), "it refuses")
    assert made["gaps"][0]["reason"] == (
        "it refuses: AH00526: Syntax error on line 102 of /x.conf: SSLCertificateFile takes one argument"
    )


@pytest.mark.parametrize(
    ("runs", "answer", "uses", "gap"),
    [
        (False, None, True, ""),  # not asked at all: it would make the folders that it misses
        (True, "open() \"/srv/access.log\" failed (30: Read-only file system)", True, ""),
        (True, '2026/11/25 15:00:00 [emerg] 7#7: unknown directive "x"', False,
         'nginx refuses its configuration: unknown directive "x"'),
    ],
)  # fmt: skip
def test_nginx_is_asked_only_where_that_changes_nothing(root: Path, runs: bool, answer: Any, uses: bool, gap: str) -> None:
    host = FakeHost(root, {"nginx -T": (1, "", answer)})
    made: dict[str, Any] = {"gaps": []}
    files = config_files.Files(host.read, host.list)
    process = SimpleNamespace(pid=1, ppid=0, uid=0, argv=("nginx: master process nginx",), exe="", unit="nginx.service")
    service = {"name": "nginx", "processes": [process] if runs else []}
    found = readers.nginx_of(host, made, service, files)
    assert ([one["certificate"] for one in found], host.asked) == ([PATH] if uses else [], [("nginx", "-T")] if runs else [])
    assert [one["reason"] for one in made["gaps"]] == ([gap] if gap else [])


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
    live = root / "etc/letsencrypt/live/www.example.org/fullchain.pem"
    live.parent.mkdir(parents=True)
    live.symlink_to(PATH)
    conf = f"fullchain = /{live.relative_to(root)}\n[renewalparams]\nauthenticator = webroot\n"
    (renewal / "www.example.org.conf").write_text(conf)
    assert look(root)["renewal_broken"] == "open"
    wants = root / "etc/systemd/system/timers.target.wants"
    wants.mkdir()
    (wants / "certbot.timer").symlink_to("/usr/lib/systemd/system/certbot.timer")
    hook = root / renewals.HOOK[1:]
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
    accounts = keys._accounts(host)
    services = [{"name": "postgresql", "user": "postgres", "uid": None}]
    made = keys._key(host, "/etc/ssl/pg.key", [{"service": "postgresql"}], services, accounts)
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
    told_by = probe.served("127.0.0.1", port, kind, "www.example.org", seconds=5)
    thread.join()
    assert told_by.get("certificate", told_by)["names"] == ["www.example.org"]
    assert told_by["version"] == ("8.0" if kind == "mysql" else "")


def test_one_of_each_kind_of_key_can_be_asked_for(tmp_path: Path) -> None:
    pairs = [tmp_path / name for name in ("rsa2048", "leaf")]
    for path in pairs:
        path.write_bytes(maker.pem(maker.certificate(of=path.name)) + maker.key_pem(path.name))

    def both(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for path in pairs:
            context.load_cert_chain(path)
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    for key_type in ("rsa", "ec"):
        port, thread = serve(both)
        told_by = probe.served("127.0.0.1", port, "", "www.example.org", seconds=5, key_type=key_type)
        thread.join()
        assert told_by.get("certificate", told_by)["key_type"] == key_type


def test_a_wildcard_is_asked_for_by_a_name_below_it(pair: Path) -> None:
    asked: list[str] = []

    def talk(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        context.sni_callback = lambda _socket, name, _context: asked.append(name)
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    port, thread = serve(talk)
    assert "certificate" in probe.served("127.0.0.1", port, "", "*.example.org", seconds=5)
    thread.join()
    assert asked == ["hostmend-asks.example.org"]


def test_names_that_are_asked_for() -> None:
    made = facts([told(names=["*.example.org"])])

    def named(*names: str, service: str = "nginx") -> list[str]:
        return listeners.asked_for(made, {"service": service, "certificate": PATH, "names": list(names)})

    assert named("www.example.org", "~^x") == ["www.example.org", "~^x"]
    # A pattern is no name; what it stands for is in the certificate.
    assert named("~^(.+)\\.example\\.org$") == ["*.example.org"]
    assert named(service="haproxy") == ["*.example.org"]
    assert named("_") == ["_"]
    assert listeners.ASKABLE.match("*.example.org")
    assert not listeners.ASKABLE.match("_")


def test_each_instance_of_redis_has_its_own_certificate(root: Path) -> None:
    for name, port in (("a", 6380), ("b", 6390)):
        words = f"tls-port {port}\ntls-cert-file /tls/{name}.crt\ntls-key-file /tls/{name}.key\n"
        place = root / f"etc/redis/redis-{name}.conf"
        place.parent.mkdir(exist_ok=True)
        place.write_text(words)

    unit = root / "etc/systemd/system/redis@.service"
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text("[Service]\nExecStart=/usr/bin/redis-server /etc/redis/redis-%i.conf\n")
    host = FakeHost(root, lambda _argv, _stdin: "")
    argv = ["/usr/bin/redis-server 0.0.0.0:1"]
    processes = [SimpleNamespace(argv=argv, cwd="/", unit=f"redis@{name}.service") for name in "ab"]
    service = {"name": "redis", "unit": "redis.service", "processes": processes}
    made = readers.redis_of(host, {"gaps": []}, service, None)
    assert [(one["certificate"], one["ports"], one["unit"]) for one in made] == [
        ("/tls/a.crt", [6380], "redis@a.service"),
        ("/tls/b.crt", [6390], "redis@b.service"),
    ]


def test_a_web_server_whose_configuration_is_elsewhere_is_asked() -> None:
    listener = SimpleNamespace(port=443, process="nginx")
    assert listeners._kind({"name": "nginx"}, listener, []) == ""
    assert listeners._kind({"name": "nginx"}, SimpleNamespace(port=80, process="nginx"), []) is None


def test_a_mail_server_that_offers_tls_and_cannot_is_no_pass() -> None:
    def talk(connection: socket.socket) -> None:
        for says in (b"220 x\r\n", b"250-x\r\n250 STARTTLS\r\n", b"454 4.7.0 TLS not available due to local problem\r\n"):
            connection.sendall(says)
            connection.recv(100)

    port, thread = serve(talk)
    failure = probe.served("127.0.0.1", port, "smtp", seconds=5)["failure"]
    thread.join()
    # What begins with "it does not offer TLS" is left out.
    assert failure.startswith("it offers TLS and cannot do it")


MEMORY = {"subject": "CN=MariaDB Server", "serial": "0", "names": [], "common_name": "MariaDB Server"}


@pytest.mark.parametrize(
    ("version", "by_password"),
    [("11.8.9-MariaDB-0+deb13u1", True), ("11.4.0-MariaDB", True), ("5.5.5-11.4.2-MariaDB", True), ("11.3.2-MariaDB", False),
     ("5.5.5-10.11.14-MariaDB-0+deb12u2", False), ("8.4.3", False), ("", False)],
)  # fmt: skip
def test_mariadb_proves_its_own_certificate_by_the_password(version: str, by_password: bool) -> None:
    """Its clients do, others cannot; what it makes in memory is no file."""
    made = facts(served={"service": "mysql", "port": 3306, "version": version, "certificate": {**told(by="leaf"), **MEMORY}})
    made["uses"] = []
    found = judge("certificates.self_signed", made)
    assert (found["status"], found["risk"]) == ("open", "manual")
    assert found["reason"].startswith("clients of MariaDB 11.4 and later verify it") == by_password
    assert ("in memory" in found["reason"]) == by_password


def test_a_file_of_mariadb_that_is_self_signed_can_be_replaced() -> None:
    made = facts([told(by="leaf")], service="mysql", names=[], ports=[])
    made["served"] = [{"service": "mysql", "address": "127.0.0.1", "port": 3306, "kind": "mysql", "name": "", "loopback": False,
                       "version": "11.8.9-MariaDB", "certificate": told(by="leaf")}]  # fmt: skip
    [found] = [one for one in certificates.check(made, POLICY) if one["check"] == "certificates.self_signed"]
    assert found["resource"] == PATH
    assert "by the password" in found["reason"]
    assert "in memory" not in found["reason"]


@pytest.mark.parametrize("kind", ["", "smtp", "imap", "pop3", "ftp", "postgresql", "mysql"])
@pytest.mark.parametrize("says", [b"", b"\0" * 70000, b"220 x\r\n" * 300, b"250-\r\n" * 9000, b"\xff" * 200 + b"\r\n"])
def test_servers_that_speak_nonsense_are_left(kind: str, says: bytes) -> None:
    port, thread = serve(lambda connection: connection.sendall(says))
    assert probe.served("127.0.0.1", port, kind, seconds=2)["failure"]
    thread.join()


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    ended = threading.Event()
    port, thread = serve(lambda connection: ended.wait(5))
    assert probe.served("127.0.0.1", port, "smtp", seconds=0.3)["failure"]
    ended.set()
    thread.join()
