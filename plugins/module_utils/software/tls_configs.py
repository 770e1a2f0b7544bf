# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificates the configurations of services name, read from their text.

Each reader returns a list of uses; a use is ``{certificate, key, names, ports, file}``: paths of the pair, the names
that the service has for it, and the ports that it is served on (empty: those of the service). ``Files`` opens what is
included; it may come from the disk or from what the service itself prints.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
from xml.etree import ElementTree

MOST_FILES = 2000
POSTFIX_PORTS = {"smtp": 25, "smtps": 465, "submissions": 465, "submission": 587}
POSTFIX_MAPS = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash")
MOST_USES = 500
DEEPEST = 12
NGINX_TOKEN = re.compile(r"""\s+|\#[^\n]*|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([{};])
                         |((?:\\.|\$\{[^}\s]{0,99}\}|[^\s;{}"'\\])+)|(.)""", re.DOTALL | re.VERBOSE)


class Files:
    """What a configuration is made of: ``read(path)`` gives text or None, ``list(folder)`` the names in it."""

    def __init__(self, read, listing):
        self.read, self.list = read, listing
        self.opened, self.gaps = 0, []

    def open(self, path):
        """Return a file's text, '' and a gap where it cannot be read."""
        self.opened += 1
        if self.opened > MOST_FILES:
            self.gap("more than %d files are included" % MOST_FILES)
            return ""
        text = self.read(path)
        if text is None:
            self.gap("%s cannot be read" % path)
            return ""
        return text

    def gap(self, text):
        if text not in self.gaps:
            self.gaps.append(text)

    def match(self, pattern):
        """Return the paths that a glob means, stars in folders too."""
        if not any(sign in pattern for sign in "*?["):
            return [pattern]
        found = [""]
        for part in pattern.split("/")[1:]:
            if any(sign in part for sign in "*?["):
                found = ["%s/%s" % (folder, name) for folder in found for name in self.list(folder or "/")
                         if fnmatch.fnmatchcase(name, part) and (name[0] != "." or part[0] == ".")][:MOST_FILES]
            else:
                found = ["%s/%s" % (folder, part) for folder in found]
        return found


def use(file, certificate, key, names=(), ports=()):
    """Return one use of a certificate."""
    return {"file": file, "certificate": certificate, "key": key or certificate, "names": list(dict.fromkeys(names)),
            "ports": sorted(set(ports))}


# nginx

def nginx_printed(text):
    """Return {path: text} of what ``nginx -T`` prints."""
    made = {}
    parts = re.split(r"^# configuration file (.+):$\n", text, flags=re.M)
    for path, content in zip(parts[1::2], parts[2::2]):
        made.setdefault(path, content)
    return made


def nginx(files, main):
    """Return the uses of an nginx configuration: of each server that listens with TLS, settings of http included."""
    made = []
    prefix = os.path.dirname(main)
    tokens = _nginx_tokens(files, main, prefix, 0)
    _nginx_block(tokens, {"ssl_certificate": [], "ssl_certificate_key": []}, made, prefix, None)
    return made[:MOST_USES]


def _nginx_tokens(files, path, prefix, depth):
    """Yield (file, words, opener) of each directive; ``}`` comes as words of its own; includes are followed."""
    words, quoted = [], False
    for match in NGINX_TOKEN.finditer(files.open(path)):
        double, single, sign, plain, other = match.groups()
        if sign is None and plain is None and double is None and single is None:
            if other:
                files.gap("%s cannot be understood" % path)
            continue
        if sign is None:
            words.append(next((one for one in (double, single, plain) if one is not None), ""))
            quoted = True
            continue
        if sign == ";" and len(words) == 2 and words[0] == "include":
            if depth < DEEPEST:
                for one in files.match(os.path.join(prefix, words[1])):
                    yield from _nginx_tokens(files, one, prefix, depth + 1)
        elif words and quoted:
            yield path, words, sign
        if sign == "}":
            yield path, ["}"], sign
        words, quoted = [], False


