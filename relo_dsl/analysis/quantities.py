"""What is known of measures whatever happened: their values, and which is never above which."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from relo_dsl.analysis.calendars import most_periods
from relo_dsl.analysis.predicates import implies
from relo_dsl.analysis.ranges import EVERYTHING, HIGHEST, LOWEST, Ranges, compared
from relo_dsl.analysis.windows import for_events, includes
from relo_dsl.numbers import EXACT
from relo_dsl.terms import (
    NEVER_MISSING,
    Arithmetic,
    Constant,
    Measure,
    Quantity,
    Selection,
)

#: Measures that count whole things: not negative, and 0 over no events.
COUNTS: Final = frozenset({"count", "distinct", "days", "weeks", "months"})
#: Of the same events, each is at most the ones named here.
_AT_MOST: Final = {"days": ("count",), "weeks": ("days", "count"), "months": ("days", "count")}
_BETWEEN: Final = frozenset({"avg", "median"})


def tidy(measure: Measure) -> Measure:
    """The same measure with its window as events have it."""
    window = for_events(measure.window)
    if window is measure.window:
        return measure
    return Measure(measure.kind, measure.selection, measure.property, window, measure.zone)


def is_never_missing(quantity: Quantity) -> bool:
    """Whether the quantity has a value for every device."""
    match quantity:
        case Constant():
            return True
        case Measure(kind):
            return kind in NEVER_MISSING
        case Arithmetic("/"):
            return False
        case Arithmetic(_, left, right):
            return is_never_missing(left) and is_never_missing(right)


def is_whole(quantity: Quantity) -> bool:
    """Whether the quantity is a count of something."""
    return isinstance(quantity, Measure) and quantity.kind in COUNTS


def domain(quantity: Quantity) -> Ranges:
    """Every value that the quantity may have."""
    low, high = _bounds(quantity)
    found = EVERYTHING
    if low is not None:
        found &= compared(">=", low)
    if high is not None:
        found &= compared("<=", high)
    return found


def _bounds(quantity: Quantity) -> tuple[Decimal | None, Decimal | None]:
    """Least and greatest value, None where there is none; quotients are not looked into."""
    match quantity:
        case Constant(value):
            return value, value
        case Measure(("days" | "weeks" | "months") as kind, _, _, window, zone):
            limit = most_periods(kind, window, zone or "UTC")
            return Decimal(0), None if limit is None else Decimal(limit)
        case Measure(kind):
            return (Decimal(0) if kind in COUNTS else None), None
        case Arithmetic("+", left, right):
            (low, high), (least, most) = _bounds(left), _bounds(right)
            return _sum(low, least), _sum(high, most)
        case Arithmetic("-", left, right):
            (low, high), (least, most) = _bounds(left), _bounds(right)
            return _difference(low, most), _difference(high, least)
        case Arithmetic("*", left, right):
            low, least = _bounds(left)[0], _bounds(right)[0]
            if low is not None and least is not None and low >= 0 and least >= 0:
                return EXACT.multiply(low, least), None
    return None, None


def _sum(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return None if left is None or right is None else EXACT.add(left, right)


def _difference(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return None if left is None or right is None else EXACT.subtract(left, right)


def selects_within(narrow: Selection, wide: Selection) -> bool:
    """Whether every event that `narrow` selects is selected by `wide`."""
    if wide.events and not (narrow.events and set(narrow.events) <= set(wide.events)):
        return False
    return implies(narrow.where, wide.where)


def at_most(small: Quantity, large: Quantity) -> bool:
    """Whether `small` <= `large` wherever both have a value."""
    if not isinstance(small, Measure) or not isinstance(large, Measure):
        return False
    if small.kind == large.kind:
        if small.property != large.property or small.zone != large.zone:
            return False
        if small.kind in COUNTS or small.kind == "max":
            return _inside(small, large)
        return small.kind == "min" and _inside(large, small)
    if large.kind in _AT_MOST.get(small.kind, ()):
        return (large.kind == "count" or small.zone == large.zone) and _inside(small, large)
    if small.kind == "distinct" and large.kind == "count":
        prop = small.property
        return prop is not None and not prop.is_array and _inside(small, large)
    if small.property != large.property or small.window != large.window:
        return False
    ordered = (small.kind, large.kind) == ("min", "max") or (
        (small.kind == "min" and large.kind in _BETWEEN)
        or (small.kind in _BETWEEN and large.kind == "max")
    )
    return ordered and small.selection == large.selection


def _inside(small: Measure, large: Measure) -> bool:
    return includes(large.window, small.window) and selects_within(small.selection, large.selection)


def is_present_with(one: Measure, other: Measure) -> bool:
    """Whether `other` has a value wherever `one` has."""
    return (
        one.property == other.property
        and {one.kind, other.kind}.isdisjoint(COUNTS)
        and one.kind != "sum"
        and _inside(one, other)
    )


def needs_events(quantity: Quantity, ranges: Ranges, *, missing: bool) -> tuple[Measure, ...]:
    """The measures that must have events where the quantity lies in `ranges`."""
    if missing or not isinstance(quantity, Measure):
        return ()
    if quantity.kind in NEVER_MISSING and Decimal(0) in ranges:
        return ()
    return (quantity,)


def has_no_events(quantity: Quantity, ranges: Ranges, *, missing: bool) -> bool:
    """Whether the quantity counts events and must be zero."""
    if missing or not isinstance(quantity, Measure):
        return False
    if quantity.kind not in ("count", "days", "weeks", "months"):
        return False
    return bool(ranges) and ranges.highest <= (0, Decimal(1), -1)


def can_be_ordered(small: Ranges, large: Ranges) -> bool:
    """Whether a value of `small` can be at most a value of `large`."""
    if not small or not large:
        return False
    low, high = small.lowest, large.highest
    if low == LOWEST or high == HIGHEST:
        return True
    # A cut before v allows v itself, a cut after it does not.
    return low < high
