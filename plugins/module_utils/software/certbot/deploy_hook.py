# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put a certificate in place: keep the old pair, have the service test its configuration, reload it.

This is two things: what the module ``certificate_mend`` works with, and, copied to
``/etc/letsencrypt/renewal-hooks/deploy/hostmend`` by the role, the deploy hook that certbot runs after a renewal. It
stands alone for that.
"""

import binascii
import json
import os
import shutil
import stat
import subprocess
import sys

REGISTRY = "/etc/hostmend/certificates.json"
SECONDS = 60
# systemd waits 90 s for a service that does not stop.
UNIT_SECONDS = 120
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The configuration tests of services: the first command that is there. What has none is probed only.
TESTS = {
    "nginx": [["nginx", "-t", "-q"]],
    "apache": [["apache2ctl", "-t"], ["apachectl", "-t"], ["httpd", "-t"]],
    "haproxy": [["haproxy", "-c", "-q", "-f", "/etc/haproxy/haproxy.cfg"]],
    "postfix": [["postfix", "check"]],
    "dovecot": [["doveconf", "-n"]],
}
# How a service takes a new certificate, where that is not by a reload of its unit.
RELOADS = {
    "mysql": [["mariadb-admin", "flush-ssl"], ["mysqladmin", "flush-ssl"], ["mysql", "-e", "ALTER INSTANCE RELOAD TLS"]],
}
# Kinds of maps of Postfix that postmap makes.
BUILT = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm")
MOST_BYTES = 4 * 1024 * 1024
MOST_LINKS = 40
RESTARTED = ("redis", "tomcat", "vsftpd")


class Failure(Exception):
    """What was to be done could not be; the text is for a person."""


def run(argv, environment=None, seconds=SECONDS, stdin=None):
    """Return (code, what it said) of a command; None for the code where it is not there or does not end."""
    try:
        made = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, cwd="/",
                              stdin=None if stdin is not None else subprocess.DEVNULL, check=False,
                              env=dict(os.environ, PATH=PATH, LC_ALL="C", **(environment or {})))
    except FileNotFoundError:
        return None, "%s is not there" % argv[0]
    except subprocess.TimeoutExpired:
        return None, "%s did not end within %d s" % (argv[0], seconds)
    except OSError as error:
        return None, "%s: %s" % (argv[0], error.strerror)
    return made.returncode, made.stdout.decode("utf-8", "replace").strip()


def test(service):
    """Have a service test its configuration; :class:`Failure` with what it says where it does not pass."""
    for command in TESTS.get(service, []):
        code, said = run(command)
        if code is None and said.endswith("is not there"):
            continue
        if code != 0:
            lines = [line for line in said.splitlines() if line.strip()]
            raise Failure("the configuration of %s does not pass its test: %s" % (service, "; ".join(lines[:3])[:400]))
        return


def built_maps():
    """Return the maps by name of Postfix that are read as postmap -F has made them."""
    code, said = run(["postconf", "-h", "tls_server_sni_maps"])
    more = run(["postconf", "-P", "*/*/tls_server_sni_maps"])[1] if code == 0 else ""
    words = (said if code == 0 else "").replace(",", " ").split()
    words += [word for line in more.splitlines() for word in line.partition("=")[2].replace(",", " ").split()]
    return [word for word in dict.fromkeys(words) if word.partition(":")[0] in BUILT and word.partition(":")[2].startswith("/")]


def build(service):
    """Make anew what a service reads in place of the files themselves: a reload alone brings nothing from those."""
    for name in built_maps() if service == "postfix" else ():
        code, said = run(["postmap", "-F", name])
        if code != 0:
            raise Failure("postmap -F %s: %s" % (name, said[:300]))


def reload(service, unit):
    """Have a service take what is on the disk."""
    build(service)
    for command in RELOADS.get(service, []):
        code, said = run(command)
        if code == 0:
            return
    verb = "restart" if service in RESTARTED or service in RELOADS else "reload"
    if os.path.isdir("/run/systemd/system"):
        code, said = run(["systemctl", verb, "--", unit], seconds=UNIT_SECONDS)
    else:
        code, said = run(["service", unit.rsplit(".", 1)[0], verb])
    if code != 0:
        raise Failure("%s does not %s: %s" % (unit, verb, said[:300]))


def place(path):
    """Return (descriptor of the folder of a file, its name), :class:`Failure` where a link on the way is not root's.

    Who owns a folder can lead whoever follows its links anywhere; root follows those alone that root has made.
    """
    left, links = [part for part in path.split("/") if part not in ("", ".")], 0
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            part = left.pop(0)
            try:
                target = os.readlink(part, dir_fd=folder)
            except OSError:
                target = None
            if target is not None:
                about, links = os.fstat(folder), links + 1
                if about.st_uid != 0 or about.st_mode & 0o022 and not about.st_mode & stat.S_ISVTX:
                    raise Failure("%s: %s is a link in a folder that is not root's alone: it is not followed" % (path, part))
                if links > MOST_LINKS:
                    raise Failure("%s: too many links" % path)
                left = [one for one in target.split("/") if one not in ("", ".")] + left
                part = "/" if target.startswith("/") else "."
            elif not left:
                return folder, part
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError as error:
        os.close(folder)
        error.filename = path
        raise
    except (Failure, IndexError):
        os.close(folder)
        raise


def read(path):
    """Return (bytes, state) of a file; (None, None) where there is none."""
    try:
        folder, name = place(path)
    except FileNotFoundError:
        return None, None
    try:
        number = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None, None
    finally:
        os.close(folder)
    with os.fdopen(number, "rb") as handle:
        state = os.fstat(number)
        if not stat.S_ISREG(state.st_mode):
            raise Failure("%s is no regular file" % path)
        if state.st_size > MOST_BYTES:
            raise Failure("%s is larger than %d MiB" % (path, MOST_BYTES // 1048576))
        return handle.read(MOST_BYTES), state


def write(path, data, mode=0o600):
    """Replace a file as a whole; owner, mode, attributes and root's links to it stay."""
    folder, name = place(path)
    part = ".hostmend-%s" % binascii.hexlify(os.urandom(8)).decode("ascii")
    try:
        try:
            before = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            before = None
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(part, flags, 0o600, dir_fd=folder), "wb") as handle:
                handle.write(data)
                handle.flush()
                _as_before(handle.fileno(), before, path, mode)
                os.fsync(handle.fileno())
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except (OSError, Failure):
            try:
                os.unlink(part, dir_fd=folder)
            except OSError:
                pass
            raise
        finally:
            if before is not None:
                os.close(before)
    finally:
        os.close(folder)


