# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which listeners of a host are asked for their certificate, and how."""

import re

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import leaf_of
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import probe


MOST_NAMES = 16
ASKABLE = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+\.?\Z")
# Ports that speak TLS from the first byte; a listener there is asked, whatever program it is.
TLS_PORTS = (443, 465, 636, 853, 989, 990, 992, 993, 994, 995, 2376, 3269, 4443, 5061, 5671, 6443, 6514, 8443, 8883, 9443,
             10250)
STARTTLS = {25: "smtp", 587: "smtp", 143: "imap", 110: "pop3", 21: "ftp"}
STARTTLS_PROGRAMS = ("exim4", "exim", "sendmail", "opensmtpd", "smtpd", "proftpd", "pure-ftpd")


def plan(host, facts, services):
    """Return what is to be asked: {service, address, port, kind, name, key_type, loopback}."""
    made = []
    own = host.netns()
    items = [one for one in host.listeners().items if one.proto == "tcp" and one.netns == own and one.container is None]
    uses = facts["uses"] + facts["dynamic"]
    for one in items:
        address = _address(one, items)
        if not address:
            continue
        service = next((service for service in services if service["pids"] & set(one.pids)), None)
        kind = _kind(service, one, uses)
        if kind is None:
            continue
        name = service["name"] if service else one.process or "a program"
        names = [""] + sorted(set(name for use in uses if service and use["service"] == service["name"]
                                  and (not use["ports"] or one.port in use["ports"]) for name in asked_for(facts, use)
                                  if ASKABLE.match(name)))[:MOST_NAMES]
        if any(one.port in use.get("proxied", ()) for use in uses if service and use["service"] == service["name"]):
            kind = probe.PROXIED + kind
        near = all(other.is_loopback() for other in items if other.port == one.port and set(other.pids) & set(one.pids))
        made += [{"service": name, "address": address, "port": one.port, "kind": kind, "name": asked, "key_type": key_type,
                  "loopback": near} for asked in names for key_type in [""] + _key_types(facts, name, one.port, asked)]
    # Those of the second kind of key come last, where there is no time for all.
    made.sort(key=lambda one: bool(one["key_type"]))
    return list(dict(((one["address"], one["port"], one["name"], one["key_type"]), one) for one in made).values())


def _key_types(facts, service, port, name):
    """Return the kinds of keys that a name has certificates of, where there are several: each is asked for by itself."""
    found = set()
    for one in facts["uses"]:
        if one["service"] == service and (not one["ports"] or port in one["ports"]):
            names = asked_for(facts, one)
            if name in names if name else not any(ASKABLE.match(other) for other in names):
                found.add(leaf_of(facts, one["certificate"]).get("key_type"))
    found &= set(probe.CIPHERS)
    return sorted(found) if len(found) > 1 else []


def asked_for(facts, use):
    """Return the names to ask for a certificate by; HAProxy, and a pattern as a name, have those in the certificate."""
    if any(ASKABLE.match(name) for name in use["names"]) or not (
            use["service"] == "haproxy" or any(name.startswith("~") for name in use["names"])):
        return use["names"]
    return leaf_of(facts, use["certificate"]).get("names", [])


def _address(one, items):
    """Return where to ask a listener; '' where another listener stands for it."""
    if one.is_wildcard():
        if one.family == 6 and (one.dual_stack or any(other.port == one.port and other.family == 4 and other.is_wildcard()
                                                      for other in items)):
            return "" if any(other.port == one.port and other.family == 4 and other.is_wildcard() for other in items) \
                else "127.0.0.1"
        return "127.0.0.1" if one.family == 4 else "::1"
    return "" if one.address.startswith("fe80") else one.address


def _kind(service, one, uses):
    """Return how a listener comes to TLS ('' at once, else the protocol of its STARTTLS); None: not to be asked."""
    if service is None:
        if one.port in TLS_PORTS:
            return ""
        return STARTTLS.get(one.port) if one.process in STARTTLS_PROGRAMS else None
    name = service["name"]
    if name in ("nginx", "apache", "haproxy", "tomcat", "redis"):
        mine = [use for use in uses if use["service"] == name]
        known = one.port in [port for use in mine for port in use["ports"]] or (one.port == 443 and mine)
        # What no configuration tells of may be in one that is not known.
        return "" if known or one.port in TLS_PORTS else None
    if name == "postgresql":
        return "postgresql"
    if name == "mysql":
        # Over loopback no count of failed connections is kept that could lock a client out.
        return "mysql" if one.port != 33060 and (one.is_loopback() or one.is_wildcard()) else None
    if one.port in TLS_PORTS:
        return ""
    return STARTTLS.get(one.port)


def reach(facts, one, asked):
    """Note of a use where it is served, and whether only this host itself gets there."""
    mine = [what for what in asked if what["service"] == one["service"] and (not one["ports"] or what["port"] in one["ports"])]
    one["loopback"] = all(what["loopback"] for what in mine) if mine else bool(one.pop("near", False))
    one.pop("near", None)
    one["probes"] = [(what["address"], what["port"], what["kind"], what["name"]) for what in mine
                     if not what["key_type"] and (not what["name"] or what["name"] in asked_for(facts, one))]
