"""`relo dlq`: records that were refused for what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings

_ALL = 10_000


@click.group("dlq")
def command() -> None:
    """List, correct and replay dead letters: events that were refused for what they say.

    They are kept for 90 days, without raw identifiers: for `did` stands the key of the device.

    \b
    Example:
      relo dlq list
      relo dlq export refused.jsonl      # edit `record` of each line, then:
      relo dlq replay --from refused.jsonl
    """


@command.command("list")
@click.option("--reason", default="", metavar="TEXT", help="Only where field or reason has it.")
@click.option("--limit", type=click.IntRange(1, _ALL), default=50, show_default=True)
@json_option
@with_settings("client", "events", "data")
def show(reason: str, limit: int, as_json: bool, settings: Settings) -> None:
    """Show letters, the oldest first.

    \b
    Example:
      relo dlq list --client 3 --reason revenue
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.tables import plain_table, print_table
    from relo_dsl.times import format_instant
    from relo_server.cli.stores import configured_client, open_engine
    from relo_server.ingest.dead_letters import letters

    client = configured_client(settings)
    with open_engine(settings) as engine:
        found = letters(engine, client, reason=reason, limit=limit)
    if as_json:
        emit_json({"client": client, "letters": [one.to_json() for one in found]})
        return
    if not found:
        click.echo(f"client {client} has no dead letters" + (" like that" if reason else ""))
        return
    table = plain_table("received", "source", "field", "reason", "value", "id")
    for one in found:
        received = format_instant(one.received)
        table.add_row(received, one.source, one.field, one.reason, one.value, one.id)
    print_table(table)


@command.command("export", no_args_is_help=True)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--reason", default="", metavar="TEXT", help="Only where field or reason has it.")
@json_option
@with_settings("client", "events", "data")
def export(file: Path, reason: str, as_json: bool, settings: Settings) -> None:
    """Write letters into FILE, a JSON line each, to be corrected there.

    \b
    Example:
      relo dlq export refused.jsonl --reason revenue
    """
    from relo_dsl.cli.output import emit_json
    from relo_server.cli.stores import configured_client, open_engine
    from relo_server.ingest.dead_letters import letters
    from relo_server.ingest.payloads import encode

    client, count, after = configured_client(settings), 0, ""
    with open_engine(settings) as engine, file.open("wb") as output:
        while found := letters(engine, client, reason=reason, after=after, limit=_ALL):
            output.writelines(encode(one.to_json()) + b"\n" for one in found)
            count, after = count + len(found), found[-1].id
    if as_json:
        emit_json({"client": client, "letters": count, "file": str(file)})
    else:
        click.echo(f"{count:,} letters in {file}; correct `record`, then "
                   f"`relo dlq replay --from {file}`")  # fmt: skip


@command.command("replay")
@click.argument("ids", nargs=-1, metavar="[ID]…")
@click.option("--all", "all_", is_flag=True, help="Every letter of the client, as it is.")
@click.option(
    "--from", "corrected", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE", help="Lines of `relo dlq export`, their records corrected.",
)  # fmt: skip
@json_option
@with_settings("client", "catalog", "events", "sets", "data")
@click.pass_context
def replay(
    context: click.Context, ids: tuple[str, ...], all_: bool, corrected: Path | None,
    as_json: bool, settings: Settings,
) -> None:  # fmt: skip
    """Send letters again: as they are, after the catalog was put right, or corrected.

    Those whose records are stored go; the others stay, and the exit status is 1.

    \b
    Example:
      relo dlq replay --all
      relo dlq replay --from refused.jsonl
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.project import EXIT_DEFINITION, project_catalog
    from relo_dsl.engine.key import installation_key
    from relo_server.cli.stores import configured_client, open_engine, whoami
    from relo_server.ingest.amounts import Amounts
    from relo_server.ingest.dead_letters import letters
    from relo_server.ingest.replay import Again, Replayed, answer_of
    from relo_server.loading import withdraw_everywhere
    from relo_server.versions.publisher import wall_clock

    if [bool(ids), all_, corrected is not None].count(True) != 1:
        raise click.UsageError("give the ids of letters, --all or --from FILE")
    client, catalog = configured_client(settings), project_catalog(settings)
    records = _corrected(corrected) if corrected else {}
    done: list[Replayed] = []
    ingest = settings.ingest
    with open_engine(settings) as engine:
        again = Again(
            engine, catalog, installation_key(settings),
            lambda client: withdraw_everywhere(settings, engine, catalog, {client}, whoami()),
            wall_clock, calling_code=ingest.calling_code,
            amounts=Amounts(ingest.currencies, ingest.rates),
        )  # fmt: skip
        wanted, after = [*ids, *records], ""
        while found := letters(
            engine, client, ids=None if all_ else wanted, after=after, limit=_ALL
        ):
            after = found[-1].id
            done.append(again.replay(found, records))
    refused = {id_: error for one in done for id_, error in one.refused.items()}
    answer = answer_of(done)
    if as_json:
        emit_json(answer)
    else:
        click.echo(
            f"{answer['accepted']:,} stored, {answer['duplicate']:,} there already, "
            f"{len(refused):,} refused"
        )
        for id_, error in list(refused.items())[:10]:
            click.echo(f"  {id_}  {error}", err=True)
    if refused:
        context.exit(EXIT_DEFINITION)


def _corrected(file: Path) -> dict[str, dict[str, Any]]:
    """The records of a file by their letters. Raises UserError for a line that is none."""
    import msgspec

    from relo_dsl.cli.output import fail
    from relo_server.ingest.payloads import decode

    found = {}
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            letter = decode(line)
            found[str(letter["id"])] = dict(letter["record"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            fail(f"{file}:{number} is no letter of `relo dlq export`", "each has `id` and `record`")
    return found
