# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who renews the certificates of a host, and whether that works: certbot, acme.sh, certmonger."""

from __future__ import annotations

import configparser
import os
import re
import stat
import time

CERTBOT = "/etc/letsencrypt"
CERTBOT_LOG = "/var/log/letsencrypt/letsencrypt.log"
CERTBOT_PROGRAMS = ("/usr/bin/certbot", "/snap/bin/certbot", "/usr/local/bin/certbot", "/opt/certbot/bin/certbot", "/bin/certbot")
CERTBOT_TIMERS = ("certbot.timer", "certbot-renew.timer", "snap.certbot.renew.timer", "hostmend-certificates.timer")
CERTBOT_CRON = ("/etc/cron.d/certbot", "/etc/cron.daily/certbot", "/etc/cron.weekly/certbot")
CRONTABS = ("/var/spool/cron/crontabs/root", "/var/spool/cron/root")
CRON = ("cron", "crond", "anacron", "fcron", "busybox-crond")
ACME_HOMES = ("/root/.acme.sh", "/etc/acme.sh", "/opt/acme.sh", "/usr/local/etc/acme.sh")
CERTMONGER = "/var/lib/certmonger/requests"
MOST = 200
# Since 1.x, and until then.
FAILED = re.compile(r"^([\d-]{10} [\d:]{8})?[^\n]*?(?:Failed to renew certificate (\S+) with error|Attempting to renew cert "
                    r"\((\S+)\) from \S+ produced an unexpected error): ([^\n]+)", re.M)
DETAIL = re.compile(r"^\s*(?:Detail|detail)\s*:\s*(.+)$|\"detail\": \"([^\"]+)\"", re.M)
NEAR = 65536
TAIL = 2 * 1024 * 1024


def parse_renewal(text):
    """Return what a renewal file of certbot says: its paths and its ``renewalparams``."""
    # Above the first section stand plain settings, which is not what an INI file may have.
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string("[paths]\n" + text)
    except configparser.Error as error:
        raise ValueError("it cannot be understood: %s" % str(error).splitlines()[0])
    made = dict(parser["paths"])
    made["params"] = dict(parser["renewalparams"]) if parser.has_section("renewalparams") else {}
    if not made["params"]:
        raise ValueError("it has no renewalparams")
    return made


