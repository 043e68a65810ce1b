"""The naive evaluator: the specification, executed line by line and without haste.

It decides what is right. SQL and everything else that computes a definition must give the same
members for the same records at every instant, so nothing here is clever: one device at a time, one
event at a time, exact decimals, no sharing. It does no I/O and knows no clock: T is an argument.

Devices stand under the ids they came with. Instants are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, reduce
from typing import Any, Final, assert_never

import re2

from relo_dsl.catalog import CONSENT_FLAGS, PropertyType
from relo_dsl.consent import ScopedPlan
from relo_dsl.numbers import EXACT, divide
from relo_dsl.plan import Plan
from relo_dsl.records import Record, tie_of
from relo_dsl.terms import (
    Absent,
    Always,
    And,
    AnyElement,
    Arithmetic,
    Compare,
    CompareProperties,
    Comparison,
    Condition,
    Constant,
    Did,
    Exists,
    Has,
    InList,
    InRange,
    Measure,
    Not,
    OneOf,
    Op,
    Or,
    OrMissing,
    Predicate,
    Property,
    Quantity,
    Reference,
    Selection,
    TextMatch,
    Trait,
    Window,
    properties_of,
)
from relo_dsl.times import TimeError, parse_instant, subtract_months

#: What a record holds under one name, None for a trait set to null; see `relo_dsl.records`.
Values = Mapping[str, Any]
Lists = Mapping[str, frozenset[str]]

NO_LISTS: Final[Lists] = {}
EXTENDED_RETENTION: Final = CONSENT_FLAGS["extended_retention"]


# ---- what is known of the devices --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """One event, or one identify (its values are traits then), with the flags that it carried."""

    type: str
    time: int
    tie: int
    flags: int
    values: Values


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What a device allowed from `time` on."""

    time: int
    flags: int


@dataclass(frozen=True, slots=True)
class Device:
    """All that was accepted about one device, each kind in (time, tie) order."""

    id: str
    events: tuple[Event, ...] = ()
    identifies: tuple[Event, ...] = ()
    consents: tuple[ConsentRecord, ...] = ()
    scores: tuple[Event, ...] = ()

    def consent_record(self, at: int) -> int | None:
        """The flags of the latest consent record at or before `at`; None where there is none.

        Records at the same instant are ANDed.
        """
        known = [record for record in self.consents if record.time <= at]
        if not known:
            return None
        latest = max(record.time for record in known)
        return reduce(int.__and__, (r.flags for r in known if r.time == latest), 255)


@dataclass(frozen=True, slots=True)
class History:
    """The accepted records of one client, by device id."""

    client: int
    devices: Mapping[str, Device]

    @classmethod
    def of(cls, records: Iterable[Record], *, client: int, default_flags: int = 255) -> History:
        """The history that these records, in the order they were accepted, make.

        Records of other clients are left out. Of several records under one id, whatever their
        kinds, the first counts. A record without flags of its own carries the device's consent at
        its time, `default_flags` where no consent record came before.
        """
        accepted: dict[str, Record] = {}
        for record in records:
            if record.client == client:
                accepted.setdefault(record.id, record)
        by_device: dict[str, list[Record]] = {}
        for record in sorted(accepted.values(), key=lambda r: (r.time, tie_of(r.id))):
            by_device.setdefault(record.device, []).append(record)
        return cls(
            client, {name: _device(name, own, default_flags) for name, own in by_device.items()}
        )


def _device(name: str, records: list[Record], default_flags: int) -> Device:
    """One device from its records, which stand in (time, tie) order."""
    consents = tuple(
        ConsentRecord(record.time, record.consent)
        for record in records
        if record.kind == "consent" and record.consent is not None
    )
    consent_only = Device(name, consents=consents)

    def of_kind(kind: str) -> tuple[Event, ...]:
        return tuple(event(record) for record in records if record.kind == kind)

    def event(record: Record) -> Event:
        flags = record.flags
        if flags is None:
            flags = current_flags(consent_only, record.time, default_flags)
        return Event(record.type, record.time, tie_of(record.id), flags, record.values)

    return Device(name, of_kind("event"), of_kind("identify"), consents, of_kind("score"))


def current_flags(device: Device, at: int, default_flags: int) -> int:
    """The device's consent at an instant: its record then in force, else the client's default."""
    record = device.consent_record(at)
    return default_flags if record is None else record


# ---- consent, visibility, universe -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceView:
    """The part of a device that a plan may see at T: visible events, and traits not set to null."""

    id: str
    events: tuple[Event, ...]
    traits: Values


