# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put a certificate in place: keep the old pair, have the service test its configuration, reload it.

This is two things: what the module ``certificate_mend`` works with, and, copied to
``/etc/letsencrypt/renewal-hooks/deploy/hostmend`` by the role, the deploy hook that certbot runs after a renewal. It
stands alone for that.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

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


def reload(service, unit):
    """Have a service take what is on the disk."""
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


def read(path):
    """Return (bytes, state) of a file; (None, None) where there is none."""
    try:
        with open(path, "rb") as handle:
            return handle.read(), os.fstat(handle.fileno())
    except FileNotFoundError:
        return None, None


def write(path, data, mode=0o600):
    """Replace a file as a whole; owner, mode, attributes and a link to it stay."""
    target = os.path.realpath(path)
    state = os.stat(target) if os.path.exists(target) else None
    number, part = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".hostmend-")
    try:
        with os.fdopen(number, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        if state is not None:
            os.chown(part, state.st_uid, state.st_gid)
            shutil.copystat(target, part)
            os.utime(part)
            os.chmod(part, stat.S_IMODE(state.st_mode))
        else:
            os.chmod(part, mode)
        os.rename(part, target)
    except OSError:
        os.unlink(part)
        raise


class Pair:
    """The files of a certificate and its key, with what they held before."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key or certificate
        self.before = dict((path, read(path)[0]) for path in (self.certificate, self.key))

    def put(self, chain, key):
        """Write both; where they are one file, one after the other into it."""
        if self.certificate == self.key:
            write(self.certificate, chain.rstrip(b"\n") + b"\n" + key)
        else:
            write(self.key, key)
            write(self.certificate, chain, 0o644)

    def put_back(self):
        """Write what was there before."""
        for path, data in self.before.items():
            if data is None:
                if os.path.exists(path):
                    os.unlink(path)
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
