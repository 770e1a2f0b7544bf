# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apache: its configuration with includes, conditions and virtual hosts."""

import os
import re
import shlex
from typing import Any
from typing import Dict
from typing import List
from typing import Optional

from ansible_collections.hostmend.hardening.plugins.module_utils.software import addresses
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

CONFIGS = ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf")
ENVIRONMENT = "/etc/apache2/envvars"
SECTION = re.compile(r"<(/?)(\w+)\b([^>]*)>")
TLS_MODULES = ("ssl_module", "gnutls_module")
# The longest of what Apache reads as one line.
MOST_LINE = 65536

Block = Dict[str, Any]


def config_path(host: Any, argv: Any = ()) -> str:
    """Return the main file: that of the command line, else the distribution's; '' where there is none."""
    options = _options(argv)
    if options.get("-f", ""):
        path = os.path.join(options.get("-d") or "/", options["-f"])
        if host.exists(path):
            return path
    return next((one for one in CONFIGS if host.exists(one)), "")


def _options(argv: Any) -> Dict[str, str]:
    return dict(config_files.options(argv, "-f", "-d"))


class Reader:
    """Reads a configuration, and keeps its virtual hosts and where it listens."""

    def __init__(self, files: config_files.Files, main: str, argv: Any = ()) -> None:
        self.files = files
        self.root = _options(argv).get("-d") or os.path.dirname(main)
        self.defined = _environment(files)
        self.defined.update((value, "") for _flag, value in config_files.options(argv, "-D"))
        self.modules = set()  # type: Set[str]
        self.hosts = []  # type: List[Block]
        self.listens = []  # type: List[str]
        self.asks_password = False
        self.top = _host(main)
        self.stack = []  # type: List[Block]
        self.read(main, 0)

    def read(self, path: str, depth: int) -> None:
        """Read one file, and what it includes."""
        for number, line in enumerate(self.files.open(path).replace("\\\n", " ").split("\n"), 1):
            line = line.strip()
            if not line or line[0] == "#":
                continue
            if len(line) > MOST_LINE:
                self.files.gap("%s: line %d is too long" % (path, number))
                continue
            line = re.sub(r"\$\{(\w+)\}", lambda match: self.defined.get(match.group(1), match.group(0)), line)
            section = SECTION.match(line)
            if section:
                self.section(section.group(1), section.group(2).lower(), section.group(3).strip(), path)
            elif not any(one.get("skip") for one in self.stack):
                self.directive(line, path, number, depth)

    def directive(self, line: str, path: str, number: int, depth: int) -> None:
        """Take one directive in."""
        try:
            words = shlex.split(line, posix=True)
        except ValueError:
            words = line.split()
        name, values = words[0].lower() if words else "", words[1:]
        if name == "serveralias":
            self.here()["names"] += [one.lower() for one in values]
        elif name == "use":
            self.files.gap("%s: line %d uses a macro, which is not followed" % (path, number))
        elif name in ("include", "includeoptional") and values:
            self.include(name, values[0], depth)
        elif values and name in self.SAYS:
            self.SAYS[name](self, values)

    def here(self) -> Block:
        """Return the virtual host that a directive is for."""
        return next((one for one in reversed(self.stack) if "names" in one), self.top)

    def include(self, name: str, pattern: str, depth: int) -> None:
        """Read the files that a directive includes; of a folder, all."""
        if depth >= config_files.DEEPEST:
            self.files.gap("%s is included more than %d files deep" % (pattern, config_files.DEEPEST))
            return
        for one in self.files.match(os.path.join(self.root, pattern)):
            folder = self.files.list(one)
            for inner in ["%s/%s" % (one.rstrip("/"), entry) for entry in folder] if folder else [one]:
                if name == "include" or self.files.read(inner) is not None:
                    self.read(inner, depth + 1)

    def define(self, values: List[str]) -> None:
        self.defined[values[0]] = values[1] if len(values) > 1 else ""

    def undefine(self, values: List[str]) -> None:
        self.defined.pop(values[0], None)

    def server_root(self, values: List[str]) -> None:
        self.root = values[0]

    def load_module(self, values: List[str]) -> None:
        self.modules.add(values[0])

    def listen(self, values: List[str]) -> None:
        self.listens.append(values[0])

    def server_name(self, values: List[str]) -> None:
        self.here()["names"].insert(0, re.sub(r"^\w{1,20}://|:\d{1,5}$", "", values[0]).lower())

    def engine(self, values: List[str]) -> None:
        self.here()["engine"] = values[0].lower() == "on"

    def certificate(self, values: List[str]) -> None:
        self.here()["certificates"].append(os.path.join(self.root, values[0]))

    def key(self, values: List[str]) -> None:
        self.here()["keys"].append(os.path.join(self.root, values[0]))

    def chain(self, values: List[str]) -> None:
        self.here()["chain"] = os.path.join(self.root, values[0])

    def auth_type(self, values: List[str]) -> None:
        self.asks_password = self.asks_password or values[0].lower() in ("basic", "digest")

    SAYS = {"define": define, "undefine": undefine, "serverroot": server_root, "loadmodule": load_module, "listen": listen,
            "servername": server_name, "sslengine": engine, "sslcertificatefile": certificate, "sslcertificatekeyfile": key,
            "sslcertificatechainfile": chain, "authtype": auth_type}

    def section(self, closing: str, name: str, rest: str, path: str) -> None:
        """Open or close a section."""
        if closing:
            ended = self.stack.pop() if self.stack else {}
            if "names" in ended and not ended["skip"]:
                self.hosts.append(ended)
        elif name == "virtualhost":
            self.stack.append(dict(_host(path), skip=any(one.get("skip") for one in self.stack), places=rest.split(),
                                   ports=[int(one) for one in re.findall(r":(\d{1,5})(?:\s|$)", rest)]))
        elif name in ("ifmodule", "ifdefine", "iffile"):
            self.stack.append(self.condition(name, rest))
        else:
            self.stack.append({"skip": True} if name == "macro" else {})

    def condition(self, name: str, rest: str) -> Block:
        """Return the block of a condition; one that does not hold is skipped."""
        wanted, absent = rest.lstrip("!").strip("\" "), rest.startswith("!")
        if name == "iffile":
            path = os.path.join(self.root, wanted)
            return {"skip": (os.path.basename(path) in self.files.list(os.path.dirname(path))) == absent}
        if name == "ifdefine":
            return {"skip": (wanted in self.defined) == absent}
        module = re.sub(r"^mod_|\.c$", "", wanted)
        module = module if module.endswith("_module") else module + "_module"
        return {"skip": (module in self.modules or module not in TLS_MODULES) == absent}


