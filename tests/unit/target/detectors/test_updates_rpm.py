"""Updates: what dnf 4, dnf 5 and yum print, and what they are told, judged."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Unit
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import (
    dnf,
    dnf_config,
    dnf_lock,
    dnf_state,
    rpm_version,
    run,
)

from tests.support.fake_host import FakeHost
from tests.support.updates_host import judge, machine, statuses

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
# What dnf5 5.4.4.0 prints into a pipe for an advisory list, of security and with CVEs.
DNF5 = """\
Name          Type     Severity                  Package              Issued
LAB-2026:0001 security Important   hmdaemon-1.1-1.noarch 2026-01-01 00:00:00
LAB-2026:0002 security Moderate    hmlocked-1.1-1.noarch 2026-01-01 00:00:00
LAB-2026:0003 security Critical  hmexcluded-1.1-1.noarch 2026-01-01 00:00:00
LAB-2026:0004 security Low          hmneeds-1.1-1.noarch 2026-01-01 00:00:00
LAB-2026:0005 security None       hmepoch-1:2.0-1.noarch 2026-01-01 00:00:00
"""
DNF5_CVES = """\
CVE            Type     Severity                  Package              Issued
CVE-2026-10001 security Important   hmdaemon-1.1-1.noarch 2026-01-01 00:00:00
CVE-2026-10002 security Moderate    hmlocked-1.1-1.noarch 2026-01-01 00:00:00
CVE-2026-10003 security Critical  hmexcluded-1.1-1.noarch 2026-01-01 00:00:00
CVE-2026-10004 security Critical  hmexcluded-1.1-1.noarch 2026-01-01 00:00:00
CVE-2026-10005 security Low          hmneeds-1.1-1.noarch 2026-01-01 00:00:00
"""
# As yum 3.4.3 of EL 7 prints them: the column of severities is padded, that of CVEs begins with a space.
YUM = """\
RHSA-2024:3588 Important/Sec. glibc-2.17-326.el7_9.3.x86_64
RHSA-2023:4819 security       bind-libs-32:9.11.4-26.P2.el7_9.14.x86_64
"""
YUM_CVES = """\
 CVE-2024-2961  Important/Sec. glibc-2.17-326.el7_9.3.x86_64
 CVE-2024-33599 Important/Sec. glibc-2.17-326.el7_9.3.x86_64
"""
# What `dnf5 versionlock add` and `exclude` of dnf5 5.4.4.0 write.
LOCKED = """\
version = "1.0"

[[packages]]
name = "hmlocked"
comment = "Added by 'versionlock add' command on 2026-11-25 18:35:45"

[[packages.conditions]]
key = "evr"
comparator = "="
value = "1.0-1"

[[packages]]
name = "hmdaemon"
comment = "Added by 'versionlock exclude' command on 2026-11-25 18:35:46"

