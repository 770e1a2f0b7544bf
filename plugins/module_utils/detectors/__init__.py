# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The detectors, one for each issue class.

Each is imported by its name: only what is imported statically travels to a host.
"""

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import certificates
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import fail2ban
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import logrotate
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import ports
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import redis
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import updates

DETECTORS = {module.NAME: module for module in (certificates, fail2ban, logrotate, ports, redis, services, updates)}
