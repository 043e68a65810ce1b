"""Consent, visibility and the universe (section 6 of the language)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from relo_dsl.catalog import CONSENT_FLAGS
from relo_dsl.consent import ScopedPlan
from relo_dsl.interpret.history import Device, Event, current_flags
from relo_dsl.interpret.values import Values
from relo_dsl.plan import Plan
from relo_dsl.times import subtract_months

EXTENDED_RETENTION: Final = CONSENT_FLAGS["extended_retention"]


@dataclass(frozen=True, slots=True)
class DeviceView:
    """The part of a device that a plan may see at T: visible events, identifies and scores, and
    what the identifies and scores leave in force, traits that were set to null left out.
    """

    id: str
    events: tuple[Event, ...]
    traits: Values
    identifies: tuple[Event, ...] = ()
    scores: Values = field(default_factory=dict)


def consented(scoped: ScopedPlan, device: Device, at: int) -> bool:
    """Whether every bit of the mask is set in the device's current flags."""
    current = current_flags(device, at, scoped.plan.default_flags)
    return current & scoped.mask == scoped.mask


def exists(scoped: ScopedPlan, device: Device, at: int) -> bool:
    """Whether the device is in the universe: one visible event or `identify` at or before T."""
    return any(is_carried(scoped, record, at) for record in device.identifies) or any(
        is_visible(scoped, device, event, at) for event in device.events
    )


def is_visible(scoped: ScopedPlan, device: Device, event: Event, at: int) -> bool:
    """Whether an event has come, carried the consent needed, and is not too old."""
    return is_carried(scoped, event, at) and is_retained(scoped.plan, device, event.time, at)


def is_carried(scoped: ScopedPlan, record: Event, at: int) -> bool:
    """Whether a record has come and carried the consent needed: all that is asked of an `identify`
    or a score, which no retention ends.
    """
    return record.time <= at and record.flags & scoped.mask == scoped.mask


def is_retained(plan: Plan, device: Device, time: int, at: int) -> bool:
    """Whether an event that happened at `time` is still kept at T.

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
    identifies = tuple(record for record in device.identifies if is_carried(scoped, record, at))
    scores: dict[str, Any] = {}
    for score in device.scores:  # in (time, tie) order: a later one overwrites
        if is_carried(scoped, score, at):
            scores.update(score.values)
    return DeviceView(device.id, events, traits_at(identifies, at), identifies, scores)


def traits_at(identifies: tuple[Event, ...], at: int) -> Values:
    """The traits in force at an instant; those set to null are missing."""
    traits: dict[str, Any] = {}
    for identify in identifies:
        if identify.time <= at:
            traits.update(identify.values)
    return {name: value for name, value in traits.items() if value is not None}
