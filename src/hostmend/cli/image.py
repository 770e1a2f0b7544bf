"""``hostmend image``: harden and seal root filesystems that are not running, and verify them without booting."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from hostmend import catalog
from hostmend.cli import options, say
from hostmend.core import exit_status
from hostmend.core.errors import HostmendError
from hostmend.core.finding import SEVERITIES
from hostmend.image import archive, filesystem, source, storage

Function = TypeVar("Function", bound=Callable[..., Any])
CARRIED = "/usr/share/hostmend/image"
SEALS = (
    "host_keys", "machine_id", "random_seed", "logs", "histories", "package_cache", "package_lists", "temporary",
    "authorized_keys", "secrets", "acme_accounts", "cloud_init", "identity", "journal",
)  # fmt: skip


@click.group()
def image() -> None:
    """Harden and seal root filesystems that are not running, and verify them without booting."""


def shared(function: Function) -> Function:
    """Add the options that build and verify share."""
    made: list[Callable[[Any], Any]] = [
        click.option("--class", "classes", multiple=True, metavar="C", help="Only this issue class (may be given again)."),
        click.option("--severity", type=click.Choice(SEVERITIES), help="Show only what is at least this grave."),
        click.option(
            "--fail-on",
            type=click.Choice((*SEVERITIES, "never")),
            default="low",
            help="Exit with 2 when something at least this grave is open (default: low).",
        ),
        click.option(
            "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write report.json and report.html there."
        ),
        click.option("--format", "format_", type=click.Choice(("table", "json")), default="table", help="What is shown."),
        click.option("--language", type=click.Choice(catalog.LANGUAGES), default="en", envvar="HOSTMEND_LANGUAGE"),
        click.option("--waivers", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="File of waivers."),
        click.option("-e", "--extra-vars", multiple=True, metavar="VARS", help="Policy, as name=value, JSON or @file."),
        click.option("--vault-password-file", multiple=True, metavar="FILE", help="File with the password of the vault."),
        click.option("-v", "--verbose", "verbosity", count=True, help="Show Ansible's own output."),
    ]
    for option in reversed(made):
        function = option(function)
    return function


@image.command()
@click.option("--suite", default="bookworm", show_default=True, help="The suite of Debian that is bootstrapped.")
@click.option("--include", multiple=True, metavar="PKG", help="More packages for it (may be given again).")
@click.option("--from", "source_", metavar="SOURCE", help=f"A directory, tarball, or {storage.PREFIX}NAME instead.")
@click.option("-o", "output_", metavar="OUT", help=f"A tarball, a directory, or {storage.PREFIX}NAME.")
@click.option("--in-place", is_flag=True, help="Harden the directory that --from names itself, such as a mounted disk.")
@click.option("--force", is_flag=True, help="Replace OUT where it exists.")
@click.option("--keep", multiple=True, type=click.Choice(SEALS), help="Leave this unsealed (may be given again).")
@click.option("--keep-authorized-keys", multiple=True, metavar="USER", help="Leave this user's authorized keys.")
@shared
def build(
    suite: str,
    include: tuple[str, ...],
    source_: str | None,
    output_: str | None,
    in_place: bool,
    force: bool,
    keep: tuple[str, ...],
    keep_authorized_keys: tuple[str, ...],
    **given: Any,
) -> int:
    """Harden and seal a root filesystem, and pack it with its report, a list of its packages and a SHA-256.

    \b
    hostmend image build --suite bookworm --include openssh-server -o web.tar.zst
    hostmend image build --from base.tar -o hardened.tar
    hostmend image build --from containers-storage:base -o containers-storage:hardened
    hostmend image build --from /mnt/disk --in-place
    """
    goal = source.target(output_, source_, in_place, suite, force)
    if source_ is None:
        source.have_mmdebstrap()
    filesystem.need_root("hostmend image build")
    common = _common(given)
    beside = None if goal.path is None else goal.path.parent
    with _interruptible(), source.workplace(beside if goal.kind != "in place" else None) as work:
        began = time.monotonic()
        with source.opened(source_, suite, include, work, copy=not in_place, tarball=goal.kind == "tar") as place:
            say(f"the root filesystem is there after {time.monotonic() - began:.1f} s")
            began = time.monotonic()
            status, report, ran = _harden(common, place, goal, keep, keep_authorized_keys)
            say(f"hardened and sealed in {time.monotonic() - began:.1f} s")
            if status != exit_status.OK:
                say("no image was made" if goal.kind != "in place" else f"{goal.shown} is hardened in part")
                return ran.finish(report) or status
            began = time.monotonic()
            if goal.path is not None and archive.ending(goal.path) == ".tar.xz":
                say("compressing by xz, which takes minutes where .tar.zst takes seconds")
            made = source.deliver(place, goal, archive.epoch_now())
            say(f"written in {time.monotonic() - began:.1f} s")
    ended: int = ran.finish(report)
    for one in made:
        click.echo(one, err=common.format == "json")
    return ended


def _harden(
    common: options.Common, place: source.Place, goal: source.Target, keep: tuple[str, ...], keep_keys: tuple[str, ...]
) -> tuple[int, dict[str, Any], Any]:
    """Run the playbook in a root filesystem and have it carry what came of it."""
    from hostmend.cli.work import Work
    from hostmend.image import record

    if theirs := filesystem.foreign(place.root):
        raise HostmendError(
            f"{place.shown} is for {theirs}, whose programs cannot be run here: build it on such a machine, or install "
            "qemu-user-static and binfmt-support"
        )
    way = filesystem.Inside(place.root, place.work)
    way.need(place.shown)
    about = record.about(place.root, way)
    name = f"{about['id'] or 'linux'}-{about['version_id'] or 'rolling'}-{filesystem.machine(place.root)}"
    common.inventory = (_inventory(place.work, name, way.inventory()),)
    work = Work(common, "remediate")
    variables = {"hostmend_image_keep": list(keep), "hostmend_image_keep_authorized_keys": list(keep_keys)}
    with filesystem.no_services(place.root):
        run = work.ansible("golden_image.yml", variables)
    report = work.report(run)
    report["run"]["inventory"] = []
    if work.stopped:
        return exit_status.STOPPED, report, work
    if any(host["status"] != "ok" for host in report["hosts"].values()):
        return exit_status.CANNOT, report, work
    epoch = archive.epoch_now()
    for path, text in record.files(report, about, way, name, epoch, variables).items():
        # What is open is for the operator's eyes; what is installed anybody can see.
        mode = 0o600 if path.startswith("report.") else 0o644
        way.write(f"{CARRIED}/{path}", text.encode("utf-8", "backslashreplace"), mode)
    return exit_status.OK, report, work


@image.command()
@click.argument("target")
@click.option("--ignore-seal", is_flag=True, help="Do not look whether it is sealed.")
@click.option("--untrusted", is_flag=True, help="Run nothing of it: read its files alone, as for foreign programs.")
@shared
def verify(target: str, ignore_seal: bool, untrusted: bool, **given: Any) -> int:
    """Audit TARGET (a directory, a tarball, or containers-storage:NAME) without booting it, and change nothing.

    Ends with 2 where something is open at or above --fail-on, or where it is not sealed; with 1 where its SHA-256 is
    another than the one beside it.
    """
    filesystem.need_root("hostmend image verify")
    common = _common(given)
    path = Path(target)
    checked = _digest(path) if not target.startswith(storage.PREFIX) and path.is_file() else ""
    with _interruptible(), source.workplace(None) as work, source.opened(target, "", (), work, copy=False) as place:
        status = _verify(common, place, ignore_seal, untrusted)
    if checked:
        say(checked)
    return status


def _verify(common: options.Common, place: source.Place, ignore_seal: bool, untrusted: bool) -> int:
    from hostmend.cli.work import Work
    from hostmend.image import record

    theirs = "" if untrusted else filesystem.foreign(place.root)
    way = filesystem.Inside(place.root, place.work, read_only=True)
    variables: dict[str, Any] = {}
    if theirs or untrusted:
        why = f"it is for {theirs}, whose programs cannot be run here" if theirs else "it is not trusted"
        say(f"{why}: its files are read, and nothing else")
        host: Mapping[str, object] = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        variables["hostmend_root"] = str(place.root)
        about = record.about(place.root, None)
    else:
        way.need(place.shown)
        host = way.inventory()
        about = record.about(place.root, way)
    name = f"{about['id'] or 'linux'}-{about['version_id'] or 'rolling'}-{filesystem.machine(place.root)}"
    common.inventory = (_inventory(place.work, name, host),)
    work = Work(common, "audit")
    try:
        run = work.ansible("image_verify.yml", variables)
    finally:
        filesystem.evict(place.root)
    report = work.report(run)
    report["run"]["inventory"] = []
    carried = record.carried(place.root)
    status: int = work.finish(report)
    for line in record.drift(report, carried, ran=not (theirs or untrusted)):
        say(line)
    if not ignore_seal and not work.stopped:
        left = record.unsealed(place.root, carried)
        if left:
            say(f"it is not sealed: {', '.join(left[:10])}{f' and {len(left) - 10} more' if len(left) > 10 else ''}")
            status = status or exit_status.OPEN
    return status


def _digest(path: Path) -> str:
    """Return what to say of a file's digest; complain where it is another than the one that is kept beside it."""
    kept = archive.kept_digest(path)
    if not kept:
        return f"there is no {archive.sums(path).name} beside it, so nothing tells whether it is the file that was built"
    if kept != archive.digest(path):
        raise HostmendError(f"{path} is not the file that was built: its SHA-256 is another than in {archive.sums(path).name}")
    return f"its SHA-256 is that of {archive.sums(path).name}"


