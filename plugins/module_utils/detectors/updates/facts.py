# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of the class, and its policy."""

NAME = "updates"
PENDING, INDEX, CVE, REBOOT, STALE, EOL, UNATTENDED = CHECKS = (
    "updates.security_pending", "updates.index_stale", "updates.cve", "updates.reboot_required", "updates.stale_process",
    "updates.eol_release", "updates.unattended_off")
POLICY = {
    "scope": "security",
    "security_origins": [],
    "index_days": 7,
    "restart": "safe",
    "reboot": False,
    "refresh": False,
    "unattended": "report",
    "lts": True,
    "paid_support": False,
}
