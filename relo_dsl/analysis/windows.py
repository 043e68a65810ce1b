"""What can be proved of windows at every T: order of ends, inclusion, covering.

Ends of one kind (rolling, fixed, calendar periods of one unit and zone) lie on one line. Ends of
different kinds are compared only where their distance has a bound that settles it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from relo_dsl.terms import Ago, At, Instant, LocalStart, Window
from relo_dsl.times import UNITS

#: The shortest and longest calendar periods, in days.
_DAYS: Final = {"day": (1, 1), "week": (7, 7), "month": (28, 31), "quarter": (90, 92),
                "year": (365, 366)}  # fmt: skip
#: What a clock can be set by between two local times: from UTC-12 to UTC+14, and an hour of care.
_CLOCK: Final = 27 * UNITS["h"]
#: Each unit lies whole inside these.
_AROUND: Final = {"day": ("week", "month", "quarter", "year"), "month": ("quarter", "year"),
                  "quarter": ("year",)}  # fmt: skip

Family: TypeAlias = tuple[str, ...]
#: Beyond every end.
_FAR: Final = 10**18


def for_events(window: Window) -> Window:
    """The same window for events, which never lie after T, without an end that says no more."""
    match window.until:
        case Ago(millis) if millis <= 0:
            return Window(window.after)
    return window


def not_later(first: Instant, second: Instant) -> bool:
    """Whether `first` <= `second` at every T, as far as can be proved."""
    match first, second:
        case Ago(a), Ago(b):
            return a >= b
        case At(a), At(b):
            return a <= b
        case LocalStart(unit, shift, zone), LocalStart(other, count, there) if zone == there:
            if unit == other:
                return shift <= count
            if shift <= 0 <= count and unit in _AROUND.get(other, ()):
                return True
    a_bounds, b_bounds = _bounds(first), _bounds(second)
    return a_bounds is not None and b_bounds is not None and a_bounds[1] <= b_bounds[0]


def _bounds(end: Instant) -> tuple[int, int] | None:
    """How far from T an end lies, earliest and latest; None where T is nowhere near."""
    match end:
        case Ago(millis):
            return -millis, -millis
        case LocalStart(unit, shift, _) if shift <= 0:
            short, long = _DAYS[unit]
            earliest = (shift - 1) * long * UNITS["d"] - _CLOCK
            return earliest, shift * short * UNITS["d"] + _CLOCK
    return None


def includes(outer: Window, inner: Window) -> bool:
    """Whether `inner` lies inside `outer` at every T."""
    starts = outer.after is None or (
        inner.after is not None and not_later(outer.after, inner.after)
    )
    ends = outer.until is None or (inner.until is not None and not_later(inner.until, outer.until))
    return starts and ends


def families(windows: Iterable[Window]) -> set[Family]:
    """The kinds of ends that windows have."""
    ends = (end for window in windows for end in (window.after, window.until))
    return {_family(end) for end in ends if end is not None}


def _family(end: Instant) -> Family:
    match end:
        case Ago():
            return ("ago",)
        case At():
            return ("at",)
        case LocalStart(unit, _, zone):
            return (unit, zone)


def _position(end: Instant) -> int:
    match end:
        case Ago(millis):
            return -millis
        case At(instant):
            return instant
        case LocalStart(_, shift, _):
            return shift


def on_line(window: Window, family: Family) -> tuple[int, int]:
    """The ends of a window on the line of a family; open where it has an end of another kind."""
    after = window.after
    until = window.until
    low = -_FAR if after is None or _family(after) != family else _position(after)
    high = _FAR if until is None or _family(until) != family else _position(until)
    return low, high


def belongs(window: Window, family: Family) -> bool:
    """Whether every end of the window is of that kind, or open."""
    return all(end is None or _family(end) == family for end in (window.after, window.until))


def cells(low: int, high: int, others: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(low, high] cut at every end of the others."""
    points = sorted({low, high, *(p for pair in others for p in pair if low < p < high)})
    return list(itertools.pairwise(points))


def width(window: Window) -> int | None:
    """The least time that the window spans, in milliseconds; None where it does not move with T
    or has an open start.
    """
    match window:
        case Window(Ago(after), None):
            return after
        case Window(Ago(after), Ago(until)):
            return after - until
        case Window(LocalStart(unit, shift, _), None):
            return (1 - shift) * _DAYS[unit][0] * UNITS["d"]
        case Window(LocalStart(unit, shift, _), LocalStart(other, last, _)) if unit == other:
            return (last - shift) * _DAYS[unit][0] * UNITS["d"]
    return None
