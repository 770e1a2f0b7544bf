"""A damaged journal: what is damaged is named, nothing of its role is touched, and other roles and runs go on working."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import (
    commit_confirm,
    records,
    resource_types,
    store,
    undo,
)
from hypothesis import given, settings
from hypothesis import strategies as st

LIMIT = 64 * store.MEBIBYTE
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "cut short": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "a list": lambda data: b"[1]",
    "a number": lambda data: b"7",
    "null": lambda data: b"null",
    "no member": lambda data: b"{}",
    "too deep": lambda data: b"[" * 200_000,
    "zeros": lambda data: b"\0" * len(data),
    "a flipped bit": lambda data: data.replace(b'"checksum"', b'"checksul"', 1),
    "a wrong type": lambda data: json.dumps({**json.loads(data), "roles": 5, "image": 5, "subject": 5}).encode(),
    "missing": lambda data: None,
}


class Host:
    """A host with two roles in one run, each of which has changed a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.etc = folder / "etc"
        self.etc.mkdir(parents=True)
        self.journal = store.Journal(str(folder / "journal"))
        self.run = self.mended("r1", first="before\n", second="before\n")

    def mended(self, name: str, **files: str) -> store.Run:
        run = self.journal.run(name)
        for role, text in files.items():
            path = self.etc / role
            path.write_text(text)
            run.begin(role, {"controller": "ops", "pid": 1, "born": "1"}, number=self.journal.number(name))
            for subject in resource_types.subjects({"paths": [str(path)]}):
                run.keep(role, subject, LIMIT)
            run.note_entries()
            path.write_text(f"mended by {name}\n")
            run.keep_after(role)
            run.mark(store.DONE, role)
        return run

    def read(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.etc.iterdir())}

    def files(self) -> list[Path]:
        """Each file of the run that a rollback goes by."""
        root = Path(self.run.path)
        return sorted(path for path in root.rglob("*") if path.is_file() and path.name != "restored.json")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def damage(path: Path, how: str) -> None:
    data = DAMAGES[how](path.read_bytes())
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("part", ["entries", "after"])
def test_a_damaged_record_refuses_its_role_by_name_and_the_other_role_goes_back(host: Host, part: str, how: str) -> None:
    path = Path(host.run.path) / part / "000001.json"
    damage(path, how)
    for check in (True, False):
        done = undo.rollback(host.run, check=check)
        assert [item["role"] for item in done["damaged"]] == ["first"]
        assert str(path) in done["damaged"][0]["error"] and "\n" not in done["damaged"][0]["error"]
        assert {item["role"] for item in done["items"]} == {"second"}
    assert host.read() == {"first": "mended by r1\n", "second": "before\n"}
    assert host.run.started_head()["roles"] == {"first": store.CONFLICT, "second": store.RESTORED}


@pytest.mark.parametrize("how", ["empty", "a flipped bit", "missing"])
def test_a_damaged_content_refuses_its_role_before_anything_is_touched(tmp_path: Path, how: str) -> None:
    host = Host(tmp_path)
    run = host.mended("r2", first="one\n", second="two\n")
    sha256 = run.entries("second")[0]["image"]["nodes"][""]["sha256"]
    blob = Path(run.blob(sha256))
    data = None if how == "missing" else b"" if how == "empty" else bytes([blob.read_bytes()[0] ^ 1]) + blob.read_bytes()[1:]
    blob.unlink() if data is None else blob.write_bytes(data)
    done = undo.rollback(run)
    assert [item["role"] for item in done["damaged"]] == ["second"]
    assert str(host.etc / "second") in done["damaged"][0]["error"]
    assert {item["name"] for item in done["items"]} == {str(host.etc / "first")}
    assert host.read() == {"first": "one\n", "second": "mended by r2\n"}


