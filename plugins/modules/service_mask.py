#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: service_mask
short_description: Switch services off so that nothing starts them again
version_added: 0.1.0
description:
  - Stops, disables and masks units of systemd, all of a service in one step, so that a socket, path or timer does not
    start again what was just stopped.
  - Switches entries of inetd and xinetd off by editing one line each, and has the super-server read them again.
  - Where systemd does not run, stops init scripts (units of the type C(.init)) and takes them out of the runlevels.
  - Afterwards it looks whether all of it is really off and whether anything else has failed, and fails if so. It does
    not bring anything back; M(hostmend.hardening.journal) and M(hostmend.hardening.rollback) do.
author:
  - hostmend maintainers (@hostmend)
options:
  units:
    description:
      - Units with their type. A template (C(telnet@.service)) stands for its instances, too.
      - A unit whose file an administrator has put into C(/etc/systemd/system) cannot be masked; it is only stopped and
        disabled.
    type: list
    elements: str
    default: []
  entries:
    description:
      - Entries of inetd and xinetd.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Which super-server's syntax the file has.
        type: str
        choices: [inetd, xinetd]
        required: true
      file:
        description: The file that the entry is in.
        type: path
        required: true
      name:
        description: The service's name; of xinetd its id, where it has one.
        type: str
        required: true
      proto:
        description: The entry's protocol.
        type: str
        default: tcp
  listeners:
    description:
      - Sockets that must be gone afterwards, as C(tcp 0.0.0.0:23) or C(udp [::]:69).
    type: list
    elements: str
    default: []
  seconds:
    description:
      - How long a unit may take to stop, and how long its listeners may take to go.
    type: int
    default: 30
  running:
    description:
      - Whether the host is running. Left out, it is found out; V(false) is for the inside of a container or chroot that
        is to become an image, where what a boot brings is changed and nothing else.
    type: bool
attributes:
  check_mode:
    description: Says what a real run would change, item by item.
    support: full
  diff_mode:
    description: Shows the units' states and the edited lines.
    support: full
"""

EXAMPLES = r"""
- name: Switch rpcbind off for good
  hostmend.hardening.service_mask:
    units: [rpcbind.socket, rpcbind.service]

- name: Offer telnet no longer
  hostmend.hardening.service_mask:
    entries:
      - {kind: xinetd, file: /etc/xinetd.d/telnet, name: telnet, proto: tcp}
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "unit", "name": "rpcbind.socket", "action": "stopped, disabled, masked"}]
packages:
  description: The packages that the units come from, where dpkg or rpm knows.
  returned: always
  type: list
  elements: str
  sample: [rpcbind]
