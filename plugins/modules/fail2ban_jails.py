#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: fail2ban_jails
short_description: Have fail2ban watch the services that take passwords
version_added: 0.1.0
description:
  - Writes C(/etc/fail2ban/jail.d/zz-hostmend.conf) with a jail for each service, with the log that the service really
    writes, the ports that it really listens on, and a ban that works on this host. C(jail.local) and the C(*.local)
    files of C(jail.d) are the administrator's and win over it. Of a jail that these set and that sees nothing, only the
    keys at fault are set, by C(/etc/fail2ban/jail.d/zz-hostmend.local), which is read after them.
  - With O(state=running), fail2ban is enabled and reloaded (or started), and the detector of the class C(fail2ban) must
    find each of the jails active and not blind.
  - Logs that a jail reads and that are not there are made empty, now and by C(systemd-tmpfiles) at each boot, as
    fail2ban does not start without them.
  - What C(fail2ban-client -t) does not accept is put back.
author:
  - hostmend maintainers (@hostmend)
options:
  state:
    description:
      - V(written) writes the jails, also where fail2ban is yet to be installed. V(running) has fail2ban run with them.
    type: str
    choices: [written, running]
    default: written
  services:
    description:
      - The services to watch, by the names of the findings. Jails that the file has already stay.
    type: list
    elements: str
    default: []
  wanted:
    description:
      - The jails that the audit wanted, by service, as the facts of the class have them. They are for services that are
        no longer found, as another role has closed their port to strangers since.
    type: dict
    default: {}
  ignore:
    description:
      - Addresses and networks that are never banned. Those of loopback, and those that the administrator's own files
        ignore, are added.
    type: list
    elements: str
    default: []
  maxretry:
    description: Failed logins within O(findtime) after which an address is banned.
    type: int
    default: 5
  findtime:
    description: Seconds within which failed logins are counted.
    type: int
    default: 600
  bantime:
    description: Seconds that an address is banned.
    type: int
    default: 3600
  recidive:
    description: Whether an address that is banned again and again is banned from all ports for a week.
    type: bool
    default: true
  reload:
    description: Whether fail2ban has something to read anew, where it runs already.
    type: bool
    default: true
  fresh:
    description: Whether fail2ban is installed in this run, so that its unit is part of the package's coming.
    type: bool
    default: false
  live:
    description: Whether the host is running. If not, fail2ban is enabled and not started.
    type: bool
    default: true
  policy:
    description: The policy of the class C(fail2ban), with C(common), as M(hostmend.hardening.security_facts) takes it.
    type: dict
    default: {}
  seconds:
    description: How long jails may take to be active and see.
    type: int
    default: 60
attributes:
  check_mode:
    description: Says what a real run would change.
    support: full
  diff_mode:
    description: Shows the file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Watch SSH and FTP
  hostmend.hardening.fail2ban_jails:
    services: [ssh, vsftpd]
    ignore: [192.0.2.10]

- name: Run with it
  hostmend.hardening.fail2ban_jails:
    state: running
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "file", "name": "/etc/fail2ban/jail.d/zz-hostmend.conf", "action": "watches ssh"}]
"""

import os
import shutil
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils import policy as policies
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import client
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.fail2ban import jails
from ansible_collections.hostmend.hardening.plugins.module_utils.common import files
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import fail2ban as detector
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.collect import complaint_of
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import MISSING
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import NO_LOCKOUT
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import UNIT
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban.facts import installed
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host

ARGUMENTS = dict(
    state=dict(type="str", choices=["written", "running"], default="written"),
    services=dict(type="list", elements="str", default=[]),
    wanted=dict(type="dict", default={}),
    ignore=dict(type="list", elements="str", default=[]),
    maxretry=dict(type="int", default=5),
    findtime=dict(type="int", default=600),
    bantime=dict(type="int", default=3600),
    recidive=dict(type="bool", default=True),
    reload=dict(type="bool", default=True),
    fresh=dict(type="bool", default=False),
    live=dict(type="bool", default=True),
    policy=dict(type="dict", default={}),
    seconds=dict(type="int", default=60),
)
MOST_FILES = 2000
MOST_BYTES = 20 * 1024 * 1024


class JailsError(HostError):
    """What was asked for could not be done; the message is for a person."""


def make_log(path):
    """Make an empty log, so that fail2ban finds it; what writes it goes on in it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640))
    except FileExistsError:
        pass


