"""Certificates that end, fail to be renewed, are not served or lie open: found, foretold, mended, and seen by handshake."""

import os
import re
import subprocess
import sys
from pathlib import Path

import lab
import pytest

LIVE = "/etc/letsencrypt/live/www.lab.test/fullchain.pem"
FOUND = {
    ("certificates.expired", "/etc/ssl/lab/shop.pem"),
    ("certificates.expiring", LIVE),
    ("certificates.expiring", "/etc/postgresql/tls/db.pem"),
    ("certificates.renewal_broken", "certbot www.lab.test"),
    ("certificates.served_differs", "nginx port 443 for shut.lab.test"),
    ("certificates.key_readable", "/etc/ssl/lab/mail.key"),
}


def openssl(name, *argv, stdin=None):
    """Return what openssl in the container says of a certificate."""
    made = lab.inside(name, "openssl", *argv, stdin=stdin)
    return made.stdout + made.stderr


def served(name, port, *more):
    """Return the serial and issuer of what a client of the host is served."""
    told = openssl(name, "s_client", "-connect", f"127.0.0.1:{port}", *more, stdin="")
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", told, re.S)
    assert pem, told
    return openssl(name, "x509", "-noout", "-serial", "-issuer", stdin=pem.group(0))


def on_disk(name, path):
    return openssl(name, "x509", "-noout", "-serial", "-issuer", "-in", path)


def remediate(name, *more):
    """Run the command on one host, as an operator does."""
    kept = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "kept"
    root = os.environ["MOLECULE_PROJECT_DIRECTORY"]
    return subprocess.run(
        [sys.executable, "-m", "hostmend", "remediate", "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", name,
         "--only", "certificates", "--class", "certificates", "--yes", "--format", "json", *more],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env=dict(os.environ, HOSTMEND_STORE=str(kept / "hostmend.db"), ANSIBLE_CONFIG=f"{root}/ansible.cfg",
                 PYTHONPATH=f"{root}/src"))


def test_all_of_it_was_found(name):
    assert {(one["check"], one["resource"]) for one in lab.findings("foretold", name, "open")} == FOUND
    # No host trusts the roots of the lab's authorities, so nothing tells whether their chains are whole.
    assert {one["check"] for one in lab.findings("foretold", name, "unknown")} == {"certificates.chain"}


def test_the_reasons_say_what_is_wrong(name):
    reasons = {one["resource"]: one["reason"] for one in lab.findings("foretold", name, "open")}
    assert reasons[LIVE].startswith("5 % of its lifetime")
    assert "nothing reloads nginx" in reasons["certbot www.lab.test"]
    assert "neither a timer nor cron" in reasons["certbot www.lab.test"]


def test_check_mode_foretold_what_was_done(name):
    assert lab.changes("foretold", name) == lab.changes("mended", name) != set()


def test_nothing_is_open_any_more(name):
    assert lab.findings("mended", name, "open") == []
    left = [one for one in lab.audit(name, "certificates") if one["status"] in ("open", "unknown")]
    assert {(one["check"], one["status"]) for one in left} == {("certificates.chain", "unknown")}


def test_no_key_is_in_the_reports(name):
    for phase in ("foretold", "mended"):
        assert "PRIVATE KEY" not in str(lab.report(phase))
    assert lab.inside(name, "ls", "/var/lib/hostmend/certificates").stdout == ""


@pytest.mark.parametrize(
    ("port", "more", "path", "issuer"),
    [
        (443, ["-servername", "www.lab.test"], LIVE, "Pebble"),
        (443, ["-servername", "shop.lab.test"], "/etc/ssl/lab/shop.pem", "Pebble"),
        (443, ["-servername", "shut.lab.test"], "/etc/ssl/lab/shut.pem", "Lab CA"),
        (5432, ["-starttls", "postgres"], "/etc/postgresql/tls/db.pem", "Lab authority"),
    ],
)
def test_clients_are_served_the_new_one(name, port, more, path, issuer):
    assert served(name, port, *more) == on_disk(name, path)
    assert issuer in on_disk(name, path)


def test_a_client_verifies_the_internal_name_by_the_private_authority(name):
    kept = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "kept"
    lab.inside(name, "sh", "-c", "cat > /tmp/authority.pem", stdin=(kept / "authority.pem").read_text())
    told = openssl(name, "s_client", "-connect", "127.0.0.1:5432", "-starttls", "postgres", "-CAfile", "/tmp/authority.pem",
                   "-verify_hostname", "db.internal.lab.test", stdin="")
    assert "Verify return code: 0 (ok)" in told


def test_the_authority_s_key_stayed_on_the_controller(name):
    key = (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "kept" / "authority.key").read_text().splitlines()[1]
    assert lab.inside(name, "grep", "-rlF", "--", key, "/etc", "/var/lib/hostmend", "/root", "/tmp").stdout == ""


