# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a run back: compare what was, what the run made of it and what is now, then restore what is the run's own.

An aspect (the content of a file, its mode, a table of the firewall ...) goes back when it is
still as the run left it. Where it is not, somebody changed it since: then nothing of that role
is touched, so that no half of a change remains, unless force is asked for. The same holds
where the journal of a role is damaged: all that is kept is verified before anything is touched.
"""

from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.journal import differences
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import records
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import resource_types
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import restoring
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import runs
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.records import Record
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import Damage
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import Run

ABSENT = object()
AT_BOOT = ("path", "unit")
Step = Dict[str, Any]


def compare(before: Record, after: Record, now: Record) -> Tuple[List[str], List[str]]:
    """Return (aspects to bring back, aspects that somebody changed since) of one subject."""
    restore: List[str] = []
    conflict: List[str] = []
    for key in sorted(set(before) | set(after) | set(now)):
        was, made, present = (image.get(key, ABSENT) for image in (before, after, now))
        if present == was or (present is was):
            continue
        if made == was:
            # Not the run's doing: it was changed afterwards, and stays.
            continue
        (restore if present == made else conflict).append(key)
    return restore, conflict


def plan(entries: List[Record], force: bool = False) -> List[Step]:
    """Return the steps that take entries back, in order; each knows what it restores and what is in its way."""
    steps: List[Step] = []
    seen: Dict[Tuple[str, str], Record] = {}
    for entry in reversed(entries):
        subject, kind = entry["subject"], resource_types.KINDS[entry["subject"]["kind"]]
        identity = (subject["kind"], subject["name"])
        now = kind.read(subject)
        before = kind.aspects(entry["image"])
        # What an earlier step of this plan will have restored is what this one will meet.
        present = dict(seen.get(identity, kind.aspects(now)))
        after = kind.aspects(entry["after"]) if entry["after"] is not None else dict(present)
        restore, conflict = compare(before, after, present)
        if force:
            restore, conflict = restore + conflict, []
        for key in restore:
            present.pop(key, None)
            if key in before:
                present[key] = before[key]
        seen[identity] = present
        steps.append({"entry": entry, "subject": subject, "now": now, "restore": restore, "conflict": conflict,
                      "known": entry["after"] is not None})
    return steps


def _damage(run: Run, chosen: List[str], force: bool) -> Tuple[List[Record], Dict[str, List[str]]]:
    """Return (the entries of the chosen roles, {role: what of its journal is damaged})."""
    entries, damage = run.inspect()
    wanted = [entry for entry in entries if entry["role"] in chosen]
    damage = [item for item in damage if not (item.after and force)] + run.damaged_blobs(wanted)
    found: Dict[str, List[str]] = {}
    for item in damage:
        for role in ([item.role] if item.role else chosen):
            if role in chosen and item.reason not in found.setdefault(role, []):
                found[role].append(item.reason)
    return wanted, found


def _settled(entries: List[Record], damaged: Iterable[str], force: bool) -> Tuple[List[Step], Set[str]]:
    """Return (the steps, the roles that are refused), so that no step builds on one that will not be taken."""
    refused: Set[str] = set()
    conflicts: List[Step] = []
    while True:
        left = [entry for entry in entries if entry["role"] not in refused and entry["role"] not in damaged]
        steps = plan(left, force)
        new = {step["entry"]["role"] for step in steps if step["conflict"]}
        if not new:
            return steps + conflicts, refused
        conflicts += [dict(step, restore=[]) for step in steps if step["entry"]["role"] in new]
        refused |= new


def rollback(run: Run, roles: Optional[List[str]] = None, force: bool = False, check: bool = False,
             at_boot: bool = False) -> Record:
    """Take a run, or some roles of it, back. Returns what was done, refused and not possible.

    At boot it is files and units only: the rest is made from these when the host goes on booting.

    {"run", "changed", "roles": chosen, "refused_roles", "items": what went back, "conflicts": what somebody changed
    since, "damaged": what of the journal is, "errors": what could not be brought back, "host_refused": what the host
    did not do once its files were back, "not_as_before": units that do not run or listen as they did, "notes", "diff"}
    """
    head = run.head() or {"more": {}, "roles": {}}
    chosen = [role for role in head["roles"] if not roles or role in roles]
    entries, damaged = _damage(run, chosen, force)
    if at_boot:
        entries = [entry for entry in entries if entry["subject"]["kind"] in AT_BOOT]
    steps, refused = _settled(entries, damaged, force)
    going = [step for step in steps if step["restore"]]
    result: Record = {"run": run.name, "changed": bool(going), "roles": chosen,
                      "refused_roles": sorted(refused | set(damaged)), "items": [], "conflicts": [],
                      "damaged": [{"role": role, "error": "nothing of %s was touched: %s" % (role, reason)}
                                  for role, reasons in sorted(damaged.items()) for reason in reasons],
                      "errors": [], "host_refused": [],
                      "not_as_before": [], "notes": [], "diff": []}
    for step in steps:
        result["conflicts"] += differences.items(step, step["conflict"])
        result["items"] += differences.items(step, differences.telling(step))
        result["diff"] += differences.differences(run, step)
    if any(not step["known"] for step in going):
        result["notes"].append("the run did not end, so nothing tells later edits from its own: all went back")
    for role in chosen:
        if any(step["entry"]["role"] == role for step in going):
            result["notes"] += ["not undone: " + text for text in head["more"].get(role, {}).get("irreversible", [])]
    if check:
        return result
    if going:
        restoring.apply(run, steps, head, result, at_boot)
        records.write(run.path + "/restored.json", dict(result, diff=[], at=runs.now()))
    for role in chosen:
        failed = role in result["refused_roles"] or any(error["role"] in (role, "") for error in result["errors"])
        state = runs.CONFLICT if failed else runs.RESTORED
        if head["roles"][role] != state:
            run.mark(state, role)
    return result


__all__ = ["Damage", "compare", "plan", "rollback"]
