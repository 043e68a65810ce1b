"""`relo token`: the tokens by which programs speak to the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_server.platform.models import Token

_ROLES = ["admin", "client_manager", "partner", "viewer"]


@click.group("token")
def command() -> None:
    """Make, list and end API tokens. A token acts for one client, in one role.

    The secret is shown once, when the token is made, and stored nowhere: what is kept of it only
    recognises it.

    \b
    Example:
      relo token create --role viewer --expires 90d --name dashboard
      relo token list
      relo token revoke dashboard
    """


@command.command("create")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What its holder may do.")
@click.option("--name", metavar="NAME", help="What you know it by.  [default: the role]")
@click.option(
    "--expires",
    metavar="WHEN",
    help="When it ends: `90d`, or a date.  [default: it is revoked]",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="OPERATION",
    help="Only this operation of its role, or a group of them, `segments.*`; repeatable.",
)
@json_option
@with_settings("client", "data")
def create(
    role: str,
    name: str | None,
    expires: str | None,
    scopes: tuple[str, ...],
    as_json: bool,
    settings: Settings,
) -> None:
    """Make a token and show its secret, this once.

    The secret alone is printed on the standard output, so that it can be piped into a vault.

    \b
    Example:
      relo token create --client 3 --role admin
      relo token create --role partner --expires 90d --name agency --scope 'segments.*'
    """
    from relo_dsl.cli.output import emit_json
    from relo_server.cli.people import office, operator
    from relo_server.security.roles import Role
    from relo_server.security.tokens import NewToken, Tokens, read_end, token_json

    with office(settings) as at:
        new = NewToken(
            name=name or role,
            role=Role(role),
            created_by=operator(),
            expires_at=read_end(expires, at.now),
            scopes=frozenset(scopes) or None,
        )
        with at.acting("tokens.create", f"{new.name} ({role})") as (session, objects):
            token, secret = Tokens(at.key).create(session, new, at.now)
            objects.append(token.id)
        if as_json:
            emit_json({"token": secret.text, **token_json(token, at.now)})
            return
    click.echo(secret.text)
    click.echo(
        f"token `{token.name}` of client {token.client_id}: {_life(token, at.now)}", err=True
    )
    click.echo("It is shown this once; keep it where secrets are kept.", err=True)


@command.command("list")
@json_option
@with_settings("client", "data")
def show(as_json: bool, settings: Settings) -> None:
    """Show the client's tokens, those that have ended too. Secrets are not among it.

    \b
    Example:
      relo token list --client 3
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.tables import plain_table, print_table
    from relo_server.cli.people import day, office
    from relo_server.security.tokens import list_tokens, token_json

    with office(settings) as at, at.platform.tenant(at.client, reading=True) as session:
        tokens = list_tokens(session)
        if as_json:
            emit_json({"client": at.client, "tokens": [token_json(one, at.now) for one in tokens]})
            return
        if not tokens:
            click.echo(f"client {at.client} has no tokens; `relo token create` makes one")
            return
        table = plain_table("name", "role", "token", "state", "last used", "id")
        for one in tokens:
            state = _life(one, at.now)
            used = day(one.last_used_at, "never")
            table.add_row(one.name, one.role, one.hint, state, used, one.id)
        print_table(table)


@command.command("revoke", no_args_is_help=True)
@click.argument("which", metavar="NAME|ID")
@json_option
@with_settings("client", "data")
def revoke(which: str, as_json: bool, settings: Settings) -> None:
    """End a token now. Whoever holds it is refused from the next request on.

    \b
    Example:
      relo token revoke dashboard
    """
    from relo_dsl.cli.output import emit_json
    from relo_server.cli.people import office
    from relo_server.security.tokens import revoke_token, token_json

    with office(settings) as at:
        with at.acting("tokens.revoke", which) as (session, objects):
            token = revoke_token(session, which, at.now)
            objects[:] = [f"{token.name} ({token.role})", token.id]
        if as_json:
            emit_json(token_json(token, at.now))
        else:
            click.echo(f"token `{token.name}` ({token.hint}) is revoked")


def _life(token: Token, now: int) -> str:
    from relo_server.cli.people import day

    if token.revoked_at is not None:
        return f"revoked {day(token.revoked_at, '')}"
    if token.expires_at is None:
        return "until revoked"
    ended = token.expires_at <= now
    return f"{'expired' if ended else 'until'} {day(token.expires_at, '')}"
