# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis, Valkey and KeyDB: who gets in without a password, from where, and with which rights.

Each instance that runs is looked at by itself: what its files say, what it says itself over its own protocol, and
what a client without a password is told at each of its addresses. Of a root filesystem that is not running the
instances are those that a boot starts, and what they will answer follows from their files.
"""

from __future__ import annotations

import os
import re
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import protocol
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.software import at_boot
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener

NAME = "redis"
READS = ("processes", "listeners", "packages", "firewall")
CHECKS = ("redis.no_auth", "redis.exposed", "redis.weak_password", "redis.dangerous_commands", "redis.runs_as_root",
          "redis.config_world_readable", "redis.runtime_differs")
POLICY = {"networks": [], "loopback_ok": True, "words": []}
PROGRAMS = ("redis-server", "redis-sentinel", "valkey-server", "valkey-sentinel", "keydb-server", "keydb-sentinel")
SECRETS = "/etc/hostmend/secrets"
MOST = 32
DANGEROUS = ("config", "flushall", "debug", "module", "replicaof", "shutdown")
COMPARED = ("bind", "protected-mode", "port", "tls-port", "unixsocket", "aclfile", "requirepass", "masterauth")


# Reading the host

def collect(host, policy):
    """Return what is known of each instance; no password is among it."""
    if not host.live:
        return _at_boot(host, policy)
    processes = host.processes()
    ours = [one for one in processes.items if program_of(one)]
    pids = set(one.pid for one in ours)
    facts = {"live": True, "instances": [], "gaps": [gap for gap in processes.gaps if "hidepid" in gap or "listed" in gap]}
    for process in [one for one in ours if one.ppid not in pids][:MOST]:
        facts["instances"].append(_instance(host, process, policy))
    if len(ours) > MOST:
        facts["gaps"].append("only the first %d instances were looked at" % MOST)
    return facts


def _at_boot(host, policy):
    """Return the instances that a boot starts."""
    facts = {"live": False, "instances": [], "gaps": []}
    for service in host.boot_services():
        if service.program in PROGRAMS:
            facts["instances"].append(_to_come(host, service, policy))
        elif service.script and re.match(r"(redis|valkey|keydb)[-.]", service.name):
            facts["gaps"].append("how the init script of %s starts it cannot be told" % service.name)
    return facts


def _to_come(host, service, policy):
    """Return what the files say of an instance that a boot starts."""
    made = {"program": service.program, "uid": uid_of(host, service.user), "unit": service.name, "container": None,
            "foreign": False, "booted": False, "listeners": [], "gaps": [], "probes": {}, "expected": {}, "effective": {},
            "persistent": {}, "differs": [], "weak": None, "clients": [], "replicas": [], "role": "", "master": None,
            "files": {}, "admin": "", "version": packaged_version(host, service.program), "config_file": ""}
    made["sentinel"] = "sentinel" in made["program"] or "--sentinel" in service.argv
    settings = at_boot.redis_settings(host, service)
    if settings is None:
        made["gaps"].append("the configuration of %s is not named by its unit" % service.name)
        made["name"] = "%s (%s)" % (service.program, service.name)
        return made
    made["gaps"] += settings.gaps
    made["config_file"] = settings.files[0] if settings.files else ""
    addresses = at_boot.redis_addresses(settings, made["sentinel"])
    if addresses is None:
        made["gaps"].append("it binds to a name, and which address that is cannot be told")
    tcp = [Listener(proto="tcp", family=family, address=address, port=port, path="", inode=0, netns=0)
           for unused, family, address, port in addresses or ()]
    paths = [words[0] for words in [settings.last("unixsocket") or []] if words and words[0]]
    made["listeners"] = [_address(one) for one in tcp] + paths
    made["files"] = _files(host, "", settings)
    made["name"] = _name(made, tcp, paths, settings)
    made["persistent"] = _persistent(settings)
    user, gap = default_user(host, settings)
    if gap:
        made["gaps"].append(gap)
    else:
        made["persistent"]["users"] = [dict((key, user[key]) for key in ("name", "on", "nopass", "all"))]
        made["expected"] = dict((_address(one), answer_of(one, user, settings, made["version"])) for one in tcp)
        made["expected"].update((path, "PONG" if user["on"] and user["nopass"] else "NOAUTH") for path in paths)
    words = config.weak_words(policy["words"], [host.system().id], time.localtime().tm_year)
    secrets = _passwords(host, settings, "", [])
    if any(secret in words for secret in secrets):
        made["weak"] = True
    elif secrets:
        made["weak"] = False
    return made


def uid_of(host, user):
    """Return the number of a user of the host's own; 0 where none is named, None where it is not there."""
    if not user or user.isdecimal():
        return int(user or 0)
    match = re.search(r"^%s:[^:]*:(\d+):" % re.escape(user), host.read("/etc/passwd") or "", re.M)
    return int(match.group(1)) if match else None


