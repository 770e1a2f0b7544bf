"""Fixtures: fleets of containers, and the command that runs against them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import target
from tests.support.operators import CONTROL_PATH, Command, Fleet


@pytest.fixture(scope="session", autouse=True)
def _no_sockets_left() -> Iterator[None]:
    """Remove the control sockets of SSH when the last test has ended."""
    yield
    shutil.rmtree(CONTROL_PATH, ignore_errors=True)


@pytest.fixture(scope="module")
def fleet_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Make a fleet: ``fleet_of("a", "b")``. It is gone after the module's last test."""
    why = target.missing()
    if why:
        pytest.skip(why)
    made: list[Fleet] = []

    def make(*names: str, options: tuple[str, ...] = (), images: tuple[str, ...] = ()) -> Fleet:
        fleet = Fleet(tmp_path_factory.mktemp("fleet"), names, options, images)
        made.append(fleet)
        return fleet.__enter__()

    yield make
    for fleet in made:
        fleet.__exit__()


@pytest.fixture
def hostmend(tmp_path: Path) -> Command:
    return Command(tmp_path)
