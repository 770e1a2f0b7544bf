"""Files of an image that are made to stop, slow down or mislead who reads certificates: nothing is lost, nothing hangs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import certificates
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Unit
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files

from tests.support import certificate_maker as maker
from tests.support.fake_host import FakeHost
from tests.unit.target.detectors.test_certificates import POLICY

UNITS = tuple(Unit(f"{name}.service", "loaded", "active", "running", "enabled") for name in ("nginx", "haproxy", "postgresql"))
PAIR = "ssl_certificate /etc/ssl/a.pem; ssl_certificate_key /etc/ssl/a.key;"
SERVER = "server { listen 443 ssl; server_name www.example.org; %s }" % PAIR
CLUSTER = "/etc/postgresql/15/main/postgresql.conf"
LIST = "frontend a\n" + "bind :443 ssl crt-list /etc/haproxy/haproxy.cfg\n" * 3000


def look(root: Path, path: str, content: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the findings of an image with one file that is hostile."""
    for name, data in (
        ("etc/passwd", b"root:x:0:0::/root:/bin/sh\n"),
        ("etc/nginx/nginx.conf", f"http {{ {SERVER} include /etc/nginx/more.conf; }}".encode()),
        ("etc/nginx/more.conf", b""),
        ("etc/haproxy/haproxy.cfg", b"frontend a\n bind :8443 ssl crt /etc/ssl/a.pem\n"),
        (CLUSTER[1:], b"port = 5432\n"),
        ("etc/ssl/a.pem", maker.pem(maker.certificate(until=-2)) + maker.key_pem("leaf")),
        ("etc/ssl/a.key", maker.key_pem("leaf")),
        (path[1:], content.encode()),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    began = time.monotonic()
    host = FakeHost(root, units=UNITS, executes=False, running=False)
    found = certificates.check(certificates.collect(host, POLICY), POLICY)
    assert time.monotonic() - began < 15
    return {(one["check"], one["resource"]): one for one in found}


@pytest.mark.parametrize(
    ("path", "content", "gap"),
    [
        ("/etc/nginx/more.conf", "a {" * 100000, "blocks more than 64 deep"),
        ("/etc/nginx/more.conf", "server { " * 5000, "blocks more than 64 deep"),
        ("/etc/nginx/more.conf", "include /etc/nginx/more.conf;" * 5, "are included, by /etc/nginx/more.conf"),
        ("/etc/nginx/more.conf", SERVER.replace("www", "other").replace("a.pem", "a\0.pem"), "names what can be no file"),
        ("/etc/haproxy/haproxy.cfg", LIST, "names more than 500"),
        (CLUSTER, "include 'postgresql.conf'\ninclude_dir '.'\n" * 20, f"are included, by {CLUSTER[:-16]}"),
    ],
)
def test_the_rest_is_judged_and_the_gap_is_named(tmp_path: Path, path: str, content: str, gap: str) -> None:
    found = look(tmp_path, path, content)
    assert found["certificates.expired", "/etc/ssl/a.pem"]["status"] == "open"
    reasons = [one["reason"] for one in found.values() if one["status"] == "unknown"]
    assert any(gap in reason for reason in reasons), reasons[:5]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/letsencrypt/renewal/a.conf", "fullchain = a\0b\ncert = /\0\n[renewalparams]\nauthenticator = standalone\n"),
        ("/etc/letsencrypt/renewal/a.conf", "[" * 100000),
        ("/etc/letsencrypt/renewal/a.conf", "fullchain=/dev/zero\nprivkey=\n[renewalparams]\nauthenticator=standalone\n"),
        ("/etc/passwd", "a:b:1:1::" + "/x" * 50000 + ":\n" + "broken\n" * 2000),
        ("/root/.acme.sh/x/x.conf", "Le_Domain='" * 50000),
        ("/etc/hostmend/certificates.json", '{"lineages": {"a": {"pairs": [7]}}}'),
        ("/etc/hostmend/certificates.json", '{"lineages": {"a": {"pairs": [{"certificate": 5}], "services": [{}]}}}'),
        ("/etc/hostmend/certificates.json", "[" * 20000),
    ],
)
def test_what_renewers_keep_takes_nothing_along(tmp_path: Path, path: str, content: str) -> None:
    found = look(tmp_path, path, content)
    assert found["certificates.expired", "/etc/ssl/a.pem"]["status"] == "open"
    if "renewal" in path:
        assert found["certificates.renewal_broken", "certbot a"]["status"] == "open"


def test_a_folder_is_read_once() -> None:
    asked: list[str] = []
    files = config_files.Files(lambda _path: None, lambda folder: asked.append(folder) or ["a"])  # type: ignore[func-returns-value]
    for _time in range(3):
        assert files.list("/etc") == ["a"]
    for number in range(config_files.MOST_FILES + 5):
        files.list(f"/{number}")
    assert asked.count("/etc") == 1
    assert len(asked) == config_files.MOST_FILES
    assert "folders are looked into" in files.gaps[0]
