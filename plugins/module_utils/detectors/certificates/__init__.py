# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that services of this host use: as their configurations name them, and as they are served.

A certificate that lies about is none of these findings: it is in use where a service that runs, or that the next boot
starts, names it, or where a listener of this host serves it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import errors
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import uses as certificate_uses
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import name_constraints
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import renewal as renewals
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown

NAME = "certificates"
EXPIRED, EXPIRING, RENEWAL, SERVED, WEAK, MISMATCH, READABLE, SELF_SIGNED, CHAIN, KEY = CHECKS = (
    "certificates.expired", "certificates.expiring", "certificates.renewal_broken", "certificates.served_differs",
    "certificates.weak", "certificates.name_mismatch", "certificates.key_readable", "certificates.self_signed",
    "certificates.chain", "certificates.key_mismatch")
POLICY = {"expiring_percent": 25, "expiring_days": 21, "rsa_bits": 2048, "ignore": [], "acme_domains": [], "private_names": []}
EC_BITS = 224
# acme.sh runs once a day, and a server may be down for one.
LATE_SECONDS = 3 * 86400
KINDS = {"rsa": "RSA", "ec": "ECDSA", "ed25519": "Ed25519", "ed448": "Ed448"}
NOT_SEEN = ("its certificate of this kind of key was not seen: another is served in TLS 1.3, where a kind cannot be asked for, "
            "and below that: %s")
MARIADB_SUBJECT = "CN=MariaDB Server"
BY_PASSWORD = ("clients of MariaDB 11.4 and later verify it by the password of the account, where it has one that does not go in "
               "clear text; all others have nothing to verify it by")
IN_MEMORY = (". The server makes it anew at each start, in memory: there is no file to replace, ssl_cert and ssl_key in its "
             "configuration name one that all clients can verify")
OLD_HASHES = ("md2", "md5", "sha1")
HOST_NAME = re.compile(r"(?:\*\.)?(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?\Z")


def collect(host, policy):
    """Return the uses of certificates, their content, their keys, what is served, and who renews them."""
    facts = {"live": bool(host.live), "now": time.time(), "uses": [], "files": {}, "keys": {}, "served": [], "gaps": [],
             "dynamic": [], "renewal": {}}
    certificate_uses.collect(host, facts)
    facts["renewal"] = {"certbot": renewals.certbot(host), "acme_sh": renewals.acme_sh(host),
                        "certmonger": renewals.certmonger(host), "registry": certificate_uses.registry(host),
                        "timer_unit": certificate_uses.timer_unit(host)}
    return facts


def check(facts, policy):
    """Return the findings of the facts."""
    uses = [one for one in facts["uses"] if not any(fnmatch.fnmatchcase(one["certificate"], glob) for glob in policy["ignore"])]
    made = []
    for path, these in _by_file(facts, uses):
        made += _judge_file(facts, policy, path, these)
    made += _judge_served(facts, policy, uses)
    made += _judge_keys(facts, policy, uses)
    made += _judge_renewal(facts, policy, uses)
    return _with_gaps(facts, made)


def _by_file(facts, uses):
    """Return (path, uses) of each file, whatever links lead to it: it is mended once, for all of its services."""
    made = {}
    for one in uses:
        made.setdefault(facts["files"][one["certificate"]].get("real") or one["certificate"], []).append(one)
    return [(min((one["certificate"] != real, one["certificate"]) for one in these)[1], these) for real, these in made.items()]


def _with_gaps(facts, made):
    """Add an unknown for what could not be seen, and a not_applicable where there is nothing."""
    gaps = facts["gaps"] + [{"service": one["certificate"], "reason": "which file it is, a variable tells at each handshake"}
                            for one in facts["dynamic"] if not facts["live"]]
    for gap in gaps:
        made += [unknown(name, gap["service"], gap["reason"]) for name in CHECKS if name != RENEWAL]
    said = set(one["check"] for one in made)
    nothing = "no service of this host uses a certificate"
    reasons = {RENEWAL: "nothing on this host renews certificates", MISMATCH: "no service names a host for a certificate",
               SERVED: "no certificate that a file holds is served here"}
    return made + [not_applicable(name, reasons.get(name, nothing) if facts["uses"] or facts["served"] else nothing)
                   for name in CHECKS if name not in said]


