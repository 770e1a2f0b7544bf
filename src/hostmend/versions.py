"""Which versions take part: of hostmend, of Ansible and Python, and how old the catalogue and the advisories are."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from pathlib import Path

from hostmend import __version__, advisories, catalog


def _core() -> str:
    try:
        return importlib.metadata.version("ansible-core")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _day(path: Path) -> str:
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).strftime("%Y-%m-%d")


def lines() -> list[str]:
    """Return one line for each."""
    known = catalog.load()
    files = sorted(Path(str(catalog.__file__)).parent.glob("*.yml"))
    bundle = advisories.location()
    return [
        f"hostmend {__version__}",
        f"ansible-core {_core()}",
        f"python {platform.python_version()}",
        f"catalogue {max(map(_day, files))}, {len(known.checks)} checks in {len(known.classes)} classes",
        f"advisories {_day(bundle)} ({bundle})" if bundle.is_file() else "advisories none (see `hostmend advisories update`)",
    ]
