"""The side of a spool that appends: an answer means that the disk has it."""

from __future__ import annotations

import errno
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Self

from relo_dsl.engine.lock import FolderLock
from relo_dsl.errors import UserError
from relo_server.spool.checkpoint import WRITER, checkpoint
from relo_server.spool.errors import SpoolError, SpoolFull
from relo_server.spool.files import Files, Handle, RealFiles
from relo_server.spool.frames import HEAD_BYTES, MAX_PAYLOAD, Segment, frame, segment_of
from relo_server.spool.overflow import Overflow, Storage, noted, place_of

SEGMENT_BYTES = 64 * 2**20
LIMIT_BYTES = 8 * 2**30
#: So much of the disk is left to others.
RESERVE_BYTES = 256 * 2**20
#: What waits for one write; more is refused until it is done.
_WAITING_BYTES = 256 * 2**20
#: A segment is closed after so long: only closed ones are removed or rewritten.
_SEGMENT_SECONDS = 600.0
_ROLL_SECONDS = 10.0
#: How long the size of the folder is believed.
_LOOK_SECONDS = 0.5
#: How long object storage is left alone after it failed.
_PATIENCE_SECONDS = 5.0


_log = logging.getLogger("relo.spool")


class SpoolWriter:
    """Appends payloads; a thread writes whatever waits and syncs it once for all of it.

    It never appends to what another process has left: it begins a segment of its own. After a write
    or sync that failed, the segment is given up, because nobody knows what the disk has of it.
    """

    def __init__(
        self, folder: Path, *, files: Files | None = None, segment_bytes: int = SEGMENT_BYTES,
        limit_bytes: int = LIMIT_BYTES, reserve_bytes: int = RESERVE_BYTES,
        clock: Callable[[], float] = time.monotonic, overflow: Overflow | None = None,
    ) -> None:  # fmt: skip
        """Past three quarters of `limit_bytes` closed segments go into `overflow`, where there is
        one. Raises UserError where another process writes here, OSError as the disk does."""
        _make(folder)
        self._lock = FolderLock(folder / WRITER, "spool", None)
        self._folder = folder
        self._files = files or RealFiles()
        self._segment_bytes = segment_bytes
        self._limit = limit_bytes
        self._reserve = reserve_bytes
        self._clock = clock
        names = self._files.names(folder)
        known = [one.number for name in names if (one := segment_of(name) or noted(name))]
        # A number below the checkpoint's would not be read.
        self._number = max([*known, checkpoint(self._files, folder).segment])
        self._looked = -_LOOK_SECONDS
        self._held = 0
        self._changed = threading.Condition()
        self._waiting: list[tuple[bytes, Future[None]]] = []
        self._waiting_bytes = 0
        self._ending = False
        self._crowded = False
        self._current: _Open | None = None
        self._begin_if_possible()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()
        self._overflow = overflow
        self._shipping: threading.Thread | None = None
        if overflow is not None:
            self._shipping = threading.Thread(target=self._ship, name="overflow", daemon=True)
            self._shipping.start()

    @classmethod
    def free(
        cls, parent: Path, *, prefix: str = "", limit_bytes: int = LIMIT_BYTES,
        storage: Storage | None = None,
    ) -> Self:  # fmt: skip
        """One in the first folder `0`, `1` … of `parent` that no process writes to; `prefix` stands
        before the number. Raises OSError.
        """
        place = None if storage is None else place_of(parent)
        for number in count():
            name = f"{prefix}{number}"
            overflow = None if storage is None else Overflow(storage, f"{place}/{name}")
            try:
                return cls(
                    parent / name, limit_bytes=limit_bytes, overflow=overflow,
                    segment_bytes=min(SEGMENT_BYTES, max(limit_bytes // 8, 2**16)),
                )  # fmt: skip
            except UserError:
                continue
        raise AssertionError("there is always another number")

    def keep(self, payload: bytes) -> Future[None]:
        """Appends a payload; the future is done when the disk has it. Raises SpoolError at once
        where it cannot be taken; the future may have one too, and then nothing is promised of it.
        """
        size = len(payload) + HEAD_BYTES
        if len(payload) > MAX_PAYLOAD:
            raise SpoolError("the payload is too large for the spool", "send it in parts")
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # whoever goes away stops nothing
        with self._changed:
            if self._ending:
                raise SpoolError("the service is stopping", "send it again in a moment")
            self._require_room(self._waiting_bytes + size)
            self._waiting.append((payload, future))
            self._waiting_bytes += size
            self._changed.notify_all()
        return future

    def _require_room(self, more: int) -> None:
        if self._waiting_bytes > _WAITING_BYTES:
            raise SpoolFull("the disk does not keep up", "send it again in a moment", 1)
        now = self._clock()
        if now - self._looked >= _LOOK_SECONDS:
            self._held = self._size()
            self._looked = now
            if self._files.free(self._folder) < self._reserve:
                self._held = self._limit
        if self._held + more > self._limit:
            self._crowded = True
            self._changed.notify_all()
            raise SpoolFull(
                f"the spool in {self._folder} is full ({self._held:,} bytes)",
                "what is sent waits for the engine; see whether that can be reached, and send it "
                "again",
                30,
            )

    def _size(self) -> int:
        total = 0
        for name in self._files.names(self._folder):
            if segment_of(name) is not None:
                try:
                    total += self._files.size(self._folder / name)
                except FileNotFoundError:  # its reader has just removed it
                    continue
        return total

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ending and not self._due():
                    self._changed.wait(self._patience())
                group, self._waiting = self._waiting, []
                ending = self._ending and not group
            if group:
                self._commit(group)
            with self._changed:
                self._waiting_bytes -= sum(len(payload) + HEAD_BYTES for payload, _ in group)
            if self._due():
                self._crowded = False
                self._give_up()
                self._begin_if_possible()
                with self._changed:
                    self._changed.notify_all()
            if ending:
                self._give_up()
                return

    def _patience(self) -> float | None:
        if self._current is None or not self._current.size:
            return None
        return max(0.0, self._current.since + _SEGMENT_SECONDS - self._clock())

    def _due(self) -> bool:
        """Whether the segment is to be closed, so that it can go: it is old, or room is wanted."""
        current = self._current
        if current is None or not current.size:
            return False
        return self._crowded or self._clock() - current.since >= _SEGMENT_SECONDS

    def _commit(self, group: list[tuple[bytes, Future[None]]]) -> None:
        error: SpoolError | None = None
        try:
            self._write([payload for payload, _ in group])
        except Exception as failed:
            if not isinstance(failed, OSError):
                _log.exception("a write to the spool failed")
            error = _told(failed, self._folder)
            self._give_up(keep=True)
            self._begin_if_possible()  # so that the one before can go
        for _, future in group:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def _write(self, payloads: list[bytes]) -> None:
        if self._current is None or self._current.size >= self._segment_bytes:
            self._give_up()
            self._current = self._begin()
        current = self._current
        parts, size = [], current.size
        for payload in payloads:
            part = frame(payload, current.segment.salt, size)
            parts.append(part)
            size += len(part)
        current.file.append(b"".join(parts))
        current.file.sync()
        with self._changed:
            self._held += size - current.size
        current.size = size

    def _begin(self) -> _Open:
        self._number += 1
        segment = Segment(self._number, secrets.token_bytes(8))
        file = self._files.create(self._folder / segment.name)
        try:
            self._files.sync_folder(self._folder)
        except OSError:
            file.close()
            raise
        return _Open(segment, file, self._clock())

    def _begin_if_possible(self) -> None:
        with suppress(OSError):  # the next write tells
            self._current = self._begin()

    def _give_up(self, *, keep: bool = False) -> None:
        """Closes the segment; with `keep` what was acknowledged in it alone is left."""
        current, self._current = self._current, None
        if current is None:
            return
        try:
            if keep:
                current.file.truncate(current.size)
        except OSError:
            pass  # what is left beyond was not acknowledged, and may be read all the same
        finally:
            current.file.close()

    def make_room(self) -> bool:
        """Moves the latest segment that is closed into the overflow; whether there was one.

        The oldest stay: the reader is at them. Raises OSError; nothing is lost by it.
        """
        current = self._current
        if current is None or self._overflow is None:
            return False  # the next one is just beginning
        closed = [
            one
            for name in self._files.names(self._folder)
            if (one := segment_of(name)) is not None and one.number < current.segment.number
        ]
        if not closed:
            return False
        try:
            size = self._overflow.ship(self._files, self._folder, max(closed))
        except FileNotFoundError:  # its reader has just removed it
            return True
        with self._changed:
            self._held = max(0, self._held - size)
        return True

    def _ship(self) -> None:
        wait = _LOOK_SECONDS
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._ending, wait):
                    return
            wait = _LOOK_SECONDS
            try:
                if self._size() <= self._limit * 3 // 4:
                    continue
                if self.make_room():
                    wait = 0.0
                else:
                    with self._changed:
                        self._crowded = True
                        self._changed.notify_all()
            except OSError as error:
                _log.warning("the spool %s stays on the disk: %s", self._folder, error)
                wait = _PATIENCE_SECONDS

    def roll(self) -> None:
        """Closes the segment, so that what is in it can be rewritten."""
        with self._changed:
            self._crowded = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._due(), _ROLL_SECONDS)

    def close(self) -> None:
        """Writes what waits, and ends."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()
        if self._shipping is not None:
            self._shipping.join()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make(folder: Path) -> None:
    """Makes a folder that is there after a power cut. Raises OSError."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in new:
        RealFiles().sync_folder(one.parent)


class _Open:
    """The segment that is being written: `size` bytes of it are on disk and acknowledged."""

    def __init__(self, segment: Segment, file: Handle, since: float) -> None:
        self.segment = segment
        self.file = file
        self.since = since
        self.size = 0


def _told(error: Exception, folder: Path) -> SpoolError:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        hint = "make room there; nothing that was acknowledged is lost"
        return SpoolFull(f"the disk of {folder} is full", hint, 30)
    return SpoolError(
        f"the spool in {folder} cannot be written: {error}",
        "see to the disk; nothing that was acknowledged is lost",
    )
