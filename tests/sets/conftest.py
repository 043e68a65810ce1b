"""One set server for all tests of a module, and somebody who knows nothing of this package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from relo_server.sets import Sets
from tests.sets.helpers import Wire


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("relo")


@pytest.fixture(scope="module")
def sets(folder: Path) -> Iterator[Sets]:
    with Sets.embedded(folder) as opened:
        yield opened


@pytest.fixture
def bare(sets: Sets, folder: Path) -> Iterator[redis.Redis]:
    """What somebody has who knows nothing of this package."""
    client = redis.Redis(unix_socket_path=str(folder / "sets.sock"))
    yield client
    client.close()


@pytest.fixture
def wire(sets: Sets, folder: Path, tmp_path: Path) -> Iterator[Wire]:
    """A way to the server that can be cut."""
    opened = Wire(tmp_path / "wire.sock", folder / "sets.sock")
    yield opened
    opened.close()


@pytest.fixture
def wired(wire: Wire) -> Iterator[Sets]:
    """The sets behind that way."""
    with Sets.server(f"unix://{wire.path}") as opened:
        yield opened