def packaged_version(host, program):
    """Return the version of the package that a program comes from, "" where it is not known."""
    wanted = program.split("-")[0]
    for package in host.packages().items:
        if package.name in (program, wanted, wanted + "-server", wanted + "-tools"):
            return re.sub(r"^\d+:", "", package.version).split("-")[0].split("+")[0]
    return ""


def default_user(host, settings):
    """Return (what the files say of the default user, gap)."""
    acl = settings.last("aclfile")
    user = {"name": "default", "on": True, "nopass": True, "all": True}
    if acl and acl[0]:
        text = host.read(acl[0])
        if text is None:
            return user, "%s cannot be read" % acl[0]
        rows = [config.split_words(line) or [] for line in text.splitlines() if line.startswith("user ")]
        for words in rows:
            if len(words) > 1 and words[1] == "default":
                user = config.parse_user(words[1:])
        return user, ""
    for words in settings.all("user"):
        if words and words[0] == "default":
            user = config.parse_user(words)
    password = settings.last("requirepass")
    if password and password[0]:
        user["nopass"] = False
    return user, ""


def answer_of(listener, user, settings, version):
    """Return what a client without a password will be told at an address."""
    if not user["on"] or not user["nopass"]:
        return "NOAUTH"
    numbers = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    # Before version 7 an explicit bind switched protected mode off.
    guarded = (settings.last("protected-mode") or ["yes"])[0].lower() == "yes" and (
        numbers >= [7, 0] or not settings.place("bind"))
    return "DENIED" if guarded and not listener.is_loopback() else "PONG"


def program_of(process):
    """Return the name of the program where a process is an instance, else an empty text."""
    first = os.path.basename(process.argv[0].split(" ")[0]) if process.argv and process.argv[0] else ""
    for name in (process.comm, first):
        if name in PROGRAMS:
            return "redis-sentinel" if name == "redis-server" and "[sentinel]" in " ".join(process.argv) else name
    return ""


def _instance(host, process, policy):
    listeners = [one for one in host.listeners().items if process.pid in one.pids]
    foreign = process.netns != host.netns() or process.container is not None
    made = {"program": program_of(process), "uid": process.uid, "unit": process.unit, "container": process.container,
            "foreign": foreign, "listeners": [_address(one) for one in listeners], "gaps": [], "probes": {},
            "effective": {}, "persistent": {}, "differs": [], "weak": None, "clients": [], "replicas": [], "version": "",
            "role": "", "master": None, "files": {}, "admin": ""}
    made["sentinel"] = "sentinel" in made["program"]
    root = "/proc/%d/root" % process.pid if foreign else ""
    tcp = [one for one in listeners if one.proto == "tcp"]
    paths = [one.path for one in listeners if one.proto == "unix" and one.path.startswith("/")]
    client, info, hashes = None, {}, set()
    if not foreign:
        made["probes"] = _probes(host, tcp, paths)
        client, info = _enter(tcp, paths, None)
    path = config.config_path(host, process, info)
    settings = None
    if path:
        settings = config.read_settings(path, lambda name: host.read(root + name),
                                        lambda folder: host.list(root + folder), process.cwd or "/")
        made["gaps"] += settings.gaps
        made["files"] = _files(host, root, settings)
    secrets = _passwords(host, settings, root, tcp)
    if client is None and not foreign:
        client, info = _enter(tcp, paths, secrets)
    made["config_file"] = path
    made["name"] = _name(made, tcp, paths, settings)
    made["persistent"] = _persistent(settings)
    if client is not None:
        with client:
            hashes = _ask(client, info, made, settings)
    elif not foreign:
        made["gaps"].append("the server lets nobody in whom this host knows the password of")
    else:
        made["gaps"].append("it runs in a container: its files were read, the server itself was not asked")
    made["weak"] = _weak(host, (secrets, hashes), tcp, paths, foreign, policy, client is not None)
    return made


