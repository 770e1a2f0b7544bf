# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that collecting and judging share."""

NAME = "logrotate"
MISSING, NOT_RUNNING, BROKEN, UNCOVERED, RETENTION = CHECKS = (
    "logrotate.missing", "logrotate.not_running", "logrotate.broken", "logrotate.uncovered", "logrotate.retention")
