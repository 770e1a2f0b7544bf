"""What a boot brings, of root filesystems that are not running."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import (
    fail2ban,
    logrotate,
    ports,
    redis,
    services,
    updates,
)
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host, boot, inside
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import boot as firewall_boot
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables import IptablesRules
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft import NftRules
from ansible_collections.hostmend.hardening.plugins.module_utils.software import at_boot

from tests.support.fake_host import FakeHost
from tests.support.paths import FIXTURES

FIXTURES = FIXTURES / "firewall"
COMMON = {"management_networks": [], "private_networks": [], "controller_addresses": []}
REDIS_UNIT = """[Service]
ExecStart=/usr/bin/redis-server /etc/redis/redis.conf --supervised systemd --daemonize no
User=redis
[Install]
WantedBy=multi-user.target
"""
SSH_UNIT = "[Unit]\nConditionPathExists=!/etc/ssh/no\n[Service]\nExecStart=/usr/sbin/sshd -D $OPTS\n[Install]\nWantedBy=x\n"


class Image:
    """A root filesystem below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("etc/systemd/system/multi-user.target.wants", "etc/systemd/system/sockets.target.wants",
                     "usr/lib/systemd/system", "var/lib/dpkg", "etc/ssh"):
            (root / name).mkdir(parents=True)
        self.put("usr/lib/systemd/systemd", "")
        self.put("etc/passwd", "root:x:0:0::/root:/bin/sh\nredis:x:101:101::/var/lib/redis:/bin/false\n")

    def put(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, "utf-8")

    def enable(self, name: str, text: str, target: str = "multi-user.target") -> None:
        self.put(f"usr/lib/systemd/system/{name}", text)
        (self.root / f"etc/systemd/system/{target}.wants" / name).symlink_to(f"/lib/systemd/system/{name}")

    def redis(self, conf: str, version: str = "5:7.0.15-1") -> None:
        self.enable("redis-server.service", REDIS_UNIT)
        self.put("etc/redis/redis.conf", conf)
        self.put("var/lib/dpkg/status", f"Package: redis-server\nStatus: install ok installed\nVersion: {version}\n"
                 "Architecture: amd64\n\n")

    @property
    def host(self) -> Host:
        return Host(str(self.root))

    def where(self) -> set[tuple[str, str, int, str]]:
        return {(one.proto, one.address, one.port, one.process) for one in at_boot.listeners(self.host).items}

    def judge(self, detector: Any, **policy: Any) -> dict[str, tuple[str, str]]:
        given = {**detector.POLICY, "common": COMMON, **policy}
        found = detector.check(detector.collect(self.host, given), given)
        return {f"{one['check']} {one['resource']}".strip(): (one["status"], one["reason"]) for one in found}


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path / "root")


# Links

@pytest.mark.parametrize("target", ["/etc/shadow", "../../../../../../etc/shadow", "/loop/shadow"])
def test_no_link_leads_out(tmp_path, target):
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "loop").symlink_to("/loop")
    (root / "etc/passwd").symlink_to(target)
    assert inside(str(root), "/etc/passwd").startswith(f"{root}/")
    assert Host(str(root)).read("/etc/passwd") is None
    assert Host(str(root)).link("/etc/passwd") == target


def test_links_within_lead_where_they_will(tmp_path):
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "usr/lib/os-release").write_text("ID=debian\n")
    (root / "etc").mkdir()
    (root / "etc/os-release").symlink_to("/lib/os-release")
    assert Host(str(root)).system().id == "debian"


# Units

def test_a_unit_is_read_with_its_drop_ins_and_what_they_take_back(image):
    image.enable("a.service", "[Service]\nExecStart=/bin/one \\\n  two\nUser=x\n")
    image.put("etc/systemd/system/a.service.d/10.conf", "[Service]\nExecStart=\nExecStart=-/bin/three %%\n")
    (service,) = image.host.boot_services()
    assert service.argv == ("/bin/three", "%") and service.user == "x" and service.program == "three"


