"""Whatever a host sends, a report stays a report."""

import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostmend.report import formats, model
from hostmend.report.text import visible
from tests.support import report_data

VOID = {"meta", "input", "br", "img", "link"}
TEXT = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["</script><script>x", "<!--", "-->", "]]>", "\x1b[2J", "{{ x }}", "{% raw %}", "|", "`", "=cmd", "\ud800"]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
FINDING = st.builds(
    lambda check, resource, status, evidence, reason, affects: report_data.finding(
        check,
        resource,
        status,
        evidence=evidence,
        reason=reason or "x",
        affects=affects,
        **({"waiver": {"reason": reason, "owner": reason, "expires": reason}} if status == "waived" else {}),
    ),
    st.sampled_from(["redis.no_auth", "ports.exposed", "logins.success_after_failures", "novel.thing"]),
    TEXT,
    st.sampled_from(["open", "passed", "unknown", "waived", "not_applicable", "not_assessed"]),
    st.dictionaries(st.sampled_from(["effective", "persistent", "observed"]), JSON, max_size=3),
    TEXT,
    st.lists(TEXT, max_size=2),
)
HOST = st.fixed_dictionaries(
    {"status": st.sampled_from(["ok", "failed", "unreachable"]), "findings": st.lists(FINDING, max_size=4)},
    optional={
        "reason": TEXT,
        "before": st.lists(FINDING, max_size=3),
        "changes": st.lists(
            st.fixed_dictionaries(dict.fromkeys(("role", "kind", "name", "action", "diff"), TEXT)), max_size=2
        ),
    },
)


class Balance(HTMLParser):
    """Follows the elements of a page, and what of them could act."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.scripts, self.faults = [], 0, []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.stack.append(tag)
        self.scripts += tag == "script"
        self.faults += [name for name, _ in attributes if name.startswith("on") or name in ("src", "style")]
        self.faults += [value for name, value in attributes if name == "href" and not value.startswith("#")]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        while self.stack and self.stack[-1] != tag:
            if self.stack.pop() not in ("p", "li", "option"):
                self.faults.append(f"</{tag}>")
        if self.stack:
            self.stack.pop()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hosts=st.dictionaries(TEXT, HOST, max_size=3))
def test_no_text_of_a_host_breaks_a_report(hosts):
    report = model.build(report_data.RUN, hosts, report_data.load_catalog())
    for name in formats.FORMATS:
        text = formats.render(report, name)
        text.encode("utf-8")
        assert not set(text) & set("\x00\x07\x08\x1b\x7f\x9b\u202e\u2066"), name
    page = Balance()
    page.feed(formats.render(report, "html"))
    assert (page.scripts, page.faults, page.stack) == (2, [], [])


@given(st.text())
def test_what_is_shown_is_one_line_without_controls(text):
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
    shown.encode("utf-8")


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u061c"), max_size=30))
def test_what_is_plain_stays_as_it_is(text):
    assert visible(text) == text


@pytest.mark.parametrize("part", ["hostmend.catalog", "hostmend.report.model", "hostmend.report.html"])
def test_the_plugins_part_needs_only_yaml_and_jinja(part):
    others = {"click", "rich", "sqlalchemy", "ansible", "jsonschema"}
    code = f"import sys, {part}; print(*({others} & set(sys.modules)))"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert made.stdout.split() == []
