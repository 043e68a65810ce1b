"""The platform store on SQLite, and on a real PostgreSQL where there is one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL

from relo_server.platform import Platform
from tests.platform import postgres

#: 2026-06-15T12:00:00Z
NOW = 1_781_524_800_000
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL: `owner` may make roles, `web` is the application."""

    socket: Path

    def database(self) -> URL:
        """A fresh database, as its owner."""
        return self._made("template0")

    def store(self) -> URL:
        """A database with the tables in it, which is faster than to migrate each."""
        return self._made("relo_tables")

    def _made(self, template: str) -> URL:
        name = f"relo_{next(_numbers)}"
        postgres.execute(self.socket, f"CREATE DATABASE {name} TEMPLATE {template} OWNER owner")
        return postgres.url(self.socket, "owner", name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if postgres.binaries() is None:
        pytest.skip(postgres.MISSING)
    with postgres.place() as folder, postgres.server(folder) as socket:
        postgres.execute(
            socket,
            "CREATE ROLE owner LOGIN CREATEROLE",
            "CREATE ROLE web LOGIN",
            "CREATE DATABASE relo_tables OWNER owner",
        )
        # The first store makes the application's role as well.
        Platform.at(postgres.url(socket, "owner", "relo_tables")).close()
        postgres.execute(socket, "GRANT relo_app TO web")
        yield Cluster(socket)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each test that asks for a store runs once with each."""
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> URL:
    """An empty store, without tables."""
    if kind == "sqlite":
        return URL.create("sqlite", database=str(tmp_path / "platform.db"))
    found: Cluster = request.getfixturevalue("cluster")
    return found.database()


@pytest.fixture
def platform(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Platform]:
    """A store with its tables."""
    if kind == "sqlite":
        place = URL.create("sqlite", database=str(tmp_path / "platform.db"))
    else:
        place = request.getfixturevalue("cluster").store()
    with Platform.at(place) as opened:
        yield opened
