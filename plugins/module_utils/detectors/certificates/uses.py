# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who on this host uses which certificate: services, their configurations, the files, the keys and what is served."""

from __future__ import annotations

import errno
import json
import os
import re
import ssl
import stat

from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import deploy_hook
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import keystores
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import renewal
from ansible_collections.hostmend.hardening.plugins.module_utils.software import tls_configs
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import probe as tls_probe
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509

HOOK = "/etc/letsencrypt/renewal-hooks/deploy/hostmend"
OWN_TIMER = "hostmend-certificates.timer"
MEBIBYTE = 1024 * 1024
MOST_FILES = 200
MOST_NAMES = 16
KEPT = 8
STORES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")
ENABLED = ("enabled", "enabled-runtime")
ASKABLE = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+\.?\Z")
READ_ONLY = os.strerror(errno.EROFS)
# service: (names of its processes, its units, user that reads the key where that is not root)
SERVICES = {
    "nginx": (("nginx",), ("nginx.service",), ""),
    "apache": (("apache2", "httpd"), ("apache2.service", "httpd.service"), ""),
    "haproxy": (("haproxy",), ("haproxy.service",), ""),
    "postfix": (("master",), ("postfix.service",), ""),
    "dovecot": (("dovecot", "imap-login", "pop3-login"), ("dovecot.service",), ""),
    "vsftpd": (("vsftpd",), ("vsftpd.service",), ""),
    "mysql": (("mariadbd", "mysqld"), ("mariadb.service", "mysql.service", "mysqld.service"), "mysql"),
    "postgresql": (("postgres", "postmaster"), ("postgresql.service",), "postgres"),
    "redis": (("redis-server", "valkey-server", "keydb-server"),
              ("redis-server.service", "redis.service", "valkey-server.service", "valkey.service"), "redis"),
    "tomcat": (("java",), ("tomcat.service", "tomcat8.service", "tomcat9.service", "tomcat10.service", "tomcat11.service"),
               "tomcat"),
}
# Ports that speak TLS from the first byte; a listener there is asked, whatever program it is.
TLS_PORTS = (443, 465, 636, 853, 989, 990, 992, 993, 994, 995, 2376, 3269, 4443, 5061, 5671, 6443, 6514, 8443, 8883, 9443,
             10250)
STARTTLS = {25: "smtp", 587: "smtp", 143: "imap", 110: "pop3", 21: "ftp"}
STARTTLS_PROGRAMS = ("exim4", "exim", "sendmail", "opensmtpd", "smtpd", "proftpd", "pure-ftpd")


def collect(host, facts):
    """Fill in uses, files, keys, served and gaps."""
    services = _services(host)
    for service in services:
        _uses(host, facts, service)
    if host.live and services and not host.system().root:
        facts["gaps"].append({"service": "files", "reason": "not all configurations and keys can be read without root"})
    facts["dynamic"] = [one for one in facts["uses"] if one.pop("dynamic", False)]
    facts["uses"] = _unique([one for one in facts["uses"] if one not in facts["dynamic"]])
    for one in facts["uses"]:
        if one["certificate"] not in facts["files"]:
            real = os.path.realpath(host.path(one["certificate"]))
            aliases = set(other.get("alias", "") for other in facts["uses"] if other["keystore"]
                          and os.path.realpath(host.path(other["certificate"])) == real)
            facts["files"][one["certificate"]] = dict(_file(host, one, aliases), real=real)
    for one in facts["uses"]:
        one.pop("password", None)
    plan = _plan(host, facts, services) if host.live else []
    for one in facts["uses"]:
        _reach(facts, one, plan)
    _anchor(host, facts)
    _keys(host, facts, services)
    asked = [(one["address"], one["port"], one["kind"], one["name"], one["key_type"]) for one in plan]
    answers = tls_probe.all_served(asked)
    for what, one in zip(asked, plan):
        told = answers.get(what, {"failure": "more than %d listeners and names are there" % tls_probe.MOST})
        # A service that does not offer TLS serves no certificate, whatever its files name.
        if not told.get("failure", "").startswith("it does not offer TLS"):
            facts["served"].append(dict(one, **told))


