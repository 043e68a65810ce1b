"""`relo serve`: the service over HTTP."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True,
    help="The port; 0: any that is free, which is printed.",
)  # fmt: skip
@click.option(
    "--workers",
    type=click.IntRange(0, 64),
    default=0,
    show_default=True,
    help="So many processes answer look-ups and take events; this one then has the engine.",
)
@json_option
@with_settings("client", "timezone", "catalog", "segments", "events", "sets", "data")
def command(host: str, port: int, workers: int, as_json: bool, settings: Settings) -> None:
    """Serve the API over HTTP: check, preview, build, look up. `/docs` describes it.

    `relo token create` makes the credential that callers need. The service speaks plain HTTP:
    whatever is in front of it speaks TLS. SIGTERM ends it: what was begun is finished. The log goes
    to standard error, a JSON object a line; with --json the first line on standard output says
    where it listens.

    With --workers other processes take the connections. They answer look-ups and take batches of
    events themselves, and hand everything else to this one, which alone has the embedded engine.

    \b
    Example:
      relo serve --port 8080
      relo serve --port 8080 --workers 2
      relo serve --port 0 --json
    """
    from relo_server.api.listening import address_of, listening

    # Whoever answers takes turns with those who work: quickly, so that no answer waits for long.
    sys.setswitchinterval(0.0005)
    with listening(host, port) as socket:
        # The rest takes seconds to import and to open: who connects meanwhile waits for it.
        from relo_server.api.house import House
        from relo_server.api.owner import serve
        from relo_server.api.serving import log_to_stderr
        from relo_server.tracing import tracing

        log_to_stderr()
        url = address_of(socket)
        told = json.dumps({"url": url}) if as_json else f"listening on {url}, see {url}/docs"
        with tracing(settings), House.open(settings) as house:
            serve(house, socket, workers, ready=lambda: click.echo(told))
