"""How many local days, weeks and months the events of a window can lie in, at the most.

Clocks are set forward and back, and zones change sides of the date line: what cannot be settled
for a zone is bounded by all that its clock ever did, and a care beyond.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from relo_dsl.terms import Ago, At, LocalStart, Window
from relo_dsl.times import UNITS, from_millis

_DAY: Final = UNITS["d"]
#: What may have been missed between two looks at a clock.
_CARE: Final = 2 * UNITS["h"]
_LOOK: Final = 7 * _DAY
#: Events lie within these instants; beyond 2040 clocks go by the rules of 2040.
_FROM: Final = -2_208_988_800_000
_TO: Final = 2_208_988_800_000
#: The shortest runs of 0 to 11 whole months, in days.
_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SHORTEST: Final = tuple(
    min(sum((_LENGTHS * 2)[start : start + run]) for start in range(12)) for run in range(12)
)
#: The longest calendar periods, in days.
_LONGEST: Final = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}


def most_periods(kind: str, window: Window, zone: str) -> int | None:
    """The most local `days`, `weeks` or `months` of a zone that events of a window can lie in, at
    any T; None where there is no limit, or none that is known.
    """
    span = _span(window, zone)
    whole = _whole(window, zone) if kind == "days" else None
    limits = [] if span is None else [_touched(kind, span)]
    return min(limits if whole is None else [*limits, whole], default=None)


def _touched(kind: str, span: int) -> int:
    """The most periods in which the local times of a span (its first and last included) can lie.

    Two, and all those that fit between: from the last millisecond before them to the first after.
    """
    if span <= 0:
        return span + 1 if span == 0 else 0
    fitting = (span - 1) // _DAY
    match kind:
        case "days":
            return fitting + 2
        case "weeks":
            return fitting // 7 + 2
        case _:
            years, rest = divmod(fitting, 365)
            return 12 * years + sum(days <= rest for days in _SHORTEST[1:]) + 2


def _span(window: Window, zone: str) -> int | None:
    """How far apart the local times of two events of a window can lie, in milliseconds; negative
    where there is none.
    """
    length = _length(window)
    if length is None:
        return None
    return length - 1 if length <= 1 else length - 1 + swing(zone)


def _length(window: Window) -> int | None:
    """The most time that a window spans, in milliseconds."""
    match window:
        case Window(Ago(after), until) if until is None or isinstance(until, Ago):
            return max(0, after - (0 if until is None else max(0, until.millis)))
        case Window(At(after), At(until)):
            return max(0, until - after)
        case Window(LocalStart(unit, shift, zone), None) if shift <= 0:
            return (1 - shift) * _LONGEST[unit] * _DAY + swing(zone)
        case Window(LocalStart(unit, shift, zone), LocalStart(other, last, there)) if (
            unit,
            zone,
        ) == (other, there):
            return max(0, last - shift) * _LONGEST[unit] * _DAY + swing(zone)
    return None


def _whole(window: Window, zone: str) -> int | None:
    """The local days of a window that is made of whole ones.

    Where a clock can go back over midnight, the day before them, the day after, or (across the
    date line) one more can hold some of its events.
    """
    match window:
        case Window(LocalStart(unit, shift, there), None) if there == zone:
            days = max(0, 1 - shift) * _LONGEST[unit]
        case Window(LocalStart(unit, shift, there), LocalStart(other, last, _) as until) if (
            unit == other and there == zone == until.zone
        ):
            days = max(0, last - shift) * _LONGEST[unit]
        case Window(At(after), At(until)) if after < until:
            days = (_local(until, zone) - _local(after + 1, zone)).days + 1
        case _:
            return None
    shifted = swing(zone)
    return days + (2 + shifted // _DAY if shifted else 0)


def _local(instant: int, zone: str) -> date:
    return from_millis(instant).astimezone(ZoneInfo(zone)).date()


@lru_cache(maxsize=64)
def swing(zone: str) -> int:
    """How far a zone's clock can lie from itself at another time, at the most, in milliseconds."""
    if zone == "UTC":
        return 0
    clock = ZoneInfo(zone)
    looks = (from_millis(moment).astimezone(clock) for moment in range(_FROM, _TO, _LOOK))
    offsets = [look.utcoffset() or timedelta() for look in looks]
    return (max(offsets) - min(offsets)) // timedelta(milliseconds=1) + _CARE
