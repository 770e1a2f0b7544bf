# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What installs updates automatically: whether it is set up, takes a source of security updates, runs, and ends well."""

import re

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.updates.facts import UNATTENDED
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import found
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import not_applicable
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import passed
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import apt
from ansible_collections.hostmend.hardening.plugins.module_utils.software.packages import dnf_config

# Where security updates come from a source of their own.
SEPARATE = ("debian", "ubuntu")
AUTOMATIC = {
    "apt": ("/usr/bin/unattended-upgrade", "unattended-upgrades"),
    "dnf": ("/usr/bin/dnf-automatic", "dnf-automatic"),
    "dnf5": ("/usr/lib/systemd/system/dnf5-automatic.timer", "dnf5-plugin-automatic"),
    "yum": ("/usr/sbin/yum-cron", "yum-cron"),
}
APPLYING = ("dnf-automatic-install.timer", "dnf-automatic.timer", "dnf5-automatic.timer", "yum-cron.service")
# What the role writes. apt reads these files in the order of their names, and apt.conf after all of them.
OWN, PARTS, LAST = "zz-hostmend", "/etc/apt/apt.conf.d", "/etc/apt/apt.conf"
SETTING = re.compile(r"^(?!\s*(?://|#(?!clear\b))).*\b(?:periodic|unattended-upgrade)\b", re.IGNORECASE)
# As unattended-upgrades matches, from the start of a name, these match each.
EVERYTHING = ("", ".", ".*", ".+", ".*$", ".+$")
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer") + APPLYING


def read(host, facts, policy):
    """Return who installs updates by itself, as far as it is set up."""
    path, package = AUTOMATIC.get(facts["manager"], ("", ""))
    timers, services = {}, {}
    units = host.units() if facts["init"] == "systemd" or not host.live else None
    for unit in units.items if units else ():
        if unit.name in TIMERS:
            timers[unit.name] = {"active": unit.active, "enabled": unit.enabled}
        elif unit.name.endswith(".service") and unit.name[:-8] + ".timer" in TIMERS:
            services[unit.name] = "masked" if unit.load == "masked" else unit.active
    made = {"package": package, "installed": bool(path) and host.exists(path), "timers": timers, "services": services,
            "applies": None,
            "gap": units.gaps[0] if units and units.gaps else "",
            "refreshes": None, "security": None, "cron": host.exists("/etc/cron.daily/apt-compat")}
    config = facts["config"]
    if facts["manager"] == "apt":
        made["applies"] = _period(config, "apt::periodic::unattended-upgrade") and _enabled(config)
        made["refreshes"] = _period(config, "apt::periodic::update-package-lists") and _enabled(config)
        origins = config.get("unattended-upgrade::origins-pattern", []) + config.get("unattended-upgrade::allowed-origins", [])
        made["security"], made["origins"] = _matched(facts, policy, origins), origins[:20]
        blacklist = config.get("unattended-upgrade::package-blacklist", [])
        made["nothing"] = next((one for one in blacklist if one.strip().lstrip("^") in EVERYTHING), None)
        made["overridden"] = _overridden(host)
    elif made["installed"]:
        applies = dnf_config.read_automatic(host, facts["manager"]).get("apply_updates", "no")
        made["applies"] = applies.strip().lower() in ("yes", "true", "1", "on")
        if "dnf-automatic-install.timer" in timers and timers["dnf-automatic-install.timer"]["enabled"] == "enabled":
            made["applies"] = True
        made["refreshes"], made["security"] = True, True
    return made


def _overridden(host):
    """Return the files that apt reads after that of the role, and that set what it sets."""
    paths = ["%s/%s" % (PARTS, name) for name in host.list(PARTS) if name > OWN and re.match(r"[\w.-]+\Z", name)] + [LAST]
    return [path for path in paths
            if any(SETTING.match(line[:1000]) for line in (host.read(path, 262144) or "").splitlines()[:10000])]


def _matched(facts, policy, origins):
    """Tell whether the origins take a source of security updates that is here; None where no index of one is."""
    more = policy["security_origins"]
    sources = [one for one in facts["sources"] if one["release"]]
    secure = [one for one in sources if apt.is_security(one["suite"], one["release"], more)]
    if not secure and facts["distribution"]["id"] not in SEPARATE:
        secure = sources
    if not secure:
        return None if origins else False
    return any(apt.origin_matches(pattern, one["release"], re.sub(r"^[^:]*://(?:[^/@]*@)?([^/:]*).*", r"\1", one["uri"]),
                                  facts["distribution"]) for one in secure for pattern in origins)