def _address(one):
    return one.path if one.proto == "unix" else "%s:%d" % (one.address, one.port)


def _probes(host, tcp, paths):
    """Return what a client without a password is told at each address and socket of an instance."""
    told = {}
    own = host.firewall().interfaces
    for one in tcp:
        where = ["127.0.0.1" if one.family == 4 else "::1"] if one.is_wildcard() or one.is_loopback() else []
        if one.is_wildcard():
            where += [address for unused, address in own.get(one.family, ()) if not address.startswith("fe80")][:4]
            if one.family == 6 and one.dual_stack is not False:
                where += [address for unused, address in own.get(4, ())][:4]
        elif not where:
            where = [one.address]
        for address in where:
            told["%s:%d" % (address, one.port)] = protocol.probe((address, one.port))
            if told["%s:%d" % (address, one.port)] in ("NO ANSWER", "ERROR"):
                answer = protocol.probe((address, one.port), tls=True)
                told["%s:%d" % (address, one.port)] = answer
    for path in paths[:4]:
        told[path] = protocol.probe(path)
    return told


def _ways(tcp, paths):
    for path in paths:
        yield path, False
    for one in tcp:
        address = ("127.0.0.1" if one.family == 4 else "::1") if one.is_wildcard() else one.address
        for tls in (False, True):
            yield (address, one.port), tls


def _enter(tcp, paths, passwords):
    """Return (a client that may ask, INFO), (None, {}) where none gets in; ``passwords`` None: without one."""
    for where, tls in list(_ways(tcp, paths))[:8]:
        for password in [None] if passwords is None else passwords[:8]:
            try:
                client = protocol.Client(where, tls)
            except protocol.Broken:
                break
            try:
                if password is not None:
                    client.ask("AUTH", password)
                return client, protocol.parse_info(client.ask("INFO"))
            except (protocol.RedisError, protocol.Broken):
                client.__exit__()
    return None, {}


def _files(host, root, settings):
    """Return mode, owner and whether a secret is inside of each file that is read."""
    made = {}
    acl = settings.last("aclfile")
    for path in settings.files + ([acl[0]] if acl and acl[0] else []):
        try:
            state = os.stat(host.path(root + path))
        except (OSError, ValueError):
            continue
        text = host.read(root + path) or ""
        made[path] = {"mode": "%04o" % (state.st_mode & 0o7777), "uid": state.st_uid, "gid": state.st_gid,
                      "secret": bool(re.search(r"^[ \t]*(requirepass|masterauth|user\s+\S.*[>#]|sentinel\s+auth-pass"
                                               r"|tls-key-file-pass)", text, re.M | re.I)),
                      "link": os.path.islink(host.path(root + path))}
    return made


def _passwords(host, settings, root, tcp):
    """Return the passwords that root can read: of the files, and those that the role keeps."""
    found_words = []
    if settings is not None:
        for name in ("requirepass", "masterauth"):
            words = settings.last(name)
            if words and words[0]:
                found_words.append(words[0])
        users = settings.all("user")
        acl = settings.last("aclfile")
        if acl and acl[0]:
            users += [config.split_words(line)[1:] for line in (host.read(root + acl[0]) or "").splitlines()
                      if line.startswith("user ") and config.split_words(line)]
        for words in users:
            user = config.parse_user(words)
            if user["name"] == "default":
                found_words += user["plain"]
    for one in tcp:
        kept = host.read("%s/redis-%d" % (SECRETS, one.port), 4096)
        if kept and kept.strip():
            found_words.append(kept.strip())
    return list(dict.fromkeys(found_words))


def _name(made, tcp, paths, settings):
    port = settings.last("port") if settings is not None else None
    where = "%d" % tcp[0].port if tcp else paths[0] if paths else port[0] if port else "?"
    return "%s %s%s%s" % (made["program"], where, " (%s)" % made["config_file"] if made["config_file"] else "",
                          " in %s" % made["container"][:20] if made["container"] else "")


def _persistent(settings):
    """Return what the files say, without a secret."""
    if settings is None:
        return {}
    made = dict((name, " ".join(settings.last(name) or [])) for name in ("bind", "protected-mode", "port", "aclfile"))
    made["requirepass"] = bool((settings.last("requirepass") or [""])[0])
    made["places"] = dict((name, settings.place(name)) for name in ("bind", "requirepass", "aclfile") if settings.place(name))
    made["renamed"] = sorted(words[0].lower() for words in settings.all("rename-command") if words)
    return made


