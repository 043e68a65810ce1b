"""Which events a selection takes, and numbers over them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from relo_dsl.interpret.history import Event
from relo_dsl.interpret.predicates import test
from relo_dsl.interpret.values import read
from relo_dsl.interpret.visibility import DeviceView
from relo_dsl.numbers import EXACT, calculate, divide
from relo_dsl.terms import Arithmetic, Constant, Measure, Quantity, Selection, Window
from relo_dsl.times import from_millis


def selected(
    selection: Selection, window: Window, device: DeviceView, at: int
) -> tuple[Event, ...]:
    """The visible events of the selection in the window, in (time, tie) order."""
    after, until = window.bounds(at)
    return tuple(
        event
        for event in device.events
        if (not selection.events or event.type in selection.events)
        and event.time <= until
        and (after is None or event.time > after)
        and (selection.where is None or test(selection.where, event.values, at))
    )


def quantity(node: Quantity, device: DeviceView, at: int) -> Decimal | None:
    """The number at T, exact; None where it is missing."""
    match node:
        case Constant(value):
            return value
        case Measure():
            return _measure(node, selected(node.selection, node.window, device, at))
        case Arithmetic(op, left, right):
            return calculate(op, quantity(left, device, at), quantity(right, device, at))
        case _:
            assert_never(node)


def _measure(measure: Measure, events: tuple[Event, ...]) -> Decimal | None:
    if measure.kind == "count":
        return Decimal(len(events))
    if measure.kind == "days" or measure.kind == "weeks" or measure.kind == "months":
        zone = measure.zone or "UTC"
        return Decimal(len({period_of(event.time, measure.kind, zone) for event in events}))
    assert measure.property is not None, "every measure but count is over a property"
    values: list[Any] = []
    for event in events:
        value = read(measure.property, event.values)
        # An array gives each of its elements: `sum(order.products.price)`.
        values.extend(value if isinstance(value, tuple) else () if value is None else (value,))
    if measure.kind == "distinct":
        return Decimal(len(set(values)))
    total = reduce(EXACT.add, values, Decimal(0))
    if measure.kind == "sum":
        return total
    if not values:
        return None
    match measure.kind:
        case "avg":
            return divide(total, Decimal(len(values)))
        case "min":
            return Decimal(min(values))
        case "max":
            return Decimal(max(values))
        case "median":
            return _median(values)
        case _:
            assert_never(measure.kind)


def _median(values: list[Decimal]) -> Decimal | None:
    """The middle value, or the mean of the middle two, cut after 9 places."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return divide(EXACT.add(ordered[half - 1], ordered[half]), Decimal(2))


def period_of(instant: int, kind: str, zone: str) -> date:
    """The first day of the local day, week or month (`days`, `weeks`, `months`) of an instant."""
    day = from_millis(instant).astimezone(ZoneInfo(zone)).date()
    match kind:
        case "weeks":
            return day - timedelta(days=day.weekday())
        case "months":
            return day.replace(day=1)
        case _:
            return day