# What a role needs to know

def _mending(facts, policy, path, these):
    """Return how a certificate can be renewed: {mend, lineage, names} and the risk (None: the catalogue's)."""
    names = sorted(set(name for one in these for name in one["names"] if HOST_NAME.match(name) and name != "_"))
    leaf = certificate_uses.leaf_of(facts, path)
    had = [name for name in (leaf["names"] or [leaf["common_name"].lower()]) if HOST_NAME.match(name)] if leaf else []
    names = names or had
    lineage = next((one for one in facts["renewal"]["certbot"]["lineages"] if _holds(facts, one, path)), None)
    made = {"certificate": path, "key": these[0]["key"] if these else "", "names": names, "mend": "", "lineage": "",
            "services": sorted(set("%s %s" % (one["service"], one["unit"]) for one in these)),
            "probes": [list(probe) for probe in sorted(set(tuple(probe) for one in these for probe in one["probes"]))],
            "beside": _beside(facts, these)}
    if any(one.get("keystore") for one in these):
        return made
    if lineage:
        made["mend"], made["lineage"] = "renew", lineage["name"]
        if (lineage["manual"] or _uncovered(leaf, names)) and _all_match(names, policy["acme_domains"]):
            made["mend"] = "issue"
        elif lineage["manual"]:
            made["mend"] = ""
    elif _all_match(names, policy["private_names"]):
        made["mend"] = "private"
        # What it was for besides, somebody may rely on.
        had += [name for name in leaf["names"] if name not in had and name_constraints.address_of(name)] if leaf else []
        made["names"] = names + [name for name in had if name not in names and _all_match([name], policy["private_names"])]
    elif _all_match(names, policy["acme_domains"]):
        made["mend"], made["lineage"] = "issue", names[0].replace("*.", "")
    return made


def _beside(facts, these):
    """Return the files with certificates of other kinds of keys that services have for the same names."""
    return sorted(set(other["certificate"] for one in these for other in facts["uses"]
                      if all(other[key] == one[key] for key in ("service", "unit", "ports", "names"))
                      and _key_type(facts, one) and _key_type(facts, other) not in ("", _key_type(facts, one))))


def _uncovered(leaf, names):
    return [name for name in names if leaf and not x509.covers(leaf, name)]


def _holds(facts, lineage, path):
    """Tell whether a path holds a lineage: its own, a link to it, or one that it is copied to."""
    kept = facts["renewal"]["registry"].get(lineage["name"], {})
    real = facts["files"].get(path, {}).get("real")
    return (path in (lineage["certificate"], os.path.dirname(lineage["certificate"]) + "/cert.pem")
            or bool(real) and real == lineage["real"] or path in [one.get("certificate") for one in kept.get("pairs", ())])


def _all_match(names, globs):
    return bool(names) and all(any(fnmatch.fnmatchcase(name, glob.lower()) for glob in globs) for name in names)


def _risk(mending, facts):
    """Return {'risk': ...} where a fix is not as safe as the catalogue says."""
    if not mending["mend"] or not facts["live"]:
        return {"risk": "manual"}
    if any(one.split(" ")[0] in ("redis", "tomcat", "vsftpd") for one in mending["services"]):
        return {"risk": "restart"}
    return {}


# Judging

def _told(certificate):
    """Return what evidence says of a certificate."""
    made = dict((key, certificate[key]) for key in ("subject", "issuer", "serial", "signature", "key_type", "key_bits"))
    made.update(not_before=x509.day(certificate["not_before"]), not_after=x509.day(certificate["not_after"]),
                names=certificate["names"][:20])
    return made