[[packages.conditions]]
key = "evr"
comparator = "!="
value = "1.1-1"

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
# What dnf5 5.4.4.0 says of `--assumeno upgrade` and `remove`, and dnf 4.14.0 of the first.
UPGRADE5 = """\
Package               Arch   Version Repository      Size
Upgrading:
 hmdaemon             noarch 0:1.1-1 lab         42.4 KiB
   replacing hmdaemon noarch 0:1.0-1 lab         42.4 KiB
 hmepoch              noarch 1:2.0-1 lab         42.4 KiB
   replacing hmepoch  noarch 1:1.0-1 lab         42.4 KiB
 hmneeds              noarch 0:1.1-1 lab         42.4 KiB
   replacing hmneeds  noarch 0:1.0-1 lab         42.4 KiB
Installing:
 hmsuccessor          noarch 0:2.0-1 lab         42.4 KiB
   replacing hmold    noarch 0:1.0-1 <unknown>   42.4 KiB
Installing dependencies:
 hmdep                noarch 0:1.0-1 lab         42.4 KiB

Transaction Summary:
 Installing:         2 packages
 Upgrading:          3 packages
 Replacing:          4 packages

"""
REMOVE5 = """\
Package  Arch   Version Repository      Size
Removing:
 hmdep   noarch 0:1.0-1 lab         42.4 KiB
Removing dependent packages:
 hmneeds noarch 0:1.1-1 lab         42.4 KiB

Transaction Summary:
 Removing:           2 packages

"""
DOWNGRADE5 = """\
Package              Arch   Version Repository      Size
Downgrading:
 hmneeds             noarch 0:1.0-1 lab         42.4 KiB
   replacing hmneeds noarch 0:1.1-1 lab         42.4 KiB

Transaction Summary:
 Replacing:          1 package
 Downgrading:        1 package

"""
REASON5 = """\
Package                  Arch   Version Repository      Size
Changing reason:
 hmold                   noarch 0:1.0-1 @System     42.4 KiB
   External User -> User

Transaction Summary:
 Changing reason:    1 package

"""
UPGRADE4 = """\
Dependencies resolved.
================================================================================
 Package                Architecture      Version          Repository      Size
================================================================================
Installing:
 hmsuccessor            noarch            2.0-1            lab             22 k
     replacing  hmold.noarch 1.0-1
Upgrading:
 hmdaemon               noarch            1.1-1            lab             22 k
 hmneeds                noarch            1.1-1            lab             22 k
Installing dependencies:
 hmdep                  noarch            1.0-1            lab             22 k

Transaction Summary
================================================================================
Install  2 Packages
Upgrade  2 Packages

Total size: 86 k
"""


def test_advisories_of_dnf_4_and_5() -> None:
    [kernel_, openssl] = dnf.merge(dnf.parse_advisories(DNF4), dnf.parse_advisories(CVES))
    assert openssl == {"name": "openssl-libs", "candidate": "1:3.0.7-29.el9_4", "arch": "x86_64", "severity": "high",
                       "advisories": ["RHSA-2026:0001", "RHSA-2026:0002"], "cves": ["CVE-2026-1", "CVE-2026-2"]}
    assert (kernel_["name"], kernel_["severity"], kernel_["cves"]) == ("kernel-core", "", [])
    made = {one["name"]: one for one in dnf.merge(dnf.parse_advisories(DNF5), dnf.parse_advisories(DNF5_CVES))}
    assert made["hmexcluded"] == {"name": "hmexcluded", "candidate": "1.1-1", "arch": "noarch", "severity": "high",
                                  "advisories": ["LAB-2026:0003"], "cves": ["CVE-2026-10003", "CVE-2026-10004"]}
    assert {name: (one["severity"], one["candidate"]) for name, one in made.items() if name != "hmexcluded"} == {
        "hmdaemon": ("high", "1.1-1"), "hmlocked": ("medium", "1.1-1"), "hmneeds": ("low", "1.1-1"), "hmepoch": ("", "1:2.0-1")}


def test_the_newest_of_several_advisories_is_what_is_to_come() -> None:
    """They are listed by their ids, which of Fedora are random."""
    text = "".join(f"FEDORA-2026-{number} security Important  bash-{version}.x86_64 2026-01-01 00:00:00\n"
                   for number, version in (("1f", "5.2-10.fc43"), ("2e", "5.2-9.fc43"), ("3d", "5.2~rc1-11.fc43")))
    [one] = dnf.merge(dnf.parse_advisories(text), [])
    assert (one["candidate"], len(one["advisories"])) == ("5.2-10.fc43", 3)


@pytest.mark.parametrize(("older", "newer"), [
    ("1.0-1", "1.0.1-1"), ("1.0~rc1-1", "1.0-1"), ("1.0-1", "1.0^git1-1"), ("1.0^git1-1", "1.0.1-1"), ("9-1", "1:0-1"),
    ("1.9-1", "1.10-1"), ("1.a-1", "1.1-1"), ("2-1", "2a-1"), ("1.0-9.el9", "1.0-10.el9"), ("1-1~1", "1-1")])
def test_the_order_of_versions(older: str, newer: str) -> None:
    assert rpm_version.key(older) < rpm_version.key(newer)
    assert rpm_version.key("1.00-1_a") == rpm_version.key("0:1.0-1.a")


