"""`relo has`: whether devices are in a published set."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings


@click.command("has", no_args_is_help=True)
@click.argument("name")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE…")
@json_option
@with_settings("client", "segments", "sets", "data")
def command(name: str, devices: tuple[str, ...], as_json: bool, settings: Settings) -> None:
    """Ask whether devices are in the published set of NAME. Ids are hashed before they are sent.

    All answers are of one version of the set; below them stands how old it is. Exits with 0
    whatever the answers are.

    \b
    Example:
      relo has winback_customers device-1 device-2
    """
    from relo_dsl.cli.draw import ago
    from relo_dsl.cli.output import emit_json, fail
    from relo_dsl.engine.key import device_key, installation_key
    from relo_dsl.times import format_instant
    from relo_server.cli.stores import client_of, open_sets

    client = client_of(settings, name)
    secret = installation_key(settings)
    keys = [device_key(secret, client, device) for device in devices]
    with open_sets(settings) as sets:
        asked = sets.ask(client, name, keys)
    if asked is None:
        fail(
            f"nothing is published as `{name}` for client {client}",
            f"`relo build {name}` publishes it",
        )
    age = max(int(time.time() * 1000) - asked.info.at, 0)
    if as_json:
        found = [
            {"device": device, "key": key.hex(), "member": member}
            for device, key, member in zip(devices, keys, asked.members, strict=True)
        ]
        emit_json(
            {
                "name": name,
                "client": client,
                "version": asked.info.version,
                "at": format_instant(asked.info.at),
                "age_seconds": age // 1000,
                "devices": found,
            }
        )
        return
    width = max(map(len, devices))
    for device, member in zip(devices, asked.members, strict=True):
        word = click.style("yes", fg="green") if member else click.style("no", dim=True)
        click.echo(f"{device:<{width}}  {word}")
    # Apart from the answers, so that a script reads these alone.
    click.echo(f"as of {format_instant(asked.info.at)}, {ago(age)} ago", err=True)