def _common(given: dict[str, Any]) -> options.Common:
    """Return the options that Work takes."""
    known = catalog.load()
    classes = options.split_names(given["classes"])
    for name in classes:
        if name.lstrip("!") not in (*known.classes, "all"):
            raise HostmendError(f"no such class: {name}; there are {', '.join(sorted(known.classes))}")
    ansible = [f"--extra-vars={value}" for value in given["extra_vars"]]
    ansible += [f"--vault-password-file={value}" for value in given["vault_password_file"]]
    for value in given["extra_vars"]:
        if value.startswith("@") and not Path(value[1:]).expanduser().is_file():
            raise HostmendError(f"no such file: {value[1:]} (--extra-vars)")
    waivers = given["waivers"]
    if waivers is not None and not waivers.is_file():
        raise HostmendError(f"no such file: {waivers} (--waivers)")
    return options.Common(
        classes=classes,
        severity=given["severity"],
        fail_on=given["fail_on"],
        output=options.writable(given["output"]) if given["output"] is not None else None,
        format=given["format_"],
        language=given["language"],
        verbosity=given["verbosity"],
        ansible=ansible,
        waivers=waivers.absolute() if waivers is not None else None,
    )


def _inventory(work: Path, name: str, host: Mapping[str, object]) -> str:
    path = work / "inventory.json"
    path.write_text(json.dumps({"all": {"hosts": {name: host}}}), "utf-8")
    return str(path)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have a wish to end clean up, too."""

    def end(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    kept = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in kept.items():
            signal.signal(one, handler)
