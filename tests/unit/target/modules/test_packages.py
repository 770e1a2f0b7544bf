"""Installing and removing packages: all that comes along is told, in check mode too, and nothing else goes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt_transaction, transaction
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import run as package_run
from ansible_collections.hostmend.hardening.plugins.modules import packages

# Of a Debian 12 without either package.
INSTALL = (
    "Inst libnftables1 (1.0.6-2+deb12u2 Debian:12.12/oldstable [amd64])\n"
    "Inst nftables (1.0.6-2+deb12u2 Debian:12.12/oldstable [amd64])\n"
    "Conf libnftables1 (1.0.6-2+deb12u2 Debian:12.12/oldstable [amd64])\n"
    "Conf nftables (1.0.6-2+deb12u2 Debian:12.12/oldstable [amd64])\n"
)
REMOVE = "Remv fail2ban [1.0.2-2]\nRemv rpcbind [1.2.6-6+b1]\n"


class Host:
    """A host whose package manager says what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, there: set[str], age: float = 1.0) -> None:
        self.there, self.ran, self.refreshed = set(there), [], False  # type: set[str], list[list[str]], bool
        self.manager = apt_transaction.Apt({"lock_seconds": 0})
        monkeypatch.setattr(package_run.process, "run", self.run)
        monkeypatch.setattr(self.manager, "installed", lambda: dict.fromkeys(self.there, "1"))
        monkeypatch.setattr(self.manager, "stale", lambda days: age > days)
        monkeypatch.setattr(self.manager, "refresh", self.refresh)
        monkeypatch.setattr(transaction, "room", lambda *_all: None)

    def refresh(self, check_mode: bool, folder: str) -> list[str]:
        self.refreshed = True
        return []

    def run(self, argv: list[str], *_more: Any, **_named: Any) -> tuple[int, str, str]:
        self.ran.append(argv)
        if "-s" in argv:
            return 0, REMOVE if "remove" in argv else INSTALL, ""
        if "remove" in argv:
            self.there -= set(argv)
        elif "--no-download" in argv:
            self.there |= {"nftables", "libnftables1"}
        return 0, "", ""

    def install(self, *names: str, check: bool = False) -> list[dict[str, str]]:
        changes: list[dict[str, str]] = []
        packages.install(self.module(names, check), self.manager, "/nonexistent", changes)
        return changes

    def remove(self, *names: str, check: bool = False) -> list[dict[str, str]]:
        changes: list[dict[str, str]] = []
        packages.remove(self.module(names, check), self.manager, changes)
        return changes

    def module(self, names: tuple[str, ...], check: bool) -> Any:
        return SimpleNamespace(params={"name": list(names), "index_days": 30, "free_mebibytes": 1}, check_mode=check)

    def changing(self) -> list[list[str]]:
        return [argv for argv in self.ran if argv[0] == "apt-get" and "-s" not in argv and "--print-uris" not in argv]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch, {"rpcbind", "fail2ban"})


def test_check_mode_names_what_a_real_run_installs(host: Host) -> None:
    foretold = host.install("nftables", check=True)
    assert not host.changing()
    assert [(one["name"], one["action"]) for one in foretold] == [
        ("libnftables1", "installed 1.0.6-2+deb12u2"), ("nftables", "installed 1.0.6-2+deb12u2")]
    assert host.install("nftables") == foretold
    assert host.install("nftables") == [], "it is there"


def test_nothing_is_removed_for_what_is_installed(host: Host) -> None:
    host.install("nftables")
    assert all("--no-remove" in argv for argv in host.ran if "install" in argv)


@pytest.mark.parametrize(("age", "fetched"), [(31.0, True), (29.0, False)])
def test_an_index_that_is_old_is_fetched_first(
    monkeypatch: pytest.MonkeyPatch, age: float, fetched: bool
) -> None:
    host = Host(monkeypatch, set(), age)
    changes = host.install("nftables", check=True)
    assert host.refreshed is fetched
    assert any(one["kind"] == "index" for one in changes) is fetched


def test_what_is_there_needs_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, {"nftables"}, 99.0)
    assert host.install("nftables") == []
    assert not host.refreshed
    assert not host.ran


def test_what_others_need_is_not_removed(host: Host) -> None:
    with pytest.raises(package_run.Trouble, match="fail2ban"):
        host.remove("rpcbind")
    assert not host.changing()


def test_removing_tells_what_goes(host: Host) -> None:
    foretold = host.remove("rpcbind", "fail2ban", "not-there", check=True)
    assert [(one["name"], one["action"]) for one in foretold] == [("fail2ban", "removed"), ("rpcbind", "removed")]
    assert not host.changing()
    assert host.remove("rpcbind", "fail2ban", "not-there") == foretold
    assert host.remove("rpcbind", "fail2ban", "not-there") == []


def test_a_package_that_is_not_there_in_spite_of_it_is_told(host: Host) -> None:
    with pytest.raises(package_run.Trouble, match="no-such"):
        host.install("no-such")
