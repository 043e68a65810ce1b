"""How soon a condition can be right after something happened: what it waits for.

- `event`: only a record of the device itself, or an uploaded list, changes it. It can be kept up
  to date record by record.
- `time`: the clock changes it too, at instants that are known beforehand: events leave rolling
  windows, days end. It can be kept up to date record by record with a timer for each device.
- `batch`: it depends on other devices: a ranking, products that others bought. It is right only
  after a look at all of them.

Retention, which lets go of every event in the end, is not counted as time here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from relo_dsl.plan import Plan
from relo_dsl.terms import (
    Affine,
    Ago,
    Always,
    And,
    AnniversaryIn,
    AnyElement,
    At,
    Comparison,
    Condition,
    Did,
    Extreme,
    Held,
    InList,
    Instant,
    InWindow,
    LocalStart,
    Not,
    Or,
    OrMissing,
    Predicate,
    Quantity,
    Reference,
    Regularity,
    Score,
    Selection,
    Sequence,
    Trait,
    Window,
    measures_of,
)
from relo_dsl.times import UNITS

Kind = Literal["event", "time", "batch"]
_ORDER: tuple[Kind, ...] = ("event", "time", "batch")
#: The shortest that a calendar period can be, in milliseconds.
_PERIODS = {
    "day": 23 * UNITS["h"],
    "week": 7 * UNITS["d"] - UNITS["h"],
    "month": 28 * UNITS["d"] - UNITS["h"],
    "quarter": 90 * UNITS["d"] - UNITS["h"],
    "year": 365 * UNITS["d"],
}


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a condition waits for. `shortest` is its shortest span of time in milliseconds: a
    record can make it true and time false again so much later. None where there is none.
    """

    kind: Kind
    shortest: int | None = None


EVENT = Freshness("event")
BATCH = Freshness("batch")


def freshness(condition: Condition) -> Freshness:
    """What the whole condition waits for: the slowest of its parts, the shortest of their spans."""
    match condition:
        case And(operands) | Or(operands):
            return together(freshness(operand) for operand in operands)
        case Not(operand):
            return freshness(operand)
        case Reference(_, inner):
            return freshness(inner)
        case Affine(selection):
            return together((BATCH, _selection(selection)))
        case _:
            return together(_leaf(condition))


def freshness_of(plan: Plan) -> Freshness:
    """What a plan waits for: its condition, and its ranking, which needs all devices."""
    found = freshness(plan.condition)
    if plan.keep is None:
        return found
    return together((found, BATCH, _quantity(plan.keep.by)))


def together(parts: Iterable[Freshness]) -> Freshness:
    """The slowest kind and the shortest span of some; of none, `event`."""
    found = list(parts)
    kind = max((part.kind for part in found), key=_ORDER.index, default=_ORDER[0])
    spans = [part.shortest for part in found if part.shortest is not None]
    return Freshness(kind, min(spans, default=None))


def _leaf(condition: Condition) -> Iterator[Freshness]:
    match condition:
        case Did(selection, window):
            yield from (_selection(selection), _window(window))
        case Comparison(left, _, right):
            yield from (_quantity(left), _quantity(right))
        case Extreme(_, selection, window, where):
            yield from (_selection(selection), _window(window), _predicate(where))
        case Sequence(steps, absence):
            for step in steps:
                yield _selection(step.selection)
                yield from map(_window, step.windows)
            if absence is not None:
                yield from (Freshness("time", absence.length), _selection(absence.selection))
        case Regularity():
            span = condition.length or _PERIODS[condition.unit or "day"]
            yield from (Freshness("time", span), freshness(condition.condition))
        case Held(predicate, length):
            yield from (Freshness("time", length), _predicate(predicate))
        case Trait(predicate) | Score(predicate):
            yield _predicate(predicate)
        case InList() | Always():
            yield EVENT
        case And() | Or() | Not() | Reference() | Affine():
            raise AssertionError("not a leaf")
        case _:
            assert_never(condition)


def _quantity(node: Quantity) -> Freshness:
    return together(
        part
        for measure in measures_of(node)
        for part in (_selection(measure.selection), _window(measure.window))
    )


def _selection(selection: Selection) -> Freshness:
    return _predicate(selection.where)


def _predicate(predicate: Predicate | None) -> Freshness:
    match predicate:
        case InWindow(_, window, _):
            return _window(window)
        case AnniversaryIn(_, window, _):
            return together((Freshness("time", _PERIODS["day"]), _window(window)))
        case And(operands) | Or(operands):
            return together(map(_predicate, operands))
        case Not(inner) | OrMissing(inner) | AnyElement(_, inner):
            return _predicate(inner)
        case _:
            return EVENT


def _window(window: Window) -> Freshness:
    """A window that moves: a record is in it for so long, or comes into it after so long."""
    moving = [part for part in map(_end, (window.after, window.until)) if part is not None]
    match window.after, window.until:
        case Ago(far), Ago(near):
            moving.append(Freshness("time", far - near))
    return together(moving)


def _end(end: Instant | None) -> Freshness | None:
    match end:
        case None | At():
            return None
        case Ago(millis):
            return Freshness("time", abs(millis) or None)
        case LocalStart(unit):
            return Freshness("time", _PERIODS[unit])
        case _:
            assert_never(end)
