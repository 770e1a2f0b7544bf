# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would listen once a root filesystem that is not running has booted, by what its configuration files say.

Of each service that a boot starts the files are read as the service itself reads them, as far as addresses and ports
go. What a service that is not known here listens on cannot be told, and is a gap.
"""

import fnmatch
import re

from ansible_collections.hostmend.hardening.plugins.module_utils.software import apache
from ansible_collections.hostmend.hardening.plugins.module_utils.software import haproxy
from ansible_collections.hostmend.hardening.plugins.module_utils.software import inetd
from ansible_collections.hostmend.hardening.plugins.module_utils.software import mysql
from ansible_collections.hostmend.hardening.plugins.module_utils.software import nginx
from ansible_collections.hostmend.hardening.plugins.module_utils.software import postfix
from ansible_collections.hostmend.hardening.plugins.module_utils.software import postgresql
from ansible_collections.hostmend.hardening.plugins.module_utils.software import sshd
from ansible_collections.hostmend.hardening.plugins.module_utils.software.addresses import LOCAL
from ansible_collections.hostmend.hardening.plugins.module_utils.software.addresses import WILD
from ansible_collections.hostmend.hardening.plugins.module_utils.software.addresses import address_of
from ansible_collections.hostmend.hardening.plugins.module_utils.software.addresses import on as _on
from ansible_collections.hostmend.hardening.plugins.module_utils.software.addresses import texts as _files
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import listeners as redis
from ansible_collections.hostmend.hardening.plugins.module_utils.host import boot
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Reading

# Services that do not listen on the network, whatever their configuration says.
SILENT = (
    "systemd-*", "getty*", "serial-getty*", "console-getty*", "container-getty*", "dbus*", "cron*", "anacron*", "atd.*",
    "e2scrub*", "fstrim*", "logrotate*", "apt-daily*", "apt-news*", "esm-cache*", "dpkg-db-backup*", "man-db*", "nftables*",
    "hostmend-*", "ufw*", "firewalld*", "netfilter-persistent*", "iptables*", "ip6tables*", "fail2ban*",
    "unattended-upgrades*", "auditd*", "rtkit*", "polkit*", "udisks2*", "accounts-daemon*", "ModemManager*",
    "wpa_supplicant*", "NetworkManager*", "networking*", "ifup*", "ifupdown*", "cloud-*", "keyboard-setup*",
    "console-setup*", "kmod*", "lvm2*", "dm-event*", "blk-availability*", "mdadm*", "mdmonitor*", "multipath*",
    "smart*", "qemu-guest-agent*", "open-vm-tools*", "vgauth*", "hwclock*", "sysstat*", "apparmor*", "selinux*",
    "setvtrgb*", "plymouth*", "grub*", "thermald*", "irqbalance*", "acpid*", "haveged*", "rng*", "rsyslog*",
    "snapd.apparmor*", "sssd*", "nscd*", "oddjobd*", "tuned*", "kdump*", "dnf-*", "rhsm*", "certbot*", "sudo*", "procps*",
    "iscsi*", "open-iscsi*", "nfs-client*", "remote-fs*", "blkmapd*", "sshd-keygen*", "ssh-keygen*", "regenerate*",
    "import-state*", "loadmodules*", "rc-local*", "udev*", "x11-common*", "wtmpdb*", "lastlog*", "pwck*", "aide*")
MOST = 500
NO_INIT = "there is no init in it that would start services: what listens is what it is run with"


def ssh(host, service):
    """Return where sshd listens: all Port and ListenAddress lines count, those of included files and its options too."""
    settings = sshd.read_files(host, sshd.options_of(service.argv[1:]))
    made = []
    for value in settings.values.get("listenaddress") or ["*"]:
        text, port = sshd.split_address(value)
        addresses = address_of(text)
        if addresses is None:
            return None
        for one in [port] if port else sshd.ports(settings._replace(values={"port": settings.values.get("port", [])})):
            made += _on(addresses, one)
    return made


def memcached(host, service):
    """Return where memcached listens."""
    text = host.read("/etc/memcached.conf") or ""
    options = dict(re.findall(r"^[ \t]*-([lpU])\s*(\S+)", text, re.M))
    addresses = address_of(options.get("l", "*").split(",")[0])
    port = int(options["p"]) if options.get("p", "").isdecimal() else 11211
    return None if addresses is None else _on(addresses, port)


def cups(host, service):
    """Return where CUPS listens."""
    made = []
    for word in re.findall(r"^[ \t]*(?:Listen|Port)\s+(\S+)", host.read("/etc/cups/cupsd.conf") or "", re.M | re.I):
        if word.startswith("/"):
            continue
        address, unused, port = word.rpartition(":")
        addresses = address_of(address or "*")
        if addresses is None or not port.isdecimal():
            return None
        made += _on(addresses, int(port))
    return made


def docker(host, service):
    """Return nothing where dockerd has its socket alone; its TCP addresses are not told apart here."""
    text = (host.read("/etc/docker/daemon.json") or "") + " ".join(service.argv)
    return None if "tcp://" in text else []


def resolved(host, service):
    """Return what systemd-resolved listens on: its stub on loopback, and LLMNR and multicast DNS where they are on."""
    text = "\n".join(_files(host, "/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d/*.conf"))
    off = dict(re.findall(r"^(LLMNR|MulticastDNS)=(\S+)", text, re.M))
    made = _on([(4, "127.0.0.53")], 53) + _on([(4, "127.0.0.53")], 53, "udp")
    if off.get("LLMNR", "yes").lower() in ("yes", "true", "1", "on", "resolve"):
        made += _on(WILD, 5355) + _on(WILD, 5355, "udp")
    return made


def fixed(*ports):
    """Return a reader of a service whose ports are known and that listens on every address."""
    def read(host, service):
        return [one for text in ports for one in
                _on(WILD, int(text.split("/")[0]), text.split("/")[1])]
    return read


def local(*ports):
    """Return a reader of a service that listens on loopback alone."""
    def read(host, service):
        return [one for text in ports for one in _on(LOCAL, int(text.split("/")[0]), text.split("/")[1])]
    return read


# Units, the name that the kernel shows of the process ("" for the program's own), and how to read where it listens.
KNOWN = (
    (("ssh.service", "sshd.service"), "sshd", ssh),
    (("redis*.service", "valkey*.service", "keydb*.service"), "", redis.listeners),
    (("mariadb*.service", "mysql*.service", "mysqld*.service"), "", mysql.listeners),
    (("postgresql*.service",), "postgres", postgresql.listeners),
    (("nginx.service",), "nginx", nginx.listeners),
    (("apache2.service",), "apache2", apache.listeners),
    (("httpd.service",), "httpd", apache.listeners),
    (("memcached*.service",), "memcached", memcached),
    (("postfix*.service",), "master", postfix.listeners),
    (("haproxy.service",), "haproxy", haproxy.listeners),
    (("cups.service", "cups-browsed.service"), "cupsd", cups),
    (("docker.service", "containerd.service"), "dockerd", docker),
    (("systemd-resolved.service",), "systemd-resolve", resolved),
    (("rpcbind.service",), "rpcbind", fixed("111/tcp", "111/udp")),
    (("avahi-daemon.service",), "avahi-daemon", fixed("5353/udp")),
    (("vsftpd.service", "proftpd.service", "pure-ftpd.service"), "", fixed("21/tcp")),
    (("xrdp.service",), "xrdp", fixed("3389/tcp")),
    (("xrdp-sesman.service",), "xrdp-sesman", local("3350/tcp")),
    (("tftpd-hpa.service",), "in.tftpd", fixed("69/udp")),
    (("snmpd.service",), "snmpd", local("161/udp")),
    (("smbd.service", "smb.service"), "smbd", fixed("139/tcp", "445/tcp")),
    (("nmbd.service", "nmb.service"), "nmbd", fixed("137/udp", "138/udp")),
    (("nfs-server.service", "nfs-kernel-server.service"), "", fixed("2049/tcp")),
    (("rsync.service", "rsyncd.service"), "rsync", fixed("873/tcp")),
    (("chrony.service", "chronyd.service"), "chronyd", local("323/udp")),
    (("ntpsec.service", "ntp.service", "ntpd.service"), "ntpd", fixed("123/udp")),
    (("systemd-timesyncd.service",), "", local()),
    (("systemd-journal-remote*", "systemd-journal-gatewayd*"), "systemd-journal", fixed("19531/tcp", "19532/tcp")),
)


def _known(service):
    for globs, comm, read in KNOWN:
        if any(fnmatch.fnmatchcase(service.name, glob) for glob in globs):
            return (comm or service.program)[:15], read
    if any(fnmatch.fnmatchcase(service.name, glob) for glob in SILENT) or service.type == "oneshot":
        return "", local()
    return "", None


def socket_addresses(settings):
    """Return (proto, family, address, port) of a socket unit; paths are left out."""
    made = []
    only = (settings.get(("Socket", "BindIPv6Only")) or [""])[-1]
    for key, proto in (("ListenStream", "tcp"), ("ListenDatagram", "udp")):
        for value in settings.get(("Socket", key), ()):
            if value.startswith(("/", "@", "%", "vsock")):
                continue
            address, unused, port = value.rpartition(":")
            if not port.isdecimal():
                continue
            made += _on(([WILD[1]] if only == "ipv6-only" else WILD) if not address else address_of(address) or WILD,
                        int(port), proto)
    return made


def _supers(host, services):
    """Return (program, unit, addresses) of the entries that xinetd or inetd would offer."""
    running = {kind: service for kind, units in inetd.SUPER_SERVERS.items() for service in services
               if service.name in units}
    if not running:
        return [], []
    entries, unread = inetd.read_all(host.read, host.list, host.exists)
    made = []
    for entry in entries:
        service = running.get(entry.kind)
        port = entry.port or inetd.PORTS.get(entry.service, 0)
        if service is None or not entry.enabled:
            continue
        if port:
            made.append((service.program[:15] or entry.kind, service.name, _on(WILD, port, entry.proto[:3])))
        else:
            unread = unread + ["the port of %s in %s" % (entry.name, entry.file)]
    return made, ["%s could not be read" % one for one in unread]


def listeners(host):
    """Return a Reading of what would listen after a boot, of a root filesystem that is not running; read once."""
    return host.once("boot listeners", lambda: read_listeners(host))


def read_listeners(host):
    """Return a Reading of the Listeners; a gap for each service of which they cannot be told."""
    if not host.boots:
        return Reading((), (NO_INIT,))
    services = host.boot_services()
    programs = {service.name: _known(service)[0] or service.program[:15] for service in services}
    found, gaps = _supers(host, services)
    gaps = list(gaps) + list(host.units().gaps)
    taken = {name for names in inetd.SUPER_SERVERS.values() for name in names}
    for service in services:
        comm, read = _known(service)
        if service.name in taken:
            continue
        addresses = read(host, service) if read else None
        if addresses is None:
            gaps.append("what %s will listen on cannot be told from its files" % service.name)
        else:
            found.append((comm, service.name, addresses))
    made = [_listener(proto, family, address, port, comm, name, None)
            for comm, name, addresses in found for proto, family, address, port in addresses]
    for unit in host.units().items:
        if unit.name.endswith(".socket") and boot.starts(unit):
            settings = boot.unit_text(host, unit.name, unit.fragment)
            serves = (settings.get(("Socket", "Service")) or [unit.name.replace(".socket", ".service")])[-1]
            for proto, family, address, port in socket_addresses(settings):
                # The service takes the listener over once it runs; until then it is systemd's.
                made.append(_listener(proto, family, address, port, programs.get(serves) or "systemd",
                                      serves if serves in programs else "init.scope", unit.name))
    seen = {}
    for one in made:
        known = seen.setdefault((one.proto, one.family, one.address, one.port, one.process), one)
        if one.socket_unit and not known.socket_unit:
            seen[(one.proto, one.family, one.address, one.port, one.process)] = one
    return Reading(tuple(seen.values())[:MOST], tuple(gaps))


def _listener(proto, family, address, port, comm, unit, socket_unit):
    return Listener(proto=proto, family=family, address=address, port=port, path="", inode=0, netns=0, process=comm,
                    unit=unit, socket_unit=socket_unit)