# dnf5 5.2.18.0 leaves an epoch of 0 out, and pads the versions.
@pytest.mark.parametrize(("text", "epoch"), [(UPGRADE5, True), (UPGRADE5.replace(" 0:1.1-1 ", " 1.1-1   "), True),
                                             (UPGRADE4, False)])
def test_what_takes_the_place_of_another_package_removes_it(text: str, epoch: bool) -> None:
    wanted, removed = dnf.parse_transaction(text)
    assert {one["name"]: (one["candidate"], one["new"]) for one in wanted} == {
        "hmdaemon": ("1.1-1", False), "hmneeds": ("1.1-1", False), "hmsuccessor": ("2.0-1", True), "hmdep": ("1.0-1", True),
        **({"hmepoch": ("1:2.0-1", False)} if epoch else {})}
    assert removed == [["hmold", "1.0-1"]]


def test_what_dnf_5_removes_and_what_only_changes() -> None:
    assert dnf.parse_transaction(REMOVE5) == ([], [["hmdep", "0:1.0-1"], ["hmneeds", "0:1.1-1"]])
    assert dnf.parse_transaction(DOWNGRADE5) == dnf.parse_transaction(REASON5) == ([], [])


def test_a_transaction_with_wrapped_rows() -> None:
    wanted, removed = dnf.parse_transaction(TRANSACTION)
    assert [(one["name"], one["candidate"], one["arch"], one["new"]) for one in wanted] == [
        ("hmdaemon", "1.1-1", "noarch", False), ("a-package-with-a-long-name-that-wraps", "1:2.0-1.el9", "x86_64", False),
        ("hmnew", "1.0-1", "noarch", True)]
    assert removed == [["gone", "1-1"]]


def test_version_locks_of_both_forms() -> None:
    assert dnf_config.parse_versionlock("# a\nbash-0:5.1.8-9.el9.*\n!zsh-0:5-1.*\nvim\n") == ["bash", "vim"]
    assert dnf_config.parse_versionlock_toml(LOCKED) == ["hmlocked", "hmdaemon"]


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
            "dnf -C --setopt=logfilelevel=0 -q --disableexcludes=all --disableplugin=versionlock "
            "updateinfo list --security --with-cve": CVES,
            "dnf -C": updateinfo}
    return machine(root, says, id="rocky", version_id="9.4")


def test_pending_updates_of_a_host_of_dnf(tmp_path: Path) -> None:
    found = judge(rpm_host(tmp_path))
    openssl, pinned = found["security_pending", "openssl-libs"], found["security_pending", "kernel-core"]
    assert (openssl["severity"], openssl["references"]) == ("high", ["CVE-2026-1", "CVE-2026-2"])
    assert openssl["evidence"]["effective"] == {"installed": "1:3.0.7-27.el9", "source": "openssl"}
    assert (pinned["risk"], pinned["evidence"]["observed"]["pinned"]) == ("manual", True)
    assert statuses(found, "eol_release") == {"rocky 9": "passed"}


def test_a_lock_of_dnf_4_counts_without_its_plugin(tmp_path: Path) -> None:
    """dnf 4.14.0 of Debian has none, and says that it would update what is locked."""
    host = rpm_host(tmp_path)
    (tmp_path / "etc/dnf/plugins/versionlock.list").write_text("openssl-libs-1:3.0.7-27.el9.*\n")
    host.says = {"dnf -C --setopt=logfilelevel=0 -q repoquery --upgrades": "openssl-libs\n\n", **host.says}
    found = judge(host)
    assert found["security_pending", "openssl-libs"]["evidence"]["observed"]["held"] is True
    assert found["security_pending", "kernel-core"]["evidence"]["observed"]["pinned"] is True


