# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configurations of services, each read by the reader of its product with the arguments that it runs with."""

import errno
import os
import re
import stat
from typing import Any
from typing import Dict
from typing import List
from typing import Optional

from ansible_collections.hostmend.hardening.plugins.module_utils.software import apache
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files
from ansible_collections.hostmend.hardening.plugins.module_utils.software import dovecot
from ansible_collections.hostmend.hardening.plugins.module_utils.software import haproxy
from ansible_collections.hostmend.hardening.plugins.module_utils.software import mysql
from ansible_collections.hostmend.hardening.plugins.module_utils.software import nginx
from ansible_collections.hostmend.hardening.plugins.module_utils.software import postfix
from ansible_collections.hostmend.hardening.plugins.module_utils.software import postgresql
from ansible_collections.hostmend.hardening.plugins.module_utils.software import vsftpd
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import start

READ_ONLY = os.strerror(errno.EROFS)
SECONDS = 4

Service = Dict[str, Any]


def collect(host: Any, facts: Dict[str, Any], service: Service) -> None:
    """Add the uses of one service."""
    files = config_files.Files(host.read, host.list)
    try:
        for one in READERS[service["name"]](host, facts, service, files):
            if "\0" in one["certificate"] + one["key"]:
                files.gap("%s names what can be no file" % one["file"])
                continue
            one.setdefault("unit", service["unit"])
            facts["uses"].append(dict({"keystore": False, "chain": "", "loopback": False, "probes": [],
                                       "service": service["name"]}, **one))
    except ValueError as error:
        facts["gaps"].append({"service": service["name"], "reason": "its configuration cannot be understood: %s" % error})
    facts["gaps"] += [{"service": service["name"], "reason": gap} for gap in files.gaps]


def _run(host: Any, facts: Dict[str, Any], service: Service, argv: List[str], what: str) -> Optional[str]:
    """Return what a command of a service prints; None, and a gap, where it does not."""
    answer = host.run(argv, seconds=SECONDS)
    if answer.ok:
        return str(answer.out)
    refused(facts, service, answer, what)
    return None


def refused(facts: Dict[str, Any], service: Service, answer: Any, what: str) -> None:
    """Keep why a command of a service did not tell."""
    lines = [line.strip() for line in (answer.err + answer.out).splitlines() if line.strip()]
    at = next((number for number, line in enumerate(lines) if "emerg" in line or "rror" in line), 0)
    # Apache says where in one line, and what in the next.
    why = answer.failure or " ".join(lines[at:at + 1 + (lines[at].endswith(":") if lines else 0)])
    # Neither a time nor a process in it, so that it reads the same at every audit.
    why = re.sub(r"^[\d/]+ [\d:]+ |\[emerg\] (\d+#\d+: )?", "", why)
    facts["gaps"].append({"service": service["name"], "reason": "%s: %s" % (what, why[:300])})


def trusted_program(host: Any, process: Any) -> str:
    """Return the program of a process of root's, where nobody else can have put it there; else ''.

    What an audit runs as root must not be what another user has named like a service.
    """
    path = process.exe or ""
    if process.uid != 0 or not path.startswith("/") or path.endswith(" (deleted)"):
        return ""
    here = os.path.realpath(host.path(path))
    while True:
        try:
            about = os.stat(here)
        except OSError:
            return ""
        if about.st_uid != 0 or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return ""
        if here == "/":
            return str(path)
        here = os.path.dirname(here)


def masters(service: Service) -> List[Any]:
    """Return the processes of a service that have no other of it above them, each with other arguments, root's first."""
    processes = service["processes"]
    pids = set(one.pid for one in processes)
    made = {}  # type: Dict[Any, Any]
    for one in sorted(processes, key=lambda one: (one.uid != 0, one.pid)):
        if getattr(one, "ppid", 0) not in pids:
            made.setdefault(tuple(one.argv), one)
    return list(made.values())[:20]