def _ask(client, info, made, settings):
    """Add what the server says of itself, and return the digests of its passwords, which go no further."""
    made.update(version=info.get("redis_version") or info.get("valkey_version") or "", role=info.get("role", ""))
    if info.get("master_host"):
        made["master"] = "%s:%s" % (info["master_host"], info.get("master_port", ""))
    made["replicas"] = sorted(value for name, value in info.items() if re.match(r"^slave\d+$", name))
    made["mode"] = info.get("redis_mode", "")
    own = None
    try:
        own = str(client.ask("CLIENT", "ID"))
        listed = protocol.parse_clients(client.ask("CLIENT", "LIST"))
        made["clients"] = sorted(set(one.get("addr", "").rpartition(":")[0].strip("[]") + _flag(one) for one in listed
                                     if one.get("id") != own))[:100]
    except (protocol.RedisError, protocol.Broken):
        made["gaps"].append("the connected clients cannot be listed")
    try:
        runtime = client.pairs("CONFIG", "GET", "*")
    except (protocol.RedisError, protocol.Broken):
        if not made["sentinel"]:
            made["gaps"].append("the settings in use cannot be asked (CONFIG is renamed or refused)")
        runtime = None
    if runtime is not None:
        made["effective"] = dict((name, str(runtime.get(name, ""))) for name in ("bind", "protected-mode", "port", "aclfile"))
        made["effective"]["requirepass"] = bool(runtime.get("requirepass"))
        made["differs"] = differences(runtime, settings)
    try:
        users = [config.parse_user(config.split_words(line)[1:]) for line in client.ask("ACL", "LIST")
                 if config.split_words(line)]
        made["effective"]["users"] = [dict((key, user[key]) for key in ("name", "on", "nopass", "all")) for user in users]
        return set(digest for user in users if user["on"] for digest in user["hashes"])
    except (protocol.RedisError, protocol.Broken, TypeError, IndexError):
        return set()


def _flag(one):
    flags = one.get("flags", "")
    return " (replica)" if "S" in flags else " (master)" if "M" in flags else ""


def differences(runtime, settings):
    """Return the names of settings in use that the files do not give, so that a restart would change them."""
    if settings is None:
        return []
    made = []
    for name in COMPARED:
        words = settings.last(name)
        if name not in runtime:
            continue
        now = str(runtime[name] or "")
        if words is None:
            words = {"bind": [now if now in ("", "* -::*", "127.0.0.1 -::1") else ""], "tls-port": ["0"],
                     "unixsocket": [""]}.get(name, [""])
        if " ".join(words).lower().split() != now.lower().split():
            made.append(name)
    return made


def _weak(host, known, tcp, paths, foreign, policy, entered):
    """Tell whether a password that anybody would try is one of the instance's; None where that cannot be told."""
    secrets, hashes = known
    system = host.system()
    node = (host.read("/proc/sys/kernel/hostname", 256) or "").strip().split(".")[0]
    words = config.weak_words(policy["words"], [node, system.id], time.localtime().tm_year)
    if any(secret in words for secret in secrets):
        return True
    if any(config.digest(word) in hashes for word in words):
        return True
    if secrets and (entered or foreign):
        return False
    if foreign:
        return None
    # No password is known here: a few are tried against the server itself, and it is told when to stop.
    for where, tls in list(_ways(tcp, paths))[:1]:
        try:
            with protocol.Client(where, tls) as client:
                for word in words[:300]:
                    try:
                        client.ask("AUTH", word)
                        return True
                    except protocol.RedisError as error:
                        if not str(error).startswith(("WRONGPASS", "ERR invalid password")):
                            return None
            return None
        except protocol.Broken:
            return None
    return None


# Judging

def check(facts, policy):
    """Return the findings."""
    if not facts["instances"]:
        if facts["gaps"]:
            return [unknown(each, "redis", facts["gaps"][0]) for each in CHECKS]
        reason = "no Redis, Valkey or KeyDB runs here" if facts["live"] else "no Redis, Valkey or KeyDB is started at boot"
        return [not_applicable(each, reason) for each in CHECKS]
    made = []
    for one in facts["instances"]:
        for judge in (_no_auth, _exposed, _weak_password, _dangerous, _as_root, _readable, _differs):
            made.append(judge(one, policy))
            # With a file unread, nothing that follows from the files alone may pass.
            if not one.get("booted", True) and one["gaps"] and made[-1]["status"] == "passed":
                made[-1].update(status="unknown", reason=one["gaps"][0])
    return with_remedies(made, remedy.of)


