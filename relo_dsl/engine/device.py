"""All that is stored of one device, read back for `relo why`, and for whoever asks what is known.

This is not a segment query: it names one device by its key and reads its own rows, and only an
answer about that device comes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from relo_dsl.catalog import Catalog, PropertySpec, PropertyType
from relo_dsl.columns import (
    element_column,
    event_column,
    held_by,
    length_column,
    presence_column,
)
from relo_dsl.engine.client import Engine
from relo_dsl.interpret import ConsentRecord, Device, Event
from relo_dsl.records import decode_line, parse_record
from relo_dsl.times import to_millis

_OWN = "client_id = {client:UInt32} AND device = unhex({device:String})"
_HEAD = "toUnixTimestamp64Milli(time), tie, flags"


def stored_device(
    engine: Engine, catalog: Catalog, client: int, key: bytes, name: str, *, whole: bool = False
) -> Device | None:
    """The device of that key, under the id `name`; None where nothing is stored of it.

    The catalog's columns must be there (`apply_catalog`). With `whole` its events have all that is
    stored of them, not only what the catalog has now: values of properties that it does not name
    any more or names otherwise, and of another type.
    """
    own = {"client": client, "device": key.hex()}
    consents = engine.rows(
        f"SELECT {_HEAD} FROM consent WHERE {_OWN}",  # noqa: S608
        own,
    )
    found = Device(
        name,
        tuple(sorted(_events(engine, catalog, own, whole=whole), key=_order)),
        tuple(sorted(_identifies(engine, catalog, own), key=_order)),
        tuple(ConsentRecord(time, flags) for time, _, flags in sorted(consents)),
        tuple(sorted(_scores(engine, own), key=_order)),
    )
    known = found.events or found.identifies or found.consents or found.scores
    return found if known else None


def lists_with(engine: Engine, client: int, key: bytes) -> set[str]:
    """The names of the uploaded lists that a device is on."""
    rows = engine.rows(
        "SELECT name FROM lists WHERE client_id = {client:UInt32} AND device = "
        "unhex({device:String}) AND (name, version) IN (SELECT name, max(version) FROM lists "
        "WHERE client_id = {client:UInt32} GROUP BY name)",
        {"client": client, "device": key.hex()},
    )
    return {str(name) for (name,) in rows}


def _order(event: Event) -> tuple[int, int]:
    return event.time, event.tie


# ---- events ------------------------------------------------------------------------------------


def _events(
    engine: Engine, catalog: Catalog, own: Mapping[str, object], *, whole: bool
) -> Iterator[Event]:
    specs = {name: event.properties for name, event in catalog.events.items()}
    former = _former(engine) if whole else []
    every = [*specs.values(), *({name: spec} for name, spec in former)]
    columns = list(dict.fromkeys(c for s in every for c in _columns(s)))
    listed = ", ".join([_HEAD, "event_type", "rest", *(_selected(column) for column in columns)])
    # The identifiers come from `relo_dsl.columns`, the values travel as parameters.
    for row in engine.rows(f"SELECT {listed} FROM events WHERE {_OWN}", own):  # noqa: S608
        time, tie, flags, type_, rest = row[:5]
        stored = dict(zip(columns, row[5:], strict=True))
        own_specs = specs.get(str(type_), {})
        values = _values(own_specs.items(), stored)
        left = _rest(str(rest))
        if whole:
            found = [_values([one], stored) for one in former]
            yield Event(str(type_), time, tie, flags, _merged(*found, left, values))
            continue
        left = {k: v for k, v in left.items() if k not in own_specs}
        yield Event(str(type_), time, tie, flags, {**values, **left})


def _values(specs: Iterable[tuple[str, PropertySpec]], stored: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, spec in specs if (value := _value(name, spec, stored)) is not None
    }


def _former(engine: Engine) -> list[tuple[str, PropertySpec]]:
    """Every property that the table has a column of, with each of the types that it has had; each
    field of an array of objects by itself.
    """
    rows = engine.rows(
        "SELECT name, default_expression FROM system.columns WHERE database = {d:String} "
        "AND table = 'events' ORDER BY position",
        {"d": engine.database},
    )
    found = []
    for column, default in rows:
        held = held_by(str(column), str(default))
        if held is None:
            continue
        spec = PropertySpec(type=PropertyType(held.kind))
        if held.field is not None:
            spec = PropertySpec(type=PropertyType.OBJECTS, fields={held.field: spec})
        found.append((held.name, spec))
    return found


def _merged(*found: Mapping[str, Any]) -> dict[str, Any]:
    """One over the other, the last on top; arrays of objects element by element."""
    values: dict[str, Any] = {}
    for one in found:
        for name, value in one.items():
            below = values.get(name, ())
            if _are_objects(value) and _are_objects(below) and len(value) == len(below):
                value = tuple({**low, **high} for low, high in zip(below, value, strict=True))
            values[name] = value
    return values


def _are_objects(value: object) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(item, Mapping) for item in value)


def _columns(specs: Mapping[str, PropertySpec]) -> Iterator[str]:
    for name, spec in specs.items():
        if spec.type is PropertyType.OBJECTS:
            yield presence_column(name, spec.type)
            yield length_column(name)
            for field, inner in spec.fields.items():
                yield element_column(name, field, inner.type)
            continue
        if spec.type in (PropertyType.STRINGS, PropertyType.NUMBERS):
            yield presence_column(name, spec.type)
        yield event_column(name, spec.type)


def _selected(column: str) -> str:
    return f"`{column}`"


def _value(name: str, spec: PropertySpec, stored: Mapping[str, Any]) -> Any:
    """A property as the evaluator reads it; None where it is absent."""
    if spec.type is PropertyType.OBJECTS:
        if not stored[presence_column(name, spec.type)]:
            return None
        parts = {f: stored[element_column(name, f, s.type)] for f, s in spec.fields.items()}
        return tuple(
            {
                field: _scalar(spec.fields[field].type, items[place])
                for field, items in parts.items()
                if items[place] is not None
            }
            for place in range(stored[length_column(name)])
        )
    value = stored[event_column(name, spec.type)]
    if spec.type in (PropertyType.STRINGS, PropertyType.NUMBERS):
        return tuple(value) if stored[presence_column(name, spec.type)] else None
    return _scalar(spec.type, value)


def _scalar(kind: PropertyType, value: Any) -> Any:
    if value is None:
        return None
    if kind is PropertyType.TIME:
        return _time(value)
    if kind is PropertyType.POINT:
        return tuple(Decimal(repr(part)) for part in value) or None
    return value


def _time(value: datetime) -> Decimal | str:
    """An instant in epoch milliseconds, or, where a tenth of one more is stored, a local date."""
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    is_date = moment.microsecond // 100 % 10 == 1
    return moment.date().isoformat() if is_date else Decimal(to_millis(moment))


def _rest(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    raw = {"t": "rest", "ts": 0, "cid": 0, "did": "rest", "eid": "rest"}
    return parse_record({**raw, "props": decode_line(text)}).values


# ---- identifies and scores ---------------------------------------------------------------------


def _identifies(engine: Engine, catalog: Catalog, own: Mapping[str, object]) -> Iterator[Event]:
    rows = engine.rows(
        f"SELECT {_HEAD}, name, present, value, v_time FROM traits WHERE {_OWN}",  # noqa: S608
        own,
    )
    found: dict[tuple[int, int], Event] = {}
    for time, tie, flags, name, present, text, moment in rows:
        event = found.setdefault((time, tie), Event("identify", time, tie, flags, {}))
        if not name:
            continue
        spec = catalog.traits.get(str(name))
        value: Any = None
        if present:
            value = _rest(f'{{"it":{text}}}')["it"]
            if spec is not None and spec.type is PropertyType.TIME and moment is not None:
                value = _time(moment)
        values = {**event.values, str(name): value}
        found[time, tie] = Event("identify", time, tie, flags, values)
    yield from found.values()


def _scores(engine: Engine, own: Mapping[str, object]) -> Iterator[Event]:
    rows = engine.rows(f"SELECT {_HEAD}, name, value FROM scores WHERE {_OWN}", own)  # noqa: S608
    found: dict[tuple[int, int], Event] = {}
    for time, tie, flags, name, value in rows:
        event = found.get((time, tie), Event("score", time, tie, flags, {}))
        values = {**event.values, str(name): value}
        found[time, tie] = Event("score", time, tie, flags, values)
    yield from found.values()