def nginx_of(host: Any, facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the uses of each nginx: as it prints its configuration, else by its files."""
    made = []  # type: List[config_files.Use]
    for process in masters(service) or [None]:
        main = nginx.config_path(process.argv if process else ())
        own = config_files.Files(host.read, host.list)
        given = nginx.arguments(process.argv) if process else {}
        # Before it tells its configuration it makes the folders and logs that it misses, and an audit makes nothing: where it
        # does not run, or this process sees a system that is read-only, its files are read without it. So are those of an
        # nginx that root does not run: what it loads is not for root to load.
        if host.executes and process is not None and process.uid == 0:
            program = trusted_program(host, process) or "nginx"
            answer = host.run([program, "-T"] + [word for pair in sorted(given.items()) for word in pair], seconds=SECONDS)
            if answer.ok:
                printed = nginx.printed(answer.out)
                main = next(iter(printed), main)
                own.read = _printed_first(printed, main, host.read)
            elif READ_ONLY not in answer.err:
                refused(facts, service, answer, "nginx refuses its configuration")
                continue
        found = nginx.certificates(own, main)
        made += [dict(one, unit=process.unit) if process is not None and _is_service(process.unit) else one for one in found]
        for gap in own.gaps:
            files.gap(gap)
    return made


def _printed_first(printed: Dict[str, str], main: str, read: Any) -> Any:
    return lambda path: printed.get(path, None if path == main else read(path))


def _is_service(unit: Any) -> bool:
    return bool(unit) and unit.endswith(".service")


def apache_of(host: Any, facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the uses of each Apache, where its own test passes."""
    made = []  # type: List[config_files.Use]
    for process in masters(service) or [None]:
        argv = process.argv if process else ()
        main = apache.config_path(host, argv)
        if not main:
            continue
        if host.executes and main in apache.CONFIGS:
            program = "apache2ctl" if "apache2" in main else "apachectl"
            if _run(host, facts, service, [program, "-t"], "Apache refuses its configuration") is None:
                continue
        made += apache.certificates(files, main, argv)
    return made


def haproxy_of(host: Any, _facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the uses of each HAProxy."""
    made = []  # type: List[config_files.Use]
    argvs = [list(one.argv) for one in masters(service)] or [[]]
    for paths in dict.fromkeys(tuple(haproxy.config_paths(files, argv)) for argv in argvs):
        shared = haproxy.Configuration()
        for main in paths:
            made += haproxy.certificates(files, main, shared)
    return made


def postfix_of(host: Any, facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the uses of Postfix, by postconf where it can be run."""
    if host.executes:
        text = _run(host, facts, service, ["postconf", "-n"], "postconf cannot read the configuration") or ""
        text += "\n%s" % (_run(host, facts, service, ["postconf", "-P"], "postconf cannot read the configuration") or "")
    else:
        text = files.open(postfix.MAIN)
        if host.exists(postfix.MASTER):
            text += "\n" + postfix.overrides(files.open(postfix.MASTER))
    return postfix.certificates(text, postfix.MAIN, host.read) + postfix.by_name(files, text)


def dovecot_of(host: Any, facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the uses of Dovecot, by doveconf where it can be run."""
    if not host.executes:
        folder = os.path.dirname(dovecot.CONFIG) + "/conf.d"
        names = [dovecot.CONFIG] + ["%s/%s" % (folder, name) for name in host.list(folder) if name.endswith(".conf")]
        return dovecot.certificates("\n".join(files.open(name) for name in names), dovecot.CONFIG)
    # Without -P the path of the key is hidden; whatever else is printed goes no further.
    text = _run(host, facts, service, ["doveconf", "-P", "-n"], "doveconf cannot read the configuration")
    return dovecot.certificates(text or "", dovecot.CONFIG)


def vsftpd_of(host: Any, _facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the uses of each vsftpd."""
    argvs = [one.argv for one in masters(service)] or [()]
    paths = [path for path in dict.fromkeys(vsftpd.config_path(host, argv) for argv in argvs) if path]
    return [one for path in paths for one in vsftpd.certificates(files.open(path), path)]


def mysql_of(host: Any, facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the use of MySQL or MariaDB: by its own reader of option files where that can be run, the command line last."""
    if host.executes:
        text = _run(host, facts, service, ["my_print_defaults"] + list(mysql.GROUPS),
                    "my_print_defaults cannot read the configuration")
        found = mysql.from_arguments(text or "")
    else:
        found = mysql.options(files)
    for process in masters(service)[:1]:
        found.update(mysql.from_arguments("\n".join(process.argv)))
    return mysql.certificates(found, "/etc/mysql")


def postgresql_of(host: Any, _facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the uses of the clusters."""
    made = []  # type: List[config_files.Use]
    for path, unit in postgresql.clusters(host):
        settings = postgresql.cluster_settings(host, files, path)
        near = all(place in ("localhost", "127.0.0.1", "::1") for place in postgresql.places(settings))
        made += [dict(one, near=near, unit=unit or service["unit"]) for one in postgresql.certificates(settings, path)]
    return made


def redis_of(host: Any, _facts: Dict[str, Any], service: Service, _files: Any) -> List[config_files.Use]:
    """Return the uses of Redis: the title of a process hides its file; each instance has its own, and its own unit."""
    named = {}  # type: Dict[str, Any]
    for one in service["processes"]:
        named.setdefault(start.config_path(one, {}, start.unit_start(host, one.unit)), one.unit)
    named.pop("", None)
    standard = [one for one in ("/etc/redis/redis.conf", "/etc/redis.conf", "/etc/valkey/valkey.conf") if host.exists(one)]
    made = []  # type: List[config_files.Use]
    for main in named or standard:
        settings = config.read_settings(main, host.read, host.list, "/")
        words = dict((name, (settings.last(name) or [""])[0]) for name in ("tls-cert-file", "tls-key-file", "tls-port"))
        if words["tls-cert-file"].startswith("/") and words["tls-port"] not in ("", "0"):
            use = config_files.use(main, words["tls-cert-file"], words["tls-key-file"], (),
                                   [int(words["tls-port"])] if words["tls-port"].isdecimal() else [])
            made.append(dict(use, unit=named[main]) if _is_service(named.get(main)) else use)
    return made


def tomcat_of(host: Any, _facts: Dict[str, Any], service: Service, files: config_files.Files) -> List[config_files.Use]:
    """Return the uses of each instance of Tomcat."""
    # Its reader brings one of XML along.
    from ansible_collections.hostmend.hardening.plugins.module_utils.software import tomcat

    made = []  # type: List[config_files.Use]
    for base in tomcat.bases(host, service["processes"]):
        words = [word for one in service["processes"] if tomcat.BASE + base in one.argv for word in one.argv]
        made += tomcat.certificates(files, base + "/conf/server.xml", base, tomcat.properties(files, base, words))
    return made


READERS = {"nginx": nginx_of, "apache": apache_of, "haproxy": haproxy_of, "postfix": postfix_of, "dovecot": dovecot_of,
           "vsftpd": vsftpd_of, "mysql": mysql_of, "postgresql": postgresql_of, "redis": redis_of, "tomcat": tomcat_of}
