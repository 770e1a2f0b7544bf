# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the instances of Redis that run: their processes, units, files, and what they answer."""

import os
import re
import time
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis import groups
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import Instance
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import at_boot_instances
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import expected_answers
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import is_masters
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import kept_passwords
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import open_folder
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import persistent
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import read_files
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import resource_of
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import shown_start
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.files import shown_user
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.reach import firewall_reach
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.reach import probe_all
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.weak_passwords import weak_words
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import acl
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import config
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import protocol
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import session
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import start
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import Settings

MOST = 32
MOST_GUESSES = 300
INSTANCE_SECONDS = 5.0
ALL_SECONDS = 13.0
COMPARED = ("bind", "protected-mode", "port", "tls-port", "unixsocket", "aclfile", "requirepass", "masterauth")
SHOWN = ("bind", "protected-mode", "port", "aclfile")


def collect(host: Any, policy: Dict[str, Any]) -> Dict[str, Any]:
    """Return {live, instances, gaps}; no password is among it."""
    if not host.live:
        return at_boot_instances(host, policy)
    processes = host.processes()
    ours = [process for process in processes.items if program_of(process)]
    pids = set(process.pid for process in ours)
    gaps = [gap for gap in processes.gaps if "hidepid" in gap or "listed" in gap]
    until = time.monotonic() + ALL_SECONDS
    found = [Running(host, process, policy, until).read()
             for process in [each for each in ours if each.ppid not in pids][:MOST]]
    if len(ours) > MOST:
        gaps.append("only the first %d instances were looked at" % MOST)
    instances = groups.link(host, [instance for instance, unused in found], [links for unused, links in found])
    return {"live": True, "instances": [instance._asdict() for instance in instances], "gaps": gaps}


def program_of(process: Any) -> str:
    """Return the name of the program where a process is an instance, else an empty text."""
    first = os.path.basename(process.argv[0].split(" ")[0]) if process.argv and process.argv[0] else ""
    for name in (process.comm, first):
        if name in start.PROGRAMS:
            return "redis-sentinel" if name == "redis-server" and "[sentinel]" in " ".join(process.argv) else name
    return ""


def address_of(listener: Listener) -> str:
    """Return ``ADDRESS:PORT`` of a listener, or its path."""
    return listener.path if listener.proto == "unix" else "%s:%d" % (listener.address, listener.port)


