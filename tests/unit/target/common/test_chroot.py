"""Root filesystems that are entered and not running."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.common import chroot

ROOT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
PROC = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"


IMAGE = "90 27 7:0 / / rw,relatime - ext4 /dev/loop0 rw\n"
BOUND = "91 27 254:0 /srv/root / rw,relatime - ext4 /dev/vda rw\n"
APART = "912 900 254:0 / / ro,relatime - ext4 /dev/vda rw\n"  # the same in a mount namespace of its own


@pytest.mark.parametrize(
    ("mountinfo", "wanted"), [(ROOT + PROC, None), (PROC, True), ("torn line\n" + PROC, True), (None, None)]
)
def test_where_process_1_may_not_be_looked_at_the_mounts_tell(
    tmp_path: Path, mountinfo: str | None, wanted: bool | None
) -> None:
    (tmp_path / "self").mkdir()
    if mountinfo is not None:
        (tmp_path / "self/mountinfo").write_text(mountinfo)
    assert chroot.is_chroot(str(tmp_path)) is wanted


@pytest.mark.parametrize(
    ("mine", "wanted"), [(ROOT, False), (PROC + APART, False), (IMAGE, True), (ROOT + BOUND, True), (PROC, True)]
)
def test_the_root_of_process_1_is_known_by_its_mounts_too(tmp_path: Path, mine: str, wanted: bool) -> None:
    for who, mountinfo in (("self", mine), ("1", PROC + ROOT)):
        (tmp_path / who).mkdir()
        (tmp_path / who / "mountinfo").write_text(mountinfo)
    assert chroot.is_chroot(str(tmp_path)) is wanted


def test_nothing_runs_without_proc(tmp_path: Path) -> None:
    assert chroot.is_chroot(str(tmp_path)) is True


@pytest.mark.parametrize("same", [True, False])
def test_the_root_of_process_1_is_the_running_one(tmp_path: Path, same: bool) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/root").symlink_to("/" if same else tmp_path)
    assert chroot.is_chroot(str(tmp_path)) is not same


@pytest.mark.parametrize("live", [True, False])
def test_packages_start_nothing_where_nothing_runs(tmp_path: Path, live: bool) -> None:
    path = tmp_path / "policy-rc.d"
    with chroot.no_starts(live, str(path)):
        assert path.exists() is not live
        assert live or (path.read_text().endswith("exit 101\n") and os.access(path, os.X_OK))
    assert not path.exists()
    path.write_text("an administrator's")
    with chroot.no_starts(live, str(path)):
        assert path.read_text() == "an administrator's"
    assert path.exists()
