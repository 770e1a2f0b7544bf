"""Which packages of a host have which CVEs: by the distribution's own versions, and never a false one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostmend.advisories import findings, versions
from tests.support.advisory_data import ASKED, BOOKWORM, NOW, SAMPLES, bundled, judged, package, sample, zipped

REST, UNFIXED, UNSEEN = findings.REST, findings.UNFIXED, findings.UNSEEN


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return bundled(folder, *(sample(folder, name) for name in ("debian.json", "kev.json", "epss.csv")))


def observed(finding: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = finding["evidence"]["observed"]
    return made


def test_a_version_older_than_the_backport_with_the_fix_is_found_and_explained(debian: Path) -> None:
    made = judged(
        debian,
        package("libssl3", "3.0.15-1~deb12u1", "openssl"),
        package("openssl", "3.0.15-1~deb12u1"),
        package("bash", "5.2.15-2+b8", "bash", "5.2.15-2"),
    )
    one = made["openssl"]
    assert (one["check"], one["status"], one["severity"], one["references"]) == (
        "updates.cve",
        "open",
        "high",
        ["CVE-2026-1000"],
    )
    assert observed(one) == {
        "installed": "3.0.15-1~deb12u1",
        "packages": ["libssl3", "openssl"],
        "fixed": "3.0.16-1~deb12u2",
        "cves": ["CVE-2026-1000"],
        "count": 1,
        "kev": [],
        "epss": 0.04512,
        "why": {"CVE-2026-1000": "older than 3.0.16-1~deb12u2, which has the fix"},
        "bundle": {"source": "Debian security tracker", "dated": "2026-11-24T12:00:00Z", "age_days": 1.0},
    }
    assert one["reason"] == "3.0.15-1~deb12u1 is older than 3.0.16-1~deb12u2, which has the fix of 1 CVE"
    assert (one["epss"], "known_exploited" in one) == (0.04512, False)
    assert made[REST]["status"] == "passed"
    assert observed(made[REST])["compared"] == 2


def test_the_fixed_version_and_any_newer_one_is_no_finding(debian: Path) -> None:
    for version in ("3.0.16-1~deb12u2", "3.0.17-1~deb12u1", "3.0.16-1~deb12u2+b1"):
        made = judged(debian, package("libssl3", version, "openssl"))
        assert set(made) == {REST, UNSEEN}
        assert made[REST]["status"] == "passed"


def test_another_release_is_judged_by_its_own_versions(debian: Path) -> None:
    trixie = {"id": "debian", "version_id": "13", "codename": "trixie"}
    assert "openssl" in judged(debian, package("libssl3", "3.4.0-1", "openssl"), distribution=trixie)
    # bookworm's fix is of no account there
    assert "openssl" not in judged(debian, package("libssl3", "3.5.1-1", "openssl"), distribution=trixie)


def test_the_version_of_the_source_counts_not_that_of_the_package(debian: Path) -> None:
    assert "openssl" not in judged(debian, package("libfoo", "1.0-1", "openssl", "3.0.16-1~deb12u2"))
    assert "openssl" in judged(debian, package("libfoo", "9:99-1", "openssl", "3.0.15-1"))


def test_known_exploitation_makes_it_high_and_is_told(debian: Path) -> None:
    one = judged(debian, package("sudo", "1.9.13p3-1+deb12u1"))["sudo"]
    assert (one["severity"], one["known_exploited"], one["epss"]) == ("high", True, 0.91234)
    assert observed(one)["kev"] == ["CVE-2026-7000"]


def test_an_entry_without_a_day_is_exploited_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "kev.csv").write_text("cveID,vendorProject\nCVE-2026-1000,x\n")
    path = bundled(tmp_path, sample(tmp_path, "debian.json"), str(tmp_path / "kev.csv"))
    assert judged(path, package("libssl3", "3.0.15-1", "openssl"))["openssl"]["known_exploited"]


def test_what_the_host_says_itself_hides_nothing(debian: Path) -> None:
    mine = {**ASKED, "resource": "openssl", "status": "passed"}
    facts = {"packages": [package("libssl3", "3.0.15-1", "openssl")], "distribution": BOOKWORM}
    made = findings.join([mine, dict(ASKED)], facts, {}, debian, now=NOW)
    assert [one["status"] for one in made if one["resource"] == "openssl"] == ["open"]


def test_what_has_no_fix_is_told_apart(debian: Path) -> None:
    made = judged(
        debian,
        package("zlib1g", "1:1.2.13.dfsg-1", "zlib"),
        package("libc6", "2.36-9+deb12u9", "glibc"),
        package("nodejs", "18.20.4+dfsg-1~deb12u1"),
        package("libwebkit2gtk-4.1-0", "2.48.0-1", "webkit2gtk"),
    )
    assert set(made) == {
        "nodejs (no fixed version)",
        "webkit2gtk (no fixed version)",
        UNFIXED,
        REST,
        UNSEEN,
    }
    grave = made["nodejs (no fixed version)"]
    assert (grave["status"], grave["severity"], grave["risk"]) == ("open", "high", "manual")
    assert "no fixed version yet" in grave["reason"]
    assert "fixed" not in observed(grave)
    ended = made["webkit2gtk (no fixed version)"]
    assert ended["severity"] == "medium"
    assert "no security support" in ended["reason"]
    # minor by the distribution's word, and what nobody knows of: a person's to judge, neither open nor passed
    minor = made[UNFIXED]
    assert minor["status"] == "not_assessed"
    assert (observed(minor)["cves"], observed(minor)["undetermined"]) == ({"zlib": ["CVE-2023-45853"]}, 1)
    # unimportant: no effect on what was built
    assert observed(made[REST])["no_effect"] == 1


def test_only_the_running_kernel_is_compared(debian: Path) -> None:
    old = package("linux-image-6.1.0-18-amd64", "6.1.76-1", "linux-signed-amd64", "6.1.76+1")
    new = package("linux-image-6.1.0-37-amd64", "6.1.140-1", "linux-signed-amd64", "6.1.140+1")
    headers = package("linux-libc-dev", "6.1.76-1", "linux")
    after = judged(debian, old, new, headers, system={"kernel": "6.1.0-37-amd64", "running": True})
    assert "linux" not in after
    assert observed(after[REST])["kernel"] == "the running 6.1.0-37-amd64"
    before = judged(debian, old, new, headers, system={"kernel": "6.1.0-18-amd64", "running": True})
    assert observed(before["linux"])["installed"] == "6.1.76-1"
    # a root filesystem that does not run will boot the newest
    assert "linux" not in judged(debian, old, new, headers, system={"kernel": "", "running": False})
    assert "linux" in judged(debian, old, headers, system={"kernel": "", "running": False})
    # a container runs the kernel of its host
    assert "linux" not in judged(debian, headers, system={"kernel": "6.18.0", "running": True})


def test_containers_and_static_binaries_are_said_to_be_unseen(debian: Path) -> None:
    assert judged(debian, package("bash", "5.2"))[UNSEEN]["status"] == "not_assessed"


def test_an_old_bundle_passes_nothing_but_keeps_what_it_found(tmp_path: Path) -> None:
    path = bundled(tmp_path, sample(tmp_path, "debian.json", days_old=12))
    made = judged(path, package("libssl3", "3.0.15-1~deb12u1", "openssl"))
    assert made["openssl"]["status"] == "open"
    assert (made[REST]["status"], "12 days old" in made[REST]["reason"]) == ("unknown", True)
    assert judged(path, package("bash", "5.2"), max_age_days=30)[REST]["status"] == "passed"
    # nothing is said of exploitation where nobody told
    assert "kev" not in observed(made["openssl"])


@pytest.mark.parametrize(
    ("distribution", "said"),
    [
        ({"id": "debian", "version_id": "11", "codename": "bullseye"}, "nothing on debian:bullseye"),
        ({"id": "kali", "version_id": "2026.1", "codename": "kali-rolling"}, "no advisories are compared for this distribution"),
        ({"id": ["debian"]}, "no advisories are compared"),
        ("debian", "no advisories are compared"),
        (None, "no advisories are compared"),
    ],
)
def test_a_release_that_the_bundle_is_not_about_is_unknown(debian: Path, distribution: Any, said: str) -> None:
    made = judged(debian, package("openssl", "1.0-1"), distribution=distribution)
    assert set(made) == {REST}
    assert made[REST]["status"] == "unknown"
    assert said in made[REST]["reason"]


def test_no_bundle_and_a_broken_one_are_unknown(tmp_path: Path) -> None:
    made = judged(tmp_path / "none.db", package("openssl", "1.0-1"))
    assert "there is no advisory bundle at" in made[REST]["reason"]
    (tmp_path / "bad.db").write_bytes(b"no database" * 1000)
    assert "cannot be read" in judged(tmp_path / "bad.db", package("openssl", "1.0-1"))[REST]["reason"]
    import sqlite3

    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    assert "is no bundle of hostmend" in judged(tmp_path / "other.db", package("openssl", "1.0-1"))[REST]["reason"]


@pytest.mark.parametrize("facts", [None, [], "x", {}, {"packages": None}, {"packages": "abc"}, {"packages": []}])
def test_without_a_list_of_packages_the_detectors_word_stays(debian: Path, facts: Any) -> None:
    assert findings.join([dict(ASKED)], facts, {}, debian, now=NOW) == [ASKED]


def test_a_list_that_is_not_whole_passes_nothing(debian: Path) -> None:
    facts = {"packages": [package("bash", "5.2")], "distribution": BOOKWORM, "gaps": ["a part of it cannot be read"]}
    (rest,) = [one for one in findings.join([dict(ASKED)], facts, {}, debian, now=NOW) if one["resource"] == REST]
    assert (rest["status"], rest["reason"]) == ("unknown", "the host's list of packages is not whole")


def test_a_library_that_is_missing_is_unknown(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions.key.cache_clear()
    versions._parser.cache_clear()
    monkeypatch.setitem(sys.modules, "univers.debian", None)
    rest = judged(debian, package("bash", "5.2"))[REST]
    assert rest["status"] == "unknown"
    assert "the Python package univers.debian is missing on the controller" in rest["reason"]
    versions._parser.cache_clear()


def test_where_the_class_was_not_asked_for_nothing_is_done(tmp_path: Path) -> None:
    other = {"check": "redis.no_auth", "status": "open", "resource": "x"}
    facts = {"packages": [package("a", "1")], "distribution": BOOKWORM}
    assert findings.join([other], facts, {}, tmp_path / "none.db") == [other]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "openssl",
        [],
        ["openssl", "1"],
        ["openssl", 1, "openssl", 1],
        ["open\nssl", "1", "openssl", "1"],
        ["openssl", "1; rm", "openssl", "1; rm"],
        ["x" * 5000, "1", "x", "1"],
        ["x", "9" * 5000, "x", "9" * 5000],
        ["x", "nodigits", "x", "nodigits"],
        {"name": "openssl"},
        ["<script>", "1", "<script>", "1"],
    ],
)
def test_an_entry_of_another_form_is_not_believed_and_nothing_passes(debian: Path, entry: Any) -> None:
    made = judged(debian, package("bash", "5.2.15-2"), entry)
    assert set(made) == {REST, UNSEEN}
    assert made[REST]["status"] == "unknown"
    assert "1 package of the host's list cannot be read" in made[REST]["reason"]


def test_a_list_without_end_is_bounded(debian: Path) -> None:
    made = judged(debian, *(package(f"p{number}", "1.0-1") for number in range(20_050)))
    assert observed(made[REST])["compared"] == 20_000
    assert "50 packages of" in made[REST]["reason"]


def test_a_pending_update_gets_the_cves_that_it_fixes(debian: Path) -> None:
    pending = {
        "check": "updates.security_pending",
        "status": "open",
        "resource": "sudo",
        "references": ["DSA-1"],
        "evidence": {"effective": {"installed": "1.9.13p3-1+deb12u1"}, "observed": {"candidate": "1.9.13p3-1+deb12u2"}},
    }
    other = {**pending, "resource": "unrelated"}
    facts = {"packages": [package("sudo", "1.9.13p3-1+deb12u1")], "distribution": BOOKWORM}
    made = findings.join([dict(ASKED), pending, other], facts, {}, debian, now=NOW)
    mine = next(one for one in made if one["check"] == "updates.security_pending" and one["resource"] == "sudo")
    assert mine["references"] == ["DSA-1", "CVE-2026-7000"]
    assert (mine["known_exploited"], mine["epss"]) == (True, 0.91234)
    assert mine["evidence"]["observed"] == {
        "candidate": "1.9.13p3-1+deb12u2",
        "cves": ["CVE-2026-7000"],
        "kev": ["CVE-2026-7000"],
        "epss": 0.91234,
    }
    assert other in made
    assert pending["references"] == ["DSA-1"]


def osv(identity: str, ecosystem: str, name: str, *events: dict[str, str], **more: Any) -> str:
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, *events]}]
    affected = {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges}
    return json.dumps({"id": identity, "modified": "2026-11-24T00:00:00Z", "affected": [affected], **more})


JAMMY = {"id": "ubuntu", "version_id": "22.04", "codename": "jammy"}
ALMA = {"id": "almalinux", "version_id": "9.4", "codename": ""}


def test_of_two_advisories_on_one_cve_the_fix_that_is_installed_counts(tmp_path: Path) -> None:
    path = bundled(
        tmp_path,
        zipped(
            tmp_path / "all.zip",
            osv("UBUNTU-CVE-2026-1", "Ubuntu:22.04:LTS", "x", {"fixed": "1.0-1ubuntu2"}, upstream=["CVE-2026-0001"]),
            osv("USN-2-1", "Ubuntu:22.04:LTS", "x", {"fixed": "1.0-1ubuntu3"}, upstream=["CVE-2026-0001", "CVE-2026-0002"]),
        ),
    )
    assert observed(judged(path, package("x", "1.0-1ubuntu2"), distribution=JAMMY)["x"])["cves"] == ["CVE-2026-0002"]
    both = observed(judged(path, package("x", "1.0-1ubuntu1"), distribution=JAMMY)["x"])
    assert both["cves"] == ["CVE-2026-0001", "CVE-2026-0002"]
    assert both["fixed"] == "1.0-1ubuntu3"
    assert "x" not in judged(path, package("x", "1.0-1ubuntu3"), distribution=JAMMY)


def test_a_fix_that_only_subscribers_get_is_none_to_install_but_counts_where_it_is(tmp_path: Path) -> None:
    path = bundled(
        tmp_path,
        zipped(
            tmp_path / "all.zip",
            osv("UBUNTU-CVE-2026-0001", "Ubuntu:22.04:LTS", "x"),
            osv("UBUNTU-CVE-2026-0001", "Ubuntu:Pro:22.04:LTS", "x", {"fixed": "1.0-1ubuntu1+esm1"}),
        ),
    )
    one = judged(path, package("x", "1.0-1ubuntu1"), distribution=JAMMY)["x (no fixed version)"]
    assert (one["severity"], one["risk"]) == ("medium", "manual")
    assert "Ubuntu Pro" in one["reason"]
    assert set(judged(path, package("x", "1.0-1ubuntu1+esm1"), distribution=JAMMY)) == {REST, UNSEEN}


def test_the_tracker_comes_before_osv_where_both_speak_of_a_package(tmp_path: Path) -> None:
    records = zipped(
        tmp_path / "all.zip",
        osv("DEBIAN-CVE-2026-1001", "Debian:12", "openssl", {"fixed": "99-1"}),
        osv("DEBIAN-CVE-2026-8000", "Debian:12", "curl", {"fixed": "7.88.1-10+deb12u9"}),
    )
    path = bundled(tmp_path, records)
    before = judged(path, package("openssl", "3.0.16-1~deb12u2"), package("curl", "7.88.1-10+deb12u8"))
    assert {"openssl", "curl"} <= set(before)
    path = bundled(tmp_path, sample(tmp_path, "debian.json"))
    after = judged(path, package("openssl", "3.0.16-1~deb12u2"), package("curl", "7.88.1-10+deb12u8"))
    assert "openssl" not in after  # "not affected", says the tracker
    assert "curl" in after


def test_the_age_that_counts_is_that_of_the_first_word(tmp_path: Path) -> None:
    records = zipped(
        tmp_path / "all.zip", osv("DEBIAN-CVE-2026-0011", "Debian:12", "x", {"fixed": "1-1"}), osv("D", "Debian:12", "z")
    )
    path = bundled(tmp_path, records, sample(tmp_path, "debian.json", days_old=20))
    made = judged(path, package("bash", "5.2"))[REST]
    assert (made["status"], observed(made)["bundle"]["source"]) == ("unknown", "Debian security tracker")


def test_a_severity_that_the_tracker_does_not_say_is_osvs(tmp_path: Path) -> None:
    tracked = {
        "CVE-2026-0009": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "2-1", "urgency": "not yet assigned"}}}
    }
    (tmp_path / "t.json").write_text(json.dumps({"x": tracked}))
    worst = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]
    record = osv("DEBIAN-CVE-2026-0009", "Debian:12", "x", {"fixed": "9-1"}, severity=worst)
    path = bundled(tmp_path, str(tmp_path / "t.json"))
    assert judged(path, package("x", "1-1"))["x"]["severity"] == "medium"
    path = bundled(tmp_path, zipped(tmp_path / "all.zip", record, osv("D", "Debian:12", "z")))
    one = judged(path, package("x", "1-1"))["x"]
    assert (one["severity"], observed(one)["fixed"]) == ("high", "2-1")


def test_rpm_packages_are_compared_with_their_epochs_and_told_by_source(tmp_path: Path) -> None:
    path = bundled(tmp_path, zipped(tmp_path / "all.zip", SAMPLES / "ALSA-2026-1234.json", osv("ALSA-1", "AlmaLinux:9", "zz")))
    old = [["nginx", "1:1.20.1-14.el9", "nginx", "1.20.1-14.el9"], ["nginx-core", "1:1.20.1-14.el9", "nginx", "1.20.1-14.el9"]]
    made = judged(path, *old, distribution=ALMA)
    assert (made["nginx"]["severity"], observed(made["nginx"])["packages"]) == ("high", ["nginx", "nginx-core"])
    assert observed(made["nginx"])["cves"] == ["CVE-2026-9000", "CVE-2026-9001"]
    new = [["nginx", "1:1.20.1-20.el9.alma.1", "nginx", ""], ["nginx-core", "1:1.22.0-1.el9", "nginx", ""]]
    assert "nginx" not in judged(path, *new, distribution=ALMA)


@pytest.mark.parametrize(
    ("version", "status", "is_open"),
    [
        ("1:20.15.1-1.module_el9.4.0+100+aaaaaaaa", "passed", True),  # the same upstream version, an older build
        ("1:20.15.1-1.module_el9.4.0+123+abcdef12", "passed", False),
        ("1:18.20.4-1.module_el9.4.0+124+abcdef12", "unknown", False),  # another stream, or an older version of this one
        ("1:22.1.0-1.module_el9.4.0+124+abcdef12", "passed", False),
        ("1:16.20.2-1.el9_2", "passed", False),  # not from a module
    ],
)
def test_streams_of_a_module_are_not_taken_for_one_another(tmp_path: Path, version: str, status: str, is_open: bool) -> None:
    path = bundled(tmp_path, zipped(tmp_path / "all.zip", SAMPLES / "ALSA-2026-1234.json", osv("ALSA-1", "AlmaLinux:9", "zz")))
    made = judged(path, ["nodejs", version, "nodejs", ""], distribution=ALMA)
    assert ("nodejs" in made) == is_open
    assert made[REST]["status"] == status


def test_only_the_running_kernel_of_an_rpm_host_is_compared(tmp_path: Path) -> None:
    fixed = osv("ALSA-2", "AlmaLinux:9", "kernel-core", {"fixed": "5.14.0-427.13.1.el9_4"}, related=["CVE-2026-0007"])
    path = bundled(tmp_path, zipped(tmp_path / "all.zip", fixed, osv("ALSA-1", "AlmaLinux:9", "zz")))
    hosts = [["kernel-core", f"5.14.0-{one}.el9_4", "kernel", ""] for one in ("427.13.1", "362.8.1")]
    assert "kernel" not in judged(path, *hosts, distribution=ALMA, system={"kernel": "5.14.0-427.13.1.el9_4.x86_64"})
    assert "kernel" in judged(path, *hosts, distribution=ALMA, system={"kernel": "5.14.0-362.8.1.el9_4.x86_64"})


def test_several_spans_of_one_record_are_judged_together(tmp_path: Path) -> None:
    spans = ({"fixed": "1.2-1"}, {"introduced": "2.0-1"}, {"fixed": "2.3-1"})
    path = bundled(
        tmp_path, zipped(tmp_path / "all.zip", osv("DEBIAN-CVE-2026-0003", "Debian:12", "x", *spans), osv("D", "Debian:12", "z"))
    )
    for version, expected in (("1.1-1", True), ("1.5-1", False), ("2.2-1", True), ("2.3-1", False)):
        assert ("x" in judged(path, package("x", version))) == expected, version


def test_the_last_affected_version_is_affected(tmp_path: Path) -> None:
    path = bundled(
        tmp_path,
        zipped(
            tmp_path / "all.zip",
            osv("DEBIAN-CVE-2026-0004", "Debian:12", "x", {"last_affected": "1.2-1"}, severity=[{"score": "HIGH"}]),
            osv("D", "Debian:12", "z"),
        ),
    )
    assert "x (no fixed version)" in judged(path, package("x", "1.2-1"))
    assert "x (no fixed version)" not in judged(path, package("x", "1.2-2"))


VERSION = st.from_regex(r"\A(?:[0-3]:)?[0-9][a-z0-9.+~]{0,8}(?:-[a-z0-9.+~]{1,6})?\Z")


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="there is no dpkg to compare with")
@settings(max_examples=60, deadline=None)
@given(one=VERSION, other=VERSION)
def test_versions_sort_as_dpkg_sorts_them(one: str, other: str) -> None:
    expected = 0
    for sign, number in (("lt", -1), ("gt", 1)):
        if subprocess.run(["dpkg", "--compare-versions", one, sign, other], check=False).returncode == 0:
            expected = number
    assert versions.compare("deb", one, other) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1.0~rc1-1", "1.0-1", -1),
        ("1.0^git1-1", "1.0-1", 1),
        ("1.0^git1-1", "1.0.1-1", -1),
        ("0:1.0-1", "1.0-1", 0),
        ("1:1.0-1", "2.0-1", 1),
        ("1.0-1.el9", "1.0-1.el9_2", -1),
        ("1.0-9.el9", "1.0-10.el9", -1),
        ("1.0a-1", "1.0-1", 1),
        ("1.05-1", "1.5-1", 0),
    ],
)
def test_versions_sort_as_rpm_sorts_them(one: str, other: str, expected: int) -> None:
    assert versions.compare("rpm", one, other) == expected
    assert versions.compare("rpm", other, one) == -expected
