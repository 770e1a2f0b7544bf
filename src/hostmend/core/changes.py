"""What a task changed, or would change: ``{role, kind, name, action}`` for each thing.

The same task yields the same items in check mode and in a real run, so that the two can be compared as sets. Items
of our own modules come with their result (``changes``); those of Ansible's are derived from the task's arguments.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

#: Our own tasks that a role runs for safety: what they do is not a change of the host's state.
OWN = ("security_facts", "report", "journal", "confirm", "rollback")
#: The most changes that are kept of one host, the longest name of one, and the longest diff.
MOST_CHANGES = 10_000
LONGEST_NAME = 1000
LONGEST_DIFF = 20_000
#: The longest text, in characters and in lines, that is compared with another.
COMPARED, COMPARED_LINES = 500_000, 5000
_FILES: Mapping[str, str] = {
    "copy": "written",
    "template": "written",
    "assemble": "written",
    "unarchive": "unpacked",
    "get_url": "written",
    "lineinfile": "edited",
    "blockinfile": "edited",
    "replace": "edited",
    "ini_file": "edited",
    "acl": "access changed",
}
_UNITS = ("systemd", "systemd_service", "service", "sysvinit")
_PACKAGES = ("package", "apt", "dnf", "dnf5", "yum")
_UNIT_WORDS = {
    "started": "started",
    "stopped": "stopped",
    "restarted": "restarted",
    "reloaded": "reloaded",
}


def of_task(data: Mapping[str, Any], result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the items of one task that changed something.

    :param data: the event's data: ``task``, ``task_action``, ``role``.
    :param result: the task's result.
    """
    role = str(data.get("role") or "").rsplit(".", 1)[-1]
    action = str(data.get("resolved_action") or data.get("task_action") or "").rsplit(".", 1)[-1]
    given = result.get("changes")
    if isinstance(given, list):
        items = [_item(role, change) for change in given[:MOST_CHANGES] if isinstance(change, Mapping)]
        return _with_diffs(items, result)
    arguments = _mapping(_mapping(result.get("invocation")).get("module_args"))
    made = _derive(action, arguments, result, str(data.get("task") or ""))
    diff = None if isinstance(result.get("censored"), str) else text_of_diff(result.get("diff"))
    for one in made:
        one["role"] = role
        if diff and one["kind"] == "file":
            one["diff"] = diff
    return made


def _mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping; what a host has put in its place counts as none."""
    return value if isinstance(value, Mapping) else {}


def _item(role: str, given: Mapping[str, Any]) -> dict[str, Any]:
    made = {"role": role, **{key: str(given.get(key) or "")[:LONGEST_NAME] for key in ("kind", "name", "action")}}
    for key, longest in (("check", LONGEST_NAME), ("diff", LONGEST_DIFF)):
        if given.get(key):
            made[key] = str(given[key])[:longest]
    return made


def _with_diffs(items: list[dict[str, Any]], result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give each part of a module's diff to the item that its heading names, and what is left to the first."""
    diffs = result.get("diff")
    if not items or isinstance(result.get("censored"), str):
        return items
    for part in diffs[: len(items) + 1] if isinstance(diffs, list) else [diffs]:
        text = text_of_diff(part)
        if not text:
            continue
        heading = str(part.get("before_header") or part.get("after_header") or "") if isinstance(part, Mapping) else ""
        named = [item for item in items if item["name"] and item["name"] in heading]
        item = max(named, key=lambda item: len(item["name"])) if named else items[0]
        item["diff"] = f"{item['diff']}\n{text}" if item.get("diff") else text
    return items