@pytest.mark.parametrize("fetched", [True, False])
def test_pending_updates_of_a_host_of_yum(tmp_path: Path, fetched: bool) -> None:
    """yum ends well where it has not fetched the advisories yet, and prints none: that is no pass."""
    cache = "var/cache/yum/x86_64/7/base/"
    files = {"usr/bin/yum": "", "etc/yum.conf": "[main]\ngpgcheck=1\n", "etc/yum.repos.d/a.repo": "[base]\nbaseurl=http://h/\n",
             cache + "repomd.xml": '<data type="updateinfo">', "etc/yum/pluginconf.d/versionlock.list": "0:glibc-2.17-1.*\n"}
    if fetched:
        files[cache + "0c2c-updateinfo.xml.gz"] = ""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    yum = "yum -C -q --disableexcludes=all --disableplugin=versionlock updateinfo list "
    says = {"rpm -qa": "glibc\t2.17-1\tx86_64\tglibc-2.17-1.src.rpm\n", yum + "security": YUM if fetched else "",
            yum + "cves": YUM_CVES if fetched else ""}
    found = judge(machine(tmp_path, says, id="centos", version_id="7"))
    if not fetched:
        assert statuses(found, "security_pending") == {"repository base": "unknown"}
        return
    assert statuses(found, "security_pending") == {"glibc": "open", "bind-libs": "open"}
    glibc = found["security_pending", "glibc"]
    assert (glibc["severity"], glibc["references"]) == ("high", ["CVE-2024-2961", "CVE-2024-33599"])
    assert glibc["evidence"]["observed"]["held"] is True
    assert found["security_pending", "bind-libs"]["evidence"]["observed"]["candidate"] == "32:9.11.4-26.P2.el7_9.14"
    assert found["eol_release", "centos 7"]["status"] == "open"


def test_a_repository_without_advisories_is_unknown(tmp_path: Path) -> None:
    found = judge(rpm_host(tmp_path, errata=False, updateinfo=""))
    assert statuses(found, "security_pending") == {"repository base": "unknown"}


def test_a_transaction_of_rpm_that_was_cut_off_is_for_a_person(tmp_path: Path) -> None:
    host = rpm_host(tmp_path, updateinfo="")
    host.says["rpm -qa"] = "".join(
        f"{name}\t{version}\t{arch}\t{name}-{version}.src.rpm\n" for name, version, arch in (
            ("bash", "5.1-8", "x86_64"), ("bash", "5.1-9", "x86_64"), ("kernel-core", "6.1-1", "x86_64"),
            ("kernel-core", "6.1-2", "x86_64"), ("glibc", "2.34-1", "x86_64"), ("glibc", "2.34-1", "i686")))
    [one] = [one for (check, _resource), one in judge(host).items() if check == "security_pending"]
    assert (one["status"], one["resource"], one["risk"]) == ("open", "rpm", "manual")
    assert one["evidence"]["effective"]["half_done"] == ["bash 5.1-8 and 5.1-9"]


def test_what_yum_has_not_finished_is_told(tmp_path: Path) -> None:
    host = rpm_host(tmp_path, updateinfo="")
    (tmp_path / "var/lib/yum").mkdir(parents=True)
    (tmp_path / "var/lib/yum/transaction-all.2026-11-25.10:00.01").write_text("")
    (tmp_path / "var/lib/yum/transaction-done.2026-11-25.10:00.01").write_text("")
    [one] = [one for (check, _resource), one in judge(host).items() if check == "security_pending"]
    assert one["evidence"]["effective"]["half_done"] == ["/var/lib/yum/transaction-all.2026-11-25.10:00.01"]


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


# dnf 5


