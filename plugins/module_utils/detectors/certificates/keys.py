# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who can read the keys of certificates, and whether they go together."""

import os
import ssl
import stat

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import files


def _accounts(host):
    """Return ({user: (uid, gid)}, {gid: group}, {user: gids})."""
    users, groups, member = {}, {}, {}
    for line in (host.read("/etc/passwd") or "").splitlines():
        parts = line.split(":")
        if len(parts) >= 4 and parts[2].isdecimal() and parts[3].isdecimal():
            users[parts[0]] = (int(parts[2]), int(parts[3]))
            member.setdefault(parts[0], set()).add(int(parts[3]))
    for line in (host.read("/etc/group") or "").splitlines():
        parts = line.split(":")
        if len(parts) >= 4 and parts[2].isdecimal():
            groups[int(parts[2])] = parts[0]
            for user in parts[3].split(","):
                member.setdefault(user, set()).add(int(parts[2]))
    return users, groups, member


def collect(host, facts, services):
    """Note of each key who can read it, and whether it is that of its certificates."""
    accounts = _accounts(host)
    for one in facts["uses"]:
        path = one["key"]
        if path not in facts["keys"]:
            facts["keys"][path] = _key(host, path, [use for use in facts["uses"] if use["key"] == path], services, accounts)
            facts["keys"][path]["matches"] = {}
        if one["certificate"] not in facts["keys"][path]["matches"] and not one["keystore"]:
            facts["keys"][path]["matches"][one["certificate"]] = _matches(host, one["certificate"], path)


def _key(host, path, uses, services, accounts):
    """Return who can read a key, and the mode and group that leave it to those who must."""
    users, groups, member = accounts
    names = dict((uid, name) for name, (uid, unused) in users.items())
    real = os.path.realpath(host.path(path))
    try:
        about = os.stat(real)
    except OSError as error:
        return {"failure": error.strerror}
    if not stat.S_ISREG(about.st_mode):
        return {"failure": "it is no file"}
    mode = stat.S_IMODE(about.st_mode)
    others = "read" if mode & stat.S_IROTH else "change" if mode & stat.S_IWOTH else ""
    if others and not _others_enter(real, host.root):
        others = ""
    # Who owns the folder of a link can lead root to any file: such a key is for a person.
    led = led_by_others(host, path)
    made = {"real": real, "led": led,
            "mode": "%04o" % mode, "owner": names.get(about.st_uid, str(about.st_uid)), "others": others, "worker": "",
            "group": groups.get(about.st_gid, str(about.st_gid)), "want_mode": "%04o" % (mode & 0o640), "want_group": ""}
    for use in uses:
        service = next(one for one in services if one["name"] == use["service"])
        if use["service"] in ("nginx", "apache") and service["uid"]:
            worker = names.get(service["uid"], "")
            owns = about.st_uid == service["uid"] and mode & stat.S_IRUSR
            if owns or (about.st_gid in member.get(worker, ()) and mode & stat.S_IRGRP):
                made["worker"] = worker
        reader = names.get(service["uid"], "") if service["user"] and service["uid"] else service["user"]
        if not reader or reader not in users:
            continue
        if users[reader][0] == about.st_uid:
            made["want_mode"] = "%04o" % (mode & 0o600)
        elif not (about.st_gid in member[reader] and mode & stat.S_IRGRP):
            # It reads the key as one of the others: its group takes their place, unless the group is taken.
            if about.st_gid != 0 or made["want_group"] not in ("", groups.get(users[reader][1])):
                made["want_mode"] = ""
                break
            made["want_group"] = groups.get(users[reader][1], str(users[reader][1]))
            made["want_mode"] = "%04o" % (mode & 0o600 | 0o040)
    return made


def led_by_others(host, path):
    """Return the link on the way to a file that lies in a folder which is not root's alone, '' where there is none."""
    left, done = [part for part in host.path(path, False).split("/") if part], ""
    for _step in range(200):
        if not left:
            return ""
        part = left.pop(0)
        if part == "..":
            done = os.path.dirname(done)
            continue
        here = "%s/%s" % (done, part)
        try:
            target = os.readlink(here)
        except OSError:
            done = here
            continue
        about = os.stat(done or "/")
        if about.st_uid != 0 or about.st_mode & 0o022 and not about.st_mode & stat.S_ISVTX:
            return here
        left = [one for one in target.split("/") if one not in ("", ".")] + left
        done = "" if target.startswith("/") else done
    return path


def _others_enter(path, root):
    """Tell whether everybody may go through all folders above a path."""
    folder = os.path.dirname(path)
    top = os.path.realpath(root)
    while folder and folder not in ("/", top):
        try:
            if not os.stat(folder).st_mode & stat.S_IXOTH:
                return False
        except OSError:
            return True
        folder = os.path.dirname(folder)
    return True


def _matches(host, certificate, key):
    """Return "yes", "no", or why it cannot be told whether a key is that of a certificate."""
    for path in (certificate, key):
        data, why = files.read_bytes(host, path)
        if data is None:
            return "%s: %s" % (path, why)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Whether it is strong enough is another question.
        context.set_ciphers("ALL:@SECLEVEL=0")
    except ssl.SSLError:
        pass
    asked = []

    def password():
        asked.append(True)
        return b"-"

    try:
        context.load_cert_chain(host.path(certificate), host.path(key), password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH" or error.reason == "KEY_TYPE_MISMATCH":
            return "no"
        return "the key has a passphrase" if asked else "the pair cannot be loaded: %s" % (error.reason or "no reason given")
    except (OSError, ValueError) as error:
        return "the pair cannot be loaded: %s" % (getattr(error, "strerror", "") or type(error).__name__)
    return "yes"
