"""Others look at a spool, and rewrite what waits in it, while its reader empties it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from relo_server.spool import SpoolReader, SpoolWriter
from relo_server.spool.overflow import Overflow, Storage


@pytest.fixture(autouse=True)
def threads_that_alternate() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("away", [False, True], ids=["on disk", "in storage"])
def test_what_is_emptied_meanwhile(tmp_path: Path, away: bool) -> None:
    storage = Storage(MemoryStore())
    wanted = [b"payload %04d" % number + b"." * 40 for number in range(400)]
    found: list[bytes] = []
    wrong: list[BaseException] = []
    done = threading.Event()

    def again_and_again(do: Callable[[], object]) -> None:
        try:
            while not done.is_set():
                do()
        except BaseException as error:
            wrong.append(error)

    with (
        SpoolWriter(
            tmp_path, segment_bytes=200, reserve_bytes=0, overflow=Overflow(storage, "here/0")
        ) as writer,
        SpoolReader(tmp_path, storage=storage) as reader,
    ):
        for payload in wanted:
            writer.keep(payload).result()
        while away and writer.make_room():
            pass
        others = [
            threading.Thread(target=again_and_again, args=(do,))
            for do in (reader.pending, lambda: reader.rewrite(lambda payload: payload[:12]))
        ]
        for other in others:
            other.start()
        while len(found) < len(wanted) and not wrong:
            frames = reader.read(1)
            found += [frame.payload for frame in frames]
            if len(found) % 7 == 0:
                reader.release(frames[-1].end)
        done.set()
        for other in others:
            other.join()
    assert wrong == []
    assert [payload[:12] for payload in found] == [payload[:12] for payload in wanted]
