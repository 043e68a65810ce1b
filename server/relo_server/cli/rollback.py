"""`relo rollback`: an older version's members, published again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings


@click.command("rollback", no_args_is_help=True)
@click.argument("name")
@click.argument("version")
@json_option
@with_settings("client", "catalog", "segments", "events", "sets", "data")
def command(name: str, version: str, as_json: bool, settings: Settings) -> None:
    """Publish the members of an older VERSION of NAME, as a new version; so with its holdout.

    Whoever has withdrawn or was erased since stays out. The next refresh replaces it again.

    \b
    Example:
      relo rollback winback_customers 12
    """
    from relo_dsl.cli.draw import size_of
    from relo_dsl.cli.output import emit_json, fail
    from relo_dsl.setkeys import HOLDOUT
    from relo_server.cli.stores import client_of, erase_again, open_engine, open_sets, publisher
    from relo_server.versions.rollback import rollback

    if name.endswith(HOLDOUT):
        fail(
            f"`{name}` goes back together with its audience",
            f"`relo rollback {name.removesuffix(HOLDOUT)} VERSION` does both",
        )
    client = client_of(settings, name)
    with open_engine(settings) as engine, open_sets(settings) as sets:
        erase_again(settings, engine, sets)
        done = rollback(publisher(settings, engine, sets), client, name, version)
    if as_json:
        emit_json(
            {
                "name": name,
                "client": client,
                "to": done.to.ordinal,
                "version": done.version.to_json(),
                "holdout": None if done.holdout is None else done.holdout.to_json(),
            }
        )
        return
    new = done.version
    kept_out = done.to.size - new.size
    click.echo(
        f"`{name}` has the members of version {done.to.ordinal} again, as version {new.ordinal}: "
        f"{size_of(new.size)}, {new.entered:,} entered, {new.left:,} left"
    )
    if kept_out:
        click.echo(f"{size_of(kept_out)} of that version may not be used any more and stay out")
    if done.holdout is not None:
        click.echo(f"its holdout: {size_of(done.holdout.size)}")
