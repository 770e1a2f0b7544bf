"""Import sources into the bundle: each wholly or not at all, and a failing one takes nothing from what is there."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from hostmend.advisories import bundle, debian, detect, exploitation, fetch, osv, unpack
from hostmend.core.errors import AdvisoryError, HostmendError

Kept = tuple[str, int, int, datetime | None]  # name of the feed, its records, what was skipped, the date in the content

_NAMES = {"debian": "Debian", "ubuntu": "Ubuntu", "almalinux": "AlmaLinux", "rocky": "Rocky Linux", "rhel": "Red Hat"}


@dataclass(frozen=True)
class Outcome:
    """What became of one source: the feeds that it made, or why it made none."""

    source: str
    feeds: tuple[bundle.Feed, ...] = ()
    failure: str = ""


class _NothingImportedError(Exception):
    """No source could be imported: the old bundle stays as it is."""


def run(
    sources: Sequence[str],
    path: Path,
    *,
    force: bool = False,
    now: datetime | None = None,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Import sources, and return what became of each.

    :param force: take a source although the bundle has a newer one.
    :param tell: called after each source.
    :raises AdvisoryError: where the bundle itself cannot be read or written.
    """
    now = now or datetime.now(UTC)
    outcomes: list[Outcome] = []
    try:
        with bundle.writing(path) as writer:
            for source in sources:
                outcomes.append(_one(source, writer, now, force))
                tell(outcomes[-1])
            if all(one.failure for one in outcomes):
                raise _NothingImportedError
    except _NothingImportedError:
        pass
    return outcomes


def _one(source: str, writer: bundle.Writer, now: datetime, force: bool) -> Outcome:
    name = fetch.shown(source)
    try:
        with fetch.local(source) as local, writer.attempt():
            kept = _told(lambda: _read(local, writer, now, force))
    except HostmendError as error:
        said = str(error)
        return Outcome(name, failure=said if said.startswith(name) else f"{name}: {said}")
    return Outcome(name, tuple(writer.feeds[one] for one in kept))


