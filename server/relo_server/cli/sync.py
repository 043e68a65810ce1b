"""`relo sync`: the project's folder brought to a service, as one change."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from relo_dsl.cli.options import json_option, with_settings
from relo_dsl.cli.project import EXIT_DEFINITION

if TYPE_CHECKING:
    import httpx

    from relo_dsl.settings import Settings

TOKEN = "RELO_TOKEN"  # noqa: S105 - the name of a variable
_TIMEOUT = 600
_COLOURS = {"new": "green", "changed": "yellow", "removed": "red"}


@click.command("sync")
@click.option("--server", metavar="URL", required=True, help="The service, https://relo.example.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
@with_settings("segments")
@click.pass_context
def command(
    context: click.Context, server: str, dry_run: bool, yes: bool, as_json: bool,
    settings: Settings,
) -> None:  # fmt: skip
    """Bring the definitions of the project's folder to a service: all of them, or nothing.

    Shows what is new, changed and removed, with sizes before and after, and asks first. What a
    sync once brought and is not in the folder any more is removed; what was made through the API
    stays. The token is read from RELO_TOKEN.

    \b
    Example:
      relo sync --server https://relo.example --dry-run
      relo sync --server https://relo.example --yes --json
    """
    from relo_dsl.cli.output import emit_json

    files = _files(settings.segments)
    with _client(server) as http:
        plan = _ask(context, http, "/sync/plan", {"files": files}, as_json=as_json)
        if not as_json:
            _print(plan)
        nothing = not plan["changes"]
        if dry_run or nothing:
            if as_json:
                emit_json({**plan, "done": False})
            return
        if not yes and not _agreed(as_json=as_json):
            click.echo("nothing was changed", err=True)
            context.exit(EXIT_DEFINITION)
        body = {"files": files, "state": plan["state"]}
        _ask(context, http, "/sync/apply", body, as_json=as_json)
    if as_json:
        emit_json({**plan, "done": True})
    else:
        click.echo("done; what is new or changed is published when it is next refreshed")


def _files(folder: Path) -> dict[str, str]:
    from relo_dsl.cli.output import fail
    from relo_dsl.cli.project import shown_path
    from relo_dsl.syntax import read_source

    found = {
        file.relative_to(folder).as_posix(): read_source(file).text
        for file in sorted(folder.rglob("*.seg"))
    }
    if not found:
        fail(
            f"there is no definition in {shown_path(folder)}",
            "an empty folder would remove everything: give the right one with --segments",
        )
    return found


def _client(server: str) -> httpx.Client:
    import os

    import httpx

    from relo_dsl.cli.output import fail

    token = os.environ.get(TOKEN, "")
    if not token:
        fail(f"{TOKEN} is not set", "`relo token create --role client_manager` makes a token")
    if not server.startswith(("http://", "https://")):
        fail(f"`{server}` is no address of a service", "it begins with https://")
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=server.rstrip("/"), headers=headers, timeout=_TIMEOUT)


def _ask(
    context: click.Context, http: httpx.Client, path: str, body: dict[str, Any], *, as_json: bool
) -> dict[str, Any]:
    import httpx

    from relo_dsl.cli.output import fail
    from relo_dsl.errors import UserError

    try:
        answer = http.post(path, json=body)
    except httpx.HTTPError as error:
        fail(f"the service {http.base_url} does not answer: {error}", "see whether it runs")
    if answer.status_code < 300:
        found: dict[str, Any] = answer.json()
        return found
    try:
        problem = answer.json()
    except ValueError:
        problem = {"detail": f"it answered {answer.status_code}, and is no relo service"}
    if problem.get("diagnostics"):
        _mistakes(context, problem, as_json=as_json)
    raise UserError(f"the service refused: {problem.get('detail', '')}", problem.get("hint"))


def _mistakes(context: click.Context, problem: dict[str, Any], *, as_json: bool) -> NoReturn:
    from relo_dsl.cli.output import emit_json

    if as_json:
        emit_json({"diagnostics": problem["diagnostics"], "done": False})
    else:
        for one in problem["diagnostics"]:
            place = f"{one['file']}:{one['line']}:{one['column']}"
            click.echo(f"{place}: {one['severity']}: {one['message']}", err=True)
            if one["help"]:
                click.echo(f"  help: {one['help']}", err=True)
        click.echo(f"{problem['detail']}; nothing was changed", err=True)
    context.exit(EXIT_DEFINITION)
    raise AssertionError("click has left")


def _print(plan: dict[str, Any]) -> None:
    from rich.text import Text

    from relo_dsl.cli.tables import plain_table, print_table

    if not plan["changes"]:
        click.echo(f"nothing to do: {plan['unchanged']:,} definitions are there as they are here")
        return
    table = plain_table("", "definition", "file", ">size before", ">size after")
    for one in plan["changes"]:
        sizes = [
            "" if one[side] is None else f"{one[side]:,}" for side in ("size_before", "size_after")
        ]
        what = Text(one["change"], style=_COLOURS[one["change"]])
        table.add_row(what, one["name"], one["file"], *sizes)
    print_table(table)
    click.echo(f"and {plan['unchanged']:,} unchanged", err=True)


def _agreed(*, as_json: bool) -> bool:
    from relo_dsl.cli.output import fail

    if as_json or not sys.stdin.isatty():
        fail("nobody can be asked whether to do this", "`--yes` does it, `--dry-run` only shows it")
    return click.confirm("Do it?", default=False)
