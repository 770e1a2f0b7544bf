# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role of the class redis is told of a finding."""


def of(finding):
    """Return an instance as redis_access takes it: what is to be done to it for this finding."""
    evidence, check = finding["evidence"], finding["check"]
    one = evidence.get("effective") or evidence["persistent"]
    return {"listeners": one["listeners"], "config_file": one["config_file"] or "", "unit": one["unit"] or "",
            "auth": check in ("redis.no_auth", "redis.weak_password"), "narrow": check == "redis.exposed",
            "protect": evidence["persistent"]["open"] if check == "redis.config_world_readable" else []}
