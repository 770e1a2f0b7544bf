"""The report as one HTML file that needs nothing else: no network, no server, and no script to be read.

Everything is written out by the template; the script only filters, searches and changes the language. Text
from hosts is escaped twice over: control characters are spelt out by ``finalize``, markup by autoescape, and
the page's Content-Security-Policy allows this page's own script and style (by hash) and nothing else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from hostmend import catalog as catalogue
from hostmend.core.finding import GRADES, RISKS, grade
from hostmend.report import grouping, model
from hostmend.report.html.commands import command, rehearse
from hostmend.report.html.evidence import evidence
from hostmend.report.text import visible, words_of_age

HERE = Path(__file__).parent
#: Above this many findings the evidence of those in order is left to report.json.
EVIDENCE_OF_PASSED = 2000
#: Above this many hosts a host's findings are folded until asked for.
OPEN_HOSTS = 8
ATTENTION = ("open", "unknown", "waived", "not_assessed")


class Words:
    """The page's own words in one language, marked so that the script can change them."""

    def __init__(self, language: str) -> None:
        self.language = language

    def plain(self, key: str, /, **values: Any) -> str:
        """Return a word or sentence as plain text."""
        known = words().get(key)  # a report of a later version may know more words than this page
        text = known[self.language] if known else key.partition(".")[2] or key
        one, divided, more = text.partition(" | ")
        if divided:
            text = one if values.get("n") == 1 else more
        for name, value in values.items():
            text = text.replace("{" + name + "}", visible(value))
        return text

    def __call__(self, key: str, tag: str = "span", /, **values: Any) -> Markup:
        """Return a word or sentence as an element."""
        data = (
            Markup(' data-v="{}"').format(
                json.dumps({k: visible(v) if isinstance(v, str) else v for k, v in values.items()})
            )
            if values
            else ""
        )
        return Markup('<{0} data-t="{1}"{2}>{3}</{0}>').format(tag, key, data, self.plain(key, **values))


@functools.cache
def words() -> dict[str, dict[str, str]]:
    made: dict[str, dict[str, str]] = yaml.safe_load((HERE / "text.yml").read_text("utf-8"))
    names = catalogue.load().areas
    return made | {f"area.{name}": {each: text.get(each) for each in catalogue.LANGUAGES} for name, text in names.items()}


def render(report: Mapping[str, Any], catalog: catalogue.Catalog | None = None) -> str:
    """Return the report as one HTML page.

    :param report: what :func:`hostmend.report.model.build` returned, or the same read from ``report.json``.
    :param catalog: where the texts of both languages are from; the one that comes with hostmend if None.
    """
    catalog = catalog or catalogue.load()
    language = report.get("language") if report.get("language") in catalogue.LANGUAGES else "en"
    texts = _check_texts(report, catalog)
    style = (HERE / "style.css").read_text("utf-8")
    script = (HERE / "script.js").read_text("utf-8")
    total = sum(len(host["findings"]) for host in report["hosts"].values())
    groups = first_things(report)
    context = {
        "report": report,
        "run": report["run"],
        "language": language,
        "t": Words(str(language)),
        "word": Words(str(language)).plain,
        "texts": texts,
        "style": Markup(style),
        "script": Markup(script),
        "csp": _policy(style, script),
        "island": Markup(_island({"words": words(), "checks": texts})),
        "covered": report.get("coverage"),
        "total": total,
        "full": total <= EVIDENCE_OF_PASSED,
        "fold": len(report["hosts"]) > OPEN_HOSTS,
        "groups": groups,
        "blind": blind_spots(report),
        "hosts": _hosts(report),
        "verdict": verdict(report),
        "took": _took(report["run"]),
        "affected": len({host for group in groups for host in group["hosts"]}),
        "open_total": sum(report["summary"]["severity"].values()) + sum(report["summary"]["level"].values()),
        "classes": sorted(report["summary"]["class"]),
        "class_rows": _class_rows(report),
        "changes": sum(len(host.get("changes") or ()) for host in report["hosts"].values()),
        "grades": _grades(report),
        "trend": _trend(report["run"].get("trend") or ()),
    }
    return _environment().get_template("page.html.j2").render(context).strip() + "\n"


