"""`relo user`: the people who may log in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from relo_dsl.cli.options import json_option, with_settings

if TYPE_CHECKING:
    from relo_dsl.settings import Settings
    from relo_server.platform.models import User

_ROLES = ["admin", "client_manager", "partner", "viewer"]


@click.group("user")
def command() -> None:
    """Add, list and disable the people of a client, and set their passwords.

    A password is asked for on a terminal, or read from the standard input, one line; it is never
    an argument, where other processes and the shell's history could see it.

    \b
    Example:
      relo user add ana --role client_manager
      relo user add bot --role viewer < password.txt
      relo user list
    """


@command.command("add", no_args_is_help=True)
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What they may do.")
@json_option
@with_settings("client", "data")
def add(name: str, role: str, as_json: bool, settings: Settings) -> None:
    """Add somebody; their password is asked for, or read from the standard input.

    \b
    Example:
      relo user add ana --role client_manager --client 3
    """
    from relo_server.cli.people import office
    from relo_server.security.roles import Role
    from relo_server.security.users import Users

    password = _password()
    with office(settings) as at, at.acting("users.create", f"{name} ({role})") as (session, _):
        user = Users().add(session, name, Role(role), password, at.now)
    _tell(user, f"user `{user.name}` may log in as {user.role}", as_json)


@command.command("list")
@json_option
@with_settings("client", "data")
def show(as_json: bool, settings: Settings) -> None:
    """Show the people of the client, disabled ones too.

    \b
    Example:
      relo user list
    """
    from relo_dsl.cli.output import emit_json
    from relo_dsl.cli.tables import plain_table, print_table
    from relo_server.cli.people import day, office
    from relo_server.security.users import list_users, user_json

    with office(settings) as at, at.platform.tenant(at.client, reading=True) as session:
        users = list_users(session)
    if as_json:
        emit_json({"client": at.client, "users": [user_json(user) for user in users]})
        return
    if not users:
        click.echo(f"client {at.client} has no users; `relo user add NAME --role ROLE` adds one")
        return
    table = plain_table("name", "role", "state", "password set")
    for user in users:
        state = "active" if user.disabled_at is None else f"disabled {day(user.disabled_at, '')}"
        table.add_row(user.name, user.role, state, day(user.password_at, ""))
    print_table(table)


@command.command("password", no_args_is_help=True)
@click.argument("name")
@json_option
@with_settings("client", "data")
def password(name: str, as_json: bool, settings: Settings) -> None:
    """Set somebody's password, which ends the sessions that they have open.

    \b
    Example:
      relo user password ana
    """
    from relo_server.cli.people import office
    from relo_server.security.users import Users

    fresh = _password()
    with office(settings) as at, at.acting("users.password", name) as (session, _):
        user = Users().set_password(session, name, fresh, at.now)
    _tell(user, f"user `{user.name}` has a new password", as_json)


@command.command("disable", no_args_is_help=True)
@click.argument("name")
@json_option
@with_settings("client", "data")
def disable(name: str, as_json: bool, settings: Settings) -> None:
    """Let somebody in no longer, and end the sessions that they have open.

    \b
    Example:
      relo user disable ana
    """
    from relo_server.cli.people import office
    from relo_server.security.users import disable_user

    with office(settings) as at, at.acting("users.disable", name) as (session, _):
        user = disable_user(session, name, at.now)
    _tell(user, f"user `{user.name}` may not log in any more", as_json)


def _password() -> str:
    """Twice from a terminal, or the first line of the standard input."""
    from relo_dsl.cli.output import fail

    if _on_terminal():
        text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return text
    text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        fail("no password is given", "type it on a terminal, or give a line on the standard input")
    return text


def _on_terminal() -> bool:
    return sys.stdin.isatty()


def _tell(user: User, text: str, as_json: bool) -> None:
    from relo_dsl.cli.output import emit_json
    from relo_server.security.users import user_json

    if as_json:
        emit_json(user_json(user))
    else:
        click.echo(text)
