"""What of the tree runs on hosts, and the Pythons of this machine to try it with."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from hostmend.agent import build
from tests.support.paths import ROOT

COLLECTION = "ansible_collections.hostmend.hardening"
OLDEST = (3, 6)
VERSIONS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


@functools.cache
def modules() -> dict[str, Path]:
    """Return what runs on hosts, by module: all of module_utils and of the modules, and what else the agent carries."""
    made = {name: path.resolve() for name, path in build.modules().items() if path is not None}
    for folder in ("module_utils", "modules"):
        for path in (ROOT / "plugins" / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            made[".".join((COLLECTION, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return dict(sorted(made.items()))


@functools.cache
def interpreter(version: str) -> str | None:
    """Return a Python of the version: pyenv's own, else one on PATH that answers."""
    homes = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in [*map(str, homes.glob(f"{version}.*/bin/python{version}")), shutil.which(f"python{version}")]:
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None