def _unique(uses):
    made = {}
    for one in uses:
        key = (one["service"], one["unit"], one["certificate"], one["key"], tuple(one["ports"]), tuple(one["names"]),
               one.get("alias", ""))
        made.setdefault(key, one)
    return list(made.values())[:MOST_FILES]


# Services

def _services(host):
    """Return the services that run here, or that the next boot starts."""
    made = []
    processes = host.processes().items if host.live else ()
    own = host.netns() if host.live else None
    units = dict((unit.name, unit) for unit in host.units().items)
    for name, (programs, known, user) in SERVICES.items():
        mine = [one for one in processes if one.comm in programs and one.container is None and one.netns in (own, None)]
        if name == "postfix":
            mine = [one for one in mine if "postfix" in (one.exe or "postfix")]
        if name == "tomcat":
            mine = [one for one in mine if any(word.startswith("-Dcatalina.base=") for word in one.argv)]
        enabled = [unit for unit in known if unit in units and units[unit].enabled in ENABLED]
        if not mine and not enabled:
            continue
        # Without systemd a script stands for the unit.
        scripts = [unit for unit in known if host.exists("/etc/init.d/" + unit[:-len(".service")])]
        unit = next((one.unit for one in mine if one.unit and one.unit.endswith(".service")), "") or (enabled + scripts + [""])[0]
        workers = [one.uid for one in mine if one.uid]
        made.append({"name": name, "unit": unit, "pids": set(one.pid for one in mine), "processes": mine, "user": user,
                     "uid": workers[0] if workers else None})
    return made


def _run(host, facts, service, argv, what):
    """Return what a command of a service prints; None, and a gap, where it does not."""
    answer = host.run(argv, seconds=4)
    if answer.ok:
        return answer.out
    _refused(facts, service, answer, what)
    return None


def _refused(facts, service, answer, what):
    """Keep why a command of a service did not tell."""
    lines = [line.strip() for line in (answer.err + answer.out).splitlines() if line.strip()]
    at = next((number for number, line in enumerate(lines) if "emerg" in line or "rror" in line), 0)
    # Apache says where in one line, and what in the next.
    why = answer.failure or " ".join(lines[at:at + 1 + (lines[at].endswith(":") if lines else 0)])
    # Neither a time nor a process in it, so that it reads the same at every audit.
    why = re.sub(r"^[\d/]+ [\d:]+ |\[emerg\] (\d+#\d+: )?", "", why)
    facts["gaps"].append({"service": service["name"], "reason": "%s: %s" % (what, why[:300])})


def _uses(host, facts, service):
    """Add the uses of one service."""
    files = tls_configs.Files(host.read, host.list)
    try:
        for one in READERS[service["name"]](host, facts, service, files):
            one.setdefault("unit", service["unit"])
            facts["uses"].append(dict({"keystore": False, "chain": "", "loopback": False, "probes": [],
                                       "service": service["name"]}, **one))
    except ValueError as error:
        facts["gaps"].append({"service": service["name"], "reason": "its configuration cannot be understood: %s" % error})
    facts["gaps"] += [{"service": service["name"], "reason": gap} for gap in files.gaps]


def _nginx(host, facts, service, files):
    main = "/etc/nginx/nginx.conf"
    # Before it tells its configuration it makes the folders and logs that it misses, and an audit makes nothing: where it
    # does not run, or this process sees a system that is read-only, its files are read without it.
    if host.executes and service["processes"]:
        answer = host.run(["nginx", "-T"], seconds=4)
        if answer.ok:
            printed = tls_configs.nginx_printed(answer.out)
            main = next(iter(printed), main)
            files.read = lambda path: printed.get(path, None if path == main else host.read(path))
        elif READ_ONLY not in answer.err:
            _refused(facts, service, answer, "nginx refuses its configuration")
            return []
    return tls_configs.nginx(files, main)


