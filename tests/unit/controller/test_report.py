import importlib
import json
from html import unescape
from pathlib import Path

import jsonschema
import pytest

from hostmend import catalog, report
from hostmend.core import comparison
from hostmend.core import finding as words
from hostmend.report import html, model, score
from hostmend.report.text import visible
from tests.support import report_data, tree

SCHEMA = json.loads((Path(report.__file__).parent / "schema" / "report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
finding = report_data.finding


def build(findings, **host):
    hosts = {"a": {"status": "ok", "findings": findings, **host}}
    return model.build(report_data.RUN, hosts, report_data.load_catalog())


@pytest.mark.parametrize("name", ["fleet", "remediation", "large"])
def test_reports_follow_the_published_schema(name):
    made = report_data.large(3, 20) if name == "large" else getattr(report_data, name)()
    VALIDATOR.validate(json.loads(json.dumps(made)))


def test_the_schema_itself_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), 2),
        (("score",), 101),
        (("score",), "71"),
        (("run", "mode"), "guess"),
        (("run", "started"), "yesterday"),
        (("hosts", "cache-01.example.net", "status"), "fine"),
        (("hosts", "cache-01.example.net", "score"), None),
        (("hosts", "db-01.example.net", "score"), 100),
        (("hosts", "cache-01.example.net", "findings", 0, "status"), "fixed"),
        (("hosts", "cache-01.example.net", "findings", 0, "severity"), "critical"),
        (("hosts", "cache-01.example.net", "findings", 0, "check"), "no class"),
        (("hosts", "cache-01.example.net", "findings", 0, "evidence"), {"guessed": 1}),
        (("hosts", "cache-01.example.net", "findings", 0, "fix"), {"role": "redis"}),
        (("hosts", "cache-01.example.net", "findings", 0, "outcome"), "better"),
        (("extra",), 1),
    ],
)
def test_the_schema_refuses_what_is_not_a_report(path, value):
    made = json.loads(json.dumps(report_data.fleet()))
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(made)


def test_the_schema_refuses_an_unknown_without_a_reason():
    made = build([finding("redis.no_auth", "x", "unknown", reason="no right")])
    VALIDATOR.validate(made)
    made["hosts"]["a"]["findings"][0]["reason"] = ""
    assert not VALIDATOR.is_valid(made)


def test_findings_are_joined_with_the_catalogue():
    one = build([finding("redis.no_auth", "x", references=["CVE-2026-1"])])["hosts"]["a"]["findings"][0]
    assert (one["kind"], one["severity"]) == ("vulnerability", "high")
    assert one["title"] == "Redis answers without a password"
    assert one["fix"] == {"role": "redis", "risk": "restart"}
    assert one["references"][:2] == ["CVE-2026-1", "MLPS2 8.1.4.1 a"]
    assert one["why"].startswith("Anyone who reaches")


def test_what_the_detector_says_of_the_single_case_stays():
    one = build([finding("redis.no_auth", "x", severity="low", risk="manual")])["hosts"]["a"]["findings"][0]
    assert one["severity"] == "low"
    assert one["fix"]["risk"] == "manual"


def test_joining_twice_changes_nothing():
    once = catalog.join(finding("redis.no_auth", "x", risk="manual", severity="low"), report_data.load_catalog())
    assert catalog.join(once, report_data.load_catalog()) == once


def test_an_alert_has_a_level_and_no_severity():
    one = build([finding("logins.success_after_failures", "x", severity="low")])["hosts"]["a"]["findings"][0]
    assert one["level"] == "urgent"
    assert "severity" not in one


def test_a_check_that_the_catalogue_does_not_know_is_not_dropped():
    made = build([finding("novel.thing", "x")])
    VALIDATOR.validate(made)
    assert made["hosts"]["a"]["findings"][0]["severity"] == "medium"
    assert made["score"] == 92


