# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role of the class services is told of a finding."""


def of(finding):
    """Return ``units``, ``entries`` of inetd and xinetd (file, kind, name, proto), and ``listeners`` that are to be gone."""
    persistent, effective = finding["evidence"].get("persistent", {}), finding["evidence"].get("effective", {})
    entries = [dict((name, persistent[name]) for name in ("file", "kind", "name", "proto"))] if "file" in persistent else []
    return {"units": sorted(persistent.get("units", ())), "entries": entries, "listeners": list(effective.get("listeners", ()))}
