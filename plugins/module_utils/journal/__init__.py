# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The change journal: what a host was like before a role changed it, and the way back.

Standard library only, and nothing of Ansible's: the same files, zipped, are the program that
restores a host when the controller no longer can.
"""
