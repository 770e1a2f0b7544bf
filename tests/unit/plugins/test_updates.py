"""Updates: what apt, dnf and yum print, judged; hosts that are broken, cut off from the network, or hostile."""

from __future__ import annotations

import calendar
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import updates
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import (
    CommandResult,
    Process,
    Reading,
    System,
    Unit,
)
from ansible_collections.hostmend.hardening.plugins.module_utils.updates import apt, dnf, kernel, releases, stale
from hypothesis import given, settings
from hypothesis import strategies as st

POLICY: dict[str, Any] = {**updates.POLICY, "common": {}}
SIMULATED = """\
Reading package lists...
Calculating upgrade...
Inst haproxy [2.6.12-1+deb12u3] (2.6.12-1+deb12u4 Debian-Security:12/oldstable-security [amd64])
Inst libexpat1 [2.5.0-1+deb12u2] (2.5.0-1+deb12u5 Debian-Security:12/oldstable-security, Debian:12.15/oldstable [amd64]) []
Inst tzdata [2025b-0+deb12u1] (2026f-0+deb12u1 Debian:12-updates/oldstable-updates [all])
Inst linux-image-6.1.0-50-amd64 (6.1.170-1 Debian-Security:12/oldstable-security [amd64])
Conf haproxy (2.6.12-1+deb12u4 Debian-Security:12/oldstable-security [amd64])
Remv oldthing [1.0]
"""
BROKEN = """\
E: Malformed entry 1 in list file /etc/apt/sources.list.d/broken.list (Suite)
E: The list of sources could not be read.
"""
RELEASE = """\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Label: %s
Suite: %s
Codename: bookworm-security
Date: Wed, 25 Nov 2026 08:00:00 UTC
Valid-Until: %s
SHA256:
 0 0 x
"""
STATUS = """\
Package: haproxy
Status: install ok installed
Version: 2.6.12-1+deb12u3

Package: libexpat1
Status: hold ok installed
Source: expat
Version: 2.5.0-1+deb12u2

Package: tzdata
Status: install ok installed
Version: 2025b-0+deb12u1

"""
TIMERS = tuple(Unit(name, "loaded", "active", "waiting", "enabled") for name in ("apt-daily.timer", "apt-daily-upgrade.timer"))
PERIODIC = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
ORIGINS = 'Unattended-Upgrade::Origins-Pattern:: "origin=Debian,label=Debian-Security";\n'


class FakeHost(Host):
    """A host of files below a folder, with what its commands say, by their first words."""

    def __init__(self, root: Path, says: dict[str, Any] | None = None, running: bool = True, executes: bool = True,
                 units: tuple[Unit, ...] = TIMERS, container: str | None = None, version: str = "12",
                 processes: tuple[Process, ...] = (), distribution: str = "debian") -> None:
        super().__init__(str(root))
        self.says, self.running, self.can_run, self.unit_items = says or {}, running, executes, units
        self.container, self.version, self.process_items = container, version, processes
        self.distribution = distribution
        self.asked: list[tuple[str, ...]] = []

    @property
    def live(self) -> bool:
        return self.running

    @property
    def executes(self) -> bool:
        return self.can_run

    def system(self) -> System:
        return System(self.distribution, (), self.version, "bookworm", "Debian 12", "6.1.0-40-amd64", "x86_64", "systemd",
                      self.container, False, self.running, True)

    def units(self) -> Reading:
        return Reading(self.unit_items)

    def processes(self) -> Reading:
        return Reading(self.process_items)

    def run(self, argv: Any, **_more: Any) -> CommandResult:
        argv = tuple(argv)
        self.asked.append(argv)
        said = next((self.says[words] for words in self.says if " ".join(argv).startswith(words)), None)
        if said is None:
            return CommandResult(argv, None, "", "", "not found")
        code, out, err = said if isinstance(said, tuple) else (0, said, "")
        return CommandResult(argv, code, out, err)


def debian(root: Path, index: bool = True, label: str = "Debian-Security", until: str = "Wed, 01 Dec 2049 08:00:00 UTC") -> Path:
    """Make the files of a Debian host with a fresh index."""
    files = {
        "etc/apt/sources.list": "deb http://deb.debian.org/debian bookworm main\n"
                                "deb http://security.debian.org/debian-security bookworm-security main\n",
        "var/lib/dpkg/status": STATUS,
        "usr/bin/apt-get": "", "usr/bin/unattended-upgrade": "",
    }
    if index:
        lists = "var/lib/apt/lists/"
        files[lists + "deb.debian.org_debian_dists_bookworm_InRelease"] = RELEASE % ("Debian", "oldstable", until)
        files[lists + "security.debian.org_debian-security_dists_bookworm-security_InRelease"] = RELEASE % (
            label, "oldstable-security", until)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True, exist_ok=True)
    return root


