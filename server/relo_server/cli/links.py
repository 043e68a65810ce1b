"""`relo links`: click links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings


@click.group("links")
def command() -> None:
    """Make, list and end click links. A running service leads on from `/c/CODE`.

    Each click becomes an event `click`, and the destination is told its id.

    \b
    Example:
      relo links add 'https://shop.example/sale?from=mail' --name "june mailing"
      relo links list
      relo links end 3-k7qm2x9ab
    """


@command.command("add", no_args_is_help=True)
@click.argument("destination", metavar="URL")
@click.option("--name", default="", metavar="NAME", help="What you know it by.")
@json_option
@with_settings("client", "data")
def add(destination: str, name: str, as_json: bool, settings: Settings) -> None:
    """Make a link to an https address, or to an app whose scheme is in `app_schemes`.

    \b
    Example:
      relo links add https://shop.example/sale --name "june mailing"
    """
    from relo_dsl.cli.output import emit_json
    from relo_server.cli.people import office, operator
    from relo_server.ingest.links import checked_destination
    from relo_server.platform.links import add_link, link_json

    checked = checked_destination(destination, settings.ingest.app_schemes)
    with office(settings) as at:
        with at.acting("links.create", checked) as (session, objects):
            link = add_link(session, checked, name, operator(), at.now)
            objects.append(link.code)
        if as_json:
            emit_json(link_json(link))
        else:
            click.echo(f"/c/{link.code}")


@command.command("list")
@json_option
@with_settings("client", "data")
def show(as_json: bool, settings: Settings) -> None:
    """Show the client's links, those that have ended too.

    \b
    Example:
      relo links list --client 3
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.tables import plain_table, print_table
    from relo_server.cli.people import day, office
    from relo_server.platform.links import link_json, list_links

    with office(settings) as at, at.platform.tenant(at.client, reading=True) as session:
        found = list_links(session)
        if as_json:
            emit_json({"client": at.client, "links": [link_json(one) for one in found]})
            return
        if not found:
            click.echo(f"client {at.client} has no links; `relo links add URL` makes one")
            return
        table = plain_table("path", "destination", "name", "made", "ended")
        for one in found:
            made, ended = day(one.created_at, ""), day(one.ended_at, "")
            table.add_row(f"/c/{one.code}", one.destination, one.name, made, ended)
        print_table(table)


@command.command("end", no_args_is_help=True)
@click.argument("code")
@json_option
@with_settings("client", "data")
def end(code: str, as_json: bool, settings: Settings) -> None:
    """End a link: whoever follows it finds nothing, within seconds.

    \b
    Example:
      relo links end 3-k7qm2x9ab
    """
    from relo_dsl.cli.output import emit_json, fail
    from relo_server.cli.people import office
    from relo_server.platform.links import end_link, link_json

    with office(settings) as at:
        with at.acting("links.end", code) as (session, _):
            link = end_link(session, code, at.now)
            if link is None:
                fail(f"there is no link `{code}`", "`relo links list` shows all")
        if as_json:
            emit_json(link_json(link))
        else:
            click.echo(f"/c/{link.code} leads nowhere any more")
