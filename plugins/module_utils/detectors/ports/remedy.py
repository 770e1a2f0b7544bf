# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role of the class ports is told of a finding."""


def of(finding, policy, facts):
    """Return ports to ``close`` and ``published`` ones, each with who may still get through, and whether to ``drop`` the rest.

    ``listening`` are the ports that others reach now and go on to reach where the rest is dropped, ``manager`` is what is in
    charge of the firewall, ``controllers`` are the addresses that are never cut off.
    """
    made = {"close": {}, "published": {}, "drop": False, "listening": [], "manager": facts["firewall"]["manager"],
            "controllers": list(facts.get("controllers", []))}
    if finding["check"] == "ports.firewall_off":
        reached = [one for one in facts["ports"] if any(way["state"] != "closed" for way in one["ways"])]
        return dict(made, drop=True, listening=sorted({"%s/%s" % (one["port"], one["proto"]) for one in reached}))
    # What runs now, or, in an image, what a boot brings.
    one = finding["evidence"].get("effective") or finding["evidence"]["persistent"]
    name = "%s/%s" % (one["port"], one["proto"])
    port = {name: list(policy["allowed"].get(name) or ())}
    published = one["process"] == "published"
    made["published" if published else "close"] = port
    return made
