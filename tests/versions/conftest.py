"""Worlds over the engine of the process and one embedded set server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from relo_dsl.engine import Engine
from relo_server.sets import Sets
from tests.versions.world import World, each_device, folder_of


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sets]:
    with Sets.embedded(tmp_path_factory.mktemp("relo")) as opened:
        yield opened


@pytest.fixture
def world(engine: Engine, sets: Sets, new_client: int) -> World:
    """Sixty devices; `chosen` holds the first fifty."""
    made = World(engine, sets, new_client)
    made.populate(each_device(60))
    made.choose(each_device(50))
    return made


@pytest.fixture
def bare(sets: Sets) -> Iterator[redis.Redis]:
    """What somebody has who knows nothing of this package."""
    client = redis.Redis(unix_socket_path=str(folder_of(sets) / "sets.sock"))
    yield client
    client.close()
