# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who on this host uses which certificate: services, their configurations, the files, the keys and what is served."""

import json
import os

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import copies
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import files
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import keys
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import listeners
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates import readers
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import SERVICES
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import deploy_hook
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import renewal
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import probe

OWN_TIMER = "hostmend-certificates.timer"
MOST_FILES = 200
ENABLED = ("enabled", "enabled-runtime")


def collect(host, facts):
    """Fill in uses, files, keys, served and gaps."""
    services = _services(host)
    for service in services:
        readers.collect(host, facts, service)
    if host.live and services and not host.system().root:
        facts["gaps"].append({"service": "files", "reason": "not all configurations and keys can be read without root"})
    facts["dynamic"] = [one for one in facts["uses"] if one.pop("dynamic", False)]
    facts["uses"] = _unique([one for one in facts["uses"] if one not in facts["dynamic"]])
    for one in facts["uses"]:
        if one["certificate"] not in facts["files"]:
            real = os.path.realpath(host.path(one["certificate"]))
            aliases = set(other.get("alias", "") for other in facts["uses"] if other["keystore"]
                          and os.path.realpath(host.path(other["certificate"])) == real)
            facts["files"][one["certificate"]] = dict(files.read(host, one, aliases), real=real,
                                                      led=keys.led_by_others(host, one["certificate"]))
    for one in facts["uses"]:
        one.pop("password", None)
    plan = listeners.plan(host, facts, services) if host.live else []
    for one in facts["uses"]:
        listeners.reach(facts, one, plan)
    files.anchor(host, facts)
    keys.collect(host, facts, services)
    asked = [(one["address"], one["port"], one["kind"], one["name"], one["key_type"]) for one in plan]
    answers = probe.all_served(asked)
    for what, one in zip(asked, plan):
        told = answers.get(what, {"failure": "more than %d listeners and names are there" % probe.MOST})
        # A service that does not offer TLS serves no certificate, whatever its files name.
        if not told.get("failure", "").startswith("it does not offer TLS"):
            facts["served"].append(dict(one, **told))
    facts["renewal"] = {"certbot": renewal.certbot(host), "acme_sh": renewal.acme_sh(host, sorted(facts["files"])),
                        "certmonger": renewal.certmonger(host), "registry": registry(host), "timer_unit": timer_unit(host)}
    copies.collect(host, facts)


def _unique(uses):
    made = {}
    for one in uses:
        key = (one["service"], one["unit"], one["certificate"], one["key"], tuple(one["ports"]), tuple(one["names"]),
               one.get("alias", ""))
        made.setdefault(key, one)
    return list(made.values())[:MOST_FILES]


def _services(host):
    """Return the services that run here, or that the next boot starts."""
    made = []
    processes = host.processes().items if host.live else ()
    own = host.netns() if host.live else None
    units = dict((unit.name, unit) for unit in host.units().items)
    for name, (programs, known, user) in SERVICES.items():
        mine = [one for one in processes if one.comm in programs and one.container is None and one.netns in (own, None)]
        if name == "postfix":
            mine = [one for one in mine if "postfix" in (one.exe or "postfix")]
        if name == "tomcat":
            mine = [one for one in mine if any(word.startswith("-Dcatalina.base=") for word in one.argv)]
        enabled = [unit for unit in known if unit in units and units[unit].enabled in ENABLED]
        if not mine and not enabled:
            continue
        # Without systemd a script stands for the unit.
        scripts = [unit for unit in known if host.exists("/etc/init.d/" + unit[:-len(".service")])]
        unit = next((one.unit for one in mine if one.unit and one.unit.endswith(".service")), "") or (enabled + scripts + [""])[0]
        workers = [one.uid for one in mine if one.uid]
        made.append({"name": name, "unit": unit, "pids": set(one.pid for one in mine), "processes": mine, "user": user,
                     "uid": workers[0] if workers else None})
    return made


def registry(host):
    """Return {lineage: {services, pairs}} that the deploy hook goes by."""
    try:
        lineages = json.loads(host.read(deploy_hook.REGISTRY, files.MEBIBYTE) or "{}").get("lineages", {})
        return dict((name, {"services": [dict(one) for one in about.get("services", [])],
                            "pairs": [dict(one) for one in about.get("pairs", [])]}) for name, about in lineages.items())
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}


def timer_unit(host):
    """Return the timer that can renew: that of certbot's package, else our own; '' where no systemd runs timers."""
    if host.live and host.system().init != "systemd":
        return ""
    names = set(unit.name for unit in host.units().items)
    return next((one for one in renewal.CERTBOT_TIMERS if one in names), OWN_TIMER)