def test_what_is_masked_disabled_or_has_a_condition_is_not_started(image):
    image.enable("ssh.service", SSH_UNIT)
    assert [one.name for one in image.host.boot_services()] == ["ssh.service"]
    image.put("etc/ssh/no", "")
    assert image.host.boot_services() == ()
    (image.root / "etc/ssh/no").unlink()
    (image.root / "etc/systemd/system/ssh.service").symlink_to("/dev/null")
    assert image.host.boot_services() == ()


def test_an_alias_is_no_unit_of_its_own_and_an_instance_is(image):
    image.redis("port 6379\n")
    (image.root / "etc/systemd/system/redis.service").symlink_to("/lib/systemd/system/redis-server.service")
    image.put("usr/lib/systemd/system/redis-server@.service", REDIS_UNIT.replace("redis.conf", "%i.conf"))
    (image.root / "etc/systemd/system/multi-user.target.wants/redis-server@two.service").symlink_to(
        "/lib/systemd/system/redis-server@.service")
    named = {one.name: one.argv[1] for one in image.host.boot_services()}
    assert named == {"redis-server.service": "/etc/redis/redis.conf", "redis-server@two.service": "/etc/redis/two.conf"}


def test_an_init_script_that_a_runlevel_starts(image):
    (image.root / "etc/rc3.d").mkdir()
    (image.root / "etc/rc3.d/S01thing").symlink_to("../init.d/thing")
    (service,) = image.host.boot_services()
    assert service.script and service.name == "thing.service"
    assert "what thing.service will listen on" in at_boot.listeners(image.host).gaps[0]


# Where services listen

SSHD = "Include /etc/ssh/sshd_config.d/*.conf\nPort 22\nMatch User x\nPort 9\n"


def test_sshd_listens_on_all_its_ports(image):
    image.enable("ssh.service", SSH_UNIT)
    assert image.where() == {("tcp", "0.0.0.0", 22, "sshd"), ("tcp", "::", 22, "sshd")}
    image.put("etc/ssh/sshd_config", SSHD)
    image.put("etc/ssh/sshd_config.d/a.conf", "Port 2222\nListenAddress 10.0.0.1\n")
    assert image.where() == {("tcp", "10.0.0.1", 22, "sshd"), ("tcp", "10.0.0.1", 2222, "sshd")}


@pytest.mark.parametrize(
    ("unit", "files", "wanted"),
    [
        ("mariadb", {"etc/mysql/my.cnf": "!includedir /etc/mysql/mariadb.conf.d/\n",
                     "etc/mysql/mariadb.conf.d/50-server.cnf": "[mariadbd]\nbind-address = 127.0.0.1\n"}, {("127.0.0.1", 3306)}),
        ("mariadb", {"etc/mysql/my.cnf": "[mysqld]\nport=3307\n[client]\nport=1\n"}, {("0.0.0.0", 3307), ("::", 3307)}),
        ("mariadb", {"etc/mysql/my.cnf": "[mysqld]\nskip-networking\n"}, set()),
        ("postgresql", {"etc/postgresql/15/main/postgresql.conf": "#listen_addresses = '*'\nport = 5433\n"},
         {("127.0.0.1", 5433), ("::1", 5433)}),
        ("postgresql", {"etc/postgresql/15/main/postgresql.conf": "listen_addresses = '*' # all\n"},
         {("0.0.0.0", 5432), ("::", 5432)}),
        ("nginx", {"etc/nginx/nginx.conf": "http { include sites-enabled/*; }", "etc/nginx/sites-enabled/a":
                   "server {\n listen 80 default_server; # listen 1;\n listen [::]:443 ssl;\n"
                   " listen unix:/x; listen 127.0.0.1:81;}"},
         {("0.0.0.0", 80), ("::", 443), ("127.0.0.1", 81)}),
        ("apache2", {"etc/apache2/apache2.conf": "Include ports.conf\n",
                     "etc/apache2/ports.conf": "Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n"},
         {("0.0.0.0", 80), ("::", 80)}),
        ("memcached", {"etc/memcached.conf": "-l 127.0.0.1\n-p 11212\n"}, {("127.0.0.1", 11212)}),
        ("postfix", {"etc/postfix/main.cf": "inet_interfaces = loopback-only\n",
                     "etc/postfix/master.cf": "smtp inet n - y - - smtpd\n#submission inet n\n"},
         {("127.0.0.1", 25), ("::1", 25)}),
        ("cups", {"etc/cups/cupsd.conf": "Listen localhost:631\nListen /run/cups/cups.sock\n"},
         {("127.0.0.1", 631), ("::1", 631)}),
    ],
)
def test_where_services_listen(image, unit, files, wanted):
    image.enable(f"{unit}.service", f"[Service]\nExecStart=/usr/sbin/{unit}\n")
    for name, text in files.items():
        image.put(name, text)
    assert {(address, port) for _proto, address, port, _process in image.where()} == wanted
    assert at_boot.listeners(image.host).gaps == ()


