"""The instants at which the clock can change what a plan says of a device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, assert_never

from relo_dsl.consent import ScopedPlan
from relo_dsl.flip.calendars import anniversaries, expiries, local_date, period_crossings
from relo_dsl.interpret import Device, Event, History, read
from relo_dsl.plan import Plan, affinities
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
    Property,
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
from relo_dsl.times import UNITS, local_midnight

#: How far ahead anniversaries are followed, in years: they never end.
HORIZON: Final = 100
#: The start of the year 9990: beyond it calendars would run out.
_LAST: Final = 253_086_768_000_000


@dataclass(frozen=True, slots=True)
class _Time:
    """A time in the values of a record that a predicate tests, in some element of `inside`."""

    test: InWindow | AnniversaryIn
    inside: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class _Watch:
    """Records that a part of the condition looks at, the ends that their own times cross, and the
    times in their values.
    """

    kind: Literal["event", "identify"]
    types: tuple[str, ...]
    ends: tuple[Instant, ...]
    times: tuple[_Time, ...]


def boundaries(scoped: ScopedPlan, history: History, device: str, at: int) -> list[int]:
    """Every instant after T = `at`, in order, at which the plan may say something else of the
    device; between two of them, and up to the first, it says the same. In epoch milliseconds.

    Where the plan asks what others bought (`affine to`), the boundaries of all devices are given.
    """
    watches = dict.fromkeys(_watches(scoped.plan.condition))
    shared = affinities(scoped.plan.condition)
    known = history.devices.values() if shared else [history.devices[device]]
    found = {
        moment
        for each in known
        for moment in _of_device(scoped.plan, each, tuple(watches), at)
        if at < moment < _LAST
    }
    return sorted(found)


def _of_device(plan: Plan, device: Device, watches: tuple[_Watch, ...], at: int) -> Iterator[int]:
    for consent in device.consents:
        yield consent.time
    for score in device.scores:
        yield score.time
    for record in (*device.events, *device.identifies):
        yield record.time  # comes into sight, and may make the device exist
    for event in device.events:
        for months in (plan.retention_months, plan.extended_months):
            if plan.retention_months is not None and months is not None:
                yield from expiries(event.time, months)
    for watch in watches:
        records = device.events if watch.kind == "event" else device.identifies
        for event in records:
            if watch.kind == "event" and watch.types and event.type not in watch.types:
                continue
            for end in watch.ends:
                yield from _crossings(event.time, end)
            for time in watch.times:
                yield from _of_values(event, time, at)


def _crossings(time: int, end: Instant | None) -> Iterator[int]:
    """Where `time <= end` may change."""
    match end:
        case None | At():
            return
        case Ago(millis):
            yield time + millis
        case LocalStart(unit, shift, zone):
            yield from period_crossings(time, unit, shift, zone)
        case _:
            assert_never(end)


# ---- times in values ---------------------------------------------------------------------------


def _of_values(event: Event, time: _Time, at: int) -> Iterator[int]:
    test = time.test
    ends = (test.window.after, test.window.until)
    for value in _read(test.property, time.inside, event.values):
        instant = local_midnight(value, test.zone) if isinstance(value, date) else int(value)
        if isinstance(test, InWindow):
            for end in ends:
                yield from _crossings(instant, end)
            continue
        day = value if isinstance(value, date) else local_date(instant, test.zone)
        this_year = local_date(at, test.zone).year
        reach = 2 + max(map(_reach, ends))
        years = range(this_year - reach, this_year + HORIZON + reach + 1)
        for midnight in anniversaries(day, test.zone, years):
            for end in ends:
                yield from _crossings(midnight, end)


def _reach(end: Instant | None) -> int:
    """How many years an end can lie from T."""
    match end:
        case Ago(millis):
            return abs(millis) // (365 * UNITS["d"])
        case LocalStart(unit, shift, _):
            days = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[unit]
            return abs(shift) * days // 365
        case _:
            return 0


def _read(prop: Property, inside: tuple[Property, ...], values: Any) -> Iterator[Any]:
    """The values of a property in a record, or in the elements of its arrays."""
    if inside:
        for element in read(inside[0], values) or ():
            yield from _read(prop, inside[1:], element)
        return
    value = read(prop, values)
    if isinstance(value, tuple):
        yield from value
    elif value is not None:
        yield value


# ---- what a condition looks at -----------------------------------------------------------------


def _watches(condition: Condition) -> Iterator[_Watch]:
    match condition:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _watches(operand)
        case Not(inner) | Reference(_, inner):
            yield from _watches(inner)
        case Did(selection, window):
            yield _events(selection, (window,))
        case Comparison(left, _, right):
            yield from (*_measures(left), *_measures(right))
        case Extreme(_, selection, window, where):
            yield _events(selection, (window,), where)
        case Sequence(steps, absence):
            for step in steps:
                yield _events(step.selection, step.windows)
            if absence is not None:
                passed = Window(Ago(absence.length))
                yield _events(steps[-1].selection, (passed,))
                yield _events(absence.selection, ())
        case Regularity():
            yield from _periods(condition)
        case Trait(predicate):
            yield _Watch("identify", (), (), tuple(_times(predicate)))
        case Held(predicate, length):
            yield _Watch("identify", (), (Ago(length),), tuple(_times(predicate)))
        case Affine(selection):
            yield _events(selection, ())
        case Score() | InList() | Always():
            pass
        case _:
            assert_never(condition)


def _events(
    selection: Selection, windows: Iterable[Window], where: Predicate | None = None
) -> _Watch:
    ends = [end for window in windows for end in (window.after, window.until) if end is not None]
    times = [time for part in (selection.where, where) if part for time in _times(part)]
    return _Watch("event", selection.events, tuple(dict.fromkeys(ends)), tuple(times))


def _measures(quantity: Quantity) -> Iterator[_Watch]:
    for measure in measures_of(quantity):
        yield _events(measure.selection, (measure.window,))


def _periods(regularity: Regularity) -> Iterator[_Watch]:
    for inner in _watches(regularity.condition):
        windows = regularity.windows()
        ends = dict.fromkeys(
            end for window in windows for end in (window.after, window.until) if end is not None
        )
        yield _Watch(inner.kind, inner.types, (*inner.ends, *ends), inner.times)


def _times(predicate: Predicate, inside: tuple[Property, ...] = ()) -> Iterator[_Time]:
    match predicate:
        case InWindow() | AnniversaryIn():
            yield _Time(predicate, inside)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _times(operand, inside)
        case Not(inner) | OrMissing(inner):
            yield from _times(inner, inside)
        case AnyElement(prop, where):
            yield from _times(where, (*inside, prop))
        case _:
            pass
