"""`relo eval`: a definition over files, with no server and no setup."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.output import emit_json, fail

if TYPE_CHECKING:
    from relo_dsl.diagnostics import Diagnostic
    from relo_dsl.evaluation import Engine, Prepared, Result
    from relo_dsl.settings import Settings

EXIT_DEFINITION = 1
SHOWN = 20


@click.command("eval", no_args_is_help=True)
@click.argument("file", type=click.Path(), metavar="FILE.seg")
@click.option(
    "--events", "-e", multiple=True, required=True, type=click.Path(), metavar="FILE",
    help="Events as JSON lines, CSV or Parquet; may be given several times. `-`: JSON lines from "
    "the standard input.",
)  # fmt: skip
@click.option(
    "--list", "-l", "lists", multiple=True, metavar="NAME=FILE",
    help="A list of device ids, one a line.",
)  # fmt: skip
@click.option("--name", "-n", "names", multiple=True, help="Evaluate only this definition.")
@click.option(
    "--at", "instants", multiple=True, metavar="INSTANT",
    help="The instant T; may be given several times. Without an offset it is UTC.  [default: now]",
)  # fmt: skip
@click.option(
    "--catalog", "catalog_path", type=click.Path(), metavar="FILE",
    help="Names and types, and the retention. Without one they are inferred from the data.",
)  # fmt: skip
@click.option("--allow-unknown", is_flag=True, help="Take what never occurs in the data as absent.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=SHOWN, show_default=True, metavar="N",
    help="Show so many members of each; 0 shows all. JSON has all.",
)  # fmt: skip
@click.option(
    "--engine", "engine_name", type=click.Choice(["interpret", "sql"]), default="interpret",
    show_default=True,
    help="What evaluates: the specification itself, or the SQL in an embedded ClickHouse.",
)  # fmt: skip
@json_option
@with_settings("client", "timezone")
@click.pass_context
def command(
    ctx: click.Context, /, file: str, events: tuple[str, ...], lists: tuple[str, ...],
    names: tuple[str, ...], instants: tuple[str, ...], catalog_path: str | None,
    allow_unknown: bool, limit: int, engine_name: str, as_json: bool, settings: Settings,
) -> None:  # fmt: skip
    """Evaluate the definitions of FILE.seg over files of events.

    Needs no server, no project and no catalog. Exits with 0 when done, 1 when a definition has
    errors, 2 when the command or its input cannot be used.

    \b
    Example:
      relo eval winback.seg --events events.jsonl --at 2026-06-15T12:00:00Z --json
    """
    from relo_dsl.catalog import load_catalog
    from relo_dsl.evaluation import Request, prepare
    from relo_dsl.syntax import read_source

    times = [_instant(text) for text in instants] or [int(time.time() * 1000)]
    prepared = prepare(
        Request(
            source=read_source(Path(file)),
            folder=Path(file).parent,
            events=events,
            names=names,
            lists=read_lists(lists),
            catalog=load_catalog(Path(catalog_path)) if catalog_path else None,
            client=settings.client,
            timezone=settings.timezone,
            allow_unknown=allow_unknown,
        )
    )
    _report(prepared.diagnostics, as_json, failed=prepared.has_errors)
    if prepared.has_errors:
        ctx.exit(EXIT_DEFINITION)
    with _engine(engine_name, prepared) as engine:
        for result in prepared.results(times, engine):
            _print(result, limit, as_json)


@contextmanager
def _engine(name: str, prepared: Prepared) -> Iterator[Engine | None]:
    if name == "interpret":
        yield None
        return
    from relo_dsl.cli.eval_sql import throwaway  # over a second, most of it chDB

    with throwaway(prepared.usable_catalog) as engine:
        yield engine


def _instant(text: str) -> int:
    """Epoch milliseconds of `--at`: RFC 3339, a date, or epoch milliseconds themselves."""
    from relo_dsl.times import TimeError, format_instant, parse_instant

    try:
        instant = int(text) if text.lstrip("-").isdecimal() else parse_instant(text)
        format_instant(instant)
    except (TimeError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="'--at'") from error
    return instant


def read_lists(options: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """The ids of `NAME=FILE` options by list; a name given twice gets the ids of both files.

    Lines are ids; white space around them and empty lines do not count. Raises UserError.
    """
    lists: dict[str, frozenset[str]] = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not equals or not name or not path:
            raise click.BadParameter(f"expected NAME=FILE, found `{option}`", param_hint="'--list'")
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except OSError as error:
            fail(f"cannot read the list {path}: {error.strerror or error}")
        except UnicodeDecodeError:
            fail(f"the list {path} is not UTF-8")
        ids = frozenset(line.strip() for line in text.split("\n") if line.strip())
        lists[name] = lists.get(name, frozenset()) | ids
    return lists


def _report(diagnostics: tuple[Diagnostic, ...], as_json: bool, *, failed: bool) -> None:
    """Draws the diagnostics on stderr; `--json` prints those of a definition that cannot run."""
    from relo_dsl.diagnostics import render_all, to_json

    if as_json:
        if failed:
            click.echo(to_json(diagnostics))
    elif diagnostics:
        click.echo(render_all(diagnostics), err=True)


def _print(result: Result, limit: int, as_json: bool) -> None:
    if as_json:
        emit_json(result.to_json())
        return
    from relo_dsl.times import format_instant

    count = len(result.members)
    size = "1 device" if count == 1 else f"{count:,} devices"
    name = click.style(result.name, bold=True)
    click.echo(f"{name} at {format_instant(result.at)}: {click.style(size, fg='green')}")
    shown = result.members[:limit] if limit else result.members
    for device in shown:
        click.echo(f"  {device}")
    if len(shown) < count:
        rest = f"  … and {count - len(shown):,} more (--limit 0 shows all)"
        click.echo(click.style(rest, dim=True))
