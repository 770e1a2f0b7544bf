"""Notifications: who is told what, when, and that no secret and no failing channel gets any further."""

from __future__ import annotations

import datetime
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hostmend.core.errors import HostmendError
from hostmend.notify import deliver, dispatch, secret, settings
from hostmend.notify import message as news

UTC = datetime.UTC
TOKEN = "t0psecret"


def finding(check: str = "redis.no_auth", severity: str = "high", trend: str | None = "new", **more: Any) -> dict[str, Any]:
    made = {"check": check, "class": check.split(".")[0], "kind": "vulnerability", "status": "open", "severity": severity,
            "resource": "redis :6379", "title": "Redis answers without a password", **more}  # fmt: skip
    return {**made, **({"trend": trend} if trend else {})}


def report(*findings: dict[str, Any], host: str = "web1", **hosts: Any) -> dict[str, Any]:
    run = {"id": "20261125T020000Z-abc123", "inventory": ["a,b"], "history": {"mended": 0}}
    return {"run": run, "score": 80, "hosts": {host: {"status": "ok", "findings": list(findings)}, **hosts}}


def parsed(text: str, path: Path = Path("/etc/hostmend/notify.yml")) -> settings.Settings:
    return settings.parse(text, path)


class World:
    """A dispatcher with a clock and services of its own."""

    def __init__(self, tmp_path: Path, text: str) -> None:
        self.sent: list[Mapping[str, str]] = []
        self.answer = ""
        self.moment = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
        self.dispatcher = dispatch.Dispatcher(
            parsed(text), send=self.send, state=tmp_path / "state" / "notify.json", clock=lambda: self.moment
        )

    def send(self, message: Mapping[str, str]) -> str:
        if not self.answer:
            self.sent.append(message)
        return self.answer

    def run(self, *findings: dict[str, Any], **hosts: Any) -> list[tuple[str, str]]:
        return [(one["channel"], one["status"]) for one in self.dispatcher.after_run(report(*findings, **hosts))]

    def flush(self) -> list[tuple[str, str]]:
        return [(one["channel"], one["status"]) for one in self.dispatcher.flush()]

    @property
    def bodies(self) -> list[str]:
        return [one["body"] for one in self.sent]


# The file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channels: [", "cannot be read, line 1"),
        ("- a\n", "are not a mapping with channels"),
        ("channels: {}\n", "line 1: channels has to name at least one channel"),
        ("language: en\n", "channels has to name at least one channel"),
        ("channels:\n  a: json://x\n", "line 2: channel a is not a mapping"),
        ("channels:\n  a: {}\n", "line 2: channel a has to have one of url, url_file, url_env"),
        ("channels:\n  a: {url: json://x, url_env: X}\n", "line 2: channel a has to have one of"),
        ("channels:\n  a:\n    url: nothing\n", "line 3: channel a: url is not an apprise URL"),
        ("channels:\n  a b: {url: json://x}\n", "line 2: the name of a channel"),
        ("channels:\n  a:\n    url: json://x\n    at_leest: low\n", "line 4: channel a: no such setting: at_leest (did"),
        ("colour: red\nchannels:\n  a: {url: json://x}\n", "line 1: no such setting: colour"),
        ("at_least: grave\nchannels:\n  a: {url: json://x}\n", "line 1: at_least is one of"),
        ("channels:\n  a:\n    url: json://x\n    grades: [hihg]\n", "line 4: channel a: no such grade: hihg (did you"),
        ("channels:\n  a:\n    url: json://x\n    classes: [rediss]\n", "line 4: channel a: no such class: rediss (did"),
        ("channels:\n  a:\n    url: json://x\n    quiet: at night\n", "line 4: channel a: 'at night' is no quiet time"),
        ("time_zone: Mars/Olympus\nchannels:\n  a: {url: json://x}\n", "line 1: no such time zone: Mars/Olympus"),
        ("digest: hourly\nchannels:\n  a: {url: json://x}\n", "line 1: digest is daily, weekly or none"),
        ("digest_at: noon\nchannels:\n  a: {url: json://x}\n", "line 1: digest_at is a time of day"),
        ("empty: perhaps\nchannels:\n  a: {url: json://x}\n", "line 1: empty is true or false"),
        ("language: fr\nchannels:\n  a: {url: json://x}\n", "line 1: no such language: fr"),
        ("channels:\n  a: {url: json://x}\n  a: {url: json://y}\n", "line 2: a is given twice"),
        ("$ANSIBLE_VAULT;1.1;AES256\n6162\n", "encrypted as a whole"),
        ("channels: &x {a: *y}\n", "cannot be read, line 1"),
    ],
)
def test_a_file_that_cannot_be_taken_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(HostmendError) as error:
        parsed(text)
    assert "/etc/hostmend/notify.yml" in str(error.value) and said in str(error.value)
    assert "\n" not in str(error.value)


