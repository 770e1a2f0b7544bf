"""Schedules that really fire: systemd's timer and cron, from the installation to the last trace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import snapshot, target
from tests.support.controller import BIN, FULL, PORT, TOKEN, Controller
from tests.support.target import Target

HOME = "/var/lib/hostmend-schedule/home"
#: Adding a user and removing it again leaves these as they were, with a new time and a copy of before.
ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid")
NOTIFY = f"""
channels:
  hook:
    url_file: hook.url
    at_least: high
    classes: [redis]
  dead:
    url: json://127.0.0.1:9/{TOKEN}
"""
NIGHT = """
channels:
  night:
    url_file: hook.url
    at_least: low
    quiet: "{quiet}"
"""
SSH = {"ansible_user": "ops", "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"}


def until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return the first true answer within a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(1)
    raise AssertionError(f"{what}: not within {seconds} s")


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A controller with systemd, a redis without a password, a receiver, and an inventory that is itself over SSH."""
    why = target.missing()
    if why:
        pytest.skip(why)
    with Controller(tmp_path_factory.mktemp("systemd")) as made:
        made.listen()
        inventory = json.dumps({"all": {"hosts": {"self": {**SSH, "ansible_host": "127.0.0.1"}}}})
        made.sh(f"""
            mkdir -p /etc/site && echo '{inventory}' > /etc/site/inventory.json
            echo '{NOTIFY}' > /etc/site/notify.yml && echo 'json://127.0.0.1:{PORT}/{TOKEN}' > /etc/site/hook.url
            chmod 644 /etc/site/*
            sed -i 's/^bind .*/bind 0.0.0.0/; s/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
            systemctl start redis-server
        """)
        yield made


@pytest.fixture
def clean(controller: Controller) -> Iterator[Controller]:
    """The controller; whatever a test installs leaves no trace."""
    before = traces(controller)
    yield controller
    for name in controller.schedules():
        controller.hostmend("schedule", "remove", name, "--now", "--purge")
    assert snapshot.difference(before, traces(controller)) == {}


def traces(controller: Controller) -> dict[str, Any]:
    """Return the state of the host; of the files of accounts only what they say."""
    made = snapshot.of(controller)
    for path in list(made):
        if path.rstrip("-") in ACCOUNTS or path == "/etc/.pwd.lock":
            made.pop(path)
    made.pop("/etc/systemd/system/timers.target.wants", None)  # systemctl removes it where it is empty
    for path in ACCOUNTS:
        made[path] = controller.sh(f"cat {path} 2>/dev/null || true")
    made["left"] = controller.sh("ls -d /var/lib/hostmend* /srv/* /var/lib/systemd/timers/stamp-hostmend* 2>/dev/null || true")
    made["processes"] = controller.sh("ps -eo args | grep -c '[s]chedule run' || true")
    return made


def key_for(controller: Controller) -> None:
    """Give the schedules' user the key that opens the hosts."""
    key = controller.key.read_text()
    controller.sh(f"""
        install -d -m 700 -o hostmend -g hostmend {HOME}/.ssh
        cat > {HOME}/.ssh/id_ed25519 <<'END'\n{key}END
        chmod 600 {HOME}/.ssh/id_ed25519 && chown hostmend: {HOME}/.ssh/id_ed25519
    """)


def test_a_timer_fires_audits_reports_notifies_and_goes_without_a_trace(clean: Controller) -> None:
    arguments = ["-i", "/etc/site/inventory.json", "--report-to", "/srv/reports", "--notify", "/etc/site/notify.yml",
                 "--class", "redis", "--keep", "2", "--jitter", "0"]  # fmt: skip
    clean.hostmend("schedule", "install", "--name", "nightly", "--on-calendar", "yearly", *arguments, "--", "--become")
    assert clean.schedules()["nightly"]["result"] == "never ran"
    key_for(clean)
    clean.hostmend(
        "schedule", "install", "--name", "nightly", "--on-calendar", "*:*:0/10", *arguments, "--replace", "--", "--become"
    )
    until(clean.received, 150, "the notification")
    row = until(lambda: (one := clean.schedules()["nightly"])["result"] == "ok" and one, 150, "the result")

    assert row["next"] and row["open"] >= 1
    report = clean.read("/srv/reports/latest/report.json")
    assert report["hosts"]["self"]["status"] == "ok"
    assert "redis.no_auth" in {one["check"] for one in report["hosts"]["self"]["findings"] if one["status"] == "open"}
    [first, *_rest] = clean.received()
    assert "redis.no_auth" in first["message"] and "self" in first["message"]
    told = {one["channel"]: one for one in report["run"]["notifications"]}
    assert told["hook"]["status"] == "sent"
    assert told["dead"] == {"channel": "dead", "status": "failed", "reason": "the connection was refused"}
    said = clean.sh("journalctl -u hostmend-nightly --no-pager")
    assert "notification dead: the connection was refused" in said
    # The sandbox was in force, and the user is its own.
    shown = clean.sh("systemctl show hostmend-nightly.service -p User -p NoNewPrivileges -p ProtectSystem")
    assert {"User=hostmend", "NoNewPrivileges=yes", "ProtectSystem=strict"} <= set(shown.split())

    # Nothing new: nothing is told. Of three runs two are kept.
    for _more in range(2):
        clean.sh("systemctl start hostmend-nightly.service")
    until(lambda: len(clean.sh("ls -d /srv/reports/2*").split()) == 2, 150, "the oldest report to go")
    assert len(clean.received()) == 1
    store = f"HOME={HOME} setpriv --reuid=hostmend --regid=hostmend --clear-groups {BIN}/hostmend runs --format json"
    assert len(json.loads(clean.sh(store))) <= 3

    everywhere = clean.sh(f"grep -rl {TOKEN} /srv {HOME} /etc/hostmend /var/lib/hostmend-schedule 2>/dev/null || true")
    assert everywhere == "" and TOKEN not in said


