"""`relo rebuild`: lost sets, from the history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_server.versions.ledger import Version
    from relo_server.versions.publisher import Publisher


@click.command("rebuild")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "all_", is_flag=True, help="Everything that was ever published.")
@json_option
@with_settings("client", "catalog", "segments", "events", "sets", "data")
def command(names: tuple[str, ...], all_: bool, as_json: bool, settings: Settings) -> None:
    """Publish sets that were lost or damaged again, without computing anything.

    The members are those of the latest version in the event store, less whoever has withdrawn or
    was erased since. What is there and right is left alone; what is past its `ttl` stays away.

    \b
    Example:
      relo rebuild --all
      relo rebuild winback_customers
    """
    from relo_dsl.cli.draw import size_of
    from relo_dsl.cli.output import emit_json
    from relo_server.cli.stores import erase_again, open_engine, open_sets, publisher

    if bool(names) is all_:
        raise click.UsageError("give the names of audiences, or --all")
    with open_engine(settings) as engine, open_sets(settings) as sets:
        erase_again(settings, engine, sets)
        made = publisher(settings, engine, sets)
        for name, client, version, why in _rebuilt(settings, made, names):
            if as_json:
                found = None if version is None else version.to_json()
                emit_json({"name": name, "client": client, "version": found, "left_alone": why})
            elif version is None:
                click.echo(f"{name}: left alone, {why}")
            else:
                left = f", {version.left:,} left since" if version.left else ""
                click.echo(f"{name}: {size_of(version.size)}{left}")


def _rebuilt(
    settings: Settings, made: Publisher, names: tuple[str, ...]
) -> Iterator[tuple[str, int, Version | None, str | None]]:
    """Each name, its client, and the new version or why there is none."""
    from relo_dsl.setkeys import HOLDOUT
    from relo_server.cli.stores import client_of, configured_client
    from relo_server.versions import ledger
    from relo_server.versions.rebuild import Expired, rebuild

    if names:
        wanted = []
        for name in dict.fromkeys(names):
            client = client_of(settings, name)
            wanted.append((client, name))
            if ledger.last(made.engine, client, name + HOLDOUT) is not None:
                wanted.append((client, name + HOLDOUT))
    else:
        clients = ledger.clients(made.engine) if settings.client is None else [settings.client]
        clients = clients or [configured_client(settings)]
        wanted = [(c, name) for c in clients for name in ledger.names(made.engine, c)]
    for client, name in wanted:
        try:
            version = rebuild(made, client, name)
        except Expired as error:
            if names:
                raise
            yield name, client, None, error.message
        else:
            yield name, client, version, None if version else "it is there and right"