def saying(simulated: Any = SIMULATED, **more: Any) -> dict[str, Any]:
    return {"apt-config": PERIODIC + ORIGINS, "apt-get -s": simulated, "apt-cache": "", **more}


def judge(host: FakeHost, **policy: Any) -> dict[tuple[str, str], dict[str, Any]]:
    chosen = {**POLICY, **policy}
    found = updates.check(updates.collect(host, chosen), chosen)
    assert {one["check"] for one in found} == set(updates.CHECKS)
    assert len({(one["check"], one["resource"]) for one in found}) == len(found)
    return {(one["check"].split(".")[1], one["resource"]): one for one in found}


def statuses(found: dict[tuple[str, str], dict[str, Any]], check: str) -> dict[str, str]:
    return {resource: one["status"] for (name, resource), one in found.items() if name == check}


# apt


def test_a_simulated_upgrade() -> None:
    wanted, removed = apt.parse_simulation(SIMULATED)
    assert [(one["name"], one["installed"], one["candidate"]) for one in wanted] == [
        ("haproxy", "2.6.12-1+deb12u3", "2.6.12-1+deb12u4"), ("libexpat1", "2.5.0-1+deb12u2", "2.5.0-1+deb12u5"),
        ("tzdata", "2025b-0+deb12u1", "2026f-0+deb12u1"), ("linux-image-6.1.0-50-amd64", "", "6.1.170-1")]
    assert wanted[1]["origins"] == ["Debian-Security:12/oldstable-security", "Debian:12.15/oldstable"]
    assert removed == [["oldthing", "1.0"]]
    bare, _removed = apt.parse_simulation("Inst x:i386 [1] (2 [i386])\nInst y [1] (2 My Repo:1/stable [all])\n")
    assert [(one["name"], one["origins"], one["arch"]) for one in bare] == [
        ("x:i386", [], "i386"), ("y", ["My Repo:1/stable"], "all")]


@pytest.mark.parametrize(("origin", "security"), [
    ("Debian-Security:12/oldstable-security", True), ("Ubuntu:22.04/jammy-security", True),
    ("UbuntuESM:22.04/jammy-infra-security", True), ("Debian:12-updates/oldstable-updates", False),
    ("Ubuntu:22.04/jammy-updates", False), ("Debian Backports:12/bookworm-backports", False), ("", False)])
def test_origins_that_are_for_security(origin: str, security: bool) -> None:
    assert apt.is_security(origin) is security


def test_an_origin_of_the_policy_is_for_security() -> None:
    assert apt.is_security("Acme:1/fixes", ["Acme"])
    assert apt.is_security("Acme:1/fixes", ["fixes"])


def test_a_version_that_came_after_a_security_update() -> None:
    text = """\
tzdata:
  Installed: 1
  Candidate: 3
  Version table:
     3 500
        500 http://a bookworm/main amd64 Packages
     2 500
        500 http://b bookworm-security/main amd64 Packages
 *** 1 100
        100 /var/lib/dpkg/status
     0 500
        500 http://b bookworm-security/main amd64 Packages
vim:
  Installed: 2
  Candidate: 3
  Version table:
     3 500
        500 http://a bookworm/main amd64 Packages
 *** 2 100
        500 http://b bookworm-security/main amd64 Packages
        100 /var/lib/dpkg/status
"""
    assert apt.parse_policy(text) == {"tzdata": ("2", "http://b bookworm-security/main")}


def test_sources_of_both_forms() -> None:
    text = "# deb x y\ndeb [arch=amd64 trusted=yes] http://u@h/d s main\ndeb-src http://h/d s main\ndeb nonsense\n"
    assert [(one["uri"], one["suite"], one["trusted"]) for one in apt.parse_sources(text, "/a.list")] == [
        ("http://u@h/d", "s", True)]
    text = ("Types: deb\nURIs: http://h/d\n http://i/d\nSuites: s t\nTrusted: no\n\n"
            "Enabled: no\nTypes: deb\nURIs: http://j\nSuites: s\n")
    assert [(one["uri"], one["suite"]) for one in apt.parse_sources(text, "/a.sources")] == [
        ("http://h/d", "s"), ("http://h/d", "t"), ("http://i/d", "s"), ("http://i/d", "t")]


