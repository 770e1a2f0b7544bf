"""The command ``hostmend``. Each subcommand is imported when it is called, so that none waits for another's needs."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hostmend.core.errors import HostmendError, StoppedError, near, place_of
from hostmend.core.exit_status import CANNOT, STOPPED

#: Each subcommand: the module it is in, and its one line in the list of commands.
COMMANDS = {
    "audit": ("hostmend.cli.audit", "Find what is insecure, and change nothing."),
    "remediate": ("hostmend.cli.remediate", "Audit, show the plan, mend, and audit again."),
    "rollback": ("hostmend.cli.rollback", "Take back what a run changed."),
    "image": ("hostmend.cli.image", "Harden and verify images: root filesystems that are not running."),
    "waive": ("hostmend.cli.waive", "Answer for a finding until a day."),
    "waivers": ("hostmend.cli.waive", "List the waivers of an inventory."),
    "advisories": ("hostmend.cli.advisories", "Import CVE advisories, and look them up."),
    "agent": ("hostmend.cli.agent", "Have hosts audit themselves, and collect their reports."),
    "report": ("hostmend.cli.history", "Render the report of a run again."),
    "runs": ("hostmend.cli.history", "List the runs that are kept, or forget old ones."),
    "schedule": ("hostmend.cli.schedule", "Run audits and remediations by the calendar."),
    "notify": ("hostmend.cli.notify", "Tell people what is new, on their channels."),
    "explain": ("hostmend.cli.explain", "Say what a check means, and what its fix does."),
    "checks": ("hostmend.cli.explain", "List all checks."),
    "completion": ("hostmend.cli.shell_help", "Print the completion of a shell."),
    "man": ("hostmend.cli.shell_help", "Print the manual page."),
}


class Commands(click.Group):
    """A group whose commands are imported when they are wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[name][0])
        command = getattr(module, f"{name}_", None) or getattr(module, name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no such command: {args[0]}{near(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_module, words) in COMMANDS.items()])


def _version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print what a question to the maintainers must say: the versions of all that takes part, and how old the data is."""
    if wanted and not context.resilient_parsing:
        from hostmend.versions import lines

        for line in lines():
            click.echo(line)
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Say the versions, and exit.")
def hostmend() -> None:
    """Find what is insecure on Linux hosts, show it, mend it with Ansible roles, and prove that it is mended.

    Exit status: 0 nothing is open at or above --fail-on, 2 something is, 1 the work could not be done,
    130 it was stopped.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status. What goes wrong is one line, never a traceback."""
    if not _streams():
        return CANNOT
    try:
        given = list(arguments) if arguments is not None else None
        status = hostmend.main(args=given, prog_name="hostmend", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("stopped")
        return STOPPED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        return 0
    except click.ClickException as error:
        say(error.format_message())
        return CANNOT
    except StoppedError as error:
        say(str(error))
        return STOPPED
    except HostmendError as error:
        say(str(error))
        return CANNOT
    except BrokenPipeError:  # the reader (head, less) has gone
        _discard_output()
        return CANNOT
    except OSError as error:  # a full disk, among others
        _discard_output()
        say(f"{error.filename or 'the output cannot be written'}: {error.strerror or error}")
        return CANNOT
    except Exception as error:
        if os.environ.get("HOSTMEND_TRACEBACK"):
            raise
        say(f"a fault of hostmend itself: {place_of(error)} (HOSTMEND_TRACEBACK=1 shows where it comes from)")
        return CANNOT


def _streams() -> bool:
    """See to the streams that the command writes to; False where there is no standard output."""
    from hostmend.report import text

    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        say("the standard output is closed: send it to /dev/null where nothing is to be shown")
        return False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if text.runs_in_pipeline(os.environ) and not isinstance(sys.stdout, text.LogStream):
        sys.stdout, sys.stderr = text.LogStream(sys.stdout), text.LogStream(sys.stderr)
    return True


def _discard_output() -> None:
    """Let go of what cannot be written, or Python would try again at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def wide_console(stderr: bool = False) -> Any:
    """Return a console that folds lines on a terminal, and has room for them in a pipe or a file."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=max(120, console.width))


def say(text: Any) -> None:
    """Say one line to the person, whatever is in it."""
    from hostmend.report.text import visible

    click.echo(f"hostmend: {visible(' '.join(str(text).split(chr(10))))}", err=True)
