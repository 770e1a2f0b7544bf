# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a listener of this host which certificate it serves: by a TLS handshake, after STARTTLS where it needs one."""

import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

SECONDS = 3.0
IN_ALL = 6.0
MOST = 64
SIDE_BY_SIDE = 12
MOST_BANNER = 65536
ANY_NAME = "hostmend-asks"
# Before the kind of a listener that wants the header of the PROXY protocol.
PROXIED = "proxy:"
# Up to TLS 1.2 the ciphers say which kind of key is to sign.
CIPHERS = {"": "ALL:@SECLEVEL=0", "rsa": "aRSA:kRSA:@SECLEVEL=0", "ec": "aECDSA:@SECLEVEL=0",
           "ed25519": "aECDSA:@SECLEVEL=0", "ed448": "aECDSA:@SECLEVEL=0"}


class Silent(Exception):
    """No handshake came about; the text says why."""


def context(key_type=""):
    """Return a context that takes any certificate, over any protocol and cipher that is still built in."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    _limit(made, bool(key_type))
    try:
        # Old ciphers too: it is the certificate that is asked for, however weak the rest.
        made.set_ciphers(CIPHERS[key_type])
    except ssl.SSLError:
        pass
    return made


def _limit(made, before_1_3):
    """Have a context take every version of the protocol, or every one before 1.3."""
    versions = getattr(ssl, "TLSVersion", None)
    if versions is None:  # Python 3.6
        made.options &= ~ssl.OP_NO_SSLv3
        made.options |= getattr(ssl, "OP_NO_TLSv1_3", 0) if before_1_3 else 0
        return
    made.minimum_version = versions.MINIMUM_SUPPORTED  # novermin
    if before_1_3:
        made.maximum_version = versions.TLSv1_2  # novermin


def _line(connection, deadline):
    """Return one line, without reading beyond it."""
    made = b""
    while not made.endswith(b"\n"):
        _patience(connection, deadline)
        part = connection.recv(1)
        if not part:
            raise Silent("it closed the connection")
        made += part
        if len(made) > MOST_BANNER:
            raise Silent("it says too much")
    return made.decode("latin-1").strip()


def _patience(connection, deadline):
    left = deadline - time.monotonic()
    if left <= 0:
        raise Silent("it did not answer in time")
    connection.settimeout(left)


def _reply(connection, deadline, wanted, cannot=None):
    """Read a reply of SMTP or FTP, of several lines where there are more; ``cannot`` is that of who would if he could."""
    for _count in range(100):
        line = _line(connection, deadline)
        if line[3:4] != "-" and line[:3].isdecimal():
            if cannot and line.startswith(cannot):
                raise Silent("it offers TLS and cannot do it, often for want of a certificate or key that it can read: %s"
                             % line[:80])
            if not line.startswith(wanted):
                raise Silent("it does not offer TLS: %s" % line[:80])
            return
    raise Silent("it says too much")


def _exactly(connection, count, deadline):
    made = b""
    while len(made) < count:
        _patience(connection, deadline)
        part = connection.recv(count - len(made))
        if not part:
            raise Silent("it closed the connection")
        made += part
    return made


def announce(connection):
    """Say who is calling, as a balancer does to a server that takes the PROXY protocol: this host itself."""
    here, there = connection.getsockname(), connection.getpeername()
    version = 6 if connection.family == socket.AF_INET6 else 4
    connection.sendall(("PROXY TCP%d %s %s %d %d\r\n" % (version, here[0], there[0], here[1], there[1])).encode("ascii"))


def start_tls(connection, kind, deadline):
    """Lead a connection to where the handshake begins; nobody logs in. Returns the version that the server says it has."""
    if kind.startswith(PROXIED):
        announce(connection)
        kind = kind[len(PROXIED):]
    if kind == "smtp":
        _reply(connection, deadline, "220")
        connection.sendall(b"EHLO localhost\r\n")
        _reply(connection, deadline, "250")
        connection.sendall(b"STARTTLS\r\n")
        _reply(connection, deadline, "220", "454")
    elif kind == "ftp":
        _reply(connection, deadline, "220")
        connection.sendall(b"AUTH TLS\r\n")
        _reply(connection, deadline, "234")
    elif kind == "imap":
        _line(connection, deadline)
        connection.sendall(b"a STARTTLS\r\n")
        for _count in range(20):
            line = _line(connection, deadline)
            if line.startswith("a "):
                if not line.startswith("a OK"):
                    raise Silent("it does not offer TLS: %s" % line[:80])
                return ""
        raise Silent("it says too much")
    elif kind == "pop3":
        _line(connection, deadline)
        connection.sendall(b"STLS\r\n")
        if not _line(connection, deadline).startswith("+OK"):
            raise Silent("it does not offer TLS")
    elif kind == "postgresql":
        connection.sendall(struct.pack(">II", 8, 80877103))
        if _exactly(connection, 1, deadline) != b"S":
            raise Silent("it does not offer TLS")
    elif kind == "mysql":
        return _mysql(connection, deadline)
    return ""


def _mysql(connection, deadline):
    head = _exactly(connection, 4, deadline)
    size = head[0] | head[1] << 8 | head[2] << 16
    greeting = _exactly(connection, min(size, 4096), deadline)
    after = greeting.find(b"\0", 1) + 1 + 4 + 8 + 1
    if greeting[:1] != b"\x0a" or len(greeting) < after + 2:
        raise Silent("it does not greet as MySQL does")
    if not struct.unpack("<H", greeting[after:after + 2])[0] & 0x0800:
        raise Silent("it does not offer TLS")
    # CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION
    body = struct.pack("<IIB23x", 0x200 | 0x800 | 0x8000, 1 << 24, 33)
    connection.sendall(bytes((len(body), 0, 0, 1)) + body)
    return greeting[1:greeting.index(b"\0")].decode("latin-1")


def served(address, port, kind="", name="", seconds=SECONDS, key_type=""):
    """Return {certificate, protocol, version} or {failure} of one listener, asked for one name.

    ``*.example.org`` asks for any name below it;
    ``key_type`` asks for the certificate of one kind of key (rsa, ec), of a server that has several for the name.
    """
    deadline = time.monotonic() + seconds
    if name.startswith("*."):
        name = ANY_NAME + name[1:]
    try:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            version = start_tls(connection, kind, deadline)
            _patience(connection, deadline)
            secured = context(key_type).wrap_socket(connection, server_hostname=name or None, do_handshake_on_connect=False)
            with secured:
                try:
                    secured.do_handshake()
                except ssl.SSLError as error:
                    return {"failure": "no handshake: %s" % (error.reason or "refused")}
                der = secured.getpeercert(True)
                protocol = secured.version()
        if not der:
            return {"failure": "it serves no certificate"}
        return {"certificate": x509.parse(der), "protocol": protocol, "version": version}
    except x509.Malformed as error:
        return {"failure": "what it serves cannot be read: %s" % error}
    except Silent as error:
        return {"failure": str(error)}
    except (OSError, ValueError, UnicodeError) as error:
        return {"failure": "%s" % (getattr(error, "strerror", "") or type(error).__name__)}


def all_served(asked, seconds=SECONDS, in_all=IN_ALL):
    """Return what each of (address, port, kind, name, key_type) serves, asked side by side, at most MOST of them."""
    asked = list(dict.fromkeys(asked))[:MOST]
    end = time.monotonic() + in_all

    def one(what):
        left = min(seconds, end - time.monotonic())
        return served(*what[:4], seconds=left, key_type=what[4]) if left > 0 else {"failure": "there was no time left to ask it"}

    if not asked:
        return {}
    with ThreadPoolExecutor(min(SIDE_BY_SIDE, len(asked))) as pool:
        return dict(zip(asked, pool.map(one, asked)))
