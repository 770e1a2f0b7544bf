#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pam_lockout
short_description: Have PAM lock accounts for a while after failed logins
version_added: 0.1.0
description:
  - Adds C(pam_faillock) by C(pam-auth-update) (two profiles in C(/usr/share/pam-configs)) or by C(authselect). No file
    of C(/etc/pam.d) is edited.
  - Afterwards the stacks must lock an account that fails, let in one that does not, and set its count back. If they do
    not, the module fails, and a rollback brings back what was before.
  - The account root is never locked.
author:
  - hostmend maintainers (@hostmend)
options:
  deny:
    description: Failed logins after which an account is locked.
    type: int
    default: 10
  unlock_time:
    description: Seconds that an account stays locked.
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

import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils import pam_stack
from ansible_collections.hostmend.hardening.plugins.module_utils import text_file

FOLDER = "/usr/share/pam-configs"
# The count comes first, and its failure after every other module that knows passwords: so two profiles.
PROFILES = {
    "hostmend-faillock-preauth": """Name: Turn away locked accounts (hostmend)
Default: no
Priority: 1024
Auth-Type: Primary
Auth:
\trequisite pam_faillock.so preauth %(options)s
Account-Type: Primary
Account:
\trequired pam_faillock.so
""",
    "hostmend-faillock": """Name: Count failed logins (hostmend)
Default: no
Priority: 0
Auth-Type: Primary
Auth:
\t[default=die] pam_faillock.so authfail %(options)s
""",
}
STACKS = {"auth": "/etc/pam.d/common-auth", "account": "/etc/pam.d/common-account"}
CONF = "/etc/security/faillock.conf"


class Trouble(Exception):
    """What was asked for could not be done; the message is for a person."""


def read(path):
    """Return a file's text, None where there is none."""
    try:
        with open(path, "rb") as handle:
            return handle.read().decode("utf-8", "surrogateescape")
    except OSError:
        return None


def problems(auth, account):
    """Return what keeps stacks from locking accounts, and the number of failures that they lock after."""
    try:
        stack = pam_stack.load(read, auth, "auth")
        told = pam_stack.settings(stack, read(CONF))
        return pam_stack.lockout(stack, pam_stack.load(read, account, "account")), told["deny"]
    except pam_stack.StackError as error:
        return [str(error)], ""


def run(module, argv):
    """Run a command; its failure is trouble."""
    code, out, err = module.run_command(argv, environ_update={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})
    if code:
        raise Trouble("%s: %s" % (" ".join(argv), (err or out).strip()[:300]))


def by_profiles(module, asked, result):
    """Add the lockout by pam-auth-update."""
    options = "deny=%d unlock_time=%d" % (asked["deny"], asked["unlock_time"])
    texts = dict(("%s/%s" % (FOLDER, name), text % {"options": options}) for name, text in PROFILES.items())
    wrong, deny = problems("common-auth", "common-account")
    files = [path for path, text in texts.items() if read(path) != text]
    if not wrong and not files:
        return
    if not wrong and read(next(iter(texts))) is None:
        return  # somebody else's lockout works
    result["changed"] = True
    result["changes"] += [{"kind": "file", "name": path, "action": "profile for pam-auth-update"} for path in sorted(files)]
    result["changes"] += [{"kind": "file", "name": path, "action": "locks accounts after %d failures" % asked["deny"]}
                          for path in STACKS.values()]
    result["diff"] = [{"before_header": path, "after_header": path, "before": read(path) or "", "after": texts[path]}
                      for path in sorted(files)]
    if module.check_mode:
        return
    for path in files:
        text_file.write(module, path, texts[path])
    before = dict((path, read(path)) for path in STACKS.values())
    run(module, ["pam-auth-update", "--enable"] + sorted(PROFILES))
    wrong, deny = problems("common-auth", "common-account")
    if wrong and before == dict((path, read(path)) for path in STACKS.values()):
        raise Trouble("pam-auth-update leaves /etc/pam.d/common-* alone, as somebody has edited them: run pam-auth-update "
                      "--force once, or add pam_faillock by hand")
    if wrong or deny != str(asked["deny"]):
        raise Trouble("PAM would not lock accounts as wanted: %s" % ("; ".join(wrong) or "deny is %s" % deny))


def by_authselect(module, asked, result):
    """Add the lockout by authselect, its settings by faillock.conf."""
    code, out, _err = module.run_command(["authselect", "current", "--raw"])
    if code:
        raise Trouble("authselect has no profile selected: select one first")
    lines = ["deny = %d" % asked["deny"], "unlock_time = %d" % asked["unlock_time"]]
    before = read(CONF) or ""
    names = tuple(line.split(" ")[0] for line in lines)
    kept = [line for line in before.splitlines() if line.split("=")[0].strip() not in names]
    after = "\n".join(kept + lines) + "\n"
    has = "with-faillock" in out.split()
    if has and after == before:
        return
    result["changed"] = True
    if after != before:
        result["changes"].append({"kind": "file", "name": CONF, "action": "locks after %d failures" % asked["deny"]})
        result["diff"] = [{"before_header": CONF, "after_header": CONF, "before": before, "after": after}]
    if not has:
        result["changes"].append({"kind": "file", "name": "/etc/authselect/system-auth", "action": "with-faillock"})
    if module.check_mode:
        return
    if after != before:
        text_file.write(module, CONF, after)
    if not has:
        run(module, ["authselect", "enable-feature", "with-faillock"])
    for stack in ("system-auth", "password-auth"):
        wrong = problems(stack, stack)[0]
        if wrong:
            raise Trouble("PAM would not lock accounts: /etc/pam.d/%s: %s" % (stack, "; ".join(wrong)))


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=dict(deny=dict(type="int", default=10), unlock_time=dict(type="int", default=900)),
                           supports_check_mode=True)
    asked = module.params
    result = {"changed": False, "changes": []}
    if asked["deny"] < 1 or asked["unlock_time"] < 1:
        module.fail_json(msg="deny and unlock_time must be above 0", **result)
    try:
        if shutil.which("pam-auth-update", path="/usr/sbin:/sbin:/usr/bin:/bin"):
            by_profiles(module, asked, result)
        elif shutil.which("authselect", path="/usr/sbin:/sbin:/usr/bin:/bin"):
            by_authselect(module, asked, result)
        else:
            raise Trouble("there is neither pam-auth-update nor authselect, so PAM is left alone")
    except Trouble as trouble:
        module.fail_json(msg=str(trouble), **result)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the host", error.strerror), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
