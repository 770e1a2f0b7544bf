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
  - Afterwards C(logrotate -d) must have no complaint that it did not have before. What brings one goes back, and is
    returned as RV(refused) with a warning; the other changes stay.
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
refused:
  description: What could not be changed, each with its reason.
  returned: always
  type: list
  elements: str
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
    """Return "user group" of a folder that logrotate wants ``su`` for, else ''.

    Where the folder is root's, or a link that another may turn elsewhere, ``su`` would have the wrong one work there.
    """
    link = os.lstat(folder)
    if stat.S_ISLNK(link.st_mode) and link.st_uid != 0:
        raise Trouble("%s is a link of another than root" % folder)
    about = os.stat(folder)
    if not about.st_mode & stat.S_IWOTH and not (about.st_mode & stat.S_IWGRP and about.st_gid != 0):
        return ""
    if about.st_uid == 0:
        raise Trouble("%s is root's and others may write to it: take that right away" % folder)
    return "%s %s" % (pwd.getpwuid(about.st_uid).pw_name, grp.getgrgid(about.st_gid).gr_name)


def covering(text, path, days, su_for_all=False):
    """Return the text of our own file with a log added, and what was added, one sentence each.

    :param su_for_all: whether the main file says for all logs who rotates them.
    """
    if path in [pattern for stanza in logrotate.parse(text) for pattern in stanza.patterns]:
        return text, []
    if re.search(r"[\s\"'{}*?\[\]\\#\x00-\x1f]", path):
        raise Trouble("the name of %r is not one that logrotate can be told safely" % path)
    folder = os.path.dirname(path)
    owner = "" if su_for_all and os.stat(folder).st_uid == 0 else owner_of(folder)
    return "%s\n%s\n{\n%s\tweekly\n\trotate %d\n\tcompress\n\tmissingok\n\tnotifempty\n\tcopytruncate\n}\n" % (
        text or HEAD, path, "\tsu %s\n" % owner if owner else "", max(1, -(-days // 7))), ["rotates %s" % path]


def setting(text, asked):
    """Return the text with one setting made, and what was set, one sentence each."""
    stanza = next((one for one in logrotate.parse(text, asked["file"]) if logrotate.matches(asked["log"], one.patterns)), None)
    if stanza is None:
        raise Trouble("%s has no stanza for %s" % (asked["file"], asked["log"]))
    if asked["kind"] == "missingok":
        if "missingok" in stanza.options:
            return text, []
        return logrotate.with_option(text, stanza, "missingok", ""), _said("missingok", asked)
    if asked["kind"] == "su":
        # One su holds for the whole stanza: all of its folders have to be of the same owner.
        logs = [path for pattern in stanza.patterns for path in glob.glob(pattern)] + [asked["log"]]
        owners = {owner_of(folder) for folder in {os.path.dirname(log) for log in logs}} - {""}
        if len(owners) > 1:
            raise Trouble("%s: folders of several owners in one stanza: %s" % (asked["file"], ", ".join(sorted(owners)[:5])))
        value = next(iter(owners), "")
        if not value or stanza.options.get("su", ("",))[0] == value:
            return text, []
        return logrotate.with_option(text, stanza, "su", value), _said("su " + value, asked)
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
    return text, _said(", ".join(said), asked) if said else []


def _said(what, asked):
    return ["%s for %s" % (what, asked["log"])]


def complaints(module):
    """Return what ``logrotate -d`` complains of, without the lines' numbers."""
    _code, out, err = module.run_command(["logrotate", "-d", CONFIGURATION], environ_update={"LC_ALL": "C"})
    return logrotate.normalized(logrotate.parse_output(out + err).faults)


def without_effect(module, edits):
    """Return the numbers of old logs that were set and that logrotate does not go by: another stanza is in effect."""
    _code, out, err = module.run_command(["logrotate", "-d", CONFIGURATION], environ_update={"LC_ALL": "C"})
    rotations = logrotate.parse_output(out + err).rotations
    settings = [edit.setting for edit in edits if edit.setting and edit.setting["kind"] == "rotate"]
    return ["rotate %d for %s" % (one["rotate"], one["log"]) for one in settings if not any(
        rotation["count"] >= (one["rotate"] or 0) for rotation in rotations
        if one["log"] in rotation["patterns"] or logrotate.matches(one["log"], rotation["patterns"]))]


def write(module, file, text):
    """Replace a file's content; owner, mode and a link to it stay. A new file is for all to read."""
    target = os.path.realpath(file)
    new = not os.path.exists(target)
    files.replace(module, target, text)
    if new:
        os.chmod(target, 0o644)


class Edit:
    """One change of one file that stands by itself: where it cannot be made, the others are."""

    def __init__(self, file, log, make, setting=None):
        self.file, self.log, self.make, self.setting = file, log, make, setting


def edits_of(asked):
    """Return the changes that are asked for."""
    for_all = bool(asked["cover"]) and logrotate.su_for_all(files.read(CONFIGURATION))
    made = [Edit(logrotate.OWN_FILE, path, lambda text, path=path: covering(text, path, asked["keep_days"], for_all))
            for path in dict.fromkeys(asked["cover"])]
    return made + [Edit(one["file"], one["log"], lambda text, one=one: setting(text, one), one) for one in asked["settings"]]


def fold(edits, texts):
    """Make edits one after the other.

    :param texts: the text of each file.
    :returns: the files that differ, what was changed, what could not be, and the edits that were made.
    """
    after, changes, refused, made = {}, [], [], []
    for edit in edits:
        try:
            text, said = edit.make(after.get(edit.file, texts[edit.file]))
        except (Trouble, KeyError) as trouble:  # an owner without a name is a KeyError
            refused.append("%s: %s" % (edit.log, str(trouble).strip("'\"")))
            continue
        except OSError as error:
            refused.append("%s: %s" % (edit.log, error.strerror))
            continue
        if said:
            after[edit.file] = text
            changes += [{"kind": "file", "name": edit.file, "action": one} for one in said]
            made.append(edit)
    return after, changes, refused, made


def attempt(module, edits, before, after, old):
    """Write files; returns why logrotate does not take them, and then they are as they were."""
    for file, text in after.items():
        write(module, file, text)
    more = sorted((complaints(module) - old) | set(without_effect(module, edits)))
    if more:
        for file in after:
            if before[file]:
                write(module, file, before[file])
            else:
                os.unlink(file)
    return more


def mend(module, edits, texts):
    """Make the edits: all at once, or one by one where logrotate does not take them together."""
    after, changes, refused, made = fold(edits, texts)
    if not after or module.check_mode:
        return after, changes, refused
    old = complaints(module)
    more = attempt(module, made, texts, after, old)
    if not more:
        return after, changes, refused
    now, after, changes = dict(texts), {}, []
    for edit in made:
        new, said, unused, one = fold([edit], now)
        more = attempt(module, one, now, new, old) if new else []
        if more:
            refused.append("%s: put back, as logrotate complains or does not go by it: %s" % (edit.log, "; ".join(more[:3])))
            continue
        now.update(new)
        after.update(new)
        changes += said
    return after, changes, refused


def texts_of(edits):
    """Return the text of each file, and the edits less those of files that cannot be read, with the reasons."""
    texts, usable, refused = {}, [], []
    for edit in edits:
        try:
            if edit.file not in texts:
                texts[edit.file] = files.read(edit.file)
            usable.append(edit)
        except OSError as error:
            refused.append("%s: %s: %s" % (edit.log, edit.file, error.strerror))
    return texts, usable, refused


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        texts, edits, unread = texts_of(edits_of(module.params))
        after, changes, refused = mend(module, edits, texts)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the host", error.strerror), changes=[])
    for reason in unread + refused:
        module.warn("not mended: %s" % reason)
    module.exit_json(changed=bool(after), changes=changes, refused=unread + refused, diff=[
        {"before_header": file, "after_header": file, "before": texts[file], "after": after[file]} for file in sorted(after)])


if __name__ == "__main__":
    main()
