"""Events of the usual form, read and checked in one step. No I/O.

A shape is made of each event of a catalog: the record's own keys, and the properties that are
texts, numbers, booleans, or arrays of these or of objects that have them. JSON that fits a shape is
decoded into it directly, which gives what `parse_record` and `check_types` give, in a fraction of
the time. What does not fit (another kind of record, an unknown property, a time, a mistake) has no
shape: it takes the way of records, where what is wrong with it is said. So a shape may refuse too
much, but must never take too much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from relo_dsl.catalog import Catalog, EventSpec, PropertySpec, PropertyType
from relo_dsl.geo import part_names
from relo_dsl.numbers import PLACES
from relo_dsl.records import KINDS, MAX_TIME, MIN_TIME

#: Digits and a point that fit every number that may be kept; others take the slower way.
_LONGEST_NUMBER = 16
_LARGEST = 10**15
_Text = Annotated[str, Meta(min_length=1)]


class ShapedEvent(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """An event that fits the shape of its name. `props` has an attribute for each column.

    Written as JSON it is the record again.
    """

    ts: Annotated[int, Meta(gt=MIN_TIME, lt=MAX_TIME)]
    did: _Text
    eid: _Text
    cid: Annotated[int, Meta(ge=0, lt=2**32)] | None = None
    flags: Annotated[int, Meta(ge=0, le=255)] | None = None
    props: Any = None


@dataclass(frozen=True, slots=True)
class Column:
    """A property of a shape: its name, its type, and the attribute of `props` that has it."""

    name: str
    spec: PropertySpec
    attribute: str
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of an array of objects: the attribute of each element that has a field."""

    @property
    def kind(self) -> PropertyType:
        return self.spec.type


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of one event, and its columns."""

    event: str
    columns: tuple[Column, ...]
    numbers: tuple[str, ...]
    """The attributes of the columns that are numbers."""
    arrays: tuple[str, ...]
    """Those of the columns that are arrays of numbers."""
    elements: tuple[tuple[str, tuple[str, ...]], ...]
    """Those of the arrays of objects, with those of their fields that are numbers."""


class Shapes:
    """The shapes of a catalog's events; `named` says which properties may have a column,
    of which all may where it is not given."""

    def __init__(self, catalog: Catalog, named: Callable[[str], bool] | None = None) -> None:
        self._shapes: dict[type[ShapedEvent], Shape] = {}
        for name, event in catalog.events.items():
            if name not in KINDS:
                self._add(name, event, named)
        union: Any = None
        for made in self._shapes:
            union = made if union is None else union | made
        self._decode: Callable[[bytes], ShapedEvent] | None = None
        if union is not None:
            self._decode = msgspec.json.Decoder(union, float_hook=_number).decode

    def _add(self, name: str, event: EventSpec, named: Callable[[str], bool] | None) -> None:
        parts = {part for point in event.points for part in part_names(point)}
        columns, types = [], []
        for number, (prop, spec) in enumerate(event.properties.items()):
            if prop in parts or not (named is None or named(prop)):
                continue
            column = Column(prop, spec, f"p{number}")
            kind = _TYPES.get(spec.type)
            if spec.type is PropertyType.OBJECTS:
                column = replace(column, fields=_fields(spec, named))
                kind = _element(column)
            if kind is not None:
                columns.append(column)
                types.append((column.attribute, kind | None, None))
        props = msgspec.defstruct(
            "Props", types, rename={one.attribute: one.name for one in columns},
            omit_defaults=True, forbid_unknown_fields=True, gc=False,
        )  # fmt: skip
        made = msgspec.defstruct(
            "Event", [("props", props | None, None)], bases=(ShapedEvent,), tag_field="t", tag=name,
            omit_defaults=True, forbid_unknown_fields=True, gc=False,
        )  # fmt: skip
        of = {kind: [one for one in columns if one.kind is kind] for kind in PropertyType}
        self._shapes[cast("type[ShapedEvent]", made)] = Shape(
            name,
            tuple(columns),
            tuple(one.attribute for one in of[PropertyType.NUMBER]),
            tuple(one.attribute for one in of[PropertyType.NUMBERS]),
            tuple((one.attribute, _numbers(one)) for one in of[PropertyType.OBJECTS]),
        )

    def read(self, line: bytes) -> ShapedEvent | None:
        """The event that a line of JSON is, or None where it fits no shape."""
        if self._decode is None:
            return None
        try:
            event = self._decode(line)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, Unicode's too
            return None
        props = event.props
        if props is not None:
            shape = self._shapes[type(event)]
            for attribute in shape.numbers:
                value = getattr(props, attribute)
                if value is not None and not _kept(value):
                    return None
            for attribute in shape.arrays:
                if not all(map(_kept, getattr(props, attribute) or ())):
                    return None
            for attribute, numbers in shape.elements:
                for element in getattr(props, attribute) or ():
                    for inner in numbers:
                        value = getattr(element, inner)
                        if value is not None and not _kept(value):
                            return None
        return event

    def shape(self, event: ShapedEvent) -> Shape:
        """The shape that the event was read in."""
        return self._shapes[type(event)]


def values_of(events: Sequence[ShapedEvent], attribute: str) -> list[Any]:
    """One column of events that have one shape; None where an event has no such property."""
    return [None if (props := one.props) is None else getattr(props, attribute) for one in events]


def _fields(spec: PropertySpec, named: Callable[[str], bool] | None) -> dict[str, str]:
    """An attribute for each field of an array's objects that may have a column."""
    return {
        name: f"f{number}"
        for number, (name, inner) in enumerate(spec.fields.items())
        if inner.type in _SCALARS and (named is None or named(name))
    }


def _element(column: Column) -> Any:
    """What msgspec is to look for in an array of objects."""
    types = [
        (attribute, _TYPES[column.spec.fields[name].type] | None, None)
        for name, attribute in column.fields.items()
    ]
    made = msgspec.defstruct(
        "Element", types, rename={attribute: name for name, attribute in column.fields.items()},
        omit_defaults=True, forbid_unknown_fields=True, gc=False,
    )  # fmt: skip
    return list[made]  # type: ignore[valid-type]


def _numbers(column: Column) -> tuple[str, ...]:
    return tuple(
        attribute
        for name, attribute in column.fields.items()
        if column.spec.fields[name].type is PropertyType.NUMBER
    )


def _kept(value: object) -> bool:
    """Whether that is a number which can be kept as it is."""
    kind = type(value)
    if kind is int:
        return -_LARGEST < cast(int, value) < _LARGEST
    return kind is Decimal


def _number(text: str) -> Decimal:
    """A number with a point, as it is written, if that can be kept for sure."""
    places = len(text) - 1 - text.find(".")
    if len(text) > _LONGEST_NUMBER or places > PLACES or "e" in text or "E" in text:
        raise ValueError(text)
    return Decimal(text)


_SCALARS = (PropertyType.STRING, PropertyType.BOOLEAN, PropertyType.NUMBER)
#: What msgspec is to look for. Numbers are looked at afterwards: it would take texts for decimals.
_TYPES: dict[PropertyType, Any] = {
    PropertyType.STRING: str,
    PropertyType.BOOLEAN: bool,
    PropertyType.NUMBER: Any,
    PropertyType.STRINGS: list[str],
    PropertyType.NUMBERS: list[Any],
}
