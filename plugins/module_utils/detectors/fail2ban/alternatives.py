# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bans beside fail2ban: CrowdSec, sshguard and DenyHosts, which services they watch, and whether they hear of them."""

import fnmatch
import os
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import services
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.fail2ban import table
from ansible_collections.hostmend.hardening.plugins.module_utils.software import sshd

# What CrowdSec knows are collections of its hub; sshguard's parser knows these services.
CROWDSEC = {"ssh": "sshd", "dropbear": "sshd", "mysql": "mysql", "nginx": "nginx", "apache": "apache2",
            "postfix": "postfix", "dovecot": "dovecot", "vsftpd": "vsftpd", "proftpd": "proftpd"}
SSHGUARD = ("ssh", "dropbear", "vsftpd", "proftpd", "pure-ftpd", "postfix", "dovecot")
ACQUISITION = "/etc/crowdsec/acquis.yaml"
MOST_SOURCES = 100
FIELDS = {"-t": "SYSLOG_IDENTIFIER", "--identifier": "SYSLOG_IDENTIFIER", "-u": "_SYSTEMD_UNIT", "--unit": "_SYSTEMD_UNIT"}


def collect(host: Any) -> Dict[str, Dict[str, Any]]:
    """Return what else bans here, {} for each that does not."""
    made = {"crowdsec": {}, "sshguard": {}, "denyhosts": {}}
    if host.live:
        running = [one for one in host.processes().items if one.container is None]
        names = [(os.path.basename(one.exe or ""), one) for one in running]
        if any(name == "crowdsec" for name, one in names):
            bouncers = [name for name, one in names if re.match(r"(crowdsec|cs)-.*bouncer", name)]
            made["crowdsec"] = _crowdsec(host, sorted(set(bouncers)))
        if any(one.comm in ("sshguard", "sshg-blocker") for one in running):
            made["sshguard"] = {"readers": [list(one.argv) for one in running if one.unit == "sshguard.service"
                                            and one.comm in ("journalctl", "tail", "sshg-logtail")]}
        if any("denyhosts" in " ".join(one.argv[:3]) for one in running):
            made["denyhosts"] = _denyhosts(host)
        return made
    enabled = [one.name for one in host.units().items if one.enabled in services.ENABLED]
    if "sshguard.service" in enabled:
        made["sshguard"] = {"readers": []}
    if "denyhosts.service" in enabled:
        made["denyhosts"] = _denyhosts(host)
    if "crowdsec.service" in enabled:
        made["crowdsec"] = _crowdsec(host, [name for name in enabled if "bouncer" in name])
    return made


def _crowdsec(host: Any, bouncers: List[str]) -> Dict[str, Any]:
    config = host.read("/etc/crowdsec/config.yaml") or ""
    told = re.search(r"^[ \t]*acquisition_path:\s*[\"']?(/[^\s\"']+)", config, re.M)
    folder = re.search(r"^[ \t]*acquisition_dir:\s*[\"']?(/[^\s\"']+)", config, re.M)
    folder = folder.group(1) if folder else "/etc/crowdsec/acquis.d"
    paths = [told.group(1) if told else ACQUISITION]
    paths += ["%s/%s" % (folder, name) for name in host.list(folder) if name.endswith((".yaml", ".yml"))]
    sources = [source for path in paths[:MOST_SOURCES] for source in parse_acquisition(host.read(path) or "")]
    return {"bouncers": bouncers, "collections": host.list("/etc/crowdsec/collections"), "sources": sources[:MOST_SOURCES]}


def _denyhosts(host: Any) -> Dict[str, Any]:
    told = re.findall(r"^[ \t]*SECURE_LOG\s*=\s*(\S+)", host.read("/etc/denyhosts.conf") or "", re.M)
    return {"wrapped": any("libwrap.so" in (host.read(path) or "")
                           for path in ("/usr/sbin/sshd",) + sshd.SESSION_PROGRAMS),
            "log": told[-1] if told else ""}


def parse_acquisition(text: str) -> List[Dict[str, Any]]:
    """Return what CrowdSec reads: {"kind", "files": patterns, "matches": of the journal}, one for each document of YAML.

    Only what these files hold is read: words, and lists of words in either notation.
    """
    made = []
    for document in re.split(r"^---.*$", text, flags=re.M):
        values = _values(document)
        if not values:
            continue
        kind = (values.get("source") or ["file"])[0]
        made.append({"kind": kind, "files": values.get("filenames", []) + values.get("filename", []),
                     "matches": _matches(values.get("journalctl_filter", [])) if kind == "journalctl" else []})
    return made