def test_no_complaint_about_a_file_repeats_a_secret() -> None:
    with pytest.raises(HostmendError) as error:
        parsed(f"channels:\n  a:\n    url: json://user:{TOKEN}@h/{TOKEN}\n   b: [\n")
    assert TOKEN not in str(error.value)
    assert TOKEN not in repr(parsed(f"channels:\n  a:\n    url: json://user:{TOKEN}@h\n"))


def test_a_channel_has_its_own_rules_before_those_of_the_file() -> None:
    made = parsed("""
at_least: high
time_zone: Asia/Taipei
quiet: ["22:00-07:00"]
channels:
  a: {url: json://x}
  b: {url_env: HOOK, at_least: low, quiet: ["Sat,Sun 00:00-00:00 Europe/Berlin"], digest: weekly, digest_at: 08:30}
""")
    a, b = made.channels
    assert (a.at_least, b.at_least, b.digest, b.digest_at) == ("high", "low", "weekly", datetime.time(8, 30))
    assert a.is_quiet(datetime.datetime(2026, 11, 25, 14, 30, tzinfo=UTC))  # half past ten at night in Taipei
    assert not a.is_quiet(datetime.datetime(2026, 11, 25, 23, 30, tzinfo=UTC))
    assert b.is_quiet(datetime.datetime(2026, 11, 27, 23, 30, tzinfo=UTC))  # Saturday has begun in Berlin


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    beside = tmp_path / "group_vars" / "hostmend_notify.yml"
    own = tmp_path / "config" / "hostmend" / "notify.yml"
    named = tmp_path / "named.yml"
    for path in (beside, own, named):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("channels: {a: {url: json://x}}\n")
    inventory = str(tmp_path / "hosts")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert settings.find([inventory], {**environ, "HOSTMEND_NOTIFY": str(named)}) == named
    assert settings.find([inventory], environ) == beside
    assert settings.find(["a,b"], environ) == own
    own.unlink()
    assert settings.find(["a,b"], environ) is None
    with pytest.raises(HostmendError, match="HOSTMEND_NOTIFY: no such file"):
        settings.find([], {"HOSTMEND_NOTIFY": str(tmp_path / "none")})


# Secrets


def test_a_url_comes_from_a_file_a_variable_or_a_vault(tmp_path: Path) -> None:
    from ansible.parsing.vault import VaultLib, VaultSecret

    (tmp_path / "password").write_text("open sesame\n")
    locked = VaultLib([("default", VaultSecret(b"open sesame"))]).encrypt(f"json://h/{TOKEN}").decode()
    (tmp_path / "locked").write_text(locked)
    (tmp_path / "plain").write_text(f"json://h/{TOKEN}\n")
    indented = "\n".join(f"      {line}" for line in locked.splitlines())
    made = settings.parse(
        f"vault_password_file: password\nchannels:\n  a: {{url_file: plain}}\n  b: {{url_file: locked}}\n"
        f"  c: {{url_env: HOOK}}\n  d:\n    url: !vault |\n{indented}\n",
        tmp_path / "notify.yml",
    )
    assert [secret.url(one, made, environ={"HOOK": f"json://h/{TOKEN}"}) for one in made.channels] == [f"json://h/{TOKEN}"] * 4


