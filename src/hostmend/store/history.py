"""Findings through time: since when each is open, which run mended it, and which came back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

#: A waived finding is there as much as an open one: its history goes on.
PRESENT = ("open", "waived")
CLEAN = ("passed", "not_applicable")
#: Points of the score's trend, and hosts in one question to the database.
TREND, HOSTS = 20, 400

Key = tuple[str, str]


@dataclass(frozen=True)
class FindingHistory:
    """What is known of one finding of one host from earlier runs."""

    present: bool
    since: str  # when it came to be as it is, as the first run saw that
    run: str  # the run that saw it
    mended: bool = False  # whether that run mended it itself


def scope(run: Mapping[str, Any]) -> str:
    """Return what makes hosts of one name the same host: the inventory, wherever the command was called."""
    given = run.get("inventory") or []
    names = [given] if isinstance(given, str) else [str(one) for one in given]
    return "\n".join(one if "," in one else str(Path(one).expanduser().absolute()) for one in names)


def selection(run: Mapping[str, Any]) -> str:
    """Return what makes scores of one inventory comparable: which hosts and which classes were looked at."""
    return f"{run.get('limit') or ''}|{','.join(sorted(run.get('classes') or ()))}"


def next_history(
    findings: Iterable[Mapping[str, Any]], lives: Mapping[Key, FindingHistory], run: str, at: str, known: bool
) -> tuple[list[dict[str, Any]], dict[Key, FindingHistory], dict[str, Any]]:
    """Return a host's findings with their ``trend`` and ``since``, their histories after this run, and a summary.

    :param lives: those of earlier runs.
    :param known: whether an earlier run has seen this host; on the first nothing is called new.

    What is unknown this time goes on as it was: nobody saw it end. A finding that is gone has ended only where its
    check was made.
    """
    made: list[dict[str, Any]] = []
    after = dict(lives)
    counts: Counter[str] = Counter()
    seen: dict[str, set[str]] = defaultdict(set)
    reported: set[Key] = set()
    ended: list[dict[str, str]] = []
    for finding in findings:
        one = dict(finding)
        key = (str(one["check"]), str(one.get("resource") or ""))
        reported.add(key)
        seen[key[0]].add(str(one["status"]))
        earlier = lives.get(key)
        if one["status"] in PRESENT:
            if earlier is not None and earlier.present:
                one["trend"], one["since"] = "open", earlier.since
            else:
                one["since"] = at
                after[key] = FindingHistory(True, at, run)
                if earlier is not None:
                    one["trend"] = "regressed"
                    one["earlier"] = {"run": earlier.run, "at": earlier.since, "mended": earlier.mended}
                elif known:
                    one["trend"] = "new"
            counts[one.get("trend") or "first"] += 1
        elif one["status"] in CLEAN and earlier is not None and earlier.present:
            mended = one.get("outcome") == "mended"
            one["trend"], one["since"] = "mended", at
            after[key] = FindingHistory(False, at, run, mended)
            ended.append({"check": key[0], "resource": key[1], "since": earlier.since})
        elif one.get("outcome") == "mended":
            # Opened and mended within one run: no earlier run knew it.
            one["trend"], one["since"] = "mended", at
            after[key] = FindingHistory(False, at, run, True)
            ended.append({"check": key[0], "resource": key[1], "since": at})
        elif one["status"] == "unknown" and earlier is not None and earlier.present:
            one["since"] = earlier.since
        made.append(one)
    for key, earlier in lives.items():
        if earlier.present and key not in reported and seen.get(key[0], set()) and "unknown" not in seen[key[0]]:
            after[key] = FindingHistory(False, at, run)
            ended.append({"check": key[0], "resource": key[1], "since": earlier.since})
    summary = {name: counts[name] for name in ("new", "open", "regressed")} | {"mended": len(ended)}
    return made, after, {**summary, "ended": ended} if known else {}


def record(connection: Connection, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report with its findings' histories and the score's trend, and keep these for the next run."""
    import sqlalchemy as sa

    from hostmend.store import tables

    run = report["run"]
    where, identity = scope(run), str(run["id"])
    at = str(run.get("finished") or run["started"])
    hosts = {name: dict(host) for name, host in report["hosts"].items()}
    audited = [name for name, host in hosts.items() if host["status"] == "ok"]
    lives = tables.lives
    rows: list[dict[str, Any]] = []
    total: Counter[str] = Counter()
    for first in range(0, len(audited), HOSTS):
        names = audited[first : first + HOSTS]
        keys = {clean_host(name): name for name in names}
        mine = (lives.c.scope == where) & lives.c.host.in_(list(keys))
        before: dict[str, dict[Key, FindingHistory]] = defaultdict(dict)
        for row in connection.execute(sa.select(lives).where(mine)):
            before[row.host][(row.check, row.resource)] = FindingHistory(row.there, row.since, row.run_id, row.mended)
        known = _known(connection, where, identity, list(keys))
        connection.execute(sa.delete(lives).where(mine))
        for key, name in keys.items():
            findings, after, summary = next_history(hosts[name]["findings"], before[key], identity, at, key in known)
            hosts[name]["findings"] = findings
            if summary:
                hosts[name]["history"] = summary
                total.update({one: count for one, count in summary.items() if isinstance(count, int)})
            rows += [_row(where, key, finding, earlier) for finding, earlier in after.items()]
    if rows:
        connection.execute(lives.insert(), list({tuple(row[k] for k in _KEY): row for row in rows}.values()))
    made = {**report, "run": {**run}, "hosts": hosts}
    if total or any("history" in host for host in hosts.values()):
        made["run"]["history"] = {name: total[name] for name in ("new", "open", "regressed", "mended")}
    points = trend(connection, run)
    if points:
        made["run"]["trend"] = [*points, {"id": identity, "finished": at, "score": report["score"]}]
    return made


