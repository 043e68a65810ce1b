"""Brings the platform store's tables up to date."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import ProgrammingError

from relo_dsl.errors import UserError

#: The newest revision in migrations/versions.
HEAD = "0004"
#: Any number, the same in all processes: only one of them migrates.
_LOCK = 0x72656C6F
#: The role that the application takes: it owns nothing and sees the rows of one client at a time.
APP_ROLE = "relo_app"


def migrate(engine: Engine) -> None:
    """Makes or alters tables, in one transaction; nothing where they are up to date.

    Raises UserError where a newer relo has made them, or the database does not allow it.
    """
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with engine.begin() as connection:
        postgres = connection.dialect.name == "postgresql"
        if postgres:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        found = _revision(connection)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise UserError(
                f"the platform store has revision {found}, and this relo knows {HEAD} at most",
                "install the relo that made it, or a newer one",
            )
        if postgres:
            _make_role(connection)
        try:
            _upgrade(connection)
        except ProgrammingError as error:
            raise UserError(
                f"the platform store cannot be brought up to date: {_first_line(error)}",
                "name the owner of the database in `platform` once; afterwards another may do",
            ) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _upgrade(connection: Connection) -> None:
    # Imported where there is something to do: it takes as long as all else.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _make_role(connection: Connection) -> None:
    """The application's role, which all databases of the server share, and the right to take it."""
    try:
        known = "SELECT 1 FROM pg_roles WHERE rolname = :role"
        if not connection.scalar(text(known), {"role": APP_ROLE}):
            # Another database of the same server may be made in this moment.
            make = f"CREATE ROLE {APP_ROLE} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL;"
            connection.execute(text(f"DO $$ BEGIN {make} END $$"))
        member = "SELECT pg_has_role(current_user, :role, 'MEMBER')"
        if not connection.scalar(text(member), {"role": APP_ROLE}):
            connection.execute(text(f"GRANT {APP_ROLE} TO CURRENT_USER"))
    except ProgrammingError as error:
        user = connection.engine.url.username or "relo"
        raise UserError(
            f"the platform store needs the role `{APP_ROLE}`: {_first_line(error)}",
            f"let an administrator run `CREATE ROLE {APP_ROLE}; GRANT {APP_ROLE} TO {user};`",
        ) from error


def _first_line(error: ProgrammingError) -> str:
    return str(error.orig).partition("\n")[0]
