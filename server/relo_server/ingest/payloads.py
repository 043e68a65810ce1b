"""What a frame of the spool holds: the records of one request, as they are kept. No I/O.

A line of JSON says whose they are, from which source, when they were received and what was refused;
below it each record has a line, in the form of section 9 of the language. Its `did` is the device's
key in hex: raw ids are not written to any disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from relo_dsl.numbers import read_number
from relo_dsl.records import RecordError, decode_line
from relo_dsl.shapes import ShapedEvent

_decode = msgspec.json.Decoder(float_hook=read_number).decode
_encoder = msgspec.json.Encoder(decimal_format="number")
encode = _encoder.encode


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that was not taken: where it stood in the request, why, and what it was.

    `record` is as much of it as may be kept, without raw identifiers; None where it is no JSON.
    """

    index: int
    reason: str
    field: str | None = None
    value: str = ""
    record: dict[str, Any] | None = None


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the records of a payload have in common. `received` is epoch milliseconds.

    `duplicate` counts records that the request repeated, or that were there already.
    """

    client: int
    source: str
    received: int
    duplicate: int = 0
    refused: list[Refusal] = []


_envelopes = msgspec.json.Decoder(Envelope, float_hook=read_number)


def decode(data: bytes | str) -> Any:
    """Any JSON, numbers exact, several times as fast as `relo_dsl.records.decode_line`. Raises
    msgspec.DecodeError, and RecursionError for what is nested too deep.
    """
    try:
        return _decode(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("the text is not UTF-8") from error


def record_of(line: bytes) -> dict[str, Any] | RecordError:
    """A raw record, or what is wrong with its JSON."""
    try:
        found = decode(line)
        if isinstance(found, dict):
            return found
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return decode_line(line)  # says what is wrong with it
    except RecordError as error:
        return error


def well_formed(value: Any) -> Any:
    """The same value, with a sign for what is missing in place of each half of a surrogate pair:
    JSON can write one, and UTF-8 cannot.
    """
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {well_formed(name): well_formed(part) for name, part in value.items()}
    if isinstance(value, list):
        return [well_formed(part) for part in value]
    return value


def pack(envelope: Envelope, records: Sequence[dict[str, Any] | ShapedEvent]) -> bytes:
    """A payload of records that were checked."""
    return encode(envelope) + b"\n" + _encoder.encode_lines(records)


def unpack(payload: bytes) -> tuple[Envelope, list[bytes]]:
    """The envelope of a payload, and its records, a line each."""
    head, _, rest = payload.partition(b"\n")
    return _envelopes.decode(head), rest.split(b"\n")[:-1] if rest else []
