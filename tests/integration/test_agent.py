"""Hosts that audit themselves: they find what a live audit finds, stand in for themselves, and leave no trace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import snapshot
from tests.support.operators import SSH_ARGS, Command, Fleet
from tests.support.target import LABEL, ROOT, engine, podman

SUITES = ("bullseye", "bookworm", "trixie")
NAMES = tuple(f"agent-{suite}" for suite in SUITES)
IMAGES = tuple(f"localhost/hostmend-lab:{suite}" for suite in SUITES)
FILE = "/usr/local/lib/hostmend/hostmend-agent.pyz"
REPORT = "/var/lib/hostmend/agent/report.json"
UNIT = "hostmend-agent.service"
#: What is compared of a finding: all that the detector and the catalogue say of it.
COMPARED = ("check", "class", "kind", "status", "severity", "level", "resource", "evidence", "reason", "title", "fix",
            "references", "affects")  # fmt: skip
INSECURE = r"""
sed -i -e 's/^bind .*/bind 0.0.0.0 ::/' -e 's/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
# A second instance that only a socket in /tmp leads to: a private /tmp would hide it.
printf 'port 0\nunixsocket /tmp/hidden.sock\nunixsocketperm 777\n' > /etc/redis/hidden.conf
cat > /etc/systemd/system/hidden.service <<END
[Service]
ExecStart=/usr/bin/redis-server /etc/redis/hidden.conf
User=redis
END
mkdir -p /home/ops/app && printf 'requirepass foobared\nport 7000\n' > /home/ops/app/redis.conf
cat > /etc/systemd/system/home.service <<END
[Service]
ExecStart=/usr/bin/redis-server /home/ops/app/redis.conf
END
systemctl daemon-reload
for unit in redis-server vsftpd rpcbind.socket avahi-daemon nginx; do
    systemctl unmask $unit >/dev/null 2>&1; systemctl enable --now $unit >/dev/null 2>&1
