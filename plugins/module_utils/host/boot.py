# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a boot starts, of a root filesystem that is not running: the units that are enabled, and how they are started."""

import os
import re
import shlex
from typing import NamedTuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host.units import FOLDERS

ENABLED = ("enabled", "enabled-runtime")
RUNLEVELS = tuple("%s/rc%s.d" % (folder, level) for folder in ("/etc", "/etc/rc.d") for level in "S2345")
UNIT_LIMIT = 65536


class BootService(NamedTuple):
    """A service that a boot starts."""

    name: str
    argv: tuple  # of its first command; empty where that cannot be told
    user: str  # "" is root
    type: str  # "simple" | "oneshot" | ...
    script: bool = False  # an init script, which says nothing of what it runs

    @property
    def program(self):
        """The file name of the program that is started."""
        return os.path.basename(self.argv[0]) if self.argv else ""


def parse_unit(texts):
    """Return {(section, key): [values]} of a unit file and its drop-ins, in the order in which systemd reads them."""
    made = {}
    for text in texts:
        section, line = "", ""
        for raw in text.splitlines():
            line += raw.strip()
            if line.endswith("\\") and not line.startswith(("#", ";")):
                line = line[:-1] + " "
                continue
            whole, line = line, ""
            if not whole or whole.startswith(("#", ";")):
                continue
            if whole.startswith("[") and whole.endswith("]"):
                section = whole[1:-1]
                continue
            key, equals, value = whole.partition("=")
            if equals:
                values = made.setdefault((section, key.strip()), [])
                if value.strip():
                    values.append(value.strip())
                else:
                    del values[:]  # an empty value takes back what was said before
    return made


def unit_files(host, name, fragment):
    """Return the paths of a unit's file and its drop-ins, its template's and its kind's too, in systemd's order."""
    kind = name.rpartition(".")[2]
    owners = [name] if "@" not in name else ["%s@.%s" % (name.partition("@")[0], kind), name]
    drops = {}
    for folder in reversed(FOLDERS):
        for owner in [kind] + owners:
            for each in host.list("%s/%s.d" % (folder, owner)):
                if each.endswith(".conf"):
                    drops[each] = "%s/%s.d/%s" % (folder, owner, each)
    return ([fragment] if fragment else []) + [drops[each] for each in sorted(drops)]


def fragment_of(host, name):
    """Return the path of a unit's file, its template's where it has none of its own; None where there is none."""
    kind = name.rpartition(".")[2]
    for owner in [name] + (["%s@.%s" % (name.partition("@")[0], kind)] if "@" in name else []):
        for folder in FOLDERS:
            if host.exists("%s/%s" % (folder, owner)):
                return "%s/%s" % (folder, owner)
    return None


def unit_text(host, name, fragment):
    """Return the settings of a unit, of its template's and its own drop-ins too."""
    return parse_unit([host.read(path, UNIT_LIMIT) or "" for path in unit_files(host, name, fragment)])


def starts(unit):
    """Tell whether a boot starts a unit."""
    if unit.load == "masked" or "@." in unit.name:
        return False
    if unit.enabled in ENABLED:
        return True
    return unit.enabled == "static" and any(
        one.endswith(".target") and not one.startswith(("initrd", "rescue", "emergency", "runlevel"))
        for one in unit.required_by)


def command_of(values, name):
    """Return the words of the first command of a unit."""
    if not values:
        return ()
    try:
        words = shlex.split(re.sub(r"^[-@:+!|]+", "", values[0]))
    except ValueError:
        words = values[0].split()
    instance = name.partition("@")[2].rsplit(".", 1)[0]
    return tuple(word.replace("%i", instance).replace("%I", instance).replace("%%", "%") for word in words)


def holds(host, condition):
    """Tell whether a condition on a path will hold; what is made anew at every boot is taken to be there."""
    negative, path = condition.startswith("!"), condition.lstrip("!|")
    if condition.startswith("|") or path.startswith(("/run/", "/proc/", "/sys/", "/dev/")):
        return True
    return host.exists(path) != negative


def boot_scripts(host):
    """Return the names of init scripts that a runlevel starts."""
    return {match.group(1) for folder in RUNLEVELS for match in
            (re.match(r"S[0-9][0-9](.+)\Z", name) for name in host.list(folder)) if match}


def services(host):
    """Return the services that a boot starts."""
    made, units = [], host.units().items
    known = {unit.name for unit in units}
    for unit in units:
        if unit.name.endswith(".service") and starts(unit):
            settings = unit_text(host, unit.name, unit.fragment)
            if not all(holds(host, one) for one in settings.get(("Unit", "ConditionPathExists"), ())):
                continue
            made.append(BootService(
                name=unit.name, argv=command_of(settings.get(("Service", "ExecStart"), []), unit.name),
                user=(settings.get(("Service", "User")) or [""])[-1],
                type=(settings.get(("Service", "Type")) or ["simple"])[-1]))
    aliases = {name for folder in FOLDERS for name in host.list(folder)}
    for name in sorted(boot_scripts(host)):
        if name + ".service" not in known and name + ".service" not in aliases:
            made.append(BootService(name=name + ".service", argv=(), user="", type="forking", script=True))
    return tuple(made)
