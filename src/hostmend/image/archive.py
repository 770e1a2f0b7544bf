"""Tarballs: what is in them is looked at before anything is unpacked, and packing yields the same bytes for the same files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hostmend.core.errors import HostmendError
from hostmend.image.filesystem import call

#: How each ending is compressed: the program, and its words for the same bytes every time.
COMPRESSORS = {
    ".tar": [],
    ".tar.gz": ["gzip", "-n"],
    ".tgz": ["gzip", "-n"],
    ".tar.xz": ["xz", "-T0"],
    ".tar.zst": ["zstd", "-q", "-T0"],
}
MOST_MEMBERS = 5_000_000
#: What a server in a chroot of its own has there: null, zero, full, random, urandom, tty.
HARMLESS = {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)}


def ending(path: Path) -> str:
    """Return the ending of a tarball's name, '' where it is not that of one."""
    return next((one for one in sorted(COMPRESSORS, key=len, reverse=True) if path.name.endswith(one)), "")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as handle:
        magic = handle.read(4)
    if magic == b"\x28\xb5\x2f\xfd":
        if not shutil.which("zstd"):
            raise HostmendError(f"{path} is compressed with zstd: install the package zstd")
        with subprocess.Popen(["zstd", "-dcq", str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            try:
                yield child.stdout
            finally:
                child.stdout.close()
                child.terminate()
        return
    with path.open("rb") as handle:
        yield handle


def fault(member: tarfile.TarInfo) -> str:
    """Return what is wrong with a member of a tarball of a root filesystem; '' where nothing is."""
    name = member.name
    if name.startswith("/") or ".." in name.split("/"):
        return f"{name!r} leads out of the root filesystem"
    if member.islnk() and (member.linkname.startswith("/") or ".." in member.linkname.split("/")):
        return f"{name!r} is a hard link to {member.linkname!r}, out of the root filesystem"
    if _odd(member.isblk(), member.ischr(), (member.devmajor, member.devminor)) and not device(name):
        return f"{name!r} is a device, and not in /dev"
    return ""


def _odd(block: bool, character: bool, number: tuple[int, int]) -> bool:
    """Tell whether something is a device that has no place outside /dev."""
    return block or (character and number not in HARMLESS)


def refuse_devices(root: Path, shown: str) -> None:
    """Complain of a device that the tarball of a root filesystem could not hold: unpacking would refuse it."""
    waiting, home = [os.fsencode(root)], os.lstat(root).st_dev
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for one in entries:
                if one.is_symlink() or one.is_file(follow_symlinks=False):
                    continue
                about = one.stat(follow_symlinks=False)
                name = os.fsdecode(os.path.relpath(one.path, os.fsencode(root)))
                if stat.S_ISDIR(about.st_mode):
                    if about.st_dev == home and name != "dev":
                        waiting.append(one.path)
                elif _odd(
                    stat.S_ISBLK(about.st_mode),
                    stat.S_ISCHR(about.st_mode),
                    (os.major(about.st_rdev), os.minor(about.st_rdev)),
                ):
                    raise HostmendError(f"{shown} holds {name!r}, a device that is not in /dev: remove it there first")


def device(name: str) -> bool:
    """Tell whether a member is in /dev, of which nothing is unpacked: a boot makes it anew."""
    return name.removeprefix("./").startswith("dev/")


def inspect(path: Path) -> None:
    """Complain of a tarball that cannot be read, or has members that no root filesystem has."""
    try:
        with _opened(path) as handle, tarfile.open(fileobj=handle, mode="r|*") as archive:
            for number, member in enumerate(archive):
                if number > MOST_MEMBERS:
                    raise HostmendError(f"{path} has more than {MOST_MEMBERS} members")
                if why := fault(member):
                    raise HostmendError(f"{path} is not unpacked: {why}")
                vars(archive)["members"] = []  # what was looked at is let go
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise HostmendError(f"{path} is no tarball that can be read: {error}") from error


def unpack(path: Path, root: Path) -> None:
    """Unpack a tarball of a root filesystem, owners, attributes and all."""
    inspect(path)
    root.mkdir(mode=0o755)
    # GNU tar itself makes links that lead out only when all else is written, and strips what is absolute.
    call(
        ["tar", "--extract", "--file", str(path), "--directory", str(root), "--numeric-owner", "--same-owner",
         "--preserve-permissions", "--xattrs", "--xattrs-include=*", "--acls", "--exclude=./dev/*", "--exclude=dev/*",
         "--anchored"],
        f"{path} cannot be unpacked",
    )  # fmt: skip


def pack(root: Path, path: Path, epoch: int) -> None:
    """Pack a root filesystem into a tarball; ``epoch`` is the newest time that a file in it may have."""
    words = COMPRESSORS[ending(path)]
    if words and not shutil.which(words[0]):
        raise HostmendError(f"{path.name} wants {words[0]}, which is not installed")
    # Version 0.0 of sparse files is the one whose headers do not hold the number of tar's process.
    call(
        ["tar", "--create", "--sparse", "--sparse-version=0.0", "--file", str(path), "--directory", str(root),
         "--one-file-system", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sort=name",
         f"--mtime=@{epoch}", "--clamp-mtime", "--format=posix",
         "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "--anchored", "--exclude=./dev/*",
         *([f"--use-compress-program={' '.join(words)}"] if words else []), "."],
        f"{path} cannot be written",
    )  # fmt: skip


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sums(path: Path) -> Path:
    """Return where the digest of a file is kept, in the form that ``sha256sum -c`` reads."""
    return path.with_name(path.name + ".sha256")


def kept_digest(path: Path) -> str:
    """Return the digest that is kept beside a file, '' where there is none."""
    try:
        return sums(path).read_text("utf-8").split()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def epoch_now() -> int:
    """Return the time that stands for now: SOURCE_DATE_EPOCH where it is set."""
    import time

    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(given) if given.isdigit() else int(time.time())
