# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge what is known of the instances of Redis."""

from typing import Any, Callable, Dict, List

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis import remedy
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import Instance
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import is_remote
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import with_remedies
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.session import version_numbers

DANGEROUS = ("config", "flushall", "debug", "module", "replicaof", "shutdown")
ANSWERED = ("PONG", "ANSWERED")
RUNTIME_BIND = (6, 2)
CHECKED = ("redis.no_auth", "redis.exposed", "redis.weak_password", "redis.dangerous_commands", "redis.runs_as_root",
           "redis.config_world_readable", "redis.runtime_differs")
Finding = Dict[str, Any]


def check(facts: Dict[str, Any], policy: Dict[str, Any]) -> List[Finding]:
    """Return the findings."""
    if not facts["instances"]:
        if facts["gaps"]:
            return [unknown(each, "redis", facts["gaps"][0]) for each in CHECKED]
        reason = "no Redis, Valkey or KeyDB runs here" if facts["live"] else "no Redis, Valkey or KeyDB is started at boot"
        return [not_applicable(each, reason) for each in CHECKED]
    instances = [Instance(**each) for each in facts["instances"]]
    others = dict((each.name, each) for each in instances)
    findings: List[Finding] = []
    for instance in instances:
        judge = Judge(instance, policy, others)
        for rule in judge.rules():
            finding = rule()
            # With a file unread, nothing that follows from the files alone may pass.
            if not instance.booted and instance.gaps and finding["status"] == "passed":
                finding.update(status="unknown", reason=instance.gaps[0])
            findings.append(finding)
    return with_remedies(findings, lambda each: remedy.of(each, others))


def context(instance: Instance) -> Dict[str, Any]:
    """Return the evidence that all findings of an instance share."""
    if not instance.booted:
        return {"persistent": dict(instance.persistent, unauthenticated=instance.expected, version=instance.version,
                                   listeners=instance.listeners, unit=instance.unit, config_file=instance.config_file,
                                   sentinel=instance.sentinel, foreign=instance.foreign)}
    stays = dict(instance.persistent)
    if instance.expected:
        stays["unauthenticated"] = instance.expected
    if instance.start.get("options"):
        stays["options"] = instance.start["options"]
    return {"effective": {"version": instance.version, "role": instance.role, "listeners": instance.listeners,
                          "unit": instance.unit, "config_file": instance.config_file, "sentinel": instance.sentinel,
                          "settings": instance.effective, "foreign": instance.foreign},
            "persistent": stays, "observed": {"unauthenticated": instance.probes, "firewall": instance.reach}}


