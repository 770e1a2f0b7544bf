# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Postfix: what its parameters and the overrides of its services say, and where it listens."""

import re
from typing import Any
from typing import Callable
from typing import Dict
from typing import Iterable
from typing import List
from typing import Optional
from typing import Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software import addresses
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

MAIN, MASTER = "/etc/postfix/main.cf", "/etc/postfix/master.cf"
PORTS = {"smtp": 25, "smtps": 465, "submissions": 465, "submission": 587}
# Of these the server reads a file that postmap -F has made; the text alone changes nothing.
BUILT_MAPS = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm")
MAPS = BUILT_MAPS + ("texthash",)
ENDINGS = {"hash": ".db", "btree": ".db", "lmdb": ".lmdb", "cdb": ".cdb", "dbm": ".pag", "sdbm": ".pag"}
SWITCHES = ("smtpd_tls_security_level", "smtpd_use_tls", "smtpd_enforce_tls", "smtpd_tls_wrappermode")
SETTING = re.compile(r"(?:([\w.:\[\]*-]+/[\w-]+)/)?(smtpd_\w+)\s*=\s*(.*)")
FILES = re.compile(r"smtpd_tls_(?:ec|d)?(?:cert|key|chain)_?files?\Z")

Read = Callable[[str], Optional[str]]


def certificates(text: str, file: str, read: Optional[Read] = None) -> List[config_files.Use]:
    """Return the uses that ``postconf -n`` and the overrides of ``postconf -P``, or main.cf, tell of.

    An override counts at the port of its service alone, and there on top of main.cf. A service that does not offer TLS
    uses no certificate.
    """
    settings = {"": {}}  # type: Dict[str, Dict[str, str]]
    for line in unfolded(text):
        match = SETTING.match(line)
        if match and (match.group(2) in SWITCHES or FILES.match(match.group(2))):
            settings.setdefault(match.group(1) or "", {})[match.group(2)] = match.group(3).strip()
    main = settings.pop("")
    ports = dict((service, _port(service)) for service in settings)
    rest = [port for port in PORTS.values() if port not in ports.values()]
    made = _pairs(main, file, rest if settings else (), read) if rest and _offers(main) else []
    for service, values in settings.items():
        port = ports[service]
        if _offers(dict(main, **values)):
            made += _pairs(dict(main, **values), "%s (master.cf)" % service, [port] if port else (), read)
    return made


def _offers(values: Dict[str, str]) -> bool:
    """Tell whether a service offers TLS; the level, where there is one, outranks the switches of old."""
    if values.get("smtpd_tls_wrappermode", "").lower() == "yes":
        return True
    level = values.get("smtpd_tls_security_level", "").lower()
    if level:
        return level != "none"
    return any(values.get(name, "").lower() == "yes" for name in ("smtpd_use_tls", "smtpd_enforce_tls"))


def unfolded(text: str) -> List[str]:
    """Return the logical lines of a configuration: one that begins with a space goes on with the one before."""
    return re.sub(r"\n[ \t]+", " ", text).split("\n")


def entries(text: str) -> List[List[str]]:
    """Return the fields of each entry of a master.cf: eight, the last with all arguments."""
    made = []  # type: List[str]
    for line in text.split("\n"):
        if line.strip() and line.strip()[0] != "#":
            if line[0] in " \t" and made:
                made[-1] += line
            else:
                made.append(line)
    return [entry.split(None, 7) for entry in made]


def overrides(text: str) -> str:
    """Return the overrides of a master.cf, as ``postconf -P`` prints them."""
    made = []  # type: List[str]
    for words in entries(text):
        for match in re.finditer(r"(?:^|\s)-o\s*(?:\{\s*([\w-]+)\s*=([^{}]*)\}|([\w-]+)=(\S*))",
                                 words[7] if len(words) == 8 else ""):
            name, value = match.group(1) or match.group(3), match.group(2).strip() if match.group(1) else match.group(4)
            made.append("%s/%s/%s = %s\n" % (words[0], words[1], name, value))
    return "".join(made)


def _port(service: str) -> int:
    """Return the port of an entry of master.cf, such as ``submission/inet``; 0 where it has none."""
    name = service.split("/")[0].rsplit(":", 1)[-1]
    return int(name) if name.isdecimal() else PORTS.get(name, 0)


