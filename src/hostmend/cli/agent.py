"""``hostmend agent``: make the agent of hosts that audit themselves, and collect what they have found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from hostmend.cli import options, wide_console
from hostmend.core import exit_status
from hostmend.core.errors import HostmendError, StoppedError
from hostmend.core.input_files import read_text
from hostmend.events import HostState, Run
from hostmend.report.text import visible, words_of_age

POLICY_LIMIT = 1024 * 1024


@click.group()
def agent() -> None:
    """Have hosts audit themselves, so that one that cannot be reached is not unknown.

    Install and remove it with the role hostmend.hardening.agent (playbooks/agent.yml); `hostmend audit --from-agents`
    shows what was collected.
    """


@agent.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("hostmend-agent.pyz"),
    show_default=True,
    metavar="FILE",
    help="Where to write it.",
)
@click.option("-i", "--inventory", multiple=True, metavar="INV", help="Build in the policy that this inventory ...")
@click.option("--host", metavar="H", help="... gives this host.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Build in this policy: YAML or JSON, options by class as security_facts takes them.",
)
def build(output: Path, inventory: tuple[str, ...], host: str | None, policy: Path | None) -> int:
    """Make the agent: one file that audits the host it is run on. Python 3.6 or newer is all that it needs there.

    \b
    hostmend agent build                                 the detectors' own policy
    hostmend agent build -i inventory --host web1        the policy of a host
    hostmend agent build --policy policy.yml -o agent.pyz

    The same sources and policy make the same bytes.
    """
    from hostmend.agent import build as builder

    if bool(inventory) != bool(host):
        raise HostmendError("--inventory and --host go together: whose policy is to be built in?")
    if host and policy:
        raise HostmendError("the policy is that of a host or that of a file, not both")
    if not output.expanduser().parent.is_dir():
        raise HostmendError(f"there is no directory {output.parent}")
    output = output.expanduser().absolute()
    data = _of_host(inventory, host) if host else builder.build(_policy(policy) if policy else None)
    builder.write(output, data)
    click.echo(f"{output}: {len(data)} bytes, sha256 {builder.digest(data)}")
    return exit_status.OK


def _policy(path: Path) -> dict[str, Any]:
    """Return the policy of a file, once the agent would take it."""
    import importlib

    import yaml

    from hostmend.agent.build import UTILS

    try:
        if path.stat().st_size > POLICY_LIMIT:
            raise HostmendError(f"the policy {path} is larger than {POLICY_LIMIT} bytes")
        made = yaml.safe_load(read_text(path, POLICY_LIMIT))
    except (OSError, UnicodeDecodeError) as error:
        raise HostmendError(f"the policy {path} cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise HostmendError(f"the policy {path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(made, dict):
        raise HostmendError(f"the policy {path} is no mapping of classes")
    engine = importlib.import_module(f"{UTILS}.engine")
    detectors = importlib.import_module(f"{UTILS}.detectors")
    try:
        engine.merge(made, detectors.DETECTORS)
    except engine.PolicyError as error:
        raise HostmendError(f"the policy {path}: {error}") from error
    return json.loads(json.dumps(made, default=str))  # type: ignore[no-any-return]


def _of_host(inventory: tuple[str, ...], host: str) -> bytes:
    """Have Ansible evaluate the host's policy, and return the agent with it; the host is not contacted."""
    import tempfile

    for one in inventory:
        if "," not in one and not Path(one).expanduser().exists():
            raise HostmendError(f"no such inventory: {one}")
    work = _work(options.Common(inventory=inventory, limit=host))
    with tempfile.TemporaryDirectory(prefix="hostmend-agent-") as folder:
        path = Path(folder) / "agent"
        run: Run = work.ansible("agent.yml", {"hostmend_agent_file": str(path)})
        if work.stopped:
            raise StoppedError("stopped")
        if len(run.hosts) != 1:
            raise HostmendError(f"--host {host} means {len(run.hosts)} hosts, and an agent has the policy of one")
        for name, state in run.hosts.items():
            if _trouble(state) or not path.exists():
                raise HostmendError(f"{name}: {_trouble(state) or 'no agent was made'}")
        return path.read_bytes()


@agent.command()
@options.shared
@click.option(
    "--enrol",
    type=click.Choice(("first", "anew", "never")),
    default="first",
    show_default=True,
    help="Take a host's key where none is known, also where another is known, or never.",
)
def collect(enrol: str, **given: Any) -> int:
    """Collect the last report of each host's agent, and keep it for `hostmend audit --from-agents auto`.

    A report is kept only where it is signed with the host's key, follows those before it, and is of these days. The
    key of a host that made its own at its first boot is taken at the first contact, over SSH.

    Exit status: 0 all reports count, 1 one is missing or does not, 130 it was stopped.
    """
    common = options.gather(given)
    work = _work(common)
    run: Run = work.ansible("agent.yml", {"hostmend_collect": True, "hostmend_agent_enrol": enrol})
    if work.stopped:
        raise StoppedError("stopped; what was collected by then is kept")
    if common.format == "json":
        told = {name: {**host.agent, "reason": _trouble(host)} for name, host in sorted(run.hosts.items())}
        sys.stdout.write(json.dumps(told, indent=1, allow_nan=False) + "\n")
    else:
        wide_console().print(_table(run))
    return exit_status.CANNOT if any(_trouble(host) for host in run.hosts.values()) else exit_status.OK


def _table(run: Run) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Host", "Score", "Age", "Signature", ""):
        table.add_column(heading, overflow="fold", no_wrap=heading != "")
    for name, host in sorted(run.hosts.items()):
        age = host.agent.get("age_seconds")
        note = "its key was taken just now" if host.agent.get("enrolled") else ""
        score = host.agent.get("score")
        table.add_row(
            Text(visible(name), style="bold"),
            Text("" if score is None else f"{visible(score)}/100"),
            Text(words_of_age(age) if isinstance(age, int) else ""),
            Text(visible(host.agent.get("signature") or ""), style="green" if not _trouble(host) else "bold red"),
            Text(_trouble(host) or note, style="magenta" if _trouble(host) else ""),
        )
    return table


def _trouble(host: HostState) -> str:
    if host.failures or host.status not in (None, "ok"):
        return visible("; ".join(dict.fromkeys(host.failures)) or host.reason, 600)
    return ""


def _work(common: options.Common) -> Any:
    """Return the work of one run of Ansible that leaves no run behind in the store: it audits nothing."""
    from hostmend.cli.work import Keeper, Work

    class Unkept(Keeper):
        def begin(self) -> None:
            pass

        def give_up(self) -> None:
            pass

    work = Work(common, "audit")
    work.keeper = Unkept(work.run)
    return work
