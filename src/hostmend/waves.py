"""Waves: in which order hosts are mended, how many at once, and when to stop.

A wave is a list of batches; the hosts of a batch are mended side by side. Two members of one redundancy group are never
in one batch, so that one of them always serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hostmend.core.errors import HostmendError
from hostmend.events import HostState

Wave = list[list[str]]


def sizes(given: Iterable[Any]) -> list[str]:
    """Return sizes of waves, each a number of hosts or a percentage, as text.

    :raises HostmendError: in one line, where one is neither.
    """
    made = [str(one).strip().replace(" ", "") for one in given]
    for one in made:
        match = re.fullmatch(r"(\d{1,6})(%?)", one)
        if not match or int(match[1]) < 1 or (match[2] and int(match[1]) > 100):
            raise HostmendError(f"{one or 'nothing'} is no size of a wave: a number of hosts, or a percentage such as 10%")
    return made


def plan(hosts: Mapping[str, Mapping[str, Any]]) -> list[Wave]:
    """Return the waves for these hosts.

    :param hosts: for each host what its plan says: ``wave_group`` (these go one after another, by name),
        ``redundancy_groups``, and ``waves``, the sizes. Of a group the first host's sizes count; the last one is
        repeated until no host is left. None means all at once.
    """
    groups: dict[str, list[str]] = {}
    for name, about in hosts.items():
        groups.setdefault(str(about.get("wave_group") or ""), []).append(name)
    waves = []
    for _group, names in sorted(groups.items()):
        wanted = sizes(hosts[names[0]].get("waves") or ())
        left, place = list(names), 0
        while left:
            size = _count(wanted[min(place, len(wanted) - 1)], len(names)) if wanted else len(left)
            waves.append(_apart(left[:size], hosts))
            left, place = left[size:], place + 1
    return waves


def _count(size: str, total: int) -> int:
    return max(1, total * int(size[:-1]) // 100) if size.endswith("%") else int(size)


def _apart(names: Sequence[str], hosts: Mapping[str, Mapping[str, Any]]) -> Wave:
    """Return the hosts as batches in which no two belong to one redundancy group."""
    batches: list[tuple[list[str], set[str]]] = []
    for name in names:
        own = set(hosts[name].get("redundancy_groups") or ())
        for batch, taken in batches:
            if not own & taken:
                batch.append(name)
                taken |= own
                break
        else:
            batches.append(([name], set(own)))
    return [batch for batch, _taken in batches]


def regressions(host: HostState) -> list[str]:
    """Return in what way a host that was mended is worse than before; an empty list where it is not."""
    from hostmend.core import comparison

    if host.failures or host.status != "ok":
        return host.failures or [host.reason or "it could not be reached"]
    worse = []
    if host.before is not None and host.after is not None:
        for one in comparison.compare(host.before, host.after):
            if one.get("outcome") == "made_worse":
                worse.append(f"{one['check']} is worse than before: {one.get('resource') or ''}".rstrip(": "))
    for unit in sorted(set(host.failed_units) - set(host.failed_units_before)):
        worse.append(f"the unit {unit} has failed since")
    return worse
