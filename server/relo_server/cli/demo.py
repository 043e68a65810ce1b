"""`relo demo`: a retailer's real data, loaded, segmented and published."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import EXIT_DEFINITION, at_option, shown_path

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_server.demo.run import Demo, Example, Watch
    from relo_server.demo.store import Loaded

_NAMES = {"purchase": "baskets", "campaign": "campaigns sent", "coupon": "coupons redeemed"}


@click.command("demo")
@at_option
@json_option
@with_settings()
@click.pass_context
def command(context: click.Context, at: int | None, as_json: bool, settings: Settings) -> None:
    """Load a retailer's real data, build the audiences in segments/, and show them.

    A year of 155,848 baskets of 2,469 households, moved by whole weeks so that it ends this week.
    In a clone it works where you are; anywhere else it makes the folder relo-demo. A second run
    uses what is loaded already. Only the consent records are made up.

    \b
    Example:
      relo demo
      relo demo --at 2026-06-15T12:00:00Z --json
    """
    from relo_dsl.cli.output import emit_json
    from relo_server.demo.run import run

    settings = _project(settings)
    now = int(time.time() * 1000) if at is None else at
    with _watching(quiet=as_json) as watch:
        demo = run(settings, now, watch)
    if as_json:
        emit_json(_json(settings, demo))
    else:
        _print(settings, demo)
    if demo.failed:
        context.exit(EXIT_DEFINITION)


def _project(settings: Settings) -> Settings:
    """The demo's project: the one we stand in, or one in a folder of its own below."""
    from relo_dsl.settings import Settings
    from relo_server.demo.project import find_project, make_project

    found = find_project(settings)
    if found is not None:
        return found
    root = make_project(Path.cwd())
    click.echo(f"The demo's project: {shown_path(root)}/", err=True)
    return Settings.load(root)


# ---- while it runs -----------------------------------------------------------------------------


@contextmanager
def _watching(*, quiet: bool) -> Iterator[Watch]:
    """Bars on a terminal; a line for each step where stderr is none; nothing where quiet."""
    from relo_server.demo.run import Watch

    if quiet:
        yield Watch()
    elif not sys.stderr.isatty():
        yield _lines()
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        from relo_dsl.cli.output import stderr

        columns = (
            TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), Elapsed(),
            TextColumn("[dim]{task.fields[now]}"),
        )  # fmt: skip
        with Progress(*columns, console=stderr(), transient=True) as bar:
            yield _bars(bar)


def _lines() -> Watch:
    from relo_server.demo.run import Watch

    def loading(count: int, total: int) -> None:
        if count == 500:
            click.echo(f"loading {total:,} records …", err=True)

    def building(_name: str, count: int, total: int) -> None:
        if count == 1:
            click.echo(f"building {total} audiences …", err=True)

    return Watch(loading, building)


def _bars(bar: object) -> Watch:
    from rich.progress import Progress

    from relo_server.demo.run import Watch

    assert isinstance(bar, Progress)
    tasks = {name: bar.add_task(name, total=None, now="") for name in ("loading", "building")}

    def loading(count: int, total: int) -> None:
        bar.update(
            tasks["loading"], completed=count, total=total,
            now="writing to the disk" if count == total else "",
        )  # fmt: skip

    def building(name: str, count: int, total: int) -> None:
        bar.update(tasks["loading"], now="")
        bar.update(tasks["building"], completed=count, total=total, now=name)

    return Watch(loading, building)


# ---- what it prints ----------------------------------------------------------------------------


def _print(settings: Settings, demo: Demo) -> None:
    from relo_dsl.cli.draw import in_seconds
    from relo_dsl.cli.tables import print_table
    from relo_server.cli.build import table

    click.echo("\n".join(_facts(demo.loaded, demo.aside)))
    click.echo()
    print_table(table(demo.results))
    for result in demo.results:
        if result.error is not None:
            click.echo(f"`{result.name}` was not built: {result.error}", err=True)
        elif result.too_small:
            click.echo(f"`{result.name}` is below its minimum: not published", err=True)
        elif result.held is not None:
            click.echo(f"`{result.name}` was held back: {result.held}", err=True)
    if demo.example is not None:
        click.echo()
        _print_example(demo.example)
        click.echo()
        _print_next(settings, demo.example)
    click.echo(click.style(f"\n{in_seconds(demo.seconds)} in all", dim=True))