def shown(value: object) -> object:
    """Return what a template shows of a value: text with its control characters spelt out, nothing of None."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return "" if value is None else value


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    made.filters["evidence"] = evidence
    made.filters["lines"] = lambda value: str(value).splitlines()[:400]
    made.filters["grade"] = grade
    made.filters["clock"] = _clock
    made.globals["command"] = command
    made.globals["rehearse"] = rehearse
    made.globals["attention"] = ATTENTION
    return made


def _policy(style: str, script: str) -> str:
    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _island(data: Any) -> str:
    """Return JSON that may stand inside a script element whatever the data is."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _check_texts(report: Mapping[str, Any], catalog: catalogue.Catalog) -> dict[str, dict[str, dict[str, str]]]:
    """Return title, why and change of each check of the report in both languages."""
    made: dict[str, dict[str, dict[str, str]]] = {}
    for host in report["hosts"].values():
        for finding in host["findings"]:
            name = finding["check"]
            if name in made:
                continue
            check = catalog.check(name)
            own = report.get("checks", {}).get(name, {})
            made[name] = {
                part: {
                    # the catalogue marks names as Markdown does; here they are plain text
                    language: (getattr(check, part).get(language) if check else str(own.get(part) or "")).replace(
                        "`", ""
                    )
                    for language in catalogue.LANGUAGES
                }
                for part in ("title", "why", "change")
            }
            for language in catalogue.LANGUAGES:
                made[name]["title"][language] = made[name]["title"][language] or str(finding.get("title") or name)
    return made


