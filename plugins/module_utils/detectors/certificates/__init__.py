# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that services of this host use: as their configurations name them, and as they are served.

A certificate that lies about is none of these findings: it is in use where a service that runs, or that the next boot
starts, names it, or where a listener of this host serves it.
"""

import time

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import check as judging
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import collect as collecting
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import CHECKS
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import NAME
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import POLICY
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies

__all__ = ("CHECKS", "NAME", "POLICY", "READS", "check", "collect")

READS = ("processes", "listeners", "units")


def collect(host, policy):
    """Return the uses of certificates, their content, their keys, what is served, and who renews them."""
    facts = {"live": bool(host.live), "now": time.time(), "uses": [], "files": {}, "keys": {}, "served": [], "gaps": [],
             "dynamic": [], "renewal": {}, "kept": []}
    collecting.collect(host, facts)
    return facts


def check(facts, policy):
    """Return the findings of the facts."""
    return with_remedies(judging.check(facts, policy), lambda each: remedy.of(each, facts))
