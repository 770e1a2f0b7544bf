"""Containers that a test owns and reaches over SSH, and the command that it runs against them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.target import IMAGE, ROOT, Target

#: Several containers share few cores here.
PATIENT = {"hostmend_timeout": 150, "hostmend_class_timeout": 120}
SSH_ARGS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


@dataclass
class Outcome:
    """How the command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it told a person, without the progress of each host."""
        return [line for line in self.err.splitlines() if line.startswith("hostmend: ")]

    def json(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.out)
        return made


def descendants(pid: int) -> list[int]:
    """Return a process and all below it, in whatever session they are."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            # A process may end between the two looks at it.
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def finished(process: subprocess.Popen[str], seconds: float, stdin: str | None = None) -> Outcome:
    """Wait for the command; where it does not end in time, say what it was at, and end it."""
    try:
        out, err = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        pids = descendants(process.pid)
        at = subprocess.run(
            ["ps", "-o", "pid,ppid,etimes,stat,wchan:20,args", "-p", ",".join(map(str, pids))],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"no end after {seconds:.0f} s:\n{at}\n{err}\n{out}") from None
    return Outcome(process.returncode, out, err)


# A path of a control socket has at most 108 characters, which pytest's own folders use up.
CONTROL_PATH = f"/tmp/hm-it-{os.getpid()}"


class Command:
    """The command ``hostmend``, with a store and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder / "cwd"
        self.cwd.mkdir(exist_ok=True)
        self.tmp = folder / "tmp"
        self.tmp.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "HOSTMEND_"))}
        paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        self.environ = {
            **kept,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "HOSTMEND_STORE": str(folder / "store" / "hostmend.db"),
            "XDG_STATE_HOME": str(folder / "state"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": CONTROL_PATH,
            "TMPDIR": str(self.tmp),
            "TERM": "dumb",
        }

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "hostmend", *arguments]

    def __call__(self, *arguments: str, seconds: float = 300, stdin: str | None = None, **environ: str) -> Outcome:
        return finished(self.start(*arguments, stdin=stdin, **environ), seconds, stdin)

    def start(self, *arguments: str, stdin: str | None = None, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*arguments),
            cwd=self.cwd,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


class Fleet:
    """Containers with one inventory."""

    def __init__(
        self, folder: Path, names: tuple[str, ...], options: tuple[str, ...] = (), images: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        mark = uuid.uuid4().hex[:6]
        self.hosts = {}
        for place, name in enumerate(names):
            own = folder / name
            own.mkdir()
            image = images[place] if images else IMAGE
            self.hosts[name] = Target(own, name=f"hm-it-{name}-{mark}", options=options, image=image)

    def __enter__(self) -> Fleet:
        first, *rest = self.hosts.values()
        try:
            first.__enter__()  # makes the network, once
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda one: one.__enter__(), rest))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_trouble: object) -> None:
        for one in self.hosts.values():
            one.__exit__()

    def __getitem__(self, name: str) -> Target:
        return self.hosts[name]

    def variables(self, name: str) -> dict[str, Any]:
        one = self.hosts[name]
        return {
            "ansible_host": one.address(),
            "ansible_port": one.port,
            "ansible_user": "ops",
            "ansible_ssh_private_key_file": str(one.key),
            "ansible_ssh_common_args": SSH_ARGS,
        }

    def inventory(self, name: str = "inventory", hosts: dict[str, dict[str, Any]] | None = None, **group: Any) -> str:
        """Write an inventory of all hosts (or of ``hosts``, by name), and return its path."""
        made = hosts if hosts is not None else {one: {} for one in self.hosts}
        full = {one: {**(self.variables(one) if one in self.hosts else {}), **more} for one, more in made.items()}
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({"all": {"hosts": full, "vars": {**PATIENT, **group}}}))
        return str(path)
