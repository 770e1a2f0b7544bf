"""One Ansible run: started with ansible-runner, followed by its events, stopped cleanly."""

from __future__ import annotations

import contextlib
import json
import locale
import os
import shlex
import shutil
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostmend import advisories
from hostmend.ansible_config import UserConfig
from hostmend.core.errors import HostmendError
from hostmend.run_directory import run_directory

#: How often a wish to stop is looked for, and how long Ansible has for ending its workers itself.
POLL_SECONDS = 0.25
GRACE_SECONDS = 8.0
#: Results as large as this come whole off the run; ansible-runner would empty them above 700 000 characters.
LARGEST_RESULT = 256 * 1024 * 1024

#: Ansible's own, and an end to a link that has gone silent: after half a minute, not when TCP gives up.
SSH_ARGS = "-C -o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=10 -o ServerAliveCountMax=3"

PASSWORD_PROMPTS: Mapping[str, str] = {
    "connection": r"SSH password:\s*?$",
    "become": r"BECOME password.*:\s*?$",
    "vault": r"Vault password(\s+\([^)]*\))?:\s*?$",
}


@dataclass
class Request:
    """What to run."""

    playbook: str
    inventory: tuple[str, ...] = ()
    limit: str | None = None
    hosts: tuple[str, ...] = ()  # only these, by name
    options: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    check: bool = False
    diff: bool = False
    verbosity: int = 0


@dataclass
class Result:
    """How it ended."""

    status: str  # done, stopped, failed
    code: int
    errors: list[str] = field(default_factory=list)


class Stop:
    """A wish to stop, from Ctrl-C or SIGTERM; a second one does not wait."""

    def __init__(self) -> None:
        self.asked: float | None = None
        self.force = False
        self.on_ask: Callable[[], None] | None = None

    def ask(self, signum: int = 0, frame: Any = None) -> None:
        del signum, frame
        if self.asked is not None:
            self.force = True
            return
        self.asked = time.monotonic()
        if self.on_ask is not None:
            self.on_ask()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """Take SIGINT, SIGTERM and SIGHUP while this lasts."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        kept = [signal.signal(one, self.ask) for one in signals]
        try:
            yield self
        finally:
            for one, handler in zip(signals, kept, strict=True):
                signal.signal(one, handler)


def collection() -> Path:
    """Return the root of the collection hostmend.hardening that belongs to this controller."""
    here = Path(__file__).resolve()
    places = [
        here.parents[2],  # a clone: <root>/src/hostmend/session.py
        *(Path(sysconfig.get_path(name)) / "ansible_collections/hostmend/hardening" for name in ("purelib", "platlib")),
        here.parents[1] / "ansible_collections/hostmend/hardening",  # a wheel, wherever it was put
    ]
    for place in places:
        if (place / "playbooks/audit.yml").is_file() and (place / "plugins").is_dir():
            return place
    raise HostmendError("the collection hostmend.hardening that belongs to this program is not there: install it anew")


def collections_path(root: Path) -> str | None:
    """Return the directory to search for ``root`` as a collection."""
    if root.parts[-3:] == ("ansible_collections", "hostmend", "hardening"):
        return str(root.parents[2])
    link = root / ".ansible/collections"
    return str(link) if (link / "ansible_collections/hostmend/hardening/plugins").is_dir() else None


def environment(root: Path, config: UserConfig) -> dict[str, str]:
    """Return the variables that the run needs beside the user's own; what the user has set stays."""
    environ = config.environ
    made: dict[str, str] = {
        "MAX_EVENT_RES": str(LARGEST_RESULT),
        "ANSIBLE_NOCOWS": "1",
        # What a host says of itself is no variable, whatever the user's ansible.cfg has.
        "ANSIBLE_INJECT_FACT_VARS": "False",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "PYTHONUNBUFFERED": "1",
    }
    if environ.get("HOSTMEND_ADVISORIES"):  # a path that is relative is so to where the command was given
        made["HOSTMEND_ADVISORIES"] = str(advisories.location(environ=environ))
    made.update(_utf8(environ))
    place = collections_path(root)
    if place is not None:
        given = environ.get("ANSIBLE_COLLECTIONS_PATH") or environ.get("ANSIBLE_COLLECTIONS_PATHS")
        own = config.paths("defaults", "collections_path") or config.paths("defaults", "collections_paths")
        rest = given.split(os.pathsep) if given else own or ["~/.ansible/collections", "/usr/share/ansible/collections"]
        made["ANSIBLE_COLLECTIONS_PATH"] = os.pathsep.join(dict.fromkeys([place, *rest]))
    # ansible-runner would switch the check of host keys off where nothing is set.
    if "ANSIBLE_HOST_KEY_CHECKING" not in environ:
        made["ANSIBLE_HOST_KEY_CHECKING"] = config.get("defaults", "host_key_checking") or "True"
    ours = (
        (
            "ANSIBLE_PIPELINING",
            "True",
            (("ssh_connection", "pipelining"), ("connection", "pipelining"), ("defaults", "pipelining")),
        ),
        ("ANSIBLE_FORKS", "20", (("defaults", "forks"),)),
        ("ANSIBLE_SSH_ARGS", SSH_ARGS, (("ssh_connection", "ssh_args"),)),
        ("ANSIBLE_PYTHON_INTERPRETER", "auto_silent", (("defaults", "interpreter_python"),)),
    )
    for name, value, places in ours:
        if (
            name not in environ
            and name.replace("PIPELINING", "SSH_PIPELINING") not in environ
            and not any(config.get(*one) for one in places)
        ):
            made[name] = value
    return made


