"""How long runs and reports are kept: a number of the newest, or a number of days."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from hostmend.core.errors import HostmendError


@dataclass(frozen=True)
class Keep:
    """What is kept: the newest ``count``, or what is not older than ``days``."""

    count: int | None = None
    days: int | None = None

    @classmethod
    def parse(cls, text: str, option: str) -> Keep:
        """Return what ``30`` or ``90d`` mean.

        :raises HostmendError: in one line, where the text is neither.
        """
        found = re.fullmatch(r"(\d{1,6})\s*(d|days?|runs?)?", text.strip())
        if not found or not int(found[1]):
            raise HostmendError(f"{option}: {text} is neither a number of runs such as 30 nor of days such as 90d")
        number = int(found[1])
        return cls(days=number) if (found[2] or "").startswith("d") else cls(count=number)

    def before(self, moment: datetime.datetime | None = None) -> str | None:
        """Return the moment, as the store writes it, before which nothing is kept; None where a number is kept."""
        if self.days is None:
            return None
        moment = moment or datetime.datetime.now(datetime.UTC)
        return (moment - datetime.timedelta(days=min(self.days, 36500))).strftime("%Y-%m-%dT%H:%M:%SZ")
