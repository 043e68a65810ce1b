"""Values of properties, traits and scores as their types have them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_never

from relo_dsl.catalog import PropertyType
from relo_dsl.terms import Property
from relo_dsl.times import TimeError, parse_instant

#: What a record holds under one name, None for a trait set to null; see `relo_dsl.records`.
Values = Mapping[str, Any]


def read(prop: Property, values: Values) -> Any:
    """The value of a property as its type has it, None where it is absent.

    Text is str, numbers and times (epoch milliseconds) Decimal, booleans bool, arrays tuples. A
    value of another type than the property's reads as absent: nothing is ever converted.
    """
    if prop.parent is not None:
        elements = typed(PropertyType.OBJECTS, values.get(prop.parent))
        if elements is None:
            return None
        found = (typed(prop.type.element, element.get(prop.name)) for element in elements)
        return tuple(value for value in found if value is not None)
    return typed(prop.type, values.get(prop.name))


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
            raise NotImplementedError
        case _:
            assert_never(kind)


def _all(wanted: Any, value: Any) -> tuple[Any, ...] | None:
    fits = isinstance(value, tuple) and all(isinstance(item, wanted) for item in value)
    return value if fits else None


def _time(value: Any) -> Decimal | None:
    """Whole epoch milliseconds, RFC 3339, or a date; without an offset, UTC."""
    if isinstance(value, Decimal) and value == int(value):
        return value
    if isinstance(value, str):
        try:
            return Decimal(parse_instant(value))
        except TimeError:
            return None
    return None