def test_a_socket_unit_listens_for_its_service(image):
    text = "[Socket]\nBindIPv6Only=ipv6-only\nListenStream=/run/x\nListenStream=0.0.0.0:111\nListenDatagram=[::]:111\n"
    image.enable("rpcbind.socket", text, "sockets.target")
    assert image.where() == {("tcp", "0.0.0.0", 111, "systemd"), ("udp", "::", 111, "systemd")}


def test_inetd_and_xinetd_offer_their_entries(image):
    image.enable("xinetd.service", "[Service]\nExecStart=/usr/sbin/xinetd -dontfork\n")
    image.put("etc/xinetd.conf", "includedir /etc/xinetd.d\n")
    image.put("etc/xinetd.d/telnet", "service telnet\n{\n socket_type = stream\n server = /usr/sbin/in.telnetd\n"
              " disable = no\n}\n")
    assert ("tcp", "0.0.0.0", 23, "xinetd") in image.where()


def test_a_service_that_is_not_known_is_a_gap_and_never_a_pass(image):
    image.enable("ours.service", "[Service]\nExecStart=/opt/ours\n")
    image.enable("once.service", "[Service]\nType=oneshot\nExecStart=/opt/once\n")
    found = image.judge(ports)
    assert found["ports.exposed ours.service"] == ("unknown", "what ours.service will listen on cannot be told from its files")
    assert found["ports.firewall_off firewall"][0] == "unknown"
    assert not any("once" in name for name in found)


# The firewall that a boot loads

def test_exposed_ports_of_an_image(image):
    image.enable("rpcbind.service", "[Service]\nExecStart=/sbin/rpcbind\n")
    found = image.judge(ports)
    assert found["ports.exposed 111/tcp (rpcbind)"][0] == "open"
    assert found["ports.firewall_off firewall"][0] == "open"


def test_an_image_where_nothing_listens(image):
    assert {status for status, _reason in image.judge(ports).values()} == {"passed", "not_applicable"}


def test_an_image_without_an_init_starts_nothing_and_that_is_no_pass(image):
    image.enable("ssh.service", SSH_UNIT)
    image.enable("rpcbind.service", "[Service]\nExecStart=/sbin/rpcbind\n")
    image.put("etc/cron.daily/logrotate", "")
    image.put("usr/sbin/logrotate", "")
    image.put("usr/bin/apt-get", "")
    image.put("var/lib/dpkg/status", "")
    image.redis("bind * -::*\nprotected-mode no\n")
    detectors = (ports, services, fail2ban, logrotate, updates, redis)

    def judged() -> dict[str, tuple[str, str]]:
        return {name: one for detector in detectors for name, one in image.judge(detector, declared=["22/tcp"]).items()}

    before = judged()
    for name in ("ports.exposed 111/tcp (rpcbind)", "ports.firewall_off firewall", "services.unneeded rpcbind (systemd)",
                 "fail2ban.missing brute force", "logrotate.not_running logrotate",
                 "updates.unattended_off automatic security updates"):
        assert before[name][0] == "open", name
    (image.root / "usr/lib/systemd/systemd").unlink()
    after = judged()
    assert after["ports.exposed listeners"] == after["ports.undeclared listeners"] == ("unknown", at_boot.NO_INIT)
    assert [name for name in after if name.startswith("ports.exposed")] == ["ports.exposed listeners"]
    assert after["services.unneeded rpcbind (systemd)"] == ("passed", "there is no init in it that would start it")
    for name in ("ports.firewall_off firewall", "fail2ban.missing", "fail2ban.no_lockout", "logrotate.not_running logrotate",
                 "updates.unattended_off automatic security updates"):
        assert after[name][0] == "not_applicable", name
    # Whoever runs it runs what is installed, by its files.
    assert [name for name, one in after.items() if name.startswith("redis.no_auth") and one[0] == "open"]
    assert {name: one for name, one in after.items() if name.startswith("redis")} == {
        name: one for name, one in before.items() if name.startswith("redis")}
    image.put("sbin/init", "")
    assert image.host.system().init == "sysvinit"
    assert judged()["ports.firewall_off firewall"][0] == "open"