def test_an_entry_that_nothing_knows_the_role_of_refuses_all(host: Host) -> None:
    run = host.journal.run("broken")
    run.begin("first", {}, number=host.journal.number("broken"))
    for name in ("first", "second"):
        run.keep("first", {"kind": "path", "name": str(host.etc / name), "deep": True}, LIMIT)
    (host.etc / "first").write_text("half\n")
    damage(Path(run.path) / "entries" / "000001.json", "missing")
    done = undo.rollback(run)
    assert "000001.json is damaged: it is missing" in done["damaged"][0]["error"] and not done["changed"]
    assert host.read()["first"] == "half\n"


def test_the_last_entry_is_missed(host: Host) -> None:
    (Path(host.run.path) / "entries" / "000002.json").unlink()
    done = undo.rollback(host.run)
    assert "entries/000002.json is damaged: it is missing" in done["damaged"][0]["error"]
    assert host.read() == {"first": "before\n", "second": "mended by r1\n"}


def test_force_goes_without_what_the_role_left_and_never_without_what_was_before(host: Host) -> None:
    damage(Path(host.run.path) / "after" / "000001.json", "cut short")
    damage(Path(host.run.path) / "entries" / "000002.json", "cut short")
    done = undo.rollback(host.run, force=True)
    assert [item["role"] for item in done["damaged"]] == ["second"]
    assert host.read() == {"first": "before\n", "second": "mended by r1\n"}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_run_with_a_damaged_head_is_told_kept_and_in_nobodys_way(host: Host, how: str) -> None:
    newer = host.mended("r2", first="two\n")
    damage(Path(host.run.path) / "run.json", how)
    with pytest.raises(HostError, match=r"run\.json is damaged"):
        undo.rollback(host.run)
    found, damaged = host.journal.survey()
    assert [run.name for run in found] == ["r2"] and "run.json is damaged" in damaged["r1"]
    assert host.journal.prune(0, 0, 0) == ["r2"] or newer.exists
    assert Path(host.run.path, "entries", "000001.json").exists()
    third = host.mended("r3", second="three\n")
    assert host.journal.latest() is not None and host.journal.latest().name == "r3"  # type: ignore[union-attr]
    assert undo.rollback(third)["changed"] and host.read()["second"] == "three\n"


def test_latest_is_never_an_older_run_in_place_of_a_damaged_one(host: Host) -> None:
    host.mended("r2", first="two\n")
    damage(Path(host.journal.run("r2").path) / "run.json", "cut short")
    with pytest.raises(HostError, match="the run r2 may be the latest"):
        host.journal.latest()


def test_the_order_of_runs_goes_by_a_counter(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "gmtime", lambda *given: time.struct_time((2001, 1, 1, 0, 0, 0, 0, 1, 0)))
    host.mended("a-later-run", first="two\n")
    assert [run.name for run in host.journal.runs()] == ["r1", "a-later-run"]
    (Path(host.journal.directory) / "order.json").write_text("[1]")
    host.mended("0-last", first="three\n")
    assert [run.name for run in host.journal.runs()] == ["r1", "a-later-run", "0-last"]
    assert host.journal.latest().name == "0-last"  # type: ignore[union-attr]


@pytest.mark.parametrize("years", [10, -10, 1])
def test_a_clock_that_is_far_off_removes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    for number in range(2, 12):
        host.mended(f"r{number}", first="x\n")
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now + years * 365.25 * 86400)
        assert host.journal.prune(2, 365, 1) == []
    assert host.journal.prune(9, 365, LIMIT) == ["r1", "r2"]
    assert host.journal.prune(9, 0, 1) == ["r3", "r4", "r5", "r6"], "the newest five stay whatever their age and size"
    assert host.journal.prune(2, 365, LIMIT) == ["r7", "r8", "r9"]


def test_unfinished_runs_stay(host: Host) -> None:
    host.journal.run("broken").begin("first", {}, number=host.journal.number("broken"))
    host.mended("r3", first="x\n")
    assert host.journal.prune(0, 365, LIMIT) == ["r1", "r3"]
    assert [run.name for run in host.journal.runs()] == ["broken"]


