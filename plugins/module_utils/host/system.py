# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kind of host this is: distribution, init system, container or chroot, privileges."""

import hashlib
import os
import platform
import re
import shlex

from ansible_collections.hostmend.hardening.plugins.module_utils.common.chroot import is_chroot
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import System
from ansible_collections.hostmend.hardening.plugins.module_utils.host.processes import parse_cgroup

# By what an init system is known of a root filesystem; the last is what any other has, too.
INITS = (("systemd", ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")), ("openrc", ("/usr/sbin/openrc-init", "/sbin/openrc")),
         ("sysvinit", ("/sbin/init", "/usr/sbin/init", "/bin/init")))
CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin "
    "sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override "
    "mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore").split()


def parse_os_release(text):
    """Return the assignments of an os-release file; a line that is none is left out."""
    fields = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or not re.match(r"^[A-Z][A-Z0-9_]*$", name):
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        fields[name] = words[0] if words else ""
    return fields


def parse_capabilities(text):
    """Return the names of the effective capabilities of /proc/PID/status."""
    match = re.search(r"^CapEff:\s*([0-9a-fA-F]{1,16})\s*$", text, re.M)
    bits = int(match.group(1), 16) if match else 0
    return frozenset(name for bit, name in enumerate(CAPABILITIES) if bits >> bit & 1)


def container_of(host):
    """Return the kind of container this is, None on a host of its own."""
    told = (host.read("/run/systemd/container", 256) or "").strip()
    if not told:
        match = re.search(r"(?:^|\0)container=([^\0]*)", host.read("/proc/1/environ", 65536) or "")
        told = match.group(1) if match else ""
    if host.exists("/.dockerenv"):
        told = told if told not in ("", "oci") else "docker"
    if host.exists("/run/.containerenv"):
        told = told if told not in ("", "oci") else "podman"
    if not told:
        inside = parse_cgroup(host.read("/proc/1/cgroup", 65536) or "")[1]
        told = inside.split(":")[0] if inside else ""
    return told or None


def init_of(host):
    """Return the init system that runs."""
    comm = (host.read("/proc/1/comm", 64) or "").strip()
    if host.exists("/run/systemd/system"):
        return "systemd"
    if host.exists("/run/openrc"):
        return "openrc"
    if not comm:
        return "unknown"
    if comm == "init":
        return "busybox" if "busybox" in (os.path.realpath("/sbin/init")) else "sysvinit"
    return "none"


def init_of_root(host):
    """Return the init system that a root filesystem which is not running would be booted by."""
    return next((name for name, paths in INITS if any(host.exists(path) for path in paths)), "none")


def read_system(host):
    """Return what kind of host this is."""
    release = parse_os_release(host.read("/etc/os-release", 65536) or host.read("/usr/lib/os-release", 65536) or "")
    status = host.read("/proc/self/status", 65536) or "" if host.live else ""
    machine = (host.read("/etc/machine-id", 64) or "").strip()
    return System(
        id=release.get("ID", ""), id_like=tuple(release.get("ID_LIKE", "").split()),
        version_id=release.get("VERSION_ID", ""), codename=release.get("VERSION_CODENAME", ""),
        pretty_name=release.get("PRETTY_NAME", ""), kernel=platform.release() if host.live else "",
        arch=platform.machine() if host.live else "", init=init_of(host) if host.live else init_of_root(host),
        container=container_of(host) if host.live else None, chroot=is_chroot() if host.executes else True,
        running=host.live, root=os.geteuid() == 0, capabilities=parse_capabilities(status),
        python=platform.python_version(),
        boot_id=(host.read("/proc/sys/kernel/random/boot_id", 64) or "").strip() if host.live else "",
        machine_id_fingerprint=hashlib.sha256(("hostmend:" + machine).encode("utf-8", "surrogateescape"))
        .hexdigest()[:16] if machine else "")


def controllers(environ, host):
    """Return the addresses that the session which runs us comes from.

    Under sudo the environment is gone; the sshd that is our ancestor still holds the connection.
    """
    for name in ("SSH_CONNECTION", "SSH_CLIENT"):
        words = environ.get(name, "").split()
        if words:
            return (plain(words[0]),)
    parents = dict((one.pid, one) for one in host.processes().items)
    pid, servers = os.getpid(), set()
    while pid in parents and pid > 1:
        if parents[pid].comm.startswith("sshd"):
            servers.add(pid)
        pid = parents[pid].ppid
    if not servers:
        return ()
    found = []
    inodes = dict((row[5], row[2]) for proto, row, unused in host.established() if proto == "tcp")
    for server in servers:
        try:
            for name in os.listdir("/proc/%d/fd" % server):
                match = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (server, name)))
                if match and int(match.group(1)) in inodes:
                    found.append(plain(inodes[int(match.group(1))]))
        except OSError:
            continue
    return tuple(dict.fromkeys(found))


def plain(address):
    """Return an address without its scope, an IPv4 one without its IPv6 clothes."""
    address = address.split("%", 1)[0]
    return address[7:] if address.startswith("::ffff:") and "." in address else address
