# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of certificates: PEM, DER and keystores, and the authorities that this host knows."""

import os
import stat

from ansible_collections.hostmend.hardening.plugins.module_utils.tls import keystores
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509


MEBIBYTE = 1024 * 1024
KEPT = 8
STORES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")


def read_bytes(host, path):
    """Return the bytes of a file that is not too large; (None, why) where it cannot be read."""
    try:
        about = os.stat(host.path(path))
    except (OSError, ValueError) as error:
        return None, getattr(error, "strerror", "") or "its name cannot be used"
    if not stat.S_ISREG(about.st_mode):
        return None, "it is no file"
    if about.st_size > MEBIBYTE:
        return None, "it is larger than 1 MiB"
    text = host.read(path, MEBIBYTE)
    return (None, "permission denied") if text is None else (text.encode("utf-8", "surrogateescape"), "")


def read(host, one, aliases=("",)):
    """Return the certificates of a file, leaf first; of a keystore those by the aliases that servers name."""
    path = one["certificate"]
    data, why = read_bytes(host, path)
    if data is None:
        return {"certificates": [], "faults": [why]}
    try:
        if one["keystore"] or keystores.is_jks(data):
            made, faults = _keystore(host, path, data, one.get("password"), aliases)
        else:
            made, faults = x509.certificates(data)
    except x509.Malformed as error:
        return {"certificates": [], "faults": [str(error)]}
    extra, why = read_bytes(host, one["chain"]) if one["chain"] else (b"", "")
    if extra:
        more, wrong = x509.certificates(extra)
        made, faults = made + more, faults + wrong
    elif why:
        faults = faults + ["%s: %s" % (one["chain"], why)]
    return {"certificates": made[:KEPT], "faults": faults[:KEPT]}


def _keystore(host, path, data, password, aliases):
    """Return (certificates, faults) of a keystore; a password that is not known is None."""
    if not data:
        return [], ["it is empty"]
    if keystores.is_jks(data):
        chains = keystores.jks_chains(data)
        if password is not None and not keystores.jks_opens(data, password):
            return [], [keystores.WRONG_PASSWORD]
        return keystores.chosen(chains, aliases)
    if not keystores.is_pkcs12(data):
        if data[:1] == b"\x30" or b"-----BEGIN" in data:
            return x509.certificates(data)
        return [], ["it is no keystore of a kind that is known (JKS, JCEKS, PKCS#12)"]
    if password is None:
        return [], ["its password is not in server.xml, but in a variable or a file that cannot be read"]
    answer = None
    # What Java 8 and Windows made is read by OpenSSL 3 with its old algorithms alone.
    for more in ([], ["-legacy"]):
        # The password goes over the standard input: arguments can be seen by all.
        answer = host.run(["openssl", "pkcs12", "-in", path, "-nokeys", "-info", "-passin", "stdin"] + more, seconds=4,
                          stdin=password + "\n")
        if answer.ok or "unsupported" not in answer.err:
            break
    if answer.ok:
        return keystores.chosen(keystores.pkcs12_chains(answer.out, answer.err), aliases)
    if answer.failure:
        return [], ["the keystore cannot be read: openssl: %s" % answer.failure]
    return [], [keystores.WRONG_PASSWORD if "invalid password" in answer.err else "openssl cannot read the keystore"]


def anchor(host, facts):
    """Note of each file whether its chain leads to an authority that this host knows; None where it knows none."""
    known = None
    for file in facts["files"].values():
        file["anchored"] = None
        if not file["certificates"]:
            continue
        chain = x509.chain(file["certificates"], facts["now"])
        if known is None and not (chain[0]["self_issued"] and len(chain) == 1):
            known = _authorities(host)
        # What is above the first that a known authority has issued, nobody needs: such as a certificate that the authority
        # has from an older one besides its own.
        at = next((number for number, one in enumerate(chain) if _is_known(known or {}, one)), None)
        if at is not None:
            file["anchored"], file["needed"] = True, at + 1
        elif not chain[-1]["self_issued"]:
            file["anchored"] = False if known else None


def _is_known(known, one):
    """Tell whether a known authority has issued a certificate.

    A name is not enough: another authority may have the same, or the same one a new key.
    """
    keys = [] if one["self_issued"] else known.get(one["issuer_hash"], [])
    return any(not key or not one["authority_key"] or key == one["authority_key"] for key in keys)


def _authorities(host):
    """Return {name of an authority that this host knows: the ids of its keys}."""
    made = {}
    text = next((text for text in (host.read(store) for store in STORES) if text), "")
    for one in x509.bundle(text)[0]:
        made.setdefault(one["subject_hash"], []).append(one["subject_key"])
    return made
