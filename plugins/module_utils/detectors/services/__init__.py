# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that nothing needs, and services that send passwords or data in clear text.

A service counts by all its doors: systemd units (the socket, path and timer as well as the service they start),
entries of xinetd and inetd, init scripts where there is no systemd, and a daemon that somebody started by hand.
What needs it, and who is connected to it, decides whether it is in the way.
"""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services import table
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services.check import check
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services.collect import collect
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.services.excuses import parse_rpcinfo

NAME = "services"
READS = ("processes", "listeners", "units")
CHECKS = (table.UNNEEDED, table.LEGACY)
POLICY = {"keep": [], "unneeded": [], "legacy_plaintext": []}

__all__ = ["CHECKS", "NAME", "POLICY", "check", "collect", "parse_rpcinfo"]
