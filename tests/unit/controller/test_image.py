"""Where images come from, what is refused, and what they carry."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hostmend.cli.image import SEALS
from hostmend.core.errors import HostmendError
from hostmend.image import archive, filesystem, record, sbom, source, storage

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


def test_devices_that_a_server_has_in_a_chroot_of_its_own_are_no_others(tmp_path):
    null, disk = member("./srv/named/dev/null", tarfile.CHRTYPE), member("./srv/named/dev/sda", tarfile.CHRTYPE)
    null.devmajor, null.devminor = 1, 3
    disk.devmajor, disk.devminor = 1, 1  # /dev/mem
    archive.inspect(written(tmp_path / "x.tar", null))
    with pytest.raises(HostmendError, match="sda' is a device"):
        archive.inspect(written(tmp_path / "y.tar", null, disk))


def test_a_sparse_file_stays_sparse(tmp_path, root):
    with (root / "etc/lastlog").open("wb") as handle:
        handle.truncate(1 << 28)
        handle.seek(1 << 27)
        handle.write(b"somebody")
    if (root / "etc/lastlog").stat().st_blocks > 1000:
        pytest.skip("this filesystem keeps no holes")
    for name in ("a.tar", "b.tar"):
        archive.pack(root, tmp_path / name, 1000)
    assert (tmp_path / "a.tar").stat().st_size < 1 << 20
    assert archive.digest(tmp_path / "a.tar") == archive.digest(tmp_path / "b.tar")
    with tarfile.open(tmp_path / "a.tar") as packed:
        kept = packed.extractfile("./etc/lastlog")
        assert kept is not None and kept.seek(1 << 27) and kept.read(8) == b"somebody"
        assert packed.getmember("./etc/lastlog").size == 1 << 28


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


def test_a_tarball_that_is_none_of_a_root_filesystem_is_called_by_its_own_name(tmp_path):
    path = written(tmp_path / "x.tar", member("./readme"))
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(HostmendError) as error, source.opened(str(path), "", (), work, copy=True):
        pass
    assert str(error.value).startswith(f"{path} is not a root filesystem")


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


def test_what_no_force_replaces_is_told_before_anything_is_done(tmp_path, root):
    (tmp_path / "file").touch()
    (tmp_path / "made").mkdir()
    (tmp_path / "link").symlink_to("made")
    (tmp_path / "a.tar").mkdir()
    for name, said in (
        ("file", "is no directory"),
        ("link", "is no directory"),
        ("a.tar", "is a directory"),
        ("root/out.tar", "lies in"),
        ("root/out", "lies in"),
    ):
        with pytest.raises(HostmendError, match=said):
            source.target(str(tmp_path / name), str(root), False, "", True)
    with pytest.raises(HostmendError, match="would be replaced"):
        source.target(str(tmp_path / "made"), str(tmp_path / "made/a.tar"), False, "", True)
    with pytest.raises(HostmendError, match="is mounted"):
        source.target("/proc", str(root), False, "", True)
    assert source.target(str(tmp_path / "made"), str(root), False, "", True).kind == "directory"


def test_a_program_that_fails_is_told_with_its_reason():
    lines = ("tar: o: Cannot write: No space left on device", "tar: Error is not recoverable: exiting now")
    script = "".join(f"echo '{line}' >&2; " for line in lines) + "exit 2"
    with pytest.raises(HostmendError, match=r"o cannot be written: tar: o: Cannot write: No space left"):
        filesystem.call(["sh", "-c", script], "o cannot be written")


def test_a_second_interruption_keeps_no_cleaning_up_from_its_end(tmp_path, monkeypatch):
    remove = shutil.rmtree

    def slowly(*given, **more):
        os.kill(os.getpid(), signal.SIGINT)
        remove(*given, **more)

    monkeypatch.setattr(shutil, "rmtree", slowly)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), source.workplace(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(signal.SIGINT) is before


def test_what_is_mounted_on_a_directory_or_in_it():
    assert filesystem.mounts(Path("/mnt/disk2"), MOUNTINFO) == [Path("/mnt/disk2")]
    assert filesystem.mounts(Path("/mnt/disk/srv"), MOUNTINFO) == [Path("/mnt/disk/srv/a b")]
    assert filesystem.mounts(Path("/mnt/none"), MOUNTINFO) == []


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


def test_a_port_or_a_service_that_somebody_has_put_in_is_named_though_nothing_new_is_open():
    def report(unknown: str, *ports: str) -> dict[str, object]:
        evidence = {"persistent": {"reached": [*ports]}}
        off = {"status": "open", "check": "ports.firewall_off", "resource": "firewall", "evidence": evidence}
        return {"hosts": {"a": {"findings": [off, {"status": "unknown", "check": "ports.exposed", "resource": unknown}]}}}

    before = {"report": report("own.service", "22/tcp (sshd)")}
    assert record.drift(report("own.service", "22/tcp (sshd)"), before) == []
    assert record.drift(report("evil.service", "22/tcp (sshd)", "4444/tcp (systemd)"), before) == [
        "will listen, and not by the report that it carries: 4444/tcp (systemd)",
        "unknown, and not in the report that it carries: ports.exposed evil.service",
    ]
    assert record.drift(report("evil.service", "22/tcp (sshd)"), before, ran=False) == []
    odd = [{"check": "ports.firewall_off", "evidence": []}, 7]
    hostile = {"report": {"hosts": {"a": {"findings": odd}, "b": {"findings": 1}}}}
    assert len(record.drift(report("own.service", "1/tcp"), hostile)) == 3


def test_the_command_knows_what_can_be_kept():
    assert list(SEALS) == list(filesystem.part("modules.image_seal").NAMES)


@pytest.mark.parametrize("ending", archive.COMPRESSORS)
def test_what_is_packed_is_unpacked_again_and_the_same_files_make_the_same_bytes(tmp_path, ending):
    if archive.COMPRESSORS[ending] and not shutil.which(archive.COMPRESSORS[ending][0]):
        pytest.skip(f"no {archive.COMPRESSORS[ending][0]} here")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text("ID=debian\n")
    (root / "bin").symlink_to("usr/bin")
    made = [tmp_path / f"{number}{ending}" for number in (1, 2)]
    for path in made:
        archive.pack(root, path, 1700000000)
    assert made[0].read_bytes() == made[1].read_bytes()
    if os.geteuid() != 0:
        pytest.skip("owners are kept by root alone")
    archive.unpack(made[0], tmp_path / "again")
    assert (tmp_path / "again/etc/os-release").read_text() == "ID=debian\n"
    assert (tmp_path / "again/bin").readlink() == Path("usr/bin")
    assert (tmp_path / "again/etc/os-release").stat().st_mtime == 1700000000


#: Of a disk image with a /var of its own, as a builder has it mounted: with /dev, /proc, and a folder of his own.
MOUNTINFO = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
55 27 7:0 / /mnt/disk rw,relatime - ext4 /dev/loop0 rw
56 55 7:1 / /mnt/disk/var rw,relatime - ext4 /dev/loop1 rw
57 55 7:1 / /mnt/disk/srv/a\\040b rw,relatime - ext4 /dev/loop1 rw
58 55 0:6 / /mnt/disk/dev rw,relatime - devtmpfs devtmpfs rw,size=12334524k,nr_inodes=3083631,mode=755
59 55 0:44 / /mnt/disk/proc rw,relatime - proc proc rw
60 56 254:0 /home/me/cache /mnt/disk/var/cache/x rw,relatime - ext4 /dev/vda rw,discard
61 55 7:2 / /mnt/disk/boot\\040efi rw,relatime - vfat /dev/loop2 rw
62 27 7:3 / /mnt/disk2 rw,relatime - ext4 /dev/loop3 rw
"""


