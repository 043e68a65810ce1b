"""`relo verify`: published sets against their definitions and their history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import EXIT_DEFINITION

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_dsl.workspace import Workspace
    from relo_server.versions.verify import Checked, Difference

_KEYS = 5


@click.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@json_option
@with_settings("client", "timezone", "catalog", "segments", "events", "sets", "data")
@click.pass_context
def command(
    context: click.Context, names: tuple[str, ...], as_json: bool, settings: Settings
) -> None:
    """Compare published sets with what they should hold, member by member.

    Each set, and its holdout, with its definition at the instant of its version, and with the
    history. Exits with 1 where somebody is missing or surplus; a set with surplus is marked, and
    not exported until it is right again. Without names: every audience of the project.

    \b
    Example:
      relo verify
      relo verify winback_customers --json
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.project import read_project, require_names, uploaded_lists
    from relo_dsl.engine.migrate import apply_catalog
    from relo_server.cli.stores import open_engine, open_sets, publisher
    from relo_server.refresh.audiences import audiences, refuse_segments
    from relo_server.refresh.definitions import definition_of
    from relo_server.versions.verify import verify

    workspace = read_project(settings, uploaded=uploaded_lists(settings))
    require_names(workspace, [name.partition(":")[0] for name in names])
    wanted = list(dict.fromkeys(names)) or audiences(workspace)
    refuse_segments(workspace, [name.partition(":")[0] for name in wanted])
    right = True
    with open_engine(settings) as engine, open_sets(settings) as sets:
        apply_catalog(engine, workspace.catalog)
        made = publisher(settings, engine, sets)
        for client, name in _with_holdouts(workspace, wanted):
            found = verify(made, client, name, definition_of(workspace, name))
            right = right and found.is_right
            if as_json:
                emit_json(found.to_json())
            else:
                _print(found)
    if not right:
        context.exit(EXIT_DEFINITION)


def _with_holdouts(workspace: Workspace, names: list[str]) -> Iterator[tuple[int, str]]:
    """Each name with its client, and behind it its holdout, if it has one."""
    from relo_dsl.setkeys import HOLDOUT

    for name in names:
        audience = name.partition(":")[0]
        bound = workspace.bound(audience)
        yield bound.client, name
        if name == audience and bound.shares is not None and bound.shares.holdout is not None:
            yield bound.client, name + HOLDOUT


def _print(found: Checked) -> None:
    from relo_dsl.cli.draw import size_of

    name = click.style(found.name, bold=True)
    if found.version is None and found.is_right:
        click.echo(f"{name}: nothing is published")
        return
    what = "nothing is published" if found.version is None else size_of(found.size)
    version = "" if found.ordinal is None else f"version {found.ordinal}, "
    verdict = click.style("right", fg="green") if found.is_right else click.style("WRONG", fg="red")
    click.echo(f"{name}: {version}{what}: {verdict}")
    if found.not_computed is not None:
        click.echo(f"  not compared with its definition: {found.not_computed}")
    for against, part in (("its definition", found.sql), ("its history", found.stored)):
        if part is not None and (part.missing or part.surplus):
            click.echo(f"  against {against}: {part.missing:,} missing, {part.surplus:,} surplus")
            _keys(part)


def _keys(part: Difference) -> None:
    both = (
        ("missing", part.missing, part.missing_keys),
        ("surplus", part.surplus, part.surplus_keys),
    )
    for what, count, keys in both:
        for key in keys[:_KEYS]:
            click.echo(f"    {what} {key}")
        if count > _KEYS:
            click.echo(f"    … and {count - _KEYS:,} more; `--json` prints up to 1,000")
