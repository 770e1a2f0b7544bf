"""The options that audit and remediate share, most of them Ansible's own."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from hostmend import catalog
from hostmend.core.errors import HostmendError, near
from hostmend.core.exit_status import one_line
from hostmend.core.finding import SEVERITIES
from hostmend.core.input_files import read_text
from hostmend.report.formats import FORMATS

Function = TypeVar("Function", bound=Callable[..., Any])

#: The sections of a command's help, and the options in each; what is in none is about the command itself.
GROUPS: dict[str, tuple[str, ...]] = {
    "Hosts": ("inventory", "limit", "hosts", "list_hosts", "from_agents", "max_age", "ignore_unreachable", "forks"),
    "Mending": ("only", "skip", "max_risk", "check", "diff", "yes", "unattended", "sizes", "resume", "force"),
    "Output": ("severity", "fail_on", "output", "write", "format_", "language", "notify", "no_notify", "verbosity"),
    "Connection": (
        "user", "private_key", "connection", "timeout", "ask_pass", "connection_password_file", "become", "become_method",
        "become_user", "ask_become_pass", "become_password_file", "ssh_common_args", "ssh_extra_args",
    ),
    "Variables": ("extra_vars", "ask_vault_pass", "vault_password_file", "vault_id"),
}  # fmt: skip


class GroupedCommand(click.Command):
    """A command whose help has its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Options", *GROUPS)}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                rows[next((name for name, names in GROUPS.items() if option.name in names), "Options")].append(record)
        for name in (*GROUPS, "Options"):
            if rows[name]:
                with formatter.section(name):
                    formatter.write_dl(rows[name])


#: Options that go to ansible-playbook as they are, by the name of their parameter.
_PASSED: dict[str, str] = {
    "forks": "--forks",
    "user": "--user",
    "become_method": "--become-method",
    "become_user": "--become-user",
    "private_key": "--private-key",
    "connection": "--connection",
    "timeout": "--timeout",
    "ssh_common_args": "--ssh-common-args",
    "ssh_extra_args": "--ssh-extra-args",
    "become_password_file": "--become-password-file",
    "connection_password_file": "--connection-password-file",
}


@dataclass
class Common:
    """What a person asked of audit or remediate."""

    inventory: tuple[str, ...] = ()
    limit: str | None = None
    classes: tuple[str, ...] = ()
    severity: str | None = None
    fail_on: str = "low"
    output: Path | None = None
    format: str = "table"
    ignore_unreachable: bool = False
    language: str = "en"
    verbosity: int = 0
    ansible: list[str] = field(default_factory=list)
    passwords: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    hosts: tuple[str, ...] = ()  # only these, by name
    list_hosts: bool = False
    waivers: Path | None = None  # of this machine, where no inventory has a place for them
    write: tuple[str, ...] = ("json", "html")  # the forms of the report that go to the output directory
    notify: Any = None  # hostmend.notify.settings.Settings, where notifications are configured


