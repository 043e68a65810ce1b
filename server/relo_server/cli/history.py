"""`relo history`: the versions of an audience."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_server.versions.ledger import Version

_BARS = "▁▂▃▄▅▆▇█"
#: Versions that the sparkline shows at most.
_SPARKS = 60


@click.command("history", no_args_is_help=True)
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
    help="Show at most so many.",
)  # fmt: skip
@json_option
@with_settings("client", "segments", "events", "data")
def command(name: str, limit: int, as_json: bool, settings: Settings) -> None:
    """Show the versions of NAME, newest first: sizes, who entered and left, and why.

    What was held back is shown too. NAME:holdout has a history of its own.

    \b
    Example:
      relo history winback_customers
      relo history winback_customers --limit 100 --json
    """
    from relo_dsl.cli.output import emit_json, fail
    from relo_server.cli.stores import client_of, open_engine
    from relo_server.versions import ledger

    client = client_of(settings, name)
    with open_engine(settings) as engine:
        versions = ledger.history(engine, client, name, limit=max(limit, _SPARKS))
        blocked = ledger.is_blocked(engine, client, name)
    if as_json:
        shown = [version.to_json() for version in versions[:limit]]
        emit_json({"name": name, "client": client, "blocked": blocked, "versions": shown})
        return
    if not versions:
        fail(
            f"`{name}` of client {client} was never published",
            f"`relo build {name}` publishes it",
        )
    _print(name, versions, limit)
    if blocked:
        click.echo(
            f"\na check found members in `{name}` that should not be there: `relo verify {name}` "
            f"shows them, and `relo build {name}` publishes it whole again",
            err=True,
        )


def sparkline(sizes: list[int]) -> str:
    """A bar for each number, the greatest at full height; none is at the lowest."""
    top = max(sizes, default=0)
    return "".join(_BARS[round(size / top * (len(_BARS) - 1)) if top else 0] for size in sizes)


def _print(name: str, versions: list[Version], limit: int) -> None:
    from rich.text import Text

    from relo_dsl.cli.draw import in_seconds, size_of
    from relo_dsl.cli.tables import plain_table, print_table
    from relo_dsl.times import format_instant
    from relo_server.versions.ledger import Step

    published = [version for version in versions if version.step is Step.PUBLISHED]
    if published:
        line = sparkline([version.size for version in reversed(published[:_SPARKS])])
        click.echo(f"{click.style(name, bold=True)}  {line}  {size_of(published[0].size)}\n")
    columns = (">version", "at", "kind", ">size", ">entered", ">left", ">held back", ">time", "by")
    table = plain_table(*columns, "")
    for version in versions[:limit]:
        held = version.step is Step.HELD
        table.add_row(
            "–" if held else str(version.ordinal),
            format_instant(version.at),
            Text("held", style="yellow") if held else str(version.kind),
            f"{version.size:,}",
            "" if held else f"{version.entered:,}",
            "" if held else f"{version.left:,}",
            f"{version.withheld:,}",
            in_seconds(version.duration_ms / 1000),
            version.by,
            Text(("forced: " if version.forced else "") + version.reason),
        )
    print_table(table)
    if len(versions) > limit:
        click.echo(f"… and older ones; `--limit {2 * limit}` shows more", err=True)
