"""Waivers: findings that somebody answers for until a day, in a YAML file beside the inventory.

Standard library and PyYAML only: the collection's plugins use it on any Ansible controller.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostmend.core.errors import HostmendError
from hostmend.core.input_files import read_text

#: Ansible reads only those files of group_vars that bear the name of a group, so it leaves this one alone.
PLACE = "group_vars/hostmend_waivers.yml"
HEAD = """---
# Findings that hostmend does not mend and does not count, each with its reason, its owner and the day it ends.
# `hostmend waive` adds one; to end one early, delete it.
"""
MEMBERS = ("check", "resource", "hosts", "groups", "reason", "owner", "expires", "created")
LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True)
class Waiver:
    """One waiver. Without ``hosts`` and ``groups`` it holds for every host, without ``resource`` for every resource."""

    check: str
    reason: str
    owner: str
    expires: datetime.date  # the last day on which it holds, in UTC
    resource: str = ""  # may hold the wildcards * and ?
    hosts: tuple[str, ...] = ()  # likewise
    groups: tuple[str, ...] = ()
    created: str = ""

    def meets(self, finding: Mapping[str, Any], host: str, groups: Iterable[str]) -> bool:
        """True where this waiver is about the finding of this host, expired or not."""
        if self.check != finding.get("check"):
            return False
        resource = str(finding.get("resource") or "")
        if self.resource and resource != self.resource and not fnmatch.fnmatchcase(resource, self.resource):
            return False
        if not self.hosts and not self.groups:
            return True
        return any(fnmatch.fnmatchcase(host, one) for one in self.hosts) or bool(set(self.groups) & set(groups))

    def told(self) -> dict[str, str]:
        """Return what the report says of it."""
        return {"reason": self.reason, "owner": self.owner, "expires": self.expires.isoformat()}


def today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def beside(inventory: str | Path | None) -> Path | None:
    """Return where the waivers of an inventory are; None for one that is no file or directory."""
    if inventory is None or "," in str(inventory):
        return None
    path = Path(inventory).expanduser().absolute()
    return (path if path.is_dir() else path.parent) / PLACE


def load(path: Path) -> list[Waiver]:
    """Return the waivers of a file; none where there is no such file.

    :raises HostmendError: in one line, where it cannot be read or an entry is not whole.
    """
    try:
        if path.stat().st_size > LIMIT:
            raise HostmendError(f"the waivers {path} are larger than {LIMIT} bytes")
        text = read_text(path, LIMIT)
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise HostmendError(f"the waivers {path} are not UTF-8: {error.reason}") from error
    except OSError as error:
        raise HostmendError(f"the waivers {path} cannot be read: {error.strerror}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> list[Waiver]:
    """Return the waivers of a text; ``name`` is for complaints."""
    import yaml

    try:
        entries = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise HostmendError(f"the waivers {name} are not YAML{where}: {getattr(error, 'problem', error)}") from error
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise HostmendError(f"the waivers {name} are not a list of waivers")
    return [_waiver(entry, f"waiver {place} in {name}") for place, entry in enumerate(entries, 1)]


def _waiver(entry: Any, name: str) -> Waiver:
    if not isinstance(entry, Mapping):
        raise HostmendError(f"{name} is not a mapping with check, reason, owner and expires")
    strange = sorted(str(key) for key in entry if key not in MEMBERS)
    if strange:
        raise HostmendError(f"{name} has an unknown member {strange[0]}; there are {', '.join(MEMBERS)}")
    for key in ("check", "reason", "owner", "expires"):
        if not str(entry.get(key) or "").strip():
            raise HostmendError(f"{name} has no {key}: a waiver says what, why, who and until when")
    return Waiver(
        check=str(entry["check"]).strip(),
        reason=str(entry["reason"]).strip(),
        owner=str(entry["owner"]).strip(),
        expires=day(entry["expires"], name),
        resource=str(entry.get("resource") or "").strip(),
        hosts=_names(entry.get("hosts"), name),
        groups=_names(entry.get("groups"), name),
        created=str(entry.get("created") or ""),
    )


def _names(given: Any, name: str) -> tuple[str, ...]:
    if given is None:
        return ()
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(one, (str, int)) and str(one).strip() for one in names):
        raise HostmendError(f"{name}: hosts and groups are lists of names; leave them out to mean all hosts")
    return tuple(str(one).strip() for one in names)


def day(given: Any, name: str) -> datetime.date:
    """Return a day given as a date, as ``2027-01-31``, or as ``90d`` from today."""
    if isinstance(given, datetime.datetime):
        return given.date()
    if isinstance(given, datetime.date):
        return given
    ahead = re.fullmatch(r"\+?(\d{1,4})d", str(given).strip())
    try:
        if ahead:
            return today() + datetime.timedelta(days=int(ahead[1]))
        return datetime.date.fromisoformat(str(given).strip())
    except ValueError as error:
        raise HostmendError(f"{name}: {given} is no day: write it as 2027-01-31, or as 90d from today") from error


def apply(
    findings: Iterable[dict[str, Any]],
    waivers: Iterable[Waiver],
    host: str,
    groups: Iterable[str],
    on: datetime.date | None = None,
) -> list[dict[str, Any]]:
    """Return the findings of a host, the open ones that a waiver is about as ``waived``.

    A waiver that has expired waives nothing: its finding stays open and says so.
    """
    on, waivers, groups = on or today(), list(waivers), set(groups)
    made = []
    for finding in findings:
        mine = [one for one in waivers if one.meets(finding, host, groups)] if finding.get("status") == "open" else []
        if mine:
            best = max(mine, key=lambda one: one.expires)
            if best.expires >= on:
                finding = {**finding, "status": "waived", "waiver": best.told()}
            else:
                finding = {**finding, "waiver_expired": best.told()}
        made.append(finding)
    return made


def appended(text: str, entry: Mapping[str, Any]) -> str:
    """Return the text of a file with one more waiver; what is there, comments too, stays as it is."""
    import yaml

    dumped = yaml.safe_dump([dict(entry)], sort_keys=False, allow_unicode=True, width=110)
    if not text.strip():
        return HEAD + dumped
    return text.rstrip("\n") + "\n" + dumped
