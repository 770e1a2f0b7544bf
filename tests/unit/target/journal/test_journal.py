"""The journal on files: what is kept, how it survives a kill, and what a rollback brings back or refuses."""

from __future__ import annotations

import base64
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import (
    commit_confirm,
    files,
    orphans,
    records,
    resource_types,
    restore_program,
    store,
    undo,
)
from hypothesis import given, settings
from hypothesis import strategies as st

COLLECTIONS = Path(__file__).resolve().parents[4] / ".ansible" / "collections"
LIMIT = 64 * store.MEBIBYTE


@pytest.fixture
def journal(tmp_path: Path) -> store.Journal:
    return store.Journal(str(tmp_path / "journal"))


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A directory of a host, with one of each."""
    folder = tmp_path / "etc"
    (folder / "app.d").mkdir(parents=True)
    (folder / "app.conf").write_text("port 6379\n")
    (folder / "app.conf").chmod(0o640)
    (folder / "app.d" / "one.conf").write_text("one\n")
    (folder / "app.d" / "two.conf").write_bytes(b"\x00\xff binary")
    (folder / "link.conf").symlink_to("app.conf")
    os.utime(folder / "app.conf", ns=(1, 1_600_000_000_000_000_000))
    return folder


def keep(journal: store.Journal, name: str, *paths: Path, role: str = "app") -> store.Run:
    run = journal.run(name)
    run.begin(role, {}, number=journal.number(name))
    for subject in resource_types.subjects({"paths": [str(path) for path in paths]}):
        run.keep(role, subject, LIMIT)
    run.note_entries()
    return run


def finish(run: store.Run, role: str = "app") -> None:
    run.keep_after(role)
    run.mark(store.DONE, role)


def picture(folder: Path) -> dict[str, object]:
    """Everything about a tree that the journal promises to bring back."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        node = files.read_node(str(path))
        if node["type"] == "dir":
            node.pop("mtime")
        found[str(path.relative_to(folder))] = node
    return found


def test_each_kind_of_path_goes_back(journal: store.Journal, etc: Path) -> None:
    before = picture(etc)
    run = keep(journal, "r1", etc / "app.conf", etc / "app.d", etc / "link.conf", etc / "new" / "deep" / "file",
               etc / "made")
    (etc / "app.conf").write_text("port 0\n")
    (etc / "app.conf").chmod(0o666)
    (etc / "app.d" / "one.conf").unlink()
    (etc / "app.d" / "three.conf").write_text("three\n")
    (etc / "link.conf").unlink()
    (etc / "link.conf").write_text("a file now\n")
    (etc / "new" / "deep").mkdir(parents=True)
    (etc / "new" / "deep" / "file").write_text("x")
    (etc / "made").mkdir()
    finish(run)
    predicted = undo.rollback(run, check=True)
    assert picture(etc) != before
    done = undo.rollback(run)
    assert picture(etc) == before
    assert predicted["items"] == done["items"]
    assert not done["errors"] and not done["conflicts"]
    assert run.state == store.RESTORED
    again = undo.rollback(run)
    assert not again["changed"] and picture(etc) == before


def test_a_file_becomes_a_directory_and_back(journal: store.Journal, etc: Path) -> None:
    before = picture(etc)
    run = keep(journal, "r1", etc / "app.conf", etc / "app.d")
    (etc / "app.conf").unlink()
    (etc / "app.conf").mkdir()
    for path in (etc / "app.d").iterdir():
        path.unlink()
    (etc / "app.d").rmdir()
    (etc / "app.d").write_text("was a directory\n")
    finish(run)
    done = undo.rollback(run)
    assert not done["errors"]
    assert picture(etc) == before


def test_the_first_state_that_a_role_keeps_stays(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "app.conf")
    (etc / "app.conf").write_text("second\n")
    keep(journal, "r1", etc / "app.conf")
    finish(run)
    undo.rollback(run)
    assert (etc / "app.conf").read_text() == "port 6379\n"


def test_one_role_of_a_run_goes_back_alone(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "app.conf", role="first")
    (etc / "app.conf").write_text("by the first\n")
    finish(run, "first")
    keep(journal, "r1", etc / "app.conf", role="second")
    (etc / "app.conf").write_text("by the second\n")
    undo.rollback(run, ["second"])
    assert (etc / "app.conf").read_text() == "by the first\n"
    assert not undo.rollback(run)["errors"]
    assert (etc / "app.conf").read_text() == "port 6379\n"