def members(
    scoped: ScopedPlan, history: History, at: int, lists: Lists = NO_LISTS
) -> frozenset[str]:
    """The ids of the devices that are members at T = `at`.

    Raises ValueError where the history is another client's.
    """
    if history.client != scoped.client:
        raise ValueError(f"a history of client {history.client} for a plan of {scoped.client}")
    return frozenset(
        device.id for device in history.devices.values() if is_member(scoped, device, at, lists)
    )


def is_member(scoped: ScopedPlan, device: Device, at: int, lists: Lists = NO_LISTS) -> bool:
    """member(device, T) = in the universe, consented and the condition holds."""
    if not exists(scoped, device, at) or not consented(scoped, device, at):
        return False
    return holds(scoped.plan.condition, view(scoped, device, at), at, lists)


def consented(scoped: ScopedPlan, device: Device, at: int) -> bool:
    """Whether every bit of the mask is set in the device's current flags."""
    current = current_flags(device, at, scoped.plan.default_flags)
    return current & scoped.mask == scoped.mask


def exists(scoped: ScopedPlan, device: Device, at: int) -> bool:
    """Whether the device is in the universe: one visible event or `identify` at or before T."""
    records = (*device.events, *device.identifies)
    return any(is_visible(scoped, device, record, at) for record in records)


def is_visible(scoped: ScopedPlan, device: Device, record: Event, at: int) -> bool:
    """Whether an event or `identify` has come, carried the consent needed, and is not too old."""
    return (
        record.time <= at
        and record.flags & scoped.mask == scoped.mask
        and is_retained(scoped.plan, device, record.time, at)
    )


def is_retained(plan: Plan, device: Device, time: int, at: int) -> bool:
    """Whether what happened at `time` is still kept at T.

    The longer retention needs an explicit record with flag 64 twice: in force when the event
    happened, and in force now. A default of 255 grants nothing.
    """
    if plan.retention_months is None or time >= subtract_months(at, plan.retention_months):
        return True
    for moment in (time, at):
        record = device.consent_record(moment)
        if record is None or not record & EXTENDED_RETENTION:
            return False
    return plan.extended_months is None or time >= subtract_months(at, plan.extended_months)


def view(scoped: ScopedPlan, device: Device, at: int) -> DeviceView:
    """What the plan may see of the device at T."""
    events = tuple(e for e in device.events if is_visible(scoped, device, e, at))
    traits: dict[str, Any] = {}
    for identify in device.identifies:  # in (time, tie) order: a later one overwrites
        if is_visible(scoped, device, identify, at):
            traits.update(identify.values)
    return DeviceView(device.id, events, {k: v for k, v in traits.items() if v is not None})


# ---- conditions over one device ----------------------------------------------------------------


def holds(
    condition: Condition,
    device: DeviceView,
    at: int,
    lists: Lists = NO_LISTS,
    known: dict[str, bool] | None = None,
) -> bool:
    """Whether the condition holds for the device at T.

    `known` keeps the answers to references by digest: one that is used twice is computed once, or
    a ladder of references would take for ever. Raises KeyError for a list that is not in `lists`.
    """
    known = {} if known is None else known
    match condition:
        case And(operands):
            return all(holds(operand, device, at, lists, known) for operand in operands)
        case Or(operands):
            return any(holds(operand, device, at, lists, known) for operand in operands)
        case Not(operand):
            return not holds(operand, device, at, lists, known)
        case Did(selection, window):
            return len(selected(selection, window, device, at)) > 0
        case Comparison(left, op, right):
            return _compare(quantity(left, device, at), op, quantity(right, device, at))
        case Trait(predicate):
            return test(predicate, device.traits)
        case InList(name):
            return device.id in lists[name]
        case Reference(_, referred):
            if condition.digest not in known:
                known[condition.digest] = holds(referred, device, at, lists, known)
            return known[condition.digest]
        case Always(value):
            return value
        case _:
            assert_never(condition)


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
        and (selection.where is None or test(selection.where, event.values))
    )


# ---- measures ----------------------------------------------------------------------------------


def quantity(node: Quantity, device: DeviceView, at: int) -> Decimal | None:
    """The number at T, exact; None where it is missing."""
    match node:
        case Constant(value):
            return value
        case Measure():
            return _measure(node, selected(node.selection, node.window, device, at))
        case Arithmetic(op, left, right):
            return _arithmetic(op, quantity(left, device, at), quantity(right, device, at))
        case _:
            assert_never(node)


def _measure(measure: Measure, events: tuple[Event, ...]) -> Decimal | None:
    if measure.kind == "count":
        return Decimal(len(events))
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
        case _:
            assert_never(measure.kind)


def _arithmetic(op: str, left: Decimal | None, right: Decimal | None) -> Decimal | None:
    if left is None or right is None:
        return None
    match op:
        case "+":
            return EXACT.add(left, right)
        case "-":
            return EXACT.subtract(left, right)
        case "*":
            return EXACT.multiply(left, right)
        case _:
            return divide(left, right)


