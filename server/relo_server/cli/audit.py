"""`relo audit`: who did what, and the proof that nobody changed it afterwards."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_server.platform.audit_proof import Proof

EXIT_BROKEN = 1
_NOTED = re.compile(r"(\d{1,18}):([0-9a-f]{64})", re.ASCII)


@click.group("audit")
def command() -> None:
    """Read the audit, and prove that it is whole: who did what to what, when, and how it ended.

    \b
    Example:
      relo audit list
      relo audit verify
    """


@command.command("list")
@click.option("--all", "everyone", is_flag=True, help="Lines of all clients.")
@click.option(
    "--action", metavar="ACTION", help="Only this action, or a group of them, `tokens.*`."
)
@click.option("--who", metavar="WHO", help="Only what they did, such as `token:ID`.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N",
    help="So many lines, the latest ones.",
)  # fmt: skip
@json_option
@with_settings("client", "data")
def show(
    everyone: bool,
    action: str | None,
    who: str | None,
    limit: int,
    as_json: bool,
    settings: Settings,
) -> None:
    """Show the latest lines of the client, the latest last.

    \b
    Example:
      relo audit list --action 'tokens.*' --limit 10
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.tables import plain_table, print_table
    from relo_dsl.times import format_instant
    from relo_server.cli.people import office
    from relo_server.platform.audit_lines import Wanted, latest

    wanted = Wanted(action=action, who=who, limit=limit)
    with office(settings) as at, at.platform.reading(None if everyone else at.client) as session:
        lines = latest(session, wanted)
    if as_json:
        emit_json({"lines": [{**line, "at": format_instant(line["at"])} for line in lines]})
        return
    if not lines:
        click.echo("the audit has no such lines")
        return
    table = plain_table(">line", "at", "who", "action", "object", "outcome", "client", "address")
    for line in lines:
        number = str(line["line"])
        client = "–" if line["client"] is None else str(line["client"])
        when = format_instant(line["at"])
        texts = [line[name] for name in ("who", "action", "object", "outcome")]
        table.add_row(number, when, *texts, client, line["address"])
    print_table(table)


@command.command("verify")
@click.option(
    "--client", type=click.IntRange(0, 2**32 - 1), metavar="N",
    help="Only this client's chain, by its own numbers.  [default: the whole one]",
)  # fmt: skip
@click.option(
    "--expect",
    metavar="LINE:HASH",
    help="A last line that was noted earlier: it must still be there.",
)
@json_option
@click.pass_context
@with_settings("data")
def verify(
    context: click.Context,
    client: int | None,
    expect: str | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Prove that no line was altered, removed or moved; otherwise name those that were.

    Each line is bound to the one before it by a keyed hash. Status 0 where all is whole, 1 where
    it is not. The last line is printed with its hash: note it elsewhere, and `--expect` shows that
    nothing was cut off since.

    \b
    Example:
      relo audit verify
      relo audit verify --client 3 --json
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.engine.key import installation_key
    from relo_server.platform import Platform
    from relo_server.platform.audit_proof import prove
    from relo_server.security.keys import Purpose, derive

    noted = None if expect is None else _noted(expect)
    key = derive(installation_key(settings), Purpose.AUDIT)
    with Platform.open(settings) as platform, platform.reading(client) as session:
        proof = prove(session, key, client, noted)
    last = f"{proof.last[0]}:{proof.last[1]}"
    if as_json:
        findings = [
            {"line": found.seq, "what": found.what, "message": found.message}
            for found in proof.findings
        ]
        emit_json({"client": client, "lines": proof.lines, "last": last, "findings": findings})
    else:
        _tell(proof, last)
    if proof.findings:
        context.exit(EXIT_BROKEN)


def _tell(proof: Proof, last: str) -> None:
    for found in proof.findings:
        click.echo(found.message)
    lines = f"{proof.lines:,} line{'' if proof.lines == 1 else 's'}"
    if proof.findings:
        click.echo(f"{lines}: the audit is not as it was written")
    else:
        click.echo(f"{lines}, all as they were written")
        if proof.lines:
            click.echo(f"the last one: {last}")


def _noted(text: str) -> tuple[int, str]:
    from relo_dsl.cli.output import fail

    found = _NOTED.fullmatch(text)
    if found is None:
        fail(
            f"`{text}` is not the end of an audit", "give LINE:HASH, as `relo audit verify` prints"
        )
    return int(found[1]), found[2]
