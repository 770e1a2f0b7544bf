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
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.common import files
from ansible_collections.hostmend.hardening.plugins.module_utils.software import inetd
from ansible_collections.hostmend.hardening.plugins.module_utils.software.service_units import (
    ACTIVE, ImageUnits, Scripts, Trouble, Units,
)
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

SUPER_SERVERS = {"inetd": ("inetd", "inetutils-inetd", "openbsd-inetd"), "xinetd": ("xinetd",)}
# What depends on a service that is gone may need a moment to fail.
SETTLE_SECONDS = 1.0
ROW = re.compile(r"(tcp|udp) (?:\[([0-9a-fA-F:.%]+)\]|([0-9.]+)):(\d+)\Z")


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


def diff_of(states, wanted, edits):
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
    for file, (before, after, _names, _kind) in edits.items():
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
        edits = edited(asked["entries"])
        result["packages"] = packages(module, states)
        result["changes"] = [{"kind": "unit", "name": name, "action": ", ".join(words)}
                             for name, words in sorted(wanted.items())]
        result["changes"] += [{"kind": "entry", "name": "%s (%s)" % (name, file), "action": "switched off"}
                              for file, (_before, _after, names, _kind) in sorted(edits.items()) for name in names]
        result["changed"] = bool(result["changes"])
        result["diff"] = diff_of(states, wanted, edits)
        if result["changed"] and not module.check_mode:
            before, failed = bound(asked["listeners"]) if live else {}, units.failed()
            for file, (_before, after, _names, _kind) in edits.items():
                # Owner, mode, attributes and a link to it stay.
                files.replace(module, os.path.realpath(file), after)
            for pid in {pid for _b, _a, _n, kind in edits.values() for pid in super_servers(kind)} if live else ():
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
