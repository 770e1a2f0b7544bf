# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a certificate can be renewed, and how safe that is."""

import fnmatch
import os

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import copies
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import HOST_NAME
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import READABLE
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import RENEWAL
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import key_type
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import leaf_of
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import name_constraints
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509


def mending(facts, policy, path, these):
    """Return how a certificate can be renewed: {mend, lineage, names} and the risk (None: the catalogue's)."""
    names = sorted(set(name for one in these for name in one["names"] if HOST_NAME.match(name) and name != "_"))
    leaf = leaf_of(facts, path)
    had = [name for name in (leaf["names"] or [leaf["common_name"].lower()]) if HOST_NAME.match(name)] if leaf else []
    names = names or had
    lineage = next((one for one in facts["renewal"]["certbot"]["lineages"] if holds(facts, one, path)), None)
    made = {"certificate": path, "key": these[0]["key"] if these else "", "names": names, "mend": "", "lineage": "",
            "services": sorted(set("%s %s" % (one["service"], one["unit"]) for one in these)),
            "probes": [list(probe) for probe in sorted(set(tuple(probe) for one in these for probe in one["probes"]))],
            "beside": _beside(facts, these), "maps": sorted(set(one["map"] for one in these if one.get("map"))),
            "built": sorted(set(one["built"] for one in these if one.get("built")))}
    if any(one.get("keystore") for one in these):
        return made
    copy = copies.copy_of(facts, path) if not lineage else None
    if copy and copy.certain and copy.kept["tool"] == "certbot":
        of = next(one for one in facts["renewal"]["certbot"]["lineages"] if one["name"] == copy.kept["name"])
        newer = copies.is_stale(facts, path, copy) and not _is_due(facts, policy, copy.kept["leaf"])
        made["lineage"] = of["name"]
        # What is there is brought over; what is due is renewed first.
        made["renew"] = not newer
        made["mend"] = "copy" if newer or not (of["manual"] or of["fault"]) else ""
        return made
    if lineage and _brought(facts, policy, lineage, path):
        made["mend"], made["lineage"] = "copy", lineage["name"]
    elif lineage:
        made["mend"], made["lineage"] = "renew", lineage["name"]
        if lineage.get("by_hand"):
            made["mend"] = ""
        elif (lineage["manual"] or lineage["fault"] or uncovered(leaf, names)) and _all_match(names, policy["acme_domains"]):
            made["mend"] = "issue"
        elif lineage["manual"] or lineage["fault"]:
            # A renewal cannot succeed before that is mended.
            made["mend"] = ""
    elif _all_match(names, policy["private_names"]):
        made["mend"] = "private"
        # What it was for besides, somebody may rely on.
        had += [name for name in leaf["names"] if name not in had and name_constraints.address_of(name)] if leaf else []
        made["names"] = names + [name for name in had if name not in names and _all_match([name], policy["private_names"])]
    elif _all_match(names, policy["acme_domains"]):
        made["mend"], made["lineage"] = "issue", names[0].replace("*.", "")
    return made


def _brought(facts, policy, lineage, path):
    """Tell whether a file that the deploy hook writes is older than what certbot has, which is not due: nothing is renewed."""
    kept = next((one for one in facts["kept"] if (one["tool"], one["name"]) == ("certbot", lineage["name"])), None)
    if kept is None or is_own(facts, lineage, path) or not leaf_of(facts, path):
        return False
    return copies.is_stale(facts, path, copies.Copy(kept, True)) and not _is_due(facts, policy, kept["leaf"])


def _is_due(facts, policy, leaf):
    return leaf["not_after"] < facts["now"] or x509.expiring(
        leaf, facts["now"], float(policy["expiring_percent"]), float(policy["expiring_days"]))


def _beside(facts, these):
    """Return the files with certificates of other kinds of keys that services have for the same names."""
    return sorted(set(other["certificate"] for one in these for other in facts["uses"]
                      if all(other[key] == one[key] for key in ("service", "unit", "ports", "names"))
                      and key_type(facts, one) and key_type(facts, other) not in ("", key_type(facts, one))))


def uncovered(leaf, names):
    """Return the names that a certificate is not for."""
    return [name for name in names if leaf and not x509.covers(leaf, name)]


def holds(facts, lineage, path):
    """Tell whether a path holds a lineage: its own, a link to it, or one that it is copied to."""
    kept = facts["renewal"]["registry"].get(lineage["name"], {})
    return is_own(facts, lineage, path) or path in [one.get("certificate") for one in kept.get("pairs", ())]


def is_own(facts, lineage, path):
    """Tell whether a path is certbot's own file of a lineage, or a link to it."""
    real = facts["files"].get(path, {}).get("real")
    return path in (lineage["certificate"], os.path.dirname(lineage["certificate"]) + "/cert.pem") \
        or bool(real) and real == lineage["real"]


def _all_match(names, globs):
    return bool(names) and all(any(fnmatch.fnmatchcase(name, glob.lower()) for glob in globs) for name in names)


def risk(mending, facts):
    """Return {'risk': ...} where a fix is not as safe as the catalogue says."""
    led = facts["files"].get(mending["certificate"], {}).get("led") or facts["keys"].get(mending["key"], {}).get("led")
    if not mending["mend"] or not facts["live"] or led and mending["mend"] != "reload":
        return {"risk": "manual"}
    if any(one.split(" ")[0] in ("redis", "tomcat", "vsftpd") for one in mending["services"]):
        return {"risk": "restart"}
    return {}


ITEM = ("certificate", "key", "lineage", "names", "services", "probes", "beside", "built")


def of(finding, facts):
    """Return ``items`` as certificate_mend takes them, the ``key`` whose mode is to change, and the ``timer`` that renews.

    ``certbot`` is the path of the program, "" where there is none.
    """
    known = finding["evidence"].get("persistent", {})
    made = {"items": [], "key": {}, "timer": "", "certbot": facts["renewal"]["certbot"].get("program", "/usr/bin/certbot")}
    if finding["check"] == READABLE:
        made["key"] = dict((name, known[name]) for name in ("key", "want_mode", "want_group"))
        return made
    if "mend" not in known:
        return made
    ways = [known["mend"]]
    if finding["check"] == RENEWAL:
        faults = set(known.get("faults", ()))
        ways = (["hook"] if "hook" in faults else []) + ([known["mend"]] if faults & {"failure", "lineage"} else [])
        made["timer"] = known["timer_unit"] if "schedule" in faults else ""
    item = dict((name, known[name]) for name in ITEM)
    made["items"] = [dict(item, mend=way, renew=known.get("renew", False)) for way in ways]
    if finding["check"] == RENEWAL and "copy" in known.get("faults", ()):
        made["items"] += known.get("copies", ())
    # In an image nothing is renewed.
    made["items"] = [one for one in made["items"] if one["mend"] and (one["mend"] == "hook" or facts["live"])]
    return made
