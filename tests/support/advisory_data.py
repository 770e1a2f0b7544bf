"""Small samples of what is published, and bundles made of them."""

from __future__ import annotations

import datetime
import os
import zipfile
from pathlib import Path
from typing import Any

from hostmend.advisories import findings, importer

SAMPLES = Path(__file__).parent / "data/advisories"
NOW = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.UTC)
BOOKWORM = {"id": "debian", "version_id": "12", "codename": "bookworm"}
ASKED = {"check": "updates.cve", "class": "updates", "status": "unknown", "resource": "installed packages", "reason": "no bundle"}


def sample(folder: Path, name: str, days_old: float = 1) -> str:
    """Return a sample's copy that was last changed some days before now."""
    copy = folder / name
    copy.write_bytes((SAMPLES / name).read_bytes())
    moment = (NOW - datetime.timedelta(days=days_old)).timestamp()
    os.utime(copy, (moment, moment))
    return str(copy)


def zipped(path: Path, *documents: str | Path) -> str:
    """Return a zip of OSV records."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, one in enumerate(documents):
            archive.writestr(f"{place}.json", one.read_text("utf-8") if isinstance(one, Path) else one)
    return str(path)


def bundled(folder: Path, *sources: str) -> Path:
    """Return a bundle of sources, all of which must be sound."""
    path = folder / "advisories.db"
    outcomes = importer.run(sources, path, now=NOW)
    assert [one.failure for one in outcomes] == [""] * len(sources)
    return path


def package(name: str, version: str, source: str | None = None, source_version: str | None = None) -> list[str]:
    return [name, version, source or name, source_version or version]


def judged(
    path: Path, *packages: Any, distribution: Any = BOOKWORM, system: Any = None, **more: Any
) -> dict[str, dict[str, Any]]:
    """Return the findings of a host with these packages, by resource."""
    facts = {"packages": list(packages), "distribution": distribution}
    made = findings.join([dict(ASKED)], facts, system or {"kernel": "6.1.0-30-amd64", "running": True}, path, now=NOW, **more)
    assert len({one["resource"] for one in made}) == len(made)
    return {one["resource"]: one for one in made}
