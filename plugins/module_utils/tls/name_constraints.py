# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an authority can issue: when, and for which names (name constraints, RFC 5280 4.2.1.10), as clients judge it."""

import ipaddress

from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

MOST_SHOWN = 5


def address_of(name):
    """Return a name as an address, None where it is none."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def refusals(chain, names):
    """Return why clients would refuse names, one sentence each; none where every authority of the chain permits them.

    :param chain: the authority and those above it, as :func:`x509.parse` tells of them.
    """
    made = []
    for authority in chain:
        for kind, name in [("dn", "")] + [("ip" if address_of(one) else "dns", one) for one in names]:
            why = _refused(authority, kind, name)
            made += [why] if why and why not in made else []
    return made


def refusals_of(text, names):
    """Return the same for the PEM of an authority, with those above it that the file holds."""
    made, faults = x509.bundle(text)
    if not made:
        return ["the certificate of the private authority cannot be read: %s" % "; ".join(faults or ["there is none"])]
    return refusals(x509.chain(made), names)


def out_of_date(text, now):
    """Return why nothing that the authority in a PEM signs now would be valid, '' where it would or cannot be read.

    :param now: seconds since the epoch.
    """
    for authority in x509.bundle(text)[0][:1]:
        if authority["not_after"] <= now:
            return "%s ended on %s" % (_who(authority), x509.day(authority["not_after"]))
        if authority["not_before"] > now:
            return "%s is not valid before %s" % (_who(authority), x509.day(authority["not_before"]))
    return ""


def _who(authority):
    return "the private authority (%s)" % (authority["subject"] or "without a name")


def _refused(authority, kind, name):
    inside = {"dns": _dns_inside, "ip": _ip_inside, "dn": _dn_inside}[kind]
    what, who = name or "a certificate that has no more than a name and a host", _who(authority)
    hit = next((base for of, base in authority["excluded"] if of == kind and inside(name, base, True)), None)
    if hit is not None:
        return "%s may not issue for %s, as its name constraints exclude %s" % (who, what, _shown(kind, hit))
    permitted = [base for of, base in authority["permitted"] if of == kind]
    if permitted and not any(inside(name, base, False) for base in permitted):
        shown = ", ".join(_shown(kind, base) for base in permitted[:MOST_SHOWN])
        return "%s may not issue for %s: its name constraints permit no more than %s" % (
            who, what, shown + (", ..." if len(permitted) > MOST_SHOWN else ""))
    return ""


def _dns_inside(name, base, excluded):
    name, base = name.rstrip(".").lower(), base.rstrip(".").lower()
    if not base:
        return True
    if base.startswith("."):
        # No name of its own, those below it alone; RFC 5280 leaves this open, and clients agree on it.
        return name.endswith(base) and len(name) > len(base)
    if excluded and name.startswith("*.") and "." in base and base.split(".", 1)[1] == name[2:]:
        return True  # the star stands for what is excluded, too
    return name == base or name.endswith("." + base)


def _ip_inside(name, base, _excluded):
    address = address_of(name)
    start, mask = (address_of(one) for one in base.split("/"))
    return address.version == start.version and int(address) & int(mask) == int(start) & int(mask)


def _dn_inside(_name, base, _excluded):
    # The subject of what we ask for is its host's name alone, which is below no organisation.
    return not base


def _shown(kind, base):
    if kind == "ip":
        start, mask = base.split("/")
        bits, set_bits = address_of(mask).max_prefixlen, bin(int(address_of(mask))).count("1")
        whole = int(address_of(mask)) == (1 << bits) - (1 << bits - set_bits)
        return "%s/%d" % (start, set_bits) if whole else base
    if kind == "dns":
        return base + " and below" if base and not base.startswith(".") else base or "all names"
    return base or "all subjects"
