#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_access
short_description: Give running instances of Redis a password, and have them listen on fewer addresses
version_added: 0.1.0
description:
  - Sets a password on running instances of Redis, Valkey or KeyDB, in the server and in its configuration alike, and
    narrows the addresses that they listen on.
  - A replica on the same host is told the password of its master first, and so is a sentinel.
  - The password goes over the server's own socket. It is in no argument of a process, no log and no difference.
  - Without a password of your own a strong one is made and kept in a file that root alone can read.
  - Afterwards an unauthenticated client must be refused and one with the password be answered, else the settings in
    use are put back and the module fails.
author:
  - hostmend maintainers (@hostmend)
options:
  instances:
    description:
      - The instances, as the findings of the class C(redis) name them.
    type: list
    elements: dict
    required: true
    suboptions:
      listeners:
        description: Addresses with ports, and paths of sockets, that the instance listens on.
        type: list
        elements: str
        required: true
      config_file:
        description: Its configuration file.
        type: path
        required: true
      unit:
        description: Its unit, for the case that it must be restarted.
        type: str
      auth:
        description: Give it a password.
        type: bool
        default: false
      narrow:
        description: Have it listen on O(bind) alone.
        type: bool
        default: false
      protect:
        description: Files that not every user of the host may read any more.
        type: list
        elements: path
        default: []
  password:
    description:
      - The password. Left out, one is made for each instance.
    type: str
  bind:
    description:
      - The addresses to listen on. A minus in front of one means that it may be missing.
    type: list
    elements: str
    default: [127.0.0.1, "-::1"]
  secrets:
    description:
      - Directory for the passwords that are made, a file C(redis-PORT) for each.
    type: path
    default: /etc/hostmend/secrets
  running:
    description:
      - Whether the host is running. Left out, it is found out; V(false) is for the inside of a container or chroot that
        is to become an image, where what a boot brings is changed and nothing else.
      - No password is made there, as all clones of the image would share it. An instance that should get one is narrowed
        to O(bind) instead, unless O(password) gives it.
    type: bool
attributes:
  check_mode:
    description: It says what would change.
    support: full
  diff_mode:
    description: It shows the settings that change, their passwords left out.
    support: full
  platform:
    description: Linux.
    support: full
    platforms: linux
"""

EXAMPLES = r"""
- name: Give Redis a password
  hostmend.hardening.redis_access:
    instances:
      - listeners: ["0.0.0.0:6379"]
        config_file: /etc/redis/redis.conf
        unit: redis-server.service
        auth: true
"""

RETURN = r"""
changes:
  description: What changed, or would change in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "setting", "name": "redis 6379 requirepass", "action": "set"}]