def test_a_secret_that_is_not_to_be_had_is_told_without_it(tmp_path: Path) -> None:
    locked = "!vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      616263\n"
    text = f"channels:\n  a: {{url_file: none}}\n  b: {{url_env: NOPE}}\n  c:\n    url: {locked}"
    made = settings.parse(text, tmp_path / "notify.yml")
    said = []
    for one in made.channels:
        with pytest.raises(HostmendError) as error:
            secret.url(one, made, environ={})
        said.append(str(error.value))
    assert "none cannot be read: No such file" in said[0]
    assert said[1] == "the variable NOPE is not set"
    assert "its URL is in a vault, and no password was given" in said[2]
    (tmp_path / "wrong").write_text("wrong\n")
    with pytest.raises(HostmendError, match="that the password does not open"):
        secret.url(made.channels[2], made, [str(tmp_path / "wrong")], environ={})


# What is told


def test_a_channel_hears_of_what_it_asked_for_and_only_of_what_is_new(tmp_path: Path) -> None:
    world = World(tmp_path, "channels:\n  a: {url: json://x, classes: ['!ports'], hosts: ['web*']}\n")
    told = world.run(
        finding(),
        finding(check="redis.exposed", trend="regressed"),
        finding(check="redis.weak_password", trend="open"),
        finding(check="ports.exposed"),
        finding(check="redis.runtime_differs", severity="low"),
        db1={"status": "ok", "findings": [finding(check="redis.runs_as_root")]},
    )
    assert told == [("a", "sent")]
    [message] = world.sent
    assert message["title"] == "hostmend: 1 new, 1 came back on 1 host(s)"
    assert message["type"] == "failure"
    assert "redis.no_auth" in message["body"] and "redis.exposed" in message["body"]
    for absent in ("weak_password", "ports", "runtime_differs", "runs_as_root", "evidence"):
        assert absent not in message["body"]
    assert world.run(finding(trend="open")) == [("a", "nothing")]
    assert len(world.sent) == 1


def test_the_first_audit_of_a_host_tells_what_it_finds(tmp_path: Path) -> None:
    world = World(tmp_path, "channels:\n  a: {url: json://x}\n")
    world.run(finding(trend=None))
    assert world.sent[0]["title"] == "hostmend: 1 found on 1 host(s)"


def test_alerts_are_as_grave_as_severities() -> None:
    [a, b] = parsed("channels:\n  a: {url: json://x, at_least: suspicious}\n  b: {url: json://x, grades: [urgent]}\n").channels
    alert = {**finding(), "kind": "alert", "level": "urgent"}
    assert a.wants("h", alert) and b.wants("h", alert)
    assert a.wants("h", finding(severity="medium")) and not b.wants("h", finding(severity="high"))
    assert not a.wants("h", {**alert, "level": "notice"})


def test_what_is_open_can_be_asked_for_at_each_run(tmp_path: Path) -> None:
    world = World(tmp_path, "channels:\n  a: {url: json://x, what: open}\n")
    for _again in range(2):
        assert world.run(finding(trend="open")) == [("a", "sent")]


def test_a_host_that_is_lost_is_told_once(tmp_path: Path) -> None:
    world = World(tmp_path, "channels:\n  a: {url: json://x}\n  b: {url: json://y, failures: false}\n")
    lost = {"db1": {"status": "unreachable", "reason": "the connection timed out", "findings": []}}
    assert world.run(**lost) == [("a", "sent"), ("b", "nothing")]
    assert "db1: the connection timed out (unreachable)" in world.bodies[0]
    assert world.run(**lost) == [("a", "nothing"), ("b", "nothing")]
    world.run(db1={"status": "ok", "findings": []})
    assert world.run(**lost) == [("a", "sent"), ("b", "nothing")]


def test_a_message_is_bounded_and_nothing_in_it_is_markup_or_a_control_character() -> None:
    evil = "web\x1b[2J\n@everyone <!channel> \u202e"
    one = {"word": "new", "grade": "high", "check": "redis.no_auth", "resource": "r" * 500, "title": evil}
    found = [{**one, "host": f"{evil}{n}"} for n in range(500)]
    for language in ("en", "zh_TW"):
        made = news.compose(found, [{"run": "r", "score": 1, "ended": 3}], language)
        assert len(made["title"]) <= news.TITLE and len(made["body"]) <= news.BODY
        text = made["title"] + made["body"]
        assert not set(text) & set("\x1b\u202e") and "@everyone" not in text and "<!" not in text
        lines = made["body"].splitlines()
        assert str(500 - sum("redis.no_auth" in line or line.endswith("…") for line in lines)) in lines[-3]
    assert "新發現" in made["title"]


