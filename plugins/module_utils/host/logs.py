# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host keeps of what its services log: the journal, as journald really has it, and the files of a syslog daemon."""

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
INFO = LEVELS.index("info")
SYSLOG_DAEMONS = ("rsyslogd", "syslog-ng", "syslogd")
SYSLOG_FILES = ("/etc/rsyslog.conf", "/etc/rsyslog.d", "/etc/syslog-ng/syslog-ng.conf", "/etc/syslog.conf")
DELETED = " (deleted)"
MOST_FILES = 200
MOST_FDS = 2000
TEXT = 256 * 1024
SPAN = re.compile(r"(\d{1,9})\s{0,3}(ms|us|seconds?|sec|s|minutes?|min|m|hours?|hr|h|days?|d)?(?![a-z])")
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Setting(NamedTuple):
    """One value of journald's configuration, and the file and line that it stands in."""

    value: str
    place: str


class Logs(NamedTuple):
    """What is kept. ``journal``: what services log now can be read from the journal; else ``why`` says why not.

    ``level``: the least grave level that is stored (7 is all of them). ``burst`` messages of a service are kept in
    ``interval`` seconds; 0 is no limit. ``open``: files that the syslog daemon writes, ``named``: those that its
    configuration names. ``silent``: why nothing reaches the syslog daemon, ``""`` where it does.
    """

    journal: bool
    why: str
    level: int
    level_place: str
    burst: int
    interval: float
    rate_place: str
    daemon: str
    open: Tuple[str, ...]
    named: Tuple[str, ...]
    silent: str

    def plain(self) -> Dict[str, Any]:
        """Return it as facts have it."""
        made = dict(self._asdict())
        made.update(open=list(self.open), named=list(self.named))
        return made


def texts(host: Any, *places: str) -> str:
    """Return the text of files and of those directly in folders, joined."""
    made = []  # type: List[str]
    for place in places:
        names = host.list(place)
        made += [host.read("%s/%s" % (place, name), TEXT) or "" for name in names[:MOST_FILES]] if names \
            else [host.read(place, TEXT) or ""]
    return "\n".join(made)


def journald_settings(host: Any) -> Dict[str, Setting]:
    """Return the settings of journald: its file, then its drop-ins by name, of which the first folder's counts."""
    paths = [path for path in ("%s/journald.conf" % folder for folder in FOLDERS) if host.read(path, 1) is not None][:1]
    drops = {}  # type: Dict[str, str]
    for folder in FOLDERS:
        for name in host.list("%s/journald.conf.d" % folder)[:MOST_FILES]:
            if name.endswith(".conf"):
                drops.setdefault(name, "%s/journald.conf.d/%s" % (folder, name))
    made = {}  # type: Dict[str, Setting]
    for path in paths + [drops[name] for name in sorted(drops)]:
        section = ""
        for number, line in enumerate((host.read(path, TEXT) or "").splitlines(), 1):
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Journal]" and line[:1] not in ("#", ";"):
                key, equals, value = line.partition("=")
                if equals:
                    made[key.strip()] = Setting(value.strip(), "%s line %d" % (path, number))
    return dict((key, one) for key, one in made.items() if one.value)


def seconds_of(text: str) -> Optional[float]:
    """Return a span of time as systemd writes it; None where it is none."""
    total, found = 0.0, False
    for number, unit in SPAN.findall(text[:64].lower()):
        short = unit if unit in UNITS else (unit or "s")[:1]
        total, found = total + int(number) * UNITS[short], True
    return total if found else None


def level_of(text: str) -> Optional[int]:
    """Return a level of syslog by its name or number; None where it is none."""
    text = {"error": "err", "warn": "warning"}.get(text.lower(), text.lower())
    if text in LEVELS:
        return LEVELS.index(text)
    return int(text) if text.isdecimal() and int(text) <= 7 else None


def open_logs(host: Any, pids: Any) -> List[str]:
    """Return the logs that processes have open, by their names; one that was deleted since is " (deleted)"."""
    made = []  # type: List[str]
    for pid in list(pids)[:20]:
        for number in host.list("/proc/%d/fd" % pid)[:MOST_FDS]:
            name = host.link("/proc/%d/fd/%s" % (pid, number)) or ""
            if name.startswith("/") and not name.startswith(("/dev/", "/proc/", "/sys/")) and name not in made \
                    and ("/log/" in name or name.endswith((".log", ".err"))):
                made.append(name)
    return made


def _journal(host: Any, settings: Dict[str, Setting]) -> Tuple[bool, str]:
    """Return whether the journal keeps what is logged, and why not."""
    storage = settings.get("Storage")
    off = storage is not None and storage.value.lower() == "none"
    why = "Storage=none in %s" % storage.place if storage is not None else ""
    if not host.live:
        return not off, why if off else ""
    running = [one for one in host.processes().items if one.comm == "systemd-journal" and one.container is None]
    if not running:
        return False, "journald does not run"
    names = [host.link("/proc/%d/fd/%s" % (one.pid, number)) or "" for one in running[:3]
             for number in host.list("/proc/%d/fd" % one.pid)[:MOST_FDS]]
    if off:
        return False, why
    if not names:  # another user may not look at what journald has open
        return True, ""
    files = [name for name in names if ".journal" in os.path.basename(name)]
    if any(not name.endswith(DELETED) for name in files):
        return True, ""
    return False, "journald writes on into files that were deleted" if files else "journald has no file open"


def _silent(host: Any, text: str, settings: Dict[str, Setting]) -> str:
    """Return why nothing reaches a syslog daemon that runs, "" where it does or that cannot be told."""
    target = host.link("/dev/log") or ""
    if "journal" not in target or "imjournal" in text or "systemd-journal" in text:
        return ""
    forward = settings.get("ForwardToSyslog")
    if forward is not None and forward.value.lower() in ("no", "false", "0", "off", "n", "f"):
        return "journald hands it nothing (ForwardToSyslog=%s in %s)" % (forward.value, forward.place)
    return ""


def read_logs(host: Any) -> Logs:
    """Return what this host keeps; read once."""
    found = host.once("logs", lambda: _read(host))
    return found  # type: ignore[no-any-return]


def _read(host: Any) -> Logs:
    settings = journald_settings(host)
    journal, why = _journal(host, settings)
    level, burst, interval = 7, 10000, 30.0
    stored = settings.get("MaxLevelStore")
    if stored is not None and level_of(stored.value) is not None:
        level = level_of(stored.value) or 0
    rate = settings.get("RateLimitBurst")
    if rate is not None and rate.value.isdecimal():
        burst = int(rate.value[:9])
    span = settings.get("RateLimitIntervalSec") or settings.get("RateLimitInterval")
    if span is not None:
        seconds = seconds_of(span.value)
        interval = interval if seconds is None else seconds
    if not interval or not burst:
        burst, interval = 0, 0.0
    daemon, opened, named, silent = "", [], [], ""  # type: str, List[str], List[str], str
    for process in host.processes().items if host.live else ():
        if process.container is None and process.comm in SYSLOG_DAEMONS:
            daemon = process.comm
            opened += open_logs(host, [process.pid])
    if daemon:
        lines = "\n".join(line for line in texts(host, *SYSLOG_FILES).splitlines() if not line.lstrip().startswith("#"))
        named = sorted(set(re.findall(r"(/var/log/[\w./-]{1,200})", lines)))
        silent = _silent(host, lines, settings)
    return Logs(journal, why, level, stored.place if stored is not None else "", burst, interval,
                (rate or span).place if rate is not None or span is not None else "",  # type: ignore[union-attr]
                daemon, tuple(opened), tuple(named), silent)
