# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who renews the certificates of a host, and whether that works: certbot, acme.sh, certmonger."""

import configparser
import os
import re
import stat

from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import log
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import schedule

CERTBOT = "/etc/letsencrypt"
CERTBOT_PROGRAMS = ("/usr/bin/certbot", "/snap/bin/certbot", "/usr/local/bin/certbot", "/opt/certbot/bin/certbot", "/bin/certbot")
CERTBOT_TIMERS = ("certbot.timer", "certbot-renew.timer", "snap.certbot.renew.timer", "hostmend-certificates.timer")
ACME_HOMES = ("/root/.acme.sh", "/etc/acme.sh", "/opt/acme.sh", "/usr/local/etc/acme.sh")
CERTMONGER = "/var/lib/certmonger/requests"
MOST = 200
MOST_USERS = 1000
LONGEST_PATH = 1024
# What certbot keeps of each certificate, and only follows as links into its archive.
KINDS = ("cert", "privkey", "chain", "fullchain")


def parse_renewal(text):
    """Return what a renewal file of certbot says: its paths and its ``renewalparams``."""
    if "\0" in text:
        raise ValueError("it is no text")
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


def certbot(host):
    """Return the lineages of certbot, and who runs it."""
    program = next((path for path in CERTBOT_PROGRAMS if host.exists(path)), "")
    made = {"installed": bool(program), "program": program,
            "lineages": [], "runs": [], "idle": [], "gaps": [], "unseen": ""}
    names = [one for one in host.list(CERTBOT + "/renewal") if one.endswith(".conf")]
    for folder in (CERTBOT, CERTBOT + "/live"):
        if host.exists(folder) and not os.access(host.path(folder), os.R_OK | os.X_OK):
            made["gaps"].append("%s cannot be read" % folder)
            return made
    failures = log.failures(log.read(host.path(log.PATH))) if names and host.live else {}
    hooks = sorted("%s/renewal-hooks/%s/%s" % (CERTBOT, kind, one) for kind in ("deploy", "post")
                   for one in host.list("%s/renewal-hooks/%s" % (CERTBOT, kind)) if _executable(host, kind, one))
    for name in names[:MOST]:
        made["lineages"].append(_lineage(host, name[:-5], failures, hooks))
    if names:
        made["runs"], made["idle"] = schedule.runs(host, CERTBOT_TIMERS, schedule.CERTBOT)
        if not host.live or host.system().init == "systemd":
            made["unseen"] = "; ".join(host.units().gaps)
    return made


def _executable(host, kind, name):
    try:
        about = os.stat(host.path("%s/renewal-hooks/%s/%s" % (CERTBOT, kind, name)))
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and bool(about.st_mode & stat.S_IXUSR)


def _missing(host, hook):
    """Return what is wrong with the program of a hook, '' where it can run or is no path."""
    path = (hook.split() or [""])[0]
    if not path.startswith("/"):
        return ""
    try:
        about = os.stat(host.path(path))
    except (OSError, ValueError):
        return "is not there"
    return "" if stat.S_ISREG(about.st_mode) and about.st_mode & 0o111 else "is not executable"


def standalone_port(host, params):
    """Return the port that certbot would listen on itself, None where it does not, or hooks first make room for it."""
    if params.get("authenticator") != "standalone" or params.get("pre_hook"):
        return None
    general = host.read(CERTBOT + "/cli.ini", 262144) or ""
    if host.list(CERTBOT + "/renewal-hooks/pre") or re.search(r"^[ \t]*pre-hook[ \t]*=", general, re.M):
        return None
    port = params.get("http01_port") or ""
    return int(port) if port.isdecimal() else 80


def _port_taken(host, params):
    """Return what is in the way of a certbot that would listen itself, '' where nothing is, or that cannot be told."""
    port = standalone_port(host, params) if host.live else None
    for one in host.listeners().items if port else ():
        if one.proto == "tcp" and one.port == port and one.netns in (host.netns(), None) and one.process != "certbot":
            return "certbot would listen on port %d itself (authenticator standalone), and %s has it" % (
                port, one.process or "another program")
    return ""


def _no_link(host, about):
    """Return the first file of a lineage that is there and is no link, '' where there is none: certbot takes links only."""
    paths = [about[kind] for kind in KINDS if (about.get(kind) or "").startswith("/")]
    return next((path for path in paths if host.exists(path) and host.link(path) is None), "")


