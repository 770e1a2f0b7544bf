"""What an inventory tells of the hosts that a schedule goes to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def hosts_of(text: str) -> dict[str, Any] | None:
    """Return the hosts that ansible-inventory lists, each with its variables; None where it lists nothing."""
    try:
        found = json.loads(text)
        made: dict[str, Any] = {one: {} for group in found.values() for one in group.get("hosts", ())}
        return {**made, **found["_meta"]["hostvars"]}
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def connects_locally(options: Sequence[str]) -> bool:
    """Tell whether the options of Ansible have it work on this machine."""
    text = " ".join(options)
    return any(one in f"{text} " for one in ("-c local ", "--connection local ", "--connection=local ", "-clocal "))
