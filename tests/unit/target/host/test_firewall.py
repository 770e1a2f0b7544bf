"""Rulesets captured from nftables, iptables and ufw, followed by packets; and text that is hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.host import firewall
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall import rules as firewall_rules
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.iptables import IptablesRules
from ansible_collections.hostmend.hardening.plugins.module_utils.host.firewall.nft import NftRules
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import FIXTURES

TEXTS = FIXTURES / "firewall"
WAYS = {4: [("eth0", "192.0.2.2")], 6: [("eth0", "2001:db8::2")]}
ANY = {4: "0.0.0.0", 6: "::"}


def text(name: str) -> str:
    return (TEXTS / name).read_text()


def wall(*rulesets: Any, gaps: tuple[str, ...] = ()) -> Any:
    return firewall.Firewall(rulesets, gaps, interfaces=WAYS)


def state(one: Any, family: int, port: int, proto: str = "tcp") -> str:
    return str(one.reach(proto, family, ANY[family], port).state)


def nft(*rules: list[dict[str, Any]], policy: str = "accept", family: str = "inet") -> NftRules:
    place = {"family": family, "table": "t", "chain": "input"}
    made: list[dict[str, Any]] = [
        {"table": {"family": family, "name": "t"}},
        {
            "chain": {
                "family": family,
                "table": "t",
                "name": "input",
                "type": "filter",
                "hook": "input",
                "prio": 0,
                "policy": policy,
            }
        },
    ]
    made += [{"rule": {**place, "expr": rule}} for rule in rules]
    return NftRules.parse(json.dumps({"nftables": made}))


def on(protocol: str, name: str, value: Any, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": {"payload": {"protocol": protocol, "field": name}}, "right": value}}


@pytest.mark.parametrize(
    ("family", "proto", "port", "wanted"),
    [
        (4, "tcp", 22, "open"),
        (6, "tcp", 22, "open"),
        (4, "tcp", 8005, "open"),
        (4, "tcp", 8001, "closed"),  # accepted by one base chain, dropped by the other
        (4, "tcp", 6379, "restricted"),
        (6, "tcp", 6379, "closed"),
        (4, "tcp", 5432, "open"),  # "ip6 saddr !=" says nothing of IPv4
        (6, "tcp", 5432, "restricted"),
        (4, "udp", 53, "open"),
        (4, "udp", 161, "closed"),
        (4, "tcp", 9200, "closed"),  # returns from its chain to a policy that drops
        (4, "tcp", 9201, "open"),
        (4, "tcp", 3306, "closed"),
    ],
)
def test_two_tables_of_nftables(family: int, proto: str, port: int, wanted: str) -> None:
    one = wall(NftRules.parse(text("two_tables.json")))
    assert one.active is True
    assert state(one, family, port, proto) == wanted


def test_who_is_let_in_is_named() -> None:
    reach = wall(NftRules.parse(text("two_tables.json"))).reach("tcp", 4, "0.0.0.0", 6379)
    assert reach.sources == ("10.1.0.0/16",)


def test_ufw_as_iptables_prints_it() -> None:
    one = wall(
        IptablesRules.parse(text("ufw_v4.txt"), 4, "iptables-save"),
        IptablesRules.parse(text("ufw_v6.txt"), 6, "ip6tables-save"),
    )
    assert [state(one, family, 22) for family in (4, 6)] == ["open", "open"]
    assert [state(one, family, 6379) for family in (4, 6)] == ["restricted", "closed"]
    assert [state(one, family, 23) for family in (4, 6)] == ["closed", "closed"]


def test_ufw_without_ipv6_leaves_ipv6_open() -> None:
    one = wall(IptablesRules.parse(text("ufw_v4.txt"), 4, "iptables-save"))
    assert (state(one, 4, 23), state(one, 6, 23)) == ("closed", "open")


def test_a_published_port_has_no_listener_and_is_seen() -> None:
    one = wall(IptablesRules.parse(text("docker_v4.txt"), 4, "iptables-save"))
    (published,) = [each for each in one.publications().items if each.port == 8080]
    assert (published.proto, published.to_address, published.to_port) == ("tcp", "172.17.0.2", 80)


def test_an_accept_does_not_override_another_chain() -> None:
    lets, drops = nft([on("tcp", "dport", 6379), {"accept": None}]), nft([on("tcp", "dport", 6379), {"drop": None}])
    assert state(wall(lets, drops), 4, 6379) == "closed"
    assert state(wall(drops, lets), 4, 6379) == "closed"


def test_legacy_rules_and_nft_together() -> None:
    legacy = IptablesRules.parse(
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 6379 -j DROP\nCOMMIT\n", 4, "legacy"
    )
    assert state(wall(nft(), legacy), 4, 6379) == "closed"
    assert state(wall(nft(), legacy), 6, 6379) == "open"


@pytest.mark.parametrize(
    "odd", [{"xt": None}, {"match": {"op": "==", "left": {"osf": {}}, "right": "Linux"}}, {"never": {"seen": 1}}]
)
def test_what_is_not_understood_is_unknown(odd: dict[str, Any]) -> None:
    assert state(wall(nft([odd, {"drop": None}])), 4, 22) == "unknown"
    assert state(wall(nft([odd, {"accept": None}], policy="drop")), 4, 22) == "unknown"
    assert state(wall(nft([odd, {"accept": None}])), 4, 22) == "open"  # whatever it means, nothing drops


def test_an_iptables_match_that_is_not_understood_is_unknown() -> None:
    rules = IptablesRules.parse("*filter\n:INPUT DROP [0:0]\n-A INPUT -m bpf --bytecode 4 -j ACCEPT\nCOMMIT\n", 4, "x")
    assert state(wall(rules), 4, 22) == "unknown"


def test_a_ruleset_that_cannot_be_read_is_unknown() -> None:
    one = wall(gaps=("no program reads it",))
    assert (one.active, state(one, 4, 22)) == (None, "unknown")


def test_chains_that_jump_in_circles_end() -> None:
    chain = {"family": "inet", "table": "t", "chain": "input"}
    rules = NftRules.parse(
        json.dumps(
            {
                "nftables": [
                    {
                        "chain": {
                            "family": "inet",
                            "table": "t",
                            "name": "input",
                            "type": "filter",
                            "hook": "input",
                            "prio": 0,
                        }
                    },
                    {"rule": {**chain, "expr": [{"jump": {"target": "input"}}]}},
                ]
            }
        )
    )
    assert state(wall(rules), 4, 22) == "unknown"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70000)
    | st.sampled_from(["accept", "drop", "@s", "tcp", "10.0.0.0/8", "input", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "match",
                    "left",
                    "right",
                    "op",
                    "payload",
                    "protocol",
                    "field",
                    "meta",
                    "key",
                    "set",
                    "vmap",
                    "data",
                    "accept",
                    "drop",
                    "jump",
                    "target",
                    "prefix",
                    "range",
                    "concat",
                    "elem",
                    "val",
                    "limit",
                    "ct",
                    "fib",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(JSON, max_size=3), max_size=4), st.sampled_from(["accept", "drop"]))
def test_hostile_rules_end_in_an_answer(rules: list[list[Any]], policy: str) -> None:
    one = wall(nft(*rules, policy=policy))
    assert state(one, 4, 22) in ("open", "restricted", "closed", "unknown")
    if policy == "drop" and not any("accept" in json.dumps(rule) for rule in rules):
        assert state(one, 4, 22) != "open" or "dnat" in json.dumps(rules)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("*:-A INPUT\n ! -p tcp --dport 22 -j DROP,\"'"), max_size=200))
def test_hostile_text_of_iptables_ends_in_an_answer(hostile: str) -> None:
    one = wall(IptablesRules.parse("*filter\n:INPUT ACCEPT\n" + hostile, 4, "x"))
    assert state(one, 4, 22) in ("open", "restricted", "closed", "unknown")


# The rules that close ports


def test_closing_adds_to_what_is_closed_and_the_state_is_read_back() -> None:
    first = firewall_rules.merge({}, {"6379/tcp": ["10.1.0.0/16"]}, {}, ["192.0.2.1"], ["22/tcp"], True)
    again = firewall_rules.merge(
        firewall_rules.state_of(firewall_rules.nft_text(first)), {"23/tcp": []}, {}, [], [], False
    )
    assert again == {
        "closed": {"6379/tcp": ["10.1.0.0/16"], "23/tcp": []},
        "published": {},
        "trusted": ["192.0.2.1"],
        "deny": True,
        "accept": ["22/tcp"],
    }


def test_the_table_lets_in_what_is_established_and_trusted_first() -> None:
    made = firewall_rules.nft_text(
        firewall_rules.merge({}, {"6379/tcp": []}, {}, ["192.0.2.1", "2001:db8::1"], ["22/tcp"], True)
    )
    order = [
        "ct state established",
        'iif "lo"',
        "192.0.2.1/32",
        "2001:db8::1/128",
        "tcp dport 6379 drop",
        "tcp dport { 22 } accept",
    ]
    assert sorted(order, key=made.index) == order
    assert "flush" not in made


def test_ufw_keeps_its_rules_in_words_that_are_known() -> None:
    present = firewall_rules.ufw_present(text("ufw_user.rules"))
    assert present == {"allow tcp 22 any any", "allow tcp 6379 any 10.1.0.0/16"}
    wanted = [rule for rule, unused in firewall_rules.ufw_rules({"6379/tcp": ["10.1.0.0/16"]}, [])]
    assert wanted == ["deny tcp 6379 any any", "allow tcp 6379 any 10.1.0.0/16"]


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="spam"):
        firewall_rules.networks(["spam"])


def test_the_table_comes_back_where_the_administrators_rules_are_loaded_anew():
    unit = firewall_rules.UNIT.format(nft="/usr/sbin/nft", path="/etc/hostmend/firewall.nft").splitlines()
    assert {"PartOf=nftables.service", "ReloadPropagatedFrom=nftables.service"} <= set(unit)
    assert "After=local-fs.target nftables.service" in unit
