"""What is imported, in the forms it is published in, and what bad input does: one line, and nothing is lost."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import http.server
import io
import json
import lzma
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostmend.advisories import feeds, fetch, importer, osv, unpack
from hostmend.advisories.bundle import Bundle
from hostmend.cli import main
from hostmend.core.errors import AdvisoryError
from tests.support.advisory_data import NOW, SAMPLES, bundled, sample, zipped


def failure(path: Path, source: str | Path, **more: Any) -> str:
    """Return why a source is not imported, in one line; what was there must still be there."""
    before = path.read_bytes() if path.exists() else None
    (outcome,) = importer.run([str(source)], path, now=NOW, **more)
    assert outcome.failure
    assert "\n" not in outcome.failure
    assert not outcome.feeds
    assert (path.read_bytes() if path.exists() else None) == before
    assert {one.name for one in path.parent.iterdir() if one.name.startswith(f".{path.name}")} <= {f".{path.name}.lock"}
    return outcome.failure


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a bundle in which something is."""
    return bundled(tmp_path, *(sample(tmp_path, name) for name in ("debian.json", "kev.json", "epss.csv")))


def test_the_tracker_is_read_with_its_own_states(old: Path) -> None:
    store = Bundle(old)
    (feed,) = [one for one in store.feeds.values() if one.kind == "debian"]
    assert (feed.records, feed.skipped, feed.covers) == (10, 0, ("debian:bookworm", "debian:trixie"))
    rows = store.rows(("debian:bookworm",), ("openssl", "glibc", "sudo", "zlib"))
    said = {name: [(row.fixed, row.state, row.cves) for row in mine] for name, mine in rows.items()}
    assert said == {
        "openssl": [
            (None, "unaffected", "CVE-2026-1001="),
            ("3.0.16-1~deb12u2", "resolved", "CVE-2026-1000=h"),
            ("3.0.14-1~deb12u2", "resolved", "CVE-2025-2000="),
        ],
        "glibc": [(None, "unimportant", "CVE-2010-4756="), (None, "undetermined", "CVE-2026-3001=")],
        "zlib": [(None, "ignored", "CVE-2023-45853=")],
        "sudo": [("1.9.13p3-1+deb12u2", "resolved", "CVE-2026-7000=m")],
    }


def test_each_source_keeps_its_own_date(old: Path) -> None:
    dates = {one.name: one.dated for one in Bundle(old).feeds.values()}
    assert dates == {
        "Debian security tracker": "2026-11-24T12:00:00Z",  # the file's: the tracker names none
        "CISA KEV": "2026-11-20T16:00:20Z",
        "EPSS": "2026-11-24T12:00:20Z",
    }


def test_a_date_to_come_is_not_believed(tmp_path: Path) -> None:
    path = bundled(tmp_path, sample(tmp_path, "debian.json", days_old=-30))
    assert [one.dated for one in Bundle(path).feeds.values()] == ["2026-11-25T12:00:00Z"]


def test_exploitation_is_known_by_cve(old: Path) -> None:
    known = Bundle(old).exploitation(["CVE-2026-7000", "CVE-2026-1000", "CVE-2000-0001"])
    assert known["CVE-2026-7000"].kev == "2026-09-29"
    assert (known["CVE-2026-7000"].ransomware, known["CVE-2026-7000"].epss) == (True, 0.91234)
    assert (known["CVE-2026-1000"].kev, known["CVE-2026-1000"].epss) == (None, 0.04512)
    assert "CVE-2000-0001" not in known


