# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenSSH's server: the configuration that is in effect, where it listens, and whether anybody gets in by password."""

import fnmatch
import posixpath
import re
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

CONFIG = "/etc/ssh/sshd_config"
# On systems where the distribution's own settings lie below /usr.
FALLBACK = "/usr/etc/ssh/sshd_config"
SESSION_PROGRAMS = ("/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session", "/usr/lib/ssh/sshd-session")
DEFAULTS = {"passwordauthentication": "yes", "kbdinteractiveauthentication": "yes", "usepam": "no", "loglevel": "info",
            "syslogfacility": "auth", "permitrootlogin": "prohibit-password"}
ALIASES = {"challengeresponseauthentication": "kbdinteractiveauthentication",
           "skeyauthentication": "kbdinteractiveauthentication", "dsaauthentication": "pubkeyauthentication",
           "keepalive": "tcpkeepalive"}
PASSWORDS = ("passwordauthentication", "kbdinteractiveauthentication")
REPEATED = ("port", "listenaddress", "hostkey", "acceptenv", "allowusers", "denyusers", "allowgroups", "denygroups")
MOST_FILES = 200
MOST_LINES = 20000
DEEPEST = 16
TEXT = 256 * 1024
UNITS = ("ssh.service", "sshd.service")


class Settings(NamedTuple):
    """What a server goes by. ``values`` has all values of each keyword in lower case, the first of which counts;
    ``matches`` are the Match blocks: (condition, {keyword: value}, place). ``source`` is "sshd -T" or "files";
    ``gaps`` are what could not be read.
    """

    values: Dict[str, List[str]]
    matches: List[Tuple[str, Dict[str, str], str]]
    places: Dict[str, str]
    source: str
    gaps: List[str]

    def get(self, keyword: str) -> str:
        """Return the value of a keyword in effect outside of Match blocks, in lower case; "" where it is not known."""
        found = self.values.get(keyword)
        if found:
            return found[0].lower()
        return "" if self.source == "sshd -T" else DEFAULTS.get(keyword, "")

    def takes_passwords(self) -> bool:
        """Tell whether anybody may log in by a password, be it who a Match block is about."""
        if any(self.get(keyword) == "yes" for keyword in PASSWORDS):
            return True
        return any(block.get(keyword, "").lower() == "yes" for _condition, block, _place in self.matches
                   for keyword in PASSWORDS)


