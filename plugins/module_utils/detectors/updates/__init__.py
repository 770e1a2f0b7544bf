# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Updates: pending security updates, a stale index, an ended release, and what still runs from before an update.

The package manager of the host is the judge of what is newer, and its own advisory data of what is for security.
Nothing here takes a lock, writes, or uses the network.
"""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import check as judging
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import collect as collecting
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import CHECKS
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import NAME
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import POLICY
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies

__all__ = ("CHECKS", "NAME", "POLICY", "READS", "check", "collect")

READS = ("processes", "units", "packages")


def collect(host, policy):
    """Return what the package manager knows, and what runs."""
    return collecting.collect(host, policy)


def check(facts, policy):
    """Return the findings of the facts."""
    return with_remedies(judging.check(facts, policy), remedy.of)