# When


def test_quiet_hours_hold_back_and_it_is_sent_after(tmp_path: Path) -> None:
    world = World(tmp_path, "quiet: '22:00-07:00 UTC'\nchannels:\n  a: {url: json://x}\n")
    world.moment = world.moment.replace(hour=23)
    assert world.run(finding()) == [("a", "held")]
    assert world.run(finding(trend="open"), finding(check="redis.exposed")) == [("a", "held")]
    assert world.flush() == [] and world.sent == []
    world.moment += datetime.timedelta(hours=9)
    assert world.flush() == [("a", "sent")]
    assert "redis.no_auth" in world.bodies[0] and "redis.exposed" in world.bodies[0]
    assert world.flush() == []


@pytest.mark.parametrize(("digest", "days"), [("daily", 1), ("weekly", 5)])
def test_a_digest_gathers_until_its_time(tmp_path: Path, digest: str, days: int) -> None:
    text = f"time_zone: Asia/Taipei\nchannels:\n  a: {{url: json://x, digest: {digest}, digest_at: '08:00'}}\n"
    world = World(tmp_path, text)
    assert world.run(finding()) == [("a", "held")]  # a Wednesday, eight in the evening in Taipei
    with world.dispatcher.pending.alone() as state:
        [part] = state["channels"].values()
        part["digest"] = world.moment.isoformat()
    world.moment += datetime.timedelta(hours=1)
    assert world.run(finding(check="redis.exposed")) == [("a", "held")]
    world.moment = datetime.datetime(2026, 11, 25, 23, 59, tzinfo=UTC) + datetime.timedelta(days=days - 1)
    assert world.flush() == []
    world.moment += datetime.timedelta(minutes=2)
    assert world.flush() == [("a", "sent")]
    assert "redis.no_auth" in world.bodies[0] and "redis.exposed" in world.bodies[0]
    assert world.flush() == []
    world.moment += datetime.timedelta(days=8)
    assert world.flush() == []  # nothing happened, and empty digests were not asked for


def test_an_empty_digest_is_sent_where_it_is_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, "channels:\n  a: {url: json://x, digest: daily, empty: true, time_zone: UTC}\n")
    world.run()
    world.sent.clear()
    world.moment = datetime.datetime.now(UTC) + datetime.timedelta(days=2)
    assert world.flush() == [("a", "sent")]
    assert "nothing new" in world.sent[-1]["title"]


def test_what_a_channel_did_not_take_is_sent_later(tmp_path: Path) -> None:
    world = World(tmp_path, "channels:\n  a: {url: json://x}\n")
    world.answer = "the connection was refused"
    assert world.dispatcher.after_run(report(finding())) == [
        {"channel": "a", "status": "failed", "reason": "the connection was refused"}
    ]
    world.answer = ""
    assert world.flush() == [("a", "sent")]
    assert "redis.no_auth" in world.bodies[0]


def test_of_more_than_can_be_kept_the_gravest_are_told_and_kept(tmp_path: Path) -> None:
    found = [finding("logrotate.retention", "low", resource=f"log {number}") for number in range(400)]
    world = World(tmp_path, "channels:\n  a: {url: json://x, at_least: low}\n")
    world.run(*found, finding())
    assert world.sent[0]["title"] == "hostmend: 401 new on 1 host(s)" and world.bodies[0].startswith("high, new: web1: ")
    world.answer = "the connection was refused"
    world.run(*found, finding())
    world.answer = ""
    world.run()
    assert world.sent[-1]["title"] == "hostmend: 300 new on 1 host(s)" and world.bodies[-1].startswith("high, new: web1: ")


