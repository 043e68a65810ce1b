"""What decided a clause: the records and numbers behind its answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from relo_dsl.explain.sentences import Narrator
from relo_dsl.interpret import Context, DeviceView, Event, holds, quantity, read, selected
from relo_dsl.numbers import plain
from relo_dsl.terms import (
    ALL_TIME,
    Affine,
    And,
    Comparison,
    Condition,
    Constant,
    Did,
    Extreme,
    Held,
    Predicate,
    Quantity,
    Regularity,
    Score,
    Sequence,
    Trait,
    measures_of,
    properties_of,
)

#: Of many records the last ones are shown.
SHOWN = 3
_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Evidence:
    """The last few records behind an answer, of `total`; numbers and values by what they are.

    `note` says how the records stand to the clause, where they are not simply those it asks for.
    """

    events: tuple[Event, ...] = ()
    total: int = 0
    values: tuple[tuple[str, str], ...] = ()
    note: str | None = None


def evidence(
    condition: Condition, device: DeviceView, context: Context, says: Narrator
) -> Evidence:
    """The evidence for one clause that is not made of others."""
    at = context.at
    match condition:
        case Did(selection, window):
            inside = selected(selection, window, device, at)
            if inside:
                return _last(inside)
            elsewhere = selected(selection, ALL_TIME, device, at)
            note = "only at other times" if elsewhere else "no such event"
            return _last(elsewhere, note=note)
        case And((Comparison(left), *_)):  # a range
            return _numbers((left,), device, at, says)
        case Comparison(left, _, right):
            return _numbers((left, right), device, at, says)
        case Extreme(which, selection):
            events = selected(selection, ALL_TIME, device, at)
            if not events:
                return Evidence(note="no such event")
            note = f"the {which} of {len(events):,}"
            return Evidence((events[0 if which == "first" else -1],), 1, note=note)
        case Sequence():
            return _steps(condition, device, at)
        case Regularity():
            return _periods(condition, device, context)
        case Trait(predicate) | Held(predicate):
            return _traits(predicate, device)
        case Score(predicate):
            return Evidence(values=tuple(_values(predicate, device.scores)))
        case Affine():
            return _products(condition, device, context)
        case _:
            return Evidence()


def _last(events: tuple[Event, ...], note: str | None = None) -> Evidence:
    return Evidence(events[-SHOWN:], len(events), note=note)


def _numbers(sides: tuple[Quantity, ...], device: DeviceView, at: int, says: Narrator) -> Evidence:
    values: dict[str, str] = {}
    events: dict[tuple[int, int], Event] = {}
    for side in sides:
        if not isinstance(side, Constant):
            values[says.amount(side)] = _number(quantity(side, device, at))
        for measure in measures_of(side):
            values[says.amount(measure)] = _number(quantity(measure, device, at))
            found = selected(measure.selection, measure.window, device, at)
            events.update({(event.time, event.tie): event for event in found})
    ordered = tuple(events[order] for order in sorted(events))
    return Evidence(ordered[-SHOWN:], len(ordered), tuple(values.items()))


def _number(value: Decimal | None) -> str:
    return "missing" if value is None else plain(value)


def _steps(node: Sequence, device: DeviceView, at: int) -> Evidence:
    """The events of one run through the steps, as far as it goes."""
    best: tuple[Event, ...] = ()
    for length in range(len(node.steps), 0, -1):
        whole = length == len(node.steps)
        part = Sequence(node.steps[:length], node.absence if whole else None)
        best = _run(part, (), device, at)
        if best:
            note = None if whole else f"only {length} of {len(node.steps)} steps"
            return Evidence(best, len(best), note=note)
    if node.absence is not None:
        best = _run(Sequence(node.steps), (), device, at)
        if best:
            return Evidence(best, len(best), note="the steps, but not what must not follow")
    return Evidence(note="not one step")


def _run(
    node: Sequence, before: tuple[Event, ...], device: DeviceView, at: int
) -> tuple[Event, ...]:
    """Events for all steps after those found, or nothing."""
    if len(before) == len(node.steps):
        return before if _is_quiet(node, before[-1], device, at) else ()
    step = node.steps[len(before)]
    for event in selected(step.selection, ALL_TIME, device, at):
        if not all(event in selected(step.selection, w, device, at) for w in step.windows):
            continue
        if before and (event.time, event.tie) <= (before[-1].time, before[-1].tie):
            continue
        if before and step.gap is not None and event.time - before[-1].time > step.gap:
            continue
        if found := _run(node, (*before, event), device, at):
            return found
    return ()


def _is_quiet(node: Sequence, last: Event, device: DeviceView, at: int) -> bool:
    if node.absence is None:
        return True
    end = last.time + node.absence.length
    later = selected(node.absence.selection, ALL_TIME, device, at)
    return end <= at and not any(
        (event.time, event.tie) > (last.time, last.tie) and event.time <= end for event in later
    )


def _periods(node: Regularity, device: DeviceView, context: Context) -> Evidence:
    windows = node.windows()
    held = [
        str(number)
        for number, window in enumerate(windows, 1)
        if holds(node.in_period(window), device, context)
    ]
    said = ", ".join(held) or "none"
    return Evidence(values=((f"periods, of {len(windows)} from the current one back", said),))


def _products(node: Affine, device: DeviceView, context: Context) -> Evidence:
    """The products that the device has and that go with the one asked about."""
    events = selected(node.selection, ALL_TIME, device, context.at)
    found: dict[str, None] = {}
    for event in events:
        value = read(node.property, event.values)
        items = value if isinstance(value, tuple) else () if value is None else (value,)
        found.update(dict.fromkeys(items))
    common = [f'"{name}"' for name in found if name in context.companions(node)]
    values = (
        (f'products that go with "{node.product}"', ", ".join(common[:SHOWN]) or "none"),
        (f'"{node.product}" itself', "yes" if node.product in found else "no"),
    )
    return Evidence(events[-SHOWN:], len(events), values)


def _traits(predicate: Predicate, device: DeviceView) -> Evidence:
    """The values in force, and the identifies that set them."""
    names = [prop.parent or prop.name for prop in properties_of(predicate)]
    setting: dict[tuple[int, int], Event] = {}
    for name in names:
        found = [event for event in device.identifies if name in event.values]
        if found:
            setting[found[-1].time, found[-1].tie] = found[-1]
    values = tuple(_values(predicate, device.traits))
    return Evidence(tuple(setting.values()), len(setting), values)


def _values(predicate: Predicate, values: Any) -> Iterator[tuple[str, str]]:
    for prop in properties_of(predicate):
        name = prop.name if prop.parent is None else f"{prop.parent}.{prop.name}"
        value = read(prop, values)
        yield name, "missing" if value is None else shown(value)


def shown(value: object) -> str:
    """A value, shortened."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        text = f"[{', '.join(map(shown, value))}]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    else:
        text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