def test_a_timer_mends_another_host_within_its_risk_and_tells_what_it_mended_and_what_stays(
    clean: Controller, tmp_path: Path
) -> None:
    with Target(tmp_path, name=f"{clean.name}-web") as web:
        public = clean.key.with_suffix(".pub").read_text()
        web.sh(f"""
            echo '{public}' >> ~ops/.ssh/authorized_keys
            sed -i 's/^bind .*/bind 0.0.0.0/; s/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
            systemctl start redis-server
        """)
        inventory = {"all": {"hosts": {"web": {**SSH, "ansible_host": web.address()}}}}
        clean.sh(f"""
            echo '{json.dumps(inventory)}' > /etc/site/web.json
            echo '{NIGHT.format(quiet="00:00-00:00")}' > /etc/site/night.yml; chmod 644 /etc/site/*
        """)
        arguments = ["--name", "weekly", "-i", "/etc/site/web.json", "--remediate", "safe", "--class", "logrotate,redis"]
        arguments += ["--report-to", "/srv/mended", "--notify", "/etc/site/night.yml", "--fail-on", "high", "--jitter", "0"]
        clean.hostmend("schedule", "install", "--on-calendar", "yearly", *arguments, "--", "--become")
        key_for(clean)
        # Its own timers fire, for once more often: a quarter of an hour is long.
        clean.sh("""
            for unit in weekly weekly-held; do
                mkdir -p /run/systemd/system/hostmend-$unit.timer.d
                printf '[Timer]\\nOnCalendar=\\nOnCalendar=*:*:0/5\\nAccuracySec=1s\\n' \\
                    > /run/systemd/system/hostmend-$unit.timer.d/often.conf
            done
            systemctl daemon-reload && systemctl restart hostmend-weekly.timer hostmend-weekly-held.timer
        """)
        before = len(clean.received())
        until(lambda: "activating" in clean.sh("systemctl is-active hostmend-weekly || true"), 150, "the timer")
        clean.sh("systemctl stop hostmend-weekly.timer")
        row = until(lambda: (one := clean.schedules()["weekly"])["code"] is not None and one, 150, "the remediation")
        # Something of high severity stays, as a restart was beyond what was allowed: the run was made, and the unit has failed.
        assert (row["result"], row["code"]) == ("open", 2)
        assert clean.sh("systemctl is-failed hostmend-weekly || true").strip() == "failed"
        report = clean.read("/srv/mended/latest/report.json")
        outcomes = {one["check"]: one.get("outcome") for one in report["hosts"]["web"]["findings"] if one.get("outcome")}
        assert outcomes["logrotate.retention"] == "mended" and outcomes["redis.no_auth"] == "still_open"
        assert "bind 0.0.0.0" in web.sh("cat /etc/redis/redis.conf")
        assert web.sh("logrotate -d /etc/logrotate.conf 2>&1 | grep -c 'error:' || true").strip() == "0"
        assert {one["status"] for one in report["run"]["notifications"]} == {"held"} and len(clean.received()) == before
        # Its quiet hours end, and the timer of what is held sends it.
        clean.sh(f"echo '{NIGHT.format(quiet='Sun 03:00-03:01')}' > /etc/site/night.yml")
        until(lambda: len(clean.received()) > before, 150, "what was held")
        message = clean.received()[before]["message"].splitlines()
        assert any(line.startswith("high, found: web: ") and "redis.no_auth" in line for line in message)
        assert any(line.startswith("low, mended: web: ") and "logrotate.retention" in line for line in message)
        clean.sh("rm -r /run/systemd/system/hostmend-*.timer.d /etc/site/web.json /etc/site/night.yml")


