# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What certbot logged: which renewals failed, and what an ACME server has refused and until when."""

import calendar
import email.utils
import gzip
import json
import os
import re
import stat
import time
import zlib
from typing import NamedTuple

PATH = "/var/log/letsencrypt/letsencrypt.log"
# Since 1.x, and until then.
FAILED = re.compile(r"^([\d-]{10} [\d:]{8})?[^\n]*?(?:Failed to renew certificate (\S+) with error|Attempting to renew cert "
                    r"\((\S+)\) from \S+ produced an unexpected error): ([^\n]+)", re.M)
DETAIL = re.compile(r"^[ \t]*(?:Detail|detail)[ \t]*:[ \t]*(.+)$|\"detail\": \"([^\"]+)\"", re.M)
# What goes to an ACME server and comes back, in its order.
EVENT = re.compile(r"^([\d-]{10} [\d:]{8})[^\n]*(?:JWS payload:\n(?P<payload>[^\n]*)"
                   r"|Sending (?P<method>[A-Z]+) request to (?P<url>\S+?)[.:]$"
                   r"|Received response:\nHTTP (?P<code>\d{3})\n(?P<headers>(?:[\w-]+: [^\n]*\n)*)\n)", re.M)
NAME = re.compile(r'"value": "([^"\\]{1,253})"')
PROBLEM = re.compile(r'"type": *"(urn:ietf:params:acme:error:\w{1,64})"')
SAID = re.compile(r'"detail": *("(?:[^"\\]|\\.){0,1000}")')
LIMITED = "rateLimited"
UNTIL = re.compile(r"retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)")
# Limits of an account or an address are those of all its names; of others the domain is quoted.
FOR_ALL = re.compile(r"\baccount\b|\bIP(?:v[46])? address", re.I)
QUOTED = re.compile(r'"((?:[\w*-]+\.)+[\w-]+)"')
NEAR = 65536
TAIL = 2 * 1024 * 1024
MOST_LOGS = 50
MOST_WORDS = 400


class Problem(NamedTuple):
    """An error that an ACME server has answered with: to which request of which directory, and until when to wait."""

    kind: str = ""
    detail: str = ""
    until: str = ""
    when: float = 0
    directory: str = ""
    names: tuple = ()

    @property
    def why(self):
        """What a person is told."""
        return _told("%s :: %s" % (self.kind, self.detail), self.until)

    def concerns(self, names):
        """Tell whether it is about certificates for these names, too."""
        if not self.names or FOR_ALL.search(self.detail):
            return True
        told = QUOTED.findall(self.detail.lower())
        if told:
            return any(name == one or name.endswith("." + one) for name in names for one in told)
        return bool(set(self.names) & set(names))


def failures(text):
    """Return {lineage: (why, when)} of the last failure of each that a log of certbot tells of; 0: the time is not told."""
    made = {}
    for match in FAILED.finditer(text):
        stamp, new, old, why = match.groups()
        details = [one or two for one, two in DETAIL.findall(text[max(0, match.start() - NEAR):match.end() + NEAR // 8])]
        if details and "ome challenges have failed" in why:
            why = "%s %s" % (why, details[-1])
        until = last_problem(text[max(0, match.start() - NEAR):match.start()]).until if LIMITED in why else ""
        made[new or old] = (_told(why, until), _seconds(stamp))
    return made


def _told(why, until):
    """Return a reason no longer than is read; until when to wait is not what is cut off."""
    short = why.strip()[:MOST_WORDS]
    if LIMITED not in why or UNTIL.search(short):
        return short
    late = UNTIL.search(why)
    until = " (%s UTC)" % late.group(0) if late else until
    return short[:MOST_WORDS - len(until)] + until


def _seconds(stamp):
    """Return a time of a log, 0 where it is none."""
    try:
        return time.mktime(time.strptime(stamp, "%Y-%m-%d %H:%M:%S"))
    except (TypeError, ValueError, OverflowError):
        return 0


def problems(text):
    """Yield each :class:`Problem` that a log tells of, oldest first."""
    directory, names, url, method = "", (), "", ""
    for match in EVENT.finditer(text):
        if match.group("payload") is not None:
            if '"identifiers"' in match.group("payload"):
                names = tuple(name.lower() for name in NAME.findall(match.group("payload")))
            continue
        if match.group("url"):
            url, method = match.group("url"), match.group("method")
            continue
        body = text[match.end():match.end() + 4096]
        if match.group("code") == "200" and method == "GET" and '"newOrder"' in body:
            directory, names = url, ()
        kind = PROBLEM.search(body) if match.group("code")[0] in "45" else None
        if kind:
            when = _seconds(match.group(1))
            asked = (url, ()) if method == "GET" else (directory, names)
            yield Problem(kind.group(1), _said(body), _until(match.group("headers"), when), when, *asked)


def _said(body):
    said = SAID.search(body)
    try:
        return " ".join(json.loads(said.group(1)).split()) if said else ""
    except ValueError:
        return said.group(1)[1:-1]


def _until(headers, when):
    """Return when to try again, after the header for that, which has seconds or a date."""
    wait = re.search(r"^Retry-After: *(.{1,40}?) *$", headers, re.M | re.I)
    if not wait:
        return ""
    until = wait.group(1)
    try:
        if not until.isdecimal():
            until = _utc(calendar.timegm(email.utils.parsedate_to_datetime(until).utctimetuple()))
        elif when and len(until) < 9:
            until = _utc(when + int(until))
    except (ValueError, OverflowError, TypeError):  # Python 3.8 raises the last for what is no date
        pass
    return " (retry after %s)" % until


def _utc(seconds):
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def last_problem(text):
    """Return the last :class:`Problem` of a log, one that says nothing where there is none."""
    made = Problem()
    for made in problems(text):
        pass
    return made


def refused(text, directory, names, since=0):
    """Return why the server of a directory wants no order for names for the longest time, '' where it has not said so.

    :param since: of before then it is not told, as a certificate was had since.
    """
    names = [name.lower() for name in names]
    told = [one.why for one in problems(text) if LIMITED in one.kind and one.when + 1 > since
            and one.directory.rstrip("/") == directory.rstrip("/") and one.concerns(names)]
    return max(told, key=held_until, default="")


def held_until(why):
    """Return until when an ACME server wants no further try, in seconds; 0 where it has not said so."""
    until = UNTIL.search(why) if LIMITED in why else None
    try:
        return calendar.timegm(time.strptime(" ".join(until.groups()), "%Y-%m-%d %H:%M:%S")) if until else 0
    except (ValueError, OverflowError):
        return 0


def read(path):
    """Return the end of a log and of those that it was rotated to, the newest last; '' where none can be read.

    Of certbot each run begins a log of its own, unless its configuration leaves that to logrotate.
    """
    made, left = [], TAIL
    for number in range(MOST_LOGS):
        name = "%s.%d" % (path, number) if number else path
        text = _end(name, left)
        text = _end(name + ".gz", left) if text is None and number else text
        if text is None and number or left <= 0:
            break
        made.append(text or "")
        left -= len(text or "")
    return "\n".join(reversed(made)).lstrip("\n")


def _end(path, limit):
    """Return the last so many bytes of a log as text, None where it cannot be read."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(number, "rb") as handle:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            return None
        try:
            if path.endswith(".gz"):
                return gzip.GzipFile(fileobj=handle).read(8 * TAIL)[-limit:].decode("utf-8", "replace")
            handle.seek(max(0, about.st_size - limit))
            return handle.read(limit).decode("utf-8", "replace")
        except (OSError, EOFError, zlib.error):
            return ""
