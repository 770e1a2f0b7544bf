"""What certbot 1.12 and 4.0 said when they failed, told in a sentence that says what to do; the port it needs; acme.sh."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import deploy_hook, errors, renewal
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509
from ansible_collections.hostmend.hardening.plugins.modules import certificate_mend
from cryptography import x509 as cx

from tests.support import certificate_maker as maker

HEAD = "Saving debug log to /var/log/letsencrypt/letsencrypt.log\nAn unexpected error occurred:\n"
TAIL = (
    "\nAsk for help or search for solutions at https://community.letsencrypt.org. See the logfile /var/log/x or re-run Certbot.\n"
)
POOL = "HTTPSConnectionPool(host='acme.example.org', port=443): Max retries exceeded with url: /dir (Caused by "
CHALLENGE = """Plugins selected: Authenticator webroot, Installer None
Requesting a certificate for nobody.lab.test
Performing the following challenges:
http-01 challenge for nobody.lab.test
Using the webroot path /var/www/html for all unmatched domains.
Waiting for verification...
Challenge failed for domain nobody.lab.test
http-01 challenge for nobody.lab.test
Cleaning up challenges
Some challenges have failed.
IMPORTANT NOTES:
 - The following errors were reported by the server:

   Domain: nobody.lab.test
   Type:   connection
   Detail: Get
   "http://nobody.lab.test:80/.well-known/acme-challenge/Y3I7":
   lookup nobody.lab.test on 192.0.2.53:53: no such host

   To fix these errors, please make sure that your domain name was
   entered correctly and the DNS A/AAAA record(s) for that domain
   contain(s) the right IP address.
"""
RENEWAL = """Saving debug log to /var/log/letsencrypt/letsencrypt.log

- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -
Processing /etc/letsencrypt/renewal/www.lab.test.conf
- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -
Failed to renew certificate www.lab.test with error: Requesting localhost/dir: Connection refused

- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -
All renewals failed. The following certificates could not be renewed:
  /etc/letsencrypt/live/www.lab.test/fullchain.pem (failure)
- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -
1 renew failure(s), 0 parse failure(s)
"""


@pytest.mark.parametrize(
    ("said", "why", "advice"),
    [
        (HEAD + "acme.errors.ClientError: <Response [404]>" + TAIL, "<Response [404]>", "is not the directory"),
        (
            HEAD + "acme.errors.ClientError: Unexpected response Content-Type: text/html" + TAIL,
            "text/html",
            "is not the directory",
        ),
        (
            HEAD
            + f'requests.exceptions.ConnectionError: {POOL}NameResolutionError("<urllib3.connection.HTTPSConnection object at '
            "0x7f3ceb397a10>: Failed to resolve 'acme.example.org' ([Errno -2] Name or service not known)\"))" + TAIL,
            "Failed to resolve 'acme.example.org'",
            "cannot resolve its name",
        ),
        (
            HEAD
            + f"requests.exceptions.ConnectionError: {POOL}NewConnectionError('<urllib3.connection.HTTPSConnection object at "
            "0x7fcd2d883c70>: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution'))" + TAIL,
            "Temporary failure",
            "cannot resolve its name",
        ),
        (
            HEAD + f"requests.exceptions.SSLError: {POOL}SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] "
            "certificate verify failed: unable to get local issuer certificate (_ssl.c:1029)')))" + TAIL,
            "unable to get local issuer",
            "in acme_ca_bundle",
        ),
        (HEAD + "OSError: Could not find a suitable TLS CA certificate bundle, invalid path: /x" + TAIL, "/x", "is not there"),
        (HEAD + "ValueError: Requesting 192.0.2.1/dir: Network is unreachable" + TAIL, "192.0.2.1/dir", "has no network to it"),
        (HEAD + "ValueError: Requesting localhost/dir: Connection refused" + TAIL, "Connection refused", "see that it runs"),
        (HEAD + "Account https://localhost:14000/my-account/27 not found." + TAIL, "my-account/27", "certbot unregister"),
        (
            "Plugins selected: Authenticator webroot\nMissing command line flag or config entry for this setting:\n"
            "Please read the Terms of Service at data:text/plain,x. You must agree in order to register with the ACME server. "
            "Do you agree?\n\n(You can set this with the --agree-tos flag)\n",
            "Terms of Service",
            "set acme_agree to true",
        ),
        ("/var/www/nothing does not exist or is not a directory" + TAIL, "/var/www/nothing", "in acme_webroot"),
        ("Problem binding to port 80: Could not bind to IPv4 or IPv6.\n", "port 80", "standalone needs port 80 free"),
        (CHALLENGE, "nobody.lab.test: Get", "the name must lead to this host"),
        (RENEWAL, "Requesting localhost/dir: Connection refused", "see that it runs"),
        ("", "it gave no reason", ""),
    ],
)
def test_a_failure_says_why_and_what_to_do(said: str, why: str, advice: str) -> None:
    told = errors.reason(said)
    assert told.startswith("certbot: ") and why in told and advice in told
    assert "\n" not in told and "0x7" not in told and "community" not in told and "unexpected error" not in told


def test_the_log_counts_before_what_was_printed() -> None:
    told = errors.reason(RENEWAL, "urn:ietf:params:acme:error:rateLimited :: too many certificates already issued")
    assert told.startswith("certbot: urn:ietf:params:acme:error:rateLimited") and "staging" in told


def test_what_has_a_port_is_seen_before_certbot_stands_there() -> None:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as taken:
            taken.bind((address, 0))
            taken.listen(1)
            port = taken.getsockname()[1]
            assert not certificate_mend.port_is_free(port)
        assert certificate_mend.port_is_free(port)


@pytest.mark.parametrize("check_mode", [True, False])
def test_nothing_is_asked_for_that_the_authority_may_not_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_mode: bool
) -> None:
    """Neither in check mode nor before a key is made."""
    monkeypatch.setattr(certificate_mend, "STAGING", str(tmp_path / "staging"))
    item = {"certificate": "/etc/ssl/db.pem", "key": None, "mend": "private", "lineage": "", "services": [], "probes": []}
    item["names"] = ["db.example.org", "10.1.2.3"]
    limited = maker.authority(("example.org",), ("0.0.0.0/0", "::/0"))
    module = SimpleNamespace(check_mode=check_mode, params={"items": [item], "authority": limited, "signed": [], "refused": []})
    for ask in ("request", "work"):
        made = certificate_mend.Mender(module)
        assert not getattr(made, ask)()
        assert [one["certificate"] for one in made.failures] == ["/etc/ssl/db.pem"] and made.changes == []
        assert "may not issue for 10.1.2.3, as its name constraints exclude 0.0.0.0/0" in made.failures[0]["reason"]
    assert not (tmp_path / "staging").exists()


def test_a_request_has_addresses_as_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_mend, "STAGING", str(tmp_path / "staging"))
    item = {"certificate": str(tmp_path / "db.pem"), "mend": "private", "names": ["10.1.2.3", "2001:db8::1", "db.example.org"]}
    module = SimpleNamespace(
        check_mode=False, params={"items": [item], "authority": maker.authority(("example.org", "10.0.0.0/8")), "refused": []}
    )
    assert certificate_mend.Mender(module).request() == []
    item["names"].remove("2001:db8::1")
    made = cx.load_pem_x509_csr(certificate_mend.Mender(module).request()[0]["csr"].encode())
    names = made.extensions.get_extension_for_class(cx.SubjectAlternativeName).value
    assert names.get_values_for_type(cx.DNSName) == ["db.example.org"]
    assert [str(one) for one in names.get_values_for_type(cx.IPAddress)] == ["10.1.2.3"]
    assert made.subject.rfc4514_string() == "CN=db.example.org"


# What acme.sh 3.1 wrote when it had a certificate from pebble.
ACME_SH = """Le_Domain='shop.lab.test'
Le_Alt='no'
Le_Webroot='/var/www/html'
Le_API='https://localhost:14000/dir'
Le_Keylength='ec-256'
Le_NextRenewTimeStr='2026-12-24T15:48:35Z'
Le_NextRenewTime='1798127315'
Le_RealCertPath=''
Le_RealKeyPath='/etc/ssl/lab/shop.key'
Le_ReloadCmd=''
Le_RealFullChainPath='/etc/ssl/lab/shop.pem'
"""


def test_what_acme_sh_keeps(tmp_path: Path) -> None:
    folder = tmp_path / "root/.acme.sh/shop.lab.test_ecc"
    folder.mkdir(parents=True)
    (folder / "shop.lab.test.conf").write_text(ACME_SH)
    made = renewal.acme_sh(Host(str(tmp_path)))
    assert made["domains"] == [
        {
            "name": "shop.lab.test",
            "folder": "shop.lab.test_ecc",
            "home": "/root/.acme.sh",
            "manual": False,
            "certificate": "/etc/ssl/lab/shop.pem",
            "reload": False,
            "due": 1798127315,
        }
    ]
    assert made["runs"] == []
    crontab = tmp_path / "var/spool/cron/crontabs/root"
    crontab.parent.mkdir(parents=True)
    crontab.write_text('11 12 * * * "/root/.acme.sh"/acme.sh --cron --home "/root/.acme.sh" > /dev/null\n')
    assert renewal.acme_sh(Host(str(tmp_path)))["runs"] == ["/var/spool/cron/crontabs/root"]


# Putting in place


def test_a_pair_goes_back_where_the_service_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    certificate.write_bytes(b"old")
    key.write_bytes(b"old key")
    key.chmod(0o640)
    made = deploy_hook.Pair(str(certificate), str(key))
    monkeypatch.setitem(deploy_hook.TESTS, "nginx", [["sh", "-c", "echo broken; exit 1"]])
    with pytest.raises(deploy_hook.Failure, match="does not pass its test: broken"):
        deploy_hook.deploy([("nginx", "nginx.service")], made, b"new", b"new key")
    assert (certificate.read_bytes(), key.read_bytes()) == (b"old", b"old key")
    deploy_hook.deploy([], made, b"new", b"new key")
    assert (certificate.read_bytes(), key.read_bytes(), key.stat().st_mode & 0o777) == (b"new", b"new key", 0o640)


def test_the_hook_does_nothing_for_what_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy_hook, "REGISTRY", str(tmp_path / "none.json"))
    monkeypatch.setenv("RENEWED_LINEAGE", "/etc/letsencrypt/live/www.example.org")
    assert deploy_hook.main() == 0


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
    monkeypatch.setattr(deploy_hook, "REGISTRY", str(registry))
    monkeypatch.setenv("RENEWED_LINEAGE", str(live))
    assert deploy_hook.main() == 0
    assert both.read_text() == "chain\nkey\n"


def test_a_new_certificate_is_seen_beside_one_of_another_kind_of_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rsa.pem"
    path.write_bytes(maker.pem(maker.certificate(of="rsa2048")))
    leaf = certificate_mend.leaf_of(str(path))
    other = x509.parse(maker.certificate(of="leaf").public_bytes(maker.serialization.Encoding.DER))
    monkeypatch.setattr(
        certificate_mend.probe,
        "served",
        lambda *_where, key_type="": {"certificate": leaf if key_type == "rsa" else other},
    )
    mender = certificate_mend.Mender.__new__(certificate_mend.Mender)
    item = {"certificate": str(path), "services": [], "probes": [["127.0.0.1", "443", "", "www.example.org"]]}
    mender.prove(item, 0)
    monkeypatch.setattr(certificate_mend.probe, "served", lambda *_where, key_type="": {"certificate": other})
    with pytest.raises(certificate_mend.Failure, match="not the new serial"):
        mender.prove(item, 0)


def both_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: float) -> tuple[certificate_mend.Mender, dict[str, Any]]:
    """A server that speaks TLS 1.3 only and shows the ECDSA certificate; its worker began so many seconds from now."""
    for name in ("rsa2048", "leaf"):
        (tmp_path / name).write_bytes(maker.pem(maker.certificate(of=name)))
    shown = certificate_mend.leaf_of(str(tmp_path / "leaf"))

    def served(*_where: Any, key_type: str = "") -> dict[str, Any]:
        return {"failure": "no handshake: refused"} if key_type else {"certificate": shown, "protocol": "TLSv1.3"}

    ticks = (time.clock_gettime(time.CLOCK_BOOTTIME) + began) * os.sysconf("SC_CLK_TCK")
    worker = SimpleNamespace(comm="nginx", container=None, start_ticks=int(ticks))
    processes = SimpleNamespace(items=(worker,))
    monkeypatch.setattr(certificate_mend, "Host", lambda: SimpleNamespace(processes=lambda: processes))
    monkeypatch.setattr(certificate_mend.probe, "served", served)
    mender = certificate_mend.Mender(SimpleNamespace(params={}))
    item = {"certificate": str(tmp_path / "rsa2048"), "services": ["nginx nginx.service"], "beside": [str(tmp_path / "leaf")],
            "probes": [["127.0.0.1", "443", "", "www.example.org"]]}  # fmt: skip
    return mender, item


def test_where_another_kind_of_key_is_shown_a_renewal_stays_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mender, item = both_kinds(tmp_path, monkeypatch, 1)
    mender.prove(item, 0)
    [one] = mender.not_proved
    assert "was not seen to serve the new serial" in one["reason"]
    # Before a reload of its own it takes nothing on trust.
    with pytest.raises(certificate_mend.Failure, match="not the new serial"):
        mender.prove(item, 0, reloaded=False)


@pytest.mark.parametrize(("began", "beside"), [(-60, True), (1, False)])
def test_what_was_not_loaded_or_is_not_known_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: float, beside: bool
) -> None:
    mender, item = both_kinds(tmp_path, monkeypatch, began)
    with pytest.raises(certificate_mend.Failure, match="not the new serial"):
        mender.prove({**item, "beside": item["beside"] if beside else []}, 0)
    assert mender.not_proved == []


# Files of others

def test_a_link_in_a_service_s_folder_is_not_followed(tmp_path: Path) -> None:
    """Root writes, reads and limits no file that somebody else has led it to."""
    theirs, secret = tmp_path / "theirs", tmp_path / "shadow"
    theirs.mkdir()
    secret.write_bytes(b"root")
    secret.chmod(0o644)
    (theirs / "db.pem").symlink_to(secret)
    os.chown(theirs, 65534, 65534)
    tmp_path.chmod(0o755)
    for act in (lambda path: deploy_hook.write(path, b"new"), deploy_hook.read, lambda path: deploy_hook.limit(path, 0o600)):
        with pytest.raises(deploy_hook.Failure, match="link in a folder that is not root"):
            act(str(theirs / "db.pem"))
    assert secret.read_bytes() == b"root" and secret.stat().st_mode & 0o777 == 0o644
    (theirs / "db.pem").unlink()
    deploy_hook.write(str(theirs / "db.pem"), b"new", 0o644)
    assert (theirs / "db.pem").read_bytes() == b"new"
    # A link of root's own is followed, as certbot makes them.
    (tmp_path / "live.pem").symlink_to("shadow")
    deploy_hook.write(str(tmp_path / "live.pem"), b"renewed")
    assert secret.read_bytes() == b"renewed" and (tmp_path / "live.pem").is_symlink()


def test_a_file_with_other_names_or_that_is_none_is_not_limited(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"x")
    os.link(tmp_path / "key", tmp_path / "other")
    os.mkfifo(tmp_path / "pipe")
    for name in ("key", "pipe"):
        with pytest.raises(deploy_hook.Failure):
            deploy_hook.limit(str(tmp_path / name), 0o600)
    with pytest.raises(deploy_hook.Failure):
        deploy_hook.read(str(tmp_path / "pipe"))


def test_what_else_is_in_a_joined_file_stays(tmp_path: Path) -> None:
    def block(label: str) -> bytes:
        return f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n".encode()

    path = str(tmp_path / "joined.pem")
    deploy_hook.write(path, block("CERTIFICATE") + block("RSA PRIVATE KEY") + block("DH PARAMETERS"))
    pair = deploy_hook.Pair(path, path)
    pair.put(block("CERTIFICATE") * 2, block("PRIVATE KEY"))
    assert deploy_hook.read(path)[0] == block("CERTIFICATE") * 2 + block("PRIVATE KEY") + block("DH PARAMETERS")
    pair.put_back()
    assert b"RSA PRIVATE KEY" in deploy_hook.read(path)[0]


def test_maps_of_postfix_are_made_anew_before_it_reloads(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {("postconf", "-h"): (0, "hash:/etc/postfix/sni, texthash:/t"), ("postconf", "-P"): (0, "x/inet/y = lmdb:/l ldap:/m"),
            ("postmap", "-F"): (0, "")}
    asked: list[list[str]] = []

    def run(argv: list[str], *_more: object, **_also: object) -> tuple[int, str]:
        asked.append(argv)
        return said[argv[0], argv[1]]

    monkeypatch.setattr(deploy_hook, "run", run)
    deploy_hook.build("postfix")
    deploy_hook.build("nginx")
    assert [one[2] for one in asked if one[0] == "postmap"] == ["hash:/etc/postfix/sni", "lmdb:/l"]
