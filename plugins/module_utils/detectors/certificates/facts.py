# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of the class, its policy, and words that its parts share."""

import re
from typing import Any
from typing import Dict

from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

NAME = "certificates"
EXPIRED, EXPIRING, RENEWAL, SERVED, WEAK, MISMATCH, READABLE, SELF_SIGNED, CHAIN, KEY = CHECKS = (
    "certificates.expired", "certificates.expiring", "certificates.renewal_broken", "certificates.served_differs",
    "certificates.weak", "certificates.name_mismatch", "certificates.key_readable", "certificates.self_signed",
    "certificates.chain", "certificates.key_mismatch")
POLICY = {"expiring_percent": 25, "expiring_days": 21, "rsa_bits": 2048, "ignore": [], "acme_domains": [], "private_names": []}
HOST_NAME = re.compile(r"(?:\*\.)?(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?\Z")
# service: (names of its processes, its units, user that reads the key where that is not root)
SERVICES = {
    "nginx": (("nginx",), ("nginx.service",), ""),
    "apache": (("apache2", "httpd"), ("apache2.service", "httpd.service"), ""),
    "haproxy": (("haproxy",), ("haproxy.service",), ""),
    "postfix": (("master",), ("postfix.service",), ""),
    "dovecot": (("dovecot", "imap-login", "pop3-login"), ("dovecot.service",), ""),
    "vsftpd": (("vsftpd",), ("vsftpd.service",), ""),
    "mysql": (("mariadbd", "mysqld"), ("mariadb.service", "mysql.service", "mysqld.service"), "mysql"),
    "postgresql": (("postgres", "postmaster"), ("postgresql.service",), "postgres"),
    "redis": (("redis-server", "valkey-server", "keydb-server"),
              ("redis-server.service", "redis.service", "valkey-server.service", "valkey.service"), "redis"),
    "tomcat": (("java",), ("tomcat.service", "tomcat8.service", "tomcat9.service", "tomcat10.service", "tomcat11.service"),
               "tomcat"),
}

Facts = Dict[str, Any]


def leaf_of(facts: Facts, path: str) -> Dict[str, Any]:
    """Return the certificate that a file begins with; {} where none can be read."""
    return next(iter(facts["files"].get(path, {}).get("certificates", [])), {})


def key_type(facts: Facts, use: Dict[str, Any]) -> str:
    """Return the kind of key of the certificate that a use names; '' where it cannot be read."""
    return str(leaf_of(facts, use["certificate"]).get("key_type", ""))


def evidence(certificate: Dict[str, Any]) -> Dict[str, Any]:
    """Return what evidence says of a certificate."""
    made = dict((key, certificate[key]) for key in ("subject", "issuer", "serial", "signature", "key_type", "key_bits"))
    made.update(not_before=x509.day(certificate["not_before"]), not_after=x509.day(certificate["not_after"]),
                names=certificate["names"][:20])
    return made
