import textwrap
import time

import pytest

from hostmend import catalog
from tests.support import report_data
from tests.support.catalog_data import GOOD


@pytest.fixture
def read(tmp_path):
    def write(text, name="door.yml"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), "utf-8")
        return catalog.parse(path)

    return write


def test_a_class_is_read_whole(read):
    door = read(GOOD)
    check = door.checks["door.open"]
    assert (check.kind, check.severity, check.level) == ("vulnerability", "high", None)
    assert check.title.get("zh_TW") == "有一扇門敞開"
    assert check.title.get("de") == "A door stands open"
    assert check.fix == catalog.Fix(risk="safe", role="door")
    assert door.policy["exempt"].default == []
    assert (door.policy["exempt"].secret, door.policy["exempt"].detector, door.policy["exempt"].role) == (
        False,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("class: door", "class: window", "class is 'window'"),
        ("severity: high", "severity: critical", "checks.door.open.severity must be one of high, medium, low"),
        ("severity: high", "level: urgent", "checks.door.open.level does not belong"),
        ("kind: vulnerability", "kind: alert", "checks.door.open.severity does not belong"),
        ("risk: safe", "risk: none", "checks.door.open.fix.risk must be one of"),
        ("role: door, ", "", "checks.door.open.fix.role is missing"),
        ("door.open:", "door open:", "checks.door open is not a check id"),
        ("zh_TW: 關上它。", "zh_CN: 关上它。", "checks.door.open.change.zh_CN is not a known key"),
        (", zh_TW: 關上它。", "", "checks.door.open.change.zh_TW must be a text"),
        ("en: Shuts it.", "en: ''", "checks.door.open.change.en must be a text"),
        ("why:", "whi:", "checks.door.open.whi is not a known key"),
        ("type: list", "type: lists", "policy.exempt.type must be one of"),
        ("default: []", "default: yes", "policy.exempt.default is not of type list"),
        ("    default: []\n", "", "policy.exempt.default is missing"),
        ("  exempt:", "  Exempt:", "policy.Exempt is not a good name"),
        ('references: ["CIS Controls v8 4.1"]', "references: CIS", "checks.door.open.references must be a list"),
        ("kind: vulnerability", "kind: vulnerability\n    kind: vulnerability", "given twice"),
        ("class: door", "class: [", "line"),
        (GOOD, "- a", "the document must be a mapping"),
        (GOOD, "", "the document must be a mapping"),
    ],
)
def test_an_error_names_the_file_and_the_key(read, old, new, names):
    assert old in GOOD
    with pytest.raises(catalog.CatalogError) as error:
        read(GOOD.replace(old, new))
    assert "door.yml" in str(error.value)
    assert names in str(error.value)
    assert "\n" not in str(error.value)


def test_an_option_that_is_no_number_may_not_be_true(read):
    with pytest.raises(catalog.CatalogError, match="not of type int"):
        read(GOOD.replace("type: list", "type: int").replace("default: []", "default: true"))


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path):
    with pytest.raises(catalog.CatalogError, match=r"none\.yml: cannot be read"):
        catalog.parse(tmp_path / "none.yml")


def test_files_are_discovered_and_those_with_an_underscore_are_not_classes(tmp_path):
    (tmp_path / "door.yml").write_text(GOOD, "utf-8")
    (tmp_path / "_common.yml").write_text(
        "policy: {colour: {type: str, default: red, description: {en: a, zh_TW: b}}}", "utf-8"
    )
    made = catalog.load(tmp_path)
    assert list(made.classes) == ["door"]
    assert made.common["colour"].default == "red"
    assert made.check("door.open") is made.classes["door"].checks["door.open"]
    assert made.check("door.shut") is None
    assert catalog.load(tmp_path) is made


def test_checks_are_selected_by_id_and_by_class():
    made = report_data.load_catalog()
    chosen = [check.id for check in made.select(["services", "redis.no_auth"])]
    assert chosen == ["services.unneeded", "services.legacy_plaintext", "redis.no_auth"]
    with pytest.raises(KeyError):
        list(made.select(["redis.nothing"]))


def test_the_catalogue_that_comes_with_hostmend_is_valid():
    made = catalog.load()
    assert {"classes", "management_networks", "timeout", "max_risk", "fail_on"} <= set(made.common)
    for option in made.common.values():
        assert not option.choices or option.default in option.choices


def test_the_catalogue_loads_fast():
    started = time.perf_counter()
    for path in report_data.CATALOG.glob("*.yml"):
        catalog.parse(path)
    assert time.perf_counter() - started < 0.5
