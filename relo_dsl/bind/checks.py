"""What a bound condition cannot mean: contradictions, tautologies, windows beyond retention.

Every finding here is proved, never guessed: a warning that an evaluation could refute is a bug.
"""

from __future__ import annotations

from decimal import Decimal

from relo_dsl.diagnostics import Diagnostics
from relo_dsl.plan import normalise
from relo_dsl.source import Span
from relo_dsl.terms import (
    Ago,
    Always,
    And,
    At,
    Comparison,
    Condition,
    Constant,
    Did,
    Instant,
    Measure,
    Not,
    Op,
    Or,
    Selection,
    Window,
)
from relo_dsl.times import UNITS


def check_operands(op: str, operands: list[tuple[Span, Condition]], found: Diagnostics) -> None:
    """Reports an `and` that can never hold and an `or` that always does, at the second operand."""
    # Chains inside are left alone: they were checked themselves, and comparing them would cost
    # the square of their size.
    normal = [
        (span, normalise(condition))
        for span, condition in operands
        if not isinstance(_inside(condition), And | Or)
    ]
    for index, (span, second) in enumerate(normal):
        for first_span, first in normal[:index]:
            pair = (first, second) if op == "and" else (_negated(first), _negated(second))
            if not (_excludes(*pair) or _excludes(pair[1], pair[0])):
                continue
            other = found.source.slice(first_span)
            if op == "and":
                found.report("contradiction", span, f"this can never hold together with `{other}`")
            else:
                found.report("always-true", span, f"`{other}` or this always holds")


def check_condition(condition: Condition, span: Span, found: Diagnostics) -> None:
    """Reports a comparison of a count with a number that decides nothing."""
    match condition:
        case Comparison(Measure(kind="count"), op, Constant(value)):
            decided = _count_decides(op, value)
            if decided is True:
                found.report("always-true", span, "a count is never below zero: this always holds")
            elif decided is False:
                found.report("contradiction", span, "a count is never below zero")


def check_windows(window: Window, months: int, span: Span, found: Diagnostics) -> None:
    """Hints at a rolling window that reaches further back than events are kept."""
    if isinstance(window.after, Ago) and window.after.millis > months * 31 * UNITS["d"]:
        found.report(
            "beyond-retention",
            span,
            f"events are kept for {months} months: nothing older than that is seen",
        )


def _count_decides(op: Op, value: Decimal) -> bool | None:
    if op in (">=", ">") and (value < 0 or (value == 0 and op == ">=")):
        return True
    if op == "!=" and (value < 0 or value != int(value)):
        return True
    if op in ("<", "<=", "=") and (value < 0 or (value == 0 and op == "<")):
        return False
    if op == "=" and value != int(value):
        return False
    return None


def _inside(condition: Condition) -> Condition:
    while isinstance(condition, Not):
        condition = condition.operand
    return condition


def _negated(condition: Condition) -> Condition:
    return normalise(Not(condition))


def _excludes(first: Condition, second: Condition) -> bool:
    """Whether `first` and `second` can never hold together, `second` being a negation."""
    if isinstance(first, Always) or isinstance(second, Always):
        return False
    if not isinstance(second, Not):
        return False
    if first == second.operand:
        return True
    match first, second.operand:
        case Did(narrow, inner), Did(wide, outer):
            return _selects_within(narrow, wide) and _within(inner, outer)
    return False


def _selects_within(narrow: Selection, wide: Selection) -> bool:
    """Whether every event that `narrow` selects is selected by `wide`."""
    events = not wide.events or (bool(narrow.events) and set(narrow.events) <= set(wide.events))
    if not events:
        return False
    if wide.where is None or wide.where == narrow.where:
        return True
    return isinstance(narrow.where, And) and wide.where in narrow.where.operands


def _within(inner: Window, outer: Window) -> bool:
    """Whether `inner` lies inside `outer` at every T."""
    starts = outer.after is None or _not_before(inner.after, outer.after)
    ends = outer.until is None or (
        inner.until is not None and _not_before(outer.until, inner.until)
    )
    return starts and ends


def _not_before(later: Instant | None, earlier: Instant) -> bool:
    match later, earlier:
        case Ago(a), Ago(b):
            return a <= b
        case At(a), At(b):
            return a >= b
    return later == earlier