def _lineage(host, name, failures, hooks):
    made = {"name": name, "fault": "", "authenticator": "", "installer": "", "server": "", "hooks": list(hooks),
            "certificate": "%s/live/%s/fullchain.pem" % (CERTBOT, name), "real": "", "failure": "", "manual": False,
            "by_hand": False}
    text = host.read("%s/renewal/%s.conf" % (CERTBOT, name), 262144)
    try:
        about = parse_renewal(text or "")
    except ValueError as error:
        made["fault"] = "its renewal file cannot be read: %s" % error if text is not None else "its renewal file cannot be read"
        made["by_hand"] = True
        return made
    params = about["params"]
    made["certificate"] = about.get("fullchain") or made["certificate"]
    made["real"] = os.path.realpath(host.path(made["certificate"]))
    made["archive"] = about.get("archive_dir") or ""
    made["authenticator"] = params.get("authenticator") or ""
    made["installer"] = params.get("installer") or ""
    made["server"] = params.get("server") or ""
    if params.get("renew_hook") or params.get("deploy_hook") or params.get("post_hook"):
        made["hooks"].append("its renewal file")
    if made["authenticator"] == "manual" and not params.get("manual_auth_hook"):
        made["manual"], made["fault"] = True, "a person must answer its challenge (authenticator manual)"
    elif made["authenticator"] == "manual" and _missing(host, params["manual_auth_hook"]):
        made["fault"] = "%s, which answers its challenge, %s" % (
            params["manual_auth_hook"].split()[0], _missing(host, params["manual_auth_hook"]))
    elif (params.get("autorenew") or "").lower() == "false":
        made["by_hand"], made["fault"] = True, "its renewal is switched off (autorenew = False)"
    elif not host.exists(made["certificate"]):
        made["fault"] = "%s is not there" % made["certificate"]
    elif _no_link(host, about):
        made["by_hand"] = True
        made["fault"] = "%s is a file in place of a link into its archive: certbot skips it" % _no_link(host, about)
    elif _port_taken(host, params):
        made["manual"], made["fault"] = True, _port_taken(host, params)
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


def _acme_homes(host, certificates):
    """Return the folders of acme.sh: where it is installed to, in the homes of users, and where certificates in use lie."""
    made = list(ACME_HOMES)
    for line in (host.read("/etc/passwd") or "").splitlines()[:MOST_USERS]:
        parts = line.split(":")
        if len(parts) >= 6 and parts[5].startswith("/") and len(parts[5]) < LONGEST_PATH:
            made.append("%s/.acme.sh" % parts[5].rstrip("/"))
    for path in certificates:
        folder = os.path.dirname(path)
        if host.exists("%s/%s.conf" % (folder, _domain(os.path.basename(folder)))):
            made.append(os.path.dirname(folder))
    return list(dict.fromkeys(made))


def _domain(folder):
    return folder[:-4] if folder.endswith("_ecc") else folder


def acme_sh(host, certificates=()):
    """Return the certificates of acme.sh, and who runs it.

    :param certificates: the files that services use.
    """
    made = {"domains": [], "runs": [], "idle": []}
    for home in _acme_homes(host, certificates):
        for name in host.list(home)[:MOST]:
            domain = _domain(name)
            text = host.read("%s/%s/%s.conf" % (home, name, domain), 262144)
            if text is None:
                continue
            settings = dict(re.findall(r"^(Le_\w+)='?([^'\n]*)'?$", text, re.M))
            if not settings:
                continue
            made["domains"].append({
                "name": domain, "folder": name, "home": home,
                "manual": settings.get("Le_Webroot", "") == "dns" or "Le_Vlist" in settings,
                "certificate": settings.get("Le_RealFullChainPath") or settings.get("Le_RealCertPath") or "",
                "reload": bool(settings.get("Le_ReloadCmd")),
                "due": int(settings["Le_NextRenewTime"]) if settings.get("Le_NextRenewTime", "").isdecimal() else None})
    if made["domains"]:
        made["runs"], made["idle"] = schedule.runs(host, ("acme.sh.timer", "acme-renew.timer"), schedule.ACME_SH)
    return made


def parse_getcert(text):
    """Return the requests that ``getcert list`` prints."""
    made = []
    for block in re.split(r"^Request ID '", text, flags=re.M)[1:]:
        fields = dict((name.strip(), value.strip()) for name, value in re.findall(r"^\t([\w -]+): ?(.*)$", block, re.M))
        path = re.search(r"location='([^']*)'", fields.get("certificate", ""))
        made.append({"name": block.split("'", 1)[0], "status": fields.get("status", ""), "why": fields.get("ca-error", "")[:300],
                     "certificate": path.group(1) if path else "", "tracked": fields.get("auto-renew", "yes") == "yes",
                     "stuck": fields.get("stuck", "no") == "yes", "reload": bool(fields.get("post-save command"))})
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