def _derive(action: str, args: Mapping[str, Any], result: Mapping[str, Any], task: str) -> list[dict[str, Any]]:
    if result.get("censored") or not args:
        return [_change("task", task, "changed")]  # its arguments are secret: the task's name has to do
    if action in _FILES:
        name = args.get("dest") or args.get("path") or args.get("_original_basename")
        word = (
            "removed" if args.get("state") == "absent" and action in ("lineinfile", "blockinfile") else _FILES[action]
        )
        return [_change("file", name, word)]
    if action == "file":
        words = {"absent": "removed", "directory": "made a directory", "link": "linked", "touch": "touched"}
        return [_change("file", args.get("path"), words.get(str(args.get("state")), "owner or mode changed"))]
    if action in _UNITS:
        return [_change("unit", args.get("name") or "systemd", _unit_words(args))]
    if action in _PACKAGES:
        names = args.get("name") or args.get("package") or args.get("pkg") or []
        names = names[:MOST_CHANGES] if isinstance(names, list) else [names]
        return [_change("package", name, str(args.get("state") or "present")) for name in names] or [
            _change("package", "*", str(args.get("state") or "changed"))
        ]
    if action in ("user", "group"):
        return [_change(action, args.get("name"), "removed" if args.get("state") == "absent" else "changed")]
    if action == "sysctl":
        return [_change("sysctl", args.get("name"), f"set to {args.get('value')}" if args.get("value") else "removed")]
    if action in ("command", "shell", "raw"):
        return [_change("command", task, "run")]  # not its words: a secret may be among them
    name = args.get("name") or args.get("path") or args.get("dest") or task
    return [_change(action, name, str(args.get("state") or "changed"))]


def _unit_words(args: Mapping[str, Any]) -> str:
    words = []
    if args.get("daemon_reload") and not args.get("name"):
        words.append("reloaded")
    if args.get("state") in _UNIT_WORDS:
        words.append(_UNIT_WORDS[str(args["state"])])
    if args.get("enabled") is not None:
        words.append("enabled" if str(args["enabled"]).lower() in ("true", "yes", "1") else "disabled")
    if args.get("masked") is not None:
        words.append("masked" if str(args["masked"]).lower() in ("true", "yes", "1") else "unmasked")
    return ", ".join(words) or "changed"


def _change(kind: str, name: Any, action: str) -> dict[str, Any]:
    return {"kind": kind, "name": str(name or "")[:LONGEST_NAME], "action": action[:LONGEST_NAME]}


def text_of_diff(diff: Any, limit: int = LONGEST_DIFF) -> str:
    """Return a module's diff as unified text."""
    parts: list[str] = []
    size = 0
    for part in diff if isinstance(diff, list) else [diff]:
        if not isinstance(part, Mapping) or size > limit:
            continue
        if part.get("prepared"):
            parts.append(str(part["prepared"])[:limit])
        else:
            before, after = part.get("before"), part.get("after")
            if isinstance(before, str) and isinstance(after, str) and before != after:
                names = str(part.get("before_header") or "before"), str(part.get("after_header") or "after")
                parts.append(_compared(before, after, *names))
        size += len(parts[-1]) if parts else 0
    return "\n".join(parts)[:limit]


def _compared(before: str, after: str, name_before: str, name_after: str) -> str:
    """Return how one text became another; of texts so large that comparing them takes long, only that they did."""
    old, new = before[: COMPARED + 1].splitlines(), after[: COMPARED + 1].splitlines()
    if max(len(before), len(after)) > COMPARED or max(len(old), len(new)) > COMPARED_LINES:
        return f"--- {name_before}\n+++ {name_after}\n(too large to be compared: {len(before)} and {len(after)} characters)"
    return "\n".join(difflib.unified_diff(old, new, name_before, name_after, n=2, lineterm=""))


def key(change: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return what makes two changes the same one, whether predicted or made."""
    return tuple(str(change.get(part) or "") for part in ("role", "kind", "name", "action"))  # type: ignore[return-value]


def add(known: list[dict[str, Any]], change: dict[str, Any]) -> None:
    """Add a change to those of a host; one that is known already is told once, with the diffs of both."""
    extend(known, [change])


def extend(known: list[dict[str, Any]], changes: Iterable[dict[str, Any]]) -> None:
    """Add changes to those of a host, each once; beyond ``MOST_CHANGES`` none is taken, and the last says so."""
    index = {key(change): change for change in known}
    for change in changes:
        same = index.get(key(change))
        if same is not None:
            diff = change.get("diff")
            if diff and diff not in same.get("diff", ""):
                same["diff"] = (f"{same['diff']}\n{diff}" if same.get("diff") else diff)[:LONGEST_DIFF]
        elif len(known) < MOST_CHANGES:
            known.append(change)
            index[key(change)] = change
        elif len(known) == MOST_CHANGES:
            known.append({"role": change.get("role", ""), **_change("task", "more changes", "not listed")})