_KEY = ("scope", "host", "check", "resource")


def clean_host(name: str) -> str:
    from hostmend.store.rows import clean

    return clean(name)


def _row(where: str, host: str, key: Key, earlier: FindingHistory) -> dict[str, Any]:
    from hostmend.store.rows import clean

    about = {"scope": where, "host": host, "check": clean(key[0]), "resource": clean(key[1])}
    return {**about, "there": earlier.present, "since": earlier.since, "run_id": earlier.run, "mended": earlier.mended}


def _known(connection: Connection, where: str, identity: str, hosts: list[str]) -> set[str]:
    """Return those hosts that an earlier run has audited."""
    import sqlalchemy as sa

    from hostmend.store import tables

    query = (
        sa.select(tables.run_hosts.c.host)
        .distinct()
        .join(tables.runs, tables.runs.c.id == tables.run_hosts.c.run_id)
        .where(
            (tables.runs.c.scope == where)
            & (tables.runs.c.id != identity)
            & (tables.run_hosts.c.status == "ok")
            & tables.run_hosts.c.host.in_(hosts)
        )
    )
    return {row.host for row in connection.execute(query)}


def trend(connection: Connection, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the scores of the last runs over the same hosts and classes, the oldest first."""
    import sqlalchemy as sa

    from hostmend.store import tables

    runs = tables.runs
    query = (
        sa.select(runs.c.id, runs.c.finished, runs.c.score)
        .where(
            (runs.c.scope == scope(run))
            & (runs.c.selection == selection(run))
            & (runs.c.id != str(run["id"]))
            & (runs.c.status == "finished")
            & (runs.c.mode != "rollback")
            & runs.c.score.is_not(None)
            & (runs.c.started <= str(run["started"]))
        )
        .order_by(runs.c.started.desc(), runs.c.id.desc())
        .limit(TREND)
    )
    rows = connection.execute(query).all()
    return [{"id": row.id, "finished": row.finished, "score": row.score} for row in reversed(rows)]
