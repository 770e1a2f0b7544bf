# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a listener of this host which certificate it serves: by a TLS handshake, after STARTTLS where it needs one."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hostmend.hardening.plugins.module_utils import x509

SECONDS = 1.5
IN_ALL = 6.0
MOST = 64
SIDE_BY_SIDE = 12
MOST_BANNER = 65536


class Silent(Exception):
    """No handshake came about; the text says why."""


def context():
    """Return a context that takes any certificate, over any protocol and cipher that is still built in."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    try:
        # Old ciphers too: it is the certificate that is asked for, however weak the rest.
        made.set_ciphers("ALL:@SECLEVEL=0")
    except ssl.SSLError:
        pass
    return made


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


def _reply(connection, deadline, wanted):
    """Read a reply of SMTP or FTP, of several lines where there are more."""
    for _count in range(100):
        line = _line(connection, deadline)
        if line[3:4] != "-" and line[:3].isdecimal():
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


def start_tls(connection, kind, deadline):
    """Lead a connection to where the handshake begins; nobody logs in."""
    if kind == "smtp":
        _reply(connection, deadline, "220")
        connection.sendall(b"EHLO localhost\r\n")
        _reply(connection, deadline, "250")
        connection.sendall(b"STARTTLS\r\n")
        _reply(connection, deadline, "220")
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
                return
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
        _mysql(connection, deadline)


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


def served(address, port, kind="", name="", seconds=SECONDS):
    """Return {certificate} or {failure} of one listener, asked for one name."""
    deadline = time.monotonic() + seconds
    try:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            start_tls(connection, kind, deadline)
            _patience(connection, deadline)
            secured = context().wrap_socket(connection, server_hostname=name or None, do_handshake_on_connect=False)
            with secured:
                try:
                    secured.do_handshake()
                except ssl.SSLError as error:
                    return {"failure": "no handshake: %s" % (error.reason or "refused")}
                der = secured.getpeercert(True)
                protocol = secured.version()
        if not der:
            return {"failure": "it serves no certificate"}
        return {"certificate": x509.parse(der), "protocol": protocol}
    except x509.Malformed as error:
        return {"failure": "what it serves cannot be read: %s" % error}
    except Silent as error:
        return {"failure": str(error)}
    except (OSError, ValueError, UnicodeError) as error:
        return {"failure": "%s" % (getattr(error, "strerror", "") or type(error).__name__)}


def all_served(asked, seconds=SECONDS, in_all=IN_ALL):
    """Return what each of (address, port, kind, name) serves, asked side by side, at most MOST of them."""
    asked = list(dict.fromkeys(asked))[:MOST]
    end = time.monotonic() + in_all

    def one(what):
        left = min(seconds, end - time.monotonic())
        return served(*what, seconds=left) if left > 0 else {"failure": "there was no time left to ask it"}

    if not asked:
        return {}
    with ThreadPoolExecutor(min(SIDE_BY_SIDE, len(asked))) as pool:
        return dict(zip(asked, pool.map(one, asked)))
