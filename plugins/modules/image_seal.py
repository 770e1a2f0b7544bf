#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: image_seal
short_description: Take from an image what hosts made of it must not share
version_added: 0.1.0
description:
  - Takes from a root filesystem what belongs to one host alone or to its builder; host keys, the machine's identity,
    logs, histories, caches, temporary files, leftover secrets and the state of cloud-init.
  - A unit is put in that makes at the first boot, before any server starts, what packages make when they are installed;
    SSH host keys, the snake oil certificate, the control keys of BIND and NSD, the keys of xrdp and the name of an NVMe host.
  - It refuses to do this to a host that is running, unless O(running=false) says that it is to become an image.
author:
  - hostmend maintainers (@hostmend)
options:
  root:
    description: The root filesystem.
    type: path
    default: /
  running:
    description:
      - Whether the host is running. Left out, it is found out; V(false) is for a build host or container that is to
        become an image.
    type: bool
  keep:
    description:
      - What is left as it is, by the names under RV(sealed).
    type: list
    elements: str
    choices: [host_keys, machine_id, random_seed, logs, histories, package_cache, package_lists, temporary,
              authorized_keys, secrets, acme_accounts, cloud_init, identity, journal]
    default: []
  keep_authorized_keys:
    description:
      - Users whose authorized keys stay.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Says what a real run would take.
    support: full
  diff_mode:
    description: Lists what goes.
    support: full
  platform:
    description: Linux.
    support: full
    platforms: linux
"""

EXAMPLES = r"""
- name: Seal the image
  hostmend.hardening.image_seal:
    keep_authorized_keys: [admin]
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "file", "name": "/etc/ssh/ssh_host_rsa_key", "action": "remove"}]
sealed:
  description: How many things went, by what they are.
  returned: always
  type: dict
  sample: {"host_keys": 6, "logs": 12}
