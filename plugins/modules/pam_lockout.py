#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: pam_lockout
short_description: Have PAM lock accounts for a while after failed logins
version_added: 0.1.0
description:
  - Adds C(pam_faillock) by C(pam-auth-update) (two profiles in C(/usr/share/pam-configs)) or by C(authselect). No file
    of C(/etc/pam.d) is edited.
  - Where no profile of authselect is selected, the profile has no feature C(with-faillock), or somebody has changed by
    hand what authselect writes, it fails and says what to do, in check mode too.
  - Afterwards the stacks must lock an account that fails, let in one that does not, and set its count back. If they do
    not, the module fails, and a rollback brings back what was before.
  - The account root is never locked. Where C(/etc/security/faillock.conf) has it locked (C(even_deny_root)), the lines
    read C(/etc/security/faillock-hostmend.conf) in its place, a copy without that; with authselect, the module fails and
    says so.
author:
  - hostmend maintainers (@hostmend)
options:
  deny:
    description:
      - Failed logins after which an account is locked. With authselect, a smaller number of C(faillock.conf) stays.
    type: int
    default: 10
  unlock_time:
    description: Seconds that an account stays locked. With authselect, what C(faillock.conf) says stays.
    type: int
    default: 900
attributes:
  check_mode:
    description: Says what a real run would change.
    support: full
  diff_mode:
    description: Shows the files before and after.
    support: full
"""

EXAMPLES = r"""
- name: Lock accounts for a quarter of an hour
  hostmend.hardening.pam_lockout:
    deny: 5
    unlock_time: 900
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "file", "name": "/etc/pam.d/common-auth", "action": "locks accounts after 5 failures"}]
"""

import os
import re
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import authselect
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import profiles
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import stack
from ansible_collections.hostmend.hardening.plugins.module_utils.common import files as text_file
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

STACKS = {"auth": "/etc/pam.d/common-auth", "account": "/etc/pam.d/common-account"}


class LockoutError(HostError):
    """What was asked for could not be done; the message is for a person."""


def read(path):
    """Return a file's text, None where there is none."""
    try:
        with open(path, "rb") as handle:
            return handle.read().decode("utf-8", "surrogateescape")
    except OSError:
        return None


def run(module, argv):
    """Run a command; its failure is an error."""
    code, out, err = module.run_command(argv, environ_update={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})
    if code:
        raise LockoutError("%s: %s" % (" ".join(argv), (err or out).strip()[:300]))


def by_profiles(module, asked, result):
    """Add the lockout by pam-auth-update."""
    texts = profiles.texts(asked["deny"], asked["unlock_time"], read(stack.CONF) or "")
    wrong = stack.judged(read, "common-auth", "common-account").wrong
    files = [path for path, text in texts.items() if read(path) != text]
    if not wrong and not files:
        return
    if not wrong and read(next(iter(texts))) is None:
        return  # somebody else's lockout works
    edited = profiles.edited(read)
    if edited:
        raise LockoutError("%s was edited by hand, so pam-auth-update leaves it alone: run pam-auth-update --force once, or "
                           "add pam_faillock by hand" % edited)
    result["changed"] = True
    result["changes"] += [{"kind": "file", "name": path, "action": "profile for pam-auth-update" if path != profiles.OWN_CONF
                           else "settings that leave root out"} for path in sorted(files)]
    result["changes"] += [{"kind": "file", "name": path, "action": "locks accounts after %d failures" % asked["deny"]}
                          for path in STACKS.values()]
    result["diff"] = [{"before_header": path, "after_header": path, "before": read(path) or "", "after": texts[path]}
                      for path in sorted(files)]
    if module.check_mode:
        return
    for path in files:
        text_file.write(module, path, texts[path])
    before = dict((path, read(path)) for path in STACKS.values())
    run(module, ["pam-auth-update", "--enable"] + sorted(profiles.PROFILES))
    seen = stack.judged(read, "common-auth", "common-account")
    if seen.wrong and before == dict((path, read(path)) for path in STACKS.values()):
        raise LockoutError("pam-auth-update leaves /etc/pam.d/common-* alone, as somebody has edited them: run pam-auth-update "
                           "--force once, or add pam_faillock by hand")
    if seen.root_too:
        raise LockoutError("PAM would lock root too")
    if seen.wrong or seen.settings["deny"] != str(asked["deny"]):
        raise LockoutError("PAM would not lock accounts as wanted: %s" % (
            "; ".join(seen.wrong) or "deny is %s" % seen.settings["deny"]))


