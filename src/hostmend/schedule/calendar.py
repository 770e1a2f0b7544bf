"""When: a calendar expression of systemd, or the times of cron."""

from __future__ import annotations

import datetime
import re
import subprocess

from hostmend.core.errors import HostmendError

WORDS = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "semiannually": "0 0 1 1,7 *",
}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Seconds that a run may take, wait or be late. What is longer is a slip: systemd would start it in centuries.
LONGEST = 7 * 86400
CRON = "five fields such as '30 2 * * *' (minute, hour, day of the month, month, day of the week)"


def check_systemd(text: str, program: str = "systemd-analyze") -> None:
    """Complain of what systemd does not take as a calendar expression."""
    hint = "write it as 'daily', 'Sun 03:00' or '*-*-* 02:30'; `man systemd.time` has the rest"
    try:
        done = subprocess.run(
            [program, "calendar", "--", text], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostmendError(f"systemd-analyze cannot be run: {error}") from error
    if done.returncode:
        if len(text.split()) == 5 and re.fullmatch(r"[-\d*/,\sA-Za-z]+", text):
            hint = f"that looks like cron's: {hint}"
        raise HostmendError(f"--on-calendar: systemd does not understand {text!r}: {hint}")
    if "Next elapse: never" in done.stdout.replace("Next elapse:  never", "Next elapse: never"):
        raise HostmendError(f"--on-calendar: {text!r} never comes again")


def to_cron(text: str) -> str:
    """Return the times of cron that an expression means: cron's own five fields, or the common ones of systemd.

    :raises HostmendError: in one line, where cron cannot express it.
    """
    given = text.strip()
    made = WORDS.get(given.lower()) or _converted(given)
    if made is None:
        made = given
        if len(given.split()) != 5:
            raise HostmendError(f"--on-calendar: there is no systemd here, and cron cannot express {text!r}: give {CRON}")
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(made, datetime.datetime.now()))
    except CronSimError as error:
        raise HostmendError(f"--on-calendar: {text!r} are no times of cron ({error}): give {CRON}") from error
    except StopIteration as error:
        raise HostmendError(f"--on-calendar: {text!r} never comes again") from error
    return made


def _converted(text: str) -> str | None:
    """Return ``[DAYS] [*-*-DAY] HH:MM[:00]`` as cron has it; None for anything else."""
    found = re.fullmatch(
        r"(?:(?P<days>[A-Za-z][A-Za-z.,]*)\s+)?(?:\*-\*-(?P<day>\*|\d{1,2})\s+)?"
        r"(?P<hour>\*|\d{1,2}):(?P<minute>\d{1,2})(?::00)?",
        text,
    )
    if not found:
        return None
    days = _days(found["days"]) if found["days"] else "*"
    if days is None:
        return None
    hour = found["hour"] if found["hour"] == "*" else str(int(found["hour"]))
    day = found["day"] or "*"
    if days != "*" and day != "*":  # systemd wants both, cron takes either
        return None
    return f"{int(found['minute'])} {hour} {day if day == '*' else int(day)} * {days}"


def _days(text: str) -> str | None:
    made: list[str] = []
    for part in text.lower().split(","):
        ends = [one[:3] for one in part.split("..")]
        if len(ends) > 2 or any(one not in DAYS for one in ends):
            return None
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        if last < first:  # systemd takes none that goes round either
            return None
        made += [str(day + 1) for day in range(first, last + 1)]
    return ",".join(sorted(set(made)))


def next_cron(fields: str, moment: datetime.datetime | None = None) -> str:
    """Return when cron starts it next, in local time."""
    from cronsim import CronSim, CronSimError

    try:
        return f"{next(CronSim(fields, moment or datetime.datetime.now())):%Y-%m-%d %H:%M}"
    except (CronSimError, StopIteration):
        return ""


def seconds(text: str, option: str) -> int:
    """Return a span such as ``90``, ``10m``, ``2h`` or ``1d`` in seconds."""
    found = re.fullmatch(r"(\d{1,7})\s*(s|sec|m|min|h|d)?", text.strip())
    if not found:
        raise HostmendError(f"{option}: {text} is no span of time such as 90s, 10m, 2h or 1d")
    units = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
    made = int(found[1]) * units[found[2] or "s"]
    if made > LONGEST:
        raise HostmendError(f"{option}: {text} is more than the {LONGEST // 86400} days that there may be")
    return made
