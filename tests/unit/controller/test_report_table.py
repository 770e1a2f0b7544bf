import io

import pytest
from rich.console import Console

from hostmend.report import table
from tests.support import report_data


def test_the_gravest_finding_comes_first_and_the_files_come_last():
    lines = table.text(report_data.fleet(), ["out/report.html"], width=160).splitlines()
    host = lines.index("cache-01.example.net  30/100")
    assert lines[host + 1].split() == ["grade", "finding", "check,", "risk", "of", "the", "fix"]
    # A long reason goes on in the next line, which has no grade.
    grades = [line.split()[0] for line in lines[host + 2 :] if line[2:3].strip()]
    assert grades[:6] == ["high"] * 3 + ["medium"] * 2 + ["low"]
    assert lines[-1] == "Report: out/report.html"


def test_what_is_unknown_shows_its_reason_and_that_it_is_no_pass():
    shown = " ".join(table.text(report_data.fleet(), width=120).split())
    assert "nft needs root" in shown
    assert "1 unknown" in shown
    assert "not a pass" in shown
    assert "db-01.example.net unreachable: ssh: connect to host" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(width):
    text = table.text(report_data.fleet(), ["reports/report.html"], width=width)
    assert max(map(len, text.splitlines())) <= width


def test_hostile_text_reaches_no_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=100)
    table.show(report_data.hostile(), console, [report_data.HOSTILE])
    written = console.file.getvalue()
    assert "\x1b[31m" not in written.replace("\x1b[31mopen", "")  # the report's own red is bold, or of 256 colours
    assert "\\x1b[31mred" in written.replace("\n", "")
    assert "\u202e" not in written


def test_markup_of_the_terminal_library_is_only_text():
    bad = report_data.finding("redis.no_auth", "[bold]x[/bold] [/] :smile:")
    report = report_data.model.build(
        report_data.RUN, {"a": {"status": "ok", "findings": [bad]}}, report_data.load_catalog()
    )
    assert "[bold]x[/bold] [/] :smile:" in table.text(report, width=160)


def test_without_a_terminal_there_is_no_escape_sequence():
    console = Console(file=io.StringIO())
    table.show(report_data.fleet(), console)
    assert "\x1b" not in console.file.getvalue()


def test_a_remediation_says_what_became_of_each_finding():
    text = table.text(report_data.remediation(), width=120)
    assert "Score 65 -> 96/100" in text
    assert "Remediation: 4 mended, 1 still open, 1 unknown, 0 made worse" in text
    assert "3 changes made:" in text
    assert "3 changes would be made:" in table.text(report_data.remediation("check"))


def test_clean_hosts_take_one_line():
    report = report_data.model.build(
        report_data.RUN,
        {f"h{n}": {"status": "ok", "findings": report_data.CLEAN} for n in range(3)},
        report_data.load_catalog(),
    )
    assert table.text(report).splitlines()[0] == "Nothing open on h0, h1, h2"


def test_findings_that_differ_in_their_resource_only_are_one_line():
    shown = table.text(report_data.alike(), width=120)
    lines = [line for line in shown.splitlines() if "ports.exposed" in line]
    assert len(lines) == 2, shown
    assert "service-3 " in lines[0], "what is known to be exploited stands by itself"
    assert "(29)" in lines[1]
    assert "and 9 more" in " ".join(shown.split())
    assert "31 open" in shown


def test_a_few_findings_of_one_check_are_shown_one_by_one():
    shown = table.text(report_data.alike(6), width=120)
    assert [line.count("service-") for line in shown.splitlines() if "ports.exposed" in line] == [1] * 6


def test_hosts_of_which_the_same_is_shown_are_shown_together():
    def findings(resource):
        return [report_data.finding("redis.no_auth", resource, reason="10.0.0.5:6379 answers anybody")]

    hosts = {name: {"status": "ok", "findings": findings("redis 6379")} for name in ("cache-1", "cache-2")}
    hosts["cache-3"] = {"status": "ok", "findings": findings("redis 6380")}
    shown = table.text(report_data.model.build(report_data.RUN, hosts, report_data.load_catalog()), width=160)
    assert "cache-1, cache-2 (2 hosts)" in shown
    assert shown.count("redis 6379") == 1
    assert "\ncache-3  " in shown


def test_an_open_finding_shows_its_reason():
    open_ = report_data.finding("redis.no_auth", "redis 6379", reason="10.0.0.5:6379 answers anybody")
    report = report_data.model.build(report_data.RUN, {"a": {"status": "ok", "findings": [open_]}}, report_data.load_catalog())
    assert "redis 6379: 10.0.0.5:6379 answers anybody" in table.text(report, width=160)
