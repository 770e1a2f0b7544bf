# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one base of what target code raises on purpose."""


class HostError(Exception):
    """Something could not be read, kept or changed on this host; the message is one line for a person."""
