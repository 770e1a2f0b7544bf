"""Where a root filesystem comes from, and where its image goes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hostmend.core.errors import HostmendError
from hostmend.image import archive, filesystem, storage

#: What hostmend needs in an image, what its fixes use, and what makes it boot.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "nftables", "logrotate", "ca-certificates")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]*\Z")


@dataclass(frozen=True)
class Place:
    """A root filesystem that can be worked on."""

    root: Path
    work: Path  # a directory of our own, gone afterwards
    container: str = ""  # of podman or buildah, where the root filesystem is that of one
    shown: str = ""  # what a person calls it: the folder that is worked in is gone when he reads of it


@dataclass(frozen=True)
class Target:
    """Where an image goes."""

    kind: str  # "tar" | "directory" | "storage" | "in place"
    path: Path | None = None
    name: str = ""

    @property
    def shown(self) -> str:
        """What a person calls it."""
        return storage.PREFIX + self.name if self.kind == "storage" else str(self.path)


def target(output: str | None, source: str | None, in_place: bool, suite: str, force: bool) -> Target:
    """Return where the image goes; complain before anything is done where it cannot."""
    if in_place:
        if output is not None or source is None or source.startswith(storage.PREFIX) or not Path(source).is_dir():
            raise HostmendError("--in-place is for a directory that --from names, and takes no -o")
        path = Path(source).resolve()
        if not os.access(path, os.W_OK) or os.statvfs(path).f_flag & os.ST_RDONLY:
            raise HostmendError(f"{path} is read-only: mount it for writing")
        return Target("in place", path)
    if output is None:
        if source is not None:
            raise HostmendError("say where the image goes with -o, or harden a directory itself with --in-place")
        stamp = time.strftime("%Y%m%d", time.gmtime(archive.epoch_now()))
        output = f"hostmend-{suite}-{os.uname().machine}-{stamp}.tar"
    if output.startswith(storage.PREFIX):
        return _in_storage(output.removeprefix(storage.PREFIX), force)
    path = Path(output).expanduser().absolute()
    if os.path.lexists(path) and not force:
        raise HostmendError(f"{path} exists already: --force replaces it")
    if not path.parent.is_dir():
        raise HostmendError(f"there is no directory {path.parent}")
    kind = "tar" if archive.ending(path) else "directory"
    if os.path.lexists(path):
        _replaceable(path, kind)
    if source is not None and not source.startswith(storage.PREFIX):
        _apart(path, source)
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise HostmendError(f"{path.parent} cannot be written: {error.strerror}") from error
    if kind == "directory" and path.suffix:
        endings = ", ".join(archive.COMPRESSORS)
        raise HostmendError(f"{path.name}: name a tarball ({endings}), a directory, or {storage.PREFIX}NAME")
    return Target(kind, path)


def _in_storage(name: str, force: bool) -> Target:
    """Return the image of the container engine's storage that has the name."""
    images = storage.engine()
    if not NAME.match(name.replace("/", "-").replace("@", "-")):
        raise HostmendError(f"{name!r} is no name of an image")
    if images.exists(name) and not force:
        raise HostmendError(f"there is an image {name} already: --force replaces it")
    return Target("storage", name=name)


def _apart(path: Path, source: str) -> None:
    """Complain where the image would go into its source, or take its place."""
    given, goal = Path(source).expanduser().resolve(), path.parent.resolve() / path.name
    # Everything lies in /, which is refused for running.
    if given.is_dir() and given in goal.parents and given != Path("/"):
        raise HostmendError(f"{path} lies in {source}, which stays as it is: name a place outside")
    if goal in given.parents:
        raise HostmendError(f"{source} lies in {path}, which would be replaced: name another place")


def _replaceable(path: Path, kind: str) -> None:
    """Complain of what even --force does not replace: it would fail after all the work, or take other filesystems with it."""
    if kind == "tar" and path.is_dir() and not path.is_symlink():
        raise HostmendError(f"{path} is a directory, and no tarball takes its place")
    if kind == "directory" and (path.is_symlink() or not path.is_dir()):
        raise HostmendError(f"{path} is no directory, and none takes its place")
    mounted = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    if kind == "directory" and (below := filesystem.mounts(path.resolve(), mounted)):
        raise HostmendError(f"{below[0]} is mounted: unmount it, or name another place than {path}")


