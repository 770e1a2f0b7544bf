"""The sources that ``hostmend advisories update`` fetches, and how old what an audit compares with is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hostmend.advisories import bundle
from hostmend.advisories.findings import age_days
from hostmend.core.errors import AdvisoryError

KNOWN = Path(__file__).parent / "feeds.yml"


def sources(path: Path = KNOWN) -> list[str]:
    """Return the addresses that a file of feeds names.

    :raises AdvisoryError: where it is not such a file.
    """
    try:
        made = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AdvisoryError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    feeds = made.get("feeds") if isinstance(made, dict) else None
    if not isinstance(feeds, list) or not feeds:
        raise AdvisoryError(f"{path}: has no list named feeds")
    for place, feed in enumerate(feeds, 1):
        if not isinstance(feed, dict) or not isinstance(feed.get("url"), str) or not feed["url"].strip():
            raise AdvisoryError(f"{path}: feed {place} has no url")
    return [feed["url"].strip() for feed in feeds]


def ages(path: Path, now: datetime | None = None) -> list[dict[str, Any]]:
    """Return ``name``, ``dated`` and ``age_days`` of each source in a bundle; none where there is no bundle to read."""
    if not path.is_file():
        return []
    now = now or datetime.now(UTC)
    try:
        feeds = bundle.Bundle(path).feeds.values()
        return [{"name": feed.name, "dated": feed.dated, "age_days": age_days(feed.dated, now)} for feed in feeds]
    except AdvisoryError:
        return []
