"""The platform store keeps clients apart, even where somebody forgot to ask for one."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

import relo_server.platform
from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_server.platform import Platform
from relo_server.platform.migrate import HEAD
from relo_server.platform.models import (
    Audience,
    AuditHead,
    Base,
    Client,
    IdempotencyKey,
    RefreshToken,
    Token,
    User,
)
from relo_server.platform.store import TenantSession
from relo_server.security.clients import ensure_client
from tests.conftest import REPOSITORY
from tests.platform.conftest import NOW, Cluster
from tests.platform.postgres import MISSING, execute

TENANTS: tuple[type[Any], ...] = (Client, User, Token, RefreshToken, Audience, IdempotencyKey)


def rows_of(client: int) -> list[Base]:
    """A row of each table of clients, those first that others hang on."""
    mark = f"of {client}"
    return [
        Client(id=client, created_at=NOW),
        User(client_id=client, id=f"u{client}", name=mark, role="admin", password="…",
             created_at=NOW, password_at=NOW),
        Token(client_id=client, id=f"t{client}", name=mark, role="viewer", scopes=["catalog.read"],
              hash=mark.encode(), hint="…", created_by="…", created_at=NOW),
        RefreshToken(client_id=client, id=f"r{client}", user_id=f"u{client}", family=mark,
                     hash=mark.encode(), created_at=NOW, expires_at=NOW),
        Audience(client_id=client, name="winback", text=mark, owner="api", etag="1",
                 created_at=NOW, updated_at=NOW, updated_by="…"),
        IdempotencyKey(client_id=client, key="k", operation="…", request=b"", created_at=NOW,
                       expires_at=NOW),
    ]  # fmt: skip


@pytest.fixture
def two(platform: Platform) -> Platform:
    """Client 3 and client 4, each with a row in every table."""
    for client in (3, 4):
        with platform.tenant(client) as session:
            for row in rows_of(client):
                session.add(row)
                session.flush()
    return platform


def test_those_who_write_for_a_client_take_turns(platform: Platform) -> None:
    """Each looks for what is not there yet, and makes it: no row could be locked."""
    together, made = threading.Barrier(6), []

    def work() -> None:
        for client in range(20, 30):
            together.wait(30)
            with platform.tenant(client) as session:
                ensure_client(session, NOW)
            made.append(client)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted([*range(20, 30)] * 6)


def client_of(row: Any) -> int:
    return int(row.id if isinstance(row, Client) else row.client_id)


def test_tables_and_models_agree(platform: Platform) -> None:
    with platform.operator() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_head_is_the_newest_migration() -> None:
    config = Config()
    folder = Path(relo_server.platform.__path__[0]) / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


@pytest.mark.parametrize("table", TENANTS, ids=lambda table: table.__tablename__)
def test_a_forgotten_where_finds_one_client(two: Platform, table: type[Any]) -> None:
    for client in (3, 4, 3):
        with two.tenant(client) as session:
            assert [client_of(row) for row in session.scalars(select(table))] == [client]
    with two.tenant(5) as session:
        assert session.scalar(select(func.count()).select_from(table)) == 0
    with two.operator() as session:
        assert {client_of(row) for row in session.scalars(select(table))} == {3, 4}


def test_a_forgotten_where_changes_one_client(two: Platform) -> None:
    with two.tenant(3) as session:
        session.execute(update(User).values(name="new"))
        session.execute(delete(Audience))
    with two.operator() as session:
        assert set(session.scalars(select(User.name))) == {"new", "of 4"}
        assert list(session.scalars(select(Audience.text))) == ["of 4"]


def test_no_row_goes_to_another_client(two: Platform) -> None:
    stranger = Token(client_id=4, id="x", name="", role="admin", hash=b"x", hint="",
                     created_by="", created_at=NOW)  # fmt: skip
    refused = pytest.raises(PermissionError, match="client 4 in a session of client 3")
    with refused, two.tenant(3) as session:
        session.add(stranger)
    with pytest.raises(PermissionError), two.tenant(3) as session:
        session.scalars(select(User)).one().client_id = 4


def test_no_row_is_put_or_moved_there_by_a_statement(two: Platform) -> None:
    def put(session: TenantSession) -> None:
        session.execute(insert(Audience).values(client_id=4, name="x"))

    def move(session: TenantSession) -> None:
        session.execute(update(Audience).values(client_id=4, name="x"))

    for change, refused in ((put, PermissionError), (move, DBAPIError)):
        with pytest.raises(refused), two.tenant(3) as session:
            change(session)
    with two.operator() as everybody:
        assert sorted(everybody.scalars(select(Audience.client_id))) == [3, 4]


def test_no_row_hangs_on_another_clients(two: Platform) -> None:
    row = RefreshToken(client_id=3, id="x", user_id="u4", family="f", hash=b"x", created_at=NOW,
                       expires_at=NOW)  # fmt: skip
    with pytest.raises(IntegrityError), two.tenant(3) as session:
        session.add(row)


def test_what_raises_leaves_nothing(platform: Platform) -> None:
    def twice() -> None:
        with platform.tenant(3) as session:
            for moment in (1, 2):
                session.execute(insert(Client).values(id=3, created_at=moment))

    with pytest.raises(IntegrityError):
        twice()
    with platform.tenant(3) as session:
        assert session.scalar(select(func.count()).select_from(Client)) == 0


def test_two_processes_migrate_at_once(url: URL) -> None:
    code = (
        "import sys\nfrom sqlalchemy import make_url\n"
        "from relo_server.platform import Platform\nPlatform.at(make_url(sys.argv[1])).close()\n"
    )
    command = [sys.executable, "-c", code, url.render_as_string(hide_password=False)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 3
    with Platform.at(url) as platform, platform.operator() as session:
        assert session.scalar(select(func.count()).select_from(AuditHead)) == 1


def test_a_store_of_a_newer_relo_is_refused(url: URL) -> None:
    with Platform.at(url) as platform, platform.operator() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match="has revision 9999, and this relo knows"):
        Platform.at(url)


# ---- SQLite ------------------------------------------------------------------------------------


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    with Platform.open(Settings(root=tmp_path)) as platform, platform.operator() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        for file in (tmp_path / ".relo").glob("platform.db*"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_one_reads_while_another_writes(tmp_path: Path) -> None:
    with Platform.open(Settings(root=tmp_path)) as platform, platform.tenant(3) as writing:
        writing.add(Client(id=3, created_at=NOW))
        writing.flush()
        with platform.tenant(3, reading=True) as session:
            assert session.scalar(select(func.count()).select_from(Client)) == 0


def test_writers_wait_for_one_another(tmp_path: Path) -> None:
    with Platform.open(Settings(root=tmp_path)) as platform:
        with platform.operator() as session:
            session.add(Client(id=0, created_at=0))

        def count() -> None:
            for _ in range(20):
                with platform.operator() as session:
                    session.scalars(select(Client)).one().created_at += 1

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with platform.operator() as session:
            assert session.scalar(select(Client.created_at)) == 80


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    folder = tmp_path / ".relo"
    folder.mkdir()
    (folder / "platform.db").mkdir()
    with pytest.raises(UserError, match=r"platform\.db cannot be used: Is a directory"):
        Platform.open(Settings(root=tmp_path))


def test_a_file_of_something_else(tmp_path: Path) -> None:
    folder = tmp_path / ".relo"
    folder.mkdir()
    (folder / "platform.db").write_text("not a database, but long enough to look at\n" * 50)
    with pytest.raises(UserError, match=r"cannot be used: file is not a database"):
        Platform.open(Settings(root=tmp_path))


# ---- PostgreSQL --------------------------------------------------------------------------------

RAW_TABLES = [table.__tablename__ for table in TENANTS]


@pytest.fixture(scope="module")
def database(cluster: Cluster) -> URL:
    """A database with two clients, which no test changes."""
    found = cluster.store()
    with Platform.at(found) as platform:
        for client in (3, 4):
            with platform.tenant(client) as session:
                for row in rows_of(client):
                    session.add(row)
                    session.flush()
    return found


def connect(database: URL, user: str) -> psycopg.Connection[Any]:
    host = str(database.query["host"])
    return psycopg.connect(host=host, user=user, dbname=database.database)


@pytest.mark.parametrize("user", ["owner", "web"])
@pytest.mark.parametrize("table", RAW_TABLES)
def test_raw_sql_sees_one_client(database: URL, user: str, table: str) -> None:
    """No ORM helps here: the database itself holds, for the owner too."""
    column = "id" if table == "clients" else "client_id"
    with connect(database, user) as connection:
        assert connection.execute(f"SELECT * FROM {table}".encode()).fetchall() == []
        for client in (3, 4):
            connection.execute("SELECT set_config('app.client', %s, true)", [str(client)])
            found = connection.execute(f"SELECT {column} FROM {table}".encode()).fetchall()
            assert found == [(client,)]
        connection.rollback()
        assert connection.execute(f"SELECT * FROM {table}".encode()).fetchall() == []


@pytest.mark.parametrize("user", ["owner", "web"])
def test_raw_sql_writes_one_client(database: URL, user: str) -> None:
    with connect(database, user) as connection:
        connection.execute("SELECT set_config('app.client', '3', true)")
        assert connection.execute("UPDATE audiences SET etag = '2'").rowcount == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("UPDATE tokens SET client_id = 4")


def test_the_application_can_not_ask_for_all(database: URL) -> None:
    with connect(database, "web") as connection:
        connection.execute("SELECT set_config('app.operator', 'on', true)")
        assert connection.execute("SELECT * FROM users").fetchall() == []
    with Platform.at(database.set(username="web")) as platform:
        refused = pytest.raises(UserError, match="which the application's user must not")
        with refused, platform.operator():
            pass
        with platform.tenant(3) as session:
            assert session.scalars(select(User.name)).all() == ["of 3"]


@pytest.mark.parametrize("statement", [
    "UPDATE audit SET who = 'me'", "DELETE FROM audit", "TRUNCATE audit", "DROP TABLE audit",
    "ALTER TABLE users DISABLE ROW LEVEL SECURITY", "DELETE FROM users", "DELETE FROM tokens",
    "DROP POLICY tenant ON users", "DELETE FROM audit_heads", "CREATE TABLE mine (x int)",
])  # fmt: skip
def test_what_the_application_may_not_do(database: URL, statement: str) -> None:
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with connect(database, "web") as connection, refused:
        connection.execute(statement.encode())


def test_every_table_of_clients_is_guarded(database: URL) -> None:
    """A table that a later migration adds can not be forgotten."""
    with connect(database, "owner") as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY 1"
        ).fetchall()
    assert found == [("alembic_version",), ("signing_keys",)]


def test_a_superuser_is_bound_too(database: URL) -> None:
    store = Platform.at(database.set(username="postgres"))
    with store as platform, platform.tenant(3) as session:
        assert session.execute(text("SELECT name FROM users")).all() == [("of 3",)]


def test_a_connection_keeps_no_client(database: URL) -> None:
    """Whoever gets the connection next, and forgets to say which client, sees none."""
    with Platform.at(database) as platform:
        for seen in ([], ["of 4"], []):
            session: Session
            with platform.tenant(4) if seen else platform.shared() as session:
                names = session.execute(text("SELECT name FROM users")).scalars().all()
                assert (names, session.scalar(text("SELECT current_user"))) == (seen, "relo_app")
        with platform.operator() as session:
            assert len(session.execute(text("SELECT name FROM users")).all()) == 2
        with platform.shared() as session:
            assert session.execute(text("SELECT name FROM users")).all() == []


def test_what_an_administrator_must_do_is_said(cluster: Cluster) -> None:
    database = cluster.database()
    execute(cluster.socket, "CREATE ROLE nobody LOGIN")
    with pytest.raises(UserError, match="cannot be brought up to date: permission denied"):
        Platform.at(database.set(username="web"))
    with pytest.raises(UserError, match="cannot be brought up to date: permission denied"):
        Platform.at(database.set(username="web"))
    with pytest.raises(UserError, match="needs the role `relo_app`") as caught:
        Platform.at(database.set(username="nobody"))
    assert "GRANT relo_app TO nobody;" in (caught.value.hint or "")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, platform=f"postgresql://u:secret@/relo?host={tmp_path}")
    with pytest.raises(UserError, match="cannot be used: connection is bad") as caught:
        Platform.open(settings)
    assert "secret" not in caught.value.message


def test_the_ci_installs_what_a_skipped_test_asks_for() -> None:
    package = MISSING.rpartition(" ")[2]
    assert f' {package}"' in (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
