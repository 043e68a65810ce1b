"""What requests pack is unpacked in time that grows with it, and no faster."""

from __future__ import annotations

import gzip

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from relo_dsl.errors import UserError
from relo_server.ingest.bodies import TooLarge, unpacked
from tests.growth import growth

MOST = 32 * 2**20
SMALL = bytes(range(256)) * 4
zstd = pa.Codec("zstd")


def packed(data: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(data, 0, mtime=0)
    found: bytes = zstd.compress(data, asbytes=True)
    return found


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@given(parts=st.lists(st.binary(max_size=300), max_size=20))
def test_several_one_after_the_other(encoding: str, parts: list[bytes]) -> None:
    body = b"".join(packed(part, encoding) for part in parts)
    assert unpacked(body, encoding, MOST) == b"".join(parts)


@given(st.lists(st.integers(0, 300_000), max_size=3))
def test_long_ones(sizes: list[int]) -> None:
    body = b"".join(gzip.compress(bytes(size), 1) for size in sizes)
    assert unpacked(body, "gzip", MOST) == bytes(sum(sizes))
    if sum(sizes):
        with pytest.raises(TooLarge):
            unpacked(body, "gzip", sum(sizes) - 1)


def test_many_of_them_take_no_longer_for_their_number() -> None:
    """`unused_data` is a copy of all that follows: taken for each, it grows with the square."""
    piece = packed(SMALL, "gzip").decode("latin-1")

    def run(text: str) -> bytes:
        return unpacked(text.encode("latin-1"), "gzip", MOST)

    assert growth(run, piece, 1_250) < 30


def test_too_many_are_refused() -> None:
    one = gzip.compress(b"")
    assert unpacked(one * 10_000, "gzip", MOST) == b""
    with pytest.raises(UserError, match="more than 10,000 gzip files"):
        unpacked(one * 100_000, "gzip", MOST)


@given(st.integers(1, 40))
def test_one_that_ends_early_is_told(missing: int) -> None:
    one = gzip.compress(SMALL)
    with pytest.raises(UserError, match="in the midst"):
        unpacked(one + one[:-missing], "gzip", MOST)


def test_what_follows_is_told() -> None:
    with pytest.raises(UserError, match="not gzip"):
        unpacked(gzip.compress(SMALL) + b"more", "gzip", MOST)
