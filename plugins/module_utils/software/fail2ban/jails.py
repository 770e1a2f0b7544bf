# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jails that hostmend writes, as text."""

from __future__ import annotations

import ipaddress
import re

HEAD = """# Kept by hostmend. What /etc/fail2ban/jail.local or a *.local file of this folder sets wins over it.
"""
ACTIONS = {"nftables": ("nftables-multiport", "nftables-allports"), "iptables": ("iptables-multiport", "iptables-allports"),
           "firewallcmd": ("firewallcmd-rich-rules", "firewallcmd-allports")}
DECISIVE = {"enabled", "backend", "logpath", "port", "filter", "journalmatch", "action", "banaction"}
# A jail whose log is missing keeps all of fail2ban from starting, so the boot makes these where they have gone.
TMPFILES = "/etc/tmpfiles.d/hostmend-fail2ban.conf"
SELF_LOGGED = ("vsftpd", "xrdp", "proftpd")
LOOPBACK = ("127.0.0.1/8", "::1")
WEEK, DAY = 604800, 86400


class JailError(ValueError):
    """What cannot be written safely; the message is one plain sentence."""


def chosen(facts, services):
    """Return the services that get a jail: those asked for and those that have one of ours, less what others set."""
    made = []
    for name, wanted in sorted(facts["wanted"].items()):
        local = facts["local"].get(wanted["jail"], {}).get("keys", {})
        if (name in services or wanted["jail"] in facts["own"]) and not DECISIVE & set(local):
            made.append(name)
    return made


def ignored(facts, more):
    """Return the addresses that are never banned; what is none is an error, as fail2ban would look it up as a name."""
    made = list(LOOPBACK)
    for text in list(facts["controllers"]) + list(more):
        try:
            ipaddress.ip_network(str(text), strict=False)
        except ValueError:
            raise JailError("%r is no address or network" % str(text)) from None
        made.append(str(text))
    own = facts["local"].get("DEFAULT", {}).get("keys", {}).get("ignoreip", "")
    made += [word for word in re.split(r"[,\s]+", own) if word and "%" not in word]
    return list(dict.fromkeys(made))


def safe(text):
    """Return a value that stays one line of a configuration and is no interpolation."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise JailError("%r cannot be written into fail2ban's configuration" % text)
    return text.replace("%", "%%")


def render(facts, asked, services, server_text):
    """Return the text of our file, and the logs that must be there before fail2ban reads it, also at a boot."""
    ignore = " ".join(ignored(facts, asked["ignore"]))
    defaults = facts["local"].get("DEFAULT", {}).get("keys", {})
    ports, everything = ACTIONS[facts["banaction"] or "nftables"]
    text, logs = HEAD, []
    for name in services:
        wanted = facts["wanted"][name]
        lines = ["enabled = true", "filter = %s" % wanted["filter"], "backend = %s" % wanted["backend"]]
        if wanted["failregex"]:
            # Beside a filter, those of the filter stay.
            regexes = (["%(known/failregex)s"] if wanted["filter"] else []) + [safe(one) for one in wanted["failregex"]]
            lines.append("failregex = %s" % "\n            ".join(regexes))
        if wanted["logpath"]:
            lines.append("logpath = %s" % "\n          ".join(safe(one) for one in wanted["logpath"]))
        if wanted["journalmatch"]:
            lines.append("journalmatch = %s" % safe(wanted["journalmatch"]))
        lines += ["port = %s" % wanted["port"], "ignoreip = %s" % ignore]
        lines += ["%s = %d" % (key, asked[key]) for key in ("maxretry", "findtime", "bantime") if key not in defaults]
        lines += ["banaction = %s" % ports] if "banaction" not in defaults else []
        lines += ["action = %(action_)s"] if "action" not in defaults else []
        text += "\n[%s]\n%s\n" % (wanted["jail"], "\n".join(lines))
        logs += wanted["create"] + (wanted["logpath"] if name in SELF_LOGGED else [])
    if asked["recidive"] and services and not DECISIVE & set(facts["local"].get("recidive", {}).get("keys", {})):
        more, log = _recidive(server_text)
        if more:
            lines = ["enabled = true", *more, "ignoreip = %s" % ignore, "bantime = %d" % WEEK, "findtime = %d" % DAY]
            lines += ["banaction = %s" % everything] if "banaction" not in defaults else []
            text += "\n[recidive]\n%s\n" % "\n".join(lines)
            logs += log
    return text, list(dict.fromkeys(logs))


def tmpfiles(logs):
    """Return what has systemd make the logs at boot; their owners stay as they are."""
    plain = [path for path in logs if re.match(r"/[\w./-]+\Z", path)]
    return "# Kept by hostmend.\n" + "".join("f %s 0640 - - -\n" % path for path in plain)


def _recidive(server_text):
    """Return the lines that say where fail2ban's own log is, and the file that must be there."""
    found = re.findall(r"^[ \t]*logtarget\s*=\s*(\S+)", server_text, re.MULTILINE)
    target = found[-1] if found else "/var/log/fail2ban.log"
    if target.startswith("/") and "%" not in target:
        return ["backend = auto", "logpath = %s" % target], [target]
    if target.upper() in ("SYSLOG", "SYSOUT", "STDOUT", "STDERR", "SYSTEMD-JOURNAL"):
        return ["backend = systemd", "journalmatch = _SYSTEMD_UNIT=fail2ban.service"], []
    return [], []
