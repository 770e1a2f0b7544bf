"""The user's own ansible.cfg."""

from __future__ import annotations

import configparser
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path


class UserConfig:
    """The user's own ansible.cfg, as far as hostmend must know of it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
        self.path = self._find()
        if self.path is not None:
            with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
                self.parser.read(self.path, encoding="utf-8")

    def _find(self) -> Path | None:
        given = self.environ.get("ANSIBLE_CONFIG")
        if given:
            path = Path(given).expanduser()
            return path / "ansible.cfg" if path.is_dir() else path
        for path in (Path.cwd() / "ansible.cfg", Path.home() / ".ansible.cfg", Path("/etc/ansible/ansible.cfg")):
            # Started by sudo, the directory that this is in may be one that the user cannot enter.
            with contextlib.suppress(OSError):
                if path.is_file() and not (path.parent == Path.cwd() and path.parent.stat().st_mode & 0o002):
                    return path
        return None

    def get(self, section: str, key: str) -> str | None:
        return self.parser.get(section, key, fallback=None)

    def paths(self, section: str, key: str) -> list[str]:
        """Return a path list of the file, each path made absolute as Ansible does."""
        base = self.path.parent if self.path is not None else Path.cwd()
        parts = (self.get(section, key) or "").split(os.pathsep)
        return [str(base / Path(part.strip()).expanduser()) for part in parts if part.strip()]

    def has_inventory(self) -> bool:
        return bool(self.environ.get("ANSIBLE_INVENTORY") or self.get("defaults", "inventory"))
