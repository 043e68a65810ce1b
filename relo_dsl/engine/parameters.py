"""Values on their way to the engine: the form in which clickhouse-connect sends them exactly.

Tried on clickhouse-connect 1.12 with chDB, and over HTTP with the stand-in of tests/engine (which
parses with chDB too; no real server was at hand): texts with quotes, backslashes, NUL, line breaks,
`{x:String}` and emoji arrive unchanged, and so do bytes in `FixedString(16)` and its arrays.
By clickhouse-connect's account a server takes at most 128 KiB a form field
(`http_max_field_value_size`), so longer texts travel in pieces that the query joins again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from relo_dsl.errors import UserError

#: Bytes of one piece before escaping, which at most doubles it; the limit is 128 KiB.
PIECE_BYTES = 60_000


def sendable(params: Mapping[str, object]) -> dict[str, object]:
    """The parameters in types that are written exactly. Raises UserError for what is no Unicode."""
    return {name: _sendable(value) for name, value in params.items()}


def _sendable(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return _checked(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | bytes) or value is None:
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_element(item) for item in value]
    raise TypeError(f"a {type(value).__name__} cannot be a query parameter")


def _element(value: object) -> object:
    # Inside an array a decimal is a bare number; as text it would stand in quotes.
    return value if isinstance(value, Decimal) else _sendable(value)


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError("a text in the query is not valid Unicode") from error
    return text


def in_pieces(text: str, params: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """The query with every text too long for a form field split, and joined by the query itself.

    Safe as plain replacement: query texts hold no literals from outside, only placeholders.
    """
    fitting: dict[str, object] = {}
    for name, value in params.items():
        if isinstance(value, str) and len(value.encode()) > PIECE_BYTES:
            pieces = {f"{name}_piece{i}": piece for i, piece in enumerate(_pieces(value))}
            joined = "concat(" + ", ".join(f"{{{piece}:String}}" for piece in pieces) + ")"
            text = re.sub(rf"\{{{name}:\s*String\}}", _literally(joined), text)
            fitting.update(pieces)
        elif isinstance(value, list) and _size(value) > PIECE_BYTES:
            text, parts = _array_in_pieces(text, name, value)
            fitting.update(parts)
        else:
            fitting[name] = value
    return text, fitting


def _pieces(value: str) -> Iterator[str]:
    step = PIECE_BYTES // 4  # a character takes at most 4 bytes
    for start in range(0, len(value), step):
        yield value[start : start + step]


def _size(items: list[object]) -> int:
    return sum(_width(item) for item in items)


def _width(item: object) -> int:
    if isinstance(item, bytes):
        return 2 * len(item) + 4  # each byte is written `\xNN`, twice what escaping makes of text
    return len(str(item).encode()) + 4


def _array_in_pieces(text: str, name: str, items: list[object]) -> tuple[str, dict[str, object]]:
    found = re.search(rf"\{{{name}:\s*(Array\([^}}]+\))\}}", text)
    kind = found.group(1) if found else "Array(String)"
    groups: list[list[object]] = [[]]
    size = 0
    for item in items:
        width = _width(item)
        if width > PIECE_BYTES:
            raise UserError("a text in a list of values is too long for a ClickHouse server")
        if size + width > PIECE_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += width
    parts: dict[str, object] = {f"{name}_piece{i}": group for i, group in enumerate(groups)}
    joined = "arrayConcat(" + ", ".join(f"{{{part}:{kind}}}" for part in parts) + ")"
    return re.sub(rf"\{{{name}:\s*Array\([^}}]+\)\}}", _literally(joined), text), parts


def _literally(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text
