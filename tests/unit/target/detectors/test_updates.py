"""Updates: what apt prints, judged; hosts that are broken, cut off from the network, or hostile."""

from __future__ import annotations

import calendar
import configparser
import contextlib
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import updates
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates import kernel, releases
from ansible_collections.hostmend.hardening.plugins.module_utils.host import stale
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Process, Reading, Unit
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import (
    apt,
    apt_state,
    dnf,
    dnf_config,
    rpm_version,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.updates_host import POLICY, TIMERS, judge, machine, statuses

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
HAPROXY = """\
haproxy:
  Installed: 2.6.12-1+deb12u3
  Candidate: 2.6.12-1+deb12u4
  Version table:
     2.6.12-1+deb12u4 500
        500 http://security.example.org/debian-security bookworm-security/main amd64 Packages
 *** 2.6.12-1+deb12u3 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
        100 /var/lib/dpkg/status
"""
TABLES = HAPROXY + """\
libexpat1:
  Installed: 2.5.0-1+deb12u2
  Candidate: 2.5.0-1+deb12u5
  Version table:
     2.5.0-1+deb12u5 500
        500 http://security.example.org/debian-security bookworm-security/main amd64 Packages
 *** 2.5.0-1+deb12u2 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
        100 /var/lib/dpkg/status
tzdata:
  Installed: 2025b-0+deb12u1
  Candidate: 2026b-0+deb12u1
  Version table:
     2026b-0+deb12u1 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
 *** 2025b-0+deb12u1 500
        500 http://deb.example.org/debian bookworm-updates/main amd64 Packages
        100 /var/lib/dpkg/status
libc6:
  Installed: 2.36-9+deb12u14
  Candidate: 2.36-9+deb12u14
  Version table:
 *** 2.36-9+deb12u14 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
        100 /var/lib/dpkg/status
     2.36-9+deb12u7 500
        500 http://security.example.org/debian-security bookworm-security/main amd64 Packages
"""
PINNED = """\
haproxy:
  Installed: 2.6.12-1+deb12u3
  Candidate: 2.6.12-1+deb12u3
  Version table:
     2.6.12-1+deb12u4 -10
        500 http://security.example.org/debian-security bookworm-security/main amd64 Packages
 *** 2.6.12-1+deb12u3 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
        100 /var/lib/dpkg/status
hmnever:
  Installed: 1.0
  Candidate: 1.0
  Version table:
     1.1 -1
        500 file:/srv/l ./ Packages
 *** 1.0 500
        500 file:/srv/l ./ Packages
        100 /var/lib/dpkg/status
"""
PHASED = """\
hmphased:
  Installed: 1.0
  Candidate: 1.1
  Version table:
     1.1 500 (phased 0%)
        500 file:/srv/l ./ Packages
 *** 1.0 500
        500 file:/srv/l ./ Packages
        100 /var/lib/dpkg/status
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
PERIODIC = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
ORIGINS = 'Unattended-Upgrade::Origins-Pattern:: "origin=Debian,label=Debian-Security";\n'


def debian(root: Path, index: bool = True, label: str = "Debian-Security", until: str = "Wed, 01 Dec 2049 08:00:00 UTC") -> Path:
    """Make the files of a Debian host with a fresh index."""
    files = {
        "etc/apt/sources.list": "deb http://deb.example.org/debian bookworm main\n"
                                "deb http://security.example.org/debian-security bookworm-security main\n",
        "var/lib/dpkg/status": STATUS,
        "usr/bin/apt-get": "", "usr/bin/unattended-upgrade": "",
    }
    if index:
        lists = "var/lib/apt/lists/"
        files[lists + "deb.example.org_debian_dists_bookworm_InRelease"] = RELEASE % ("Debian", "oldstable", until)
        files[lists + "security.example.org_debian-security_dists_bookworm-security_InRelease"] = RELEASE % (
            label, "oldstable-security", until)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True, exist_ok=True)
    return root


def saying(tables: Any = TABLES, simulated: Any = SIMULATED, **more: Any) -> dict[str, Any]:
    return {"apt-config": PERIODIC + ORIGINS, "apt-get -s": simulated, "apt-cache": tables, **more}


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


@pytest.mark.parametrize(("suite", "release", "security"), [
    ("bookworm-security", {}, True), ("buster/updates", {}, True), ("jammy-infra-security", {"label": "UbuntuESM"}, True),
    ("./", {"label": "Debian-Security"}, True), ("stable", {"suite": "stable-security"}, True), ("bookworm-updates", {}, False),
    ("jammy-updates", {"label": "Ubuntu", "suite": "jammy-updates"}, False), ("bookworm-backports", {}, False)])
def test_sources_that_are_for_security(suite: str, release: dict[str, str], security: bool) -> None:
    assert apt.is_security(suite, release) is security


def test_a_source_of_the_policy_is_for_security() -> None:
    assert apt.is_security("s", {"label": "Acme"}, ["Acme"])
    assert apt.is_security("fixes", {}, ["fixes"])
    assert not apt.is_security("s", {"label": ""}, [""])


def test_version_tables() -> None:
    made = apt.parse_policy(TABLES + PHASED)
    assert [(one["name"], one["candidate"]) for one in made] == [
        ("haproxy", "2.6.12-1+deb12u4"), ("libexpat1", "2.5.0-1+deb12u5"), ("tzdata", "2026b-0+deb12u1"), ("hmphased", "1.1")]
    assert made[0]["above"] == [{"version": "2.6.12-1+deb12u4", "phased": False, "sources": [
        ("http://security.example.org/debian-security", "bookworm-security")]}]
    assert made[3]["above"][0]["phased"] is True
    assert made[3]["above"][0]["sources"] == [("file:/srv/l", "./")]
    wide = apt.parse_policy("x:i386:\n  Installed: 1\n  Candidate: 2\n  Version table:\n     2 1001\n"
                            "       1001 http://a:b@h/d/ s/updates/main amd64 Packages\n *** 1 100\n")
    assert wide[0]["name"] == "x:i386"
    assert wide[0]["above"][0]["sources"] == [("http://h/d", "s/updates")]


def test_a_version_that_came_after_a_security_update(tmp_path: Path) -> None:
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
    found = judge(machine(debian(tmp_path), saying(text, "Inst tzdata [1] (3 a [all])\n")))
    assert statuses(found, "security_pending") == {"tzdata": "open"}
    observed = found["security_pending", "tzdata"]["evidence"]["observed"]
    assert observed["origin"] == "http://a bookworm, after the security update 2"


def test_an_archive_that_nobody_follows_and_a_downgrade_are_nothing_pending(tmp_path: Path) -> None:
    text = """\
a:
  Installed: 1
  Candidate: 1
  Version table:
     2~bpo12+1 100
        100 http://a bookworm-backports/main amd64 Packages
 *** 1 500
        100 /var/lib/dpkg/status
b:
  Installed: 2
  Candidate: 1
  Version table:
 *** 2 100
        100 /var/lib/dpkg/status
     1 1001
       1001 http://b bookworm-security/main amd64 Packages
"""
    host = machine(debian(tmp_path), saying(text))
    assert statuses(judge(host, scope="all"), "security_pending") == {"installed packages": "passed"}
    assert not any(argv[0] == "apt-get" for argv in host.asked), "a simulation is only for what is pending"


def test_sources_of_both_forms() -> None:
    text = "# deb x y\ndeb [arch=amd64 trusted=yes] http://u@h/d s main\ndeb-src http://h/d s main\ndeb nonsense\n"
    assert [(one["uri"], one["suite"], one["trusted"]) for one in apt.parse_sources(text, "/a.list")] == [
        ("http://u@h/d", "s", True)]
    text = ("Types: deb\nURIs: http://h/d\n http://i/d\nSuites: s t\nTrusted: no\n\n"
            "Enabled: no\nTypes: deb\nURIs: http://j\nSuites: s\n")
    assert [(one["uri"], one["suite"]) for one in apt.parse_sources(text, "/a.sources")] == [
        ("http://h/d", "s"), ("http://h/d", "t"), ("http://i/d", "s"), ("http://i/d", "t")]


@pytest.mark.parametrize(("uri", "suite", "name"), [
    ("http://deb.example.org/debian", "bookworm", "deb.example.org_debian_dists_bookworm_"),
    ("https://user:secret@h/a_b/", "s/updates", "h_a%5fb_dists_s_updates_"), ("file:/srv/repo", "./", "_srv_repo_._"),
    ("http://h/flat", "/", "h_flat_"), ("mirror+file:/etc/mirrors", "s", "_etc_mirrors_dists_s_"), ("cdrom:[x]/", "s", None)])
def test_names_of_index_files(uri: str, suite: str, name: str | None) -> None:
    assert apt.index_name(uri, suite) == name


def test_pending_updates_of_a_debian_host(tmp_path: Path) -> None:
    found = judge(machine(debian(tmp_path), saying()))
    assert statuses(found, "security_pending") == {"haproxy": "open", "libexpat1": "open"}
    haproxy, held = found["security_pending", "haproxy"], found["security_pending", "libexpat1"]
    assert haproxy["evidence"]["effective"]["installed"] == "2.6.12-1+deb12u3"
    assert haproxy["evidence"]["observed"]["candidate"] == "2.6.12-1+deb12u4"
    assert haproxy["evidence"]["observed"]["origin"] == "Debian-Security bookworm-security"
    assert "risk" not in haproxy
    assert (held["risk"], held["evidence"]["effective"]["source"]) == ("manual", "expat")
    assert found["cve", "installed packages"]["status"] == "unknown"


def test_the_contract_with_the_advisories(tmp_path: Path) -> None:
    facts = updates.collect(machine(debian(tmp_path), saying()), POLICY)
    assert ["libexpat1", "2.5.0-1+deb12u2", "expat", "2.5.0-1+deb12u2"] in facts["packages"]
    assert {"id": "debian", "version_id": "12", "codename": "bookworm"}.items() <= facts["distribution"].items()


def test_all_updates_where_the_policy_wants_them(tmp_path: Path) -> None:
    found = judge(machine(debian(tmp_path), saying()), scope="all")
    assert found["security_pending", "tzdata"]["severity"] == "low"


def test_a_host_without_pending_updates(tmp_path: Path) -> None:
    found = judge(machine(debian(tmp_path), saying("")))
    assert statuses(found, "security_pending") == {"installed packages": "passed"}
    assert statuses(found, "index_stale") == {"package index": "passed"}
    assert statuses(found, "unattended_off") == {"automatic security updates": "passed"}


def test_no_command_takes_a_lock_or_the_network(tmp_path: Path) -> None:
    host = machine(debian(tmp_path), saying())
    judge(host)
    for argv in host.asked:
        assert argv[0] in ("apt-config", "apt-cache", "dpkg") or ("-s" in argv and "Debug::NoLocking=1" in argv)
        assert argv[0] not in ("apt-get", "apt-cache") or "Dir::Cache::pkgcache=" in argv, "an old cache of apt is made in memory"


def test_a_cache_that_is_fresh_is_used(tmp_path: Path) -> None:
    host = machine(debian(tmp_path), saying())
    (tmp_path / "var/cache/apt").mkdir(parents=True)
    (tmp_path / "var/cache/apt/pkgcache.bin").write_text("")
    judge(host)
    assert not any("Dir::Cache::pkgcache=" in argv for argv in host.asked)


def test_a_pin_that_keeps_security_updates_back(tmp_path: Path) -> None:
    found = judge(machine(debian(tmp_path), saying(PINNED)))
    assert statuses(found, "security_pending") == {"haproxy": "open"}
    pinned = found["security_pending", "haproxy"]
    assert pinned["risk"] == "manual"
    assert pinned["evidence"]["observed"]["pinned"] is True
    assert pinned["evidence"]["observed"]["candidate"] == "2.6.12-1+deb12u4"


@pytest.mark.parametrize(("tables", "why"), [(PHASED, "by and by"), (HAPROXY, "depends on")])
def test_what_apt_itself_keeps_back_is_a_persons(tmp_path: Path, tables: str, why: str) -> None:
    root = debian(tmp_path)
    with (root / "etc/apt/sources.list").open("a") as out:
        out.write("deb [trusted=yes] file:/srv/l ./\n")
    (root / "var/lib/apt/lists/_srv_l_._Release").write_text("Label: lab\nSuite: jammy-security\n")
    name = tables.split(":")[0]
    kept = judge(machine(root, saying(tables, "The following packages have been kept back:\n  %s\n" % name)))
    assert (kept["security_pending", name]["status"], kept["security_pending", name]["risk"]) == ("open", "manual")
    assert why in kept["security_pending", name]["reason"]


def test_no_index_is_unknown_and_no_finding(tmp_path: Path) -> None:
    found = judge(machine(debian(tmp_path, index=False), saying("")))
    assert found["security_pending", "installed packages"]["status"] == "unknown"
    assert found["index_stale", "package index"]["status"] == "unknown"
    assert "never fetched" in found["index_stale", "package index"]["reason"]


def test_an_old_index_hides_what_came_since(tmp_path: Path) -> None:
    root = debian(tmp_path)
    for folder, _folders, _names in os.walk(root / "var/lib/apt"):
        os.utime(folder, (time.time() - 30 * 86400,) * 2)
    found = judge(machine(root, saying("")))
    assert found["security_pending", "installed packages"]["status"] == "unknown"
    assert (found["index_stale", "package index"]["status"], found["index_stale", "package index"]["risk"]) == ("open", "manual")
    assert "risk" not in judge(machine(root, saying("")), refresh=True)["index_stale", "package index"]
    # What is known to be pending stays so.
    assert judge(machine(root, saying()))["security_pending", "haproxy"]["status"] == "open"


def test_an_index_that_has_run_out(tmp_path: Path) -> None:
    found = judge(machine(debian(tmp_path, until="Wed, 25 Nov 2020 08:00:00 UTC"), saying()))
    assert found["index_stale", "http://deb.example.org/debian bookworm"]["status"] == "open"


@pytest.mark.parametrize(("days", "wanted"), [(25, "passed"), (40, "unknown")])
def test_an_index_of_security_updates_that_is_old_itself(tmp_path: Path, days: int, wanted: str) -> None:
    """Ubuntu's has no Valid-Until, and a fetch that fails makes the folder as new as one that finds nothing new."""
    root = debian(tmp_path)
    date = time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime(time.time() - days * 86400))
    for path in (root / "var/lib/apt/lists").glob("*InRelease"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("Valid-Until")]
        path.write_text("\n".join(f"Date: {date}" if line.startswith("Date") else line for line in lines) + "\n")
    found = judge(machine(root, saying("", "")))
    security = "http://security.example.org/debian-security bookworm-security"
    assert found.get(("security_pending", security), found.get(("security_pending", "installed packages")))["status"] == wanted
    assert (("index_stale", security) in found) == (wanted == "unknown")
    # Others are rightly quiet for long.
    assert ("index_stale", "http://deb.example.org/debian bookworm") not in found


