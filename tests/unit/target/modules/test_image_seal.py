"""Sealing takes what hosts of one image must not share, and nothing beside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.hostmend.hardening.plugins.modules.image_seal import ISCSI, ISCSI_OWN, NAMES, PATTERNS, UNIT, WANTS, Seal

FILES = {
    "etc/ssh/ssh_host_rsa_key": "host_keys", "etc/ssh/ssh_host_rsa_key.pub": "host_keys",
    "root/.bash_history": "histories", "home/a/.python_history": "histories", "root/.ansible/tmp/x": "histories",
    "var/cache/apt/archives/a.deb": "package_cache", "var/lib/apt/lists/deb_Release": "package_lists",
    "tmp/.hidden": "temporary", "var/tmp/x": "temporary", "root/.ssh/authorized_keys": "authorized_keys",
    "home/a/.ssh/id_ed25519": "secrets", "etc/shadow-": "secrets", "root/.aws/credentials": "secrets",
    "var/lib/cloud/instances/i/x": "cloud_init", "var/lib/hostmend/runs/r/head": "journal",
    "srv/deploy/.ssh/authorized_keys": "authorized_keys", "etc/ssh/keys/ops": "authorized_keys",
    "srv/deploy/.bash_history": "histories", "etc/letsencrypt/accounts/acme-v02/x": "acme_accounts",
    "etc/bind/rndc.key": "secrets", "var/lib/rabbitmq/.erlang.cookie": "secrets",
    "etc/ssl/private/ssl-cert-snakeoil.key": "secrets",
    "etc/nvme/hostnqn": "identity", "etc/hostmend/agent.key": "identity", "etc/krb5.keytab": "identity",
    "var/lib/systemd/random-seed": "random_seed", "var/log/apt/term.log": "logs", "var/log/syslog.1": "logs",
}
STAYS = (
    "etc/munge/munge.key", "usr/bin/.bash_history", "etc/nsd/nsd_control.key", "etc/shadow",
    "var/lib/apt/lists/lock", "root/.bashrc", "usr/bin/x", "var/lib/cloud/scripts/x",
)  # fmt: skip
PROGRAMS = ("usr/sbin/sshd", "usr/sbin/rndc-confgen", "usr/sbin/nvme", "usr/sbin/make-ssl-cert")
PASSWD = """root:x:0:0:root:/root:/bin/bash
bin:x:2:2:bin:/usr/bin:/usr/sbin/nologin
deploy:x:1000:1000::/srv/deploy:/bin/bash
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    for name in (*FILES, *STAYS, "etc/machine-id", "var/log/app/app.log", "etc/systemd/system/x", *PROGRAMS):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("content")
    (made / "etc/passwd").write_text(PASSWD)
    (made / "etc/ssh/sshd_config").write_text("AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n")
    return made


def sealed(root: Path, *keep: str, keys: tuple[str, ...] = ()) -> Seal:
    seal = Seal(str(root), list(keep), list(keys))
    seal.plan()
    seal.carry_out()
    return seal


def test_what_goes_and_what_stays(root):
    sealed(root)
    assert [name for name in FILES if (root / name).exists()] == []
    assert all((root / name).read_text() == "content" for name in STAYS)
    assert (root / "etc/ssh/sshd_config").exists()
    assert (root / "etc/machine-id").read_text() == "" and (root / "var/log/app/app.log").read_text() == ""


def test_a_second_time_nothing_is_left_to_do(root):
    sealed(root)
    again = Seal(str(root), [], [])
    again.plan()
    assert again.steps == []


def test_a_name_that_is_no_text_goes_and_is_told_so_that_json_can_carry_it(root):
    odd = os.fsencode(root) + b"/var/log/apt/\xff\n"
    Path(os.fsdecode(odd)).write_text("of the builder")
    told = sealed(root).result()
    assert not os.path.lexists(odd)
    assert {"kind": "file", "name": "/var/log/apt/\\xff\n", "action": "remove"} in told["changes"]
    json.dumps(told, ensure_ascii=False).encode("utf-8")  # as Ansible does


@pytest.mark.parametrize("name", sorted(set(FILES.values())))
def test_what_is_kept_stays(root, name):
    sealed(root, name)
    assert {file for file in FILES if (root / file).exists()} == {file for file, what in FILES.items() if what == name}


