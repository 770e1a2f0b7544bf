# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small client of the Redis protocol (RESP 2): bounded in time and in what it takes from a server."""

from __future__ import annotations

import socket
import ssl
import time

SECONDS = 1.5
REPLY_LIMIT = 4 * 1024 * 1024
LINE_LIMIT = 64 * 1024
DEPTH = 8
ELEMENTS = 100000


class RedisError(Exception):
    """The server answered with an error; the text is its first words."""


class Broken(Exception):
    """There was no answer, or none that Redis would give."""


class Client:
    """One connection. ``where`` is (address, port) or the path of a unix socket."""

    def __init__(self, where, tls=False, seconds=SECONDS):
        self.deadline, self.seconds = 0.0, seconds
        self.buffer, self.taken = b"", 0
        try:
            if isinstance(where, str):
                self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.socket.settimeout(seconds)
                self.socket.connect(where)
            else:
                self.socket = socket.create_connection(where, seconds)
                if tls:
                    context = ssl.create_default_context()
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE  # it is this host's own server, whatever its certificate
                    self.socket = context.wrap_socket(self.socket)
        except (OSError, ValueError) as error:
            raise Broken(error.__class__.__name__) from None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def ask(self, *words):
        """Send a command and return its reply as text, number, list or None."""
        parts = [word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape") for word in words]
        data = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self.taken = len(self.buffer)
        self.deadline = time.monotonic() + self.seconds * 4
        try:
            self.socket.sendall(data)
            return self._reply(0)
        except (OSError, ValueError) as error:
            raise Broken(error.__class__.__name__) from None

    def pairs(self, *words):
        """Return the reply to a command as a dictionary."""
        reply = self.ask(*words)
        if not isinstance(reply, list):
            raise Broken("no list")
        return dict((str(name), value) for name, value in zip(reply[::2], reply[1::2]))

    def _more(self):
        if time.monotonic() > self.deadline:
            raise Broken("too slow")
        data = self.socket.recv(65536)
        if not data:
            raise Broken("closed")
        self.taken += len(data)
        if self.taken > REPLY_LIMIT:
            raise Broken("too long")
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            if len(self.buffer) > LINE_LIMIT:
                raise Broken("too long")
            self._more()
        line, unused, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _reply(self, depth):
        line = self._line()
        kind, rest = line[:1], line[1:].decode("utf-8", "surrogateescape")
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RedisError(rest[:200])
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            if size > REPLY_LIMIT:
                raise Broken("too long")
            while len(self.buffer) < size + 2:
                self._more()
            data, self.buffer = self.buffer[:size], self.buffer[size + 2:]
            return data.decode("utf-8", "surrogateescape")
        if kind == b"*" and depth < DEPTH:
            count = int(rest)
            if count > ELEMENTS:
                raise Broken("too long")
            return [self._element(depth) for unused in range(max(0, count))]
        raise Broken("no reply of Redis")

    def _element(self, depth):
        try:
            return self._reply(depth + 1)
        except RedisError as error:
            return str(error)


def probe(where, tls=False):
    """Return what an unauthenticated client is told: PONG, NOAUTH, DENIED, REFUSED or another word of the server."""
    try:
        with Client(where, tls) as client:
            reply = client.ask("PING")
            return "PONG" if reply == "PONG" else "ANSWERED"
    except RedisError as error:
        return str(error).split(" ", 1)[0][:40].upper() or "ERROR"
    except Broken as error:
        return "REFUSED" if str(error) == "ConnectionRefusedError" else "NO ANSWER"


def parse_info(text):
    """Return the fields of INFO."""
    fields = {}
    for line in (text or "").splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields[name] = value
    return fields


def parse_clients(text):
    """Return one dictionary for each connection of CLIENT LIST."""
    return [dict(word.partition("=")[::2] for word in line.split(" ") if "=" in word)
            for line in (text or "").splitlines() if line]