def dnf5_host(root: Path, files: dict[str, str] | None = None, version: str = "5.4.4.0-1",
              able: Any = "hmdaemon\nhmepoch\nhmneeds\n") -> FakeHost:
    """Make a host like Fedora: dnf is dnf5, and one repository has advisories."""
    given = {
        "usr/bin/dnf5": "", "etc/dnf/dnf.conf": "[main]\n",
        "etc/yum.repos.d/lab.repo": "[lab]\nbaseurl=http://repo.example.org/lab\ngpgcheck=1\n",
        "var/cache/libdnf5/lab-bb7e7ab0426fb181/repodata/repomd.xml": '<data type="updateinfo">', **(files or {})}
    for name, text in given.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "usr/bin/dnf").symlink_to("dnf5")
    skip = " --skip-file-locks" if version.startswith("5.4") else ""
    rpms = "".join(f"{name}\t{release}\tnoarch\t{name}-1.0-1.src.rpm\n" for name, release in (
        ("dnf5", version), ("hmdaemon", "1.0-1"), ("hmlocked", "1.0-1"), ("hmexcluded", "1.0-1"), ("hmepoch", "1:1.0-1")))
    asked = f"dnf5 -C{skip} -q --setopt=disable_excludes=* advisory list --security"
    return machine(root, {"rpm -qa": rpms, f"dnf5 -C{skip} -q repoquery --upgrades": able, asked + " --with-cve": DNF5_CVES,
                           asked: DNF5}, id="fedora", version_id="43")


@pytest.mark.parametrize("version", ["5.4.4.0-1", "5.2.18.0-1"])
def test_pending_updates_of_a_host_of_dnf5(tmp_path: Path, version: str) -> None:
    host = dnf5_host(tmp_path, version=version)
    found = judge(host)
    assert statuses(found, "security_pending") == dict.fromkeys(
        ("hmdaemon", "hmlocked", "hmexcluded", "hmneeds", "hmepoch"), "open")
    assert all("risk" not in one for (check, _name), one in found.items() if check == "security_pending")
    assert found["security_pending", "hmexcluded"]["references"] == ["CVE-2026-10003", "CVE-2026-10004"]
    assert statuses(found, "index_stale") == {"package index": "passed"}
    assert not any("repoquery" in argv for argv in host.asked), "it is asked only where something is locked or excluded"


def test_dnf5_says_what_a_lock_or_an_exclusion_really_keeps_back(tmp_path: Path) -> None:
    host = dnf5_host(tmp_path, {"etc/dnf/versionlock.toml": LOCKED, "etc/dnf/libdnf5.conf.d/50-mine.conf":
                                "[main]\nexcludepkgs=hmexcluded-1.1*\n"})
    found = judge(host)
    kept = {name: (one.get("risk"), one["evidence"]["observed"]["held"], one["evidence"]["observed"]["pinned"])
            for (check, name), one in found.items() if check == "security_pending"}
    # The lock of hmdaemon leaves another version out than the one that is pending: dnf5 would install that.
    assert kept == {"hmdaemon": (None, False, False), "hmepoch": (None, False, False), "hmneeds": (None, False, False),
                    "hmlocked": ("manual", True, False), "hmexcluded": ("manual", False, True)}


def test_where_dnf5_does_not_say_the_names_of_locks_and_exclusions_count(tmp_path: Path) -> None:
    broken = (134, "", "terminate called after throwing an instance of 'toml::syntax_error'\n")
    found = judge(dnf5_host(tmp_path, {"etc/dnf/versionlock.toml": LOCKED, "etc/dnf/dnf.conf": "[main]\nexclude=hmexcl*\n"},
                            able=broken))
    assert {name for (check, name), one in found.items() if check == "security_pending" and one.get("risk")} == {
        "hmlocked", "hmdaemon", "hmexcluded"}


def test_locks_of_the_other_generation_lock_nothing(tmp_path: Path) -> None:
    host = dnf5_host(tmp_path, {"etc/dnf/plugins/versionlock.list": "hmdaemon-0:1.0-1.*\n"})
    assert "risk" not in judge(host)["security_pending", "hmdaemon"]


@pytest.mark.parametrize(("link", "others", "tool"), [
    ("dnf5", ("dnf5", "yum"), "dnf5"), ("dnf-3", ("dnf5", "yum"), "dnf"), ("", ("dnf5",), "dnf5"), ("", ("yum",), "yum"),
    ("", (), None), ("/usr/bin/dnf5", (), "dnf5")])