def _apache(host, facts, service, files):
    main = next((one for one in ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf") if host.exists(one)), None)
    if main is None:
        return []
    if host.executes:
        program = "apache2ctl" if "apache2" in main else "apachectl"
        if _run(host, facts, service, [program, "-t"], "Apache refuses its configuration") is None:
            return []
    return tls_configs.apache(files, main)


def _haproxy(host, facts, service, files):
    named = [word for one in service["processes"] for flag, word in zip(one.argv, one.argv[1:]) if flag == "-f"]
    state = tls_configs.haproxy_state()
    return [one for main in dict.fromkeys(named or ["/etc/haproxy/haproxy.cfg"])
            for main in (["%s/%s" % (main, name) for name in files.list(main)] or [main])
            for one in tls_configs.haproxy(files, main, state)]


def _postfix(host, facts, service, files):
    main = "/etc/postfix/main.cf"
    if host.executes:
        text = _run(host, facts, service, ["postconf", "-n"], "postconf cannot read the configuration") or ""
        text += "\n%s" % (_run(host, facts, service, ["postconf", "-P"], "postconf cannot read the configuration") or "")
    else:
        text = files.open(main)
        if host.exists("/etc/postfix/master.cf"):
            text += "\n" + tls_configs.postfix_overrides(files.open("/etc/postfix/master.cf"))
    return tls_configs.postfix(text, main, host.read) + tls_configs.postfix_names(files, text)


def _dovecot(host, facts, service, files):
    main = "/etc/dovecot/dovecot.conf"
    if not host.executes:
        folder = "/etc/dovecot/conf.d"
        names = [main] + ["%s/%s" % (folder, name) for name in host.list(folder) if name.endswith(".conf")]
        return tls_configs.dovecot("\n".join(files.open(name) for name in names), main)
    # Without -P the path of the key is hidden; whatever else is printed goes no further.
    text = _run(host, facts, service, ["doveconf", "-P", "-n"], "doveconf cannot read the configuration")
    return tls_configs.dovecot(text or "", main)


def _vsftpd(host, facts, service, files):
    main = next((one for one in ("/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf") if host.exists(one)), None)
    text = files.open(main) if main else ""
    if not re.search(r"^ssl_enable=YES", text, re.M | re.I):
        return []
    return tls_configs.simple(text, main, "rsa_cert_file", "rsa_private_key_file")


def _mysql(host, facts, service, files):
    if not host.executes:
        return []
    text = _run(host, facts, service, ["my_print_defaults", "mysqld", "server", "mariadb", "mariadbd"],
                "my_print_defaults cannot read the configuration")
    return tls_configs.mysql(text or "", "/etc/mysql")


def _postgresql(host, facts, service, files):
    made = []
    clusters = [("%s/%s/%s/postgresql.conf" % ("/etc/postgresql", version, name), "postgresql@%s-%s.service" % (version, name))
                for version in host.list("/etc/postgresql") for name in host.list("/etc/postgresql/" + version)]
    clusters += [(one, service["unit"]) for one in ("/var/lib/pgsql/data/postgresql.conf",) if host.exists(one)]
    for path, unit in clusters:
        if not host.exists(path):
            continue
        settings = tls_configs.postgresql_settings(files, path)
        data = settings.get("data_directory") or os.path.dirname(path)
        if host.exists(data + "/postgresql.auto.conf"):
            settings.update(tls_configs.postgresql_settings(files, data + "/postgresql.auto.conf"))
        addresses = [one.strip() for one in settings.get("listen_addresses", "localhost").split(",")]
        for one in tls_configs.postgresql(settings, path):
            one["near"] = all(address in ("localhost", "127.0.0.1", "::1", "") for address in addresses)
            made.append(dict(one, unit=unit))
    return made


def _redis(host, facts, service, files):
    # The title of a process hides its file; each instance has its own, and its own unit.
    named = {}
    for one in service["processes"]:
        named.setdefault(config.config_path(host, one, {}), one.unit)
    named.pop("", None)
    standard = [one for one in ("/etc/redis/redis.conf", "/etc/redis.conf", "/etc/valkey/valkey.conf") if host.exists(one)]
    made = []
    for main in named or standard:
        settings = config.read_settings(main, host.read, host.list, "/")
        words = dict((name, (settings.last(name) or [""])[0]) for name in ("tls-cert-file", "tls-key-file", "tls-port"))
        if words["tls-cert-file"].startswith("/") and words["tls-port"] not in ("", "0"):
            one = tls_configs.use(main, words["tls-cert-file"], words["tls-key-file"], (),
                                  [int(words["tls-port"])] if words["tls-port"].isdecimal() else [])
            unit = named.get(main) or ""
            made.append(dict(one, unit=unit) if unit.endswith(".service") else one)
    return made


def _tomcat(host, facts, service, files):
    bases = [word.split("=", 1)[1] for one in service["processes"] for word in one.argv if word.startswith("-Dcatalina.base=")]
    if not bases:
        bases = ["/var/lib/" + name for name in host.list("/var/lib") if re.match(r"tomcat\d*\Z", name)]
    made = []
    for base in dict.fromkeys(bases):
        path = base + "/conf/server.xml"
        words = [word for one in service["processes"] if "-Dcatalina.base=" + base in one.argv for word in one.argv]
        made += tls_configs.tomcat(files, path, base, tls_configs.java_properties(files, base, words))
    return made


READERS = {"nginx": _nginx, "apache": _apache, "haproxy": _haproxy, "postfix": _postfix, "dovecot": _dovecot,
           "vsftpd": _vsftpd, "mysql": _mysql, "postgresql": _postgresql, "redis": _redis, "tomcat": _tomcat}


# Files

def _bytes(host, path):
    """Return the bytes of a file that is not too large; (None, why) where it cannot be read."""
    try:
        about = os.stat(host.path(path))
    except (OSError, ValueError) as error:
        return None, getattr(error, "strerror", "") or "its name cannot be used"
    if not stat.S_ISREG(about.st_mode):
        return None, "it is no file"
    if about.st_size > MEBIBYTE:
        return None, "it is larger than 1 MiB"
    text = host.read(path, MEBIBYTE)
    return (None, "permission denied") if text is None else (text.encode("utf-8", "surrogateescape"), "")


def _file(host, one, aliases=("",)):
    """Return the certificates of a file, leaf first; of a keystore those by the aliases that servers name."""
    path = one["certificate"]
    data, why = _bytes(host, path)
    if data is None:
        return {"certificates": [], "faults": [why]}
    try:
        if one["keystore"] or keystores.is_jks(data):
            made, faults = _keystore(host, path, data, one.get("password"), aliases)
        else:
            made, faults = x509.certificates(data)
    except x509.Malformed as error:
        return {"certificates": [], "faults": [str(error)]}
    extra, why = _bytes(host, one["chain"]) if one["chain"] else (b"", "")
    if extra:
        more, wrong = x509.certificates(extra)
        made, faults = made + more, faults + wrong
    elif why:
        faults = faults + ["%s: %s" % (one["chain"], why)]
    return {"certificates": made[:KEPT], "faults": faults[:KEPT]}


def _keystore(host, path, data, password, aliases):
    """Return (certificates, faults) of a keystore; a password that is not known is None."""
    if not data:
        return [], ["it is empty"]
    if keystores.is_jks(data):
        chains = keystores.jks_chains(data)
        if password is not None and not keystores.jks_opens(data, password):
            return [], [keystores.WRONG_PASSWORD]
        return keystores.chosen(chains, aliases)
    if not keystores.is_pkcs12(data):
        if data[:1] == b"\x30" or b"-----BEGIN" in data:
            return x509.certificates(data)
        return [], ["it is no keystore of a kind that is known (JKS, JCEKS, PKCS#12)"]
    if password is None:
        return [], ["its password is not in server.xml, but in a variable or a file that cannot be read"]
    answer = None
    # What Java 8 and Windows made is read by OpenSSL 3 with its old algorithms alone.
    for more in ([], ["-legacy"]):
        # The password goes over the standard input: arguments can be seen by all.
        answer = host.run(["openssl", "pkcs12", "-in", path, "-nokeys", "-info", "-passin", "stdin"] + more, seconds=4,
                          stdin=password + "\n")
        if answer.ok or "unsupported" not in answer.err:
            break
    if answer.ok:
        return keystores.chosen(keystores.pkcs12_chains(answer.out, answer.err), aliases)
    if answer.failure:
        return [], ["the keystore cannot be read: openssl: %s" % answer.failure]
    return [], [keystores.WRONG_PASSWORD if "invalid password" in answer.err else "openssl cannot read the keystore"]


def _anchor(host, facts):
    """Note of each file whether its chain leads to an authority that this host knows; None where it knows none."""
    known = None
    for file in facts["files"].values():
        file["anchored"] = None
        if not file["certificates"]:
            continue
        top = x509.chain(file["certificates"])[-1]
        if top["self_issued"]:
            continue
        if known is None:
            text = next((text for text in (host.read(store) for store in STORES) if text), "")
            known = set(one["subject_hash"] for one in x509.bundle(text)[0])
        file["anchored"] = top["issuer_hash"] in known if known else None


# Keys

def _accounts(host):
    """Return ({user: (uid, gid)}, {gid: group}, {user: gids})."""
    users, groups, member = {}, {}, {}
    for line in (host.read("/etc/passwd") or "").splitlines():
        parts = line.split(":")
        if len(parts) >= 4 and parts[2].isdecimal() and parts[3].isdecimal():
            users[parts[0]] = (int(parts[2]), int(parts[3]))
            member.setdefault(parts[0], set()).add(int(parts[3]))
    for line in (host.read("/etc/group") or "").splitlines():
        parts = line.split(":")
        if len(parts) >= 4 and parts[2].isdecimal():
            groups[int(parts[2])] = parts[0]
            for user in parts[3].split(","):
                member.setdefault(user, set()).add(int(parts[2]))
    return users, groups, member


def _keys(host, facts, services):
    accounts = _accounts(host)
    for one in facts["uses"]:
        path = one["key"]
        if path not in facts["keys"]:
            facts["keys"][path] = _key(host, path, [use for use in facts["uses"] if use["key"] == path], services, accounts)
            facts["keys"][path]["matches"] = {}
        if one["certificate"] not in facts["keys"][path]["matches"] and not one["keystore"]:
            facts["keys"][path]["matches"][one["certificate"]] = _matches(host, one["certificate"], path)


def _key(host, path, uses, services, accounts):
    """Return who can read a key, and the mode and group that leave it to those who must."""
    users, groups, member = accounts
    names = dict((uid, name) for name, (uid, unused) in users.items())
    real = os.path.realpath(host.path(path))
    try:
        about = os.stat(real)
    except OSError as error:
        return {"failure": error.strerror}
    if not stat.S_ISREG(about.st_mode):
        return {"failure": "it is no file"}
    mode = stat.S_IMODE(about.st_mode)
    others = "read" if mode & stat.S_IROTH else "change" if mode & stat.S_IWOTH else ""
    if others and not _others_enter(real, host.root):
        others = ""
    made = {"real": real,
            "mode": "%04o" % mode, "owner": names.get(about.st_uid, str(about.st_uid)), "others": others, "worker": "",
            "group": groups.get(about.st_gid, str(about.st_gid)), "want_mode": "%04o" % (mode & 0o640), "want_group": ""}
    for use in uses:
        service = next(one for one in services if one["name"] == use["service"])
        if use["service"] in ("nginx", "apache") and service["uid"]:
            worker = names.get(service["uid"], "")
            owns = about.st_uid == service["uid"] and mode & stat.S_IRUSR
            if owns or (about.st_gid in member.get(worker, ()) and mode & stat.S_IRGRP):
                made["worker"] = worker
        reader = names.get(service["uid"], "") if service["user"] and service["uid"] else service["user"]
        if not reader or reader not in users:
            continue
        if users[reader][0] == about.st_uid:
            made["want_mode"] = "%04o" % (mode & 0o600)
        elif not (about.st_gid in member[reader] and mode & stat.S_IRGRP):
            # It reads the key as one of the others: its group takes their place, unless the group is taken.
            if about.st_gid != 0 or made["want_group"] not in ("", groups.get(users[reader][1])):
                made["want_mode"] = ""
                break
            made["want_group"] = groups.get(users[reader][1], str(users[reader][1]))
            made["want_mode"] = "%04o" % (mode & 0o600 | 0o040)
    return made


def _others_enter(path, root):
    """Tell whether everybody may go through all folders above a path."""
    folder = os.path.dirname(path)
    top = os.path.realpath(root)
    while folder and folder not in ("/", top):
        try:
            if not os.stat(folder).st_mode & stat.S_IXOTH:
                return False
        except OSError:
            return True
        folder = os.path.dirname(folder)
    return True


def _matches(host, certificate, key):
    """Return "yes", "no", or why it cannot be told whether a key is that of a certificate."""
    for path in (certificate, key):
        data, why = _bytes(host, path)
        if data is None:
            return "%s: %s" % (path, why)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Whether it is strong enough is another question.
        context.set_ciphers("ALL:@SECLEVEL=0")
    except ssl.SSLError:
        pass
    asked = []

    def password():
        asked.append(True)
        return b"-"

    try:
        context.load_cert_chain(host.path(certificate), host.path(key), password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH" or error.reason == "KEY_TYPE_MISMATCH":
            return "no"
        return "the key has a passphrase" if asked else "the pair cannot be loaded: %s" % (error.reason or "no reason given")
    except (OSError, ValueError) as error:
        return "the pair cannot be loaded: %s" % (getattr(error, "strerror", "") or type(error).__name__)
    return "yes"


# Listeners

def _plan(host, facts, services):
    """Return what is to be asked: {service, address, port, kind, name, key_type, loopback}."""
    made = []
    own = host.netns()
    items = [one for one in host.listeners().items if one.proto == "tcp" and one.netns == own and one.container is None]
    uses = facts["uses"] + facts["dynamic"]
    for one in items:
        address = _address(one, items)
        if not address:
            continue
        service = next((service for service in services if service["pids"] & set(one.pids)), None)
        kind = _kind(service, one, uses)
        if kind is None:
            continue
        name = service["name"] if service else one.process or "a program"
        names = [""] + sorted(set(name for use in uses if service and use["service"] == service["name"]
                                  and (not use["ports"] or one.port in use["ports"]) for name in _asked_for(facts, use)
                                  if ASKABLE.match(name)))[:MOST_NAMES]
        near = all(other.is_loopback() for other in items if other.port == one.port and set(other.pids) & set(one.pids))
        made += [{"service": name, "address": address, "port": one.port, "kind": kind, "name": asked, "key_type": key_type,
                  "loopback": near} for asked in names for key_type in [""] + _key_types(facts, name, one.port, asked)]
    # Those of the second kind of key come last, where there is no time for all.
    made.sort(key=lambda one: bool(one["key_type"]))
    return list(dict(((one["address"], one["port"], one["name"], one["key_type"]), one) for one in made).values())


def _key_types(facts, service, port, name):
    """Return the kinds of keys that a name has certificates of, where there are several: each is asked for by itself."""
    found = set()
    for one in facts["uses"]:
        if one["service"] == service and (not one["ports"] or port in one["ports"]):
            names = _asked_for(facts, one)
            if name in names if name else not any(ASKABLE.match(other) for other in names):
                found.add(leaf_of(facts, one["certificate"]).get("key_type"))
    found &= set(tls_probe.CIPHERS)
    return sorted(found) if len(found) > 1 else []


def leaf_of(facts, path):
    """Return the certificate that a file begins with; {} where none can be read."""
    return next(iter(facts["files"].get(path, {}).get("certificates", [])), {})


def _asked_for(facts, use):
    """Return the names to ask for a certificate by; HAProxy, and a pattern as a name, have those in the certificate."""
    if any(ASKABLE.match(name) for name in use["names"]) or not (
            use["service"] == "haproxy" or any(name.startswith("~") for name in use["names"])):
        return use["names"]
    return leaf_of(facts, use["certificate"]).get("names", [])


def _address(one, items):
    """Return where to ask a listener; '' where another listener stands for it."""
    if one.is_wildcard():
        if one.family == 6 and (one.dual_stack or any(other.port == one.port and other.family == 4 and other.is_wildcard()
                                                      for other in items)):
            return "" if any(other.port == one.port and other.family == 4 and other.is_wildcard() for other in items) \
                else "127.0.0.1"
        return "127.0.0.1" if one.family == 4 else "::1"
    return "" if one.address.startswith("fe80") else one.address


def _kind(service, one, uses):
    """Return how a listener comes to TLS ('' at once, else the protocol of its STARTTLS); None: not to be asked."""
    if service is None:
        if one.port in TLS_PORTS:
            return ""
        return STARTTLS.get(one.port) if one.process in STARTTLS_PROGRAMS else None
    name = service["name"]
    if name in ("nginx", "apache", "haproxy", "tomcat", "redis"):
        mine = [use for use in uses if use["service"] == name]
        known = one.port in [port for use in mine for port in use["ports"]] or (one.port == 443 and mine)
        # What no configuration tells of may be in one that is not known.
        return "" if known or one.port in TLS_PORTS else None
    if name == "postgresql":
        return "postgresql"
    if name == "mysql":
        # Over loopback no count of failed connections is kept that could lock a client out.
        return "mysql" if one.port != 33060 and (one.is_loopback() or one.is_wildcard()) else None
    if one.port in TLS_PORTS:
        return ""
    return STARTTLS.get(one.port)


def _reach(facts, one, plan):
    """Note of a use where it is served, and whether only this host itself gets there."""
    mine = [probe for probe in plan if probe["service"] == one["service"] and (not one["ports"] or probe["port"] in one["ports"])]
    one["loopback"] = all(probe["loopback"] for probe in mine) if mine else bool(one.pop("near", False))
    one.pop("near", None)
    one["probes"] = [(probe["address"], probe["port"], probe["kind"], probe["name"]) for probe in mine
                     if not probe["key_type"] and (not probe["name"] or probe["name"] in _asked_for(facts, one))]


# Renewal

def registry(host):
    """Return {lineage: {services, pairs}} that the deploy hook goes by."""
    try:
        lineages = json.loads(host.read(deploy_hook.REGISTRY, MEBIBYTE) or "{}").get("lineages", {})
        return dict((name, {"services": [dict(one) for one in about.get("services", [])],
                            "pairs": [dict(one) for one in about.get("pairs", [])]}) for name, about in lineages.items())
    except (ValueError, AttributeError, TypeError):
        return {}


def timer_unit(host):
    """Return the timer that can renew: that of certbot's package, else our own; '' where no systemd runs timers."""
    if host.live and host.system().init != "systemd":
        return ""
    names = set(unit.name for unit in host.units().items)
    return next((one for one in renewal.CERTBOT_TIMERS if one in names), OWN_TIMER)
