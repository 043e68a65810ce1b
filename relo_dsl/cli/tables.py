"""Tables for people, by rich: imported only where one is printed."""

from __future__ import annotations

import io

import click
from rich import box
from rich.console import Console
from rich.table import Table

from relo_dsl.cli.output import stdout

#: The width of a table that nobody sees on a terminal: whatever it needs.
_UNLIMITED = 500


def plain_table(*columns: str) -> Table:
    """A table with a rule under its head and no other lines; `>` before a name aligns right.

    On a narrow terminal texts give way and numbers do not.
    """
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold",
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right,
            overflow="fold",
        )
    return table


def print_table(table: Table) -> None:
    """Prints a table on stdout, without colours and as wide as it needs where it is no terminal."""
    if stdout().is_terminal:
        stdout().print(table)
        return
    text = io.StringIO()
    Console(file=text, width=_UNLIMITED, highlight=False, color_system=None).print(table)
    for line in text.getvalue().splitlines():
        click.echo(line.rstrip())
