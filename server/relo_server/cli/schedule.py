"""`relo schedule`: what runs when, and what became of the last time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from rich.table import Table

    from relo_dsl.settings import Settings
    from relo_server.refresh.timetable import Line


@click.command("schedule")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@json_option
@with_settings("client", "timezone", "catalog", "segments", "events", "sets", "data")
def command(names: tuple[str, ...], as_json: bool, settings: Settings) -> None:
    """Show when each audience is refreshed next, and how old what is published is.

    Times are local to the audience and in UTC. `relo refresh --watch` is what keeps to them.

    \b
    Example:
      relo schedule
      relo schedule winback_customers --json
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.project import read_project, require_names, uploaded_lists
    from relo_dsl.cli.tables import print_table
    from relo_server.cli.stores import open_engine, open_sets
    from relo_server.refresh.audiences import refuse_segments
    from relo_server.refresh.live import Stores
    from relo_server.refresh.schedule import scheduled
    from relo_server.refresh.timetable import look

    workspace = read_project(settings, uploaded=uploaded_lists(settings))
    require_names(workspace, names)
    refuse_segments(workspace, names)
    audiences = scheduled(workspace, dict.fromkeys(names) if names else None)
    with open_engine(settings) as engine, open_sets(settings) as sets:
        now = int(time.time() * 1000)
        found = list(look(Stores(engine, sets), audiences, settings.schedule, now))
    if as_json:
        for line in found:
            emit_json(line.to_json())
        return
    if not found:
        click.echo("there is no audience to refresh", err=True)
        return
    print_table(table(found))
    for line in found:
        if line.failing and line.state.last is not None:
            click.echo(f"`{line.audience.name}` is failing: {line.state.last.error}", err=True)


def table(lines: Iterable[Line]) -> Table:
    """A row for each audience."""
    from relo_dsl.cli.draw import ago
    from relo_dsl.cli.tables import plain_table
    from relo_server.refresh.clock import written
    from relo_server.refresh.timetable import local

    columns = ("audience", "refresh", "next", "UTC", "last", "tried", ">age")
    shown = plain_table(*columns)
    for line in lines:
        last, at = line.state.last, line.run.at
        colour = {"failing": "red", "retrying": "yellow", "held": "yellow"}.get(line.status)
        status = f"[{colour}]{line.status}[/]" if colour else line.status
        if line.run.is_due(line.now):
            following = ("now", "")
        elif at is None:
            following = ("when something changes", "")
        else:
            following = (local(line.audience, at), in_utc(at))
        shown.add_row(
            line.audience.name,
            written(line.audience.clock.refresh),
            *following,
            status,
            "" if last is None else in_utc(last.ended),
            "–" if line.age is None else ago(line.age),
        )
    return shown


def in_utc(instant: int) -> str:
    """An instant to the second: `2026-06-15 12:00:00Z`."""
    from relo_dsl.times import format_instant

    return format_instant(instant)[:19].replace("T", " ") + "Z"
