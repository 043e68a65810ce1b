"""Random lives of a spool on a disk that fails: what was acknowledged is there, once, in order."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relo_server.spool import SpoolReader, SpoolWriter
from relo_server.spool.errors import SpoolError
from relo_server.spool.overflow import Overflow
from tests.spool.faulty import FaultyFiles, FaultyStorage

FOLDER = Path("/spool")


class Life:
    """Writers and readers one after the other on one disk, and what they were promised."""

    def __init__(self, seed: int, locks: Path) -> None:
        self.files = FaultyFiles(seed)
        self._locks = locks
        self.storage = FaultyStorage(seed)
        self.acknowledged: list[bytes] = []
        self.stored: set[bytes] = set()
        self._sent = 0
        self._start()

    def _start(self) -> None:
        self._writer = SpoolWriter(
            self._locks, files=self.files, segment_bytes=150, reserve_bytes=0,
            overflow=Overflow(self.storage, "here/0"),
        )  # fmt: skip
        self._reader = SpoolReader(self._locks, files=self.files, storage=self.storage)

    def send(self, count: int) -> None:
        """Some payloads at once, not all of which may be kept."""
        waiting = []
        for _ in range(count):
            self._sent += 1
            payload = b"%06d" % self._sent
            try:
                waiting.append((payload, self._writer.keep(payload)))
            except (SpoolError, OSError):
                continue
        for payload, future in waiting:
            if future.exception(10) is None:
                self.acknowledged.append(payload)

    def take(self, most: int, *, release: bool) -> None:
        """Reads on, and has what was read stored elsewhere."""
        try:
            frames = self._reader.read(most)
            self._check([frame.payload for frame in frames])
            if frames and release:
                upto = frames[self.files.random.randrange(len(frames))].end
                self.stored |= {frame.payload for frame in frames if frame.end <= upto}
                self._reader.release(upto)
        except OSError:
            pass
        if release:
            self._reader.again()

    def _check(self, payloads: list[bytes]) -> None:
        assert payloads == sorted(set(payloads)), "once, and in order"

    def ship(self) -> None:
        """A segment leaves the disk for storage."""
        with suppress(OSError):
            self._writer.make_room()

    def crash(self) -> None:
        """The power goes: what was not synced may be lost, and both begin again."""
        self.files.cut_power()
        self._end()
        self.files.restarted()
        self._start()

    def restart(self) -> None:
        self._end()
        self._start()

    def _end(self) -> None:
        self._writer.close()
        self._reader.close()

    def end(self) -> None:
        """Everything acknowledged is there, but for what was stored elsewhere and released."""
        self.files.fail_at = self.storage.fail_at = None
        self.restart()
        left = [frame.payload for frame in self._reader.read(2**30)]
        self._check(left)
        assert set(self.acknowledged) <= self.stored | set(left)
        self._end()


STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 6)),
    st.tuples(st.just("take"), st.integers(1, 200)),
    st.tuples(st.just("look"), st.integers(1, 200)),
    st.tuples(st.just("fail"), st.integers(0, 12)),
    st.tuples(st.just("full"), st.integers(0, 12)),
    st.tuples(st.just("ship"), st.just(0)),
    st.tuples(st.just("storage"), st.integers(0, 3)),
    st.tuples(st.just("crash"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
)


@given(seed=st.integers(0, 2**32), steps=st.lists(STEPS, max_size=25))
def test_what_was_acknowledged_is_there(
    seed: int, steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    life = Life(seed, tmp_path_factory.mktemp("life"))
    for step, number in steps:
        if step == "send":
            life.send(number)
        elif step in ("take", "look"):
            life.take(number, release=step == "take")
        elif step == "ship":
            life.ship()
        elif step == "storage":
            life.storage.fail_at = number
        elif step == "crash":
            life.crash()
        elif step == "restart":
            life.restart()
        else:
            life.files.fail_at = number
            life.files.error = errno.ENOSPC if step == "full" else errno.EIO
    life.end()