def _nginx_block(tokens, above, made, prefix, server):
    """Read one block to its end; ``server`` gathers what a server block says."""
    mine = dict(above)
    own = set()
    for path, words, opener in tokens:
        name = words[0]
        if name == "}":
            break
        if opener == "{":
            if name == "server" and server is None:
                inner = {"file": path, "names": [], "listens": [], "ssl": False}
                settings = _nginx_block(tokens, mine, made, prefix, inner)
                _nginx_server(inner, settings, made, prefix)
            else:
                # Locations and the like cannot have a certificate of their own; http and stream hand theirs down.
                _nginx_block(tokens, mine, made, prefix, {} if server is not None else None)
        elif name in mine and len(words) > 1:
            if name not in own:
                mine[name], own = [], own | {name}
            mine[name] = mine[name] + [words[1]]
        elif server and name == "server_name":
            for word in words[1:]:
                # ``.example.org`` is short for the name and all below it.
                server["names"] += [word[1:], "*" + word] if word[:1] == "." and word[1:] else [word]
        elif server and name == "listen" and len(words) > 1:
            server["listens"].append(words[1:])
        elif server and name == "ssl" and words[1:] == ["on"]:
            server["ssl"] = True
    return mine


def _nginx_server(server, settings, made, prefix):
    ports = []
    for words in server["listens"]:
        if server["ssl"] or "ssl" in words[1:] or "quic" in words[1:]:
            port = re.search(r"(?:^|:)(\d+)$", words[0])
            if not words[0].startswith("unix:") and "quic" not in words[1:]:
                ports.append(int(port.group(1)) if port else 80)
    if not ports:
        return
    for certificate, key in zip(settings["ssl_certificate"], settings["ssl_certificate_key"] or [""]):
        if not certificate.startswith(("data:", "engine:", "store:")):
            one = use(server["file"], os.path.join(prefix, certificate), os.path.join(prefix, key) if key else "",
                      [one.lower() for one in server["names"]], ports)
            # With a variable in its name the file is known at each handshake only.
            made.append(dict(one, dynamic=True) if "$" in certificate else one)


# Apache

APACHE_SECTION = re.compile(r"<(/?)(\w+)\b([^>]*)>")


def apache(files, main):
    """Return the uses of an Apache configuration: of each place where SSLEngine is on."""
    state = {"root": os.path.dirname(main), "defined": {}, "made": [], "modules": set()}
    top = {"file": main, "names": [], "ports": [], "engine": False, "certificates": [], "keys": [], "chain": ""}
    _apache_file(files, main, state, top, [], 0)
    _apache_host(top, top, state)
    return state["made"][:MOST_USES]


def _apache_file(files, path, state, top, stack, depth):
    lines = files.open(path).replace("\\\n", " ").split("\n")
    for line in lines:
        line = line.strip()
        if not line or line[0] == "#":
            continue
        line = re.sub(r"\$\{(\w+)\}", lambda match: state["defined"].get(match.group(1), match.group(0)), line)
        section = APACHE_SECTION.match(line)
        if section:
            _apache_section(section, state, top, stack, path)
            continue
        if any(one.get("skip") for one in stack):
            continue
        try:
            words = shlex.split(line, posix=True)
        except ValueError:
            words = line.split()
        if not words:
            continue
        name = words[0].lower()
        here = next((one for one in reversed(stack) if "names" in one), top)
        if name in ("include", "includeoptional") and len(words) > 1 and depth < DEEPEST:
            pattern = os.path.join(state["root"], words[1])
            for one in files.match(pattern):
                folder = files.list(one)
                for inner in ["%s/%s" % (one.rstrip("/"), entry) for entry in folder] if folder else [one]:
                    if name == "include" or files.read(inner) is not None:
                        _apache_file(files, inner, state, top, stack, depth + 1)
        elif name == "define" and len(words) > 1:
            state["defined"][words[1]] = words[2] if len(words) > 2 else ""
        elif name == "serverroot" and len(words) > 1:
            state["root"] = words[1]
        elif name == "loadmodule" and len(words) > 1:
            state["modules"].add(words[1])
        elif name == "servername" and len(words) > 1:
            here["names"].insert(0, re.sub(r"^\w+://|:\d+$", "", words[1]).lower())
        elif name == "serveralias":
            here["names"] += [one.lower() for one in words[1:]]
        elif name == "sslengine" and len(words) > 1:
            here["engine"] = words[1].lower() == "on"
        elif name == "sslcertificatefile" and len(words) > 1:
            here["certificates"].append(os.path.join(state["root"], words[1]))
        elif name == "sslcertificatekeyfile" and len(words) > 1:
            here["keys"].append(os.path.join(state["root"], words[1]))
        elif name == "sslcertificatechainfile" and len(words) > 1:
            here["chain"] = os.path.join(state["root"], words[1])


