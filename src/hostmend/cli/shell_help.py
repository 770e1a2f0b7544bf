"""``hostmend completion`` and ``hostmend man``: what a shell and a reader of manual pages need, made from the options."""

from __future__ import annotations

import inspect

import click

from hostmend import __version__
from hostmend.cli import hostmend

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print the completion of SHELL.

    \b
    hostmend completion bash > ~/.local/share/bash-completion/completions/hostmend
    hostmend completion zsh > "${fpath[1]}/_hostmend"
    hostmend completion fish > ~/.config/fish/completions/hostmend.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    made = found(hostmend, {}, "hostmend", "_HOSTMEND_COMPLETE")
    click.echo(made.source_template % made.source_vars())  # source() would ask bash for its version
    return 0


@click.command()
def man() -> int:
    """Print the manual page, for man(1).

    \b
    hostmend man > /usr/local/share/man/man1/hostmend.1
    """
    click.echo(page())
    return 0


def page() -> str:
    """Return the manual page in roff."""
    context = click.Context(hostmend, info_name="hostmend")
    made = [f'.TH HOSTMEND 1 "" "hostmend {__version__}" "User Commands"', ".SH NAME",
            "hostmend \\- find what is insecure on Linux hosts, mend it with Ansible, and prove it", ".SH SYNOPSIS",
            ".B hostmend", "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGS\\fR]...", ".SH DESCRIPTION",
            *_text(hostmend.help or ""), ".SH COMMANDS"]
    for name in hostmend.list_commands(context):
        command = hostmend.get_command(context, name)
        if command is not None:
            made += _command(command, click.Context(command, info_name=name, parent=context), f"hostmend {name}")
    return "\n".join(made)


def _command(command: click.Command, context: click.Context, name: str) -> list[str]:
    made = [f'.SS "{name} {_escaped(" ".join(command.collect_usage_pieces(context)))}"', *_text(command.help or "")]
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None:
            made += [".TP", f"\\fB{_escaped(record[0])}\\fR", _escaped(record[1])]
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            if inner is not None:
                made += _command(inner, click.Context(inner, info_name=each, parent=context), f"{name} {each}")
    return made


def _text(text: str) -> list[str]:
    made: list[str] = []
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith("\b"):
            made += [".PP", ".nf", *(_escaped(line) for line in part.splitlines()[1:]), ".fi"]
        else:
            made += [".PP", _escaped(" ".join(part.split()))]
    return made


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text
