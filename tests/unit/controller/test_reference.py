import pytest

from hostmend import catalog, reference
from tests.support import report_data, tree


@pytest.mark.parametrize("name", ["docs/checks.md", "docs/checks.zh_TW.md", "docs/policy.md", "README.md"])
def test_the_written_pages_are_current(name):
    path = tree.ROOT / name
    wanted = reference.pages(tree.ROOT, catalog.load())
    assert path.read_text("utf-8") == wanted[path], "run `make reference`"


def test_every_check_and_option_is_on_its_page():
    made = report_data.load_catalog()
    page = reference.checks_page(made)
    for check in made.checks:
        assert f"### `{check}`" in page
    policy = reference.policy_page(made)
    assert "| `hostmend_redis_allowed_addresses` | list of str | `[]` | detector, role |" in policy
    assert "| `hostmend_redis_secret_file` | str |" in policy
    assert "Redis 無需密碼即可存取" in reference.checks_page(made, "zh_TW")


def test_the_table_of_classes_goes_between_its_marks():
    made = report_data.load_catalog()
    readme = f"before\n{reference.BEGIN}\nold\n{reference.END}\nafter\n"
    once = reference.with_class_table(readme, made)
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "| [`redis`](docs/checks.md#redis-redis) |" in once
    assert reference.with_class_table(once, made) == once


def test_a_readme_without_the_marks_is_an_error():
    with pytest.raises(ValueError, match="no place"):
        reference.with_class_table("nothing", report_data.load_catalog())
