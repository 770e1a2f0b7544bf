"""What a person sees while hosts are worked on: a live line per host on a terminal, else a line when one is done."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from hostmend.events import HostState
from hostmend.report.text import visible

ENDED = ("done", "failed", "unreachable")
MOST = 12  # hosts shown by name


class Progress:
    """Shows the hosts of a run. Starts with the first host that is heard of."""

    def __init__(self, console: Console, quiet: bool = False, check: bool = False) -> None:
        self.console = console
        self.check = check
        self.quiet = quiet
        self.live: Live | None = None
        self.hosts: dict[str, HostState] = {}
        self.started = time.monotonic()
        self.told: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the live lines off the terminal."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def watch(self, host: HostState) -> None:
        """Take a host's new state."""
        self.hosts[host.name] = host
        if self.quiet:
            return
        if self.console.is_terminal:
            if self.live is None:
                self.live = Live(
                    console=self.console, get_renderable=self._render, refresh_per_second=8, transient=True
                )
                self.live.start()
        elif host.stage in ENDED:
            self._tell(host)

    def _tell(self, host: HostState) -> None:
        line = f"{visible(host.name)}: {self._words(host)}"
        if self.told.get(host.name) != line:
            self.told[host.name] = line
            self.console.file.write(f"{line}\n")
            self.console.file.flush()

    def _words(self, host: HostState) -> str:
        if host.stage == "unreachable" or (host.status not in (None, "ok") and not host.failures):
            return f"{host.stage}: {visible(host.reason, 300)}"
        if host.failures:
            return f"failed: {visible(host.failures[-1], 300)}"
        if not host.findings:
            return "done"  # nothing was looked for: what an agent kept was fetched, or a run was taken back
        counts = Counter(str(one.get("status")) for one in host.findings)
        words = ", ".join(f"{counts[name]} {name}" for name in ("open", "unknown") if counts[name])
        when = "after mending, " if host.after is not None and not self.check else ""
        return when + (words or "nothing open")

    def _render(self) -> Group:
        ended = [host for host in self.hosts.values() if host.stage in ENDED]
        busy = [host for host in self.hosts.values() if host.stage not in ENDED]
        table = Table.grid(padding=(0, 1))
        shown = (ended[-max(0, MOST - len(busy)) :] if len(busy) < MOST else []) + busy[:MOST]
        for host in shown:
            done = host.stage in ENDED
            bad = host.stage in ("failed", "unreachable")
            mark = Text("x" if bad else "+", style="red" if bad else "green") if done else Spinner("dots")
            words = self._words(host) if done else host.stage.replace("mending", "checking") if self.check else host.stage
            table.add_row(
                mark, Text(visible(host.name, 40), style="bold"), Text(words, overflow="ellipsis", no_wrap=True)
            )
        line = Table.grid(padding=(0, 1))
        seconds = time.monotonic() - self.started
        line.add_row(
            ProgressBar(total=max(1, len(self.hosts)), completed=len(ended), width=24),
            Text(f"{len(ended)} of {len(self.hosts)} hosts, {seconds:.0f} s"),
        )
        return Group(table, line)
