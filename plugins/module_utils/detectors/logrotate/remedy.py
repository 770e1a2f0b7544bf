# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role of the class logrotate is told of a finding."""


def of(finding, policy):
    """Return what the role does.

    ``packages`` to install, ``units`` to run, services to ``unmask``, logs to ``cover``, and ``settings`` as logrotate_mend
    takes them.
    """
    made = {"packages": [], "units": [], "unmask": [], "cover": [], "settings": []}
    persistent = finding["evidence"].get("persistent", {})
    if finding["check"] == "logrotate.missing":
        made["packages"] = ["logrotate"]
    elif finding["check"] == "logrotate.not_running":
        made["units"], made["unmask"] = ["logrotate.timer"], persistent.get("masked", [])
    elif finding["check"] == "logrotate.uncovered":
        made["cover"] = [finding["resource"]]
    elif "log" in persistent:
        made["settings"] = [{"file": persistent["file"], "log": persistent["log"], "kind": persistent.get("kind", "rotate"),
                             "rotate": persistent.get("rotate", 0), "days": int(policy["retention_days"])}]
    return made