def _apache_section(section, state, top, stack, path):
    closing, name, rest = section.group(1), section.group(2).lower(), section.group(3).strip()
    if closing:
        if stack:
            ended = stack.pop()
            if "names" in ended:
                _apache_host(ended, top, state)
        return
    if name == "virtualhost":
        ports = [int(one) for one in re.findall(r":(\d+)(?:\s|$)", rest)]
        stack.append({"file": path, "names": [], "ports": ports, "engine": None, "certificates": [], "keys": [], "chain": "",
                      "skip": any(one.get("skip") for one in stack)})
    elif name in ("ifmodule", "ifdefine"):
        wanted, absent = rest.lstrip("!").strip("\" "), rest.startswith("!")
        there = wanted in state["defined"]
        if name == "ifmodule":
            module = re.sub(r"^mod_|\.c$", "", wanted)
            module = module if module.endswith("_module") else module + "_module"
            there = module in state["modules"] or module not in ("ssl_module", "gnutls_module")
        stack.append({"skip": there == absent})
    else:
        stack.append({})


def _apache_host(host, top, state):
    engine = top["engine"] if host["engine"] is None else host["engine"]
    if host.get("skip") or not engine:
        return
    certificates = host["certificates"] or top["certificates"]
    keys = host["keys"] or top["keys"]
    for number, certificate in enumerate(certificates):
        key = keys[number] if number < len(keys) else ""
        state["made"].append(dict(use(host["file"], certificate, key, host["names"], host["ports"]),
                                  chain=host["chain"] or top["chain"]))


# HAProxy

HAPROXY_SECTIONS = ("global", "defaults", "frontend", "backend", "listen", "crt-store", "peers", "resolvers", "mailers",
                    "userlist", "cache", "program", "http-errors", "ring", "fcgi-app", "log-forward", "log-profile", "traces",
                    "acme")


def haproxy_state():
    """Return what one file of an HAProxy configuration leaves to the next: its folders, and what its crt-stores hold."""
    return {"crt-base": "", "key-base": "", "stores": {}}


def haproxy(files, main, state=None):
    """Return the uses of an HAProxy configuration: files, folders and lists of certificates at its binds."""
    made, state, store = [], state or haproxy_state(), None
    for line in files.open(main).split("\n"):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if words[:1] and words[0] in HAPROXY_SECTIONS:
            # A store begins with the folders of the global section, and may name others.
            store = dict(state, name=words[1] if len(words) > 1 else "") if words[0] == "crt-store" else None
        elif words[:1] and words[0] in ("crt-base", "key-base") and len(words) > 1:
            (state if store is None else store)[words[0]] = words[1]
        elif words[:1] == ["load"] and store is not None:
            _haproxy_load(store, words[1:], state)
        if words[:1] != ["bind"] or "ssl" not in words[2:]:
            continue
        ports = [int(port) for port in re.findall(r":(\d+)(?:,|$)", words[1])]
        for number, option in enumerate(words[2:-1], 3):
            value = words[number]
            if option in ("crt", "default-crt"):
                made += [use(main, path, key, (), ports) for path, key in _haproxy_pairs(files, state, value)]
            elif option == "crt-list":
                made += _haproxy_list(files, state, value, ports)
    return made[:MOST_USES]


def _haproxy_load(store, words, state):
    """Note what a line of a crt-store loads, under the name that binds know it by."""
    options = dict(zip(words[::2], words[1::2]))
    certificate = options.get("crt", "")
    if not certificate:
        return
    path = os.path.join(store["crt-base"], certificate)
    if "alias" in options:
        name = "@%s/%s" % (store["name"], options["alias"])
    elif store["name"]:
        name = "@%s/%s" % (store["name"], certificate.lstrip("/"))
    else:
        name = os.path.join(state["crt-base"], certificate)
    # No file beside it is looked for: without a key of its own, that is in the file.
    state["stores"][name] = (path, os.path.join(store["key-base"], options["key"]) if "key" in options else path)


