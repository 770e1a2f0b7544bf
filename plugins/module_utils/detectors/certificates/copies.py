# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of what a renewer keeps: joined for HAProxy, put into a keystore, or laid into another folder.

Such a file is known by its content: it is one of the certificates that certbot keeps in its archive, or has the key of
the one that a renewer has now. One that is merely for the same names, from the same authority, seems to be one.
"""

import re
from typing import Any
from typing import Dict
from typing import List
from typing import NamedTuple
from typing import Optional

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import files
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import Facts
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import leaf_of
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import renewal
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

MOST_VERSIONS = 20
MOST_KEPT = 100


class Copy(NamedTuple):
    """What a file is a copy of."""

    kept: Dict[str, Any]
    certain: bool  # by its content; else by its names and its authority


def collect(host: Any, facts: Facts) -> None:
    """Note what renewers keep, where a service uses a file that is not theirs."""
    theirs = [one["certificate"] for one in facts["renewal"]["certbot"]["lineages"]]
    theirs += ["%s/%s/fullchain.cer" % (one["home"], one.get("folder") or one["name"])
               for one in facts["renewal"]["acme_sh"]["domains"]]
    theirs += [one["certificate"] for one in facts["renewal"]["certmonger"]["requests"]]
    reals = set(host.path(path) for path in theirs if path)
    if all(facts["files"][one["certificate"]].get("real") in reals for one in facts["uses"]):
        return
    for one in facts["renewal"]["certbot"]["lineages"][:MOST_KEPT]:
        folder = one.get("archive") or "%s/archive/%s" % (renewal.CERTBOT, one["name"])
        pairs = facts["renewal"]["registry"].get(one["name"], {}).get("pairs", ())
        _keep(host, facts, "certbot", one["name"], one["certificate"], _versions(host, folder),
              [pair.get("certificate") for pair in pairs])
    for one in facts["renewal"]["acme_sh"]["domains"][:MOST_KEPT]:
        folder = "%s/%s" % (one["home"], one.get("folder") or one["name"])
        _keep(host, facts, "acme.sh", one["name"], "%s/fullchain.cer" % folder, [], [one["certificate"]])
    for one in facts["renewal"]["certmonger"]["requests"][:MOST_KEPT]:
        _keep(host, facts, "certmonger", one["certificate"] or one["name"], one["certificate"], [], [])


def _versions(host: Any, folder: str) -> List[str]:
    """Return the newest certificates of an archive of certbot."""
    found = [(int(match.group(1)), match.group(0)) for match in
             (re.match(r"cert(\d{1,9})\.pem\Z", name) for name in host.list(folder)) if match]
    return ["%s/%s" % (folder, name) for _number, name in sorted(found, reverse=True)[:MOST_VERSIONS]]


def _leaf(host: Any, path: str) -> Dict[str, Any]:
    data, _why = files.read_bytes(host, path)
    found = x509.certificates(data)[0] if data else []
    return found[0] if found else {}


def _keep(host: Any, facts: Facts, tool: str, name: str, path: str, older: List[str], brought: List[Any]) -> None:
    """Note one that a renewer keeps: the versions before it, and the files that the renewer brings it to."""
    leaf = _leaf(host, path) if path else {}
    if leaf:
        before = [one["fingerprint"] for one in (_leaf(host, version) for version in older) if one]
        facts["kept"].append({"tool": tool, "name": name, "certificate": path, "leaf": leaf,
                              "fingerprints": [leaf["fingerprint"]] + before, "brought": [one for one in brought if one]})


def _authority(leaf: Dict[str, Any]) -> str:
    """Return who issues, without the name of the one key that does: authorities change those."""
    parts = [part for part in leaf["issuer"].split(", ") if not part.startswith("CN=")]
    return ", ".join(parts) or str(leaf["issuer"])


def copy_of(facts: Facts, path: str) -> Optional[Copy]:
    """Return what a file is a copy of, None where it is none, or is the renewer's own."""
    leaf = leaf_of(facts, path)
    if not leaf:
        return None
    likely = None  # type: Optional[Copy]
    for one in facts["kept"]:
        if one["certificate"] == path:
            return None
        kept = one["leaf"]
        if path in one.get("brought", ()):
            return Copy(one, True)
        if leaf["fingerprint"] in one["fingerprints"] or leaf["subject_key"] and leaf["subject_key"] == kept["subject_key"]:
            return Copy(one, True)
        if leaf["names"] and set(leaf["names"]) == set(kept["names"]) and _authority(leaf) == _authority(kept) \
                and leaf["not_after"] < kept["not_after"] and not leaf["self_issued"]:
            likely = likely or Copy(one, False)
    return likely


def is_stale(facts: Facts, path: str, copy: Copy) -> bool:
    """Tell whether the renewer has a newer one than the copy is."""
    leaf = leaf_of(facts, path)
    return leaf["fingerprint"] != copy.kept["leaf"]["fingerprint"] and leaf["not_after"] <= copy.kept["leaf"]["not_after"]


def words(facts: Facts, path: str, copy: Copy, keystore: bool) -> str:
    """Return what to say of a copy that is older than what it was made of."""
    kept = copy.kept
    what = "%s has a newer one as %s, valid until %s: this file %s a copy of it, and nothing has brought it here" % (
        kept["tool"], kept["name"], x509.day(kept["leaf"]["not_after"]), "is" if copy.certain else "seems to be")
    if keystore:
        return what + ". A keystore is made anew by openssl pkcs12 -export, and for JKS keytool -importkeystore, in a deploy hook"
    return what + ("" if kept["tool"] == "certbot" else "; %s" % HOWS[kept["tool"]])


HOWS = {"acme.sh": "acme.sh --install-cert names where it is to be copied to, and how the service reloads",
        "certmonger": "its post-save command (getcert start-tracking -C) can copy it"}