@pytest.mark.parametrize(("uri", "suite", "name"), [
    ("http://deb.debian.org/debian", "bookworm", "deb.debian.org_debian_dists_bookworm_"),
    ("https://user:secret@h/a_b/", "s/updates", "h_a%5fb_dists_s_updates_"), ("file:/srv/repo", "./", "_srv_repo_._"),
    ("http://h/flat", "/", "h_flat_"), ("mirror+file:/etc/mirrors", "s", "_etc_mirrors_dists_s_"), ("cdrom:[x]/", "s", None)])
def test_names_of_index_files(uri: str, suite: str, name: str | None) -> None:
    assert apt.index_name(uri, suite) == name


def test_pending_updates_of_a_debian_host(tmp_path: Path) -> None:
    found = judge(FakeHost(debian(tmp_path), saying()))
    assert statuses(found, "security_pending") == {"haproxy": "open", "libexpat1": "open"}
    haproxy, held = found["security_pending", "haproxy"], found["security_pending", "libexpat1"]
    assert haproxy["evidence"]["effective"]["installed"] == "2.6.12-1+deb12u3"
    assert haproxy["evidence"]["observed"]["candidate"] == "2.6.12-1+deb12u4"
    assert haproxy["evidence"]["observed"]["origin"] == "Debian-Security:12/oldstable-security"
    assert "risk" not in haproxy
    assert (held["risk"], held["evidence"]["effective"]["source"]) == ("manual", "expat")
    assert found["cve", "installed packages"]["status"] == "unknown"


def test_the_contract_with_the_advisories(tmp_path: Path) -> None:
    facts = updates.collect(FakeHost(debian(tmp_path), saying()), POLICY)
    assert ["libexpat1", "2.5.0-1+deb12u2", "expat", "2.5.0-1+deb12u2"] in facts["packages"]
    assert {"id": "debian", "version_id": "12", "codename": "bookworm"}.items() <= facts["distribution"].items()


def test_all_updates_where_the_policy_wants_them(tmp_path: Path) -> None:
    found = judge(FakeHost(debian(tmp_path), saying()), scope="all")
    assert found["security_pending", "tzdata"]["severity"] == "low"


def test_a_host_without_pending_updates(tmp_path: Path) -> None:
    found = judge(FakeHost(debian(tmp_path), saying("Reading package lists...\n")))
    assert statuses(found, "security_pending") == {"installed packages": "passed"}
    assert statuses(found, "index_stale") == {"package index": "passed"}
    assert statuses(found, "unattended_off") == {"automatic security updates": "passed"}


def test_no_command_takes_a_lock_or_the_network(tmp_path: Path) -> None:
    host = FakeHost(debian(tmp_path), saying())
    judge(host)
    for argv in host.asked:
        assert argv[0] in ("apt-config", "apt-cache", "dpkg") or ("-s" in argv and "Debug::NoLocking=1" in argv)
        assert argv[0] != "apt-get" or "Dir::Cache::pkgcache=" in argv, "an old cache of apt is made in memory"


def test_a_cache_that_is_fresh_is_used(tmp_path: Path) -> None:
    host = FakeHost(debian(tmp_path), saying())
    (tmp_path / "var/cache/apt").mkdir(parents=True)
    (tmp_path / "var/cache/apt/pkgcache.bin").write_text("")
    judge(host)
    assert not any("Dir::Cache::pkgcache=" in argv for argv in host.asked)


def test_a_pin_that_keeps_security_updates_back(tmp_path: Path) -> None:
    root = debian(tmp_path)
    (root / "etc/apt/preferences").write_text("Package: *\nPin: release l=Debian-Security\nPin-Priority: -1\n")
    says = {"apt-config": "", "apt-get -s -q -o Debug::NoLocking=1 -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "
            "-o APT::Ignore-Hold=true -o Dir::Etc::Preferences=/dev/null": SIMULATED, "apt-get -s": "", "apt-cache": ""}
    pinned = judge(FakeHost(root, says))["security_pending", "haproxy"]
    assert (pinned["status"], pinned["risk"]) == ("open", "manual")
    assert pinned["evidence"]["observed"]["pinned"] is True