def test_the_list_of_cisa_is_the_same_as_csv(tmp_path: Path) -> None:
    known = Bundle(bundled(tmp_path, sample(tmp_path, "kev.csv"))).exploitation(["CVE-2026-7000", "CVE-2021-44228"])
    assert [(one.kev, one.due, one.ransomware) for one in known.values()] == [
        ("2021-12-10", "2021-12-24", True),
        ("2026-09-29", "2026-10-20", False),
    ]


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("DEBIAN-CVE-2026-8000.json", {("debian:12", "curl", "7.88.1-10+deb12u9", "resolved", "CVE-2026-8000=h"),
                                       ("debian:13", "curl", None, "open", "CVE-2026-8000=h")}),
        ("UBUNTU-CVE-2022-1292.json", {("ubuntu:22.04", "openssl", "3.0.2-0ubuntu1.1", "resolved", "CVE-2022-1292=m"),
                                       ("ubuntu:18.04", "openssl", "1.1.1-1ubuntu2.1~18.04.23+esm1", "pro", "CVE-2022-1292=m")}),
        ("ALSA-2026-1234.json", {("almalinux:9", package, version, "resolved", "CVE-2026-9000=h CVE-2026-9001=h")
                                 for package, version in (("nginx", "1:1.20.1-20.el9.alma.1"),
                                                          ("nginx-core", "1:1.20.1-20.el9.alma.1"),
                                                          ("nodejs", "1:20.15.1-1.module_el9.4.0+123+abcdef12"))}),
    ],
)  # fmt: skip
def test_one_record_of_osv_is_read_and_replaced_by_its_next(tmp_path: Path, name: str, packages: set[Any]) -> None:
    path = bundled(tmp_path, sample(tmp_path, name))
    path = bundled(tmp_path, sample(tmp_path, name))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT release, package, fixed, state, cves FROM affected").fetchall()
        assert connection.execute("SELECT count(*) FROM feeds").fetchone() == (1,)
    assert len(rows) == len(packages)
    assert set(rows) == packages


def test_rocky_and_red_hat_are_read_by_their_releases() -> None:
    def read(ecosystem: str) -> list[str | None]:
        affected = {"package": {"ecosystem": ecosystem, "name": "x"}, "ranges": [{"type": "ECOSYSTEM", "events": [
            {"introduced": "0"}, {"fixed": "0:1-2.el9"}]}]}  # fmt: skip
        record = osv.read(
            {"id": "RLSA-1", "modified": "2026-01-01T00:00:00Z", "upstream": ["CVE-2026-0001"], "affected": [affected]}
        )
        return [row[1] for row in record.rows]

    assert read("Rocky Linux:9") == ["rocky:9"]
    assert read("Red Hat:enterprise_linux:9::baseos") == ["rhel:9"]
    for other in ("Red Hat:rhel_eus:9.2::appstream", "Alpine:v3.20", "PyPI", "Ubuntu:Pro:FIPS:20.04:LTS", "Debian", ""):
        assert read(other) == []