def test_two_roles_of_a_run_go_back_together(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "app.conf", role="first")
    (etc / "app.conf").write_text("by the first\n")
    finish(run, "first")
    keep(journal, "r1", etc / "app.conf", role="second")
    (etc / "app.conf").write_text("by the second\n")
    finish(run, "second")
    assert len(undo.rollback(run, check=True)["items"]) == 2
    undo.rollback(run)
    assert (etc / "app.conf").read_text() == "port 6379\n"


def test_what_somebody_changed_since_is_refused_with_all_of_its_role(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "app.conf", etc / "app.d" / "one.conf")
    (etc / "app.conf").write_text("by the role\n")
    (etc / "app.d" / "one.conf").write_text("by the role\n")
    finish(run)
    (etc / "app.conf").write_text("by the administrator\n")
    done = undo.rollback(run)
    assert [item["name"] for item in done["conflicts"]] == [str(etc / "app.conf")]
    assert not done["changed"] and run.state == store.CONFLICT
    assert (etc / "app.conf").read_text() == "by the administrator\n"
    assert (etc / "app.d" / "one.conf").read_text() == "by the role\n"
    assert undo.rollback(run, force=True)["changed"]
    assert (etc / "app.conf").read_text() == "port 6379\n"
    assert (etc / "app.d" / "one.conf").read_text() == "one\n"


def test_what_the_run_did_not_touch_survives(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "app.conf", etc / "app.d")
    (etc / "app.conf").write_text("by the role\n")
    finish(run)
    (etc / "app.conf").chmod(0o600)
    (etc / "app.d" / "one.conf").write_text("by the administrator\n")
    (etc / "app.d" / "mine.conf").write_text("by the administrator\n")
    undo.rollback(run)
    assert (etc / "app.conf").read_text() == "port 6379\n"
    assert (etc / "app.conf").stat().st_mode & 0o777 == 0o600
    assert (etc / "app.d" / "one.conf").read_text() == "by the administrator\n"
    assert (etc / "app.d" / "mine.conf").exists()


def test_a_directory_that_others_use_now_stays(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "new" / "file")
    (etc / "new").mkdir()
    (etc / "new" / "file").write_text("role\n")
    finish(run)
    (etc / "new" / "other").write_text("administrator\n")
    done = undo.rollback(run)
    assert not (etc / "new" / "file").exists() and (etc / "new" / "other").exists()
    assert any("holds other files now" in note for note in done["notes"])


def test_a_run_that_did_not_end_goes_back_whole(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "app.conf")
    (etc / "app.conf").write_text("half")
    assert [other.name for other in journal.unfinished()] == ["r1"]
    done = undo.rollback(run)
    assert (etc / "app.conf").read_text() == "port 6379\n"
    assert any("did not end" in note for note in done["notes"])
    assert not journal.unfinished()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_owner_attributes_and_immutable_flag_go_back(journal: store.Journal, etc: Path) -> None:
    path = etc / "app.conf"
    os.chown(path, 12345, 23456)
    # user:1000:r-- as the kernel keeps a POSIX ACL
    acl = base64.b64decode("AgAAAAEABgD/////AgAEAOgDAAAEAAQA/////xAABAD/////IAAAAP////8=")
    try:
        os.setxattr(path, "system.posix_acl_access", acl)
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("this filesystem has no ACLs")
    try:
        files.write_flags(str(path), files.FLAG_IMMUTABLE)
    except OSError:
        pytest.skip("this filesystem has no immutable flag")
    before = picture(etc)
    try:
        run = keep(journal, "r1", path)
        files.write_flags(str(path), 0)
        path.unlink()
        path.write_text("new")
        finish(run)
        undo.rollback(run)
        assert picture(etc) == before
        assert files.read_flags(str(path)) == files.FLAG_IMMUTABLE
    finally:
        files.write_flags(str(path), 0)


def test_a_link_brings_what_it_points_to(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "link.conf")
    (etc / "link.conf").write_text("through the link\n")
    finish(run)
    undo.rollback(run)
    assert (etc / "app.conf").read_text() == "port 6379\n"
    assert (etc / "link.conf").is_symlink()


