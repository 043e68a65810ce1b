"""`relo migrate`: the event store into another one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from relo_dsl.engine import Engine
    from relo_dsl.settings import Settings
    from relo_server.moving import Moved

EXIT_DIFFERENT = 1


@click.command("migrate", no_args_is_help=True)
@click.option(
    "--to", required=True, metavar="URL|FOLDER",
    help="The URL of a ClickHouse server, or the folder of an embedded store.",
)  # fmt: skip
@click.option(
    "--to-database", metavar="NAME", help="The database there.  [default: that of the settings]"
)
@click.option("--to-cluster", metavar="NAME", help="The cluster that the server is a node of.")
@click.option(
    "--chunk-rows", type=click.IntRange(min=1), default=200_000, show_default=True, metavar="N",
    help="Rows in memory at a time, about.",
)  # fmt: skip
@click.option("--compare", is_flag=True, help="Copy nothing, only compare.")
@json_option
@with_settings("events", "data", "database")
@click.pass_context
def command(
    context: click.Context, to: str, to_database: str | None, to_cluster: str | None,
    chunk_rows: int, compare: bool, as_json: bool, settings: Settings,
) -> None:  # fmt: skip
    """Copy all events, traits, consent, scores and lists into another store, and compare the two.

    What is there already is not copied again, so a copy that was interrupted is simply repeated.
    Every table is compared by count and checksum, client by client; exits with 1 where they differ.
    Published sets are published anew by `relo build --all`.

    \b
    Example:
      relo migrate --to http://clickhouse.example:8123 --to-database relo
      relo migrate --to http://clickhouse.example:8123 --compare
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.engine.key import kept_key
    from relo_server.cli.stores import open_engine
    from relo_server.moving import move

    goal = _target(settings, to, to_database, to_cluster)
    key = kept_key(settings)
    with open_engine(settings) as source, open_engine(goal) as target:
        if goal.events == "embedded":
            _carry(key, goal.data)
        with _bar(_size(source), quiet=as_json) as progress:
            found = list(
                move(source, target, copy=not compare, chunk_rows=chunk_rows, progress=progress)
            )
    if as_json:
        same = all(item.same for item in found)
        emit_json({"same": same, "tables": [item.to_json() for item in found]})
    else:
        _print(found, goal)
    if not all(item.same for item in found):
        context.exit(EXIT_DIFFERENT)


def _target(settings: Settings, to: str, database: str | None, cluster: str | None) -> Settings:
    """The settings of the other store. Raises UserError where it cannot be, or is this one."""
    from pydantic import ValidationError

    from relo_dsl.cli.output import fail
    from relo_dsl.settings import Settings

    embedded = "://" not in to
    if embedded and (database or cluster):
        fail("an embedded store has one database and no cluster", "give `--to` the URL of a server")
    given = {**dict(settings), "cluster": cluster, "database": database or settings.database}
    given |= {"events": "embedded", "data": Path(to).absolute()} if embedded else {"events": to}
    try:
        goal = Settings(**given)
    except ValidationError as error:
        fail(f"`--to {to}`: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
    if goal.events == settings.events == "embedded":
        fail(
            "both stores are embedded, and a process opens one",
            "while no command runs, copy the folder like any other",
        )
    if (goal.events, goal.database) == (settings.events, settings.database):
        fail("the events live there already", "name another server or another `--to-database`")
    return goal


def _carry(key: bytes, folder: Path) -> None:
    """Gives the installation's key to an embedded store, where it has none or the same."""
    from relo_dsl.cli.output import fail
    from relo_dsl.engine.key import keep_key

    if not keep_key(key, folder):
        fail(
            f"the store in {folder} has another installation's key, and so other keys of devices",
            "name an empty folder",
        )


def _size(engine: Engine) -> int:
    from relo_dsl.engine.cluster import made_tables

    return sum(engine.rows(f"SELECT count() FROM {name}")[0][0] for name in made_tables())  # noqa: S608


@contextmanager
def _bar(total: int, *, quiet: bool) -> Iterator[Callable[[str, int], object]]:
    """A bar of the rows, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield lambda _table, _rows: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from relo_dsl.cli.output import stderr

    named = TextColumn("{task.description:<9}")
    columns = (named, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda table, rows: bar.update(task, advance=rows, description=table)


def _print(found: list[Moved], goal: Settings) -> None:
    from relo_dsl.cli.output import print_error
    from relo_dsl.cli.project import shown_path
    from relo_dsl.cli.tables import plain_table, print_table

    table = plain_table("table", ">client", ">rows", ">copied", ">there", "checksum")
    for item in found:
        client = "" if item.client is None else str(item.client)
        same = "same" if item.checksum == item.checksum_there else "different"
        table.add_row(
            item.table, client, f"{item.rows:,}", f"{item.copied:,}", f"{item.there:,}", same
        )
    print_table(table)
    different = [item for item in found if not item.same]
    for item in different:
        whose = "" if item.client is None else f" of client {item.client}"
        print_error(
            f"`{item.table}`{whose} differs: {item.missing:,} rows are only here, "
            f"{item.surplus:,} only there"
        )
    if different:
        hint = "repeat it while nobody loads; rows that are only there were not copied from here"
        click.echo(f"help: {hint}", err=True)
        return
    if goal.events == "embedded":
        where = f"`data` to {shown_path(goal.data)} and `events` to embedded"
    else:
        where = f"`events` and `database` ({goal.database})"
        if goal.cluster:
            where += f" and `cluster` ({goal.cluster})"
    click.echo(f"\nthe same in both: set {where},")
    click.echo("keep the installation's key, and `relo build --all` publishes from there")