"""

import os
import re
import signal
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.software import inetd
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.host import sockets

ARGUMENTS = dict(
    units=dict(type="list", elements="str", default=[]),
    entries=dict(type="list", elements="dict", default=[], options=dict(
        kind=dict(type="str", choices=["inetd", "xinetd"], required=True),
        file=dict(type="path", required=True),
        name=dict(type="str", required=True),
        proto=dict(type="str", default="tcp"),
    )),
    listeners=dict(type="list", elements="str", default=[]),
    seconds=dict(type="int", default=30),
    running=dict(type="bool"),
)

OWN_FOLDER = "/etc/systemd/system"
FOLDERS = (OWN_FOLDER, "/run/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system",
           "/usr/lib/systemd/system")
ACTIVE = ("active", "activating", "deactivating", "reloading", "refreshing")
PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,FragmentPath,SourcePath"
SUPER_SERVERS = {"inetd": ("inetd", "inetutils-inetd", "openbsd-inetd"), "xinetd": ("xinetd",)}
# What depends on a service that is gone may need a moment to fail.
SETTLE_SECONDS = 1.0
ROW = re.compile(r"(tcp|udp) (?:\[([0-9a-fA-F:.%]+)\]|([0-9.]+)):(\d+)\Z")


class Trouble(Exception):
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


def edited(entries):
    """Return {file: (text before, text after, [names], kind)} of the entries that are not off yet."""
    made = {}
    for file in sorted({entry["file"] for entry in entries}):
        several = [entry for entry in entries if entry["file"] == file]
        wanted = {(entry["name"], entry["proto"]) for entry in several}
        try:
            with open(file, "rb") as handle:
                before = handle.read().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Trouble("%s cannot be read: %s" % (file, error.strerror)) from error
        kind = several[0]["kind"]
        after, left, others = _without(kind, before, wanted, file)
        if after == before:
            continue
        if left or others:
            raise Trouble("%s cannot be edited safely: %s" % (file, ", ".join(left + others)))
        names = sorted({"%s %s" % key for key in wanted if key in _on(kind, before, file)})
        made[file] = (before, after, names, kind)
    return made


def _on(kind, text, file):
    entries = inetd.parse_inetd(text, file) if kind == "inetd" else \
        inetd.xinetd_entries([inetd.parse_xinetd(text, file)])
    return [(one.name, one.proto) for one in entries if one.enabled]


def _without(kind, before, wanted, file):
    """Return (the edited text, entries that are still on, entries that went off though nobody asked)."""
    after = inetd.without_inetd(before, wanted) if kind == "inetd" else \
        inetd.without_xinetd(before, wanted, file)
    still, were = _on(kind, after, file), _on(kind, before, file)
    left = ["%s %s stays on" % key for key in still if key in wanted]
    others = ["%s %s would go off" % key for key in were if key not in wanted and key not in still]
    return after, left, others


def write(module, file, text):
    """Replace a file's content; owner, mode, attributes and a link to it stay."""
    target = os.path.realpath(file)
    handle, temporary = tempfile.mkstemp(prefix=".hostmend-", dir=module.tmpdir)
    with os.fdopen(handle, "wb") as out:
        out.write(text.encode("utf-8", "surrogateescape"))
    module.atomic_move(temporary, target)


def super_servers(kind):
    """Return the pids of the super-servers that may read files of this kind."""
    names = SUPER_SERVERS[kind] + (SUPER_SERVERS["xinetd"] if kind == "inetd" else ())
    own = _namespace("self")
    made = []
    for pid in os.listdir("/proc"):
        if pid.isdecimal():
            try:
                program = os.path.basename(os.readlink("/proc/%s/exe" % pid)).replace(" (deleted)", "")
            except OSError:
                continue
            if program in names and _namespace(pid) == own:
                made.append(int(pid))
    return made


def _namespace(pid):
    try:
        return os.readlink("/proc/%s/ns/pid" % pid)
    except OSError:
        return ""


def bound(rows):
    """Return {row: inode} of the sockets of ``rows`` that are there."""
    wanted = {}
    for row in rows:
        match = ROW.match(row)
        if match:
            wanted[(match.group(1), match.group(2) or match.group(3), int(match.group(4)))] = row
    made = {}
    for proto in ("tcp", "udp"):
        for table in (proto, proto + "6"):
            try:
                with open("/proc/net/" + table, encoding="ascii", errors="replace") as handle:
                    lines = sockets.parse_proc_net(handle.read())
            except OSError:
                continue
            for address, port, _peer, _peer_port, state, inode in lines:
                row = wanted.get((proto, address, port))
                if row and state == (sockets.LISTEN if proto == "tcp" else sockets.CLOSE):
                    made.setdefault(row, set()).add(inode)
    return made


def probe(units, wanted, before, failed, seconds):
    """Look whether all is off and nothing else has failed; raise Trouble if not."""
    until = time.monotonic() + seconds
    while True:
        states = units.read() if wanted else {}
        running = [name for name, state in states.items() if state.get("ActiveState") in ACTIVE]
        now = bound(before)
        # Only the very same socket counts as still there: another of the same address is somebody else's.
        still = [row for row, inodes in now.items() if inodes & before[row]]
        if not running and not still:
            break
        if time.monotonic() > until:
            raise Trouble("still there after %d s: %s" % (seconds, ", ".join(running + still)))
        time.sleep(0.25)
    time.sleep(SETTLE_SECONDS)
    more = units.failed() - failed - set(wanted)
    if more:
        raise Trouble("these units failed when the others were switched off: %s" % ", ".join(sorted(more)))


