"""`relo diff`: who entered and who left between two versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.engine import Engine
    from relo_dsl.settings import Settings
    from relo_server.versions.ledger import Version


@click.command("diff", no_args_is_help=True)
@click.argument("name")
@click.argument("first", required=False, metavar="[V1")
@click.argument("second", required=False, metavar="V2]")
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, metavar="N",
    help="Print at most so many keys of each kind.",
)  # fmt: skip
@json_option
@with_settings("client", "segments", "events", "data")
def command(
    name: str, first: str | None, second: str | None, limit: int, as_json: bool,
    settings: Settings,
) -> None:  # fmt: skip
    """Tell who entered NAME and who left it from version V1 to V2, by their keys.

    Versions are numbers as in `relo history`, or ids. Without them: the last two.

    \b
    Example:
      relo diff winback_customers
      relo diff winback_customers 3 7 --limit 1000 --json
    """
    from relo_dsl.cli.output import emit_json
    from relo_server.cli.stores import client_of, open_engine
    from relo_server.versions.membership import differences

    if (first is None) is not (second is None):
        raise click.UsageError("give two versions, or none for the last two")
    client = client_of(settings, name)
    with open_engine(settings) as engine:
        before, after = _versions(engine, client, name, first, second)
        entered, left = differences(engine, before, after, limit=limit)
    if as_json:
        emit_json(
            {
                "name": name,
                "client": client,
                "from": _described(before),
                "to": _described(after),
                "entered": entered[0],
                "left": left[0],
                "entered_keys": [key.hex() for key in entered[1]],
                "left_keys": [key.hex() for key in left[1]],
            }
        )
        return
    _print(name, before, after, entered, left)


def _described(version: Version) -> dict[str, object]:
    from relo_dsl.times import format_instant

    return {
        "ordinal": version.ordinal,
        "version": version.version,
        "at": format_instant(version.at),
        "size": version.size,
    }


def _versions(
    engine: Engine, client: int, name: str, first: str | None, second: str | None
) -> tuple[Version, Version]:
    """The two versions asked for. Raises UserError where there are none."""
    from relo_dsl.cli.output import fail
    from relo_server.versions import ledger

    if first is not None and second is not None:
        return (
            ledger.find(engine, client, name, first),
            ledger.find(engine, client, name, second),
        )
    versions = ledger.history(engine, client, name, held=False, limit=2)
    if not versions:
        fail(f"`{name}` was never published", f"`relo build {name}` publishes it")
    if len(versions) == 1:
        fail(f"`{name}` has one version only", f"`relo members {name}` prints its members")
    return versions[1], versions[0]


def _print(
    name: str,
    before: Version,
    after: Version,
    entered: tuple[int, list[bytes]],
    left: tuple[int, list[bytes]],
) -> None:
    from relo_dsl.cli.draw import size_of

    click.echo(
        f"{click.style(name, bold=True)} from version {before.ordinal} ({size_of(before.size)}) to "
        f"{after.ordinal} ({size_of(after.size)}): {entered[0]:,} entered, {left[0]:,} left"
    )
    for sign, colour, (count, keys) in (("+", "green", entered), ("-", "red", left)):
        for key in keys:
            click.echo(click.style(f"{sign} {key.hex()}", fg=colour))
        if count > len(keys) > 0:
            click.echo(f"{sign} … and {count - len(keys):,} more")