def _host(file: str) -> Block:
    return {"file": file, "names": [], "ports": [], "places": [], "engine": None, "certificates": [], "keys": [], "chain": ""}


def _environment(files: config_files.Files) -> Dict[str, str]:
    """Return the variables that Debian's envvars sets, as far as they are plain."""
    text = files.read(ENVIRONMENT) or ""
    return dict(re.findall(r"^export[ \t]+(APACHE_\w+)=([\w./-]*)(?:\$SUFFIX)?$", text, re.M))


def certificates(files: config_files.Files, main: str, argv: Any = ()) -> List[config_files.Use]:
    """Return the uses of certificates: of each place where SSLEngine is on, and that a client can come to.

    Of virtual hosts with one name at one address the first has it; another is the default only if it is the first there.
    """
    reader = Reader(files, main, argv)
    made = []  # type: List[config_files.Use]
    seen = set()  # type: Set[Tuple[str, str]]
    for host in reader.hosts + [reader.top]:
        engine = reader.top["engine"] if host["engine"] is None else host["engine"]
        places = [place.lower() for place in host["places"]]
        default = [place for place in places if (place, "") not in seen]
        names = [name for name in host["names"] if not places or any((place, name) not in seen for place in places)]
        seen.update((place, name) for place in places for name in [""] + host["names"])
        if not engine or places and not default and not names and host["names"]:
            continue
        own = host["certificates"] or reader.top["certificates"]
        keys = host["keys"] or reader.top["keys"]
        for number, certificate in enumerate(own):
            key = keys[number] if number < len(keys) else ""
            if "${" in certificate:
                files.gap("%s: %s: a variable that is not known" % (host["file"], certificate))
                continue
            one = config_files.use(host["file"], certificate, key, names or host["names"], host["ports"])
            made.append(dict(one, chain=host["chain"] or reader.top["chain"]))
    return made[:config_files.MOST_USES]


def listeners(host: Any, service: Any) -> Optional[List[addresses.Listening]]:
    """Return where Apache listens, None where that cannot be told."""
    main = config_path(host, service.argv)
    if not main:
        return None
    files = config_files.Files(host.read, host.list)
    made = []  # type: List[addresses.Listening]
    for place in Reader(files, main, service.argv).listens:
        address, _colon, port = place.rpartition(":")
        found = addresses.address_of(address)
        if found is None or not port.isdecimal():
            return None
        made += addresses.on(found, int(port))
    return list(dict.fromkeys(made))


def asks_password(host: Any, argv: Any = ()) -> bool:
    """Tell whether a place asks for a password (AuthType Basic or Digest)."""
    main = config_path(host, argv)
    return bool(main) and Reader(config_files.Files(host.read, host.list), main, argv).asks_password
