# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The private authority, on the controller: make it, and sign what the policy gives a host.

Of a host's request its public key alone is taken. Names, lifetime and every extension are those of the template here.
"""

from __future__ import annotations

import datetime
import fcntl
import fnmatch
import ipaddress
import json
import os
import re
import stat
from typing import Any, NamedTuple

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    NOT_INSTALLED = "The Python package cryptography is missing on the controller: install it beside Ansible"
else:
    NOT_INSTALLED = ""

MOST_BYTES = 1024 * 1024
MOST_REQUEST = 65536
MOST_NAMES = 100
RSA_BITS = (2048, 8192)
CURVES = ("secp256r1", "secp384r1", "secp521r1")
HOST_NAME = re.compile(r"(?:\*\.)?(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\Z")
DOMAIN = re.compile(r"\.?[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\Z")
BEGIN = "-----BEGIN "
CERTIFICATE = re.compile(r"(?:CERTIFICATE|X509 CERTIFICATE)-----")
TIME = "%Y-%m-%dT%H:%M:%SZ"
# Clocks of hosts may be behind that of the controller.
EARLIER = datetime.timedelta(minutes=5)


class AuthorityError(Exception):
    """The authority cannot be used, or does not sign; the text says why, and nothing of a file's content."""


class Authority(NamedTuple):
    """An authority that can sign: its certificate with those above it, and its key."""

    chain: list[x509.Certificate]
    key: Any


def _read(path: str) -> bytes:
    if NOT_INSTALLED:
        raise AuthorityError(NOT_INSTALLED)
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as handle:
            about = os.fstat(number)
            if not stat.S_ISREG(about.st_mode):
                raise AuthorityError(f"{path} is not a regular file")
            if about.st_size > MOST_BYTES:
                raise AuthorityError(f"{path} is larger than 1 MiB")
            return handle.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise AuthorityError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'its name cannot be used'}") from error


