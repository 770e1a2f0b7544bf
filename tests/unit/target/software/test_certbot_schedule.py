"""Who renews by schedule: cron without systemd, a person's own jobs and timers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Process, Unit
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import renewal as renewals
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import schedule

from tests.support.fake_host import FakeHost

# The line of Debian's package.
DEBIAN = (
    "# certbot renew is for the timer where systemd runs\nSHELL=/bin/sh\n0 */12 * * * root test -x /usr/bin/certbot -a \\! -d "
    "/run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew --no-random-sleep-on-renew\n"
)
SCRIPT = "#!/bin/sh\n# renews\nexec certbot -q renew\n"


def machine(root: Path, cron: bool = True, init: str = "", timers: tuple[str, ...] = ()) -> FakeHost:
    """Return a host that runs, with the services whose files are there."""
    own = "/etc/systemd/system"
    names = [*timers, *(path.name for path in (root / own[1:]).glob("*.service"))]
    daemon = Process(9, 1, 0, "cron", ("cron",), "/usr/sbin/cron", False, "/", None, None, 1, 1)
    return FakeHost(root, executes=False, init=init, processes=(daemon,) if cron else (),
                    units=tuple(Unit(name, "loaded", "active", "waiting", "enabled", f"{own}/{name}") for name in names))


def put(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    where = root / path[1:]
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(text)
    where.chmod(mode)


@pytest.mark.parametrize(
    ("path", "text", "mode", "counts"),
    [
        ("/etc/cron.d/certbot", DEBIAN, 0o644, True),
        ("/etc/cron.d/certbot", DEBIAN.replace("0 */12", "#0 */12"), 0o644, False),
        ("/etc/cron.d/certbot", DEBIAN, 0o666, False),
        ("/etc/cron.d/certbot.dpkg-old", DEBIAN, 0o644, False),
        ("/etc/cron.d/venv", "@daily root /opt/certbot/bin/certbot renew\n", 0o644, True),
        ("/etc/cron.d/venv", "@daily nobody certbot renew\n", 0o644, False),
        ("/etc/crontab", "0 0,12 * * * root /opt/certbot/bin/python -c 'import time' && sudo certbot renew -q\n", 0o600, True),
        ("/etc/crontab", "0 0 * * * root rm -f /var/log/certbot-renew.log\n", 0o644, False),
        ("/etc/crontab", "0 0 * * * root certbot certificates\n", 0o644, False),
        ("/var/spool/cron/crontabs/root", "@daily /usr/local/sbin/renew-all >/dev/null\n", 0o600, True),
        ("/var/spool/cron/crontabs/root", "@daily /usr/local/sbin/nothing\n", 0o600, False),
        ("/var/spool/cron/crontabs/admin", "17 3 * * * sudo -n certbot renew -q\n", 0o600, True),
        ("/var/spool/cron/crontabs/admin", "17 3 * * * certbot renew -q\n", 0o600, False),
        ("/var/spool/cron/root", "17 3 * * mon-fri /snap/bin/certbot renew\n", 0o600, True),
        ("/etc/cron.weekly/renew", SCRIPT, 0o755, True),
        ("/etc/cron.weekly/renew.sh", SCRIPT, 0o755, False),
        ("/etc/cron.weekly/renew", SCRIPT, 0o644, False),
        ("/etc/cron.weekly/renew", "#!/bin/sh\n# certbot renew\n", 0o755, False),
    ],
)
def test_which_jobs_of_cron_renew(tmp_path: Path, path: str, text: str, mode: int, counts: bool) -> None:
    put(tmp_path, "/usr/local/sbin/renew-all", SCRIPT, 0o755)
    put(tmp_path, path, text, mode)
    wanted = [path] if counts else []
    assert schedule.runs(machine(tmp_path), (), schedule.CERTBOT) == (wanted, [])
    assert schedule.runs(machine(tmp_path, cron=False), (), schedule.CERTBOT) == ([], wanted)


def test_debian_s_job_leaves_the_work_to_systemd(tmp_path: Path) -> None:
    put(tmp_path, "/etc/cron.d/certbot", DEBIAN)
    assert schedule.runs(machine(tmp_path, init="systemd"), ("certbot.timer",), schedule.CERTBOT) == ([], [])
    timers = ("certbot.timer", "logrotate.timer")
    told = schedule.runs(machine(tmp_path, init="systemd", timers=timers), ("certbot.timer",), schedule.CERTBOT)
    assert told == (["certbot.timer"], [])


def test_a_timer_of_one_s_own(tmp_path: Path) -> None:
    put(tmp_path, "/etc/systemd/system/tls.timer", "[Timer]\nOnCalendar=daily\nUnit=renew.service\n")
    put(tmp_path, "/etc/systemd/system/renew.service", "[Service]\nExecStart=/usr/local/sbin/renew-all\n")
    put(tmp_path, "/usr/local/sbin/renew-all", SCRIPT, 0o755)
    host = machine(tmp_path, cron=False, init="systemd", timers=("tls.timer", "../x.timer"))
    assert schedule.runs(host, (), schedule.CERTBOT) == (["tls.timer"], [])
    put(tmp_path, "/etc/systemd/system/renew.service.d/off.conf", "[Service]\nExecStart=\nExecStart=/bin/true\n")
    assert schedule.runs(host, (), schedule.CERTBOT) == ([], [])


def test_a_hook_that_answers_and_is_gone(tmp_path: Path) -> None:
    put(tmp_path, "/etc/letsencrypt/archive/www/fullchain1.pem", "x")
    (tmp_path / "etc/letsencrypt/live/www").mkdir(parents=True)
    (tmp_path / "etc/letsencrypt/live/www/fullchain.pem").symlink_to("../../archive/www/fullchain1.pem")
    renewal = "fullchain = /etc/letsencrypt/live/www/fullchain.pem\n[renewalparams]\nauthenticator = manual\n"
    put(tmp_path, "/etc/letsencrypt/renewal/www.conf", renewal + "manual_auth_hook = /root/auth.sh --now\n")
    host = Host(str(tmp_path))
    fault = "/root/auth.sh, which answers its challenge, is "
    assert renewals.certbot(host)["lineages"][0]["fault"] == fault + "not there"
    put(tmp_path, "/root/auth.sh", "#!/bin/sh\n")
    assert renewals.certbot(host)["lineages"][0]["fault"] == fault + "not executable"
    put(tmp_path, "/root/auth.sh", "#!/bin/sh\n", 0o755)
    [lineage] = renewals.certbot(host)["lineages"]
    assert (lineage["fault"], lineage["manual"]) == ("", False)
