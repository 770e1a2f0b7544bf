"""What an ACME server has refused, out of what certbot logged, and what it is not asked for again.

The fixtures are logs of the certbot that they name, of a server that limits it; tracebacks and signatures are left out.
"""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import errors
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import log as certbot_log
from ansible_collections.hostmend.hardening.plugins.modules import certificate_mend

from tests.support.paths import FIXTURES

# What certbot 2.1.0 logged of a server that limits it.
LIMITED = """2026-11-25 19:32:56,185:DEBUG:urllib3.connectionpool:https://localhost:14000 "POST /order-plz HTTP/1.1" 429 105
2026-11-25 19:32:56,226:DEBUG:acme.client:Received response:
HTTP 429
Server: BaseHTTP/0.6 Python/3.11.2
Content-Type: application/problem+json
Retry-After: 7200
Content-Length: 105

{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "Service busy; retry later.", "status": 429}
"""
FAILED = """2026-11-25 19:32:56,227:ERROR:certbot._internal.renewal:Failed to renew certificate www.lab.test with error: \
urn:ietf:params:acme:error:rateLimited :: There were too many requests of a given type :: """
HIDDEN = """Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for new.lab.test
An unexpected error occurred:
AttributeError: can't set attribute
Ask for help or search for solutions at https://community.letsencrypt.org.
"""
TEXTS = FIXTURES / "certbot"
DIRECTORY = "https://localhost:14443/dir"
UNTIL = 1795749165  # 2026-11-27 03:12:45 UTC, as the server of the fixtures says


def text(version: str) -> str:
    return (TEXTS / f"limited_{version}.txt").read_text()


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc")
def test_when_to_try_again_comes_from_the_header_where_the_words_have_none() -> None:
    why = certbot_log.failures(LIMITED + FAILED + "Service busy; retry later.\n")["www.lab.test"][0]
    assert why.endswith("Service busy; retry later. (retry after 2026-11-25 21:32:56 UTC)")
    assert certbot_log.held_until(why) == 1795642376
    said = "too many certificates (5) already issued, retry after 2026-11-27 03:12:45 UTC: see https://example.org/limits"
    why = certbot_log.failures(LIMITED + FAILED + said + "\n")["www.lab.test"][0]
    assert why.endswith(said) and certbot_log.held_until(why) > 1795642376
    assert "wait as long as it says" in errors.reason("", why)
    assert certbot_log.held_until(why.replace("rateLimited", "connection")) == 0
    assert certbot_log.held_until("rateLimited: retry after 2026-99-99 00:00:00") == 0


@pytest.mark.parametrize(
    "broken",
    ["", *("Retry-After: %s\n" % one for one in ("soon", "9" * 30, "Wed, 99 Nov 2026 23:41:28 GMT", "Wed, 25 Nov 99999 1:1:1"))],
)
def test_a_header_that_tells_no_time_is_no_fault(broken: str) -> None:
    told = certbot_log.last_problem(LIMITED.replace("Retry-After: 7200\n", broken))
    assert (told.kind, told.detail) == ("urn:ietf:params:acme:error:rateLimited", "Service busy; retry later.") and told.when > 0
    assert certbot_log.held_until(told.why) == 0


def mender(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: str, *names: str, **given: Any) -> certificate_mend.Mender:
    """Have www.lab.test renewed, or where there are names a certificate issued for them, in check mode."""
    path = tmp_path / "letsencrypt.log"
    path.write_text(log)
    monkeypatch.setattr(certbot_log, "PATH", str(path))
    monkeypatch.setattr(certificate_mend, "CERTBOT_CONFIGURATIONS", (str(tmp_path / "cli.ini"),))
    item = {"certificate": "/nowhere/fullchain.pem", "key": None, "mend": "issue" if names else "renew", "names": list(names),
            "lineage": names[0] if names else "www.lab.test", "services": [], "probes": []}  # fmt: skip
    params = {"items": [item], "acme_challenge": "webroot", "acme_directory": DIRECTORY, **given}
    made = certificate_mend.Mender(SimpleNamespace(check_mode=True, params=params))
    made.work()
    return made