def later(root: Path, monkeypatch: pytest.MonkeyPatch, days: int = 9) -> None:
    """Let days go by, at the end of which ``apt-get update`` was tried in vain: as apt 2.2, 2.6 and 3.0 leave it."""
    then = time.time() + days * 86400
    os.utime(root / "var/lib/apt/lists/partial", (then, then))
    monkeypatch.setattr(apt_state, "time", SimpleNamespace(time=lambda: then))


def test_a_fetch_that_failed_makes_no_index_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = debian(tmp_path)
    later(root, monkeypatch)
    found = judge(machine(root, saying("")), refresh=True)
    assert found["index_stale", "package index"]["status"] == "open"
    assert found["index_stale", "package index"]["evidence"]["effective"]["age_days"] == 9
    assert found["security_pending", "installed packages"]["status"] == "unknown"
    # In an image the time of change is that of its unpacking; the folders tell.
    for folder in ("var/lib/apt/lists/partial", "var/lib/apt/lists"):
        os.utime(root / folder, (time.time() - 86400 * 11,) * 2)
    there = judge(machine(root, saying(""), running=False, executes=False))
    assert there["index_stale", "package index"]["evidence"]["effective"]["age_days"] == 20


def test_an_answer_of_nothing_new_is_a_fetch(tmp_path: Path) -> None:
    """apt leaves the file and its date of change of content, and sets its owner and mode anew."""
    root = debian(tmp_path)
    for path in (root / "var/lib/apt/lists").glob("*InRelease"):
        os.utime(path, (1, 1))
    found = judge(machine(root, saying("", "")))
    assert statuses(found, "index_stale") == {"package index": "passed"}


