# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brute force: whether who guesses passwords is banned, for each service that takes them, and accounts are locked.

What counts is what fail2ban's server says of the jails that run, held against the logs that the services really write,
the ports that they really listen on, and the chains that their packets really pass.
"""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.check import check
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.collect import collect
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import CHECKS
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import NAME
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import POLICY
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import READS

__all__ = ["CHECKS", "NAME", "POLICY", "READS", "check", "collect"]
