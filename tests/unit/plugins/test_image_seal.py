"""Sealing takes what hosts of one image must not share, and nothing beside."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hostmend.hardening.plugins.modules.image_seal import NAMES, PATTERNS, UNIT, WANTS, Seal

FILES = {
    "etc/ssh/ssh_host_rsa_key": "host_keys", "etc/ssh/ssh_host_rsa_key.pub": "host_keys",
    "root/.bash_history": "histories", "home/a/.python_history": "histories", "root/.ansible/tmp/x": "histories",
    "var/cache/apt/archives/a.deb": "package_cache", "var/lib/apt/lists/deb_Release": "package_lists",
    "tmp/.hidden": "temporary", "var/tmp/x": "temporary", "root/.ssh/authorized_keys": "authorized_keys",
    "home/a/.ssh/id_ed25519": "secrets", "etc/shadow-": "secrets", "root/.aws/credentials": "secrets",
    "var/lib/cloud/instances/i/x": "cloud_init", "var/lib/hostmend/runs/r/head": "journal",
    "var/lib/systemd/random-seed": "random_seed", "var/log/apt/term.log": "logs", "var/log/syslog.1": "logs",
}
STAYS = ("etc/ssh/sshd_config", "etc/shadow", "var/lib/apt/lists/lock", "root/.bashrc", "usr/bin/x", "var/lib/cloud/scripts/x")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    for name in (*FILES, *STAYS, "etc/machine-id", "var/log/app/app.log", "etc/systemd/system/x", "usr/sbin/sshd"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("content")
    return made


def sealed(root: Path, *keep: str, keys: tuple[str, ...] = ()) -> Seal:
    seal = Seal(str(root), list(keep), list(keys))
    seal.plan()
    seal.carry_out()
    return seal


def test_what_goes_and_what_stays(root):
    sealed(root)
    assert [name for name in FILES if (root / name).exists()] == []
    assert all((root / name).read_text() == "content" for name in STAYS)
    assert (root / "etc/machine-id").read_text() == "" and (root / "var/log/app/app.log").read_text() == ""


def test_a_second_time_nothing_is_left_to_do(root):
    sealed(root)
    again = Seal(str(root), [], [])
    again.plan()
    assert again.steps == []


@pytest.mark.parametrize("name", sorted(set(FILES.values())))
def test_what_is_kept_stays(root, name):
    sealed(root, name)
    assert {file for file in FILES if (root / file).exists()} == {file for file, what in FILES.items() if what == name}


def test_keys_of_a_user_that_is_named_stay(root):
    (root / "home/a/.ssh/authorized_keys").write_text("key")
    sealed(root, keys=("a",))
    assert (root / "home/a/.ssh/authorized_keys").exists() and not (root / "root/.ssh/authorized_keys").exists()


def test_a_unit_makes_host_keys_before_sshd_starts(root):
    sealed(root)
    text = (root / UNIT[1:]).read_text()
    assert "ExecStart=/usr/bin/ssh-keygen -A" in text and "Before=sysinit.target ssh.service" in text
    assert (root / WANTS[1:]).resolve() == (root / UNIT[1:]).resolve()


def test_without_an_ssh_server_there_is_no_such_unit(root):
    (root / "usr/sbin/sshd").unlink()
    sealed(root)
    assert not (root / UNIT[1:]).exists()


def test_nothing_outside_is_touched(root, tmp_path):
    outside = tmp_path / "outside"
    for name in ("log/secret.log", "tmp/file", "keys/authorized_keys", "machine-id"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text("mine")
    import shutil

    for name, target in (("var/log", "log"), ("tmp", "tmp"), ("root/.ssh", "keys")):
        shutil.rmtree(root / name)
        (root / name).symlink_to(outside / target)
    (root / "etc/machine-id").unlink()
    (root / "etc/machine-id").symlink_to(outside / "machine-id")
    (root / "home/b").symlink_to(outside)
    (outside / ".bash_history").write_text("mine")
    sealed(root)
    assert {path.read_text() for path in outside.rglob("*") if path.is_file()} == {"mine"}
    assert not (root / "etc/machine-id").is_symlink()


def test_every_name_has_something_to_take():
    assert set(PATTERNS) | {"machine_id", "logs"} == set(NAMES)
