"""`relo serve`: the service over HTTP."""

from __future__ import annotations

import json
import logging
import signal
import sys
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from types import FrameType

    import uvicorn
    from fastapi import FastAPI

    from relo_dsl.settings import Settings

#: In-flight work has so long to end after SIGTERM; a build that takes longer is finished all the
#: same before the process ends.
_GRACE_SECONDS = 30


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8080, show_default=True,
    help="The port; 0: any that is free, which is printed.",
)  # fmt: skip
@json_option
@with_settings("client", "timezone", "catalog", "segments", "events", "sets", "data")
def command(host: str, port: int, as_json: bool, settings: Settings) -> None:
    """Serve the API over HTTP: check, preview, build, look up. `/docs` describes it.

    `relo token create` makes the credential that callers need. The service speaks plain HTTP:
    whatever is in front of it speaks TLS. SIGTERM ends it: what was begun is finished. The log goes
    to standard error, a JSON object a line; with --json the first line on standard output says
    where it listens.

    \b
    Example:
      relo serve --port 8080
      relo serve --port 0 --json
    """
    import uvicorn

    from relo_server.api.app import make_app
    from relo_server.api.house import House
    from relo_server.api.listening import address_of, listening

    # Whoever answers takes turns with those who work: quickly, so that no answer waits for long.
    sys.setswitchinterval(0.0005)
    _log_to_stderr()
    with listening(host, port) as socket, House.open(settings) as house:
        app = make_app(house)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )  # fmt: skip
        url = address_of(socket)
        if as_json:
            click.echo(json.dumps({"url": url}))
        else:
            click.echo(f"listening on {url}, described at {url}/docs")
        sys.stdout.flush()
        _server(config, app).run([socket])


def _server(config: uvicorn.Config, app: FastAPI) -> uvicorn.Server:
    """One whose streams end when it is told to stop, instead of holding it up."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
            # uvicorn would send itself the signal once more when it has stopped, and end the
            # process before the stores are closed.
            app.state.stopping.set()
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self.should_exit = True

    return Server(config)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    for name, level in (("relo", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


class _AsJson(logging.Formatter):
    """A JSON object a line, whatever was said."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        told: dict[str, object] = {"at": self.formatTime(record), "level": record.levelname.lower()}
        try:
            said = json.loads(message) if message.startswith("{") else None
        except ValueError:
            said = None
        told |= said if isinstance(said, dict) else {"event": "log", "message": message}
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told)

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    @staticmethod
    def converter(seconds: float | None) -> object:  # type: ignore[override]
        import time

        return time.gmtime(seconds)
