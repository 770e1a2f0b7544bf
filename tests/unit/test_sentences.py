import ast
import copy
import json
import pickle
import re

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown
from ansible_collections.hostmend.hardening.plugins.module_utils.sentence import sentence

from hostmend import catalog
from hostmend.core import sentences, validation
from hostmend.report import formats, model
from tests.support import report_data
from tests.support import sentences as said
from tests.support.paths import ROOT

KNOWN = catalog.load().sentences
CJK = re.compile("[\u4e00-\u9fff]")
#: Where the reason stands among the arguments that have no name.
PLACES = {"unknown": 2, "not_applicable": 1, "found": None, "passed": None, "finding": None}


def in_code():
    return [*said.calls(ROOT / "plugins", "sentence"), *said.calls(ROOT / "src", "reason_members")]


def test_code_and_catalogue_have_the_same_sentences():
    made = in_code()
    wrong = [one for one in made if one.name not in KNOWN or KNOWN[one.name].en != one.template]
    assert not wrong
    assert {one.name for one in made} == set(KNOWN)


def test_each_sentence_is_given_what_it_names():
    assert not [one for one in in_code() if one.params != sentences.placeholders(one.template)]


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_chinese_is_chinese(name):
    words = re.sub(r"\{[a-z_]+\}", "", KNOWN[name].zh_TW)
    assert CJK.search(words) or not re.search("[A-Za-z]", re.sub(r"\{[a-z_]+\}", "", KNOWN[name].en))


def texts(node):
    """Yield the parts of an expression that make text by themselves."""
    if isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for part in node.values:
            yield from texts(part)
    elif isinstance(node, ast.Constant):
        yield from [node] if node.value else []
    elif isinstance(node, (ast.BinOp, ast.JoinedStr)) or (
        isinstance(node, ast.Call) and said.called(node) in ("join", "format")
    ):
        yield node


@pytest.mark.parametrize("name", said.CLASSES)
def test_a_detector_gives_no_bare_text_as_reason(name):
    wrong = []
    for path in sorted((ROOT / "plugins/module_utils/detectors" / name).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and said.called(node) in PLACES:
                place = PLACES[said.called(node)]
                given = [one.value for one in node.keywords if one.arg == "reason"]
                given += [] if place is None else node.args[place : place + 1]
                wrong += [f"{path.name}:{part.lineno}" for one in given for part in texts(one)]
    assert not wrong


def nested():
    how = sentence("logrotate.run_failed", "its last run failed ({result})", result="exit-code")
    return sentence(
        "logrotate.changed_since", "{how}; its configuration was changed since, and the next run will tell", how=how
    )


def test_a_sentence_is_its_english_text():
    one = nested()
    assert one == "its last run failed (exit-code); its configuration was changed since, and the next run will tell"
    for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert (again, again.id, again.params) == (one, one.id, one.params)
    assert json.loads(json.dumps(one)) == one


def test_lists_are_joined_as_the_language_does():
    made = unknown("logrotate.broken", "x", sentence("logrotate.by", "by {others}", others=["a", "b"]))
    assert made["reason"] == "by a, b"
    assert sentences.reason(made, catalog.load(), "zh_TW") == "由 a、b 執行"


def finding(**more):
    return {**unknown("logrotate.broken", "logrotate.service", nested()), **more}


DEEP = {"id": "engine.failed", "params": {"failure": "x"}}
for _level in range(sentences.DEEPEST + 2):
    DEEP = {"id": "engine.failed", "params": {"failure": DEEP}}


@pytest.mark.parametrize(
    "more",
    [
        {"reason_id": "logrotate.unheard_of"},
        {"reason_id": ["logrotate.changed_since"]},
        {"reason_id": None},
        {"reason_params": None},
        {"reason_params": {}},
        {"reason_params": {"how": True}},
        {"reason_params": {"how": {"id": "logrotate.run_failed"}}},
        {"reason_params": {"how": [["x"]]}},
        {"reason_params": {"how": ["x"] * 10_000}},
        {"reason_params": {"how": "x" * 100_000}},
        {"reason_params": {"how": DEEP}},
        {"reason_params": {"how": "x", "other": "y"}},
        {"reason": "something else in English"},
    ],
)
def test_what_fits_no_sentence_is_english_text(more):
    given = finding(**more)
    assert sentences.reason(given, catalog.load(), "zh_TW") == given["reason"]
    sentences.keep_sound(given, catalog.load())
    assert "reason_id" not in given
    assert "reason_params" not in given


def test_a_template_in_a_parameter_is_text():
    params = {"failure": "{failure} {0} {x.__class__}"}
    assert sentences.render("engine.failed", params, catalog.load()) == "the detector failed: {failure} {0} {x.__class__}"


def report(language):
    host = {"status": "ok", "findings": [finding()]}
    return model.build(report_data.RUN, {"web1": host}, catalog.load(), language)


CHINESE = "上次執行失敗"


@pytest.mark.parametrize("name", sorted(set(formats.FORMATS) - {"json"}))
def test_reports_give_reasons_in_their_language(name):
    text = formats.render(report("zh_TW"), name)
    text = "".join(text.split()) if name == "table" else text
    assert CHINESE in (json.loads(text) and json.dumps(json.loads(text), ensure_ascii=False) if name == "sarif" else text)
    assert "its last run" not in text
    assert CHINESE not in formats.render(report("en"), name)


def test_json_has_the_english_sentence_with_its_id():
    [made] = json.loads(formats.render(report("zh_TW"), "json"))["hosts"]["web1"]["findings"]
    assert made["reason"] == nested()
    assert made["reason_id"] == "logrotate.changed_since"
    assert made["reason_params"] == {"how": {"id": "logrotate.run_failed", "params": {"result": "exit-code"}}}


def test_a_note_of_the_controller_makes_plain_text_of_a_reason():
    known = catalog.load()
    check = next(one.id for one in known.checks.values() if one.fix.risk == "disruptive")
    [made] = validation.with_minimum_risk([finding(check=check, risk="safe")], known)
    assert made["reason"].startswith(f"{nested()}; the host calls its fix safe")
    assert "reason_id" not in made
    assert "reason_params" not in made
