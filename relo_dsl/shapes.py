"""Events of the usual form, read and checked in one step. No I/O.

A shape is made of each event of a catalog: the record's own keys, and the properties that are
texts, numbers or booleans. JSON that fits a shape is decoded into it directly, which gives what
`parse_record` and `check_types` give, in a fraction of the time. What does not fit (another kind of
record, an unknown property, an array, a time, a mistake) has no shape: it takes the way of records,
where what is wrong with it is said. So a shape may refuse too much, but must never take too much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from relo_dsl.catalog import Catalog, EventSpec, PropertyType
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
    kind: PropertyType
    attribute: str


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of one event, and its columns."""

    event: str
    columns: tuple[Column, ...]
    numbers: tuple[str, ...]
    """The attributes of the columns that are numbers."""


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
        columns = tuple(
            Column(prop, spec.type, f"p{number}")
            for number, (prop, spec) in enumerate(event.properties.items())
            if spec.type in _TYPES and prop not in parts and (named is None or named(prop))
        )
        props = msgspec.defstruct(
            "Props", [(one.attribute, _TYPES[one.kind], None) for one in columns],
            rename={one.attribute: one.name for one in columns},
            omit_defaults=True, forbid_unknown_fields=True, gc=False,
        )  # fmt: skip
        made = msgspec.defstruct(
            "Event", [("props", props | None, None)], bases=(ShapedEvent,), tag_field="t", tag=name,
            omit_defaults=True, forbid_unknown_fields=True, gc=False,
        )  # fmt: skip
        numbers = tuple(one.attribute for one in columns if one.kind is PropertyType.NUMBER)
        self._shapes[cast("type[ShapedEvent]", made)] = Shape(name, columns, numbers)

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
            for attribute in self._shapes[type(event)].numbers:
                value = getattr(props, attribute)
                kind = type(value)
                if kind is int:
                    if not -_LARGEST < value < _LARGEST:
                        return None
                elif kind is not Decimal and value is not None:
                    return None
        return event

    def shape(self, event: ShapedEvent) -> Shape:
        """The shape that the event was read in."""
        return self._shapes[type(event)]


def values_of(events: Sequence[ShapedEvent], attribute: str) -> list[Any]:
    """One column of events that have one shape; None where an event has no such property."""
    return [None if (props := one.props) is None else getattr(props, attribute) for one in events]


def _number(text: str) -> Decimal:
    """A number with a point, as it is written, if that can be kept for sure."""
    places = len(text) - 1 - text.find(".")
    if len(text) > _LONGEST_NUMBER or places > PLACES or "e" in text or "E" in text:
        raise ValueError(text)
    return Decimal(text)


#: What msgspec is to look for. Numbers are looked at afterwards: it would take texts for decimals.
_TYPES: dict[PropertyType, Any] = {
    PropertyType.STRING: str | None,
    PropertyType.BOOLEAN: bool | None,
    PropertyType.NUMBER: Any,
}
