"""`relo`: finds a command's module when the command is used, not before.

Only click is imported here. `relo --help` reads the table below and nothing else, and a command
pays for chDB, sqlglot or rich only when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from relo_dsl import __version__
from relo_dsl.errors import UserError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the command table: the section it is listed in, where it lives, what it does."""

    section: str
    target: str
    help: str


COMMANDS: dict[str, Entry] = {
    "demo": Entry("Start", "relo_server.cli.demo:command", "See it all on a retailer's real data."),
    "init": Entry("Start", "relo_dsl.cli.init:command", "Begin a project in this folder."),
    "check": Entry("Write", "relo_dsl.cli.check:command", "Find mistakes in definitions."),
    "fmt": Entry("Write", "relo_dsl.cli.fmt:command", "Put definitions into their one layout."),
    "explain": Entry("Write", "relo_dsl.cli.explain:command", "Say in plain words who is in."),
    "compile": Entry("Write", "relo_dsl.cli.compile:command", "Show what a definition turns into."),
    "hover": Entry("Write", "relo_dsl.cli.hover:command", "Explain the word at a place."),
    "test": Entry("Write", "relo_dsl.cli.test:command", "Run the tests beside the definitions."),
    "eval": Entry("Write", "relo_dsl.cli.eval:command", "Evaluate a definition over files."),
    "load": Entry("Look", "relo_server.cli.load:command", "Load events from files."),
    "list": Entry("Look", "relo_server.cli.lists:command", "Upload a list of devices."),
    "preview": Entry(
        "Look", "relo_server.cli.preview:command", "Size an audience, clause by clause."
    ),
    "why": Entry("Look", "relo_dsl.cli.why:command", "Tell why a device is in, or is not."),
    "build": Entry(
        "Publish", "relo_server.cli.build:command", "Compute audiences and publish them."
    ),
    "refresh": Entry(
        "Publish", "relo_server.cli.refresh:command", "Refresh what is due, now or from now on."
    ),
    "schedule": Entry("Publish", "relo_server.cli.schedule:command", "Show what runs when."),
    "members": Entry("Publish", "relo_server.cli.members:command", "Print a published set."),
    "has": Entry("Publish", "relo_server.cli.has:command", "Ask whether devices are in a set."),
    "key": Entry("Publish", "relo_server.cli.key:command", "Tell the key of a device."),
    "history": Entry("Versions", "relo_server.cli.history:command", "Show an audience's versions."),
    "diff": Entry("Versions", "relo_server.cli.diff:command", "Tell who entered and who left."),
    "verify": Entry(
        "Versions", "relo_server.cli.verify:command", "Compare sets with what they should hold."
    ),
    "rollback": Entry(
        "Versions", "relo_server.cli.rollback:command", "Publish an older version again."
    ),
    "rebuild": Entry("Versions", "relo_server.cli.rebuild:command", "Publish lost sets again."),
    "migrate": Entry(
        "Operate", "relo_server.cli.migrate:command", "Copy the events into another store."
    ),
    "serve": Entry("Serve", "relo_server.cli.serve:command", "Serve the API over HTTP."),
    "sync": Entry("Serve", "relo_server.cli.sync:command", "Bring this folder to a service."),
    "token": Entry("Serve", "relo_server.cli.token:command", "Make, list and end API tokens."),
    "user": Entry("Serve", "relo_server.cli.user:command", "Add, list and disable people."),
    "dlq": Entry("Serve", "relo_server.cli.dlq:command", "Correct and replay refused events."),
    "replay": Entry("Serve", "relo_server.cli.replay:command", "Store events that wait."),
    "links": Entry("Serve", "relo_server.cli.links:command", "Make links that tell of clicks."),
    "privacy": Entry(
        "Serve", "relo_server.cli.privacy:command", "Forget, export, correct, object."
    ),
    "audit": Entry("Serve", "relo_server.cli.audit:command", "Read and prove who did what."),
}

EPILOG = """\b
Example:
  relo demo
  relo preview winback_mx_highvalue
  relo eval FILE.seg --events events.jsonl --at 2026-06-15T12:00:00Z
"""


@dataclass(slots=True)
class Invocation:
    """What the whole command line decides; `--debug` shows tracebacks."""

    debug: bool


class LazyGroup(click.Group):
    """A click group whose commands are rows of a table until one is used."""

    table: dict[str, Entry] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Every name in the table, in its order."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command called `cmd_name`; None if there is no such row.

        Raises UserError if the installation lacks its module or a package that it needs.
        """
        entry = self.table.get(cmd_name)
        return None if entry is None else _load(cmd_name, entry.target)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but nearest names come from the table."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=self.table, ctx=ctx
            ) from None

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the table in its sections, without importing a command."""
        width = max(map(len, self.table))
        for section in dict.fromkeys(entry.section for entry in self.table.values()):
            rows = [
                (name.ljust(width), entry.help)
                for name, entry in self.table.items()
                if entry.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and exit: 0 done, 1 a definition has errors, 2 anything else."""
        invocation = Invocation(debug=os.environ.get("RELO_DEBUG", "0") not in ("", "0"))
        extra.setdefault("obj", invocation)
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except Exception as error:
            sys.exit(_report(error, invocation))
        sys.exit(result if isinstance(result, int) else 0)


def _load(name: str, target: str) -> click.Command:
    """The command at `module:attribute`."""
    from importlib import import_module

    module_name, _, attribute = target.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise UserError(
                f"this installation has no `relo {name}`", "install all of relo-dsl again"
            ) from error
        if missing.partition(".")[0] in ("relo_dsl", "relo_server"):
            raise
        raise UserError(
            f"`relo {name}` needs the package `{missing}`, which is not installed",
            "run `make install` in a clone, or install relo-dsl again",
        ) from error
    command: click.Command = getattr(module, attribute)
    return command


def _report(error: Exception, invocation: Invocation) -> int:
    """Tell the user what went wrong, on stderr; return the exit status."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        click.echo("\ninterrupted", err=True)
        return EXIT_INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return EXIT_USAGE
    if invocation.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, UserError):
        from relo_dsl.cli.output import print_error

        print_error(error.message, error.hint)
    elif not invocation.debug:
        click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
        click.echo("help: this is a mistake in relo; `relo --debug …` shows where", err=True)
    return EXIT_USAGE


def _set_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and isinstance(ctx.obj, Invocation):
        ctx.obj.debug = True


@click.group(
    cls=LazyGroup,
    name="relo",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="COMMAND …",
)
@click.version_option(__version__, prog_name="relo", message="%(prog)s %(version)s")
@click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_set_debug,
    help="Show tracebacks (or set RELO_DEBUG=1).",
)
def relo() -> None:
    """Describe audiences in text; check, size, build and publish them.

    A definition says which devices belong, in a few lines; relo turns it into SQL that sees only
    what consent allows, and publishes the members as a set. `relo COMMAND --help` tells more.
    """


def main() -> NoReturn:
    """The entry point of the installed command."""
    relo.main(prog_name="relo")
    raise AssertionError("main exits")