def words_of(line: str) -> List[str]:
    """Return the words of a line of sshd_config: blanks and one "=" divide them, quotes hold them together."""
    line = line.strip()
    if not line or line.startswith("#"):
        return []
    words = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^\s"]+)', line)]
    match = re.match(r'([A-Za-z]+)\s*=\s*(.*)\Z', line)
    if match:
        words = [match.group(1)] + [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|([^\s"]+)', match.group(2))]
    for at, word in enumerate(words):
        if at and word.startswith("#"):
            return words[:at]
    return words


def options_of(argv: Sequence[str]) -> List[str]:
    """Return the options of a running server that change its configuration: -f, -o, -p and -h with their values."""
    words = [word for part in argv for word in part.split()]
    made, position = [], 0  # type: List[str], int
    while position < len(words):
        word = words[position]
        if word in ("-f", "-o", "-p", "-h") and position + 1 < len(words):
            made += [word, words[position + 1]]
            position += 1
        elif re.match(r"-[fop].", word):
            made.append(word)
        position += 1
    return made


def _pairs(options: Sequence[str]) -> List[Tuple[str, str]]:
    """Return (letter, value) of options."""
    made, at = [], 0
    while at < len(options):
        letter, value = options[at][:2], options[at][2:]
        if not value and at + 1 < len(options):
            at, value = at + 1, options[at + 1]
        made.append((letter, value))
        at += 1
    return made


class _Reader:
    """Reads files as sshd does: an Include stands where its text would, the first value wins, a Match ends at the next."""

    def __init__(self, host: Any) -> None:
        self.host, self.lines, self.files = host, 0, 0
        self.settings = Settings({}, [], {}, "files", [])

    def file(self, path: str, depth: int = 0, block: Any = None) -> None:
        """Read one file; ``block`` is the Match that its Include stands in."""
        text = self.host.read(path, TEXT)
        self.files += 1
        if text is None or self.files > MOST_FILES:
            self.settings.gaps.append("%s cannot be read" % path if text is None else "%s includes too much" % path)
            return
        for number, line in enumerate(text.splitlines(), 1):
            self.lines += 1
            if self.lines > MOST_LINES:
                self.settings.gaps.append("the configuration of sshd is too long")
                return
            words = words_of(line)
            if len(words) > 1:
                block = self.line(words, "%s line %d" % (path, number), depth, block)

    def line(self, words: List[str], place: str, depth: int, block: Any) -> Any:
        """Take in one line and return the Match block that the next one is in."""
        keyword = ALIASES.get(words[0].lower(), words[0].lower())
        if keyword == "match":
            condition = " ".join(words[1:])
            if condition.lower() == "all":
                return None
            self.settings.matches.append((condition, {}, place))
            return self.settings.matches[-1][1]
        if keyword == "include":
            self.include(words[1:], depth, block)
        elif block is not None:
            block.setdefault(keyword, " ".join(words[1:]))
        elif keyword in REPEATED or keyword not in self.settings.values:
            self.settings.values.setdefault(keyword, []).append(" ".join(words[1:]))
            self.settings.places.setdefault(keyword, place)
        return block

    def include(self, patterns: Sequence[str], depth: int, block: Any) -> None:
        """Read what an Include names; paths are below /etc/ssh."""
        if depth >= DEEPEST:
            self.settings.gaps.append("the files of sshd include each other too deeply")
            return
        for pattern in patterns:
            pattern = pattern if pattern.startswith("/") else posixpath.join("/etc/ssh", pattern)
            folder, _slash, name = pattern.rpartition("/")
            names = [name]
            if re.search(r"[*?[]", name):
                names = [one for one in self.host.list(folder) if fnmatch.fnmatchcase(one, name)]
            for one in names[:MOST_FILES]:
                self.file("%s/%s" % (folder, one), depth + 1, block)


def read_files(host: Any, options: Sequence[str] = ()) -> Settings:
    """Return the settings of the files, under those of a command line."""
    reader, path = _Reader(host), ""
    for letter, value in _pairs(options):
        if letter == "-f":
            path = value
        elif letter == "-p":
            reader.line(["port", value], "its command line", 0, None)
        elif letter == "-o":
            reader.line(words_of(value) or ["-"], "its command line", 0, None)
    # A port on the command line takes the place of those of the files.
    ports = list(reader.settings.values.get("port", ()))
    reader.file(path or (CONFIG if host.exists(CONFIG) or not host.exists(FALLBACK) else FALLBACK))
    if ports:
        reader.settings.values["port"] = ports
    return reader.settings


def read(host: Any, argv: Sequence[str] = ()) -> Settings:
    """Return what a server goes by: what sshd -T says with the options that it runs with, else what its files say.

    The Match blocks are those of the files in each case, as sshd -T answers for none of them.
    """
    options = options_of(argv)
    files = read_files(host, options)
    answer = host.run(["sshd", "-T"] + options)
    values = {}  # type: Dict[str, List[str]]
    for line in answer.out.splitlines() if answer.ok else ():
        keyword, _blank, value = line.strip().partition(" ")
        values.setdefault(ALIASES.get(keyword.lower(), keyword.lower()), []).append(value)
    if not values:
        return files
    return Settings(values, files.matches, files.places, "sshd -T", [])


def session_name(host: Any) -> str:
    """Return the name that failed logins are logged under: from OpenSSH 9.8 on a program of its own takes them."""
    return "sshd-session" if any(host.exists(path) for path in SESSION_PROGRAMS) else "sshd"


def ports(settings: Settings) -> List[int]:
    """Return the ports that a server opens by itself."""
    found = [int(value) for value in settings.values.get("port", ()) if value.isdecimal()] or [22]
    named = [split_address(value)[1] for value in settings.values.get("listenaddress", ())]
    own = [port for port in named if port]
    return sorted(set(own + (found if len(own) < len(named) or not named else [])))


def split_address(value: str) -> Tuple[str, int]:
    """Return (address, port) of a ListenAddress; the port is 0 where it says none."""
    value = value.split()[0] if value.split() else ""
    match = re.match(r"\[([^\]]*)\](?::(\d+))?\Z", value) or re.match(r"([^:]*):(\d+)\Z", value)
    if match is None:
        return value, 0
    return match.group(1), int(match.group(2) or 0)
