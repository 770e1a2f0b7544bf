# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx: its configuration as it reads it, with includes and with what blocks hand down."""

import os
import re
from typing import Any
from typing import Dict
from typing import Iterator
from typing import List
from typing import NamedTuple
from typing import Optional
from typing import Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software import addresses
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

CONFIG = "/etc/nginx/nginx.conf"
TOKEN = re.compile(r"""\s+|\#[^\n]*|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([{};])
                   |((?:\\.|\$\{[^}\s]{0,99}\}|[^\s;{}"'\\])+)|(.)""", re.DOTALL | re.VERBOSE)
# Settings that a block hands down to those within it.
INHERITED = ("ssl_certificate", "ssl_certificate_key", "ssl_reject_handshake", "auth_basic")
# No configuration that somebody has written goes deeper.
DEEPEST_BLOCK = 64
MASTER = "nginx: master process "

Token = Tuple[str, List[str], str]
Settings = Dict[str, List[str]]


class Server(NamedTuple):
    """One server block: where it stands, and what it says."""

    file: str
    kind: str  # "http" | "stream" | "mail"
    names: List[str]
    listens: List[List[str]]
    tls: bool  # ``ssl on``, of old
    settings: Settings
    asks_password: bool


def printed(text: str) -> Dict[str, str]:
    """Return {path: text} of what ``nginx -T`` prints."""
    made = {}  # type: Dict[str, str]
    parts = re.split(r"^# configuration file (.+):$\n", text, flags=re.M)
    for path, content in zip(parts[1::2], parts[2::2]):
        made.setdefault(path, content)
    return made


def arguments(argv: Any) -> Dict[str, str]:
    """Return the options -c, -p and -g of a master process, whose title holds its command line as one text."""
    words = [word for part in argv for word in part.split()]
    return dict(config_files.options(words, "-c", "-p"))


def config_path(argv: Any) -> str:
    """Return the file that a process of nginx was started with."""
    given = arguments(argv)
    path = given.get("-c", "")
    if path and not path.startswith("/"):
        path = os.path.join(given.get("-p", ""), path)
    return path if path.startswith("/") else CONFIG


class _Reader:
    """Reads the blocks of a configuration."""

    def __init__(self, files: config_files.Files, main: str) -> None:
        self.files, self.prefix = files, os.path.dirname(main)
        self.servers = []  # type: List[Server]
        self.depth = 0
        self.tokens = self.directives(main, 0)

    def directives(self, path: str, depth: int) -> Iterator[Token]:
        """Yield (file, words, opener) of each directive; ``}`` comes as words of its own; includes are followed."""
        words = []  # type: List[str]
        text = self.files.open(path)
        for match in TOKEN.finditer(text):
            double, single, sign, plain, other = match.groups()
            if sign is None:
                word = next((one for one in (double, single, plain) if one is not None), None)
                if word is not None:
                    words.append(word)
                elif other:
                    self.files.gap("%s cannot be understood in line %d" % (path, text.count("\n", 0, match.start()) + 1))
                continue
            if sign == ";" and len(words) == 2 and words[0] == "include":
                if depth >= config_files.DEEPEST:
                    self.files.gap("%s includes more than %d files deep" % (path, config_files.DEEPEST))
                for one in self.files.match(os.path.join(self.prefix, words[1])) if depth < config_files.DEEPEST else ():
                    yield from self.directives(one, depth + 1)
            elif words:
                yield path, words, sign
            if sign == "}":
                yield path, ["}"], sign
            words = []

    def block(self, kind: str, above: Settings, server: Optional[Dict[str, Any]]) -> Settings:
        """Read one block to its end; ``server`` gathers what a server block says."""
        mine = dict(above)
        own = set()  # type: Set[str]
        for path, words, opener in self.tokens:
            name = words[0]
            if name == "}":
                break
            if opener == "{" and self.depth >= DEEPEST_BLOCK:
                self.files.gap("%s has blocks more than %d deep" % (path, DEEPEST_BLOCK))
                self.skip()
            elif opener == "{":
                self.depth += 1
                self.inner(kind, path, name, mine, server)
                self.depth -= 1
            elif name in mine and len(words) > 1:
                if name not in own:
                    mine[name] = []
                    own.add(name)
                mine[name] = mine[name] + [words[1]]
            elif server is not None:
                _server_says(server, words)
        return mine

    def skip(self) -> None:
        """Read to the end of a block, whatever is in it."""
        left = 1
        for _path, words, opener in self.tokens:
            left += 1 if opener == "{" else -1 if words[0] == "}" else 0
            if not left:
                return

    def inner(self, kind: str, path: str, name: str, mine: Settings, server: Optional[Dict[str, Any]]) -> None:
        """Read a block within a block; http and stream hand their settings down."""
        if name == "server" and server is None:
            said = {"names": [], "listens": [], "tls": False, "asks": False}  # type: Dict[str, Any]
            settings = self.block(kind, mine, said)
            asks = said["asks"] or _asks(settings)
            self.servers.append(Server(path, kind, said["names"], said["listens"], said["tls"], settings, asks))
            return
        # A location cannot have a certificate of its own, but may ask for a password.
        settings = self.block(name if name in ("http", "stream", "mail") else kind, mine, {} if server is not None else None)
        if server is not None and _asks(settings):
            server["asks"] = True


