"""What a language has to be able to say: the words from which `sentences` builds explanations.

Every method gives a piece of a sentence without a capital letter or a full stop. Names of events,
properties and so on stand in backticks, texts in double quotes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from relo_dsl.numbers import plain
from relo_dsl.terms import MeasureKind, Op
from relo_dsl.times import UNITS

Unit = Literal["day", "week", "month", "quarter", "year"]
#: Whose value a predicate tests.
Owner = Literal["event", "trait", "score"]

_SIZES = ("d", "h", "min", "s", "ms")


def quoted(value: str | Decimal | bool, *, true: str, false: str) -> str:
    """A value as people write it."""
    if isinstance(value, bool):
        return true if value else false
    return plain(value) if isinstance(value, Decimal) else f'"{value}"'


def sizes(millis: int) -> list[tuple[int, str]]:
    """A duration as (count, unit), largest first; days are the largest unit.

    One of a unit and some of the next is said in the next alone: 36 hours, 90 minutes.
    """
    found: list[tuple[int, str]] = []
    for unit, following in zip(_SIZES, (*_SIZES[1:], ""), strict=True):
        count, rest = divmod(millis, UNITS[unit])
        if count == 1 and rest and not found and rest % UNITS[following] == 0:
            return [(millis // UNITS[following], following)]
        if count:
            found.append((count, unit))
        millis = rest
    return found


class Words(ABC):
    """One language."""

    code: str
    both: str
    """The word for `and`."""
    either: str
    """The word for `or`."""

    # ---- small pieces --------------------------------------------------------------------------

    @abstractmethod
    def duration(self, millis: int) -> str:
        """`1 day and 12 hours`."""

    @abstractmethod
    def value(self, value: str | Decimal | bool) -> str:
        """A text, number or truth value."""

    def listed(self, items: Sequence[str], word: str) -> str:
        """`a, b and c` with the word given."""
        if len(items) < 2:
            return "".join(items)
        return f"{', '.join(items[:-1])} {word} {items[-1]}"

    # ---- windows -------------------------------------------------------------------------------

    @abstractmethod
    def at_any_time(self, *, negative: bool) -> str: ...

    @abstractmethod
    def last(self, millis: int) -> str:
        """In the last 30 days."""

    @abstractmethod
    def following(self, millis: int) -> str:
        """In the next 30 days."""

    @abstractmethod
    def between_ago(self, near: int, far: int) -> str: ...

    @abstractmethod
    def before_ago(self, millis: int) -> str: ...

    @abstractmethod
    def since(self, moment: str) -> str: ...

    @abstractmethod
    def before(self, moment: str) -> str: ...

    @abstractmethod
    def from_to(self, first: str, last: str) -> str:
        """From one day to another, both included."""

    @abstractmethod
    def from_until(self, first: str, end: str) -> str:
        """From one moment on and before another."""

    @abstractmethod
    def on_day(self, day: str) -> str: ...

    @abstractmethod
    def this(self, unit: Unit) -> str: ...

    @abstractmethod
    def past(self, unit: Unit) -> str:
        """Yesterday, last week."""

    @abstractmethod
    def last_calendar(self, count: int, unit: Unit) -> str: ...

    @abstractmethod
    def start_of(self, unit: Unit, shift: int) -> str:
        """The start of the week that lies `shift` from the current one."""

    @abstractmethod
    def moment_ago(self, millis: int) -> str:
        """30 days ago; 30 days from now where negative."""

    # ---- predicates ----------------------------------------------------------------------------

    @abstractmethod
    def named(self, name: str, owner: Owner) -> str:
        """A property, trait or score by its name."""

    @abstractmethod
    def compared(self, what: str, op: Op, other: str) -> str: ...

    @abstractmethod
    def one_of(self, what: str, values: str, *, negated: bool) -> str: ...

    @abstractmethod
    def in_range(self, what: str, low: str, high: str, *, negated: bool) -> str: ...

    @abstractmethod
    def matches(self, what: str, how: str, text: str, *, any_case: bool) -> str: ...

    @abstractmethod
    def has(self, what: str, values: Sequence[str], *, every: bool) -> str: ...

    @abstractmethod
    def exists(self, what: str) -> str: ...

    @abstractmethod
    def is_missing(self, what: str) -> str: ...

    @abstractmethod
    def or_missing(self, test: str, what: str) -> str: ...

    @abstractmethod
    def some_element(self, what: str, where: str) -> str: ...

    @abstractmethod
    def lies(self, what: str, window: str) -> str: ...

    @abstractmethod
    def anniversary(self, what: str, window: str) -> str: ...

    @abstractmethod
    def near(self, what: str, distance: str, place: str) -> str: ...

    @abstractmethod
    def in_area(self, what: str, area: str | None, corners: int) -> str: ...

    @abstractmethod
    def absent(self, value: bool) -> str:
        """What stands for a test of something that no record ever had."""

    @abstractmethod
    def not_so(self, sentence: str) -> str: ...

    # ---- events and measures -------------------------------------------------------------------

    @abstractmethod
    def any_event(self) -> str: ...

    @abstractmethod
    def where(self, events: str, predicate: str) -> str: ...

    @abstractmethod
    def measure(self, kind: MeasureKind, events: str, prop: str | None) -> str: ...

    @abstractmethod
    def calculated(self, op: str, left: str, right: str) -> str: ...

    # ---- conditions ----------------------------------------------------------------------------

    @abstractmethod
    def did(self, events: str, window: str, *, negative: bool) -> str: ...

    @abstractmethod
    def counted(self, op: Op, number: str, events: str, window: str) -> str:
        """The device has at least 3 of these events."""

    @abstractmethod
    def counted_between(self, low: str, high: str, events: str, window: str) -> str: ...

    @abstractmethod
    def extreme(self, which: str, events: str, window: str | None, where: str | None) -> str: ...

    @abstractmethod
    def in_order(self, steps: Sequence[str]) -> str: ...

    @abstractmethod
    def step(self, events: str, windows: Sequence[str], gap: int | None) -> str: ...

    @abstractmethod
    def then_no(self, events: str, length: int) -> str: ...

    @abstractmethod
    def regular(self, inner: str, at_least: int, periods: int, length: Unit | int) -> str:
        """In at least 2 of the last 3 periods, calendar ones or of so many milliseconds."""

    @abstractmethod
    def held(self, inner: str, length: int) -> str: ...

    @abstractmethod
    def affine(self, prop: str, events: str, product: str, at_least: int) -> str: ...

    @abstractmethod
    def on_list(self, name: str, *, negative: bool) -> str: ...

    @abstractmethod
    def in_segment(self, name: str, *, negative: bool) -> str: ...

    @abstractmethod
    def always(self, value: bool) -> str: ...

    @abstractmethod
    def group(self, how: Literal["all", "some", "not all", "none"]) -> str:
        """What stands above a list of sentences."""

    # ---- the whole -----------------------------------------------------------------------------

    @abstractmethod
    def ranked(self, which: str, amount: str, by: str, *, share: bool) -> str: ...

    @abstractmethod
    def sampled(self, share: str) -> str: ...

    @abstractmethod
    def held_out(self, share: str, name: str) -> str: ...

    @abstractmethod
    def heading(self, name: str, kind: str, client: int) -> str: ...

    @abstractmethod
    def opening(self, *, single: bool) -> str:
        """The line above the clauses."""

    @abstractmethod
    def flag(self, name: str) -> str:
        """A consent by its name in catalogs."""

    @abstractmethod
    def consent(self, name: str, bit: int, reasons: Sequence[str]) -> str: ...

    @abstractmethod
    def reason(self, destination: str | None) -> str:
        """Why a consent is needed: a destination, or (None) that the definition requires it."""

    @abstractmethod
    def ordinary(self) -> str:
        """Why the consent for analytics is needed where nothing else asks for one."""

    @abstractmethod
    def fresh(self, kind: str) -> str: ...

    @abstractmethod
    def label(self, what: str) -> str:
        """A heading, or another fixed text, by its English name."""

    @abstractmethod
    def refreshed(self, how: str, detail: str) -> str: ...