def test_only_root_reads_the_journal(journal: store.Journal, etc: Path) -> None:
    os.umask(0)
    try:
        with journal.locked():
            run = keep(journal, "r1", etc / "app.conf")
            restore_program.build(commit_confirm.program(run))
    finally:
        os.umask(0o022)
    for folder, folders, names in os.walk(journal.directory):
        for name in folders:
            assert os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0, name
        for name in names:
            assert os.stat(os.path.join(folder, name)).st_mode & 0o177 == 0, name


def test_what_does_not_fit_is_an_error_and_leaves_no_entry(journal: store.Journal, etc: Path) -> None:
    (etc / "big").write_bytes(b"x" * 5000)
    run = journal.run("r1")
    run.begin("app", {})
    with pytest.raises(HostError, match="larger"):
        run.keep("app", {"kind": "path", "name": str(etc / "big")}, 4096)
    assert run.entries() == []
    assert os.listdir(os.path.join(run.path, "blobs")) == []


def test_times_come_back_where_the_content_is_the_old_one(journal: store.Journal, etc: Path) -> None:
    os.utime(etc / "app.d", ns=(1, 1_500_000_000_000_000_000))
    before = picture(etc)
    times = {path: path.lstat().st_mtime_ns for path in (etc / "app.d", etc / "app.conf", etc / "link.conf")}
    run = keep(journal, "r1", etc / "app.conf", etc / "app.d", etc / "link.conf")
    (etc / "app.conf").write_text("port 6379\n")  # the same, written anew, with another mode
    (etc / "app.conf").chmod(0o600)
    (etc / "app.d" / "one.conf").unlink()
    (etc / "link.conf").unlink()
    (etc / "link.conf").symlink_to("app.conf")
    finish(run)
    assert not undo.rollback(run)["errors"]
    assert picture(etc) == before
    assert {path: path.lstat().st_mtime_ns for path in times} == times


def test_differences_never_show_a_secret(journal: store.Journal, etc: Path) -> None:
    (etc / "app.conf").write_text("requirepass hunter2\nuser default on >hunter2\nport 1\n")
    (etc / "app.conf").chmod(0o644)
    (etc / "private").write_text("hunter2\n")
    (etc / "private").chmod(0o600)
    run = keep(journal, "r1", etc / "app.conf", etc / "private")
    (etc / "app.conf").write_text("port 2\n")
    (etc / "private").write_text("other\n")
    shown = str(undo.rollback(run, check=True)["diff"])
    assert "port 1" in shown and "hunter2" not in shown


def test_names_of_runs_stay_in_the_journal(journal: store.Journal) -> None:
    for name in ("../evil", "", "a/b", ".hidden", "x" * 65):
        with pytest.raises(HostError):
            journal.run(name)


def test_a_second_run_is_told_who_holds_the_host(journal: store.Journal) -> None:
    with journal.locked():
        journal.hold("r1", {"controller": "ops", "pid": 7, "born": "1"}, 60)
        journal.run("r1").begin("app", {})
        with pytest.raises(store.Busy, match="r1 holds this host: process 7 on ops, since 20"):
            journal.hold("r2", {"controller": "ops", "pid": 8, "born": "2"}, 60)
        journal.hold("r1", {"controller": "ops", "pid": 7, "born": "1"}, 60)
        journal.hold("r2", {"controller": "ops", "pid": 8, "born": "2"}, 60, take_from="r1")
        assert journal.holder()["run"] == "r2"