def first_things(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the open checks of the whole report, what to do first at the front.

    Each has the ``worst`` of its findings, the ``finding`` that says how to mend it (one that a role mends where there
    is one), its ``hosts``, the ``resources`` on them, the hosts where a role mends it (``mendable``) and the highest
    ``risk`` of that.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, host in report["hosts"].items():
        for finding in host["findings"]:
            if finding["status"] != "open":
                continue
            risk = finding["fix"]["risk"] if finding["fix"]["risk"] in RISKS else "manual"
            group = groups.setdefault(
                finding["check"],
                {"finding": finding, "worst": finding, "risk": risk, "hosts": {}, "mendable": {}, "resources": []},
            )
            group["hosts"][name] = True
            group["resources"].append(finding["resource"])
            if risk != "manual":
                group["mendable"][name] = True
                worse = group["risk"] == "manual" or RISKS.index(risk) > RISKS.index(group["risk"])
                group["risk"] = risk if worse else group["risk"]
            if _gravity(finding) < _gravity(group["worst"]):
                group["worst"] = finding
            if _standing(finding) < _standing(group["finding"]):
                group["finding"] = finding
    made = [{**group, "hosts": list(group["hosts"]), "mendable": list(group["mendable"])} for group in groups.values()]

    def rank(group: Mapping[str, Any]) -> tuple[tuple[Any, ...], int, int, str]:
        return _gravity(group["worst"]), RISKS.index(group["risk"]), -len(group["hosts"]), group["finding"]["check"]

    return sorted(made, key=rank)


def _gravity(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return how grave an open finding is, and of equals how likely somebody makes use of it."""
    return model.order(finding)[1:4]


def _standing(finding: Mapping[str, Any]) -> tuple[bool, int]:
    return finding["fix"]["risk"] == "manual", model.order(finding)[1]


def blind_spots(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what could not be checked: reasons with their hosts and checks, the widest first."""
    made: dict[str, dict[str, Any]] = {}
    for name, host in report["hosts"].items():
        if host["status"] != "ok":
            key = str(host.get("reason") or host["status"])
            spot = made.setdefault(key, {"reason": key, "hosts": {}, "checks": {}, "host_status": host["status"]})
            spot["hosts"][name] = True
        for finding in host["findings"]:
            if finding["status"] == "unknown":
                key = str(finding.get("reason") or "")
                spot = made.setdefault(key, {"reason": key, "hosts": {}, "checks": {}, "host_status": None})
                spot["hosts"][name] = True
                spot["checks"][finding["check"]] = True
    rows = [{**spot, "hosts": list(spot["hosts"]), "checks": list(spot["checks"])} for spot in made.values()]
    return sorted(rows, key=lambda spot: (spot["host_status"] is None, -len(spot["hosts"]), -len(spot["checks"])))


def verdict(report: Mapping[str, Any]) -> str:
    """Return the key of the one sentence that the report comes down to."""
    summary = report["summary"]
    if report["score"] is None:
        return "blind" if any(host["status"] == "ok" and host["findings"] for host in report["hosts"].values()) else "none"
    if summary["level"]["urgent"]:
        return "urgent"
    for name in ("high", "medium", "low"):
        if summary["severity"][name] or (name == "medium" and summary["level"]["suspicious"]):
            return name
    if summary["level"]["notice"]:
        return "low"
    return "blind" if blind_spots(report) else "clean"


def _hosts(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    made = []
    anchors: set[str] = set()
    for name, host in report["hosts"].items():
        counts: dict[str, int] = {}
        grades: dict[str, int] = {}
        for finding in host["findings"]:
            counts[finding["status"]] = counts.get(finding["status"], 0) + 1
            if finding["status"] == "open":
                grades[grade(finding)] = grades.get(grade(finding), 0) + 1
        made.append(
            {
                "name": name,
                "anchor": _anchor(name, anchors),
                "status": host["status"],
                "reason": host.get("reason", ""),
                "score": host["score"],
                "counts": counts,
                "grades": grades,
                "system": _system(host.get("system")),
                "todo": grouping.group_by_content(
                    [one for one in host["findings"] if one["status"] in ATTENTION or one.get("outcome")]
                ),
                "rest": [one for one in host["findings"] if one["status"] not in ATTENTION and not one.get("outcome")],
                "changes": host.get("changes") or [],
                "source": _source(host),
            }
        )
    made.sort(key=lambda host: (host["status"] == "ok", host["score"] if host["score"] is not None else -1))
    return made


def _source(host: Mapping[str, Any]) -> dict[str, str]:
    """Return what is to be known of findings that the host's agent made, and not this run."""
    source = host.get("source")
    if host["status"] != "ok" or not isinstance(source, Mapping):
        return {}
    age = source.get("age_seconds")
    return {
        "age": words_of_age(age) if isinstance(age, int) else "?",
        "signature": str(source.get("signature") or ""),
        "at": str(source.get("finished") or ""),
    }


def _anchor(name: str, taken: set[str]) -> str:
    """Return the id of a host's section: the same in every report, so that a link to it lasts."""
    made = "host-" + re.sub(r"[^A-Za-z0-9._-]", "_", name)
    while made in taken:
        made += "_"
    taken.add(made)
    return made


def _system(system: Any) -> str:
    if not isinstance(system, Mapping):
        return ""
    parts = [
        system.get("pretty_name") or system.get("id"),
        system.get("container") and f"container: {system['container']}",
    ]
    return ", ".join(str(part) for part in parts if part)


def _class_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, int]] = {name: {} for name in report["summary"]["class"]}
    for host in report["hosts"].values():
        for finding in host["findings"]:
            status = finding["status"]
            key = grade(finding) if status == "open" else "other" if status in ("waived", "not_assessed") else status
            if key != "not_applicable":
                rows[finding["class"]][key] = rows[finding["class"]].get(key, 0) + 1
    order = (*GRADES, "unknown", "other", "passed")
    made = []
    for name, counts in rows.items():
        parts, left = [], 0
        for key in order:
            if counts.get(key):
                parts.append({"key": key, "left": left, "n": counts[key]})
                left += counts[key]
        opened = sum(counts.get(key, 0) for key in GRADES)
        made.append({"name": name, "parts": parts, "total": left, "open": opened, "unknown": counts.get("unknown", 0)})
    return sorted(made, key=lambda row: (-row["open"], -row["unknown"], row["name"]))


def _grades(report: Mapping[str, Any]) -> list[tuple[str, int]]:
    summary = report["summary"]
    counts = {**summary["severity"], **summary["level"]}
    return [(name, counts[name]) for name in GRADES if name in summary["severity"] or counts[name]]


def _trend(points: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
    scores = [int(point["score"]) for point in points if point.get("score") is not None][-40:]
    step = 300 / max(1, len(scores) - 1)
    return [(round(10 + index * step), score) for index, score in enumerate(scores)] if len(scores) > 1 else []


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None


def _clock(value: Any) -> str:
    moment = _moment(value)
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip() if moment else str(value or "")


def _took(run: Mapping[str, Any]) -> str:
    started, finished = _moment(run.get("started")), _moment(run.get("finished"))
    if started is None or finished is None or (started.tzinfo is None) != (finished.tzinfo is None):
        return ""
    seconds = (finished - started).total_seconds()
    if seconds < 0:
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
