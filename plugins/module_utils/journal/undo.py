# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a run back: compare what was, what the run made of it and what is now, then restore what is the run's own.

An aspect (the content of a file, its mode, a table of the firewall ...) goes back when it is
still as the run left it. Where it is not, somebody changed it since: then nothing of that role
is touched, so that no half of a change remains, unless force is asked for.
"""

from __future__ import annotations

import re

from ansible_collections.hostmend.hardening.plugins.module_utils.common import process
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import resource_types
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import store
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import units
from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

SYSTEMD_FILES = ("/etc/systemd/", "/run/systemd/", "/lib/systemd/", "/usr/lib/systemd/")
SECRET = re.compile(r"(?i)^(\s*[\w.\"'-]*(?:pass|secret|token|auth|key|credential)[\w.\"'-]*\s*[=:]?\s*)\S.*$|(>)\S+")
DIFF_LIMIT = 256 * 1024
ABSENT = object()
AT_BOOT = ("path", "unit")


def compare(before, after, now):
    """Return (aspects to bring back, aspects that somebody changed since) of one subject."""
    restore, conflict = [], []
    for key in sorted(set(before) | set(after) | set(now)):
        was, made, present = (image.get(key, ABSENT) for image in (before, after, now))
        if present == was or (present is was):
            continue
        if made == was:
            # Not the run's doing: it was changed afterwards, and stays.
            continue
        (restore if present == made else conflict).append(key)
    return restore, conflict


def plan(run, roles=None, force=False, at_boot=False):
    """Return the steps that take a run back, in order; each knows what it restores and what is in its way.

    At boot it is files and units only: the rest is made from these when the host goes on booting.
    """
    steps, seen = [], {}
    for entry in reversed(run.entries()):
        if (roles and entry["role"] not in roles) or (at_boot and entry["subject"]["kind"] not in AT_BOOT):
            continue
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


def masked(text):
    """Return configuration text without what looks like a secret."""
    return "\n".join(SECRET.sub(lambda found: (found.group(1) or found.group(2)) + "********", line)
                     for line in text.split("\n"))


def _text(path):
    try:
        with open(path, "rb") as handle:
            data = handle.read(DIFF_LIMIT + 1)
    except OSError:
        return ""
    if len(data) > DIFF_LIMIT or b"\0" in data:
        return "(not shown: %s)\n" % ("binary" if b"\0" in data else "large")
    return masked(data.decode("utf-8", "replace"))


def _diff(run, step):
    """Return what Ansible shows with --diff for one step."""
    subject, image = step["subject"], step["entry"]["image"]
    kind = resource_types.KINDS[subject["kind"]]
    shown = []
    for key in _telling(step):
        name, part = kind.describe(subject, key)
        if subject["kind"] == "path" and part == "content":
            node = image["nodes"].get(key.split("\x1f")[0], {"type": "absent"})
            present = step["now"]["nodes"].get(key.split("\x1f")[0], {"type": "absent"})
            texts = []
            for side, path, when in ((present, name, "as it is now"),
                                     (node, run.blob(node.get("sha256") or "-"), "as it was before")):
                if side["type"] != "file":
                    texts.append("" if side["type"] == "absent" else "%s %s\n" % (side["type"], side.get("target", "")))
                elif not side["mode"] & 0o004:
                    texts.append("(not shown, as not everybody may read it: %s)\n" % when)
                else:
                    texts.append(_text(path))
            shown.append({"before_header": name, "after_header": name, "before": texts[0], "after": texts[1]})
        else:
            old, new = (images.get(key) for images in (kind.aspects(step["now"]), kind.aspects(image)))
            title = "%s (%s)" % (name, part)
            if part == "mode":
                old, new = "%04o" % old, "%04o" % new
            shown.append({"before_header": title, "after_header": title,
                          "before": "" if old is None else "%s\n" % (old,),
                          "after": "" if new is None else "%s\n" % (new,)})
    return shown


def rollback(run, roles=None, force=False, check=False, at_boot=False):
    """Take a run, or some roles of it, back. Returns what was done, refused and not possible."""
    steps = plan(run, roles, force, at_boot)
    head = run.head() or {"more": {}, "roles": {}}
    chosen = [role for role in head["roles"] if not roles or role in roles]
    refused = sorted({step["entry"]["role"] for step in steps if step["conflict"]})
    going = [step for step in steps if step["restore"] and step["entry"]["role"] not in refused]
    result = {"run": run.name, "changed": bool(going), "roles": chosen, "refused_roles": refused,
              "items": [], "conflicts": [], "errors": [], "notes": [], "diff": []}
    for step in steps:
        kind = resource_types.KINDS[step["subject"]["kind"]]
        for key in step["conflict"]:
            result["conflicts"].append(_item(step, kind, key))
        if step in going:
            result["items"] += [_item(step, kind, key) for key in _telling(step)]
            result["diff"] += _diff(run, step)
    if any(not step["known"] for step in going):
        result["notes"].append("the run did not end, so nothing tells later edits from its own: all went back")
    for role in chosen:
        if any(step["entry"]["role"] == role for step in going):
            result["notes"] += ["not undone: " + text for text in head["more"].get(role, {}).get("irreversible", [])]
    if check:
        return result
    if going:
        _apply(run, steps, going, head, result, at_boot)
        files.write_json(run.path + "/restored.json", dict(result, diff=[], at=store.now()))
    for role in chosen:
        failed = role in refused or any(error["role"] in (role, "") for error in result["errors"])
        state = store.CONFLICT if failed else store.RESTORED
        if head["roles"][role] != state:
            run.mark(state, role)
    return result


def _telling(step):
    """Return the aspects worth a line: of a file that comes, goes or turns into another thing, its content says it all."""
    if step["subject"]["kind"] != "path":
        return step["restore"]
    sides = (step["now"]["nodes"], step["entry"]["image"]["nodes"])
    told = []
    for key in step["restore"]:
        relative, part = key.split("\x1f")
        types = [side.get(relative, {"type": "absent"})["type"] for side in sides]
        if types[0] == types[1] or part == "content":
            told.append(key)
    return told


def _item(step, kind, key):
    name, part = kind.describe(step["subject"], key)
    return {"role": step["entry"]["role"], "kind": step["subject"]["kind"], "name": name, "what": part}


class _Attempts:
    """Carries on after a step that fails: as much as can go back does."""

    def __init__(self, result):
        self.result = result

    def make(self, role, what, *arguments):
        try:
            return what(*arguments)
        except (HostError, OSError) as error:
            self.result["errors"].append({"role": role, "error": str(error)})
            return None


def _apply(run, steps, going, head, result, at_boot):
    attempts = _Attempts(result)
    by_kind = {}
    for step in going:
        by_kind.setdefault(step["subject"]["kind"], []).append(step)
    touched = {step["entry"]["role"] for step in by_kind.get("path", ())}
    reread = any(name.startswith(SYSTEMD_FILES) for name in
                 (item["name"] for item in result["items"] if item["kind"] == "path"))
    # The firewall before packages: what it is restored with may have come with the run.
    for step in by_kind.get("path", []) + by_kind.get("sysctl", []) + by_kind.get("firewall", []):
        _restore(run, step, attempts)
    for step in by_kind.get("unit", []):
        if attempts.make(step["entry"]["role"], units.restore_links, step["entry"]["image"], step["restore"]):
            reread = True
    for step in by_kind.get("packages", []):
        _restore(run, step, attempts)
        reread = True
    if reread:
        attempts.make("", units.daemon_reload)
    for role in sorted(touched) if not at_boot else ():
        for argv in head["more"].get(role, {}).get("validate", []):
            attempts.make(role, process.must, argv)
    for step in by_kind.get("runtime", []):
        _restore(run, step, attempts)
    _restore_units(steps, touched, attempts, at_boot)


def _restore(run, step, attempts):
    kind = resource_types.KINDS[step["subject"]["kind"]]
    role, image = step["entry"]["role"], step["entry"]["image"]
    # Read again: an earlier step may have brought a part of it back already.
    now = attempts.make(role, kind.read, step["subject"])
    notes = attempts.make(role, kind.restore, step["subject"], image, now or step["now"], step["restore"], run.blob)
    for note in notes or ():
        attempts.result["errors" if step["subject"]["kind"] == "packages" else "notes"].append(
            {"role": role, "error": note} if step["subject"]["kind"] == "packages" else note)


def _restore_units(steps, touched, attempts, at_boot):
    """Start and stop what the run stopped and started, and reload what runs with restored files."""
    invalid = {error["role"] for error in attempts.result["errors"]}
    for step in steps:
        if step["subject"]["kind"] != "unit" or step["conflict"]:
            continue
        role, before, name = step["entry"]["role"], step["entry"]["image"], step["subject"]["name"]
        if role in attempts.result["refused_roles"]:
            continue
        if "active" in step["restore"]:
            attempts.make(role, units.restore_activity, step["subject"], before, not at_boot)
        elif not at_boot and role in touched and role not in invalid and step["now"]["active"] == before["active"] == "active":
            attempts.make(role, units.reload, name)
