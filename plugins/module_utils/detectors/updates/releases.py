# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When releases of distributions end: the last day with security updates.

Compared in 2026-11 with distro-info-data 0.66+deb13u2 (Debian, Ubuntu; its days are taken) and with the data of
https://endoflife.date as of 2026-08-22 (the others), which name the distributions' own pages:
access.redhat.com/support/policy/updates/errata, oracle.com/us/support/library/elsp-lifetime-069338.pdf,
docs.fedoraproject.org/en-US/releases/eol, aws.amazon.com/amazon-linux-2/faqs, en.opensuse.org/Lifetime, suse.com/lifecycle,
alpinelinux.org/releases. A release that is not here is unknown, never passed.
Each entry is (for everybody, volunteers' long-term support from the same archive, paid or registered support); "" is none.
"""

ENDS = {
    "debian": {
        "7": ("2016-04-25", "2018-05-31", ""), "8": ("2018-06-17", "2020-06-30", ""), "9": ("2020-07-18", "2022-06-30", ""),
        "10": ("2022-09-10", "2024-06-30", ""), "11": ("2024-08-14", "2026-08-31", ""), "12": ("2026-07-11", "2028-06-30", ""),
        "13": ("2028-08-09", "2030-06-30", "")},
    "ubuntu": {
        "14.04": ("2019-04-25", "", "2024-04-25"), "16.04": ("2021-04-30", "", "2026-04-23"),
        "18.04": ("2023-05-31", "", "2028-04-26"), "20.04": ("2025-05-29", "", "2030-04-23"),
        "20.10": ("2021-07-22", "", ""), "21.04": ("2022-01-20", "", ""), "21.10": ("2022-07-14", "", ""),
        "22.04": ("2027-06-01", "", "2032-04-21"), "22.10": ("2023-07-20", "", ""), "23.04": ("2024-01-25", "", ""),
        "23.10": ("2024-07-11", "", ""), "24.04": ("2029-05-31", "", "2034-04-25"), "24.10": ("2025-07-10", "", ""),
        "25.04": ("2026-01-15", "", ""), "25.10": ("2026-07-09", "", ""), "26.04": ("2031-05-29", "", "2036-04-23"),
        "26.10": ("2027-07-15", "", "")},
    "rhel": {
        "6": ("2020-11-30", "", "2024-06-30"), "7": ("2024-06-30", "", "2029-05-31"), "8": ("2029-05-31", "", "2033-05-31"),
        "9": ("2032-05-31", "", "2036-05-31"), "10": ("2035-05-31", "", "2039-05-31")},
    # Stream 8 calls itself CentOS 8 as well, and outlived it.
    "centos": {"6": ("2020-11-30", "", ""), "7": ("2024-06-30", "", ""), "8": ("2024-05-31", "", ""),
               "9": ("2027-05-31", "", ""), "10": ("2030-05-31", "", "")},
    "rocky": {"8": ("2029-05-31", "", ""), "9": ("2032-05-31", "", ""), "10": ("2035-05-31", "", "")},
    "almalinux": {"8": ("2029-05-31", "", ""), "9": ("2032-05-31", "", ""), "10": ("2035-05-31", "", "")},
    "ol": {"6": ("2021-03-31", "", "2024-12-31"), "7": ("2024-12-31", "", "2028-06-30"), "8": ("2029-07-31", "", "2032-07-31"),
           "9": ("2032-06-30", "", "2035-06-30"), "10": ("2035-06-30", "", "")},
    "amzn": {"2018.03": ("2023-12-31", "", ""), "2": ("2026-06-30", "", ""), "2023": ("2029-06-30", "", "")},
    "fedora": {"38": ("2024-05-21", "", ""), "39": ("2024-11-26", "", ""), "40": ("2025-05-13", "", ""),
               "41": ("2025-12-15", "", ""), "42": ("2026-05-27", "", ""), "43": ("2026-12-09", "", ""),
               "44": ("2027-06-02", "", "")},
    "opensuse-leap": {"15.2": ("2022-01-04", "", ""), "15.3": ("2022-12-31", "", ""), "15.4": ("2023-12-07", "", ""),
                      "15.5": ("2024-12-31", "", ""), "15.6": ("2026-04-30", "", ""), "16.0": ("2027-10-31", "", "")},
    "sles": {"12.4": ("2020-06-30", "", "2023-06-30"), "12.5": ("2024-10-31", "", "2027-10-31"),
             "15.1": ("2021-01-31", "", "2024-01-31"), "15.2": ("2021-12-31", "", "2024-12-31"),
             "15.3": ("2022-12-31", "", "2025-12-31"), "15.4": ("2023-12-31", "", "2026-12-31"),
             "15.5": ("2024-12-31", "", "2027-12-31"), "15.6": ("2025-12-31", "", "2028-12-31"),
             "15.7": ("2031-07-31", "", "2034-07-31"), "16.0": ("2027-11-30", "", "2030-11-30")},
    "alpine": {"3.17": ("2024-11-22", "", ""), "3.18": ("2025-05-09", "", ""), "3.19": ("2025-11-01", "", ""),
               "3.20": ("2026-04-01", "", ""), "3.21": ("2026-11-01", "", ""), "3.22": ("2027-05-01", "", ""),
               "3.23": ("2027-11-01", "", ""), "3.24": ("2028-06-01", "", "")},
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
