"""Values of properties, traits and scores as their types have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, assert_never

from relo_dsl.catalog import PropertyType
from relo_dsl.geo import coordinates, spelled
from relo_dsl.records import MAX_TIME, MIN_TIME
from relo_dsl.terms import Property
from relo_dsl.times import TimeError, parse_instant, parse_moment

#: What a record holds under one name, None for a trait set to null; see `relo_dsl.records`.
Values = Mapping[str, Any]


def read(prop: Property, values: Values) -> Any:
    """The value of a property as its type has it, None where it is absent.

    Text is str, numbers Decimal, booleans bool, arrays tuples; a time is epoch milliseconds as
    Decimal, or a date where it is a local date; a point is (latitude, longitude) in floats. A
    value of another type than the property's reads as absent: nothing is ever converted.
    """
    if prop.parent is not None:
        elements = typed(PropertyType.OBJECTS, values.get(prop.parent))
        if elements is None:
            return None
        found = (typed(prop.type.element, element.get(prop.name)) for element in elements)
        return tuple(value for value in found if value is not None)
    found = typed(prop.type, values.get(prop.name))
    if found is None and prop.type is PropertyType.POINT:
        return typed(prop.type, spelled(prop.name, values))
    return found


def typed(kind: PropertyType, value: Any) -> Any:
    """The value if it is of the type, else None."""
    match kind:
        case PropertyType.STRING:
            return value if isinstance(value, str) else None
        case PropertyType.NUMBER:
            return value if isinstance(value, Decimal) else None
        case PropertyType.BOOLEAN:
            return value if isinstance(value, bool) else None
        case PropertyType.TIME:
            return _time(value)
        case PropertyType.STRINGS:
            return _all(str, value)
        case PropertyType.NUMBERS:
            return _all(Decimal, value)
        case PropertyType.OBJECTS:
            return _all(Mapping, value)
        case PropertyType.POINT:
            point = coordinates(value)
            return None if point is None else (float(point[0]), float(point[1]))
        case _:
            assert_never(kind)


def _all(wanted: Any, value: Any) -> tuple[Any, ...] | None:
    fits = isinstance(value, tuple) and all(isinstance(item, wanted) for item in value)
    return value if fits else None


def _time(value: Any) -> Decimal | date | None:
    """Whole epoch milliseconds, RFC 3339 (without an offset, UTC), or a local date; from the years
    1900 to 2199, as no other can be stored.
    """
    if isinstance(value, Decimal) and MIN_TIME <= value < MAX_TIME and value == int(value):
        return value
    if isinstance(value, str):
        try:
            moment = parse_moment(value)
            if MIN_TIME <= parse_instant(value) < MAX_TIME:
                return moment if isinstance(moment, date) else Decimal(moment)
        except TimeError:
            return None
    return None
