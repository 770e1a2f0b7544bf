"""A host for tests of detectors: files below a folder, and what else it is said to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host
from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import CommandResult, Reading, System

# What a command says: its output, or (exit status, output, errors[, failure]); None where there is no such command.
Says = str | tuple[Any, ...] | None


class FakeHost(Host):
    """A host of which each reading is given; None has it read from the files, as of a real one.

    :param says: what commands say, by the words that they begin with, or a function of the command and its input.
    :param system: what differs from a Debian 12 with systemd.
    """

    def __init__(self, root: str | Path = "/", says: Mapping[str, Says] | Callable[[tuple[str, ...], Any], Says] | None = None, *,
                 running: bool = True, executes: bool = True, units: tuple[Any, ...] | None = (),
                 processes: tuple[Any, ...] | None = (), listeners: tuple[Any, ...] | None = (),
                 packages: tuple[Any, ...] | None = None, firewall: Any = None, connections: tuple[Any, ...] = (),
                 gaps: tuple[str, ...] = (), unseen: tuple[str, ...] = (), privileged: bool = True, **system: Any) -> None:
        super().__init__(str(root), running=running)
        self.says, self.running, self.can_run = says or {}, running, executes
        self.unit_items, self.process_items, self.listener_items = units, processes, listeners
        self.package_items, self.wall, self.connections = packages, firewall, list(connections)
        self.gaps, self.unseen, self.about = gaps, unseen, {"root": privileged, **system}
        self.asked: list[tuple[str, ...]] = []

    @property
    def live(self) -> bool:
        return self.running

    @property
    def executes(self) -> bool:
        return self.can_run

    def system(self) -> System:
        about = {"id": "debian", "id_like": (), "version_id": "12", "codename": "bookworm", "pretty_name": "Debian 12",
                 "kernel": "6.1.0-40-amd64", "arch": "x86_64", "init": "systemd", "container": None, "chroot": False,
                 "running": self.running}
        return System(**{**about, **self.about})  # type: ignore[arg-type]

    def units(self) -> Reading:
        return super().units() if self.unit_items is None else Reading(self.unit_items, self.gaps)

    def processes(self) -> Reading:
        return super().processes() if self.process_items is None else Reading(self.process_items)

    def listeners(self) -> Reading:
        return super().listeners() if self.listener_items is None else Reading(self.listener_items, self.unseen)

    def packages(self) -> Reading:
        return super().packages() if self.package_items is None else Reading(self.package_items)

    def firewall(self) -> Any:
        return self.wall or super().firewall()

    def established(self) -> list[Any]:
        return self.connections

    def netns(self) -> int:
        return 1

    def run(self, argv: Any, seconds: float = 5, stdin: Any = b"", **_more: Any) -> CommandResult:
        argv = tuple(argv)
        self.asked.append(argv)
        if callable(self.says):
            said = self.says(argv, stdin)
        else:
            said = next((self.says[words] for words in self.says if " ".join(argv).startswith(words)), None)
        if said is None:
            return CommandResult(argv, None, "", "", "not found")
        return CommandResult(argv, *((0, said, "") if isinstance(said, str) else said))
