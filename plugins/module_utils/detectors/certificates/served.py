# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What listeners serve, against what files hold."""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import judge
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import EXPIRED
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import SERVED
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import evidence
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import key_type
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

KINDS = {"rsa": "RSA", "ec": "ECDSA", "ed25519": "Ed25519", "ed448": "Ed448"}
NOT_SEEN = ("its certificate of this kind of key was not seen: another is served in TLS 1.3, where a kind cannot be asked for, "
            "and below that: %s")


def judge_served(facts, policy, uses):
    """Return the findings of what each listener serves."""
    made = []
    ipv4 = set((one["service"], one["port"], one["name"]) for one in facts["served"] if one["address"] == "127.0.0.1")
    for one in facts["served"]:
        if not _told_by_another(facts, one):
            made += _judge_listener(facts, policy, one, uses, _resource_of(one, ipv4))
    return made


def _resource_of(one, ipv4):
    """Return how a handshake is named: its address where another one of the same service and port is asked, too."""
    resource = "%s port %d%s" % (one["service"], one["port"], " for %s" % one["name"] if one["name"] else "")
    resource += ", key of %s" % KINDS.get(one["key_type"], one["key_type"]) if one.get("key_type") else ""
    doubled = one["address"] == "::1" and (one["service"], one["port"], one["name"]) in ipv4
    return resource + " at %s" % one["address"] if one["address"] not in ("127.0.0.1", "::1") or doubled else resource


def _judge_listener(facts, policy, one, uses, resource):
    mine, dynamic = ([use for use in several if use["service"] == one["service"]
                      and (not use["ports"] or one["port"] in use["ports"])] for several in (uses, facts["dynamic"]))
    if one.get("key_type"):
        if not any(key_type(facts, use) == one["key_type"] for use in mine):
            return []
        if not _is_of_kind(one, one["key_type"]):
            return [unknown(SERVED, resource, NOT_SEEN % one.get("failure", "another kind comes, too"))]
    certificate = one.get("certificate")
    if certificate is None:
        return _judge_silent(facts, one, mine or dynamic, resource)
    observed = {"observed": evidence(certificate)}
    known = set(leaf["fingerprint"] for use in mine for leaf in facts["files"][use["certificate"]]["certificates"])
    if certificate["fingerprint"] in known:
        return [passed(SERVED, resource, **observed)]
    if dynamic:
        return _judge_unknown_origin(facts, policy, resource, certificate, one, observed)
    if not mine:
        gap = any(gap["service"] == one["service"] for gap in facts["gaps"])
        return [] if gap else _judge_unknown_origin(facts, policy, resource, certificate, one, observed)
    if any(not facts["files"][use["certificate"]]["certificates"] for use in mine):
        return [unknown(SERVED, resource, "not all of its certificates can be read", **observed)]
    return _judge_old(facts, policy, resource, one, mine, observed)


def _judge_silent(facts, one, uses, resource):
    """Judge a listener that has shown no certificate; a default server may rightly refuse those who name nobody."""
    answered = any(other["service"] == one["service"] and other["port"] == one["port"] and other.get("certificate")
                   for other in facts["served"])
    if uses and (one["name"] or not answered):
        return [unknown(SERVED, resource, "what is served cannot be told: %s" % one["failure"])]
    return []


def _told_by_another(facts, one):
    """Tell whether other handshakes with a listener, for the same name, tell all that this one does.

    Where a name has certificates of several kinds of keys, each is asked for, and besides whichever the server prefers.
    """
    same = [other for other in facts["served"] if other is not one
            and all(other[key] == one[key] for key in ("service", "address", "port", "name"))]
    if not one.get("key_type"):
        shown = (one.get("certificate") or {}).get("key_type")
        return bool(shown) and any(_is_of_kind(other, shown) for other in same)
    if _is_of_kind(one, one["key_type"]):
        return False
    any_kind = next((other for other in same if not other.get("key_type")), {})
    return not any_kind.get("certificate") or any_kind["certificate"]["key_type"] == one["key_type"]


def _is_of_kind(one, key_type):
    return one.get("key_type") == key_type and (one.get("certificate") or {}).get("key_type") == key_type


def _judge_old(facts, policy, resource, one, mine, observed):
    """Judge a listener that serves what no file holds any more."""
    named = [use for use in mine if one["name"] and one["name"] in use["names"]] or mine
    # It replaces one of its own kind of key, where there are several.
    use = next((use for use in named if key_type(facts, use) == one["certificate"]["key_type"]), named[0])
    these = [other for other in mine if other["certificate"] == use["certificate"]]
    mending = dict(remedy.mending(facts, policy, use["certificate"], these), mend="reload")
    leaf = facts["files"][use["certificate"]]["certificates"][0]
    parts = dict(observed, persistent=dict(mending, serial=leaf["serial"], not_after=x509.day(leaf["not_after"])))
    more = dict(parts, **remedy.risk(mending, facts))
    served = one["certificate"]
    made = [found(SERVED, resource, reason="serial %s is served, %s holds %s" % (
        served["serial"], use["certificate"], leaf["serial"]), **more)]
    if served["not_after"] < facts["now"] <= leaf["not_after"]:
        made.append(found(EXPIRED, resource, reason="what is served was valid until %s, although the file holds a new one"
                          % x509.day(served["not_after"]), **more))
    return made


def _judge_unknown_origin(facts, policy, resource, certificate, one, observed):
    """Judge what a listener serves without a configuration that names it: nobody can say how to renew it."""
    more = dict(observed, risk="manual")
    made = judge.judge_time(facts, policy, resource, certificate, observed, more)
    made += judge.judge_strength(policy, resource, certificate, observed, more)
    mariadb = judge.is_mariadb(one.get("version", ""))
    made.append(judge.judge_issuer(resource, certificate, one["loopback"], observed, more, mariadb))
    return made
