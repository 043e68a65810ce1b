"""`relo has`: whether devices are in a published set."""

from __future__ import annotations

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

    All answers are of one version of the set, whose time is told. Exits with 0 whatever they are.

    \b
    Example:
      relo has winback_customers device-1 device-2
    """
    from relo_dsl.cli.output import emit_json, fail
    from relo_dsl.engine.key import device_key, installation_key
    from relo_dsl.times import format_instant
    from relo_server.cli.stores import client_of, open_sets

    client = client_of(settings, name)
    secret = installation_key(settings)
    keys = [device_key(secret, client, device) for device in devices]
    with open_sets(settings) as sets:
        answers = sets.ask(client, name, keys)
    if answers is None:
        fail(
            f"nothing is published as `{name}` for client {client}",
            f"`relo build {name}` publishes it",
        )
    if as_json:
        found = [
            {"device": device, "key": key.hex(), "member": member}
            for device, key, member in zip(devices, keys, answers.members, strict=True)
        ]
        version = {"version": answers.info.version, "at": format_instant(answers.info.at)}
        emit_json({"name": name, "client": client, **version, "devices": found})
        return
    width = max(map(len, devices))
    for device, member in zip(devices, answers.members, strict=True):
        word = click.style("yes", fg="green") if member else click.style("no", dim=True)
        click.echo(f"{device:<{width}}  {word}")
    # Apart from the answers, so that a script reads these alone.
    click.echo(f"as of {format_instant(answers.info.at)}", err=True)