def test_which_package_manager_is_the_hosts(tmp_path: Path, link: str, others: tuple[str, ...], tool: str | None) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    for name in others:
        (tmp_path / "usr/bin" / name).write_text("")
    if link:
        (tmp_path / "usr/bin/dnf").symlink_to(link)
    assert dnf_state.tool_of(machine(tmp_path)) == tool


@pytest.mark.parametrize(("touched", "status"), [("", "open"), ("x-primary.xml.zst", "passed")])
def test_an_index_that_has_not_changed_is_as_old_as_the_last_look_at_it(tmp_path: Path, touched: str, status: str) -> None:
    """dnf 4 and 5 leave repomd.xml as it is then, and touch the file of packages beside it."""
    folder = "var/cache/libdnf5/lab-bb7e7ab0426fb181/repodata/"
    host = dnf5_host(tmp_path, {folder + "x-primary.xml.zst": "", folder + "x-updateinfo.xml.zst": ""})
    for path in (tmp_path / folder).iterdir():
        if path.name != touched:
            os.utime(path, (time.time() - 10 * 86400,) * 2)
    assert statuses(judge(host), "index_stale") == {"package index": status}


@pytest.mark.parametrize("skip", [True, False])
def test_a_repository_that_was_never_fetched(tmp_path: Path, skip: bool) -> None:
    """dnf5 5.4.4.0 passes over it where skip_if_unavailable lets it, and says nothing at all of the others elsewhere."""
    host = dnf5_host(tmp_path, {"etc/yum.repos.d/x.repo": "[x]\nbaseurl=http://repo.example.org/x\ngpgcheck=1\n"})
    if not skip:
        refused = (1, "", 'Cache-only enabled but no cache for repository "x"\n')
        host.says = {"dnf5 -C --skip-file-locks -q --setopt=disable_excludes=* advisory": refused, **host.says}
    found = judge(host)
    assert statuses(found, "index_stale") == {"repository x": "open"}
    pending = statuses(found, "security_pending")
    assert pending == {"installed packages": "unknown"} if not skip else pending["repository x"] == "unknown"


def test_a_folder_that_a_moved_repository_has_left_is_not_its_index(tmp_path: Path) -> None:
    left = "var/cache/libdnf5/lab-0000000000000000/repodata/repomd.xml"
    host = dnf5_host(tmp_path, {left: "<data>"})
    os.utime(tmp_path / left, (0, 0))
    assert statuses(judge(host), "index_stale") == {"package index": "passed"}


def test_what_yum_has_looked_at_last_is_told_by_its_cookie(tmp_path: Path) -> None:
    folder = tmp_path / "var/cache/yum/x86_64/7/base"
    folder.mkdir(parents=True)
    (folder / "repomd.xml").write_text("<data>")
    (folder / "cachecookie").write_text("")
    os.utime(folder / "repomd.xml", (0, 0))
    assert dnf_state._metadata(machine(tmp_path), "yum", "base")["age_days"] < 1


def test_what_dnf5_is_told_of_repositories(tmp_path: Path) -> None:
    """As `dnf5 --dump-repo-config` and `--dump-main-config` of dnf5 5.4.4.0 have it of the same files."""
    url = "baseurl=http://repo.example.org/\n"
    host = dnf5_host(tmp_path, {
        "usr/share/dnf5/libdnf.conf.d/20-dist.conf": "[main]\ngpgcheck=1\nexcludepkgs=one\n",
        "usr/share/dnf5/libdnf.conf.d/30-same.conf": "[main]\npkg_gpgcheck=0\n",
        "etc/dnf/libdnf5.conf.d/30-same.conf": "[main]\nexcludepkgs=two\n",
        "etc/dnf/dnf.conf": "[main]\nexclude=three\n[inmain]\n" + url,
        "etc/yum.repos.d/m.repo": f"[a]\n{url}[b]\n{url}gpgcheck=0\nexclude=x y\n[c]\n{url}enabled=0\n"
                                  f"[d]\n{url}pkg_gpgcheck=0\ngpgcheck=1\n[e]\n{url}gpgcheck=1\npkg_gpgcheck=0\n[off]\nenabled=no\n",
        "usr/share/dnf5/repos.d/s.repo": f"[s]\n{url}",
        "etc/dnf/repos.override.d/50-x.repo": "[z*]\ngpgcheck=0\n[c]\nenabled=1\n[s]\nexcludepkgs=w\ngpgcheck=0\n"})
    repositories, main, faults = dnf_config.read_repositories(host, "dnf5")
    assert {one["id"]: (one["unsigned"], one["narrowed"]) for one in repositories} == {
        "a": (False, []), "b": (True, ["x", "y"]), "c": (False, []), "d": (False, []), "e": (True, []), "s": (True, ["w"]),
        "inmain": (False, []), "lab": (False, [])}
    assert (dnf_config.narrowed(main), faults) == (["one", "two", "three"], [])


