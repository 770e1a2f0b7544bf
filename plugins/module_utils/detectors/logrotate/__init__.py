# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log rotation: whether it is there, runs, works, covers the large logs and keeps them long enough.

What logrotate itself makes of its configuration (``logrotate -d``) is the evidence, and what its last real run came to;
not the configuration's text.
"""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.check import check
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.collect import collect
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.facts import CHECKS
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.logrotate.facts import NAME

READS = ("processes", "units")
POLICY = {
    "retention_days": 180,
    "retention_logs": ["/var/log/auth.log*", "/var/log/secure*", "/var/log/syslog*", "/var/log/messages*",
                       "/var/log/wtmp*", "/var/log/btmp*", "/var/log/kern.log*", "/var/log/audit/*",
                       "/var/log/ufw.log*"],
    "large_mebibytes": 100,
    "status_days": 3,
    "ignore": [],
}

__all__ = ["CHECKS", "NAME", "POLICY", "READS", "check", "collect"]