def facts_of(asked):
    """Return what the detector reads on this host now, and its policy."""
    policy = policies.merge(asked["policy"], {"fail2ban": detector})["fail2ban"]
    return detector.collect(Host(running=None if asked["live"] else False), policy), policy


def texts_of(facts, asked):
    """Return ({file: its text}, the logs that must be there)."""
    server = files.read("/etc/fail2ban/fail2ban.local") or files.read("/etc/fail2ban/fail2ban.conf")
    whole, logs = jails.render(facts, asked, jails.chosen(facts, asked["services"]), server)
    more, more_logs = jails.render_local(facts, asked, asked["services"], config.OWN_FILE)
    local, local_logs = jails.render_local(facts, asked, asked["services"], config.OWN_LOCAL)
    texts = {config.OWN_FILE: whole + more if whole + more != jails.HEAD or files.read(config.OWN_FILE) else "",
             config.OWN_LOCAL: jails.HEAD_LOCAL + local if local else ""}
    return texts, list(dict.fromkeys(logs + more_logs + local_logs))


def watched(facts, asked, path):
    """Return what a file of ours is about, for a person."""
    names = sorted(jails.overridden(facts, asked["services"])[path])
    if path == config.OWN_FILE:
        names = sorted(set(jails.chosen(facts, asked["services"]) + names))
    return "watches %s" % ", ".join(names)


def written(module, asked, result):
    """Write the jails and make the logs that they read."""
    facts = facts_of(asked)[0]
    # What the audit has found is watched, also where another role has closed a port to strangers since.
    facts["wanted"] = dict(asked["wanted"], **facts["wanted"])
    texts, logs = texts_of(facts, asked)
    texts[jails.TMPFILES] = jails.tmpfiles(logs)
    before = dict((path, files.read(path)) for path in texts)
    logs = [path for path in logs if not os.path.lexists(path)]
    changes = [path for path in texts if texts[path] != before[path]
               and not (path == jails.TMPFILES and not before[path] and texts[path] == jails.tmpfiles([]))]
    if not changes and not logs:
        return
    result["changes"] += [{"kind": "file", "name": path, "action": "created empty"} for path in logs]
    for path in changes:
        result["changes"].append({"kind": "file", "name": path, "action": "makes logs at boot" if path == jails.TMPFILES
                                  else watched(facts, asked, path)})
        result["diff"].append({"before_header": path, "after_header": path, "before": before[path], "after": texts[path]})
    result["changed"] = True
    tested = facts["fail2ban"]["installed"] and "python3-systemd" not in facts["install"]
    if tested:
        rehearse(module, texts, facts)
    if module.check_mode:
        return
    for path in logs:
        make_log(path)
    for path in changes:
        put(module, path, texts[path])
    if tested:
        validate(module, dict((path, before[path]) for path in changes))


def put(module, path, text):
    """Write one of our files, or remove it where it has nothing to say."""
    if text:
        files.write(module, path, text)
    elif os.path.lexists(path):
        os.unlink(path)


def rehearse(module, texts, facts):
    """Have fail2ban test a copy of its configuration with our files in it, before anything is changed."""
    place = os.path.join(tempfile.mkdtemp(dir=module.tmpdir), "fail2ban")
    total, count = 0, 0
    for folder, folders, names in os.walk(config.FOLDER):
        os.makedirs(place + folder[len(config.FOLDER):], mode=0o700)
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(folder, name))]
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            total, count = total + os.path.getsize(path), count + 1
            if total > MOST_BYTES or count > MOST_FILES:
                return  # it is tested once it is written
            shutil.copyfile(path, place + path[len(config.FOLDER):])
    for path, text in texts.items():
        if path.startswith(config.FOLDER + "/"):
            target = place + path[len(config.FOLDER):]
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            with open(target, "wb") as handle:
                handle.write(text.encode("utf-8", "surrogateescape"))
    code, out, err = module.run_command(["fail2ban-client", "-c", place, "-t"], environ_update={"LC_ALL": "C"})
    complaint, without_log = complaint_of(out + "\n" + err) if code else ("", [])
    ours = [one["jail"] for one in facts["wanted"].values()] + ["recidive"]
    if code and not (without_log and all(jail in ours for jail in without_log)):
        raise JailsError("fail2ban would not accept its configuration with these jails: %s" % complaint)