def test_what_a_power_cut_leaves_of_a_removal_is_swept(host: Host) -> None:
    os.rename(host.run.path, os.path.join(os.path.dirname(host.run.path), ".going-r1"))
    (Path(host.journal.directory) / "runs" / "never" / "entries").mkdir(parents=True)
    host.journal.prune(9, 365, LIMIT)
    assert os.listdir(os.path.join(host.journal.directory, "runs")) == []


def test_a_role_that_is_refused_is_no_ground_for_another(host: Host) -> None:
    shared = host.etc / "shared"
    shared.write_text("before\n")
    run = host.journal.run("r2")
    for role in ("first", "second"):
        run.begin(role, {}, number=host.journal.number("r2"))
        run.keep(role, {"kind": "path", "name": str(shared), "deep": True}, LIMIT)
        run.note_entries()
        shared.write_text(f"by {role}\n")
        run.keep_after(role)
        run.mark(store.DONE, role)
    damage(Path(run.path) / "entries" / "000002.json", "cut short")
    done = undo.rollback(run)
    assert shared.read_text() == "by second\n" and not done["changed"]
    assert {item["role"] for item in done["conflicts"]} == {"first"}


def test_a_damaged_note_of_a_holder_counts_while_a_run_is_open(host: Host) -> None:
    note = Path(host.journal.directory) / "holder.json"
    note.write_text("[1]")
    assert host.journal.holder() is None
    host.journal.run("broken").begin("first", {}, number=2)
    with pytest.raises(HostError, match=r"holder.json is damaged.*remove it where no run works"):
        host.journal.hold("r3", {"controller": "ops", "pid": 7, "born": "1"}, 60)


def test_a_damaged_note_of_commit_confirm_still_restores(host: Host) -> None:
    run = host.journal.run("r2")
    run.begin("first", {}, number=2)
    run.keep("first", {"kind": "path", "name": str(host.etc / "first"), "deep": True}, LIMIT)
    (host.etc / "first").write_text("cut off\n")
    (Path(run.path) / "armed.json").write_bytes(b"\0\0")
    assert commit_confirm.expire(host.journal, "r2") is not None
    assert host.read()["first"] == "mended by r1\n"


@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_whatever_happens_to_a_file_of_the_journal_nothing_is_half_applied(data: Any) -> None:
    """Each role is as it was before or as it was left; and where a role stays, a reason names the damaged file."""
    folder = Path(tempfile.mkdtemp())
    try:
        host = Host(folder)
        path = data.draw(st.sampled_from(host.files()))
        content = bytearray(path.read_bytes())
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "replace", "remove", "json"]))
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        if how == "flip" and content:
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "cut":
            del content[place:]
        elif how == "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=40))
        elif how == "replace":
            content = bytearray(data.draw(st.binary(max_size=200)))
        elif how == "json":
            values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                                  lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                                      st.sampled_from(["role", "roles", "subject", "image", "run", "more", "entries"]),
                                      inner, max_size=5), max_leaves=8)
            content = bytearray(json.dumps(data.draw(values)).encode())
        path.unlink() if how == "remove" else path.write_bytes(bytes(content))
        reasons = ""
        try:
            done = undo.rollback(host.run)
            reasons = " ".join(item["error"] for item in done["damaged"])
            assert not done["errors"]
        except HostError as error:
            reasons = str(error)
        state = host.read()
        assert set(state.values()) <= {"before\n", "mended by r1\n"}
        if "mended by r1\n" in state.values():
            assert path.name in reasons
        host.journal.prune(0, 0, 0)
        if reasons:
            assert Path(host.run.path).is_dir(), "what is damaged is not pruned"
        host.mended("r2", first="anew\n")
        undo.rollback(host.journal.run("r2"))
        assert host.read()["first"] == "anew\n", "other runs work"
    finally:
        shutil.rmtree(folder)


@given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(max_size=8), max_size=5))
@settings(max_examples=100)
def test_a_record_comes_back_as_it_was_written(record: dict[str, Any]) -> None:
    record.pop(records.CHECKSUM, None)
    with tempfile.TemporaryDirectory() as folder:
        records.write(os.path.join(folder, "a"), record)
        assert records.read(os.path.join(folder, "a")) == record
