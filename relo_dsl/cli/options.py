"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

_SETTINGS: dict[str, tuple[Any, str, str]] = {
    "client": (int, "N", "The client, where a definition names none."),
    "timezone": (str, "ZONE", "IANA time zone, where a definition names none."),
    "catalog": (click.Path(), "FILE", "The catalog of events, properties and destinations."),
    "segments": (click.Path(), "FOLDER", "The folder with the definitions."),
    "events": (str, "URL", "Where events live: `embedded` or the URL of a ClickHouse server."),
    "sets": (str, "URL", "Where sets live: `embedded` or a redis URL."),
    "data": (click.Path(), "FOLDER", "The folder of the embedded stores."),
    "database": (str, "NAME", "The ClickHouse database."),
}


def with_settings(*names: str) -> Callable[[Function], Function]:
    """Give a command the options called `names` and one argument, `settings: Settings`.

    The options stand above `RELO_*` variables and `relo.toml`. Without names the command only gets
    `settings`.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            from relo_dsl.settings import Settings

            overrides = {name: kwargs.pop(f"setting_{name}") for name in names}
            return function(*args, settings=Settings.load(**overrides), **kwargs)

        for name in reversed(names):
            kind, metavar, text = _SETTINGS[name]
            option = click.option(
                f"--{name}", f"setting_{name}", type=kind, metavar=metavar, help=text
            )
            run = option(run)
        return run  # type: ignore[return-value]

    return decorate


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
"""`--json`, as the argument `as_json`."""