def _as_before(number, before, path, mode):
    """Give a new file the owner, the mode and the attributes of the one that it replaces."""
    if before is None:
        os.fchmod(number, mode)
        return
    state = os.fstat(before)
    if not stat.S_ISREG(state.st_mode):
        raise Failure("%s is no regular file" % path)
    os.fchown(number, state.st_uid, state.st_gid)
    shutil.copystat("/proc/self/fd/%d" % before, "/proc/self/fd/%d" % number)
    os.utime(number)
    os.fchmod(number, stat.S_IMODE(state.st_mode))


def remove(path):
    """Remove a file, where there is one."""
    folder, name = place(path)
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    finally:
        os.close(folder)


def limit(path, mode, group=None):
    """Set the mode, and where one is given the group, of a file that is no link of a service's."""
    folder, name = place(path)
    try:
        number = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            state = os.fstat(number)
            if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
                raise Failure("%s is no regular file, or has other names" % path)
            if group is not None:
                os.fchown(number, -1, group)
            os.fchmod(number, mode)
        finally:
            os.close(number)
    finally:
        os.close(folder)


def others(data):
    """Return the blocks of a joined file that are neither certificate nor key, such as parameters for Diffie-Hellman."""
    made, at = [], 0
    while True:
        at = data.find(b"-----BEGIN ", at)
        label = data[at + 11:data.find(b"-----", at + 11)] if at >= 0 else b""
        end = data.find(b"-----END " + label + b"-----", at) if at >= 0 else -1
        if end < 0:
            return b"".join(made)
        end += len(b"-----END " + label + b"-----")
        if b"CERTIFICATE" not in label and b"PRIVATE" not in label:
            made.append(data[at:end] + b"\n")
        at = end


class Pair:
    """The files of a certificate and its key, with what they held before."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key or certificate
        self.before = dict((path, read(path)[0]) for path in (self.certificate, self.key))

    def put(self, chain, key):
        """Write both; where they are one file, one after the other into it."""
        if self.certificate == self.key:
            kept = others(self.before[self.certificate] or b"")
            write(self.certificate, chain.rstrip(b"\n") + b"\n" + key.rstrip(b"\n") + b"\n" + kept)
        else:
            write(self.key, key)
            write(self.certificate, chain, 0o644)

    def put_back(self):
        """Write what was there before."""
        for path, data in self.before.items():
            if data is None:
                remove(path)
            elif read(path)[0] != data:
                write(path, data)


def deploy(services, pair=None, chain=b"", key=b""):
    """Put a pair in place where one is given, test and reload the services; all goes back where one refuses.

    :param services: (service, unit) of each.
    """
    if pair is not None:
        pair.put(chain, key)
    reloaded = []
    try:
        for service, _unit in services:
            test(service)
        for service, unit in services:
            reloaded.append((service, unit))
            reload(service, unit)
    except Failure:
        if pair is not None:
            pair.put_back()
            for service, unit in reloaded:
                try:
                    reload(service, unit)
                except Failure:
                    continue
        raise


def registered(lineage):
    """Return what is known of a lineage: the services that use it, and the pairs that it is copied to."""
    try:
        with open(REGISTRY, encoding="utf-8") as handle:
            return json.load(handle)["lineages"].get(lineage)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def main():
    """Deploy the lineage that certbot has renewed; certbot reports what this says and its exit status."""
    folder = os.environ.get("RENEWED_LINEAGE", "")
    about = registered(os.path.basename(folder)) if folder else None
    if not about:
        return 0
    services = [(one["service"], one["unit"]) for one in about.get("services", [])]
    try:
        if not about.get("pairs"):
            deploy(services)
        for one in about.get("pairs", []):
            chain, key = read(folder + "/fullchain.pem")[0], read(folder + "/privkey.pem")[0]
            deploy(services, Pair(one["certificate"], one["key"]), chain, key)
    except (Failure, OSError) as failure:
        sys.stderr.write("hostmend: %s\n" % failure)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