def read_certificates(path: str) -> list[x509.Certificate]:
    """Return the certificates of a file that holds nothing else: that of the authority, and those above it."""
    data = _read(path)
    labels = data.decode("latin-1").split(BEGIN)[1:]
    if not labels:
        raise AuthorityError(f"{path} holds no certificate")
    if not all(CERTIFICATE.match(label) for label in labels):
        raise AuthorityError(f"{path} holds more than certificates: leave the certificate of the authority alone in it")
    try:
        made = x509.load_pem_x509_certificates(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuthorityError(f"{path} holds a certificate that cannot be read") from error
    try:
        is_authority = made[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        is_authority = False
    if not is_authority:
        raise AuthorityError(f"{path} is no certificate of an authority (CA:TRUE)")
    return made


def load(certificate: str, key: str, passphrase: str) -> Authority:
    """Return the authority of two files."""
    chain = read_certificates(certificate)
    try:
        loaded = serialization.load_pem_private_key(_read(key), passphrase.encode() or None)
    except TypeError as error:
        why = "has no passphrase, and one is given" if passphrase else "has a passphrase: set certificates_private_ca_passphrase"
        raise AuthorityError(f"{key} {why}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuthorityError(f"{key} cannot be read as a key: its passphrase is another one, or it is none") from error
    if _spki(loaded.public_key()) != _spki(chain[0].public_key()):
        raise AuthorityError(f"{key} is not the key of {certificate}")
    return Authority(chain, loaded)


def _spki(key: Any) -> bytes:
    made: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return made


def pem(certificates: list[x509.Certificate]) -> str:
    """Return certificates as text: they alone, whatever else their file held."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates).decode("ascii")


def address_of(name: str) -> Any:
    """Return a name as an address, None where it is none."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def refusal(names: list[str], allowed: list[str], host: str, others: list[str]) -> str:
    """Return why the policy does not give these names to a host, '' where it does.

    :param allowed: private_names of this host, as globs.
    :param others: the names of the other hosts of the inventory.
    """
    if not names:
        return "no name is known that it is for"
    if len(names) > MOST_NAMES:
        return f"it is for more than {MOST_NAMES} names"
    theirs = {one.lower().rstrip(".") for one in others} - {host.lower().rstrip(".")}
    for name in names:
        if not HOST_NAME.match(name) and address_of(name) is None:
            return f"{name[:100]!r} is no name that a certificate can be had for"
        if not any(fnmatch.fnmatchcase(name, glob.lower()) for glob in allowed):
            return f"{name} is not among the private_names of {host}"
        taken = sorted(one for one in theirs if one == name or (name.startswith("*.") and one.partition(".")[2] == name[2:]))
        # A star in the policy is for whichever host asks, so what is another host's name must be spelt out.
        if taken and (name.startswith("*.") or name not in [glob.lower() for glob in allowed]):
            return f"{name} is for {taken[0]}, another host of the inventory: name it in the private_names of {host} itself"
    return ""


def public_key(request: str) -> Any:
    """Return the public key of a request that its own key has signed; all else of it is passed over."""
    if len(request) > MOST_REQUEST:
        raise AuthorityError("the request of the host is too large")
    try:
        asked = x509.load_pem_x509_csr(request.encode("ascii"))
        key = asked.public_key()
        signed = asked.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuthorityError("the request of the host cannot be read") from error
    if not signed:
        raise AuthorityError("the request of the host is not signed with the key that it names")
    if isinstance(key, rsa.RSAPublicKey):
        good = RSA_BITS[0] <= key.key_size <= RSA_BITS[1] and key.public_numbers().e > 2
    else:
        good = isinstance(key, ed25519.Ed25519PublicKey) or (
            isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES
        )
    if not good:
        raise AuthorityError("the key of the host is weak, or of a kind that is not signed")
    return key


def sign(authority: Authority, key: Any, names: list[str], days: int) -> x509.Certificate:
    """Return a certificate of a server for these names and this public key, by the template of this function alone."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    issuer = authority.chain[0]
    if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
        raise AuthorityError("the private authority is not valid today")
    common = next((name for name in names if address_of(name) is None), "a server")[:64]
    try:
        above = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        its_issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above)
    except x509.ExtensionNotFound:
        its_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    shown = [x509.IPAddress(address_of(name)) if address_of(name) else x509.DNSName(name) for name in names]
    # Replicas and relays show the pair of their server to others, too.
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - EARLIER, issuer.not_valid_before_utc))
        .not_valid_after(min(now + datetime.timedelta(days=days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(_usage(digital_signature=True, key_encipherment=isinstance(key, rsa.RSAPublicKey)), True)
        .add_extension(x509.ExtendedKeyUsage(purposes), False)
        .add_extension(x509.SubjectAlternativeName(shown), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        .add_extension(its_issuer, False)
        .sign(authority.key, _hash_for(authority.key))
    )


def _usage(**given: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: given.get(name, False) for name in names})


def _hash_for(key: Any) -> Any:
    return None if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)) else hashes.SHA256()


def log_path(key: str) -> str:
    """Return where it is kept what an authority has signed: beside its key."""
    return os.path.splitext(key)[0] + ".signed.jsonl"


def record(path: str, host: str, run: str, made: x509.Certificate, names: list[str]) -> None:
    """Add a line to the log of what was signed; what cannot be kept is not given away."""
    now = datetime.datetime.now(datetime.timezone.utc)
    line = {"time": now.strftime(TIME), "host": host, "run": run, "names": names, "serial": f"{made.serial_number:x}",
            "not_after": made.not_valid_after_utc.strftime(TIME), "sha256": made.fingerprint(hashes.SHA256()).hex()}
    try:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "a", encoding="utf-8") as handle:
            fcntl.flock(number, fcntl.LOCK_EX)
            handle.write(json.dumps(line) + "\n")
            handle.flush()
            os.fsync(number)
    except OSError as error:
        raise AuthorityError(f"what is signed cannot be kept in {path}: {error.strerror}") from error


def limits(domains: list[str]) -> Any:
    """Return the name constraints for domains and networks, None where there are none.

    Limits of one kind would leave the other open: what is for domains alone could issue for any address.
    """
    if not domains:
        return None
    permitted: list[x509.GeneralName] = []
    odd = []
    for one in domains:
        try:
            permitted.append(x509.IPAddress(ipaddress.ip_network(one)) if "/" in one else x509.DNSName(one))
        except ValueError:
            odd.append(one)
            continue
        if "/" not in one and (not DOMAIN.match(one) or one.rpartition(".")[2].isdecimal()):
            odd.append(one)
    if odd:
        raise AuthorityError(
            f"{', '.join(odd)} is neither a domain nor a network. A domain stands for all names below it without a star: "
            "example.org, or .example.org without the name itself; a network is 192.0.2.0/24"
        )
    excluded: list[x509.GeneralName] = []
    if not any(isinstance(one, x509.DNSName) for one in permitted):
        excluded.append(x509.DNSName(""))
    if not any(isinstance(one, x509.IPAddress) for one in permitted):
        excluded += [x509.IPAddress(ipaddress.ip_network(one)) for one in ("0.0.0.0/0", "::/0")]
    return x509.NameConstraints(permitted, excluded or None)


def create(certificate: str, key: str, passphrase: str, name: str, days: int, domains: list[str]) -> None:
    """Make an authority, both of its files or none; neither is ever overwritten."""
    constraints = limits(domains)
    if NOT_INSTALLED:
        raise AuthorityError(NOT_INSTALLED)
    made = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(True, 0), True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.public_key()), False)
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, True)
    signed = builder.sign(made, hashes.SHA256())
    hidden: Any = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    secret = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    written: list[str] = []
    try:
        for path, data, mode in ((key, secret, 0o600), (certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)):
            os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            written.append(path)
            with os.fdopen(number, "wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(number)
    except OSError as error:
        for path in written:
            os.unlink(path)
        raise AuthorityError(f"{error.filename or certificate}: {error.strerror}") from error
