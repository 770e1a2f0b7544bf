# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fail2ban says of its jails: those that run, asked in one interactive session, and those of its configuration.

Its protocol is pickle, which nobody may read who does not trust the other side; so its own client asks, and only where
the socket belongs to root or to the user who asks.
"""

import ast
import re
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban.actions import action_of

MOST_JAILS = 100
SECONDS = 6
NAME = re.compile(r"\A[A-Za-z0-9_.+-]{1,64}\Z")
PROMPT = re.compile(r"^fail2ban> ", re.MULTILINE)
PROPERTIES = ("port", "actionstart", "actionban")
MOST_BANNED = 5
MOST_REGEXES = 200
LONGEST_REGEX = 20000
OUTPUT = 4 * 1024 * 1024


class ClientError(ValueError):
    """What could not be asked; the message is one plain sentence."""


def ask(host: Any, commands: Sequence[str], socket: str = "") -> List[str]:
    """Return the answer to each command, by one call of fail2ban's own client."""
    argv = ["fail2ban-client"] + (["-s", socket] if socket else []) + ["-i"]
    said = host.run(argv, seconds=SECONDS, stdin="\n".join(commands) + "\n", limit=OUTPUT)
    if said.failure:
        raise ClientError("fail2ban does not answer: %s" % said.failure)
    parts = PROMPT.split(said.out)[1:]
    if "Failed to access socket path" in said.err or "Failed to access socket path" in said.out:
        raise ClientError("fail2ban does not answer: its socket cannot be reached")
    if len(parts) != len(commands) + 1:
        raise ClientError("what fail2ban says could not be understood")
    return [part.rstrip("\n") for part in parts[:-1]]


def names_of(status: str) -> Optional[List[str]]:
    """Return the names of the jails in the answer to ``status``; None where it is none."""
    match = re.search(r"Jail list:[ \t]*(.*)$", status, re.MULTILINE)
    if match is None:
        return None
    return [name for name in re.split(r"[,\s]+", match.group(1)) if name]


def entries_of(answer: str) -> List[str]:
    """Return the entries of an answer that lists some, ``|- /var/log/auth.log``."""
    return re.findall(r"^[|`]- (.*)$", answer, re.MULTILINE)


def regexes_of(answer: str) -> List[str]:
    """Return the regular expressions of an answer that lists some, ``|- [0]: ^...``."""
    return re.findall(r"^[|`]- \[\d+\]: (.*)$", answer, re.MULTILINE)


def matches_of(text: str) -> List[List[List[str]]]:
    """Return the alternatives of a journal match, each a list of [field, value]."""
    made = [[]]  # type: List[List[List[str]]]
    for word in text.split():
        if word == "+":
            made.append([])
        else:
            field, equals, value = word.partition("=")
            if equals:
                made[-1].append([field, value])
    return [terms for terms in made if terms]


def banned_of(status: str) -> List[str]:
    """Return some of the addresses that a jail says it has banned, the last ones."""
    match = re.search(r"Banned IP list:[ \t]*(.*)$", status, re.MULTILINE)
    return match.group(1).split()[-MOST_BANNED:] if match else []


def jails(host: Any, socket: str = "") -> Tuple[Dict[str, Dict[str, Any]], List[str]]:
    """Return the jails that run: {name: about} and what was left out."""
    names, gaps = names_of(ask(host, ["status"], socket)[0]), []  # type: Optional[List[str]], List[str]
    if names is None:
        raise ClientError("what fail2ban says of its jails could not be understood")
    odd = [name for name in names if not NAME.match(name)]
    if odd:
        gaps.append("%d jails have names that cannot be asked for safely" % len(odd))
    names = [name for name in names if NAME.match(name)]
    if len(names) > MOST_JAILS:
        gaps.append("only the first %d of %d jails were looked at" % (MOST_JAILS, len(names)))
        names = names[:MOST_JAILS]
    if not names:
        return {}, gaps
    asked = ["logpath", "journalmatch", "prefregex", "failregex", "actions", "ignoreip", "maxretry", "findtime", "bantime"]
    commands = ["status %s" % name for name in names]
    commands += ["get %s %s" % (name, what) for name in names for what in asked]
    answers = iter(ask(host, commands, socket))
    made = {}  # type: Dict[str, Dict[str, Any]]
    for name, status in [(name, next(answers)) for name in names]:
        made[name] = {"kind": "journal" if "Journal matches:" in status else "files", "banned": banned_of(status)}
    for name in names:
        told = dict((what, next(answers)) for what in asked)
        made[name].update(
            logs=entries_of(told["logpath"]), matches=matches_of(told["journalmatch"].partition(":")[2]),
            prefix="" if "No " in told["prefregex"][:3] or told["prefregex"] == "None" else told["prefregex"],
            regexes=regexes_of(told["failregex"]), ignored=entries_of(told["ignoreip"]),
            actions=[action.strip() for action in told["actions"].split("\n")[1:] for action in action.split(",")
                     if NAME.match(action.strip())],
            **{what: told[what] for what in ("maxretry", "findtime", "bantime")})
    _ask_actions(host, made, socket)
    return made, gaps


