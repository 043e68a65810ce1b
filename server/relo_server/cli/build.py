"""`relo build`: audiences computed and published."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import EXIT_DEFINITION, at_option

if TYPE_CHECKING:
    from rich.table import Table

    from relo_dsl.settings import Settings
    from relo_dsl.workspace import Workspace
    from relo_server.refresh.results import RefreshResult


@click.command("build")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "all_", is_flag=True, help="Build every audience of the project.")
@at_option
@click.option("--force", is_flag=True, help="Publish whatever the size.")
@json_option
@with_settings("client", "timezone", "catalog", "segments", "events", "sets", "data")
@click.pass_context
def command(
    context: click.Context, names: tuple[str, ...], all_: bool, at: int | None, force: bool,
    as_json: bool, settings: Settings,
) -> None:  # fmt: skip
    """Compute audiences together and publish each as a set, in place of its last version.

    An audience that fails does not stop the others; then the exit status is 1. One below its
    `minimum` is not published, and what was published of it before is emptied. One that is far
    smaller or larger than its last version is held back, and that one stays.

    \b
    Example:
      relo build winback_customers
      relo build --all --at 2026-06-15T12:00:00Z --json
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.project import read_project, require_names, uploaded_lists
    from relo_dsl.cli.tables import print_table
    from relo_server.cli.stores import erase_again, open_engine, open_sets, whoami
    from relo_server.refresh.audiences import audiences, refuse_segments
    from relo_server.refresh.run import refresh

    if bool(names) is all_:
        raise click.UsageError("give the names of audiences, or --all")
    now = int(time.time() * 1000) if at is None else at
    workspace = read_project(settings, uploaded=uploaded_lists(settings))
    require_names(workspace, names)
    wanted = audiences(workspace) if all_ else list(dict.fromkeys(names))
    refuse_segments(workspace, wanted)
    if all_:
        _refuse_nothing(wanted, settings.segments)
    with open_engine(settings) as engine, open_sets(settings) as sets:
        erase_again(settings, engine, sets)
        results = refresh(
            workspace, engine, sets, wanted, at=now, by=whoami(), force=force,
            limits=settings.publishing, universes=True,
            done=lambda result: emit_json(result.to_json()) if as_json else None,
        )  # fmt: skip
    if not as_json:
        if any(result.size is not None for result in results):
            print_table(table(results))
        _explain(results)
        _warn_of_small(workspace, results)
    if not all(result.published or result.too_small or result.held for result in results):
        context.exit(EXIT_DEFINITION)


def _refuse_nothing(wanted: Sequence[str], folder: Path) -> None:
    from relo_dsl.cli.output import fail
    from relo_dsl.cli.project import shown_path

    if not wanted:
        fail(f"there is no audience in {shown_path(folder)}")


def table(results: Sequence[RefreshResult]) -> Table:
    """What was computed, a row each; the share is that of the devices it chose from."""
    from relo_dsl.cli.draw import in_bytes, in_seconds, percent
    from relo_dsl.cli.tables import plain_table

    columns = ("audience", "type", ">size", ">share", ">held back", ">time", ">rows read", ">read")
    shown = plain_table(*columns)
    for result in results:
        if result.size is None or result.withheld is None:
            continue
        shown.add_row(
            result.name,
            result.type or "",
            f"{_size(result)}" if result.published else f"[yellow]{_size(result)}[/]",
            percent(result.size, result.universe or 0),
            f"{result.withheld:,}",
            in_seconds(result.seconds),
            f"{result.rows_read:,}",
            in_bytes(result.bytes_read),
        )
    return shown


def _size(result: RefreshResult) -> str:
    """The members, and how many were split off from them."""
    held_out = f" + {result.holdout:,} held out" if result.holdout else ""
    return f"{result.size:,}{held_out}"


def _explain(results: Sequence[RefreshResult]) -> None:
    """Says what was not published, and why."""
    from relo_dsl.cli.draw import draw, size_of
    from relo_dsl.cli.output import print_error
    from relo_dsl.diagnostics import Severity

    found = [item for result in results for item in result.diagnostics]
    errors = list(dict.fromkeys(item for item in found if item.severity is Severity.ERROR))
    if errors:
        click.echo(draw(errors), err=True)
    for result in results:
        if result.error is not None:
            print_error(f"`{result.name}` was not built: {result.error}", result.hint)
        elif result.too_small:
            what = f"`{result.name}` was not published: {size_of(result.size or 0)}"
            emptied = "; the version before it was emptied" if result.emptied else ""
            click.echo(f"{what}, and its minimum is {result.minimum:,}{emptied}", err=True)
        elif result.held is not None:
            click.echo(
                f"`{result.name}` was held back: {result.held}; what is published stays, and "
                "`--force` publishes this",
                err=True,
            )
        if result.withdrawn:
            stays = f"`{result.name}`, as published: {size_of(result.withdrawn)} left"
            click.echo(f"{stays}, who must not be in it any more", err=True)


def _warn_of_small(workspace: Workspace, results: Sequence[RefreshResult]) -> None:
    """Says which published audiences are smaller than one of their destinations takes."""
    from relo_dsl.cli.draw import size_of
    from relo_dsl.review.sizes import least_taken

    for result in results:
        if not result.published or result.size is None:
            continue
        least = least_taken(workspace.bound(result.name), workspace.catalog)
        if least is not None and result.size < least[1]:
            click.echo(
                f"`{result.name}` is published with {size_of(result.size)}, and `{least[0]}` takes "
                f"audiences from {least[1]:,} on",
                err=True,
            )
