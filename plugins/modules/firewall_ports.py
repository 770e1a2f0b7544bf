#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: firewall_ports
short_description: Close ports by the firewall that is in charge
version_added: 0.1.0
description:
  - Closes ports to all but the networks that are named. It goes through firewalld or ufw where one of them is in charge,
    else by a table of nftables of its own, which a unit of its own loads at boot.
  - What is established, loopback, and the trusted networks come first. No other table is ever touched or flushed.
  - Ports of containers, which are passed on before the host's own input rules are met, are closed in the table too, and so
    is what ufw lets in before it comes to its users' rules.
  - It checks the rules before it loads them, and afterwards follows a packet through all rulesets to see each port closed.
author:
  - hostmend maintainers (@hostmend)
options:
  close:
    description:
      - Ports that listen on this host, such as C(6379/tcp), each with the networks that are let in.
    type: dict
    default: {}
  published:
    description:
      - Ports of the host that are passed on to a container, in the form of O(close).
    type: dict
    default: {}
  trusted:
    description:
      - Networks and addresses that are let in everywhere, the controller's among them.
    type: list
    elements: str
    default: []
  accept:
    description:
      - Ports that stay open to all where the rest is dropped.
    type: list
    elements: str
    default: []
  default_deny:
    description:
      - Drop what comes in for any other port of TCP or UDP. It is for hosts where neither firewalld nor ufw is in charge.
    type: bool
    default: false
  every_protocol:
    description:
      - With O(default_deny), drop all other protocols but ICMP and IGMP too. VRRP, OSPF, GRE, IPsec and SCTP, which speak of no
        port of TCP or UDP, then no longer arrive.
    type: bool
    default: false
  path:
    description:
      - The file of the rules.
    type: path
    default: /etc/hostmend/firewall.nft
  running:
    description:
      - Whether the host is running. Left out, it is found out; V(false) is for the inside of a container or chroot that
        is to become an image, where what a boot brings is changed and nothing else.
    type: bool
attributes:
  check_mode:
    description: It says what would change.
    support: full
  diff_mode:
    description: It shows the rules before and after.
    support: full
  platform:
    description: Linux with nftables, ufw or firewalld.
    support: full
    platforms: linux
"""

EXAMPLES = r"""
- name: Close Redis to all but one network
  hostmend.hardening.firewall_ports:
    close:
      6379/tcp: [10.1.0.0/16]
    trusted: [192.0.2.10]
"""

RETURN = r"""
manager:
  description: What is in charge, C(firewalld), C(ufw), C(nftables), C(iptables) or C(none).
  returned: always
  type: str
changes:
  description: What changed, or would change in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "rule", "name": "6379/tcp", "action": "close"}]
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import iptables
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import rules
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host

UNIT_NAME = "hostmend-firewall.service"
UNIT_PATH = "/etc/systemd/system/" + UNIT_NAME
UFW_APART = """for init in /usr/lib/ufw/ufw-init /lib/ufw/ufw-init /usr/libexec/ufw/ufw-init; do
    [ ! -x "$init" ] || { "$init" start quiet >/dev/null 2>&1; break; }
done
exec ufw "$@"
"""


