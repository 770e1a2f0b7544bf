# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Systemd units: asked of systemd where it runs, read from unit files and links where it does not."""

from __future__ import annotations

import os

from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Unit

TYPES = ("service", "socket", "path", "timer")
PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath", "Triggers",
              "TriggeredBy", "RequiredBy", "WantedBy", "RequisiteOf", "BoundBy", "Listen")
FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
           "/usr/lib/systemd/system", "/lib/systemd/system")
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


def parse_unit_files(text):
    """Return {unit: state} of ``systemctl list-unit-files --no-legend``."""
    states = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) >= 2:
            states[parts[0]] = parts[1]
    return states


def read_units(host):
    """Return the services, sockets, paths and timers of the host."""
    if not host.live:
        return offline_units(host)
    files = host.run(["systemctl", "list-unit-files", "--no-legend", "--no-pager", "--full",
                      "--type=" + ",".join(TYPES)])
    states = parse_unit_files(files.out) if files.ok else {}
    # Units that are loaded, and those that only have a file: one call names them all.
    named = sorted(name for name in states if "@." not in name)
    show = host.run(["systemctl", "show", "--no-pager", "--property=" + ",".join(PROPERTIES), "--"]
                    + named + ["*." + kind for kind in TYPES])
    if not show.ok and not show.out:
        return Reading((), ("systemd cannot be asked: %s" % (show.failure or show.err.strip() or "no answer"),))
    units = {}
    for fields in parse_show(show.out):
        unit = unit_of(fields)
        units.setdefault(unit.name, unit)
    for name, state in states.items():
        if name not in units and "@." in name:
            units[name] = Unit(name=name, load="loaded", active="inactive", sub="dead", enabled=state)
    gaps = () if files.ok else ("unit files cannot be listed: %s" % (files.failure or files.err.strip()),)
    return Reading(tuple(units[name] for name in sorted(units)), gaps)


def offline_units(host):
    """Return the units of a root filesystem that is not running, from its unit files and links."""
    fragments, wanted, pulled, masked, aliases, seen = {}, {}, {}, set(), set(), 0
    for folder in FOLDERS:
        for name in host.list(folder):
            seen += 1
            if seen > MOST_LINKS:
                return Reading((), ("more than %d unit files" % MOST_LINKS,))
            path = "%s/%s" % (folder, name)
            if name.endswith((".wants", ".requires")):
                by = name.rsplit(".", 1)[0]
                for link in host.list(path):
                    # A unit may be wanted by another name of it; an instance is a link to its template.
                    target = os.path.basename(host.link("%s/%s" % (path, link)) or "") or link
                    unit = link if "@" in link or target == "null" else target
                    pulled.setdefault(unit, []).append(by)
                    if folder == FOLDERS[0]:
                        wanted.setdefault(unit, []).append(by)
            elif name.rpartition(".")[2] in TYPES:
                target = host.link(path)
                if target == "/dev/null":
                    if name not in fragments:
                        masked.add(name)
                elif target is not None and os.path.basename(target) != name:
                    aliases.add(name)
                else:
                    fragments.setdefault(name, path)
    for name in wanted:
        template = "%s@.%s" % (name.partition("@")[0], name.rpartition(".")[2])
        if "@" in name and name not in fragments and template in fragments:
            fragments[name] = fragments[template]
    made = [_offline_unit(host, name, fragments.get(name), name in masked, name in wanted, pulled.get(name, ()))
            for name in sorted((set(fragments) | masked) - aliases)]
    gaps = () if made or os.path.isdir(host.path("/etc")) else ("there is no /etc below %s" % host.root,)
    return Reading(tuple(made), gaps)


def _offline_unit(host, name, fragment, masked, enabled, required_by):
    state = "masked" if masked else "enabled" if enabled else "disabled"
    if state == "disabled" and "[Install]" not in (host.read(fragment, 65536) or ""):
        state = "static"
    return Unit(name=name, load="masked" if masked else "loaded", active="inactive", sub="dead", enabled=state,
                fragment=fragment, required_by=tuple(dict.fromkeys(required_by)))
