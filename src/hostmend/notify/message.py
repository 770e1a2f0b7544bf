"""What of a report is worth a message, and the message itself."""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hostmend.core.finding import GRADES, grade
from hostmend.notify.settings import Channel
from hostmend.report.text import visible

#: Findings in one message, characters of one line, of a title and of a whole body.
SHOWN, LINE, TITLE, BODY = 20, 200, 120, 2000
Item = dict[str, Any]

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "mended": "mended",
        "new": "new",
        "regressed": "came back",
        "first": "found",
        "open": "open",
        "lost": "not audited",
        "nothing": "nothing new",
        "on": "on {hosts} host(s)",
        "more": "... and {n} more",
        "ended": "{n} ended since the last run.",
        "score": "Score {score} of 100.",
        "run": "Run {run}.",
        "join": ", ",
        "test": "This is a test: notifications of hostmend reach this channel.",
        "test_title": "hostmend: test",
    },
    "zh_TW": {
        "mended": "已修復",
        "new": "新發現",
        "regressed": "再次出現",
        "first": "發現",
        "open": "未解決",
        "lost": "未能稽核",
        "nothing": "沒有新發現",
        "on": "共 {hosts} 台主機",
        "more": "…… 另有 {n} 項",
        "ended": "自上次執行後已解除 {n} 項。",
        "score": "分數 {score}／100。",
        "run": "執行 {run}。",
        "join": "、",
        "test": "這是測試：hostmend 的通知可以送達此管道。",
        "test_title": "hostmend：測試",
    },
}
_MENTION = re.compile(r"@(?=everyone|here|channel|all\b)|<(?=[!@#])", re.I)


def items(report: Mapping[str, Any], channel: Channel, newly_lost: Iterable[str]) -> list[Item]:
    """Return what a channel is to hear of a run: what is open, the gravest first, and then what was mended.

    New is what the history of runs calls so or says came back, and whatever the first audit of a host finds open.
    Where there is no history (a store that fails), everything open counts as found. Of a run that has mended something,
    what stays open on that host is told too, whether it is new or not.
    """
    made: list[Item] = []
    for host, about in report["hosts"].items():
        wanted = [one for one in about["findings"] if channel.wants(host, one)]
        mended = any(one.get("outcome") == "mended" for one in wanted)
        for one in wanted:
            word = one.get("trend") or "first"
            if one.get("outcome") == "mended":
                word = "mended"
            elif one["status"] != "open":
                continue
            elif channel.what == "new" and word not in ("new", "regressed", "first"):
                if not mended:
                    continue
                word = "open"
            made.append(
                {
                    "word": word,
                    "grade": grade(one),
                    "host": host,
                    "check": one["check"],
                    "resource": one["resource"],
                    "title": one["title"],
                }
            )
    made = ordered(made)
    if channel.failures:
        for host in newly_lost:
            if channel.hears_of(host):
                about = report["hosts"][host]
                made.append(
                    {
                        "word": "lost",
                        "grade": "",
                        "host": host,
                        "check": about["status"],
                        "resource": "",
                        "title": about.get("reason") or "",
                    }
                )
    return made


def ordered(found: Iterable[Item]) -> list[Item]:
    """Return what is open, the gravest first, and then what was mended."""
    places = {one: place for place, one in enumerate(GRADES)}
    return sorted(
        found,
        key=lambda one: (one["word"] == "mended", places.get(one["grade"], len(places)), one["host"], one["check"]),
    )


def about(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message says of a run beside its findings."""
    run = report["run"]
    history = run.get("history") or {}
    return {"run": run["id"], "score": report["score"], "ended": history.get("mended", 0)}


def compose(found: Sequence[Item], runs: Sequence[Mapping[str, Any]], language: str) -> dict[str, str]:
    """Return title, body and type of one message about one or several runs; plain text of bounded length."""
    words = WORDS.get(language, WORDS["en"])
    counts = {word: sum(one["word"] == word for one in found) for word in ("mended", "new", "regressed", "first", "open", "lost")}
    told = [f"{count} {words[word]}" for word, count in counts.items() if count]
    title = f"hostmend: {words['join'].join(told) or words['nothing']}"
    if found:
        title += " " + words["on"].format(hosts=len({one["host"] for one in found}))
    lines = [line(one, words) for one in found[:SHOWN]]
    tail = []
    ended = sum(one.get("ended") or 0 for one in runs)
    if ended:
        tail.append(words["ended"].format(n=ended))
    for one in list(runs)[-1:]:
        if one.get("score") is not None:
            tail.append(words["score"].format(score=one["score"]))
        tail.append(words["run"].format(run=visible(one["run"])))
    while len("\n".join(lines)) > BODY - 300:
        lines.pop()
    if len(found) > len(lines):
        lines.append(words["more"].format(n=len(found) - len(lines)))
    body = "\n".join([*lines, "", " ".join(tail)] if lines else [" ".join(tail)])
    grades = {one["grade"] for one in found if one["word"] != "mended"}
    kind = "failure" if grades & {"urgent", "high"} else "warning" if grades else "info"
    return {"title": plain(title, TITLE), "body": body[:BODY] or words["nothing"], "type": kind}


def line(one: Item, words: Mapping[str, str]) -> str:
    """Return one finding as a line of plain text."""
    head = words[one["word"]] if not one["grade"] else f"{one['grade']}, {words[one['word']]}"
    where = f" [{one['resource']}]" if one["resource"] else ""
    return plain(f"{head}: {one['host']}: {one['title']}{where} ({one['check']})", LINE)


def plain(text: str, limit: int) -> str:
    """Return text of a host as a line in which nothing calls people together."""
    return _MENTION.sub(lambda match: f"{match[0]} ", visible(text, limit))
