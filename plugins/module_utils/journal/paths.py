# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths: files, directories with what is below them, links, and what is absent."""

import os
from typing import Any, Dict, List, Optional, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

# More than this below one path is somebody's data, not configuration.
NODES = 20000
SEPARATOR = "\x1f"


def subjects(path: str) -> List[Tuple[str, bool]]:
    """Return the (path, deep) pairs to keep for one path that a role is about to change.

    Parents that are missing come first, so that those the role makes go away again; a link
    brings what it points to.
    """
    path = os.path.normpath(path)
    if not os.path.isabs(path):
        raise HostError("%s is not an absolute path" % path)
    found: List[Tuple[str, bool]] = []
    parent = os.path.dirname(path)
    while parent != "/" and not os.path.lexists(parent):
        found.insert(0, (parent, False))
        parent = os.path.dirname(parent)
    found.append((path, True))
    if os.path.islink(path):
        found.extend(subjects(os.path.realpath(path)))
    return found


def read(subject: Dict[str, Any], keep: Optional[files.Keep] = None) -> Dict[str, Any]:
    """Return the image of a path: its nodes by their relative names ("" is the path itself)."""
    path, deep = subject["name"], subject.get("deep", True)
    nodes = {"": files.read_node(path, keep)}
    if deep and nodes[""]["type"] == "dir":
        device = os.lstat(path).st_dev
        pending = [""]
        while pending:
            folder = pending.pop()
            for name in sorted(os.listdir(os.path.join(path, folder))):
                relative = os.path.join(folder, name)
                node = files.read_node(os.path.join(path, relative), keep)
                if node["type"] == "absent":
                    continue
                nodes[relative] = node
                if len(nodes) > NODES:
                    raise HostError("%s holds more than %d files: name what the role changes in it" % (path, NODES))
                if node["type"] == "dir" and os.lstat(os.path.join(path, relative)).st_dev == device:
                    pending.append(relative)
    return {"nodes": nodes}


def aspects(image: Dict[str, Any]) -> Dict[str, Any]:
    """Return what can change by itself, by name, comparable."""
    found: Dict[str, Any] = {}
    for relative, node in image["nodes"].items():
        if node["type"] == "absent":
            continue
        parts = {"content": files.content(node), "owner": [node["uid"], node["gid"]], "xattrs": node["xattrs"]}
        if node["type"] != "link":
            parts["mode"] = node["mode"]
            parts["flags"] = node.get("flags", 0)
        for part, value in parts.items():
            found[relative + SEPARATOR + part] = value
    return found


def describe(subject: Dict[str, Any], key: str) -> Tuple[str, str]:
    """Return (path, what of it) for an aspect."""
    relative, part = key.split(SEPARATOR)
    return (os.path.join(subject["name"], relative) if relative else subject["name"]), part


def restore(subject: Dict[str, Any], before: Dict[str, Any], now: Dict[str, Any], keys: List[str],
            blob: files.Blob) -> List[str]:
    """Bring the aspects named by ``keys`` back; returns notes."""
    by_node: Dict[str, Set[str]] = {}
    for key in keys:
        relative, part = key.split(SEPARATOR)
        by_node.setdefault(relative, set()).add(part)
    absent = {"type": "absent"}
    going = [name for name in by_node if before["nodes"].get(name, absent)["type"] == "absent"]
    coming = [name for name in by_node if name not in going]
    notes: List[str] = []
    # What goes away goes from the bottom up, what comes back from the top down.
    for relative in sorted(going, reverse=True):
        notes += files.write_node(os.path.join(subject["name"], relative).rstrip("/"), absent, blob)
    for relative in sorted(coming):
        old, present = before["nodes"][relative], now["nodes"].get(relative, absent)
        parts = by_node[relative]
        wanted = dict(old)
        if "content" not in parts and present["type"] == old["type"]:
            wanted = dict(present)
        for part, names in (("owner", ("uid", "gid")), ("mode", ("mode",)), ("xattrs", ("xattrs",)),
                            ("flags", ("flags",))):
            source = old if part in parts or present["type"] == "absent" else present
            for name in names:
                if name in source:
                    wanted[name] = source[name]
        notes += files.write_node(os.path.join(subject["name"], relative).rstrip("/"), wanted, blob)
    return notes


def restore_times(subject: Dict[str, Any], before: Dict[str, Any], after: Optional[Dict[str, Any]]) -> None:
    """Give back the times of what is as it was: a file whose content is the old one, a directory with the old names.

    Deepest first, as writing in a directory changes its time.
    """
    nodes, left = before["nodes"], (after or {"nodes": {}})["nodes"]
    for relative in sorted(nodes, key=lambda name: (name.count("/"), name != ""), reverse=True):
        node = nodes[relative]
        path = os.path.join(subject["name"], relative) if relative else subject["name"]
        if left.get(relative, {}).get("mtime") == node.get("mtime") and node["type"] != "dir":
            continue  # not the run's doing
        if node["type"] not in ("file", "link", "dir") or not _is_as_before(path, relative, node, nodes, subject):
            continue
        state = os.lstat(path)
        if state.st_mtime_ns == node["mtime"]:
            continue
        flags = files.read_flags(path) if node["type"] != "link" else 0
        if flags:
            files.write_flags(path, 0)
        os.utime(path, ns=(state.st_atime_ns, node["mtime"]), follow_symlinks=False)
        if flags:
            files.write_flags(path, flags)


def _is_as_before(path: str, relative: str, node: Dict[str, Any], nodes: Dict[str, Any], subject: Dict[str, Any]) -> bool:
    if not os.path.lexists(path):
        return False
    if node["type"] != "dir":
        return files.content(files.read_node(path)) == files.content(node)
    if not os.path.isdir(path) or os.path.islink(path) or not subject.get("deep", True):
        return False
    prefix = relative + "/" if relative else ""
    names = {name[len(prefix):] for name in nodes if name and name.startswith(prefix) and "/" not in name[len(prefix):]}
    return set(os.listdir(path)) == names