IPTABLES = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"


def test_rules_that_iptables_persistent_loads(image):
    image.enable("rpcbind.service", "[Service]\nExecStart=/sbin/rpcbind\n")
    image.enable("netfilter-persistent.service", "[Service]\nType=oneshot\nExecStart=/x\n")
    image.put("etc/iptables/rules.v4", IPTABLES)
    assert image.judge(ports)["ports.exposed 111/tcp (rpcbind)"][0] == "open"  # over IPv6
    image.put("etc/iptables/rules.v6", IPTABLES)
    assert image.judge(ports)["ports.exposed 111/tcp (rpcbind)"][0] == "passed"
    image.put("etc/iptables/rules.v6", IPTABLES.replace("-p tcp --dport 22", "-i eth0"))
    assert image.judge(ports)["ports.exposed 111/tcp (rpcbind)"][0] == "unknown"


def test_rules_of_ufw(image):
    image.enable("rpcbind.service", "[Service]\nExecStart=/sbin/rpcbind\n")
    image.enable("ssh.service", SSH_UNIT)
    image.enable("ufw.service", "[Service]\nType=oneshot\nExecStart=/usr/lib/ufw/ufw-init start\n")
    image.put("etc/ufw/ufw.conf", "ENABLED=yes\n")
    image.put("etc/default/ufw", 'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\n')
    for number, prefix in (("", "ufw"), ("6", "ufw6")):
        image.put(f"etc/ufw/before{number}.rules", f"*filter\n:{prefix}-before-input - [0:0]\n"
                  f"-A {prefix}-before-input -i lo -j ACCEPT\nCOMMIT\n")
        image.put(f"etc/ufw/user{number}.rules", f"*filter\n:{prefix}-user-input - [0:0]\n"
                  f"-A {prefix}-user-input -p tcp --dport 22 -j ACCEPT\nCOMMIT\n")
    found = image.judge(ports)
    assert found["ports.exposed 22/tcp (sshd)"][0] == "open"
    assert found["ports.exposed 111/tcp (rpcbind)"][0] == "passed"
    assert found["ports.firewall_off firewall"][0] == "passed"
    given = {**ports.POLICY, "common": COMMON}
    assert {one["risk"] for one in ports.check(ports.collect(image.host, given), given) if one["status"] == "open"} == {"manual"}
    image.put("etc/default/ufw", 'IPV6=no\nDEFAULT_INPUT_POLICY="DROP"\n')
    assert image.judge(ports)["ports.exposed 111/tcp (rpcbind)"][0] == "open"


def test_what_cannot_be_loaded_or_is_firewalld_is_unknown(image):
    image.enable("rpcbind.service", "[Service]\nExecStart=/sbin/rpcbind\n")
    image.enable("nftables.service", "[Service]\nType=oneshot\nExecStart=/usr/sbin/nft -f /etc/nftables.conf\n")
    image.put("etc/nftables.conf", "table inet a { }\n")
    assert image.judge(ports)["ports.exposed 111/tcp (rpcbind)"][0] == "unknown"
    assert firewall_boot.nft_files(image.host.boot_services()) == ["/etc/nftables.conf"]
    image.enable("firewalld.service", "[Service]\nExecStart=/usr/sbin/firewalld\n")
    assert any("firewalld" in gap for gap in image.host.firewall().gaps)


