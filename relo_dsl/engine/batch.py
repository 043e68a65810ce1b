"""Records gathered column by column, and turned into Arrow tables for the staging tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

from relo_dsl.catalog import Catalog, PropertySpec, PropertyType
from relo_dsl.columns import (
    ARRAY_TYPES,
    element_column,
    event_column,
    length_column,
    presence_column,
)
from relo_dsl.engine.arrow import ID, empty_of, staged_columns, to_arrow, value_ticks
from relo_dsl.interpret import typed
from relo_dsl.records import Record, Value
from relo_dsl.shapes import Column, ShapedEvent, Shapes, values_of

if TYPE_CHECKING:
    import pyarrow as pa

_quote = json.encoder.encode_basestring

#: What every staged row starts with.
_HEAD = ("seq", "client_id", "device", "time", "tie")


def json_text(value: object) -> str:
    """JSON of a value of a record: decimals without exponents, so that they can be read exactly."""
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_quote(k)}:{json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return "null"


class _Rows:
    """Columns of one staged table: dense ones as lists, properties by the rows that have them."""

    def __init__(self, dense: Iterable[str]) -> None:
        self.names = tuple(dense)
        self.rows: list[tuple[object, ...]] = []
        self.sparse: dict[str, tuple[list[int], list[Any]]] = {}

    @property
    def count(self) -> int:
        return len(self.rows)

    def put(self, column: str, value: object) -> None:
        """Sets a property's column in the row that is being added."""
        rows, values = self.sparse.setdefault(column, ([], []))
        rows.append(len(self.rows))
        values.append(value)

    def dense(self) -> dict[str, Sequence[Any]]:
        """The columns that every row has."""
        return dict(zip(self.names, zip(*self.rows, strict=True), strict=True))

    def filled(self, column: str, empty: object) -> list[Any]:
        full = [empty] * len(self.rows)
        rows, values = self.sparse.get(column, ([], []))
        for row, value in zip(rows, values, strict=True):
            full[row] = value
        return full


class Batch:
    """What the next insert into the staging tables will hold."""

    def __init__(self, catalog: Catalog, shapes: Shapes | None = None) -> None:
        self.kinds = staged_columns(catalog)
        self._shapes = shapes
        self._shaped: dict[type[ShapedEvent], list[tuple[int, bytes, ShapedEvent]]] = {}
        self.size = 0
        """Records so far, each value of a profile or a score counted too."""
        self._specs = {name: event.properties for name, event in catalog.events.items()}
        self._traits_typed = catalog.traits
        self._fields = _element_fields(catalog)
        head = (*_HEAD, "flags", "carried")
        self._events = _Rows((*head, "event_type", "rest"))
        self._traits = _Rows((*head, "name", "present", "value"))
        self._scores = _Rows((*head, "name", "value"))
        self._consent = _Rows((*_HEAD, "flags", "cleared", "granted"))

    def _parts(self) -> dict[str, _Rows]:
        return {
            "events": self._events,
            "traits": self._traits,
            "scores": self._scores,
            "consent": self._consent,
        }

    def add(self, record: Record, device: bytes, tie: int, seq: int) -> None:
        """Adds a record whose types were checked; `seq` numbers the records of a load."""
        head = (seq, record.client, device, record.time, tie)
        carried = (record.flags or 0, int(record.flags is not None))
        self.size += 1 if record.kind == "event" else 1 + len(record.values)
        if record.kind == "event":
            self._add_event(record, (*head, *carried))
        elif record.kind == "identify":
            self._add_trait("", None, (*head, *carried))
            for name, value in record.values.items():
                if name:
                    self._add_trait(name, value, (*head, *carried))
        elif record.kind == "score":
            for name, value in record.values.items():
                self._scores.rows.append((*head, *carried, name, value))
        else:
            changes = (record.cleared, record.granted)
            self._consent.rows.append((*head, record.consent or 0, *changes))

    def add_shaped(
        self, events: Sequence[ShapedEvent], device_of: Callable[[int, str], bytes], seq: int
    ) -> None:
        """Adds events that were read in this batch's shapes, for the clients that they name; `seq`
        is the number of the first.
        """
        self.size += len(events)
        for number, event in enumerate(events, seq):
            kind = type(event)
            if kind not in self._shaped:
                self._shaped[kind] = []
            assert event.cid is not None
            self._shaped[kind].append((number, device_of(event.cid, event.did), event))

    def _add_event(self, record: Record, head: tuple[object, ...]) -> None:
        events, rest = self._events, {}
        specs = self._specs.get(record.type, {})
        for name, value in record.values.items():
            spec = specs.get(name)
            left = value if spec is None else self._put(name, spec, value)
            if left is not None:
                rest[name] = left
        events.rows.append((*head, record.type, json_text(rest) if rest else ""))

    def _put(self, name: str, spec: PropertySpec, value: object) -> object | None:
        """Puts a property into its columns; returns what has no column and stays in `rest`."""
        kind = spec.type
        if kind is PropertyType.OBJECTS:
            return self._put_objects(name, spec, cast(tuple[Mapping[str, Any], ...], value))
        column = _column(name, kind)
        if kind is PropertyType.TIME:
            value = value_ticks(cast("Decimal | str", value))
        elif kind is PropertyType.POINT:
            value = [float(part) for part in cast("tuple[Decimal, Decimal]", value)]
        self._events.put(column, value)
        if kind is PropertyType.STRINGS or kind is PropertyType.NUMBERS:
            self._events.put(_presence(name, kind), 1)
        return None

    def _put_objects(
        self, name: str, spec: PropertySpec, value: tuple[Mapping[str, Any], ...]
    ) -> object | None:
        self._events.put(_presence(name, PropertyType.OBJECTS), 1)
        self._events.put(length_column(name), len(value))
        # Fields that the catalog gives to other events' arrays of this name are read here too: the
        # columns of one array have one length.
        for field, kind in self._fields[name]:
            items = _typed_items(spec, field, kind, [item.get(field) for item in value])
            self._events.put(_element(name, field, kind), items)
        left = [{k: v for k, v in item.items() if k not in spec.fields} for item in value]
        return left if any(left) else None

    def _add_trait(self, name: str, value: Value | None, head: tuple[object, ...]) -> None:
        traits = self._traits
        spec = self._traits_typed.get(name)
        kind = None if spec is None else spec.type
        if kind is PropertyType.TIME and isinstance(value, Decimal | str):
            traits.put("v_time", value_ticks(value))
        elif kind is PropertyType.POINT and isinstance(value, tuple):
            traits.put("v_point", [float(cast(Decimal, part)) for part in value])
        elif value is not None:
            _put_trait(traits, value)
        text = "" if value is None else json_text(value)
        traits.rows.append((*head, name, int(value is not None), text))

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Arrow tables for the staged tables that get rows, one or more for each."""
        import pyarrow as pa

        for name, part in self._parts().items():
            if not part.count:
                continue
            arrays = {}
            dense = part.dense()
            for column, kind in self.kinds[name].items():
                values = dense.get(column) or part.filled(column, empty_of(kind))
                arrays[column] = to_arrow(values, kind)
            yield name, pa.table(arrays)
        for rows in self._shaped.values():
            yield "events", self._shaped_table(rows)

    def _shaped_table(self, rows: list[tuple[int, bytes, ShapedEvent]]) -> pa.Table:
        """Events of one shape. The columns that it lacks get what stands for no value."""
        import pyarrow as pa

        assert self._shapes is not None
        numbers, devices, events = zip(*rows, strict=True)
        shape = self._shapes.shape(events[0])
        columns: dict[str, Sequence[Any]] = {
            "seq": numbers,
            "client_id": [one.cid for one in events],
            "device": devices,
            "time": [one.ts for one in events],
            ID: [one.eid for one in events],
            "flags": [one.flags or 0 for one in events],
            "carried": [int(one.flags is not None) for one in events],
            "event_type": [shape.event] * len(events),
        }
        for column in shape.columns:
            columns.update(self._shaped_columns(column, values_of(events, column.attribute)))
        kinds = {**self.kinds["events"], ID: "String"}
        return pa.table({name: to_arrow(values, kinds[name]) for name, values in columns.items()})

    def _shaped_columns(self, column: Column, values: list[Any]) -> Iterator[tuple[str, list[Any]]]:
        """The columns of the table that hold the values of a shape's column."""
        name, kind = column.name, column.kind
        if kind in ARRAY_TYPES:
            yield _presence(name, kind), [int(value is not None) for value in values]
            values = [() if value is None else value for value in values]
        if kind is not PropertyType.OBJECTS:
            yield _column(name, kind), values
            return
        yield length_column(name), list(map(len, values))
        elements = list(chain.from_iterable(values))
        for field, inner in self._fields[name]:
            attribute = column.fields.get(field)
            found = [None if attribute is None else getattr(one, attribute) for one in elements]
            items = iter(_typed_items(column.spec, field, inner, found))
            yield _element(name, field, inner), [list(islice(items, len(v))) for v in values]


