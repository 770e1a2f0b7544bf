"""What the controller makes of the reports of agents: which it believes, and what it keeps of each host.

A report counts where it is signed with the key that is kept of that host, is that host's, follows those before it and is
of these days. Any other is shown with the reason, and nothing in it is believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from calendar import timegm
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hostmend.agent import signature
from hostmend.agent.host import FORMAT
from hostmend.agent.report_store import read, write
from hostmend.core import validation
from hostmend.core.catalog_model import Catalog
from hostmend.core.errors import HostmendError
from hostmend.report.text import words_of_age
from hostmend.store import state_directory

#: The largest report that is read, in bytes.
LIMIT = 8 * 1024 * 1024
#: How far a host's clock may be ahead, in seconds.
AHEAD = 300
_AGE = re.compile(r"(\d{1,6})\s*([smhd]?)\Z")
#: How far numbers may be above the seconds of the time, as a host's clock may have gone back.
MOST_AHEAD = 86400
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_NUMBER = 10**15
#: The longest name, version or number of a report.
LONGEST = 300


@dataclass
class VerifiedReport:
    """What a host's agent said, and whether it counts."""

    signature: str  # valid, invalid, unsigned, unenrolled, unreadable, missing
    reason: str = ""  # why it does not count; empty where it does
    report: dict[str, Any] | None = None  # only where it counts
    age: int | None = None  # seconds, as the report itself says where it does not count
    sequence: int | None = None

    @property
    def counts(self) -> bool:
        return self.report is not None and not self.reason

    def source(self) -> dict[str, Any]:
        """Return what the report of the run says of where a host's findings come from."""
        made: dict[str, Any] = {"kind": "agent", "signature": self.signature}
        if self.age is not None:
            made["age_seconds"] = self.age
        if self.sequence is not None:
            made["sequence"] = self.sequence
        if self.report is not None:
            made["finished"] = self.report["run"]["finished"]
            made["version"] = self.report["run"]["version"]
        return made


def max_age(given: Any) -> int:
    """Return an age in seconds, given as ``26h``, ``90m``, ``2d`` or a number of seconds."""
    match = _AGE.match(str(given).strip())
    if not match or not int(match[1]):
        raise HostmendError(f"{given!r} is no age: write it as 26h, 90m or 2d")
    return int(match[1]) * _UNITS[match[2]]


class Host:
    """What is kept of one host: its key, what was seen of it last, and its last report that counted."""

    def __init__(self, name: str, directory: Path | None = None) -> None:
        self.name = name
        self.directory = (directory or state_directory() / "agents") / file_name(name)

    @property
    def report_path(self) -> Path:
        return self.directory / "report.json"

    def key(self) -> str | None:
        """Return the key that is kept of the host; None where none is."""
        data = self._read("key", 256)
        key = signature.read_key(data.decode("ascii", "replace")) if data is not None else None
        if data is not None and key is None:
            raise HostmendError(f"the key of {self.name} is damaged: {self.directory / 'key'}")
        return key

    def seen(self) -> dict[str, Any]:
        """Return what was seen of the host last: sequence, digest, machine, and the name that it calls itself."""
        data = self._read("seen.json", 65536)
        try:
            made = json.loads(data) if data else {}
        except ValueError as error:
            raise HostmendError(f"what is kept of {self.name} is damaged: {self.directory / 'seen.json'}") from error
        return made if isinstance(made, dict) else {}

    def enrol(self, key: str, called: str, anew: bool = False) -> None:
        """Keep a key, and the name that the host's reports bear; from which machine they come is seen anew.

        :param anew: whether their number is, too, as it is where the key is another one.
        """
        if self.key() != key:
            self._write("key", (key + "\n").encode("ascii"))
            anew = True
        kept = {} if anew else {name: value for name, value in self.seen().items() if name in ("sequence", "digest")}
        self._write("seen.json", json.dumps({**kept, "called": called}).encode("utf-8"))

    def accept(self, verified: VerifiedReport, raw: bytes) -> None:
        """Keep a report that counts: none that is older is believed from now on."""
        assert verified.report is not None
        if self.seen().get("digest") == digest(raw) and self.report_path.exists():
            return
        self._write("report.json", raw)
        seen = {
            "called": verified.report["host"],
            "sequence": verified.report["sequence"],
            "digest": digest(raw),
            "machine": verified.report["machine"],
        }
        self._write("seen.json", json.dumps(seen).encode("utf-8"))

    def forget(self) -> bool:
        """Forget the host; True where anything was known."""
        there = False
        for name in ("key", "seen.json", "report.json"):
            with contextlib.suppress(FileNotFoundError):
                (self.directory / name).unlink()
                there = True
        with contextlib.suppress(OSError):
            self.directory.rmdir()
        return there

    def _read(self, name: str, limit: int) -> bytes | None:
        try:
            return read(self.directory / name, limit)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise HostmendError(f"{self.directory / name} cannot be read: {_why(error)}") from error

    def _write(self, name: str, data: bytes) -> None:
        try:
            for folder in (self.directory.parent.parent, self.directory.parent, self.directory):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(self.directory / name, data)
        except OSError as error:
            raise HostmendError(f"{self.directory / name} cannot be written: {_why(error)}") from error