def _utf8(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what gives Ansible a locale of UTF-8, without which it does not begin; nothing where the user's is one."""
    kept = locale.setlocale(locale.LC_CTYPE)
    given = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C"
    try:
        for name in (given, "C.UTF-8", "C.utf8", "en_US.UTF-8"):
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_CTYPE, name)
                if locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8":
                    return {} if name == given else {"LC_ALL": name}
    finally:
        locale.setlocale(locale.LC_CTYPE, kept)
    return {}


def program() -> str:
    """Return the ansible-playbook that belongs to this Python."""
    beside = Path(sys.executable).parent / "ansible-playbook"
    found = str(beside) if beside.is_file() else shutil.which("ansible-playbook")
    if not found:
        raise HostmendError("ansible-playbook is not there: install the package ansible beside hostmend")
    return found


def run(
    request: Request,
    take: Callable[[Mapping[str, Any]], None],
    stop: Stop,
    show: Callable[[str], None] | None = None,
) -> Result:
    """Run the playbook and hand each event to ``take``; with ``show`` also what Ansible itself prints."""
    root = collection()
    config = UserConfig(os.environ)
    errors: list[str] = []
    with run_directory() as directory:
        command = _command(request, root, config, Path(directory))
        status, code = _run(directory, command, environment(root, config), request, take, stop, show, errors)
    if stop.asked is not None:
        return Result("stopped", 130, errors)
    return Result("done" if status == "successful" else "failed", code, errors)


def list_hosts(request: Request) -> list[str]:
    """Return the hosts that a request means, as Ansible names them; nothing is run on them."""
    names: list[str] = []
    listing = False

    def take(line: str) -> None:
        nonlocal listing
        for each in line.splitlines():
            if listing and each.startswith("      "):
                names.append(each.strip())
            listing = each.strip().startswith("hosts (") or (listing and each.startswith("      "))

    request.options = [*request.options, "--list-hosts"]
    result = run(request, lambda event: take(str(event.get("stdout") or "")), Stop())
    if result.status != "done":
        raise HostmendError(result.errors[0] if result.errors else "Ansible could not list the hosts")
    return list(dict.fromkeys(names))