def _facts(loaded: Loaded, aside: Path | None) -> Iterator[str]:
    from relo_dsl.cli.draw import in_seconds

    how = "there already" if loaded.reused else f"loaded in {in_seconds(loaded.seconds)}"
    counts = [f"{loaded.counts.get(kind, 0):,} {text}" for kind, text in _NAMES.items()]
    yield f"{loaded.households:,} households, {', '.join(counts)}: {how}."
    yield (
        f"Every date is moved by {loaded.shift.weeks} weeks: the data end on Sunday "
        f"{loaded.shift.last_day}. What lies after now is still to come."
    )
    yield "All of it is real but the consent: the data have none, so some records are made up."
    if aside is not None:
        yield f"Last time's week is over. Its store was set aside as {shown_path(aside)}."


def _print_example(example: Example) -> None:
    from relo_dsl.cli.compile import print_query

    _heading(f"One of them, {shown_path(Path(example.file))}:")
    click.echo(example.text)
    _heading("The SQL it becomes, which sees only what consent allows:")
    print_query(example.query.text, example.query.params)
    click.echo()
    _heading("Some of its members, of which the set holds only the key:")
    for household, key in example.members:
        click.echo(f"  household {household:>4}  {key}")


def _print_next(settings: Settings, example: Example) -> None:
    root = settings.root.resolve()
    elsewhere = not Path.cwd().resolve().is_relative_to(root)
    relo = _relo(absolute=elsewhere)
    devices = " ".join([*(h for h, _ in example.members[:2]), *filter(None, [example.other])])
    file = os.path.relpath(Path(example.file).resolve(), root)
    commands = [
        (f"{relo} preview {example.name}", "who survives which clause"),
        (f"{relo} has {example.name} {devices}", "is a household in the set?"),
        (f"{relo} members {example.name} --limit 5", "the keys in the set"),
        (f"{relo} compile {example.name} --emit plan", "what it means, canonically"),
        (f"{relo} check", "mistakes: write one into a file first"),
        (f"{relo} build {example.name}", f"publish again: change {file} first"),
    ]
    if elsewhere:
        commands.insert(0, (f"cd {shown_path(root)}", "the demo's project"))
    width = max(len(line) for line, _ in commands)
    _heading("What to try next:")
    for line, what in commands:
        click.echo(f"  {line:<{width}}  {click.style('# ' + what, dim=True)}")


def _relo(*, absolute: bool) -> str:
    """How the command is called from here: by its name, where that is on the PATH."""
    called = Path(sys.argv[0])
    if called.name != "relo" or not called.exists():
        return "relo"
    found = shutil.which("relo")
    if found and os.path.realpath(found) == os.path.realpath(called):
        return "relo"
    return str(called.absolute()) if absolute else shown_path(called.absolute())


def _heading(text: str) -> None:
    click.echo(click.style(text, bold=True) + "\n")


def _json(settings: Settings, demo: Demo) -> dict[str, object]:
    from relo_dsl.times import format_instant

    loaded = demo.loaded
    return {
        "project": str(settings.root),
        "at": format_instant(demo.at),
        "shift_weeks": loaded.shift.weeks,
        "last_day": loaded.shift.last_day.isoformat(),
        "reused": loaded.reused,
        "households": loaded.households,
        "events": loaded.counts,
        "load_seconds": round(loaded.seconds, 3),
        "set_aside": None if demo.aside is None else str(demo.aside),
        "audiences": [result.to_json() for result in demo.results],
        "seconds": round(demo.seconds, 3),
    }
