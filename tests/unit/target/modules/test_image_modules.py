"""What modules do to a root filesystem that is to become an image."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.software import service_units
from ansible_collections.hostmend.hardening.plugins.modules import redis_access

CONF = "# kept\nbind 0.0.0.0\nprotected-mode no\nport 6379\n"


def mended(path: Path, monkeypatch: pytest.MonkeyPatch, version: str = "7.0.15", **more: Any) -> redis_access.Access:
    monkeypatch.setattr(redis_access, "packaged_version", lambda host, program: version)
    instance = {"listeners": [], "config_file": str(path), "unit": None, "auth": False, "narrow": False, "protect": [],
                **{name: more.pop(name) for name in ("auth", "narrow", "protect") if name in more}}
    params = {"instances": [instance], "password": None, "bind": ["127.0.0.1", "-::1"], "running": False, "words": [],
              "secrets": str(path.parent / "secrets"), **more}
    access = redis_access.Access(params)
    access.run(check_mode=False)
    return access


@pytest.mark.parametrize("asked", [{"auth": True}, {"narrow": True}, {"auth": True, "narrow": True}])
def test_no_password_is_made_and_redis_is_narrowed_instead(tmp_path, monkeypatch, asked):
    path = tmp_path / "redis.conf"
    path.write_text(CONF)
    mender = mended(path, monkeypatch, **asked)
    assert path.read_text() == "# kept\nbind 127.0.0.1 -::1\nprotected-mode yes\nport 6379\n"
    assert [one["kind"] for one in mender.changes] == ["file"] and list(tmp_path.iterdir()) == [path]
    assert mended(path, monkeypatch, **asked).changes == []


def test_a_password_that_is_given_is_written(tmp_path, monkeypatch):
    path = tmp_path / "redis.conf"
    path.write_text(CONF)
    mender = mended(path, monkeypatch, auth=True, password="given by a person")
    assert 'requirepass "given by a person"' in path.read_text() and "bind 0.0.0.0" in path.read_text()
    assert "by a person" not in str(mender.changes) + str(mender.shown)
    assert mended(path, monkeypatch, auth=True, password="given by a person").changes == []


def test_an_older_redis_takes_no_minus(tmp_path, monkeypatch):
    path = tmp_path / "redis.conf"
    path.write_text(CONF)
    mended(path, monkeypatch, version="6.0.16", narrow=True)
    assert "bind 127.0.0.1\n" in path.read_text()


def test_a_file_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    access = mended(tmp_path / "none.conf", monkeypatch, narrow=True)
    assert ["cannot be read" in reason for reason in access.failed.values()] == [True] and access.changes == []


def test_units_of_an_image_are_read_from_their_files(tmp_path, monkeypatch):
    for name in ("etc/systemd/system/multi-user.target.wants", "usr/lib/systemd/system"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a.service", "b.service"):
        (tmp_path / "usr/lib/systemd/system" / name).write_text("[Install]\nWantedBy=x\n")
    (tmp_path / "etc/systemd/system/multi-user.target.wants/a.service").symlink_to("/usr/lib/systemd/system/a.service")
    (tmp_path / "etc/systemd/system/b.service").symlink_to("/dev/null")
    monkeypatch.setattr(service_units, "Host", lambda running: Host(str(tmp_path), running=running))
    called: list[list[str]] = []
    module = SimpleNamespace(run_command=lambda argv, **_more: called.append(argv) or (0, "", ""),
                             get_bin_path=lambda _name: tools.get(_name))
    tools: dict[str, str] = {}
    with pytest.raises(service_units.Trouble, match="no systemctl"):
        service_units.ImageUnits(module, ["a.service"], 1).read()
    tools["systemctl"] = "/bin/systemctl"
    units = service_units.ImageUnits(module, ["a.service", "b.service", "none.service"], 1)
    wanted = units.wanted(units.read())
    assert wanted == {"a.service": ["disabled", "masked"]}
    units.switch_off(wanted)
    assert [argv[2:] for argv in called] == [["disable", "--", "a.service"], ["mask", "--", "a.service"]]
    assert units.failed() == set()