@pytest.mark.parametrize("text", ["not a section\n", "[x]\nname\nbaseurl=http://h/\n", "[x]\nname: x\nbaseurl: http://h/\n"])
@pytest.mark.parametrize("path", ["etc/yum.repos.d/x.repo", "etc/dnf/libdnf5.conf.d/x.conf", "etc/dnf/repos.override.d/x.repo"])
def test_what_dnf5_cannot_read_is_open_and_no_update_is_passed(tmp_path: Path, path: str, text: str) -> None:
    found = judge(dnf5_host(tmp_path, {path: text}))
    assert found["index_stale", "sources"]["status"] == "open"
    assert statuses(found, "security_pending") == {"installed packages": "unknown"}


@pytest.mark.parametrize(("files", "trouble"), [
    ({}, "is not told to install anything"), ({"etc/dnf/automatic.conf": "[commands]\napply_updates = yes\n"}, ""),
    ({"etc/dnf/dnf5-plugins/automatic.conf": "[commands]\napply_updates = yes\n"}, ""),
    ({"etc/dnf/dnf5-plugins/automatic.conf": "[commands]\napply_updates = yes\n",
      "etc/dnf/automatic.conf": "[commands]\napply_updates = no\n"}, "is not told to install anything"),
    ({"etc/dnf/automatic.conf": "[emitters]\napply_updates = yes\n"}, "is not told to install anything")])
def test_automatic_updates_of_dnf5(tmp_path: Path, files: dict[str, str], trouble: str) -> None:
    host = dnf5_host(tmp_path, {"usr/lib/systemd/system/dnf5-automatic.timer": "",
                                "usr/share/dnf5/dnf5-plugins/automatic.conf": "[commands]\napply_updates = no\n", **files})
    host.unit_items = (Unit("dnf5-automatic.timer", "loaded", "active", "waiting", "enabled"),)
    one = judge(host)["unattended_off", "automatic security updates"]
    assert one["status"] == ("open" if trouble else "passed")
    assert trouble in one["reason"]


# The lock


@pytest.mark.parametrize("said", [
    "Transaction failed: Failed to obtain rpm transaction lock. Another transaction is in progress.",  # dnf5 5.2.18.0
    "Existing lock /var/run/yum.pid: another copy is running as pid 7.",
    "Failed to obtain the transaction lock (logged in as: x)."])
def test_what_is_locked_is_known_by_what_it_says(said: str) -> None:
    assert run.LOCKED.search(said)


def test_a_lock_of_dnf5_is_awaited_and_named(tmp_path: Path) -> None:
    path = tmp_path / "system-repo.lock"
    path.write_text("")
    code = "import fcntl, sys; h = open(sys.argv[1], 'rb+'); fcntl.lockf(h, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    held = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout and held.stdout.readline() == b"\n"
        pauses: list[float] = []
        clock = iter(range(100))
        said = dnf_lock.wait(3, (str(path),), lambda: float(next(clock)), pauses.append)
        assert said.startswith(f"{path} is locked by another process")
        assert len(pauses) == 2
        assert run.LOCKED.search(said)
    finally:
        held.communicate()
    assert dnf_lock.wait(0, (str(path), str(tmp_path / "none"))) == ""
