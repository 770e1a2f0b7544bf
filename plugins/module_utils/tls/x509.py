# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read X.509 certificates (RFC 5280) out of DER and PEM: what they say, not whether it is true.

The standard library shows a certificate's content only once it has verified it, and it is those that do not verify
which matter here. Whatever cannot be read is a :class:`Malformed`; input is bounded and may be hostile.
"""

import base64
import binascii
import calendar
import hashlib
import ipaddress
import re
import time
from typing import List
from typing import Tuple

MOST_BYTES = 256 * 1024
MOST_IN_BUNDLE = 512
MOST_NAMES = 1000
LABELS = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
INTEGER, BIT_STRING, OCTET_STRING, OID, BOOLEAN = 0x02, 0x03, 0x04, 0x06, 0x01
SEQUENCE, SET, UTC_TIME, GENERALIZED_TIME = 0x30, 0x31, 0x17, 0x18
SUBJECT_KEY, ALT_NAME, BASIC, CONSTRAINTS, AUTHORITY_KEY, INFO_ACCESS = (
    "2.5.29.14", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.35", "1.3.6.1.5.5.7.1.1")
SUBTREES = {0xA0: "permitted", 0xA1: "excluded"}
CA_ISSUERS = "1.3.6.1.5.5.7.48.2"
ATTRIBUTES = {"2.5.4.3": "CN", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
              "2.5.4.5": "serialNumber", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress"}
SIGNATURES = {
    "1.2.840.113549.1.1.2": "md2-rsa", "1.2.840.113549.1.1.4": "md5-rsa", "1.2.840.113549.1.1.5": "sha1-rsa",
    "1.2.840.113549.1.1.11": "sha256-rsa", "1.2.840.113549.1.1.12": "sha384-rsa", "1.2.840.113549.1.1.13": "sha512-rsa",
    "1.2.840.113549.1.1.14": "sha224-rsa", "1.2.840.113549.1.1.10": "rsa-pss", "1.2.840.10045.4.1": "sha1-ecdsa",
    "1.2.840.10045.4.3.1": "sha224-ecdsa", "1.2.840.10045.4.3.2": "sha256-ecdsa", "1.2.840.10045.4.3.3": "sha384-ecdsa",
    "1.2.840.10045.4.3.4": "sha512-ecdsa", "1.2.840.10040.4.3": "sha1-dsa", "2.16.840.1.101.3.4.3.2": "sha256-dsa",
    "1.3.101.112": "ed25519", "1.3.101.113": "ed448"}
HASHES = {"1.3.14.3.2.26": "sha1", "2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384",
          "2.16.840.1.101.3.4.2.3": "sha512", "2.16.840.1.101.3.4.2.4": "sha224"}
KEYS = {"1.2.840.113549.1.1.1": "rsa", "1.2.840.113549.1.1.10": "rsa", "1.2.840.10045.2.1": "ec",
        "1.2.840.10040.4.1": "dsa", "1.3.101.112": "ed25519", "1.3.101.113": "ed448"}
CURVES = {"1.2.840.10045.3.1.1": 192, "1.3.132.0.33": 224, "1.2.840.10045.3.1.7": 256, "1.3.132.0.10": 256,
          "1.3.132.0.34": 384, "1.3.132.0.35": 521, "1.3.36.3.3.2.8.1.1.7": 256, "1.3.36.3.3.2.8.1.1.11": 384,
          "1.3.36.3.3.2.8.1.1.13": 512}


class Malformed(ValueError):
    """The bytes are no certificate that can be read; the text says why, in words for a person."""


def tlv(data, start, end):
    """Return (tag, start of the value, end of the value) of the DER element at ``start``."""
    if end - start < 2:
        raise Malformed("it is cut off")
    tag, size, start = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise Malformed("it has a tag that no certificate has")
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4 or end - start < count:
            raise Malformed("it has a length that cannot be read")
        size, start = int.from_bytes(data[start:start + count], "big"), start + count
    if end - start < size:
        raise Malformed("it is cut off")
    return tag, start, start + size


def elements(data, start, end, most=4096):
    """Return the (tag, start, end) of each element between two offsets."""
    made = []
    while start < end:
        made.append(tlv(data, start, end))
        start = made[-1][2]
        if len(made) > most:
            raise Malformed("it has more than %d parts where a few are usual" % most)
    return made


def oid(data, start, end):
    """Return an object identifier in dots."""
    if not 0 < end - start <= 64 or data[end - 1] & 0x80:
        raise Malformed("it has an object identifier that cannot be read")
    numbers, value = [], 0
    for byte in data[start:end]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(str(number) for number in [first, numbers[0] - 40 * first] + numbers[1:])


def instant(tag, text):
    """Return a UTCTime or GeneralizedTime in seconds since 1970."""
    try:
        value = text.decode("ascii")
        if tag == UTC_TIME and re.match(r"\d{12}Z\Z", value):
            value = ("19" if int(value[:2]) >= 50 else "20") + value
        if tag not in (UTC_TIME, GENERALIZED_TIME) or not re.match(r"\d{14}Z\Z", value):
            raise ValueError
        year, month, day, hour, minute, second = (int(value[a:b]) for a, b in
                                                  ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14)))
        if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(max(year, 1), month)[1] and hour < 24
                and minute < 60 and second <= 60):
            raise ValueError
        return calendar.timegm((year, month, day, hour, minute, second))
    except (ValueError, UnicodeDecodeError):
        raise Malformed("it has a time that cannot be read")


def words(tag, value):
    """Return the text of a name's attribute."""
    text = value.decode("utf-16-be" if tag == 0x1E else "utf-8", "replace")
    return "".join(sign if sign.isprintable() else "?" for sign in text[:256])


