"""Certificates and keystores: read as cryptography reads them, and hostile bytes refused."""

from __future__ import annotations

import datetime
import hashlib
import struct
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import keystores, x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import certificate_maker as maker

LEAF = maker.certificate(("www.example.org", "*.shop.example.org"))
DAY = 86400


def test_it_says_what_cryptography_says() -> None:
    told = x509.parse(maker.der(LEAF))
    assert told["serial"] == f"{LEAF.serial_number:x}"
    assert told["names"] == ["www.example.org", "*.shop.example.org"]
    assert told["subject"] == "CN=www.example.org" and told["issuer"] == "CN=Test CA"
    assert told["not_before"] == LEAF.not_valid_before_utc.timestamp()
    assert told["not_after"] == LEAF.not_valid_after_utc.timestamp()
    assert (told["key_type"], told["key_bits"], told["signature"]) == ("ec", 256, "sha256-ecdsa")
    assert told["fingerprint"] == LEAF.fingerprint(maker.hashes.SHA256()).hex()
    assert not told["ca"] and not told["self_issued"] and not told["issuer_known"]


def test_what_an_authority_is() -> None:
    told = x509.parse(maker.der(maker.certificate((), "ca", "ca", ca=True, common="Test CA", aia=True)))
    assert told["ca"] and told["self_issued"] and told["issuer_known"]
    # The same name signed by another key is not signed by itself.
    assert not x509.parse(maker.der(maker.certificate((), "ca", "leaf", common="Test CA")))["self_issued"]


def test_rsa_keys_have_their_bits() -> None:
    told = x509.parse(maker.der(maker.certificate(of="rsa1024")))
    assert (told["key_type"], told["key_bits"]) == ("rsa", 1024)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (x509.parse, keystores.jks_chains):
        try:
            assert isinstance(read(data), dict)
        except x509.Malformed as error:
            assert str(error)
    x509.certificates(data)
    keystores.is_pkcs12(data)


@settings(max_examples=300)
@given(st.data())
def test_a_certificate_with_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    der = bytearray(maker.der(LEAF))
    for _number in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(der)))
    for bad in (bytes(der), bytes(der[:cut])):
        try:
            x509.parse(bad)
        except x509.Malformed as error:
            assert str(error)


@given(st.text(max_size=300))
def test_any_text_is_a_bundle_or_has_faults(text: str) -> None:
    made, faults = x509.bundle(text)
    assert made == [] and isinstance(faults, list)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,8}){1,3}", fullmatch=True), min_size=1, max_size=5),
    st.integers(-4000, 0),
    st.integers(1, 40000),
)
def test_names_and_times_come_through(names: list[str], since: int, until: int) -> None:
    one = maker.certificate(tuple(names), since=since, until=until, common="x")
    told = x509.parse(maker.der(one))
    assert told["names"] == names
    assert told["not_before"] == one.not_valid_before_utc.timestamp()
    assert told["not_after"] == one.not_valid_after_utc.timestamp()


def test_a_bundle_is_read_in_order_and_its_faults_are_named() -> None:
    good = maker.pem(LEAF).decode()
    made, faults = x509.bundle("text before\n" + good + good)
    assert len(made) == 2 and faults == []
    made, faults = x509.bundle(good + "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n")
    assert len(made) == 1 and faults == ["certificate 2: it is not base64"]
    made, faults = x509.bundle(good + "-----BEGIN CERTIFICATE-----\nMIIB")
    assert len(made) == 1 and faults == ["a certificate is cut off"]
    assert x509.certificates(b"nothing") == ([], ["there is no certificate in it"])
    assert x509.certificates(maker.der(LEAF))[0][0]["serial"] == f"{LEAF.serial_number:x}"
    assert x509.certificates(b"0" * 9)[0] == []
    with pytest.raises(x509.Malformed, match="larger than"):
        x509.parse(b"0" * (x509.MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("name", "is_covered"),
    [
        ("www.example.org", True),
        ("WWW.example.org.", True),
        ("example.org", False),
        ("a.shop.example.org", True),
        ("a.b.shop.example.org", False),
        ("shop.example.org", False),
        ("*.shop.example.org", True),
        ("*.example.org", False),
    ],
)
def test_which_names_a_certificate_is_for(name: str, is_covered: bool) -> None:
    assert x509.covers(x509.parse(maker.der(LEAF)), name) is is_covered


@pytest.mark.parametrize(
    ("lifetime", "left", "due"),
    # Tools that renew with a third left never come below it; 47-day certificates work like 10-year ones.
    [
        (90, 30, False),
        (90, 22, False),
        (90, 20, True),
        (47, 15.6, False),
        (47, 12, False),
        (47, 11, True),
        (6, 2, False),
        (6, 1.4, True),
        (3650, 25, False),
        (3650, 20, True),
        (90, -1, True),
    ],
)
def test_when_it_is_due(lifetime: float, left: float, due: bool) -> None:
    one = {"not_before": 0, "not_after": lifetime * DAY}
    assert x509.expiring(one, (lifetime - left) * DAY, 25, 21) is due


def test_times_before_2050_and_after() -> None:
    assert x509.instant(x509.UTC_TIME, b"500101000000Z") == -631152000
    assert x509.instant(x509.GENERALIZED_TIME, b"99991231235959Z") == 253402300799
    assert x509.day(253402300799) == "9999-12-31 23:59:59Z"
    for bad in (b"20261301000000Z", b"261301000000Z", b"", b"\xff"):
        with pytest.raises(x509.Malformed):
            x509.instant(x509.GENERALIZED_TIME, bad)


def jks(*chain: bytes, kind: int = 1, magic: int = keystores.MAGIC, password: str = "changeit") -> bytes:
    made = struct.pack(">IIIIH4sQ", magic, 2, 1, kind, 4, b"mine", 0)
    if kind == 1:
        made += struct.pack(">I3sI", 3, b"key", len(chain))
    for one in chain:
        made += struct.pack(">H5sI", 5, b"X.509", len(one)) + one
    return made + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + made).digest()


