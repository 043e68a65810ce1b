"""First and last events, sequences of events, and what holds in so many periods."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from relo_dsl.interpret.history import Event
from relo_dsl.interpret.measures import selected
from relo_dsl.interpret.predicates import test
from relo_dsl.interpret.visibility import DeviceView
from relo_dsl.terms import (
    ALL_TIME,
    Condition,
    Extreme,
    Regularity,
    Sequence,
    Step,
    Window,
)


def extreme(node: Extreme, device: DeviceView, at: int) -> bool:
    """Whether the first (last) such event up to T lies in the window and passes."""
    events = selected(node.selection, ALL_TIME, device, at)
    if not events:
        return False
    event = events[0 if node.which == "first" else -1]
    return _lies_in(event, node.window, at) and (
        node.where is None or test(node.where, event.values, at)
    )


def sequence(node: Sequence, device: DeviceView, at: int) -> bool:
    """Whether there are events, one for each step, each later than the one before it."""
    steps = [_events_of(step, device, at) for step in node.steps]
    absence = node.absence
    unwanted = selected(absence.selection, ALL_TIME, device, at) if absence else ()

    @cache  # what follows an event does not depend on how it was reached
    def ends_well(index: int, position: int) -> bool:
        """Whether the sequence goes on to its end from this event of this step."""
        event = steps[index][position]
        if index + 1 == len(steps):
            return absence is None or _stays_away(unwanted, event, absence.length, at)
        gap = node.steps[index + 1].gap
        return any(
            _is_later(following, event)
            and (gap is None or following.time - event.time <= gap)
            and ends_well(index + 1, place)
            for place, following in enumerate(steps[index + 1])
        )

    return any(ends_well(0, position) for position in range(len(steps[0])))


def regularity(node: Regularity, holds: Callable[[Condition], bool]) -> bool:
    """Whether the comparison holds in enough of the periods; `holds` asks one condition at T."""
    return sum(holds(node.in_period(period)) for period in node.windows()) >= node.at_least


def _events_of(step: Step, device: DeviceView, at: int) -> list[Event]:
    events = selected(step.selection, ALL_TIME, device, at)
    return [e for e in events if all(_lies_in(e, window, at) for window in step.windows)]


def _stays_away(unwanted: tuple[Event, ...], event: Event, length: int, at: int) -> bool:
    """Whether the time after the event has passed at T, and nothing unwanted came in it."""
    end = event.time + length
    return end <= at and not any(_is_later(e, event) and e.time <= end for e in unwanted)


def _is_later(event: Event, other: Event) -> bool:
    return (event.time, event.tie) > (other.time, other.tie)


def _lies_in(event: Event, window: Window, at: int) -> bool:
    after, until = window.bounds(at)
    return event.time <= until and (after is None or event.time > after)
