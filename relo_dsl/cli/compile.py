"""`relo compile`: each stage between a definition's text and its published set."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import at_option

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_dsl.workspace import Workspace

STAGES = ("ast", "bound", "plan", "sql", "sets")


@click.command("compile", no_args_is_help=True)
@click.argument("what", metavar="NAME|FILE")
@click.option(
    "--emit", type=click.Choice(STAGES), default="sql", show_default=True,
    help="ast: the syntax tree; bound: names and types resolved; plan: its canonical form and "
    "fingerprint; sql: the query and its parameters; sets: the commands that would publish it.",
)  # fmt: skip
@at_option
@json_option
@with_settings("client", "timezone", "catalog", "segments")
@click.pass_context
def command(
    context: click.Context, what: str, emit: str, at: int | None, as_json: bool, settings: Settings
) -> None:
    """Show what a definition, or every one of a file, turns into. Runs nothing.

    \b
    Example:
      relo compile winback_mx_highvalue
      relo compile segments/winback.seg --emit plan --json
    """
    from relo_dsl.cli.project import find, stop_on_errors, uploaded_lists

    workspace, names = find(settings, what, uploaded_lists(settings))
    found = workspace.errors_of(names)
    if emit == "ast":  # what was written is all there, whatever its names mean
        found = [item for item in found if item.code in _syntax_codes(workspace, names)]
    stop_on_errors(context, found, as_json=as_json, remarks=False)
    now = int(time.time() * 1000) if at is None else at
    for number, name in enumerate(names):
        stage = _EMITTERS[emit](workspace, name, now)
        if as_json:
            from relo_dsl.cli.output import emit_json

            emit_json({"name": name, "emit": emit, **stage})
            continue
        if number:
            click.echo()
        _print(stage)


def _syntax_codes(workspace: Workspace, names: list[str]) -> set[str]:
    """The codes of the mistakes that keep these files from being read as a tree."""
    from relo_dsl.syntax import parse

    sources = dict.fromkeys(workspace.source(name) for name in names)
    return {item.code for source in sources for item in parse(source).diagnostics}


def _ast(workspace: Workspace, name: str, _now: int) -> dict[str, Any]:
    from relo_dsl.plan import to_json

    return {"ast": to_json(workspace.syntax(name))}


def _bound(workspace: Workspace, name: str, _now: int) -> dict[str, Any]:
    return {"bound": workspace.bound(name).to_json()}


def _plan(workspace: Workspace, name: str, _now: int) -> dict[str, Any]:
    plan = workspace.plan(name)
    return {"fingerprint": plan.fingerprint, "plan": json.loads(plan.canonical)}


def _sql(workspace: Workspace, name: str, now: int) -> dict[str, Any]:
    from relo_dsl.consent import scope
    from relo_dsl.sql.lower import members_query
    from relo_dsl.times import format_instant

    query = members_query(scope(workspace.plan(name)), now)
    return {"at": format_instant(now), "sql": query.text, "params": dict(query.params)}


def _sets(workspace: Workspace, name: str, _now: int) -> dict[str, Any]:
    from relo_dsl.cli.output import fail
    from relo_dsl.setkeys import edit_commands, publish_commands

    bound = workspace.bound(name)
    if bound.kind != "audience":
        fail(
            f"`{name}` is a segment, and only audiences are published",
            f"write `audience {name}` to publish it",
        )
    return {
        "commands": publish_commands(bound.client, name),
        "changes": edit_commands(bound.client, name),
    }


_EMITTERS: dict[str, Callable[[Workspace, str, int], dict[str, Any]]] = {
    "ast": _ast,
    "bound": _bound,
    "plan": _plan,
    "sql": _sql,
    "sets": _sets,
}


def _print(stage: dict[str, Any]) -> None:
    """A stage as a person reads it."""
    if "commands" in stage:
        from relo_dsl.setkeys import MOST_CHANGES

        click.echo("\n".join(stage["commands"]))
        click.echo(f"\n# or, where at most {MOST_CHANGES:,} enter and leave:")
        click.echo("\n".join(stage["changes"]))
    elif "sql" in stage:
        print_query(stage["sql"], stage["params"])
    elif "fingerprint" in stage:
        _print_code(json.dumps(stage["plan"], ensure_ascii=False, indent=2), "json")
        click.echo(f"fingerprint: {stage['fingerprint']}")
    else:
        (tree,) = stage.values()
        _print_code(json.dumps(tree, ensure_ascii=False, indent=2), "json")


def print_query(sql: str, params: Mapping[str, object]) -> None:
    """A query laid out for people, and its parameters below it."""
    _print_code(pretty(sql), "sql")
    for name, value in params.items():
        click.echo(f"-- {name} = {_shown(value)}")


def pretty(sql: str) -> str:
    """The same query, laid out for people."""
    import sqlglot

    from relo_dsl.sql.build import Written

    return sqlglot.parse_one(sql, read="clickhouse").sql(dialect=Written, pretty=True)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:199]}… ({len(text):,} characters)"


def _print_code(text: str, language: str) -> None:
    """Coloured on a terminal, plain anywhere else."""
    if not sys.stdout.isatty():
        click.echo(text)
        return
    from rich.syntax import Syntax

    from relo_dsl.cli.output import stdout

    stdout().print(Syntax(text, language, background_color="default", word_wrap=True))