def _judge_file(facts, policy, path, these):
    file = facts["files"][path]
    mending = _mending(facts, policy, path, these)
    if not file["certificates"]:
        why = "the certificate cannot be read: %s" % "; ".join(file["faults"][:3])
        return [unknown(name, path, why, persistent={"services": mending["services"]})
                for name in (EXPIRED, EXPIRING, WEAK, MISMATCH, SELF_SIGNED, CHAIN, KEY)]
    leaf = file["certificates"][0]
    quiet = all(one["loopback"] for one in these)
    parts = {"persistent": dict(_told(leaf), **dict(mending, certified=leaf["names"][:20]))}
    more = dict(parts, **_risk(mending, facts))
    made = _judge_time(facts, policy, path, leaf, parts, more)
    made += _judge_strength(policy, path, leaf, parts, more)
    mariadb = any(_is_mariadb(one.get("version", "")) for one in facts["served"]) and all(
        one["service"] == "mysql" for one in these)
    made.append(_judge_issuer(path, leaf, quiet, parts, more, mariadb))
    made.append(_judge_chain(facts, path, file, parts, more))
    made += _judge_names(facts, policy, path, leaf, these, more)
    for key, matches in sorted(set((one["key"], _match(facts, one)) for one in these if not one.get("keystore"))):
        resource = "%s with %s" % (path, key) if key != path else path
        if matches == "no":
            made.append(found(KEY, resource, reason="the key is not that of the certificate: the service will not start "
                              "with it", **more))
        elif matches == "yes":
            made.append(passed(KEY, resource, **parts))
        else:
            made.append(unknown(KEY, resource, matches, **parts))
    return made


def _match(facts, one):
    return facts["keys"].get(one["key"], {}).get("matches", {}).get(one["certificate"], "the key cannot be read")