def chroot(image: Image, code: int, out: str = "", err: str = "") -> FakeHost:
    """Return an image in which commands can be run, and say what is given."""
    return FakeHost(image.root, {"": (code, out, err)}, running=False, units=None)


def test_zones_of_firewalld_are_loaded_by_its_own_code_and_read_back(image):
    image.enable("firewalld.service", "[Service]\nExecStart=/usr/sbin/firewalld\n")
    image.put("usr/sbin/firewalld", "#!/usr/libexec/platform-python -s\n")
    host = chroot(image, 0, (FIXTURES / "firewalld_boot.json").read_text("utf-8"))
    firewall = host.firewall()
    assert (firewall.manager, firewall.gaps, firewall.active) == ("firewalld", (), True)
    # The default zone, public, lets ssh in; 6379/tcp was opened in it.
    for port, state in ((22, "open"), (6379, "open"), (111, "closed")):
        assert firewall.reach("tcp", 4, "0.0.0.0", port).state == state
    assert firewall.reach("tcp", 6, "::", 111).state == "closed"
    [argv] = [one for one in host.asked if one[0] == "unshare"]
    assert argv[:4] == ("unshare", "--net", "--", "sh") and "/usr/libexec/platform-python" in argv


@pytest.mark.parametrize(
    ("more", "err", "gap"),
    [
        ({}, "ipset not usable\nERROR: INVALID_PROTOCOL: esp\n", "cannot be loaded to be judged: ERROR: INVALID_PROTOCOL: esp"),
        ({"etc/firewalld/firewalld.conf": "FirewallBackend=iptables\n"}, "", "rules for iptables can only be told once it runs"),
    ],
)
def test_firewalld_that_cannot_be_judged_is_unknown_with_the_reason(image, more, err, gap):
    image.enable("firewalld.service", "[Service]\nExecStart=/usr/sbin/firewalld\n")
    for name, text in more.items():
        image.put(name, text)
    firewall = chroot(image, 1, err=err).firewall()
    assert gap in firewall.gaps[0] and firewall.active is None
    assert firewall.reach("tcp", 4, "0.0.0.0", 22).state == "unknown"


@pytest.mark.parametrize(("right", "told"), [("lo", ""), ("eth0", "rules of the firewall name interfaces")])
def test_rules_that_name_interfaces(right, told):
    rule = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": right}}
    rules = NftRules([{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [rule]}}])
    assert firewall_boot.names_interface(rules).startswith(told) and bool(firewall_boot.names_interface(rules)) == bool(told)
    text = f"*filter\n:INPUT DROP [0:0]\n-A INPUT -i {right} -j ACCEPT\n"
    assert firewall_boot.names_interface(IptablesRules.parse(text, 4, "x")).startswith(told)


