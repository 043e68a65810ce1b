"""The staged tables' columns, and Arrow arrays of exactly ClickHouse's types for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Context, Decimal
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from relo_dsl.catalog import Catalog
from relo_dsl.engine.migrate import catalog_columns
from relo_dsl.numbers import PLACES
from relo_dsl.times import local_midnight

if TYPE_CHECKING:
    import pyarrow as pa

TIME = "DateTime64(3, 'UTC')"
#: Times that are values: tenths of milliseconds, in which a local date differs from an instant.
VALUE_TIME = "DateTime64(4, 'UTC')"
NUMBER = "Decimal(38, 9)"
_NUMBER_TYPES = {NUMBER, f"Nullable({NUMBER})"}
#: A column that staged events may have in place of their `tie`, which is made of it.
ID = "eid"
_HEAD = {
    "seq": "UInt64",
    "client_id": "UInt32",
    "device": "FixedString(16)",
    "time": TIME,
    "tie": "UInt64",
    "flags": "UInt8",
}
_CARRIED = {**_HEAD, "carried": "UInt8"}
TRAIT_VALUES = {
    "v_string": "LowCardinality(Nullable(String))",
    "v_number": f"Nullable({NUMBER})",
    "v_boolean": "Nullable(Bool)",
    "v_time": f"Nullable({VALUE_TIME})",
    "v_point": "Array(Float64)",
    "v_strings": "Array(LowCardinality(String))",
    "v_numbers": f"Array({NUMBER})",
}


def staged_columns(catalog: Catalog) -> dict[str, dict[str, str]]:
    """The columns of each staged table and their ClickHouse types.

    Those of the table they go to, without what the commit works out (`retain_months`), and with
    `seq`, the number of the record within its load.
    """
    properties = {name: kind for name, (kind, _) in catalog_columns(catalog).items()}
    name = {"name": "LowCardinality(String)"}
    return {
        "events": {
            **_CARRIED,
            "event_type": "LowCardinality(String)",
            "rest": "String",
            **properties,
        },
        "traits": {**_CARRIED, **name, "present": "UInt8", "value": "String", **TRAIT_VALUES},
        "scores": {**_CARRIED, **name, "value": NUMBER},
        "consent": {**_HEAD, "cleared": "UInt8", "granted": "UInt8"},
    }


def empty_of(kind: str) -> object:
    """What stands in a column of a ClickHouse type where a row has no value."""
    if kind.startswith("Array("):
        return ()
    return 0 if kind.startswith("UInt") else None


def value_ticks(value: Decimal | date | str) -> int:
    """Tenths of milliseconds since the epoch; a local date is its midnight UTC and one more."""
    if isinstance(value, Decimal):
        return int(value) * 10
    day = value if isinstance(value, date) else date.fromisoformat(value)
    return local_midnight(day, "UTC") * 10 + 1


def to_arrow(values: Sequence[Any], kind: str) -> pa.Array:
    """An Arrow array of the values for a column of a ClickHouse type. Times come as epoch ms, times
    that are values as `value_ticks`.
    """
    import pyarrow as pa

    if kind.startswith("Array("):
        inner = kind.removeprefix("Array(").removesuffix(")")
        offsets = pa.array([0, *accumulate(map(len, values))], pa.int32())
        return pa.ListArray.from_arrays(offsets, to_arrow(list(chain.from_iterable(values)), inner))
    if kind in _NUMBER_TYPES:
        return _decimals(values)
    if TIME in kind:
        return pa.array(values, pa.int64()).cast(pa.timestamp("ms", "UTC"))
    if VALUE_TIME in kind:
        micros = [None if value is None else value * 100 for value in values]
        return pa.array(micros, pa.int64()).cast(pa.timestamp("us", "UTC"))
    plain = {
        "Float64": pa.float64(),
        "UInt64": pa.uint64(),
        "UInt32": pa.uint32(),
        "UInt8": pa.uint8(),
        "FixedString(16)": pa.binary(16),
        "Nullable(Bool)": pa.bool_(),
    }
    return pa.array(values, plain.get(kind, pa.string()))


_EXACT = Context(prec=60)
_ZERO = bytes(16)
_SCALE: int = 10**PLACES


def _decimals(values: Sequence[Decimal | int | None]) -> pa.Array:
    """Decimal(38, 9) from scaled integers: pyarrow's own way takes 4 µs a value, this a tenth."""
    import pyarrow as pa

    scaled = [None if value is None else _scaled(value) for value in values]
    try:
        # Widening keeps the bytes that a decimal of any scale has.
        valid, raw = pa.array(scaled, pa.int64()).cast(pa.decimal128(19, 0)).buffers()
    except OverflowError:
        raw = pa.py_buffer(b"".join(
            _ZERO if value is None else value.to_bytes(16, "little", signed=True)
            for value in scaled
        ))  # fmt: skip
        valid = pa.array([value is not None for value in scaled], pa.bool_()).buffers()[1]
    return pa.Decimal128Array.from_buffers(pa.decimal128(38, 9), len(values), [valid, raw])


def _scaled(value: Decimal | int) -> int:
    if isinstance(value, int):
        return value * _SCALE
    return int(value.scaleb(PLACES, _EXACT))
