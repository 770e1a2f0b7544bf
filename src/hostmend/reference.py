"""Writes the reference pages from the catalogue, so that no page says what the tree does not do.

``python -m hostmend.reference`` writes ``docs/checks.md``, ``docs/checks.zh_TW.md``, ``docs/policy.md`` and the
table of classes in ``README.md``; with ``--check`` it only says which of them are out of date.
"""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hostmend import catalog as catalogue

ROOT = Path(__file__).parents[2]
BEGIN = "<!-- classes: written by `make reference` from src/hostmend/catalog -->"
END = "<!-- /classes -->"
NOTE = "<!-- Written by `make reference` from src/hostmend/catalog; edit that. -->"

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Checks",
        "intro": "Every check that hostmend makes, by class. How grave a finding is, what its fix does and how much "
        "that disturbs are properties of the check; a finding may differ where the single case does.",
        "grade": "Severity",
        "check": "Check",
        "what": "What it finds",
        "fix": "Fix",
        "why": "Why it matters.",
        "change": "What the fix does.",
        "manual_change": "What to do.",
        "by": "Role",
        "manual": "by hand",
        "references": "References:",
        "risk": "risk",
    },
    "zh_TW": {
        "title": "檢查項目",
        "intro": "hostmend 的所有檢查，依類別列出。嚴重度、修補內容及其影響是檢查的屬性；"
        "個別情況不同時，發現項目可另行標示。",
        "grade": "嚴重度",
        "check": "檢查",
        "what": "發現內容",
        "fix": "修補",
        "why": "為何重要。",
        "change": "修補內容。",
        "manual_change": "處理方式。",
        "by": "角色",
        "manual": "人工處理",
        "references": "參考條款：",
        "risk": "風險",
    },
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    made = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for unused in head)} |"]
    return [*made, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)]


def checks_page(catalog: catalogue.Catalog, language: str = "en") -> str:
    """Return the page of all checks."""
    words = WORDS[language]
    lines = [f"# {words['title']}", "", NOTE, "", words["intro"]]
    for one in catalog.classes.values():
        lines += ["", f"## {one.title.get(language)} (`{one.name}`)", "", one.description.get(language), ""]
        lines += table(
            [words["check"], words["grade"], words["what"], words["fix"]],
            (
                [f"[`{check.id}`](#{_anchor(check.id)})", check.grade, check.title.get(language), _fix(check, words)]
                for check in one.checks.values()
            ),
        )
        for check in one.checks.values():
            change = words["change"] if check.fix.role else words["manual_change"]
            lines += [
                "",
                f"### `{check.id}`",
                "",
                f"{check.title.get(language)}.",
                "",
                f"**{words['why']}** {check.why.get(language)}",
                "",
                f"**{change}** {check.change.get(language)}",
            ]
            if check.references:
                lines += ["", f"{words['references']} {', '.join(check.references)}"]
    return "\n".join(lines) + "\n"


def _fix(check: catalogue.Check, words: Mapping[str, str]) -> str:
    if not check.fix.role:
        return words["manual"]
    risk = words["manual"] if check.fix.risk == "manual" else check.fix.risk
    return f"`{check.fix.role}`, {risk}"


def _anchor(text: str) -> str:
    """Return the anchor that GitHub gives to a heading of this text."""
    return "".join(letter for letter in text.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def policy_page(catalog: catalogue.Catalog) -> str:
    """Return the page of all policy options."""
    lines = [
        "# Policy",
        "",
        NOTE,
        "",
        "What counts as a finding, and what a fix may do, is decided by inventory variables. Each has a default, so an",
        "inventory without any is a valid one. Set them for all hosts, a group or one host, as any other variable:",
        "",
        "```yaml",
        "# group_vars/all.yml",
        "hostmend_management_networks: [10.20.0.0/24]",
        "hostmend_max_risk: restart",
        "```",
        "",
        "An option `O` of the class `C` is the variable `hostmend_C_O`. A role that is used alone also takes it as",
        "`C_O`, without the prefix, which wins over the inventory.",
        "",
        "## All classes",
        "",
        *_options(catalog.common.values(), "hostmend_"),
    ]
    for one in catalog.classes.values():
        lines += ["", f"## {one.title.en} (`{one.name}`)", ""]
        options = list(one.policy.values())
        lines += _options(options, f"hostmend_{one.name}_") if options else ["This class has no options."]
    lines += [
        "",
        "_Detector_: the option decides what is a finding. _Role_: it decides what the fix does. A _secret_ never",
        "leaves the controller but for the role that needs it, and is in no report, log or difference; keep it in",
        "Ansible Vault.",
    ]
    return "\n".join(lines) + "\n"


def _options(options: Iterable[catalogue.Option], prefix: str) -> list[str]:
    return table(
        ["Variable", "Type", "Default", "For", "Meaning"],
        ([f"`{prefix}{one.name}`", _type(one), _value(one.default), _for(one), one.description.en] for one in options),
    )


def _type(option: catalogue.Option) -> str:
    kind = f"{option.type} of {option.elements}" if option.elements else option.type
    return f"{kind}: {', '.join(f'`{one}`' for one in option.choices)}" if option.choices else kind


def _value(value: Any) -> str:
    return "unset" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _for(option: catalogue.Option) -> str:
    parts = [name for name, there in (("detector", option.detector), ("role", option.role)) if there]
    return ", ".join([*parts, *(["secret"] if option.secret else [])])


def class_table(catalog: catalogue.Catalog) -> str:
    """Return the README's table of classes."""
    rows = []
    for one in catalog.classes.values():
        roles = sorted({check.fix.role for check in one.checks.values() if check.fix.role})
        mended = sum(1 for check in one.checks.values() if check.fix.role)
        rows.append(
            [
                f"[`{one.name}`](docs/checks.md#{_anchor(f'{one.title.en} ({one.name})')})",
                one.description.en,
                str(len(one.checks)),
                f"{mended} by {', '.join(f'`{role}`' for role in roles)}" if roles else "by hand",
            ]
        )
    return "\n".join(table(["Class", "What it finds", "Checks", "Mended"], rows))


def with_class_table(readme: str, catalog: catalogue.Catalog) -> str:
    """Return the README with its table of classes as the catalogue has them."""
    before, begin, rest = readme.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no place for the table of classes, between {BEGIN} and {END}")
    return f"{before}{begin}\n\n{class_table(catalog)}\n\n{end}{after}"


def pages(root: Path, catalog: catalogue.Catalog) -> dict[Path, str]:
    """Return what each written page should hold."""
    made = {
        root / "docs" / "checks.md": checks_page(catalog),
        root / "docs" / "checks.zh_TW.md": checks_page(catalog, "zh_TW"),
        root / "docs" / "policy.md": policy_page(catalog),
    }
    readme = root / "README.md"
    if readme.is_file():
        made[readme] = with_class_table(readme.read_text("utf-8"), catalog)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with ``--check`` name those that are out of date."""
    arguments = sys.argv[1:] if arguments is None else arguments
    old = [
        path
        for path, text in pages(ROOT, catalogue.load()).items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    if "--check" in arguments:
        for path in old:
            print(f"{path.relative_to(ROOT)} is out of date: run `make reference`")
        return 1 if old else 0
    for path, text in pages(ROOT, catalogue.load()).items():
        if path in old:
            path.write_text(text, "utf-8")
            print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
