# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small client of the Redis protocol (RESP 2): bounded in time and in what it takes from a server."""

import select
import socket
import ssl
import time
from typing import Any, Dict, List, Optional, Tuple, Union

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

SECONDS = 1.5
ALERT_SECONDS = 0.15
REPLY_LIMIT = 4 * 1024 * 1024
LINE_LIMIT = 64 * 1024
DEPTH = 8
ELEMENTS = 100000
# What OpenSSL calls the alert of a server that wants a certificate; the second word may mean ciphers, too.
CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE")
HANDSHAKE_ALERTS = ("HANDSHAKE_FAILURE",)

Where = Union[str, Tuple[str, int]]


class RedisError(HostError):
    """The server answered with an error; the text is its first words."""


class ProtocolError(HostError):
    """There was no answer, or none that Redis would give."""


class CertificateError(ProtocolError):
    """The server ends the handshake of a client without a certificate."""


def _protocol_error(error: Exception) -> ProtocolError:
    reason = str(getattr(error, "reason", "") or "")
    if isinstance(error, ssl.SSLError):
        if any(word in reason for word in CERTIFICATE_ALERTS):
            return CertificateError("CERTIFICATE")
        if any(word in reason for word in HANDSHAKE_ALERTS):
            return CertificateError("HANDSHAKE")
    return ProtocolError(type(error).__name__)


class Client:
    """One connection.

    :param where: (address, port), or the path of a unix socket.
    :param until: when all that is asked has to be over, by the monotonic clock.
    """

    def __init__(self, where: Where, tls: bool = False, seconds: float = SECONDS, until: Optional[float] = None) -> None:
        self.until, self.deadline = until, 0.0
        self.seconds = seconds if until is None else max(0.05, min(seconds, until - time.monotonic()))
        self.buffer, self.taken = b"", 0
        self.socket: socket.socket = socket.socket(socket.AF_UNIX if isinstance(where, str) else (
            socket.AF_INET6 if ":" in where[0] else socket.AF_INET), socket.SOCK_STREAM)
        try:
            self.socket.settimeout(self.seconds)
            self.socket.connect(where)
            if tls:
                self._start_tls()
        except (OSError, ValueError) as error:
            self.socket.close()
            raise _protocol_error(error) from None

    def _start_tls(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # it is this host's own server, whatever its certificate
        wrapped = context.wrap_socket(self.socket)
        self.socket = wrapped
        # By TLS 1.3 a client is done before the server has judged its certificate; what is sent meanwhile loses the alert.
        if select.select([wrapped], [], [], min(ALERT_SECONDS, self.seconds))[0]:
            wrapped.settimeout(0.0)
            try:
                self.buffer = wrapped.recv(65536)
                if not self.buffer:
                    raise ProtocolError("closed")
            except (ssl.SSLWantReadError, BlockingIOError):
                pass
            wrapped.settimeout(self.seconds)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.socket.close()

    def ask(self, *words: Any) -> Any:
        """Send a command and return its reply as text, number, list or None."""
        parts = [word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape") for word in words]
        data = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self.taken = len(self.buffer)
        self.deadline = time.monotonic() + self.seconds * 4
        if self.until is not None:
            self.deadline = min(self.deadline, self.until)
        try:
            self.socket.sendall(data)
            return self._reply(0)
        except (OSError, ValueError) as error:
            raise _protocol_error(error) from None

    def pairs(self, *words: Any) -> Dict[str, Any]:
        """Return the reply to a command as a dictionary."""
        reply = self.ask(*words)
        if not isinstance(reply, list):
            raise ProtocolError("no list")
        return dict((str(name), value) for name, value in zip(reply[::2], reply[1::2]))

    def _more(self) -> None:
        if time.monotonic() > self.deadline:
            raise ProtocolError("too slow")
        data = self.socket.recv(65536)
        if not data:
            raise ProtocolError("closed")
        self.taken += len(data)
        if self.taken > REPLY_LIMIT:
            raise ProtocolError("too long")
        self.buffer += data

    def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > LINE_LIMIT:
                raise ProtocolError("too long")
            self._more()
        line, unused, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _reply(self, depth: int) -> Any:
        line = self._line()
        kind, rest = line[:1], line[1:].decode("utf-8", "surrogateescape")
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RedisError(rest[:200])
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b"*" and depth < DEPTH:
            count = int(rest)
            if count > ELEMENTS:
                raise ProtocolError("too long")
            return [self._element(depth) for unused in range(max(0, count))]
        raise ProtocolError("no reply of Redis")

    def _bulk(self, size: int) -> Optional[str]:
        if size < 0:
            return None
        if size > REPLY_LIMIT:
            raise ProtocolError("too long")
        while len(self.buffer) < size + 2:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size + 2:]
        return data.decode("utf-8", "surrogateescape")

    def _element(self, depth: int) -> Any:
        try:
            return self._reply(depth + 1)
        except RedisError as error:
            return str(error)


def probe(where: Where, tls: bool = False, until: Optional[float] = None) -> str:
    """Return what a client without a password is told.

    PONG, NOAUTH, DENIED or another word of the server; REFUSED; CERTIFICATE where TLS wants one of the client,
    HANDSHAKE where that may be; NO ANSWER.
    """
    try:
        with Client(where, tls, until=until) as client:
            reply = client.ask("PING")
            return "PONG" if reply == "PONG" else "ANSWERED"
    except RedisError as error:
        return str(error).split(" ", 1)[0][:40].upper() or "ERROR"
    except CertificateError as error:
        return str(error)
    except ProtocolError as error:
        return "REFUSED" if str(error) == "ConnectionRefusedError" else "NO ANSWER"


def parse_info(text: Any) -> Dict[str, str]:
    """Return the fields of INFO."""
    fields = {}
    for line in (text if isinstance(text, str) else "").splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields[name] = value
    return fields


def parse_clients(text: Any) -> List[Dict[str, str]]:
    """Return a dictionary for each connection of CLIENT LIST."""
    return [dict(word.partition("=")[::2] for word in line.split(" ") if "=" in word)
            for line in (text if isinstance(text, str) else "").splitlines() if line]
