#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: logrotate_mend
short_description: Have logrotate cover more logs, and set single options in its stanzas
version_added: 0.1.0
description:
  - Adds logs that nothing rotates to C(/etc/logrotate.d/hostmend), and sets C(su), C(missingok), C(rotate) or C(maxage)
    in the stanza that already has a log. Nothing else in these files changes.
  - Afterwards C(logrotate -d) must have no complaint that it did not have before, or all files go back and the module
    fails.
author:
  - hostmend maintainers (@hostmend)
options:
  cover:
    description:
      - Logs to rotate that no stanza has. They are copied and truncated, so that the program that writes goes on.
    type: list
    elements: path
    default: []
  keep_days:
    description:
      - How many days of the logs in O(cover) are kept.
    type: int
    default: 180
  settings:
    description:
      - Options to set in stanzas that are there.
    type: list
    elements: dict
    default: []
    suboptions:
      file:
        description: The file with the stanza.
        type: path
        required: true
      log:
        description: A log, or a pattern, of the stanza.
        type: str
        required: true
      kind:
        description:
          - V(su) names the owner and group of the log's folder, V(missingok) lets a log be absent, V(rotate) keeps
            O(settings[].rotate) old logs.
        type: str
        choices: [su, missingok, rotate]
        required: true
      rotate:
        description: How many old logs to keep.
        type: int
      days:
        description: What C(maxage) must be at least, where the stanza has one.
        type: int
attributes:
  check_mode:
    description: Says what a real run would change.
    support: full
  diff_mode:
    description: Shows the files before and after.
    support: full
"""

EXAMPLES = r"""
- name: Rotate a log that nobody rotates
  hostmend.hardening.logrotate_mend:
    cover: [/var/log/app/trace.log]

- name: Keep logins for half a year
  hostmend.hardening.logrotate_mend:
    settings:
      - {file: /etc/logrotate.d/wtmp, log: /var/log/wtmp, kind: rotate, rotate: 6, days: 180}
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "file", "name": "/etc/logrotate.d/wtmp", "action": "rotate 6 for /var/log/wtmp"}]
"""

import glob
import grp
import os
import pwd
import re
import stat

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.software import logrotate
from ansible_collections.hostmend.hardening.plugins.module_utils.common import files

ARGUMENTS = dict(
    cover=dict(type="list", elements="path", default=[]),
    keep_days=dict(type="int", default=180),
    settings=dict(type="list", elements="dict", default=[], options=dict(
        file=dict(type="path", required=True),
        log=dict(type="str", required=True),
        kind=dict(type="str", choices=["su", "missingok", "rotate"], required=True),
        rotate=dict(type="int"),
        days=dict(type="int"),
    )),
)
CONFIGURATION = "/etc/logrotate.conf"
HEAD = "# Logs that nothing else rotates. Kept by hostmend.\n"


class Trouble(Exception):
    """What was asked for could not be done; the message is for a person."""


def owner_of(folder):
    """Return "user group" of a folder that logrotate wants ``su`` for, else ''."""
    about = os.stat(folder)
    if not about.st_mode & stat.S_IWOTH and not (about.st_mode & stat.S_IWGRP and about.st_gid != 0):
        return ""
    return "%s %s" % (pwd.getpwuid(about.st_uid).pw_name, grp.getgrgid(about.st_gid).gr_name)


def covering(text, paths, days):
    """Return the text of our own file with the paths added, and those that were."""
    there = [pattern for stanza in logrotate.parse(text) for pattern in stanza.patterns]
    added = [path for path in dict.fromkeys(paths) if path not in there]
    for path in added:
        if re.search(r"[\s\"'{}*?\[\]\\#\x00-\x1f]", path):
            raise Trouble("the name of %r is not one that logrotate can be told safely" % path)
    made = text or HEAD
    by_owner = {}
    for path in added:
        by_owner.setdefault(owner_of(os.path.dirname(path)), []).append(path)
    for owner, several in sorted(by_owner.items()):
        made += "\n%s\n{\n%s\tweekly\n\trotate %d\n\tcompress\n\tmissingok\n\tnotifempty\n\tcopytruncate\n}\n" % (
            "\n".join(several), "\tsu %s\n" % owner if owner else "", max(1, -(-days // 7)))
    return made, added


def setting(text, asked):
    """Return the text with one setting made, and what was set; '' for nothing."""
    stanza = next((one for one in logrotate.parse(text, asked["file"]) if logrotate.matches(asked["log"], one.patterns)), None)
    if stanza is None:
        raise Trouble("%s has no stanza for %s" % (asked["file"], asked["log"]))
    if asked["kind"] == "missingok":
        if "missingok" in stanza.options:
            return text, ""
        return logrotate.with_option(text, stanza, "missingok", ""), "missingok"
    if asked["kind"] == "su":
        # One su holds for the whole stanza: all of its folders have to be of the same owner.
        logs = [path for pattern in stanza.patterns for path in glob.glob(pattern)] + [asked["log"]]
        owners = {owner_of(folder) for folder in {os.path.dirname(log) for log in logs}} - {""}
        if len(owners) > 1:
            raise Trouble("%s: folders of several owners in one stanza: %s" % (asked["file"], ", ".join(sorted(owners)[:5])))
        value = next(iter(owners), "")
        if not value or stanza.options.get("su", ("",))[0] == value:
            return text, ""
        return logrotate.with_option(text, stanza, "su", value), "su " + value
    said = []
    have = stanza.options.get("rotate", ("",))[0]
    if not have.isdecimal() or int(have) < (asked["rotate"] or 0):
        text = logrotate.with_option(text, stanza, "rotate", str(asked["rotate"]))
        said.append("rotate %d" % asked["rotate"])
    age = stanza.options.get("maxage", ("",))[0]
    if age.isdecimal() and int(age) < (asked["days"] or 0):
        stanza = next(one for one in logrotate.parse(text, asked["file"]) if one.patterns == stanza.patterns)
        text = logrotate.with_option(text, stanza, "maxage", str(asked["days"]))
        said.append("maxage %d" % asked["days"])
    return text, ", ".join(said)


def complaints(module):
    """Return what ``logrotate -d`` complains of, without the lines' numbers."""
    _code, out, err = module.run_command(["logrotate", "-d", CONFIGURATION], environ_update={"LC_ALL": "C"})
    return logrotate.normalized(logrotate.parse_output(out + err).faults)