def loads() -> bool:
    return bool(shutil.which("nft") and shutil.which("unshare")) and subprocess.run(
        ["unshare", "--net", "--", "nft", "list", "ruleset"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not loads(), reason="no nft here that may load rules apart")
def test_rules_of_nftables_are_what_the_kernel_makes_of_them(tmp_path):
    rules = tmp_path / "rules.nft"
    rules.write_text('define open = { 22 }\ntable inet hm_apart { chain c { type filter hook input priority 0; policy drop;\n'
                     'iif "lo" accept\n tcp dport $open accept\n ip saddr 10.0.0.0/8 tcp dport 6379 accept\n }\n}\n')
    found: tuple[list[Any], list[str]] = ([], [])
    firewall_boot._load(Host(running=False), [str(rules)], *found)
    firewall = firewall_boot.BootFirewall(*found, "nftables")
    assert firewall.active and found[1] == []
    assert firewall.reach("tcp", 4, "0.0.0.0", 22).state == "open"
    assert firewall.reach("tcp", 6, "::", 6379).state == "closed"
    assert firewall.reach("tcp", 4, "0.0.0.0", 6379).sources == ("10.0.0.0/8",)
    assert b"hm_apart" not in subprocess.run(["nft", "list", "tables"], capture_output=True, check=True).stdout
    rules.write_text("no rules\n")
    found = ([], [])
    firewall_boot._load(Host(running=False), [str(rules)], *found)
    assert "cannot be loaded to be judged" in found[1][0]


# Redis

@pytest.mark.parametrize(
    ("conf", "version", "no_auth", "exposed"),
    [
        ("bind 0.0.0.0\nprotected-mode no\n", "5:7.0.15-1", "open", "open"),
        ("bind 0.0.0.0\n", "5:7.0.15-1", "passed", "passed"),  # protected mode
        ("bind 0.0.0.0\n", "5:6.0.16-1", "open", "open"),  # which an explicit bind switched off then
        ("bind 127.0.0.1 -::1\n", "5:7.0.15-1", "passed", "passed"),
        ("port 6379\nprotected-mode no\n", "5:7.0.15-1", "open", "open"),  # no bind means all
        ("bind 0.0.0.0\nprotected-mode no\nrequirepass 8fj3kfj3kfkk39\n", "5:7.0.15-1", "passed", "open"),
        ("bind 0.0.0.0\nprotected-mode no\naclfile /etc/redis/users.acl\nrequirepass x\n", "5:7.0.15-1", "open", "open"),
        ("bind somewhere.example\n", "5:7.0.15-1", "unknown", "unknown"),
        ("bind 0.0.0.0\ninclude /etc/redis/none.conf\n", "5:7.0.15-1", "unknown", "unknown"),
        ("port 0\n", "5:7.0.15-1", "unknown", "passed"),
    ],
)
def test_redis_of_an_image(image, conf, version, no_auth, exposed):
    image.redis(conf, version)
    image.put("etc/redis/users.acl", "user default on nopass ~* +@all\n")
    found = {name.split()[0]: status for name, (status, _reason) in image.judge(redis).items()}
    assert (found["redis.no_auth"], found["redis.exposed"]) == (no_auth, exposed)
    assert set(found) == set(redis.CHECKS)
    assert found["redis.runtime_differs"] == "not_applicable"


def test_the_command_line_of_redis_is_read_last_and_its_user_is_looked_up(image):
    image.redis("bind 127.0.0.1\n")
    image.put("etc/systemd/system/redis-server.service.d/x.conf",
              "[Service]\nUser=\nExecStart=\nExecStart=/usr/bin/redis-server /etc/redis/redis.conf --bind 0.0.0.0 --port 6380\n")
    found = image.judge(redis)
    assert found["redis.runs_as_root redis-server 6380 (/etc/redis/redis.conf)"][0] == "open"
    assert ("tcp", "0.0.0.0", 6380, "redis-server") in image.where()


def test_a_weak_password_of_an_image_is_for_a_person(image):
    image.redis("bind 127.0.0.1\nrequirepass foobared\n")
    facts = redis.collect(image.host, {**redis.POLICY, "common": COMMON})
    assert "foobared" not in str(facts)
    (one,) = [one for one in redis.check(facts, redis.POLICY) if one["check"] == "redis.weak_password"]
    assert (one["status"], one["risk"]) == ("open", "manual")


def test_no_redis_is_enabled(image):
    assert {status for status, _reason in image.judge(redis).values()} == {"not_applicable"}


@pytest.mark.parametrize("text", ["", "[", "=\n[x\n\\", "[Service]\nExecStart='\n", "\x00\n[Service]\nExecStart=%\n"])
def test_hostile_units_end_in_something(image, text):
    image.enable("x.service", text)
    assert len(image.host.boot_services()) == 1
    at_boot.read_listeners(image.host)
    assert isinstance(boot.parse_unit([text]), dict)