def by_authselect(module, asked, result):
    """Add the lockout by authselect, its settings by faillock.conf."""
    def run_it(argv):
        code, out, err = module.run_command(argv, environ_update={"LC_ALL": "C"})
        return code, err + out

    if not too_late(asked, read, authselect.STACKS):
        return  # it is there, be it ours or somebody's
    words = authselect.selected(run_it, read)
    has = authselect.FEATURE in words
    texts = dict((path, text) for path, text in authselect.generated(run_it, words + [authselect.FEATURE] * (not has)).items()
                 if authselect.changed(text, read(path) or ""))
    before = read(stack.CONF) or ""
    after = authselect.conf(before, asked["deny"], asked["unlock_time"])
    wrong = too_late(asked, lambda path: after if path == stack.CONF else texts.get(path) or read(path), authselect.STACKS)
    if wrong:
        raise LockoutError("with %s, the profile %s would not lock accounts as wanted: %s" % (
            authselect.FEATURE, words[0], wrong))
    result["changed"], result["diff"] = True, []
    files = [(stack.CONF, after, "locks after %d failures" % asked["deny"])] if after != before else []
    files += [(os.path.realpath(path), text, authselect.FEATURE) for path, text in texts.items()]
    for path, text, action in files:
        result["changes"].append({"kind": "file", "name": path, "action": action})
        result["diff"].append({"before_header": path, "after_header": path,
                               "before": body(read(path) or ""), "after": body(text)})
    if not has:
        result["changes"].append({"kind": "file", "name": authselect.SELECTED, "action": authselect.FEATURE})
    if module.check_mode:
        return
    if after != before:
        text_file.write(module, stack.CONF, after)
    if not has:
        run(module, ["authselect", "enable-feature", authselect.FEATURE])
    wrong = too_late(asked, read, authselect.STACKS)
    if wrong:
        raise LockoutError("PAM would not lock accounts as wanted: %s" % wrong)


def body(text):
    """Return a file without the head that authselect writes over it, and the blanks that it ends with."""
    return re.sub(r"\A# Generated by authselect.*\n(?:#.*\n)*\n*", "", text).rstrip("\n") + "\n"


def too_late(asked, reader, stacks):
    """Return why stacks do not lock accounts after as many failures as are asked for; '' where they do."""
    for path in stacks:
        name = path.rpartition("/")[2]
        seen = stack.judged(reader, name)
        wrong, deny = seen.wrong, seen.settings.get("deny", "")
        if not wrong and not (deny.isdecimal() and 0 < int(deny) <= asked["deny"]):
            wrong = ["it locks after %s failures" % deny]
        if wrong:
            return "%s: %s" % (path, "; ".join(wrong))
    return ""


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=dict(deny=dict(type="int", default=10), unlock_time=dict(type="int", default=900)),
                           supports_check_mode=True)
    asked = module.params
    result = {"changed": False, "changes": []}
    if asked["deny"] < 1 or asked["unlock_time"] < 1:
        module.fail_json(msg="deny and unlock_time must be above 0", **result)
    try:
        there = [name for name in ("pam-auth-update", "authselect") if shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")]
        if "authselect" in there and ("pam-auth-update" not in there or os.path.exists(authselect.SELECTED)):
            by_authselect(module, asked, result)
        elif there:
            by_profiles(module, asked, result)
        else:
            raise LockoutError("there is neither pam-auth-update nor authselect, so PAM is left alone")
    except (LockoutError, authselect.AuthselectError) as trouble:
        module.fail_json(msg=str(trouble), **result)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the host", error.strerror), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
