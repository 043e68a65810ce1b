"""A service over the engine of the process, real sets and a platform store of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, load_records
from relo_dsl.engine.key import installation_key
from relo_dsl.records import parse_record
from relo_dsl.settings import Settings
from relo_dsl.times import UNITS
from relo_server.api.app import make_app
from relo_server.api.house import House
from relo_server.platform import Platform
from relo_server.security.roles import Role
from relo_server.security.tokens import NewToken
from relo_server.sets import Sets

CATALOG = """
events:
  purchase:
    properties:
      revenue: {type: number, unit: MXN}
      product_line: {type: string, enum: [MX, US]}
      gift: boolean
  visit: {properties: {page: string}}
traits: {plan: string}
lists: {vip: {}}
retention: {months: 1200, extended_months: 1200}
"""
QUIET = "audience quiet\n  type winback\nmatch\n  purchase within 180d and no purchase within 30d\n"
#: Not any instant: the set server drops what has expired by a clock of its own.
NOW = int(time.time()) * 1000


@dataclass
class Service:
    """A running application, and who may call it."""

    app: FastAPI
    house: House
    engine: Engine
    http: httpx.Client
    client: int
    folder: Path

    def token(
        self, role: Role = Role.ADMIN, client: int | None = None,
        scopes: frozenset[str] | None = None,
    ) -> str:  # fmt: skip
        of = self.client if client is None else client
        with self.house.platform.tenant(of) as session:
            new = NewToken(role.value, role, "a test", scopes=scopes)
            return self.house.tokens.create(session, new, self.house.clock())[1].text

    def call(
        self, method: str, path: str, body: Any = None, *, role: Role = Role.ADMIN,
        client: int | None = None, token: str | None = None, **headers: str,
    ) -> Any:  # fmt: skip
        """A request with a token of that role, and its response."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["authorization"] = f"Bearer {token or self.token(role, client)}"
        return self.http.request(method, path, json=body, headers=named)

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The JSON of an answer that must be good."""
        answer = self.call(method, path, body, **more)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def load(self, *records: dict[str, Any], client: int | None = None) -> None:
        """Stores records; `ago` counts days before now."""
        of = self.client if client is None else client
        parsed = []
        for record in records:
            at = NOW - record.pop("ago", 1) * UNITS["d"]
            parsed.append(parse_record({"t": "purchase", "cid": of, "ts": at, **record}))
        catalog = parse_catalog(CATALOG)
        report = load_records(self.engine, parsed, catalog=catalog, key=self.house.key)
        assert report.refused == 0

    def actions(self) -> list[tuple[str, str, str]]:
        """What the audit of the client says: who, which operation, what came of it."""
        from sqlalchemy import select

        from relo_server.platform.models import AuditLine

        with self.house.platform.tenant(self.client, reading=True) as session:
            lines = session.scalars(select(AuditLine).order_by(AuditLine.seq)).all()
            return [(line.who, line.action, line.outcome) for line in lines]


def buyers(count: int, ago: int = 60, **props: Any) -> list[dict[str, Any]]:
    """A purchase each of so many devices."""
    given = {"revenue": 100, "product_line": "MX", **props}
    return [{"did": f"d{number}", "ago": ago, "props": given} for number in range(count)]


@contextmanager
def served(app: FastAPI) -> Iterator[httpx.Client]:
    """A real server on a free port, in a thread, and a client of it."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    with server.config.bind_socket() as socket:
        socket.listen()  # or whoever asks before the thread runs is refused
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{socket.getsockname()[1]}", timeout=60, trust_env=False
            ) as http:
                yield http
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sets]:
    with Sets.embedded(tmp_path_factory.mktemp("sets")) as opened:
        yield opened


@pytest.fixture
def service(tmp_path: Path, engine: Engine, sets: Sets, new_client: int) -> Iterator[Service]:
    """A service whose project has one definition, `quiet`."""
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments/catalog.yaml").write_text(CATALOG)
    (tmp_path / "segments/quiet.seg").write_text(QUIET)
    settings = Settings(
        root=tmp_path, client=new_client, data=tmp_path / "data",
        catalog=tmp_path / "segments/catalog.yaml", segments=tmp_path / "segments",
    )  # fmt: skip
    installation_key(settings)
    with Platform.open(settings) as platform:
        house = House(settings, engine, sets, platform, clock=lambda: NOW)
        try:
            app = make_app(house)
            with served(app) as http:
                yield Service(app, house, engine, http, new_client, tmp_path)
        finally:
            house.close()
