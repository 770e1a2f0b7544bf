# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The effective firewall."""

from __future__ import annotations


def read_firewall(host):
    """Return the effective firewall."""
    raise NotImplementedError