@contextlib.contextmanager
def workplace(beside: Path | None) -> Iterator[Path]:
    """Have a directory to work in while this lasts, on the filesystem where the image goes.

    Others stay out: what is unpacked there may have programs that run as root for whoever calls them.
    """
    parent = beside if beside is not None else Path(os.environ.get("TMPDIR", "/var/tmp"))
    work = Path(tempfile.mkdtemp(prefix=".hostmend-image-", dir=parent))
    try:
        yield work
    finally:
        with filesystem.undisturbed():
            shutil.rmtree(work, ignore_errors=True)


def have_mmdebstrap() -> None:
    """Complain where mmdebstrap is missing."""
    if not shutil.which("mmdebstrap"):
        raise HostmendError(
            "mmdebstrap is missing, which makes a root filesystem: apt-get install mmdebstrap, or name one with --from"
        )


def bootstrap(suite: str, include: Sequence[str], root: Path) -> None:
    """Make a root filesystem of a suite of Debian with mmdebstrap, from where this machine's own apt gets packages."""
    have_mmdebstrap()
    packages = [*PACKAGES, *(part for one in include for part in one.split(",") if part)]
    for name in [suite, *packages]:
        if not NAME.match(name):
            raise HostmendError(f"{name!r} is no name of a suite or package")
    filesystem.call(
        ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(dict.fromkeys(packages))}", suite,
         str(root)],
        f"{suite} cannot be bootstrapped",
    )  # fmt: skip
    for name in ("hostname", "resolv.conf"):  # this machine's own: mmdebstrap leaves them
        (root / "etc" / name).unlink(missing_ok=True)


@contextlib.contextmanager
def opened(
    source: str | None, suite: str, include: Sequence[str], work: Path, copy: bool, tarball: bool = False
) -> Iterator[Place]:
    """Have a root filesystem to work on while this lasts.

    :param source: a tarball, a directory, or an OCI image in the storage of containers; None makes one.
    :param copy: whether a directory is copied, so that it stays as it is.
    :param tarball: whether one is made of it, which holds no devices.
    """
    root = work / "root"
    if source is None:
        bootstrap(suite, include, root)
    elif source.startswith(storage.PREFIX):
        images = storage.engine()
        name = source.removeprefix(storage.PREFIX)
        if not images.exists(name):
            raise HostmendError(f"there is no image {name} in the storage of containers")
        with images.mounted(name) as (container, mount):
            filesystem.recognise(mount, source)
            if tarball:
                archive.refuse_devices(mount, source)
            yield Place(mount, work, container, source)
        return
    else:
        path = Path(source).expanduser()
        if path.is_dir():
            filesystem.recognise(path)
            if not copy:
                yield Place(path.resolve(), work, shown=source)
                return
            if tarball:
                archive.refuse_devices(path, source)
            filesystem.copy(path, root)
        elif path.is_file():
            archive.unpack(path, root)
        else:
            raise HostmendError(f"there is no file or directory {path}; an OCI image is {storage.PREFIX}NAME")
    filesystem.recognise(root, source or suite)
    yield Place(root, work, shown=source or suite)


def deliver(place: Place, goal: Target, epoch: int) -> list[str]:
    """Put the image where it goes, whole or not at all, and return what there is then."""
    if goal.kind == "in place":
        return [goal.shown]
    if goal.kind == "storage":
        if place.container:
            return [f"{goal.shown} {storage.engine().commit(place.container, goal.name)}"]
        return [f"{goal.shown} {storage.engine().store(place.root, place.work, goal.name, epoch)}"]
    assert goal.path is not None
    if goal.kind == "directory":
        root = place.root
        if place.container:
            root = place.work / "copy"
            filesystem.call(["cp", "--archive", "--", str(place.root), str(root)], f"{goal.path} cannot be written")
        if goal.path.is_dir():
            goal.path.rename(place.work / "replaced")  # goes with the place of work
        root.rename(goal.path)
        return [goal.shown]
    part = place.work / goal.path.name
    archive.pack(place.root, part, epoch)
    digest = archive.digest(part)
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    archive.sums(part).write_text(f"{digest}  {goal.path.name}\n", "utf-8")
    part.replace(goal.path)
    archive.sums(part).replace(archive.sums(goal.path))
    return [goal.shown, f"{archive.sums(goal.path)} {digest}"]
