"""Runs in the store: kept, found again, and never the reason for losing a report."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from hostmend import store
from hostmend.core.errors import StoreError
from hostmend.store import Store


def report(
    identity: str = "20261124T101502Z-7c1e", started: str = "2026-11-24T10:15:02Z", **host: Any
) -> dict[str, Any]:
    findings = [
        {
            "check": "redis.no_auth",
            "class": "redis",
            "kind": "vulnerability",
            "severity": "high",
            "status": "open",
            "resource": "a",
        },
        {
            "check": "redis.no_auth",
            "class": "redis",
            "kind": "vulnerability",
            "severity": "high",
            "status": "unknown",
            "resource": "b",
        },
    ]
    return {
        "schema": 1,
        "run": {"id": identity, "started": started, "finished": started, "mode": "audit", "version": "0.1.0"},
        "score": 80,
        "hosts": {"web1": {"status": "ok", "score": 80, "findings": findings, **host}},
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "hostmend.db"


@pytest.fixture
def kept(path: Path) -> Store:
    return Store(f"sqlite:///{path}")


def test_a_run_is_kept_and_found_again(kept: Store) -> None:
    kept.begin(report()["run"])
    made = kept.finish(report(), store.FINISHED)
    assert made["hosts"]["web1"]["findings"][0].items() > report()["hosts"]["web1"]["findings"][0].items()
    assert kept.report() == kept.report("20261124T1015") == made
    (row,) = kept.runs()
    assert (row["status"], row["hosts"], row["score"], row["open"], row["unknown"]) == ("finished", 1, 80, 1, 1)


def test_a_report_is_kept_without_its_beginning(kept: Store) -> None:
    kept.finish(report(), store.FINISHED)
    kept.finish({**report(), "score": 79}, store.FINISHED)
    assert [row["score"] for row in kept.runs()] == [79]


def test_the_newest_run_is_the_default(kept: Store) -> None:
    kept.finish(report("b", "2026-11-24T10:15:02Z"), store.FINISHED)
    kept.finish(report("a", "2026-11-25T10:15:02Z"), store.FINISHED)
    assert kept.report()["run"]["id"] == "a"
    assert [row["id"] for row in kept.runs()] == ["a", "b"]


def test_a_name_that_fits_several_runs_is_refused(kept: Store) -> None:
    for name in ("abc", "abd", "ab"):
        kept.finish(report(name), store.FINISHED)
    with pytest.raises(StoreError, match="several runs"):
        kept.report("a")
    assert kept.report("ab")["run"]["id"] == "ab"
    for wild in ("%", "_b"):
        with pytest.raises(StoreError, match="no such run"):
            kept.report(wild)


def test_a_run_that_is_under_way_is_not_forgotten(kept: Store) -> None:
    kept.begin({"id": "now", "started": "2020-01-01T00:00:00Z", "mode": "audit", "version": "1"})
    kept.finish(report("old"), "finished")
    assert kept.prune(before="2999-01-01T00:00:00Z") == ["old"]
    assert [row["id"] for row in kept.runs()] == ["now"]
    assert kept.prune(identities=["now", "nosuch"]) == []


def test_a_report_is_amended_and_nothing_else(kept: Store) -> None:
    made = kept.finish(report("a"), "finished")
    kept.amend({**made, "run": {**made["run"], "notifications": []}})
    assert kept.report("a")["run"]["notifications"] == []
    assert len(kept.runs()) == 1


def test_a_run_that_was_killed_stays_visible(kept: Store, path: Path) -> None:
    kept.begin(report()["run"])
    assert kept.runs()[0]["status"] == "running"
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE runs SET pid = 4194999, controller = ''")
    assert kept.runs()[0]["status"] == "broken off"
    with pytest.raises(StoreError, match="broken off before it had a report"):
        kept.report("2026")
    with pytest.raises(StoreError, match="no run yet"):
        kept.report()


def test_only_its_owner_reads_it(kept: Store, path: Path) -> None:
    kept.begin(report()["run"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}


def test_it_is_in_write_ahead_mode_at_the_newest_migration(kept: Store, path: Path) -> None:
    kept.begin(report()["run"])
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(store.HEAD,)]


def test_the_migrations_make_the_tables_that_the_code_knows(kept: Store, path: Path) -> None:
    import sqlalchemy as sa

    from hostmend.store import tables

    kept.begin(report()["run"])
    made = sa.MetaData()
    made.reflect(sa.create_engine(f"sqlite:///{path}"))
    for name, table in tables.metadata.tables.items():
        assert {column.name for column in made.tables[name].c} == {column.name for column in table.c}
        assert {index.name for index in made.tables[name].indexes} == {index.name for index in table.indexes}


def test_the_newest_migration_is_named() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == store.HEAD


def test_a_store_of_a_newer_hostmend_is_refused(kept: Store, path: Path) -> None:
    kept.begin(report()["run"])
    kept.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer hostmend"):
        Store(kept.url).runs()


@pytest.mark.parametrize(
    "content", [b"this is not a database, and never was one" * 40, b"SQLite format 3\x00" + b"\x99" * 5000]
)
def test_a_corrupt_store_is_one_clear_line(kept: Store, path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is corrupt") as failure:
        kept.begin(report()["run"])
    assert "\n" not in str(failure.value)
    assert path.read_bytes() == content


def test_a_locked_store_is_one_clear_line(kept: Store, path: Path) -> None:
    kept.begin(report()["run"])
    kept.close()
    with sqlite3.connect(path, isolation_level=None) as raw:
        raw.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="is locked by another program"):
            Store(kept.url, busy_seconds=0.1).finish(report(), store.FINISHED)


def test_a_store_that_cannot_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(f"sqlite:///{tmp_path}/file/x.db").runs()


def test_a_missing_driver_and_a_strange_url_are_one_clear_line() -> None:
    with pytest.raises(StoreError, match=r"cannot be used|needs a driver"):
        Store("nosuch://host/db").runs()


def test_a_password_is_not_in_the_name() -> None:
    assert "hunter2" not in Store("postgresql+psycopg://me:hunter2@db.example/hostmend").name


def test_texts_of_a_hostile_host_are_kept(kept: Store) -> None:
    made = report()
    made["hosts"] = {
        "web\x00\udcff\n": {
            "status": "failed",
            "score": None,
            "reason": "\udc80\x00",
            "findings": [
                {
                    "check": "x\x00",
                    "class": "x",
                    "kind": "k",
                    "status": "open",
                    "severity": "low",
                    "resource": "\ud800'; DROP TABLE runs; --",
                },
                {
                    "check": "y",
                    "class": "y",
                    "kind": "k",
                    "status": "open",
                    "severity": "low",
                    "resource": "z" * 100_000,
                },
                {
                    "check": "y",
                    "class": "y",
                    "kind": "k",
                    "status": "open",
                    "severity": "low",
                    "resource": "z" * 100_001,
                },
                {
                    "check": "y",
                    "class": "y",
                    "kind": "k",
                    "status": "open",
                    "severity": "low",
                    "resource": "z" * 100_001,
                },
            ],
        },
    }
    kept.finish(made, store.FINISHED)
    assert kept.report() == made
    assert kept.runs()[0]["open"] == 3


def test_two_runs_at_once_both_find_their_place(path: Path) -> None:
    failures: list[BaseException] = []

    def keep(number: int) -> None:
        try:
            Store(f"sqlite:///{path}").finish(report(f"run-{number}"), store.FINISHED)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(Store(f"sqlite:///{path}").runs()) == 4


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOSTMEND_STORE": "postgresql+psycopg://h/d"}, "postgresql+psycopg://h/d"),
        ({"HOSTMEND_STORE": "/x/y.db"}, "sqlite:////x/y.db"),
        ({"XDG_STATE_HOME": "/s"}, "sqlite:////s/hostmend/hostmend.db"),
        ({"XDG_STATE_HOME": "relative"}, f"sqlite:///{Path.home()}/.local/state/hostmend/hostmend.db"),
    ],
)
def test_where_it_is(environ: dict[str, str], expected: str) -> None:
    assert store.location(environ) == expected


def test_it_speaks_postgresql(postgresql: str) -> None:
    kept = Store(postgresql)
    kept.begin(report()["run"])
    made = kept.finish(report(), store.FINISHED)
    assert kept.report() == made
    assert kept.runs()[0]["open"] == 1
    again = kept.finish(report("later", "2026-11-25T10:15:02Z"), store.FINISHED)
    assert again["hosts"]["web1"]["findings"][0]["trend"] == "open"
    assert [one["score"] for one in again["run"]["trend"]] == [80, 80]
    assert Store(postgresql).runs()[0]["status"] == "finished"


@pytest.fixture
def postgresql() -> Any:
    """A real server of Debian's postgresql, of this test only, on a socket."""
    import shutil
    import subprocess
    import tempfile

    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'hostmend[postgresql]')")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []
    if not places or (os.geteuid() == 0 and shutil.which("runuser") is None):
        pytest.skip("no PostgreSQL server is installed")
    # A directory of its own: those of pytest are closed to other users, and a socket's path must be short.
    data, as_user = Path(tempfile.mkdtemp(prefix="hostmend-pg-")), []
    if os.geteuid() == 0:  # the server refuses root
        shutil.chown(data, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    subprocess.run(
        [*as_user, places[-1] / "initdb", "-D", data / "d", "-A", "trust", "-U", "hostmend", "-E", "UTF8"],
        check=True,
        capture_output=True,
    )
    options = f"-c listen_addresses= -c unix_socket_directories={data} -c fsync=off"
    subprocess.run(
        [*as_user, places[-1] / "pg_ctl", "-D", data / "d", "-w", "-o", options, "-l", data / "log", "start"],
        check=True,
        capture_output=True,
    )
    try:
        yield f"postgresql+psycopg://hostmend@/postgres?host={data}"
    finally:
        subprocess.run(
            [*as_user, places[-1] / "pg_ctl", "-D", data / "d", "-m", "immediate", "stop"],
            check=False,
            capture_output=True,
        )
        shutil.rmtree(data)