def test_a_jks_gives_its_certificates_without_a_password() -> None:
    store = jks(maker.der(LEAF), maker.der(maker.certificate((), "ca", "ca", common="Test CA")))
    assert keystores.is_jks(store)
    [chain] = keystores.jks_chains(store).values()
    assert [one["subject"] for one in chain] == ["CN=www.example.org", "CN=Test CA"]
    assert keystores.jks_chains(jks(maker.der(LEAF), kind=2)) == {}
    jceks = jks(maker.der(LEAF), magic=keystores.JCEKS)
    assert keystores.is_jks(jceks) and list(keystores.jks_chains(jceks)) == ["mine"]


def test_the_password_of_a_jks_is_known_by_its_digest() -> None:
    store = jks(maker.der(LEAF), password="pässword")
    assert keystores.jks_opens(store, "pässword")
    assert not keystores.jks_opens(store, "changeit")
    # Cut within the digest, its certificates can still be read, and Java refuses it.
    assert keystores.jks_chains(store[:-10]) and not keystores.jks_opens(store[:-10], "pässword")
    assert not keystores.jks_opens(b"", "changeit") and not keystores.jks_opens(store, "\ud800")


def bag(name: str, key: bool, one: Any) -> str:
    """Return a certificate as OpenSSL 3.0 prints it out of a keystore that Java 17 made."""
    about = f"Bag Attributes\n    friendlyName: {name}\n"
    about += "    localKeyID: 54 69 6D 65 20 31 37 \n" if key else "    2.16.840.1.113894.746875.1.1: <Unsupported tag 6>\n"
    return about + "subject=CN = x\n\nissuer=CN = x\n\n" + maker.pem(one).decode()


KEYBAG = "MAC: sha256, Iteration 10000\nPKCS7 Data\nShrouded Keybag: PBES2, PBKDF2, AES-256-CBC, Iteration 10000\n"


def test_a_pkcs12_gives_the_chain_of_each_key() -> None:
    first, second = maker.certificate(("first.lab.test",), until=90), maker.certificate(("second.lab.test",), until=9)
    above = maker.certificate((), "ca", "ca", ca=True, common="Test CA")
    printed = bag("first", True, first) + bag("root", False, above) + bag("Second", True, second)
    chains = keystores.pkcs12_chains(printed, KEYBAG * 2)
    told = {name: [one["subject"] for one in chain] for name, chain in chains.items()}
    assert told == {"first": ["CN=first.lab.test", "CN=Test CA"], "Second": ["CN=second.lab.test", "CN=Test CA"]}
    # Java's aliases know no case, and what ends first is judged first.
    assert keystores.chosen(chains, {"second"})[0] == chains["Second"]
    assert keystores.chosen(chains, {"first", "second"})[0] == chains["Second"] + chains["first"]
    assert keystores.chosen(chains, {""}) == (
        [], ["there are 2 keys in it, and nothing says which of them is served (certificateKeyAlias)"])  # fmt: skip
    assert keystores.chosen(chains, {"other"}) == ([], ["there is no key other in it"])


def test_a_pkcs12_without_keys_serves_nothing() -> None:
    trusted = bag("ca", False, LEAF)
    assert keystores.pkcs12_chains(trusted, "PKCS7 Encrypted data: PBES2\nCertificate bag\n") == {}
    assert keystores.chosen({}, {""}) == ([], ["there is no key in it"])
    assert list(keystores.pkcs12_chains(trusted, KEYBAG)) == ["ca"]


def test_a_jks_that_is_cut_off_or_lies_is_refused() -> None:
    store = jks(maker.der(LEAF))
    for cut in range(0, len(store) - 20, 7):
        with pytest.raises(x509.Malformed):
            keystores.jks_chains(store[:cut])
    with pytest.raises(x509.Malformed, match="more than"):
        keystores.jks_chains(struct.pack(">III", keystores.MAGIC, 2, 2**31))


def test_the_clock_of_the_maker_is_now() -> None:
    assert abs((datetime.datetime.now(datetime.UTC) - maker.NOW).total_seconds()) < 3600


def test_a_certificate_that_is_begun_again_and_again_is_read_at_once() -> None:
    # A regular expression took minutes of it; a service's user may write such a file.
    text = "-----BEGIN CERTIFICATE-----\n" * 40_000
    assert x509.bundle(text) == ([], ["a certificate is cut off"])
    found = x509.bundle("-----BEGIN X509 CERTIFICATE-----\n" * 40_000 + maker.pem(LEAF).decode())[0]
    assert [one["serial"] for one in found] == [f"{LEAF.serial_number:x}"]


def test_blocks_are_those_of_certificates() -> None:
    pem = maker.pem(LEAF).decode()
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert x509.blocks(key + pem + "text\n" + pem) == ([pem.strip(), pem.strip()], False)
    assert x509.blocks(pem + pem[: len(pem) // 2]) == ([pem.strip()], True)