@pytest.mark.usefixtures("utc")
def test_a_server_that_said_to_wait_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Check mode says so as well; once the time is over it is tried."""
    log = LIMITED + FAILED + "Service busy; retry later.\n"
    monkeypatch.setattr(certificate_mend.time, "time", lambda: 1795642376.0 - 60)
    [failure] = mender(monkeypatch, tmp_path, log).failures
    assert "(retry after 2026-11-25 21:32:56 UTC)" in failure["reason"] and "not tried again before then" in failure["reason"]
    monkeypatch.setattr(certificate_mend.time, "time", lambda: 1795642376.0 + 60)
    assert mender(monkeypatch, tmp_path, log).failures == []


@pytest.mark.usefixtures("utc")
def test_what_certbot_hides_is_told_from_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "letsencrypt.log"
    path.write_text(LIMITED)
    monkeypatch.setattr(certbot_log, "PATH", str(path))
    monkeypatch.setattr(certificate_mend.time, "time", lambda: 1795642376.0 - 7190)
    told = certificate_mend.reason_of(HIDDEN, "new.lab.test")
    assert told.startswith("certbot: urn:ietf:params:acme:error:rateLimited :: Service busy; retry later. (retry after 2026")
    # Of an earlier run it says nothing about this one.
    monkeypatch.setattr(certificate_mend.time, "time", lambda: 1795642376.0)
    assert "rateLimited" not in certificate_mend.reason_of(HIDDEN, "new.lab.test")


# What certbot 5.8, and 4.0 too, print of a limit: the detail alone.
BARE = """Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for new.lab.test
An unexpected error occurred:
too many certificates (50) already issued for "lab.test" in the last 168h0m0s, retry after 2026-11-27 03:12:45 UTC: see \
https://acme.lab.test/limits
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile \
/var/log/letsencrypt/letsencrypt.log or re-run Certbot with -v for more details.
"""
UNREGISTERED = """Saving debug log to /var/log/letsencrypt/letsencrypt.log
Unable to register an account with ACME server. Error returned by the ACME server: too many new registrations (10) from \
this IP address in the last 3h0m0s, retry after 2026-11-25 23:12:45 UTC: see https://acme.lab.test/limits
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile \
/var/log/letsencrypt/letsencrypt.log or re-run Certbot with -v for more details.
"""


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize(
    ("version", "said", "why"),
    [
        ("1.12", BARE.replace("too many cert", "There were too many requests of a given type :: too many cert"), "too many cert"),
        ("2.1", HIDDEN, 'too many certificates (50) already issued for "lab.test" in the last 168h0m0s, retry after 2026-11-27'),
        ("4.0", BARE, 'too many certificates (50) already issued for "lab.test" in the last 168h0m0s, retry after 2026-11-27'),
        ("5.8", BARE, 'too many certificates (50) already issued for "lab.test" in the last 168h0m0s, retry after 2026-11-27'),
        ("5.8_account", UNREGISTERED, "too many new registrations (10) from this IP address in the last 3h0m0s, retry after 20"),
        ("5.8_busy", "Service busy; retry later.\n", "Service busy; retry later. (retry after 2026-11-25 23:41:28 UTC)"),
    ],
)
def test_a_limit_is_told_as_one_however_it_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, said: str, why: str
) -> None:
    path = tmp_path / "letsencrypt.log"
    path.write_text(text(version))
    monkeypatch.setattr(certbot_log, "PATH", str(path))
    last = certbot_log.last_problem(text(version))
    monkeypatch.setattr(certificate_mend.time, "time", lambda: last.when + 1)
    told = certificate_mend.reason_of(said, "new.lab.test")
    assert told.startswith("certbot: urn:ietf:params:acme:error:rateLimited :: " + why)
    assert "the ACME server limits how often: wait as long as it says" in told
    assert certbot_log.held_until(last.why) > last.when


@pytest.mark.usefixtures("utc")
def test_a_renewal_by_certbot_5_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(certificate_mend.time, "time", lambda: UNTIL - 60.0)
    [failure] = mender(monkeypatch, tmp_path, text("5.8_renewal")).failures
    assert "retry after 2026-11-27 03:12:45 UTC" in failure["reason"] and "not tried again before" in failure["reason"]
    # Nor is one asked for the same names in another way.
    assert len(mender(monkeypatch, tmp_path, text("5.8_renewal"), "www.lab.test").failures) == 1
    assert mender(monkeypatch, tmp_path, text("5.8_renewal"), "new.lab.test").failures == []


def refused(*asked: Any, **more: Any) -> bool:
    return certbot_log.held_until(certbot_log.refused(*asked, **more)) > 0


@pytest.mark.usefixtures("utc")
@pytest.mark.parametrize("version", ["1.12", "2.1", "4.0", "5.8"])
def test_a_certificate_that_was_never_had_is_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    monkeypatch.setattr(certificate_mend.time, "time", lambda: UNTIL - 60.0)
    made = mender(monkeypatch, tmp_path, text(version), "new.lab.test")
    [failure] = made.failures
    assert failure["reason"].startswith("certbot: urn:ietf:params:acme:error:rateLimited :: too many certificates (50) already")
    assert "retry after 2026-11-27 03:12:45 UTC" in failure["reason"]
    assert failure["reason"].endswith(". It was not tried again before then") and made.changes == []
    # Another server has said nothing, and of this one the time is over at some time.
    assert mender(monkeypatch, tmp_path, text(version), "new.lab.test", acme_directory=DIRECTORY + "2").failures == []
    monkeypatch.setattr(certificate_mend.time, "time", lambda: UNTIL + 60.0)
    assert mender(monkeypatch, tmp_path, text(version), "new.lab.test").failures == []


def test_the_server_that_certbot_asks_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(certificate_mend.time, "time", lambda: UNTIL - 60.0)
    assert mender(monkeypatch, tmp_path, text("2.1"), "new.lab.test", acme_directory="").failures == []
    (tmp_path / "cli.ini").write_text(f"# server = https://x.lab.test/\nmax-log-backups = 0\nserver = {DIRECTORY}\n")
    assert len(mender(monkeypatch, tmp_path, text("2.1"), "new.lab.test", acme_directory="").failures) == 1
    log = text("2.1").replace(DIRECTORY, certificate_mend.DIRECTORY)
    (tmp_path / "cli.ini").unlink()
    assert len(mender(monkeypatch, tmp_path, log, "new.lab.test", acme_directory="").failures) == 1


@pytest.mark.parametrize(
    ("detail", "names", "held"),
    [
        # A domain that the server names is what it limits.
        (r"too many certificates (50) already issued for \"lab.test\"", ["other.lab.test"], True),
        (r"too many certificates (50) already issued for \"lab.test\"", ["lab.test.example.org", "mylab.test"], False),
        (r"too many failed authorizations (5) for \"b.lab.test\"", ["new.lab.test"], False),
        # An order is limited for the names that it had.
        ("too many certificates (5) already issued for this exact set of identifiers", ["New.lab.test"], True),
        ("too many certificates (5) already issued for this exact set of identifiers", ["other.lab.test"], False),
        # An account or an address has all names.
        ("too many new orders (300) from this account", ["www.example.org"], True),
        ("too many new registrations (10) from this IP address", ["www.example.org"], True),
    ],
)
def test_whom_a_limit_is_for(detail: str, names: list[str], held: bool) -> None:
    log = text("2.1").replace(r"too many certificates (50) already issued for \"lab.test\"", detail)
    assert refused(log, DIRECTORY + "/", names) == held


def test_what_is_no_limit_of_an_order_any_more() -> None:
    log = text("2.1")
    when = certbot_log.last_problem(log).when
    assert refused(log, DIRECTORY, ["new.lab.test"], since=when) and not refused(log, DIRECTORY, ["new.lab.test"], since=when + 1)
    assert not refused(log.replace("rateLimited", "malformed"), DIRECTORY, ["new.lab.test"])
    # The names of an order are not those of what another client did before.
    assert certbot_log.last_problem(log).names == ("new.lab.test", "b.lab.test")
    account = "\n2026-11-25 21:48:10,768:DEBUG:acme.client:Sending POST request to https://localhost:14443/acct:\n"
    last = certbot_log.last_problem(log + log.split("Requesting fresh nonce")[0] + account + LIMITED)
    assert (last.directory, last.names) == (DIRECTORY, ())
    # A server that does not even tell its directory limits everybody.
    busy = log.split("Requesting fresh nonce")[0].replace("HTTP 200", "HTTP 429\nRetry-After: 60")
    busy = busy[: busy.index('{"newNonce"')] + LIMITED.rpartition("\n\n")[2]
    assert refused(busy, DIRECTORY, ["www.example.org"])
    assert refused(text("5.8_account"), DIRECTORY, ["www.example.org"])
    # The longest wait counts.
    why = certbot_log.refused(log + busy, DIRECTORY, ["new.lab.test"])
    assert certbot_log.held_until(why) == UNTIL


@pytest.mark.usefixtures("utc")
def test_runs_since_do_not_hide_a_limit(tmp_path: Path) -> None:
    """Of a certbot without logrotate each run has a log of its own; logrotate packs them."""
    path = tmp_path / "letsencrypt.log"
    (tmp_path / "letsencrypt.log.2.gz").write_bytes(gzip.compress(text("2.1").encode()))
    (tmp_path / "letsencrypt.log.1").write_text(LIMITED + FAILED + "Service busy; retry later.\n")
    log = certbot_log.read(str(path))  # none since logrotate
    assert refused(log, DIRECTORY, ["new.lab.test"]) and list(certbot_log.failures(log)) == ["www.lab.test"]
    path.write_text("a run since\n")
    assert certbot_log.read(str(path)).index(FAILED[:60]) < certbot_log.read(str(path)).index("a run since")
    (tmp_path / "letsencrypt.log.2.gz").write_bytes(gzip.compress(text("2.1").encode())[:200])
    assert "a run since" in certbot_log.read(str(path))


def test_only_so_much_of_a_log_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(certbot_log, "TAIL", 10)
    for name, written in (("l", "123456"), ("l.1", "abcdef"), ("l.2", "xyz")):
        (tmp_path / name).write_text(written)
    assert certbot_log.read(str(tmp_path / "l")) == "cdef\n123456"
    assert certbot_log.read(str(tmp_path / "nothing")) == ""


def test_until_when_to_wait_is_not_cut_off() -> None:
    log = text("2.1").replace("already issued", "x" * 600)
    why = certbot_log.refused(log, DIRECTORY, ["new.lab.test"])
    assert len(why) == 400 and why.endswith(" (retry after 2026-11-27 03:12:45 UTC)")
    problem = json.loads(LIMITED.rpartition("\n\n")[2])
    assert certbot_log.failures(FAILED + problem["detail"])["www.lab.test"][0].endswith(problem["detail"])