def remote(where):
    """Tell whether an address of a probe can be reached from other hosts."""
    return not where.startswith(("127.", "::1", "/", "@"))


def answers(one):
    """Return what a client without a password is told at each address, or will be."""
    return one["probes"] if one.get("booted", True) else one["expected"]


def affected(one):
    """Return whom a change of the password or the addresses would disturb."""
    return ["%s is connected" % client for client in one["clients"]
            if not client.startswith(("127.0.0.1", "::1", "/")) and client]


def context(one):
    """Return the evidence that all findings of an instance share."""
    if not one.get("booted", True):
        told = dict((name, one[name]) for name in ("version", "listeners", "unit", "config_file", "sentinel", "foreign"))
        return {"persistent": dict(one["persistent"], unauthenticated=one["expected"], **told)}
    return {"effective": {"version": one["version"], "role": one["role"], "listeners": one["listeners"], "unit": one["unit"],
                          "config_file": one["config_file"], "sentinel": one["sentinel"], "settings": one["effective"],
                          "foreign": one["foreign"]},
            "persistent": one["persistent"], "observed": {"unauthenticated": one["probes"]}}


def _why(one):
    return one["gaps"][0] if one["gaps"] else "the server cannot be asked"


def users_of(one):
    """Return what is known of the users; None where nothing is."""
    return one["effective" if one.get("booted", True) else "persistent"].get("users")


def _risk(one):
    """Return the risk where it differs from the check's: what cannot be mended from here is for a person."""
    if one["foreign"] or not one["config_file"] or one["sentinel"] or one.get("mode") == "cluster":
        return "manual"
    return "disruptive" if affected(one) else None


def _no_auth(one, policy):
    check_id, evidence = "redis.no_auth", context(one)
    probes = answers(one)
    if not probes:
        settings = one["persistent"]
        if one["foreign"] and settings and not one["gaps"][:-1]:
            if settings.get("requirepass") and not settings.get("aclfile"):
                return passed(check_id, one["name"], reason="its configuration asks for a password", **evidence)
        return unknown(check_id, one["name"], _why(one), **evidence)
    bare = [where for where, answer in probes.items() if answer in ("PONG", "ANSWERED")]
    outside = [where for where in bare if remote(where)]
    free = [user["name"] for user in users_of(one) or () if user["on"] and user["nopass"]]
    if outside:
        return found(check_id, one["name"], risk=_risk(one), affects=affected(one),
                     reason="a client without a password is answered at %s" % ", ".join(outside), **evidence)
    others = [name for name in free if name != "default"]
    if others and any(remote(where) for where in probes):
        return found(check_id, one["name"], risk="manual", reason="the user %s needs no password" % ", ".join(others), **evidence)
    if bare and not policy["loopback_ok"]:
        return found(check_id, one["name"], severity="low", risk=_risk(one), affects=affected(one),
                     reason="every user of this host is answered without a password", **evidence)
    unclear = [where for where, answer in probes.items() if answer in ("NO ANSWER", "ERROR") and remote(where)]
    if unclear:
        return unknown(check_id, one["name"], "there is no answer at %s" % ", ".join(unclear), **evidence)
    return passed(check_id, one["name"], reason="no other host is answered without a password", **evidence)


def _rebinds(version):
    """Tell whether a server of this version takes other addresses while it runs (Redis 6.2)."""
    parts = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    return parts >= [6, 2]


def _exposed(one, policy):
    check_id, evidence = "redis.exposed", context(one)
    outside = [where for where in one["listeners"] if not where.startswith(("127.", "::1:", "/", "@"))]
    wide = [where for where in outside if where.rpartition(":")[0] not in policy["networks"]]
    if one["foreign"]:
        return unknown(check_id, one["name"], "what of a container is reached from outside is for the class ports", **evidence)
    if not wide:
        return passed(check_id, one["name"], reason="it listens on loopback and on addresses of the policy", **evidence)
    remote_probes = [answer for where, answer in answers(one).items() if remote(where)]
    if remote_probes and all(answer == "DENIED" for answer in remote_probes):
        return passed(check_id, one["name"], reason="protected mode turns other hosts away", **evidence)
    risk = _risk(one)
    if one["replicas"] or one["master"] and not one["master"].startswith(("127.", "localhost", "::1")):
        outer = [text for text in one["replicas"] if "ip=127." not in text and "ip=::1" not in text]
        risk = "manual" if outer or not one["replicas"] else risk
    restarted = ["%s is restarted" % one["unit"]] if one["unit"] and not _rebinds(one["version"]) else []
    return found(check_id, one["name"], risk=risk, affects=affected(one) + restarted,
                 reason="it listens on %s" % ", ".join(wide), **evidence)


