"""Sets of values on a line, as unions of intervals: numbers, or texts by their code points.

A set is a sorted tuple of pairs of cuts. A cut lies just before or just after a value, or beyond
all of them, so open and closed ends need no cases of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor
from typing import Any, Final, TypeAlias

from relo_dsl.terms import Op

#: (-1,) below everything, (0, value, -1 before it or 1 after it), (1,) above everything.
Cut: TypeAlias = tuple[Any, ...]
LOWEST: Final[Cut] = (-1,)
HIGHEST: Final[Cut] = (1,)


@dataclass(frozen=True, slots=True)
class Ranges:
    """A union of intervals, in order, none touching the next."""

    parts: tuple[tuple[Cut, Cut], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __and__(self, other: Ranges) -> Ranges:
        found = []
        for low, high in self.parts:
            for start, end in other.parts:
                first, last = max(low, start), min(high, end)
                if first < last:
                    found.append((first, last))
        return Ranges(tuple(found))

    def __or__(self, other: Ranges) -> Ranges:
        return _merged(sorted((*self.parts, *other.parts)))

    def __invert__(self) -> Ranges:
        found, start = [], LOWEST
        for low, high in self.parts:
            if start < low:
                found.append((start, low))
            start = high
        if start < HIGHEST:
            found.append((start, HIGHEST))
        return Ranges(tuple(found))

    def __contains__(self, value: Any) -> bool:
        return any(low <= (0, value, -1) and (0, value, 1) <= high for low, high in self.parts)

    @property
    def lowest(self) -> Cut:
        """The cut below the smallest member. The set must not be empty."""
        return self.parts[0][0]

    @property
    def highest(self) -> Cut:
        """The cut above the largest member. The set must not be empty."""
        return self.parts[-1][1]

    def points(self) -> tuple[Any, ...] | None:
        """The members, where they are single values; else None."""
        found = []
        for low, high in self.parts:
            if len(low) == 1 or low[1:] != (high[1] if len(high) > 1 else None, -1):
                return None
            found.append(low[1])
        return tuple(found)

    def whole(self) -> Ranges:
        """The whole numbers of the set: every cut lies before a whole number."""
        parts = sorted((_whole(low), _whole(high)) for low, high in self.parts)
        return _merged([(low, high) for low, high in parts if low < high])


def _merged(parts: list[tuple[Cut, Cut]]) -> Ranges:
    found: list[tuple[Cut, Cut]] = []
    for low, high in parts:
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return Ranges(tuple(found))


def _whole(cut: Cut) -> Cut:
    if len(cut) == 1:
        return cut
    _, value, side = cut
    return (0, Decimal(ceil(value) if side < 0 else floor(value) + 1), -1)


NOTHING: Final = Ranges()
EVERYTHING: Final = Ranges(((LOWEST, HIGHEST),))


def point(value: Any) -> Ranges:
    """The value alone."""
    return Ranges((((0, value, -1), (0, value, 1)),))


def between(low: Any, high: Any) -> Ranges:
    """Both ends included; nothing where they are the wrong way round."""
    return Ranges((((0, low, -1), (0, high, 1)),)) if low <= high else NOTHING


def compared(op: Op, value: Any) -> Ranges:
    """What stands in this relation to a value."""
    before, after = (0, value, -1), (0, value, 1)
    match op:
        case "=":
            return Ranges(((before, after),))
        case "!=":
            return Ranges(((LOWEST, before), (after, HIGHEST)))
        case "<":
            return Ranges(((LOWEST, before),))
        case "<=":
            return Ranges(((LOWEST, after),))
        case ">":
            return Ranges(((after, HIGHEST),))
        case ">=":
            return Ranges(((before, HIGHEST),))


def starting_with(text: str) -> Ranges:
    """The texts that start with `text`: from it up to the next text that does not."""
    stem = text.rstrip("\U0010ffff")
    if not stem:
        return EVERYTHING if not text else Ranges((((0, text, -1), HIGHEST),))
    follower = stem[:-1] + chr(ord(stem[-1]) + 1)
    return Ranges((((0, text, -1), (0, follower, -1)),))