"""

import os
import secrets as randomness
import shutil
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import config
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import redis as detector
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import Broken
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import Client
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import RedisError
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import parse_info
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.protocol import probe

RUNTIME_BIND = (6, 2)
SILENT_SENTINEL = (6, 2)
RESTART_SECONDS = 20


class Failure(Exception):
    """What went wrong, in one line."""


class Server:
    """A running instance that the module talks to as its administrator."""

    def __init__(self, host, listeners, config_file, unit=None):
        self.host, self.listeners, self.config_file, self.unit = host, listeners, config_file, unit
        self.settings = config.read_settings(config_file, host.read, host.list)
        self.port = next((one.rpartition(":")[2] for one in listeners if not one.startswith(("/", "@"))),
                         os.path.basename(listeners[0]) if listeners else "?")
        self.password, self.client = None, None
        self.enter()
        self.info = parse_info(self.client.ask("INFO"))
        acl = self.settings.last("aclfile")
        self.aclfile = acl[0] if acl and acl[0] else ""

    def ways(self):
        """Return where the server can be asked from this host."""
        made = []
        for one in self.listeners:
            if one.startswith("/"):
                made.insert(0, one)
            elif not one.startswith("@"):
                address, unused, port = one.rpartition(":")
                made.append(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address), int(port)))
        return made

    def passwords(self):
        """Return what may let us in: nothing, what the files say, what the role has kept."""
        made = [None, self.password]
        for name in ("requirepass", "masterauth"):
            words = self.settings.last(name)
            if words and words[0]:
                made.append(words[0])
        kept = self.host.read("%s/redis-%s" % (detector.SECRETS, self.port), 4096)
        return list(dict.fromkeys(made + ([kept.strip()] if kept and kept.strip() else [])))

    def enter(self):
        """Open a connection with which settings can be changed."""
        if self.client is not None:
            self.client.__exit__()
        for where in self.ways():
            for password in self.passwords():
                for tls in (False, True):
                    try:
                        client = Client(where, tls, seconds=3)
                        if password is not None:
                            client.ask("AUTH", password)
                        client.ask("PING")
                    except (Broken, RedisError):
                        continue
                    self.client, self.password = client, password
                    return
        raise Failure("redis %s lets nobody in whom this host knows the password of" % self.port)

    def version(self):
        """Return the version as numbers."""
        text = self.info.get("redis_version", "0")
        return tuple(int(part) for part in text.split(".")[:3] if part.isdecimal())


class Stopped:
    """An instance of an image: there is nothing but its file."""

    def __init__(self, config_file):
        self.config_file = config_file


def merged(instances):
    """Return each instance once, with all that is to be done to it: several findings may name it."""
    made = {}
    for one in instances:
        key = (one["config_file"], one["unit"], tuple(one["listeners"]))
        known = made.setdefault(key, dict(one, protect=[]))
        known.update(auth=known["auth"] or one["auth"], narrow=known["narrow"] or one["narrow"],
                     protect=known["protect"] + [path for path in one["protect"] if path not in known["protect"]])
    return list(made.values())


class Mender:
    """What is to be done, found out first, and then done."""

    def __init__(self, module):
        self.module, self.given = module, module.params
        self.host = Host(running=self.given["running"])
        self.changes, self.shown, self.steps, self.undo = [], [], [], []
        self.edits = {}
        self.others = None

    def note(self, kind, name, action, shown):
        """Remember a change for the result and the difference."""
        self.changes.append({"kind": kind, "name": name, "action": action})
        self.shown.append(shown)

    def plan(self):
        """Find out what changes."""
        self.given["instances"] = merged(self.given["instances"])
        for one in self.given["instances"] if not self.host.live else ():
            self.plan_image(one)
        for one in self.given["instances"] if self.host.live else ():
            server = Server(self.host, one["listeners"], one["config_file"], one["unit"])
            if one["auth"]:
                self.plan_auth(server)
            if one["narrow"]:
                self.plan_bind(server)
            for path in one["protect"]:
                self.plan_mode(path)
        for path, (wanted, users) in sorted(self.edits.items()):
            self.note("file", path, "modify", "%s: %s" % (path, ", ".join(sorted(wanted) + users)))

    def plan_image(self, one):
        """Plan the edits of an instance that does not run yet, and that many hosts will have."""
        settings = config.read_settings(one["config_file"], self.host.read, self.host.list)
        if not settings.files:
            raise Failure("%s cannot be read" % one["config_file"])
        server = Stopped(one["config_file"])
        wanted = {}
        if one["auth"] and self.given["password"]:
            if (settings.last("aclfile") or [""])[0]:
                raise Failure("%s names an ACL file: give its default user a password there" % one["config_file"])
            wanted["requirepass"] = [config.quoted(self.given["password"])]
        if one["narrow"] or (one["auth"] and not self.given["password"]):
            version = detector.packaged_version(self.host, "redis-server")
            modern = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) >= RUNTIME_BIND
            wanted["bind"] = [word for word in self.given["bind"] if modern or not word.startswith("-")]
            wanted["protected-mode"] = ["yes"]
        for name, words in sorted(wanted.items()):
            if settings.last(name) != words and [config.quoted(part) for part in settings.last(name) or []] != words:
                self.edit(server, name, words)
        for path in one["protect"]:
            self.plan_mode(path)

    def instances(self):
        """Return the instances that run on this host, each a Server; one that lets nobody in is left out."""
        if self.others is None:
            self.others = []
            facts = detector.collect(self.host, dict(detector.POLICY, common={}))
            for one in facts["instances"]:
                if one["foreign"] or not one["config_file"] or not one["listeners"]:
                    continue
                try:
                    server = Server(self.host, one["listeners"], one["config_file"], one["unit"])
                except (Failure, RedisError, Broken):
                    continue
                server.sentinel = one["sentinel"]
                self.others.append(server)
        return self.others

    def password_of(self, server):
        """Return the password that an instance gets, and where it is kept."""
        if self.given["password"]:
            return self.given["password"]
        path = "%s/redis-%s" % (self.given["secrets"], server.port)
        kept = (self.host.read(path, 4096) or "").strip()
        if kept and kept != server.password:
            return kept
        made = randomness.token_urlsafe(32)
        self.note("file", path, "modify" if kept else "create", "%s: a password" % path)
        self.steps.append(lambda: self.keep(path, made))
        return made

    def keep(self, path, password):
        """Write a password where root alone reads it."""
        folder = os.path.dirname(path)
        os.makedirs(folder, 0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        number, part = tempfile.mkstemp(dir=folder)
        with os.fdopen(number, "w") as handle:
            handle.write(password + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        os.rename(part, path)

    def plan_auth(self, server):
        """Plan a password for an instance, those who log in to it first."""
        password = self.password_of(server)
        for other in self.instances():
            if getattr(other, "sentinel", False):
                self.plan_sentinel(other, server, password)
            elif (other.info.get("role") == "slave" and other.info.get("master_port") == server.port
                    and other.info.get("master_host") in ("127.0.0.1", "localhost", "::1")):
                self.plan_setting(other, "masterauth", password)
        if server.aclfile:
            self.note("setting", "redis %s user default" % server.port, "set", "redis %s: user default (password)" % server.port)
            self.steps.append(lambda: self.set_default_user(server, password))
            self.note("file", server.aclfile, "modify", "%s: user default" % server.aclfile)
        else:
            self.plan_setting(server, "requirepass", password)
        self.steps.append(lambda: self.prove(server, password))

    def plan_setting(self, server, name, value):
        """Plan a setting in the server and in its file."""
        self.note("setting", "redis %s %s" % (server.port, name), "set", "redis %s: %s" % (server.port, name))
        self.steps.append(lambda: self.set(server, name, value))
        self.edit(server, name, [config.quoted(value)])

    def edit(self, server, name, words):
        """Plan an edit of the server's file; all edits of a file are made at once."""
        if server.config_file not in self.edits:
            self.edits[server.config_file] = ({}, [])
            self.steps.append(lambda: self.write(server.config_file))
        self.edits[server.config_file][0][name] = words

    def plan_sentinel(self, sentinel, server, password):
        """Plan to tell a sentinel the password of the master that it watches."""
        try:
            masters = sentinel.client.ask("SENTINEL", "MASTERS")
        except RedisError:
            return
        for one in masters:
            fields = dict(zip(one[::2], one[1::2]))
            if fields.get("port") == server.port:
                name = fields["name"]
                self.note("file", sentinel.config_file, "modify", "%s: auth-pass of %s" % (sentinel.config_file, name))
                if sentinel.version() >= SILENT_SENTINEL:
                    self.note("setting", "sentinel %s %s auth-pass" % (sentinel.port, name), "set",
                              "sentinel %s: auth-pass of %s" % (sentinel.port, name))
                    self.steps.append(lambda name=name: self.tell_sentinel(sentinel, name, password))
                    continue
                # An older sentinel writes what it is told into its log, a password too: its file is edited instead.
                if not sentinel.unit:
                    raise Failure("sentinel %s must be restarted, and no unit runs it" % sentinel.port)
                self.note("unit", sentinel.unit, "restart", "%s: restart" % sentinel.unit)
                self.steps.append(lambda name=name: self.rewrite_sentinel(sentinel, name, password))

    def tell_sentinel(self, sentinel, name, password):
        """Tell a sentinel a password; the file that it writes then keeps the mode it had."""
        mode = os.stat(sentinel.config_file).st_mode & 0o7777
        sentinel.client.ask("SENTINEL", "SET", name, "auth-pass", password)
        os.chmod(sentinel.config_file, mode)

    def rewrite_sentinel(self, sentinel, name, password):
        """Write a password into a sentinel's file and restart it."""
        start = "sentinel auth-pass %s " % name
        line = start + config.quoted(password)

        def with_password(text):
            kept = [one for one in text.split("\n") if not one.strip().startswith(start)]
            return "\n".join(kept[:-1] + [line, ""] if kept[-1] == "" else kept + [line])

        self.replace(sentinel.config_file, with_password)
        self.restart(sentinel)

    def plan_bind(self, server):
        """Plan fewer addresses."""
        bind = self.given["bind"]
        if server.version() < RUNTIME_BIND:
            bind = [one.lstrip("-") for one in bind if not one.startswith("-") or self.has_ipv6()]
        self.edit(server, "bind", bind)
        self.edit(server, "protected-mode", ["yes"])
        if server.version() >= RUNTIME_BIND:
            self.note("setting", "redis %s bind" % server.port, "set", "redis %s: bind %s" % (server.port, " ".join(bind)))
            self.steps.append(lambda: self.set(server, "bind", " ".join(bind)))
            self.note("setting", "redis %s protected-mode" % server.port, "set", "redis %s: protected-mode yes" % server.port)
            self.steps.append(lambda: self.set(server, "protected-mode", "yes"))
        else:
            if not server.unit:
                raise Failure("redis %s must be restarted to listen on fewer addresses, and no unit runs it" % server.port)
            self.note("unit", server.unit, "restart", "%s: restart" % server.unit)
            self.steps.append(lambda: self.restart(server))

    def has_ipv6(self):
        """Tell whether loopback has an IPv6 address."""
        return " lo" in (self.host.read("/proc/net/if_inet6") or "")

    def plan_mode(self, path):
        """Plan that not every user reads a file."""
        mode = os.stat(path).st_mode & 0o7777
        if mode & 0o007:
            self.note("file", path, "mode", "%s: mode %04o -> %04o" % (path, mode, mode & ~0o007))
            self.steps.append(lambda: os.chmod(path, mode & ~0o007))

    # Doing it

    def set(self, server, name, value):
        """Set a setting in the server, and remember what it was."""
        old = server.client.pairs("CONFIG", "GET", name).get(name, "")
        server.client.ask("CONFIG", "SET", name, value)
        self.undo.append((server, name, old))
        if name == "requirepass":
            server.password = value
            server.enter()

    def set_default_user(self, server, password):
        """Give the default user of an ACL file a password, and have the server write the file."""
        server.client.ask("ACL", "SETUSER", "default", "resetpass", ">" + password)
        server.client.ask("ACL", "SAVE")
        server.password = password
        server.enter()

    def write(self, path):
        """Make all edits of a file at once."""
        self.replace(path, lambda text: config.edit(text, self.edits[path][0]))

    @staticmethod
    def replace(path, change):
        """Replace a file by what ``change`` makes of its text; owner, mode, attributes and links stay as they are."""
        target = os.path.realpath(path)
        with open(target, encoding="utf-8", errors="surrogateescape") as handle:
            made = change(handle.read())
        state = os.stat(target)
        number, part = tempfile.mkstemp(dir=os.path.dirname(target))
        try:
            with os.fdopen(number, "w", encoding="utf-8", errors="surrogateescape") as handle:
                handle.write(made)
                handle.flush()
                os.fsync(handle.fileno())
            shutil.copystat(target, part)
            os.chown(part, state.st_uid, state.st_gid)
            os.rename(part, target)
        except OSError:
            os.unlink(part)
            raise

    def restart(self, server):
        """Restart an instance and wait until it answers."""
        code, unused, err = self.module.run_command(["systemctl", "restart", server.unit])
        if code:
            raise Failure("%s does not start any more: %s" % (server.unit, err.strip()[:200]))
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                server.enter()
                return
            except Failure:
                if time.monotonic() > deadline:
                    raise Failure("%s does not answer after its restart" % server.unit) from None
                time.sleep(0.2)

    def prove(self, server, password):
        """See that nobody gets in without the password, and that the password does let in."""
        for where in server.ways():
            answer = probe(where)
            if answer in ("PONG", "ANSWERED"):
                raise Failure("redis %s still answers without a password" % server.port)
        server.password = password
        server.enter()

    def take_back(self):
        """Put the settings in use back."""
        for server, name, old in reversed(self.undo):
            try:
                server.client.ask("CONFIG", "SET", name, old)
            except (RedisError, Broken):
                continue


def main():
    """Mend the instances."""
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "list", "elements": "dict", "required": True, "options": {
                "listeners": {"type": "list", "elements": "str", "required": True},
                "config_file": {"type": "path", "required": True},
                "unit": {"type": "str"},
                "auth": {"type": "bool", "default": False},
                "narrow": {"type": "bool", "default": False},
                "protect": {"type": "list", "elements": "path", "default": []},
            }},
            "password": {"type": "str", "no_log": True},
            "running": {"type": "bool"},
            "bind": {"type": "list", "elements": "str", "default": ["127.0.0.1", "-::1"]},
            "secrets": {"type": "path", "default": "/etc/hostmend/secrets", "no_log": False},
        },
        supports_check_mode=True,
    )
    mender = Mender(module)
    try:
        mender.plan()
        if not module.check_mode:
            for step in mender.steps:
                step()
    except (Failure, RedisError, Broken, OSError) as error:
        mender.take_back()
        module.fail_json(msg=str(error) or type(error).__name__, changes=mender.changes)
    module.exit_json(changed=bool(mender.changes), changes=mender.changes,
                     diff={"before": "", "after": "".join(line + "\n" for line in mender.shown)})


if __name__ == "__main__":
    main()