def test_a_host_is_free_after_its_lease_a_reboot_or_the_end_of_the_run(
        journal: store.Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    about = {"controller": "ops", "pid": 7, "born": "1"}
    with journal.locked():
        journal.hold("r1", about, 60)
        identity, seconds = store.boot()
        for later in ((identity, seconds + 61), ("another boot", seconds)):
            with monkeypatch.context() as patch:
                patch.setattr(store, "boot", lambda later=later: later)
                assert journal.holder() is None
        run = journal.run("r1")
        run.begin("app", {})
        assert journal.holder()
        run.mark(store.DONE, "app")
        assert journal.holder() is None


def test_a_clock_that_is_set_moves_no_lease(journal: store.Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    with journal.locked():
        journal.hold("r1", {"controller": "ops", "pid": 7, "born": "1"}, 60)
        monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
        assert journal.holder()["run"] == "r1"


KEEPING = """
import sys
sys.path.insert(0, %r)
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import resource_types, store
journal = store.Journal(sys.argv[1])
with journal.locked(5):
    run = journal.run("r1")
    run.begin("app", {})
    for subject in resource_types.subjects({"paths": sys.argv[2:]}):
        run.keep("app", subject, 10 ** 9)
print("kept")
""" % str(COLLECTIONS)


def test_a_kill_at_any_moment_leaves_usable_entries_only(journal: store.Journal, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(40):
        (folder / ("%02d" % number)).write_bytes(os.urandom(200_000))
    before = picture(folder)
    paths = [str(path) for path in sorted(folder.iterdir())]
    chance = random.Random(7)
    for _attempt in range(12):
        child = subprocess.Popen([sys.executable, "-c", KEEPING, journal.directory, *paths], stdout=subprocess.PIPE)
        time.sleep(chance.uniform(0.05, 0.45))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        run = journal.run("r1")
        entries = run.entries() if run.exists else []
        for entry in entries:
            node = entry["image"]["nodes"][""]
            kept = Path(run.blob(node["sha256"])).read_bytes()
            assert kept == (folder / Path(entry["subject"]["name"]).name).read_bytes()
            Path(entry["subject"]["name"]).write_text("changed by the role")
        if run.exists:
            assert not undo.rollback(run)["errors"]
        assert picture(folder) == before
        with journal.locked(5):
            pass
        journal.prune(0, 0, 0)


def test_the_restore_program_needs_nothing_but_python(journal: store.Journal, etc: Path, tmp_path: Path) -> None:
    before = picture(etc)
    run = keep(journal, "r1", etc / "app.conf")
    (etc / "app.conf").write_text("cut off")
    restore_program.build(commit_confirm.program(run))
    records.write(os.path.join(run.path, "armed.json"), {"roles": ["app"], "seconds": 1, "how": "process"})
    command = [sys.executable, "-I", commit_confirm.program(run), "expire", "r1", journal.directory]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert picture(etc) == before
    assert commit_confirm.healed(run)["by"] == "timer" and commit_confirm.armed(run) is None
    assert commit_confirm.confirm(journal, "r1")[0] is False


def test_a_confirmed_change_stays(journal: store.Journal, etc: Path) -> None:
    run = keep(journal, "r1", etc / "app.conf")
    (etc / "app.conf").write_text("good")
    records.write(os.path.join(run.path, "armed.json"), {"roles": ["app"], "seconds": 1, "how": "process"})
    assert commit_confirm.confirm(journal, "r1") == (True, None)
    assert commit_confirm.expire(journal, "r1") is None
    assert (etc / "app.conf").read_text() == "good"


VALUES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))


@given(VALUES, VALUES, VALUES)
@settings(max_examples=300)
def test_three_states_compared(before: dict[str, int], after: dict[str, int], now: dict[str, int]) -> None:
    restore, conflict = undo.compare(before, after, now)
    assert not set(restore) & set(conflict)
    for key in "abcd":
        was, made, present = (image.get(key) for image in (before, after, now))
        if present in (was, ) or made == was:
            assert key not in restore + conflict
        elif present == made:
            assert key in restore
        else:
            assert key in conflict


@pytest.mark.parametrize(
    "script", ["echo BECOME-SUCCESS-abc; sleep {}; true", "true '/usr/bin/python3 && sleep 0'; sleep {}; true"]
)
def test_a_task_that_outlives_its_controller_is_waited_for(script: str) -> None:
    with subprocess.Popen(["/bin/sh", "-c", script.format(30)], stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 10
            while process.pid not in orphans.find():
                assert time.monotonic() < deadline
            assert str(process.pid) in orphans.wait(0.1)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.pid not in orphans.find()


def test_what_works_on_another_host_is_not_waited_for() -> None:
    with subprocess.Popen(["ssh", "-V", "BECOME-SUCCESS-abc"], stderr=subprocess.DEVNULL) as process:
        assert process.pid not in orphans.find()
    assert os.getpid() not in orphans.find()
