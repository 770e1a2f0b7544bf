# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases: states of hosts that operators have reported in public, rebuilt in containers.

A case is a folder ``tests/cases/<class>/<name>/`` with ``prepare`` (a shell script that is run in the container),
``expected.json`` and perhaps ``verify`` and ``verify-rollback`` (shell scripts that are run after mending and after
the rollback; they end with 0 where nothing is broken). What the scripts of a class share is in ``<class>/common``. The
members of expected.json are documented in docs/cases.md and held by :func:`load`.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

sys.path[:0] = [str(ROOT / "molecule" / "images"), str(ROOT / "molecule" / "shared")]
import containers  # noqa: E402
import engine  # noqa: E402

CASES = ROOT / "tests" / "cases"
MEMBERS = {
    "image": str, "kind": str, "source": str, "why": str, "options": list, "classes": list, "vars": dict, "stock": bool,
    "alone": bool, "service": str, "audit": list, "absent": list, "mend": bool, "only": list, "mended": list,
    "mended_absent": list, "mend_ok": bool, "same": bool, "rollback": bool, "rollback_ok": bool,
}  # fmt: skip
REQUIRED = ("image", "source", "why")
STATUSES = ("open", "passed", "unknown", "not_applicable", "waived")
#: Classes whose cases do not see what a case of another of them does.
SOCIABLE = ("redis", "logrotate", "certificates")
LABEL = "cases"
#: Several containers share few cores here.
PATIENT = {"timeout": 150, "class_timeout": 120}


class CaseError(Exception):
    """A case is not as it has to be; the message names the file."""


@dataclass(frozen=True)
class Case:
    """One state and the right answers about it."""

    class_name: str
    name: str
    folder: Path
    spec: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.class_name}/{self.name}"

    @property
    def mends(self) -> bool:
        return bool(self.spec.get("mend"))

    @property
    def container(self) -> str:
        return f"hm-case-{self.class_name}-{self.name}"[:60].rstrip("-")

    @property
    def image(self) -> str:
        return f"localhost/hostmend-{'stock' if self.spec.get('stock') else 'lab'}:{self.spec['image']}"

    @property
    def classes(self) -> list[str]:
        return list(self.spec.get("classes") or [self.class_name])

    @property
    def place(self) -> tuple[str, tuple[str, ...]]:
        """What a container must be for this case: its image and its options."""
        return self.image, tuple(self.spec.get("options", ()))


@dataclass
class Outcome:
    """What became of a case: its faults, one line each, and the seconds of each phase."""

    case: Case
    faults: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def load(folder: Path) -> Case:
    """Read a case.

    :raises CaseError: where a member is missing, unknown, or of another shape.
    """
    path = folder / "expected.json"
    try:
        spec = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CaseError(f"{path}: {error}") from error
    faults = [f"there is no member {name}" for name in sorted(set(spec) - set(MEMBERS))]
    faults += [f"{name} is missing" for name in REQUIRED if not spec.get(name)]
    faults += [f"{name} must be a {MEMBERS[name].__name__}" for name in spec if name in MEMBERS
               and not isinstance(spec[name], MEMBERS[name])]
    rows = [row for name in ("audit", "absent", "mended", "mended_absent") for row in spec.get(name, ())]
    faults += [f"{row} is no [check, part of the resource, status]" for row in rows
               if not (isinstance(row, list) and len(row) == 3 and row[2] in STATUSES)]
    if not rows:
        faults.append("it expects nothing")
    if not (folder / "prepare").is_file():
        faults.append("there is no script prepare beside it")
    if faults:
        raise CaseError(f"{path}: {'; '.join(faults)}")
    return Case(folder.parent.name, folder.name, folder, spec)


def every() -> list[Case]:
    """Return all cases, in the order of their names."""
    return [load(path.parent) for path in sorted(CASES.glob("*/*/expected.json"))]


def sample(cases: Iterable[Case], each: int = 2) -> list[Case]:
    """Return of the cases that are mended ``each`` of every class, and one of every kind of fault."""
    chosen, classes, kinds = [], {}, set()  # type: ignore[var-annotated]
    for case in (case for case in cases if case.mends):
        own = {word.strip() for word in case.spec.get("kind", "").split(",") if word.strip()}
        if classes.get(case.class_name, 0) < each or own - kinds:
            chosen.append(case)
            classes[case.class_name] = classes.get(case.class_name, 0) + 1
            kinds |= own
    return chosen