def _weak_password(one, policy):
    evidence = context(one)
    bare = any(answer in ("PONG", "ANSWERED") for answer in answers(one).values())
    if one["weak"]:
        # A password that is made for an image would be that of all its clones.
        risk = _risk(one) if one.get("booted", True) else "manual"
        return found("redis.weak_password", one["name"], risk=risk, affects=affected(one),
                     reason="its password is one of those that are tried first", **evidence)
    if bare and one["weak"] is not False:
        return not_applicable("redis.weak_password", "it has no password", one["name"], **evidence)
    if one["weak"] is False:
        return passed("redis.weak_password", one["name"], **evidence)
    return unknown("redis.weak_password", one["name"], "its password is not known here, and none of the common ones that "
                   "were tried was it", **evidence)


def _dangerous(one, policy):
    evidence = context(one)
    if one["sentinel"]:
        return not_applicable("redis.dangerous_commands", "a sentinel has no data", one["name"], **evidence)
    if not any(not where.startswith(("127.", "::1:", "/", "@")) for where in one["listeners"]):
        return passed("redis.dangerous_commands", one["name"], reason="only this host itself gets to it", **evidence)
    users = users_of(one)
    renamed = one["persistent"].get("renamed", [])
    left = [name for name in DANGEROUS if name not in renamed]
    if users is None:
        if not left:
            return passed("redis.dangerous_commands", one["name"], reason="they are renamed", **evidence)
        return unknown("redis.dangerous_commands", one["name"], _why(one), **evidence)
    default = [user for user in users if user["name"] == "default" and user["on"] and user["all"]]
    if default and left:
        return found("redis.dangerous_commands", one["name"],
                     reason="whoever gets in as the default user may use %s" % ", ".join(left), **evidence)
    return passed("redis.dangerous_commands", one["name"], **evidence)


def _as_root(one, policy):
    evidence = context(one)
    evidence["effective" if "effective" in evidence else "persistent"]["uid"] = one["uid"]
    if one["uid"] is None:
        return unknown("redis.runs_as_root", one["name"], "the owner of the process cannot be read", **evidence)
    if one["uid"] == 0:
        return found("redis.runs_as_root", one["name"], reason="it runs as root", **evidence)
    return passed("redis.runs_as_root", one["name"], **evidence)


def _readable(one, policy):
    evidence = context(one)
    if not one["files"]:
        return unknown("redis.config_world_readable", one["name"],
                       "its configuration file is not known" if not one["config_file"] else _why(one), **evidence)
    open_files = sorted(path for path, file in one["files"].items() if file["secret"] and int(file["mode"], 8) & 0o004)
    evidence["persistent"] = dict(evidence["persistent"], files=dict(
        (path, file["mode"]) for path, file in one["files"].items()), open=open_files)
    if open_files:
        return found("redis.config_world_readable", one["name"], risk="manual" if one["foreign"] else None,
                     reason="every user of the host reads the password in %s" % ", ".join(open_files), **evidence)
    return passed("redis.config_world_readable", one["name"], **evidence)


def _differs(one, policy):
    evidence = context(one)
    if not one.get("booted", True):
        return not_applicable("redis.runtime_differs", "it is not running", one["name"], **evidence)
    evidence["observed"] = dict(evidence["observed"], differs=one["differs"])
    if one["sentinel"]:
        return not_applicable("redis.runtime_differs", "a sentinel writes its own file", one["name"], **evidence)
    if "protected-mode" not in one["effective"]:
        return unknown("redis.runtime_differs", one["name"], _why(one), **evidence)
    if one["differs"]:
        return found("redis.runtime_differs", one["name"],
                     reason="a restart would change %s" % ", ".join(one["differs"]), **evidence)
    return passed("redis.runtime_differs", one["name"], **evidence)