def test_a_run_that_finds_what_it_must_not_or_cannot_be_made_is_a_failed_unit(clean: Controller) -> None:
    where = ["-i", "localhost,", "--jitter", "0", "--on-calendar", "yearly", "--class", "redis", "--user", "root"]
    local = ["-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3"]
    clean.hostmend("schedule", "install", "--name", "strict", *where, "--fail-on", "high", "--", *local)
    clean.hostmend("schedule", "install", "--name", "lenient", *where, "--", *local)
    clean.hostmend("schedule", "install", "--name", "short", *where, "--timeout", "1s", "--", *local)
    before = len(clean.received())
    clean.hostmend(
        "schedule", "install", "--name", "lost", *where[2:], "-i", "/etc/site/inventory.json",
        "--notify", "/etc/site/notify.yml", "--", "--private-key", "/nowhere", "-e", "@/etc/site/gone.json",
    )  # fmt: skip
    # Two at once: the second waits for the first.
    clean.sh("systemctl start --no-block hostmend-strict; sleep 1; systemctl start hostmend-lenient; "
             "systemctl start hostmend-short hostmend-lost; true", check=False)  # fmt: skip
    until(lambda: clean.sh("systemctl is-active hostmend-strict || true").strip() == "failed", 150, "strict to end")
    rows = clean.schedules()
    assert {name: row["result"] for name, row in rows.items()} == {
        "strict": "open", "lenient": "ok", "short": "failed", "lost": "failed",
    }  # fmt: skip
    states = {name: clean.sh(f"systemctl is-failed hostmend-{name} || true").strip() for name in rows}
    assert states == {"strict": "failed", "lenient": "inactive", "short": "failed", "lost": "failed"}
    assert "took longer than 1 s" in rows["short"]["said"]
    assert "gone.json" in rows["lost"]["said"]
    assert "schedule strict (process " in clean.sh("journalctl -u hostmend-lenient --no-pager")
    clean.sh("rm -rf /root/.local")  # root was there before, and so are the runs that it keeps
    # That a run could not be made is told at once.
    assert "schedule lost failed" in clean.received()[before]["title"]


def test_a_run_that_is_killed_or_has_no_room_is_told(clean: Controller) -> None:
    where = ["-i", "localhost,", "--jitter", "0", "--on-calendar", "yearly", "--class", "redis", "--user", "root"]
    local = ["-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3"]
    clean.hostmend("schedule", "install", "--name", "killed", *where, "--", *local)
    clean.hostmend("schedule", "install", "--name", "full", *where, "--report-to", FULL, "--", *local)
    clean.sh("systemctl start --no-block hostmend-killed")
    until(lambda: clean.schedules()["killed"]["running"], 90, "its run")
    clean.sh("systemctl kill -s KILL hostmend-killed")
    until(lambda: clean.sh("systemctl is-active hostmend-killed || true").strip() == "failed", 90, "its end")
    row = clean.schedules()["killed"]
    assert (row["result"], row["running"]) == ("failed", "") and row["said"].startswith("it was killed")
    clean.sh("systemctl start hostmend-killed; systemctl start hostmend-full || true")
    rows = clean.schedules()
    assert (rows["killed"]["result"], rows["killed"]["said"]) == ("ok", "")
    status = clean.read("/var/lib/hostmend-schedule/schedules/killed/status.json")
    assert [one["code"] for one in status["runs"]] == [0, 1]
    assert rows["full"]["result"] == "failed" and "No space left on device" in rows["full"]["said"]
    assert clean.sh("systemctl is-failed hostmend-full || true").strip() == "failed"
    assert clean.sh(f"ls {FULL}") == ""
    clean.sh("rm -rf /root/.local")


def test_the_role_installs_and_removes_the_same(clean: Controller) -> None:
    entry: dict[str, Any] = {"name": "weekly", "on_calendar": "Sun 03:00", "inventory": ["localhost,"], "remediate": "safe"}
    entry["options"] = ["-c", "local"]

    def play(*options: str, **more: Any) -> str:
        variables = {"schedule_command": f"{BIN}/hostmend", "hostmend_schedules": [{**entry, **more}]}
        clean.sh(f"cat > /run/schedules.json <<'END'\n{json.dumps(variables)}\nEND")
        return clean.sh(
            f"{BIN}/ansible-playbook -i localhost, -c local -e ansible_python_interpreter=/usr/bin/python3 "
            f"-e @/run/schedules.json hostmend.hardening.schedule {' '.join(options)}; rm -rf ~/.ansible"
        )

    def changed(said: str) -> int:
        return int(said.split("changed=")[1].split()[0])

    assert changed(play("--check")) == 1 and clean.schedules() == {}
    assert changed(play()) == 1 and clean.schedules()["weekly"]["what"] == "remediate up to safe"
    assert changed(play()) == 0
    assert changed(play("--check", state="absent")) == 1 and clean.schedules()
    assert changed(play(state="absent")) == 1 and clean.schedules() == {}


