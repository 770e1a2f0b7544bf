"""Where images come from, what is refused, and what they carry."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hostmend.cli.image import SEALS
from hostmend.errors import HostmendError
from hostmend.image import archive, filesystem, record, sbom, source

SYSTEM = {"id": "debian", "version_id": "12", "pretty_name": "Debian GNU/Linux 12", "manager": "dpkg"}


def package(name: str, version: str = "1:2.0+deb12u1~x", arch: str = "amd64") -> SimpleNamespace:
    return SimpleNamespace(name=name, version=version, arch=arch, source=name, source_version=version)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def written(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as made:
        for one in members:
            made.addfile(one, io.BytesIO())
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    for name in ("etc/os-release", "bin/sh"):
        (made / name).parent.mkdir(parents=True)
        (made / name).write_bytes(b"\x7fELF\x02\x01" + b"\0" * 12 + (183).to_bytes(2, "little"))
    return made


def test_the_bill_of_materials_is_what_its_schema_wants():
    text = sbom.render([package("b"), package("a"), package("a", arch="i386")], SYSTEM, "debian-12", 1700000000)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    made = json.loads(text)
    assert [one["name"] for one in made["components"]] == ["a", "a", "b"]
    assert made["components"][0]["purl"] == "pkg:deb/debian/a@1:2.0%2Bdeb12u1~x?arch=amd64&distro=debian-12"
    assert made["metadata"]["timestamp"].startswith("2023-11-14T22:13:20")


def test_the_same_packages_make_the_same_bill():
    first = sbom.render([package("a"), package("b")], SYSTEM, "n", 1)
    assert first == sbom.render([package("b"), package("a")], SYSTEM, "n", 1)
    assert first != sbom.render([package("b")], SYSTEM, "n", 1)


def test_packages_of_rpm_are_called_so():
    text = sbom.render([package("bash", "5.1-1.el9", "x86_64")], {"id": "rocky", "version_id": "9", "manager": "rpm"}, "n", 1)
    assert json.loads(text)["components"][0]["purl"].startswith("pkg:rpm/rocky/bash@5.1-1.el9?")


@pytest.mark.parametrize(
    "hostile",
    [
        member("../x"),
        member("/etc/passwd"),
        member("./a/../../x"),
        member("x", tarfile.CHRTYPE),
        member("./etc/sda", tarfile.BLKTYPE),
        member("x", tarfile.LNKTYPE, "/etc/shadow"),
        member("x", tarfile.LNKTYPE, "../../etc/shadow"),
    ],
)
def test_hostile_members_are_refused_before_anything_is_unpacked(tmp_path, hostile):
    path = written(tmp_path / "x.tar", member("./etc", tarfile.DIRTYPE), hostile)
    with pytest.raises(HostmendError, match="is not unpacked"):
        archive.unpack(path, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_links_and_devices_of_a_root_filesystem_are_none(tmp_path):
    path = written(tmp_path / "x.tar", member("./dev/null", tarfile.CHRTYPE), member("./bin", tarfile.SYMTYPE, "/usr/bin"))
    archive.unpack(path, tmp_path / "root")
    assert (tmp_path / "root/bin").is_symlink() and not (tmp_path / "root/dev/null").exists()


def test_nothing_is_written_through_a_link_that_leads_out(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    path = written(tmp_path / "x.tar", member("./a", tarfile.SYMTYPE, str(outside)), member("./a/b"))
    with pytest.raises(HostmendError):
        archive.unpack(path, tmp_path / "root")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"no tarball", b"\x28\xb5\x2f\xfd broken", b"\x1f\x8b\x08 broken", b"x" * 1024])
def test_what_is_no_tarball_is_one_line(tmp_path, data):
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    with pytest.raises(HostmendError, match=r"no tarball|zstd"):
        archive.inspect(path)


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.xz"])
def test_packing_yields_the_same_bytes(tmp_path, root, ending):
    (root / "dev").mkdir()
    (root / "dev/console").write_text("")
    made = []
    for name in ("a", "b"):
        archive.pack(root, tmp_path / f"{name}{ending}", 1000)
        made.append(archive.digest(tmp_path / f"{name}{ending}"))
    assert made[0] == made[1]
    with tarfile.open(tmp_path / f"a{ending}") as packed:
        assert {one.name for one in packed} == {".", "./etc", "./etc/os-release", "./bin", "./bin/sh", "./dev"}
        assert max(one.mtime for one in packed) <= 1000


def test_what_is_no_root_filesystem(tmp_path, root):
    filesystem.recognise(root)
    with pytest.raises(HostmendError, match="is not a root filesystem"):
        filesystem.recognise(tmp_path)
    with pytest.raises(HostmendError, match="is running"):
        filesystem.recognise(Path("/"))
    with pytest.raises(HostmendError, match="is not a directory"):
        filesystem.recognise(root / "etc/os-release")


def test_the_machine_that_programs_are_for(root):
    assert filesystem.machine(root) == "aarch64"
    (root / "bin/sh").write_text("#!/bin/sh\n")
    assert filesystem.machine(root) == ""


def test_where_an_image_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made = source.target(None, None, False, "bookworm", False)
    assert made.path is not None and made.path.name.startswith("hostmend-bookworm-") and made.path.name.endswith("-20231114.tar")
    assert source.target("x.tar.zst", None, False, "", False).kind == "tar"
    assert source.target("folder", None, False, "", False).kind == "directory"
    with pytest.raises(HostmendError, match="say where the image goes"):
        source.target(None, str(tmp_path), False, "", False)


def test_what_is_made_for_a_build_is_gone_after_it(root):
    (root / "usr/sbin").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), filesystem.no_services(root):
        assert (root / "usr/sbin/policy-rc.d").stat().st_mode & 0o111
        raise KeyboardInterrupt
    assert not (root / "usr/sbin/policy-rc.d").exists() and not (root / "etc/resolv.conf").exists()


def test_a_policy_of_the_images_own_stays(root):
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/policy-rc.d").write_text("own")
    with filesystem.no_services(root):
        pass
    assert (root / "usr/sbin/policy-rc.d").read_text() == "own"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"hosts": 1}', '{"hosts": {"a": []}}', '{"hosts": {"a": {"findings": [1]}}}'])
def test_a_report_that_makes_no_sense_is_no_trouble(root, text):
    folder = root / record.CARRIED
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(text)
    report = {"hosts": {"a": {"findings": [{"status": "open", "check": "c", "resource": "r"}]}}}
    assert len(record.drift(report, record.carried(root))) == 1


def test_what_is_open_and_was_not_is_named():
    def report(*checks: str) -> dict[str, object]:
        return {"hosts": {"a": {"findings": [{"status": "open", "check": one, "resource": "r"} for one in checks]}}}

    assert record.drift(report("a", "b"), {"report": report("a")}) == ["open, and not in the report that it carries: b r"]


def test_the_command_knows_what_can_be_kept():
    assert list(SEALS) == list(filesystem.part("modules.image_seal").NAMES)
