"""Predicates and windows, said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import assert_never
from zoneinfo import ZoneInfo

from relo_dsl.explain.words import Owner, Words
from relo_dsl.numbers import plain
from relo_dsl.terms import (
    Absent,
    Ago,
    And,
    AnniversaryIn,
    AnyElement,
    At,
    Compare,
    CompareProperties,
    Exists,
    Has,
    InArea,
    InRange,
    Instant,
    InWindow,
    LocalStart,
    Near,
    Not,
    OneOf,
    Or,
    OrMissing,
    Predicate,
    Property,
    TextMatch,
    Window,
    properties_of,
)
from relo_dsl.times import TimeError, from_millis

#: The corners of a zone of the catalog, in degrees.
Corners = tuple[tuple[Decimal, Decimal], ...]


@dataclass(frozen=True)
class Speaker:
    """Says windows and predicates in one language; `zone` is where fixed instants are shown.

    `areas` and `places` give the names that the catalog has for corners and points.
    """

    words: Words
    zone: str = "UTC"
    areas: dict[Corners, str] = field(default_factory=dict)
    places: dict[tuple[Decimal, Decimal], str] = field(default_factory=dict)

    # ---- windows -------------------------------------------------------------------------------

    def window(self, window: Window, *, negative: bool = False) -> str:
        """When: `in the last 30 days`."""
        words = self.words
        match window.after, window.until:
            case None, None:
                return words.at_any_time(negative=negative)
            case Ago(far), None | Ago(0) if far > 0:
                return words.last(far)
            case Ago(0), Ago(near) if near < 0:
                return words.following(-near)
            case Ago(far), Ago(near) if near > 0:
                return words.between_ago(near, far)
            case None, Ago(age) if age > 0:
                return words.before_ago(age)
            case At(after), None | Ago(0):
                return words.since(self.moment(after + 1))
            case None, At(until):
                return words.before(self.moment(until + 1))
            case At(after), At(until):
                return self._fixed(after + 1, until + 1)
            case LocalStart(unit, 0, _), None | LocalStart(_, 1, _):
                return words.this(unit)
            case LocalStart(unit, -1, _), LocalStart(other, 0, _) if unit == other:
                return words.past(unit)
            case LocalStart(unit, shift, _), None | LocalStart(_, 1, _) if shift < 0:
                return words.last_calendar(1 - shift, unit)
        return self._between(window)

    def _between(self, window: Window) -> str:
        after, until = self.end(window.after), self.end(window.until)
        if after is None:
            return self.words.before(until or "")
        return self.words.since(after) if until is None else self.words.from_until(after, until)

    def end(self, end: Instant | None) -> str | None:
        """One end by itself: `30 days ago`; None where it is open."""
        match end:
            case None:
                return None
            case Ago(millis):
                return self.words.moment_ago(millis)
            case At(instant):
                return self.moment(instant + 1)
            case LocalStart(unit, shift, _):
                return self.words.start_of(unit, shift)
            case _:
                assert_never(end)

    def _fixed(self, start: int, end: int) -> str:
        """A pair of instants; whole local days are said by their dates."""
        first, following = self.moment(start), self.moment(end)
        if max(len(first), len(following)) > len("2026-01-15"):
            return self.words.from_until(first, following)
        last = (date.fromisoformat(following) - timedelta(days=1)).isoformat()
        return self.words.on_day(first) if first == last else self.words.from_to(first, last)

    def moment(self, instant: int) -> str:
        """A date where it is a local midnight, else a date and time."""
        try:
            moment = from_millis(instant).astimezone(ZoneInfo(self.zone))
        except (TimeError, OverflowError):
            return str(instant)
        day = moment.date().isoformat()
        if (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0):
            return day
        spec = "minutes" if not moment.second and not moment.microsecond else "milliseconds"
        clock = moment.time().isoformat(spec if spec == "minutes" else "milliseconds")
        return f"{day} {clock} ({self.zone})"

    # ---- predicates ----------------------------------------------------------------------------

    def predicate(self, predicate: Predicate, owner: Owner = "event") -> str:
        """A test of a property: `` `revenue` is over 15000 ``."""
        match predicate:
            case And(operands) | Or(operands):
                return self._joined(predicate, operands, owner)
            case Not(Exists(prop)):
                return self.words.is_missing(self.name(prop, owner))
            case Not(operand):
                return self.words.not_so(self._inner(operand, owner))
            case OrMissing(operand):
                names = [self.name(prop, owner) for prop in properties_of(operand)]
                said = self.words.listed(names, self.words.either)
                return self.words.or_missing(self._inner(operand, owner), said)
            case Absent(value):
                return self.words.absent(value)
            case AnyElement(prop, where):
                return self.words.some_element(self.name(prop, owner), self.predicate(where))
            case CompareProperties(left, op, right):
                other = self.name(right, owner)
                return self.words.compared(self.name(left, owner), op, other)
            case _:
                return self._test(predicate, self.name(predicate.property, owner))

    def _test(self, predicate: Predicate, what: str) -> str:
        words = self.words
        match predicate:
            case Compare(_, op, value):
                return words.compared(what, op, words.value(value))
            case OneOf(_, values, negated):
                word = words.both if negated else words.either
                said = words.listed([words.value(value) for value in values], word)
                return words.one_of(what, said, negated=negated)
            case InRange(_, low, high, negated):
                return words.in_range(what, plain(low), plain(high), negated=negated)
            case TextMatch(_, how, text, any_case):
                return words.matches(what, how, words.value(text), any_case=any_case)
            case Has(_, how, values):
                every = how == "all"
                return words.has(what, [words.value(value) for value in values], every=every)
            case Exists():
                return words.exists(what)
            case InWindow(_, window, _):
                return words.lies(what, self.window(window))
            case AnniversaryIn(_, window, _):
                return words.anniversary(what, self.window(window))
            case Near(_, latitude, longitude, metres):
                return words.near(what, _distance(metres), self._place(latitude, longitude))
            case InArea(_, corners):
                return words.in_area(what, self.areas.get(corners), len(corners))
            case _:
                raise AssertionError(f"{type(predicate).__name__} is not about one property")

    def _joined(
        self, node: And[Predicate] | Or[Predicate], operands: tuple[Predicate, ...], owner: Owner
    ) -> str:
        word = self.words.both if isinstance(node, And) else self.words.either
        return self.words.listed([self._inner(operand, owner) for operand in operands], word)

    def _inner(self, operand: Predicate, owner: Owner) -> str:
        """Inside another one; in parentheses where it would be read wrongly without."""
        said = self.predicate(operand, owner)
        return f"({said})" if isinstance(operand, And | Or | OrMissing) else said

    def name(self, prop: Property, owner: Owner = "event") -> str:
        """The property as the definition calls it."""
        name = prop.name if prop.parent is None else f"{prop.parent}.{prop.name}"
        return self.words.named(name, owner)

    def _place(self, latitude: Decimal, longitude: Decimal) -> str:
        known = self.places.get((latitude, longitude))
        return f'"{known}"' if known else f"({plain(latitude)}, {plain(longitude)})"


def _distance(metres: Decimal) -> str:
    if metres >= 1000 and metres % 100 == 0:
        return f"{plain(metres / 1000)} km"
    return f"{plain(metres)} m"
