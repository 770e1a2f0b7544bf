"""The texts of the units and of cron's file. What a schedule does is in its own file; these only start it."""

from __future__ import annotations

import shlex

from hostmend.core.errors import HostmendError
from hostmend.schedule.model import CRON, Places, Schedule

MARK = "# Written by `hostmend schedule install`; `hostmend schedule remove {name}` takes it away."
#: Seconds that a run has for ending itself after its time is up.
GRACE = 60
#: How often what notifications held back is looked at.
FLUSH = "*:0/15"

#: Ansible and SSH get along with these on a controller: it writes its own state, and reaches hosts over the network.
SANDBOX = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
"""
LOCAL = """\
# It works on this machine itself: a sandbox would show it another machine than the one that runs.
RestrictRealtime=yes
LockPersonality=yes
"""


def _check(schedule: Schedule, places: Places, home: str = "") -> None:
    """Refuse what would end a line of a unit or of cron's file: each of their lines is a directive that root follows."""
    for name, text in (
        ("name", schedule.name),
        ("on-calendar", schedule.on_calendar),
        ("user", schedule.user),
        ("report-to", schedule.report_to),
        ("notify", schedule.notify),
        ("python", schedule.python),
        ("home", home),
        ("root", str(places.root)),
    ):
        if not text.isprintable():
            raise HostmendError(f"the {name} of the schedule is not printable: {text!r}")
    if any(sign.isspace() for sign in schedule.user) or schedule.user.startswith("-"):
        raise HostmendError(f"this is no name of a user: {schedule.user!r}")


def budget(schedule: Schedule) -> int:
    """Return the seconds after which it is ended whatever it does: its own limits come before."""
    late = schedule.jitter if schedule.backend == CRON else 0  # systemd is late before it starts, cron after
    return late + schedule.timeout + schedule.wait + 3 * GRACE


def service(schedule: Schedule, places: Places, home: str, verb: str = "run") -> str:
    """Return the unit that does the work; ``verb`` flush sends held notifications. ``home`` is that of its user."""
    _check(schedule, places, home)
    flush = verb == "flush"
    what = "notifications held back" if flush else "remediation" if schedule.remediate else "audit"
    lines = [
        MARK.format(name=schedule.name),
        "[Unit]",
        f"Description=hostmend schedule {schedule.name}: {what}",
        "Documentation=https://github.com/hostmend/hostmend",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"User={schedule.user}",
        f"WorkingDirectory={places.folder(schedule.name)}",
        f"EnvironmentFile=-{places.environment}",
        f"ExecStart={_argv(schedule, verb)}",
        f"TimeoutStartSec={300 if flush else budget(schedule)}",
        f"TimeoutStopSec={GRACE}",
        f"SyslogIdentifier=hostmend-{schedule.name}",
        "UMask=0077",
        "Nice=5",
        "IOSchedulingClass=best-effort",
        "IOSchedulingPriority=7",
    ]
    if schedule.local:
        return "\n".join(lines) + "\n" + LOCAL
    writes = [home, str(places.folder(schedule.name)), str(places.locks), *([schedule.report_to] if schedule.report_to else [])]
    bound = [] if schedule.user == "root" else ["CapabilityBoundingSet=", "AmbientCapabilities="]
    return "\n".join(lines) + "\n" + SANDBOX + "\n".join([*bound, f"ReadWritePaths={' '.join(map(_path, writes))}"]) + "\n"


def timer(schedule: Schedule, flush: bool = False) -> str:
    """Return the unit that says when."""
    _check(schedule, Places())
    about = " (held notifications)" if flush else ""
    when = FLUSH if flush else schedule.on_calendar
    return f"""{MARK.format(name=schedule.name)}
[Unit]
Description=Calendar of the hostmend schedule {schedule.name}{about}

[Timer]
OnCalendar={when.replace("%", "%%")}
Persistent={"false" if flush else "true"}
RandomizedDelaySec={0 if flush else schedule.jitter}
AccuracySec={"1min" if flush else "1s"}

[Install]
WantedBy=timers.target
"""


def cron(schedule: Schedule, fields: str, logger: bool) -> str:
    """Return cron's file; what is said goes to syslog where there is a logger, else cron mails it."""
    _check(schedule, Places())
    if not fields.isprintable():
        raise HostmendError(f"this is no time for cron: {fields!r}")
    log = f" 2>&1 | logger -t hostmend-{schedule.name}" if logger else ""
    limit = f"timeout --kill-after={GRACE} {budget(schedule)}"
    lines = [
        MARK.format(name=schedule.name),
        "SHELL=/bin/sh",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"{fields} {schedule.user} {limit} {_shell(schedule, 'run')}{log}",
    ]
    if schedule.notify:
        lines.append(f"*/15 * * * * {schedule.user} timeout 300 {_shell(schedule, 'flush')}{log}")
    return "\n".join(lines) + "\n"


def _words(schedule: Schedule, verb: str) -> list[str]:
    return [schedule.python, "-m", "hostmend", "schedule", verb, schedule.name]


def _argv(schedule: Schedule, verb: str) -> str:
    return " ".join(_path(word) for word in _words(schedule, verb))


def _shell(schedule: Schedule, verb: str) -> str:
    return shlex.join(_words(schedule, verb)).replace("%", r"\%")


def _path(text: str) -> str:
    """Return a word as systemd takes it: its specifiers and quotes are text."""
    made = text.replace("%", "%%").replace("$", "$$")
    if any(one in made for one in " \t\"'\\;"):
        made = made.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{made}"'
    return made
