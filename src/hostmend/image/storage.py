"""OCI images in podman's storage: mounted while they are worked on, and committed to a new one."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostmend.errors import HostmendError
from hostmend.image.filesystem import call

PREFIX = "containers-storage:"


def need() -> None:
    """Complain where there is no podman."""
    if not shutil.which("podman"):
        raise HostmendError("podman is missing, which OCI images need: install the package podman")


def exists(name: str) -> bool:
    """Tell whether there is an image of that name."""
    try:
        call(["podman", "image", "exists", name], name)
    except HostmendError:
        return False
    return True


def config(name: str) -> dict[str, Any]:
    """Return what an image says of how it is run."""
    told = json.loads(call(["podman", "image", "inspect", name], f"the image {name} cannot be read"))
    made = told[0].get("Config") or {}
    return made if isinstance(made, dict) else {}


@contextlib.contextmanager
def mounted(name: str) -> Iterator[tuple[str, Path]]:
    """Have a container of an image, and its root filesystem, while this lasts."""
    about = config(name)
    words = [] if about.get("Cmd") or about.get("Entrypoint") else ["/sbin/init"]
    container = call(["podman", "create", "--pull=never", name, *words], f"no container of {name} can be made").strip()
    try:
        root = Path(call(["podman", "mount", container], f"{name} cannot be mounted").strip())
        try:
            yield container, root
        finally:
            call(["podman", "unmount", "--force", container], f"{name} cannot be unmounted")
    finally:
        call(["podman", "rm", "--force", container], f"the container of {name} cannot be removed")


def commit(container: str, name: str) -> str:
    """Make an image of a container and return its id."""
    return call(["podman", "commit", "--quiet", container, name], f"the image {name} cannot be made").strip()


def load(path: Path, name: str) -> str:
    """Make an image of a tarball and return its id."""
    argv = ["podman", "import", "--quiet", "--change", 'CMD ["/sbin/init"]', str(path), name]
    return call(argv, f"the image {name} cannot be made").strip().splitlines()[-1]