def test_keys_of_a_user_that_is_named_stay(root):
    (root / "home/a/.ssh/authorized_keys").write_text("key")
    sealed(root, keys=("a",))
    assert (root / "home/a/.ssh/authorized_keys").exists() and not (root / "root/.ssh/authorized_keys").exists()


def test_keys_stay_by_the_name_of_a_user_whose_home_has_another_name_and_where_sshd_has_them(root):
    (root / "etc/ssh/keys/deploy").write_text("key")
    sealed(root, keys=("deploy",))
    assert (root / "srv/deploy/.ssh/authorized_keys").exists() and (root / "etc/ssh/keys/deploy").exists()
    assert not (root / "etc/ssh/keys/ops").exists()


def test_passwords_that_debconf_was_given_go_and_its_file_stays(root):
    path = root / "var/cache/debconf/passwords.dat"
    path.parent.mkdir(parents=True)
    path.write_text("Name: slapd/password1\nTemplate: slapd/password1\nOwners: slapd\n\n")
    assert "/var/cache/debconf/passwords.dat" not in dict(sealed(root).steps)
    path.write_text("Name: slapd/password1\nTemplate: slapd/password1\nValue: secret\nOwners: slapd\n\n")
    sealed(root)
    assert path.read_text() == ""


def test_an_initiator_of_iscsi_makes_a_name_of_its_own_by_the_words_that_debian_knows(root):
    path = root / ISCSI[1:]
    path.parent.mkdir(parents=True)
    path.write_text("## DO NOT EDIT OR REMOVE THIS FILE!\nInitiatorName=iqn.1993-08.org.debian:01:4dbb598d99b1\n")
    (root / "usr/lib/open-iscsi").mkdir(parents=True)
    (root / "usr/lib/open-iscsi/startup-checks.sh").write_text("")
    sealed(root)
    assert path.read_text() == ISCSI_OWN
    (root / "usr/lib/open-iscsi/startup-checks.sh").unlink()
    path.write_text("InitiatorName=iqn.1994-05.com.redhat:4dbb598d99b1\n")
    sealed(root)
    assert not path.exists()


def test_what_packages_make_is_made_anew_at_the_first_boot(root):
    sealed(root)
    text = (root / UNIT[1:]).read_text()
    assert "ConditionPathExists=|!/etc/bind/rndc.key\n" in text
    assert "ExecStart=-/bin/sh -c 'test -e /etc/bind/rndc.key || { /usr/sbin/rndc-confgen -a -u bind; }'\n" in text
    assert "nsd" not in text  # of NSD there is no program here, so its keys stayed
    last = [line for line in text.splitlines() if line.startswith("ExecStart=")][-1]
    assert "test -s /etc/nvme/hostnqn" in last and "test -s /etc/ssh/ssh_host_ed25519_key" in last


def test_a_unit_makes_host_keys_before_sshd_starts(root):
    sealed(root)
    text = (root / UNIT[1:]).read_text()
    assert "{ /usr/bin/ssh-keygen -A; }" in text and "Before=sysinit.target ssh.service" in text
    assert (root / WANTS[1:]).resolve() == (root / UNIT[1:]).resolve()


def test_where_nothing_is_made_at_the_first_boot_there_is_no_such_unit(root):
    for name in PROGRAMS:
        (root / name).unlink()
    sealed(root)
    assert not (root / UNIT[1:]).exists()


def test_nothing_outside_is_touched(root, tmp_path):
    outside = tmp_path / "outside"
    for name in ("log/secret.log", "tmp/file", "keys/authorized_keys", "machine-id"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text("mine")
    import shutil

    for name, target in (("var/log", "log"), ("tmp", "tmp"), ("root/.ssh", "keys")):
        shutil.rmtree(root / name)
        (root / name).symlink_to(outside / target)
    (root / "etc/machine-id").unlink()
    (root / "etc/machine-id").symlink_to(outside / "machine-id")
    (root / "home/b").symlink_to(outside)
    (outside / ".bash_history").write_text("mine")
    sealed(root)
    assert {path.read_text() for path in outside.rglob("*") if path.is_file()} == {"mine"}
    assert not (root / "etc/machine-id").is_symlink()


def test_every_name_has_something_to_take():
    assert set(PATTERNS) | {"machine_id", "logs", "histories", "authorized_keys"} == set(NAMES)
