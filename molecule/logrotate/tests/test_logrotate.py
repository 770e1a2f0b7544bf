"""What logrotate does not do is found, foretold and mended; a forced run proves it."""

import time

import lab

MISSING = "hm-logrotate-missing"
FOUND = {
    ("logrotate.not_running", "logrotate"),
    ("logrotate.broken", "/etc/logrotate.d/app: /var/log/app/app.log"),
    ("logrotate.broken", "/etc/logrotate.d/absent: /var/log/absent.log"),
    ("logrotate.uncovered", "/var/log/large.log"),
    ("logrotate.retention", "/etc/logrotate.d/security: /var/log/secure"),
}


def test_all_of_it_was_found(name):
    found = {(one["check"], one["resource"]) for one in lab.findings("foretold", name, "open")}
    assert found >= (FOUND if name != MISSING else {("logrotate.missing", "logrotate")})


def test_check_mode_foretold_what_was_done(name):
    assert lab.changes("foretold", name) == lab.changes("mended", name) != set()


def test_nothing_is_open_any_more(name):
    assert name == MISSING or lab.findings("mended", name, "open") == []


def test_only_what_was_wrong_was_edited(name):
    if name == MISSING:
        return
    stanza = lab.inside(name, "cat", "/etc/logrotate.d/security").stdout
    assert "    rotate 26\n" in stanza
    assert "    maxage 180\n" in stanza
    assert "/bin/true rotate 9" in stanza
    assert "su games games" in lab.inside(name, "cat", "/etc/logrotate.d/app").stdout


def test_a_forced_run_rotates_and_compresses_and_the_program_writes_on(name):
    made = lab.inside(name, "logrotate", "--force", "/etc/logrotate.conf")
    assert made.returncode == 0, made.stderr
    kept = lab.inside(name, "sh", "-c", "ls /var/log/large.log-*.gz /var/log/large.log.1.gz 2>/dev/null").stdout.split()
    assert len(kept) == 1
    lab.inside(name, "gzip", "--test", kept[0], check=True)
    size = int(lab.inside(name, "stat", "-c", "%s", "/var/log/large.log").stdout)
    time.sleep(1)
    assert size < 100000 < 3000000
    assert int(lab.inside(name, "stat", "-c", "%s", "/var/log/large.log").stdout) > size
    assert lab.inside(name, "systemctl", "is-active", "writer.service").stdout.strip() == "active"


def test_the_timer_is_there_after_a_restart(name):
    lab.restart(name)
    assert lab.inside(name, "systemctl", "is-active", "logrotate.timer").stdout.strip() == "active"
    found = lab.audit(name, "logrotate")
    assert [one for one in found if one["status"] in ("open", "unknown")] == []
    assert [one["status"] for one in found if one["check"] == "logrotate.not_running"] == ["passed"]
