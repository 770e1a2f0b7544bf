# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that the parts of the class share, and what keeps a jail from banning."""

from typing import Any, Dict, List, NamedTuple, Sequence

NAME = "fail2ban"
READS = ("processes", "listeners", "units", "packages", "firewall")
MISSING, JAIL_MISSING, JAIL_BLIND, NO_LOCKOUT = CHECKS = (
    "fail2ban.missing", "fail2ban.jail_missing", "fail2ban.jail_blind", "fail2ban.no_lockout")
POLICY = {
    "ignore": [],
    "exempt_services": [],
    "penalties_suffice": False,
    "override_local": True,
    "lockout": True,
    "lockout_deny": 10,
}  # type: Dict[str, Any]
UNIT = "fail2ban.service"
PROGRAM = "fail2ban-server"
FOLDERS = ("/usr/bin/", "/usr/local/bin/", "/usr/sbin/", "/sbin/", "/bin/", "/usr/local/sbin/")
# Keys whose value may be at fault where a jail does not see, or where what it does keeps nobody out.
SOURCES = ("backend", "logpath", "journalmatch")
FILTERS = ("filter", "failregex")
ACTS = ("action", "banaction", "chain")


class Fault(NamedTuple):
    """What keeps a jail from banning who attacks a service.

    ``keys`` of the jail that are at fault; none where the fault is not in the jail. ``by_hand`` says what a person has
    to do, "" where a jail of ours mends it. ``place``: file and line that set the first of the keys which somebody's own
    file sets. ``files``: {key: the file of ours that can set it}.
    """

    text: str
    keys: Sequence[str] = ()
    by_hand: str = ""
    place: str = ""
    local: bool = False
    owner: str = ""
    files: Dict[str, str] = {}

    def plain(self) -> Dict[str, Any]:
        """Return it as facts have it."""
        return dict(self._asdict(), keys=list(self.keys), files=dict(self.files))


def faults_of(plain: Sequence[Dict[str, Any]]) -> List[Fault]:
    """Return faults as facts have them."""
    return [Fault(**one) for one in plain]


def has(host: Any, program: str) -> bool:
    """Tell whether a program is installed."""
    return any(host.exists(folder + program) for folder in FOLDERS)


def installed(host: Any) -> bool:
    """Tell whether fail2ban is on this host."""
    return has(host, PROGRAM)
