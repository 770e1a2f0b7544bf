# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of Redis as its own parser reads it: quoting, includes, and the last value that wins."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re

REPEATED = ("include", "user", "rename-command", "save", "loadmodule", "client-output-buffer-limit", "sentinel")
MOST_FILES = 200
MOST_DEPTH = 16
DEFAULTS = {"protected-mode": ["yes"], "port": ["6379"]}


def split_words(line):
    """Return the words of a line; None where its quotes do not match."""
    words, at, end = [], 0, len(line)
    while at < end:
        if line[at].isspace():
            at += 1
            continue
        word, quote = [], ""
        while at < end:
            sign = line[at]
            if quote:
                if sign == "\\" and at + 1 < end and (quote == '"' or line[at + 1] == "'"):
                    following = line[at + 1]
                    if quote == '"' and following == "x" and at + 3 < end:
                        try:
                            word.append(chr(int(line[at + 2:at + 4], 16)))
                            at += 4
                            continue
                        except ValueError:
                            pass
                    word.append({"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}.get(following, following)
                                if quote == '"' else following)
                    at += 2
                    continue
                if sign == quote:
                    if at + 1 < end and not line[at + 1].isspace():
                        return None
                    quote, at = "", at + 1
                    break
                word.append(sign)
            elif sign.isspace():
                break
            elif sign in "\"'" and not word:
                quote = sign
            else:
                word.append(sign)
            at += 1
        if quote:
            return None
        words.append("".join(word))
    return words


def quoted(value):
    """Return a value as it is written in a configuration."""
    return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')


class Settings:
    """What the files say, in the order in which Redis reads them."""

    def __init__(self):
        self.entries, self.files, self.gaps = [], [], []

    def last(self, name):
        """Return the words of the last entry of a name, or the default's; None where there is neither."""
        for entry in reversed(self.entries):
            if entry[0] == name:
                return entry[1]
        return DEFAULTS.get(name)

    def all(self, name):
        """Return the words of each entry of a name."""
        return [words for known, words, unused, unused_line in self.entries if known == name]

    def place(self, name):
        """Return ``file:line`` of the entry that wins."""
        for known, unused, path, number in reversed(self.entries):
            if known == name:
                return "%s:%d" % (path, number)
        return ""


def read_settings(path, read, listing, cwd="/"):
    """Return the Settings of a configuration file and of all that it includes.

    :param read: returns the text of a path, None where it cannot be read.
    :param listing: returns the names in a folder.
    """
    made = Settings()
    _read(made, path, read, listing, cwd, 0)
    return made


def _read(made, path, read, listing, cwd, depth):
    if depth > MOST_DEPTH or len(made.files) >= MOST_FILES:
        made.gaps.append("too many files are included")
        return
    path = os.path.normpath(os.path.join(cwd, path))
    text = read(path)
    if text is None:
        made.gaps.append("%s cannot be read" % path)
        return
    made.files.append(path)
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        words = split_words(line)
        if not words:
            made.gaps.append("%s:%d cannot be parsed" % (path, number))
            continue
        name = words[0].lower()
        if name == "include" and len(words) == 2:
            for included in expand(words[1], listing, cwd):
                _read(made, included, read, listing, cwd, depth + 1)
        else:
            made.entries.append((name, words[1:], path, number))


def expand(pattern, listing, cwd):
    """Return the files that an include means; a pattern that nothing matches means none."""
    pattern = os.path.normpath(os.path.join(cwd, pattern))
    if not any(sign in pattern for sign in "*?["):
        return [pattern]
    folder, name = os.path.split(pattern)
    return [os.path.join(folder, one) for one in listing(folder) if fnmatch.fnmatchcase(one, name)]


def parse_user(words):
    """Return {name, on, nopass, hashes, plain, commands} of the words that follow ``user``."""
    made = {"name": words[0] if words else "", "on": False, "nopass": False, "hashes": [], "plain": [], "all": False}
    for word in words[1:]:
        lower = word.lower()
        if lower in ("on", "off"):
            made["on"] = lower == "on"
        elif lower == "nopass":
            made.update(nopass=True, hashes=[], plain=[])
        elif lower in ("resetpass", "reset"):
            made.update(nopass=False, hashes=[], plain=[])
            if lower == "reset":
                made.update(on=False, all=False)
        elif word[:1] == ">":
            made["plain"].append(word[1:])
            made["nopass"] = False
        elif word[:1] == "#":
            made["hashes"].append(word[1:].lower())
            made["nopass"] = False
        elif lower in ("+@all", "allcommands"):
            made["all"] = True
        elif lower in ("-@all", "nocommands"):
            made["all"] = False
    return made


def edit(text, wanted):
    """Return the text with each setting of ``wanted`` given once, at the place of its last line or at the end.

    Other lines stay as they are. A value is a list of words that are written as they stand.
    """
    lines = text.split("\n")
    for name, words in wanted.items():
        line = " ".join([name] + list(words))
        places = [number for number, one in enumerate(lines)
                  if one.strip()[:1] not in ("", "#") and (split_words(one.strip()) or [""])[0].lower() == name]
        includes = [number for number, one in enumerate(lines) if one.strip().lower().startswith("include ")]
        # A line above an include could be overruled by it.
        if places and not (includes and includes[-1] > places[-1]):
            lines[places[-1]] = line
            places = places[:-1]
        else:
            if lines and lines[-1] == "":
                lines.insert(len(lines) - 1, line)
            else:
                lines.append(line)
        for number in reversed(places):
            del lines[number]
    return "\n".join(lines)


def digest(password):
    """Return the digest by which an ACL keeps a password."""
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).hexdigest()


COMMON = ("redis", "foobared", "password", "passw0rd", "P@ssw0rd", "123456", "12345678", "123456789", "1234567890",
          "000000", "111111", "654321", "123123", "666666", "888888", "qwerty", "abc123", "admin", "admin123", "root",
          "root123", "test", "test123", "secret", "letmein", "changeme", "default", "welcome", "redis123", "redis@123",
          "Redis@123", "redispass", "redis_password", "redispassword", "mypassword", "1qaz2wsx", "1q2w3e4r", "a123456",
          "iloveyou", "dragon", "monkey", "master", "guest", "user", "pass", "toor", "dev", "prod", "cache")


def weak_words(extra, names, year):
    """Return the passwords that are tried: the policy's, common ones, and variants of names of the host."""
    words = list(extra) + list(COMMON)
    for name in names:
        if name:
            words += [name, name + "123", name + "@123", name + "1", name.capitalize() + "123"]
            words += ["%s%s%d" % (name, sign, year - ago) for sign in ("", "@") for ago in range(3)]
    return list(dict.fromkeys(words))[:2000]


def config_path(host, process, info):
    """Return the configuration file: as the server says, else from its arguments, else from its unit."""
    if info.get("config_file", "").startswith("/"):
        return info["config_file"]
    words = [word for argument in process.argv[1:] for word in argument.split(" ")]
    for word in words:
        if word.endswith(".conf"):
            return os.path.join(process.cwd or "/", word)
    if process.unit:
        shown = host.run(["systemctl", "show", "--property=ExecStart", "--", process.unit])
        match = re.search(r"argv\[\]=\S{1,4096} (/[^ ;]+)", shown.out)
        if match:
            return match.group(1)
    return ""
