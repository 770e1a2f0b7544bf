# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services as their manager has them: what is to be done to switch them off, and doing it."""

import os
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host

OWN_FOLDER = "/etc/systemd/system"
FOLDERS = (OWN_FOLDER, "/run/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system",
           "/usr/lib/systemd/system")
ACTIVE = ("active", "activating", "deactivating", "reloading", "refreshing")
PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,FragmentPath,SourcePath"


class Trouble(HostError):
    """What was asked for could not be done; the message is for a person."""


class Units:
    """The units, by systemctl."""

    def __init__(self, module, names, seconds):
        self.module = module
        self.names = list(dict.fromkeys(names))
        self.seconds = seconds

    def systemctl(self, *arguments, check=True):
        """Return what systemctl says."""
        argv = ["systemctl", "--no-pager"] + list(arguments)
        code, out, err = self.module.run_command(argv, environ_update={"LC_ALL": "C"})
        if check and code:
            raise Trouble("%s failed: %s" % (" ".join(argv[:3]), (err or out).strip()))
        return out

    def read(self):
        """Return {name: properties} of the units, of instances of templates too."""
        plain = [name for name in self.names if "@." not in name]
        templates = [name for name in self.names if "@." in name]
        states = {}
        if plain:
            states.update(self._show(plain))
        for name in templates:
            listed = self.systemctl("list-unit-files", "--no-legend", "--full", "--", name).split()
            where = [folder for folder in FOLDERS if os.path.lexists(os.path.join(folder, name))]
            states[name] = {"LoadState": "masked" if "masked" in listed[1:2] else "loaded" if where else "not-found",
                            "ActiveState": "inactive", "UnitFileState": (listed + ["", ""])[1],
                            "FragmentPath": os.path.join(where[0], name) if where else "", "SourcePath": ""}
            instances = [line.split()[0] for line in self.systemctl(
                "list-units", "--all", "--plain", "--no-legend", "--full", "--", name.replace("@.", "@*.")).splitlines()
                if line.split()]
            if instances:
                for instance, state in self._show(instances).items():
                    states[instance] = dict(state, UnitFileState="instance")
        return states

    def _show(self, names):
        states = {}
        blocks = self.systemctl("show", "--property=" + PROPERTIES, "--", *names).split("\n\n")
        for at, name in enumerate(names[:len(blocks)]):
            state = dict(line.split("=", 1) for line in blocks[at].splitlines() if "=" in line)
            states[state.get("Id") if state.get("Id") in names else name] = state
        return states

    @staticmethod
    def can_mask(name):
        """False for a unit file of the administrator's: a link to /dev/null has no place beside it."""
        path = os.path.join(OWN_FOLDER, name)
        return os.path.islink(path) or not os.path.lexists(path)

    def can_disable(self, name, state):
        """False where disabling would take units along that are not ours to touch, by ``Also=``."""
        try:
            with open(state.get("FragmentPath") or os.devnull, encoding="utf-8", errors="replace") as handle:
                also = re.findall(r"^[ \t]*Also\s*=(.*)$", handle.read(), re.MULTILINE)
        except OSError:
            also = []
        return all(other in self.names for line in also for other in line.split())

    def wanted(self, states):
        """Return {name: [words]}: what is to be done with each unit."""
        made = {}
        for name, state in states.items():
            words = []
            if state.get("LoadState") == "not-found" and state.get("ActiveState") not in ACTIVE:
                continue
            if state.get("ActiveState") in ACTIVE:
                words.append("stopped")
            if state.get("UnitFileState") != "instance":
                enabled = state.get("UnitFileState") in ("enabled", "enabled-runtime", "linked") or (
                    state.get("UnitFileState") == "generated" and starts_at_boot(name))
                if enabled and self.can_disable(name, state):
                    words.append("disabled")
                if state.get("LoadState") != "masked" and state.get("UnitFileState") != "masked" \
                        and self.can_mask(name):
                    words.append("masked")
            if words:
                made[name] = words
        return made

    def switch_off(self, wanted):
        """Disable, mask and stop, in this order: what is masked cannot be started again in between."""
        by_word = {word: [name for name, words in wanted.items() if word in words]
                   for word in ("disabled", "masked", "stopped")}
        if by_word["disabled"]:
            self.systemctl("disable", "--", *by_word["disabled"])
        if by_word["masked"]:
            self.systemctl("mask", "--", *by_word["masked"])
        if by_word["stopped"]:
            self.systemctl("stop", "--", *by_word["stopped"])
        self.systemctl("reset-failed", "--", *[name for name in wanted if "@." not in name], check=False)

    def failed(self):
        """Return the units that have failed."""
        return {line.split()[0] for line in self.systemctl(
            "list-units", "--failed", "--plain", "--no-legend", "--full", check=False).splitlines() if line.split()}


