"""`relo load`: files of events into the engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.inputs import Progress
    from relo_dsl.settings import Settings
    from relo_server.loading import Loaded, Refusal

EXIT_NOTHING = 2


@click.command("load", no_args_is_help=True)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "--mapping", "mapping_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE", help="How foreign columns become records, in YAML.",
)  # fmt: skip
@click.option(
    "--refused", "refused_path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write every refused record to FILE as JSON lines, with its reason.",
)  # fmt: skip
@json_option
@with_settings("client", "catalog", "events", "sets", "data")
@click.pass_context
def command(
    context: click.Context, files: tuple[str, ...], mapping_path: Path | None,
    refused_path: Path | None, as_json: bool, settings: Settings,
) -> None:  # fmt: skip
    """Load events, traits, consent and scores from FILES: JSON lines, CSV or Parquet.

    Records that are there already count as duplicates, so a load can be repeated. A record that
    cannot be used is refused, with its reason and line, and does not stop the others. Whoever
    withdraws consent leaves every published set at once. Exits with 2 where nothing could be used.

    \b
    Example:
      relo load events.jsonl more.csv
      relo load orders.parquet --mapping orders.yaml --refused refused.jsonl
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.project import project_catalog
    from relo_dsl.engine.key import installation_key
    from relo_dsl.mapping import load_mapping
    from relo_server.cli.stores import open_engine, whoami
    from relo_server.loading import load_files, withdraw_everywhere

    catalog = project_catalog(settings)
    mapping = load_mapping(mapping_path) if mapping_path else None
    key = installation_key(settings)
    withdrawing: set[int] = set()
    withdrawn = 0
    with open_engine(settings) as engine:
        try:
            with _bar(files, quiet=as_json) as progress:
                done = load_files(
                    engine, files, catalog=catalog, key=key, client=settings.client,
                    mapping=mapping, refused_file=refused_path, progress=progress,
                    now=int(time.time() * 1000), consent_of=withdrawing.add,
                )  # fmt: skip
        finally:
            # Also where a file could not be read: those before it are stored.
            if withdrawing:
                withdrawn = withdraw_everywhere(settings, engine, catalog, withdrawing, whoami())
    done.withdrawn = withdrawn
    if as_json:
        emit_json(done.to_json())
    else:
        _print(done, refused_path)
    if done.refused and not done.accepted and not done.duplicate:
        context.exit(EXIT_NOTHING)


@contextmanager
def _bar(files: tuple[str, ...], *, quiet: bool) -> Iterator[Progress | None]:
    """A bar of the bytes read, on a terminal only; None where there is nobody to look at it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from relo_dsl.cli.output import stderr

    total = None if "-" in files else sum(Path(file).stat().st_size for file in files)
    columns = (
        TextColumn("loading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=stderr(), transient=True) as bar:
        task = bar.add_task("load", total=total)
        yield lambda count: bar.advance(task, count)


def _print(done: Loaded, refused_path: Path | None) -> None:
    from relo_dsl.cli.draw import in_seconds

    kinds = ", ".join(f"{name} {count:,}" for name, count in done.kinds.items() if count)
    click.echo(f"accepted   {done.accepted:>12,}" + (f"   {kinds}" if kinds else ""))
    click.echo(f"duplicate  {done.duplicate:>12,}")
    refused = click.style(f"{done.refused:>12,}", fg="red" if done.refused else None)
    click.echo(f"refused    {refused}")
    if done.expired:
        what = "   older than the retention: the store drops them (`retention` in the catalog)"
        click.echo(f"expired    {done.expired:>12,}{click.style(what, fg='yellow')}")
    if done.repeated_rows:
        click.echo(f"repeated   {done.repeated_rows:>12,}   rows that stand twice in their group")
    if done.withdrawn:
        click.echo(f"withdrawn  {done.withdrawn:>12,}   times a device left a published set")
    click.echo(f"time       {in_seconds(done.seconds):>12}")
    if not done.refused:
        return
    click.echo("\nwhy records were refused:", err=True)
    for reason, count in done.reasons.most_common(10):
        rows = done.reason_rows[reason]
        more = f" ({rows:,} rows)" if rows != count else ""
        click.echo(f"  {count:>10,}  {reason}{more}", err=True)
    if len(done.reasons) > 10:
        click.echo(f"  and {len(done.reasons) - 10:,} other reasons", err=True)
    click.echo("the first of them:", err=True)
    for refusal in done.first:
        click.echo(f"  {_shown(refusal)}", err=True)
    if refused_path:
        click.echo(f"all of them, with their reasons: {refused_path}", err=True)
    elif done.refused > len(done.first):
        click.echo("`--refused FILE` keeps all of them, with their reasons", err=True)


def _shown(refusal: Refusal) -> str:
    where = f"{refusal.file}:{refusal.line}"
    what = f"{refusal.field}: {refusal.reason}" if refusal.field else refusal.reason
    found = f", found `{refusal.value}`" if refusal.value not in ("", "None") else ""
    return f"{where}: {what}{found}"
