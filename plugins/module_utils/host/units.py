# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Systemd units: asked of systemd where it runs, read from unit files and links where it does not."""

import os

from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Unit

TYPES = ("service", "socket", "path", "timer")
PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "Triggers",
              "TriggeredBy", "RequiredBy", "WantedBy", "RequisiteOf", "BoundBy", "Listen")
FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
           "/usr/lib/systemd/system", "/lib/systemd/system")
# Folders whose links enable a unit, for good or until the next boot.
ENABLING = {"/etc/systemd/system": "enabled", "/run/systemd/system": "enabled-runtime"}
GENERATED = ("/run/systemd/generator.early", "/run/systemd/generator", "/run/systemd/generator.late")
MOST_LINKS = 20000


def parse_show(text):
    """Return the properties of each unit that ``systemctl show`` printed; a name may come more than once."""
    units = []
    for block in text.split("\n\n"):
        fields = {}
        for line in block.split("\n"):
            name, equals, value = line.partition("=")
            if equals and name in PROPERTIES:
                fields.setdefault(name, []).append(value)
        if fields.get("Id"):
            units.append(fields)
    return units


def unit_of(fields):
    """Return the Unit of one block of properties."""
    def first(name):
        return fields.get(name, [""])[0]

    def words(*names):
        return tuple(dict.fromkeys(word for name in names for word in first(name).split()))

    return Unit(name=first("Id"), load=first("LoadState"), active=first("ActiveState"), sub=first("SubState"),
                enabled=first("UnitFileState"), fragment=first("FragmentPath") or None,
                triggers=words("Triggers"), triggered_by=words("TriggeredBy"),
                required_by=words("RequiredBy", "WantedBy", "RequisiteOf", "BoundBy"),
                listens=tuple(value for value in fields.get("Listen", ()) if value))


def read_units(host):
    """Return the services, sockets, paths and timers of the host.

    Systemd is asked for what it has loaded, which is all that runs or that something loaded refers to. The rest is read
    from files: asked by name, systemd would load each of them anew, and search every folder for its state.
    """
    if not host.live:
        return offline_units(host)
    show = host.run(["systemctl", "show", "--all", "--no-pager", "--property=" + ",".join(PROPERTIES), "--"]
                    + ["*." + kind for kind in TYPES])
    if not show.ok and not show.out:
        return Reading((), ("systemd cannot be asked: %s" % (show.failure or show.err.strip() or "no answer"),))
    units = {}
    for fields in parse_show(show.out):
        unit = unit_of(fields)
        # What is referred to and is not there is no unit, unless it still runs.
        if unit.load != "not-found" or unit.active != "inactive":
            units.setdefault(unit.name, unit)
    files, gaps = _unit_files(host, FOLDERS + GENERATED)
    for name in files.names:
        if name not in units:
            # What nothing loaded refers to is needed by nothing that runs.
            units[name] = _offline_unit(host, name, files, needed=False)
    return Reading(tuple(units[name] for name in sorted(units)), gaps)


def offline_units(host):
    """Return the units of a root filesystem that is not running, from its unit files and links."""
    files, gaps = _unit_files(host, FOLDERS)
    if not files.names and not gaps and not os.path.isdir(host.path("/etc")):
        gaps = ("there is no /etc below %s" % host.root,)
    return Reading(tuple(_offline_unit(host, name, files) for name in files.names), gaps)


class _Files:
    """Unit files, and the links among them."""

    def __init__(self):
        self.names = []
        self.fragments = {}
        self.pulled = {}  # {unit: the units that a link has pull it in}
        self.enabled = {}  # {unit: "enabled" or "enabled-runtime"}
        self.masked = set()
        self.aliases = set()

    def add(self, host, folder, name):
        """Take in an entry of a folder of units."""
        path = "%s/%s" % (folder, name)
        if name.endswith((".wants", ".requires")):
            for link in host.list(path):
                # A unit may be wanted by another name of it; an instance is a link to its template.
                target = os.path.basename(host.link("%s/%s" % (path, link)) or "") or link
                unit = link if "@" in link or target == "null" else target
                self.pulled.setdefault(unit, []).append(name.rsplit(".", 1)[0])
                if folder in ENABLING:
                    self.enabled.setdefault(unit, ENABLING[folder])
        elif name.rpartition(".")[2] in TYPES:
            target = host.link(path)
            if target == "/dev/null":
                if name not in self.fragments:
                    self.masked.add(name)
            elif target is not None and os.path.basename(target) != name:
                self.aliases.add(name)
            else:
                self.fragments.setdefault(name, path)


def _unit_files(host, folders):
    """Return (files, gaps): what lies in folders of units."""
    files, seen, gaps = _Files(), 0, []
    for folder in folders:
        if host.exists(folder) and not os.access(host.path(folder), os.R_OK | os.X_OK):
            gaps.append("%s cannot be read" % folder)
        for name in host.list(folder):
            seen += 1
            if seen > MOST_LINKS:
                return _Files(), ("more than %d unit files" % MOST_LINKS,)
            files.add(host, folder, name)
    for name in files.enabled:
        template = "%s@.%s" % (name.partition("@")[0], name.rpartition(".")[2])
        if "@" in name and name not in files.fragments and template in files.fragments:
            files.fragments[name] = files.fragments[template]
    files.names = sorted((set(files.fragments) | files.masked) - files.aliases)
    return files, tuple(gaps)


def _offline_unit(host, name, files, needed=True):
    fragment = files.fragments.get(name)
    masked = name in files.masked
    if masked:
        state = "masked"
    elif os.path.dirname(fragment) in GENERATED:
        state = "generated"
    else:
        state = files.enabled.get(name, "disabled")
    if state == "disabled" and "[Install]" not in (host.read(fragment, 65536) or ""):
        state = "static"
    return Unit(name=name, load="masked" if masked else "loaded", active="inactive", sub="dead", enabled=state,
                fragment=fragment, required_by=tuple(dict.fromkeys(files.pulled.get(name, ()))) if needed else ())
