"""What others write never breaks a format, a log, a unit or the one line that a person gets."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hostmend import ansible_config, ansible_run
from hostmend.agent import report_store
from hostmend.core.errors import HostmendError, StoreError
from hostmend.report import formats, model
from hostmend.report.text import LogStream, visible, without_commands
from hostmend.schedule import files
from hostmend.schedule.model import CRON, Places, Schedule
from hostmend.store import Store
from tests.support import report_data
from tests.support.paths import ROOT

FULL = Path("/dev/full")


def report(resource: str) -> dict[str, Any]:
    finding = report_data.finding("redis.no_auth", resource, reason=resource)
    return model.build(report_data.RUN, {"h": {"status": "ok", "findings": [finding]}}, report_data.load_catalog())


@pytest.mark.parametrize(
    "sign",
    ["\u00ad", "\u180e", "\U000e0041", "\u200b", "\u202e", "\ufffe", "\uffff", "\ue000", "\u0378", "\u3164", "\u034f", "\ufe0f"],
)
def test_a_sign_that_nobody_sees_is_spelt_out_in_every_format(sign: str) -> None:
    assert visible(f"a{sign}b").isascii()
    made = report(f"a{sign}b")
    for name in formats.FORMATS:
        assert sign not in formats.render(made, name), name


@pytest.mark.parametrize("text", ["x;=cmd|'/C calc'!A0;y", 'x;"=cmd"', "=1", " +1", '"@x', "x; -1", "\uff1dx", "x;\t=1", "\t=1"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_no_cell_is_a_formula_however_the_cells_are_divided(text: str, delimiter: str) -> None:
    for row in csv.reader(io.StringIO(formats.render(report(text), "csv")), delimiter=delimiter):
        for cell in row:
            assert not cell.strip(" \"'\t").startswith(("=", "+", "-", "@", "\uff1d")) or cell.lstrip().startswith("'"), cell


@pytest.mark.parametrize("text", ["www.evil.com", "WWW.evil.com", "see www.evil.com/x", "http://evil.com", "a@evil.com"])
def test_no_words_of_a_host_are_a_link_in_markdown(text: str) -> None:
    made = formats.render(report(text), "markdown")
    for bad in ("www.", "WWW.", "://", "a@evil"):
        assert bad not in made


@pytest.mark.parametrize(
    "text", ["::stop-commands::zz", "   ::error::x", "a ##[add-mask]y", "##vso[task.setvariable x]", "b\n ::debug::c"]
)
def test_no_line_of_a_log_is_a_command_to_the_pipeline(text: str) -> None:
    stream = io.StringIO()
    log = LogStream(stream)
    for part in (text[:3], text[3:], "\n", text):
        log.write(part)
    for line in stream.getvalue().splitlines():
        assert not line.strip().startswith("::")
    assert "##[" not in without_commands(text)
    assert "##vso[" not in without_commands(text)
    document = json.dumps({"x": text})
    assert json.loads(without_commands(document)) == {"x": text}


def test_addresses_of_ipv6_stay_as_they_are() -> None:
    assert without_commands("high  redis: redis-server :::6379 [::]:22") == "high  redis: redis-server :::6379 [::]:22"


def test_a_report_with_what_json_has_not_is_one_line(tmp_path: Path) -> None:
    made = report("x")
    made["hosts"]["h"]["findings"][0]["evidence"] = {"effective": float("nan")}
    (tmp_path / "report.json").write_text(json.dumps(made))
    done = command("report", str(tmp_path / "report.json"), tmp_path=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "NaN" in done.stderr


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_has_not_is_text_in_every_format(number: float) -> None:
    finding = report_data.finding("redis.no_auth", "r", evidence={"effective": {"x": [number, 1.5]}})
    made = model.build(report_data.RUN, {"h": {"status": "ok", "findings": [finding]}}, report_data.load_catalog())
    assert made["hosts"]["h"]["findings"][0]["evidence"] == {"effective": {"x": [str(number), 1.5]}}
    for name in formats.FORMATS:
        text = formats.render(made, name)
        assert not name.endswith("json") or json.loads(text, parse_constant=pytest.fail)


def command(*arguments: str, tmp_path: Path, stdout: Any = subprocess.PIPE, **environ: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, "HOSTMEND_STORE": str(tmp_path / "store.db"), "PYTHONPATH": str(ROOT / "src"), **environ}
    return subprocess.run(
        [sys.executable, "-m", "hostmend", *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
        env=surroundings, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "--query", "[" * 3000), "nested too deeply"),
        (("report", "/dev/zero"), "is a device"),
        (("audit", "-e", '{"x":'), '-e {"x":'),
        (("audit", "-e", "[1]"), "is no JSON object"),
        (("audit", "-e", "x"), "name=value"),
        (("audit", "-e", "@/dev/zero"), "is a device"),
    ],
)
def test_what_cannot_be_taken_is_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = command(*arguments, tmp_path=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_an_output_that_is_full_or_closed_is_one_line(tmp_path: Path) -> None:
    with FULL.open("w") as full:
        done = command("checks", tmp_path=tmp_path, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "hostmend: the output cannot be written: No space left on device\n"
    closed = subprocess.run(
        ["/bin/sh", "-c", f"exec {sys.executable} -m hostmend checks >&-"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert closed.returncode == 1
    assert "standard output is closed" in closed.stderr
    assert len(closed.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["C", "POSIX", "nosuch.ISO-8859-1"])
def test_ansible_has_a_locale_of_utf8(name: str) -> None:
    made = ansible_run.environment(ROOT, ansible_config.UserConfig({"LC_ALL": name}))
    assert made["LC_ALL"].upper().replace("-", "").endswith("UTF8")
    assert "LC_ALL" not in ansible_run.environment(ROOT, ansible_config.UserConfig({"LC_ALL": made["LC_ALL"]}))


def test_a_store_that_a_newer_hostmend_has_made_is_never_written_to(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    Store(url).runs()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    store = Store(url)
    run = dict(report_data.RUN, id="r1")
    for attempt in (
        lambda: store.begin(run),
        lambda: store.finish(report("x"), "finished"),
        lambda: store.amend(report("x")),
        lambda: store.end("r1", "failed"),
        lambda: store.prune(keep=1),
        store.runs,
    ):
        with pytest.raises(StoreError, match="newer hostmend"):
            attempt()
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM runs")).scalar() == 0


@pytest.mark.parametrize("bad", ["\r", "\n", "\x00", "\u2028", "\x1b"])
@pytest.mark.parametrize("field", ["report_to", "user", "notify", "python", "on_calendar", "name"])
def test_no_text_of_a_schedule_ends_a_line_of_a_unit(field: str, bad: str) -> None:
    given: dict[str, Any] = {"name": "a", "on_calendar": "daily", "backend": "systemd", "python": "/p", "local": False}
    schedule = Schedule(**{**given, field: f"x{bad}ExecStartPre=+/bin/touch /pwn"})
    for write in (
        lambda: files.service(schedule, Places(), "/home/x"),
        lambda: files.timer(schedule),
        lambda: files.cron(Schedule(**{**given, "backend": CRON, field: f"x{bad}y"}), "* * * * *", True),
    ):
        with pytest.raises(HostmendError, match="not printable"):
            write()


def test_an_agent_whose_clock_was_far_ahead_counts_on_from_now(tmp_path: Path) -> None:
    reports = report_store.Reports(tmp_path)
    with reports.held():
        reports.keep("{}", 10**10)
        number = reports.next_number(1000.0)
        assert number == 1000
        reports.keep('{"x": 1}', number)
        assert reports.next_number(1000.0) == 1001
    assert json.loads((tmp_path / "report.json").read_text()) == {"x": 1}
    assert sorted(path.name for path in tmp_path.glob("report-*")) == ["report-1000.json"]