def _haproxy_list(files, state, value, ports):
    """Return the uses of a crt-list: a file, in brackets its settings, and the names that it is for."""
    made = []
    for entry in files.open(value).split("\n"):
        match = re.match(r"\s*([^\s#\[]\S*)\s*(?:\[([^\]]*)\])?(.*)", entry)
        if match:
            names = [one.lower() for one in match.group(3).split() if re.match(r"[\w*][\w.*-]+\Z", one)]
            given = re.search(r"(?:^|\s)key\s+(\S+)", match.group(2) or "")
            for path, key in _haproxy_pairs(files, state, match.group(1)):
                made.append(use(value, path, os.path.join(state["key-base"], given.group(1)) if given else key, names, ports))
    return made


def _haproxy_pairs(files, state, value):
    """Return (certificate, key) of what a bind or a list names: a file, a folder, or what a crt-store holds."""
    path = value if value.startswith("@") else os.path.join(state["crt-base"], value)
    if path in state["stores"]:
        return [state["stores"][path]]
    if value.startswith("@"):
        files.gap("no crt-store that can be read holds %s" % value)
        return []
    return [(one, _haproxy_key(files, one)) for one in _haproxy_paths(files, path)]


def _haproxy_paths(files, path):
    inside = files.list(path)
    if not inside:
        beside = files.list(os.path.dirname(path))
        bundle = [path + kind for kind in (".rsa", ".ecdsa", ".dsa") if os.path.basename(path) + kind in beside]
        # One of each kind of key, by the name that they share.
        return bundle if bundle and os.path.basename(path) not in beside else [path]
    return ["%s/%s" % (path.rstrip("/"), name) for name in inside
            if not name.startswith(".") and not name.endswith((".key", ".ocsp", ".issuer", ".sctl"))]


def _haproxy_key(files, path):
    for one in (path + ".key", re.sub(r"\.(crt|pem|cer)$", "", path) + ".key"):
        if os.path.basename(one) in files.list(os.path.dirname(one)):
            return one
    return ""


# Mail

def postfix(text, file, read=None):
    """Return the uses that ``postconf -n`` and the overrides of ``postconf -P``, or main.cf, tell of.

    An override counts at the port of its service alone, and there on top of main.cf.
    """
    settings = {"": {}}
    for line in re.sub(r"\n[ \t]+", " ", text).split("\n"):
        match = re.match(r"(?:([\w.:\[\]*-]+/[\w-]+)/)?(smtpd_tls_(?:ec|d)?(?:cert|key|chain)_?files?)\s*=\s*(.*)", line)
        if match:
            settings.setdefault(match.group(1) or "", {})[match.group(2)] = match.group(3).strip()
    main = settings.pop("")
    ports = dict((service, _postfix_port(service)) for service in settings)
    rest = [port for port in POSTFIX_PORTS.values() if port not in ports.values()]
    made = _postfix_pairs(main, file, rest if settings else (), read) if rest else []
    for service, values in settings.items():
        made += _postfix_pairs(dict(main, **values), "%s (master.cf)" % service, ports[service] and [ports[service]], read)
    return made


def postfix_overrides(text):
    """Return the overrides of a master.cf, as ``postconf -P`` prints them."""
    entries = []
    for line in text.split("\n"):
        if line.strip() and line.strip()[0] != "#":
            if line[0] in " \t" and entries:
                entries[-1] += line
            else:
                entries.append(line)
    made = []
    for entry in entries:
        words = entry.split(None, 7)
        for match in re.finditer(r"(?:^|\s)-o\s*(?:\{\s*([\w-]+)\s*=([^{}]*)\}|([\w-]+)=(\S*))",
                                 words[7] if len(words) == 8 else ""):
            name, value = match.group(1) or match.group(3), match.group(2).strip() if match.group(1) else match.group(4)
            made.append("%s/%s/%s = %s\n" % (words[0], words[1], name, value))
    return "".join(made)


def _postfix_port(service):
    """Return the port of an entry of master.cf, such as ``submission/inet``; [] where it has none."""
    name = service.split("/")[0].rsplit(":", 1)[-1]
    return int(name) if name.isdecimal() else POSTFIX_PORTS.get(name, [])


