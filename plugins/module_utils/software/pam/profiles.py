# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lockout as profiles of pam-auth-update: their texts, and whether pam-auth-update would take them."""

import re
from typing import Dict, List

from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import stack

FOLDER = "/usr/share/pam-configs"
SAVED = "/var/lib/pam"
OWN_CONF = "/etc/security/faillock-hostmend.conf"
KINDS = ("auth", "account", "password", "session", "session-noninteractive")
BLOCKS = (("# here are the per-package modules", "# here's the fallback"),
          ("# and here are more per-package modules", "# end of pam-auth-update config"))
# The count comes first, and its failure after every other module that knows passwords: so two profiles.
PROFILES = {
    "hostmend-faillock-preauth": """Name: Turn away locked accounts (hostmend)
Default: no
Priority: 1024
Auth-Type: Primary
Auth:
\trequisite pam_faillock.so preauth %(options)s
Account-Type: Primary
Account:
\trequired pam_faillock.so%(conf)s
""",
    "hostmend-faillock": """Name: Count failed logins (hostmend)
Default: no
Priority: 0
Auth-Type: Primary
Auth:
\t[default=die] pam_faillock.so authfail %(options)s
""",
}


def own_conf(text: str) -> str:
    """Return a faillock.conf without what has root locked; "" where the one that is there does not."""
    if not stack.root_keys(text):
        return ""
    lines = [line for line in text.splitlines()
             if line.split("#", 1)[0].partition("=")[0].strip() not in stack.ROOT_KEYS + ("deny", "unlock_time")]
    return "# Kept by hostmend: %s less what has root locked.\n%s\n" % (stack.CONF, "\n".join(lines))


def texts(deny: int, unlock_time: int, conf: str) -> Dict[str, str]:
    """Return {path: text} of the files to write.

    :param conf: the text of faillock.conf. Arguments win over it, but none can take even_deny_root back.
    """
    own, options = own_conf(conf), "deny=%d unlock_time=%d" % (deny, unlock_time)
    interval = stack.conf_settings(conf).get("fail_interval", "")
    if interval.isdecimal() and int(interval[:9]) < stack.SHORTEST:
        options += " fail_interval=900"
    named = " conf=" + OWN_CONF if own else ""
    made = dict(("%s/%s" % (FOLDER, name), text % {"options": options + named, "conf": named})
                for name, text in PROFILES.items())
    if own:
        made[OWN_CONF] = own
    return made


def _saved(text: str) -> List[str]:
    """Return the lines that pam-auth-update wrote last, control and module, numbers of jumps left out."""
    return [_short(line) for line in text.splitlines() if line.strip() and not line.startswith("Module: ")]


def _short(line: str) -> str:
    match = re.match(r"\s*(\[[^\]]*\]|\w+)\s+(\S+)", line)
    if match is None:
        return line
    return "%s %s" % (re.sub(r"\d+|end", "", match.group(1)), match.group(2))


def edited(read: stack.Reader) -> str:
    """Return the file that pam-auth-update would leave alone, as somebody has edited what it writes; "" for none."""
    for kind in KINDS:
        path, saved = "/etc/pam.d/common-" + kind, read("%s/%s" % (SAVED, kind))
        text = read(path)
        if text is None or saved is None:
            return path
        left, word = _saved(saved), kind.partition("-")[0]
        for begin, end in BLOCKS:
            lines = [line.strip() for line in text.splitlines()]
            starts = [at for at, line in enumerate(lines) if line.startswith(begin)]
            ends = [at for at, line in enumerate(lines) if line.startswith(end)]
            if not starts or not ends:
                return path
            for line in lines[starts[0] + 1:ends[0]]:
                known = _short(re.sub(r"\A%s\s+" % word, "", line))
                if line and known not in left:
                    return path
                left = left[left.index(known) + 1:] if line else left
    return ""
