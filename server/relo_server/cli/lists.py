"""`relo list`: device ids that somebody chose by hand, for `in list NAME`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings


@click.group("list")
def command() -> None:
    """Upload a list of devices, and see what is there. Definitions use it as `in list NAME`.

    \b
    Example:
      relo list add staff staff.txt
      relo list show
    """


@command.command("add", no_args_is_help=True)
@click.argument("name")
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False))
@json_option
@with_settings("client", "events", "data")
def add(name: str, file: str, as_json: bool, settings: Settings) -> None:
    """Upload FILE, one device id a line, in place of the list NAME. `-` is the standard input.

    White space around an id and empty lines do not count. Only the keys of the devices are stored;
    devices that were erased are left out.

    \b
    Example:
      relo list add staff staff.txt
    """
    from relo_dsl.cli.draw import size_of
    from relo_dsl.cli.output import emit_json, fail
    from relo_dsl.engine import installation_key, load_list
    from relo_server.cli.stores import configured_client, open_engine

    if not name.strip():
        fail("a list needs a name")
    client = configured_client(settings)
    devices = _devices(file)
    secret = installation_key(settings)
    with open_engine(settings) as engine:
        count = load_list(engine, client, name, devices, key=secret)
    erased = len(set(devices)) - count
    if as_json:
        emit_json({"name": name, "client": client, "devices": count, "erased": erased})
        return
    left_out = f"; {erased:,} left out, who were erased" if erased else ""
    click.echo(f"list `{name}`: {size_of(count)}{left_out}")


def _devices(file: str) -> list[str]:
    from relo_dsl.cli.output import fail

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        fail(f"cannot read the list {file}: {error.strerror or error}")
    except UnicodeDecodeError:
        fail(f"the list {file} is not UTF-8")
    return [line.strip() for line in text.split("\n") if line.strip()]


@command.command("show")
@json_option
@with_settings("client", "events", "data")
def show(as_json: bool, settings: Settings) -> None:
    """Show the lists that are uploaded, with their sizes and when that was.

    \b
    Example:
      relo list show
    """
    from relo_dsl.cli.draw import size_of
    from relo_dsl.cli.output import emit_json
    from relo_dsl.times import format_instant
    from relo_server.cli.stores import configured_client, open_engine

    client = configured_client(settings)
    with open_engine(settings) as engine:
        # Every version has one row more than it has devices: the mark that it is there.
        rows = engine.rows(
            "SELECT name, argMax(size, version), max(version) FROM (SELECT name, version, "
            "count() - 1 AS size FROM lists WHERE client_id = {c:UInt32} GROUP BY name, version) "
            "GROUP BY name ORDER BY name",
            {"c": client},
        )
    found = [(str(name), int(size), format_instant(int(version))) for name, size, version in rows]
    if as_json:
        lists = [{"name": name, "devices": size, "uploaded": at} for name, size, at in found]
        emit_json({"client": client, "lists": lists})
        return
    if not found:
        click.echo(f"client {client} has no lists; `relo list add NAME FILE` uploads one")
    width = max((len(name) for name, _, _ in found), default=0)
    for name, size, at in found:
        click.echo(f"{name:<{width}}  {size_of(size):>15}  uploaded {at}")