def _period(config, name):
    value = (config.get(name) or ["0"])[-1].strip().lower()
    return value not in ("0", "", "false", "no")


def _enabled(config):
    return (config.get("apt::periodic::enable") or ["1"])[-1].strip() != "0"


def judge(facts, policy):
    resource = "automatic security updates"
    if policy["unattended"] == "elsewhere":
        return not_applicable(UNATTENDED, "the policy has updates installed by other means", resource)
    one = facts["automatic"]
    if not facts["manager"]:
        return unknown(UNATTENDED, resource, facts["failure"])
    if facts["live"] and facts["container"] and not one["installed"]:
        return not_applicable(UNATTENDED, "a container is updated by a newer image", resource)
    if not facts["live"] and facts["init"] == "none":
        return not_applicable(UNATTENDED, "there is no init in it that would run them: it is updated by a newer image", resource)
    more = {} if policy["unattended"] == "mend" else {"risk": "manual"}
    parts = {"effective": {"timers": one["timers"]}, "persistent": {
        "package": one["package"], "installed": one["installed"], "applies": one["applies"], "security": one["security"]}}
    if one["installed"] and one["applies"] and one["security"] is None:
        return unknown(UNATTENDED, resource, "whether its origins (%s) take a source of security updates cannot be told: no "
                       "index of one is here" % ", ".join(one["origins"][:3]), **parts)
    trouble = _unattended_trouble(facts, one)
    if not trouble:
        trouble = _service_trouble(facts, one) or _left_out(one)
        more = {"risk": "manual"}
    if trouble and one.get("overridden") and "timer" not in trouble:
        more = {"risk": "manual"}
        trouble += "; %s is read last, and wins over whatever is set elsewhere" % ", ".join(one["overridden"][:3])
    if trouble and one["gap"] and "timer" in trouble:
        return unknown(UNATTENDED, resource, "whether its timers run cannot be told: %s" % one["gap"], **parts)
    if trouble:
        return found(UNATTENDED, resource, reason=trouble, **more, **parts)
    return passed(UNATTENDED, resource, reason="by %s" % one["package"], **parts)


def _unattended_trouble(facts, one):
    if not one["installed"]:
        return "%s is not installed" % one["package"]
    if not one["applies"]:
        return "%s is not told to install anything" % one["package"]
    if not one["refreshes"]:
        return "nothing fetches the package index by itself (APT::Periodic::Update-Package-Lists)"
    if not one["security"]:
        return "its origins hold none that is for security: %s match no source of security updates that is set up here" % (
            ", ".join(one["origins"][:3]) or "none")
    wanted = ("apt-daily.timer", "apt-daily-upgrade.timer") if facts["manager"] == "apt" else APPLYING
    if facts["live"] and facts["init"] != "systemd":
        return "" if one["cron"] or facts["manager"] != "apt" else "nothing runs it by schedule"
    runs = [name for name in wanted if one["timers"].get(name, {}).get("enabled") in ("enabled", "static")
            and (not facts["live"] or one["timers"][name]["active"] == "active")]
    if facts["manager"] == "apt" and len(runs) < 2:
        return "its timers are off: %s" % ", ".join(name for name in wanted if name not in runs)
    return "" if runs else "its timer is off"


def _left_out(one):
    if one.get("nothing") is None:
        return ""
    return "it leaves out every package: Unattended-Upgrade::Package-Blacklist has \"%s\"" % one["nothing"]


def _service_trouble(facts, one):
    """Return what is wrong with the services that the timers start."""
    wanted = ("apt-daily.service", "apt-daily-upgrade.service") if facts["manager"] == "apt" else tuple(
        name[:-6] + ".service" for name in APPLYING if one["timers"].get(name, {}).get("enabled") == "enabled")
    for name in wanted:
        state = one["services"].get(name)
        if state == "masked":
            return "%s, which its timer starts, is masked" % name
        if state == "failed":
            return "its last run failed: see systemctl status %s" % name
    return ""
