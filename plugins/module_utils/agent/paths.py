# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the agent of a host that audits itself has its files."""

import os
import re
import stat
from typing import Iterable, List, Optional

PACKAGE = "/usr/local/lib/hostmend/hostmend-agent.pyz"
SETTINGS = "/etc/hostmend/agent.json"
KEY = "/etc/hostmend/agent.key"
STATE = "/var/lib/hostmend/agent"
REPORT = STATE + "/report.json"
UNITS = ("/etc/systemd/system/hostmend-agent.service", "/etc/systemd/system/hostmend-agent.timer")
ENABLED = "/etc/systemd/system/timers.target.wants/hostmend-agent.timer"
STAMP = "/var/lib/systemd/timers/stamp-hostmend-agent.timer"
CRON = "/etc/cron.d/hostmend-agent"
#: All that is the agent's on a host, and the folders that it may have made.
FILES = (PACKAGE, SETTINGS, KEY) + UNITS + (ENABLED, STAMP, CRON, STATE)
FOLDERS = ("/usr/local/lib/hostmend", "/etc/hostmend")
REPORT_LIMIT = 8 * 1024 * 1024


def there(paths: Iterable[str] = FILES) -> List[str]:
    """Return those of the paths that exist."""
    return [path for path in paths if os.path.lexists(path)]


def lone_folders() -> List[str]:
    """Return the folders that hold nothing but the agent's own."""
    found = []
    for folder in FOLDERS:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        if all(os.path.join(folder, name) in FILES for name in names):
            found.append(folder)
    return found


def read_key() -> Optional[str]:
    """Return the host's key; None where there is none that can be used."""
    try:
        data = read(KEY, 256)
    except (OSError, ValueError):
        return None
    match = re.match(br"([0-9a-f]{64})\s*\Z", data)
    return match.group(1).decode("ascii") if match else None


def read(path: str, limit: int) -> bytes:
    """Return the bytes of a regular file of at most ``limit`` bytes; OSError or ValueError where there is none, or a link."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("%s is no regular file" % path)
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError("%s is larger than %d bytes" % (path, limit))
    return data
