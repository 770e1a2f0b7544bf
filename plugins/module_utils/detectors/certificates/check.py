# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files, the keys and the names of certificates are found to be."""

import fnmatch

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import copies
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import judge
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import renewals
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import served
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import CHAIN
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import CHECKS
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import EXPIRED
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import EXPIRING
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import HOST_NAME
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import KEY
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import MISMATCH
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import READABLE
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import RENEWAL
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import SELF_SIGNED
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import SERVED
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import WEAK
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import evidence
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509


def check(facts, policy):
    """Return the findings of the facts."""
    uses = [one for one in facts["uses"] if not any(fnmatch.fnmatchcase(one["certificate"], glob) for glob in policy["ignore"])]
    made = []
    for path, these in _by_file(facts, uses):
        made += _judge_file(facts, policy, path, these)
    made += served.judge_served(facts, policy, uses)
    made += _judge_keys(facts, policy, uses)
    made += renewals.judge_renewal(facts, policy, uses)
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


def _judge_file(facts, policy, path, these):
    file = facts["files"][path]
    mending = remedy.mending(facts, policy, path, these)
    if not file["certificates"]:
        why = "the certificate cannot be read: %s" % "; ".join(file["faults"][:3])
        return [unknown(name, path, why, persistent={"services": mending["services"]})
                for name in (EXPIRED, EXPIRING, WEAK, MISMATCH, SELF_SIGNED, CHAIN, KEY)]
    leaf = file["certificates"][0]
    quiet = all(one["loopback"] for one in these)
    parts = {"persistent": dict(evidence(leaf), **dict(mending, certified=leaf["names"][:20]))}
    more = dict(parts, **remedy.risk(mending, facts))
    copy = copies.copy_of(facts, path)
    keystore = any(one.get("keystore") for one in these)
    newer = copies.words(facts, path, copy, keystore) if copy and copies.is_stale(facts, path, copy) else ""
    made = judge.judge_time(facts, policy, path, leaf, parts, more, newer)
    made += judge.judge_strength(policy, path, leaf, parts, more)
    mariadb = any(judge.is_mariadb(one.get("version", "")) for one in facts["served"]) and all(
        one["service"] == "mysql" for one in these)
    made.append(judge.judge_issuer(path, leaf, quiet, parts, more, mariadb))
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


def _judge_chain(facts, path, file, parts, more):
    chain = x509.chain(file["certificates"], facts["now"])
    past = [one for one in chain[1:file.get("needed", len(chain))] if one["not_after"] < facts["now"]]
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
    return unknown(CHAIN, path, "the file holds no certificate of %s, and it is no authority that this host knows: an "
                   "intermediate is missing, or it is a private one that its clients know" % top["issuer"], **parts)


def _judge_names(facts, policy, path, leaf, these, more):
    made = []
    for one in these:
        names = [name for name in one["names"] if HOST_NAME.match(name) and name not in ("_", "localhost")]
        if not names:
            continue
        resource = "%s %s (%s)" % (one["service"], names[0], path)
        missing = remedy.uncovered(leaf, names)
        if not missing:
            made.append(passed(MISMATCH, resource, effective={"names": names}))
        else:
            # A renewal brings the same names again.
            wrong = dict(more, risk="manual") if more["persistent"]["mend"] == "renew" else more
            made.append(found(MISMATCH, resource, reason="it is not for %s" % ", ".join(missing[:5]),
                              effective={"names": names}, **wrong))
    return list(dict((one["resource"], one) for one in sorted(made, key=lambda one: one["status"] == "open")).values())


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
            more = {} if key["want_mode"] and not key.get("led") else {"risk": "manual"}
            reason = "every user of this host can %s it" % key["others"]
            reason += "; %s is a link in a folder that is not root's alone" % key["led"] if key.get("led") else ""
            made.append(found(READABLE, path, reason=reason, **parts, **more))
        elif key["worker"]:
            made.append(found(READABLE, path, severity="medium", risk="manual", reason="%s can read it, the user that "
                              "answers requests: a hole in a web application gives it away" % key["worker"], **parts))
        else:
            made.append(passed(READABLE, path, **parts))
    return made