def _typed_items(spec: PropertySpec, field: str, kind: PropertyType, items: list[Any]) -> list[Any]:
    """The values of one field of an array's objects, for its column of a type, which need not be
    that of this event's array.
    """
    own = spec.fields.get(field)
    if own is None or own.type is not kind:
        items = [typed(kind, Decimal(item) if type(item) is int else item) for item in items]
    if kind is PropertyType.TIME:
        items = [None if item is None else value_ticks(item) for item in items]
    return items


def _element_fields(catalog: Catalog) -> dict[str, list[tuple[str, PropertyType]]]:
    """The fields of each array of objects, in whichever event the catalog names them."""
    fields: dict[str, dict[tuple[str, PropertyType], None]] = {}
    for name, spec in catalog.all_properties():
        if spec.type is PropertyType.OBJECTS:
            own = fields.setdefault(name, {})
            own.update({(field, inner.type): None for field, inner in spec.fields.items()})
    return {name: list(found) for name, found in fields.items()}


_names: dict[tuple[object, ...], str] = {}


def _column(name: str, kind: PropertyType) -> str:
    key = (name, kind)
    if key not in _names:
        _names[key] = event_column(name, kind)
    return _names[key]


def _presence(name: str, kind: PropertyType) -> str:
    key = ("has", name, kind)
    if key not in _names:
        _names[key] = presence_column(name, kind)
    return _names[key]


def _element(prop: str, field: str, kind: PropertyType) -> str:
    key = (prop, field, kind, 0)
    if key not in _names:
        _names[key] = element_column(prop, field, kind)
    return _names[key]


def _put_trait(traits: _Rows, value: Value) -> None:
    if isinstance(value, bool):
        traits.put("v_boolean", value)
    elif isinstance(value, str):
        traits.put("v_string", value)
    elif isinstance(value, Decimal):
        traits.put("v_number", value)
    elif all(isinstance(item, str) for item in value):
        traits.put("v_strings", value)
    elif all(isinstance(item, Decimal) for item in value):
        traits.put("v_numbers", value)