def test_a_source_whose_fetches_fail_while_others_succeed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = debian(tmp_path)
    later(root, monkeypatch)
    late = "security.example.org"

    def stat(path: Any) -> Any:
        about = os.stat(path)
        if late in str(path) or "InRelease" not in str(path):
            return about
        return SimpleNamespace(st_ctime=apt_state.time.time(), st_mtime=about.st_mtime)

    monkeypatch.setattr(apt_state, "os", SimpleNamespace(stat=stat))
    found = judge(machine(root, saying("")), refresh=True)
    one = found["index_stale", "http://security.example.org/debian-security bookworm-security"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "others were fetched since" in one["reason"]
    assert ("index_stale", "package index") not in found
    pending = found["security_pending", "http://security.example.org/debian-security bookworm-security"]
    assert pending["status"] == "unknown"
    late = "nowhere"
    monkeypatch.setattr(apt_state, "os", SimpleNamespace(stat=stat))
    assert statuses(judge(machine(root, saying("", ""))), "index_stale") == {"package index": "passed"}


def test_a_source_that_leads_to_no_index(tmp_path: Path) -> None:
    """A host without network, an address that is gone, a repository that nobody has signed: apt keeps no index of it."""
    root = debian(tmp_path)
    (root / "etc/apt/sources.list.d").mkdir()
    (root / "etc/apt/sources.list.d/more.list").write_text("deb http://me:secret@127.0.0.1:9/debian gone main\n")
    found = judge(machine(root, saying()))
    one = found["index_stale", "http://127.0.0.1:9/debian gone"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "secret" not in str(found)
    assert found["security_pending", "http://127.0.0.1:9/debian gone"]["status"] == "unknown"


UNMET = """\
E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).
"""


def test_dependencies_that_are_broken(tmp_path: Path) -> None:
    """apt refuses all work then: a person has to choose what goes."""
    root = debian(tmp_path)
    found = judge(machine(root, saying(HAPROXY, (100, "", UNMET))))
    assert statuses(found, "security_pending") == {"haproxy": "open", "dependencies": "open"}
    assert {found["security_pending", name]["risk"] for name in ("haproxy", "dependencies")} == {"manual"}
    assert "apt-get -f install" in found["security_pending", "dependencies"]["reason"]
    with (root / "var/lib/dpkg/status").open("a") as out:
        out.write("Package: vim\nStatus: install ok half-configured\nVersion: 2\n\n")
    cut_off = judge(machine(root, saying(HAPROXY, (100, "", UNMET))))
    assert statuses(cut_off, "security_pending") == {"haproxy": "open", "dpkg": "open"}
    assert "risk" not in cut_off["security_pending", "haproxy"]


@pytest.mark.parametrize("line", ["deb [trusted=yes] http://h/d s main\n", "deb http://h/d s main\n"])
def test_a_repository_whose_signature_is_not_checked(tmp_path: Path, line: str) -> None:
    root = debian(tmp_path)
    with (root / "etc/apt/sources.list").open("a") as out:
        out.write(line)
    (root / "var/lib/apt/lists/h_d_dists_s_Release").write_text("Label: x\n")
    one = judge(machine(root, saying()))["index_stale", "http://h/d s"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert "signature" in one["reason"]


def test_a_broken_list_of_sources(tmp_path: Path) -> None:
    for index in (True, False):
        found = judge(machine(debian(tmp_path / str(index), index), saying((100, "", BROKEN))))
        assert "Malformed entry 1" in found["index_stale", "sources"]["reason"]
        assert found["index_stale", "sources"]["status"] == "open"
        assert found["security_pending", "installed packages"]["status"] == "unknown"


def test_no_source_for_security(tmp_path: Path) -> None:
    root = debian(tmp_path)
    (root / "etc/apt/sources.list").write_text("deb http://deb.example.org/debian bookworm main\n")
    found = judge(machine(root, saying("")))
    assert found["index_stale", "security source"]["status"] == "open"
    assert found["security_pending", "installed packages"]["status"] == "unknown"


def test_an_interrupted_dpkg(tmp_path: Path) -> None:
    root = debian(tmp_path)
    (root / "var/lib/dpkg/status").write_text(STATUS.replace("install ok installed", "install ok half-configured", 1))
    (root / "var/lib/dpkg/updates").mkdir()
    (root / "var/lib/dpkg/updates/0001").write_text("")
    one = judge(machine(root, saying((100, "", "E: Unmet dependencies.\n"))))["security_pending", "dpkg"]
    assert one["status"] == "open"
    assert one["evidence"]["effective"]["half_done"] == ["haproxy", "/var/lib/dpkg/updates"]


def test_an_apt_that_hangs(tmp_path: Path) -> None:
    found = judge(machine(debian(tmp_path), {"apt-config": ""}))
    assert found["security_pending", "installed packages"]["reason"] == "not found"


def test_an_image_that_is_not_running(tmp_path: Path) -> None:
    host = machine(debian(tmp_path), running=False, executes=False, units=(
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
    one = judge(machine(debian(tmp_path), says, units=units))["unattended_off", "automatic security updates"]
    assert (one["status"], one["risk"]) == ("open", "manual")
    assert reason in one["reason"]
    wanted = judge(machine(debian(tmp_path), says, units=units), unattended="mend")
    assert "risk" not in wanted["unattended_off", "automatic security updates"]
    other = judge(machine(debian(tmp_path), says, units=units), unattended="elsewhere")
    assert other["unattended_off", "automatic security updates"]["status"] == "not_applicable"


@pytest.mark.parametrize(("blacklist", "status"), [
    (".*", "open"), ("^.*$", "open"), (".", "open"), ("linux-", "passed"), ("libc6$", "passed"), (".$", "passed"),
])
@pytest.mark.parametrize("runs", [True, False])
def test_an_updater_that_leaves_out_every_package(tmp_path: Path, blacklist: str, status: str, runs: bool) -> None:
    root = debian(tmp_path)
    says = {**saying(), "apt-config": PERIODIC + ORIGINS + f'Unattended-Upgrade::Package-Blacklist:: "{blacklist}";\n'}
    folder = root / "etc/apt/apt.conf.d"
    folder.mkdir()
    (folder / "50mine").write_text(PERIODIC + 'Unattended-Upgrade::Origins-Pattern {\n  "label=Debian-Security";\n};\n'
                                   'Unattended-Upgrade::Package-Blacklist {\n//  ".*";\n  "%s";\n};\n' % blacklist)
    found = judge(machine(root, says, executes=runs, running=runs), unattended="mend")
    one = found["unattended_off", "automatic security updates"]
    assert one["status"] == status, one
    assert status == "passed" or (one["risk"] == "manual" and f'"{blacklist}"' in one["reason"])


@pytest.mark.parametrize(("path", "text", "manual"), [
    ("apt.conf", 'APT::Periodic::Unattended-Upgrade "0";\n', True),
    ("apt.conf", 'apt { periodic { Enable "0"; }; };\n', True),
    ("apt.conf", '// APT::Periodic::Enable "0";\n# Unattended-Upgrade off\nAcquire::Retries "3";\n', False),
    ("apt.conf", "#clear Unattended-Upgrade::Origins-Pattern;\n", True),
    ("apt.conf.d/99periodic", 'APT::Periodic::Unattended-Upgrade "0";\n', False),
    ("apt.conf.d/zzz", 'APT::Periodic::Unattended-Upgrade "0";\n', True),
    ("apt.conf.d/zzz.conf~", 'APT::Periodic::Unattended-Upgrade "0";\n', False),
])
def test_what_apt_reads_after_the_role_is_for_a_person(tmp_path: Path, path: str, text: str, manual: bool) -> None:
    root = debian(tmp_path)
    (root / "etc/apt/apt.conf.d").mkdir()
    (root / "etc/apt" / path).write_text(text)
    found = judge(machine(root, {**saying(), "apt-config": ORIGINS}), unattended="mend")
    one = found["unattended_off", "automatic security updates"]
    assert one["status"] == "open"
    assert (one.get("risk") == "manual") is manual
    assert (f"/etc/apt/{path} is read last" in one["reason"]) is manual


def test_timers_that_cannot_be_seen_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(debian(tmp_path), saying())
    monkeypatch.setattr(host, "units", lambda: Reading((), ("systemd cannot be asked: timed out after 5 s",)))
    assert statuses(judge(host), "unattended_off") == {"automatic security updates": "unknown"}


def test_a_container_without_an_updater(tmp_path: Path) -> None:
    root = debian(tmp_path)
    (root / "usr/bin/unattended-upgrade").unlink()
    found = judge(machine(root, saying(), container="podman"))
    assert statuses(found, "unattended_off") == {"automatic security updates": "not_applicable"}
    assert judge(machine(root, saying()))["unattended_off", "automatic security updates"]["status"] == "open"


# Releases


@pytest.mark.parametrize(("distribution", "version", "lts", "paid", "end"), [
    ("debian", "12", True, False, "2028-06-30"), ("debian", "12", False, False, "2026-07-11"),
    ("ubuntu", "20.04", True, False, "2025-05-29"), ("ubuntu", "20.04", True, True, "2030-04-23"),
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
    facts = updates.collect(machine(debian(tmp_path), saying(), version_id=version), POLICY)
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
    host = machine(root, saying(**{"dpkg --compare": (0 if greater else 1, "", "")}))
    assert judge(host)["reboot_required", "kernel"]["status"] == status
    host = machine(root, saying(), container="lxc")
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
    found = judge(machine(debian(tmp_path), saying(), processes=(process(7, unit, "proxy"),)), restart=restart)
    one = found["stale_process", unit or "proxy"]
    assert (one["status"], one.get("risk")) == ("open", risk)


def test_the_service_that_the_run_goes_through_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "read_maps", lambda _pid: (MAPS, ""))
    processes = (process(50, "ssh.service", "sshd"), process(os.getpid(), "session-1.scope", "python3", parent=50))
    found = judge(machine(debian(tmp_path), saying(), processes=processes), restart="all")
    assert found["stale_process", "ssh.service"]["risk"] == "manual"


def test_containers_are_apart_and_what_is_hidden_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = {7: (MAPS, ""), 8: ("", "Permission denied")}
    monkeypatch.setattr(stale, "read_maps", lambda pid: maps[pid])
    apart = machine(debian(tmp_path), saying(), processes=(process(7, None, container="docker:1"),))
    assert statuses(judge(apart), "stale_process") == {"processes": "passed"}
    hidden = machine(debian(tmp_path), saying(), processes=(process(8, "a.service"),))
    assert statuses(judge(hidden), "stale_process") == {"processes": "unknown"}


def test_why_what_runs_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[int, list[tuple[str, str]]] = {}
    monkeypatch.setattr(stale, "read_maps", lambda pid: answers[pid].pop(0) if answers.get(pid) else ("", "Permission denied"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    two = [process(8, "a.service", "redis"), process(9, "b.service", "nginx")]
    assert stale.read_stale(two)[1] == ["what 2 processes run (nginx, redis) cannot be read without root"]
    assert stale.read_stale(two[:1])[1] == ["what one process runs (redis) cannot be read without root"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(stale, "_capabilities", lambda: 0)
    assert stale.read_stale(two[:1])[1][0].endswith("though this is root: it lacks the capability SYS_PTRACE")
    monkeypatch.setattr(stale, "_capabilities", lambda: 1 << 19)
    assert stale.read_stale(two[:1])[1][0].endswith("the kernel refuses it (another user namespace, or a security module)")
    # One that was ending when it was looked at is gone, and hides nothing.
    answers[8] = [("", "Permission denied"), ("", "")]
    assert stale.read_stale(two[:1])[1] == []
    monkeypatch.undo()
    assert stale._capabilities() >= 0


def test_the_look_at_processes_is_bounded() -> None:
    clock = iter(range(100))
    _found, gaps = stale.read_stale([process(1, None)] * 50, clock=lambda: float(next(clock)))
    assert "of 50 processes" in gaps[0]


def test_no_package_manager_at_all(tmp_path: Path) -> None:
    found = judge(machine(tmp_path))
    assert {one["status"] for one in found.values() if one["check"] in ("updates.security_pending", "updates.index_stale",
                                                                         "updates.unattended_off")} == {"unknown"}


# Hostile text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("Inst Remv [](),:/-\n\tdeb %@=xXyz019.ü\udc80"), max_size=400))
def test_no_text_breaks_a_parser(text: str) -> None:
    for parser in (apt.parse_simulation, apt.parse_policy, apt.parse_release, apt.parse_config, apt.complaints,
                   apt.parse_uris, stale.parse_maps, stale.mapped, dnf.parse_advisories, dnf.parse_transaction,
                   dnf_config.parse_versionlock, dnf_config.parse_versionlock_toml, dnf_config.words,
                   rpm_version.key):
        parser(text)
    for name in ("/a.list", "/a.sources"):
        for one in apt.parse_sources(text, name):
            apt.index_name(one["uri"], one["suite"])
    with contextlib.suppress(configparser.Error):
        dnf_config.parse(text)


def test_dates_of_release_files() -> None:
    assert apt.seconds_of("Wed, 25 Nov 2026 08:00:00 UTC") == calendar.timegm((2026, 11, 25, 8, 0, 0))
    assert apt.seconds_of("yesterday") is None




@pytest.mark.parametrize(("pattern", "wanted"), [
    ("${distro_id}:${distro_codename}-security", False), ("${distro_id}:oldstable-security", True),
    ("origin=Debian,codename=${distro_codename}-security,label=Debian-Security", True), ("o=*", True), ("", False),
    ("origin=Debian,label=Debian", False), ("site=security.example.org", True), ("site=*.example.com,o=Debian", False),
    ("o=Debian,n=bookworm*", True), ("o=Debian,bogus=1", False), ("o=Debian,c=main", True)])
def test_an_origin_is_matched_and_not_believed(pattern: str, wanted: bool) -> None:
    release = {"origin": "Debian", "label": "Debian-Security", "suite": "oldstable-security", "codename": "bookworm-security"}
    assert apt.origin_matches(pattern, release, "security.example.org", {"id": "debian", "codename": "bookworm"}) is wanted


@pytest.mark.parametrize(("load", "active", "wanted"), [
    ("masked", "inactive", "open"), ("loaded", "failed", "open"), ("loaded", "inactive", "passed")])
def test_the_service_behind_the_timer_of_updates(tmp_path: Path, load: str, active: str, wanted: str) -> None:
    service = Unit("apt-daily-upgrade.service", load, active, "dead", "static")
    one = judge(machine(debian(tmp_path), saying(""), units=(*TIMERS, service)))["unattended_off", "automatic security updates"]
    assert one["status"] == wanted


def test_the_entry_that_pins_a_package_is_named() -> None:
    texts = {"/etc/apt/preferences": "Package: *\nPin: release a=stable\nPin-Priority: 900\n",
             "/etc/apt/preferences.d/x": "Package: libx\nPin: version 1\n\nPackage: haproxy lib*\nPin: version 2\n"}
    assert apt.pinned_in(texts, "haproxy") == "/etc/apt/preferences.d/x, line 4"
    assert apt.pinned_in(texts, "bash") == "/etc/apt/preferences, line 1"


def test_the_section_that_excludes_a_package_is_named() -> None:
    repositories = [{"id": "lab", "file": "/etc/yum.repos.d/lab.repo", "narrowed": ["hmdaemon*"]}]
    assert dnf_config.kept_back_by("hmdaemon", {}, "dnf", repositories) == "exclude in [lab] of /etc/yum.repos.d/lab.repo"
    main = {"excludepkgs": "o*"}
    assert dnf_config.kept_back_by("other", main, "dnf", repositories) == "exclude in [main] of /etc/dnf/dnf.conf"
