import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import ports

POLICY = dict(ports.POLICY, common={"management_networks": [], "private_networks": ["10.0.0.0/8"]})
FIREWALL = {"manager": "", "active": True, "gaps": [], "notes": []}


def port(number, state="open", process="redis-server", **more):
    way = {"family": 4, "address": "0.0.0.0", "loopback": state == "closed", "state": state, "by": "", "reason": "", "unit": None,
           "socket_unit": None, "container": None, "sources": [], **more}
    return {"proto": "tcp", "port": number, "process": process, "ways": [way], "peers": []}


def judged(*found, firewall=FIREWALL, gaps=(), **policy):
    facts = {"live": True, "boots": True, "ports": list(found), "gaps": list(gaps), "firewall": firewall, "controllers": []}
    return {(one["check"], one["resource"]): one for one in ports.check(facts, {**POLICY, **policy})}


@pytest.mark.parametrize(
    ("state", "more", "status"),
    [
        ("open", {}, "open"),
        ("closed", {}, "passed"),
        ("unknown", {"reason": "the ruleset cannot be read"}, "unknown"),
        ("restricted", {"sources": ["10.1.0.0/16"]}, "passed"),
        ("restricted", {"sources": ["203.0.113.0/24"]}, "open"),
    ],
)
def test_a_database_that_others_get_through_to(state, more, status):
    one = judged(port(6379, state, **more))["ports.exposed", "6379/tcp (redis-server)"]
    assert one["status"] == status
    assert one["reason"] if status != "open" else one["severity"] == "high"


def test_a_port_that_the_policy_allows_to_everybody_is_none():
    assert judged(port(6379), allowed={"6379/tcp": []})["ports.exposed", "6379/tcp (redis-server)"]["status"] == "passed"


def test_who_a_closed_port_would_disturb_is_named():
    published = {**port(6379, container="podman:4f5e", to="10.88.0.2 port 6379"), "peers": ["192.0.2.9"]}
    one = judged(published)["ports.exposed", "6379/tcp (redis-server)"]
    assert one["risk"] == "disruptive"
    assert one["affects"] == ["192.0.2.9 is connected", "the container podman:4f5e is behind it",
                              "what runs at 10.88.0.2 port 6379 is behind it"]


def test_ports_that_nobody_declared():
    found = judged(port(8080, process="java"), port(443, process="nginx"), declared=["443/tcp"])
    assert found["ports.undeclared", "8080/tcp (java)"]["status"] == "open"
    assert ("ports.undeclared", "443/tcp (nginx)") not in found
    assert [one["status"] for (check, _), one in judged(port(8080)).items() if check == "ports.undeclared"] == ["not_applicable"]


@pytest.mark.parametrize(("active", "status"), [(True, "passed"), (False, "open"), (None, "unknown")])
def test_a_firewall_that_drops_nothing(active, status):
    assert judged(port(80), firewall={**FIREWALL, "active": active})["ports.firewall_off", "firewall"]["status"] == status


def test_listeners_that_could_not_be_read_are_no_pass():
    found = judged(gaps=["/proc/net/tcp cannot be read"])
    assert [one["status"] for (check, _), one in found.items() if check == "ports.exposed"] == ["unknown"]


@pytest.mark.parametrize(
    ("outer", "inner", "table", "wanted"),
    [(32768, 9200, {}, "Elasticsearch"), (80, 9000, {}, ""), (8080, 5000, {}, ""), (32768, 9200, {"32768/tcp": "none"}, "")],
)
def test_what_is_published_under_another_number(outer, inner, table, wanted):
    found = judged(port(outer, process="published", to="172.17.0.2 port %d" % inner, to_port=inner), table=table)
    one = found.get(("ports.exposed", "%d/tcp (published)" % outer))
    assert (one["evidence"]["effective"]["service"] if one else "") == wanted
