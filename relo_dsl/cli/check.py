"""`relo check`: every mistake of every definition, in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import EXIT_DEFINITION

if TYPE_CHECKING:
    from relo_dsl.diagnostics import Diagnostic
    from relo_dsl.settings import Settings


@click.command("check")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATHS]…")
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@json_option
@with_settings("client", "timezone", "catalog", "segments")
@click.pass_context
def command(
    context: click.Context, paths: tuple[Path, ...], strict: bool, as_json: bool, settings: Settings
) -> None:
    """Find mistakes in definitions: all of them, with the place and what could stand there.

    PATHS are files or folders; without any it is the project's folder of definitions. Exits with 1
    if there are errors.

    \b
    Example:
      relo check
      relo check segments/winback.seg --json
    """
    from relo_dsl.cli.project import of_paths, read_project, uploaded_lists
    from relo_dsl.diagnostics import Severity, to_json

    workspace = read_project(settings, paths, uploaded_lists(settings))
    found = list(of_paths(workspace.check(), paths))
    if as_json:
        click.echo(to_json(found))
    else:
        click.echo(_drawn(found, len(workspace.names), in_all=not paths))
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(item.severity in bad for item in found):
        context.exit(EXIT_DEFINITION)


def _drawn(found: list[Diagnostic], definitions: int, *, in_all: bool) -> str:
    from relo_dsl.cli.draw import draw, size_of

    if found:
        return draw(found)
    checked = f" in {size_of(definitions, 'definition')}" if in_all else ""
    return click.style(f"no mistakes{checked}", fg="green")
