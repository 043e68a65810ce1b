"""How payloads lie in a segment: each in a frame that proves itself. No I/O.

A frame is 20 bytes and the payload: a mark, the room that the payload has, the bytes of it that are
used, a CRC-32 of those numbers, and one of the payload with its place. The name of a segment holds
its number and 8 random bytes, the salt, which go into the sums: whatever a payload says, it cannot
contain a frame that counts. A broken frame costs itself alone: the search goes on at the next mark.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

_HEAD = struct.Struct("<4sIIII")
HEAD_BYTES = _HEAD.size
_MARK = b"\xf5rel"
_PLACE = struct.Struct("<Q")
_NAME = re.compile(r"([0-9]{12})-([0-9a-f]{16})\.spool")
#: The largest payload; a length beyond it is no length.
MAX_PAYLOAD = 2**28


class Position(NamedTuple):
    """A place between frames: a segment's number, and the offset in it."""

    segment: int
    offset: int


#: Before everything.
START = Position(0, 0)


class Segment(NamedTuple):
    """A segment's number and salt, which are its name."""

    number: int
    salt: bytes

    @property
    def name(self) -> str:
        return f"{self.number:012}-{self.salt.hex()}.spool"


def segment_of(name: str) -> Segment | None:
    """The segment that a file is; None for any other file."""
    found = _NAME.fullmatch(name)
    return Segment(int(found[1]), bytes.fromhex(found[2])) if found else None


def frame(payload: bytes, salt: bytes, offset: int, room: int | None = None) -> bytes:
    """The payload as it lies at that offset of a segment, padded to `room`."""
    room = len(payload) if room is None else room
    sizes = struct.pack("<II", room, len(payload))
    head = crc32(salt + _PLACE.pack(offset) + sizes)
    body = crc32(payload, head)
    return _HEAD.pack(_MARK, room, len(payload), head, body) + payload.ljust(room, b"\0")


class Found(NamedTuple):
    """A frame in some bytes of a segment, or what is broken there (payload None).

    `start` and `end` are offsets in the segment; `end` is where the next may start.
    """

    start: int
    end: int
    payload: bytes | None


def frames_in(data: bytes, salt: bytes, offset: int, *, last: bool) -> Iterator[Found]:
    """The frames of some bytes that begin at that offset of a segment.

    It ends before a frame that the bytes end in, unless they are the `last` ones: then what does
    not count up to the next frame that does, or to the end, is found as broken.
    """
    at = 0
    while at < len(data):
        payload, end = _frame_at(data, salt, offset, at)
        if payload is not None:
            yield Found(offset + at, offset + end, payload)
            at = end
            continue
        if end > len(data) and not last:
            return  # it may be whole when there are more bytes
        after = _next(data, salt, offset, at + 1, last=last)
        if after is None:
            return
        yield Found(offset + at, offset + after, None)
        at = after


def _frame_at(data: bytes, salt: bytes, offset: int, at: int) -> tuple[bytes | None, int]:
    """The payload of the frame there and its end; None with an end past the bytes if more are
    needed, with `at` if there is none.
    """
    if at + HEAD_BYTES > len(data):
        short = data[at : at + 4]
        return None, len(data) + 1 if _MARK.startswith(short) else at
    mark, room, length, head, body = _HEAD.unpack_from(data, at)
    if mark != _MARK or length > room or room > MAX_PAYLOAD:
        return None, at
    if crc32(salt + _PLACE.pack(offset + at) + data[at + 4 : at + 12]) != head:
        return None, at
    end = at + HEAD_BYTES + room
    if end > len(data):
        return None, end
    payload = data[at + HEAD_BYTES : at + HEAD_BYTES + length]
    return (payload, end) if crc32(payload, head) == body else (None, at)


def _next(data: bytes, salt: bytes, offset: int, start: int, *, last: bool) -> int | None:
    """Where the next frame that counts begins; the end, where there is none and none will come."""
    at = data.find(_MARK, start)
    while at >= 0:
        payload, end = _frame_at(data, salt, offset, at)
        if payload is not None:
            return at
        if end > len(data) and not last:
            return None
        at = data.find(_MARK, at + 1)
    return len(data) if last else None
