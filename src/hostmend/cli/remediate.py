"""``hostmend remediate``: audit, show the plan, ask, mend, audit again, and say what came of it."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import click

from hostmend import waves
from hostmend.cli import options
from hostmend.cli.plan_view import Plan, counted, planned
from hostmend.core import plan
from hostmend.core.errors import HostmendError, StoppedError
from hostmend.events import Run


@click.command(cls=options.GroupedCommand)
@options.shared
@click.option(
    "--only", multiple=True, metavar="CHECK_OR_CLASS", help="Mend only this check or class (may be given again)."
)
@click.option("--skip", multiple=True, metavar="CHECK_OR_CLASS", help="Leave this check or class alone.")
@click.option("--max-risk", type=click.Choice(plan.RISKS[:3]), help="The highest risk of a fix that is carried out.")
@click.option("--check", "-C", is_flag=True, help="Change nothing: say exactly what would be changed.")
@click.option("--diff", "-D", is_flag=True, help="Show the differences in files that the roles make.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--unattended", is_flag=True, help="Do not ask, and keep to the policy's unattended_risk (default: safe).")
@click.option("--waves", "sizes", metavar="N,N%,...", help="Hosts at once, wave after wave, such as 1,10%,100%.")
@click.option("--resume", metavar="RUN", help="Go on with the waves of a run that halted.")
def remediate(
    only: tuple[str, ...],
    skip: tuple[str, ...],
    max_risk: str | None,
    check: bool,
    diff: bool,
    yes: bool,
    unattended: bool,
    sizes: str | None,
    resume: str | None,
    **given: Any,
) -> int:
    """Audit, show the plan, ask, run only the roles that open findings call for, and audit again.

    Says for each finding: mended, still open, unknown, or made worse. With waves it halts where a host fails or is
    worse than before, and --resume goes on once somebody has looked.

    \b
    hostmend remediate -i inventory -b --check        what would be changed
    hostmend remediate -i inventory -b                asks before it mends
    hostmend remediate -i inventory -b --only redis.no_auth --yes
    """
    from hostmend.cli.work import Work

    common = options.gather(given)
    variables: dict[str, Any] = {}
    if resume:
        common = _resumed(common, resume)
    if sizes:
        variables["hostmend_waves"] = waves.sizes(sizes.split(","))
    if unattended:
        variables["hostmend_unattended"] = yes = True
    if only:
        variables["hostmend_only"] = list(options.checks_or_classes(only, "--only"))
    if skip:
        variables["hostmend_skip"] = list(options.checks_or_classes(skip, "--skip"))
    if max_risk:
        variables["hostmend_max_risk"] = max_risk
    if not (yes or check or common.list_hosts or sys.stdin.isatty()):
        raise HostmendError(
            "there is no terminal to ask on: say --yes to mend, or --check to see what would be changed"
        )
    work = Work(common, "check" if check else "remediate", diff=diff)
    if common.list_hosts:
        return work.list_hosts()
    shown = Plan(work.console, "What would be changed" if check else "What will be changed")
    if yes or check:
        run = work.ansible("remediate.yml", variables, check=check, on_mending=shown.show_once)
        if not work.stopped and any(host.plan.get("waiting") for host in run.hosts.values()):
            shown.show_once(run)
            _in_waves(work, run, planned(run), variables)
    else:
        run = _ask_between(work, shown, variables)
    report = work.report(run)
    return work.finish(report)


def _resumed(common: options.Common, name: str) -> options.Common:
    """Return the options for the hosts that a run with waves has left."""
    from hostmend.store import Store

    run = Store().report(name)["run"]
    left = [
        host
        for wave in run.get("waves") or ()
        if wave["status"] != "done"
        for batch in wave["batches"]
        for host in batch
    ]
    if not left:
        raise HostmendError(f"the run {run['id']} has no waves left to go on with")
    return dataclasses.replace(common, inventory=common.inventory or tuple(run.get("inventory") or ()), hosts=tuple(left))


def _in_waves(work: Any, run: Run, chosen: dict[str, list[str]], variables: dict[str, Any]) -> None:
    """Mend wave after wave, and take what came of each into ``run``; halt where a host fails or is worse."""
    order = waves.plan({name: run.hosts[name].plan for name in chosen})
    told = [{"batches": wave, "status": "pending"} for wave in order]
    work.run["waves"] = told
    for number, wave in enumerate(order, 1):
        trouble: list[str] = []
        for batch in wave:
            click.echo(f"wave {number} of {len(order)}: {', '.join(batch)}", err=True)
            tokens = {name: [plan.token(one) for one in chosen[name]] for name in batch}
            more = {**variables, "hostmend_in_wave": True, "hostmend_selected": tokens}
            done = work.ansible("remediate.yml", more, hosts=batch)
            for name, host in done.hosts.items():
                run.hosts[name] = host
                trouble += [f"{name}: {why}" for why in waves.regressions(host)]
            missing = [name for name in batch if name not in done.hosts]
            trouble += [f"{name}: nothing was heard of it" for name in missing]
            stop = trouble and any(run.hosts[name].plan.get("on_failure", "stop") == "stop" for name in batch)
            if stop or work.stopped:
                told[number - 1].update(status="halted", why=trouble or ["it was stopped"])
                _hold(run, order, number, batch)
                return
        told[number - 1].update(status="done", **({"why": trouble} if trouble else {}))


def _hold(run: Run, order: list[waves.Wave], number: int, last: list[str]) -> None:
    """Note on the hosts that are left why nothing was mended on them."""
    begun = order[number - 1].index(last) + 1
    rest = order[number - 1][begun:] + [batch for wave in order[number:] for batch in wave]
    for name in (name for batch in rest for name in batch):
        run.hosts[name].plan["held"] = f"not begun: wave {number} halted"


def _ask_between(work: Any, shown: Plan, variables: dict[str, Any]) -> Run:
    """Audit, ask, and mend exactly what was shown."""
    run: Run = work.ansible("audit.yml", variables)
    chosen = planned(run)
    if work.stopped:
        return run
    if not chosen:
        click.echo("There is nothing open that a role may mend.", err=True)
        return run
    shown.show_once(run)
    what = counted(sum(len(ones) for ones in chosen.values()), "finding")
    question = f"Mend {what} on {counted(len(chosen), 'host')}?"
    try:
        agreed = click.confirm(question, default=False, err=True)
    except click.Abort as error:
        work.keeper.finish(work.report(run), "stopped", work.common.output)
        raise StoppedError("stopped; nothing was changed") from error
    if not agreed:
        work.run["mode"] = "audit"
        click.echo("Nothing was changed.", err=True)
        return run
    # A host's own words may look like a template, and Ansible would evaluate them in a variable: tokens stand for them.
    if any(host.plan.get("waiting") for host in run.hosts.values()):
        _in_waves(work, run, chosen, variables)
        return run
    tokens = {name: [plan.token(one) for one in ones] for name, ones in chosen.items()}
    return work.ansible("remediate.yml", {**variables, "hostmend_selected": tokens})  # type: ignore[no-any-return]
