"""The platform store, opened: sessions that see one client, and those of whoever runs relo."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, with_loader_criteria

from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_server.platform.migrate import APP_ROLE, migrate
from relo_server.platform.models import AuditLine, Client, Tenant, tenant_criteria

FILE_NAME = "platform.db"
_BUSY_SECONDS = 30


class TenantSession(Session):
    """A session that sees and writes the rows of `client` alone, on both databases."""

    client: int


class Platform:
    """The platform store. `Platform.open(settings)` makes and migrates it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._postgres = engine.dialect.name == "postgresql"

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The store of the settings, its tables up to date.

        Raises UserError where it cannot be reached or made.
        """
        if settings.platform == "embedded":
            return cls.at(URL.create("sqlite", database=str(settings.data / FILE_NAME)))
        return cls.at(make_url(settings.platform))

    @classmethod
    def at(cls, url: URL) -> Self:
        """The store at a `sqlite:` or `postgresql:` URL."""
        if url.drivername.partition("+")[0] == "sqlite":
            engine = _sqlite(Path(url.database or FILE_NAME))
        else:
            engine = create_engine(
                url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True
            )
        try:
            migrate(engine)
        except DBAPIError as error:
            engine.dispose()
            where = url.render_as_string(hide_password=True)
            reason = str(error.orig).strip().partition("\n")[0]
            raise UserError(
                f"the platform store `{where}` cannot be used: {reason}",
                "`platform` in relo.toml names it; `embedded` keeps it in the data folder",
            ) from error
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def tenant(self, client: int, *, reading: bool = False) -> Iterator[TenantSession]:
        """One transaction over the rows of `client`; it is committed where nothing was raised.

        Those that write come one after the other; with `reading`, others write meanwhile.
        """
        session = TenantSession(self._bind(reading), expire_on_commit=False)
        session.client = client
        with session, session.begin():
            yield session

    @contextlib.contextmanager
    def operator(self, *, reading: bool = False) -> Iterator[Session]:
        """One transaction over the rows of all clients, for whoever runs the installation.

        Raises UserError where PostgreSQL knows the settings' user as the application only.
        """
        with Session(self._bind(reading), expire_on_commit=False) as session, session.begin():
            if self._postgres:
                self._as_operator(session)
            yield session

    @contextlib.contextmanager
    def shared(self, *, reading: bool = False) -> Iterator[Session]:
        """One transaction over what belongs to no client, such as the names of signing keys."""
        with Session(self._bind(reading), expire_on_commit=False) as session, session.begin():
            if self._postgres:
                session.execute(text(f"SET LOCAL ROLE {APP_ROLE}"))
            yield session

    def reading(self, client: int | None) -> contextlib.AbstractContextManager[Session]:
        """One transaction that only reads: a client's rows, or, for None, those of all clients."""
        if client is None:
            return self.operator(reading=True)
        return self.tenant(client, reading=True)

    def _bind(self, reading: bool) -> Engine:
        return self._engine.execution_options(relo_reading=True) if reading else self._engine

    @staticmethod
    def _as_operator(session: Session) -> None:
        owner = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'audit'::regclass"
        if not session.scalar(text(owner)):
            raise UserError(
                "this looks at all clients, which the application's user must not",
                "name the owner of the tables in `platform`, or RELO_PLATFORM, for this command",
            )
        session.execute(text("SELECT set_config('app.operator', 'on', true)"))


#: What tells our advisory locks in a PostgreSQL from others': "RELO".
_WRITING = 0x52454C4F


@event.listens_for(TenantSession, "after_begin")
def _become_application(
    session: TenantSession, _transaction: SessionTransaction, connection: Connection
) -> None:
    """In every transaction, because both settings end with it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL ROLE {APP_ROLE}"))
        connection.execute(
            text("SELECT set_config('app.client', :client, true)"), {"client": str(session.client)}
        )
        if not connection.get_execution_options().get("relo_reading"):
            # As on SQLite, one after the other: what is not there cannot be locked by its row.
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:writing)"),
                {"writing": _WRITING << 32 | session.client},
            )


@event.listens_for(TenantSession, "do_orm_execute")
def _narrow(state: ORMExecuteState) -> None:
    """What SQLite has no row-level security for: a forgotten WHERE is added."""
    session = state.session
    assert isinstance(session, TenantSession)
    mapper = state.bind_mapper
    if state.is_insert and mapper is not None and issubclass(mapper.class_, Tenant):
        raise PermissionError("rows of a client are added to the session, where they are checked")
    if state.is_select or state.is_update or state.is_delete:
        options = [
            with_loader_criteria(entity, condition, include_aliases=True)
            for entity, condition in tenant_criteria(session.client)
        ]
        state.statement = state.statement.options(*options)


@event.listens_for(TenantSession, "before_flush")
def _refuse_strangers(session: TenantSession, _context: Any, _instances: Any) -> None:
    for row in (*session.new, *session.dirty):
        of = row.id if isinstance(row, Client) else getattr(row, "client_id", session.client)
        if isinstance(row, Client | Tenant | AuditLine) and of != session.client:
            raise PermissionError(f"a row of client {of} in a session of client {session.client}")


def _sqlite(path: Path) -> Engine:
    """A file that only its owner can read, with real transactions and foreign keys."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise UserError(f"the platform store {path} cannot be used: {error.strerror}") from error
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _BUSY_SECONDS},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # sqlite3 begins no transactions of its own: ours begin before the first statement.
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail if another wrote in between.
        reading = connection.get_execution_options().get("relo_reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
