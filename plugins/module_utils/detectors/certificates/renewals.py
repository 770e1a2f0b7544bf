# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what renews certificates works, and whether services take what it renews."""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import copies
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import RENEWAL
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import errors
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

# acme.sh runs once a day, and a server may be down for one.
LATE_SECONDS = 3 * 86400
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/hostmend"


def judge_renewal(facts, policy, uses):
    """Return the findings of certbot, acme.sh and certmonger."""
    renewal = facts["renewal"]
    made = [unknown(RENEWAL, "certbot", gap) for gap in renewal["certbot"]["gaps"]]
    made += [_judge_lineage(facts, policy, one, uses) for one in renewal["certbot"]["lineages"]]
    made += [_judge_domain(facts, one, uses) for one in renewal["acme_sh"]["domains"]]
    made += [_judge_request(facts, one, uses) for one in renewal["certmonger"]["requests"]]
    if renewal["certmonger"]["failure"]:
        made.append(found(RENEWAL, "certmonger", risk="manual", reason=renewal["certmonger"]["failure"]))
    return made


def _judge_domain(facts, one, uses):
    """Judge what acme.sh renews."""
    renewal = facts["renewal"]
    resource = "acme.sh %s" % one["name"]
    parts = {"persistent": dict((key, one[key]) for key in one if key != "due"),
             "effective": {"runs": renewal["acme_sh"]["runs"]}}
    # Its own folder is no place for a service to read from, and yet many do.
    folder = "%s/%s" % (one["home"], one.get("folder") or one["name"])
    own = [one["certificate"]] + ["%s/%s.cer" % (folder, name) for name in ("fullchain", one["name"])]
    in_use = any(use["certificate"] in own for use in uses)
    late = facts["live"] and one["due"] and one["due"] < facts["now"] - LATE_SECONDS
    faults = ["a person must answer its challenge"] if one["manual"] else []
    faults += ["it was to be renewed on %s, and was not" % x509.day(one["due"])] if late else []
    faults += [] if renewal["acme_sh"]["runs"] else [_unscheduled(renewal["acme_sh"], "nothing runs acme.sh --cron")]
    faults += ["nothing reloads the service after a renewal"] if in_use and not one["reload"] else []
    faults += _left_behind(facts, uses, "acme.sh", one["name"])
    return found(RENEWAL, resource, risk="manual", reason="; ".join(faults), **parts) if faults \
        else passed(RENEWAL, resource, **parts)


def _judge_request(facts, one, uses):
    """Judge what certmonger renews."""
    resource = "certmonger %s" % (one["certificate"] or one["name"])
    users = sorted(set(use["service"] for use in uses if use["certificate"] == one["certificate"]))
    # What it waits for by itself is no fault; CA_UNREACHABLE and the like it tries again, in vain so far.
    bad = one["stuck"] or not one["status"] or (one["status"].startswith("CA_") and one["status"] != "CA_WORKING")
    faults = ["its state is %s%s" % (one["status"] or "not told", ": " + one["why"] if one["why"] else "")] if bad else []
    faults += [] if one["tracked"] else ["it does not renew by itself"]
    faults += ["nothing reloads %s after a renewal" % ", ".join(users)] if users and not one["reload"] else []
    faults += _left_behind(facts, uses, "certmonger", one["certificate"] or one["name"])
    return found(RENEWAL, resource, risk="manual", reason="; ".join(faults), persistent=one) if faults \
        else passed(RENEWAL, resource, persistent=one)


def _copies_of(facts, uses, tool, name):
    """Return {file: (copy, uses)} of the files that are copies of what a renewer keeps by a name."""
    made = {}
    for use in uses:
        copy = copies.copy_of(facts, use["certificate"])
        if copy and copy.kept["tool"] == tool and copy.kept["name"] == name:
            made.setdefault(use["certificate"], (copy, []))[1].append(use)
    return made