done
systemctl start hidden home
head -c 1500000 /dev/zero > /var/log/large.log
for attempt in $(seq 50); do redis-cli -p 7000 -a foobared ping 2>/dev/null | grep -q PONG && break; sleep 0.1; done
systemctl is-active redis-server hidden home
"""
#: On one host, programs that tell their configuration only where they may write: none of them may know less for that.
SERVERS = r"""
systemctl disable --now nginx; rm -rf /var/lib/nginx/*
cat > /etc/nginx/conf.d/tls.conf <<END
server {
    listen 9443 ssl; server_name www.example.net; access_log /srv/access.log;
    ssl_certificate /etc/ssl/certs/ssl-cert-snakeoil.pem; ssl_certificate_key /etc/ssl/private/ssl-cert-snakeoil.key;
}
END
a2enmod -q ssl; a2ensite -q default-ssl
sed -i -e 's/Listen 80$/Listen 8080/' -e 's/Listen 443/Listen 8443/' /etc/apache2/ports.conf
touch /var/log/auth.log /var/log/mail.log
systemctl unmask apache2 postfix dovecot fail2ban; systemctl enable nginx
systemctl enable --now apache2 postfix dovecot fail2ban
systemctl is-active apache2 postfix dovecot fail2ban
# Postfix makes a lock at the first connection, which is none of an audit's changes.
bash -c 'exec 3<>/dev/tcp/127.0.0.1/25; read -t 20 -u 3 line; echo "$line"'
"""


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    for image in IMAGES:
        if podman("image", "exists", image, check=False).returncode:
            pytest.skip(f"no image {image}: build it with molecule/images/build")
    # With SYS_ADMIN systemd can give the unit a system that it only reads; without, it would do without.
    options = ("--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE", "--security-opt=seccomp=unconfined")
    made: Fleet = fleet_of(*NAMES, options=options, images=IMAGES)
    everywhere(made, lambda one: one.sh(INSECURE))
    made[NAMES[2]].sh(SERVERS)
    return made


def everywhere(fleet: Fleet, work: Callable[[Any], Any]) -> dict[str, Any]:
    """Do something on all hosts at once."""
    with ThreadPoolExecutor(len(NAMES)) as pool:
        return dict(zip(fleet.hosts, pool.map(work, fleet.hosts.values()), strict=True))


@pytest.fixture(scope="module")
def inventory(fleet: Fleet) -> str:
    return fleet.inventory(
        hostmend_management_networks=["10.213.77.0/24"], hostmend_logrotate_large_mebibytes=1,
        hostmend_redis_loopback_ok=False, agent_random_delay="0", hostmend_class_timeout=60, hostmend_timeout=120
    )


@pytest.fixture(scope="module")
def hostmend(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def lost(fleet: Fleet, inventory: str) -> str:
    """The same hosts, where nothing answers."""
    data = json.loads(Path(inventory).read_text())
    for one in data["all"]["hosts"].values():
        one.update(ansible_host="127.0.0.1", ansible_port=9)
    folder = fleet.folder / "lost"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "group_vars" / "hostmend_waivers.yml").write_text(
        "- {check: redis.exposed, hosts: [agent-trixie], reason: lab, owner: lab, expires: 2099-01-01}\n"
    )
    (folder / "hosts.json").write_text(json.dumps(data))
    return str(folder / "hosts.json")


def play(hostmend: Command, inventory: str, *arguments: str) -> str:
    """Run the playbook of the agent, and return what Ansible printed."""
    argv = [str(ROOT / ".venv/bin/ansible-playbook"), str(ROOT / "playbooks/agent.yml"), "-i", inventory, *arguments]
    environ = {**hostmend.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environ["PATH"] = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def changed(text: str) -> set[tuple[str, str]]:
    """Return each task (and item) that changed something, or would have, with its host."""
    found, task = set(), ""
    for line in text.splitlines():
        named = re.match(r"TASK \[(.*)\] \*", line)
        task = named.group(1) if named else task
        if line.startswith("changed: "):
            found.add((task, line))
    return found


@pytest.fixture(scope="module")
def before(fleet: Fleet) -> dict[str, Any]:
    return {name: snapshot.of(one) for name, one in fleet.hosts.items()}


@pytest.fixture(scope="module")
def installed(fleet: Fleet, hostmend: Command, inventory: str, before: dict[str, Any]) -> set[tuple[str, str]]:
    foretold = changed(play(hostmend, inventory, "-b", "--check", "--diff"))
    for name, one in fleet.hosts.items():
        assert snapshot.difference(before[name], snapshot.of(one)) == {}
    assert not (hostmend.folder / "state" / "hostmend" / "agents").exists()
    made = changed(play(hostmend, inventory, "-b"))
    assert foretold == made
    return made


@pytest.fixture(scope="module")
def bundle(hostmend: Command, fleet: Fleet) -> None:
    """Advisories, by which each host lacks the fix of one CVE and has that of another."""
    def said(**more: str) -> dict[str, Any]:
        return {"description": "x", "releases": {suite: {"repositories": {suite: "1"}, "urgency": "high", **more}
                                                 for suite in SUITES}}  # fmt: skip

    path = hostmend.folder / "tracker.json"
    path.write_text(json.dumps({
        "glibc": {"CVE-2026-0001": said(status="resolved", fixed_version="99")},
        "bash": {"CVE-2026-0002": said(status="resolved", fixed_version="1")},
        "shadow": {"CVE-2026-0003": said(status="open")},
    }))  # fmt: skip
    assert hostmend("advisories", "import", str(path)).code == 0


@pytest.fixture(scope="module")
def live(hostmend: Command, inventory: str, fleet: Fleet, installed: Any, bundle: None) -> dict[str, Any]:
    """What each host finds under its unit, and what a live audit finds right after."""
    everywhere(fleet, lambda one: one.sh(f"systemctl start {UNIT}"))
    done = hostmend("audit", "-i", inventory, "-b", "--format", "json")
    assert done.code == 2, done.err
    return done.json()


@pytest.fixture(scope="module")
def heard(
    hostmend: Command, inventory: str, lost: str, live: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """What was collected, what an audit of hosts that cannot be reached finds by it, and its page."""
    collected = hostmend("agent", "collect", "-i", inventory, "-b", "--format", "json")
    assert collected.code == 0, collected.err + collected.out
    folder = tmp_path_factory.mktemp("heard")
    done = hostmend("audit", "-i", lost, "--from-agents", "auto", "--format", "json", "--output", str(folder))
    assert done.code == 2, done.err
    return collected.json(), done.json(), (folder / "report.html").read_text()


def own(fleet: Fleet, name: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(fleet[name].sh(f"cat {REPORT}"))
    return made


def by_class(findings: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    made: dict[str, list[dict[str, Any]]] = {}
    for one in findings:
        made.setdefault(one["class"], []).append({key: one[key] for key in COMPARED if key in one})
    return {
        name: sorted(rows, key=lambda row: (row["check"], row["resource"], row["status"])) for name, rows in made.items()
    }


def test_check_mode_foretold_the_installation(installed: set[tuple[str, str]]) -> None:
    assert {name for name in NAMES if any(f"[{name}]" in line for _task, line in installed)} == set(NAMES)


def test_installing_again_changes_nothing(hostmend: Command, inventory: str, installed: Any) -> None:
    assert changed(play(hostmend, inventory, "-b")) == set()


@pytest.mark.parametrize("name", NAMES)
def test_the_host_finds_under_its_unit_what_a_live_audit_finds(
    name: str, fleet: Fleet, live: dict[str, Any], heard: Any
) -> None:
    collected, blind, _page = heard
    mine, theirs, own_words = blind["hosts"][name], live["hosts"][name], own(fleet, name)
    # Waivers lie beside the inventory of lost hosts alone.
    mine = {**mine, "findings": [{**one, "status": one["status"].replace("waived", "open")} for one in mine["findings"]]}
    said, seen = by_class(mine["findings"]), by_class(theirs["findings"])
    assert set(said) == set(seen) == set(own_words["classes"])
    for one in said:
        assert said[one] == seen[one], one
    assert collected[name]["score"] == theirs["score"]
    opened = {(row["check"], row["resource"]) for row in mine["findings"] if row["status"] == "open"}
    assert any(check == "redis.no_auth" and "hidden" in resource for check, resource in opened)
    assert any(check == "redis.weak_password" and "/home/" in resource for check, resource in opened)
    assert {("updates.cve", "glibc"), ("updates.cve", "shadow (no fixed version)")} <= opened
    assert {"failed", "timeout"} & {row["status"] for row in own_words["classes"].values()} == set()
    # Its own word on it: it has no advisories.
    assert [row["status"] for row in own_words["findings"] if row["check"] == "updates.cve"] == ["unknown"]


def test_servers_are_read_whole_under_the_unit(fleet: Fleet, live: dict[str, Any], heard: Any) -> None:
    findings = heard[1]["hosts"][NAMES[2]]["findings"]
    [expired] = [one for one in findings if one["check"] == "certificates.expired" and "snakeoil" in one["resource"]]
    users = {one.split()[0] for one in expired["evidence"]["persistent"]["services"]}
    assert users == {"nginx", "apache", "postfix", "dovecot"}  # whose own file is a link to it
    assert {one["status"] for one in findings if one["check"] == "fail2ban.missing"} == {"passed"}
    # To be looked at has made nothing of what nginx makes when it starts.
    assert fleet[NAMES[2]].sh("ls -A /var/lib/nginx; ls /srv/access.log 2>/dev/null; true") == ""


def test_its_unit_can_change_nothing(fleet: Fleet, installed: Any) -> None:
    told = everywhere(fleet, lambda one: one.sh(f"""
        mkdir -p /run/systemd/system/{UNIT}.d
        printf '[Service]\nExecStartPost=/bin/sh -c "touch /etc/probe /usr/probe /var/lib/probe /home/probe; true"\n' \
            > /run/systemd/system/{UNIT}.d/probe.conf
        systemctl daemon-reload; systemctl start {UNIT}
        ls /etc/probe /usr/probe /var/lib/probe /home/probe 2>/dev/null
        rm -r /run/systemd/system/{UNIT}.d; systemctl daemon-reload
        systemctl show -p Nice,IOSchedulingClass,NoNewPrivileges,ProtectSystem,CPUQuotaPerSecUSec,MemoryMax {UNIT}
    """))  # fmt: skip
    for text in told.values():
        assert set(text.split()) == {
            "Nice=10", "IOSchedulingClass=3", "NoNewPrivileges=yes", "ProtectSystem=strict", "CPUQuotaPerSecUSec=500ms",
            f"MemoryMax={256 * 1024 * 1024}",
        }  # fmt: skip


def test_hosts_that_cannot_be_reached_are_shown_by_their_agents(hostmend: Command, lost: str, heard: Any) -> None:
    collected, made, page = heard
    assert {one["signature"] for one in collected.values()} == {"valid"}
    blind = hostmend("audit", "-i", lost, "--format", "json")
    assert {one["status"] for one in blind.json()["hosts"].values()} == {"unreachable"}
    for name in NAMES:
        host = made["hosts"][name]
        assert (host["status"], host["source"]["kind"], host["source"]["signature"]) == ("ok", "agent", "valid")
        assert 0 <= host["source"]["age_seconds"] < 900
        exposed = {one["status"] for one in host["findings"] if one["check"] == "redis.exposed"}
        assert ("waived" in exposed) is (name == NAMES[2])  # the waivers beside this inventory hold for agents as well
    assert "from the last report of its agent" in page
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(made, json.loads((ROOT / "src/hostmend/report/schema/report.schema.json").read_text()))
    shown = hostmend("audit", "-i", lost, "--from-agents", "auto")
    assert "from its agent" in shown.out and "signature valid" in shown.out


def test_a_pushed_report_that_was_changed_or_replayed_is_not_believed(
    hostmend: Command, fleet: Fleet, lost: str, heard: Any, tmp_path: Path
) -> None:
    old = everywhere(fleet, lambda one: one.sh(f"cat {REPORT}"))
    new = everywhere(fleet, lambda one: one.sh(f"systemctl start {UNIT}; cat {REPORT}"))
    tampered = json.loads(new[NAMES[0]])
    for one in tampered["findings"]:
        one["status"] = "passed"
    pushed = {NAMES[0]: json.dumps(tampered), NAMES[1]: new[NAMES[2]], NAMES[2]: new[NAMES[2]]}
    for name, text in pushed.items():
        (tmp_path / f"{name}.json").write_text(text)
    made = hostmend("audit", "-i", lost, "--from-agents", str(tmp_path), "--format", "json").json()["hosts"]
    assert [made[name]["status"] for name in NAMES] == ["failed", "failed", "ok"]
    assert "changed after it was signed" in made[NAMES[0]]["reason"] and made[NAMES[0]]["findings"] == []
    assert "another key" in made[NAMES[1]]["reason"]
    (tmp_path / f"{NAMES[2]}.json").write_text(old[NAMES[2]])
    done = hostmend("audit", "-i", lost, "--from-agents", str(tmp_path), "--format", "json")
    assert done.code == 1
    assert "older than one that is known already" in done.json()["hosts"][NAMES[2]]["reason"]
    done = hostmend("audit", "-i", lost, "--from-agents", "auto", "--max-age", "1s", "--format", "json")
    assert "old, and may be 1 s" in done.json()["hosts"][NAMES[2]]["reason"]


def test_a_key_that_the_host_made_is_enrolled_at_the_first_contact(
    hostmend: Command, fleet: Fleet, inventory: str, lost: str, live: Any, tmp_path: Path
) -> None:
    name = NAMES[1]
    for path in (hostmend.folder / "state" / "hostmend" / "agents" / name).iterdir():
        path.unlink()
    fleet[name].sh(f"rm /etc/hostmend/agent.key; systemctl start {UNIT}")
    assert fleet[name].sh("stat -c '%a %U' /etc/hostmend/agent.key").split() == ["600", "root"]
    (tmp_path / f"{name}.json").write_text(fleet[name].sh(f"cat {REPORT}"))
    options = ("audit", "-i", lost, "--limit", name, "--from-agents", str(tmp_path), "--format", "json")
    host = hostmend(*options).json()["hosts"][name]
    assert (host["status"], host["source"]["signature"]) == ("failed", "unenrolled")
    collected = hostmend("agent", "collect", "-i", inventory, "-b", "--limit", name)
    assert collected.code == 0 and "its key was taken just now" in collected.out
    assert hostmend(*options).json()["hosts"][name]["status"] == "ok"
    # From now on another key is not taken by itself.
    fleet[name].sh(f"rm /etc/hostmend/agent.key; systemctl start {UNIT}")
    collected = hostmend("agent", "collect", "-i", inventory, "-b", "--limit", name)
    assert collected.code == 1 and "another key" in collected.out
    assert_silent(hostmend, fleet, name, hostmend("agent", "collect", "-i", inventory, "-b", "--limit", name, "--enrol", "anew",
                                                  "-vvvvv"))  # fmt: skip


def assert_silent(hostmend: Command, fleet: Fleet, name: str, done: Any) -> None:
    """The key that host and controller share now is in nothing that was printed, and that was a lot."""
    out = done if isinstance(done, str) else done.out + done.err
    key = fleet[name].sh("cat /etc/hostmend/agent.key").strip()
    assert key == (hostmend.folder / "state" / "hostmend" / "agents" / name / "key").read_text().strip()
    assert "EXEC ssh" in out.replace("SSH: EXEC", "EXEC") and len(out) > 20000
    assert key not in out and key[:16] not in out and key[-16:] not in out


def test_a_playbook_alone_prints_no_key_either(hostmend: Command, fleet: Fleet, inventory: str, live: Any) -> None:
    name = NAMES[1]
    kept = hostmend.folder / "state" / "hostmend" / "agents" / name
    host = ("-b", "--limit", name, "-vvvv")
    for _of_whom in ("the host", "the controller"):
        (kept / "key").unlink()  # the host has one, which is taken; then neither has, and one is made
        assert_silent(hostmend, fleet, name, play(hostmend, inventory, *host))
        fleet[name].sh("rm /etc/hostmend/agent.key")
    assert_silent(hostmend, fleet, name, play(hostmend, inventory, *host))  # the controller has one, which is put there
    (kept / "key").unlink()
    fleet[name].sh(f"systemctl start {UNIT}")
    assert_silent(hostmend, fleet, name, play(hostmend, inventory, *host, "-e", "hostmend_collect=true"))


def test_a_hosts_policy_is_built_in_without_reaching_it(
    hostmend: Command, fleet: Fleet, lost: str, installed: Any, tmp_path: Path
) -> None:
    name = NAMES[1]
    path = tmp_path / "agent.pyz"
    done = hostmend("agent", "build", "-i", lost, "--host", name, "-o", str(path))
    assert done.code == 0, done.err
    podman("cp", str(path), f"{fleet[name].name}:/root/built.pyz")
    told = fleet[name].sh("mv /etc/hostmend/agent.json /root; python3 /root/built.pyz audit --json --class redis; true")
    fleet[name].sh("mv /root/agent.json /etc/hostmend/; rm /root/built.pyz")
    report = json.loads(told)
    assert (report["host"], report["policy"]) == (name, "built in")
    assert "low" in {one["severity"] for one in report["findings"] if "hidden" in one["resource"]}
    (tmp_path / "new.pyz").touch()
    done = hostmend("agent", "build", "-i", lost, "--host", "all", "-o", str(tmp_path / "new.pyz"))
    assert done.code == 1 and (tmp_path / "new.pyz").read_bytes() == b""


def test_what_is_in_its_way_is_one_line(fleet: Fleet, installed: Any) -> None:
    one = fleet[NAMES[1]]
    run = f"python3 {FILE} audit --quiet"
    told = one.sh(f"""
        mkdir -p /mnt/full /mnt/frozen
        mount -t tmpfs -o size=8k none /mnt/full; {run} --output /mnt/full 2>&1; echo "code $?"; ls -A /mnt/full
        mount -t tmpfs none /mnt/frozen; mount -o remount,ro /mnt/frozen; {run} --output /mnt/frozen 2>&1; echo "code $?"
        umount /mnt/full /mnt/frozen; rmdir /mnt/full /mnt/frozen
        cp {FILE} /tmp/agent.pyz; su ops -c 'python3 /tmp/agent.pyz audit --quiet 2>&1'; echo "code $?"; rm /tmp/agent.pyz
    """)
    assert "the report cannot be kept in /mnt/full: No space left on device\ncode 1\n" in told
    assert "the report cannot be kept in /mnt/frozen: Read-only file system\ncode 1\n" in told
    assert "report" not in told.partition("code 1\n")[2].partition("\n")[0].replace("lock", "")
    last = told.splitlines()[-2:]
    assert last[1] == "code 2" and " unknown, " in last[0]


def test_its_timer_fires(hostmend: Command, fleet: Fleet, inventory: str, live: Any) -> None:
    name = NAMES[2]
    # systemd may let a timer wait for a minute, to do several things at once.
    fleet[name].sh("""
        mkdir -p /run/systemd/system/hostmend-agent.timer.d
        printf '[Timer]\nAccuracySec=1s\n' > /run/systemd/system/hostmend-agent.timer.d/soon.conf
    """)
    play(hostmend, inventory, "-b", "--limit", name, "-e", json.dumps({"agent_on_calendar": "*-*-* *:*:00/10"}))
    fleet[name].sh("rm -r /run/systemd/system/hostmend-agent.timer.d")
    first = own(fleet, name)["sequence"]
    deadline = time.monotonic() + 120
    while own(fleet, name)["sequence"] == first:
        assert time.monotonic() < deadline, fleet[name].sh("systemctl list-timers --no-pager; journalctl -n 30 --no-pager")
        time.sleep(1)


def test_a_rollback_takes_it_off(
    hostmend: Command, fleet: Fleet, inventory: str, before: dict[str, Any], live: Any
) -> None:
    name = NAMES[0]
    play(hostmend, inventory, "-b", "--limit", name, "-e", "agent_state=absent")
    assert snapshot.difference(before[name], snapshot.of(fleet[name])) == {}
    play(hostmend, inventory, "-b", "--limit", name)
    done = hostmend("rollback", "latest", "-i", inventory, "-b", "--limit", name, "--yes")
    assert done.code == 0, done.out + done.err
    assert snapshot.difference(before[name], snapshot.of(fleet[name])) == {}


def test_it_is_taken_off_without_a_trace(
    hostmend: Command, fleet: Fleet, inventory: str, before: dict[str, Any], live: Any
) -> None:
    foretold = changed(play(hostmend, inventory, "-b", "-e", "agent_state=absent", "--check"))
    assert foretold == changed(play(hostmend, inventory, "-b", "-e", "agent_state=absent"))
    for name, one in fleet.hosts.items():
        assert snapshot.difference(before[name], snapshot.of(one)) == {}
        told = one.sh("ls -d /var/lib/hostmend/agent /var/lib/systemd/timers/*hostmend*; systemctl list-units --all", False)
        assert "hostmend" not in told
    assert list((hostmend.folder / "state" / "hostmend" / "agents").iterdir()) == []
    assert changed(play(hostmend, inventory, "-b", "-e", "agent_state=absent")) == set()


# Where nothing is running, or no systemd


@pytest.fixture
def still(fleet_of: Any, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A container that has not booted, and an inventory of it."""
    if podman("image", "exists", IMAGES[1], check=False).returncode:
        pytest.skip(f"no image {IMAGES[1]}")
    name = f"hm-agent-still-{uuid.uuid4().hex[:6]}"
    podman("run", "-d", "--name", name, "--label", f"{LABEL}=integration", IMAGES[1], "sleep", "600")
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    inside(name, f"""
        mkdir -p /run/sshd /root/.ssh; ssh-keygen -A >/dev/null; rm -f /run/nologin
        echo '{(tmp_path / "id.pub").read_text().strip()}' > /root/.ssh/authorized_keys; /usr/sbin/sshd
    """)
    address = podman("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name).stdout.strip()
    path = tmp_path / "still.json"
    host = {"ansible_host": address, "ansible_user": "root", "ansible_ssh_private_key_file": str(key),
            "ansible_ssh_common_args": SSH_ARGS, "ansible_python_interpreter": "/usr/bin/python3"}  # fmt: skip
    path.write_text(json.dumps({"all": {"hosts": {name: host}}}))
    yield name, str(path)
    podman("rm", "-f", "-t", "0", name, check=False)


def inside(name: str, script: str) -> str:
    return podman("exec", "-i", name, "sh", "-s", stdin=script, check=False).stdout


def test_without_systemd_cron_runs_it(still: tuple[str, str], hostmend: Command) -> None:
    name, inventory = still
    foretold = changed(play(hostmend, inventory, "--check"))
    assert foretold == changed(play(hostmend, inventory)) != set()
    line = inside(name, "tail -n 1 /etc/cron.d/hostmend-agent")
    assert line.startswith("17 4 * * * root nice ")
    assert inside(name, "ls /etc/systemd/system/hostmend* 2>/dev/null") == ""
    first = json.loads(inside(name, f"cat {REPORT}"))
    inside(name, line.split(" root ", 1)[1])
    assert json.loads(inside(name, f"cat {REPORT}"))["sequence"] > first["sequence"]
    assert hostmend("agent", "collect", "-i", inventory).code == 0
    assert changed(play(hostmend, inventory)) == set()
    play(hostmend, inventory, "-e", "agent_state=absent")
    assert inside(name, "find / -xdev -name '*hostmend-agent*' -o -xdev -path '*hostmend/agent*'") == ""


def booted(copy: str, image: str) -> dict[str, Any]:
    """Boot a copy of an image, and return the first report of its agent."""
    podman("run", "-d", "--name", copy, "--hostname", copy, "--label", f"{LABEL}=integration",
           *engine.boot_options(), image, "/sbin/init")  # fmt: skip
    inside(copy, f"""
        for _ in $(seq 200); do
            systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && break; sleep 0.3
        done
        systemctl start {UNIT}
    """)
    assert inside(copy, "systemctl is-active hostmend-agent.timer").strip() == "active"
    made: dict[str, Any] = json.loads(inside(copy, f"cat {REPORT}"))
    return made


def test_an_image_carries_it_and_each_copy_makes_its_own_key(
    still: tuple[str, str], hostmend: Command, fleet: Fleet
) -> None:
    name, inventory = still
    image = {"hostmend_image": True}
    assert changed(play(hostmend, inventory, "-e", json.dumps(image), "--check")) == changed(
        play(hostmend, inventory, "-e", json.dumps(image))
    )
    assert inside(name, f"ls /etc/hostmend/agent.key {REPORT} 2>/dev/null") == ""
    made, keys = f"localhost/{name}:image", set()
    podman("commit", "-q", name, made)
    copies = [f"{name}-copy{number}" for number in (1, 2)]
    try:
        with ThreadPoolExecutor(len(copies)) as pool:
            reports = list(pool.map(lambda copy: booted(copy, made), copies))
        for copy, report in zip(copies, reports, strict=True):
            assert report["host"] == report["hostname"] == copy
            assert report["signature"]["algorithm"] == "hmac-sha256"
            keys.add(report["signature"]["key"])
            assert {one["status"] for one in report["classes"].values()} == {"ok"}
        assert len(keys) == 2
    finally:
        podman("rm", "-f", "-t", "0", *copies, check=False)
        podman("rmi", "-f", made, check=False)
