"""What a condition over events asks about: which event types, which rows, and what without any."""

from __future__ import annotations

from collections.abc import Container, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from decimal import Decimal

from relo_dsl.numbers import calculate
from relo_dsl.terms import (
    NEVER_MISSING,
    And,
    Arithmetic,
    Comparison,
    Condition,
    Constant,
    Did,
    Extreme,
    Measure,
    Not,
    Or,
    Predicate,
    Quantity,
    Reference,
    Regularity,
    Selection,
    Sequence,
    compared,
    measures_of,
)

EventTypes = tuple[str, ...]
Leaf = Did | Measure | Extreme | Sequence
#: Up to so many periods are aggregates beside each other; more are groups of rows.
FEW_PERIODS = 12


@dataclass(frozen=True)
class Rows:
    """The rows a leaf is about: a window (ends resolved at T) and predicates that all hold."""

    types: EventTypes
    after: int | None
    until: int
    where: frozenset[Predicate]


def event_types(condition: Condition, apart: Container[str] = ()) -> EventTypes | None:
    """The event types that a condition is about, if it is about events only and one set of them.

    References whose digest is in `apart` are sets of their own and take part in no scan.
    """
    match condition:
        case Did(selection) | Extreme(_, selection):
            return selection.events
        case Comparison() | Sequence():
            return _together([selection.events for selection in selections(condition)])
        case Regularity(inner, _, periods):
            types = _together([selection.events for selection in selections(inner)])
            return types if periods <= FEW_PERIODS else None
        case Or(operands) if all(isinstance(operand, Did) for operand in operands):
            return _together([o.selection.events for o in operands if isinstance(o, Did)])
        case And(operands) | Or(operands):
            kinds = {event_types(operand, apart) for operand in operands}
            return kinds.pop() if len(kinds) == 1 else None
        case Not(operand):
            return event_types(operand, apart)
        case Reference(_, inner) as reference:
            return None if reference.digest in apart else event_types(inner, apart)
        case _:
            return None


def _together(types: Several[EventTypes]) -> EventTypes | None:
    if not types:
        return None
    if any(not kinds for kinds in types):
        return ()
    return tuple(sorted({kind for kinds in types for kind in kinds}))


def selections(condition: Condition) -> list[Selection]:
    """Every selection of a comparison of measures, a sequence, or several such."""
    match condition:
        case Comparison(left, _, right):
            return [measure.selection for measure in measures_of(left) + measures_of(right)]
        case Sequence(steps, absence):
            absent = [] if absence is None else [absence.selection]
            return [*(step.selection for step in steps), *absent]
        case And(operands) | Or(operands):
            return [found for operand in operands for found in selections(operand)]
        case Not(operand):
            return selections(operand)
        case _:
            return []


def is_any_event(condition: Condition) -> bool:
    """Whether one event decides: a single selection, or one of several."""
    match condition:
        case Or(operands):
            return all(isinstance(operand, Did) for operand in operands)
        case _:
            return isinstance(condition, Did)


# ---- the rows of leaves ------------------------------------------------------------------------


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Every leaf of an event condition, left to right."""
    match condition:
        case Did() | Extreme() | Sequence():
            yield condition
        case Comparison(left, _, right):
            yield from measures_of(left) + measures_of(right)
        case Regularity():
            for period in condition.windows():
                yield from leaves(condition.in_period(period))
        case And(operands) | Or(operands):
            for operand in operands:
                yield from leaves(operand)
        case Not(operand):
            yield from leaves(operand)
        case Reference(_, referred):
            yield from leaves(referred)


def rows_of(leaf: Leaf, now: int) -> list[Rows]:
    """The rows that a leaf is about at T = `now`.

    For a first or last event: those in its window, then those that would take its place. For a
    sequence: those of each step, then of what must not come.
    """
    match leaf:
        case Did() | Measure():
            return [_rows(leaf.selection, *leaf.window.bounds(now))]
        case Extreme("last", selection, window):
            after, until = window.bounds(now)
            inside = _rows(selection, after, until)
            return [inside, _rows(selection, until, now)] if until < now else [inside]
        case Extreme(_, selection, window):
            after, until = window.bounds(now)
            inside = _rows(selection, after, until)
            return [inside] if after is None else [inside, _rows(selection, None, after)]
        case Sequence():
            return _rows_of_sequence(leaf, now)


def _rows(selection: Selection, after: int | None, until: int) -> Rows:
    where = selection.where
    parts = () if where is None else where.operands if isinstance(where, And) else (where,)
    return Rows(selection.events, after, until, frozenset(parts))


def _rows_of_sequence(sequence: Sequence, now: int) -> list[Rows]:
    """The rows of each step, cut by what its neighbours leave possible."""
    steps, absence = sequence.steps, sequence.absence
    last = now if absence is None else now - absence.length
    bounds = [[window.bounds(now) for window in step.windows] for step in steps]
    after = [max((a for a, _ in own if a is not None), default=None) for own in bounds]
    until = [min((u for _, u in own), default=now) for own in bounds]
    until[-1] = min(until[-1], last)
    for i in range(1, len(steps)):
        after[i] = _later(after[i], after[i - 1])
        gap = steps[i].gap
        if gap is not None:
            until[i] = min(until[i], until[i - 1] + gap)
    for i in range(len(steps) - 1, 0, -1):
        until[i - 1] = min(until[i - 1], until[i])
        gap, start = steps[i].gap, after[i]
        if gap is not None and start is not None:
            after[i - 1] = _later(after[i - 1], start - gap)
    found = [_rows(s.selection, a, u) for s, a, u in zip(steps, after, until, strict=True)]
    if absence is not None:
        end = min(now, until[-1] + absence.length)
        found.append(_rows(absence.selection, after[-1], end))
    return found


def _later(one: int | None, other: int | None) -> int | None:
    known = [end for end in (one, other) if end is not None]
    return max(known, default=None)


# ---- without events ----------------------------------------------------------------------------


def holds_without_events(condition: Condition) -> bool:
    """What an event condition says of a device that has none of its events."""
    match condition:
        case Did() | Extreme() | Sequence():
            return False
        case Comparison(left, op, right):
            return compared(value_without_events(left), op, value_without_events(right))
        case And(operands):
            return all(holds_without_events(operand) for operand in operands)
        case Or(operands):
            return any(holds_without_events(operand) for operand in operands)
        case Not(operand):
            return not holds_without_events(operand)
        case Reference(_, inner) | Regularity(inner):  # in every period, or in none
            return holds_without_events(inner)
        case _:
            raise TypeError(f"not a condition over events: {type(condition).__name__}")


def value_without_events(quantity: Quantity) -> Decimal | None:
    """What a number is for a device that has none of its events; None where it is missing."""
    match quantity:
        case Constant(value):
            return value
        case Measure(kind):
            return Decimal(0) if kind in NEVER_MISSING else None
        case Arithmetic(op, left, right):
            return calculate(op, value_without_events(left), value_without_events(right))