def shared(function: Function) -> Function:
    """Add the options that audit and remediate share."""
    options: list[Callable[[Any], Any]] = [
        click.option(
            "-i",
            "--inventory",
            multiple=True,
            metavar="INV",
            help="Inventory file, directory or 'host,host'. Default: Ansible's own, else this machine.",
        ),
        click.option("-l", "--limit", metavar="H", help="Only these hosts and groups."),
        click.option(
            "--class",
            "classes",
            multiple=True,
            metavar="C",
            help="Only this issue class (may be given again; !C leaves one out).",
        ),
        click.option("--list-hosts", is_flag=True, help="Print the hosts that are meant, and do nothing."),
        click.option("--tags", "-t", multiple=True, hidden=True),
        click.option("--skip-tags", multiple=True, hidden=True),
        click.option("--severity", type=click.Choice(SEVERITIES), help="Show only what is at least this grave."),
        click.option(
            "--fail-on",
            type=click.Choice((*SEVERITIES, "never")),
            help="Exit with 2 when something at least this grave is open (default: low).",
        ),
        click.option(
            "--output", type=click.Path(path_type=Path), metavar="DIR", help="Write report.json and report.html there."
        ),
        click.option(
            "--write",
            multiple=True,
            metavar="FORMAT,...",
            help="Write these forms of the report too, into --output: " + ", ".join(FORMATS) + ".",
        ),
        click.option(
            "--notify",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="The notifications file (default: HOSTMEND_NOTIFY, beside the inventory, else your own).",
        ),
        click.option("--no-notify", is_flag=True, help="Send no notifications."),
        click.option(
            "--format",
            "format_",
            type=click.Choice(("table", "json")),
            default="table",
            help="What goes to the terminal.",
        ),
        click.option(
            "--ignore-unreachable", is_flag=True, help="A host that cannot be reached does not make the exit status 1."
        ),
        click.option(
            "--language",
            type=click.Choice(catalog.LANGUAGES),
            default="en",
            envvar="HOSTMEND_LANGUAGE",
            help="Language of the report.",
        ),
        click.option(
            "-v", "--verbose", "verbosity", count=True, help="Show Ansible's own output; more of it with -vv."
        ),
        click.option("-f", "--forks", type=click.IntRange(1), metavar="N", help="Hosts at once."),
        click.option("-u", "--user", metavar="NAME", help="Log in as this user."),
        click.option("-b", "--become", is_flag=True, help="Become root (or --become-user) on the hosts."),
        click.option("--become-method", metavar="NAME", help="How to become (sudo, su, doas ...)."),
        click.option("--become-user", metavar="NAME", help="Whom to become."),
        click.option("-K", "--ask-become-pass", is_flag=True, help="Ask for the password of sudo."),
        click.option("-k", "--ask-pass", is_flag=True, help="Ask for the password of SSH."),
        click.option(
            "-J",
            "--ask-vault-pass",
            "--ask-vault-password",
            "ask_vault_pass",
            is_flag=True,
            help="Ask for the password of the vault.",
        ),
        click.option(
            "--vault-password-file",
            "--vault-pass-file",
            "vault_password_file",
            multiple=True,
            metavar="FILE",
            help="File with the password of the vault.",
        ),
        click.option("--vault-id", multiple=True, metavar="ID", help="Vault identity, as label@file."),
        click.option(
            "--become-password-file",
            "--become-pass-file",
            "become_password_file",
            metavar="FILE",
            help="File with the password of sudo.",
        ),
        click.option(
            "--connection-password-file",
            "--conn-pass-file",
            "connection_password_file",
            metavar="FILE",
            help="File with the password of SSH.",
        ),
        click.option(
            "-e", "--extra-vars", multiple=True, metavar="VARS", help="Variables, as name=value, JSON or @file."
        ),
        click.option("--private-key", "--key-file", "private_key", metavar="FILE", help="Private key for SSH."),
        click.option("-c", "--connection", metavar="NAME", help="Connection type (ssh, local ...)."),
        click.option(
            "-T", "--timeout", type=click.IntRange(1), metavar="S", help="Seconds that a connection may take."
        ),
        click.option("--ssh-common-args", metavar="ARGS", help="Arguments for ssh, scp and sftp."),
        click.option("--ssh-extra-args", metavar="ARGS", help="Arguments for ssh alone."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def gather(given: dict[str, Any]) -> Common:
    """Take the shared options out of ``given``, and check whatever can be checked before anything runs."""
    known = catalog.load()
    instead_of = {"tags": "--class redis, or --only redis.no_auth", "skip_tags": "--class '!redis', or --skip redis"}
    for option, instead in instead_of.items():
        if given.pop(option):
            raise HostmendError(f"--{option.replace('_', '-')} is for playbooks: use {instead}")
    made = Common(
        list_hosts=given.pop("list_hosts"),
        inventory=tuple(given.pop("inventory")),
        limit=given.pop("limit"),
        classes=split_names(given.pop("classes")),
        severity=given.pop("severity"),
        fail_on=given.pop("fail_on") or "low",
        output=given.pop("output"),
        format=given.pop("format_"),
        ignore_unreachable=given.pop("ignore_unreachable"),
        language=given.pop("language"),
        verbosity=given.pop("verbosity"),
    )
    for name in made.classes:
        bare = name.lstrip("!")
        if bare != "all" and bare not in known.classes:
            raise HostmendError(
                f"no such class: {bare}{near(bare, known.classes)}; there are {', '.join(sorted(known.classes))}"
            )
    for one in made.inventory:
        if "," not in one and not Path(one).expanduser().exists():
            raise HostmendError(f"no such inventory: {one}")
    made.waivers = _waivers(made.inventory)
    made.write = _write(given.pop("write"), made.output)
    made.notify = _notify(given.pop("notify"), given.pop("no_notify"), made.inventory)
    if made.output is not None:
        made.output = writable(made.output)
    made.ansible = _ansible_options(given)
    made.passwords = _passwords(given)
    return made


def _waivers(inventory: tuple[str, ...]) -> Path | None:
    """Return this machine's waivers where it is what is meant; complain of a file that cannot be taken before anything runs."""
    from hostmend import ansible_config, waivers

    if not inventory and not ansible_config.UserConfig(os.environ).has_inventory():
        from hostmend.cli.waive import this_machine

        waivers.load(this_machine())
        return this_machine()
    for one in inventory:
        path = waivers.beside(one)
        if path is not None:
            waivers.load(path)
    return None


def _write(given: Iterable[str], output: Path | None) -> tuple[str, ...]:
    """Return the forms of the report that are to be written."""
    names = split_names(given)
    for name in names:
        if name not in FORMATS:
            raise HostmendError(f"--write: no such format: {name}{near(name, FORMATS)}; there are {', '.join(FORMATS)}")
    if names and output is None:
        raise HostmendError("--write needs --output: the directory that the files go to")
    return tuple(dict.fromkeys(("json", "html", *names)))


def _notify(given: Path | None, none: bool, inventory: tuple[str, ...]) -> Any:
    """Return the settings of notifications; complain of a file that cannot be taken before anything runs."""
    if none:
        return None
    from hostmend.cli.notify import configured

    return configured(given, inventory)


def split_names(given: Iterable[str]) -> tuple[str, ...]:
    """Return names that were given one by one, or several with commas between."""
    return tuple(part.strip() for one in given for part in one.split(",") if part.strip())


def checks_or_classes(given: Iterable[str], option: str) -> tuple[str, ...]:
    """Return names that are checks or classes, or checks with a resource; complain of any other."""
    known = catalog.load()
    names = tuple(one.strip() for one in given if one.strip())
    for name in names:
        if name not in known.classes and name.split(" ", 1)[0] not in known.checks:
            raise HostmendError(
                f"{option}: no such check or class: {name}{near(name, [*known.checks, *known.classes])}"
            )
    return names


def writable(directory: Path) -> Path:
    """Return the directory once it is there and a file can be made in it."""
    import tempfile

    try:
        directory = directory.expanduser()
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise HostmendError(f"the output directory {directory} cannot be written: {error.strerror}") from error
    return directory


def _ansible_options(given: dict[str, Any]) -> list[str]:
    made: list[str] = []
    for name, option in _PASSED.items():
        value = given.pop(name)
        if value is not None:
            made.append(f"{option}={value}")
    for name, option in (
        ("vault_password_file", "--vault-password-file"),
        ("vault_id", "--vault-id"),
        ("extra_vars", "--extra-vars"),
    ):
        for value in given.pop(name):
            if name != "vault_id" and (path := _file(name, value)) is not None and not Path(path).expanduser().exists():
                raise HostmendError(f"no such file: {path} ({option})")
            if name == "extra_vars":
                _check_variables(value)
            made.append(f"{option}={value}")
    if given.pop("become"):
        made.append("--become")
    return made


def _check_variables(value: str) -> None:
    """Complain of variables that Ansible would not take: it blames the inventory."""
    import shlex

    import yaml

    try:
        if value.startswith("@"):
            text = read_text(Path(value[1:]).expanduser())
            if not text.startswith("$ANSIBLE_VAULT"):
                for _event in yaml.parse(text, Loader=yaml.SafeLoader):
                    pass
        elif value.lstrip()[:1] in ("{", "["):
            if not isinstance(yaml.safe_load(value), dict):
                raise HostmendError(f"-e {one_line(value, 60)}: it is no JSON object")
        elif value.strip() and "=" not in shlex.split(value)[0]:
            raise HostmendError(f"-e {one_line(value, 60)}: write name=value, JSON or @file")
    except OSError as error:
        raise HostmendError(f"-e {value}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise HostmendError(f"-e {one_line(value, 60)} cannot be read: {one_line(str(error), 160)}") from error


def _file(name: str, value: str) -> str | None:
    return value.removeprefix("@") if name == "vault_password_file" or value.startswith("@") else None


def _passwords(given: dict[str, Any]) -> dict[str, str]:
    """Ask for the passwords that are wanted: Ansible gets them on its terminal, never as arguments."""
    made: dict[str, str] = {}
    for name, option, prompt in (
        ("connection", "ask_pass", "SSH password: "),
        ("become", "ask_become_pass", "Password of sudo: "),
        ("vault", "ask_vault_pass", "Password of the vault: "),
    ):
        if given.pop(option):
            if not sys.stdin.isatty() and not Path("/dev/tty").exists():
                raise HostmendError(
                    f"--{option.replace('_', '-')} needs a terminal to ask on; name a password file instead"
                )
            try:
                made[name] = getpass.getpass(prompt)
            except EOFError as error:
                raise HostmendError(f"no {prompt.rstrip(': ')} was given") from error
    return made


def password_flags(passwords: Iterable[str]) -> list[str]:
    """Return the options that make Ansible ask for these passwords."""
    flags = {"connection": "--ask-pass", "become": "--ask-become-pass", "vault": "--ask-vault-pass"}
    return [flags[name] for name in passwords]
