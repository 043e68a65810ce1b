"""`relo explain`: what a definition says, in plain sentences."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings

_STYLES = {"title": {"bold": True}, "label": {"dim": True}, "head": {"fg": "cyan"}}


@click.command("explain", no_args_is_help=True)
@click.argument("what", metavar="NAME|FILE")
@click.option(
    "--lang", type=click.Choice(["en", "es"]), default="en", show_default=True,
    help="The language of the sentences.",
)  # fmt: skip
@json_option
@with_settings("client", "timezone", "catalog", "segments")
@click.pass_context
def command(
    context: click.Context, what: str, lang: str, as_json: bool, settings: Settings
) -> None:
    """Say in plain sentences who is in, for a definition or for every one of a file.

    Tells also which consents it needs and why, how fresh it can be, and what it reads.

    \b
    Example:
      relo explain winback_customers
      relo explain segments/winback.seg --lang es
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.project import find, stop_on_errors, uploaded_lists
    from relo_dsl.explain import explain

    workspace, names = find(settings, what, uploaded_lists(settings))
    stop_on_errors(context, workspace.errors_of(names), as_json=as_json, remarks=False)
    now = int(time.time() * 1000)
    for number, name in enumerate(names):
        found = explain(workspace, name, now, lang)
        if as_json:
            emit_json(found.to_json())
            continue
        if number:
            click.echo()
        for kind, line in found.lines():
            click.echo(click.style(line, **_STYLES.get(kind, {})))  # type: ignore[arg-type]