def _postfix_pairs(values, file, ports, read):
    """Return the pairs of one set of settings; what smtpd_tls_chain_files names stands for all of the others."""
    made, key = [], ""
    for path in re.split(r"[\s,]+", values.get("smtpd_tls_chain_files", "")):
        if path.startswith("/"):
            text = read(path) if read else None
            if text and "PRIVATE KEY-----" in text and "-----BEGIN CERTIFICATE" not in text:
                # The key may have a file of its own, before that of its certificate.
                key = path
                continue
            made.append(use(file, path, key, (), ports))
            key = ""
    for kind in ("", "ec", "d") if not made else ():
        certificate = values.get("smtpd_tls_%scert_file" % kind, "")
        if certificate.startswith("/"):
            key = values.get("smtpd_tls_%skey_file" % kind, "")
            made.append(use(file, certificate, key if key.startswith("/") else "", (), ports))
    return made


def postfix_names(files, text):
    """Return the uses of ``tls_server_sni_maps``: a name and its chain files in each line of a map."""
    made = []
    found = re.findall(r"^tls_server_sni_maps\s*=[ \t]*(.*)", re.sub(r"\n[ \t]+", " ", text), re.M)
    for one in re.split(r"[\s,]+", found[-1].strip()) if found else ():
        kind, unused, path = one.rpartition(":")
        if kind in POSTFIX_MAPS and path.startswith("/"):
            for line in files.open(path).split("\n"):
                words = re.split(r"[\s,]+", line.strip())
                if len(words) > 1 and line[0] not in "# \t":
                    name = ("*" if words[0][0] == "." else "") + words[0].lower()
                    made += [dict(pair, names=[name]) for pair in
                             _postfix_pairs({"smtpd_tls_chain_files": " ".join(words[1:])}, path, (), files.read)]
        elif one:
            files.gap("which certificate belongs to which name is told by %s, which cannot be read" % one)
    return made[:MOST_USES]


def dovecot(text, file):
    """Return the uses that ``doveconf`` tells of, in the words of 2.3 (``ssl_cert = </path``) and of 2.4."""
    made, stack = [], [{}]
    on = re.search(r"^ssl\s*=\s*(\S+)", text, re.M)
    for line in text.split("\n"):
        line = line.strip()
        if line.endswith("{"):
            # 2.4 prints ``ssl_server { cert_file = ... }``, for a name inside of its block.
            above = stack[-1].get("names", []) if line.startswith("ssl_server") else []
            stack.append({"names": line.split()[1:-1] if line.startswith("local_name") else above})
        elif line == "}":
            if len(stack) > 1:
                _dovecot_pair(stack.pop(), made, file)
        else:
            match = re.match(r"(?:ssl_(alt_)?(cert|key)|(?:ssl_server_)?(?:(alt)_)?(cert|key)_file)\s*=\s*(?:<\s*)?(/\S.*)", line)
            if match:
                kind = ("alt_" if match.group(1) or match.group(3) else "") + (match.group(2) or match.group(4))
                stack[-1][kind] = match.group(5).strip().strip('"')
    for one in stack:
        _dovecot_pair(one, made, file)
    return [] if on and on.group(1) == "no" else made


def _dovecot_pair(block, made, file):
    for kind in ("", "alt_"):
        if block.get(kind + "cert"):
            made.append(use(file, block[kind + "cert"], block.get(kind + "key", ""),
                            [one.strip('"').lower() for one in block.get("names", ())]))


# Databases

def mysql(text, file):
    """Return the uses that ``my_print_defaults`` tells of; the last word wins."""
    settings = {}
    for line in text.split("\n"):
        match = re.match(r"--(?:loose[-_])?(ssl[-_](?:cert|key))=(.*)", line.strip())
        if match:
            settings[match.group(1).replace("_", "-")] = match.group(2)
    certificate = settings.get("ssl-cert", "")
    return [use(file, certificate, settings.get("ssl-key", ""))] if certificate.startswith("/") else []


def postgresql_settings(files, path, depth=0):
    """Return the settings of postgresql.conf with its includes; the last word wins."""
    made = {}
    for line in files.open(path).split("\n"):
        match = re.match(r"\s*([A-Za-z_.]+)\s*=?\s*(?:'((?:[^']|'')*)'|([^\s#']+))", line)
        if not match:
            continue
        name = match.group(1).lower()
        value = (match.group(2) or "").replace("''", "'") or match.group(3) or ""
        if name in ("include", "include_if_exists", "include_dir") and depth < DEEPEST:
            target = os.path.join(os.path.dirname(path), value)
            several = [target]
            if name == "include_dir":
                several = ["%s/%s" % (target, one) for one in files.list(target) if one.endswith(".conf") and one[0] != "."]
            for one in several:
                if name != "include_if_exists" or files.read(one) is not None:
                    made.update(postgresql_settings(files, one, depth + 1))
        else:
            made[name] = value
    return made


