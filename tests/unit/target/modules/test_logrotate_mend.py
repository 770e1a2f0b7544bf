"""Changes of stanzas that stand by themselves, and folders where another could lead root astray."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.software import logrotate
from ansible_collections.hostmend.hardening.plugins.modules import logrotate_mend

A, B = "/etc/logrotate.d/a", "/etc/logrotate.d/b"
TEXTS = {A: "/var/log/a.log {\n\tweekly\n}\n", B: "/var/log/b.log {\n\tweekly\n}\n"}
REAL = SimpleNamespace(check_mode=False)


def asked(*settings, cover=()):
    return logrotate_mend.edits_of({"cover": list(cover), "keep_days": 180, "settings": list(settings)})


def rotate(file, log):
    return {"file": file, "log": log, "kind": "rotate", "rotate": 26, "days": 180}


def test_what_cannot_be_made_leaves_the_rest():
    edits = asked(rotate(A, "/var/log/not-there.log"), rotate(B, "/var/log/b.log"))
    after, changes, refused, made = logrotate_mend.fold(edits, TEXTS)
    assert list(after) == [B]
    assert "rotate 26" in after[B]
    assert [one["action"] for one in changes] == ["rotate 26 for /var/log/b.log"]
    assert refused == ["/var/log/not-there.log: /etc/logrotate.d/a has no stanza for /var/log/not-there.log"]
    assert [edit.file for edit in made] == [B]


def test_what_logrotate_does_not_take_goes_back_alone(monkeypatch):
    disk = dict(TEXTS)
    monkeypatch.setattr(logrotate_mend, "write", lambda module, file, text: disk.__setitem__(file, text))
    monkeypatch.setattr(logrotate_mend, "complaints", lambda module: {"a is bad"} if "rotate" in disk[A] else set())
    monkeypatch.setattr(logrotate_mend, "without_effect", lambda module, edits: [])
    edits = asked(rotate(A, "/var/log/a.log"), rotate(B, "/var/log/b.log"))
    after, changes, refused = logrotate_mend.mend(REAL, edits, TEXTS)
    assert disk[A] == TEXTS[A]
    assert "rotate 26" in disk[B]
    assert (list(after), [one["name"] for one in changes]) == ([B], [B])
    assert len(refused) == 1
    assert "a is bad" in refused[0]


def test_a_file_that_cannot_be_read_takes_no_other_along(tmp_path):
    (tmp_path / "b").write_text(TEXTS[B], "utf-8")
    (tmp_path / "folder").mkdir()
    texts, usable, refused = logrotate_mend.texts_of(
        asked(rotate(str(tmp_path / "folder"), "/var/log/a.log"), rotate(str(tmp_path / "b"), "/var/log/b.log"))
    )
    assert texts == {str(tmp_path / "b"): TEXTS[B]}
    assert [edit.log for edit in usable] == ["/var/log/b.log"]
    assert "Is a directory" in refused[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders away")
def test_su_is_never_for_root_nor_by_a_link_of_another(tmp_path: Path):
    tmp_path.chmod(0o755)
    folder = tmp_path / "logs"
    folder.mkdir()
    assert logrotate_mend.owner_of(str(folder)) == ""
    folder.chmod(0o777)
    with pytest.raises(logrotate_mend.Trouble, match="root's and others may write"):
        logrotate_mend.owner_of(str(folder))
    os.chown(folder, 1, 1)
    assert logrotate_mend.owner_of(str(folder)) == "daemon daemon"
    link = tmp_path / "link"
    link.symlink_to(folder)
    os.lchown(link, 2, 2)
    with pytest.raises(logrotate_mend.Trouble, match="a link of another"):
        logrotate_mend.owner_of(str(link))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("su root adm\nweekly\n", True),
        ("  su  root syslog # for all\n", True),
        ("# su root adm\nweekly\n", False),
        ("/var/log/a {\n  su a a\n}\n", False),
        ("/var/log/a{\n  su a a\n}\nsu root adm\n", True),
    ],
)
def test_su_for_all_logs(text, wanted):
    assert logrotate.su_for_all(text) is wanted