def test_an_ordinary_user_does_not_read_the_key_and_the_owner_stayed(name):
    attack = lab.inside(name, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", "/etc/ssl/lab/mail.key")
    assert attack.returncode != 0
    assert "PRIVATE" not in attack.stdout
    assert lab.inside(name, "stat", "-c", "%U %a", "/etc/ssl/lab/mail.key").stdout.split() == ["root", "640"]
    assert "Lab CA" in served(name, 25, "-starttls", "smtp")


def test_certbot_s_own_run_renews_copies_and_reloads(name):
    """The timer's command, with nothing of hostmend but its deploy hook."""
    before = on_disk(name, LIVE), on_disk(name, "/etc/ssl/lab/shop.pem")
    made = lab.inside(name, "env", "REQUESTS_CA_BUNDLE=/etc/pebble/ca.pem", "certbot", "renew", "--force-renewal",
                      "--no-random-sleep-on-renew", "--non-interactive")
    assert made.returncode == 0, made.stdout + made.stderr
    for name_there, path, old in (("www", LIVE, before[0]), ("shop", "/etc/ssl/lab/shop.pem", before[1])):
        assert on_disk(name, path) != old
        assert served(name, 443, "-servername", f"{name_there}.lab.test") == on_disk(name, path)
    assert lab.inside(name, "systemctl", "is-enabled", "certbot.timer").stdout.strip() == "enabled"


def test_a_renewal_that_fails_leaves_the_old_one_and_says_why(name):
    if name != "hm-certificates-trixie":
        return
    script = """
        /opt/lab/sign www.lab.test /etc/letsencrypt/live/www.lab.test/privkey.pem \
            /etc/letsencrypt/live/www.lab.test/fullchain.pem "-85 days" "+5 days"
        systemctl reload nginx
        iptables -I OUTPUT -p tcp --dport 14000 -j REJECT --reject-with tcp-reset"""
    lab.inside(name, "sh", "-ec", script, check=True)
    before = on_disk(name, LIVE)
    made = remediate(name)
    assert made.returncode == 1, made.stdout + made.stderr
    assert on_disk(name, LIVE) == before == served(name, 443, "-servername", "www.lab.test")
    found = {one["check"]: one["reason"] for one in lab.audit(name, "certificates") if one["status"] == "open"}
    assert set(found) == {"certificates.expiring", "certificates.renewal_broken"}
    assert "its last renewal failed: " in found["certificates.renewal_broken"]
    for words in ("Connection refused", "see that it runs"):
        assert words in found["certificates.renewal_broken"] and words in made.stdout
    lab.inside(name, "iptables", "-F", "OUTPUT", check=True)
    made = remediate(name)
    assert made.returncode == 0, made.stdout + made.stderr
    assert on_disk(name, LIVE) != before
    assert served(name, 443, "-servername", "www.lab.test") == on_disk(name, LIVE)


@pytest.mark.parametrize(("suite", "ways"), [("bullseye", "webroot nginx"), ("bookworm", "webroot apache"),
                                            ("trixie", "standalone standalone")])
def test_each_challenge_was_the_one_asked_for(name, suite, ways):
    if not name.endswith(suite):
        return
    for lineage, way in zip(("www", "shop"), ways.split(), strict=True):
        told = lab.inside(name, "cat", f"/etc/letsencrypt/renewal/{lineage}.lab.test.conf").stdout
        assert f"authenticator = {way}\n" in told


def test_a_port_that_is_taken_is_told_of_before_certbot_tries(name):
    if name != "hm-certificates-trixie":
        return
    # Were certbot's own still there, it would only have to be brought over.
    script = """
        certbot delete --non-interactive --cert-name shop.lab.test
        /opt/lab/sign shop.lab.test /etc/ssl/lab/shop.key /etc/ssl/lab/shop.pem "-85 days" "+5 days"
        echo 'server { listen 80; }' > /etc/nginx/sites-enabled/plain
        systemctl reload nginx"""
    lab.inside(name, "sh", "-ec", script, check=True)
    before = on_disk(name, "/etc/ssl/lab/shop.pem")
    made = remediate(name)
    assert made.returncode == 1, made.stdout + made.stderr
    assert "another program has it: choose webroot" in made.stdout
    assert on_disk(name, "/etc/ssl/lab/shop.pem") == before == served(name, 443, "-servername", "shop.lab.test")


def test_an_authority_is_not_overwritten(name):
    if name != "hm-certificates-trixie":
        return
    kept = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "kept"
    root = os.environ["MOLECULE_PROJECT_DIRECTORY"]
    before = (kept / "authority.key").read_bytes()
    assert before.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") and (kept / "authority.key").stat().st_mode & 0o77 == 0
    made = subprocess.run(
        ["ansible-playbook", f"{root}/playbooks/private_ca.yml", "-i", "localhost,",
         "-e", f"hostmend_certificates_private_ca_certificate={kept}/other.pem",
         "-e", f"hostmend_certificates_private_ca_key={kept}/authority.key"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env=dict(os.environ, ANSIBLE_CONFIG=f"{root}/ansible.cfg"))
    assert made.returncode == 2 and "never overwritten" in made.stdout
    assert (kept / "authority.key").read_bytes() == before and not (kept / "other.pem").exists()


def test_a_configuration_that_does_not_parse_is_unknown_and_left_alone(name):
    if name != "hm-certificates-bookworm":
        return
    lab.inside(name, "sh", "-ec", "echo 'server { nonsense' > /etc/nginx/sites-enabled/zz; chmod 644 /etc/ssl/lab/mail.key",
               check=True)
    before = on_disk(name, LIVE)
    unknown = {one["check"]: one["reason"] for one in lab.audit(name, "certificates") if one["status"] == "unknown"}
    assert re.match(r"nginx refuses its configuration: [a-z].*/etc/nginx/sites-enabled/zz:", unknown["certificates.expired"])
    made = remediate(name)
    assert made.returncode in (0, 2), made.stdout + made.stderr
    # What has nothing to do with it is mended all the same.
    assert lab.inside(name, "stat", "-c", "%a", "/etc/ssl/lab/mail.key").stdout.strip() == "640"
    assert on_disk(name, LIVE) == before == served(name, 443, "-servername", "www.lab.test")
    assert lab.inside(name, "systemctl", "is-active", "nginx").stdout.strip() == "active"