def _asks(settings: Settings) -> bool:
    return bool(settings["auth_basic"]) and settings["auth_basic"][-1] != "off"


def _server_says(server: Dict[str, Any], words: List[str]) -> None:
    if words[0] == "server_name" and "names" in server:
        for word in words[1:]:
            # ``.example.org`` is short for the name and all below it.
            server["names"] += [word[1:], "*" + word] if word[:1] == "." and word[1:] else [word]
    elif words[0] == "listen" and len(words) > 1 and "listens" in server:
        server["listens"].append(words[1:])
    elif words[0] == "ssl" and words[1:] == ["on"]:
        server["tls"] = True


def servers(files: config_files.Files, main: str) -> List[Server]:
    """Return the server blocks of a configuration, in the order that nginx meets them."""
    reader = _Reader(files, main)
    reader.block("main", dict((name, []) for name in INHERITED), None)
    return reader.servers


def certificates(files: config_files.Files, main: str) -> List[config_files.Use]:
    """Return the uses of certificates: of each server that listens with TLS and that a client can come to."""
    made = []  # type: List[config_files.Use]
    prefix = os.path.dirname(main)
    found = servers(files, main)
    reached = _reached(found)
    for server, names in zip(found, reached):
        ports = _tls_ports(server)
        if not ports or names is None or server.settings["ssl_reject_handshake"][-1:] == ["on"]:
            # What answers every handshake with an alert serves no certificate, whatever it names.
            continue
        keys = server.settings["ssl_certificate_key"] or [""]
        for certificate, key in zip(server.settings["ssl_certificate"], keys):
            if not certificate.startswith(("data:", "engine:", "store:")):
                one = config_files.use(server.file, os.path.join(prefix, certificate), os.path.join(prefix, key) if key else "",
                                       [name.lower() for name in names], ports)
                # With a variable in its name the file is known at each handshake only.
                one["proxied"] = _proxied(server)
                made.append(dict(one, dynamic=True) if "$" in certificate else one)
    return made[:config_files.MOST_USES]


def _listen_key(words: List[str]) -> str:
    address = words[0]
    if address.startswith("unix:"):
        return address
    if address.isdecimal():
        return "*:" + address
    return address if re.search(r":\d+$", address) and not address.endswith("]") else address + ":80"


def _reached(found: List[Server]) -> List[Optional[List[str]]]:
    """Return the names by which each server is chosen; None where another one has all of them, and it is no default.

    The first server with a name at an address has it, and who asks for a name that none has gets the default server.
    """
    taken = {}  # type: Dict[Tuple[str, str, str], int]
    default = {}  # type: Dict[Tuple[str, str], int]
    places = [[(server.kind, _listen_key(words)) for words in server.listens or [["80"]]] for server in found]
    for number, server in enumerate(found):
        for place, words in zip(places[number], server.listens or [["80"]]):
            if "default_server" in words[1:] or "default" in words[1:]:
                default[place] = number
            for name in server.names or [""]:
                taken.setdefault((place[0], place[1], name.lower()), number)
    for number, _server in enumerate(found):
        for place in places[number]:
            default.setdefault(place, number)
    made = []  # type: List[Optional[List[str]]]
    for number, server in enumerate(found):
        names = [name for name in server.names
                 if any(taken[place[0], place[1], name.lower()] == number for place in places[number])]
        is_default = any(default[place] == number for place in places[number])
        asked = [name for name in names if name not in ("", "_")]
        made.append(names if asked or is_default or server.kind != "http" else None)
    return made


def _tls_ports(server: Server) -> List[int]:
    return [_port(words) for words in server.listens
            if (server.tls or "ssl" in words[1:]) and not words[0].startswith("unix:") and "quic" not in words[1:]]


def _proxied(server: Server) -> List[int]:
    """Return the ports where the header of the PROXY protocol comes first."""
    return [_port(words) for words in server.listens if "proxy_protocol" in words[1:] and not words[0].startswith("unix:")]


def _port(words: List[str]) -> int:
    port = re.search(r"(?:^|:)(\d{1,5})$", words[0])
    return int(port.group(1)) if port else 80


def listeners(host: Any, service: Any) -> Optional[List[addresses.Listening]]:
    """Return where nginx listens, None where that cannot be told."""
    files = config_files.Files(host.read, host.list)
    made = []  # type: List[addresses.Listening]
    for server in servers(files, config_path(service.argv)):
        for words in server.listens or ([["80"]] if server.kind == "http" else []):
            address, colon, port = words[0].rpartition(":")
            if words[0].startswith("unix:"):
                continue
            if words[0].isdecimal():
                found = [addresses.WILD[0]]  # type: Optional[List[addresses.Address]]
                number = int(words[0])
            elif colon and port.isdecimal():
                found, number = [addresses.WILD[0]] if address == "*" else addresses.address_of(address), int(port)
            else:
                found, number = addresses.address_of(words[0]), 80
            if found is None:
                return None
            made += addresses.on(found, number)
    return None if files.gaps else list(dict.fromkeys(made))


def asks_password(host: Any, argv: Any = ()) -> bool:
    """Tell whether a server or one of its locations asks for a password (auth_basic)."""
    files = config_files.Files(host.read, host.list)
    return any(server.asks_password for server in servers(files, config_path(argv)))