class Judge:
    """The rules, for one instance."""

    def __init__(self, instance: Instance, policy: Dict[str, Any], others: Dict[str, Instance]) -> None:
        self.one, self.policy, self.others = instance, policy, others
        self.evidence = context(instance)
        self.outside = [where for where in instance.listeners if is_remote(where)]

    def rules(self) -> List[Callable[[], Finding]]:
        """Return the rules in the order of the checks."""
        return [self.no_auth, self.exposed, self.weak_password, self.dangerous_commands, self.runs_as_root,
                self.config_world_readable, self.runtime_differs]

    # What the rules share

    @property
    def answers(self) -> Dict[str, str]:
        """What a client without a password is told at each address, or will be."""
        return self.one.probes if self.one.booted else self.one.expected

    def why(self) -> str:
        """Return why something could not be told."""
        return self.one.gaps[0] if self.one.gaps else "the server cannot be asked"

    def users(self) -> Any:
        """Return what is known of the users; None where nothing is."""
        return (self.one.effective if self.one.booted else self.one.persistent).get("users")

    def passed(self, check_id: str, reason: str = "") -> Finding:
        return passed(check_id, self.one.name, reason=reason, **self.evidence)

    def unknown(self, check_id: str, reason: str) -> Finding:
        return unknown(check_id, self.one.name, reason, **self.evidence)

    def skipped(self, check_id: str, reason: str) -> Finding:
        return not_applicable(check_id, reason, self.one.name, **self.evidence)

    def found(self, check_id: str, reason: str, need: str, **more: Any) -> Finding:
        """Return an open finding with its risk; where the role has to leave it, the reason says why."""
        ruled = remedy.verdict(self.one, need, self.others)
        more.setdefault("risk", ruled.risk)
        if ruled.hindrance:
            more["risk"] = "manual"
            reason = "%s; by hand, as %s" % (reason, ruled.hindrance)
        return found(check_id, self.one.name, reason=reason, **dict(self.evidence, **more))

    def walled(self) -> str:
        """Return "closed" or "restricted" where the firewall lets nobody, or only some, get to any address; else ""."""
        states = set(self.one.reach.values())
        if not states or states & {"open", "unknown"}:
            return ""
        return "restricted" if "restricted" in states else "closed"

    def gravity(self) -> Dict[str, Any]:
        """Return the severity of what others could do by the network, where a firewall is before it."""
        wall = self.walled()
        return {"severity": {"closed": "low", "restricted": "medium"}[wall]} if wall else {}

    def walls(self) -> str:
        """Return the words for it."""
        return {"closed": " (the firewall lets no other host get to it)",
                "restricted": " (the firewall lets only some hosts get to it)"}.get(self.walled(), "")

    # The rules

    def no_auth(self) -> Finding:
        check_id, one = "redis.no_auth", self.one
        if not self.answers:
            return self._no_auth_by_files(check_id)
        bare = [where for where, answer in self.answers.items() if answer in ANSWERED]
        outside = [where for where in bare if is_remote(where)]
        affects = remedy.affected(one)
        if outside:
            return self.found(check_id, "a client without a password is answered at %s%s" % (", ".join(outside), self.walls()),
                              remedy.AUTH, affects=affects, **self.gravity())
        others = [user["name"] for user in self.users() or () if user["on"] and user["nopass"] and user["name"] != "default"]
        if others and any(is_remote(where) for where in self.answers):
            return self.found(check_id, "the user %s needs no password" % ", ".join(others), remedy.AUTH, risk="manual",
                              **self.gravity())
        later = self._later(ANSWERED)
        if later:
            return self.found(check_id, "from its next start on a client without a password is answered at %s%s"
                              % (", ".join(later), self._given(("requirepass", "aclfile"))), remedy.AUTH, affects=affects)
        if bare and not self.policy["loopback_ok"]:
            return self.found(check_id, "every user of this host is answered without a password", remedy.AUTH,
                              severity="low", affects=affects)
        unclear = self._unclear()
        if unclear:
            return self.unknown(check_id, "there is no answer at %s" % ", ".join(unclear))
        if self._wants_certificates():
            return self.passed(check_id, "clients must show a certificate (tls-auth-clients)")
        return self.passed(check_id, "no other host is answered without a password")

    def _no_auth_by_files(self, check_id: str) -> Finding:
        stays, one = self.one.persistent, self.one
        if one.foreign and stays and not one.gaps[:-1]:
            if stays.get("requirepass") and not stays.get("aclfile"):
                return self.passed(check_id, "its configuration asks for a password")
        return self.unknown(check_id, self.why())

    def _later(self, words: Any) -> List[str]:
        """Return the addresses of other hosts' reach that are answered so from the next start on, and not now."""
        one = self.one
        if not one.booted or one.foreign or not one.expected:
            return []
        now = set(where.rpartition(":")[2] for where, answer in one.probes.items() if answer in words and is_remote(where))
        return [where for where, answer in one.expected.items()
                if answer in words and is_remote(where) and where.rpartition(":")[2] not in now]

    def _given(self, names: Any) -> str:
        """Return where the settings are given that the next start goes by."""
        places = self.one.persistent.get("places", {})
        given = ["%s: %s" % (name, places[name]) for name in names if name in places]
        return " (%s)" % ", ".join(given) if given else " (%s is given nowhere)" % names[0]

    def _unclear(self) -> List[str]:
        strict = self.one.persistent.get("tls-auth-clients", "") == "yes"
        return [where for where, answer in self.answers.items() if is_remote(where)
                and (answer in ("NO ANSWER", "ERROR") or answer == "HANDSHAKE" and not strict)]

    def _wants_certificates(self) -> bool:
        return any(answer in ("CERTIFICATE", "HANDSHAKE") for answer in self.answers.values())

    def exposed(self) -> Finding:
        check_id, one = "redis.exposed", self.one
        if one.foreign:
            return self.unknown(check_id, "what of a container is reached from outside is for the class ports")
        wide = self._wide(one.listeners)
        later = [] if wide or not one.booted else self._wide(list(one.expected))
        if later and all(one.expected[where] == "DENIED" for where in later):
            later = []
        if not wide and not later:
            return self.passed(check_id, "it listens on loopback and on addresses of the policy")
        remote_probes = [answer for where, answer in self.answers.items() if is_remote(where)]
        if not later and remote_probes and all(answer == "DENIED" for answer in remote_probes):
            return self.passed(check_id, "protected mode turns other hosts away")
        restarted = ["%s is restarted" % one.unit] if one.unit and not _rebinds(one.version) and wide else []
        more: Dict[str, Any] = {"affects": remedy.affected(one, remedy.NARROW) + restarted}
        if restarted and not remedy.restarts(one):
            more["risk"] = "manual"
        if later:
            return self.found(check_id, "from its next start on it listens on %s%s" % (
                ", ".join(later), self._given(("bind",))), remedy.NARROW, **more)
        more.update(self.gravity())
        return self.found(check_id, "it listens on %s%s" % (", ".join(wide), self.walls()), remedy.NARROW, **more)

    def _wide(self, listeners: List[str]) -> List[str]:
        return [where for where in listeners
                if is_remote(where) and where.rpartition(":")[0] not in self.policy["networks"]]

    def weak_password(self) -> Finding:
        check_id, one = "redis.weak_password", self.one
        bare = any(answer in ANSWERED for answer in self.answers.values())
        if one.weak:
            whose = "" if one.weak_user in ("", "default") else " of the user %s" % one.weak_user
            where = " (%s)" % one.weak_place if one.weak_place else ""
            more: Dict[str, Any] = {"affects": remedy.affected(one)}
            if not one.booted:
                more["risk"] = "manual"  # a password that is made for an image would be that of all its clones
            return self.found(check_id, "its password%s is one of those that are tried first%s" % (whose, where),
                              remedy.AUTH, **more)
        if bare and one.weak is not False:
            return self.skipped(check_id, "it has no password")
        if one.weak is False:
            return self.passed(check_id)
        if self._wants_certificates() and one.booted and not one.persistent.get("requirepass"):
            return self.skipped(check_id, "clients show a certificate, not a password")
        return self.unknown(check_id, "its password is not known here, and none of the common ones that were tried was it")

    def dangerous_commands(self) -> Finding:
        check_id, one = "redis.dangerous_commands", self.one
        if one.sentinel:
            return self.skipped(check_id, "a sentinel has no data")
        if not self.outside:
            return self.passed(check_id, "only this host itself gets to it")
        users = self.users()
        left = [name for name in DANGEROUS if name not in one.persistent.get("renamed", [])]
        if not left:
            return self.passed(check_id, "they are renamed")
        if users is None:
            return self.unknown(check_id, self.why())
        if any(user["name"] == "default" and user["on"] and user["all"] for user in users):
            return found(check_id, one.name, reason="whoever gets in as the default user may use %s" % ", ".join(left),
                         **self.evidence)
        return self.passed(check_id)

    def runs_as_root(self) -> Finding:
        check_id, one = "redis.runs_as_root", self.one
        self.evidence["effective" if "effective" in self.evidence else "persistent"]["uid"] = one.uid
        if one.uid is None:
            return self.unknown(check_id, "the owner of the process cannot be read")
        if one.uid == 0:
            return found(check_id, one.name, reason="it runs as root", **self.evidence)
        return self.passed(check_id)

    def config_world_readable(self) -> Finding:
        check_id, one = "redis.config_world_readable", self.one
        if not one.files:
            return self.unknown(check_id, "its configuration file is not known" if not one.config_file else self.why())
        paths = remedy.open_files(one)
        self.evidence["persistent"] = dict(self.evidence["persistent"], open=paths, files=dict(
            (path, file["mode"]) for path, file in one.files.items()))
        if paths:
            return self.found(check_id, "every user of the host reads the password in %s" % ", ".join(paths), remedy.PROTECT)
        return self.passed(check_id)

    def runtime_differs(self) -> Finding:
        check_id, one = "redis.runtime_differs", self.one
        if not one.booted:
            return self.skipped(check_id, "it is not running")
        self.evidence["observed"] = dict(self.evidence["observed"], differs=one.differs)
        if one.sentinel:
            return self.skipped(check_id, "a sentinel writes its own file")
        if "protected-mode" not in one.effective:
            return self.unknown(check_id, self.why())
        if not one.differs:
            return self.passed(check_id)
        names = ", ".join(one.differs)
        if one.start.get("known"):
            reason = "a restart would change %s" % names
        else:
            reason = "%s in use is not that of its file, and %s" % (names, one.start.get("gap") or "what starts it is not known")
        return found(check_id, one.name, reason=reason, **self.evidence)


def _rebinds(version: str) -> bool:
    """Tell whether a server of this version takes other addresses while it runs (Redis 6.2)."""
    return version_numbers(version)[:2] >= RUNTIME_BIND
