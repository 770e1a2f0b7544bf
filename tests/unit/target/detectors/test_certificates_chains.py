"""Chains that hold more than clients need, and listeners that want the header of the PROXY protocol first."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import certificates
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import files
from ansible_collections.hostmend.hardening.plugins.module_utils.software import config_files, haproxy, nginx
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import probe, x509

from tests.support import certificate_maker as maker
from tests.support.fake_host import FakeHost
from tests.unit.target.detectors.test_certificates import PATH, POLICY, facts

ROOT = maker.certificate((), by="root", of="root", common="Root X1", until=900, ca=True)
CROSS = maker.certificate((), by="former", of="root", common="Root X1", issuer="Former Root", since=-900, until=-5, ca=True)
MIDDLE = maker.certificate((), by="root", of="middle", common="R3", issuer="Root X1", until=300, ca=True)
OLD_MIDDLE = maker.certificate((), by="root", of="middle", common="R3", issuer="Root X1", since=-300, until=-1, ca=True)
LEAF = maker.certificate(by="middle", issuer="R3")


@pytest.mark.parametrize(
    ("chain", "known", "status"),
    [
        ((LEAF, MIDDLE, CROSS), (ROOT,), "passed"),
        ((LEAF, MIDDLE, CROSS), (), "open"),
        ((LEAF, OLD_MIDDLE, CROSS), (ROOT,), "open"),
        ((LEAF, OLD_MIDDLE, MIDDLE), (ROOT,), "passed"),
        ((LEAF, MIDDLE), (ROOT,), "passed"),
        ((LEAF,), (ROOT,), "unknown"),
    ],
)
def test_what_is_above_a_known_authority_nobody_needs(tmp_path: Path, chain: Any, known: Any, status: str) -> None:
    store = tmp_path / files.STORES[0][1:]
    store.parent.mkdir(parents=True)
    other = maker.certificate((), by="other", of="other", common="Other Root", ca=True)
    store.write_bytes(b"".join(maker.pem(one) for one in (*known, other)))
    made = facts(chain=[x509.parse(maker.der(one)) for one in chain])
    files.anchor(FakeHost(tmp_path), made)
    [found] = [one for one in certificates.check(made, POLICY) if (one["check"], one["resource"]) == ("certificates.chain", PATH)]
    assert found["status"] == status, found


def test_ports_with_the_proxy_protocol_are_known() -> None:
    text = (
        "http { server { listen 443 ssl proxy_protocol; listen 8443 ssl; server_name a.b; "
        "ssl_certificate a.pem; ssl_certificate_key a.key; } }"
    )
    [one] = nginx.certificates(config_files.Files({nginx.CONFIG: text}.get, lambda _folder: []), nginx.CONFIG)
    assert (one["ports"], one["proxied"]) == ([443, 8443], [443])
    text = "frontend a\n bind :443 ssl crt /a.pem accept-proxy\n bind :444 ssl crt /a.pem\n"
    found = haproxy.certificates(config_files.Files({haproxy.CONFIG: text}.get, lambda _folder: []), haproxy.CONFIG)
    assert [(use["ports"], use.get("proxied")) for use in found] == [([443], [443]), ([444], None)]


def test_the_header_of_the_proxy_protocol_comes_before_the_handshake(tmp_path: Path) -> None:
    pair = tmp_path / "pair.pem"
    pair.write_bytes(maker.pem(maker.certificate()) + maker.key_pem("leaf"))
    listener = socket.create_server(("127.0.0.1", 0))
    seen = []

    def serve() -> None:
        connection, _peer = listener.accept()
        with connection:
            while not (seen and seen[-1].endswith(b"\n")):
                seen.append((seen[-1] if seen else b"") + connection.recv(1))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair)
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    told = probe.served("127.0.0.1", port, "proxy:", "www.example.org")
    thread.join(5)
    listener.close()
    assert told["certificate"]["names"] == ["www.example.org"]
    words = seen[-1].split()
    assert words[:4] == [b"PROXY", b"TCP4", b"127.0.0.1", b"127.0.0.1"]
    assert int(words[5]) == port
