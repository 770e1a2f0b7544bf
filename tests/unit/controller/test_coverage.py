"""Each form of a report says what was looked at and what was not, so that a score is not taken for a safe host."""

import json

import jsonschema
import pytest

from hostmend import catalog as catalogue
from hostmend.report import coverage, formats, html, model, table
from tests.support import report_data
from tests.support.paths import ROOT

SCHEMA = json.loads((ROOT / "src/hostmend/report/schema/report.schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def report():
    findings = [report_data.finding("redis.no_auth", "r"), report_data.finding("ports.exposed", "p")]
    return model.build(report_data.RUN, {"a": {"status": "ok", "findings": findings}}, catalogue.load())


def test_each_class_is_an_area_and_each_area_is_named_in_both_languages():
    catalog = catalogue.load()
    assert set(catalog.classes) <= set(catalog.areas)
    assert all(text.get(language).strip() for text in catalog.areas.values() for language in catalogue.LANGUAGES)


def test_what_was_left_out_is_told_from_what_this_version_does_not_cover(report):
    catalog = catalogue.load()
    covered = report["coverage"]
    assert covered["looked_at"] == ["redis", "ports"]
    assert set(covered["left_out"]) == set(catalog.classes) - {"redis", "ports"}
    assert covered["areas"] == sum(len(covered[part]) for part in ("looked_at", "unknown", "left_out", "not_covered"))
    assert {"ssh", "passwords"} <= set(covered["not_covered"])
    jsonschema.validate(report, SCHEMA)


@pytest.mark.parametrize("name", ["table", "markdown", "junit", "sarif", "html", "json"])
def test_each_form_says_it(report, name):
    text = formats.render(report, name)
    assert "ssh" in text
    assert "web servers" in text or name == "json"


def test_it_comes_first_in_a_terminal(report):
    shown = " ".join(table.text(report, width=200).split())
    assert shown.startswith(f"Looked at 2 of {report['coverage']['areas']} areas: redis, ports. Left out here: ")


def test_a_reader_of_the_other_language_reads_it_in_his(report):
    assert "SSH" in coverage.sentence(report, "zh_TW")
    assert "Looked at" not in coverage.sentence(report, "zh_TW")
    assert "密碼" in html.render({**report, "language": "zh_TW"})


def test_a_report_of_an_earlier_version_says_nothing(report):
    earlier = {key: value for key, value in report.items() if key != "coverage"}
    assert coverage.sentence(earlier) == ""
    assert "areas" not in table.text(earlier)


def test_an_area_of_which_nothing_could_be_told_was_not_looked_at():
    findings = [
        report_data.finding("redis.no_auth", "r", "unknown", reason="timed out"),
        report_data.finding("ports.exposed", "p", "unknown", reason="needs root"),
        report_data.finding("ports.undeclared", "p", "passed"),
    ]
    report = model.build(report_data.RUN, {"a": {"status": "ok", "findings": findings}}, catalogue.load())
    assert report["coverage"]["looked_at"] == ["ports"]
    assert report["coverage"]["unknown"] == ["redis"]
    jsonschema.validate(report, SCHEMA)
    assert "Nothing could be told of: redis." in coverage.sentence(report, "en")
    assert "Nothing could be told of:" in html.render(report)
    assert "無法判斷" in coverage.sentence(report, "zh_TW")


def test_a_host_that_nothing_was_judged_on_counts_for_no_area():
    report = model.build(report_data.RUN, {"a": {"status": "unreachable", "findings": [], "reason": "x"}}, catalogue.load())
    assert report["coverage"]["looked_at"] == []
    assert coverage.sentence(report, "en").startswith("Looked at none of ")
    assert report["score"] is None
