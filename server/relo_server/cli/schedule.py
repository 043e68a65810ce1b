"""`relo schedule`: what runs when, and what became of the last time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from rich.table import Table

    from relo_dsl.settings import Schedule, Settings
    from relo_server.refresh.attempts import State
    from relo_server.refresh.due import Run, Scheduled
    from relo_server.refresh.live import Stores


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


@dataclass(frozen=True, slots=True)
class Line:
    """One audience: its next run, its last, and what is published (epoch milliseconds, or None)."""

    audience: Scheduled
    state: State
    run: Run
    published_at: int | None
    failing: bool
    now: int

    @property
    def age(self) -> int | None:
        """How long ago it was that what is published held, in milliseconds."""
        return None if self.published_at is None else max(self.now - self.published_at, 0)

    @property
    def status(self) -> str:
        """In a word: never, published, held, retrying, failing."""
        last = self.state.last
        if last is None:
            return "never"
        if last.failed:
            return "failing" if self.failing else "retrying"
        return last.outcome

    def to_json(self) -> dict[str, object]:
        """One line of `relo schedule --json`."""
        from relo_dsl.times import format_instant
        from relo_server.refresh.clock import written

        last, at, published = self.state.last, self.run.at, self.published_at
        return {
            "name": self.audience.name,
            "client": self.audience.client,
            "refresh": written(self.audience.clock.refresh),
            "timezone": self.audience.clock.timezone,
            "next": None if at is None else format_instant(at),
            "next_local": None if at is None else local(self.audience, at),
            "scheduled_for": None if at is None else format_instant(self.run.scheduled_for),
            "due": self.run.is_due(self.now),
            "status": self.status,
            "failing": self.failing,
            "last": None if last is None else {
                "scheduled_for": format_instant(last.scheduled_for),
                "started": format_instant(last.started),
                "ended": format_instant(last.ended),
                "outcome": last.outcome,
                "attempt": last.attempt,
                "error": last.error or None,
                "by": last.by,
            },
            "published_at": None if published is None else format_instant(published),
            "age_seconds": None if self.age is None else self.age // 1000,
        }  # fmt: skip


def look(
    stores: Stores, audiences: Iterable[Scheduled], policy: Schedule, now: int
) -> Iterable[Line]:
    """Each audience with what the stores know about it."""
    from relo_server.refresh.attempts import NEVER
    from relo_server.refresh.changes import with_definition
    from relo_server.refresh.due import is_failing, next_run

    audiences = list(audiences)
    mark = stores.mark()
    for client in dict.fromkeys(audience.client for audience in audiences):
        states, published = stores.states(client), stores.published(client)
        recorded = stores.recorded(client)
        for audience in audiences:
            if audience.client != client:
                continue
            state, at = states.get(audience.name, NEVER), published.get(audience.name)
            run = next_run(
                audience, state, now=now, policy=policy,
                published_at=audience.published_at(recorded),
                mark=with_definition(mark, audience.fingerprint),
            )  # fmt: skip
            yield Line(audience, state, run, at, is_failing(state, policy), now)


def table(lines: Iterable[Line]) -> Table:
    """A row for each audience."""
    from relo_dsl.cli.draw import ago
    from relo_dsl.cli.tables import plain_table
    from relo_server.refresh.clock import written

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


def local(audience: Scheduled, instant: int) -> str:
    """An instant as the clocks of the audience's zone show it."""
    from zoneinfo import ZoneInfo

    from relo_dsl.times import from_millis

    moment = from_millis(instant).astimezone(ZoneInfo(audience.clock.timezone))
    return moment.isoformat(sep=" ", timespec="seconds")


def in_utc(instant: int) -> str:
    """An instant to the second: `2026-06-15 12:00:00Z`."""
    from relo_dsl.times import format_instant

    return format_instant(instant)[:19].replace("T", " ") + "Z"