"""

import errno
import fnmatch
import os
import re
import shutil
import stat
import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.printable import json_safe
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.host import inside
from ansible_collections.hostmend.hardening.plugins.module_utils.software.image_own import (
    HOMES, NO_HOMES, UNIT, WANTS, HISTORIES, CREDENTIALS, PATTERNS, NAMES, MAKERS, ISCSI, ISCSI_OWN, EMPTIED,
    BUILDERS_LOGS, ROTATED, FIRST_BOOT,
)

REMOVE = "remove"
EMPTY = "empty"
WRITE = "write"


class Seal:
    """What is to go, found out first."""

    def __init__(self, root, keep, keep_keys, own=()):
        self.root, self.keep, self.keep_keys = root, keep, keep_keys
        # What this module itself is made of: whoever put it there takes it away.
        self.own = tuple(os.path.realpath(path) for path in own if path and os.path.isabs(path))
        self.steps, self.counts, self.seen, self.texts = [], {}, set(), {}
        self.host = Host(root, running=False)

    def path(self, name, follow=False):
        """Return where a path is; links lead nowhere but below the root."""
        return inside(self.root, name, follow)

    def note(self, what, name, action):
        """Note one thing that is to be done; of a folder that this module is in, all else that is in it."""
        path = self.path(name)
        if any(one == path or one.startswith(path + os.sep) for one in self.own):
            if os.path.isdir(path) and not os.path.islink(path):
                for one in self.names(name):
                    self.note(what, "%s/%s" % (name, one), action)
            return
        if name.endswith("/.ansible") and not any(names for unused, unused_folders, names in os.walk(path)):
            return  # empty folders, in which Ansible has its modules while they run
        if name not in self.seen:
            self.seen.add(name)
            self.steps.append((name, action))
            self.counts[what] = self.counts.get(what, 0) + 1

    def matching(self, pattern):
        """Return the paths below the root that a glob means; a part with a sign of a glob is looked up."""
        found = [""]
        for part in pattern.strip("/").split("/"):
            if any(sign in part for sign in "*?["):
                hidden = part.startswith(".")
                found = ["%s/%s" % (folder, name) for folder in found for name in self.names(folder)
                         if fnmatch.fnmatchcase(name, part) and (hidden or not name.startswith("."))]
            else:
                found = ["%s/%s" % (folder, part) for folder in found]
        return [name for name in found if os.path.lexists(self.path(name))]

    def names(self, folder):
        """Return the names in a folder."""
        try:
            return sorted(os.listdir(self.path(folder or "/", follow=True)))
        except OSError:
            return []

    def homes(self):
        """Return {home: users} of people and of what may have been used by one; a home may be a glob."""
        found = dict((home, []) for home in HOMES)
        for line in (self.host.read("/etc/passwd") or "").splitlines():
            fields = line.split(":")
            if len(fields) == 7 and fields[5].startswith("/") and not NO_HOMES.match(fields[5]):
                found.setdefault(fields[5].rstrip("/"), []).append(fields[0])
        return found

    def plan(self):
        """Find out what is to go."""
        homes = self.homes()
        for what in NAMES:
            if what in self.keep:
                continue
            patterns = list(PATTERNS.get(what, ()))
            for name, parts in (("histories", HISTORIES), ("secrets", CREDENTIALS)):
                if what == name:
                    patterns += ["%s/%s" % (home, part) for home in sorted(homes) for part in parts]
            for pattern in patterns:
                for name in self.matching(pattern):
                    self.note(what, name, REMOVE)
        if "authorized_keys" not in self.keep:
            self._authorized_keys(homes)
        if "machine_id" not in self.keep:
            self._machine_id()
        if "logs" not in self.keep:
            self._logs()
        if "identity" not in self.keep:
            self._iscsi()
        for what, name in EMPTIED:
            if what not in self.keep and "Value:" in (self.host.read(name) or ""):
                self.note(what, name, EMPTY)
        self._first_boot()

    def _authorized_keys(self, homes):
        """Have the keys of all users go but of those that are kept: in their homes, and where the SSH server reads them."""
        for home in sorted(homes):
            for name in self.matching("%s/.ssh/authorized_keys*" % home):
                own = name[:name.rindex("/.ssh/")]
                if not set(self.keep_keys) & set([os.path.basename(own)] + homes.get(own, [])):
                    self.note("authorized_keys", name, REMOVE)
        texts = [self.host.read(name) or "" for name in ["/etc/ssh/sshd_config"] + self.matching("/etc/ssh/sshd_config.d/*.conf")]
        for place in re.findall(r"(?im)^[ \t]*AuthorizedKeysFile[ \t=]+(.*)$", "\n".join(texts)):
            for pattern in place.replace('"', " ").split():
                if not pattern.startswith("/") or re.search(r"%[^u]", pattern):
                    continue  # in a home, of which the rule before is, or of an odd form
                kept = set(pattern.replace("%u", user) for user in self.keep_keys)
                for name in self.matching(pattern.replace("%u", "*")):
                    if name not in kept:
                        self.note("authorized_keys", name, REMOVE)

    def _iscsi(self):
        # Debian's service makes a name where it finds these words, and does not start where it finds no file.
        text = self.host.read(ISCSI)
        if text is None or text == ISCSI_OWN:
            return
        if os.path.exists(self.path("/usr/lib/open-iscsi/startup-checks.sh", follow=True)) or os.path.exists(
                self.path("/lib/open-iscsi/startup-checks.sh", follow=True)):
            self.texts[ISCSI] = (ISCSI_OWN, 0o600)
            self.note("identity", ISCSI, WRITE)
        else:
            self.note("identity", ISCSI, REMOVE)

    def _machine_id(self):
        # Empty and not gone: without the file the first boot would reset which units are enabled to the presets.
        path = self.path("/etc/machine-id")
        if os.path.isdir(self.path("/etc/systemd", follow=True)) or os.path.lexists(path):
            try:
                size = os.lstat(path).st_size
            except OSError:
                size = -1
            if size != 0:
                self.note("machine_id", "/etc/machine-id", EMPTY)
        other = self.path("/var/lib/dbus/machine-id")
        if os.path.lexists(other) and not os.path.islink(other):
            self.note("machine_id", "/var/lib/dbus/machine-id", REMOVE)

    def _logs(self):
        for pattern in BUILDERS_LOGS:
            for name in self.matching(pattern):
                self.note("logs", name, REMOVE)
        top = self.path("/var/log", follow=True)
        for folder, unused, names in os.walk(top):
            for one in sorted(names):
                path = os.path.join(folder, one)
                name = "/var/log" + path[len(top):]
                about = os.lstat(path)
                if not stat.S_ISREG(about.st_mode) or name.startswith("/var/log/journal/") or name in self.seen:
                    continue
                if ROTATED.search(one):
                    self.note("logs", name, REMOVE)
                elif about.st_size:
                    self.note("logs", name, EMPTY)

    def _first_boot(self):
        conditions, commands = [], []
        for what, files, program, command in MAKERS:
            if what in self.keep or not os.path.exists(self.path(program, follow=True)):
                continue
            for name in files:
                if os.path.lexists(self.path(name)):
                    self.note(what, name, REMOVE)
            conditions.append("ConditionPathExists=|!%s\n" % files[0])
            commands.append("ExecStart=-/bin/sh -c 'test -e %s || { %s; }'\n" % (files[0], command))
        if not commands or not os.path.isdir(self.path("/etc/systemd/system", follow=True)):
            return
        # One that fails keeps none of the others from being made, and is a failed unit.
        made = " && ".join("test -s %s" % condition.split("!", 1)[1].strip() for condition in conditions)
        commands.append("ExecStart=/bin/sh -c '%s'\n" % made)
        unit = FIRST_BOOT % {"conditions": "".join(conditions), "commands": "".join(commands)}
        self.texts[UNIT] = (unit, 0o644)
        if (self.host.read(UNIT) or "") != unit:
            self.note("first_boot", UNIT, WRITE)
        if not os.path.islink(self.path(WANTS)):
            self.note("first_boot", WANTS, WRITE)

    def result(self):
        """Return what is told of it: names of files that are no UTF-8 cannot leave the host as they are."""
        return json_safe({
            "changed": bool(self.steps), "sealed": self.counts,
            "changes": [{"kind": "file", "name": name, "action": action} for name, action in self.steps],
            "diff": {"before": "".join("%s\n" % name for name, action in self.steps if action == REMOVE), "after": ""}})

    def carry_out(self):
        """Do what was planned."""
        for name, action in self.steps:
            path = self.path(name)
            if action == REMOVE:
                self._remove(path)
            elif action == EMPTY:
                self._empty(path)
            elif name in self.texts:
                self._write(path, *self.texts[name])
            else:
                os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
                os.symlink("../" + os.path.basename(UNIT), path)

    @staticmethod
    def _remove(path):
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY):  # what is mounted is not the image's
                raise

    @staticmethod
    def _empty(path):
        if os.path.islink(path):
            os.unlink(path)
        with open(path, "ab") as handle:
            handle.truncate(0)
        if not os.path.basename(path) == "machine-id":
            return
        os.chmod(path, 0o444)

    @staticmethod
    def _write(path, text, mode):
        if os.path.islink(path):
            os.unlink(path)
        with open(path + ".new", "w") as handle:
            handle.write(text)
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)


def main():
    """Seal the image."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "running": {"type": "bool"},
            "keep": {"type": "list", "elements": "str", "default": [], "choices": list(NAMES), "no_log": False},
            "keep_authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
        supports_check_mode=True,
    )
    asked = module.params
    root = os.path.realpath(asked["root"])
    if not os.path.isdir(os.path.join(root, "etc")):
        module.fail_json(msg="%s is not a root filesystem: it has no directory etc" % asked["root"])
    if Host(root, running=asked["running"]).live:
        module.fail_json(msg="this host is running: sealing it would take its keys and logs. Say hostmend_image: true "
                             "where it is to become an image")
    seal = Seal(root, asked["keep"], asked["keep_authorized_keys"], [module.tmpdir] + sys.path)
    try:
        seal.plan()
        if not module.check_mode:
            seal.carry_out()
    except OSError as error:
        module.fail_json(msg=json_safe("%s: %s" % (error.filename or root, error.strerror)))
    module.exit_json(**seal.result())


if __name__ == "__main__":
    main()