def log_failures(text):
    """Return {lineage: (why, when)} of the last failure of each that a log of certbot tells of; 0: the time is not told."""
    made = {}
    for match in FAILED.finditer(text):
        stamp, new, old, why = match.groups()
        details = [one or two for one, two in DETAIL.findall(text[max(0, match.start() - NEAR):match.end() + NEAR // 8])]
        if details and "ome challenges have failed" in why:
            why = "%s %s" % (why, details[-1])
        try:
            when = time.mktime(time.strptime(stamp, "%Y-%m-%d %H:%M:%S"))
        except (TypeError, ValueError, OverflowError):
            when = 0
        made[new or old] = (why.strip()[:400], when)
    return made


def tail(path):
    """Return the end of a log, '' where it cannot be read."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(number, "rb") as handle:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            return ""
        handle.seek(max(0, about.st_size - TAIL))
        return handle.read(TAIL).decode("utf-8", "replace")


def certbot(host):
    """Return the lineages of certbot, and who runs it."""
    made = {"installed": any(host.exists(path) for path in CERTBOT_PROGRAMS),
            "lineages": [], "runs": [], "gaps": [], "unseen": ""}
    names = [one for one in host.list(CERTBOT + "/renewal") if one.endswith(".conf")]
    for folder in (CERTBOT, CERTBOT + "/live"):
        if host.exists(folder) and not os.access(host.path(folder), os.R_OK | os.X_OK):
            made["gaps"].append("%s cannot be read" % folder)
            return made
    failures = log_failures(tail(host.path(CERTBOT_LOG))) if names and host.live else {}
    hooks = sorted("%s/renewal-hooks/%s/%s" % (CERTBOT, kind, one) for kind in ("deploy", "post")
                   for one in host.list("%s/renewal-hooks/%s" % (CERTBOT, kind)) if _executable(host, kind, one))
    for name in names[:MOST]:
        made["lineages"].append(_lineage(host, name[:-5], failures, hooks))
    if names:
        made["runs"] = runs(host, CERTBOT_TIMERS, CERTBOT_CRON, "certbot")
        if not host.live or host.system().init == "systemd":
            made["unseen"] = "; ".join(host.units().gaps)
    return made


def _executable(host, kind, name):
    try:
        about = os.stat(host.path("%s/renewal-hooks/%s/%s" % (CERTBOT, kind, name)))
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and bool(about.st_mode & stat.S_IXUSR)


def _lineage(host, name, failures, hooks):
    made = {"name": name, "fault": "", "authenticator": "", "installer": "", "server": "", "hooks": list(hooks),
            "certificate": "%s/live/%s/fullchain.pem" % (CERTBOT, name), "real": "", "failure": "", "manual": False}
    text = host.read("%s/renewal/%s.conf" % (CERTBOT, name), 262144)
    try:
        about = parse_renewal(text or "")
    except ValueError as error:
        made["fault"] = "its renewal file cannot be read: %s" % error if text is not None else "its renewal file cannot be read"
        return made
    params = about["params"]
    made["certificate"] = about.get("fullchain") or made["certificate"]
    made["real"] = os.path.realpath(host.path(made["certificate"]))
    made["authenticator"] = params.get("authenticator") or ""
    made["installer"] = params.get("installer") or ""
    made["server"] = params.get("server") or ""
    if params.get("renew_hook") or params.get("deploy_hook") or params.get("post_hook"):
        made["hooks"].append("its renewal file")
    if made["authenticator"] == "manual" and not params.get("manual_auth_hook"):
        made["manual"], made["fault"] = True, "a person must answer its challenge (authenticator manual)"
    elif (params.get("autorenew") or "").lower() == "false":
        made["fault"] = "its renewal is switched off (autorenew = False)"
    elif not host.exists(made["certificate"]):
        made["fault"] = "%s is not there" % made["certificate"]
    else:
        account = params.get("account") or ""
        folder = re.sub(r"^https?://", "", made["server"]).rstrip("/")
        if account and folder and not host.exists("%s/accounts/%s/%s" % (CERTBOT, folder, account)):
            made["fault"] = "the account that it renews with is not there"
    try:
        written = os.stat(host.path(made["certificate"])).st_mtime
    except OSError:
        written = 0
    why, when = failures.get(name, ("", 0))
    if when + 1 > written:
        made["failure"] = why
    return made


def runs(host, timers, jobs, word):
    """Return what renews by schedule: active timers (or enabled ones, of a host that is not running) and cron jobs."""
    made = []
    system = host.system()
    systemd = system.init == "systemd" or not host.live
    if systemd:
        for unit in host.units().items:
            if unit.name in timers and (unit.active == "active" if host.live else unit.enabled == "enabled"):
                made.append(unit.name)
    cron = not host.live or any(one.comm in CRON and one.container is None for one in host.processes().items)
    for path in jobs:
        text = host.read(path, 65536) or ""
        # Debian's job leaves the work to the timer where systemd runs.
        if cron and word in text and not (systemd and "/run/systemd/system" in text):
            made.append(path)
    for path in CRONTABS + ("/etc/crontab",):
        lines = (host.read(path, 262144) or "").splitlines()
        if cron and any(word in line and line.strip()[:1] not in ("#", "") for line in lines):
            made.append(path)
    return made


def acme_sh(host):
    """Return the certificates of acme.sh, and who runs it."""
    made = {"domains": [], "runs": []}
    for home in ACME_HOMES:
        for name in host.list(home)[:MOST]:
            domain = name[:-4] if name.endswith("_ecc") else name
            text = host.read("%s/%s/%s.conf" % (home, name, domain), 262144)
            if text is None:
                continue
            settings = dict(re.findall(r"^(Le_\w+)='?([^'\n]*)'?$", text, re.M))
            made["domains"].append({
                "name": domain, "home": home, "manual": settings.get("Le_Webroot", "") == "dns" or "Le_Vlist" in settings,
                "certificate": settings.get("Le_RealFullChainPath") or settings.get("Le_RealCertPath") or "",
                "reload": bool(settings.get("Le_ReloadCmd"))})
    if made["domains"]:
        made["runs"] = runs(host, ("acme.sh.timer", "acme-renew.timer"), ("/etc/cron.d/acme.sh", "/etc/cron.daily/acme.sh"),
                            "acme.sh")
    return made


def parse_getcert(text):
    """Return the requests that ``getcert list`` prints."""
    made = []
    for block in re.split(r"^Request ID '", text, flags=re.M)[1:]:
        fields = dict((name.strip(), value.strip()) for name, value in re.findall(r"^\t([\w -]+): (.*)$", block, re.M))
        path = re.search(r"location='([^']*)'", fields.get("certificate", ""))
        made.append({"name": block.split("'", 1)[0], "status": fields.get("status", ""), "why": fields.get("ca-error", "")[:300],
                     "certificate": path.group(1) if path else "", "tracked": fields.get("auto-renew", "yes") == "yes",
                     "stuck": fields.get("stuck", "no") == "yes"})
    return made


def certmonger(host):
    """Return what certmonger tracks."""
    made = {"requests": [], "failure": ""}
    kept = host.list(CERTMONGER)
    if not kept:
        return made
    if not host.live:
        enabled = any(unit.name == "certmonger.service" and unit.enabled == "enabled" for unit in host.units().items)
        made["failure"] = "" if enabled else "it tracks certificates, but is not enabled"
        return made
    answer = host.run(["getcert", "list"], seconds=4)
    if answer.ok:
        made["requests"] = parse_getcert(answer.out)
    else:
        made["failure"] = "it tracks certificates, but does not answer: %s" % (
            answer.failure or answer.err.strip() or answer.out.strip())[:200]
    return made