def test_no_index_is_unknown_and_no_finding(tmp_path: Path) -> None:
    found = judge(FakeHost(debian(tmp_path, index=False), saying("")))
    assert found["security_pending", "installed packages"]["status"] == "unknown"
    assert found["index_stale", "package index"]["status"] == "unknown"
    assert "never fetched" in found["index_stale", "package index"]["reason"]


def test_an_old_index_hides_what_came_since(tmp_path: Path) -> None:
    root = debian(tmp_path)
    for folder, _folders, _names in os.walk(root / "var/lib/apt"):
        os.utime(folder, (time.time() - 30 * 86400,) * 2)
    found = judge(FakeHost(root, saying("")))
    assert found["security_pending", "installed packages"]["status"] == "unknown"
    assert (found["index_stale", "package index"]["status"], found["index_stale", "package index"]["risk"]) == ("open", "manual")
    assert "risk" not in judge(FakeHost(root, saying("")), refresh=True)["index_stale", "package index"]
    # What is known to be pending stays so.
    assert judge(FakeHost(root, saying()))["security_pending", "haproxy"]["status"] == "open"


def test_an_index_that_has_run_out(tmp_path: Path) -> None:
    found = judge(FakeHost(debian(tmp_path, until="Wed, 25 Nov 2020 08:00:00 UTC"), saying()))
    assert found["index_stale", "http://deb.debian.org/debian bookworm"]["status"] == "open"


