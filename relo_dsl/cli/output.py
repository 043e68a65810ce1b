"""How commands speak: results on stdout, remarks on stderr, colour only on a terminal."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, NoReturn

import click

from relo_dsl.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console


@cache
def _console(stderr: bool) -> Console:
    from rich.console import Console

    # rich itself looks at NO_COLOR and at whether the stream is a terminal.
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def stdout() -> Console:
    """The console for results. Imports rich: not for `--json`, which is `emit_json`."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for progress, diagnostics and remarks."""
    return _console(stderr=True)


def _plain(value: object) -> object:
    """What json does not know: a Decimal as a number, a path as text, a set in order."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def emit_json(value: object) -> None:
    """Print `value` as one line of JSON on stdout, keys in the order given."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain))


def print_error(message: str, hint: str | None = None) -> None:
    """Print what is wrong, and (hint) the way out, on stderr."""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {message}", err=True, color=_colour())
    if hint:
        click.echo(
            f"{click.style('help', fg='cyan', bold=True)}: {hint}", err=True, color=_colour()
        )


def _colour() -> bool | None:
    """None lets click look at the terminal."""
    return False if os.environ.get("NO_COLOR") else None


def fail(message: str, hint: str | None = None) -> NoReturn:
    """Stop the command: `relo` prints message and hint on stderr and exits with status 2."""
    raise UserError(message, hint)
