# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role of the class updates is told of a finding."""


def of(finding):
    """Return what the role is told.

    ``packages`` to update, ``units`` to restart, ``automatic`` (the tool to set up) and whether its ``origins`` want one that is
    for security, ``refresh`` and ``reboot``.
    """
    check, resource = finding["check"], finding["resource"]
    made = {"packages": [], "units": [], "automatic": "", "origins": False, "refresh": check == "updates.index_stale",
            "reboot": check == "updates.reboot_required"}
    # What dpkg has left half done is no package.
    if check == "updates.security_pending" and resource != "dpkg":
        made["packages"] = [resource]
    elif check == "updates.stale_process":
        made["units"] = [resource]
    elif check == "updates.unattended_off":
        known = finding["evidence"]["persistent"]
        made["automatic"] = known["package"]
        # What is installed anew brings origins of its own.
        made["origins"] = bool(known["installed"] and not known["security"])
    return made
