"""OpenSSH's server as its files and its command line have it: the first value wins, an Include stands where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.software import sshd
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_host import FakeHost


def host(root: Path, says: dict[str, str] | None = None, **files: str) -> FakeHost:
    for name, text in files.items():
        path = root / "etc/ssh" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return FakeHost(root, says)  # type: ignore[arg-type]


def test_the_first_value_wins_and_includes_stand_in_their_place(tmp_path):
    found = sshd.read_files(host(
        tmp_path, sshd_config="Include sshd_config.d/*.conf\nPasswordAuthentication yes\nLogLevel INFO\nLogLevel QUIET\n",
        **{"sshd_config.d__10.conf": "PasswordAuthentication no\n", "sshd_config.d__20.conf": "passwordauthentication=yes\n",
           "sshd_config.d__30.bak": "LogLevel FATAL\n"}))
    assert (found.get("passwordauthentication"), found.get("loglevel")) == ("no", "info")
    assert found.places["passwordauthentication"] == "/etc/ssh/sshd_config.d/10.conf line 1"


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("PasswordAuthentication no\nKbdInteractiveAuthentication no\n", False),
        ("PasswordAuthentication no\nChallengeResponseAuthentication no\nMatch Address 10.0.0.0/8\n"
         "  PasswordAuthentication yes\n", True),
        ("PasswordAuthentication no\nKbdInteractiveAuthentication no\nMatch User x\n  PasswordAuthentication no\n"
         "  PasswordAuthentication yes\n", False),
        ("PasswordAuthentication no\nKbdInteractiveAuthentication no\nMatch all\nPasswordAuthentication yes\n", False),
        ('PasswordAuthentication "no"\nKbdInteractiveAuthentication = no # yes\n', False),
        ("", True),
    ],
)
def test_whether_anybody_gets_in_by_password(tmp_path, text, takes):
    assert sshd.read(host(tmp_path, sshd_config=text)).takes_passwords() is takes


def test_a_match_of_an_included_file_ends_with_it(tmp_path):
    found = sshd.read_files(host(tmp_path, sshd_config="Include sshd_config.d/m.conf\nPasswordAuthentication no\n",
                                 **{"sshd_config.d__m.conf": "Match User x\nPasswordAuthentication yes\n"}))
    assert found.get("passwordauthentication") == "no"
    assert found.matches[0][:2] == ("User x", {"passwordauthentication": "yes"})


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [((), [22, 2200]), (("sshd", "-p", "2222"), [2222]), (("sshd", "-oPort=2022"), [2022]),
     (("sshd", "-f", "/etc/ssh/other", "-D"), [2201]), (("sshd: /usr/sbin/sshd -D -o Port=2023 [listener]",), [2023])],
)
def test_ports_of_files_and_of_the_command_line(tmp_path, argv, wanted):
    found = sshd.read_files(host(tmp_path, sshd_config="Port 22\nPort 2200\n", other="Port 2201\n"), sshd.options_of(argv))
    assert sshd.ports(found) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("ListenAddress 0.0.0.0:2222\n", [2222]), ("ListenAddress 0.0.0.0:2222\nListenAddress ::\nPort 22\n", [22, 2222]),
     ("ListenAddress [::]:2022\n", [2022]), ("ListenAddress ::1\n", [22])],
)
def test_ports_of_addresses(tmp_path, text, wanted):
    assert sshd.ports(sshd.read_files(host(tmp_path, sshd_config=text))) == wanted


def test_what_sshd_says_wins_over_its_files_and_match_blocks_stay(tmp_path):
    said = {"sshd -T": "port 2022\npasswordauthentication no\nkbdinteractiveauthentication no\n"}
    found = sshd.read(host(tmp_path, said, sshd_config="Port 22\nMatch User x\nPasswordAuthentication yes\n"))
    assert (found.source, sshd.ports(found), found.takes_passwords()) == ("sshd -T", [2022], True)


@given(st.text())
def test_no_text_breaks_the_reader(text):
    sshd.words_of(text)
    sshd.split_address(text)
    sshd.options_of([text])
