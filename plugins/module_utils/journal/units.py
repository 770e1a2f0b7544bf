# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units: whether they are enabled, masked and active, with or without systemd."""

import glob
import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import listeners

ROOTS = ("/etc/systemd/system", "/run/systemd/system")
SYSV = "/etc/rc?.d"
ACTIVE = ("active", "activating", "reloading", "refreshing")
# Loads, and starts nothing.
INERT = "[Unit]\nConditionPathExists=!/\n\n[Service]\nType=oneshot\nExecStart=/bin/true\n"


class Refusal(NamedTuple):
    """A command that the host did not carry out, and why."""

    command: str
    reason: str


def full_name(name: str) -> str:
    """Return the unit's name with its type."""
    known = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".swap", ".slice", ".automount")
    return name if name.endswith(known) else name + ".service"


def systemd_runs() -> bool:
    """True where systemd is the running manager of units."""
    return os.path.isdir("/run/systemd/system") and process.which("systemctl") is not None


def links(name: str) -> Dict[str, str]:
    """Return the links that enable, alias or mask the unit: {path: where it points}."""
    found: Dict[str, str] = {}
    for root in ROOTS:
        for folder, _folders, names in os.walk(root):
            for entry in names + _folders:
                path = os.path.join(folder, entry)
                if os.path.islink(path):
                    target = os.readlink(path)
                    if entry == name or os.path.basename(target) == name:
                        found[path] = target
    if name.endswith(".service"):
        for path in glob.glob("%s/[SK][0-9][0-9]%s" % (SYSV, glob.escape(name[:-len(".service")]))):
            if os.path.islink(path):
                found[path] = os.readlink(path)
    return found


def empty_folders() -> List[str]:
    """Return the directories of links that are there and empty: these were not made by enabling the unit."""
    found = [path for root in ROOTS for ending in (".wants", ".requires") for path in glob.glob("%s/*%s" % (root, ending))]
    return sorted(path for path in found if not os.listdir(path))


def read(subject: Dict[str, Any], keep: Any = None) -> Dict[str, Any]:
    """Return the image of a unit."""
    name = subject["name"]
    image: Dict[str, Any] = {"links": links(name), "empty": empty_folders(), "active": "unknown", "enabled": "unknown",
                             "load": "unknown", "fragment": "", "listens": []}
    image["times"] = {path: os.lstat(path).st_mtime_ns for path in image["links"]}
    if systemd_runs():
        shown = dict(line.split("=", 1) for line in process.must(
            ["systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState,FragmentPath", "--", name]).splitlines()
            if "=" in line)
        image["load"] = shown.get("LoadState", "unknown")
        image["enabled"] = shown.get("UnitFileState", "") or "none"
        image["fragment"] = shown.get("FragmentPath", "")
        state = shown.get("ActiveState", "unknown")
        image["active"] = "active" if state in ACTIVE else "inactive"
        if image["active"] == "active":
            image["listens"] = listeners.read(name)
    return image


def aspects(image: Dict[str, Any]) -> Dict[str, Any]:
    """Return what can change by itself."""
    found = {"link " + path: target for path, target in image["links"].items()}
    found["active"] = image["active"]
    return found


def describe(subject: Dict[str, Any], key: str) -> Tuple[str, str]:
    """Return (name, what of it) for an aspect."""
    return subject["name"], key


def restore_links(before: Dict[str, Any], keys: List[str]) -> bool:
    """Bring the links back that enable, disable or mask; returns True where one changed."""
    changed = False
    for key in sorted(keys):
        if not key.startswith("link "):
            continue
        path = key[len("link "):]
        if os.path.islink(path):
            os.unlink(path)
        if path in before["links"]:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            os.symlink(before["links"][path], path)
            if path in before.get("times", {}):
                os.utime(path, ns=(os.lstat(path).st_atime_ns, before["times"][path]), follow_symlinks=False)
        else:
            folder = os.path.dirname(path)
            if folder.endswith((".wants", ".requires")) and not os.listdir(folder) and folder not in before.get("empty", ()):
                os.rmdir(folder)
        changed = True
    return changed


def daemon_reload() -> None:
    """Have systemd read its units again."""
    if systemd_runs():
        process.must(["systemctl", "daemon-reload"])


def activity(name: str) -> str:
    """Return active, inactive or unknown."""
    if not systemd_runs():
        return "unknown"
    state = process.run(["systemctl", "show", "-p", "ActiveState", "--value", "--", name])[1].strip()
    return "active" if state in ACTIVE else "inactive" if state else "unknown"


def _systemctl(verb: str, name: str, *options: str) -> Optional[Refusal]:
    """Run systemctl; returns what the host refused, with the reason that it gives."""
    argv = ["systemctl"] + list(options) + [verb, "--", name]
    status, out, err = process.run(argv, seconds=150)
    if not status:
        return None
    lines = (err.strip() or out.strip()).splitlines()
    result = process.run(["systemctl", "show", "-p", "Result", "--value", "--", name])[1].strip()
    reason = lines[0][:300] if lines else "ended with status %d" % status
    if result not in ("", "success") and result not in reason:
        reason += " (%s)" % result
    return Refusal("systemctl %s %s" % (verb, name), reason)


def restore_activity(subject: Dict[str, Any], before: Dict[str, Any], wait: bool = True) -> Optional[Refusal]:
    """Start or stop the unit as it was; returns what the host refused."""
    name = subject["name"]
    if not systemd_runs() or before["active"] == "unknown":
        return Refusal("start or stop %s" % name, "no systemd runs here: do it by hand")
    options = [] if wait else ["--no-block"]
    process.run(["systemctl", "reset-failed", "--", name])
    if before["active"] == "active":
        return _start_despite_mask(name, options) or _systemctl("start", name, *options)
    if process.run(["systemctl", "is-active", "--", name])[1].strip() in ("inactive", "failed", "unknown"):
        # A unit whose file has gone back to nothing may be gone by itself.
        return None
    return _systemctl("stop", name, *options)


def _start_despite_mask(name: str, options: List[str]) -> Optional[Refusal]:
    """Start a socket that listened although its service is masked, which systemd refuses; None where that is not so.

    For the moment of the start an inert unit stands in the place of the mask.
    """
    if not name.endswith(".socket"):
        return None
    service = process.run(["systemctl", "show", "-p", "Triggers", "--value", "--", name])[1].strip()
    mask = os.path.join(ROOTS[0], service)
    if not service.endswith(".service") or not os.path.islink(mask) or os.readlink(mask) != os.devnull:
        return None
    state = os.lstat(mask)
    try:
        _put(mask, lambda path: _write(path, INERT))
        daemon_reload()
        refusal = _systemctl("start", name, *[option for option in options if option != "--no-block"])
    finally:
        _put(mask, lambda path: os.symlink(os.devnull, path))
        os.utime(mask, ns=(state.st_atime_ns, state.st_mtime_ns), follow_symlinks=False)
        daemon_reload()
    return refusal


def _put(path: str, make: Callable[[str], None]) -> None:
    """Put what ``make`` makes in the place of a path, so that the path is never absent."""
    temporary = os.path.join(os.path.dirname(path), ".hostmend-%s" % os.urandom(8).hex())
    make(temporary)
    os.rename(temporary, path)


def _write(path: str, text: str) -> None:
    with open(path, "w") as handle:
        handle.write(text)


def reload(name: str) -> Optional[Refusal]:
    """Have a unit that runs take its restored configuration; returns what the host refused."""
    if not systemd_runs():
        return None
    return _systemctl("reload-or-restart" if name.endswith(".service") else "restart", name)
