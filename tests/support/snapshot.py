"""All that a remediation may change on a host, as a value that can be compared before and after."""

from __future__ import annotations

import json
from typing import Any

from tests.support.target import Target

SCRIPT = r"""
import hashlib, json, os, shutil, subprocess
found = {}
for root in %(roots)r:
    for folder, folders, names in os.walk(root):
        for name in folders + names:
            path = os.path.join(folder, name)
            if path.startswith(tuple(%(but)r)):
                continue
            state = os.lstat(path)
            about = [oct(state.st_mode), state.st_uid, state.st_gid]
            if os.path.islink(path):
                about.append(os.readlink(path))
            elif os.path.isfile(path):
                with open(path, "rb") as handle:
                    about += [hashlib.sha256(handle.read()).hexdigest(), state.st_mtime_ns]
            try:
                about += sorted((key, os.getxattr(path, key, follow_symlinks=False).hex())
                                for key in os.listxattr(path, follow_symlinks=False))
            except OSError:
                pass
            found[path] = about
def said(*argv):
    if not shutil.which(argv[0]):
        return []
    return subprocess.run(argv, stdout=subprocess.PIPE, universal_newlines=True).stdout.splitlines()
found["packages"] = said("dpkg-query", "-W")
found["nft"] = said("nft", "-s", "list", "ruleset")
found["units"] = [line.split()[:2] for line in said("systemctl", "list-unit-files", "--no-legend", "--no-pager")]
for unit in %(units)r:
    found["unit " + unit] = said("systemctl", "is-active", unit)
print(json.dumps(found))
"""
ROOTS = ("/etc", "/usr/local", "/root", "/var/spool", "/var/lib/systemd", "/usr/lib/systemd", "/usr/share/pam-configs")
#: What changes by itself: stamps of timers, seeds, caches; and the database that rpm makes when Ansible asks it who owns apt.
BUT = ("/var/lib/systemd/timers", "/var/lib/systemd/catalog", "/var/lib/systemd/random-seed", "/etc/ld.so.cache",
       "/root/.ansible", "/root/.rpmdb", "/var/lib/systemd/ephemeral-trees", "/var/lib/systemd/linger")


def of(target: Target, *units: str) -> dict[str, Any]:
    """Return the state of a host: its configuration byte by byte with owners, modes and times, rules and units."""
    made: dict[str, Any] = json.loads(target.python(SCRIPT % {"roots": ROOTS, "but": BUT, "units": units}))
    return made


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs, for a test to hold equal to nothing."""
    return {key: (before.get(key), after.get(key)) for key in sorted(set(before) | set(after))
            if before.get(key) != after.get(key)}
