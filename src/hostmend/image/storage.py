"""OCI images in the storage of containers: mounted while they are worked on, and committed to a new one.

podman does it where it is there, buildah where it alone is; both have the same storage.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from hostmend.core.errors import HostmendError
from hostmend.image import archive
from hostmend.image.filesystem import call, undisturbed

PREFIX = "containers-storage:"
BOOT = "/sbin/init"
#: How to be rid of a container that something still uses; buildah asks nobody.
FORCE = {"podman": ["--force"], "buildah": []}


class Engine(Protocol):
    """What is done with images."""

    def exists(self, name: str) -> bool:
        """Tell whether there is an image of that name."""

    def mounted(self, name: str) -> contextlib.AbstractContextManager[tuple[str, Path]]:
        """Have a container of an image, and its root filesystem, while this lasts."""

    def commit(self, container: str, name: str) -> str:
        """Make an image of a container and return its id."""

    def store(self, root: Path, work: Path, name: str, epoch: int) -> str:
        """Make an image of a root filesystem and return its id."""


class Podman:
    """Images by podman."""

    def exists(self, name: str) -> bool:
        return _works(["podman", "image", "exists", name])

    @contextlib.contextmanager
    def mounted(self, name: str) -> Iterator[tuple[str, Path]]:
        told = json.loads(call(["podman", "image", "inspect", name], f"the image {name} cannot be read"))
        # podman makes no container that has nothing to run.
        words = [] if _runs(told[0].get("Config")) else [BOOT]
        container = call(["podman", "create", "--pull=never", name, *words], f"no container of {name} can be made").strip()
        with _mount("podman", container, name) as root:
            yield container, root

    def commit(self, container: str, name: str) -> str:
        return call(["podman", "commit", "--quiet", container, name], f"the image {name} cannot be made").strip()

    def store(self, root: Path, work: Path, name: str, epoch: int) -> str:
        part = work / "image.tar"
        archive.pack(root, part, epoch)
        argv = ["podman", "import", "--quiet", "--change", f'CMD ["{BOOT}"]', str(part), name]
        return call(argv, f"the image {name} cannot be made").strip().splitlines()[-1]


class Buildah:
    """Images by buildah."""

    def exists(self, name: str) -> bool:
        return _works(["buildah", "inspect", "--type", "image", name])

    @contextlib.contextmanager
    def mounted(self, name: str) -> Iterator[tuple[str, Path]]:
        container = call(["buildah", "from", "--pull-never", name], f"no container of {name} can be made").strip()
        with _mount("buildah", container, name) as root:
            yield container, root

    def commit(self, container: str, name: str) -> str:
        return call(["buildah", "commit", "--quiet", container, name], f"the image {name} cannot be made").strip()

    def store(self, root: Path, work: Path, name: str, epoch: int) -> str:
        container = call(["buildah", "from", "scratch"], f"the image {name} cannot be made").strip()
        with _mount("buildah", container, name) as mount:
            call(["cp", "--archive", "--", f"{root}/.", str(mount)], f"the image {name} cannot be written")
            call(["buildah", "config", "--cmd", BOOT, container], f"the image {name} cannot be made")
            return self.commit(container, name)


def engine() -> Engine:
    """Return what images are made with here; complain where there is nothing for that."""
    if shutil.which("podman"):
        return Podman()
    if shutil.which("buildah"):
        return Buildah()
    raise HostmendError("OCI images need podman or buildah: install one of these packages")


@contextlib.contextmanager
def _mount(program: str, container: str, name: str) -> Iterator[Path]:
    """Have the root filesystem of a container while this lasts; the container is gone afterwards."""
    try:
        root = Path(call([program, "mount", container], f"{name} cannot be mounted").strip())
        try:
            yield root
        finally:
            with undisturbed():
                call([program, "umount", *FORCE[program], container], f"{name} cannot be unmounted")
    finally:
        with undisturbed():
            call([program, "rm", *FORCE[program], container], f"the container of {name} cannot be removed")


def _works(argv: list[str]) -> bool:
    try:
        call(argv, "")
    except HostmendError:
        return False
    return True


def _runs(config: Any) -> bool:
    """Tell whether an image says what is run of it."""
    return isinstance(config, dict) and bool(config.get("Cmd") or config.get("Entrypoint"))
