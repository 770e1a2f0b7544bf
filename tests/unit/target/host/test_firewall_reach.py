"""Who gets through: by maps and sets, by interfaces, by multicast, and to ports that are passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.host import firewall
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import links
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables import IptablesRules
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables_match import parse_ipset
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft import NftRules

ETH0 = links.NONE._replace(addresses={4: [("eth0", "192.0.2.2")], 6: []})
VPN = links.Links(
    {4: [("eth0", "192.0.2.2"), ("wg0", "10.8.0.1")], 6: []},
    {("eth0", 4): ("192.0.2.0/24",), ("wg0", 4): ("10.8.0.0/24",)},
    {("wg0", 4): ("10.8.0.0/24",)},
    {4: [("eth0", "224.0.0.251")], 6: []},
)
DOCKER = links.Links(
    {4: [("eth0", "192.0.2.2"), ("docker0", "172.17.0.1")], 6: []},
    {("eth0", 4): ("192.0.2.0/24",), ("docker0", 4): ("172.17.0.0/16",)},
    {("docker0", 4): ("172.17.0.0/16",)},
    {4: [], 6: []},
)
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
DOCKER_RULES = """*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
%s
COMMIT
"""


def ruleset(*entries: dict[str, Any], family: str = "inet", hook: str = "input", policy: str = "drop") -> NftRules:
    """Return a table with one base chain; an entry is a rule's statements or a whole object."""
    chain = {"family": family, "table": "t", "name": "c", "type": "filter", "hook": hook, "prio": 0, "policy": policy}
    objects: list[dict[str, Any]] = [{"table": {"family": family, "name": "t"}}, {"chain": chain}]
    for number, entry in enumerate(entries):
        if "expr" in entry:
            entry = {"rule": {"family": family, "table": "t", "chain": "c", "handle": number, **entry}}
        objects.append(entry)
    return NftRules.parse(json.dumps({"nftables": objects}))


def declared(kind: str, name: str, elements: list[Any]) -> dict[str, Any]:
    return {kind: {"family": "inet", "table": "t", "name": name, "elem": elements}}