class Running:
    """An instance that runs, while it is read."""

    def __init__(self, host: Any, process: Any, policy: Dict[str, Any], until: float) -> None:
        self.host, self.process, self.policy = host, process, policy
        self.until = min(until, time.monotonic() + INSTANCE_SECONDS)
        self.foreign = process.netns != host.netns() or process.container is not None
        self.root = "/proc/%d/root" % process.pid if self.foreign else ""
        own = [each for each in host.listeners().items if process.pid in each.pids]
        self.tcp = [each for each in own if each.proto == "tcp"]
        self.listeners = [address_of(each) for each in own]
        self.gaps: List[str] = []
        self.settings: Optional[Settings] = None
        self.session: Optional[session.Session] = None
        self.links = groups.Links()
        self.made = Instance(program=program_of(process), uid=process.uid, unit=process.unit, container=process.container,
                             foreign=self.foreign, listeners=self.listeners)

    def read(self) -> Tuple[Instance, groups.Links]:
        """Return the Instance, and whom it replicates or watches."""
        probes: Dict[str, str] = {}
        if not self.foreign:
            probes = probe_all(self.host, self.tcp, [each for each in self.listeners if each.startswith("/")], self.until)
            self.session, unused = session.enter(self.listeners, (), None, until=self.until)
        info = self.session.info if self.session else {}
        begun = start.unit_start(self.host, self.process.unit) if not self.foreign else container_start(self.host, self.process)
        path = self._settings(info, begun)
        known = session.credentials(self.settings, self._read, kept_passwords(self.host, self.listeners))
        weak = Weakness(self, known)
        closed = self._enter(known + weak.found, weak)
        sentinel = "sentinel" in self.made.program
        self.made = self.made._replace(
            sentinel=sentinel, config_file=path, probes=probes, closed=closed,
            name=resource_of(self.made.program, self.process.container, self.listeners, self.settings, path),
            files=read_files(self.host, self.root, self.settings), persistent=persistent(self.settings, begun, self._read),
            folder="" if self.foreign else open_folder(path, self.process.uid), start=shown_start(begun),
            reach=firewall_reach(self.host, self.tcp) if not self.foreign else {})
        hashes = self._ask() if self.session is not None else {}
        weak.judge(hashes)
        if self.settings is not None and begun.known and not self.settings.gaps:
            self.made = self.made._replace(expected=expected_answers(self.settings, self._read, sentinel, self.made.version))
        if self.session is not None:
            self.session.close()
        return self.made._replace(gaps=self.gaps, weak=weak.result, weak_user=weak.user, weak_place=weak.place), self.links

    def _read(self, name: str) -> Optional[str]:
        text: Optional[str] = self.host.read(self.root + name)
        return text

    def _settings(self, info: Dict[str, str], begun: start.Start) -> str:
        path = start.config_path(self.process, info, begun)
        if path:
            self.settings = config.read_settings(path, self._read, lambda folder: list(self.host.list(self.root + folder)),
                                                 self.process.cwd or "/")
            self.gaps += self.settings.gaps
        elif begun.known:
            self.settings = Settings()
        if self.settings is not None:
            self.settings.add_options(list(begun.options), "the command line of %s (%s)" % (begun.unit, begun.source))
        return path

    def _enter(self, known: List[session.Credential], weak: "Weakness") -> str:
        """Log in, and return why nobody can where that is so."""
        if self.foreign:
            self.gaps.append("it runs in a container: its files were read, the server itself was not asked")
            return "it runs in a container"
        if self.session is not None:
            self.session.renamed = session.renamed_commands(self.settings)
            return ""
        self.session, hindrance = session.enter(self.listeners, known, self.settings, until=self.until)
        if self.session is None and weak.guess():
            self.session, hindrance = session.enter(self.listeners, weak.found, self.settings, until=self.until)
        if self.session is None:
            self.gaps.append("the server was not asked: %s" % hindrance)
            return hindrance
        return ""

    def _ask(self) -> Dict[str, str]:
        """Add what the server says of itself, and return {digest of a password: its user}, which goes no further."""
        if self.session is None:
            return {}
        info, made = self.session.info, self.made
        master = "%s:%s" % (info["master_host"], info.get("master_port", "")) if info.get("master_host") else None
        self.made = made = made._replace(
            version=info.get("redis_version") or info.get("valkey_version") or "", role=info.get("role", ""), master=master,
            mode=info.get("redis_mode", ""),
            replicas=sorted(value for name, value in info.items() if re.match(r"slave\d{1,6}\Z", name))[:1000])
        self.links = groups.ask(self.session, info, made.sentinel)
        try:
            own = str(self.session.ask("CLIENT", "ID"))
            listed = protocol.parse_clients(self.session.ask("CLIENT", "LIST"))
            made = made._replace(clients=sorted(set(_client(row) for row in listed if row.get("id") != own))[:100])
        except (protocol.RedisError, protocol.ProtocolError):
            self.gaps.append("the connected clients cannot be listed")
        made = self._runtime(made)
        hashes: Dict[str, str] = {}
        try:
            users = self.session.users()
            made.effective["users"] = [shown_user(user) for user in users][:1000]
            hashes = dict((each, user.name) for user in users if user.on for each in user.hashes)
        except (protocol.RedisError, protocol.ProtocolError):
            pass
        self.made = made
        return hashes

    def _runtime(self, made: Instance) -> Instance:
        if self.session is None:
            return made
        try:
            runtime = self.session.pairs("CONFIG", "GET", "*")
        except (protocol.RedisError, protocol.ProtocolError) as error:
            if made.sentinel:
                return made._replace(effective={})
            where = self.session.renamed.get("CONFIG", ("", ""))[1]
            why = "CONFIG is renamed (%s)" % where if where else "CONFIG is refused (%s)" % str(error).split(" ", 1)[0][:40]
            self.gaps.append("the settings in use cannot be asked: %s" % why)
            return made._replace(effective={}, closed=why)
        effective: Dict[str, Any] = dict((name, str(runtime.get(name, ""))) for name in SHOWN)
        effective["requirepass"] = bool(runtime.get("requirepass"))
        return made._replace(effective=effective, differs=differences(runtime, self.settings))


