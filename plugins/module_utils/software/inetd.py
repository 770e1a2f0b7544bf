# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read, and switch off, what inetd and xinetd start on demand. Pure functions of text."""

import os
import re
from typing import NamedTuple, Optional, Tuple

INETD_FILES = ("/etc/inetd.conf",)
INETD_FOLDERS = ("/etc/inetd.d",)
XINETD_FILE = "/etc/xinetd.conf"

# The units and programs that start other services on demand: what they list is judged, not they.
SUPER_SERVERS = {
    "xinetd": ("xinetd.service",),
    "inetd": ("inetd.service", "openbsd-inetd.service", "inetutils-inetd.service", "inetutils-inetd.socket"),
}

# The ports of entries that are served by name.
PORTS = {"tcpmux": 1, "echo": 7, "discard": 9, "systat": 11, "daytime": 13, "netstat": 15, "qotd": 17, "chargen": 19,
         "ftp": 21, "telnet": 23, "time": 37, "tftp": 69, "finger": 79, "sunrpc": 111, "exec": 512, "rexec": 512,
         "login": 513, "rlogin": 513, "shell": 514, "rsh": 514, "printer": 515, "talk": 517, "ntalk": 518, "uucp": 540,
         "klogin": 543, "kshell": 544, "cfinger": 2003}

_OPEN = re.compile(r"\s*service\s+(\S+)\s*(?:(\{)\s*)?$")
_ATTRIBUTE = re.compile(r"\s*([A-Za-z_]+)\s*(=|\+=|-=)\s*(.*)$")
_INCLUDE = re.compile(r"\s*(include|includedir)\s+(\S+)\s*$")
# A service that is looked up through a wrapper is the service that the wrapper starts.
_WRAPPERS = ("tcpd",)


class Entry(NamedTuple):
    """One service that a super-server offers, or would offer if it were not switched off."""

    kind: str  # "inetd" | "xinetd"
    file: str
    line: int  # of the entry, or of the line that opens its block
    name: str  # the id of xinetd, else the service's name
    service: str
    proto: str  # "tcp" | "udp" | ...
    program: str
    port: Optional[int]
    enabled: bool


class Xinetd(NamedTuple):
    """One file of xinetd: its services, what its defaults say about them, and what it includes."""

    blocks: tuple
    enabled: Optional[Tuple[str, ...]]  # the defaults' list; None where there is none
    disabled: Tuple[str, ...]
    includes: Tuple[Tuple[str, str], ...]  # ("include" | "includedir", path)


class _Block(NamedTuple):
    file: str
    line: int
    service: str
    attributes: dict
    disable_lines: Tuple[int, ...]
    open_line: int  # of the brace


def _program(path, words):
    if os.path.basename(path) in _WRAPPERS and words:
        return words[0]
    if os.path.basename(path) == "busybox" and len(words) > 1:
        return words[1] if os.path.basename(words[0]) == "busybox" else words[0]
    return path


def parse_inetd(text, file=INETD_FILES[0]):
    """Return the entries that are switched on in an inetd.conf; a comment is no entry."""
    entries = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if len(words) < 6 or words[0].startswith("#"):
            continue
        service, proto = words[0].rsplit(":", 1)[-1], words[2]
        if "/" in service:  # an RPC program with its versions: rstatd/1-3
            service = service.split("/", 1)[0]
        proto = proto.split("/", 1)[-1] if proto.startswith("rpc/") else proto
        port = int(service) if service.isdecimal() and len(service) < 6 else None
        entries.append(Entry("inetd", file, number, service, service, proto.rstrip("46"),
                             _program(words[5], words[6:]), port, True))
    return entries


def parse_xinetd(text, file=XINETD_FILE):
    """Return what one file of xinetd says."""
    blocks, includes, enabled, disabled = [], [], None, ()
    state, service, opened, attributes, lines, start = "top", "", 0, {}, [], 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if state == "top":
            opening, include = _OPEN.match(line), _INCLUDE.match(line)
            if bare in ("defaults", "defaults {", "defaults{"):
                service, start = "", number
            elif opening:
                service, start = opening.group(1), number
            elif include:
                includes.append((include.group(1), include.group(2)))
                continue
            else:
                continue
            attributes, lines, opened = {}, [], number
            state = "in" if bare.endswith("{") else "brace"
        elif state == "brace":
            state, opened = ("in", number) if bare == "{" else ("top", 0)
        elif bare == "}":
            state = "top"
            if service:
                blocks.append(_Block(file, start, service, attributes, tuple(lines), opened))
            else:
                disabled += tuple(attributes.get("disabled", "").split())
                if "enabled" in attributes:
                    enabled = (enabled or ()) + tuple(attributes["enabled"].split())
        else:
            match = _ATTRIBUTE.match(line.rstrip())
            if match:
                key, sign, value = match.groups()
                key = key.lower()
                if key == "disable":
                    lines.append(number)
                attributes[key] = (attributes.get(key, "") + " " + value).strip() if sign == "+=" else value
    return Xinetd(tuple(blocks), enabled, disabled, tuple(includes))


