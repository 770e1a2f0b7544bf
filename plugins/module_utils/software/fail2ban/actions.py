# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an action of fail2ban does, by its commands: with which program it bans, from which ports, and in which chain."""

import re
from typing import Any, Dict, List, Mapping

# Programs that keep an address out, by the commands of a ban.
PROGRAMS = (("nft", re.compile(r"(?<![\w/.-])nft\b|<nftables>")), ("iptables", re.compile(r"\bip6?tables\b|<iptables>")),
            ("firewall-cmd", re.compile(r"\bfirewall-cmd\b")), ("ufw", re.compile(r"(?<![\w/.-])ufw\b")),
            ("ipset", re.compile(r"\bipset\b")), ("shorewall", re.compile(r"\bshorewall\b")),
            ("ip", re.compile(r"\bip(?: -[46])? route\b|<blocktype> <ip>")), ("hosts.deny", re.compile(r"hosts\.deny")))
# What writes a mail, a line or a report, and keeps nobody out.
REPORTS = re.compile(r"\b(?:sendmail|mail|mailx|mutt|msmtp|printf|echo|whois|logger|touch|true|badips|abuseipdb|blocklist\.de|"
                     r"dshield|mynetwatchman|x-arf|helpers-common)\b", re.I)
IPTABLES = re.compile(r"(?:<iptables>|(?:\S{0,64}/)?ip6?tables(?:-nft|-legacy)?)\Z")
MOST_WORDS = 4000


def words_of(text: str) -> List[str]:
    """Return the words of commands of a shell, without what stands between commands."""
    return [word for word in re.split(r"[\s;|&{}\\()\"']+", text[:65536]) if word][:MOST_WORDS]


def program_of(ban: str) -> str:
    """Return the program that a ban runs: "" where it keeps nobody out, "?" where that cannot be told."""
    for program, pattern in PROGRAMS:
        if pattern.search(ban):
            return program
    return "" if not ban.strip() or REPORTS.search(ban) else "?"


def _iptables(words: List[str]) -> List[List[str]]:
    """Return [table, chain] of each chain that rules are put into and that is not of the action's own making."""
    found, own, table = [], set(), "filter"
    for at, word in enumerate(words[:-1]):
        after = words[at + 1]
        if IPTABLES.match(word):
            table = "filter"
        elif word in ("-t", "--table"):
            table = after
        elif word in ("-N", "--new-chain"):
            own.add((table, after))
        elif word in ("-I", "-A", "--insert", "--append"):
            found.append((table, after))
    return [list(one) for one in dict.fromkeys(found) if one not in own]


def _nft(words: List[str]) -> List[List[str]]:
    """Return [family, table, chain, hook] of each base chain; the hook is "" of a chain that others made."""
    made = {}  # type: Dict[Tuple[str, ...], str]
    for at, word in enumerate(words):
        if word in ("chain", "rule") and at and words[at - 1] in ("add", "insert", "create") and at + 3 < len(words):
            key = tuple(words[at + 1:at + 4])
            made.setdefault(key, "")
            rest = words[at + 4:at + 12]
            if word == "chain" and "hook" in rest[:-1]:
                made[key] = rest[rest.index("hook") + 1]
    return [list(key) + [hook] for key, hook in made.items()]


def _firewall_cmd(words: List[str]) -> List[List[str]]:
    """Return [table, chain] of each direct rule; a rich rule lands in a zone, which what comes in passes."""
    return [[words[at + 2], words[at + 3]] for at, word in enumerate(words)
            if word == "--add-rule" and at + 3 < len(words)]


def action_of(name: str, properties: Mapping[str, str]) -> Dict[str, Any]:
    """Return an action: ``program`` that it bans with ("" none, "?" cannot be told), ``ports`` (None: it cuts off all),
    and ``lands``: the chains that its rules are put into.

    :param properties: its ``actionstart``, ``actionban``, ``actionflush`` and ``port`` as the server tells them.
    """
    start, ban = properties.get("actionstart", ""), properties.get("actionban", "")
    program = program_of(ban)
    narrow = re.search(r"\bd?ports?\b", start + "\n" + ban) is not None
    words = words_of(start)
    finders = {"nft": _nft, "iptables": _iptables, "ipset": _iptables, "firewall-cmd": _firewall_cmd}
    finder = finders.get(program)
    lands = (finder(words) or finder(words_of(ban))) if finder else []
    return {"name": name, "program": program, "ports": properties.get("port", "").strip() if narrow else None, "lands": lands}
