# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tomcat: the connectors of server.xml, with the properties that it may name."""

import os
import re
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from xml.etree import ElementTree

from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

BASE = "-Dcatalina.base="
VARIABLE = re.compile(r"\$\{([^}:${]{1,200})(?::-([^}]{0,1000}))?\}")


def bases(host: Any, processes: Any) -> List[str]:
    """Return the folders of the instances: those of what runs, else Debian's."""
    found = [word.split("=", 1)[1] for one in processes for word in one.argv if word.startswith(BASE)]
    found = found or ["/var/lib/" + name for name in host.list("/var/lib") if re.match(r"tomcat\d*\Z", name)]
    return list(dict.fromkeys(found))


def properties(files: config_files.Files, base: str, argv: Any) -> Dict[str, str]:
    """Return the properties that server.xml may name: those of catalina.properties, and -D of the command line."""
    text = files.read(base + "/conf/catalina.properties") or ""
    made = {"catalina.base": base, "catalina.home": base}
    made.update((name, value.strip()) for name, value in re.findall(r"^[ \t]*([\w.-]+)[ \t]*[=:](.*)$", text, re.M))
    made.update(word[2:].split("=", 1) for word in argv if word.startswith("-D") and "=" in word)
    return made


def _filled(text: str, known: Dict[str, str]) -> str:
    """Return a text with its variables filled in; those that are not known stay, one with a default has that."""
    return VARIABLE.sub(lambda match: known.get(
        match.group(1), match.group(0) if match.group(2) is None else match.group(2)), text)


def certificates(files: config_files.Files, file: str, base: str, known: Dict[str, str]) -> List[config_files.Use]:
    """Return the uses of a server.xml, those of keystores with their password (``password``), which goes no further."""
    text = files.open(file)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise ValueError("it declares entities, which are not followed")
    try:
        tree = ElementTree.fromstring(text.encode("utf-8", "surrogateescape"))
    except ElementTree.ParseError as error:
        raise ValueError("it is no XML: %s" % error)
    made = []  # type: List[config_files.Use]
    for connector in tree.iter("Connector"):
        if _filled(connector.get("SSLEnabled", ""), known).lower() == "true":
            made += _connector(files, file, base, known, connector)
    return made[:config_files.MOST_USES]


def _connector(files: config_files.Files, file: str, base: str, known: Dict[str, str], connector: Any) -> List[config_files.Use]:
    made = []  # type: List[config_files.Use]
    port = _filled(connector.get("port", ""), known)
    ports = [int(port)] if port.isdecimal() else []
    elements = list(connector.iter("Certificate"))
    pairs = [(one, "certificateKeystoreFile", "certificateKeystorePassword", "certificateFile", "certificateKeyFile")
             for one in elements]
    if not elements or connector.get("keystoreFile") or connector.get("SSLCertificateFile"):
        pairs.append((connector, "keystoreFile", "keystorePass", "SSLCertificateFile", "SSLCertificateKeyFile"))
    for element, store, secret, certificate, key in pairs:
        path, key_path = (_filled(element.get(one) or "", known) for one in
                          (store if element.get(store) else certificate, key))
        if not path or "${" in path:
            files.gap("%s: the certificate of port %s is %s" % (
                file, port or "?", "where a variable says (%s)" % path if path else
                "in the keystore of the user that Tomcat runs as (.keystore), as none is named"))
            continue
        one = config_files.use(file, os.path.join(base, path), os.path.join(base, key_path) if key_path else "", (), ports)
        if element.get(store):
            alias = element.get("certificateKeyAlias" if store.startswith("cert") else "keyAlias")
            one.update(keystore=True, password=_password(files, base, element, secret, known),
                       alias=_filled(alias or "", known))
        made.append(one)
    return made


def _password(files: config_files.Files, base: str, element: Any, secret: str, known: Dict[str, str]) -> Optional[str]:
    """Return the password of a keystore; None where it is not to be had."""
    place = _filled(element.get(secret + "File") or "", known)
    if place:
        lines = (files.read(os.path.join(base, place)) or "").splitlines()
        return lines[0] if lines else None
    text = _filled(element.get(secret, "changeit"), known)
    return None if "${" in text else text
