"""Redis: its configuration as it reads it, judgement on readings, and servers and files that are hostile."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import redis
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.collect import differences
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.redis.facts import Instance, label
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis import acl, config, protocol
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import FIXTURES

TEXTS = FIXTURES / "redis"
POLICY = {**redis.POLICY, "common": {}}


def read(files: dict[str, str], path: str = "/r/main.conf") -> Any:
    def listing(folder: str) -> list[str]:
        return sorted(name.rpartition("/")[2] for name in files if name.rpartition("/")[0] == folder)

    return config.read_settings(path, files.get, listing)


def instance(**more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "program": "redis-server",
        "name": "redis-server 6379",
        "uid": 104,
        "unit": "redis-server.service",
        "container": None,
        "foreign": False,
        "sentinel": False,
        "listeners": ["127.0.0.1:6379"],
        "gaps": [],
        "probes": {"127.0.0.1:6379": "PONG"},
        "effective": {"protected-mode": "yes", "users": [{"name": "default", "on": True, "nopass": True, "all": True}]},
        "persistent": {"renamed": []},
        "differs": [],
        "weak": None,
        "clients": [],
        "replicas": [],
        "version": "7.0.15",
        "role": "master",
        "master": None,
        "mode": "standalone",
        "config_file": "/etc/redis/redis.conf",
        "files": {"/etc/redis/redis.conf": {"mode": "0640", "secret": False}},
    }
    made.update(more)
    return dict(Instance(**made)._asdict())


WIDE = {"listeners": ["0.0.0.0:6379"], "probes": {"127.0.0.1:6379": "PONG", "192.0.2.2:6379": "PONG"}}
SHUT = {
    "listeners": ["0.0.0.0:6379"],
    "probes": {"127.0.0.1:6379": "NOAUTH", "192.0.2.2:6379": "NOAUTH"},
    "weak": False,
}
MUTE = {
    "effective": {},
    "gaps": ["the server cannot be asked"],
    "probes": {},
    "files": {},
    "config_file": "",
    "uid": None,
}


def judged(one: dict[str, Any], **policy: Any) -> dict[str, dict[str, Any]]:
    found = redis.check({"live": True, "gaps": [], "instances": [one]}, {**POLICY, **policy})
    return {each["check"]: each for each in found}


@pytest.mark.parametrize(
    ("check", "one", "status"),
    [
        ("redis.no_auth", WIDE, "open"),
        ("redis.no_auth", SHUT, "passed"),
        ("redis.no_auth", {}, "passed"),
        ("redis.no_auth", MUTE, "unknown"),
        ("redis.exposed", WIDE, "open"),
        ("redis.exposed", {}, "passed"),
        ("redis.exposed", {"listeners": ["0.0.0.0:6379"], "probes": {"192.0.2.2:6379": "DENIED"}}, "passed"),
        ("redis.exposed", {"foreign": True}, "unknown"),
        ("redis.weak_password", {**SHUT, "weak": True}, "open"),
        ("redis.weak_password", SHUT, "passed"),
        ("redis.weak_password", {**SHUT, "weak": None}, "unknown"),
        ("redis.weak_password", {}, "not_applicable"),
        ("redis.dangerous_commands", WIDE, "open"),
        ("redis.dangerous_commands", {}, "passed"),
        ("redis.dangerous_commands", {**WIDE, "effective": {}, "gaps": ["refused"]}, "unknown"),
        ("redis.dangerous_commands", {"sentinel": True}, "not_applicable"),
        ("redis.runs_as_root", {"uid": 0}, "open"),
        ("redis.runs_as_root", {}, "passed"),
        ("redis.runs_as_root", MUTE, "unknown"),
        ("redis.config_world_readable", {"files": {"/f": {"mode": "0644", "secret": True}}}, "open"),
        ("redis.config_world_readable", {"files": {"/f": {"mode": "0644", "secret": False}}}, "passed"),
        ("redis.config_world_readable", MUTE, "unknown"),
        ("redis.runtime_differs", {"differs": ["bind"]}, "open"),
        ("redis.runtime_differs", {}, "passed"),
        ("redis.runtime_differs", MUTE, "unknown"),
        ("redis.runtime_differs", {"sentinel": True}, "not_applicable"),
    ],
)
def test_each_check(check: str, one: dict[str, Any], status: str) -> None:
    assert judged(instance(**one))[check]["status"] == status


def test_a_host_without_redis() -> None:
    found = redis.check({"live": True, "gaps": [], "instances": []}, POLICY)
    assert {(one["check"], one["status"]) for one in found} == {(check, "not_applicable") for check in redis.CHECKS}
    assert {one["status"] for one in redis.check({"live": True, "gaps": ["hidepid"], "instances": []}, POLICY)} == {"unknown"}


def test_another_user_without_a_password_counts_though_default_is_off() -> None:
    users = [
        {"name": "default", "on": False, "nopass": False, "all": True},
        {"name": "app", "on": True, "nopass": True, "all": False},
    ]
    assert judged(instance(**{**SHUT, "effective": {"users": users}}))["redis.no_auth"]["status"] == "open"
    assert judged(instance(**{**SHUT, "effective": {"users": users[:1]}}))["redis.no_auth"]["status"] == "passed"


def test_loopback_without_a_password_is_the_policys_to_allow() -> None:
    found = judged(instance(), loopback_ok=False)["redis.no_auth"]
    assert (found["status"], found["severity"]) == ("open", "low")


def test_connected_clients_make_it_disruptive_and_a_container_manual() -> None:
    found = judged(instance(**WIDE, clients=["127.0.0.1", "192.0.2.9"]))["redis.no_auth"]
    assert (found["risk"], found["affects"]) == ("disruptive", ["192.0.2.9 is connected"])
    assert judged(instance(**WIDE, outside=["node 192.0.2.9:6379"]))["redis.no_auth"]["risk"] == "manual"


# Configuration


def test_includes_globs_and_the_last_value() -> None:
    made = read(
        {
            "/r/main.conf": "requirepass first\ninclude /r/d/*.conf\nport 7000\n",
            "/r/d/a.conf": 'requirepass "a b\\x41"\ninclude /r/nested.conf\n',
            "/r/d/b.conf": "# requirepass no\nport 1\n",
            "/r/nested.conf": "bind 10.0.0.1 -::1\n",
        }
    )
    assert made.last("requirepass") == ["a bA"]
    assert (made.last("port"), made.place("port")) == (["7000"], "/r/main.conf:3")
    assert made.last("bind") == ["10.0.0.1", "-::1"]
    assert made.gaps == []


def test_a_file_that_includes_itself_ends() -> None:
    assert "too many files are included" in read({"/r/main.conf": "include /r/main.conf\n"}).gaps


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("default on nopass ~* +@all", (True, True, True)),
        ("default off", (False, False, False)),
        ("app on >secret +get", (True, False, False)),
        ("app on nopass resetpass", (True, False, False)),
        ("app on nopass reset on >x", (True, False, False)),
    ],
)
def test_users_of_an_acl(words: str, wanted: tuple[bool, bool, bool]) -> None:
    user = acl.parse_user(words.split())
    assert (user.on, user.nopass, user.all) == wanted


def test_captured_answers_of_a_server() -> None:
    info = protocol.parse_info((TEXTS / "info.txt").read_text())
    assert info["config_file"] == "/etc/redis/redis.conf"
    (client,) = protocol.parse_clients((TEXTS / "clients.txt").read_text())
    assert client["addr"].startswith("127.0.0.1:")
    words = config.split_words((TEXTS / "acl.txt").read_text().strip())
    assert acl.parse_user(words[1:]).nopass is True


def test_what_is_set_at_run_time_alone_differs() -> None:
    settings_read = read({"/r/main.conf": "bind 127.0.0.1 -::1\n"})
    runtime = {
        "bind": "127.0.0.1 -::1",
        "requirepass": "set later",
        "protected-mode": "yes",
        "port": "6379",
        "tls-port": "0",
    }
    assert differences(runtime, settings_read) == ["requirepass"]


LINES = st.lists(
    st.sampled_from(["port 1", "requirepass old", "# requirepass x", "include /r/other.conf", "", "save 1 1", 'bad "x']),
    max_size=8,
)
VALUES = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(LINES, VALUES)
def test_an_edit_wins_and_leaves_the_rest(lines: list[str], value: str) -> None:
    before = "".join(line + "\n" for line in lines)
    after = config.edit(before, {"requirepass": [config.quoted(value)]})
    assert config.edit(after, {"requirepass": [config.quoted(value)]}) == after
    assert read({"/r/main.conf": after, "/r/other.conf": "requirepass theirs\n"}).last("requirepass") == [value]
    kept = [line for line in lines if not line.startswith("requirepass")]
    assert [line for line in after.split("\n")[:-1] if not line.startswith("requirepass")] == kept


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_hostile_configuration_ends(hostile: str) -> None:
    made = read({"/r/main.conf": hostile})
    assert made.files == ["/r/main.conf"]
    acl.parse_user(hostile.split())


# A server that is hostile


def serve(answer: bytes) -> tuple[str, int]:
    server = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        with server, server.accept()[0] as one:
            one.recv(4096)
            one.sendall(answer)

    threading.Thread(target=talk, daemon=True).start()
    address: tuple[str, int] = server.getsockname()
    return address


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"+PONG\r\n", "PONG"),
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
        (b"-DENIED Redis is running in protected mode\r\n", "DENIED"),
        (b"$99999999999\r\n", "NO ANSWER"),
        (b"*1\r\n" * 50, "NO ANSWER"),
        (b"*999999999\r\n", "NO ANSWER"),
        (b"x" * 100000, "NO ANSWER"),
        (b":not a number\r\n", "NO ANSWER"),
        (b"", "NO ANSWER"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "NO ANSWER"),
    ],
)
def test_what_a_server_may_answer(answer: bytes, told: str) -> None:
    assert protocol.probe(serve(answer)) == told


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60))
def test_any_answer_ends(answer: bytes) -> None:
    assert isinstance(protocol.probe(serve(answer)), str)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    assert protocol.probe(address) == "REFUSED"


@pytest.mark.parametrize(
    ("listeners", "expected"),
    [
        (["127.0.0.1:17001", "127.0.0.1:7001"], "7001"),
        (["[::1]:6380", "0.0.0.0:6379", "/run/redis.sock"], "6379"),
        (["/run/redis/redis.sock"], "redis.sock"),
        ([], "?"),
    ],
)
def test_an_instance_is_called_by_the_port_of_clients_in_whatever_order_the_kernel_lists_them(listeners, expected):
    assert label(listeners) == expected
    assert label(listeners[::-1]) == expected
