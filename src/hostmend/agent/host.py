"""``hostmend-agent``: a host audits itself, by the detectors and the catalogue that are in this one file.

Standard library only, Python 3.6 or newer.
"""

import argparse
import importlib
import json
import os
import pkgutil
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, NoReturn, Optional, Sequence

from hostmend import __version__
from hostmend.agent import packages, report_store, signature
from hostmend.core import exit_status
from hostmend.core.catalog_model import Catalog, Check, Fix, IssueClass, Text, join
from hostmend.core.finding import GRADES, grade
from hostmend.report import score
from hostmend.report.text import visible

FORMAT = "hostmend-agent-1"
SETTINGS = Path("/etc/hostmend/agent.json")
SETTINGS_LIMIT = 1024 * 1024
UTILS = "ansible_collections.hostmend.hardening.plugins.module_utils."
NAME = "hostmend-agent"
NO_TEXT = Text("", "")
#: Nobody waits for the agent, and on a busy host its low priority lets it wait: it has more time than a live audit.
PATIENCE = 10
LIMITS = {"timeout": 300, "class_timeout": 120}


class AgentError(Exception):
    """The agent cannot do its work; the message is one line for a person."""


class Settings(NamedTuple):
    """What the host is held to, and by what name the controller knows it."""

    policy: Mapping[str, Any]
    host: str
    source: str


class Parser(argparse.ArgumentParser):
    """A parser whose complaints end with 1: 2 means that something is open."""

    def error(self, message: str) -> NoReturn:
        raise AgentError(f"{message} (see {self.prog} --help)")


