"""The schedules of this machine, each with its next run and its last result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hostmend.schedule import calendar
from hostmend.schedule.manage import Command, command
from hostmend.schedule.model import CRON, SYSTEMD, Places, Schedule, names, read, status_of
from hostmend.schedule.runner import KILLED


def listed(places: Places, run: Command = command) -> list[dict[str, Any]]:
    """Return each schedule with its next run and its last result."""
    made = []
    for name in names(places):
        schedule = read(places.config(name))
        status = status_of(places, name)
        last = (status.get("runs") or [{}])[0]
        result = status.get("result") or "never ran"
        said = (last.get("said") or [""])[-1] if result in ("failed", "stopped") else ""
        running, gone = _running(status)
        if gone:
            result, said = "failed", KILLED
        elif result in ("ok", "never ran") and (why := _killed(schedule, run)):
            result, said = "failed", why
        made.append(
            {
                "name": name,
                "what": f"remediate up to {schedule.remediate}" if schedule.remediate else "audit",
                "on_calendar": schedule.on_calendar,
                "backend": schedule.backend,
                "user": schedule.user,
                "inventory": list(schedule.inventory),
                "reports": schedule.report_to or str(places.folder(name) / "reports"),
                "next": _next(schedule, run),
                "running": running,
                "last": last.get("finished") or "",
                "result": result,
                **{key: last.get(key) for key in ("run", "code", "score", "open", "unknown")},
                "said": said,
            }
        )
    return made


def _running(status: Mapping[str, Any]) -> tuple[str, bool]:
    """Return since when a run is at work, '' where none is, and whether one was that is gone without a word."""
    found = status.get("running")
    if not isinstance(found, dict) or not isinstance(found.get("pid"), int):
        return "", False
    alive = Path(f"/proc/{found['pid']}").exists()
    return (str(found.get("started")) if alive else ""), not alive


def _killed(schedule: Schedule, run: Command) -> str:
    """Return why the unit has failed, though its last run has kept no such result: it was killed, or the disk was full."""
    if schedule.backend != SYSTEMD:
        return ""
    found = _shown(run, schedule.unit("service"), "Result")
    if found.get("ActiveState") != "failed":
        return ""
    unit = schedule.unit("service").removesuffix(".service")
    return f"its unit failed ({found.get('Result')}) and kept no result: journalctl -u {unit}"


def _shown(run: Command, unit: str, name: str) -> dict[str, str]:
    """Return the state of a unit and one more of its properties."""
    done = run(["systemctl", "show", "-p", "ActiveState", "-p", name, unit])
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _next(schedule: Schedule, run: Command) -> str:
    if schedule.backend == CRON:
        return calendar.next_cron(calendar.to_cron(schedule.on_calendar))
    found = _shown(run, schedule.unit("timer"), "NextElapseUSecRealtime")
    if found.get("ActiveState") != "active":
        return "never: its timer is stopped"
    return found.get("NextElapseUSecRealtime", "") or "running now"
