"""A frame proves itself: whatever is cut, flipped or forged, the others are found and no other."""

from __future__ import annotations

from relo_server.spool.frames import HEAD_BYTES, Found, Segment, frame, frames_in, segment_of

SALT = b"saltsalt"
PAYLOADS = [b"first", b"", b"the third one", b"x" * 40]


def segment(payloads: list[bytes]) -> bytes:
    data = b""
    for payload in payloads:
        data += frame(payload, SALT, len(data))
    return data


def payloads(data: bytes, *, last: bool = True) -> list[bytes]:
    found = frames_in(data, SALT, 0, last=last)
    return [item.payload for item in found if item.payload is not None]


WHOLE = segment(PAYLOADS)
ENDS = [len(segment(PAYLOADS[:count])) for count in range(len(PAYLOADS) + 1)]


def test_what_was_written_is_read() -> None:
    assert payloads(WHOLE) == PAYLOADS
    assert [item.end for item in frames_in(WHOLE, SALT, 0, last=True)] == ENDS[1:]


def test_a_tail_cut_at_every_byte_leaves_the_frames_before_it() -> None:
    for cut in range(len(WHOLE) + 1):
        whole = [payload for payload, end in zip(PAYLOADS, ENDS[1:], strict=True) if end <= cut]
        assert payloads(WHOLE[:cut]) == whole
        assert payloads(WHOLE[:cut], last=False) == whole
        # More may come: nothing is given up before.
        assert all(item.payload is not None for item in frames_in(WHOLE[:cut], SALT, 0, last=False))


def test_every_flipped_bit_costs_its_own_frame_alone() -> None:
    for place in range(len(WHOLE)):
        for bit in range(8):
            data = bytearray(WHOLE)
            data[place] ^= 1 << bit
            broken = next(i for i, end in enumerate(ENDS[1:]) if place < end)
            assert payloads(bytes(data)) == [p for i, p in enumerate(PAYLOADS) if i != broken]


def test_what_is_broken_is_told_with_its_place() -> None:
    data = bytearray(WHOLE)
    data[ENDS[1] + 3] ^= 1
    (found,) = [item for item in frames_in(bytes(data), SALT, 0, last=True) if item.payload is None]
    assert found == Found(ENDS[1], ENDS[2], None)


def test_a_payload_can_not_hold_a_frame_that_counts() -> None:
    inner = frame(b"forged", b"otherone", HEAD_BYTES)
    data = bytearray(frame(inner, SALT, 0) + frame(b"good", SALT, HEAD_BYTES + len(inner)))
    data[8] ^= 1  # the outer frame breaks, so that its payload is searched
    assert payloads(bytes(data)) == [b"good"]


def test_a_frame_moved_elsewhere_does_not_count() -> None:
    one = frame(b"one", SALT, 0)
    assert payloads(one + one) == [b"one"]


def test_room_is_not_payload() -> None:
    data = frame(b"short", SALT, 0, room=50) + frame(b"next", SALT, HEAD_BYTES + 50)
    assert payloads(data) == [b"short", b"next"]


def test_names() -> None:
    one = Segment(7, SALT)
    assert one.name == "000000000007-73616c7473616c74.spool"
    assert segment_of(one.name) == one
    assert segment_of("checkpoint") is None