def test_the_filesystems_of_a_disk_image_belong_to_it_and_what_its_builder_has_mounted_does_not():
    assert filesystem.submounts(Path("/mnt/disk"), MOUNTINFO) == [Path("boot efi"), Path("var")]
    assert filesystem.submounts(Path("/mnt/disk2"), MOUNTINFO) == []


@pytest.mark.parametrize(
    ("there", "made"), [({"podman", "buildah"}, storage.Podman), ({"buildah"}, storage.Buildah), (set(), None)]
)
def test_oci_images_are_made_with_what_is_there(monkeypatch, there, made):
    monkeypatch.setattr(shutil, "which", lambda name: name if name in there else None)
    if made is None:
        with pytest.raises(HostmendError, match="OCI images need podman or buildah"):
            storage.engine()
    else:
        assert isinstance(storage.engine(), made)


def test_the_first_error_of_a_program_is_why_it_failed():
    says = "E: Unable to locate package x\nE: apt-get install failed\nI: removing tempdir\nE: mmdebstrap failed to run\n"
    with pytest.raises(HostmendError, match=r"cannot be made: E: Unable to locate package x$"):
        filesystem.call(["sh", "-c", f"printf '{says}' >&2; exit 1"], "cannot be made")


def test_a_device_that_no_tarball_could_hold_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    import stat

    (tmp_path / "dev").mkdir()
    (tmp_path / "srv/dev").mkdir(parents=True)
    try:
        os.mknod(tmp_path / "dev/sda", stat.S_IFBLK | 0o600, os.makedev(8, 0))
        os.mknod(tmp_path / "srv/dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    archive.refuse_devices(tmp_path, "given")
    os.mknod(tmp_path / "srv/sda", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    with pytest.raises(HostmendError, match="given holds 'srv/sda', a device that is not in /dev"):
        archive.refuse_devices(tmp_path, "given")


def test_devices_are_in_the_way_of_tarballs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, work = tmp_path / "root", tmp_path / "work"
    for name in ("etc/os-release", "bin/sh"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    work.mkdir()

    def refuse(_root: Path, shown: str) -> None:
        raise HostmendError(f"{shown} holds a device")

    monkeypatch.setattr(archive, "refuse_devices", refuse)
    with source.opened(str(root), "", (), work, copy=True) as place:
        assert (place.root / "bin/sh").exists()
    shutil.rmtree(work / "root")
    with pytest.raises(HostmendError, match="holds a device"), source.opened(str(root), "", (), work, copy=True, tarball=True):
        pass
    assert not (work / "root").exists()
