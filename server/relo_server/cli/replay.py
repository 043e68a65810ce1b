"""`relo replay`: what was acknowledged and waits, stored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings


@click.command("replay")
@click.option(
    "--place", "lost", multiple=True, metavar="PLACE",
    help="Also take what an installation whose disk was lost has there; may be repeated.",
)  # fmt: skip
@json_option
@with_settings("catalog", "events", "sets", "data")
def command(lost: tuple[str, ...], as_json: bool, settings: Settings) -> None:
    """Store events that were acknowledged and wait: on the disk, and in object storage.

    `relo serve` does so by itself. What other installations have in the same storage is shown; it
    is taken with --place, where their disk was lost and they had the same stores and key. Beside a
    running service this only hands it over.

    \b
    Example:
      relo replay
      relo replay --place 0123456789abcdef
    """

    from relo_dsl.cli.output import emit_json, fail
    from relo_dsl.engine.lock import InUse
    from relo_server.cli.stores import open_engine, open_sets, open_spools
    from relo_server.spool.overflow import Storage, adopt, place_of, places

    storage, folder = Storage.of(settings), settings.data / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    adopted, others = 0, {}
    try:
        if storage is not None:
            mine = place_of(folder)
            there = places(storage)
            for place in lost:
                if place not in there:
                    fail(f"the storage has nothing of `{place}`", "`relo replay` shows what it has")
            adopted = sum(adopt(storage, folder, place) for place in {mine, *lost})
            others = {place: there[place] for place in sorted(there) if place not in {mine, *lost}}
    except OSError as error:
        fail(f"the storage cannot be looked through: {error}", "see `overflow` under [ingest]")
    stored, in_service = 0, False
    try:
        with (
            open_engine(settings) as engine,
            open_sets(settings) as sets,
            open_spools(settings, engine, sets) as waiting,
        ):
            with _bar(waiting.waiting(), quiet=as_json) as left:
                while waiting.step():
                    left(waiting.waiting())
            stored = waiting.stored
    except InUse:
        in_service = True
    except OSError as error:
        fail(str(error), "what waits is still there: see to it, and call this again")
    if as_json:
        answer = {"adopted": adopted, "stored": stored, "in_service": in_service, "others": others}
        emit_json(answer)
        return
    if adopted:
        click.echo(f"{adopted:,} segments were in storage alone")
    for place, count in others.items():
        click.echo(f"{count:,} segments of another installation are there: if its disk was lost, "
                   f"`relo replay --place {place}`")  # fmt: skip
    if in_service:
        click.echo("a running service has the stores, and stores what waits")
    else:
        click.echo(f"{stored:,} events stored")


@contextmanager
def _bar(total: int, *, quiet: bool) -> Iterator[Callable[[int], object]]:
    """A bar of the bytes that waited, on a terminal only; it is told what is left."""
    if quiet or not sys.stderr.isatty():
        yield lambda _left: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from relo_dsl.cli.output import stderr

    columns = (TextColumn("storing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task("store", total=total)
        yield lambda left: bar.update(task, completed=total - left)