def _judge_time(facts, policy, resource, leaf, parts, more):
    now = facts["now"]
    if leaf["not_after"] < now:
        reason = "it was valid until %s" % x509.day(leaf["not_after"])
        return [found(EXPIRED, resource, reason=reason, **more),
                not_applicable(EXPIRING, "it has expired", resource)]
    if leaf["not_before"] > now + 300:
        reason = "it is not valid before %s" % x509.day(leaf["not_before"])
        return [found(EXPIRED, resource, reason=reason, **more), passed(EXPIRING, resource, **parts)]
    made = [passed(EXPIRED, resource, **parts)]
    if x509.expiring(leaf, now, float(policy["expiring_percent"]), float(policy["expiring_days"])):
        whole = max(1, leaf["not_after"] - leaf["not_before"])
        reason = "%d %% of its lifetime of %d days is left" % (100 * (leaf["not_after"] - now) // whole, whole // 86400)
        return made + [found(EXPIRING, resource, reason=reason, **more)]
    return made + [passed(EXPIRING, resource, **parts)]


def _judge_strength(policy, resource, leaf, parts, more):
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


def _judge_issuer(resource, leaf, quiet, parts, more, mariadb=False):
    if not leaf["self_issued"]:
        return passed(SELF_SIGNED, resource, **parts)
    if quiet:
        return passed(SELF_SIGNED, resource, reason="only this host itself gets to the service", **parts)
    if not mariadb:
        return found(SELF_SIGNED, resource, reason="clients have nothing to verify it by", **more)
    automatic = leaf["subject"] == MARIADB_SUBJECT and leaf["serial"] == "0"
    return found(SELF_SIGNED, resource, reason=BY_PASSWORD + (IN_MEMORY if automatic else ""), **more)


def _is_mariadb(version):
    """Tell whether a server proves its certificate by the password of who logs in (MDEV-31857)."""
    numbers = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.\d+-MariaDB", version, re.I)
    return bool(numbers) and (int(numbers.group(1)), int(numbers.group(2))) >= (11, 4)


def _judge_chain(facts, path, file, parts, more):
    chain = x509.chain(file["certificates"])
    past = [one for one in chain[1:] if one["not_after"] < facts["now"]]
    if past:
        reason = "its chain holds %s, which was valid until %s" % (past[0]["subject"], x509.day(past[0]["not_after"]))
        return found(CHAIN, path, reason=reason, **more)
    if file["faults"]:
        return unknown(CHAIN, path, "not all of the file can be read: %s" % "; ".join(file["faults"][:3]), **parts)
    top = chain[-1]
    if top["self_issued"]:
        return passed(CHAIN, path, reason="it ends at a certificate that signs itself", **parts)
    if file["anchored"] is None:
        return unknown(CHAIN, path, "this host has no store of authorities to compare with", **parts)
    if file["anchored"]:
        return passed(CHAIN, path, reason="it leads to an authority that this host knows", **parts)
    if top["issuer_known"]:
        return found(CHAIN, path, reason="the certificate of %s is missing: clients that do not have it refuse" % top["issuer"],
                     **more)
    return passed(CHAIN, path, reason="its issuer is no authority that this host knows, a private one it seems", **parts)


def _judge_names(facts, policy, path, leaf, these, more):
    made = []
    for one in these:
        names = [name for name in one["names"] if HOST_NAME.match(name) and name not in ("_", "localhost")]
        if not names:
            continue
        resource = "%s %s (%s)" % (one["service"], names[0], path)
        missing = _uncovered(leaf, names)
        if not missing:
            made.append(passed(MISMATCH, resource, effective={"names": names}))
        else:
            # A renewal brings the same names again.
            wrong = dict(more, risk="manual") if more["persistent"]["mend"] == "renew" else more
            made.append(found(MISMATCH, resource, reason="it is not for %s" % ", ".join(missing[:5]),
                              effective={"names": names}, **wrong))
    return list(dict((one["resource"], one) for one in sorted(made, key=lambda one: one["status"] == "open")).values())


def _judge_served(facts, policy, uses):
    made = []
    ipv4 = set((one["service"], one["port"], one["name"]) for one in facts["served"] if one["address"] == "127.0.0.1")
    for one in facts["served"]:
        if _told_by_another(facts, one):
            continue
        resource = "%s port %d%s" % (one["service"], one["port"], " for %s" % one["name"] if one["name"] else "")
        resource += ", key of %s" % KINDS.get(one["key_type"], one["key_type"]) if one.get("key_type") else ""
        if one["address"] not in ("127.0.0.1", "::1") or (one["address"] == "::1"
                                                          and (one["service"], one["port"], one["name"]) in ipv4):
            resource += " at %s" % one["address"]
        certificate = one.get("certificate")
        mine, dynamic = ([use for use in several if use["service"] == one["service"]
                          and (not use["ports"] or one["port"] in use["ports"])] for several in (uses, facts["dynamic"]))
        if one.get("key_type") and not any(_key_type(facts, use) == one["key_type"] for use in mine):
            continue
        if one.get("key_type") and not _is_of_kind(one, one["key_type"]):
            made.append(unknown(SERVED, resource, NOT_SEEN % one.get("failure", "another kind comes, too")))
            continue
        if certificate is None:
            # A default server may rightly refuse those who name nobody.
            answered = any(other["service"] == one["service"] and other["port"] == one["port"] and other.get("certificate")
                           for other in facts["served"])
            if (mine or dynamic) and (one["name"] or not answered):
                made.append(unknown(SERVED, resource, "what is served cannot be told: %s" % one["failure"]))
            continue
        observed = {"observed": _told(certificate)}
        known = dict((leaf["fingerprint"], use) for use in mine
                     for leaf in facts["files"][use["certificate"]]["certificates"])
        if dynamic and certificate["fingerprint"] not in known:
            made += _judge_unknown_origin(facts, policy, resource, certificate, one, observed)
            continue
        if not mine:
            if any(gap["service"] == one["service"] for gap in facts["gaps"]):
                continue
            made += _judge_unknown_origin(facts, policy, resource, certificate, one, observed)
            continue
        if certificate["fingerprint"] in known or any(not facts["files"][use["certificate"]]["certificates"] for use in mine):
            made.append(passed(SERVED, resource, **observed) if certificate["fingerprint"] in known
                        else unknown(SERVED, resource, "not all of its certificates can be read", **observed))
            continue
        made += _judge_old(facts, policy, resource, one, mine, observed)
    return made


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


def _key_type(facts, use):
    """Return the kind of key of the certificate that a use names; '' where it cannot be read."""
    return certificate_uses.leaf_of(facts, use["certificate"]).get("key_type", "")


def _is_of_kind(one, key_type):
    return one.get("key_type") == key_type and (one.get("certificate") or {}).get("key_type") == key_type


def _judge_old(facts, policy, resource, one, mine, observed):
    """Judge a listener that serves what no file holds any more."""
    named = [use for use in mine if one["name"] and one["name"] in use["names"]] or mine
    # It replaces one of its own kind of key, where there are several.
    use = next((use for use in named if _key_type(facts, use) == one["certificate"]["key_type"]), named[0])
    these = [other for other in mine if other["certificate"] == use["certificate"]]
    mending = dict(_mending(facts, policy, use["certificate"], these), mend="reload")
    leaf = facts["files"][use["certificate"]]["certificates"][0]
    parts = dict(observed, persistent=dict(mending, serial=leaf["serial"], not_after=x509.day(leaf["not_after"])))
    more = dict(parts, **_risk(mending, facts))
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
    made = _judge_time(facts, policy, resource, certificate, observed, more)
    made += _judge_strength(policy, resource, certificate, observed, more)
    made.append(_judge_issuer(resource, certificate, one["loopback"], observed, more, _is_mariadb(one.get("version", ""))))
    return made


def _judge_keys(facts, policy, uses):
    made = []
    for path in sorted(set(one["key"] for one in facts["dynamic"])):
        made.append(unknown(READABLE, path, "which file it is, a variable tells at each handshake"))
    seen = set()
    for path in list(dict.fromkeys(one["key"] for one in uses)):
        key = facts["keys"].get(path, {})
        if key.get("real", path) in seen:
            continue
        seen.add(key.get("real", path))
        if "mode" not in key:
            made.append(unknown(READABLE, path, "it cannot be looked at: %s" % key.get("failure", "it is not there")))
            continue
        evidence = dict((name, key[name]) for name in ("mode", "owner", "group", "want_mode", "want_group"))
        parts = {"effective": evidence, "persistent": dict(evidence, key=path)}
        if key["others"]:
            more = {} if key["want_mode"] else {"risk": "manual"}
            made.append(found(READABLE, path, reason="every user of this host can %s it" % key["others"], **parts, **more))
        elif key["worker"]:
            made.append(found(READABLE, path, severity="medium", risk="manual", reason="%s can read it, the user that "
                              "answers requests: a hole in a web application gives it away" % key["worker"], **parts))
        else:
            made.append(passed(READABLE, path, **parts))
    return made


# Renewal

def _judge_renewal(facts, policy, uses):
    renewal = facts["renewal"]
    made = [unknown(RENEWAL, "certbot", gap) for gap in renewal["certbot"]["gaps"]]
    for one in renewal["certbot"]["lineages"]:
        made.append(_judge_lineage(facts, policy, one, uses))
    for one in renewal["acme_sh"]["domains"]:
        resource = "acme.sh %s" % one["name"]
        parts = {"persistent": dict((key, one[key]) for key in one if key != "due"),
                 "effective": {"runs": renewal["acme_sh"]["runs"]}}
        in_use = any(use["certificate"] == one["certificate"] for use in uses)
        late = facts["live"] and one["due"] and one["due"] < facts["now"] - LATE_SECONDS
        faults = ["a person must answer its challenge"] if one["manual"] else []
        faults += ["it was to be renewed on %s, and was not" % x509.day(one["due"])] if late else []
        faults += [] if renewal["acme_sh"]["runs"] else [_unscheduled(renewal["acme_sh"], "nothing runs acme.sh --cron")]
        faults += ["nothing reloads the service after a renewal"] if in_use and not one["reload"] else []
        made.append(found(RENEWAL, resource, risk="manual", reason="; ".join(faults), **parts) if faults
                    else passed(RENEWAL, resource, **parts))
    for one in renewal["certmonger"]["requests"]:
        resource = "certmonger %s" % (one["certificate"] or one["name"])
        users = sorted(set(use["service"] for use in uses if use["certificate"] == one["certificate"]))
        # What it waits for by itself is no fault; CA_UNREACHABLE and the like it tries again, in vain so far.
        bad = one["stuck"] or not one["status"] or (one["status"].startswith("CA_") and one["status"] != "CA_WORKING")
        faults = ["its state is %s%s" % (one["status"] or "not told", ": " + one["why"] if one["why"] else "")] if bad else []
        faults += [] if one["tracked"] else ["it does not renew by itself"]
        faults += ["nothing reloads %s after a renewal" % ", ".join(users)] if users and not one["reload"] else []
        made.append(found(RENEWAL, resource, risk="manual", reason="; ".join(faults), persistent=one) if faults
                    else passed(RENEWAL, resource, persistent=one))
    if renewal["certmonger"]["failure"]:
        made.append(found(RENEWAL, "certmonger", risk="manual", reason=renewal["certmonger"]["failure"]))
    return made


def _unscheduled(tool, nothing):
    """Return why nothing renews by schedule."""
    return "%s would renew, but cron does not run" % ", ".join(tool["idle"][:3]) if tool.get("idle") else nothing


def _judge_lineage(facts, policy, lineage, uses):
    resource = "certbot %s" % lineage["name"]
    renewal = facts["renewal"]
    these = [one for one in uses if _holds(facts, lineage, one["certificate"])]
    mending = _mending(facts, policy, these[0]["certificate"] if these else lineage["certificate"], these)
    if not these and not mending["names"]:
        mending["lineage"] = lineage["name"]
    faults = {}
    if lineage["fault"]:
        faults["lineage"] = lineage["fault"]
    if lineage["failure"]:
        faults["failure"] = "its last renewal failed: %s" % errors.advised(lineage["failure"])
    unseen = renewal["certbot"]["unseen"] if not renewal["certbot"]["runs"] else ""
    if not renewal["certbot"]["runs"] and not unseen:
        faults["schedule"] = _unscheduled(renewal["certbot"], "neither a timer nor cron runs certbot renew")
    unheard = _without_hook(renewal, lineage, these)
    if unheard:
        faults["hook"] = "nothing reloads %s after a renewal" % ", ".join(sorted(set(unheard)))
    persistent = dict(mending, faults=sorted(faults), authenticator=lineage["authenticator"], server=lineage["server"],
                      timer_unit=renewal["timer_unit"])
    parts = {"effective": {"runs": renewal["certbot"]["runs"]}, "persistent": persistent}
    if not faults:
        return unknown(RENEWAL, resource, "whether a timer runs certbot renew cannot be told: %s" % unseen, **parts) if unseen \
            else passed(RENEWAL, resource, **parts)
    mendable = facts["live"] if set(faults) & {"failure"} else True
    if "lineage" in faults and mending["mend"] != "issue":
        mendable = False
    if "schedule" in faults and not renewal["timer_unit"]:
        mendable = False
    more = {} if mendable else {"risk": "manual"}
    return found(RENEWAL, resource, reason="; ".join(faults[name] for name in sorted(faults)), **more, **parts)


def _without_hook(renewal, lineage, these):
    """Return the services that go on with the old certificate after a renewal."""
    others = [hook for hook in lineage["hooks"] if hook != certificate_uses.HOOK]
    if others:
        return []
    mine = renewal["registry"].get(lineage["name"], {}) if certificate_uses.HOOK in lineage["hooks"] else {}
    known = set(one.get("service") for one in mine.get("services", ()))
    # The plugins that install reload their own service.
    return [one["service"] for one in these if one["service"] not in known and one["service"] != lineage["installer"]]
