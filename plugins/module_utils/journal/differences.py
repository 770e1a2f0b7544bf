# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step of a rollback brings back, as items for a report and as Ansible's differences."""

import re
from typing import Any, Dict, List

from ansible_collections.hostmend.hardening.plugins.module_utils.journal import resource_types
from ansible_collections.hostmend.hardening.plugins.module_utils.journal.runs import Run

Step = Dict[str, Any]

SECRET = re.compile(r"(?i)^(\s*[\w.\"'-]*(?:pass|secret|token|auth|key|credential)[\w.\"'-]*\s*[=:]?\s*)\S.*$|(>)\S+")
DIFF_LIMIT = 256 * 1024


def masked(text: str) -> str:
    """Return configuration text without what looks like a secret."""
    return "\n".join(SECRET.sub(lambda found: (found.group(1) or found.group(2)) + "********", line)
                     for line in text.split("\n"))


def items(step: Step, keys: List[str]) -> List[Dict[str, str]]:
    """Return {"role", "kind", "name", "what"} for some aspects of a step."""
    kind = resource_types.KINDS[step["subject"]["kind"]]
    found = []
    for key in keys:
        name, part = kind.describe(step["subject"], key)
        found.append({"role": step["entry"]["role"], "kind": step["subject"]["kind"], "name": name, "what": part})
    return found


def telling(step: Step) -> List[str]:
    """Return the aspects worth a line: of a file that comes, goes or turns into another thing, its content says it all."""
    restore: List[str] = step["restore"]
    if step["subject"]["kind"] != "path":
        return restore
    sides = (step["now"]["nodes"], step["entry"]["image"]["nodes"])
    found = []
    for key in restore:
        relative, part = key.split("\x1f")
        types = [side.get(relative, {"type": "absent"})["type"] for side in sides]
        if types[0] == types[1] or part == "content":
            found.append(key)
    return found


def differences(run: Run, step: Step) -> List[Dict[str, str]]:
    """Return what Ansible shows with --diff for one step."""
    subject, image = step["subject"], step["entry"]["image"]
    kind = resource_types.KINDS[subject["kind"]]
    shown = []
    for key in telling(step):
        name, part = kind.describe(subject, key)
        if subject["kind"] == "path" and part == "content":
            shown.append(_content(run, step, key, name))
            continue
        old, new = (images.get(key) for images in (kind.aspects(step["now"]), kind.aspects(image)))
        title = "%s (%s)" % (name, part)
        if part == "mode":
            old, new = ("" if mode is None else "%04o" % mode for mode in (old, new))
        shown.append({"before_header": title, "after_header": title,
                      "before": "" if old is None else "%s\n" % (old,),
                      "after": "" if new is None else "%s\n" % (new,)})
    return shown


def _content(run: Run, step: Step, key: str, name: str) -> Dict[str, str]:
    relative = key.split("\x1f")[0]
    node = step["entry"]["image"]["nodes"].get(relative, {"type": "absent"})
    present = step["now"]["nodes"].get(relative, {"type": "absent"})
    texts = []
    for side, path, when in ((present, name, "as it is now"),
                             (node, run.blob(node.get("sha256") or "-"), "as it was before")):
        if side["type"] != "file":
            texts.append("" if side["type"] == "absent" else "%s %s\n" % (side["type"], side.get("target", "")))
        elif not side["mode"] & 0o004:
            texts.append("(not shown, as not everybody may read it: %s)\n" % when)
        else:
            texts.append(_text(path))
    return {"before_header": name, "after_header": name, "before": texts[0], "after": texts[1]}


def _text(path: str) -> str:
    try:
        with open(path, "rb") as handle:
            data = handle.read(DIFF_LIMIT + 1)
    except OSError:
        return ""
    if len(data) > DIFF_LIMIT or b"\0" in data:
        return "(not shown: %s)\n" % ("binary" if b"\0" in data else "large")
    return masked(data.decode("utf-8", "replace"))