def test_titles_in_traditional_chinese():
    made = report_data.fleet("zh_TW")
    VALIDATOR.validate(made)
    titles = {one["title"] for one in made["hosts"]["cache-01.example.net"]["findings"]}
    assert "Redis 無需密碼即可存取" in titles


def test_the_order_is_open_first_gravest_first_safest_fix_first():
    rows = [
        finding("services.unneeded", "a"),
        finding("ports.undeclared", "a", "unknown", reason="r"),
        finding("redis.no_auth", "b", risk="disruptive"),
        finding("redis.no_auth", "a", risk="safe"),
        finding("logins.success_after_failures", "a"),
        finding("redis.exposed", "a", "passed"),
    ]
    made = [(one["check"], one["resource"]) for one in build(rows)["hosts"]["a"]["findings"]]
    assert made == [
        ("logins.success_after_failures", "a"),
        ("redis.no_auth", "a"),
        ("redis.no_auth", "b"),
        ("services.unneeded", "a"),
        ("ports.undeclared", "a"),
        ("redis.exposed", "a"),
    ]


def test_the_score_counts_a_check_once_at_its_worst():
    rows = [
        finding("redis.no_auth", "a", severity="low"),
        finding("redis.no_auth", "b"),
        finding("services.unneeded", "c"),
    ]
    assert build(rows)["score"] == 100 - 20 - 2


def test_unknown_waived_and_passed_cost_nothing_and_are_counted():
    waiver = {"reason": "r", "owner": "o", "expires": "2027-01-01"}
    rows = [
        finding("redis.no_auth", "a", "unknown", reason="r"),
        finding("redis.exposed", "a", "waived", waiver=waiver),
        finding("services.unneeded", "a", "passed"),
    ]
    made = build(rows)
    assert made["score"] == 100
    assert made["summary"]["status"] == {
        "open": 0,
        "passed": 1,
        "waived": 1,
        "not_applicable": 0,
        "unknown": 1,
        "not_assessed": 0,
    }


def test_the_score_never_falls_below_nothing():
    assert (
        score.host_score([{"check": str(n), "status": "open", "kind": "alert", "level": "urgent"} for n in range(9)])
        == 0
    )


@pytest.mark.parametrize(("scores", "mean"), [([100, 99], 99), ([0, None], 0), ([None], None), ([], None)])
def test_the_fleet_has_the_mean_of_the_hosts_that_have_a_score(scores, mean):
    assert score.fleet_score(scores) == mean


def test_a_host_that_did_not_answer_has_no_score():
    made = report_data.fleet()
    assert made["hosts"]["db-01.example.net"]["score"] is None
    assert made["score"] == (30 + 90 + 100 + 66) // 4
    assert made["summary"]["hosts"] == {"ok": 4, "unreachable": 1, "failed": 0}


# What a remediation did


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("open", "passed", "mended"),
        ("open", "not_applicable", "mended"),
        ("open", "open", "still_open"),
        ("open", "unknown", "unknown"),
        ("passed", "open", "made_worse"),
        ("not_applicable", "open", "made_worse"),
        ("unknown", "open", "still_open"),
        ("passed", "passed", None),
        ("unknown", "passed", None),
    ],
)
def test_outcome_of_a_finding(before, after, expected):
    made = comparison.compare([finding("redis.no_auth", "x", before)], [finding("redis.no_auth", "x", after)])
    assert [one.get("outcome") for one in made] == [expected]


def test_an_open_finding_that_became_graver_was_made_worse():
    made = comparison.compare([finding("a.b", "x", severity="low")], [finding("a.b", "x", severity="high")])
    assert made[0]["outcome"] == "made_worse"


def test_a_finding_whose_resource_is_gone_is_mended_only_where_its_check_was_made_again():
    before = [finding("ports.exposed", "tcp/23")]
    made = comparison.compare(before, [finding("ports.exposed", "host", "passed")])
    assert {one["resource"]: one.get("outcome") for one in made} == {"host": None, "tcp/23": "mended"}
    made = comparison.compare(before, [finding("ports.exposed", "host", "unknown", reason="timed out")])
    assert {one["resource"]: one["status"] for one in made} == {"host": "unknown", "tcp/23": "unknown"}
    assert comparison.compare(before, [])[0]["outcome"] == "unknown"


