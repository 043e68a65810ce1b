"""`relo preview`: the size of an audience, clause by clause."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import at_option

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_server.preview import Preview

_TEXT_WIDTH = 60
_BAR_WIDTH = 20


@click.command("preview", no_args_is_help=True)
@click.argument("what", metavar="NAME|FILE")
@at_option
@click.option(
    "--sample", type=click.IntRange(0, 1000), default=5, show_default=True, metavar="N",
    help="Show the keys of so many members.",
)  # fmt: skip
@json_option
@with_settings("client", "timezone", "catalog", "segments", "events", "data")
@click.pass_context
def command(
    context: click.Context, what: str, at: int | None, sample: int, as_json: bool,
    settings: Settings,
) -> None:  # fmt: skip
    """Size a definition, or every one of a file, and publish nothing.

    Shows how many devices it has, their share of the universe, how many survive each clause in
    turn, a few of their keys, and how many met the condition without consenting.

    \b
    Example:
      relo preview winback_customers
      relo preview draft.seg --at 2026-06-15T12:00:00Z --json
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.project import find, stop_on_errors, uploaded_lists
    from relo_server.cli.stores import open_engine
    from relo_server.preview import preview

    now = int(time.time() * 1000) if at is None else at
    workspace, names = find(settings, what, uploaded_lists(settings))
    stop_on_errors(context, workspace.errors_of(names), as_json=as_json)
    with open_engine(settings) as engine:
        for number, name in enumerate(names):
            found = preview(workspace, engine, name, at=now, sample=sample)
            if as_json:
                emit_json(found.to_json())
                continue
            if number:
                click.echo()
            _print(found)


def _print(found: Preview) -> None:
    from rich.text import Text

    from relo_dsl.cli.draw import bar, in_bytes, in_seconds, percent, size_of
    from relo_dsl.cli.tables import plain_table, print_table
    from relo_dsl.times import format_instant

    share = percent(found.size, found.universe)
    name = click.style(found.name, bold=True)
    size = click.style(size_of(found.size), fg="green")
    click.echo(f"{name} at {format_instant(found.at)}: {size}, {share} of the universe\n")
    table = plain_table("in turn", ">devices", ">share", "")
    rows = [("the universe", found.universe), ("… that consent", found.consenting)]
    rows += [(_cut(step.text), step.survive) for step in found.steps]
    for text, count in rows:
        part = count / found.universe if found.universe else 0.0
        table.add_row(
            Text(text), f"{count:,}", percent(count, found.universe), bar(part, _BAR_WIDTH)
        )
    print_table(table)
    if found.sample:
        click.echo("\nsample: " + "\n        ".join(found.sample))
    click.echo(f"\nheld back by consent: {size_of(found.withheld)}")
    read = f"{found.rows_read:,} rows, {in_bytes(found.bytes_read)}"
    click.echo(click.style(f"read {read} in {in_seconds(found.seconds)}", dim=True))


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_WIDTH else f"{text[: _TEXT_WIDTH - 1]}…"
