"""Certificates made to order, for the tests of their class."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
KEYS: dict[str, Any] = {}


def key(name: str) -> Any:
    """Return a key of that name, the same each time; ``rsa1024`` and the like are RSA."""
    if name not in KEYS:
        KEYS[name] = (
            rsa.generate_private_key(65537, int(name[3:])) if name.startswith("rsa") else ec.generate_private_key(ec.SECP256R1())
        )
    return KEYS[name]


def key_pem(name: str, password: bytes | None = None) -> bytes:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    made: bytes = key(name).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    return made


def certificate(
    names: tuple[str, ...] = ("www.example.org",),
    by: str = "ca",
    of: str = "leaf",
    since: float = -30,
    until: float = 60,
    ca: bool = False,
    aia: bool = False,
    common: str | None = None,
    issuer: str = "Test CA",
) -> x509.Certificate:
    """Return a certificate of the key ``of``, signed with the key ``by``; since and until are days from now."""
    subject = common if common is not None else names[0]
    if by == of:
        issuer = subject
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key(of).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=since))
        .not_valid_after(NOW + datetime.timedelta(days=until))
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key(of).public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key(by).public_key()), False)
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
    if aia:
        where = x509.UniformResourceIdentifier("http://ca.example.org/ca.der")
        made = made.add_extension(
            x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)]), False
        )
    return made.sign(key(by), hashes.SHA256())


def base(text: str) -> x509.GeneralName:
    if text.startswith("O="):
        return x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text[2:])]))
    return x509.IPAddress(ipaddress.ip_network(text)) if "/" in text else x509.DNSName(text)


def authority(permitted: tuple[str, ...] = (), excluded: tuple[str, ...] = (), by: str = "ca") -> str:
    """Return the PEM of an authority with limits; ``by`` is the key that signs it, its own or that of a root."""
    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA" if one == "ca" else "Root")]) for one in ("ca", by)
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key("ca").public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(9))
        .add_extension(x509.BasicConstraints(True, None), True)
    )
    if permitted or excluded:
        limits = x509.NameConstraints([base(one) for one in permitted] or None, [base(one) for one in excluded] or None)
        made = made.add_extension(limits, True)
    return pem(made.sign(key(by), hashes.SHA256())).decode()


def pem(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.PEM)


def der(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.DER)