def test_what_was_hidden_before_as_well_hides_no_mended_finding() -> None:
    hidden = finding("updates.security_pending", "repository x", "unknown", reason="it has no advisories")
    before = [finding("updates.security_pending", "openssl"), hidden]
    assert [one.get("outcome") for one in comparison.compare(before, [hidden])] == [None, "mended"]
    other = finding("updates.security_pending", "installed packages", "unknown", reason="apt failed")
    assert [one.get("outcome") for one in comparison.compare(before, [hidden, other])] == [None, None, "unknown"]


def test_what_was_not_looked_at_before_was_not_made_worse():
    made = comparison.compare([], [finding("redis.no_auth", "x")])
    assert made[0]["outcome"] == "still_open"


def test_a_remediation_shows_the_score_before_and_after():
    made = report_data.remediation()
    assert (made["score_before"], made["score"]) == (65, 96)
    assert made["summary"]["outcome"] == {"mended": 4, "still_open": 1, "unknown": 1, "made_worse": 0}


# Text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain 文字", "plain 文字"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\udcff", "\\xff"),
        (7, "7"),
    ],
)
def test_control_characters_are_spelt_out(raw, shown):
    assert visible(raw) == shown
    assert visible(raw).encode()


def test_long_text_is_cut():
    assert visible("x" * 50, 10) == "x" * 9 + "…"


# HTML


def render(made):
    return html.render(made, report_data.load_catalog())


def test_the_page_needs_nothing_from_elsewhere():
    page = render(report_data.fleet())
    head = page.split("<style>")[0]
    assert "default-src 'none'" in unescape(head)
    assert "unsafe-inline" not in page
    for word in ("http://", "https://", "src=", "@import", "url("):
        assert word not in page.replace("https://json-schema.org", ""), word


def test_the_page_shows_what_an_operator_looks_for():
    page = render(report_data.fleet())
    for word in (
        "Do these first",
        "A login succeeded after many failures",
        "hostmend remediate --only services.legacy_plaintext --limit web-01.example.net",
        "nft needs root",
        "Connection timed out",
        "The cloud&#39;s security group cuts this host off",
        "10.20.4.31:51334",
        "MLPS2 8.1.4.1 a",
    ):
        assert word in page, word


def test_the_first_things_are_the_gravest_and_of_those_the_safest():
    made = build(
        [
            finding("services.unneeded", "a"),
            finding("redis.exposed", "a"),
            finding("redis.no_auth", "a"),
            finding("logins.success_after_failures", "a"),
        ]
    )
    assert [group["finding"]["check"] for group in html.first_things(made)] == [
        "logins.success_after_failures",
        "redis.no_auth",
        "redis.exposed",
        "services.unneeded",
    ]


def test_a_group_shows_the_highest_risk_in_it():
    made = build([finding("redis.no_auth", "a", risk="safe"), finding("redis.no_auth", "b", risk="disruptive")])
    assert html.first_things(made)[0]["risk"] == "disruptive"


def test_a_case_that_the_role_leaves_to_a_person_says_what_to_do():
    by_hand = finding("services.unneeded", "cups in a container", risk="manual", reason="stop it where it was started")
    page = render(build([by_hand])).split("<main")[1].split("<script")[0]
    assert "Stop it where it was started." in page
    assert "nothing is uninstalled" not in page
    assert "hostmend remediate" not in page
    both = build([{**by_hand, "severity": "high"}, finding("services.unneeded", "avahi-daemon.service")])
    [group] = html.first_things(both)
    assert (group["risk"], group["mendable"], group["worst"]["severity"]) == ("safe", ["a"], "high")
    assert "hostmend remediate --only services.unneeded --limit a" in render(both)