def _told(read: Callable[[], list[str]]) -> list[str]:
    """Turn what the readers of formats say into one line."""
    import ijson  # type: ignore[import-untyped]

    try:
        return read()
    except sqlite3.IntegrityError as error:
        raise AdvisoryError("contradicts itself: it names one package twice") from error
    except RecursionError as error:
        raise AdvisoryError("is nested too deeply") from error
    except unpack.DAMAGED as error:
        raise AdvisoryError(f"is damaged or not whole: {' '.join(str(error).split())[:160]}") from error
    except ijson.IncompleteJSONError as error:
        raise AdvisoryError("is damaged or not whole: the JSON ends in the middle or is broken") from error
    except (ijson.JSONError, json.JSONDecodeError) as error:
        raise AdvisoryError(f"is not JSON: {str(error).splitlines()[0][:120]}") from error
    except csv.Error as error:
        raise AdvisoryError(f"is not CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise AdvisoryError("is not UTF-8") from error
    except OSError as error:
        raise AdvisoryError(f"cannot be read: {error.strerror or error}") from error


def _read(local: fetch.Local, writer: bundle.Writer, now: datetime, force: bool) -> list[str]:
    """Write a source's feeds, and return their names."""
    import zipfile

    if unpack.packing(local.path) == "zip":
        with zipfile.ZipFile(local.path) as archive:
            found = unpack.members(archive)
        if not found:
            raise AdvisoryError("is a zip without a JSON file")
        if len(found) > 1:
            return _osv(unpack.records(local.path), writer, local, now, force, whole=True)
    with unpack.document(local.path) as stream:
        kind = detect.kind(stream)
    if kind == detect.OSV:
        with unpack.document(local.path) as stream:
            return _osv(_osv_texts(stream), writer, local, now, force, whole=False)
    readers = {detect.DEBIAN: _debian, detect.KEV: _kev, detect.KEV_CSV: _kev_csv, detect.EPSS: _epss}
    name, number = {
        detect.DEBIAN: ("Debian security tracker", "debian"),
        detect.EPSS: ("EPSS", "epss"),
    }.get(kind, ("CISA KEV", "kev"))
    before = writer.feeds.get(name)
    feed = writer.begin(name, number)
    with unpack.document(local.path) as stream:
        records, skipped, dated = readers[kind](stream, writer, feed)
    if kind == detect.KEV_CSV and local.fetched:
        dated = None  # it says only when its newest entry came to be in it
    if not records:
        raise AdvisoryError(f"has no entry that could be read: not taken for {name}")
    _end(writer, feed, before, local, now, force, records, skipped, dated)
    return [name]


def _end(
    writer: bundle.Writer,
    feed: int,
    before: bundle.Feed | None,
    local: fetch.Local,
    now: datetime,
    force: bool,
    records: int,
    skipped: int,
    dated: datetime | None,
) -> None:
    """Close a feed. Its date is that in its content; without one that of the file or of the server's answer."""
    day = _written(min(dated or local.modified, now))
    if before is not None and day[:10] < before.dated[:10] and not force:
        raise AdvisoryError(f"is of {day[:10]}, the bundle has one of {before.dated[:10]} already (--force takes the older one)")
    writer.end(
        feed,
        origin=local.origin,
        dated=day,
        imported=_written(now),
        records=records,
        skipped=skipped,
        sha256=fetch.digest(local.path),
    )


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _debian(stream: IO[bytes], writer: bundle.Writer, feed: int) -> tuple[int, int, datetime | None]:
    records = skipped = 0
    covered: set[str] = set()
    for source in debian.sources(stream):
        records += source.records
        skipped += source.skipped
        for release, groups in source.releases.items():
            rows = [(None, fixed, None, state, None, " ".join(cves)) for (fixed, state), cves in groups.items()]
            skipped += writer.affected(feed, release, source.package, rows)
        covered |= source.releases.keys()
        writer.texts(feed, source.texts)
    writer.covers(feed, covered)
    return records, skipped, None


def _kev(stream: IO[bytes], writer: bundle.Writer, feed: int) -> tuple[int, int, datetime | None]:
    rows, skipped, dated = exploitation.kev_json(stream)
    writer.kev(rows)
    return len(rows), skipped, dated


def _kev_csv(stream: IO[bytes], writer: bundle.Writer, feed: int) -> tuple[int, int, datetime | None]:
    rows, skipped, dated = exploitation.kev_csv(stream)
    writer.kev(rows)
    return len(rows), skipped, dated


def _epss(stream: IO[bytes], writer: bundle.Writer, feed: int) -> tuple[int, int, datetime | None]:
    scores, count = exploitation.Scores(stream), 0

    def counted() -> Iterator[tuple[str, float, float | None]]:
        nonlocal count
        for row in scores:
            count += 1
            yield row

    writer.epss(counted())
    return count, scores.skipped, scores.dated


def _osv_texts(stream: IO[bytes]) -> Iterator[bytes]:
    text = stream.read(unpack.MOST_RECORD + 1)
    if len(text) > unpack.MOST_RECORD:
        raise AdvisoryError(f"is larger than {unpack.MOST_RECORD // 1024**2} MiB: import OSV's zip of many records")
    yield text


def _osv(
    texts: Iterator[bytes], writer: bundle.Writer, local: fetch.Local, now: datetime, force: bool, *, whole: bool
) -> list[str]:
    """Write records: those of a zip are all of their distributions, one alone is a feed of its own."""
    gatherer = writer.gather()
    counted: dict[str, list[Any]] = {}  # by distribution: records, skipped, the newest date, descriptions, name
    read = unread = useful = 0
    for value in _osv_values(texts, strict=not whole):
        if value is None:
            unread += 1
            continue
        read += 1
        record = osv.read(value)
        if record.withdrawn and not whole:
            raise AdvisoryError(f"{record.id} has been withdrawn")
        gatherer.add(record.rows)
        useful += bool(record.rows)
        for base in record.bases:
            name = f"OSV {_NAMES[base]}" if whole else f"OSV {_NAMES[base]} {record.id}"
            mine = counted.setdefault(name, [base, 0, 0, "", []])
            mine[1] += bool(record.rows)
            mine[2] += record.skipped
            mine[3] = max(mine[3], record.modified)
            mine[4] += [(cve, record.text) for cve in record.cves if record.text]
    if not read:
        raise AdvisoryError("has no OSV record")
    if not useful:
        raise AdvisoryError("names no CVE of Debian, Ubuntu, AlmaLinux, Rocky Linux or Red Hat Enterprise Linux")
    if not whole and len(counted) > 1 and len({name.rpartition(" ")[2] for name in counted}) > 1:
        raise AdvisoryError("holds several records: import them as a zip, which stands for all of a distribution")
    for name, (base, records, skipped, newest, descriptions) in counted.items():
        before = writer.feeds.get(name)
        feed = writer.begin(name, "osv" if whole else "osv-record")
        skipped += gatherer.keep(base, feed) + unread
        writer.texts(feed, descriptions)
        dated = exploitation.moment(newest)
        if whole and local.fetched:  # a distribution that had no advisory of late is no old file
            dated = max(filter(None, (dated, local.modified)))
        _end(writer, feed, before, local, now, force, records, skipped, dated)
    return list(counted)


def _osv_values(texts: Iterator[bytes], strict: bool) -> Iterator[dict[str, Any] | None]:
    """Yield each record, None for what is none; where it is strict, what is not JSON is an error."""
    for text in texts:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            if strict:
                raise
            yield None
            continue
        if isinstance(value, dict) and isinstance(value.get("vulns"), list):
            value = value["vulns"]
        for one in value if isinstance(value, list) else [value]:
            yield one if osv.is_record(one) else None
