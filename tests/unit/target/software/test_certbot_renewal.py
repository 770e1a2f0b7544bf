# SPDX-License-Identifier: GPL-3.0-or-later
"""What certbot and acme.sh can renew by themselves: links, ports, and the homes of users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Listener
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import renewal

from tests.support.fake_host import FakeHost

LIVE = "/etc/letsencrypt/live/a.example"


def lineage(root: Path, params: str = "authenticator = webroot", links: bool = True, **more: Any) -> dict[str, Any]:
    """Return what is read of a lineage of certbot."""
    folder = root / LIVE[1:]
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("cert", "privkey", "chain", "fullchain"):
        path = folder / f"{kind}.pem"
        path.unlink(missing_ok=True)
        (root / f"{kind}1.pem").write_text("x")
        if links:
            path.symlink_to(f"/{kind}1.pem")
        else:
            path.write_text("x")
    conf = root / "etc/letsencrypt/renewal/a.example.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    paths = "".join(f"{kind} = {LIVE}/{kind}.pem\n" for kind in ("cert", "privkey", "chain", "fullchain"))
    conf.write_text(f"{paths}[renewalparams]\n{params}\n")
    [made] = renewal.certbot(FakeHost(root, executes=False, **more))["lineages"]
    return dict(made)


def listener(port: int, process: str = "nginx") -> Listener:
    return Listener("tcp", 4, "0.0.0.0", port, "", 1, 1, (7,), process)


def test_files_in_place_of_links_are_never_renewed(tmp_path: Path) -> None:
    assert lineage(tmp_path)["fault"] == ""
    made = lineage(tmp_path, links=False)
    assert made["by_hand"]
    assert made["fault"].startswith(f"{LIVE}/cert.pem is a file in place of a link")


@pytest.mark.parametrize(
    ("params", "port", "process", "fault"),
    [
        ("authenticator = standalone", 80, "nginx", True),
        ("authenticator = standalone", 443, "nginx", False),
        ("authenticator = standalone", 80, "certbot", False),
        ("authenticator = standalone\nhttp01_port = 8080", 80, "nginx", False),
        ("authenticator = standalone\nhttp01_port = 8080", 8080, "haproxy", True),
        ("authenticator = standalone\npre_hook = systemctl stop nginx", 80, "nginx", False),
        ("authenticator = webroot", 80, "nginx", False),
    ],
)
def test_a_port_that_another_program_has(tmp_path: Path, params: str, port: int, process: str, fault: bool) -> None:
    made = lineage(tmp_path, params, listeners=(listener(port, process),))
    assert made["manual"] is fault
    assert (f"port {port} itself (authenticator standalone), and {process} has it" in made["fault"]) is fault


def test_hooks_for_all_make_room(tmp_path: Path) -> None:
    taken: dict[str, Any] = {"params": "authenticator = standalone", "listeners": (listener(80),)}
    assert lineage(tmp_path, **taken)["fault"]
    general = tmp_path / "etc/letsencrypt/cli.ini"
    general.write_text("# pre-hook = none\nmax-log-backups = 0\n")
    assert lineage(tmp_path, **taken)["fault"]
    general.write_text("pre-hook = service nginx stop\n")
    assert lineage(tmp_path, **taken)["fault"] == ""
    general.unlink()
    hooks = tmp_path / "etc/letsencrypt/renewal-hooks/pre"
    hooks.mkdir(parents=True)
    (hooks / "stop").write_text("")
    assert lineage(tmp_path, **taken)["fault"] == ""


def test_acme_sh_is_found_in_homes_and_by_the_certificates_in_use(tmp_path: Path) -> None:
    for folder in ("home/ann/.acme.sh/a.example", "srv/tls/b.example_ecc", "root/.acme.sh/c.example", "srv/other/d.example"):
        name = folder.rsplit("/", 1)[1].removesuffix("_ecc")
        (tmp_path / folder).mkdir(parents=True)
        text = "port = 1\n" if name == "d.example" else f"Le_Domain='{name}'\n"
        (tmp_path / folder / f"{name}.conf").write_text(text)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\nnone:x:2:2:::\n")
    used = ("/srv/tls/b.example_ecc/fullchain.cer", "/srv/other/d.example/cert.pem", "/etc/ssl/other.pem")
    found = renewal.acme_sh(FakeHost(tmp_path, executes=False), used)
    assert [(one["name"], one["home"]) for one in found["domains"]] == [
        ("c.example", "/root/.acme.sh"),
        ("a.example", "/home/ann/.acme.sh"),
        ("b.example", "/srv/tls"),
    ]