def _ask_actions(host: Any, made: Dict[str, Dict[str, Any]], socket: str) -> None:
    pairs = [(name, action) for name in made for action in made[name]["actions"]][:3 * MOST_JAILS]
    commands = ["get %s action %s %s" % (name, action, what) for name, action in pairs for what in PROPERTIES]
    answers = iter(ask(host, commands, socket) if commands else ())
    for one in made.values():
        one["actions"] = []
    for name, action in pairs:
        made[name]["actions"].append(action_of(action, dict((what, next(answers)) for what in PROPERTIES)))


def dump(text: str) -> Dict[str, Dict[str, Any]]:
    """Return the jails of ``fail2ban-client -d``, as :func:`jails` does; a line that is none is left out."""
    made = {}  # type: Dict[str, Dict[str, Any]]
    for line in text.splitlines():
        if not line.startswith("["):
            continue
        try:
            words = ast.literal_eval(line)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(words, list) and len(words) >= 3 and all(isinstance(word, str) for word in words[:2]):
            _dumped(made, words)
    for one in made.values():
        one["actions"] = [action_of(name, told) for name, told in one.pop("properties").items()]
    return made


def _dumped(made: Dict[str, Dict[str, Any]], words: List[Any]) -> None:
    order, jail = words[0], words[1]
    if order == "add" and len(made) < MOST_JAILS:
        made[jail] = {"kind": "journal" if str(words[2]).startswith("systemd") else "files", "logs": [], "matches": [],
                      "prefix": "", "regexes": [], "ignored": [], "properties": {}, "banned": [],
                      "maxretry": "", "findtime": "", "bantime": ""}
    if order not in ("set", "multi-set") or jail not in made or len(words) < 4:
        return
    one, what, values = made[jail], words[2], words[3:]
    if what == "addlogpath":
        one["logs"].append(str(values[0]))
    elif what == "addjournalmatch":
        one["matches"] += matches_of(" ".join(str(value) for value in values))
    elif what == "prefregex":
        one["prefix"] = str(values[0])
    elif what == "addfailregex":
        for value in values:
            one["regexes"] += [str(part) for part in value] if isinstance(value, list) else [str(value)]
    elif what == "addignoreip":
        one["ignored"] += [str(value) for value in values]
    elif what in ("maxretry", "findtime", "bantime"):
        one[what] = str(values[0])
    elif what == "addaction":
        one["properties"].setdefault(str(values[0]), {})
    elif what == "action" and len(values) >= 2 and isinstance(values[1], list):
        properties = one["properties"].setdefault(str(values[0]), {})
        properties.update((str(pair[0]), str(pair[1])) for pair in values[1]
                          if isinstance(pair, (list, tuple)) and len(pair) == 2)


# Filters, as fail2ban writes them in a dump, have tags; as the server tells them, groups.
TAGS = ((re.compile(r"<(?:HOST|ADDR|SUBNET|CIDR)>"), r"(?:\\[?(?:::f{4,6}:)?[0-9A-Fa-f:.]+\\]?|[\\w.-]+)"),
        (re.compile(r"<F-CONTENT>"), "(?P<content>"), (re.compile(r"</F-[A-Z0-9_-]+>"), ")"),
        (re.compile(r"<F-[A-Z0-9_-]+>"), "(?:"), (re.compile(r"<SKIPLINES>"), ""))


def catches(prefix: str, regexes: Iterable[str], line: str) -> Optional[bool]:
    """Tell whether a filter takes a line for a failed login; None where its expressions cannot be read here."""
    try:
        if prefix:
            match = re.search(plain(prefix), line)
            if match is None:
                return False
            line = match.groupdict().get("content") or line
        return any(re.search(plain(regex), line) for regex in list(regexes)[:MOST_REGEXES])
    except (re.error, RecursionError, OverflowError):
        return None


def plain(regex: str) -> str:
    """Return a filter's expression as Python's re takes it; re.error of one that is too long to be one."""
    if len(regex) > LONGEST_REGEX:
        raise re.error("too long")
    for pattern, replacement in TAGS:
        regex = pattern.sub(replacement, regex)
    return regex


def covers(ports: str, port: int, named: Mapping[str, int]) -> bool:
    """Tell whether a list of ports such as ``ssh,2222,8000:8010`` has a port.

    :param named: {name: port} of /etc/services.
    """
    for part in re.split(r"[,\s]+", ports):
        low, _colon, high = part.replace("-", ":", 1).partition(":") if part[:1].isdecimal() else (part, "", "")
        low = low if low.isdecimal() else str(named.get(low, ""))
        high = high or low
        if low.isdecimal() and high.isdecimal() and int(low) <= port <= int(high):
            return True
    return False
