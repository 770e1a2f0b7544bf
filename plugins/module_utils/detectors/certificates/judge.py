# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a single certificate is found to be: its time, its strength, and who has signed it."""

import re

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import EXPIRED
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import EXPIRING
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import SELF_SIGNED
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import WEAK
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

EC_BITS = 224
MARIADB_SUBJECT = "CN=MariaDB Server"
BY_PASSWORD = ("clients of MariaDB 11.4 and later verify it by the password of the account, where it has one that does not go in "
               "clear text; all others have nothing to verify it by")
IN_MEMORY = (". The server makes it anew at each start, in memory: there is no file to replace, ssl_cert and ssl_key in its "
             "configuration name one that all clients can verify")
OLD_HASHES = ("md2", "md5", "sha1")


def judge_time(facts, policy, resource, leaf, parts, more, newer=""):
    """Judge whether it is valid, and how long; ``newer`` says that there is a newer one elsewhere."""
    now = facts["now"]
    if leaf["not_after"] < now:
        reason = "; ".join(["it was valid until %s" % x509.day(leaf["not_after"])] + [one for one in [newer] if one])
        return [found(EXPIRED, resource, reason=reason, **more),
                not_applicable(EXPIRING, "it has expired", resource)]
    if leaf["not_before"] > now + 300:
        reason = "it is not valid before %s" % x509.day(leaf["not_before"])
        return [found(EXPIRED, resource, reason=reason, **more), passed(EXPIRING, resource, **parts)]
    made = [passed(EXPIRED, resource, **parts)]
    if x509.expiring(leaf, now, float(policy["expiring_percent"]), float(policy["expiring_days"])):
        whole = max(1, leaf["not_after"] - leaf["not_before"])
        reason = "%d %% of its lifetime of %d days is left" % (100 * (leaf["not_after"] - now) // whole, whole // 86400)
        return made + [found(EXPIRING, resource, reason="; ".join([reason] + [one for one in [newer] if one]), **more)]
    return made + [passed(EXPIRING, resource, **parts)]


def judge_strength(policy, resource, leaf, parts, more):
    """Judge its key and its signature."""
    weak = []
    bits = leaf["key_bits"]
    if leaf["key_type"] == "dsa":
        weak.append("its key is of DSA")
    elif leaf["key_type"] == "rsa" and bits < int(policy["rsa_bits"]):
        weak.append("its RSA key has %d bits" % bits)
    elif leaf["key_type"] == "ec" and bits is not None and bits < EC_BITS:
        weak.append("its key is on a curve of %d bits" % bits)
    # Nobody relies on the signature that a certificate makes of itself.
    if leaf["signature"].startswith(OLD_HASHES) and not leaf["self_issued"]:
        weak.append("it is signed with %s" % leaf["signature"])
    if weak:
        return [found(WEAK, resource, reason=", ".join(weak), **more)]
    if leaf["key_type"] == "unknown" or (leaf["key_type"] == "ec" and bits is None):
        return [unknown(WEAK, resource, "its kind of key is not known", **parts)]
    return [passed(WEAK, resource, **parts)]


def judge_issuer(resource, leaf, quiet, parts, more, mariadb=False):
    """Judge whether anybody but itself has signed it."""
    if not leaf["self_issued"]:
        return passed(SELF_SIGNED, resource, **parts)
    if quiet:
        return passed(SELF_SIGNED, resource, reason="only this host itself gets to the service", **parts)
    if not mariadb:
        return found(SELF_SIGNED, resource, reason="clients have nothing to verify it by", **more)
    automatic = leaf["subject"] == MARIADB_SUBJECT and leaf["serial"] == "0"
    return found(SELF_SIGNED, resource, reason=BY_PASSWORD + (IN_MEMORY if automatic else ""), **more)


def is_mariadb(version):
    """Tell whether a server proves its certificate by the password of who logs in (MDEV-31857)."""
    numbers = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.\d+-MariaDB", version, re.I)
    return bool(numbers) and (int(numbers.group(1)), int(numbers.group(2))) >= (11, 4)