def _values(document: str) -> Dict[str, List[str]]:
    """Return {key: words} of the keys at the left edge."""
    made, key = {}, None  # type: Dict[str, List[str]], Optional[str]
    for line in document.splitlines():
        line = re.sub(r"(?:^|\s)#.*$", "", line).rstrip()
        start = re.match(r"([A-Za-z_]+):\s*(.*)$", line)
        item = re.match(r"\s*-\s+(.+)$", line)
        if start:
            key, rest = start.groups()
            words = rest[1:-1].split(",") if rest.startswith("[") and rest.endswith("]") else [rest]
        elif item and key:
            words = [item.group(1)]
        else:
            continue
        made.setdefault(key, []).extend(word for word in (one.strip().strip("\"'") for one in words) if word)
    return made


def _matches(words: Sequence[str]) -> List[List[Tuple[str, str]]]:
    """Return a filter of journalctl as matches: one field's values are alternatives, fields narrow each other."""
    fields, waiting = {}, None  # type: Dict[str, List[str]], Optional[str]
    for word in words:
        field, equals, value = word.partition("=")
        if waiting:
            fields.setdefault(waiting, []).append(word)
            waiting = None
        elif word in FIELDS:
            waiting = FIELDS[word]
        elif equals:
            fields.setdefault(FIELDS.get(field, field), []).append(value)
        else:
            fields.setdefault(word, []).append("")
    fields = dict((field, [value + ".service" if field == "_SYSTEMD_UNIT" and "." not in value else value for value in values])
                  for field, values in fields.items())
    made = [[]]  # type: List[List[Tuple[str, str]]]
    for field, values in fields.items():
        made = [terms + [(field, value)] for terms in made for value in values[:10]][:MOST_SOURCES]
    return made


def in_charge(others: Mapping[str, Any]) -> str:
    """Return what bans here beside fail2ban; '' for nothing."""
    if others.get("crowdsec", {}).get("bouncers"):
        return "CrowdSec"
    if others.get("sshguard"):
        return "sshguard"
    return "DenyHosts" if others.get("denyhosts", {}).get("wrapped") else ""


def watches(others: Mapping[str, Any], name: str) -> bool:
    """Tell whether what is in charge looks for attacks on a service."""
    other = in_charge(others)
    if other == "CrowdSec":
        return any(entry.startswith(CROWDSEC.get(name, " ")) for entry in others["crowdsec"]["collections"])
    return name in (SSHGUARD if other == "sshguard" else ("ssh",))


def hears(host: Any, others: Mapping[str, Any], service: Dict[str, Any],
          logs: Mapping[str, Any]) -> Tuple[Optional[bool], str]:
    """Return (whether what is in charge reads what a service logs, or None; why not)."""
    other = in_charge(others)
    if other == "sshguard":
        deaf = _deaf(others["sshguard"]["readers"], service)
        return (False, "it reads %s alone, and %s logs as %s" % (
            ", ".join(deaf), service["name"], "/".join(service["identifiers"]))) if deaf else (True, "")
    if other == "DenyHosts":
        path = others["denyhosts"]["log"]
        if not path:
            return None, "which log DenyHosts reads cannot be told"
        if not host.live or services.live(host, path, service, logs):
            return True, ""
        return False, "nobody writes what it reads (%s)" % path
    return _heard(host, others["crowdsec"]["sources"], service, logs)


def _heard(host: Any, sources: Sequence[Mapping[str, Any]], service: Dict[str, Any],
           logs: Mapping[str, Any]) -> Tuple[Optional[bool], str]:
    doubt = not sources or any(one["kind"] not in ("file", "journalctl") for one in sources)
    for one in sources:
        if one["kind"] == "journalctl" and logs["journal"]:
            said = services.journal_has(one["matches"], service) if service["identifiers"] else False
            if said:
                return True, ""
            doubt = doubt or said is None
        for path in _logs(service, logs, host.live):
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in one["files"]) and (
                    not host.live or services.live(host, path, service, logs)):
                return True, ""
    what = "what %s logs" % service["name"]
    if doubt:
        return None, "whether CrowdSec reads %s cannot be told from its acquisition" % what
    return False, "nothing of CrowdSec's acquisition (acquis.yaml) takes %s" % what


def _logs(service: Mapping[str, Any], logs: Mapping[str, Any], live: bool) -> List[str]:
    """Return the logs that may hold what a service says."""
    known = table.BY_NAME[service["name"]]
    files = list(service["own_logs"]) + list(known.files) + list(known.own_files)
    return list(dict.fromkeys(files + (logs["open"] if live else [])))


def _deaf(readers: Sequence[Sequence[str]], service: Mapping[str, Any]) -> List[str]:
    """Return the identifiers that sshguard's readers of the journal keep to, where the service's is none of them."""
    heard = []  # type: List[str]
    for argv in readers:
        if os.path.basename(argv[0]) != "journalctl":
            return []
        names = [argv[at + 1] for at, word in enumerate(argv[:-1]) if word in ("-t", "--identifier")]
        names += [word[2:] for word in argv if word.startswith("-t") and len(word) > 2]
        if not names:
            return []
        heard += names
    return sorted(set(heard)) if heard and not set(heard) & set(service["identifiers"]) else []