def without_effect(module, settings):
    """Return the numbers of old logs that were set and that logrotate does not go by: another stanza is in effect."""
    _code, out, err = module.run_command(["logrotate", "-d", CONFIGURATION], environ_update={"LC_ALL": "C"})
    rotations = logrotate.parse_output(out + err).rotations
    return ["rotate %d for %s" % (one["rotate"], one["log"]) for one in settings if one["kind"] == "rotate" and not any(
        rotation["count"] >= (one["rotate"] or 0) for rotation in rotations
        if one["log"] in rotation["patterns"] or logrotate.matches(one["log"], rotation["patterns"]))]


def write(module, file, text):
    """Replace a file's content; owner, mode and a link to it stay. A new file is for all to read."""
    target = os.path.realpath(file)
    new = not os.path.exists(target)
    files.replace(module, target, text)
    if new:
        os.chmod(target, 0o644)


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = module.params
    result = {"changed": False, "changes": []}
    before, after = {}, {}
    try:
        if asked["cover"]:
            before[logrotate.OWN_FILE] = files.read(logrotate.OWN_FILE)
            text, added = covering(before[logrotate.OWN_FILE], asked["cover"], asked["keep_days"])
            if added:
                after[logrotate.OWN_FILE] = text
            result["changes"] += [{"kind": "file", "name": logrotate.OWN_FILE, "action": "rotates %s" % path}
                                  for path in added]
        for one in asked["settings"]:
            file = one["file"]
            before.setdefault(file, files.read(file))
            text, said = setting(after.get(file, before[file]), one)
            if said:
                after[file] = text
                result["changes"].append({"kind": "file", "name": file, "action": "%s for %s" % (said, one["log"])})
        result["changed"] = bool(after)
        result["diff"] = [{"before_header": file, "after_header": file, "before": before[file], "after": after[file]}
                          for file in sorted(after)]
        if after and not module.check_mode:
            old = complaints(module)
            for file, text in after.items():
                write(module, file, text)
            more = complaints(module) - old or set(without_effect(module, asked["settings"]))
            if more:
                for file in after:
                    if before[file]:
                        write(module, file, before[file])
                    else:
                        os.unlink(file)
                raise Trouble("put back, as logrotate complains or does not go by it: %s" % "; ".join(sorted(more)[:3]))
    except (Trouble, KeyError) as trouble:
        module.fail_json(msg=str(trouble), **result)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the host", error.strerror), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
