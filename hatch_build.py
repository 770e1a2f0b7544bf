# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the Ansible collection into a standard wheel; an editable install finds it in the clone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = ("plugins", "roles", "playbooks", "meta", "galaxy.yml", "LICENSE", "README.md")
INSIDE = "ansible_collections/hostmend/hardening"


class CollectionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Map the tree of the clone to where Ansible looks for collections among installed packages."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the collection's parts, unless the build is for an editable install."""
        if version == "editable":
            return
        for part in PARTS:
            path = Path(self.root, part)
            if path.exists():
                build_data["force_include"][str(path)] = f"{INSIDE}/{part}"