class Change:
    """What is to be done to the firewall, found out before anything is done."""

    def __init__(self, module):
        self.module, self.given = module, module.params
        self.host = Host(running=self.given["running"])
        self.manager = self.host.firewall().manager
        self.changes, self.before, self.after, self.steps = [], [], [], []

    def run(self, argv, **more):
        """Run a command that changes something; end where it fails."""
        code, out, err = self.module.run_command(argv, **more)
        if code:
            self.module.fail_json(msg="%s failed: %s" % (" ".join(argv[:3]), (err or out).strip()[:500]),
                                  changes=self.changes)
        return out

    def plan(self):
        """Find out what is missing."""
        close = dict(self.given["close"])
        published = dict(self.given["published"])
        if self.manager == "ufw":
            beyond = self._beyond_ufw(close)
            self._plan_ufw({port: let_in for port, let_in in close.items() if port not in beyond})
            close = beyond
        elif self.manager == "firewalld":
            self._plan_firewalld(close)
            close = {}
        deny = self.given["default_deny"] and self.manager not in ("ufw", "firewalld")
        if close or published or deny:
            self._plan_table(close, published, deny)

    def _beyond_ufw(self, close):
        """Return those ports that ufw lets in before it comes to its users' rules, as it does mDNS."""
        if not self.host.live:
            return {}
        firewall = self.host.firewall()
        tried = [ruleset for ruleset in firewall.rulesets if ("filter", "ufw%s-user-input" % ("6" if ruleset.family == 6 else ""))
                 in ruleset.chains]
        beyond = {}
        for port, let_in in close.items():
            proto, number = rules.split(port)
            first = iptables.parse_rule(["-p", proto, "--dport", number, "-j", "DROP"])
            users = [ruleset.chains[("filter", "ufw%s-user-input" % ("6" if ruleset.family == 6 else ""))] for ruleset in tried]
            for chain in users:
                chain.insert(0, first)
            if any(firewall.reach(proto, family, address, int(number)).state == "open"
                   for family, address in ((4, "0.0.0.0"), (6, "::"))):
                beyond[port] = let_in
            for chain in users:
                chain.remove(first)
        return beyond

    def _plan_table(self, close, published, deny):
        path = self.given["path"]
        old = self.host.read(path) or ""
        state = rules.merge(rules.state_of(old), close, published, self.given["trusted"],
                            self.given["accept"], deny, self.given["every_protocol"])
        text = rules.nft_text(state)
        nft = self.module.get_bin_path("nft", opt_dirs=["/usr/sbin", "/sbin"]) or "/usr/sbin/nft"
        unit = rules.UNIT.format(nft=nft, path=path)
        was = rules.state_of(old)
        for kind in ("closed", "published"):
            for port, let_in in sorted(state[kind].items()):
                if (was.get(kind) or {}).get(port) != let_in:
                    self.changes.append({"kind": "rule", "name": port, "action": "close"})
        if state["deny"] and not was.get("deny"):
            self.changes.append({"kind": "rule", "name": "default", "action": "drop"})
        self._plan_file(path, text, old)
        self._plan_file(UNIT_PATH, unit, self.host.read(UNIT_PATH) or "")
        live = self.host.live
        loaded = not live or self.host.run(["nft", "list", "table", "inet", rules.TABLE]).ok
        system = self.host.system().init == "systemd" or not live
        if system:
            enabled = self.host.run(["systemctl", "is-enabled", UNIT_NAME]).out.strip() == "enabled"
            active = not live or self.host.run(["systemctl", "is-active", UNIT_NAME]).out.strip() == "active"
            if not enabled or not active:
                self.changes.append({"kind": "unit", "name": UNIT_NAME, "action": "enable"})
        if self.changes or not loaded:
            if not self.changes:
                self.changes.append({"kind": "rule", "name": "table inet hostmend", "action": "load"})
            self.steps.append(lambda: self._load(nft, path, text, unit, system))

    def _plan_file(self, path, text, old):
        if text != old:
            self.changes.append({"kind": "file", "name": path, "action": "modify" if old else "create"})
            self.before.append("# %s\n%s" % (path, old))
            self.after.append("# %s\n%s" % (path, text))

    def _load(self, nft, path, text, unit, system):
        with tempfile.NamedTemporaryFile("w", suffix=".nft", delete=True) as trial:
            trial.write(text)
            trial.flush()
            if self.host.live:
                self.run([nft, "-c", "-f", trial.name])
            else:
                self._try_apart(nft, trial.name)
        self._write(path, text, 0o600)
        self._write(UNIT_PATH, unit, 0o644)
        if not self.host.live:
            self.run(["systemctl", "enable", "--quiet", UNIT_NAME])
            return
        self.run([nft, "-f", path])
        if system:
            self.run(["systemctl", "daemon-reload"])
            self.run(["systemctl", "enable", "--quiet", UNIT_NAME])
            # The table is loaded already; starting the unit makes systemd know of it.
            self.run(["systemctl", "start", UNIT_NAME])

    def _try_apart(self, nft, name):
        """Load rules where nothing else is: those in the kernel here are the builder's."""
        code, unused, err = self.module.run_command(["unshare", "--net", "--", nft, "-f", name])
        if code and "unshare" in err:
            code, unused, err = self.module.run_command([nft, "-c", "-f", name])
            if code and "not permitted" in err:
                self.module.fail_json(changes=self.changes, msg="the rules cannot be tried here, and untried ones are not "
                                      "written: give the build container the capability NET_ADMIN or SYS_ADMIN, or leave "
                                      "the class ports out")
        if code:
            self.module.fail_json(msg="nft refuses the rules: %s" % err.strip()[:500], changes=self.changes)

    def _write(self, path, text, mode):
        folder = os.path.dirname(path)
        os.makedirs(folder, 0o755, exist_ok=True)
        number, part = tempfile.mkstemp(dir=folder)
        with os.fdopen(number, "w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(part, mode)
        self.module.atomic_move(part, path)
        os.chmod(path, mode)

    def _plan_ufw(self, close):
        present = rules.ufw_present((self.host.read("/etc/ufw/user.rules") or "") + "\n"
                                    + (self.host.read("/etc/ufw/user6.rules") or ""))
        for rule, words in rules.ufw_rules(close, self.given["trusted"]):
            if rule in present:
                continue
            action, unused, same = rule.partition(" ")
            # ufw takes a rule that differs in its action alone for one that it has already.
            for other in ("allow", "deny", "limit", "reject"):
                if other != action and "%s %s" % (other, same) in present:
                    argv = ["ufw", "delete", other] + words[2:]
                    self.changes.append({"kind": "rule", "name": " ".join(["ufw", other] + words[2:]), "action": "remove"})
                    self.before.append(" ".join(["ufw", other] + words[2:]))
                    self.steps.append(lambda argv=argv: self._ufw(argv[1:]))
            self.changes.append({"kind": "rule", "name": "ufw " + " ".join(words[1:]), "action": "add"})
            self.after.append("ufw " + " ".join(words))
            self.steps.append(lambda words=words: self._ufw(words))

        if self.steps and self.host.run(["systemctl", "is-enabled", "ufw.service"]).out.strip() == "disabled":
            self.changes.append({"kind": "unit", "name": "ufw.service", "action": "enable"})
            self.steps.append(lambda: self.run(["systemctl", "enable", "--quiet", "ufw.service"]))

    def _ufw(self, words):
        # ufw loads what it writes: in an image into a network of its own, or the builder would get the rules.
        self.run(["ufw"] + words if self.host.live else ["unshare", "--net", "--", "sh", "-c", UFW_APART, "sh"] + words)

    def _plan_firewalld(self, close):
        if not self.host.live:
            self._plan_firewalld_files(close)
            return
        zones = [line for line in self.run(["firewall-cmd", "--get-active-zones"]).splitlines() if line[:1].strip()]
        zones = sorted(set([zone.split()[0] for zone in zones] + [self.run(["firewall-cmd", "--get-default-zone"]).strip()]))
        for zone in zones:
            for rule in rules.firewalld_rules(close, self.given["trusted"]):
                for where in ([], ["--permanent"]):
                    argv = ["firewall-cmd"] + where + ["--zone=" + zone]
                    if self.module.run_command(argv + ["--query-rich-rule=" + rule])[0] == 0:
                        continue
                    self.changes.append({"kind": "rule", "name": "%s%s: %s" % (zone, " permanent" if where else "", rule),
                                         "action": "add"})
                    self.after.append("%s: %s" % (zone, rule))
                    self.steps.append(lambda argv=argv, rule=rule: self.run(argv + ["--add-rich-rule=" + rule]))

    def _plan_firewalld_files(self, close):
        """Give the rules to the zones that a boot will have; nothing but their files is written."""
        tool = "firewall-offline-cmd"
        named = [name[:-4] for name in self.host.list("/etc/firewalld/zones") if name.endswith(".xml")]
        for zone in sorted(set(named + [self.run([tool, "--get-default-zone"]).strip()])):
            for rule in rules.firewalld_rules(close, self.given["trusted"]):
                argv = [tool, "--zone=" + zone]
                if self.module.run_command(argv + ["--query-rich-rule=" + rule])[0] == 0:
                    continue
                self.changes.append({"kind": "rule", "name": "%s permanent: %s" % (zone, rule), "action": "add"})
                self.after.append("%s: %s" % (zone, rule))
                self.steps.append(lambda argv=argv, rule=rule: self.run(argv + ["--add-rich-rule=" + rule]))

    def prove(self):
        """Follow a packet to each port through all rulesets; end where one is still open."""
        host = Host(running=self.given["running"])
        firewall = host.firewall()
        for published in host.publications().items if host.live else ():
            port = "%d/%s" % (published.port, published.proto)
            if port in self.given["published"] and firewall.reach_publication(published).state == "open":
                self.module.fail_json(msg="%s is still passed on to %s after the change" % (port, published.to_address),
                                      changes=self.changes)
        for port in self.given["close"]:
            proto, number = rules.split(port)
            for family, address in ((4, "0.0.0.0"), (6, "::")):
                if firewall.reach(proto, family, address, int(number)).state == "open":
                    self.module.fail_json(msg="%s is still open over IPv%d after the change" % (port, family),
                                          changes=self.changes)


def main():
    """Close the ports."""
    module = AnsibleModule(
        argument_spec={
            "close": {"type": "dict", "default": {}},
            "published": {"type": "dict", "default": {}},
            "trusted": {"type": "list", "elements": "str", "default": []},
            "accept": {"type": "list", "elements": "str", "default": []},
            "default_deny": {"type": "bool", "default": False},
            "every_protocol": {"type": "bool", "default": False},
            "path": {"type": "path", "default": "/etc/hostmend/firewall.nft"},
            "running": {"type": "bool"},
        },
        supports_check_mode=True,
    )
    try:
        for let_in in [module.params["trusted"]] + [each or [] for name in ("close", "published")
                                                    for each in module.params[name].values()]:
            rules.networks(let_in)
    except ValueError as error:
        module.fail_json(msg="not a network or address: %s" % error)
    change = Change(module)
    change.plan()
    if change.steps and not module.check_mode:
        for step in change.steps:
            step()
        change.prove()
    module.exit_json(changed=bool(change.steps), manager=change.manager, changes=change.changes,
                     diff={"before": "\n".join(change.before), "after": "\n".join(change.after)})


if __name__ == "__main__":
    main()
