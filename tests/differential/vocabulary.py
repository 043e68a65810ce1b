"""What a bound definition speaks of, so that random data can speak of it too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Any

from relo_dsl.catalog import PropertyType
from relo_dsl.numbers import LIMIT, plain
from relo_dsl.plan import Plan
from relo_dsl.terms import (
    Absence,
    Affine,
    Compare,
    Constant,
    Has,
    Held,
    InRange,
    OneOf,
    Property,
    Regularity,
    Score,
    Selection,
    Step,
    TextMatch,
    Window,
    properties_of,
)

_LEAST = Decimal("0.000000001")


class Number(str):
    """A number as JSON text, so that it is read exactly and printed as it was drawn."""

    __slots__ = ()


@dataclass(frozen=True)
class Vocabulary:
    """What a plan speaks of: data that never mention it would test little.

    `gaps` are the distances between events that decide something. `values` are those that pass or
    just fail some test of a property, by its name and scalar type.
    """

    windows: tuple[Window, ...]
    events: tuple[str, ...]
    names: tuple[str, ...]
    scores: tuple[str, ...]
    values: Mapping[tuple[str, PropertyType], tuple[Any, ...]]
    numbers: tuple[Number, ...]
    gaps: tuple[int, ...] = ()
    held: bool = False

    @classmethod
    def of(cls, plan: Plan) -> Vocabulary:
        nodes = list(_walk(plan.condition))
        values: dict[tuple[str, PropertyType], list[Any]] = {}
        for node in nodes:
            for prop, value in _compared(node):
                values.setdefault((prop.name, prop.type.element), []).extend(_around(value))
        properties = [node for node in nodes if isinstance(node, Property)]
        events = [e for node in nodes if isinstance(node, Selection) for e in node.events]
        return cls(
            tuple(window for node in nodes for window in _windows(node)),
            tuple(dict.fromkeys(events)),
            tuple(dict.fromkeys(node.parent or node.name for node in properties)),
            tuple(
                dict.fromkeys(
                    prop.name
                    for node in nodes
                    if isinstance(node, Score)
                    for prop in properties_of(node.predicate)
                )
            ),
            {name: tuple(dict.fromkeys(found)) for name, found in values.items()},
            tuple(Number(plain(node.value)) for node in nodes if isinstance(node, Constant)),
            tuple(dict.fromkeys(gap for node in nodes for gap in _gaps(node))),
            any(isinstance(node, Held) for node in nodes),
        )


def _windows(node: Any) -> Iterator[Window]:
    """A window of the definition, or the latest and the first of the periods it counts."""
    match node:
        case Window():
            yield node
        case Regularity():
            periods = node.windows()
            yield from (*periods[:3], periods[-1])


def _gaps(node: Any) -> Iterator[int]:
    match node:
        case Step(_, _, gap):
            yield gap or 1
        case Absence(_, gap):
            yield gap
        case Held(_, length):
            yield length


def _walk(node: Any) -> Iterator[Any]:
    """Every node of a bound tree."""
    if isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
    elif is_dataclass(node):
        yield node
        for item in fields(node):
            yield from _walk(getattr(node, item.name))


def _compared(node: Any) -> Iterator[tuple[Property, Any]]:
    """The property that a predicate tests, with each value it tests for."""
    match node:
        case Compare(prop, _, value):
            yield prop, value
        case OneOf(prop, values, _) | Has(prop, _, values):
            yield from ((prop, value) for value in values)
        case InRange(prop, low, high, _):
            yield from ((prop, low), (prop, high))
        case Affine(_, prop, product):
            yield prop, product
        case TextMatch(prop, how, text, _) if how != "matches":
            yield prop, text


def _around(value: Any) -> Iterator[Any]:
    """The value, and values that differ from it by as little as may be."""
    if isinstance(value, Decimal):
        for near in (value, value + _LEAST, value - _LEAST):
            if abs(near) < LIMIT:
                yield Number(plain(near))
    elif isinstance(value, str):
        yield from (value, f"{value}b", f"a{value}", value.swapcase(), value.lower())
    else:
        yield value
