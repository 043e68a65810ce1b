"""`relo hover`: what the word at a place of a file means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.output import emit_json, fail
from relo_dsl.cli.project import at_option

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_dsl.source import SourceFile


@click.command("hover")
@click.argument("place", metavar="FILE:LINE:COL")
@click.option(
    "--lang", "language", type=click.Choice(["en", "es"]), default="en", show_default=True,
    help="The language of the explanation.",
)  # fmt: skip
@at_option
@json_option
@with_settings("client", "timezone", "catalog", "segments")
def command(
    place: str, language: Literal["en", "es"], at: int | None, as_json: bool, settings: Settings
) -> None:
    """Explain the word at a place of a definition file, in Markdown.

    Lines and columns count from 1. Windows are worked out for the instant of --at. The file may
    have mistakes; what could be read around the place is explained.

    \b
    Example:
      relo hover segments/winback.seg:8:3
      relo hover segments/winback.seg:8:3 --lang es --at 2026-06-15
    """
    from time import time_ns

    from relo_dsl.cli.project import read_project, uploaded_lists
    from relo_dsl.hover import hover
    from relo_dsl.syntax import read_source

    path, line, column = _parts(place)
    source = read_source(path)
    offset = _offset(source, line, column)
    workspace = read_project(settings, [path], uploaded_lists(settings))
    now = time_ns() // 1_000_000 if at is None else at
    found = hover(workspace, source, offset, now, language)
    if as_json:
        start = source.position(offset if found is None else found.span.start)
        length = 0 if found is None else found.span.end - found.span.start
        emit_json(
            {
                "file": str(path),
                "line": start.line,
                "column": start.column,
                "length": length,
                "markdown": None if found is None else found.markdown,
            }
        )
    elif found is None:
        click.echo("nothing is said of what stands there", err=True)
    else:
        click.echo(found.markdown)


def _parts(place: str) -> tuple[Path, int, int]:
    """The parts of FILE:LINE:COL. Raises UserError where it is none."""
    found = re.fullmatch(r"(.+):(\d{1,9}):(\d{1,9})", place, re.ASCII)
    if found is None:
        fail(f"`{place}` is not a place", "such as segments/winback.seg:8:3")
    return Path(found[1]), int(found[2]), int(found[3])


def _offset(source: SourceFile, line: int, column: int) -> int:
    """The offset of a line and column, counted from 1. Raises UserError outside of the text."""
    lines = source.text.split("\n")
    if not 1 <= line <= len(lines):
        fail(f"{source.name} has no line {line}", f"it has {len(lines)}")
    if not 1 <= column <= len(lines[line - 1]) + 1:
        fail(f"line {line} of {source.name} has no column {column}")
    return sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