def test_state_that_cannot_be_kept_costs_no_message(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    world = World(tmp_path, "channels:\n  a: {url: json://x}\n")
    told = world.dispatcher.after_run(report(finding()))
    assert [(one["channel"], one["status"]) for one in told] == [("a", "sent"), ("*", "failed")]


def test_a_run_that_mends_tells_what_it_mended_and_what_stays(tmp_path: Path) -> None:
    world = World(tmp_path, "channels:\n  a: {url: json://x, at_least: low}\n")
    more = {"status": "passed", "outcome": "mended", "resource": "wtmp", "title": "A log goes early"}
    mended = finding("logrotate.retention", "low", None, **more)
    known = finding(trend="known", outcome="still_open")
    other = finding("redis.exposed", trend="known", outcome="still_open")
    world.run(mended, known, web2={"status": "ok", "findings": [other]})
    assert world.sent[0]["title"] == "hostmend: 1 mended, 1 open on 1 host(s)"
    assert world.sent[0]["body"].splitlines()[:2] == [
        "high, open: web1: Redis answers without a password [redis :6379] (redis.no_auth)",
        "low, mended: web1: A log goes early [wtmp] (logrotate.retention)",
    ]
    assert world.sent[0]["type"] == "failure"
    world.run(known, web2={"status": "ok", "findings": [other]})
    assert len(world.sent) == 1  # nothing was mended, and nothing is new
    world.run(mended)
    assert world.sent[1]["title"] == "hostmend: 1 mended on 1 host(s)" and world.sent[1]["type"] == "info"


def test_state_that_is_corrupt_is_begun_anew(tmp_path: Path) -> None:
    world = World(tmp_path, "channels:\n  a: {url: json://x}\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "notify.json").write_text("{")
    assert world.run(finding()) == [("a", "sent")]


def test_a_person_is_told_at_once_and_only_on_the_channels_named(tmp_path: Path) -> None:
    world = World(tmp_path, "quiet: '00:00-00:00'\nchannels:\n  a: {url: json://x}\n  b: {url: json://y}\n")
    assert [one["status"] for one in world.dispatcher.now(report(finding(trend="open"), finding()))] == ["sent", "sent"]
    assert [one["channel"] for one in world.dispatcher.test(["b"])] == ["b"]
    with pytest.raises(HostmendError, match="no such channel: c"):
        world.dispatcher.test(["c"])


# apprise, for real


@pytest.fixture
def service() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A web service on loopback; its path says how it answers."""
    got: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "slow" in self.path:
                threading.Event().wait(8)
            self.send_response(403 if "refused" in self.path else 200)
            self.end_headers()
            got.append(body)

        def log_message(self, *args: Any) -> None:
            del args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://user:{TOKEN}@127.0.0.1:{server.server_port}/{TOKEN}", got
        server.shutdown()


MESSAGE = {"title": "hostmend: 1 new", "body": "high, new: web1", "type": "failure"}


def test_a_service_gets_the_message(service: tuple[str, list[dict[str, Any]]]) -> None:
    url, got = service
    assert deliver.send({**MESSAGE, "url": url}) == ""
    assert (got[0]["title"], got[0]["message"], got[0]["type"]) == ("hostmend: 1 new", "high, new: web1", "failure")


@pytest.mark.parametrize(
    ("more", "said"), [("/refused", "the service answered 403"), ("/slow?rto=1", "it did not answer in time")]
)
def test_why_a_service_did_not_take_it_holds_no_secret(service: tuple[str, list[dict[str, Any]]], more: str, said: str) -> None:
    why = deliver.send({**MESSAGE, "url": service[0] + more})
    assert why == said and TOKEN not in why


def test_a_service_that_never_ends_is_left(service: tuple[str, list[dict[str, Any]]]) -> None:
    assert deliver.send({**MESSAGE, "url": service[0] + "/slow?rto=30"}, seconds=2.5) == "it took longer than 2.5 s"


@pytest.mark.parametrize("url", ["bogus://h/x", "json://", "not a url", ""])
def test_a_url_that_is_none(url: str) -> None:
    assert deliver.send({**MESSAGE, "url": url}) == "apprise does not know such a URL"


def test_the_process_that_sends_shows_no_secret_in_its_arguments(
    service: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda argv, **more: seen.append((argv, more.get("env"))) or real(argv, **more))
    deliver.send({**MESSAGE, "url": service[0]})
    assert seen == [([sys.executable, "-m", "hostmend.notify.deliver"], None)]
