"""Bodies of requests as raw records: JSON or JSON lines, plain or compressed. No I/O."""

from __future__ import annotations

import io
import json
import zlib

import msgspec
import pyarrow as pa

from relo_dsl.errors import UserError

JSON = "application/json"
LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
ENCODINGS = ("gzip", "zstd")
_PIECE = 2**20
_SPACES = " \t\r\n"
_anything = json.JSONDecoder()
_FIRST_PIECE = 64
#: Gzip files in one body: as many as it has records by default. Each takes time, even if empty.
_MOST_MEMBERS = 10_000
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class TooLarge(UserError):
    """More than a request may hold."""


class NotUnderstood(UserError):
    """A media type or an encoding that is not known."""


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body without its `Content-Encoding`. Raises TooLarge past `most` bytes, before it has
    them all; NotUnderstood, and UserError for what is not so encoded.
    """
    if encoding in ("", "identity"):
        found: bytes | None = body
    elif encoding == "gzip":
        found = _gzip(body, most)
    elif encoding == "zstd":
        found = _zstd(body, most)
    else:
        raise NotUnderstood(
            f"`Content-Encoding: {encoding}` is not known", f"use {' or '.join(ENCODINGS)}"
        )
    if found is None or len(found) > most:
        raise TooLarge(f"the body is larger than {most:,} bytes", "send it in parts")
    return found


def _gzip(body: bytes, most: int) -> bytes | None:
    parts, size = [], 0
    whole, start, members = memoryview(body), 0, 0
    try:
        while start < len(body):  # a file may be several, one after the other
            members += 1
            if members > _MOST_MEMBERS:
                raise UserError(
                    f"the body is more than {_MOST_MEMBERS:,} gzip files in a row",
                    "pack it as one",
                )
            one, piece = zlib.decompressobj(wbits=31), _FIRST_PIECE
            while not one.eof:
                if start == len(body):
                    raise UserError("the body ends in the midst of its gzip data", "send it whole")
                part = whole[start : start + piece]
                parts.append(one.decompress(part, most + 1 - size))
                size += len(parts[-1])
                if size > most:
                    return None
                start += len(part) - len(one.unused_data)
                # What comes after the end is copied: no more of it than the file had so far.
                piece = min(2 * piece, _PIECE)
    except zlib.error as error:
        raise UserError("the body is not gzip", "leave `Content-Encoding` out") from error
    return b"".join(parts)


def _zstd(body: bytes, most: int) -> bytes | None:
    parts, size = [], 0
    try:
        with pa.CompressedInputStream(io.BytesIO(body), "zstd") as stream:
            while part := stream.read(_PIECE):
                parts.append(part)
                size += len(part)
                if size > most:
                    return None
    except OSError as error:
        raise UserError("the body is not zstd", "leave `Content-Encoding` out") from error
    return b"".join(parts)


def lines_of(body: bytes, media: str, most: int) -> list[bytes]:
    """The records of a body, each as JSON, in order; none is read here.

    `application/json` is an array of records, or one. Raises TooLarge past `most` records,
    NotUnderstood, and UserError for JSON that is none.
    """
    if media in LINES:
        found = [line for line in body.split(b"\n") if line and not line.isspace()]
    elif media in (JSON, ""):
        found = _array(body)
    else:
        known = ", ".join([JSON, *sorted(LINES)])
        raise NotUnderstood(f"`Content-Type: {media}` is not known", f"use {known}")
    if len(found) > most:
        raise TooLarge(f"{len(found):,} records are more than {most:,}", "send them in parts")
    return found


def _array(body: bytes) -> list[bytes]:
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return [bytes(item) for item in _items(body)]
    except msgspec.ValidationError:  # no array
        return [body]
    except (msgspec.DecodeError, RecursionError) as error:
        found = _odd_array(body)
        if found is None:
            raise UserError(
                f"the body is not JSON: {error}", "a line for each record is `application/x-ndjson`"
            ) from error
        return found


def _odd_array(body: bytes) -> list[bytes] | None:
    """The same for an array that msgspec does not take, for half a surrogate pair in one record:
    Python does, and the record is refused by itself. None where that is no array either.
    """
    text = body.decode("utf-8", "surrogateescape").strip(_SPACES)
    if not (text.startswith("[") and text.endswith("]")):
        return None
    found: list[bytes] = []
    place = _next(text, 1)
    try:
        while place < len(text) - 1:
            _, end = _anything.raw_decode(text, place)
            found.append(text[place:end].encode("utf-8", "surrogateescape"))
            place = _next(text, end)
            if text[place] == ",":
                place = _next(text, place + 1)
                if place < len(text) - 1:
                    continue
            elif place == len(text) - 1:
                return found
            return None
    except (ValueError, IndexError, RecursionError):
        return None
    return found


def _next(text: str, place: int) -> int:
    """Where the next thing begins; the last bracket is none of what is passed over."""
    while text[place] in _SPACES:
        place += 1
    return place
