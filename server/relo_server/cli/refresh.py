"""`relo refresh`: audiences brought up to date when they are due."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import EXIT_DEFINITION

if TYPE_CHECKING:
    from rich.table import Table

    from relo_dsl.settings import Settings
    from relo_dsl.workspace import Workspace
    from relo_server.refresh.attempts import Attempt
    from relo_server.refresh.results import RefreshResult
    from relo_server.refresh.schedule import Definitions
    from relo_server.refresh.scheduler import Scheduler


@click.command("refresh")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "all_", is_flag=True, help="Refresh every audience of the project now.")
@click.option("--due", is_flag=True, help="Refresh what is due by its schedule, then end.")
@click.option("--watch", is_flag=True, help="Keep to the schedule until it is stopped.")
@json_option
@with_settings("client", "timezone", "catalog", "segments", "events", "sets", "data")
@click.pass_context
def command(
    context: click.Context, names: tuple[str, ...], all_: bool, due: bool, watch: bool,
    as_json: bool, settings: Settings,
) -> None:  # fmt: skip
    """Refresh audiences: those named now, those that are due, or from now on as each is due.

    With --watch it runs until SIGTERM or Ctrl-C and ends what it has begun. Several may run on the
    same stores. What fails is tried again; without --watch the exit status is then 1.

    \b
    Example:
      relo refresh --due
      relo refresh --watch
      relo refresh winback_customers --json
    """
    if watch:
        if all_ or due:
            raise click.UsageError("--watch takes names, or no option: it refreshes what is due")
    elif [bool(names), all_, due].count(True) != 1:
        raise click.UsageError("give the names of audiences, --all, --due or --watch")
    shown = _Shown(as_json, watching=watch)
    with _session(settings, names, shown) as (scheduler, definitions):
        if watch:
            if not as_json:
                count = len(definitions.audiences())
                click.echo(f"keeping to the schedule of {count:,} audiences", err=True)
            with _until_told() as told:
                scheduler.run(sleep=told.wait, stop=told.is_set, done=shown.attempt)
            return
        made = scheduler.drain() if due else scheduler.at_once(sleep=time.sleep)
        failed = False
        for attempt in made:
            shown.attempt(attempt)
            failed |= attempt.failed
    shown.end()
    if failed or shown.troubles:
        context.exit(EXIT_DEFINITION)


@contextmanager
def _session(
    settings: Settings, names: Sequence[str], shown: _Shown
) -> Iterator[tuple[Scheduler, Definitions]]:
    """A scheduler over the stores of the settings, for the audiences `names` (none: all)."""
    from relo_dsl.cli.project import lists_in, read_project, require_names
    from relo_server.cli.stores import erase_again, open_engine, open_sets
    from relo_server.refresh.audiences import refuse_segments
    from relo_server.refresh.live import Live
    from relo_server.refresh.schedule import Definitions
    from relo_server.refresh.scheduler import Scheduler
    from relo_server.tracing import tracing

    with tracing(settings), open_engine(settings) as engine, open_sets(settings) as sets:
        erase_again(settings, engine, sets)

        def read() -> Workspace:
            workspace = read_project(settings, uploaded=lists_in(engine))
            require_names(workspace, names)
            refuse_segments(workspace, names)
            return workspace

        definitions = Definitions(
            read,
            [settings.segments, settings.catalog],
            names=list(dict.fromkeys(names)) or None,
            trouble=shown.trouble,
        )
        live = Live(
            engine, sets, lambda: definitions.workspace,
            holder=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
            lease=settings.schedule.lease,
            limits=settings.publishing, done=shown.result,
        )  # fmt: skip
        scheduler = Scheduler(
            live, definitions.audiences, settings.schedule,
            now=lambda: int(time.time() * 1000), trouble=shown.trouble,
        )  # fmt: skip
        yield scheduler, definitions


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; a second Ctrl-C interrupts whatever is going on."""
    told = threading.Event()

    def tell(_number: int, _frame: object) -> None:
        told.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, tell) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class _Shown:
    """Says what happens while it happens."""

    as_json: bool
    watching: bool = False
    troubles: int = 0
    results: dict[str, RefreshResult] = field(default_factory=dict)
    made: list[tuple[Attempt, RefreshResult | None]] = field(default_factory=list)

    def result(self, result: RefreshResult) -> None:
        """Keeps what a refresh found out until the attempt is stored."""
        self.results[result.name] = result

    def trouble(self, message: str) -> None:
        from relo_dsl.cli.output import print_error

        self.troubles += 1
        print_error(message)

    def attempt(self, attempt: Attempt) -> None:
        """Says what became of an audience: a line, or for a table one of its rows."""
        from relo_dsl.cli.output import emit_json
        from relo_dsl.times import format_instant

        result = self.results.pop(attempt.audience, None)
        if self.as_json:
            emit_json(
                {
                    **({"name": attempt.audience} if result is None else result.to_json()),
                    "outcome": attempt.outcome,
                    "scheduled_for": format_instant(attempt.scheduled_for),
                    "attempt": attempt.attempt,
                    "error": attempt.error or None,
                }
            )
        elif self.watching:
            click.echo(line(attempt, result))
        else:
            self.made.append((attempt, result))

    def end(self) -> None:
        """The table of what was refreshed, and below it why something was not."""
        from relo_dsl.cli.output import print_error
        from relo_dsl.cli.tables import print_table

        if self.as_json:
            return
        if not self.made:
            click.echo("nothing is due", err=True)
            return
        print_table(table(self.made))
        for attempt, result in self.made:
            if attempt.failed:
                hint = None if result is None else result.hint
                print_error(f"`{attempt.audience}` was not refreshed: {attempt.error}", hint)
            elif attempt.outcome == "held":
                click.echo(f"`{attempt.audience}` was held back: {attempt.error}", err=True)


def table(made: Sequence[tuple[Attempt, RefreshResult | None]]) -> Table:
    """A row for each attempt: how many are in, came and went, and how long it took."""
    from relo_dsl.cli.draw import in_seconds
    from relo_dsl.cli.tables import plain_table

    shown = plain_table("audience", "outcome", ">size", ">entered", ">left", ">time")
    for attempt, result in made:
        colour = {"failed": "red", "held": "yellow"}.get(attempt.outcome)
        outcome = f"[{colour}]{attempt.outcome}[/]" if colour else attempt.outcome
        row = [attempt.audience, outcome, "", "", "", ""]
        if result is not None and result.size is not None:
            changes = [f"{result.entered:,}", f"{result.left:,}"] if result.published else ["", ""]
            row[2:] = [f"{result.size:,}", *changes, in_seconds(result.seconds)]
        shown.add_row(*row)
    return shown


def line(attempt: Attempt, result: RefreshResult | None) -> str:
    """One attempt in a line: when it ended, whose, how many are in, came and went."""
    from relo_dsl.cli.draw import in_seconds, size_of
    from relo_dsl.times import format_instant

    head = f"{format_instant(attempt.ended)[:19]}Z  {attempt.audience}"
    if attempt.outcome != "published" or result is None:
        return f"{head}  {attempt.outcome}{': ' if attempt.error else ''}{attempt.error}"
    changes = f"+{result.entered:,} -{result.left:,}"
    return f"{head}  {size_of(result.size or 0)}  {changes}  {in_seconds(result.seconds)}"