class ImageUnits(Units):
    """The units of a root filesystem that is not running: their files and links are all there is."""

    def read(self):
        """Return {name: properties} of the units."""
        states = {}
        for unit in Host(running=False).units().items:
            if unit.name in self.names:
                states[unit.name] = {"LoadState": unit.load, "ActiveState": "inactive", "UnitFileState": unit.enabled,
                                     "FragmentPath": unit.fragment or "", "SourcePath": ""}
        if states and not self.module.get_bin_path("systemctl"):
            raise Trouble("there is no systemctl in it to mask units with: install systemd there, or leave them out"
                          " (hostmend_skip)")
        for name in self.names:
            if name.endswith(".service") and name not in states and os.path.exists("/etc/init.d/" + name[:-8]):
                states[name] = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "generated",
                                "FragmentPath": "", "SourcePath": "/etc/init.d/" + name[:-8]}
        return {name: states.get(name, {"LoadState": "not-found", "ActiveState": "inactive"}) for name in self.names}

    def switch_off(self, wanted):
        """Disable and mask."""
        for word, verb in (("disabled", "disable"), ("masked", "mask")):
            names = [name for name, words in wanted.items() if word in words]
            if names:
                self.systemctl(verb, "--", *names)

    @staticmethod
    def failed():
        """Return nothing: nothing runs that could fail."""
        return set()


class Scripts:
    """Init scripts, where systemd does not run. The interface is that of Units."""

    def __init__(self, module, names, seconds):
        self.module = module
        self.names = [name for name in dict.fromkeys(names) if name.endswith(".init")]
        self.seconds = seconds

    def _script(self, name, *arguments):
        path = next((path for path in ("/etc/init.d/" + name[:-5], "/etc/rc.d/init.d/" + name[:-5])
                     if os.path.isfile(path)), "")
        return self.module.run_command([path] + list(arguments))[0] if path else None

    def read(self):
        """Return {name: properties}, in systemd's words."""
        made = {}
        for name in self.names:
            status = self._script(name, "status")
            made[name] = {"LoadState": "not-found" if status is None else "loaded",
                          "FragmentPath": "", "SourcePath": "/etc/init.d/" + name[:-5],
                          "ActiveState": "active" if status == 0 else "inactive",
                          "UnitFileState": "enabled" if starts_at_boot(name) else "disabled"}
        return made

    @staticmethod
    def wanted(states):
        """Return {name: [words]}: what is to be done with each script."""
        made = {}
        for name, state in states.items():
            words = [word for word, is_so in (("stopped", state["ActiveState"] == "active"),
                                              ("disabled", state["UnitFileState"] == "enabled")) if is_so]
            if words:
                made[name] = words
        return made

    def switch_off(self, wanted):
        """Stop the scripts and take them out of the runlevels."""
        for name, words in wanted.items():
            if "disabled" in words:
                tool = self.module.get_bin_path("update-rc.d")
                argv = [tool, name[:-5], "disable"] if tool else ["chkconfig", name[:-5], "off"]
                code, out, err = self.module.run_command(argv)
                if code:
                    raise Trouble("%s failed: %s" % (" ".join(argv), (err or out).strip()))
            if "stopped" in words:
                self._script(name, "stop")

    @staticmethod
    def failed():
        """Return nothing: scripts do not fail by themselves."""
        return set()


def starts_at_boot(name):
    """True where a runlevel starts the init script of that name."""
    pattern = re.compile("S[0-9][0-9]%s\\Z" % re.escape(name.rsplit(".", 1)[0]))
    for folder in ("/etc/rc%s.d", "/etc/rc.d/rc%s.d"):
        for level in "S2345":
            try:
                if any(pattern.match(one) for one in os.listdir(folder % level)):
                    return True
            except OSError:
                continue
    return False
