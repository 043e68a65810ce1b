"""The side of a spool that takes: frames in order, and what is released goes."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from relo_dsl.engine.lock import FolderLock
from relo_dsl.errors import UserError
from relo_server.spool.checkpoint import CHECKPOINT, WRITER, checkpoint
from relo_server.spool.files import Files, RealFiles
from relo_server.spool.frames import (
    HEAD_BYTES,
    Position,
    Segment,
    frame,
    frames_in,
    segment_of,
)
from relo_server.spool.overflow import (
    Away,
    Missing,
    Storage,
    StorageError,
    note_of,
    noted,
    read_note,
    write_note,
)

#: Read from the disk at a time; a frame that is larger is read whole.
_PIECE = 4 * 2**20
#: Where a copy of what is broken goes, to be looked at by people.
DAMAGED = "damaged"
_log = logging.getLogger("relo.spool")


class Frame(NamedTuple):
    """A payload, and the position after it: released up to there, it is not read again."""

    payload: bytes
    end: Position


@dataclass(frozen=True, slots=True)
class Pending:
    """What a spool holds that is not released."""

    bytes: int


class SpoolReader:
    """Reads from the checkpoint on. The last segment may still be written: it is read as far as it
    goes. What is broken is skipped, copied aside and told; a torn end was never acknowledged.

    One thread reads and releases; meanwhile others may ask what is pending, and rewrite it.
    """

    def __init__(
        self, folder: Path, *, files: Files | None = None, storage: Storage | None = None
    ) -> None:
        """`storage` is where segments are that are away. Raises UserError where another process
        reads here, OSError as the disk does; what the disk raises storage may as well, later.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(folder / "reader.lock", "spool", None)
        self._folder = folder
        self._files = files or RealFiles()
        self._storage = storage
        self._fetched: tuple[Segment, bytes] | None = None
        self._missing: set[Segment] = set()
        self._removing = threading.Lock()
        self.released = checkpoint(self._files, folder)
        self._next = self.released

    def read(self, most_bytes: int) -> list[Frame]:
        """The next frames, at least one where there is one, up to about so many bytes.

        Raises OSError; then the next call begins where this one did.
        """
        begun = self._next
        try:
            return self._collected(most_bytes)
        except BaseException:
            self._next = begun  # nobody has got what was collected
            raise

    def _collected(self, most_bytes: int) -> list[Frame]:
        found: list[Frame] = []
        size = 0
        segments = [one for one in self._segments() if one.number >= self._next.segment]
        for index, segment in enumerate(segments):
            if segment.number > self._next.segment:
                self._next = Position(segment.number, 0)
            for item in self._frames(segment, last=index < len(segments) - 1):
                found.append(item)
                size += len(item.payload)
                if size >= most_bytes:
                    return found
        if not found:
            self._drop()  # the writer may have closed what was released before
            found = self._finished()
        return found

    def _finished(self) -> list[Frame]:
        """What is left in the last segment where nobody writes any more: all else is released. The
        segment goes with the call that finds nothing.
        """
        last = self._segments()[-1:]
        if not last or last[0].number < self._next.segment or not self._size(last[0]):
            return []
        with self._unwritten() as ended:
            if not ended:
                return []
            (segment,) = last
            found = list(self._frames(segment, last=True))
            if not found:
                self.released = Position(segment.number, self._next.offset)
                self._note_released()  # first: a number below it is not taken again
                with self._removing:
                    self._remove(segment)
        return found

    @contextmanager
    def _unwritten(self) -> Iterator[bool]:
        """Whether nobody writes here; meanwhile nobody begins to."""
        try:
            lock = FolderLock(self._folder / WRITER, "spool", None)
        except UserError:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def again(self) -> None:
        """From the last release on, once more."""
        self._next = self.released

    def release(self, upto: Position) -> None:
        """What ends there or before is stored elsewhere, and goes.

        Where the disk cannot note how far that is, it is read again after a restart.
        """
        if upto <= self.released:
            return
        self.released = upto
        self._next = max(self._next, upto)
        self._drop()  # first, because it makes room
        try:
            self._note_released()
        except OSError as error:
            _log.warning("the checkpoint of the spool %s is not written: %s", self._folder, error)

    def _note_released(self) -> None:
        told = {"segment": self.released.segment, "offset": self.released.offset}
        self._files.replace(self._folder / CHECKPOINT, json.dumps(told).encode())

    def _drop(self) -> None:
        """Removes the segments before the checkpoint's, and that one too where it is read to its
        end and another follows.
        """
        segments = self._segments()
        for segment in segments:
            if segment.number < self.released.segment or (
                segment.number == self.released.segment
                and segment != segments[-1]
                and self.released.offset >= self._size(segment)
            ):
                with self._removing:
                    self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        names = self._files.names(self._folder)
        if segment.name in names:
            self._files.remove(self._folder / segment.name)
        note = note_of(segment)
        if note not in names:
            return
        try:
            if self._storage is not None:
                away = read_note(self._files, self._folder / note)
                write_note(self._files, self._folder / note, away._replace(released=True))
                self._storage.delete(away.object)
        except StorageError as error:
            _log.warning("what is stored stays in storage for now: %s", error)
        else:
            self._files.remove(self._folder / note)

    def pending(self) -> Pending:
        """How much waits."""
        total, released = 0, self.released
        for segment in self._segments():
            if segment.number < released.segment:
                continue
            start = released.offset if segment.number == released.segment else 0
            with suppress(FileNotFoundError):  # released meanwhile
                total += self._size(segment) - start
        return Pending(total)

    def rewrite(self, change: Callable[[bytes], bytes]) -> int:
        """Puts other payloads, no longer ones, in place of those of every segment that is closed.

        Returns how many changed. Each segment is replaced whole: after a crash it is the old or
        the new one, and calling again finishes the rest.
        """
        with self._unwritten() as ended:
            segments = self._segments()
            return self._rewritten(segments if ended else segments[:-1], change)

    def _rewritten(self, segments: list[Segment], change: Callable[[bytes], bytes]) -> int:
        changed = 0
        for segment in segments:
            data = self._whole(segment)
            parts, here = [], 0
            for found in frames_in(data, segment.salt, 0, last=True):
                part = data[found.start : found.end]
                if found.payload is not None:
                    new = change(found.payload)
                    if new != found.payload:
                        room = found.end - found.start - HEAD_BYTES
                        assert len(new) <= room, "a payload can only become shorter"
                        part, here = frame(new, segment.salt, found.start, room), here + 1
                parts.append(part)
            if here:
                self._replace(segment, b"".join(parts))
                changed += here
        return changed

    def _frames(self, segment: Segment, *, last: bool) -> Iterator[Frame]:
        """The frames of a segment from `_next` on; `last` where nothing is added to it any more."""
        piece = _PIECE
        while segment not in self._missing:
            start = self._next.offset
            size = self._size(segment)
            data = self._read(segment, start, piece)
            ends_here = start + len(data) >= size
            for found in frames_in(data, segment.salt, start, last=last and ends_here):
                self._next = Position(segment.number, found.end)
                if found.payload is None:
                    broken = data[found.start - start : found.end - start]
                    self._set_aside(segment, found.start, broken)
                else:
                    yield Frame(found.payload, self._next)
            if ends_here:
                return
            # A frame that is larger than the piece: read more of it at once.
            piece = _PIECE if self._next.offset > start else piece * 2

    def _size(self, segment: Segment) -> int:
        try:
            return self._files.size(self._folder / segment.name)
        except FileNotFoundError:
            return self._away(segment).size

    def _read(self, segment: Segment, start: int, most: int) -> bytes:
        """Bytes of a segment, wherever it is; none of one that is nowhere."""
        try:
            return self._files.read(self._folder / segment.name, start, most)
        except FileNotFoundError:
            pass
        fetched = self._fetched  # `rewrite` may let go of it at any time
        if fetched is None or fetched[0] != segment:
            away = self._away(segment)
            try:
                fetched = self._fetched = segment, self._stored().get(away.object)
            except Missing:
                if away.released:
                    self._missing.add(segment)
                    return b""
                raise StorageError(
                    f"{away.object} is not in the storage that `ingest.overflow` names: bring it "
                    "back. If its events are stored already, or nobody has them any more, remove "
                    f"{self._folder / note_of(segment)}"
                ) from None
        return fetched[1][start : start + most]

    def _whole(self, segment: Segment) -> bytes:
        """All of a closed segment; nothing of one that is gone."""
        path = self._folder / segment.name
        try:
            return self._files.read(path, 0, self._files.size(path))
        except FileNotFoundError:
            pass  # it is in storage, or released meanwhile
        try:
            return self._stored().get(self._away(segment).object)
        except (FileNotFoundError, Missing):
            return b""

    def _replace(self, segment: Segment, data: bytes) -> None:
        with self._removing:  # or what is stored would be there again
            names = self._files.names(self._folder)
            if segment.name in names:
                self._files.replace(self._folder / segment.name, data)
            elif note_of(segment) in names:
                self._stored().put(self._away(segment).object, data)
                self._fetched = None

    def _away(self, segment: Segment) -> Away:
        return read_note(self._files, self._folder / note_of(segment))

    def _stored(self) -> Storage:
        if self._storage is None:
            raise StorageError(
                f"segments of {self._folder} are in storage, and `ingest.overflow` names none"
            )
        return self._storage

    def _set_aside(self, segment: Segment, start: int, data: bytes) -> None:
        folder = self._folder / DAMAGED
        folder.mkdir(exist_ok=True)
        path = folder / f"{segment.name}.{start}"
        _log.error(
            "%d bytes of the spool %s at %d are broken: a copy is in %s",
            len(data), self._folder / segment.name, start, path,
        )  # fmt: skip
        self._files.replace(path, data)

    def _segments(self) -> list[Segment]:
        # One look at a folder can miss a file that a note takes the place of meanwhile. The note is
        # there before the file goes, so that the next look sees it.
        names = [*self._files.names(self._folder), *self._files.names(self._folder)]
        found = {segment_of(name) or noted(name) for name in names}
        return sorted(segment for segment in found if segment is not None)

    def close(self) -> None:
        """Lets another process read."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
