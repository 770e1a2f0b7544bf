# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role of the class ports is told of a finding."""


def of(finding, policy):
    """Return ports to ``close`` and ``published`` ones, each with who may still get through, and whether to ``drop`` the rest."""
    if finding["check"] == "ports.firewall_off":
        return {"close": {}, "published": {}, "drop": True}
    # What runs now, or, in an image, what a boot brings.
    one = finding["evidence"].get("effective") or finding["evidence"]["persistent"]
    name = "%s/%s" % (one["port"], one["proto"])
    port = {name: list(policy["allowed"].get(name) or ())}
    published = one["process"] == "published"
    return {"close": {} if published else port, "published": port if published else {}, "drop": False}