def name(data, start, end):
    """Return a distinguished name as (text, common name)."""
    parts, common = [], ""
    for tag, at, to in elements(data, start, end, 64):
        for _tag, first, last in elements(data, at, to, 16) if tag == SET else ():
            pair = elements(data, first, last, 4)
            if len(pair) < 2 or pair[0][0] != OID:
                raise Malformed("it has a name that cannot be read")
            kind = oid(data, pair[0][1], pair[0][2])
            value = words(pair[1][0], data[pair[1][1]:pair[1][2]])
            parts.append("%s=%s" % (ATTRIBUTES.get(kind, kind), value))
            if kind == "2.5.4.3":
                common = value
    return ", ".join(parts), common


def parse(der):
    """Return what a DER certificate says as a plain dict; :class:`Malformed` where it cannot be read.

    Times are seconds since 1970. ``fingerprint`` is the SHA-256 of the whole, ``issuer_hash`` and ``subject_hash``
    stand for the names as they are encoded, ``key_bits`` is None where the kind of key is not known. ``permitted`` and
    ``excluded`` are the name constraints of an authority, each as [kind, text] with the kinds ``dns``, ``ip`` and ``dn``.
    """
    if len(der) > MOST_BYTES:
        raise Malformed("it is larger than %d KiB" % (MOST_BYTES // 1024))
    try:
        return _parse(bytes(der))
    except (IndexError, OverflowError, RecursionError):
        raise Malformed("it cannot be read")


def _parse(der):
    tag, start, end = tlv(der, 0, len(der))
    outer = elements(der, start, end, 3) if tag == SEQUENCE else []
    if len(outer) != 3 or outer[0][0] != SEQUENCE:
        raise Malformed("it is no certificate")
    parts = elements(der, outer[0][1], outer[0][2], 16)
    if parts and parts[0][0] == 0xA0:
        parts = parts[1:]
    tags = [part[0] for part in parts[:6]]
    if tags != [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE]:
        raise Malformed("it is no certificate")
    serial, _signature, issuer, validity, subject, key = parts[:6]
    times = elements(der, validity[1], validity[2], 2)
    if len(times) != 2:
        raise Malformed("it has no validity")
    issuer_text, _common = name(der, issuer[1], issuer[2])
    subject_text, common = name(der, subject[1], subject[2])
    made = {
        "serial": "%x" % int.from_bytes(der[serial[1]:serial[2]][:64], "big"),
        "subject": subject_text, "issuer": issuer_text, "common_name": common,
        "subject_hash": hashlib.sha256(der[subject[1]:subject[2]]).hexdigest()[:32],
        "issuer_hash": hashlib.sha256(der[issuer[1]:issuer[2]]).hexdigest()[:32],
        "not_before": instant(times[0][0], der[times[0][1]:times[0][2]]),
        "not_after": instant(times[1][0], der[times[1][1]:times[1][2]]),
        "signature": signature(der, outer[1]), "fingerprint": hashlib.sha256(der[:end]).hexdigest(),
        "names": [], "ca": False, "subject_key": "", "authority_key": "", "issuer_known": False,
        "permitted": [], "excluded": [],
    }
    made["key_type"], made["key_bits"] = public_key(der, key)
    for part in parts[6:]:
        if part[0] == 0xA3:
            _tag, first, last = tlv(der, part[1], part[2])
            for _tag, at, to in elements(der, first, last, 64):
                extension(der, at, to, made)
    made["self_issued"] = made["subject_hash"] == made["issuer_hash"] and made["authority_key"] in (
        "", made["subject_key"])
    return made


def signature(der, part):
    """Return the name of a signature's algorithm."""
    inner = elements(der, part[1], part[2], 4)
    kind = oid(der, inner[0][1], inner[0][2])
    made = SIGNATURES.get(kind, kind)
    if made != "rsa-pss":
        return made
    # RFC 4055: without parameters the hash is SHA-1.
    hashed = "sha1"
    if len(inner) > 1 and inner[1][0] == SEQUENCE:
        for tag, at, to in elements(der, inner[1][1], inner[1][2], 8):
            if tag == 0xA0:
                _tag, first, last = tlv(der, at, to)
                _tag, first, last = tlv(der, first, last)
                hashed = HASHES.get(oid(der, first, last), "unknown")
    return "%s-rsa-pss" % hashed


def public_key(der, part):
    """Return (kind, bits) of a public key; bits are None where they are not known."""
    inner = elements(der, part[1], part[2], 4)
    if len(inner) != 2 or inner[1][0] != BIT_STRING:
        raise Malformed("it has no public key")
    about = elements(der, inner[0][1], inner[0][2], 4)
    kind = KEYS.get(oid(der, about[0][1], about[0][2]), "unknown")
    if kind == "rsa":
        _tag, first, last = tlv(der, inner[1][1] + 1, inner[1][2])
        _tag, first, last = tlv(der, first, last)
        return kind, int.from_bytes(der[first:last], "big").bit_length()
    if kind == "ec":
        if len(about) > 1 and about[1][0] == OID:
            return kind, CURVES.get(oid(der, about[1][1], about[1][2]))
        return kind, None
    if kind == "dsa" and len(about) > 1:
        _tag, first, last = tlv(der, about[1][1], about[1][2])
        return kind, int.from_bytes(der[first:last], "big").bit_length()
    return kind, {"ed25519": 256, "ed448": 456}.get(kind)


def extension(der, start, end, made):
    """Add what one extension says."""
    parts = elements(der, start, end, 3)
    if len(parts) < 2 or parts[-1][0] != OCTET_STRING:
        raise Malformed("it has an extension that cannot be read")
    kind = oid(der, parts[0][1], parts[0][2])
    if kind not in (SUBJECT_KEY, ALT_NAME, BASIC, CONSTRAINTS, AUTHORITY_KEY, INFO_ACCESS):
        return
    _tag, first, last = tlv(der, parts[-1][1], parts[-1][2])
    if kind == SUBJECT_KEY:
        made["subject_key"] = der[first:last].hex()[:128]
        return
    for tag, at, to in elements(der, first, last, MOST_NAMES):
        if kind == CONSTRAINTS and tag in SUBTREES:
            made[SUBTREES[tag]] += [base for part in elements(der, at, to, MOST_NAMES) for base in subtree(der, part)]
        elif kind == BASIC and tag == BOOLEAN:
            made["ca"] = der[at:to] != b"\0"
        elif kind == AUTHORITY_KEY and tag == 0x80:
            made["authority_key"] = der[at:to].hex()[:128]
        elif kind == INFO_ACCESS and tag == SEQUENCE:
            _tag, one, two = tlv(der, at, to)
            made["issuer_known"] = made["issuer_known"] or oid(der, one, two) == CA_ISSUERS
        elif kind == ALT_NAME and tag == 0x82:
            made["names"].append(words(0, der[at:to]).lower())
        elif kind == ALT_NAME and tag == 0x87 and to - at in (4, 16):
            made["names"].append(str(ipaddress.ip_address(der[at:to])))


def subtree(der, part):
    """Return the base of a name constraint in a list, which is empty for the kinds that no server's certificate has."""
    base = elements(der, part[1], part[2], 3)[:1]
    if part[0] != SEQUENCE or not base:
        raise Malformed("it has a name constraint that cannot be read")
    tag, at, to = base[0]
    if tag == 0x82:
        return [["dns", words(0, der[at:to]).lower()]]
    if tag == 0x87 and to - at in (8, 32):
        half = (to - at) // 2
        return [["ip", "%s/%s" % tuple(str(ipaddress.ip_address(one)) for one in (der[at:at + half], der[at + half:to]))]]
    if tag == 0xA4:
        _tag, first, last = tlv(der, at, to)
        return [["dn", name(der, first, last)[0]]]
    return []


def blocks(text: str, most: int = MOST_IN_BUNDLE + 1) -> Tuple[List[str], bool]:
    """Return (the PEM blocks of certificates, whether one of them is cut off), at most so many.

    Each part of the text is looked at once, as a service's user may have written it.
    """
    made = []  # type: List[str]
    at, cut_off = 0, False
    ended = []  # type: List[str]
    while len(made) < most:
        at = text.find("-----BEGIN ", at)
        if at < 0:
            break
        start = at + len("-----BEGIN ")
        label = next((one for one in LABELS if text.startswith(one + "-----", start)), "")
        at = start
        if not label:
            continue
        last = "-----END %s-----" % label
        end = -1 if label in ended else text.find(last, start)
        if end < 0:
            # What does not end here ends nowhere behind it, either.
            ended.append(label)
            cut_off = True
            continue
        at = end + len(last)
        made.append(text[start - len("-----BEGIN "):at])
    return made, cut_off


def _der(block: str) -> bytes:
    return base64.b64decode("".join(block[block.index("-----", 11) + 5:block.rindex("-----END")].split()), validate=True)


def bundle(text):
    """Return (certificates, faults) of a PEM text: each certificate in turn, and what could not be read."""
    made, faults = [], []
    found, cut_off = blocks(text)
    for number, block in enumerate(found, 1):
        if number > MOST_IN_BUNDLE:
            faults.append("it has more than %d certificates" % MOST_IN_BUNDLE)
            break
        try:
            made.append(parse(_der(block)))
        except (binascii.Error, ValueError) as error:
            why = str(error) if isinstance(error, Malformed) else "it is not base64"
            faults.append("certificate %d: %s" % (number, why))
    if cut_off:
        faults.append("a certificate is cut off")
    return made, faults


def certificates(data):
    """Return (certificates, faults) of a file's bytes, be they PEM or DER."""
    if data[:1] == b"\x30":
        try:
            return [parse(data)], []
        except Malformed as error:
            return [], [str(error)]
    made, faults = bundle(data.decode("latin-1"))
    if not made and not faults:
        faults = ["there is no certificate in it"]
    return made, faults


def chain(certificates, now=0):
    """Return the certificates from the first one up, each issued by the next, as far as they lead.

    :param now: of several with one name, that which is valid then is taken.
    """
    made, rest = [certificates[0]], list(certificates[1:])
    while not made[-1]["self_issued"]:
        fit = [one for one in rest if one["subject_hash"] == made[-1]["issuer_hash"]]
        above = next((one for one in fit if one["not_after"] >= now), fit[0] if fit else None)
        if above is None:
            break
        rest.remove(above)
        made.append(above)
    return made


def covers(certificate, wanted):
    """Tell whether a certificate is for a name, by RFC 6125: a star stands for the first label as a whole."""
    wanted = wanted.rstrip(".").lower()
    for one in certificate["names"]:
        if one.rstrip(".") == wanted:
            return True
        if one.startswith("*.") and "." in wanted and wanted.split(".", 1)[1] == one[2:] and "*" not in wanted:
            return True
    return False


def expiring(certificate, now, percent, most_days):
    """Tell whether less than ``percent`` of the lifetime is left, and less than ``most_days`` days."""
    left = certificate["not_after"] - now
    whole = certificate["not_after"] - certificate["not_before"]
    return left < min(whole * percent / 100.0, most_days * 86400.0)


def day(seconds):
    """Return a time as text, in UTC; a year that no clock has stays readable."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "year %d" % (1970 + seconds // 31556952)
