# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs and people that write a configuration file anew, by the notice that they leave at its head."""

import re
from typing import Tuple

LINES = 30
MADE = (r"(?:managed|controlled|generated|maintained|written|created|deployed|configured|modified) "
        r"(?:by|with|via|using) (?:the )?")
OWNERS: Tuple[Tuple[str, str], ...] = (
    ("Puppet", MADE + r"puppet|puppet managed|puppet:///|module .?puppet-"),
    ("Ansible", MADE + r"ansible|ansible[ -]?managed|ansible template"),
    ("Chef", MADE + r"chef\b|chef-client"),
    ("Salt", MADE + r"salt|saltstack|salt managed"),
    ("cloud-init", MADE + r"cloud-init|by cloud-init"),
    ("GitLab", r"gitlab-ctl|omnibus[- ]gitlab"),
    ("CFEngine", MADE + r"cfengine"),
    ("Plesk", MADE + r"plesk"),
    ("cPanel", MADE + r"cpanel"),
    ("Nix", r"/nix/store"),
    ("confd", r"(?:managed|generated) by confd|consul-template"),
    ("its generator", r"do not edit|do not modify|don't edit|changes will be (?:lost|overwritten|erased)"
                      r"|will be overwritten|automatically generated|auto-?generated|generated automatically"),
)
SHAPES = tuple((name, re.compile(pattern, re.I)) for name, pattern in OWNERS)
FOLDERS = (("the panel", ("/www/server/",)), ("Plesk", ("/opt/plesk/", "/usr/local/psa/")), ("Nix", ("/nix/store/",)),
           ("GitLab", ("/var/opt/gitlab/", "/opt/gitlab/")), ("Bitnami", ("/opt/bitnami/",)))


def owner_of(path: str, text: str) -> Tuple[str, str]:
    """Return (who writes a file anew, where that is said); ("", "") where nobody is known to.

    Only comments among the first lines count: a word in a setting says nothing of who wrote it.
    """
    for number, line in enumerate(text[:16384].splitlines()[:LINES], 1):
        if line.lstrip()[:1] not in ("#", ";", "/"):
            continue
        for name, shape in SHAPES:
            if shape.search(line[:300]):
                return name, "%s:%d" % (path, number)
    for name, folders in FOLDERS:
        if path.startswith(folders):
            return name, path
    return "", ""
