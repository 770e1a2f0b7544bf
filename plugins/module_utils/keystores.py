# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the certificates of Java keystores: those of a JKS are open to all, those of a PKCS#12 are behind its password."""

from __future__ import annotations

import struct

from ansible_collections.hostmend.hardening.plugins.module_utils import x509

MAGIC = 0xFEEDFEED
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
    """True where the bytes are a JKS."""
    return data[:4] == struct.pack(">I", MAGIC)


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
    if reader.number(">I") != MAGIC or reader.number(">I") not in (1, 2):
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
