"""What a condition reads: which records, and how far back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from relo_dsl.terms import (
    Affine,
    Ago,
    Always,
    And,
    Comparison,
    Condition,
    Did,
    Extreme,
    Held,
    InList,
    Instant,
    Not,
    Or,
    Quantity,
    Reference,
    Regularity,
    Score,
    Selection,
    Sequence,
    Trait,
    Window,
    measures_of,
    properties_of,
    resolve,
)


@dataclass(frozen=True, slots=True)
class Reads:
    """Names in order, each once. `any_event`: events of every type. `back` is the earliest end of
    a window over events at the instant asked about, None where something reads all history.
    """

    events: tuple[str, ...]
    any_event: bool
    traits: tuple[str, ...]
    lists: tuple[str, ...]
    scores: tuple[str, ...]
    back: Instant | None

    @property
    def has_events(self) -> bool:
        return self.any_event or bool(self.events)


_Part = tuple[str, str]


def reads(conditions: tuple[Condition, ...], quantities: tuple[Quantity, ...], now: int) -> Reads:
    """What some conditions and numbers read; `now`, in epoch milliseconds, orders their ends."""
    parts: dict[_Part, None] = {}
    ends: list[Instant | None] = []
    for condition in conditions:
        for part in _parts(condition, ends):
            parts[part] = None
    for quantity in quantities:
        for part in _of_quantity(quantity, ends):
            parts[part] = None

    def named(kind: str) -> tuple[str, ...]:
        return tuple(name for of, name in parts if of == kind)

    closed = [end for end in ends if end is not None]
    back = min(closed, key=lambda end: resolve(end, now), default=None)
    events = named("event")
    return Reads(
        tuple(name for name in events if name),
        "" in events,
        named("trait"),
        named("list"),
        named("score"),
        None if len(closed) < len(ends) else back,
    )


def _parts(condition: Condition, ends: list[Instant | None]) -> Iterator[_Part]:
    match condition:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _parts(operand, ends)
        case Not(inner) | Reference(_, inner):
            yield from _parts(inner, ends)
        case Did(selection, window):
            yield from _of_events(selection, window, ends)
        case Comparison(left, _, right):
            yield from (*_of_quantity(left, ends), *_of_quantity(right, ends))
        case Extreme(_, selection) | Affine(selection):
            yield from _of_events(selection, Window(), ends)
        case Sequence():
            yield from _of_sequence(condition, ends)
        case Regularity():
            yield from _parts(condition.in_period(condition.windows()[-1]), ends)
        case Trait(predicate) | Held(predicate):
            yield from (("trait", prop.name) for prop in properties_of(predicate))
        case Score(predicate):
            yield from (("score", prop.name) for prop in properties_of(predicate))
        case InList(name):
            yield "list", name
        case Always():
            pass
        case _:
            assert_never(condition)


def _of_events(selection: Selection, window: Window, ends: list[Instant | None]) -> Iterator[_Part]:
    ends.append(window.after)
    yield from (("event", name) for name in selection.events or ("",))


def _of_quantity(quantity: Quantity, ends: list[Instant | None]) -> Iterator[_Part]:
    for measure in measures_of(quantity):
        yield from _of_events(measure.selection, measure.window, ends)


def _of_sequence(sequence: Sequence, ends: list[Instant | None]) -> Iterator[_Part]:
    """The first step bounds all that come after it."""
    for step in sequence.steps:
        yield from _of_events(step.selection, Window(Ago(0)), [])
    first = next((w.after for w in sequence.steps[0].windows if w.after is not None), None)
    ends.append(first)
    if sequence.absence is not None:
        yield from _of_events(sequence.absence.selection, Window(), [])
