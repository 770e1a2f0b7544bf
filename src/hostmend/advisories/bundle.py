"""The bundle's file: SQLite, written whole into a copy that takes the old one's place, read without a lock.

Each *feed* is one thing that was imported, and replaced as a whole by its next import. A row of ``affected`` holds all
CVEs of a package in a release that one version fixes (or none does), so that a host is compared by few comparisons.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hostmend.advisories import releases, versions
from hostmend.core.errors import AdvisoryError

SCHEMA = 1
#: The feeds that say of a whole release which versions are affected; a single record does not.
WHOLE = ("debian", "osv")
#: Whose word comes first where two feeds speak of the same package: the distribution's own tracker.
PRECEDENCE = ("debian", "osv", "osv-record")

#: What an advisory says of a CVE in a release.
RESOLVED = "resolved"  # fixed by a version
UNAFFECTED = "unaffected"
OPEN = "open"  # affected, no fixed version
NO_DSA, POSTPONED, IGNORED = "no_dsa", "postponed", "ignored"  # open, and the distribution says why it is not urgent
END_OF_LIFE = "end_of_life"  # open, and the package has no security support any more
UNIMPORTANT = "unimportant"  # no effect on the built package, says the distribution
UNDETERMINED = "undetermined"  # nobody knows yet whether it is affected
PRO = "pro"  # fixed only for those who subscribe to the distribution's extended support

_TABLES = """
CREATE TABLE feeds (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, origin TEXT NOT NULL, dated TEXT NOT NULL,
  imported TEXT NOT NULL, records INTEGER NOT NULL, skipped INTEGER NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE covers (feed INTEGER NOT NULL, release TEXT NOT NULL, PRIMARY KEY (feed, release)) WITHOUT ROWID;
CREATE TABLE affected (
  release TEXT NOT NULL, package TEXT NOT NULL, feed INTEGER NOT NULL, place INTEGER NOT NULL, introduced TEXT,
  fixed TEXT, last TEXT, state TEXT NOT NULL, advisory TEXT, cves TEXT NOT NULL,
  PRIMARY KEY (release, package, feed, place)) WITHOUT ROWID;
CREATE TABLE kev (cve TEXT PRIMARY KEY, added TEXT, due TEXT, ransomware INTEGER NOT NULL, name TEXT) WITHOUT ROWID;
CREATE TABLE epss (cve TEXT PRIMARY KEY, score REAL NOT NULL, percentile REAL) WITHOUT ROWID;
CREATE TABLE texts (
  feed INTEGER NOT NULL, cve TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (cve, feed)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Feed:
    """One thing that was imported."""

    id: int
    name: str
    kind: str  # debian, osv, osv-record, kev, epss
    origin: str  # file or URL, without secrets
    dated: str  # what its publisher says it is of, ISO 8601 in UTC
    imported: str
    records: int
    skipped: int  # what was in it and could not be read
    sha256: str
    covers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """CVEs that are alike: one package of one release, one span of versions, one state."""

    release: str
    package: str
    feed: int
    introduced: str | None
    fixed: str | None
    last: str | None  # the last affected version, where no fixed one is named
    state: str
    advisory: str | None
    cves: str  # "CVE-2024-1=h CVE-2024-2=", the letter being the severity


@dataclass(frozen=True)
class Exploitation:
    """What is known of a CVE's exploitation."""

    kev: str | None = None  # the day it came to be in CISA's list, empty where that is not told
    due: str | None = None
    ransomware: bool = False
    name: str | None = None
    epss: float | None = None
    percentile: float | None = None


NOTHING_KNOWN = Exploitation()


class Bundle:
    """A bundle that is read. Every method raises AdvisoryError with one clear line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise AdvisoryError(f"there is no advisory bundle at {path}: `hostmend advisories update` makes one")
        try:
            # It is never changed in place: no lock, and no file beside it.
            self._connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA:
                told = "was written by another hostmend" if version else "is no bundle of hostmend"
                raise AdvisoryError(f"the advisory bundle {path} {told}: import into a new one")
            self.feeds: Mapping[int, Feed] = {feed.id: feed for feed in _feeds(self._connection)}
        except sqlite3.Error as error:
            raise _broken(path, error) from error

    def close(self) -> None:
        self._connection.close()

    def covering(self, keys: Sequence[str]) -> list[Feed]:
        """Return the feeds that speak of a whole release, by the keys that it goes by."""
        return [feed for feed in self.feeds.values() if feed.kind in WHOLE and set(feed.covers) & set(keys)]

    def rows(self, keys: Sequence[str], packages: Iterable[str]) -> dict[str, list[Row]]:
        """Return what is said of packages of a release, by package."""
        made: dict[str, list[Row]] = {}
        wanted = tuple(packages)
        told = {release for feed in self.feeds.values() for release in feed.covers}
        for release in (key for key in keys if key in told):
            for some in _chunks(wanted):
                for row in self._ask(
                    "SELECT release, package, feed, introduced, fixed, last, state, advisory, cves FROM affected "
                    f"WHERE release = ? AND package IN ({_marks(some)}) ORDER BY package, feed, place",
                    (release, *some),
                ):
                    made.setdefault(row[1], []).append(Row(*row))
        return made

    def exploitation(self, cves: Iterable[str]) -> dict[str, Exploitation]:
        """Return what is known of the exploitation of CVEs; one of which nothing is known is left out."""
        made: dict[str, Exploitation] = {}
        for some in _chunks(cves):
            for cve, added, due, ransomware, name in self._ask(
                f"SELECT cve, added, due, ransomware, name FROM kev WHERE cve IN ({_marks(some)})", some
            ):
                made[cve] = Exploitation(added or "", due, bool(ransomware), name)
            for cve, score, percentile in self._ask(
                f"SELECT cve, score, percentile FROM epss WHERE cve IN ({_marks(some)})", some
            ):
                known = made.get(cve, NOTHING_KNOWN)
                made[cve] = Exploitation(known.kev, known.due, known.ransomware, known.name, score, percentile)
        return made

    def about(self, cve: str) -> tuple[list[Row], list[str]]:
        """Return all rows that name a CVE, and its descriptions."""
        rows = self._ask(
            "SELECT release, package, feed, introduced, fixed, last, state, advisory, cves FROM affected "
            "WHERE instr(' ' || cves, ?) ORDER BY release, package, feed, place",
            (f" {cve}=",),
        )
        texts = self._ask("SELECT text FROM texts WHERE cve = ? ORDER BY feed", (cve,))
        return [Row(*row) for row in rows], list(dict.fromkeys(text for (text,) in texts))

    def _ask(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _broken(self.path, error) from error


def _feeds(connection: sqlite3.Connection) -> list[Feed]:
    covers: dict[int, list[str]] = {}
    for feed, release in connection.execute("SELECT feed, release FROM covers ORDER BY feed, release"):
        covers.setdefault(feed, []).append(release)
    query = "SELECT id, name, kind, origin, dated, imported, records, skipped, sha256 FROM feeds ORDER BY kind, name"
    return [Feed(*row, *[tuple(covers.get(row[0], ()))]) for row in connection.execute(query)]


def _chunks(values: Iterable[str], size: int = 4000) -> Iterator[tuple[str, ...]]:
    known = tuple(dict.fromkeys(values))
    for start in range(0, len(known), size):
        yield known[start : start + size]


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))


def _broken(path: Path, error: Exception) -> AdvisoryError:
    return AdvisoryError(f"the advisory bundle {path} cannot be read ({error}): move it away and import anew")


class Writer:
    """A bundle that is being written: a copy, until :func:`writing` puts it in the old one's place."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.feeds: dict[str, Feed] = {feed.name: feed for feed in _feeds(connection)}

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Keep what is written within, or nothing of it where it fails."""
        self._connection.execute("SAVEPOINT attempt")
        try:
            yield
        except sqlite3.OperationalError:  # a full disk: SQLite has given the whole copy up
            raise
        except BaseException:
            self._connection.execute("ROLLBACK TO attempt")
            self._connection.execute("RELEASE attempt")
            raise
        self._connection.execute("RELEASE attempt")
        self.feeds = {feed.name: feed for feed in _feeds(self._connection)}

    def begin(self, name: str, kind: str) -> int:
        """Return the number of a feed, empty whatever it held before."""
        known = self._connection.execute("SELECT id FROM feeds WHERE name = ?", (name,)).fetchone()
        number = known[0] if known else None
        if number is not None:
            for table in ("covers", "affected", "texts"):
                self._connection.execute(f"DELETE FROM {table} WHERE feed = ?", (number,))
            self._connection.execute("DELETE FROM feeds WHERE id = ?", (number,))
        if kind in ("kev", "epss"):
            self._connection.execute(f"DELETE FROM {kind}")
        cursor = self._connection.execute(
            "INSERT INTO feeds (id, name, kind, origin, dated, imported, records, skipped, sha256) "
            "VALUES (?, ?, ?, '', '', '', 0, 0, '')",
            (number, name, kind),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def end(self, feed: int, *, origin: str, dated: str, imported: str, records: int, skipped: int, sha256: str) -> None:
        """Note what a feed holds."""
        self._connection.execute(
            "UPDATE feeds SET origin = ?, dated = ?, imported = ?, records = ?, skipped = ?, sha256 = ? WHERE id = ?",
            (origin, dated, imported, records, skipped, sha256, feed),
        )

    def covers(self, feed: int, keys: Iterable[str]) -> None:
        self._connection.executemany("INSERT OR IGNORE INTO covers VALUES (?, ?)", [(feed, release) for release in sorted(keys)])

    def affected(self, feed: int, release: str, package: str, groups: Iterable[Sequence[Any]]) -> int:
        """Keep what is said of one package of one release, the newest fixed version first.

        :param groups: (introduced, fixed, last, state, advisory, cves) each.
        :return: how many of them have a version that is none, and are left out.
        """
        family, sound, skipped = releases.family(release), [], 0
        for group in groups:
            try:
                for version in group[:3]:
                    if version is not None:
                        versions.key(family, version)
                sound.append(group)
            except versions.VersionError:
                skipped += 1
        sound.sort(key=functools.cmp_to_key(lambda one, other: _by_fixed(family, one, other)))
        self._connection.executemany(
            "INSERT INTO affected VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(release, package, feed, place, *group) for place, group in enumerate(sound)],
        )
        return skipped

    def texts(self, feed: int, texts: Iterable[tuple[str, str]]) -> None:
        self._connection.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?, ?)", [(feed, *one) for one in texts])

    def kev(self, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO kev VALUES (?, ?, ?, ?, ?)", rows)

    def epss(self, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO epss VALUES (?, ?, ?)", rows)

    def gather(self) -> Gatherer:
        """Return where rows are gathered that do not come by package: on disk, however many they are."""
        return Gatherer(self, self._connection)


class Gatherer:
    """Advisories in the order of a file, gathered by package in a temporary table."""

    def __init__(self, writer: Writer, connection: sqlite3.Connection) -> None:
        self._writer, self._connection = writer, connection
        connection.execute("DROP TABLE IF EXISTS temp.gathered")
        connection.execute(
            "CREATE TEMP TABLE gathered (base TEXT, release TEXT, package TEXT, introduced TEXT, fixed TEXT, last TEXT, "
            "state TEXT, advisory TEXT, cve TEXT)"
        )

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany("INSERT INTO gathered VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def keep(self, base: str, feed: int) -> int:
        """Keep the rows of one base in a feed; return how many had a version that is none."""
        skipped, covered = 0, set()
        query = (
            "SELECT release, package, introduced, fixed, last, state, advisory, group_concat(DISTINCT cve) FROM gathered "
            "WHERE base = ? GROUP BY release, package, introduced, fixed, last, state, advisory ORDER BY release, package"
        )
        before: tuple[str, str] | None = None
        groups: list[tuple[Any, ...]] = []
        for release, package, *rest, cves in self._connection.execute(query, (base,)):
            if before is not None and before != (release, package):
                skipped += self._writer.affected(feed, *before, groups)
                groups = []
            before = release, package
            covered.add(release)
            groups.append((*rest, " ".join(sorted(cves.split(",")))))
        if before is not None:
            skipped += self._writer.affected(feed, *before, groups)
        self._writer.covers(feed, covered)
        return skipped


def _by_fixed(family: str, one: Sequence[Any], other: Sequence[Any]) -> int:
    if one[1] is None or other[1] is None:
        return (one[1] is not None) - (other[1] is not None)
    return -versions.compare(family, one[1], other[1])


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Yield a copy of the bundle to be written; it takes the old one's place where nothing was raised."""
    try:
        fresh = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.parent.chmod(0o700)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_locked(path))
            for left in path.parent.glob(f".{path.name}.*/"):  # by an import that was killed
                shutil.rmtree(left, ignore_errors=True)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent))
            copy = Path(folder) / path.name
            if path.exists():
                Bundle(path).close()  # what is no bundle is not written into, and not lost
                shutil.copyfile(path, copy)
            with contextlib.closing(_open(copy, fresh=not path.exists())) as connection:
                yield Writer(connection)
                connection.execute("COMMIT")
                connection.execute("VACUUM")
            with copy.open("rb") as handle:
                os.fsync(handle.fileno())
            copy.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            copy.replace(path)
    except sqlite3.Error as error:
        raise AdvisoryError(f"the advisory bundle {path} cannot be written: {error}") from error
    except OSError as error:
        raise AdvisoryError(f"the advisory bundle {path} cannot be written: {error.strerror or error}") from error


def _open(path: Path, fresh: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    # A copy that nobody sees yet: what a crash leaves of it is thrown away.
    connection.execute("PRAGMA journal_mode=MEMORY")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA temp_store=FILE")
    if fresh:
        connection.executescript(_TABLES)
        connection.execute(f"PRAGMA user_version={SCHEMA}")
    connection.execute("BEGIN")
    return connection


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let no second import begin from the same old bundle."""
    handle = os.open(path.parent / f".{path.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