class Weakness:
    """Whether a password that anybody would try is one of an instance's, and whose. No password leaves it but to log in."""

    def __init__(self, running: Running, known: List[session.Credential]) -> None:
        host = running.host
        node = (host.read("/proc/sys/kernel/hostname", 256) or "").strip().split(".")[0]
        self.running = running
        self.words = weak_words(running.policy["words"], [node, host.system().id], time.localtime().tm_year)
        own = [each for each in known if "masterauth" not in each.place and not is_masters(running.settings, each)]
        self.known = bool(own)
        self.user = self.place = ""
        self.result: Optional[bool] = None
        self.found: List[session.Credential] = []
        words = set(self.words)
        for each in own:
            if each.password in words and self.result is None:
                self.result, self.user, self.place = True, each.user, each.place
        self.digests = dict((acl.digest(word), word) for word in self.words)
        if running.settings is not None:
            for user in acl.file_users(running.settings, running._read)[0]:
                self._hashes(user)

    def _hashes(self, user: acl.User) -> None:
        for each in user.hashes if user.on else ():
            self.known = True
            if each in self.digests:
                self.found.append(session.Credential(user.name, self.digests[each], user.place))
                if self.result is None:
                    self.result, self.user, self.place = True, user.name, user.place

    def judge(self, hashes: Dict[str, str]) -> None:
        """Take in the digests that the server has, or guess where nothing is known."""
        running = self.running
        for each, user in hashes.items():
            self.known = True
            if each in self.digests and self.result is None:
                self.result, self.user = True, user
        if self.result is None and self.known:
            self.result = False if running.session is not None or running.foreign else None

    def guess(self) -> bool:
        """Try a few words against a server that no known password opens; it is seen when to stop."""
        if self.known or self.running.foreign:
            return False
        word = session.guess(self.running.listeners, self.words[:MOST_GUESSES], self.running.until)
        if word is not None:
            self.result, self.user = True, "default"
            self.found.append(session.Credential("default", word, ""))
        return word is not None


def _client(row: Dict[str, str]) -> str:
    flags = row.get("flags", "")
    kind = " (replica)" if "S" in flags else " (master)" if "M" in flags else ""
    return row.get("addr", "").rpartition(":")[0].strip("[]") + kind


def container_start(host: Any, process: Any) -> start.Start:
    """Return how a container starts its instance, by the specification that its runtime has left."""
    name = (process.container or "").rpartition(":")[2]
    if not re.match(r"[0-9a-f]{12,64}\Z", name):
        return start.Start(gap="how its container starts it is not known")
    for folder in ("/run/containerd/io.containerd.runtime.v2.task/moby/%s", "/run/docker/containerd/daemon/io.containerd."
                   "runtime.v2.task/moby/%s", "/run/containers/storage/overlay-containers/%s/userdata",
                   "/var/lib/containers/storage/overlay-containers/%s/userdata",
                   "/var/lib/containers/storage/vfs-containers/%s/userdata"):
        path = folder % name + "/config.json"
        begun = start.container_start(host.read(path), path)
        if begun is not None:
            return begun
    return start.Start(gap="how its container starts it is not known")


def differences(runtime: Dict[str, Any], settings: Optional[Settings]) -> List[str]:
    """Return the names of settings in use that files and command line do not give, so that a restart would change them."""
    if settings is None:
        return []
    found = []
    for name in COMPARED:
        words = settings.last(name)
        if name not in runtime:
            continue
        now = str(runtime[name] or "")
        if words is None:
            words = {"bind": [now if now in ("", "* -::*", "127.0.0.1 -::1") else ""], "tls-port": ["0"],
                     "unixsocket": [""]}.get(name, [""])
        if " ".join(words).lower().split() != now.lower().split():
            found.append(name)
    return found
