#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: redis_access
short_description: Give running instances of Redis a password, and have them listen on fewer addresses
version_added: 0.1.0
description:
  - Sets a password on running instances of Redis, Valkey or KeyDB, in the server and in its configuration alike, and
    narrows the addresses that they listen on.
  - Instances that replicate each other, the sentinels that watch them and the nodes of a cluster get one password
    together, and know it as each other's; all of a group is changed or nothing of it.
  - An option on the command line of a unit that beats the file is taken off it by a drop-in.
  - A file is closed to other users before a password goes into it. Links that a service can set are not followed.
  - The password goes over the server's own socket. It is in no argument of a process, no log and no difference.
  - Without a password of your own a strong one is made and kept in a file that root alone can read.
  - Afterwards an unauthenticated client must be refused and one with the password be answered, else the group is put
    back as it was. That is a warning and is named in RV(failed_instances) where another group could be changed, and a failure
    where none could.
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
  words:
    description:
      - Passwords to try, besides common ones, where an instance has one that is not in its files.
      - They are kept from the log of the host.
    type: list
    elements: str
    default: []
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
failed_instances:
  description: Instances that were left, or put back, as they were, with the reason.
  returned: always
  type: dict
  sample: {"redis-server 6380 (/etc/redis/b.conf)": "/etc/redis/b.conf leads over a link that others than root can set"}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import redis as detector
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import Instance
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import label
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import kept_passwords
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import packaged_version
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.weak_passwords import weak_words
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.change import Given
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.change import GroupChange
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.change import Wish
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.server import Server
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.server import Target


def merged(instances):
    """Return each instance once, with all that is to be done to it: several findings may name it."""
    made = {}
    for asked in instances:
        key = (asked["config_file"], asked["unit"], tuple(asked["listeners"]))
        known = made.setdefault(key, dict(asked, protect=[]))
        known.update(auth=known["auth"] or asked["auth"], narrow=known["narrow"] or asked["narrow"],
                     protect=known["protect"] + [path for path in asked["protect"] if path not in known["protect"]])
    return list(made.values())


class Access:
    """What is asked for, group by group."""

    def __init__(self, params):
        self.params = params
        self.host = Host(running=params["running"])
        self.given = Given(params["password"], tuple(params["bind"]), params["secrets"])
        facts = detector.collect(self.host, dict(detector.POLICY, common={}, words=params["words"]))
        self.instances = dict((each["name"], Instance(**each)) for each in facts["instances"])
        self.failed = {}
        self.changes, self.shown = [], []

    def instance_of(self, asked):
        """Return the Instance that is asked for."""
        for instance in self.instances.values():
            if instance.config_file == asked["config_file"] and set(asked["listeners"]) & set(instance.listeners):
                return instance
        for instance in self.instances.values():
            if instance.config_file == asked["config_file"]:
                return instance
        return Instance(name="redis %s (%s)" % (label(asked["listeners"]), asked["config_file"]), booted=False,
                        listeners=asked["listeners"], config_file=asked["config_file"], unit=asked["unit"])

    def groups(self):
        """Return [(the instances of a group, {name: Wish})]; those that get no password are each a group of their own."""
        wishes = {}
        for asked in merged(self.params["instances"]):
            instance = self.instance_of(asked)
            if instance.name not in self.instances and self.host.live:
                self.failed[instance.name] = "no such instance runs here"
                continue
            self.instances.setdefault(instance.name, instance)
            wishes[instance.name] = Wish(asked["auth"], asked["narrow"], tuple(asked["protect"]))
        made, seen = [], set()
        for name, wish in wishes.items():
            if name in seen:
                continue
            instance = self.instances[name]
            names = [name] + ([other for other in instance.group if other in self.instances]
                              if wish.auth or any(wishes[other].auth for other in instance.group if other in wishes) else [])
            seen.update(names)
            made.append(([self.instances[each] for each in names], {each: wishes[each] for each in names if each in wishes}))
        return made

    def run(self, check_mode):
        """Plan each group, and change it unless only that was asked for."""
        for instances, wishes in self.groups():
            change = GroupChange(self.host, self.given, self.host.live)
            try:
                change.plan(self.servers(instances, wishes), wishes)
                if not check_mode:
                    change.apply()
            except (HostError, OSError) as error:
                for name in wishes:
                    self.failed[name] = str(error) or type(error).__name__
                continue
            self.changes += [each for each in change.changes if each not in self.changes]
            self.shown += [line for line in change.shown if line not in self.shown]

    def servers(self, instances, wishes):
        """Return the Servers of a group; what is in the way of one is in the way of all."""
        words = weak_words(self.params["words"], [self.host.system().id, self.node()], time.localtime().tm_year)
        for instance in instances:
            wish = wishes.get(instance.name, Wish())
            for need, wanted in ((remedy.AUTH, wish.auth), (remedy.NARROW, wish.narrow), (remedy.PROTECT, wish.protect)):
                text = remedy.hindrance(instance, need, self.instances) if wanted and instance.files else ""
                if text:
                    raise HostError(text)
        alone = not any(wish.auth or wish.narrow for wish in wishes.values())
        return [] if alone else [self.server(instance, words) for instance in instances]

    def server(self, instance, words):
        """Return the Server of an instance."""
        target = Target(name=instance.name, label=instance.port, listeners=instance.listeners, unit=instance.unit,
                        config_file=instance.config_file, uid=instance.uid, sentinel=instance.sentinel, folder=instance.folder,
                        restartable=remedy.restarts(instance),
                        version=instance.version or packaged_version(self.host, "redis-server"))
        return Server(self.host, target, kept_passwords(self.host, instance.listeners), words, self.host.live)

    def node(self):
        """Return the first part of the host's name."""
        return (self.host.read("/proc/sys/kernel/hostname", 256) or "").strip().split(".")[0]


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
            "words": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "running": {"type": "bool"},
            "bind": {"type": "list", "elements": "str", "default": ["127.0.0.1", "-::1"]},
            "secrets": {"type": "path", "default": "/etc/hostmend/secrets", "no_log": False},
        },
        no_log=True,  # the words are passwords, and one of them may be a name that results have to show
        supports_check_mode=True,
    )
    access = Access(module.params)
    access.run(module.check_mode)
    said = {"changes": access.changes, "failed_instances": access.failed,
            "invocation": {"module_args": dict(module.params, words=[], password=None)}}
    if access.failed and not access.changes:
        module.fail_json(msg="; ".join("%s: %s" % pair for pair in sorted(access.failed.items())), **said)
    for name, reason in sorted(access.failed.items()):
        module.warn("%s is as it was: %s" % (name, reason))
    module.exit_json(changed=bool(access.changes),
                     diff={"before": "", "after": "".join(line + "\n" for line in access.shown)}, **said)


if __name__ == "__main__":
    main()
