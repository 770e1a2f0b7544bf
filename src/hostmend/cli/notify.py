"""``hostmend notify``: tell people what is new, on their channels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from hostmend.core.errors import HostmendError
from hostmend.core.exit_status import CANNOT, OK
from hostmend.notify import settings as notifications

FILE = click.option(
    "--notify",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The notifications file (default: HOSTMEND_NOTIFY, beside the inventory, else your own).",
)
INVENTORY = click.option("-i", "--inventory", multiple=True, metavar="INV", help="The inventory that it is beside.")
VAULT = click.option(
    "--vault-password-file",
    "--vault-pass-file",
    "vault_password_file",
    multiple=True,
    metavar="FILE",
    help="File with the password of the vault that holds a URL.",
)


def configured(given: Path | None, inventory: Sequence[str]) -> notifications.Settings | None:
    """Return the settings that hold for these inventories, or None where there are none."""
    if given is not None:
        path: Path | None = given.expanduser()
        if path is not None and not path.is_file():
            raise HostmendError(f"--notify: no such file: {path}")
    else:
        from hostmend.cli.waive import own_inventory

        own = None if inventory else own_inventory()
        path = notifications.find(inventory or ([own] if own else []))
    if path is None:
        return None
    made = notifications.load(path)
    if made.open_secrets:
        from hostmend.cli import say

        say(f"the notifications {path} hold a URL, and everybody on this machine can read it: chmod 640 it, or use url_file")
    _complain_of_open_files(made)
    return made


def _complain_of_open_files(settings: notifications.Settings) -> None:
    """Say which files of URLs everybody on this machine can read; one that is not there is told where it is used."""
    from hostmend.cli import say

    for one in settings.channels:
        if one.source == "url_file" and isinstance(one.value, Path):
            with contextlib.suppress(OSError):
                if notifications.everybody_reads(one.value):
                    say(f"everybody on this machine can read {one.value}, the URL of the channel {one.name}: chmod 640 it")


def _wanted(file: Path | None, inventory: Sequence[str]) -> notifications.Settings:
    made = configured(file, inventory)
    if made is None:
        raise HostmendError("there is no notifications file: name one with --notify, or see docs/schedule.md for its places")
    return made


def _dispatcher(file: Path | None, inventory: Sequence[str], vault: Sequence[str]) -> Any:
    from hostmend.notify.dispatch import Dispatcher

    return Dispatcher(_wanted(file, inventory), os.environ.get("HOSTMEND_LANGUAGE") or "en", vault)


def _told(results: Sequence[dict[str, str]]) -> int:
    from hostmend.cli import say

    for one in results:
        if one["status"] == "failed":
            say(f"{one['channel']}: {one['reason']}")
        else:
            click.echo(f"{one['channel']}: {one['status']}{' (' + one['reason'] + ')' if one.get('reason') else ''}")
    return CANNOT if any(one["status"] == "failed" for one in results) else OK


def _shared(function: Callable[..., int]) -> Callable[..., int]:
    return FILE(INVENTORY(VAULT(function)))


@click.group()
def notify() -> None:
    """Tell people what is new, on their channels: mail, webhooks, chats and whatever else apprise knows.

    audit and remediate do so by themselves after each run where a notifications file is found.
    """


@notify.command()
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@_shared
def test(channels: tuple[str, ...], file: Path | None, inventory: tuple[str, ...], vault_password_file: tuple[str, ...]) -> int:
    """Send a test to all channels, or to those named. Exit status 1 where one does not take it."""
    return _told(_dispatcher(file, inventory, vault_password_file).test(channels))


@notify.command()
@click.argument("run", required=False)
@_shared
def send(run: str | None, file: Path | None, inventory: tuple[str, ...], vault_password_file: tuple[str, ...]) -> int:
    """Send what RUN found (default: the newest) now, whatever quiet hours and digests say."""
    from hostmend.cli.history import _load

    dispatcher = _dispatcher(file, inventory, vault_password_file)
    return _told(dispatcher.now(_load(run)))


@notify.command()
@_shared
def flush(file: Path | None, inventory: tuple[str, ...], vault_password_file: tuple[str, ...]) -> int:
    """Send what was held back and is due by now: after quiet hours, as a digest, or once a channel is back."""
    return _told(_dispatcher(file, inventory, vault_password_file).flush())


@notify.command()
@FILE
@INVENTORY
def channels(file: Path | None, inventory: tuple[str, ...]) -> int:
    """List the channels and their rules, without their secrets."""
    made = _wanted(file, inventory)
    click.echo(f"{made.path}")
    for one in made.channels:
        rules = [f"at least {one.at_least}" if not one.grades else ", ".join(one.grades), f"what is {one.what}"]
        rules += [f"{key} {', '.join(value)}" for key, value in (("classes", one.classes), ("hosts", one.hosts)) if value]
        rules += [f"quiet {window.text}" for window in one.quiet]
        rules += [f"{one.digest} digest at {one.digest_at:%H:%M}"] if one.digest else []
        rules += [f"time zone {one.zone}"] if one.zone else []
        click.echo(f"  {one.name} ({one.source}): {'; '.join(rules)}")
    return OK