def on(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def wall(*rulesets: Any, known: links.Links = ETH0) -> firewall.Firewall:
    return firewall.Firewall(rulesets, links=known)


def reach(*rulesets: Any, port: int = 6379, known: links.Links = ETH0, proto: str = "tcp") -> firewall.Reach:
    return wall(*rulesets, known=known).reach(proto, 4, "0.0.0.0", port)


@pytest.mark.parametrize(
    "rules",
    [
        [
            {
                "expr": [
                    {
                        "vmap": {
                            "key": {"concat": [SADDR, DPORT]},
                            "data": {"set": [[{"concat": ["203.0.113.9", 6379]}, {"accept": None}]]},
                        }
                    }
                ]
            }
        ],
        [
            declared("map", "m", [[{"concat": ["203.0.113.9", 6379]}, {"accept": None}]]),
            {"expr": [{"vmap": {"key": {"concat": [SADDR, DPORT]}, "data": "@m"}}]},
        ],
        [
            declared("set", "s", [{"concat": ["203.0.113.9", 6379]}]),
            {"expr": [on({"concat": [SADDR, DPORT]}, "@s"), {"accept": None}]},
        ],
        [
            declared("map", "m", [["203.0.113.9", {"accept": None}]]),
            {"expr": [on(DPORT, 6379), {"vmap": {"key": SADDR, "data": "@m"}}]},
        ],
    ],
    ids=["anonymous-vmap", "named-vmap", "concatenated-set", "vmap-by-source"],
)
def test_sources_in_maps_and_sets_are_tried(rules: list[dict[str, Any]]) -> None:
    found = reach(ruleset(*rules))
    assert (found.state, found.sources) == ("restricted", ("203.0.113.9",))
    assert reach(ruleset(*rules[:-1])).state == "closed"


def test_a_large_set_is_no_false_pass() -> None:
    elements = ["203.0.%d.%d" % (number // 250, number % 250) for number in range(2000)]
    found = reach(ruleset(declared("set", "s", elements), {"expr": [on(DPORT, 6379), on(SADDR, "@s"), {"accept": None}]}))
    assert found.state == "restricted" and "2000 networks of the set @s" in found.sources[0]


def test_more_sources_than_can_be_followed_are_unknown() -> None:
    pairs = [["203.0.%d.%d" % (number // 250, number % 250), {"drop": None}] for number in range(1000)]
    found = reach(ruleset(declared("map", "m", pairs), {"expr": [{"vmap": {"key": SADDR, "data": "@m"}}]}))
    assert found.state == "unknown" and "@m" in found.reason


def test_a_list_of_banned_networks_neither_hides_nor_costs_anything() -> None:
    banned = [{"prefix": {"addr": text, "len": 8}} for text in ("10.0.0.0", "172.0.0.0", "192.0.0.0", "198.0.0.0")]
    bans = {"expr": [on(SADDR, {"set": banned}), {"drop": None}]}
    assert reach(ruleset(bans, policy="accept")).state == "open"
    assert wall(ruleset(bans, policy="accept")).active is False


@pytest.mark.parametrize(
    ("family", "hook", "active"),
    [
        ("inet", "input", True),
        ("ip", "input", True),
        ("netdev", "ingress", True),
        ("bridge", "input", False),
        ("arp", "input", False),
        ("netdev", "egress", False),
        ("inet", "forward", False),
        ("inet", "output", False),
    ],
)
def test_only_what_drops_ip_traffic_to_this_host_is_a_firewall(family: str, hook: str, active: bool) -> None:
    assert wall(ruleset(family=family, hook=hook)).active is active


def test_drops_of_invalid_packets_and_of_forwarded_ones_are_no_firewall() -> None:
    invalid = {"expr": [on({"ct": {"key": "state"}}, "invalid", "in"), {"drop": None}]}
    assert wall(ruleset(invalid, policy="accept")).active is False
    forward = IptablesRules.parse("*filter\n:INPUT ACCEPT\n:FORWARD DROP\n-A FORWARD -j DROP\nCOMMIT\n", 4, "x")
    assert wall(forward).active is False


def test_what_cannot_be_told_names_the_rule() -> None:
    odd = IptablesRules.parse(
        "*filter\n:INPUT DROP\n-A INPUT -p tcp --dport 6379 -m bpf --bytecode 4 -j ACCEPT\nCOMMIT\n", 4, "x"
    )
    assert "-m bpf --bytecode 4 -j ACCEPT" in reach(odd).reason
    assert reach(odd, port=22).state == "closed"
    strange = ruleset({"expr": [on(DPORT, 6379), on({"osf": {}}, "Linux"), {"accept": None}]})
    assert "inet t c handle 0: tcp dport 6379" in reach(strange).reason


def test_who_is_let_in_on_a_vpn_interface_alone_is_not_everybody() -> None:
    ufw = IptablesRules.parse("*filter\n:INPUT DROP\n-A INPUT -i wg0 -j ACCEPT\nCOMMIT\n", 4, "x")
    found = reach(ufw, known=VPN)
    assert (found.state, found.sources, found.who) == ("restricted", ("10.8.0.0/24",), ("10.8.0.0/24 on wg0",))
    outer = IptablesRules.parse("*filter\n:INPUT DROP\n-A INPUT -i eth0 -j ACCEPT\nCOMMIT\n", 4, "x")
    assert reach(outer, known=VPN)[0::4] == ("open", ("everybody",))


def test_a_neighbour_of_an_inner_interface_is_one_with_private_addresses_and_no_default_route() -> None:
    pairs = {4: [("eth0", "192.0.2.2"), ("tailscale0", "100.101.102.103"), ("eth1", "203.0.113.5")], 6: [("eth0", "fe80::1")]}
    networks = {
        ("eth0", 4): ("192.0.2.0/24",),
        ("tailscale0", 4): ("100.101.102.103/32",),
        ("eth1", 4): ("203.0.113.0/24",),
        ("eth0", 6): ("fe80::/64",),
    }
    found = links.inner_networks(pairs, networks, {4: ["eth0"], 6: []})
    assert found == {("tailscale0", 4): ("100.64.0.0/10",), ("eth0", 6): ("fe80::/64",)}


def test_a_multicast_service_is_reached_by_its_group() -> None:
    before = "*filter\n:INPUT DROP\n-A INPUT -p udp -d 224.0.0.251 -m udp --dport 5353 -j ACCEPT\nCOMMIT\n"
    mdns = IptablesRules.parse(before, 4, "x")
    found = reach(mdns, port=5353, proto="udp", known=VPN)
    assert found.state == "open" and "multicast (224.0.0.251 on eth0)" in found.who[0]
    assert reach(mdns, port=5353, proto="udp").state == "closed"  # nothing here has joined the group
    assert reach(mdns, port=5354, proto="udp", known=VPN).state == "closed"


def test_a_published_port_is_followed_past_the_input_chain() -> None:
    one = wall(IptablesRules.parse(DOCKER_RULES % "", 4, "x"), known=DOCKER)
    (published,) = one.publications().items
    assert (published.port, published.to_address, published.to_port) == (8080, "172.17.0.2", 80)
    found = one.reach_publication(published)
    assert (found.state, found.who) == ("open", ("everybody",))
    # The listener of the userland proxy gets none of these packets.
    assert one.reach("tcp", 4, "0.0.0.0", 8080).state == "closed"
    assert one.reach("tcp", 4, "0.0.0.0", 8080).to == "172.17.0.2 port 80"


@pytest.mark.parametrize(
    ("rule", "state", "sources"),
    [
        ("-A DOCKER-USER -i eth0 -j DROP", "closed", ()),
        ("-A DOCKER-USER -i eth0 ! -s 10.9.0.0/16 -j DROP", "restricted", ("10.9.0.0/16",)),
        ("-A DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP", "closed", ()),
        ("-A DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 8081 --ctdir ORIGINAL -j DROP", "open", ()),
        ("-A DOCKER-USER -i eth0 -p tcp -m tcp --dport 8080 -j DROP", "open", ()),  # the port is 80 by then
        ("-A DOCKER-USER -m conntrack --ctstate DNAT -j DROP", "closed", ()),
    ],
)
def test_rules_of_docker_user_decide(rule: str, state: str, sources: tuple[str, ...]) -> None:
    one = wall(IptablesRules.parse(DOCKER_RULES % rule, 4, "x"), known=DOCKER)
    found = one.reach_publication(one.publications().items[0])
    assert (found.state, found.sources) == (state, sources)


@pytest.mark.parametrize(
    "dnat",
    [
        {"addr": "172.17.0.2", "port": 80},
        {"family": "ip", "addr": {"map": {"key": DPORT, "data": {"set": [[8080, {"concat": ["172.17.0.2", 80]}]]}}}},
    ],
)
def test_translation_by_nftables_is_followed(dnat: dict[str, Any]) -> None:
    objects = [
        {"chain": {"family": "ip", "table": "n", "name": "pre", "type": "nat", "hook": "prerouting", "prio": -100}},
        {
            "chain": {
                "family": "ip",
                "table": "n",
                "name": "fwd",
                "type": "filter",
                "hook": "forward",
                "prio": 0,
                "policy": "drop",
            }
        },
        {"rule": {"family": "ip", "table": "n", "chain": "pre", "expr": [on(DPORT, 8080), {"dnat": dnat}]}},
        {
            "rule": {
                "family": "ip",
                "table": "n",
                "chain": "fwd",
                "expr": [on({"ct": {"key": "status"}}, "dnat", "in"), {"accept": None}],
            }
        },
    ]
    one = wall(NftRules.parse(json.dumps({"nftables": objects})), known=DOCKER)
    published = [each for each in one.publications().items if each.proto == "tcp"]
    assert [(each.port, each.to_address, each.to_port) for each in published] == [(8080, "172.17.0.2", 80)]
    assert one.reach_publication(published[0]).state == "open"


def test_an_ipset_is_followed_and_one_of_another_kind_is_not() -> None:
    sets = parse_ipset(
        "create admins hash:net family inet\nadd admins 203.0.113.0/24\ncreate pairs hash:ip,port\nadd pairs 1.2.3.4,80\n"
    )
    text = "*filter\n:INPUT DROP\n-A INPUT -p tcp --dport 6379 -m set --match-set %s src -j ACCEPT\nCOMMIT\n"
    found = reach(IptablesRules.parse(text % "admins", 4, "x", sets))
    assert (found.state, found.sources) == ("restricted", ("203.0.113.0/24",))
    assert reach(IptablesRules.parse(text % "pairs", 4, "x", sets)).state == "unknown"
    assert reach(IptablesRules.parse(text % "gone", 4, "x", sets)).state == "unknown"


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("-m recent --update --seconds 30 --hitcount 6 --name DEFAULT --mask 255.255.255.255 --rsource -j DROP", "open"),
        ("-m hashlimit --hashlimit-above 5/sec --hashlimit-mode srcip --hashlimit-name h -j DROP", "open"),
        ("-m connlimit --connlimit-above 20 --connlimit-mask 32 -j REJECT", "open"),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP", "open"),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP", "closed"),
        ("-m mark --mark 0x1/0x1 -j DROP", "open"),
    ],
)
def test_limits_and_flags_as_the_first_packet_meets_them(rule: str, state: str) -> None:
    assert reach(IptablesRules.parse("*filter\n:INPUT ACCEPT\n-A INPUT %s\nCOMMIT\n" % rule, 4, "x")).state == state


def test_an_endless_ruleset_takes_a_bounded_number_of_steps() -> None:
    chains = "".join(":C%d - [0:0]\n" % number for number in range(40))
    jumps = "".join("-A C%d -m bpf --x 1 -j C%d\n" % (number, number + 1) * 2 for number in range(39))
    text = "*filter\n:INPUT DROP [0:0]\n%s-A INPUT -j C0\n%sCOMMIT\n" % (chains, jumps)
    found = reach(IptablesRules.parse(text, 4, "x"))
    assert (found.state, found.reason) == ("unknown", "the ruleset is too large to be followed")


def test_the_groups_and_addresses_that_the_kernel_names() -> None:
    igmp = (
        "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
        "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:0\t\t0\n"
        "2\teth0      :     2      V3\n\t\t\t\tFB0000E0     1 0:0\t\t0\n\t\t\t\t010000E0     1 0:0\t\t0\n"
    )
    igmp6 = (
        "2    eth0            ff0200000000000000000000000000fb     1 00000004 0\n"
        "2    eth0  ff020000000000000000000000000001     1 0 0\n"
    )
    assert links.joined(igmp, igmp6) == {4: [("eth0", "224.0.0.251")], 6: [("eth0", "ff02::fb")]}
    assert links.joined("x\n\x00\n", "y") == {4: [], 6: []}
    assert links.parse_addresses(b"\x10\x00\x00\x00\x03\x00" + bytes(10)) == ([], False)