def xinetd_entries(files):
    """Return the entries of parsed files of xinetd, switched on or off as all of them together say."""
    enabled, disabled = None, set()
    for one in files:
        disabled.update(one.disabled)
        if one.enabled is not None:
            enabled = (enabled or set()) | set(one.enabled)
    entries = []
    for one in files:
        for block in one.blocks:
            given = block.attributes
            name = given.get("id") or block.service
            off = (given.get("disable", "no").lower() in ("yes", "true", "on", "1")
                   or "DISABLE" in given.get("flags", "").split() or name in disabled
                   or (enabled is not None and name not in enabled))
            proto = given.get("protocol") or {"stream": "tcp", "dgram": "udp"}.get(given.get("socket_type", ""), "tcp")
            port = given.get("port", "")
            words = given.get("server_args", "").split()
            entries.append(Entry("xinetd", block.file, block.line, name, block.service, proto.rstrip("46"),
                                 _program(given.get("server", "internal"), words),
                                 int(port) if port.isdecimal() and len(port) < 6 else None, not off))
    return entries


def without_inetd(text, wanted):
    """Return the text with the entries ``wanted`` {(name, proto)} commented out.

    One plain ``#``: what is marked ``#<off>#`` a package may switch on again.
    """
    lines = text.split("\n")
    for entry in parse_inetd(text):
        if (entry.name, entry.proto) in wanted:
            lines[entry.line - 1] = "#" + lines[entry.line - 1]
    return "\n".join(lines)


def without_xinetd(text, wanted, file=XINETD_FILE):
    """Return the text with ``disable = yes`` in the blocks of ``wanted`` {(name, proto)}."""
    lines = text.split("\n")
    made = {}
    parsed = parse_xinetd(text, file)
    for at, entry in enumerate(xinetd_entries([parsed])):
        block = parsed.blocks[at]
        if (entry.name, entry.proto) not in wanted:
            continue
        for number in block.disable_lines:
            line = lines[number - 1].replace("+=", "=")
            lines[number - 1] = "%s= yes%s" % (line.partition("=")[0], line[len(line.rstrip()):])
        if not block.disable_lines:
            made[block.open_line] = "\tdisable = yes"
    for number in sorted(made, reverse=True):
        lines.insert(number, made[number])
    return "\n".join(lines)


def read_all(read, listdir, isfile):
    """Return (entries, unreadable files) of all files of inetd and xinetd that there are.

    :param read: returns the text of a file, None where it cannot be read.
    :param listdir: returns the names in a folder, [] where there is none.
    :param isfile: tells whether a file is there.
    """
    entries, gaps = [], []
    names = list(INETD_FILES)
    for folder in INETD_FOLDERS:
        names += ["%s/%s" % (folder, name) for name in sorted(listdir(folder))
                  if not name.startswith(".") and not name.endswith("~")]
    for name in names:
        text = read(name) if isfile(name) else ""
        if text is None:
            gaps.append(name)
        elif text:
            entries += parse_inetd(text, name)
    files, waiting, seen = [], [XINETD_FILE], set()
    while waiting:
        name = waiting.pop(0)
        if name in seen or len(seen) > 500 or not isfile(name):
            continue
        seen.add(name)
        text = read(name)
        if text is None:
            gaps.append(name)
            continue
        one = parse_xinetd(text, name)
        files.append(one)
        for kind, path in one.includes:
            if kind == "include":
                waiting.append(path)
            else:  # names with a dot or a tilde at the end are not read by xinetd either
                waiting += ["%s/%s" % (path.rstrip("/"), entry) for entry in sorted(listdir(path))
                            if "." not in entry and not entry.endswith("~")]
    return entries + xinetd_entries(files), gaps
