# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carry out the steps of a rollback, and judge what came of them.

Files come first, then what is made from them: the firewall, units, programs that run. What the
host refuses once its files are back (a start, a reload) is reported with the unit, the command
and the reason; it is trouble only where the host is not as it was seen before the run.
"""

import time
from typing import Any, Callable, Dict, List, Optional, Set

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import firewall
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import listeners
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import paths
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import resource_types
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import units
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.records import Record
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import Run

Step = Dict[str, Any]

SYSTEMD_FILES = ("/etc/systemd/", "/run/systemd/", "/lib/systemd/", "/usr/lib/systemd/")
# How long a service that was started again has until it listens as before.
LISTEN_SECONDS = 10.0


class ErrorCollector:
    """Carries on after a step that fails: as much as can go back does."""

    def __init__(self, result: Record) -> None:
        self.result = result

    def attempt(self, role: str, what: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a call returns, None where it failed, which is noted."""
        try:
            return what(*arguments)
        except (HostError, OSError) as error:
            self.result["errors"].append({"role": role, "error": str(error)})
            return None

    def refuse(self, role: str, unit: str, command: str, reason: str) -> None:
        """Note what the host did not do."""
        self.result["host_refused"].append({"role": role, "unit": unit, "command": command, "reason": reason})


def apply(run: Run, steps: List[Step], head: Record, result: Record, at_boot: bool) -> None:
    """Bring back what each step restores; adds to ``errors``, ``host_refused`` and ``notes`` of the result."""
    collector = ErrorCollector(result)
    going = [step for step in steps if step["restore"]]
    by_kind: Dict[str, List[Step]] = {}
    for step in going:
        by_kind.setdefault(step["subject"]["kind"], []).append(step)
    touched = {step["entry"]["role"] for step in by_kind.get("path", ())}
    names = [item["name"] for item in result["items"] if item["kind"] == "path"]
    reread = any(name.startswith(SYSTEMD_FILES) for name in names)
    # The firewall before packages: what it is restored with may have come with the run.
    for step in by_kind.get("path", []) + by_kind.get("sysctl", []):
        _restore(run, step, collector)
    # In the order of the steps, so that the time of a path that two roles have changed is the oldest.
    roles = {step["entry"]["role"] for step in going}
    for step in steps:
        entry = step["entry"]
        if step["subject"]["kind"] == "path" and entry["role"] in roles:
            collector.attempt(entry["role"], paths.restore_times, step["subject"], entry["image"], entry["after"])
    if not at_boot and any(name.startswith(firewall.FIREWALLD) for name in names):
        reason = firewall.reload_firewalld()
        if reason:
            collector.refuse("", "firewalld.service", "firewall-cmd --reload", reason)
    for step in by_kind.get("firewall", []):
        _restore(run, step, collector)
    for step in by_kind.get("unit", []):
        if collector.attempt(step["entry"]["role"], units.restore_links, step["entry"]["image"], step["restore"]):
            reread = True
    for step in by_kind.get("packages", []):
        _restore(run, step, collector)
        reread = True
    if reread:
        collector.attempt("", units.daemon_reload)
    invalid = set() if at_boot else _validate(sorted(touched), head, collector)
    for step in by_kind.get("runtime", []):
        _restore(run, step, collector)
    _restore_units(steps, touched, invalid, collector, at_boot)
    _judge(going, collector)
    if not at_boot:
        _judge_units(steps, roles, collector)


def _validate(roles: List[str], head: Record, collector: ErrorCollector) -> Set[str]:
    """Return the roles whose restored configuration the host's own check refuses."""
    invalid = {error["role"] for error in collector.result["errors"]}
    for role in roles:
        for argv in head["more"].get(role, {}).get("validate", []):
            status, out, err = process.run(argv)
            if status:
                collector.refuse(role, "", " ".join(argv), process_reason(err or out))
                invalid.add(role)
    return invalid


def process_reason(text: str) -> str:
    """Return the last line of what a command printed."""
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "no message"


def _restore(run: Run, step: Step, collector: ErrorCollector) -> None:
    kind = resource_types.KINDS[step["subject"]["kind"]]
    role, image = step["entry"]["role"], step["entry"]["image"]
    # Read again: an earlier step may have brought a part of it back already.
    now = collector.attempt(role, kind.read, step["subject"])
    notes = collector.attempt(role, kind.restore, step["subject"], image, now or step["now"], step["restore"], run.blob)
    for note in notes or ():
        if step["subject"]["kind"] == "packages":
            collector.result["errors"].append({"role": role, "error": note})
        else:
            collector.result["notes"].append(note)


def _restore_units(steps: List[Step], touched: Set[str], invalid: Set[str], collector: ErrorCollector,
                   at_boot: bool) -> None:
    """Start and stop what the run stopped and started, and reload what runs with restored files."""
    for step in steps:
        if step["subject"]["kind"] != "unit" or step["conflict"]:
            continue
        role, before, name = step["entry"]["role"], step["entry"]["image"], step["subject"]["name"]
        if role in collector.result["refused_roles"]:
            continue
        refusal: Optional[units.Refusal] = None
        if "active" in step["restore"]:
            refusal = collector.attempt(role, units.restore_activity, step["subject"], before, not at_boot)
        elif not at_boot and role in touched and role not in invalid and step["now"]["active"] == before["active"] == "active":
            refusal = collector.attempt(role, units.reload, name)
        if refusal:
            collector.refuse(role, name, refusal.command, refusal.reason)


def _judge(going: List[Step], collector: ErrorCollector) -> None:
    """Compare files and settings with what was kept; what is not as it was is an error, by name."""
    final: Dict[Any, Step] = {}
    for step in going:
        if step["subject"]["kind"] in ("path", "sysctl"):
            final[(step["subject"]["kind"], step["subject"]["name"])] = step  # the last step is the oldest state
    for step in final.values():
        kind, role = resource_types.KINDS[step["subject"]["kind"]], step["entry"]["role"]
        now = collector.attempt(role, kind.read, step["subject"])
        if now is None or any(error["role"] == role for error in collector.result["errors"]):
            continue
        present, before = kind.aspects(now), kind.aspects(step["entry"]["image"])
        for key in step["restore"]:
            # A directory that others use now stays, which is noted.
            if key in before and present.get(key) != before[key]:
                name, part = kind.describe(step["subject"], key)
                collector.result["errors"].append({"role": role, "error": "%s (%s) is not as it was" % (name, part)})


def _judge_units(steps: List[Step], roles: Set[str], collector: ErrorCollector) -> None:
    """Note each unit that ran, or listened, before the run and does not now."""
    before: Dict[str, Step] = {}
    for step in steps:
        if step["subject"]["kind"] == "unit" and not step["conflict"]:
            before[step["subject"]["name"]] = step
    until = time.monotonic() + LISTEN_SECONDS
    for name, step in sorted(before.items()):
        role, image = step["entry"]["role"], step["entry"]["image"]
        if role not in roles or image["active"] != "active":
            continue
        now = units.activity(name)
        missing = [] if now != "active" else listeners.missing(image.get("listens") or [], until)
        if now not in ("active", "unknown"):
            collector.result["not_as_before"].append(
                {"role": role, "unit": name, "reason": "%s was active before and is %s" % (name, now)})
        elif missing:
            collector.result["not_as_before"].append(
                {"role": role, "unit": name, "reason": "%s listened on %s before and does not now" % (name, ", ".join(missing))})
