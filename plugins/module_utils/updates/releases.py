# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When releases of distributions end: the last day with security updates.

From the distributions' own pages, as of 2026-11: www.debian.org/releases and wiki.debian.org/LTS, ubuntu.com/about/release-cycle,
access.redhat.com/support/policy/updates/errata, wiki.rockylinux.org/rocky/version, wiki.almalinux.org/release-notes,
docs.fedoraproject.org/en-US/releases/eol, en.opensuse.org/Lifetime, alpinelinux.org/releases, aws.amazon.com/amazon-linux-2/faqs.
Each entry is (for everybody, volunteers' long-term support from the same archive, paid or registered support); "" is none.
"""

from __future__ import annotations

ENDS = {
    "debian": {
        "8": ("2018-06-17", "2020-06-30", ""), "9": ("2020-07-18", "2022-06-30", ""), "10": ("2022-09-10", "2024-06-30", ""),
        "11": ("2024-08-14", "2026-08-31", ""), "12": ("2026-06-10", "2028-06-30", ""),
        "13": ("2028-08-09", "2030-06-30", "")},
    "ubuntu": {
        "14.04": ("2019-04-25", "", "2024-04-25"), "16.04": ("2021-04-30", "", "2026-04-23"),
        "18.04": ("2023-05-31", "", "2028-04-30"), "20.04": ("2025-05-31", "", "2030-04-30"),
        "22.04": ("2027-04-30", "", "2032-04-30"), "22.10": ("2023-07-20", "", ""), "23.04": ("2024-01-25", "", ""),
        "23.10": ("2024-07-11", "", ""), "24.04": ("2029-04-30", "", "2034-04-30"), "24.10": ("2025-07-10", "", ""),
        "25.04": ("2026-01-15", "", ""), "25.10": ("2026-07-09", "", ""), "26.04": ("2031-04-30", "", "2036-04-30")},
    "rhel": {
        "6": ("2020-11-30", "", "2024-06-30"), "7": ("2024-06-30", "", "2028-06-30"), "8": ("2029-05-31", "", "2032-05-31"),
        "9": ("2032-05-31", "", "2035-05-31"), "10": ("2035-05-31", "", "2038-05-31")},
    "centos": {"6": ("2020-11-30", "", ""), "7": ("2024-06-30", "", ""), "8": ("2024-05-31", "", ""),
               "9": ("2027-05-31", "", ""), "10": ("2030-05-31", "", "")},
    "rocky": {"8": ("2029-05-31", "", ""), "9": ("2032-05-31", "", ""), "10": ("2035-05-31", "", "")},
    "almalinux": {"8": ("2029-05-31", "", ""), "9": ("2032-05-31", "", ""), "10": ("2035-05-31", "", "")},
    "ol": {"6": ("2021-03-31", "", "2024-12-31"), "7": ("2024-12-31", "", "2028-06-30"), "8": ("2029-07-31", "", ""),
           "9": ("2032-06-30", "", ""), "10": ("2035-06-30", "", "")},
    "amzn": {"2": ("2026-06-30", "", ""), "2023": ("2029-06-30", "", "")},
    "fedora": {"39": ("2024-11-26", "", ""), "40": ("2025-05-13", "", ""), "41": ("2025-12-15", "", ""),
               "42": ("2026-05-13", "", ""), "43": ("2026-12-02", "", "")},
    "opensuse-leap": {"15.3": ("2022-12-31", "", ""), "15.4": ("2023-12-07", "", ""), "15.5": ("2024-12-31", "", ""),
                      "15.6": ("2026-04-30", "", ""), "16.0": ("2027-10-31", "", "")},
    "alpine": {"3.18": ("2025-05-09", "", ""), "3.19": ("2025-11-01", "", ""), "3.20": ("2026-04-01", "", ""),
               "3.21": ("2026-11-01", "", ""), "3.22": ("2027-05-01", "", "")},
}
# Distributions that number every point release but end with the major one.
MAJOR_ONLY = ("rhel", "centos", "rocky", "almalinux", "ol", "debian")
ROLLING = ("arch", "gentoo", "opensuse-tumbleweed", "void", "nixos", "kali", "manjaro")


def end_of(distribution, version, lts=True, paid=False):
    """Return the last day (``YYYY-MM-DD``) with security updates; None where this table does not know the release.

    :param lts: count long-term support that needs no contract (Debian LTS).
    :param paid: count support that needs a contract or registration (Ubuntu Pro, RHEL ELS).
    """
    if distribution in MAJOR_ONLY:
        version = version.split(".")[0]
    elif distribution == "alpine":
        version = ".".join(version.split(".")[:2])
    entry = ENDS.get(distribution, {}).get(version)
    if entry is None:
        return None
    return max((entry[0], entry[1] if lts else "", entry[2] if paid else ""))


def is_rolling(distribution, version):
    """True for what has no releases that end."""
    return distribution in ROLLING or (distribution == "debian" and not version)
