"""Pending security updates are found, foretold, installed, and put back; what ran the old files runs the new ones."""

import functools
import json
import os
import subprocess
import sys

import lab

RPM = "hm-updates-rpm"
LIBRARIES = {"hm-updates-bookworm": "libexpat1", "hm-updates-trixie": "libgpgme11t64", RPM: ""}
HELD = {"hm-updates-bookworm": "rsync", "hm-updates-trixie": "python3-gpg", RPM: "hmlocked"}
DAEMONS = {"hm-updates-bookworm": "mapper.service", "hm-updates-trixie": "mapper.service", RPM: "hmdaemon.service"}
PENDING = "updates.security_pending"
GONE = "http://127.0.0.1:8099/gone trixie"


def of(found, check):
    return {one["resource"]: one for one in found if one["check"] == check}


@functools.cache
def audited(name):
    """Return what is found once all is mended."""
    return lab.audit(name, "updates")


def mended(name):
    return {"hmdaemon"} if name == RPM else {"haproxy", LIBRARIES[name]}


def versions(name):
    """Return {package: version} of what the scenario is about."""
    if name == RPM:
        out = lab.inside(name, "rpm", "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\n").stdout
    else:
        out = lab.inside(name, "dpkg-query", "-W", "-f", "${Package} ${Version}\n", "haproxy", HELD[name],
                         LIBRARIES[name], check=True).stdout
    return dict(line.split() for line in out.splitlines())


def test_pending_updates_were_found(name):
    found = of(lab.findings("foretold", name, "open"), PENDING)
    assert set(found) >= mended(name)
    for one in (found[package] for package in mended(name)):
        evidence = one["evidence"]
        assert evidence["effective"]["installed"] != evidence["observed"]["candidate"]
        assert "ecurity" in evidence["observed"]["origin"] or "LAB-2026:0001" in evidence["observed"]["origin"]


def test_what_a_person_keeps_back_was_found_and_left(name):
    held = HELD[name]
    for phase in ("foretold", "mended"):
        assert of(lab.findings(phase, name, "open"), PENDING)[held]["fix"]["risk"] == "manual"
    assert held not in {change[1] for change in lab.changes("mended", name)}


def test_check_mode_foretold_what_was_done(name):
    assert lab.changes("foretold", name) == lab.changes("mended", name) != set()
    kinds = {(kind, changed) for kind, changed, _action in lab.changes("mended", name)}
    assert kinds >= {("package", package) for package in mended(name)} | {("unit", DAEMONS[name])}


def test_nothing_is_open_but_what_is_a_persons(name):
    assert [one for one in audited(name) if one["status"] == "open" and one["fix"]["risk"] != "manual"] == []


def test_they_are_installed(name):
    found = of(lab.findings("foretold", name, "open"), PENDING)
    now = versions(name)
    for package in mended(name):
        assert now[package] == found[package]["evidence"]["observed"]["candidate"]


def test_the_daemon_runs_the_new_files(name):
    assert lab.inside(name, "systemctl", "is-active", DAEMONS[name]).stdout.strip() == "active"
    pid = lab.inside(name, "systemctl", "show", "-P", "MainPID", DAEMONS[name]).stdout.strip()
    maps = lab.inside(name, "cat", f"/proc/{pid}/maps", check=True).stdout
    assert "/usr/" in maps
    assert "(deleted)" not in maps


def test_what_holds_sessions_was_not_restarted(name):
    if name != "hm-updates-bookworm":
        return  # the library of the others is none of its own
    stale = of(audited(name), "updates.stale_process")
    assert stale["dbus.service"]["fix"]["risk"] == "manual"


def test_the_administrators_configuration_stays(name):
    if name != RPM:
        assert "# edited by an administrator" in lab.inside(name, "cat", "/etc/haproxy/haproxy.cfg").stdout


def test_an_installation_that_was_cut_off_is_finished(name):
    if name != "hm-updates-bookworm":
        return
    assert of(lab.findings("foretold", name, "open"), PENDING)["dpkg"]["evidence"]["effective"]["half_done"] == ["cut-off"]
    assert lab.inside(name, "dpkg", "--audit").stdout == ""


def test_automatic_updates_are_on(name):
    if name != "hm-updates-bookworm":
        return
    assert of(audited(name), "updates.unattended_off")["automatic security updates"]["status"] == "passed"
    assert lab.inside(name, "systemctl", "is-active", "apt-daily-upgrade.timer").stdout.strip() == "active"


def test_a_stale_index_was_fetched_and_left_alone_by_check_mode(name):
    if name != "hm-updates-trixie":
        return
    found = lab.findings("foretold", name, "open")
    assert of(found, "updates.index_stale")["package index"]["evidence"]["effective"]["age_days"] >= 20
    assert "installed packages" in of(lab.findings("foretold", name, "unknown"), PENDING)
    assert ("index", "package index", f"refreshed but for {GONE}, which did not answer") in lab.changes("foretold", name)
    found = of(audited(name), "updates.index_stale")
    assert {resource: one["status"] for resource, one in found.items()} == {GONE: "open"}


def test_advisories_name_the_cve_and_a_repository_without_any_is_unknown(name):
    if name != RPM:
        return
    found = of(lab.findings("foretold", name, "open"), PENDING)
    assert "CVE-2026-10001" in found["hmdaemon"]["references"]
    assert (found["hmdaemon"]["severity"], found["hmlocked"]["severity"]) == ("high", "medium")
    assert "repository bare" in of(lab.findings("foretold", name, "unknown"), PENDING)
    assert versions(name)["hmplain"] == "1.0-1"


def test_rollback_puts_the_old_versions_back(name, tmp_path):
    """The last test, as it takes back what the others look at."""
    found = of(lab.findings("foretold", name, "open"), PENDING)
    # The role alone makes a run of its own at each play; the first is the one that changed something.
    run = lab.first_run(name)
    done = subprocess.run(
        [sys.executable, "-m", "hostmend", "rollback", run, "-i", os.environ["MOLECULE_INVENTORY_FILE"], "--host", name,
         "--yes", "--format", "json"], capture_output=True, text=True, check=False,
        env=dict(os.environ, HOSTMEND_STORE=str(tmp_path / "hostmend.db"), PYTHONPATH=str(lab.engine.ROOT / "src"),
                 ANSIBLE_CONFIG=str(lab.engine.ROOT / "ansible.cfg")))
    assert done.returncode in (0, 2), done.stdout + done.stderr
    restored = json.loads(done.stdout)["hosts"][name]["rollback"]["restored"]
    assert {one["name"].split(".")[0].split(":")[0] for one in restored if one["kind"] == "packages"} >= mended(name)
    now = versions(name)
    for package in mended(name):
        assert now[package] == found[package]["evidence"]["effective"]["installed"]
