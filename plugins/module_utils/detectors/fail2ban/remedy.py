# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role of the class fail2ban is told of a finding."""


def of(finding, facts):
    """Return ``services`` that get a jail, whether the host is to have fail2ban (``bans``), and ``lockout``."""
    locks = finding["check"] == "fail2ban.no_lockout"
    service = finding["evidence"].get("persistent", {}).get("service")
    services = [service] if service else []
    if finding["check"] == "fail2ban.missing":
        about = facts["fail2ban"]
        works = about.get("installed") and not about.get("complaint") and about.get("running")
        # Where nothing bans, all services get a jail.
        services = services if works else sorted(facts["wanted"])
    return {"services": services, "bans": not locks, "lockout": locks}
