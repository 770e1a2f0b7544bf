# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services that hardly any host needs today: how they are started, and what would excuse them.

A unit named here is not a fault as such. Whether it runs, whether something needs it and whether somebody is
connected to it is for the detector to find out.
"""

from typing import Any, Dict, NamedTuple, Tuple

UNNEEDED = "services.unneeded"
LEGACY = "services.legacy_plaintext"


class Service(NamedTuple):
    """One service, by all the names under which it is started."""

    name: str
    check: str
    units: Tuple[str, ...] = ()  # globs, with the type
    entries: Tuple[str, ...] = ()  # service names in inetd.conf and xinetd
    programs: Tuple[str, ...] = ()  # file names of the daemon
    servers: Tuple[str, ...] = ()  # an entry counts only with one of these as its program; empty: with any
    excuse: str = ""  # which look at the host may show that it is needed
    use_excuses: bool = False  # being connected to shows that it is needed


SERVICES = (
    Service("telnet", LEGACY, ("telnet.socket", "telnet@*.service", "telnetd.service", "telnetd.socket",
                               "inetutils-telnetd.service", "telnetd@*.service"),
            ("telnet",), ("in.telnetd", "telnetd")),
    Service("rsh", LEGACY, ("rsh.socket", "rsh@*.service", "rshd.service"), ("shell", "rsh", "kshell"),
            ("in.rshd", "rshd")),
    Service("rlogin", LEGACY, ("rlogin.socket", "rlogin@*.service", "rlogind.service"), ("login", "rlogin", "klogin"),
            ("in.rlogind", "rlogind")),
    Service("rexec", LEGACY, ("rexec.socket", "rexec@*.service", "rexecd.service"), ("exec", "rexec"),
            ("in.rexecd", "rexecd")),
    Service("tftp", LEGACY, ("tftp.socket", "tftp.service", "tftpd.socket", "tftpd.service", "tftpd-hpa.service",
                             "atftpd.service", "atftpd.socket"),
            ("tftp",), ("in.tftpd", "tftpd", "atftpd")),
    # Servers that can do TLS (vsftpd, ProFTPD, Pure-FTPd) are judged by their configuration, in another class.
    Service("ftp", LEGACY, ("ftpd.socket", "ftpd.service", "ftpd@*.service", "inetutils-ftpd.service"), ("ftp",),
            ("in.ftpd", "ftpd", "wu.ftpd"), servers=("in.ftpd", "ftpd", "wu.ftpd")),
    Service("uucp", LEGACY, ("uucp.socket", "uucp@*.service"), ("uucp",), ("in.uucpd", "uucpd", "uucico")),
    Service("nis", LEGACY, ("ypserv.service", "ypbind.service", "yppasswdd.service", "ypxfrd.service", "nis.service"),
            (), ("ypserv", "ypbind", "rpc.yppasswdd", "rpc.ypxfrd"), excuse="nis"),
    Service("finger", UNNEEDED, ("finger.socket", "finger@*.service", "cfingerd.service"), ("finger", "cfinger"),
            ("in.fingerd", "fingerd", "cfingerd", "efingerd")),
    Service("talk", UNNEEDED, ("talk.socket", "talk@*.service", "talk.service", "ntalk.socket", "ntalk.service",
                               "ntalk@*.service"),
            ("talk", "ntalk"), ("in.talkd", "in.ntalkd", "talkd", "ntalkd")),
    Service("small services", UNNEEDED, (), ("echo", "discard", "daytime", "chargen", "time", "qotd", "netstat",
                                             "systat", "tcpmux", "sysstat")),
    Service("rwho", UNNEEDED, ("rwhod.service", "rusersd.service", "rstatd.service", "rwalld.service"),
            ("rusersd", "rstatd", "walld", "sprayd"), ("rwhod", "rpc.rusersd", "rpc.rstatd", "rpc.rwalld")),
    Service("nfs", UNNEEDED, ("nfs-server.service", "nfs-kernel-server.service", "nfs-mountd.service",
                              "nfs-idmapd.service", "nfsdcld.service", "rpc-statd.service"),
            (), ("rpc.mountd", "rpc.statd", "nfsdcld"), excuse="nfs"),
    Service("rpcbind", UNNEEDED, ("rpcbind.socket", "rpcbind.service", "portmap.service"), ("sunrpc",),
            ("rpcbind", "portmap"), excuse="rpc", use_excuses=True),
    Service("avahi", UNNEEDED, ("avahi-daemon.socket", "avahi-daemon.service", "avahi-dnsconfd.service"),
            (), ("avahi-daemon", "avahi-dnsconfd"), excuse="published", use_excuses=True),
    Service("cups", UNNEEDED, ("cups.socket", "cups.path", "cups.service", "cups-browsed.service", "cups-lpd.socket",
                               "cups-lpd@*.service"),
            ("printer",), ("cupsd", "cups-browsed"), excuse="printers", use_excuses=True),
    Service("bluetooth", UNNEEDED, ("bluetooth.service",), (), ("bluetoothd",), excuse="paired"),
    Service("minissdpd", UNNEEDED, ("minissdpd.service", "minissdpd.socket"), (), ("minissdpd",), use_excuses=True),
)

# Which of these services registers an RPC program with rpcbind.
RPC_OWNERS = {100003: "nfs", 100005: "nfs", 100021: "nfs", 100227: "nfs", 100024: "nfs",
              100004: "nis", 100007: "nis", 100009: "nis", 100001: "rwho", 100002: "rwho", 100008: "rwho"}


def services_of(policy: Dict[str, Any]) -> Tuple[Service, ...]:
    """Return the table with what the policy adds: each glob of it is a service of its own."""
    added = tuple(Service(glob, check, (glob if "." in glob else glob + ".service",))
                  for check, option in ((UNNEEDED, "unneeded"),
                                        (LEGACY, "legacy_plaintext"))
                  for glob in (policy.get(option) or ()) if isinstance(glob, str) and glob)
    return SERVICES + added
