# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the certificates of Java keystores: those of a JKS are open to all, those of a PKCS#12 are behind its password."""

import hashlib
import hmac
import re
import struct

from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

MAGIC, JCEKS = 0xFEEDFEED, 0xCECECECE
# What a JKS mixes into its digest beside the password (sun.security.provider.JavaKeyStore).
WHITENER = b"Mighty Aphrodite"
DIGEST_BYTES = 20
BAGS = re.compile(r"^(?:Shrouded Keybag|Key bag)", re.M)
WRONG_PASSWORD = "the keystore does not open with the password in server.xml, or is damaged"
MOST_ENTRIES = 256
MOST_CHAIN = 16
PRIVATE_KEY, TRUSTED = 1, 2


class _Reader:
    """Takes fields off the front of bytes; all are bounded by what there is."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or len(self.data) - self.at < count:
            raise x509.Malformed("the keystore is cut off")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self):
        return self.take(self.number(">H")).decode("utf-8", "replace")


def is_jks(data):
    """True where the bytes are a JKS, or a JCEKS, which has the same form."""
    return data[:4] in (struct.pack(">I", MAGIC), struct.pack(">I", JCEKS))


def jks_opens(data, password):
    """Tell whether a JKS is whole and has this password, by the digest at its end."""
    body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    made = hashlib.sha1(password.encode("utf-16-be", "surrogatepass") + WHITENER + body).digest()
    return hmac.compare_digest(made, digest)


def is_pkcs12(data):
    """True where the bytes may be a PKCS#12: a sequence that begins with version 3."""
    try:
        tag, start, end = x509.tlv(data, 0, len(data))
        return tag == x509.SEQUENCE and data[start:start + 3] == b"\x02\x01\x03" and end <= len(data)
    except x509.Malformed:
        return data[:2] == b"\x30\x80"


def jks_chains(data):
    """Return {alias: certificates, leaf first} of the keys in a JKS; the keys themselves are passed over."""
    reader = _Reader(data)
    if reader.number(">I") not in (MAGIC, JCEKS) or reader.number(">I") not in (1, 2):
        raise x509.Malformed("it is no JKS keystore of version 1 or 2")
    count = reader.number(">I")
    if count > MOST_ENTRIES:
        raise x509.Malformed("the keystore has more than %d entries" % MOST_ENTRIES)
    made = {}
    for _number in range(count):
        kind, alias = reader.number(">I"), reader.text()
        reader.take(8)
        if kind == PRIVATE_KEY:
            reader.take(reader.number(">I"))
            length = reader.number(">I")
            if length > MOST_CHAIN:
                raise x509.Malformed("the keystore has a chain of more than %d certificates" % MOST_CHAIN)
        elif kind == TRUSTED:
            length = 1
        else:
            raise x509.Malformed("the keystore has an entry of a kind that is not known")
        chain = []
        for _certificate in range(length):
            reader.text()
            der = reader.take(reader.number(">I"))
            if kind == PRIVATE_KEY:
                chain.append(x509.parse(der))
        if chain:
            made[alias] = chain
    return made


def pkcs12_chains(printed, told):
    """Return {alias: certificates, leaf first} of the keys in a PKCS#12.

    :param printed: what ``openssl pkcs12 -nokeys`` prints; a certificate that a key goes with has a ``localKeyID``.
    :param told: what it says of it with ``-info``.
    """
    leaves, others = [], []
    for part in re.split(r"^Bag Attributes", printed, flags=re.M):
        for one in x509.bundle(part)[0]:
            name = re.search(r"^ +friendlyName: (.*)$", part, re.M)
            mine = re.search(r"^ +localKeyID:", part, re.M)
            (leaves if mine else others).append((name.group(1).strip() if name else "", one))
    if not leaves and BAGS.search(told):
        # Who made it left that out.
        others.sort(key=lambda pair: pair[1]["ca"])
        leaves, others = others[:1], others[1:]
    above = [one for _name, one in others]
    return dict((name or "key %d" % number, x509.chain([leaf] + above)) for number, (name, leaf) in enumerate(leaves, 1))


def chosen(chains, aliases):
    """Return (certificates, faults) of the keys that a server takes: those by these aliases, or the only one.

    :param aliases: what it names them by, '' where it names none.
    """
    if not chains:
        return [], ["there is no key in it"]
    named = dict((name.lower(), chain) for name, chain in chains.items())
    wanted = set(alias.lower() for alias in aliases if alias)
    missing = sorted(wanted - set(named))
    if missing:
        return [], ["there is no key %s in it" % missing[0]]
    if "" in aliases and len(named) > 1:
        return [], ["there are %d keys in it, and nothing says which of them is served (certificateKeyAlias)" % len(named)]
    # What ends first is what is judged.
    mine = sorted((chain for name, chain in named.items() if not wanted or name in wanted), key=lambda one: one[0]["not_after"])
    return [one for chain in mine for one in chain], []
