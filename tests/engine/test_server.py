"""A ClickHouse server by URL: the same interface, and values travel in the body."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relo_dsl.engine import Engine, EngineError, device_key
from relo_dsl.errors import UserError
from relo_dsl.settings import Limits
from relo_dsl.sql.query import SqlQuery
from tests.engine.http_server import Server, serve
from tests.engine.test_load import KEY, T, column, event, load
from tests.engine.test_queries import STRANGE


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[Server]:
    with serve(Path(str(engine.client.path)).parent) as running:  # type: ignore[attr-defined]
        yield running


@pytest.fixture(scope="module")
def remote(server: Server) -> Iterator[Engine]:
    with Engine.server(server.url, database="default") as opened:
        yield opened


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: ascii(text)[:20])
def test_texts_travel_exactly_and_in_the_body(remote: Engine, server: Server, text: str) -> None:
    del server.urls[:]
    query = SqlQuery(
        "SELECT {p1:String} AS back, {p2:String} AS two",
        {"p1": text, "p2": "findme-" + text},
    )
    assert remote.query(query).rows == [(text, "findme-" + text)]
    assert not any("findme" in url for url in server.urls)


def test_long_arrays_travel_in_pieces(remote: Engine) -> None:
    keys = [device_key(KEY, 1, str(i)) for i in range(5_000)]
    texts = [f"'{i}\\" * 3 for i in range(20_000)]
    query = SqlQuery(
        "SELECT arrayMap(x -> hex(x), {k:Array(FixedString(16))}) AS a, {t:Array(String)} AS b",
        {"k": keys, "t": texts},
    )
    (row,) = remote.query(query).rows
    assert [bytes.fromhex(key) for key in row[0]] == keys
    assert row[1] == texts


def test_it_loads_and_streams(remote: Engine, new_client: int) -> None:
    raw: list[dict[str, Any]] = [event(T + i, str(i), did=f"d{i}") for i in range(50)]
    assert load(remote, new_client, raw).accepted == 50
    assert load(remote, new_client, raw).duplicate == 50
    assert len(column(remote, new_client, "tie")) == 50
    query = SqlQuery("SELECT device FROM events WHERE client_id = {c:UInt32}", {"c": new_client})
    found = [key for chunk in remote.members(query) for key in chunk]
    assert sorted(found) == sorted(device_key(KEY, new_client, f"d{i}") for i in range(50))


def test_blocks_come_as_arrow_and_a_limit_is_an_error(remote: Engine, engine: Engine) -> None:
    """Not half an answer that looks like a whole one: a server first finishes, then answers."""
    query = SqlQuery("SELECT toFixedString('k', 16) AS device FROM numbers(200000)")
    for opened in (remote, engine):
        blocks = opened.blocks(query)
        assert sum(block.num_rows for block in blocks) == 200_000
        with pytest.raises(UserError, match="the query reached a limit"):
            list(opened.blocks(query, limits=Limits(max_rows_to_read=1_000)))
    blocks = engine.blocks(query)
    assert len(list(blocks)) > 1
    assert blocks.rows_read >= 200_000


def test_it_only_reads_too(remote: Engine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden\n")
    with pytest.raises(EngineError):
        remote.query(SqlQuery(f"SELECT * FROM file('{secret}', 'LineAsString')"))


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot open") as caught:
        Engine.server("http://someone:secret@127.0.0.1:1", database="default")
    assert "secret" not in caught.value.message
