"""Maintenance windows: when a host may be mended.

A window is written ``[DAYS ]HH:MM-HH:MM[ ZONE]``, such as ``Sat,Sun 22:00-04:00 Europe/Berlin``, ``Mon-Fri 01:00-03:00``
or ``02:00-04:00``. One that ends before it begins lasts into the next day. Without a zone it is the controller's time.
Standard library only: the collection's plugins use it on any Ansible controller.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass

from hostmend.core.errors import HostmendError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORM = re.compile(r"(?:(?P<days>[A-Za-z][A-Za-z,\- ]*?)\s+)?(?P<begin>\d\d?:\d\d)\s*-\s*(?P<end>\d\d?:\d\d)(?:\s+(?P<zone>\S+))?")


@dataclass(frozen=True)
class Window:
    """One window of each week."""

    days: frozenset[int]  # on which it begins, Monday is 0
    begin: datetime.time
    end: datetime.time
    zone: zoneinfo.ZoneInfo | None
    text: str

    def holds(self, moment: datetime.datetime) -> bool:
        """True where the moment (with a zone) is within the window."""
        local = moment.astimezone(self.zone)
        clock = local.time().replace(tzinfo=None)
        if self.begin < self.end:
            return local.weekday() in self.days and self.begin <= clock < self.end
        late = local.weekday() in self.days and clock >= self.begin
        early = (local.weekday() - 1) % 7 in self.days and clock < self.end
        return late or early


def parse(text: str) -> Window:
    """Return a window.

    :raises HostmendError: in one line, where the text is none.
    """
    found = FORM.fullmatch(text.strip())
    if not found:
        raise HostmendError(f"{text!r} is no maintenance window: write it as 'Sat,Sun 22:00-04:00 Europe/Berlin'")
    try:
        begin, end = (datetime.time.fromisoformat(found[name].zfill(5)) for name in ("begin", "end"))
    except ValueError as error:
        raise HostmendError(f"the maintenance window {text!r} has no such time of day") from error
    zone = None
    if found["zone"]:
        try:
            zone = zoneinfo.ZoneInfo(found["zone"])
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise HostmendError(f"the maintenance window {text!r} names a time zone that is not known here") from error
    return Window(_days(found["days"], text), begin, end, zone, text.strip())


def _days(given: str | None, text: str) -> frozenset[int]:
    if not given or given.strip().lower() in ("daily", "every day"):
        return frozenset(range(7))
    days: set[int] = set()
    for part in given.lower().replace(" ", "").split(","):
        ends = [one[:3] for one in part.split("-")]
        if len(ends) > 2 or any(one not in DAYS for one in ends):
            raise HostmendError(f"the maintenance window {text!r} names a day that is none: Mon, Tue ... Sun")
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        days.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    return frozenset(days)


def closed(windows: Iterable[str], moment: datetime.datetime | None = None) -> str:
    """Return why a host may not be mended now, or nothing; no windows at all mean always."""
    made = [parse(str(one)) for one in windows]
    moment = moment or datetime.datetime.now(datetime.UTC)
    if not made or any(one.holds(moment) for one in made):
        return ""
    return "outside its maintenance windows: " + "; ".join(one.text for one in made)