def test_hostile_text_is_only_text():
    page = render(report_data.hostile())
    assert "<script>document" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count("<script") == page.count("</script>") == 2
    assert "{{7*7}}" in page


def test_a_command_quotes_what_the_shell_would_read():
    made = build([finding("redis.no_auth", "a")])
    run = {"inventory": ["in ventory", "b;rm"]}
    line = html.command(run, made["hosts"]["a"]["findings"][0], ["web$(x)"])
    assert html.command({"become": True}, made["hosts"]["a"]["findings"][0], []).startswith("hostmend remediate -b ")
    assert line == "hostmend remediate -i 'in ventory' -i 'b;rm' --only redis.no_auth --limit 'web$(x)'"


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([finding("redis.no_auth", "a")], "high"),
        ([finding("logins.success_after_failures", "a"), finding("redis.no_auth", "a")], "urgent"),
        ([finding("services.unneeded", "a")], "low"),
        ([finding("services.unneeded", "a", "unknown", reason="r")], "blind"),
        ([finding("services.unneeded", "a", "passed")], "clean"),
    ],
)
def test_the_verdict(findings, expected):
    assert html.verdict(build(findings)) == expected


def test_a_link_to_a_host_lasts_and_is_its_own():
    names = ["web 01", "web/01", "web-01.example.net"]
    made = model.build(
        report_data.RUN, {name: {"status": "ok", "findings": []} for name in names}, report_data.load_catalog()
    )
    page = render(made)
    for anchor in ("host-web_01", "host-web_01_", "host-web-01.example.net"):
        assert page.count(f'id="{anchor}"') == 1
        assert page.count(f'href="#{anchor}"') == 1


def test_the_page_of_no_host_at_all_can_be_read():
    page = render(model.build(report_data.RUN, {}, report_data.load_catalog()))
    assert "No host could be audited." in page


def test_every_word_of_the_page_is_in_both_languages():
    for key, texts in html.words().items():
        assert set(texts) == {"en", "zh_TW"}, key
        assert all(texts.values()), key


def test_every_word_that_the_page_asks_for_is_there():
    for made in (
        report_data.fleet("zh_TW"),
        report_data.remediation(),
        report_data.remediation("check"),
        report_data.large(30, 100),
    ):
        assert render(made)


def test_passed_evidence_is_left_out_of_a_large_page_and_the_page_says_so():
    page = render(report_data.large(21, 100))
    assert "evidence of passed checks is in report.json" in page.split("<main")[1].split("<footer")[0]


# One vocabulary


def test_the_words_are_the_same_on_the_target_and_in_the_schema():
    assert tree.COLLECTIONS
    target = importlib.import_module("ansible_collections.hostmend.hardening.plugins.module_utils.finding")
    definitions = SCHEMA["$defs"]
    assert target.STATUSES == words.STATUSES == tuple(definitions["status"]["enum"])
    assert tuple(definitions["severity"]["enum"]) == words.SEVERITIES
    assert tuple(definitions["level"]["enum"]) == words.LEVELS
    assert tuple(definitions["risk"]["enum"]) == words.RISKS
    assert tuple(definitions["finding"]["properties"]["outcome"]["enum"]) == words.OUTCOMES
    assert set(words.GRADES) == {*words.SEVERITIES, *words.LEVELS}


def test_each_finding_has_the_changes_that_are_for_it():
    found = [
        {"check": "ports.exposed", "status": "open", "resource": f"{port}/tcp (x)", "fix": {"role": "ports"}}
        for port in (80, 6380)
    ]
    names = ("80/tcp", "6380/tcp", "/etc/hostmend/firewall.nft")
    changes = [{"role": "ports", "kind": "rule", "name": name, "action": "close"} for name in names]
    model._tie(found, [*changes, {"role": "redis", "kind": "file", "name": "80/tcp", "action": "modify"}])
    assert [one["changes"] for one in found] == [[0, 2], [1, 2]]