def packages(module, states):
    """Return the packages that the units come from."""
    paths = sorted({path for state in states.values() for path in (state.get("FragmentPath"), state.get("SourcePath"))
                    if path and path.startswith(("/lib/", "/usr/", "/etc/init.d/"))})
    paths += ["/usr" + path if path.startswith("/lib/") else path[4:] for path in paths
              if path.startswith(("/lib/", "/usr/lib/"))]
    if not paths:
        return []
    tool = module.get_bin_path("dpkg-query")
    if tool:
        out = module.run_command([tool, "-S"] + paths, environ_update={"LC_ALL": "C"})[1]
        return sorted({name.split(":")[0].strip() for line in out.splitlines() if ": /" in line
                       for name in line.split(": /")[0].split(",") if not line.startswith("diversion ")})
    tool = module.get_bin_path("rpm")
    if tool:
        out = module.run_command([tool, "-qf", "--queryformat", "%{NAME}\\n"] + paths)[1]
        return sorted({line for line in out.splitlines() if line and " " not in line})
    return []


def diff_of(states, wanted, files):
    """Return the difference, units first."""
    made = []
    if wanted:
        lines = {name: "%s: %s, %s" % (name, state.get("ActiveState", ""), state.get("UnitFileState") or "no file")
                 for name, state in states.items() if name in wanted}
        after = {}
        for name, words in wanted.items():
            activity = "inactive" if "stopped" in words else states[name].get("ActiveState", "")
            enabled = "masked" if "masked" in words else "disabled" if "disabled" in words else \
                states[name].get("UnitFileState") or "no file"
            after[name] = "%s: %s, %s" % (name, activity, enabled)
        made.append({"before_header": "units", "after_header": "units",
                     "before": "".join(line + "\n" for _name, line in sorted(lines.items())),
                     "after": "".join(line + "\n" for _name, line in sorted(after.items()))})
    for file, (before, after, _names, _kind) in files.items():
        made.append({"before_header": file, "after_header": file, "before": before, "after": after})
    return made


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = module.params
    result = {"changed": False, "changes": [], "packages": []}
    live = Host(running=asked["running"]).live
    systemd = os.path.isdir("/run/systemd/system")
    bad = [name for name in asked["units"] if not re.match(r"[A-Za-z0-9:_.\\@-]+\Z", name) or name.startswith("-")]
    if bad:
        module.fail_json(msg="not the name of a unit: %r" % bad[0], **result)
    units = (ImageUnits if not live else Units if systemd else Scripts)(module, asked["units"], asked["seconds"])
    try:
        states = units.read()
        wanted = units.wanted(states)
        files = edited(asked["entries"])
        result["packages"] = packages(module, states)
        result["changes"] = [{"kind": "unit", "name": name, "action": ", ".join(words)}
                             for name, words in sorted(wanted.items())]
        result["changes"] += [{"kind": "entry", "name": "%s (%s)" % (name, file), "action": "switched off"}
                              for file, (_before, _after, names, _kind) in sorted(files.items()) for name in names]
        result["changed"] = bool(result["changes"])
        result["diff"] = diff_of(states, wanted, files)
        if result["changed"] and not module.check_mode:
            before, failed = bound(asked["listeners"]) if live else {}, units.failed()
            for file, (_before, after, _names, _kind) in files.items():
                write(module, file, after)
            for pid in {pid for _b, _a, _n, kind in files.values() for pid in super_servers(kind)} if live else ():
                os.kill(pid, signal.SIGHUP)
            if wanted:
                units.switch_off(wanted)
            if live:
                probe(units, wanted, before, failed, asked["seconds"])
            else:
                left = sorted(set(units.wanted(units.read())) & set(wanted))
                if left:
                    raise Trouble("still enabled: %s" % ", ".join(left))
    except Trouble as trouble:
        module.fail_json(msg=str(trouble), **result)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the host", error.strerror), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