@pytest.mark.parametrize(
    ("severity", "more", "letter"),
    [
        ([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}], {}, "h"),
        ([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L"}], {}, "m"),
        ([{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"}], {}, "h"),
        ([{"type": "CVSS_V3", "score": "CVSS:3.1/nonsense"}, {"score": 5}, "x"], {}, ""),
        ([], {"summary": "Moderate: bash security update"}, "m"),
        ([], {"database_specific": {"severity": "CRITICAL"}}, "h"),
        (None, {}, ""),
    ],
)
def test_severity_is_the_distributions_word_or_by_cvss(severity: Any, more: dict[str, Any], letter: str) -> None:
    affected = {
        "package": {"ecosystem": "AlmaLinux:9", "name": "x"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
    }
    value = {"id": "CVE-2026-0001", "modified": "2026-01-01T00:00:00Z", "severity": severity, "affected": [affected], **more}
    assert osv.read(value).rows[0][-1] == f"CVE-2026-0001={letter}"


def test_a_zip_stands_for_all_of_its_distributions(tmp_path: Path) -> None:
    withdrawn = json.loads((SAMPLES / "DEBIAN-CVE-2026-8000.json").read_text())
    withdrawn |= {"id": "DEBIAN-CVE-2026-8001", "withdrawn": "2026-11-20T00:00:00Z", "upstream": ["CVE-2026-8001"]}
    source = zipped(
        tmp_path / "all.zip",
        SAMPLES / "DEBIAN-CVE-2026-8000.json",
        SAMPLES / "UBUNTU-CVE-2022-1292.json",
        json.dumps(withdrawn),
        "not json",
    )
    path = bundled(tmp_path, source)
    feeds = {one.name: one for one in Bundle(path).feeds.values()}
    assert set(feeds) == {"OSV Debian", "OSV Ubuntu"}
    assert (feeds["OSV Debian"].records, feeds["OSV Debian"].skipped) == (1, 1)
    assert feeds["OSV Debian"].covers == ("debian:12", "debian:13")
    assert feeds["OSV Debian"].dated == "2026-11-12T11:00:05Z"
    # the next zip is all there is
    other = json.loads((SAMPLES / "DEBIAN-CVE-2026-8000.json").read_text()) | {
        "id": "DEBIAN-CVE-2026-8002",
        "upstream": ["CVE-2026-8002"],
    }
    bundled(tmp_path, zipped(tmp_path / "all.zip", json.dumps(other), "{}"))
    assert Bundle(path).about("CVE-2026-8000")[0] == []
    assert len(Bundle(path).about("CVE-2026-8002")[0]) == 2
    assert Bundle(path).about("CVE-2022-1292")[0] != []


@pytest.mark.parametrize(("ending", "packed"), [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)])
@pytest.mark.parametrize("name", ["debian.json", "kev.json", "kev.csv", "epss.csv", "ALSA-2026-1234.json"])
def test_what_is_packed_is_unpacked_whatever_it_is_named(
    tmp_path: Path, name: str, ending: str, packed: Callable[[bytes], bytes]
) -> None:
    source = tmp_path / f"{ending}.bin"
    source.write_bytes(packed((SAMPLES / name).read_bytes()))
    (outcome,) = importer.run([str(source)], tmp_path / "a.db", now=NOW)
    assert (outcome.failure, len(outcome.feeds)) == ("", 1)


def test_a_zip_of_one_file_is_what_that_file_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("epss_scores-current.csv", (SAMPLES / "epss.csv").read_bytes())
    (outcome,) = importer.run([str(tmp_path / "x.zip")], tmp_path / "a.db", now=NOW)
    assert [one.name for one in outcome.feeds] == ["EPSS"]


def changed(name: str, before: str, after: str) -> bytes:
    text = (SAMPLES / name).read_text()
    assert before in text
    return text.replace(before, after).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"<!doctype html><html><title>Log in</title></html>", "is a web page or XML"),
        (b"just words\n", "is no advisory file that is known"),
        (b"\x00\x01\x02\xff" * 100, "is no advisory file that is known"),
        (b"{\"a\": nonsense", "is not JSON"),
        (b"{}", "neither of the Debian security tracker, nor OSV, nor CISA's list"),
        (b"[]", "has no OSV record"),
        (b"[1, 2]", "has no OSV record"),
        (b'{"title": "x", "rows": [1]}', "neither of the Debian security tracker"),
        (b'{"openssl": {"CVE-2026-1": {"rel', "not whole"),
        (b'{"openssl": {"CVE-2026-1000": []}}', "no entry that could be read"),
        (b'{"openssl": {"CVE-2026-1000": {"releases": "x"}}}', "no entry that could be read"),
        (b'{"catalogVersion": "1", "vulnerabilities": {}}', "has no list of vulnerabilities"),
        (b'{"catalogVersion": "1", "vulnerabilities": [{"cveID": "nonsense"}, 5]}', "no entry that could be read"),
        (b"cveID,vendorProject\nnonsense,x\n", "no entry that could be read"),
        (b"cve,epss,percentile\n", "no entry that could be read"),
        (b"cve,epss,percentile\nCVE-2026-1000,nonsense,1\nCVE-2026-1000,7,1\n", "no entry that could be read"),
        (b"#model_version:v1\nother,columns\n1,2\n", "has no columns cve and epss"),
        (b"cve,epss,percentile\n" + b"x" * 2_000_000, "has a line longer than 1 MiB"),
        (b'cve,epss,percentile\nCVE-2026-1000,"0.1\n', "is not CSV"),
        (b"cve,epss\nCVE-2026-1000\xff,0.1\n", "is not UTF-8"),
        (b'{"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": []}', "names no CVE of Debian"),
        (b'{"id": "X-1", "modified": "2026-01-01T00:00:00Z", "withdrawn": "2026-01-02T00:00:00Z", "affected": []}', "withdrawn"),
        (b'{"vulns": [' + b"[" * 1_000_000, "nested too deeply"),
        (b'{"catalogVersion": "1", "vulnerabilities": ' + b"[" * 1_000_000, "nested too deeply|is not JSON"),
        (gzip.compress((SAMPLES / "debian.json").read_bytes(), mtime=0)[:-200], "is damaged or not whole"),
        (lzma.compress((SAMPLES / "debian.json").read_bytes())[:-200], "is damaged or not whole"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"\x1f\x8b nonsense", "is damaged or not whole"),
        (b"PK\x03\x04 nonsense", "is damaged or not whole"),
        (b"\x28\xb5\x2f\xfd nonsense", "zstd|damaged"),
        (changed("debian.json", '"status"', '"state"'), "no entry that could be read"),
        (changed("debian.json", '"zlib"', '"openssl"'), "names one package twice"),
        (changed("DEBIAN-CVE-2026-8000.json", "ECOSYSTEM", "SEMVER"), "names no CVE of Debian"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_is_lost(old: Path, tmp_path: Path, content: bytes, said: str) -> None:
    import re

    source = tmp_path / "source"
    source.write_bytes(content)
    told = failure(old, source)
    assert told.startswith(f"{source}: ")
    assert re.search(said, told), told


def test_text_that_no_database_takes_is_kept_as_it_can_be(tmp_path: Path) -> None:
    for name, before in (("debian.json", "Local root."), ("kev.json", "Sudo Privilege Escalation Vulnerability")):
        (tmp_path / name).write_bytes(changed(name, before, "x\\ud800\\u0000y"))
    bundled(tmp_path, str(tmp_path / "kev.json"))
    record = json.loads((SAMPLES / "DEBIAN-CVE-2026-8000.json").read_text()) | {"details": "x\ud800y"}
    (tmp_path / "osv.json").write_text(json.dumps(record))
    path = bundled(tmp_path, str(tmp_path / "osv.json"))
    assert Bundle(path).about("CVE-2026-8000")[1] == ["x?y"]
    (outcome,) = importer.run([str(tmp_path / "debian.json")], path, now=NOW)
    assert "\n" not in outcome.failure


def test_a_full_disk_is_one_line_and_nothing_is_lost(old: Path, tmp_path: Path) -> None:
    before = old.read_bytes()
    issue = {"description": "x" * 200, "releases": {"bookworm": {"status": "open", "urgency": "low"}}}
    issues = {f"CVE-2026-{number}": issue for number in range(1000, 21000)}
    (tmp_path / "large.json").write_text(json.dumps({"linux": issues}))
    limited = (
        f"room = {len(before) + 8192}; import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)); "
        "from hostmend.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["advisories", "import", "--force", "--bundle", str(old), str(tmp_path / "large.json")]
    done = subprocess.run([sys.executable, "-c", limited, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"hostmend: the advisory bundle {old} cannot be written: " in done.stderr
    assert "savepoint" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert old.read_bytes() == before


def test_a_bomb_is_not_unpacked(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "FREE_BYTES", 64 * 1024)
    source = tmp_path / "bomb"
    head = b'{"openssl": {"CVE-2026-1000": {"description": "'
    for packed in (gzip.compress, lzma.compress, bz2.compress):
        source.write_bytes(packed(head + b" " * 5_000_000))
        assert "unpacks to more than 200 times its size" in failure(old, source)
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", head + b" " * 5_000_000)
    assert "unpacks to more than 200 times its size" in failure(old, source)
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.json", "b.json"):
            archive.writestr(name, b" " * 50_000_000)
    assert "which is larger than 32 MiB" in failure(old, source)


def test_no_more_than_a_limit_is_read(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MOST_BYTES", 1000)
    assert "more than 0 MiB once unpacked" in failure(old, SAMPLES / "debian.json")
    monkeypatch.setattr(fetch, "MOST_BYTES", 1000)
    assert "is larger than 0 MiB" in failure(old, SAMPLES / "debian.json")


def test_a_large_tracker_is_read_piece_by_piece(tmp_path: Path) -> None:
    import tracemalloc

    source = tmp_path / "big.json"
    release = {"status": "resolved", "repositories": {"bookworm": "1-1"}, "fixed_version": "1-2", "urgency": "low"}
    issues = {f"CVE-2026-{number}": {"description": "x" * 200, "releases": {"bookworm": release}} for number in range(1000, 1010)}
    with source.open("w") as handle:
        handle.write("{" + ",".join(f'"package{number}": {json.dumps(issues)}' for number in range(800)) + "}")
    assert source.stat().st_size > 2_400_000
    tracemalloc.start()
    (outcome,) = importer.run([str(source)], tmp_path / "a.db", now=NOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome.feeds[0].records == 8_000
    assert peak < 1_200_000


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/nowhere/at/all.json", "cannot be read: No such file or directory"),
        ("/dev/null", "is no regular file"),
        ("{folder}", "is a directory"),
        ("ftp://127.0.0.1/x", "only files and http, https and file URLs"),
        ("file://elsewhere/x.json", "of another machine"),
        ("http://127.0.0.1:1/x", "cannot be fetched: Connection refused"),
        ("http://", "cannot be fetched"),
        ("http://[broken", "cannot be fetched"),
    ],
)
def test_a_source_that_is_not_there_is_one_line(old: Path, source: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RETRIES", 0)
    assert said in failure(old, source.replace("{folder}", str(old.parent)))


def test_a_file_url_is_read(tmp_path: Path) -> None:
    source = sample(tmp_path, "epss.csv")
    (tmp_path / "with space.csv").write_bytes(Path(source).read_bytes())
    (outcome,) = importer.run([f"file://{tmp_path}/with%20space.csv"], tmp_path / "a.db", now=NOW)
    assert outcome.feeds[0].records == 4


def test_the_others_are_kept_where_one_fails(old: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("<html>")
    outcomes = importer.run([str(tmp_path / "bad"), sample(tmp_path, "ALSA-2026-1234.json")], old, now=NOW)
    assert [bool(one.failure) for one in outcomes] == [True, False]
    assert len(Bundle(old).feeds) == 4


def test_a_source_that_breaks_off_leaves_what_was_there_of_it(old: Path, tmp_path: Path) -> None:
    before = Bundle(old).about("CVE-2026-7000")
    (tmp_path / "half.json").write_bytes(changed("debian.json", '"sudo": {', '"zzz": {}, "sudo": broken'))
    good = sample(tmp_path, "ALSA-2026-1234.json")
    outcomes = importer.run([str(tmp_path / "half.json"), good], old, now=NOW)
    assert "damaged or not whole" in outcomes[0].failure or "not JSON" in outcomes[0].failure
    assert Bundle(old).about("CVE-2026-7000") == before


def test_an_older_source_does_not_take_a_newer_ones_place(old: Path, tmp_path: Path) -> None:
    source = sample(tmp_path, "debian.json", days_old=9)
    assert "is of 2026-11-16, the bundle has one of 2026-11-24 already" in failure(old, source)
    (outcome,) = importer.run([source], old, now=NOW, force=True)
    assert outcome.feeds[0].dated.startswith("2026-11-16")


def test_what_is_no_bundle_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "advisories.db"
    path.write_bytes(b"precious" * 1000)
    with pytest.raises(AdvisoryError, match=r"cannot be read .*move it away"):
        importer.run([sample(tmp_path, "epss.csv")], path, now=NOW)
    assert path.read_bytes() == b"precious" * 1000


def test_a_bundle_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AdvisoryError, match="cannot be written: File exists"):
        importer.run([sample(tmp_path, "epss.csv")], tmp_path / "file/advisories.db", now=NOW)


def test_a_reader_of_the_old_bundle_is_not_disturbed(old: Path, tmp_path: Path) -> None:
    reader = Bundle(old)
    importer.run([sample(tmp_path, "ALSA-2026-1234.json")], old, now=NOW)
    assert reader.about("CVE-2026-9000")[0] == []
    assert reader.about("CVE-2026-1000")[0] != []
    assert Bundle(old).about("CVE-2026-9000")[0] != []


def test_two_imports_at_once_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "advisories.db"
    names = ("debian.json", "kev.json", "epss.csv", "ALSA-2026-1234.json")
    threads = [threading.Thread(target=importer.run, args=([sample(tmp_path, name)], path)) for name in names]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(Bundle(path).feeds) == 4


def test_the_bundle_is_made_in_a_private_directory_and_may_be_shared(tmp_path: Path) -> None:
    path = tmp_path / "state/hostmend/advisories.db"
    importer.run([sample(tmp_path, "epss.csv")], path, now=NOW)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    importer.run([sample(tmp_path, "kev.json")], path, now=NOW)
    assert path.stat().st_mode & 0o777 == 0o640


class Handler(http.server.BaseHTTPRequestHandler):
    """A small server with a page for each way in which a server can fail."""

    asked: dict[str, int] = {}  # noqa: RUF012 - the server makes a handler for each request

    def do_GET(self) -> None:
        count = self.asked[self.path] = self.asked.get(self.path, 0) + 1
        status, headers, body = 200, {}, (SAMPLES / "kev.json").read_bytes()
        if self.path.startswith("/missing"):
            status, body = 404, b"<html>no such page</html>"
        elif self.path == "/html":
            body = b"<html>maintenance</html>"
        elif self.path == "/slow":
            time.sleep(1.5)
        elif self.path == "/tracker":
            body, headers = (SAMPLES / "debian.json").read_bytes(), {"Last-Modified": "Mon, 23 Nov 2026 06:00:00 GMT"}
        elif self.path == "/once":
            status = 503 if count == 1 else 200
        elif self.path == "/to-file":
            status, headers = 302, {"Location": f"file://{SAMPLES}/kev.json"}
        elif self.path == "/to-kev":
            status, headers = 302, {"Location": "/kev"}
        elif self.path == "/loop":
            status, headers = 302, {"Location": "/loop"}
        elif self.path == "/huge":
            headers = {"Content-Length": str(10**13)}
        elif self.path == "/short":
            headers = {"Content-Length": str(len(body) + 1000)}
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        del words


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Handler.asked = {}
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_url_is_fetched_and_its_secrets_are_not_kept(server: str, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    source = server.replace("//", "//user:secret@") + "/to-kev?token=secret"
    outcomes = importer.run([source.replace("/to-kev?token=secret", "/kev?token=secret"), f"{server}/to-kev"], path, now=NOW)
    assert [one.failure for one in outcomes] == ["", ""]
    assert outcomes[0].feeds[0].origin == f"{server}/kev"
    assert b"secret" not in path.read_bytes()


def test_the_update_fetches_what_a_file_of_feeds_names(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, path = tmp_path / "feeds.yml", tmp_path / "a.db"
    file.write_text(f"feeds:\n  - {{name: KEV, url: '{server}/kev'}}\n  - {{name: gone, url: '{server}/missing'}}\n", "utf-8")
    assert main(["advisories", "update", "--feeds", str(file), "--bundle", str(path)]) == 1
    said = capsys.readouterr()
    assert "CISA KEV" in said.out
    assert "404" in said.err
    (age,) = feeds.ages(path, NOW)
    assert age["name"] == "CISA KEV"
    assert age["age_days"] >= 0


def test_the_known_feeds_are_fetched_by_https() -> None:
    assert len(feeds.sources()) == 3
    assert all(source.startswith("https://") for source in feeds.sources())


@pytest.mark.parametrize("text", ["", "feeds: []", "feeds: [{name: x}]", "[", "feeds: [1]"])
def test_a_file_that_names_no_feeds_is_one_line(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "feeds.yml").write_text(text, "utf-8")
    assert main(["advisories", "update", "--feeds", str(tmp_path / "feeds.yml")]) == 1
    assert str(tmp_path / "feeds.yml") in capsys.readouterr().err


def test_a_bundle_that_is_none_has_no_ages(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("nonsense", "utf-8")
    assert feeds.ages(tmp_path / "a.db") == feeds.ages(tmp_path / "b.db") == []


def test_the_trackers_date_is_what_its_server_says(server: str, tmp_path: Path) -> None:
    (outcome,) = importer.run([f"{server}/tracker"], tmp_path / "a.db", now=NOW)
    assert outcome.feeds[0].dated == "2026-11-23T06:00:00Z"


def test_a_server_that_is_busy_is_asked_again(server: str, tmp_path: Path) -> None:
    (outcome,) = importer.run([f"{server}/once"], tmp_path / "a.db", now=NOW)
    assert (outcome.failure, Handler.asked["/once"]) == ("", 2)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("/missing", "the server answered 404 Not Found"),
        ("/missing?token=secret", "the server answered 404 Not Found"),
        ("/html", "is a web page or XML"),
        ("/slow", "did not answer in time"),
        ("/to-file", "cannot be fetched"),
        ("/loop", "cannot be fetched"),
        ("/huge", "is larger than 2048 MiB"),
        ("/short", "cannot be fetched"),
    ],
)
def test_a_server_that_fails_is_one_line(server: str, old: Path, page: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "READ_SECONDS", 0.3)
    monkeypatch.setattr(fetch, "RETRIES", 0)
    told = failure(old, server + page)
    assert said in told
    assert "secret" not in told
    assert told.startswith(server)


def test_https_does_not_become_http_on_the_way() -> None:
    assert fetch.is_downgrade("https://a/x", ["https://a/x", "http://b/x"])
    assert fetch.is_downgrade("HTTPS://a/x", ["https://a/x", "http://b/y", "https://c/z"])
    assert not fetch.is_downgrade("https://a/x", ["https://a/x", "https://b/x"])
    assert not fetch.is_downgrade("http://a/x", ["http://a/x", "http://b/x"])


def test_what_an_import_that_was_killed_left_is_removed_by_the_next(old: Path, tmp_path: Path) -> None:
    left = old.parent / f".{old.name}.abcdef"
    left.mkdir()
    (left / old.name).write_bytes(b"half a bundle")
    importer.run([sample(tmp_path, "ALSA-2026-1234.json")], old, now=NOW)
    assert not left.exists()
    assert len(Bundle(old).feeds) == 4


def test_lines_that_are_no_text_end() -> None:
    assert list(unpack.lines(io.BytesIO(b"\xef\xbb\xbfa\nb"))) == ["a\n", "b"]