# ---- predicates over one event, the traits or one element --------------------------------------


def test(predicate: Predicate, values: Values) -> bool:
    """Whether the predicate holds for one set of values. Absent properties make it false."""
    match predicate:
        case And(operands):
            return all(test(operand, values) for operand in operands)
        case Or(operands):
            return any(test(operand, values) for operand in operands)
        case Not(operand):
            return not test(operand, values)
        case OrMissing(inner):
            missing = any(read(named, values) is None for named in properties_of(inner))
            return missing or test(inner, values)
        case Absent(value):
            return value
        case CompareProperties(left, op, right):
            return _compare(read(left, values), op, read(right, values))
        case _:
            value = read(predicate.property, values)
            return value is not None and _passes(predicate, value)


def _passes(predicate: Predicate, value: Any) -> bool:
    """The predicates on one property that is there."""
    match predicate:
        case Compare(_, op, other):
            return _compare(value, op, other)
        case OneOf(_, others, negated):
            return bool((value in others) != negated)
        case InRange(_, low, high, negated):
            return bool((low <= value <= high) != negated)
        case TextMatch():
            return _text_matches(predicate, value)
        case Has(_, "any", others):
            return any(other in value for other in others)
        case Has(_, _, others):
            return all(other in value for other in others)
        case Exists():
            return True
        case AnyElement(_, where):
            return any(test(where, element) for element in value)
        case _:
            raise AssertionError(f"{type(predicate).__name__} is not about one property")


_OPERATORS: Final[Mapping[Op, Callable[[Any, Any], bool]]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _compare(left: Any, op: Op, right: Any) -> bool:
    """False where either side is missing.

    Python compares text by code points, which is the order of its UTF-8 bytes, as in ClickHouse.
    """
    return left is not None and right is not None and bool(_OPERATORS[op](left, right))


def _text_matches(predicate: TextMatch, value: str) -> bool:
    if predicate.how == "matches":
        pattern = compile_pattern(predicate.text, predicate.ignore_case)
        return pattern.search(value.encode()) is not None
    text, part = value, predicate.text
    if predicate.ignore_case:
        text, part = fold(text), fold(part)
    match predicate.how:
        case "contains":
            return part in text
        case "starts with":
            return text.startswith(part)
        case "ends with":
            return text.endswith(part)
        case _:
            assert_never(predicate.how)


def fold(text: str) -> str:
    """The text in lower case, one character at a time.

    Both σ and ς stand for Σ, or a part of a word could not be found in it: in ClickHouse
    `replaceAll(lowerUTF8(x), 'ς', 'σ')`.
    """
    return text.lower().replace("ς", "σ")


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, ignore_case: bool = False) -> Any:
    """An RE2 pattern over UTF-8 bytes, read as ClickHouse's `match` reads it: `.` is any character.

    Raises re2.error for a pattern that RE2 cannot read.
    """
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.case_sensitive = not ignore_case
    return re2.compile(pattern.encode(), options)


# ---- values ------------------------------------------------------------------------------------


def read(prop: Property, values: Values) -> Any:
    """The value of a property as its type has it, None where it is absent.

    Text is str, numbers and times (epoch milliseconds) Decimal, booleans bool, arrays tuples. A
    value of another type than the property's reads as absent: nothing is ever converted.
    """
    if prop.parent is not None:
        elements = typed(PropertyType.OBJECTS, values.get(prop.parent))
        if elements is None:
            return None
        found = (typed(prop.type.element, element.get(prop.name)) for element in elements)
        return tuple(value for value in found if value is not None)
    return typed(prop.type, values.get(prop.name))


def typed(kind: PropertyType, value: Any) -> Any:
    """The value if it is of the type, else None."""
    match kind:
        case PropertyType.STRING:
            return value if isinstance(value, str) else None
        case PropertyType.NUMBER:
            return value if isinstance(value, Decimal) else None
        case PropertyType.BOOLEAN:
            return value if isinstance(value, bool) else None
        case PropertyType.TIME:
            return _time(value)
        case PropertyType.STRINGS:
            return _all(str, value)
        case PropertyType.NUMBERS:
            return _all(Decimal, value)
        case PropertyType.OBJECTS:
            return _all(Mapping, value)
        case _:
            assert_never(type)


def _all(wanted: Any, value: Any) -> tuple[Any, ...] | None:
    fits = isinstance(value, tuple) and all(isinstance(item, wanted) for item in value)
    return value if fits else None


def _time(value: Any) -> Decimal | None:
    """Whole epoch milliseconds, RFC 3339, or a date; without an offset, UTC."""
    if isinstance(value, Decimal) and value == int(value):
        return value
    if isinstance(value, str):
        try:
            return Decimal(parse_instant(value))
        except TimeError:
            return None
    return None
