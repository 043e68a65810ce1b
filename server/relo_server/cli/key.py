"""`relo key`: what stands for a device in the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings


@click.command("key", no_args_is_help=True)
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE…")
@json_option
@with_settings("client", "data")
def command(devices: tuple[str, ...], as_json: bool, settings: Settings) -> None:
    """Tell the key of a device: 32 hex digits, which stand for it wherever data are stored.

    The key is a keyed hash of client and device id (HMAC-SHA256 with the installation's key, cut to
    16 bytes), so the same id has another key at another client and in another installation.

    \b
    Example:
      relo key device-1
      relo key device-1 device-2 --client 3 --json
    """
    from relo_dsl.engine.key import device_key, installation_key
    from relo_server.cli.stores import configured_client

    client = configured_client(settings)
    secret = installation_key(settings)
    keys = [(device, device_key(secret, client, device).hex()) for device in devices]
    if as_json:
        from relo_dsl.cli.output import emit_json

        found = [{"device": device, "key": key} for device, key in keys]
        emit_json({"client": client, "keys": found})
    elif len(keys) == 1:
        click.echo(keys[0][1])
    else:
        for device, key in keys:
            click.echo(f"{key}  {device}")
