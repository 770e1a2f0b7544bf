# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports that others reach: which do not belong there, which nobody declared, and whether a firewall stands before them.

A port is reached where something listens on it, or passes it on, and no ruleset of this host cuts it off. What a
firewall outside the host does (a security group of a cloud) cannot be seen from here. Of a root filesystem that is not
running it is judged what would listen after a boot, and what the firewall that the boot loads would let through.
"""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.ports.check import check
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.ports.collect import collect

NAME = "ports"
READS = ("listeners", "firewall")
CHECKS = ("ports.exposed", "ports.undeclared", "ports.firewall_off")
POLICY = {"declared": [], "allowed": {}, "table": {}}

__all__ = ["CHECKS", "NAME", "POLICY", "check", "collect"]