def parser() -> Parser:
    """Return the parser of the command line."""
    made = Parser(
        prog=NAME,
        description="Find what is insecure on this host, and change nothing.",
        epilog="Exit status: 0 nothing is open at or above --fail-on, 2 something is, 1 the work could not be done.",
    )
    made.add_argument("--version", action="version", version=f"{NAME} {__version__}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    audit = commands.add_parser(
        "audit",
        help="audit this host and keep the report",
        description=f"Audit this host. Run by root, the report of all classes is kept in {report_store.DIRECTORY}/report.json.",
        epilog="Exit status: 0 nothing is open at or above --fail-on, 2 something is, 1 the work could not be done.",
    )
    form = audit.add_mutually_exclusive_group()
    form.add_argument("--text", dest="form", action="store_const", const="text", default="text", help="for a person (default)")
    form.add_argument("--json", dest="form", action="store_const", const="json", help="the whole report")
    form.add_argument("--quiet", dest="form", action="store_const", const="quiet", help="one line")
    audit.add_argument("--output", type=Path, metavar="DIR", help=f"keep the report there, not in {report_store.DIRECTORY}")
    audit.add_argument(
        "--class", dest="classes", action="append", default=[], metavar="C",
        help="only this issue class (may be given again; !C leaves one out); the report is only kept with --output",
    )  # fmt: skip
    audit.add_argument(
        "--fail-on", choices=("high", "medium", "low", "never"), help="end with 2 when something at least this grave is open"
    )
    commands.add_parser(
        "key",
        help="make the key that reports are signed with, where there is none",
        description=f"Make {report_store.KEY} where there is none, and say which key it is. The controller enrols it over SSH.",
    )
    return made


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the agent, and return its exit status. What goes wrong is one line, never a traceback."""
    try:
        given = parser().parse_args(arguments)
        if given.command == "key":
            return key()
        if given.command == "audit":
            return audit(given)
        parser().print_help()
        return exit_status.CANNOT
    except (AgentError, report_store.AgentStoreError) as error:
        say(str(error))
        return exit_status.CANNOT
    except KeyboardInterrupt:
        say("stopped")
        return exit_status.STOPPED
    except BrokenPipeError:  # the reader has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_status.CANNOT
    except MemoryError:
        say("the memory does not suffice")
        return exit_status.CANNOT
    except Exception as error:  # its text may quote what the host holds
        say(f"the agent failed: {_utils('engine').where(error)}")
        return exit_status.CANNOT


def say(text: str) -> None:
    """Say one line to the person, or to the journal of the unit."""
    print(f"{NAME}: {visible(text)}", file=sys.stderr)


def _utils(name: str) -> Any:
    return importlib.import_module(UTILS + name)


def key() -> int:
    """Make the key where there is none."""
    if os.geteuid() != 0:
        raise AgentError("only root can make and read the key")
    if not _utils("host").Host().live:
        raise AgentError("this system is not running: its key is made at its first boot, or every copy of it would share one")
    print(f"key {signature.key_id(report_store.make_key())} in {report_store.KEY}")
    return exit_status.OK


def audit(given: argparse.Namespace) -> int:
    """Audit the host, keep and show the report."""
    output: Optional[Path] = given.output.expanduser().absolute() if given.output else None
    os.chdir("/")
    keeps = output is not None or (os.geteuid() == 0 and not given.classes)
    settings = load_settings()
    known, fail_on = catalog(), given.fail_on or _fail_on(settings)
    if not keeps:
        report = made_report(settings, given.classes, known, int(time.time()), own=False)
        show(report, given.form, "")
    else:
        reports = report_store.Reports(output or report_store.DIRECTORY)
        with reports.held():
            number = reports.next_number(time.time())
            report = made_report(settings, given.classes, known, number, own=output is None)
            try:
                path = reports.keep(json.dumps(report, indent=1, sort_keys=True, allow_nan=False) + "\n", report["sequence"])
            except report_store.AgentStoreError:
                show(report, given.form, "")
                raise
        show(report, given.form, str(path))
    host = {"status": report["status"], "findings": report["findings"]}
    return exit_status.exit_status({"run": {}, "hosts": {"this": host}}, fail_on)


def _fail_on(settings: Settings) -> str:
    wanted = str((settings.policy.get("common") or {}).get("fail_on") or "low")
    return wanted if wanted in exit_status.GRAVITY else "low"


def load_settings(path: Path = SETTINGS) -> Settings:
    """Return the policy and the name of this host: of the file where there is one, else what was built in."""
    try:
        data = json.loads(report_store.read(path, SETTINGS_LIMIT).decode("utf-8"))
        source = str(path)
    except (FileNotFoundError, PermissionError) as error:
        if isinstance(error, PermissionError):
            say(f"{path} is for root alone: this audit goes by the policy that was built in")
        data = _built()
        source = "built in" if data.get("policy") else "defaults"
    except (OSError, ValueError, RecursionError) as error:
        raise AgentError(f"the policy {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    policy, host = (data.get("policy", {}), data.get("host", "")) if isinstance(data, dict) else (None, "")
    if not isinstance(policy, dict) or not isinstance(host, str):
        raise AgentError(f"the policy {path} is no object with policy and host")
    return Settings(policy, host or socket.gethostname(), source)


def _built() -> Dict[str, Any]:
    data = pkgutil.get_data("hostmend.agent", "built.json")
    made = json.loads(data.decode("utf-8")) if data else {}
    return made if isinstance(made, dict) else {}


def catalog() -> Catalog:
    """Return the catalogue that was built in."""
    classes: Dict[str, Dict[str, Check]] = {}
    for name, one in (_built().get("checks") or {}).items():
        fix = Fix(one["fix"]["risk"], one["fix"].get("role"))
        classes.setdefault(one["class"], {})[name] = Check(
            name, one["class"], one["kind"], one["grade"], Text(one["title"], ""), NO_TEXT, NO_TEXT, fix, tuple(one["references"])
        )
    return Catalog({name: IssueClass(name, NO_TEXT, NO_TEXT, {}, checks) for name, checks in classes.items()}, {})


def made_report(settings: Settings, classes: Sequence[str], known: Catalog, number: int, own: bool) -> Dict[str, Any]:
    """Audit the host and return the signed report.

    :param own: whether it goes to the agent's own directory; only then a key is made where there is none.
    """
    engine, detectors = _utils("engine"), _utils("detectors").DETECTORS
    host = _utils("host").Host(patience=PATIENCE)
    common = settings.policy.get("common") or {}
    started = time.time()
    try:
        policies = engine.merge(settings.policy, detectors)
        wanted = [part.strip() for one in classes for part in one.split(",")] or common.get("classes") or ["all"]
        chosen = engine.select(wanted, list(detectors))
    except engine.PolicyError as error:
        raise AgentError(f"{error} (policy: {settings.source})") from error
    limits = {name: max(common.get(name) or 0, least) for name, least in LIMITS.items()}
    facts, found, fared = engine.run(
        host, {name: detectors[name] for name in chosen}, policies, limits["timeout"], limits["class_timeout"]
    )
    system = host.system()
    findings = [join(one, known) for one in found]
    report: Dict[str, Any] = {
        "format": FORMAT,
        "host": settings.host,
        "hostname": engine.printable(socket.gethostname()),
        "sequence": number,
        "run": {
            "id": f"{_time(started).translate({ord('-'): None, ord(':'): None})}-{secrets.token_hex(3)}",
            "started": _time(started),
            "finished": _time(time.time()),
            "mode": "audit",
            "version": __version__,
        },
        "boot_id": system.boot_id,
        "machine": system.machine_id_fingerprint,
        "policy": settings.source,
        "status": "ok",
        "score": score.host_score(findings),
        "findings": findings,
        "classes": fared,
        # Which CVEs they have is the controller's to say, who has the advisories.
        "facts": {"updates": packages.packed(facts.get("updates"))},
        "system": engine.json_safe(dict(system._asdict(), failed_units=engine.failed_units(host))),
    }
    report["signature"] = _signature(report, own and host.live)
    return report


def _signature(report: Mapping[str, Any], makes: bool) -> Dict[str, str]:
    if os.geteuid() != 0:
        return {"algorithm": "none", "reason": "only root can sign it"}
    try:
        made = report_store.make_key() if makes else report_store.load_key()
    except report_store.AgentStoreError as error:
        return {"algorithm": "none", "reason": str(error)}
    return signature.sign(report, made) if made else {"algorithm": "none", "reason": f"there is no key {report_store.KEY} yet"}


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def show(report: Mapping[str, Any], form: str, path: str) -> None:
    """Print the report in the form that was asked for."""
    if form == "json":
        print(json.dumps(report, indent=1, sort_keys=True, allow_nan=False))
    elif form == "quiet":
        told = report["signature"]
        print(summary(report) if told.get("key") else f"{summary(report)}; not signed: {visible(told.get('reason', ''), 300)}")
    else:
        print("\n".join(lines(report, path)))
    sys.stdout.flush()


def summary(report: Mapping[str, Any]) -> str:
    """Return the report in one line."""
    counts: Dict[str, int] = {}
    grades: Dict[str, int] = {}
    for one in report["findings"]:
        counts[one["status"]] = counts.get(one["status"], 0) + 1
        if one["status"] == "open":
            grades[grade(one)] = grades.get(grade(one), 0) + 1
    said = ", ".join(f"{grades[name]} {name}" for name in GRADES if grades.get(name))
    points = "no score" if report["score"] is None else f"score {report['score']} of 100"
    words = [points, f"{counts.get('open', 0)} open" + (f" ({said})" if said else "")]
    words += [f"{counts[name]} {name.replace('_', ' ')}" for name in ("unknown", "passed", "not_applicable") if counts.get(name)]
    return ", ".join(words)


def lines(report: Mapping[str, Any], path: str) -> List[str]:
    """Return the report for a person."""
    made = [f"{visible(report['host'])}: {summary(report)}"]
    order = {name: place for place, name in enumerate((*GRADES, "unknown"))}

    def word(one: Mapping[str, Any]) -> str:
        return grade(one) if one["status"] == "open" else "unknown"

    rows = [one for one in report["findings"] if one["status"] in ("open", "unknown")]
    for one in sorted(rows, key=lambda one: (order.get(word(one), 9), one["check"], one["resource"])):
        resource = f": {visible(one['resource'], 300)}" if one["resource"] else ""
        reason = f" ({visible(one['reason'], 300)})" if one["status"] == "unknown" else ""
        made.append(f"  {word(one):10}  {visible(one['check']):32}  {visible(one['title'])}{resource}{reason}")
    if any(one["status"] == "unknown" for one in rows):
        made.append("What is unknown was not checked: it is not a pass, and not in the score.")
    told = report["signature"]
    signed = f"signed with key {told['key']}" if told.get("key") else f"not signed: {visible(told.get('reason', ''))}"
    made.append(f"Report: {visible(path) or 'not kept'} ({signed})")
    return made