def groups(cases: Sequence[Case]) -> list[list[Case]]:
    """Put cases that are only audited and do not collide into one container each.

    They are of different classes, or name different services that they are about.
    """
    made: list[list[Case]] = []
    for case in cases:
        home = None
        if case.class_name in SOCIABLE and not case.spec.get("alone"):
            home = next((group for group in made if group[0].place == case.place and not group[0].spec.get("alone")
                         and all(other.class_name in SOCIABLE and apart(other, case) for other in group)), None)
        if home is None:
            made.append([case])
        else:
            home.append(case)
    return made


def apart(one: Case, other: Case) -> bool:
    """Tell whether neither of two cases changes what the other is about."""
    services = one.spec.get("service"), other.spec.get("service")
    return one.class_name != other.class_name or (all(services) and services[0] != services[1])


def shell(container: str, script: Path) -> tuple[int, str]:
    """Run a script in a container, after what its class shares; returns its exit status and what it printed."""
    shared = script.parent.parent / "common"
    text = (shared.read_text("utf-8") if shared.is_file() else "") + script.read_text("utf-8")
    done = engine.podman("exec", "--interactive", container, "sh", "-s", check=False, stdin=text)
    return done.returncode, done.stdout + done.stderr


def start(container: str, image: str, options: Sequence[str]) -> None:
    """Start a container of a case and wait until it has booted."""
    platform = {"name": container, "image": image, "options": list(options)}
    containers.up(LABEL, [platform])


def remove(names: Iterable[str]) -> None:
    """Remove containers."""
    for name in names:
        engine.podman("rm", "--force", "--time=0", "--ignore", name, check=False)


def policy(cases: Sequence[Case], catalog_classes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the agent is held to: the variables of the cases, as options of their classes."""
    wanted = sorted({name for case in cases for name in case.classes})
    made: dict[str, dict[str, Any]] = {"common": {**PATIENT, "classes": wanted}}
    known = sorted(catalog_classes, key=len, reverse=True)
    for case in cases:
        for variable, value in case.spec.get("vars", {}).items():
            name = variable[len("hostmend_"):]
            owner = next((one for one in known if name.startswith(f"{one}_")), "common")
            made.setdefault(owner, {})[name if owner == "common" else name[len(owner) + 1:]] = value
    return made


def audit(container: str, agent: Path, out: Path) -> list[dict[str, Any]]:
    """Have the agent audit a container; returns the findings."""
    engine.podman("cp", str(agent), f"{container}:/run/hostmend-agent.pyz")
    done = engine.podman("exec", container, "python3", "/run/hostmend-agent.pyz", "audit", "--json", "--fail-on", "never",
                         "--output", "/run/hostmend-case", check=False)
    out.write_text(done.stdout + done.stderr, "utf-8")
    if done.returncode:
        raise CaseError(f"the agent ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def judge(findings: Sequence[dict[str, Any]], wanted: Sequence[list[str]], absent: Sequence[list[str]], when: str) -> list[str]:
    """Return in one line each what differs from what is expected."""
    faults = []
    for check, part, status in wanted:
        seen = [(one["resource"], one["status"], one.get("reason", "")[:160]) for one in findings
                if one["check"] == check and part in one["resource"]]
        if not any(found == status for _resource, found, _reason in seen):
            faults.append(f"{when}: {check} {part!r} is to be {status}; seen: {seen or 'nothing'}")
    for check, part, status in absent:
        faults += [f"{when}: must not be: {check} {one['resource']} {status}: {one.get('reason', '')[:160]}" for one in findings
                   if one["check"] == check and part in one["resource"] and one["status"] == status]
    return faults


def changes(report: dict[str, Any], host: str) -> set[tuple[str, ...]]:
    """Return what a run changed on a host, or would have."""
    rows = report["hosts"][host].get("changes") or []
    return {(row["kind"], row["name"], row.get("action", "")) for row in rows}


def prepared(case: Case, container: str, out: Path, outcome: Outcome) -> bool:
    """Bring a container into the state of a case."""
    began = time.monotonic()
    status, text = shell(container, case.folder / "prepare")
    (out / "prepare.log").write_text(text, "utf-8")
    outcome.seconds["prepare"] = time.monotonic() - began
    if status:
        outcome.faults.append(f"prepare ended with {status}: {text.strip()[-400:]}")
    return not status


def fresh(folder: Path) -> Path:
    """Return an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
