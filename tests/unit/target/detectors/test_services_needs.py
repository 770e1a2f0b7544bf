"""What needs a service at all the places that have it, and whose a socket is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import services
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener, Process, Unit

from tests.support.fake_host import FakeHost

RPCBIND = (
    Unit("rpcbind.socket", "loaded", "active", "", "enabled"),
    Unit("rpcbind.service", "loaded", "inactive", "", "enabled"),
)
MOUNT = "[Mount]\nWhat=192.0.2.7:/export\nWhere=/mnt/data\nType=nfs\nOptions=vers=3\n[Install]\nWantedBy=multi-user.target\n"


def judged(root: Path, *units: Unit, **more: Any) -> dict[str, dict[str, Any]]:
    given = {**services.POLICY, "common": {}}
    host = FakeHost(root, units=units or RPCBIND, **more)
    return {one["resource"]: one for one in services.check(services.collect(host, given), given)}


def rpcbind(root: Path, *units: Unit) -> tuple[str, str]:
    finding = judged(root, *(RPCBIND + units))["rpcbind (systemd)"]
    return finding["status"], finding["reason"]


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def link(root: Path, name: str, target: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path


def test_a_mount_unit_that_a_boot_starts_keeps_rpcbind(root: Path) -> None:
    put(root, "etc/systemd/system/mnt-data.mount", MOUNT)
    assert rpcbind(root)[0] == "open"  # nothing starts it
    link(root, "etc/systemd/system/multi-user.target.wants/mnt-data.mount", "../mnt-data.mount")
    assert rpcbind(root) == ("passed", "needed: /etc/systemd/system/mnt-data.mount mounts /mnt/data from 192.0.2.7:/export")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("etc/systemd/system/app.service", "[Unit]\nRequiresMountsFor=/mnt/data/app\n"),
        ("etc/systemd/system/app.service", "[Unit]\nRequires=mnt-data.mount\n"),
    ],
)
def test_a_mount_unit_that_another_unit_asks_for_keeps_rpcbind(root: Path, name: str, text: str) -> None:
    put(root, "etc/systemd/system/mnt-data.mount", MOUNT)
    put(root, name, text)
    assert rpcbind(root)[0] == "passed"


def test_an_automount_unit_keeps_rpcbind_unless_its_mount_is_masked_or_of_another_type(root: Path) -> None:
    link(root, "etc/systemd/system/remote-fs.target.wants/mnt-data.automount", "../mnt-data.automount")
    put(root, "usr/lib/systemd/system/mnt-data.mount", MOUNT.replace("Type=nfs\n", ""))
    assert rpcbind(root)[0] == "passed"  # host:/path is NFS without a type too
    put(root, "etc/systemd/system/mnt-data.mount.d/type.conf", "[Mount]\nType=cifs\n")
    assert rpcbind(root)[0] == "open"
    put(root, "etc/systemd/system/mnt-data.mount.d/type.conf", "[Mount]\nType=nfs\n")
    link(root, "etc/systemd/system/mnt-data.mount", "/dev/null")
    assert rpcbind(root)[0] == "open"


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({"auto.master": "+dir:/etc/auto.master.d\n+auto.master\n"}, "open"),
        ({"auto.master": "/net -hosts\n"}, "passed"),
        ({"auto.master": "/misc /etc/auto.misc\n", "auto.misc": "cd -fstype=iso9660,ro :/dev/cdrom\n"}, "open"),
        ({"auto.master": "/misc /etc/auto.misc\n", "auto.misc": "data -fstype=cifs ://server/share\n"}, "open"),
        ({"auto.master": "/home auto.home\n", "auto.home": "* files:/home/&\n"}, "passed"),
        ({"auto.master.d/x.autofs": "/home ldap:ou=auto.home\n"}, "passed"),
    ],
)
def test_maps_of_the_automounter(root: Path, files: dict[str, str], status: str) -> None:
    for name, text in files.items():
        put(root, "etc/" + name, text)
    assert rpcbind(root, Unit("autofs.service", "loaded", "inactive", "", "enabled"))[0] == status
    assert rpcbind(root, Unit("autofs.service", "loaded", "inactive", "", "disabled"))[0] == "open"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("var/lib/docker/volumes/data/opts.json", '{"MountType":"nfs","MountOpts":"addr=192.0.2.7,vers=3","MountDevice":":/x"}'),
        ("etc/pve/storage.cfg", "dir: local\n\tpath /var/lib/vz\n\nnfs: backup\n\texport /backup\n"),
        ("etc/libvirt/storage/pool.xml", "<pool type='netfs'><name>p</name></pool>"),
    ],
)
def test_volumes_and_pools_on_nfs_keep_rpcbind(root: Path, name: str, text: str) -> None:
    put(root, name, text)
    assert rpcbind(root)[0] == "passed"


def test_what_avahi_announces_and_entries_of_nis_keep_their_services(root: Path) -> None:
    avahi = Unit("avahi-daemon.service", "loaded", "active", "", "enabled")
    assert judged(root, avahi)["avahi (systemd)"]["status"] == "open"
    put(root, "etc/avahi/services/time.service", "<service-group/>")
    assert judged(root, avahi)["avahi (systemd)"]["status"] == "passed"
    ypbind = Unit("ypbind.service", "loaded", "active", "", "enabled")
    put(root, "etc/nsswitch.conf", "passwd: compat\n")
    assert "risk" not in judged(root, ypbind)["nis (systemd)"]
    put(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\n+::::::\n")
    assert judged(root, ypbind)["nis (systemd)"]["risk"] == "manual"


def test_a_socket_is_of_the_unit_whose_process_has_it(root: Path) -> None:
    def listener(port: int, unit: str | None, pid: int) -> Listener:
        return Listener("tcp", 4, "0.0.0.0", port, "", port, 1, (pid,), "cupsd", unit)

    def daemon(pid: int, unit: str) -> Process:
        return Process(pid, 1, 0, "cupsd", ("cupsd",), "/usr/sbin/cupsd", False, "/", unit, None, 1, 1)

    cups = Unit("cups.service", "loaded", "active", "", "enabled")
    found = judged(root, cups, processes=(daemon(7, "cups.service"), daemon(8, "snap.cups.cupsd.service")),
                   listeners=(listener(631, "cups.service", 7), listener(6310, "snap.cups.cupsd.service", 8)))
    assert found["cups (systemd)"]["evidence"]["effective"]["listeners"] == ["tcp 0.0.0.0:631"]
    other = found["cups (process /usr/sbin/cupsd, snap.cups.cupsd.service)"]
    assert (other["status"], other["risk"]) == ("open", "manual")


def test_a_socket_above_a_masked_service_is_foretold(root: Path) -> None:
    socket = Unit("rpcbind.socket", "loaded", "active", "", "enabled", triggers=("rpcbind.service",))
    masked = Unit("rpcbind.service", "masked", "inactive", "", "masked")
    finding = judged(root, socket, masked)["rpcbind (systemd)"]
    assert finding["status"] == "open"
    assert finding["affects"] == [
        "rpcbind.service is masked already: a rollback has rpcbind.socket listen again, and nothing answer"
    ]
