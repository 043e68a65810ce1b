"""Whatever is killed and when: each acknowledged event is stored, once, and no batch in part."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relo_dsl.engine import Engine
from relo_server.ingest.storing import Storing
from relo_server.sets import Sets
from tests.engine.http_server import Server, serve
from tests.faults.ingest_child import CATALOG, Source, run
from tests.faults.test_kills import SEEDS

_spawn = multiprocessing.get_context("forkserver")
_spawn.set_forkserver_preload(["tests.faults.child", "tests.faults.ingest_child"])


@dataclass
class Stage:
    """An engine behind HTTP and sets, which processes take turns to use."""

    engine: Engine
    sets: Sets
    server: Server
    socket: str
    folder: Path
    client: int
    sent: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)

    def live(self, name: str, seconds: float) -> None:
        """A process that is killed so long after its first acknowledgement."""
        theirs: multiprocessing.connection.Connection
        ours, theirs = _spawn.Pipe(duplex=False)
        source = Source(self.server.url, self.socket, self.folder, self.client, name)
        process = _spawn.Process(target=run, args=(source, theirs))
        process.start()
        theirs.close()
        end = None
        try:
            while end is None or time.monotonic() < end:
                if not ours.poll(0.001 if end else 60):
                    assert end is not None, "it keeps nothing"
                    continue
                self._note(*ours.recv())
                if self.kept and end is None:
                    end = time.monotonic() + seconds
        finally:
            process.kill()
            process.join()
        try:
            while True:
                self._note(*ours.recv())
        except (EOFError, OSError):
            ours.close()
        assert process.exitcode == -signal.SIGKILL

    def _note(self, word: str, name: str) -> None:
        (self.kept if word == "kept" else self.sent).add(name)

    def drain(self) -> None:
        """Everything that is spooled is stored."""
        storing = Storing(
            self.folder, self.engine, self.sets, lambda: CATALOG, lambda: int(time.time() * 1000)
        )
        try:
            while storing.step():
                pass
            assert storing.waiting() == 0
        finally:
            storing.close()

    def check(self, size: int = Source.size) -> None:
        rows = self.engine.rows(
            "SELECT s_batch, count(), uniqExact(tie) "
            "FROM events WHERE client_id = {c:UInt32} GROUP BY s_batch",
            {"c": self.client},
        )
        found = {str(name): (count, ids) for name, count, ids in rows}
        assert self.kept <= found.keys(), "every acknowledged batch is there"
        assert found.keys() <= self.sent
        assert set(found.values()) == {(size, size)}, "once, and whole"


@pytest.fixture
def stage(engine: Engine, tmp_path: Path, new_client: int) -> Iterator[Stage]:
    data = Path(str(engine.client.path)).parent  # type: ignore[attr-defined]
    (tmp_path / "sets").mkdir()
    with serve(data) as server, Sets.embedded(tmp_path / "sets") as sets:
        socket = f"unix://{tmp_path}/sets/sets.sock"
        yield Stage(engine, sets, server, socket, tmp_path / "spool", new_client)


def test_killed_in_the_midst_of_batches(stage: Stage) -> None:
    source = random.Random(SEEDS)
    for seed in range(SEEDS):
        # Some die before anything is stored, some while it is.
        stage.live(f"life{seed}", source.choice([0.0, 0.02, 0.1, 0.4]))
    stage.drain()
    stage.check()
    assert len(stage.kept) >= SEEDS