def _pairs(values: Dict[str, str], file: str, ports: Iterable[int], read: Optional[Read]) -> List[config_files.Use]:
    """Return the pairs of one set of settings; what smtpd_tls_chain_files names stands for all of the others."""
    made, key = [], ""  # type: List[config_files.Use], str
    for path in re.split(r"[\s,]+", values.get("smtpd_tls_chain_files", "")):
        if path.startswith("/"):
            text = read(path) if read else None
            if text and "PRIVATE KEY-----" in text and "-----BEGIN CERTIFICATE" not in text:
                # The key may have a file of its own, before that of its certificate.
                key = path
                continue
            made.append(config_files.use(file, path, key, (), ports))
            key = ""
    for kind in ("", "ec", "d") if not made else ():
        certificate = values.get("smtpd_tls_%scert_file" % kind, "")
        if certificate.startswith("/"):
            key = values.get("smtpd_tls_%skey_file" % kind, "")
            made.append(config_files.use(file, certificate, key if key.startswith("/") else "", (), ports))
    return made


def name_maps(text: str) -> List[Tuple[str, str]]:
    """Return (type, path) of the maps of ``tls_server_sni_maps``."""
    found = [match.group(1) for match in (re.match(r"(?:\S+/)?tls_server_sni_maps\s*=[ \t]*(.*)", line)
                                          for line in unfolded(text)) if match]
    made = []  # type: List[Tuple[str, str]]
    for one in re.split(r"[\s,]+", " ".join(found).strip()):
        if one:
            kind, _colon, path = one.rpartition(":")
            made.append((kind, path))
    return made


def by_name(files: config_files.Files, text: str) -> List[config_files.Use]:
    """Return the uses of ``tls_server_sni_maps``: a name and its chain files in each line of a map.

    Where the server reads what postmap -F has made of the map, ``built`` is that file, and ``map`` the map's name.
    """
    made = []  # type: List[config_files.Use]
    for kind, path in name_maps(text):
        if kind not in MAPS or not path.startswith("/"):
            files.gap("which certificate belongs to which name is told by %s:%s, which cannot be read" % (kind, path))
            continue
        more = {}  # type: Dict[str, Any]
        if kind in BUILT_MAPS:
            more = {"map": "%s:%s" % (kind, path), "built": path + ENDINGS[kind]}
        for line in files.open(path).split("\n"):
            words = re.split(r"[\s,]+", line.strip())
            if len(words) > 1 and line[0] not in "# \t":
                name = ("*" if words[0][0] == "." else "") + words[0].lower()
                made += [dict(pair, names=[name], **more) for pair in
                         _pairs({"smtpd_tls_chain_files": " ".join(words[1:])}, path, (), files.read)]
    return made[:config_files.MOST_USES]


def listeners(host: Any, service: Any) -> Optional[List[addresses.Listening]]:
    """Return where Postfix takes mail, and submission where its master runs it."""
    main = dict(re.findall(r"^(inet_interfaces|inet_protocols)\s*=\s*(.*)$", host.read(MAIN) or "", re.M))
    where = main.get("inet_interfaces", "all").strip()
    if where in ("loopback-only", "all"):
        found = list(addresses.LOCAL if where == "loopback-only" else addresses.WILD)
    else:
        read = [addresses.address_of(one) for one in re.split(r"[,\s]+", where) if one]
        if any(one is None for one in read):
            return None
        found = [pair for one in read for pair in one or ()]
    made = []  # type: List[addresses.Listening]
    for words in entries(host.read(MASTER) or "smtp inet"):
        port = _port(words[0]) if len(words) > 1 and words[1] == "inet" else 0
        made += addresses.on(found, port) if port else []
    return made


def asks_password(host: Any) -> bool:
    """Tell whether a service of Postfix takes logins, by main.cf or an override."""
    text = "%s\n%s" % (host.read(MAIN) or "", overrides(host.read(MASTER) or ""))
    found = [re.match(r"(\S+/)?smtpd_sasl_auth_enable\s*=\s*(\w+)", line) for line in unfolded(text)]
    last = dict((match.group(1) or "", match.group(2).lower()) for match in found if match)
    return "yes" in last.values()
