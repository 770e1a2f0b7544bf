"""The command ``hostmend advisories``, from the import to the report that shows what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hostmend import catalog
from hostmend.advisories import location
from hostmend.cli import main
from hostmend.report import csv_, html, markdown, model, table
from tests.support.advisory_data import BOOKWORM, NOW, judged, package, sample


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "advisories.db"
    monkeypatch.setenv("HOSTMEND_ADVISORIES", str(path))
    return path


def test_the_bundle_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    assert location("/a/b.db", {"HOSTMEND_ADVISORIES": "/c.db"}) == Path("/a/b.db")
    assert location(None, {"HOSTMEND_ADVISORIES": "/c.db"}) == Path("/c.db")
    assert location("", {"XDG_STATE_HOME": "/s"}) == Path("/s/hostmend/advisories.db")


def test_import_list_and_show(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = [sample(tmp_path, name) for name in ("debian.json", "kev.json", "epss.csv", "DEBIAN-CVE-2026-8000.json")]
    assert main(["advisories", "list"]) == 0
    assert "There is no bundle at" in capsys.readouterr().out
    assert main(["advisories", "import", *sources]) == 0
    said = capsys.readouterr().out
    assert "Debian security tracker: 10 records of" in said
    assert f"Written: {bundle}" in said
    assert main(["advisories", "list"]) == 0
    said = capsys.readouterr().out
    assert "CISA KEV" in said
    assert "Releases: debian:bookworm, debian:trixie" in said
    assert main(["advisories", "list", "--format", "json"]) == 0
    (first, *others) = json.loads(capsys.readouterr().out)
    assert len(others) == 3
    assert (first["name"], first["records"], first["releases"]) == (
        "Debian security tracker",
        10,
        ["debian:bookworm", "debian:trixie"],
    )
    assert main(["advisories", "show", "cve-2026-7000"]) == 0
    said = capsys.readouterr().out
    for words in ("known to be exploited since 2026-09-29, by ransomware too", "91.23%", "fixed in 1.9.13p3-1+deb12u2"):
        assert words in said
    assert main(["advisories", "show", "CVE-2021-44228"]) == 0
    assert "No release in the bundle" in capsys.readouterr().out
    assert main(["advisories", "show", "CVE-2026-8000", "--format", "json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["kev"] is None
    assert [(one["release"], one["fixed"], one["state"]) for one in made["packages"]] == [
        ("debian:12", "7.88.1-10+deb12u9", "resolved"),
        ("debian:13", None, "open"),
    ]


def test_what_fails_is_one_line_and_exit_status_1(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.html").write_text("<html>")
    assert main(["advisories", "import", str(tmp_path / "page.html")]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"hostmend: {tmp_path}/page.html: is a web page or XML, not an advisory file: was it a login or an error page?",
        "hostmend: nothing was imported",
    ]
    assert not bundle.exists()
    assert main(["advisories", "import", sample(tmp_path, "epss.csv"), "/nowhere.json"]) == 1
    said = capsys.readouterr()
    assert "EPSS: 4 records" in said.out
    assert said.err.splitlines() == ["hostmend: /nowhere.json: cannot be read: No such file or directory"]
    assert main(["advisories", "import", "/nowhere.json"]) == 1
    assert "is as it was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "log4shell"), "log4shell is no CVE id"),
        (("show", "CVE-2000-0001"), "knows nothing of CVE-2000-0001"),
        (("show", "CVE-2026-7000", "--bundle", "/nowhere.db"), "there is no advisory bundle at /nowhere.db"),
        (("import",), "Missing argument"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(
    bundle: Path, tmp_path: Path, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["advisories", "import", sample(tmp_path, "epss.csv")]) == 0
    capsys.readouterr()
    assert main(["advisories", *arguments]) == 1
    assert said in capsys.readouterr().err


def reported(path: Path) -> dict[str, Any]:
    """Return the report of a host with what the bundle says of it."""
    packages = (
        package("libssl3", "3.0.15-1~deb12u1", "openssl"),
        package("sudo", "1.9.13p3-1+deb12u1"),
        package("nodejs", "18.20.4+dfsg-1~deb12u1"),
        package("zlib1g", "1:1.2.13.dfsg-1", "zlib"),
    )
    found = list(judged(path, *packages, distribution=BOOKWORM).values())
    stamp = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    run = {"id": "r", "started": stamp, "finished": stamp, "mode": "audit", "version": "0"}
    return model.build(run, {"web1": {"status": "ok", "findings": found}}, catalog.load())


def test_findings_are_ranked_by_severity_then_exploitation_then_likelihood(bundle: Path, tmp_path: Path) -> None:
    assert main(["advisories", "import", *(sample(tmp_path, name) for name in ("debian.json", "kev.json", "epss.csv"))]) == 0
    report = reported(bundle)
    schema = json.loads((Path(model.__file__).parent / "schema/report.schema.json").read_text())
    jsonschema.validate(report, schema)
    findings = report["hosts"]["web1"]["findings"]
    assert [one["resource"] for one in findings if one["status"] == "open"] == ["sudo", "openssl", "nodejs (no fixed version)"]
    assert "sudo (known to be exploited)" in table.text(report)
    assert markdown.render(report).count("known to be exploited") == 1
    page = html.render(report)
    assert page.count('<span class="mark kev"') == 2  # beside the finding, and in what to do first
    assert "CVE-2026-7000" in page
    assert "CVE-2026-7000" in csv_.render(report)


def test_likelihood_orders_what_is_alike() -> None:
    base = {"check": "updates.cve", "status": "open", "kind": "vulnerability", "severity": "medium", "fix": {"risk": "manual"}}
    rows = [
        {**base, "resource": "a"},
        {**base, "resource": "b", "epss": 0.2},
        {**base, "resource": "c", "epss": 0.7},
        {**base, "resource": "d", "epss": 0.1, "known_exploited": True},
        {**base, "resource": "e", "severity": "high"},
    ]
    assert [one["resource"] for one in sorted(rows, key=model.order)] == ["e", "d", "c", "b", "a"]
