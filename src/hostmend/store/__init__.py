"""Runs and their findings, kept in SQLite or, for a fleet, in PostgreSQL.

``HOSTMEND_STORE`` names the database: a path, or a URL such as ``postgresql+psycopg://user@host/hostmend``. The whole
report of a run is kept, so that it can be rendered again; the tables beside it are for questions across runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hostmend.core.errors import StoreError
from hostmend.store.rows import clean, rows_of

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

#: The newest migration; a store that is at it needs no look at the migrations.
HEAD = "0002"
BUSY_SECONDS = 5.0
RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"


def state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return where hostmend keeps what must last, readable by this user only."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_STATE_HOME") or ""
    return (Path(base) if base.startswith("/") else Path.home() / ".local/state") / "hostmend"


def location(environ: Mapping[str, str] | None = None) -> str:
    """Return the URL of the store."""
    environ = os.environ if environ is None else environ
    given = environ.get("HOSTMEND_STORE", "")
    if "://" in given:
        return given
    return "sqlite:///" + str(
        Path(given).expanduser().absolute() if given else state_directory(environ) / "hostmend.db"
    )


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Store:
    """The store of runs. Every method raises StoreError with one clear line."""

    def __init__(self, url: str | None = None, busy_seconds: float = BUSY_SECONDS) -> None:
        self.url = url or location()
        self.busy_seconds = busy_seconds
        self._engine: Engine | None = None

    @property
    def name(self) -> str:
        """The store's name for a person, without a password."""
        if self.url.startswith("sqlite:///"):
            return self.url.removeprefix("sqlite:///")
        from sqlalchemy.engine import make_url

        with contextlib.suppress(Exception):
            return make_url(self.url).render_as_string(hide_password=True)
        return self.url.split("@")[-1]

    @contextlib.contextmanager
    def _begin(self) -> Iterator[Connection]:
        with self._told(), self._open().begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn whatever a database says into one line."""
        from sqlalchemy import exc

        try:
            yield
        except StoreError:
            raise
        except (exc.SQLAlchemyError, OSError, ImportError, ValueError) as error:
            raise StoreError(self._explain(error)) from error

    def _explain(self, error: BaseException) -> str:
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        if "locked" in said or "database is busy" in said:
            return f"the store {self.name} is locked by another program"
        if "not a database" in said or "malformed" in said or "file is encrypted" in said:
            return f"the store {self.name} is corrupt: move it away, and a new one is made at the next run"
        if isinstance(error, ImportError):
            return f"the store {self.name} needs a driver (pip install 'hostmend[postgresql]'): {said}"
        return f"the store {self.name} cannot be used: {said[:300]}"

    def _open(self) -> Engine:
        if self._engine is None:
            engine = self._connect()
            try:
                self._migrate(engine)
            except BaseException:  # a store that a newer hostmend has made is never written to
                engine.dispose()
                raise
            self._engine = engine
        return self._engine

    def _connect(self) -> Engine:
        import sqlalchemy as sa

        if not self.url.startswith("sqlite:"):
            return sa.create_engine(self.url, pool_pre_ping=False)
        path = self.url.removeprefix("sqlite:///")
        if path and path != ":memory:":
            _private_file(Path(path))
        engine = sa.create_engine(self.url, connect_args={"timeout": self.busy_seconds, "check_same_thread": False})

        @sa.event.listens_for(engine, "connect")
        def configure(connection: Any, record: Any) -> None:
            del record
            connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=ON")

        @sa.event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        return engine

    def _migrate(self, engine: Engine) -> None:
        import sqlalchemy as sa

        if self._version(engine) == HEAD:
            return
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":  # two programs may find a new database at once
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7246113)"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise StoreError(f"the store {self.name} was written by a newer hostmend: {error}") from error

    @staticmethod
    def _version(engine: Engine) -> str | None:
        import sqlalchemy as sa

        with engine.begin() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            version: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            return version

    def begin(self, run: Mapping[str, Any]) -> None:
        """Note that a run has begun: one that is killed stays visible."""
        from hostmend.store import tables

        row = {
            "id": run["id"],
            "started": run["started"],
            "mode": run["mode"],
            "version": run["version"],
            "status": RUNNING,
            "controller": clean(run.get("controller", "")),
            "pid": os.getpid(),
        }
        with self._begin() as connection:
            connection.execute(tables.runs.insert().values(row))

    def finish(self, report: Mapping[str, Any], status: str) -> dict[str, Any]:
        """Keep a run's report, whether or not its beginning was noted; return it with its findings' histories."""
        from hostmend.store import history

        with self._begin() as connection:
            made = history.record(connection, report)
            self._keep(connection, made, status)
        return made

    @staticmethod
    def _keep(connection: Connection, report: Mapping[str, Any], status: str) -> None:
        import sqlalchemy as sa

        from hostmend.store import history, tables

        run = report["run"]
        identity = str(run["id"])
        row = {
            "scope": history.scope(run),
            "selection": history.selection(run),
            "started": run["started"],
            "finished": run["finished"],
            "mode": run["mode"],
            "version": run["version"],
            "status": status,
            "score": report["score"],
            "report": json.dumps(report, allow_nan=False),
        }
        for table in (tables.changes, tables.findings, tables.run_hosts):
            connection.execute(sa.delete(table).where(table.c.run_id == identity))
        done = connection.execute(tables.runs.update().where(tables.runs.c.id == identity).values(row))
        if not done.rowcount:
            connection.execute(tables.runs.insert().values(id=identity, controller="", pid=os.getpid(), **row))
        for table, added in rows_of(report):
            if added:
                connection.execute(table.insert(), added)

    def identity(self, name: str) -> str:
        """Return the id of a run of which ``name`` is the id or its unique beginning."""
        import sqlalchemy as sa

        from hostmend.store import tables

        runs = tables.runs
        with self._begin() as connection:
            rows = connection.execute(sa.select(runs.c.id).where(runs.c.id.startswith(name, autoescape=True)).limit(3)).all()
        found = [row.id for row in rows if row.id == name] or [row.id for row in rows]
        if len(found) != 1:
            raise StoreError(f"several runs begin with {name}: see `hostmend runs`" if found else f"no such run: {name}")
        return str(found[0])

    def amend(self, report: Mapping[str, Any]) -> None:
        """Put the report of a run that is kept in place of the one that is there; its tables stay."""
        from hostmend.store import tables

        with self._begin() as connection:
            mine = tables.runs.c.id == str(report["run"]["id"])
            connection.execute(tables.runs.update().where(mine).values(report=json.dumps(report, allow_nan=False)))

    def prune(
        self, keep: int | None = None, before: str | None = None, identities: Sequence[str] = (), dry: bool = False
    ) -> list[str]:
        """Forget runs and their reports, and return which; what is known of findings through time stays.

        :param keep: forget all but this many of the newest.
        :param before: forget those that began before this moment (as the store writes it).
        :param identities: forget these.
        :param dry: forget nothing, and return which it would be.

        A run that is still running is never forgotten, and neither is what ``keep`` and ``before`` do not name.
        """
        import sqlalchemy as sa

        from hostmend.store import tables

        runs = tables.runs
        with self._begin() as connection:
            query = sa.select(runs.c.id, runs.c.started, runs.c.status, runs.c.pid, runs.c.controller)
            rows = connection.execute(query.order_by(runs.c.started.desc(), runs.c.id.desc())).all()
            gone = [
                row.id
                for place, row in enumerate(rows)
                if (
                    (keep is not None and place >= keep)
                    or (before is not None and row.started < before)
                    or row.id in identities
                )
                and not (row.status == RUNNING and _alive(row.pid, row.controller))
            ]
            for identity in gone if not dry else ():
                for table in (tables.changes, tables.findings, tables.run_hosts):
                    connection.execute(sa.delete(table).where(table.c.run_id == identity))
                connection.execute(sa.delete(runs).where(runs.c.id == identity))
        return gone

    def end(self, identity: str, status: str) -> None:
        """Note that a run ended without a report."""
        from hostmend.store import tables

        with self._begin() as connection:
            connection.execute(
                tables.runs.update().where(tables.runs.c.id == identity).values(status=status, finished=now())
            )

    def runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the newest runs first, without their reports."""
        import sqlalchemy as sa

        from hostmend.store import tables

        columns = [column for column in tables.runs.c if column.name != "report"]
        counts = (
            sa.select(
                tables.findings.c.run_id,
                sa.func.sum(sa.case((tables.findings.c.status == "open", 1), else_=0)).label("open"),
                sa.func.sum(sa.case((tables.findings.c.status == "unknown", 1), else_=0)).label("unknown"),
            )
            .group_by(tables.findings.c.run_id)
            .subquery()
        )
        hosts = (
            sa.select(tables.run_hosts.c.run_id, sa.func.count().label("hosts"))
            .group_by(tables.run_hosts.c.run_id)
            .subquery()
        )
        query = (
            sa.select(*columns, hosts.c.hosts, counts.c.open, counts.c.unknown)
            .outerjoin(counts, counts.c.run_id == tables.runs.c.id)
            .outerjoin(hosts, hosts.c.run_id == tables.runs.c.id)
            .order_by(tables.runs.c.started.desc(), tables.runs.c.id.desc())
            .limit(limit)
        )
        with self._begin() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        for row in rows:
            if row["status"] == RUNNING and not _alive(row["pid"], row["controller"]):
                row["status"] = "broken off"
        return rows

    def report(self, name: str | None = None) -> dict[str, Any]:
        """Return the report of a run; of the newest that has one where ``name`` is None. A unique beginning will do."""
        import sqlalchemy as sa

        from hostmend.store import tables

        runs = tables.runs
        query = sa.select(runs.c.id, runs.c.report, runs.c.status).order_by(runs.c.started.desc(), runs.c.id.desc())
        if name is None or name == "latest":
            query = query.where(runs.c.report.is_not(None)).limit(1)
        else:
            query = query.where(runs.c.id.startswith(name, autoescape=True)).limit(3)
        with self._begin() as connection:
            rows = connection.execute(query).all()
        if name is not None and len(rows) > 1:
            rows = [row for row in rows if row.id == name] or rows
            if len(rows) > 1:
                raise StoreError(f"several runs begin with {name}: see `hostmend runs`")
        if not rows:
            raise StoreError(
                "there is no run yet: `hostmend audit` makes one" if name is None else f"no such run: {name}"
            )
        if rows[0].report is None:
            raise StoreError(f"the run {rows[0].id} was broken off before it had a report")
        made: dict[str, Any] = json.loads(rows[0].report)
        return made

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _private_file(path: Path) -> None:
    """Make sure of a file and its directory that only this user can read."""
    try:
        missing = [one for one in (path.parent, *path.parent.parents) if not one.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        if missing:
            path.parent.chmod(0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"the store {path} cannot be opened: {error.strerror}") from error


def _alive(pid: int | None, controller: str) -> bool:
    """True where the process of a run may still be there; one of another machine may."""
    import socket

    if controller and controller != socket.gethostname():
        return True
    return pid is not None and Path(f"/proc/{pid}").exists()