def postgresql(settings, file):
    """Return the use of a cluster's settings; relative paths are those of its data directory."""
    if settings.get("ssl", "off").lower() not in ("on", "true", "yes", "1"):
        return []
    data = settings.get("data_directory") or os.path.dirname(file)
    port = settings.get("port", "5432")
    return [use(file, os.path.join(data, settings.get("ssl_cert_file") or "server.crt"),
                os.path.join(data, settings.get("ssl_key_file") or "server.key"), (),
                [int(port)] if port.isdecimal() else [])]


def simple(text, file, certificate, key):
    """Return the use of a configuration of lines ``name value`` or ``name=value``; the last word wins."""
    settings = {}
    for line in text.split("\n"):
        match = re.match(r"\s*([\w-]+)\s*[=\s]\s*\"?([^\s\"]+)\"?\s*$", line)
        if match:
            settings[match.group(1)] = match.group(2)
    found = settings.get(certificate, "")
    return [use(file, found, settings.get(key, ""))] if found.startswith("/") else []


# Tomcat

def java_properties(files, base, argv):
    """Return the properties that server.xml may name: those of catalina.properties, and -D of the command line."""
    text = files.read(base + "/conf/catalina.properties") or ""
    made = {"catalina.base": base, "catalina.home": base}
    made.update((name, value.strip()) for name, value in re.findall(r"^[ \t]*([\w.-]+)[ \t]*[=:](.*)$", text, re.M))
    made.update(word[2:].split("=", 1) for word in argv if word.startswith("-D") and "=" in word)
    return made


def _filled(text, properties):
    """Return a text with its variables filled in; those that are not known stay, one with a default has that."""
    return re.sub(r"\$\{([^}:${]{1,200})(?::-([^}]{0,1000}))?\}", lambda match: properties.get(
        match.group(1), match.group(0) if match.group(2) is None else match.group(2)), text)


def tomcat(files, file, base, properties):
    """Return the uses of a server.xml, those of keystores with their password (``password``), which goes no further."""
    text = files.open(file)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise ValueError("it declares entities, which are not followed")
    try:
        tree = ElementTree.fromstring(text.encode("utf-8", "surrogateescape"))
    except ElementTree.ParseError as error:
        raise ValueError("it is no XML: %s" % error)
    made = []
    for connector in tree.iter("Connector"):
        if _filled(connector.get("SSLEnabled", ""), properties).lower() != "true":
            continue
        port = _filled(connector.get("port", ""), properties)
        ports = [int(port)] if port.isdecimal() else []
        elements = list(connector.iter("Certificate"))
        pairs = [(one, "certificateKeystoreFile", "certificateKeystorePassword", "certificateFile", "certificateKeyFile")
                 for one in elements]
        if not elements or connector.get("keystoreFile") or connector.get("SSLCertificateFile"):
            pairs.append((connector, "keystoreFile", "keystorePass", "SSLCertificateFile", "SSLCertificateKeyFile"))
        for element, store, secret, certificate, key in pairs:
            path, key_path = (_filled(element.get(one) or "", properties) for one in
                              (store if element.get(store) else certificate, key))
            if not path or "${" in path:
                files.gap("%s: the certificate of port %s is %s" % (
                    file, port or "?", "where a variable says (%s)" % path if path else
                    "in the keystore of the user that Tomcat runs as (.keystore), as none is named"))
                continue
            one = use(file, os.path.join(base, path), os.path.join(base, key_path) if key_path else "", (), ports)
            if element.get(store):
                alias = element.get("certificateKeyAlias" if store.startswith("cert") else "keyAlias")
                one.update(keystore=True, password=_password(files, base, element, secret, properties),
                           alias=_filled(alias or "", properties))
            made.append(one)
    return made


def _password(files, base, element, secret, properties):
    """Return the password of a keystore; None where it is not to be had."""
    place = _filled(element.get(secret + "File") or "", properties)
    if place:
        lines = (files.read(os.path.join(base, place)) or "").splitlines()
        return lines[0] if lines else None
    text = _filled(element.get(secret, "changeit"), properties)
    return None if "${" in text else text
