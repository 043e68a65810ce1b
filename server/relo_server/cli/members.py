"""`relo members`: the device keys of a published set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings


@click.command("members", no_args_is_help=True)
@click.argument("name")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Print at most so many.")
@json_option
@with_settings("client", "segments", "sets", "data")
def command(name: str, limit: int | None, as_json: bool, settings: Settings) -> None:
    """Print the members of the published set of NAME: device keys in hex, in no order.

    All are of one version of the set, whose time is told. Device ids are not stored; `relo key
    DEVICE` tells the key of one.

    \b
    Example:
      relo members winback_customers --limit 5
    """
    from relo_dsl.cli.output import emit_json, fail
    from relo_dsl.times import format_instant
    from relo_server.cli.stores import client_of, open_sets

    client = client_of(settings, name)
    with open_sets(settings) as sets:
        listing = sets.listing(client, name)
        if listing is None:
            fail(
                f"nothing is published as `{name}` for client {client}",
                f"`relo build {name}` publishes it",
            )
        info = listing.info
        keys = (key.hex() for key in listing.members(limit))
        if as_json:
            emit_json(
                {
                    "name": name,
                    "client": client,
                    "version": info.version,
                    "at": format_instant(info.at),
                    "count": info.size,
                    "members": list(keys),
                }
            )
            return
        shown = 0
        for shown, key in enumerate(keys, 1):  # noqa: B007 - counted here
            click.echo(key)
    if shown < info.size:
        click.echo(f"… and {info.size - shown:,} more", err=True)
    click.echo(f"as of {format_instant(info.at)}", err=True)