BAD = (
    (["often"], "systemd does not understand 'often'"),
    (["30 2 * * *"], "that looks like cron's"),
    (["daily", "-i", "/etc/site/none"], "no such inventory: /etc/site/none"),
    (["daily", "-i", "/etc/site/secret"], "the inventory cannot be read as the user hostmend"),
    (["daily", "--user", "nobody-at-all"], "there is no user nobody-at-all"),
    (["daily", "--notify", "/etc/site/broken.yml"], "broken.yml, line 3: channel a: no such setting"),
    (["daily", "--notify", "/etc/site/private.yml"], "as the user hostmend"),
    (["daily", "--report-to", "/etc/passwd"], "/etc/passwd is no directory"),
    (["daily", "--report-to", "/root"], "the user hostmend cannot write to /root"),
    (["daily", "--name", "taken"], "hostmend-taken.service is there already and belongs to no schedule"),
    (["daily", "--", "-K"], "nobody is there to answer --ask-become-pass"),
)


def test_bad_input_is_one_line_and_changes_nothing(clean: Controller) -> None:
    clean.sh("""
        install -m 600 /etc/site/inventory.json /etc/site/secret
        install -m 600 /etc/site/notify.yml /etc/site/private.yml
        printf 'channels:\\n  a:\\n    ulr: json://x\\n' > /etc/site/broken.yml
        echo '# of somebody' > /etc/systemd/system/hostmend-taken.service
    """)
    before = traces(clean)
    try:
        for arguments, said in BAD:
            done = clean.hostmend("schedule", "install", "--on-calendar", *arguments, check=False)
            assert done.returncode == 1, arguments
            assert said in done.stderr.splitlines()[-1], arguments
        assert snapshot.difference(before, traces(clean)) == {}
    finally:
        names = "/etc/site/secret /etc/site/private.yml /etc/site/broken.yml /etc/systemd/system/hostmend-taken.service"
        clean.sh(f"rm -f {names}")


def test_cron_fires_where_there_is_no_systemd(tmp_path: Path) -> None:
    why = target.missing()
    if why:
        pytest.skip(why)
    with Controller(tmp_path, systemd=False) as made:
        before = made.sh("ls -d /etc/cron.d/* /etc/hostmend* /var/lib/hostmend* 2>/dev/null; cat /etc/passwd")
        hidden = made.sh("mv /usr/sbin/cron /usr/sbin/cron.away")
        done = made.hostmend("schedule", "install", "--on-calendar", "daily", check=False)
        assert (hidden, done.returncode) == ("", 1) and "neither systemd nor cron" in done.stderr
        made.sh("mv /usr/sbin/cron.away /usr/sbin/cron")
        done = made.hostmend("schedule", "install", "--on-calendar", "*-*-1/2 2:00..3", check=False)
        assert done.returncode == 1 and "cron cannot express" in done.stderr

        where = ["-i", "localhost,", "--jitter", "0", "--class", "redis", "--name", "often"]
        local = ["--", "-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3"]
        done = made.hostmend("schedule", "install", "--on-calendar", "* * * * *", *where, *local)
        assert "its daemon does not run" in done.stderr
        target.podman("exec", "-d", made.name, "cron", "-f")
        # Two at once, until the minute is full: one that does not want to wait says who holds the lock.
        lock = "/var/lib/hostmend-schedule/locks/hostmend"
        hold = f"flock {lock} sh -c 'printf held-by-a-test > {lock}; sleep 6'"
        made.hostmend("schedule", "install", "--on-calendar", "yearly", *where[:-1], "other", "--wait", "1s", *local)
        target.podman("exec", "-d", made.name, "sh", "-c", hold)
        time.sleep(1)
        done = made.hostmend("schedule", "run", "other", check=False)
        assert done.returncode == 1 and " is running" in done.stderr
        made.hostmend("schedule", "remove", "other")

        row = until(lambda: (one := made.schedules()["often"])["last"] and one, 200, "cron's run")
        assert (row["result"], row["user"], row["backend"]) == ("ok", "hostmend", "cron")
        report = made.read(f"{row['reports']}/latest/report.json")
        assert report["hosts"]["localhost"]["status"] == "ok"
        until(lambda: made.hostmend("schedule", "remove", "often", check=False).returncode == 0, 150, "its removal")
        assert made.sh("ls -d /etc/cron.d/* /etc/hostmend* /var/lib/hostmend* 2>/dev/null; cat /etc/passwd") == before
