# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vsftpd: its settings, which stand in one file."""

from typing import Any
from typing import Dict
from typing import List

from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

CONFIGS = ("/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf")


def config_path(host: Any, argv: Any = ()) -> str:
    """Return the file: that of the command line, else the distribution's; '' where there is none."""
    named = [word for word in list(argv)[1:] if word.startswith("/")]
    return next((path for path in named + list(CONFIGS) if host.exists(path)), "")


def settings(text: str) -> Dict[str, str]:
    """Return the settings; vsftpd takes no space around the equals sign, and the last word wins."""
    lines = [line.strip().partition("=") for line in text.split("\n") if line.strip() and line.strip()[0] != "#"]
    return dict((name, value.strip()) for name, sign, value in lines if sign)


def certificates(text: str, file: str) -> List[config_files.Use]:
    """Return the uses of certificates; none where TLS is off."""
    found = settings(text)
    if found.get("ssl_enable", "").upper() not in ("YES", "TRUE", "1"):
        return []
    pairs = [(found.get(kind + "_cert_file", ""), found.get(kind + "_private_key_file", "")) for kind in ("rsa", "dsa")]
    return [config_files.use(file, certificate, key) for certificate, key in pairs if certificate.startswith("/")]
