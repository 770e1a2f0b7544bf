# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords that are tried first: common ones, the policy's, and variants of the names of a host."""

from typing import Iterable, List

COMMON = ("redis", "foobared", "password", "passw0rd", "P@ssw0rd", "123456", "12345678", "123456789", "1234567890",
          "000000", "111111", "654321", "123123", "666666", "888888", "qwerty", "abc123", "admin", "admin123", "root",
          "root123", "test", "test123", "secret", "letmein", "changeme", "default", "welcome", "redis123", "redis@123",
          "Redis@123", "redispass", "redis_password", "redispassword", "mypassword", "1qaz2wsx", "1q2w3e4r", "a123456",
          "iloveyou", "dragon", "monkey", "master", "guest", "user", "pass", "toor", "dev", "prod", "cache")


def weak_words(extra: Iterable[str], names: Iterable[str], year: int) -> List[str]:
    """Return the passwords that are tried: the policy's, common ones, and variants of names of the host."""
    words = list(extra) + list(COMMON)
    for name in names:
        if name:
            words += [name, name + "123", name + "@123", name + "1", name.capitalize() + "123"]
            words += ["%s%s%d" % (name, sign, year - ago) for sign in ("", "@") for ago in range(3)]
    return list(dict.fromkeys(words))[:2000]
