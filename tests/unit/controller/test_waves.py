"""Waves, redundancy groups and maintenance windows."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hostmend import waves
from hostmend.core import maintenance_windows
from hostmend.core.errors import HostmendError
from hostmend.events import HostState


def hosts(count: int, **about: Any) -> dict[str, dict[str, Any]]:
    return {f"h{number}": dict(about) for number in range(count)}


def lengths(made: list[waves.Wave]) -> list[int]:
    return [sum(len(batch) for batch in wave) for wave in made]


@pytest.mark.parametrize(
    ("count", "sizes", "expected"),
    [
        (5, [], [5]),
        (20, [1, "10%", "100%"], [1, 2, 17]),
        (20, ["1", "10%"], [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]),
        (3, ["10%"], [1, 1, 1]),
        (2, [5], [2]),
        (0, [1], []),
    ],
)
def test_waves_have_the_sizes_that_were_asked_for(count: int, sizes: list[Any], expected: list[int]) -> None:
    made = waves.plan(hosts(count, waves=sizes))
    assert lengths(made) == expected
    assert sorted(name for wave in made for batch in wave for name in batch) == sorted(hosts(count))


def test_groups_go_one_after_another_each_with_its_own_waves() -> None:
    staging = {name: {"wave_group": "1-staging"} for name in ("s1", "s2")}
    made = waves.plan(hosts(3, wave_group="2-live", waves=[1]) | staging)
    assert made == [[["s1", "s2"]], [["h0"]], [["h1"]], [["h2"]]]


def test_members_of_a_redundancy_group_are_never_in_one_batch() -> None:
    about = {"a": ["db"], "b": ["db", "dns"], "c": ["dns"], "d": [], "e": ["db"]}
    (wave,) = waves.plan({name: {"redundancy_groups": groups} for name, groups in about.items()})
    assert wave == [["a", "c", "d"], ["b"], ["e"]]


@pytest.mark.parametrize("size", ["0", "", "ten", "101%", "-1", "0%", "1.5"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(HostmendError, match="is no size of a wave"):
        waves.sizes([size])


def host(before: list[str], after: list[str], **more: Any) -> HostState:
    def findings(statuses: list[str]) -> list[dict[str, Any]]:
        return [{"check": "a.b", "resource": str(place), "status": one, "severity": "low"} for place, one in enumerate(statuses)]

    return HostState("h", status="ok", before=findings(before), after=findings(after), **more)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (host(["open"], ["passed"]), []),
        (host(["open"], ["open"]), []),
        (host(["passed", "open"], ["open", "passed"]), ["a.b is worse than before: 0"]),
        (host(["open"], ["passed"], failed_units_before=("a",), failed_units=("a", "b")), ["the unit b has failed since"]),
        (host(["open"], ["passed"], failures=["role x: no"]), ["role x: no"]),
        (HostState("h", status="unreachable", reason="gone"), ["gone"]),
    ],
)
def test_what_counts_as_worse(state: HostState, said: list[str]) -> None:
    assert waves.regressions(state) == said


def at(text: str, zone: str = "UTC") -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("window", "moment", "expected"),
    [
        ("02:00-04:00 UTC", "2026-11-24T02:00", True),
        ("2:00-4:00 UTC", "2026-11-24T03:59", True),
        ("02:00-04:00 UTC", "2026-11-24T04:00", False),
        ("Sat,Sun 22:00-04:00 UTC", "2026-11-28T23:00", True),  # a Saturday
        ("Sat,Sun 22:00-04:00 UTC", "2026-11-30T03:00", True),  # the night of Sunday
        ("Sat,Sun 22:00-04:00 UTC", "2026-11-28T03:00", False),  # the night of Friday
        ("Fri-Mon 10:00-11:00 UTC", "2026-11-30T10:30", True),
        ("Fri-Mon 10:00-11:00 UTC", "2026-11-24T10:30", False),
        ("daily 10:00-11:00 Asia/Taipei", "2026-11-24T02:30", True),
        ("00:00-00:00 UTC", "2026-11-24T12:00", True),
    ],
)
def test_a_window_is_open_when_it_says(window: str, moment: str, expected: bool) -> None:
    assert maintenance_windows.parse(window).holds(at(moment)) is expected


def test_any_of_several_windows_will_do_and_none_at_all_means_always() -> None:
    assert maintenance_windows.closed([], at("2026-11-24T12:00")) == ""
    both = ["01:00-02:00 UTC", "11:30-12:30 UTC"]
    assert maintenance_windows.closed(both, at("2026-11-24T12:00")) == ""
    assert maintenance_windows.closed(both, at("2026-11-24T13:00")) == (
        "outside its maintenance windows: 01:00-02:00 UTC; 11:30-12:30 UTC"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [("whenever", "is no maintenance window"), ("25:00-26:00", "no such time"), ("Foo 01:00-02:00", "a day that is none"),
     ("01:00-02:00 Mars/Base", "time zone that is not known")],
)
def test_a_window_that_is_none_is_told(text: str, said: str) -> None:
    with pytest.raises(HostmendError, match=said):
        maintenance_windows.parse(text)
