# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units: whether they are enabled, masked and active, with or without systemd."""

from __future__ import annotations

import glob
import os

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process

ROOTS = ("/etc/systemd/system", "/run/systemd/system")
SYSV = "/etc/rc?.d"


def full_name(name):
    """Return the unit's name with its type."""
    known = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".swap", ".slice", ".automount")
    return name if name.endswith(known) else name + ".service"


def systemd_runs():
    """True where systemd is the running manager of units."""
    return os.path.isdir("/run/systemd/system") and process.which("systemctl") is not None


def links(name):
    """Return the links that enable, alias or mask the unit: {path: where it points}."""
    found = {}
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


def empty_folders():
    """Return the directories of links that are there and empty: these were not made by enabling the unit."""
    found = [path for root in ROOTS for ending in (".wants", ".requires") for path in glob.glob("%s/*%s" % (root, ending))]
    return sorted(path for path in found if not os.listdir(path))


def read(subject, keep=None):
    """Return the image of a unit."""
    name = subject["name"]
    image = {"links": links(name), "empty": empty_folders(), "active": "unknown", "enabled": "unknown",
             "load": "unknown", "fragment": ""}
    if systemd_runs():
        shown = dict(line.split("=", 1) for line in process.must(
            ["systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState,FragmentPath", "--", name]).splitlines()
            if "=" in line)
        image["load"] = shown.get("LoadState", "unknown")
        image["enabled"] = shown.get("UnitFileState", "") or "none"
        image["fragment"] = shown.get("FragmentPath", "")
        state = shown.get("ActiveState", "unknown")
        image["active"] = "active" if state in ("active", "activating", "reloading", "refreshing") else "inactive"
    return image


def aspects(image):
    """Return what can change by itself."""
    found = {"link " + path: target for path, target in image["links"].items()}
    found["active"] = image["active"]
    return found


def describe(subject, key):
    """Return (name, what of it) for an aspect."""
    return subject["name"], key


def restore_links(before, keys):
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
        else:
            folder = os.path.dirname(path)
            if folder.endswith((".wants", ".requires")) and not os.listdir(folder) and folder not in before.get("empty", ()):
                os.rmdir(folder)
        changed = True
    return changed


def daemon_reload():
    """Have systemd read its units again."""
    if systemd_runs():
        process.must(["systemctl", "daemon-reload"])


def restore_activity(subject, before, wait=True):
    """Start or stop the unit as it was; returns notes."""
    if not systemd_runs() or before["active"] == "unknown":
        return ["%s: no systemd runs here, start or stop it by hand" % subject["name"]]
    process.run(["systemctl", "reset-failed", "--", subject["name"]])
    argv = ["systemctl"] + ([] if wait else ["--no-block"])
    if before["active"] == "active":
        process.must(argv + ["start", "--", subject["name"]])
    elif process.run(["systemctl", "is-active", "--", subject["name"]])[1].strip() not in ("inactive", "failed", "unknown"):
        # A unit whose file has gone back to nothing may be gone by itself.
        process.must(argv + ["stop", "--", subject["name"]])
    return []


def reload(name):
    """Have a unit that runs take its restored configuration."""
    if systemd_runs():
        verb = "reload-or-restart" if name.endswith(".service") else "restart"
        process.must(["systemctl", verb, "--", name])