def test_a_source_that_leads_to_no_index(tmp_path: Path) -> None:
    """A host without network, an address that is gone, a repository that nobody has signed: apt keeps no index of it."""
    root = debian(tmp_path)
    (root / "etc/apt/sources.list.d").mkdir()
    (root / "etc/apt/sources.list.d/more.list").write_text("deb http://me:secret@127.0.0.1:9/debian gone main\n")
    found = judge(FakeHost(root, saying()))
    one = found["index_stale", "http://127.0.0.1:9/debian gone"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "secret" not in str(found)


@pytest.mark.parametrize("line", ["deb [trusted=yes] http://h/d s main\n", "deb http://h/d s main\n"])
def test_a_repository_whose_signature_is_not_checked(tmp_path: Path, line: str) -> None:
    root = debian(tmp_path)
    with (root / "etc/apt/sources.list").open("a") as out:
        out.write(line)
    (root / "var/lib/apt/lists/h_d_dists_s_Release").write_text("Label: x\n")
    one = judge(FakeHost(root, saying()))["index_stale", "http://h/d s"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "signature" in one["reason"]


def test_a_broken_list_of_sources(tmp_path: Path) -> None:
    for index in (True, False):
        found = judge(FakeHost(debian(tmp_path / str(index), index), saying((100, "", BROKEN))))
        assert "Malformed entry 1" in found["index_stale", "sources"]["reason"]
        assert found["index_stale", "sources"]["status"] == "open"
        assert found["security_pending", "installed packages"]["status"] == "unknown"


def test_no_source_for_security(tmp_path: Path) -> None:
    root = debian(tmp_path)
    (root / "etc/apt/sources.list").write_text("deb http://deb.debian.org/debian bookworm main\n")
    found = judge(FakeHost(root, saying("")))
    assert found["index_stale", "security source"]["status"] == "open"
    assert found["security_pending", "installed packages"]["status"] == "unknown"


def test_an_interrupted_dpkg(tmp_path: Path) -> None:
    root = debian(tmp_path)
    (root / "var/lib/dpkg/status").write_text(STATUS.replace("install ok installed", "install ok half-configured", 1))
    (root / "var/lib/dpkg/updates").mkdir()
    (root / "var/lib/dpkg/updates/0001").write_text("")
    one = judge(FakeHost(root, saying((100, "", "E: Unmet dependencies.\n"))))["security_pending", "dpkg"]
    assert one["status"] == "open"
    assert one["evidence"]["effective"]["half_done"] == ["haproxy", "/var/lib/dpkg/updates"]


def test_an_apt_that_hangs(tmp_path: Path) -> None:
    found = judge(FakeHost(debian(tmp_path), {"apt-config": ""}))
    assert found["security_pending", "installed packages"]["reason"] == "not found"


def test_an_image_that_is_not_running(tmp_path: Path) -> None:
    host = FakeHost(debian(tmp_path), running=False, executes=False, units=(
        Unit("apt-daily.timer", "loaded", "inactive", "dead", "enabled"),
        Unit("apt-daily-upgrade.timer", "loaded", "inactive", "dead", "enabled")))
    (tmp_path / "etc/apt/apt.conf.d").mkdir()
    (tmp_path / "etc/apt/apt.conf.d/20auto").write_text(PERIODIC)
    (tmp_path / "etc/apt/apt.conf.d/50un").write_text(
        'Unattended-Upgrade::Origins-Pattern {\n   "origin=Debian,label=Debian-Security";\n};\n')
    found = judge(host)
    assert host.asked == []
    assert statuses(found, "security_pending") == {"installed packages": "unknown"}
    assert statuses(found, "reboot_required") == {"kernel": "not_applicable"}
    assert statuses(found, "stale_process") == {"processes": "not_applicable"}
    assert statuses(found, "unattended_off") == {"automatic security updates": "passed"}
    assert statuses(found, "eol_release") == {"debian 12": "passed"}


# Automatic updates


@pytest.mark.parametrize(("config", "units", "reason"), [
    (ORIGINS, TIMERS, "not told to install"),
    (PERIODIC + ORIGINS + 'APT::Periodic::Enable "0";\n', TIMERS, "not told to install"),
    ('APT::Periodic::Unattended-Upgrade "1";\n' + ORIGINS, TIMERS, "nothing fetches"),
    (PERIODIC + 'Unattended-Upgrade::Origins-Pattern:: "origin=Acme";\n', TIMERS, "none that is for security"),
    (PERIODIC + ORIGINS, TIMERS[:1], "apt-daily-upgrade.timer"),
])
def test_automatic_updates_that_do_nothing(tmp_path: Path, config: str, units: tuple[Unit, ...], reason: str) -> None:
    says = {"apt-config": config, "apt-get": "", "apt-cache": ""}
    one = judge(FakeHost(debian(tmp_path), says, units=units))["unattended_off", "automatic security updates"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert reason in one["reason"]
    wanted = judge(FakeHost(debian(tmp_path), says, units=units), unattended="mend")
    assert "risk" not in wanted["unattended_off", "automatic security updates"]
    other = judge(FakeHost(debian(tmp_path), says, units=units), unattended="elsewhere")
    assert other["unattended_off", "automatic security updates"]["status"] == "not_applicable"


def test_timers_that_cannot_be_seen_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(debian(tmp_path), saying())
    monkeypatch.setattr(host, "units", lambda: Reading((), ("systemd cannot be asked: timed out after 5 s",)))
    assert statuses(judge(host), "unattended_off") == {"automatic security updates": "unknown"}


def test_a_container_without_an_updater(tmp_path: Path) -> None:
    root = debian(tmp_path)
    (root / "usr/bin/unattended-upgrade").unlink()
    found = judge(FakeHost(root, saying(), container="podman"))
    assert statuses(found, "unattended_off") == {"automatic security updates": "not_applicable"}
    assert judge(FakeHost(root, saying()))["unattended_off", "automatic security updates"]["status"] == "open"


# Releases


@pytest.mark.parametrize(("distribution", "version", "lts", "paid", "end"), [
    ("debian", "12", True, False, "2028-06-30"), ("debian", "12", False, False, "2026-06-10"),
    ("ubuntu", "20.04", True, False, "2025-05-31"), ("ubuntu", "20.04", True, True, "2030-04-30"),
    ("rocky", "9.4", True, False, "2032-05-31"), ("alpine", "3.20.1", True, False, "2026-04-01"),
    ("debian", "99", True, False, None), ("slackware", "1", True, False, None)])
def test_when_releases_end(distribution: str, version: str, lts: bool, paid: bool, end: str | None) -> None:
    assert releases.end_of(distribution, version, lts, paid) == end


def test_the_table_of_releases_holds_days() -> None:
    days = [day for versions in releases.ENDS.values() for entry in versions.values() for day in entry]
    assert all(time.strptime(day, "%Y-%m-%d") for day in days if day)
    assert all(entry[0] for versions in releases.ENDS.values() for entry in versions.values())


@pytest.mark.parametrize(("version", "today", "status"), [
    ("11", "2026-08-31", "passed"), ("11", "2026-09-01", "open"), ("", "2026-09-01", "not_applicable"),
    ("77", "2026-09-01", "unknown"), ("11", "1970-01-01", "unknown")])
def test_the_end_of_a_release(tmp_path: Path, version: str, today: str, status: str) -> None:
    facts = updates.collect(FakeHost(debian(tmp_path), saying(), version=version), POLICY)
    facts["today"] = today
    [one] = [one for one in updates.check(facts, POLICY) if one["check"] == "updates.eol_release"]
    assert one["status"] == status


# Kernels


@pytest.mark.parametrize(("name", "release"), [
    ("linux-image-6.1.0-40-amd64", "6.1.0-40-amd64"), ("linux-image-unsigned-6.8.0-1-generic", "6.8.0-1-generic"),
    ("linux-image-amd64", ""), ("linux-image-6.1.0-40-amd64-dbg", ""), ("linux-headers-6.1.0-40-amd64", "")])
def test_packages_of_kernels(name: str, release: str) -> None:
    assert kernel.image_release(name) == release


@pytest.mark.parametrize(("installed", "greater", "asked", "status"), [
    ({"6.1.0-40-amd64": "6.1.153-1"}, False, False, "passed"), ({"6.1.0-40-amd64": "6.1.153-1"}, False, True, "open"),
    ({"6.1.0-40-amd64": "6.1.153-1", "6.1.0-41-amd64": "6.1.158-1"}, True, False, "open"),
    ({"6.1.0-39-amd64": "6.1.148-1", "6.1.0-40-amd64": "6.1.153-1"}, False, False, "passed"),
    ({"6.1.0-41-cloud-amd64x": "6.1.158-1", "6.1.0-40-amd64": "6.1.153-1"}, True, False, "passed"),
    ({}, False, False, "not_applicable")])
def test_a_reboot_that_is_due(tmp_path: Path, installed: dict[str, str], greater: bool, asked: bool, status: str) -> None:
    root = debian(tmp_path)
    (root / "var/lib/dpkg/status").write_text(STATUS + "".join(
        f"Package: linux-image-{release}\nStatus: install ok installed\nVersion: {version}\n\n"
        for release, version in installed.items()))
    if asked:
        (root / "run").mkdir()
        (root / "run/reboot-required").write_text("")
    host = FakeHost(root, saying(**{"dpkg --compare": (0 if greater else 1, "", "")}))
    assert judge(host)["reboot_required", "kernel"]["status"] == status
    host = FakeHost(root, saying(), container="lxc")
    assert judge(host)["reboot_required", "kernel"]["status"] == "not_applicable"


# Processes


MAPS = """\
55d0 r--p 00000000 fe:00 1 /usr/sbin/haproxy (deleted)
55d1 r-xp 00000000 fe:00 1 /usr/sbin/haproxy (deleted)
7f00 r-xp 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
7f01 r-xp 00000000 fe:00 3 /usr/lib64/libz.so.1;5f3a1b2c (deleted)
7f02 r-xp 00000000 fe:00 4 /usr/lib/libcrypto.so.3
7f03 rw-s 00000000 00:01 5 /memfd:jit (deleted)
7f04 r-xp 00000000 00:01 6 /dev/shm/x (deleted)
7f05 r-xp 00000000 00:01 7 /tmp/.plugin.so (deleted)
7f06 rw-s 00000000 00:01 8 /SYSV00000000 (deleted)
7f07 r--s 00000000 fe:00 9 /usr/share/cache (deleted)
"""


def test_what_a_process_maps() -> None:
    assert stale.parse_maps(MAPS) == ["/usr/sbin/haproxy", "/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib64/libz.so.1"]
    assert "/usr/lib/libcrypto.so.3" in stale.mapped(MAPS)


def process(pid: int, unit: str | None, comm: str = "x", container: str | None = None, parent: int = 1) -> Process:
    return Process(pid, parent, 0, comm, (comm,), "/usr/bin/x", False, "/", unit, container, 1, 1)


@pytest.mark.parametrize(("unit", "restart", "risk"), [
    ("nginx.service", "safe", None), ("nginx.service", "never", "manual"), ("mariadb.service", "safe", "manual"),
    ("mariadb.service", "all", None), ("dbus.service", "all", "manual"), ("session-3.scope", "all", "manual"),
    ("NetworkManager.service", "all", "manual"), ("init.scope", "safe", None), (None, "all", "manual")])
def test_who_may_be_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str | None, restart: str,
                              risk: str | None) -> None:
    monkeypatch.setattr(stale, "read_maps", lambda _pid: (MAPS, ""))
    found = judge(FakeHost(debian(tmp_path), saying(), processes=(process(7, unit, "proxy"),)), restart=restart)
    one = found["stale_process", unit or "proxy"]
    assert (one["status"], one.get("risk")) == ("open", risk)


def test_the_service_that_the_run_goes_through_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "read_maps", lambda _pid: (MAPS, ""))
    processes = (process(50, "ssh.service", "sshd"), process(os.getpid(), "session-1.scope", "python3", parent=50))
    found = judge(FakeHost(debian(tmp_path), saying(), processes=processes), restart="all")
    assert found["stale_process", "ssh.service"]["risk"] == "manual"


def test_containers_are_apart_and_what_is_hidden_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = {7: (MAPS, ""), 8: ("", "Permission denied")}
    monkeypatch.setattr(stale, "read_maps", lambda pid: maps[pid])
    apart = FakeHost(debian(tmp_path), saying(), processes=(process(7, None, container="docker:1"),))
    assert statuses(judge(apart), "stale_process") == {"processes": "passed"}
    hidden = FakeHost(debian(tmp_path), saying(), processes=(process(8, "a.service"),))
    assert statuses(judge(hidden), "stale_process") == {"processes": "unknown"}


def test_the_look_at_processes_is_bounded() -> None:
    clock = iter(range(100))
    _found, gaps = stale.read_stale([process(1, None)] * 50, clock=lambda: float(next(clock)))
    assert "of 50 processes" in gaps[0]


# dnf and yum


DNF4 = """\
Last metadata expiration check: 0:00:01 ago on Wed Nov 25 10:46:32 2026.
RHSA-2026:0001 Important/Sec. openssl-libs-1:3.0.7-28.el9_4.x86_64
RHSA-2026:0002 Moderate/Sec.  openssl-libs-1:3.0.7-29.el9_4.x86_64
RHSA-2026:0003 Unknown/Sec.   kernel-core-5.14.0-500.el9.x86_64
"""
CVES = """\
CVE-2026-1 Important/Sec. openssl-libs-1:3.0.7-28.el9_4.x86_64
CVE-2026-2 Moderate/Sec. openssl-libs-1:3.0.7-29.el9_4.x86_64
"""
DNF5 = """\
Name                   Type     Severity  Package                        Issued
FEDORA-2026-aaaaaaaaaa security Critical  openssl-1:3.2.2-9.fc42.x86_64  2026-11-01 10:00:00
"""
TRANSACTION = """\
Dependencies resolved.
================================================================================
 Package             Architecture      Version             Repository      Size
================================================================================
Upgrading:
 hmdaemon            noarch            1.1-1               lab             22 k
 a-package-with-a-long-name-that-wraps
                     x86_64            1:2.0-1.el9         baseos         1.1 M
Installing dependencies:
 hmnew               noarch            1.0-1               lab             22 k
Removing dependent packages:
 gone                x86_64            1-1                 @System         10 k

Transaction Summary
"""


def test_advisories_of_dnf_4_and_5() -> None:
    [kernel_, openssl] = dnf.merge(dnf.parse_advisories(DNF4), dnf.parse_advisories(CVES))
    assert openssl == {"name": "openssl-libs", "candidate": "1:3.0.7-29.el9_4", "arch": "x86_64", "severity": "high",
                       "advisories": ["RHSA-2026:0001", "RHSA-2026:0002"], "cves": ["CVE-2026-1", "CVE-2026-2"]}
    assert (kernel_["name"], kernel_["severity"], kernel_["cves"]) == ("kernel-core", "", [])
    [one] = dnf.parse_advisories(DNF5)
    assert (one["id"], one["severity"], one["name"], one["candidate"]) == (
        "FEDORA-2026-aaaaaaaaaa", "high", "openssl", "1:3.2.2-9.fc42")


def test_a_transaction_with_wrapped_rows() -> None:
    wanted, removed = dnf.parse_transaction(TRANSACTION)
    assert [(one["name"], one["candidate"], one["arch"], one["new"]) for one in wanted] == [
        ("hmdaemon", "1.1-1", "noarch", False), ("a-package-with-a-long-name-that-wraps", "1:2.0-1.el9", "x86_64", False),
        ("hmnew", "1.0-1", "noarch", True)]
    assert removed == [["gone", "1-1"]]


def test_version_locks_of_both_forms() -> None:
    assert dnf.parse_versionlock("# a\nbash-0:5.1.8-9.el9.*\n!zsh-0:5-1.*\nvim\n") == ["bash", "vim"]
    assert "nginx" in dnf.parse_versionlock('[[packages]]\nname = "nginx"\n')


def rpm_host(root: Path, repo: str = "[base]\nbaseurl=http://h/\n", errata: bool = True, updateinfo: Any = DNF4) -> FakeHost:
    files = {
        "usr/bin/dnf": "", "etc/dnf/dnf.conf": "[main]\ngpgcheck=1\nexclude=kernel*\n", "etc/yum.repos.d/a.repo": repo,
        "var/cache/dnf/base-0123456789abcdef/repodata/repomd.xml": '<data type="updateinfo">' if errata else "<data>",
        "etc/dnf/plugins/versionlock.list": "bash-0:5.1.8-9.el9.*\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    says = {"rpm -qa": "openssl-libs\t1:3.0.7-27.el9\tx86_64\topenssl-3.0.7-27.el9.src.rpm\n",
            "dnf -C -q --setopt=logfilelevel=0 --disableexcludes=all --disableplugin=versionlock "
            "updateinfo list --security --with-cve": CVES,
            "dnf -C": updateinfo}
    return FakeHost(root, says, distribution="rocky", version="9.4")


def test_pending_updates_of_a_host_of_dnf(tmp_path: Path) -> None:
    found = judge(rpm_host(tmp_path))
    openssl, pinned = found["security_pending", "openssl-libs"], found["security_pending", "kernel-core"]
    assert (openssl["severity"], openssl["references"]) == ("high", ["CVE-2026-1", "CVE-2026-2"])
    assert openssl["evidence"]["effective"] == {"installed": "1:3.0.7-27.el9", "source": "openssl"}
    assert (pinned["risk"], pinned["evidence"]["observed"]["pinned"]) == ("manual", True)
    assert statuses(found, "eol_release") == {"rocky 9": "passed"}


def test_a_repository_without_advisories_is_unknown(tmp_path: Path) -> None:
    found = judge(rpm_host(tmp_path, errata=False, updateinfo=""))
    assert statuses(found, "security_pending") == {"repository base": "unknown"}


def test_a_host_of_dnf_that_is_up_to_date(tmp_path: Path) -> None:
    assert statuses(judge(rpm_host(tmp_path, updateinfo="")), "security_pending") == {"installed packages": "passed"}


def test_broken_and_unsigned_repositories_of_dnf(tmp_path: Path) -> None:
    broken = judge(rpm_host(tmp_path / "a", repo="not a section\n"))
    assert broken["index_stale", "sources"]["status"] == "open"
    assert broken["security_pending", "installed packages"]["status"] == "unknown"
    unsigned = judge(rpm_host(tmp_path / "b", repo="[base]\nbaseurl=http://h/\ngpgcheck=0\n"))
    assert unsigned["index_stale", "repository base"]["status"] == "open"
    failed = judge(rpm_host(tmp_path / "c", updateinfo=(1, "", "Error: Cache-only enabled but no cache for 'base'")))
    assert "Cache-only" in failed["security_pending", "installed packages"]["reason"]


def test_no_package_manager_at_all(tmp_path: Path) -> None:
    found = judge(FakeHost(tmp_path))
    assert {one["status"] for one in found.values() if one["check"] in ("updates.security_pending", "updates.index_stale",
                                                                         "updates.unattended_off")} == {"unknown"}


# Hostile text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("Inst Remv [](),:/-\n\tdeb %@=xXyz019.ü\udc80"), max_size=400))
def test_no_text_breaks_a_parser(text: str) -> None:
    for parser in (apt.parse_simulation, apt.parse_policy, apt.parse_release, apt.parse_config, apt.complaints,
                   apt.parse_uris, stale.parse_maps, stale.mapped, dnf.parse_advisories, dnf.parse_transaction,
                   dnf.parse_versionlock, dnf.parse_main):
        parser(text)
    for name in ("/a.list", "/a.sources"):
        for one in apt.parse_sources(text, name):
            apt.index_name(one["uri"], one["suite"])
    dnf.parse_repositories({"/a.repo": text})


def test_dates_of_release_files() -> None:
    assert apt.seconds_of("Wed, 25 Nov 2026 08:00:00 UTC") == calendar.timegm((2026, 11, 25, 8, 0, 0))
    assert apt.seconds_of("yesterday") is None