def validate(module, before):
    """Have fail2ban test its configuration; put our files back where it does not pass."""
    code, out, err = module.run_command(["fail2ban-client", "-t"], environ_update={"LC_ALL": "C"})
    if code == 0:
        return
    for path, text in before.items():
        put(module, path, text)
    raise JailsError("fail2ban does not accept its configuration, so ours was put back: %s" % complaint_of(out + "\n" + err)[0])


def systemctl(module, *words):
    """Run systemctl; its failure is an error."""
    code, out, err = module.run_command(["systemctl"] + list(words))
    if code:
        raise JailsError("systemctl %s: %s" % (" ".join(words), (err or out).strip()[:300]))


def running(module, asked, result):
    """Enable fail2ban, and have it run with what is written."""
    if module.check_mode and asked["fresh"]:
        return
    if not installed(Host()):
        raise JailsError("fail2ban is not installed")
    state = module.run_command(["systemctl", "is-enabled", UNIT])[1].strip()
    active = asked["live"] and module.run_command(["systemctl", "is-active", UNIT])[1].strip() == "active"
    steps = [] if state in ("enabled", "enabled-runtime", "static") else ["enable"]
    steps += ["start"] if asked["live"] and not active else []
    if steps and not asked["fresh"]:
        result["changed"] = True
        result["changes"] += [{"kind": "unit", "name": UNIT, "action": {"enable": "enabled", "start": "started"}[step]}
                              for step in steps]
    if module.check_mode:
        return
    code, out, err = module.run_command(["fail2ban-client", "-t"], environ_update={"LC_ALL": "C"})
    if code:
        raise JailsError("fail2ban does not accept its configuration: %s" % complaint_of(out + "\n" + err)[0])
    if state == "masked":
        systemctl(module, "unmask", UNIT)
    for step in steps:
        if step == "start":
            module.run_command(["systemctl", "reset-failed", UNIT])
        systemctl(module, step, UNIT)
    if active and asked["reload"]:
        # A plain reload leaves a jail whose action changes without any action. Bans are kept over this one.
        code, out, err = module.run_command(["fail2ban-client", "reload", "--restart"], environ_update={"LC_ALL": "C"})
        if code:
            raise JailsError("fail2ban does not reload: %s" % complaint_of(out + "\n" + err)[0])
    if asked["live"]:
        probe(asked)


def probe(asked):
    """Wait until the detector finds each service watched by a jail that sees."""
    until = time.monotonic() + asked["seconds"]
    while True:
        facts, policy = facts_of(asked)
        wrong = [one for one in detector.check(facts, policy) if one["check"] != NO_LOCKOUT
                 and one["status"] in ("open", "unknown")
                 and (one["check"] == MISSING or service_of(one) in asked["services"])]
        if not wrong:
            return
        if time.monotonic() > until:
            raise JailsError("fail2ban does not watch as it should: %s: %s" % (wrong[0]["resource"], wrong[0]["reason"]))
        time.sleep(0.5)


def service_of(finding):
    """Return the service that a finding about a jail is about."""
    return finding["resource"].rpartition("(")[2].rstrip(")")


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = module.params
    result = {"changed": False, "changes": [], "diff": []}
    try:
        (written if asked["state"] == "written" else running)(module, asked, result)
    except (JailsError, jails.JailError, client.ClientError, policies.PolicyError) as trouble:
        module.fail_json(msg=str(trouble), **result)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or "the host", error.strerror), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