def _command(request: Request, root: Path, config: UserConfig, directory: Path) -> list[str]:
    """Return the arguments of ansible-playbook; variables go by a file that only this user reads."""
    command = []
    inventory = list(request.inventory)
    if not inventory and not config.has_inventory():
        inventory = [str(local_inventory(root, directory))]
    for one in inventory:
        command += ["-i", one]
    if request.hosts:
        names = directory / "hosts"
        names.write_text("".join(f"{name}\n" for name in request.hosts), "utf-8")
        command += ["--limit", f"@{names}"]
    elif request.limit:
        command += ["--limit", request.limit]
    command += request.options
    variables = directory / "variables.json"
    handle = os.open(variables, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(request.variables, stream)
    command += ["-e", f"@{variables}"]
    if request.check:
        command.append("--check")
    if request.diff:
        command.append("--diff")
    if request.verbosity > 1:
        command.append("-" + "v" * (request.verbosity - 1))
    return [*command, str(root / "playbooks" / request.playbook)]


def local_inventory(root: Path, directory: Path) -> Path:
    """Return the inventory that means this machine."""
    packaged = root / "inventories/local"
    if packaged.is_dir():
        return packaged
    path = directory / "local.json"
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    path.write_text(json.dumps({"all": {"hosts": {"localhost": host}}}), "utf-8")
    return path


def _run(
    directory: str,
    command: Sequence[str],
    environ: dict[str, str],
    request: Request,
    take: Callable[[Mapping[str, Any]], None],
    stop: Stop,
    show: Callable[[str], None] | None,
    errors: list[str],
) -> tuple[str, int]:
    from ansible_runner.config.runner import RunnerConfig  # type: ignore[import-untyped]
    from ansible_runner.runner import Runner  # type: ignore[import-untyped]

    settings = Path(directory) / "env"
    settings.mkdir(mode=0o700)
    (settings / "settings").write_text(
        json.dumps({"pexpect_timeout": POLL_SECONDS, "suppress_output_file": True, "suppress_ansible_output": True}),
        "utf-8",
    )
    state = _Child(stop)
    failures: list[BaseException] = []

    def handle(event: dict[str, Any]) -> bool:
        try:
            state.heard(event)
            if event.get("event") in ("verbose", "error", "warning", "deprecated"):
                _keep_error(str(event.get("stdout") or ""), errors)
            take(event)
            if show is not None and event.get("stdout"):
                show(str(event["stdout"]))
        except Exception as error:
            failures.append(error)
            stop.ask()
        return False  # nothing of it is written to disk

    config = RunnerConfig(
        private_data_dir=directory,
        project_dir=_place(directory),
        binary=program(),
        cmdline=shlex.join(command),
        envvars=environ,
        passwords={PASSWORD_PROMPTS[name]: word for name, word in request.passwords.items()},
        fact_cache_type="",
        ident="run",
        quiet=True,
    )
    config.prepare()
    runner = Runner(
        config,
        cancel_callback=state.should_kill,
        event_handler=handle,
        remove_partials=True,
    )
    stop.on_ask = state.end
    try:
        status, code = runner.run()
    finally:
        stop.on_ask = None
    if failures:
        raise failures[0]
    return str(status), int(code if code is not None else 1)


def _place(spare: str) -> str:
    """Return where Ansible works: here, but for a directory that the user cannot enter (``sudo -u`` in /root)."""
    here = str(Path.cwd())
    return here if os.access(here, os.R_OK | os.X_OK) else spare


class _Child:
    """The ansible-playbook process, as far as stopping it needs."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.pid: int | None = None
        self.own = _children()
        self.told = False

    def heard(self, event: Mapping[str, Any]) -> None:
        if self.pid is None:
            self.pid = next(iter(_children() - self.own), None)

    def end(self) -> None:
        """Have Ansible end its workers, which are in sessions of their own, and then itself."""
        pid = self.pid or next(iter(_children() - self.own), None)
        if pid is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)
                self.told = True

    def should_kill(self) -> bool:
        """Tell ansible-runner whether to kill what is left."""
        asked = self.stop.asked
        if asked is not None and not self.told:  # asked before there was a process
            self.end()
        return asked is not None and (self.stop.force or time.monotonic() - asked > GRACE_SECONDS)


def _children() -> set[int]:
    made: set[int] = set()
    with contextlib.suppress(OSError, ValueError):
        for task in Path("/proc/self/task").iterdir():
            text = (task / "children").read_text("ascii")
            made.update(int(one) for one in text.split())
    return made


def _keep_error(text: str, errors: list[str]) -> None:
    """Keep what Ansible says before any task: a bad inventory or option has no event of its own."""
    for line in text.splitlines():
        for mark in ("[ERROR]:", "ERROR! ", "[ERROR] "):
            at = line.find(mark)
            if at >= 0:
                errors.append(line[at + len(mark) :].strip())
                break
        else:
            if line.startswith(("ansible-playbook: error:", "ansible-playbook [core")):
                errors.append(line.split(":", 2)[-1].strip())