def file_name(name: str) -> str:
    """Return a host's name as that of a file."""
    made = quote(name, safe="")
    return made.replace(".", "%2E") if made.strip(".") == "" else made


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def load(host: Host, place: str, age: int, now: float | None = None) -> VerifiedReport:
    """Return what the agent of a host said last.

    :param place: a directory with a ``HOST.json`` for each host, or ``auto`` for the reports that were collected.
    :param age: how old a report may be, in seconds.
    """
    path = host.report_path if place == "auto" else Path(place).expanduser() / f"{file_name(host.name)}.json"
    try:
        raw = read(path, LIMIT)
    except FileNotFoundError:
        return VerifiedReport("missing", "there is no report of its agent" + ("" if place == "auto" else f" in {place}"))
    except (OSError, ValueError) as error:
        return VerifiedReport("unreadable", f"the report of its agent cannot be read: {_why(error)}")
    verified = verify(raw, host, age, now)
    if verified.counts:
        host.accept(verified, raw)
    return verified


def verify(raw: bytes, host: Host, age: int, now: float | None = None) -> VerifiedReport:
    """Return whether a report counts as the host's last verified, and why not."""
    now = time.time() if now is None else now
    try:
        report = parse(raw)
    except HostmendError as error:
        return VerifiedReport("unreadable", f"the report of its agent is not believed: {error}")
    old = int(now - _seconds(report["run"]["finished"]))
    verified = VerifiedReport("valid", report=report, age=max(0, old), sequence=report["sequence"])
    verified.signature, verified.reason = _signed(report, host)
    if not verified.reason:
        verified.reason = _timely(old, age) or _of_its_time(report["sequence"], now) or _fits(report, raw, host)
    if verified.reason:
        verified.report = None
        verified.reason = f"the report of its agent is not believed: {verified.reason}"
    return verified


def parse(raw: bytes) -> dict[str, Any]:
    """Return a report whose shape is right; nothing is said of whether it is true.

    :raises HostmendError: in one line.
    """
    if len(raw) > LIMIT:
        raise HostmendError(f"it is larger than {LIMIT} bytes")
    try:
        report = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise HostmendError("it is no JSON") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise HostmendError(f"it is no report of the format {FORMAT}")
    run = report.get("run")
    number = report.get("sequence")
    fine = (
        isinstance(run, dict)
        and all(isinstance(run.get(name), str) and len(run[name]) <= LONGEST for name in ("id", "version"))
        and all(_TIME.match(str(run.get(name))) for name in ("started", "finished"))
        and isinstance(number, int)
        and not isinstance(number, bool)
        and 0 < number < _NUMBER
        and all(isinstance(report.get(name), str) and len(report[name]) <= LONGEST for name in ("host", "boot_id", "machine"))
        and isinstance(report.get("facts", {}), dict)
        and report.get("status") == "ok"
    )
    if not fine:
        raise HostmendError("it is not whole")
    try:
        validation.document_size(report)
        validation.validated(report.get("findings"))
        validation.classes(report.get("classes"))
        validation.system(report.get("system"))
        _seconds(report["run"]["finished"])
        signature.canonical(report)
    except (ValueError, RecursionError, HostmendError) as error:
        raise HostmendError("it is not whole") from error
    return report


def findings(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the findings of a report that counts, without what is not the host's to say.

    The risk of the single case is its detector's verified, and has gone into its fix.
    """
    made = validation.validated(report["findings"])
    for finding, given in zip(made, report["findings"], strict=True):
        fix = given.get("fix")
        if isinstance(fix, dict) and isinstance(fix.get("risk"), str):
            finding["risk"] = fix["risk"]
        finding["evidence"] = {name: part for name, part in finding.get("evidence", {}).items() if name in validation.EVIDENCE}
    return made


def with_unknowns(given: list[dict[str, Any]], classes: Iterable[str], catalog: Catalog, version: str) -> list[dict[str, Any]]:
    """Return the findings of these classes, and ``unknown`` for each of their checks that the agent said nothing about.

    An agent may be older than the controller, or have been told to look at fewer classes.
    """
    wanted = set(classes)
    reason = f"the agent on the host (version {version}) said nothing about this check"
    return validation.with_unknowns([finding for finding in given if finding["class"] in wanted], wanted, catalog, reason)


def _signed(report: Mapping[str, Any], host: Host) -> tuple[str, str]:
    told = report.get("signature")
    if not isinstance(told, dict) or told.get("algorithm") in (None, "none"):
        return "unsigned", "it is not signed"
    key = host.key()
    if key is None:
        return "unenrolled", "its key is not enrolled: reach the host once with `hostmend agent collect`"
    if signature.holds(report, key):
        return "valid", ""
    if told.get("key") != signature.key_id(key):
        return "invalid", "it is signed with another key than the one that is enrolled for this host"
    return "invalid", "its signature is wrong: it was changed after it was signed"


def _fits(report: Mapping[str, Any], raw: bytes, host: Host) -> str:
    seen = host.seen()
    if seen.get("called") and report["host"] != seen["called"]:
        return f"it is the report of {report['host']}"
    if seen.get("machine") and report["machine"] != seen["machine"]:
        return "it comes from another machine than those before it: install the agent anew if the host was"
    last = seen.get("sequence", 0)
    if report["sequence"] < last:
        return f"it is older than one that is known already (number {report['sequence']} after {last})"
    if report["sequence"] == last and seen.get("digest") not in (None, digest(raw)):
        return f"there are two different reports with the number {last}"
    return ""


def _timely(old: int, age: int) -> str:
    if old < -AHEAD:
        return f"it is from the future: {words_of_age(-old)} ahead of this machine's clock"
    if old > age:
        return f"it is {words_of_age(old)} old, and may be {words_of_age(age)}"
    return ""


def _of_its_time(number: int, now: float) -> str:
    """A number is the time, or little more: whoever once held the host's key cannot keep later reports out by a large one."""
    if number > now + MOST_AHEAD:
        return f"its number is from the future ({number})"
    return ""


def _seconds(text: str) -> int:
    return timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def _refuse(verified: str) -> Any:
    raise ValueError(f"{verified} is no JSON")


def _why(error: OSError | ValueError) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