def _left_behind(facts, uses, tool, name):
    """Return a fault where copies are older than what they were made of."""
    stale = sorted(path for path, (copy, _uses) in _copies_of(facts, uses, tool, name).items()
                   if copy.certain and copies.is_stale(facts, path, copy))
    return ["nothing has brought what was renewed to %s" % ", ".join(stale)] if stale else []


def _unscheduled(tool, nothing):
    """Return why nothing renews by schedule."""
    return "%s would renew, but cron does not run" % ", ".join(tool["idle"][:3]) if tool.get("idle") else nothing


def _judge_lineage(facts, policy, lineage, uses):
    resource = "certbot %s" % lineage["name"]
    renewal = facts["renewal"]
    these = [one for one in uses if remedy.holds(facts, lineage, one["certificate"])]
    mending = remedy.mending(facts, policy, these[0]["certificate"] if these else lineage["certificate"], these)
    if mending["mend"] == "copy":
        # What has failed here is the renewal; each copy has an item of its own.
        mending["mend"] = "" if lineage["manual"] or lineage["fault"] else "renew"
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
    # Another hook may bring them, as long as they are what it has renewed.
    others = [hook for hook in lineage["hooks"] if hook != HOOK]
    mine = _copies_of(facts, uses, "certbot", lineage["name"])
    brought = [one.get("certificate") for one in renewal["registry"].get(lineage["name"], {}).get("pairs", ())] \
        if HOOK in lineage["hooks"] else []
    behind = sorted(path for path, (copy, _uses) in mine.items()
                    if copy.certain and (copies.is_stale(facts, path, copy) or not others and path not in brought))
    if behind:
        faults["copy"] = "nothing brings what is renewed to %s, a copy of it: a deploy hook is missing" % ", ".join(behind)
    persistent = dict(mending, copies=_copy_items(facts, lineage, mine, behind), faults=sorted(faults),
                      authenticator=lineage["authenticator"], server=lineage["server"], timer_unit=renewal["timer_unit"])
    parts = {"effective": {"runs": renewal["certbot"]["runs"]}, "persistent": persistent}
    if not faults:
        return unknown(RENEWAL, resource, "whether a timer runs certbot renew cannot be told: %s" % unseen, **parts) if unseen \
            else passed(RENEWAL, resource, **parts)
    mendable = facts["live"] if set(faults) & {"failure"} else True
    if "lineage" in faults and mending["mend"] != "issue":
        mendable = False
    if "schedule" in faults and not renewal["timer_unit"]:
        mendable = False
    if set(faults) == {"copy"} and not persistent["copies"]:
        mendable = False
    more = {} if mendable else {"risk": "manual"}
    return found(RENEWAL, resource, reason="; ".join(faults[name] for name in sorted(faults)), **more, **parts)


def _without_hook(renewal, lineage, these):
    """Return the services that go on with the old certificate after a renewal."""
    others = [hook for hook in lineage["hooks"] if hook != HOOK]
    if others:
        return []
    mine = renewal["registry"].get(lineage["name"], {}) if HOOK in lineage["hooks"] else {}
    known = set(one.get("service") for one in mine.get("services", ()))
    # The plugins that install reload their own service.
    return [one["service"] for one in these if one["service"] not in known and one["service"] != lineage["installer"]]


def _copy_items(facts, lineage, mine, behind):
    """Return what the role is to do for each copy: bring over what is newer, and have the hook do so from now on."""
    made = []
    for path in behind:
        copy, uses = mine[path]
        if not any(use.get("keystore") for use in uses):
            stale = copies.is_stale(facts, path, copy) and copy.kept["leaf"]["not_after"] > facts["now"]
            made.append({
                "certificate": path, "key": uses[0]["key"], "mend": "copy" if stale and facts["live"] else "hook",
                "lineage": lineage["name"], "renew": False, "names": [], "beside": [],
                "services": sorted(set("%s %s" % (use["service"], use["unit"]) for use in uses)),
                "probes": [list(probe) for probe in sorted(set(tuple(probe) for use in uses for probe in use["probes"]))]})
    return made
