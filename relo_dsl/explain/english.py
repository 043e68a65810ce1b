"""English."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from relo_dsl.explain.words import Owner, Unit, Words, quoted, sizes
from relo_dsl.terms import MeasureKind, Op

_UNITS = {"d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond"}
_OPS = {
    "=": "is",
    "!=": "is not",
    "<": "is under",
    "<=": "is at most",
    ">": "is over",
    ">=": "is at least",
}
_COUNTS = {
    "=": "exactly",
    "<": "fewer than",
    "<=": "at most",
    ">": "more than",
    ">=": "at least",
}
_MEASURES = {
    "count": "the number of {events}",
    "sum": "the sum of {prop} over {events}",
    "avg": "the average of {prop} over {events}",
    "min": "the smallest {prop} of {events}",
    "max": "the largest {prop} of {events}",
    "median": "the median of {prop} over {events}",
    "distinct": "the number of different {prop} of {events}",
    "days": "the number of days with {events}",
    "weeks": "the number of weeks with {events}",
    "months": "the number of months with {events}",
}
_CALCULATED = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_GROUPS = {
    "all": "all of these hold:",
    "some": "at least one of these holds:",
    "not all": "these do not all hold:",
    "none": "none of these holds:",
}
_FRESH = {
    "event": "changes only when something is recorded: can be right within moments",
    "time": "changes with time as well: right from the next refresh on",
    "batch": "depends on other devices: right only after all of them were looked at",
}
_FLAGS = {
    "analytics": "analytics",
    "personalization": "personalization",
    "dsp": "export to ad platforms",
    "cross_client": "use across clients",
    "email": "email",
    "push": "push messages",
    "extended_retention": "longer retention",
    "reserved": "the reserved one",
}
_LABELS = {
    "consent": "consent it needs",
    "fresh": "how fresh it can be",
    "reads": "what it reads",
    "events": "events",
    "every event": "all of them",
    "traits": "traits",
    "lists": "lists",
    "scores": "scores",
    "back": "back to",
    "refresh": "refreshed",
    "everything": "all that is kept",
    "after": "and then",
    "clause": "clause",
    "clauses": "clauses",
}


class English(Words):
    """English, in the present tense; the device is `it`."""

    code = "en"
    both = "and"
    either = "or"

    def duration(self, millis: int) -> str:
        parts = [f"{n} {_UNITS[unit]}{'' if n == 1 else 's'}" for n, unit in sizes(millis)]
        return self.listed(parts, "and") or "no time"

    def value(self, value: str | Decimal | bool) -> str:
        return quoted(value, true="true", false="false")

    # ---- windows -------------------------------------------------------------------------------

    def at_any_time(self, *, negative: bool) -> str:  # noqa: ARG002 - other languages need it
        return "at any time"

    def last(self, millis: int) -> str:
        return f"in the last {self._span(millis)}"

    def following(self, millis: int) -> str:
        return f"in the next {self._span(millis)}"

    def _span(self, millis: int) -> str:
        return self.duration(millis).removeprefix("1 ")

    def between_ago(self, near: int, far: int) -> str:
        return f"between {self.duration(near)} and {self.duration(far)} ago"

    def before_ago(self, millis: int) -> str:
        return f"at least {self.duration(millis)} ago"

    def since(self, moment: str) -> str:
        return f"since {moment}"

    def before(self, moment: str) -> str:
        return f"before {moment}"

    def from_to(self, first: str, last: str) -> str:
        return f"from {first} to {last}"

    def from_until(self, first: str, end: str) -> str:
        return f"from {first} on and before {end}"

    def on_day(self, day: str) -> str:
        return f"on {day}"

    def this(self, unit: Unit) -> str:
        return "today" if unit == "day" else f"this {unit}"

    def past(self, unit: Unit) -> str:
        return "yesterday" if unit == "day" else f"last {unit}"

    def last_calendar(self, count: int, unit: Unit) -> str:
        if count == 2:
            return f"{self.this(unit)} or the {unit} before"
        return f"{self.this(unit)} or in the {count - 1} {unit}s before"

    def start_of(self, unit: Unit, shift: int) -> str:
        if not shift:
            return f"the start of this {unit}"
        count = f"{abs(shift)} {unit}{'' if abs(shift) == 1 else 's'}"
        return f"the start of the {unit} {count} {'before' if shift < 0 else 'after'} this one"

    def moment_ago(self, millis: int) -> str:
        if not millis:
            return "now"
        return f"{self.duration(abs(millis))} {'ago' if millis > 0 else 'from now'}"

    # ---- predicates ----------------------------------------------------------------------------

    def named(self, name: str, owner: Owner) -> str:
        return {"event": "", "trait": "its trait ", "score": "its score "}[owner] + f"`{name}`"

    def compared(self, what: str, op: Op, other: str) -> str:
        return f"{what} {_OPS[op]} {other}"

    def one_of(self, what: str, values: str, *, negated: bool) -> str:
        return f"{what} is {'none' if negated else 'one'} of {values}"

    def in_range(self, what: str, low: str, high: str, *, negated: bool) -> str:
        return f"{what} is {'not ' if negated else ''}between {low} and {high}"

    def matches(self, what: str, how: str, text: str, *, any_case: bool) -> str:
        verb = "matches the pattern" if how == "matches" else how
        return f"{what} {verb} {text}{' in any case' if any_case else ''}"

    def has(self, what: str, values: Sequence[str], *, every: bool) -> str:
        if len(values) == 1:
            return f"{what} holds {values[0]}"
        if every:
            return f"{what} holds all of {self.listed(values, 'and')}"
        return f"{what} holds any of {self.listed(values, 'or')}"

    def exists(self, what: str) -> str:
        return f"{what} is known"

    def is_missing(self, what: str) -> str:
        return f"{what} is not known"

    def or_missing(self, test: str, what: str) -> str:
        return f"{test} or {what} is not known"

    def some_element(self, what: str, where: str) -> str:
        return f"there is one among {what} where {where}"

    def lies(self, what: str, window: str) -> str:
        return f"{what} lies {window}"

    def anniversary(self, what: str, window: str) -> str:
        return f"an anniversary of {what} falls {window}"

    def near(self, what: str, distance: str, place: str) -> str:
        return f"{what} lies at most {distance} from {place}"

    def in_area(self, what: str, area: str | None, corners: int) -> str:
        known = f'the zone "{area}"' if area else f"an area of {corners} corners"
        return f"{what} lies in {known}"

    def absent(self, value: bool) -> str:
        return "anything is so" if value else "something is so that never occurs"

    def not_so(self, sentence: str) -> str:
        return f"it is not so that {sentence}"

    # ---- events and measures -------------------------------------------------------------------

    def any_event(self) -> str:
        return "event of any type"

    def where(self, events: str, predicate: str) -> str:
        return f"{events} where {predicate}"

    def measure(self, kind: MeasureKind, events: str, prop: str | None) -> str:
        return _MEASURES[kind].format(events=events, prop=prop)

    def calculated(self, op: str, left: str, right: str) -> str:
        return f"{left} {_CALCULATED[op]} {right}"

    # ---- conditions ----------------------------------------------------------------------------

    def did(self, events: str, window: str, *, negative: bool) -> str:
        return f"it has {'no' if negative else 'at least one'} {events} {window}"

    def counted(self, op: Op, number: str, events: str, window: str) -> str:
        if op == "!=":
            return f"it does not have exactly {number} {events} {window}"
        return f"it has {_COUNTS[op]} {number} {events} {window}"

    def counted_between(self, low: str, high: str, events: str, window: str) -> str:
        return f"it has {low} to {high} {events} {window}"

    def extreme(self, which: str, events: str, window: str | None, where: str | None) -> str:
        said = f"the {which} {events} it ever had"
        if window is not None:
            said += f" was {window}"
        if where is not None:
            said += f"{', and' if window is not None else ' is one where'}"
            said += f" {'there ' if window is not None else ''}{where}"
        return said

    def in_order(self, steps: Sequence[str]) -> str:
        return "it has, one after the other, " + ", then ".join(steps)

    def step(self, events: str, windows: Sequence[str], gap: int | None) -> str:
        said = " ".join((f"{_article(events)} {events}", *windows))
        return said if gap is None else f"{said} at most {self.duration(gap)} later"

    def then_no(self, events: str, length: int) -> str:
        return f"no {events} for {self.duration(length)}, a time that is over"

    def regular(self, inner: str, at_least: int, periods: int, length: Unit | int) -> str:
        if isinstance(length, int):
            each = f"periods of {self.duration(length)}"
        else:
            each = f"calendar {length}s, the current one included"
        return f"in at least {at_least} of the last {periods} {each}, {inner}"

    def held(self, inner: str, length: int) -> str:
        return f"for the last {self.duration(length)}, without a break, {inner}"

    def affine(self, prop: str, events: str, product: str, at_least: int) -> str:
        return (
            f"{_article(events)} {events} of it has a {prop} that at least {at_least} consenting "
            f"devices have beside {product}, and none of it has {product} itself"
        )

    def on_list(self, name: str, *, negative: bool) -> str:
        return f"it is {'not ' if negative else ''}on the list `{name}`"

    def in_segment(self, name: str, *, negative: bool) -> str:
        return f"it {'does not meet' if negative else 'meets'} the condition of `{name}`"

    def always(self, value: bool) -> str:
        return "it is any device at all" if value else "nothing: no device is in"

    def group(self, how: Literal["all", "some", "not all", "none"]) -> str:
        return _GROUPS[how]

    # ---- the whole -----------------------------------------------------------------------------

    def ranked(self, which: str, amount: str, by: str, *, share: bool) -> str:
        end = "highest" if which == "top" else "lowest"
        some = f"the {amount}%" if share else f"the {amount}"
        return f"of these, {some} with the {end} value are kept; the value is {by}"

    def sampled(self, share: str) -> str:
        return f"a fixed random {share}% of them are taken"

    def held_out(self, share: str, name: str) -> str:
        return f"a fixed random {share}% of them are held out, and published as `{name}:holdout`"

    def heading(self, name: str, kind: str, client: int) -> str:
        return f"{name}, {'an' if kind == 'audience' else 'a'} {kind} of client {client}"

    def opening(self, *, single: bool) -> str:
        return "a device is in when:" if single else "a device is in when all of these hold:"

    def flag(self, name: str) -> str:
        return _FLAGS[name]

    def consent(self, name: str, bit: int, reasons: Sequence[str]) -> str:
        return f"{name} ({bit}), because {self.listed(reasons, 'and')}"

    def reason(self, destination: str | None) -> str:
        return "the definition requires it" if destination is None else f"it goes to {destination}"

    def ordinary(self) -> str:
        return "every definition needs at least this one"

    def fresh(self, kind: str) -> str:
        return _FRESH[kind]

    def label(self, what: str) -> str:
        return _LABELS[what]

    def refreshed(self, how: str, detail: str) -> str:
        day, _, clock = detail.partition(" ")
        return {
            "realtime": "with every record",
            "hourly": "every hour",
            "daily": f"every day at {detail}",
            "weekly": f"every week, on {day.capitalize()} at {clock}",
            "every": f"every {detail}",
            "cron": f"at `{detail}`",
        }[how]


def _article(events: str) -> str:
    return "an" if events.lstrip("`")[:1].lower() in "aeio" else "a"
