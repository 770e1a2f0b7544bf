# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis, Valkey and KeyDB: who gets in without a password, from where, and with which rights.

Each instance that runs is looked at by itself: what its unit and its files say, what it says itself over its own
protocol, and what a client without a password is told at each of its addresses. Replicas, sentinels and nodes of a
cluster are known as one group, as one password must serve them all. Of a root filesystem that is not running the
instances are those that a boot starts, and what they will answer follows from their files.
"""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.check import check  # noqa: F401
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.collect import collect  # noqa: F401

NAME = "redis"
READS = ("processes", "listeners", "packages", "firewall")
CHECKS = ("redis.no_auth", "redis.exposed", "redis.weak_password", "redis.dangerous_commands", "redis.runs_as_root",
          "redis.config_world_readable", "redis.runtime_differs")
POLICY = {"networks": [], "loopback_ok": True, "words": []}
